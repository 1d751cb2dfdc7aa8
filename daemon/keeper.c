/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * keeper.c: find the tenants of all groups, create their ledgers, and give each
 * a sampler.
 *
 * The keeper's thread hands out requests and never waits for LVM.  Each group is
 * scanned by a thread of its own, one at a time, so that a command that hangs in one
 * group, or a device, holds up no other.
 */
#include <stdatomic.h>

#include "hold.h"
#include "keeper.h"
#include "log.h"
#include "read.h"
#include "sampler.h"
#include "quota-writer.h"

#define NS_PER_SEC UINT64_C(1000000000)

/* How often the keeper's thread shows that it runs. */
#define KEEPER_BEAT_US (5 * G_USEC_PER_SEC)
#define KEEPER_BEATS_NS (30 * NS_PER_SEC)
/* A first scan that takes longer is reported as done, with errors: the groups that
 * were read are served. */
#define KEEPER_SCAN_NS (20 * NS_PER_SEC)
/* A group that takes longer is logged. */
#define KEEPER_STUCK_NS (15 * NS_PER_SEC)

enum keeper_verb { KEEPER_SCAN, KEEPER_CHECK, KEEPER_END, KEEPER_QUIT };

typedef struct {
    enum keeper_verb verb;
    char *group;
    char *tenant;
} KeeperRequest;

/* KeeperGroup: what is to be read of a group.  "" as its name: which groups there
 * are. */
typedef struct {
    char *name;
    bool is_running;            /* a thread is at it */
    bool is_all;                /* asked for: all tenants */
    bool is_counted;            /* the scan that is reported waits for it */
    bool is_said;               /* that it takes long */
    GPtrArray *tenants;         /* asked for: these */
    uint64_t since_ns;          /* is_running */
} KeeperGroup;

struct Keeper {
    uint64_t interval_ns;
    KeeperScanned scanned;
    void *opaque;
    bool is_once;
    GThread *thread;
    GThreadPool *pool;          /* of KeeperGroup */
    GAsyncQueue *requests;
    _Atomic(uint64_t) beat_ns;

    GMutex lock;                /* of all below */
    GHashTable *groups;         /* name -> KeeperGroup */
    GHashTable *samplers;       /* "group/tenant" -> Sampler */
    unsigned running;           /* groups that a thread is at */
    GCond idle;                 /* it is less */
    unsigned pending;           /* groups that the scan waits for */
    bool is_ok;
    bool is_stopping;
    uint64_t scan_ns;           /* it began; 0: it is reported */
};

static void
keeper_ask(Keeper *keeper, enum keeper_verb verb, const char *group,
           const char *tenant)
{
    KeeperRequest *request = g_new0(KeeperRequest, 1);

    request->verb = verb;
    request->group = g_strdup(group);
    request->tenant = g_strdup(tenant);
    g_async_queue_push(keeper->requests, request);
}

static void
keeper_sampler_ended(const char *group, const char *tenant, void *opaque)
{
    keeper_ask(opaque, KEEPER_END, group, tenant);
}

/* keeper_poke: have the tenant sampled now, if it has a sampler. */
static bool
keeper_poke(Keeper *keeper, const char *key)
{
    Sampler *sampler;

    g_mutex_lock(&keeper->lock);
    sampler = g_hash_table_lookup(keeper->samplers, key);
    if (sampler)
        sampler_ref(sampler);
    g_mutex_unlock(&keeper->lock);
    if (!sampler)
        return false;
    sampler_poke(sampler);
    sampler_unref(sampler);
    return true;
}

/* keeper_adopt: publish what LVM says of a tenant; the group is locked.  A sampler
 * that it needs is added to @fresh. */
static bool
keeper_adopt(Keeper *keeper, const LvmTenant *lvm, GPtrArray *fresh)
{
    g_autofree char *key = g_strdup_printf("%s/%s", lvm->group, lvm->tenant);
    struct quota_ledger *ledger;
    int ret = quota_ledger_create(lvm->group, lvm->tenant, &ledger);

    if (ret < 0) {
        g_autofree char *why = sampler_ledger_error(ret);

        log_message(LOG_ERR, "tenant %s in group %s: cannot make its ledger: "
                    "%s", lvm->tenant, lvm->group, why);
        return false;
    }
    quota_state_publish(ledger, &lvm->state);
    if (keeper_poke(keeper, key))
        quota_ledger_close(ledger);
    else
        g_ptr_array_add(fresh, sampler_new(lvm, ledger, keeper->interval_ns,
                                           keeper_sampler_ended, keeper));
    return true;
}

/* keeper_begin: take a new sampler's first sample before readiness is reported.  The
 * group is not locked, since the tenant has a say in how long that takes. */
