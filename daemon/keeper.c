/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * keeper.c: find the tenants of all groups, create their ledgers, and give each
 * a sampler.
 *
 * Only the keeper's thread uses the table of samplers; other threads put requests
 * into its queue.
 */
#include "hold.h"
#include "keeper.h"
#include "log.h"
#include "read.h"
#include "sampler.h"
#include "sigbus.h"
#include "quota-writer.h"

enum keeper_verb { KEEPER_SCAN, KEEPER_CHECK, KEEPER_END, KEEPER_QUIT };

typedef struct {
    enum keeper_verb verb;
    char *group;
    char *tenant;
} KeeperRequest;

struct Keeper {
    uint64_t interval_ns;
    KeeperScanned scanned;
    void *opaque;
    bool is_once;
    GThread *thread;
    GAsyncQueue *requests;
    GHashTable *samplers;       /* "group/tenant" -> Sampler */
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

/* keeper_adopt: publish what LVM says of a tenant; the group is locked. */
static bool
keeper_adopt(Keeper *keeper, const LvmTenant *lvm)
{
    g_autofree char *key = g_strdup_printf("%s/%s", lvm->group, lvm->tenant);
    struct quota_ledger *ledger;
    Sampler *sampler;
    int ret = quota_ledger_create(lvm->group, lvm->tenant, &ledger);

    if (ret < 0) {
        g_autofree char *why = sampler_ledger_error(ret);

        log_message(LOG_ERR, "tenant %s in group %s: cannot make its ledger: "
                    "%s", lvm->tenant, lvm->group, why);
        return false;
    }
    quota_state_publish(ledger, &lvm->state);
    sampler = g_hash_table_lookup(keeper->samplers, key);
    if (sampler) {
        quota_ledger_close(ledger);
        sampler_poke(sampler);
        return true;
    }

    sampler = sampler_new(lvm, ledger, keeper->interval_ns,
                          keeper_sampler_ended, keeper);
    /* take the first sample before we report readiness */
    if (!sampler_run(sampler) && keeper->is_once) {
        sampler_free(sampler);
        return false;
    }
    if (!keeper->is_once) {
        ret = sampler_start(sampler);
        if (ret < 0) {
            log_message(LOG_ERR, "tenant %s in group %s: cannot start its "
                        "thread: %s", lvm->tenant, lvm->group,
                        g_strerror(-ret));
            sampler_free(sampler);
            return false;
        }
    }
    g_hash_table_insert(keeper->samplers, g_steal_pointer(&key), sampler);
    return true;
}

/* keeper_is_unused: the ledger has no writers. */
static bool
keeper_is_unused(const char *group, const char *tenant)
{
    char path[QUOTA_LEDGER_PATH_BYTES];
    struct quota_ledger *ledger;
    bool is_unused;

    if (quota_ledger_path(group, tenant, path, sizeof(path)) < 0 ||
        quota_ledger_open(path, false, &ledger) < 0)
        return false;
    is_unused = quota_writer_count(ledger) == 0;
    quota_ledger_close(ledger);
    return is_unused && !sigbus_taken();
}

/* keeper_sweep: remove the ledgers of tenants that LVM does not have, which a group
 * that was removed by hand leaves behind.  A tenant that is created again under such
 * a name gets a new file, which is noticed.  @view NULL: there is no such group; the
 * group is locked. */
static void
keeper_sweep(const char *group, const LvmGroup *view)
{
    g_autofree char *path = g_build_filename(QUOTA_LEDGER_DIR, group, NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        if (quota_name_check_tenant(name, NULL) == 0 &&
            !(view && lvm_group_find_tenant(view, name)) &&
            keeper_is_unused(group, name) &&
            quota_ledger_unlink(group, name) == 0)
            log_message(LOG_INFO, "tenant %s in group %s: is not in LVM: ledger "
                        "removed", name, group);
    }
}

/* keeper_scan_group: adopt the tenants of a group, or one of them. */
static bool
keeper_scan_group(Keeper *keeper, const char *group, const char *tenant)
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
            !keeper_adopt(keeper, lvm))
            ok = false;
    }
    if (!tenant)
        keeper_sweep(group, hold->view);
    return ok;
}

