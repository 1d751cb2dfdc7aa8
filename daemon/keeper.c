/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * keeper.c: find the tenants of all groups, make their ledgers, and give each
 * a sampler.
 *
 * The table of samplers belongs to the keeper's thread alone; everybody else
 * puts a request into its queue.
 */
#include <errno.h>
#include <string.h>

#include "keeper.h"
#include "log.h"
#include "sampler.h"
#include "sigbus.h"

enum keeper_verb { KEEPER_SCAN, KEEPER_LOOK, KEEPER_END, KEEPER_QUIT };

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

/* keeper_adopt: make known what LVM says of a tenant; the group is locked. */
static bool
keeper_adopt(Keeper *keeper, const LvmTenant *lvm)
{
    g_autofree char *key = g_strdup_printf("%s/%s", lvm->group, lvm->tenant);
    struct quota_ledger *ledger;
    Sampler *sampler;
    int ret = quota_ledger_create(lvm->group, lvm->tenant, &ledger);

    if (ret < 0) {
        log_message(LOG_ERR, "tenant %s in group %s: cannot make its ledger: "
                    "%s", lvm->tenant, lvm->group, g_strerror(-ret));
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
    /* before anything is started by those who wait for us: the first sample */
    if (!sampler_turn(sampler) && keeper->is_once) {
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

/* keeper_scan_group: adopt the tenants of a group, or one of them. */
static bool
keeper_scan_group(Keeper *keeper, const char *group, const char *tenant)
{
    g_autoptr(GPtrArray) tenants = NULL;
    g_autoptr(GError) error = NULL;
    bool ok = true;
    int lock_fd = quota_group_lock(group);

    if (lock_fd < 0) {
        log_message(LOG_ERR, "group %s: cannot be locked: %s", group,
                    g_strerror(-lock_fd));
        return false;
    }
    tenants = lvm_tenants_read(group, tenant, &error);
    if (!tenants) {
        log_message(LOG_ERR, "group %s: cannot be read: %s", group,
                    error->message);
        ok = false;
    }
    for (guint i = 0; tenants && i < tenants->len; i++) {
        if (!keeper_adopt(keeper, g_ptr_array_index(tenants, i)))
            ok = false;
    }
    quota_group_unlock(lock_fd);
    return ok;
}

static bool
keeper_scan(Keeper *keeper)
{
    g_autoptr(GPtrArray) tenants = NULL;
    g_autoptr(GError) error = NULL;
    const char *last = "";
    bool ok = true;

    /* Read without a lock to learn which groups there are; each is read again
     * under its own. */
    tenants = lvm_tenants_read(NULL, NULL, &error);
    if (!tenants) {
        log_message(LOG_ERR, "cannot read LVM: %s", error->message);
        return false;
    }
    for (guint i = 0; i < tenants->len; i++) {
        const LvmTenant *lvm = g_ptr_array_index(tenants, i);

        if (!g_str_equal(lvm->group, last) &&
            !keeper_scan_group(keeper, lvm->group, NULL))
            ok = false;
        last = lvm->group;
    }
    (void)sigbus_taken();
    return ok;
}

static void
keeper_look_now(Keeper *keeper, const char *group, const char *tenant)
{
    g_autofree char *key = g_strdup_printf("%s/%s", group, tenant);
    Sampler *sampler = g_hash_table_lookup(keeper->samplers, key);
    g_autofree char *path = NULL;

    if (sampler) {
        sampler_poke(sampler);
        return;
    }
    /* a ledger that is there without a sampler: LVM says what it stands for */
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
        case KEEPER_LOOK:
            keeper_look_now(keeper, request->group, request->tenant);
            break;
        case KEEPER_END:
            key = g_strdup_printf("%s/%s", request->group, request->tenant);
            g_hash_table_remove(keeper->samplers, key);
            /* it may have come back while its sampler was ending */
            keeper_look_now(keeper, request->group, request->tenant);
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
keeper_look(Keeper *keeper, const char *group, const char *tenant)
{
    if (tenant)
        keeper_ask(keeper, KEEPER_LOOK, group, tenant);
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
    /* all are told before the first is waited for */
    g_hash_table_iter_init(&iter, keeper->samplers);
    while (g_hash_table_iter_next(&iter, NULL, &sampler))
        sampler_ask_stop(sampler);
    g_hash_table_destroy(keeper->samplers);
    g_async_queue_unref(keeper->requests);
    g_free(keeper);
}