static bool
keeper_begin(Keeper *keeper, Sampler *sampler)
{
    bool ok = sampler_run(sampler) || !keeper->is_once;

    /* so that its end finds it there */
    g_mutex_lock(&keeper->lock);
    ok = ok && (keeper->is_once || sampler_start(sampler));
    if (ok)
        g_hash_table_insert(keeper->samplers, sampler_key(sampler), sampler);
    g_mutex_unlock(&keeper->lock);
    if (!ok)
        sampler_free(sampler);
    return ok;
}

/* keeper_sweep: remove the ledgers of tenants that LVM does not have, which a group
 * that was removed by hand leaves behind.  A tenant that is created again under such
 * a name gets a new ledger, and its sampler finds that.  @view NULL: LVM does not have
 * the group.  The group is locked. */
static void
keeper_sweep(const char *group, const LvmGroup *view)
{
    g_autofree char *path = g_build_filename(QUOTA_LEDGER_DIR, group, NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        if (quota_name_check_tenant(name, NULL) == 0 &&
            !(view && lvm_group_find_tenant(view, name)) &&
            !quota_ledger_is_in_use(group, name) &&
            quota_ledger_unlink(group, name) == 0)
            log_message(LOG_INFO, "tenant %s in group %s: is not in LVM: ledger "
                        "removed", name, group);
    }
}

/* keeper_scan_locked: adopt the tenants of a group, or one of them. */
static bool
keeper_scan_locked(Keeper *keeper, const char *group, const char *tenant,
                   GPtrArray *fresh)
{
    g_auto(LvmRefusal) why = { 0 };
    g_autoptr(LvmHold) hold = lvm_hold_new(group, NULL, "scan", &why);
    bool ok = true;

    if (hold && !lvm_hold_read(hold, &why) && why.why == LVM_WHY_NO_GROUP) {
        keeper_sweep(group, NULL);
        return true;
    }
    if (!hold || !hold->view) {
        g_autofree char *words = lvm_refusal_format(&why);

        log_message(LOG_ERR, "group %s: cannot be read: %s", group, words);
        return false;
    }
    for (guint i = 0; i < hold->view->tenants->len; i++) {
        const LvmTenant *lvm = g_ptr_array_index(hold->view->tenants, i);

        if ((!tenant || g_str_equal(lvm->tenant, tenant)) &&
            !keeper_adopt(keeper, lvm, fresh))
            ok = false;
    }
    if (!tenant)
        keeper_sweep(group, hold->view);
    return ok;
}

static bool
keeper_scan_group(Keeper *keeper, const char *group, const char *tenant)
{
    g_autoptr(GPtrArray) fresh = g_ptr_array_new();
    bool ok = keeper_scan_locked(keeper, group, tenant, fresh);

    for (guint i = 0; i < fresh->len; i++)
        ok &= keeper_begin(keeper, g_ptr_array_index(fresh, i));
    return ok;
}

/* ---- one thread a group -------------------------------------------------- */

/* keeper_report: the scan is over, or has taken long enough; the lock is held. */
static void
keeper_report(Keeper *keeper, bool ok)
{
    if (!keeper->scan_ns)
        return;
    keeper->scan_ns = 0;
    if (keeper->is_once)
        return;
    keeper->scanned(g_hash_table_size(keeper->samplers), ok, keeper->opaque);
}

/* keeper_scan_group_later: tenant NULL: all, @is_counted for the scan.  The lock is
 * held. */
static void
keeper_scan_group_later(Keeper *keeper, const char *name, const char *tenant,
                        bool is_counted)
{
    KeeperGroup *group = g_hash_table_lookup(keeper->groups, name);

    if (!group) {
        group = g_new0(KeeperGroup, 1);
        group->name = g_strdup(name);
        group->tenants = g_ptr_array_new_with_free_func(g_free);
        g_hash_table_insert(keeper->groups, group->name, group);
    }
    if (tenant)
        g_ptr_array_add(group->tenants, g_strdup(tenant));
    else
        group->is_all = true;
    if (is_counted && !group->is_counted) {
        group->is_counted = true;
        keeper->pending++;
    }
    if (!group->is_running) {
        group->is_running = true;
        keeper->running++;
        group->is_said = false;
        group->since_ns = quota_clock_ns();
        g_thread_pool_push(keeper->pool, group, NULL);
    }
}

/* keeper_scan_left: sweep groups that have ledgers, and no tenant in LVM; the lock is
 * held. */
static void
keeper_scan_left(Keeper *keeper)
{
    g_autoptr(GDir) dir = g_dir_open(QUOTA_LEDGER_DIR, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        if (name[0] != '.' && quota_name_check_group(name, NULL) == 0)
            keeper_scan_group_later(keeper, name, NULL, true);
    }
}

/* keeper_scan: which groups there are.  Read without a lock; each is read again under
 * its own. */
