/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * findings.c: recompute from LVM and the kernel what must be true of a group
 * and its tenants, and tell what is not.
 *
 * The oracle of every crash test: what is written here as a finding is what no
 * kill and no power cut may leave behind.  Nothing is kept, nothing changed.
 */
#include <errno.h>
#include <inttypes.h>

#include "findings.h"
#include "device.h"
#include "hold.h"
#include "instance.h"
#include "survey.h"
#include "thin-status.h"

/* A sampler that was not heard of for so long does not sample. */
#define CHECK_STALE_NS (UINT64_C(5) * 1000000000)
/* How long to wait for its next sample. */
#define CHECK_SAMPLE_USEC (3 * G_USEC_PER_SEC)

#define REMEDY_LVM "repeat the command, or finish it by hand: vgchange " \
    "--refresh GROUP, lvchange --refresh GROUP/LV"
#define REMEDY_TAG "quota-lvm adopt GROUP/LV TENANT makes it a volume, lvrename " \
    "somebody else's"

static void
finding_free(struct finding *finding)
{
    g_free(finding->lv);
    g_free(finding->problem);
    g_free(finding);
}

static void
findings_free(struct findings *result)
{
    g_free(result->group);
    g_free(result->tenant);
    g_ptr_array_unref(result->findings);
    g_free(result);
}

GPtrArray *
findings_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)findings_free);
}

static struct findings *
findings_add(GPtrArray *results, const char *group, const char *tenant)
{
    struct findings *result = g_new0(struct findings, 1);

    result->group = g_strdup(group);
    result->tenant = g_strdup(tenant);
    result->findings =
        g_ptr_array_new_with_free_func((GDestroyNotify)finding_free);
    g_ptr_array_add(results, result);
    return result;
}

static void G_GNUC_PRINTF(5, 6)
check_add(struct findings *result, const char *kind, const char *lv,
          const char *remedy, const char *format, ...)
{
    struct finding *finding = g_new0(struct finding, 1);
    va_list args;

    va_start(args, format);
    finding->kind = kind;
    finding->lv = g_strdup(lv);
    finding->remedy = remedy;
    finding->problem = g_strdup_vprintf(format, args);
    va_end(args);
    g_ptr_array_add(result->findings, finding);
}

/* ---- devices ------------------------------------------------------------- */

/* check_device: the device of an LV is as large as LVM says, and runs. */
static void
check_device(struct findings *result, const LvmLv *lv)
{
    /* the space of a thick snapshot lies below its device */
    g_autofree char *uuid =
        g_strconcat(lv->dm_uuid, lvm_lv_is_thick_snapshot(lv) ? "-cow" : "",
                    NULL);
    struct device device;

    if (device_read(uuid, &device) < 0)
        return;                 /* not active: nothing to compare with */
    if (device.is_suspended)
        check_add(result, "suspended", lv->name, REMEDY_LVM,
                  "LV %s is suspended: writes to it wait", lv->name);
    if (device.has_new_table)
        check_add(result, "interrupted", lv->name, REMEDY_LVM,
                  "LV %s has a new table that is not in use: a command was "
                  "interrupted", lv->name);
    if (device.size_bytes != lv->lv.size_bytes)
        check_add(result, "size-differs", lv->name, REMEDY_LVM,
                  "LV %s has %" PRIu64 " bytes, its device %" PRIu64, lv->name,
                  lv->lv.size_bytes, device.size_bytes);
}