/* keeper_scan_left: sweep groups that have ledgers, and no tenant in LVM. */
static bool
keeper_scan_left(Keeper *keeper, const GPtrArray *tenants)
{
    g_autoptr(GDir) dir = g_dir_open(QUOTA_LEDGER_DIR, 0, NULL);
    const char *name;
    bool ok = true;

    while (dir && (name = g_dir_read_name(dir))) {
        bool is_known = name[0] == '.' || quota_name_check_group(name, NULL) < 0;

        for (guint i = 0; i < tenants->len && !is_known; i++) {
            const LvmTenant *lvm = g_ptr_array_index(tenants, i);

            is_known = g_str_equal(lvm->group, name);
        }
        if (!is_known && !keeper_scan_group(keeper, name, NULL))
            ok = false;
    }
    return ok;
}

static bool
keeper_scan(Keeper *keeper)
{
    g_auto(LvmRefusal) why = { 0 };
    g_autoptr(GPtrArray) tenants = NULL;
    const char *last = "";
    bool ok = true;

    /* Read without a lock to find the groups; each is read again under its own
     * lock. */
    tenants = lvm_tenants_read(NULL, &why);
    if (!tenants) {
        g_autofree char *words = lvm_refusal_format(&why);

        log_message(LOG_ERR, "cannot read LVM: %s", words);
        return false;
    }
    for (guint i = 0; i < tenants->len; i++) {
        const LvmTenant *lvm = g_ptr_array_index(tenants, i);

        if (!g_str_equal(lvm->group, last) &&
            !keeper_scan_group(keeper, lvm->group, NULL))
            ok = false;
        last = lvm->group;
    }
    if (!keeper_scan_left(keeper, tenants))
        ok = false;
    (void)sigbus_taken();
    return ok;
}

static void
keeper_check_now(Keeper *keeper, const char *group, const char *tenant)
{
    g_autofree char *key = g_strdup_printf("%s/%s", group, tenant);
    Sampler *sampler = g_hash_table_lookup(keeper->samplers, key);
    g_autofree char *path = NULL;

    if (sampler) {
        sampler_poke(sampler);
        return;
    }
    /* a ledger without a sampler: LVM tells whether it has a tenant */
    path = g_build_filename(QUOTA_LEDGER_DIR, group, tenant, NULL);
    if (g_file_test(path, G_FILE_TEST_EXISTS))
        keeper_scan_group(keeper, group, tenant);
}

static gpointer
keeper_thread(gpointer opaque)
{
    Keeper *keeper = opaque;
    bool is_running = true;

    while (is_running) {
        KeeperRequest *request = g_async_queue_pop(keeper->requests);
        g_autofree char *key = NULL;

        switch (request->verb) {
        case KEEPER_SCAN: {
            bool ok = keeper_scan(keeper);

            keeper->scanned(g_hash_table_size(keeper->samplers), ok,
                            keeper->opaque);
            break;
        }
        case KEEPER_CHECK:
            keeper_check_now(keeper, request->group, request->tenant);
            break;
        case KEEPER_END:
            key = g_strdup_printf("%s/%s", request->group, request->tenant);
            g_hash_table_remove(keeper->samplers, key);
            /* it may have been created again while its sampler ended */
            keeper_check_now(keeper, request->group, request->tenant);
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

Keeper *
keeper_new(uint64_t interval_ns, KeeperScanned scanned, void *opaque)
{
    Keeper *keeper = g_new0(Keeper, 1);

    keeper->interval_ns = interval_ns;
    keeper->scanned = scanned;
    keeper->opaque = opaque;
    keeper->requests = g_async_queue_new();
    keeper->samplers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                             (GDestroyNotify)sampler_free);
    return keeper;
}

bool
keeper_run_once(Keeper *keeper)
{
    GHashTableIter iter;
    gpointer sampler;
    bool ok;

    keeper->is_once = true;
    ok = keeper_scan(keeper);
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
    keeper_rescan(keeper);
    keeper->thread = g_thread_new("keeper", keeper_thread, keeper);
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
    if (keeper->thread) {
        keeper_ask(keeper, KEEPER_QUIT, NULL, NULL);
        g_thread_join(keeper->thread);
    }
    /* ask all to stop before waiting for the first */
    g_hash_table_iter_init(&iter, keeper->samplers);
    while (g_hash_table_iter_next(&iter, NULL, &sampler))
        sampler_ask_stop(sampler);
    g_hash_table_destroy(keeper->samplers);
    g_async_queue_unref(keeper->requests);
    g_free(keeper);
}