static bool
keeper_scan(Keeper *keeper)
{
    g_auto(LvmRefusal) why = { 0 };
    g_autoptr(GPtrArray) tenants = lvm_tenants_read(NULL, &why);

    if (!tenants) {
        g_autofree char *words = lvm_refusal_format(&why);

        log_message(LOG_ERR, "cannot read LVM: %s", words);
        return false;
    }
    g_mutex_lock(&keeper->lock);
    for (guint i = 0; i < tenants->len; i++) {
        const LvmTenant *lvm = g_ptr_array_index(tenants, i);

        keeper_scan_group_later(keeper, lvm->group, NULL, true);
    }
    keeper_scan_left(keeper);
    g_mutex_unlock(&keeper->lock);
    return true;
}

/* keeper_work: do what is asked of a group, until nothing is. */
static void
keeper_work(gpointer data, gpointer opaque)
{
    KeeperGroup *group = data;
    Keeper *keeper = opaque;

    g_mutex_lock(&keeper->lock);
    while ((group->is_all || group->tenants->len) && !keeper->is_stopping) {
        GPtrArray *tenants = group->tenants;
        bool is_all = group->is_all;
        bool is_counted = group->is_counted && is_all;
        bool ok = true;

        /* one hold for many */
        is_all = is_all || tenants->len > 1;
        group->is_all = false;
        group->is_said = false;
        group->since_ns = quota_clock_ns();
        group->tenants = g_ptr_array_new_with_free_func(g_free);
        g_mutex_unlock(&keeper->lock);
        if (!*group->name)
            ok = keeper_scan(keeper);
        else
            ok = keeper_scan_group(keeper, group->name, is_all ? NULL :
                                   g_ptr_array_index(tenants, 0));
        g_ptr_array_unref(tenants);
        g_mutex_lock(&keeper->lock);

        if (is_counted) {
            group->is_counted = false;
            keeper->is_ok &= ok;
            if (--keeper->pending == 0)
                keeper_report(keeper, keeper->is_ok);
        }
    }
    group->is_running = false;
    keeper->running--;
    g_cond_broadcast(&keeper->idle);
    g_mutex_unlock(&keeper->lock);
}

/* keeper_say_stuck: log which process holds the lock of a group that cannot be read. */
static void
keeper_say_stuck(const KeeperGroup *group, uint64_t now_ns)
{
    struct quota_lock_holder holder;
    unsigned seconds = (now_ns - group->since_ns) / NS_PER_SEC;

    if (*group->name && quota_group_lock_holder(group->name, &holder) == 0)
        log_message(LOG_ERR, "group %s: cannot be read since %u s: its lock was taken "
                    "%u s ago by process %d for %s", group->name, seconds,
                    (unsigned)holder.seconds, (int)holder.pid, holder.verb);
    else
        log_message(LOG_ERR, "%s%s: cannot be read since %u s",
                    *group->name ? "group " : "LVM's groups", group->name, seconds);
}

static void
keeper_check_timeouts(Keeper *keeper)
{
    uint64_t now_ns = quota_clock_ns();
    GHashTableIter iter;
    gpointer value;

    atomic_store(&keeper->beat_ns, now_ns);
    g_mutex_lock(&keeper->lock);
    if (keeper->scan_ns && now_ns - keeper->scan_ns >= KEEPER_SCAN_NS)
        keeper_report(keeper, false);
    g_hash_table_iter_init(&iter, keeper->groups);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        KeeperGroup *group = value;

        if (group->is_running && !group->is_said &&
            now_ns - group->since_ns >= KEEPER_STUCK_NS) {
            group->is_said = true;
            keeper_say_stuck(group, now_ns);
        }
    }
    g_mutex_unlock(&keeper->lock);
}

static void
keeper_check_now(Keeper *keeper, const char *group, const char *tenant)
{
    g_autofree char *key = g_strdup_printf("%s/%s", group, tenant);
    g_autofree char *path = NULL;

    if (keeper_poke(keeper, key))
        return;
    /* a ledger without a sampler: LVM tells whether it has a tenant */
    path = g_build_filename(QUOTA_LEDGER_DIR, group, tenant, NULL);
    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        return;
    g_mutex_lock(&keeper->lock);
    keeper_scan_group_later(keeper, group, tenant, false);
    g_mutex_unlock(&keeper->lock);
}

static void
keeper_begin_scan(Keeper *keeper)
{
    g_mutex_lock(&keeper->lock);
    if (!keeper->scan_ns) {
        keeper->scan_ns = quota_clock_ns();
        keeper->is_ok = true;
    }
    keeper_scan_group_later(keeper, "", NULL, true);
    g_mutex_unlock(&keeper->lock);
}