static void
check_thin_pool(struct findings *result, const LvmLv *pool)
{
    struct thin_status status;
    int ret = thin_status_read(pool->dm_uuid, &status);

    if (ret == -ENODEV)
        return;
    if (ret == -EIO) {
        check_add(result, "pool-failed", pool->name,
                  "deactivate it and see lvconvert --repair",
                  "thin pool %s has failed", pool->name);
        return;
    }
    if (ret < 0) {
        check_add(result, "pool-unknown", pool->name,
                  ret == -EACCES || ret == -EPERM
                  ? "let quota-lvm use /dev/mapper/control"
                  : "see dmsetup status, and whether the kernel has "
                    "device-mapper with thin pools",
                  "device-mapper does not tell how thin pool %s is: %s",
                  pool->name, g_strerror(-ret));
        return;
    }
    if (status.transaction != pool->transaction)
        check_add(result, "interrupted", pool->name,
                  "any command that makes or removes a thin volume in it "
                  "completes the one before; else see lvconvert --repair",
                  "thin pool %s is at transaction %" PRIu64 ", LVM at %" PRIu64
                  ": a command was interrupted", pool->name,
                  status.transaction, pool->transaction);
    if (status.is_read_only || status.needs_check)
        check_add(result, "pool-read-only", pool->name,
                  "stop its guests and its pool, and run lvconvert --repair",
                  "thin pool %s takes no writes: its metadata %s", pool->name,
                  status.needs_check ? "must be checked" : "is read-only");
    if (thin_status_is_metadata_short(&status))
        check_add(result, "metadata-full", pool->name,
                  "lvextend --poolmetadatasize +SIZE, or remove snapshots",
                  "thin pool %s has used %" PRIu64 " of %" PRIu64
                  " blocks of its metadata", pool->name,
                  status.meta_used_blocks, status.meta_total_blocks);
}

/* ---- names and tags ------------------------------------------------------ */

static void
check_lv_names(struct findings *result, const LvmGroup *group,
               const LvmLv *lv)
{
    g_autofree char *pool = g_strconcat(lv->tenant, "." QUOTA_THIN_POOL_VOLUME,
                                        NULL);
    const char *volume = quota_name_parse_lv(lv->tenant, lv->name);
    bool is_pool = g_str_equal(lv->segtype, "thin-pool");
    const LvmLv *in;

    if (lv->is_of_two)
        check_add(result, "two-tenants", lv->name,
                  "take one of the tags away with lvchange --deltag",
                  "LV %s has the tags of two tenants, and is charged to %s",
                  lv->name, lv->tenant);
    if (is_pool && !g_str_equal(lv->name, pool))
        check_add(result, "second-pool", lv->name,
                  "move its volumes to the other, or release it with lvchange "
                  "--deltag",
                  "thin pool %s is charged, but is not the tenant's: that is "
                  "%s", lv->name, pool);
    else if (!is_pool &&
             (!volume ||
              quota_name_check_volume(group->name, lv->tenant, volume,
                                      NULL) < 0))
        check_add(result, "misnamed", lv->name,
                  "complete it with quota-lvm adopt GROUP/LV TENANT, or take "
                  "its tag away with lvchange --deltag",
                  "LV %s is charged, but not named as a volume: libvirt does "
                  "not show it", lv->name);
    if (*lv->pool && !g_str_equal(lv->pool, pool)) {
        in = lvm_group_find_lv(group, lv->pool);
        check_add(result, "foreign-pool", lv->name,
                  "copy it into the tenant's own pool, and remove it",
                  "thin volume %s is in the thin pool %s: its chunks are "
                  "charged to %s", lv->name, lv->pool,
                  in && in->tenant ? in->tenant : "nobody");
    }
}

/* check_untagged: what looks like the tenant's, but is nobody's. */
static void
check_untagged(struct findings *result, const LvmGroup *group)
{
    for (guint i = 0; i < group->lvs->len; i++) {
        const LvmLv *lv = g_ptr_array_index(group->lvs, i);
        const LvmLv *pool;

        if (lv->tenant || lv->is_hidden)
            continue;
        pool = *lv->pool ? lvm_group_find_lv(group, lv->pool) : NULL;
        if (pool && g_strcmp0(pool->tenant, result->tenant) == 0)
            check_add(result, "untagged", lv->name, REMEDY_TAG,
                      "thin volume %s is in the tenant's thin pool, which is "
                      "charged for it, but does not have its tag", lv->name);
        else if (quota_name_parse_lv(result->tenant, lv->name))
            check_add(result, "untagged", lv->name, REMEDY_TAG,
                      "LV %s is named as the tenant's, but does not have its "
                      "tag: nobody is charged for it", lv->name);
    }
}