static void
keeper_end_sampler(Keeper *keeper, const char *group, const char *tenant)
{
    g_autofree char *key = g_strdup_printf("%s/%s", group, tenant);
    gpointer name = NULL, sampler = NULL;

    g_mutex_lock(&keeper->lock);
    g_hash_table_steal_extended(keeper->samplers, key, &name, &sampler);
    g_mutex_unlock(&keeper->lock);
    g_free(name);
    sampler_free(sampler);
    /* it may have been created again while its sampler ended */
    keeper_check_now(keeper, group, tenant);
}

static gpointer
keeper_thread(gpointer opaque)
{
    Keeper *keeper = opaque;
    bool is_running = true;

    while (is_running) {
        KeeperRequest *request =
            g_async_queue_timeout_pop(keeper->requests, KEEPER_BEAT_US);

        keeper_check_timeouts(keeper);
        if (!request)
            continue;
        switch (request->verb) {
        case KEEPER_SCAN:
            keeper_begin_scan(keeper);
            break;
        case KEEPER_CHECK:
            keeper_check_now(keeper, request->group, request->tenant);
            break;
        case KEEPER_END:
            keeper_end_sampler(keeper, request->group, request->tenant);
            break;
        case KEEPER_QUIT:
            is_running = false;
            break;
        }
        g_free(request->group);
        g_free(request->tenant);
        g_free(request);
    }
    return NULL;
}

static void
keeper_group_free(gpointer data)
{
    KeeperGroup *group = data;

    g_ptr_array_unref(group->tenants);
    g_free(group->name);
    g_free(group);
}

Keeper *
keeper_new(uint64_t interval_ns, KeeperScanned scanned, void *opaque)
{
    Keeper *keeper = g_new0(Keeper, 1);

    keeper->interval_ns = interval_ns;
    keeper->scanned = scanned;
    keeper->opaque = opaque;
    keeper->requests = g_async_queue_new();
    keeper->pool = g_thread_pool_new(keeper_work, keeper, -1, FALSE, NULL);
    g_mutex_init(&keeper->lock);
    g_cond_init(&keeper->idle);
    keeper->groups = g_hash_table_new_full(g_str_hash, g_str_equal, NULL,
                                           keeper_group_free);
    keeper->samplers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                             (GDestroyNotify)sampler_free);
    return keeper;
}

/* keeper_finish: wait until all that was asked of groups has been done. */
static void
keeper_finish(Keeper *keeper)
{
    g_mutex_lock(&keeper->lock);
    while (keeper->running)
        g_cond_wait(&keeper->idle, &keeper->lock);
    g_mutex_unlock(&keeper->lock);
    g_thread_pool_free(keeper->pool, FALSE, TRUE);
    keeper->pool = NULL;
}

bool
keeper_run_once(Keeper *keeper)
{
    GHashTableIter iter;
    gpointer sampler;
    bool ok;

    keeper->is_once = true;
    keeper_begin_scan(keeper);
    keeper_finish(keeper);
    ok = keeper->is_ok;
    g_hash_table_iter_init(&iter, keeper->samplers);
    while (g_hash_table_iter_next(&iter, NULL, &sampler)) {
        if (!sampler_settle(sampler))
            ok = false;
    }
    return ok;
}

void
keeper_start(Keeper *keeper)
{
    atomic_store(&keeper->beat_ns, quota_clock_ns());
    keeper_rescan(keeper);
    keeper->thread = g_thread_new("keeper", keeper_thread, keeper);
}

bool
keeper_is_alive(Keeper *keeper)
{
    uint64_t beat_ns = atomic_load(&keeper->beat_ns);

    return quota_clock_ns() - beat_ns < KEEPER_BEATS_NS;
}

void
keeper_rescan(Keeper *keeper)
{
    keeper_ask(keeper, KEEPER_SCAN, NULL, NULL);
}

void
keeper_check(Keeper *keeper, const char *group, const char *tenant)
{
    if (tenant)
        keeper_ask(keeper, KEEPER_CHECK, group, tenant);
    else
        keeper_rescan(keeper);
}

void
keeper_free(Keeper *keeper)
{
    GHashTableIter iter;
    gpointer sampler;

    if (!keeper)
        return;
    g_mutex_lock(&keeper->lock);
    keeper->is_stopping = true;
    g_mutex_unlock(&keeper->lock);
    if (keeper->thread) {
        keeper_ask(keeper, KEEPER_QUIT, NULL, NULL);
        g_thread_join(keeper->thread);
    }
    if (keeper->pool)
        keeper_finish(keeper);
    /* ask all to stop before waiting for the first */
    g_hash_table_iter_init(&iter, keeper->samplers);
    while (g_hash_table_iter_next(&iter, NULL, &sampler))
        sampler_ask_stop(sampler);
    g_hash_table_destroy(keeper->samplers);
    g_hash_table_destroy(keeper->groups);
    g_mutex_clear(&keeper->lock);
    g_cond_clear(&keeper->idle);
    g_async_queue_unref(keeper->requests);
    g_free(keeper);
}