/* ---- the ledger ---------------------------------------------------------- */

static void
check_same(struct findings *result, const char *what, uint64_t truth,
           uint64_t ledger)
{
    if (truth != ledger)
        check_add(result, "ledger-differs", NULL, SURVEY_REREAD,
                  "%s: LVM says %" PRIu64 ", the ledger %" PRIu64, what, truth,
                  ledger);
}

/* check_over_count: a sample that was taken after this check began still exceeds the
 * kernel's count.  Waits for one until @end. */
static bool
check_over_count(const LvmTenant *lvm, struct quota_ledger *ledger, gint64 end,
                 struct quota_usage *usage, uint64_t *thin_bytes)
{
    uint64_t begin_ns = quota_clock_ns();
    uint64_t before;

    while (g_get_monotonic_time() < end) {
        if (survey_thin_bytes(lvm, &before) < 0)
            return false;
        quota_usage_read(ledger, usage);
        if (survey_thin_bytes(lvm, thin_bytes) < 0 ||
            usage->sampled_bytes <= MAX(*thin_bytes, before))
            return false;
        if (usage->sample_ns > begin_ns && before == *thin_bytes)
            return true;
        g_usleep(50000);
    }
    return false;               /* it is stale, and that is told */
}

static void
check_usage(struct findings *result, const LvmTenant *lvm,
            struct quota_ledger *ledger, gint64 end)
{
    bool is_sampled = instance_is_running() && lvm->thin_dm_uuid;
    struct quota_usage usage;
    uint64_t thin_bytes = 0;

    /* The kernel first: whatever it counts then was reserved before, so the
     * ledger may not say less afterwards.  A discard between the two can make
     * it do so rightly: hence more than one look. */
    for (int attempt = 0; ; attempt++) {
        if (survey_thin_bytes(lvm, &thin_bytes) < 0)
            return;
        quota_usage_read(ledger, &usage);
        if (usage.sampled_bytes + usage.unsampled_bytes >= thin_bytes)
            break;
        if (attempt == 2) {
            check_add(result, "under-count", NULL,
                      "somebody writes past the quota filter: find who has the "
                      "volume open; the next sample counts it",
                      "used bytes: the kernel says %" PRIu64 ", the ledger "
                      "only %" PRIu64, thin_bytes,
                      usage.sampled_bytes + usage.unsampled_bytes);
            return;
        }
        g_usleep(100000);
    }
    if (usage.reason == QUOTA_REASON_ACCOUNTING_LOST)
        check_add(result, "ledger-mad", NULL,
                  "quota-lvmd makes it anew; guests that map the old one must "
                  "be resumed, or restarted", "the ledger contradicts itself");
    if (!is_sampled)
        return;
    if (quota_clock_ns() - usage.sample_ns > CHECK_STALE_NS)
        check_add(result, "not-sampled", NULL,
                  "see systemctl status quota-lvmd, and what it logs of this "
                  "tenant", usage.sample_ns
                  ? "quota-lvmd runs, but its last sample is more than 5 s old"
                  : "quota-lvmd runs, but has never taken a sample");
    else if (usage.sampled_bytes != QUOTA_SAMPLE_UNKNOWN &&
             usage.sampled_bytes > thin_bytes &&
             check_over_count(lvm, ledger, end, &usage, &thin_bytes))
        check_add(result, "over-count", NULL,
                  "see what quota-lvmd logs of this tenant",
                  "used bytes: the kernel says %" PRIu64 ", a newer sample in "
                  "the ledger %" PRIu64, thin_bytes, usage.sampled_bytes);
}

static void
check_ledger(struct findings *result, const LvmGroup *group,
             const LvmTenant *lvm)
{
    struct quota_ledger *ledger = NULL;
    struct quota_state state;
    int ret;

    /* the ledger that counts is that of the host that has the pool */
    if (lvm_tenant_is_elsewhere(group, lvm))
        return;

    ret = survey_ledger_open(lvm, &ledger);
    if (ret < 0) {
        /* nothing runs that would need one: no difference */
        if (ret != -ENOENT || instance_is_running())
            check_add(result,
                      ret == -ENOENT ? "ledger-missing" : "ledger-bad", NULL,
                      survey_ledger_remedy(ret), "the ledger %s",
                      quota_ledger_strerror(ret));
        return;
    }
    quota_state_read(ledger, &state);
    check_same(result, "thick volumes", lvm->state.thick_bytes,
               state.thick_bytes);
    check_same(result, "grant", lvm->state.grant_bytes, state.grant_bytes);
    check_same(result, "chunk", lvm->state.chunk_bytes, state.chunk_bytes);
    for (size_t i = 0; i < quota_limit_fields_count; i++) {
        const struct quota_limit_field *field = &quota_limit_fields[i];

        if (field->is_in_ledger)
            check_same(result, field->name,
                       quota_limit_get(&lvm->state.limits, field),
                       quota_limit_get(&state.limits, field));
    }
    quota_ledger_close(ledger);
}

void
findings_check_usage(const LvmGroup *group, GPtrArray *results)
{
    for (guint i = 0; i < results->len; i++) {
        /* each its own: a forged ledger must not use up the time of others */
        gint64 end = g_get_monotonic_time() + CHECK_SAMPLE_USEC;
        struct findings *result = g_ptr_array_index(results, i);
        const LvmTenant *lvm =
            result->tenant && g_str_equal(result->group, group->name)
            ? lvm_group_find_tenant(group, result->tenant) : NULL;
        struct quota_ledger *ledger;

        if (!lvm || lvm_tenant_is_elsewhere(group, lvm) ||
            survey_ledger_open(lvm, &ledger) < 0)
            continue;           /* told already */
        check_usage(result, lvm, ledger, end);
        quota_ledger_close(ledger);
    }
}

/* ---- a tenant, a group --------------------------------------------------- */

static void
check_tenant(struct findings *result, const LvmGroup *group,
             const LvmTenant *lvm)
{
    const struct quota_state *state = &lvm->state;
    g_autofree char *pool_name = g_strconcat(lvm->tenant,
                                             "." QUOTA_THIN_POOL_VOLUME, NULL);
    const LvmLv *pool = lvm_group_find_lv(group, pool_name);

    if (lvm->has_bad_tag)
        check_add(result, "bad-tag", NULL,
                  "quota-lvm set writes it anew",
                  "a tag of its limits cannot be read");
    if (!lvm->thin_tags)
        check_add(result, "no-pool", NULL,
                  "virsh pool-build makes it, or release the LVs",
                  "it has LVs, but no thin pool that could keep its limits");
    else if (state->limits.limit_bytes == 0)
        check_add(result, "no-limit", NULL, "quota-lvm set --limit SIZE",
                  "it has no limit");
    else if (state->thick_bytes > state->limits.limit_bytes ||
             state->grant_bytes > state->limits.limit_bytes -
                                  state->thick_bytes)
        check_add(result, "over-limit", pool ? pool->name : NULL,
                  "raise the limit, or delete volumes: a thin pool cannot "
                  "shrink, so until then the kernel lets this tenant take more",
                  "thick volumes and grant, %" PRIu64 " and %" PRIu64 " bytes, "
                  "are more than the limit of %" PRIu64, state->thick_bytes,
                  state->grant_bytes, state->limits.limit_bytes);

    for (guint i = 0; i < group->lvs->len; i++) {
        const LvmLv *lv = g_ptr_array_index(group->lvs, i);

        if (lv->is_hidden || g_strcmp0(lv->tenant, lvm->tenant) != 0)
            continue;
        if (*lv->unknown)
            check_add(result, "unknown-kind", lv->name,
                      "install a quota-lvm that knows it, or take its tag away "
                      "with lvchange --deltag",
                      "LV %s is of an unknown kind ('%s'): the tenant is "
                      "charged the whole group for it", lv->name, lv->unknown);
        check_lv_names(result, group, lv);
        check_device(result, lv);
        if (g_str_equal(lv->segtype, "thin-pool"))
            check_thin_pool(result, lv);
    }
    check_untagged(result, group);
    check_ledger(result, group, lvm);
}

/* check_leftovers: LVs that are never there for long, unless the command that
 * made them was killed. */
static void
check_leftovers(struct findings *result, const LvmGroup *group)
{
    guint spares = 0, pools = 0;

    for (guint i = 0; i < group->lvs->len; i++) {
        const LvmLv *lv = g_ptr_array_index(group->lvs, i);

        if (g_str_has_prefix(lv->name, "pvmove"))
            check_add(result, "pvmove", lv->name,
                      "go on with pvmove, or give it up with pvmove --abort",
                      "a pvmove is not finished (%s)", lv->name);
        if (lv->is_of_invalid && !lv->is_hidden)
            check_add(result, "bad-tenant", lv->name,
                      "take the tag away with lvchange --deltag",
                      "LV %s has the tag of a tenant whose name is invalid: "
                      "that tenant is not charged", lv->name);
        if (!lv->is_hidden && quota_name_is_part(lv->name))
            check_add(result, "leftover", lv->name,
                      "remove it with lvremove, if no command of LVM runs",
                      "LV %s was to be a part of another: a command was "
                      "interrupted", lv->name);
        if (lv->is_hidden && g_str_has_suffix(lv->name, "_pmspare"))
            spares++;
        if (lvm_lv_is_pool(lv))
            pools++;
    }
    if (group->promised.kept_bytes > group->promised.free_bytes)
        check_add(result, "guarantee-short", NULL,
                  "vgextend the group, or lower a guarantee",
                  "guarantees miss %" PRIu64 " bytes, and the group has only %"
                  PRIu64 " free", group->promised.kept_bytes,
                  group->promised.free_bytes);
    if (spares > (pools ? 1 : 0))
        check_add(result, "leftover", NULL,
                  "remove it with lvremove",
                  "%u LVs (..._pmspare) are spares for the metadata of %u thin "
                  "pools", spares, pools);
    if (group->missing_devices)
        check_add(result, "device-missing", NULL,
                  "bring it back, or see vgreduce --removemissing",
                  "%" PRIu64 " devices of the group are missing",
                  group->missing_devices);
}

/* check_ledgers: a ledger of no tenant keeps nobody from anything, but is not
 * what LVM says.  @group: NULL: one without tenants. */
static void
check_ledgers(struct findings *result, const LvmGroup *group)
{
    g_autofree char *path = g_build_filename(QUOTA_LEDGER_DIR, result->group,
                                             NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        if (name[0] == '.' || quota_name_check_tenant(name, NULL) < 0 ||
            (group && lvm_group_find_tenant(group, name)))
            continue;
        check_add(result, "ledger-orphan", NULL,
                  "quota-lvmd removes it at its next scan, or remove the file",
                  "there is a ledger %s/%s, but no tenant %s", path, name,
                  name);
    }
}

void
findings_check_stray_group(const char *name, GPtrArray *results)
{
    check_ledgers(findings_add(results, name, NULL), NULL);
    if (((struct findings *)
         g_ptr_array_index(results, results->len - 1))->findings->len == 0)
        g_ptr_array_remove_index(results, results->len - 1);
}

void
findings_check_group(const LvmGroup *group, const char *tenant,
                     GPtrArray *results)
{
    if (!tenant) {
        struct findings *result = findings_add(results, group->name, NULL);

        check_leftovers(result, group);
        check_ledgers(result, group);
    }
    for (guint i = 0; i < group->tenants->len; i++) {
        const LvmTenant *lvm = g_ptr_array_index(group->tenants, i);

        if (!tenant || g_str_equal(tenant, lvm->tenant))
            check_tenant(findings_add(results, group->name, lvm->tenant),
                         group, lvm);
    }
}
