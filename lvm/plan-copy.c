/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plan-copy.c: volumes that begin with what another one holds.
 *
 * A snapshot or clone of a thin volume shares its chunks and is there at once; a
 * thick one gets a copy-on-write snapshot, whose space is charged whole; a base
 * image that the operator has tagged is the external origin of thin clones in
 * every tenant's pool.  While a thin snapshot is taken, no write may be in flight
 * that was not charged because its chunk belonged to the volume alone.
 */
#include "command.h"
#include "plans.h"

/* LVM's default for copy-on-write; an exception takes 16 bytes of the store's
 * own metadata. */
#define COW_CHUNK_BYTES UINT64_C(4096)
#define COW_EXCEPTIONS_PER_CHUNK (COW_CHUNK_BYTES / 16)

static bool
lvm_copy_is_in_pool(const LvmTenant *own, const LvmLv *origin)
{
    return lvm_lv_is_thin(origin) &&
           g_str_equal(origin->pool, own->thin_pool->name);
}

bool
lvm_copy_is_instant(const LvmGroup *view, const char *tenant,
                    const LvmLv *origin)
{
    const LvmTenant *own = lvm_group_find_tenant(view, tenant);

    return own && own->thin_pool && (lvm_copy_is_in_pool(own, origin) ||
                                     lvm_lv_has_tag(origin, LVM_TAG_BASE));
}

/* The most that a copy-on-write store can use: LVM's cow_max_extents(). */
static uint64_t
lvm_copy_cow_max(const LvmGroup *view, const LvmLv *origin)
{
    uint64_t size = origin->lv.size_bytes;
    uint64_t chunks = LVM_DIVIDE_UP(size, COW_CHUNK_BYTES);

    chunks += LVM_DIVIDE_UP(chunks, COW_EXCEPTIONS_PER_CHUNK) + 2;
    return LVM_ROUND_UP(chunks * COW_CHUNK_BYTES, view->extent_bytes);
}

static char **
lvm_copy_command(const LvmPlan *plan, const LvmCopySpec *spec)
{
    char **argv = lvm_command("lvcreate", "--yes", "--snapshot", "--name",
                              plan->made, NULL);

    if (spec->tag)
        lvm_command_add_all(&argv, "--addtag", spec->tag, NULL);
    lvm_command_add_all(&argv, "--addtag", NULL);
    lvm_command_add(&argv, QUOTA_TAG_TENANT "%s", plan->tenant);
    return argv;
}

static void
lvm_copy_thin(LvmPlan *plan, const LvmTenant *own, const LvmCopySpec *spec)
{
    char **argv = lvm_copy_command(plan, spec);
    LvmStep *step;

    /* Each volume that shares chunks has a map of its own once it is written
     * to. */
    lvm_plan_add_pool_metadata(plan, own,
                               quota_add_saturating(own->state.limits.limit_bytes,
                                                    spec->mapped_bytes));
    if (spec->is_clone)
        lvm_command_add_all(&argv, "--addtag", LVM_TAG_CLONE, NULL);
    lvm_command_add_all(&argv, "--setactivationskip", "n", NULL);
    lvm_command_add(&argv, "%s/%s", own->group, spec->origin->name);
    step = lvm_plan_add(plan, argv, LVM_STEP_FLUSHES);
    step->epoch = g_strdup(spec->origin->volume);
}

static void
lvm_copy_add_activation(LvmPlan *plan, const LvmCopySpec *spec, bool on,
                        unsigned flags)
{
    char **argv = lvm_command("lvchange", "--yes", "--activate", on ? "y" : "n",
                              NULL);

    lvm_command_add(&argv, "%s/%s", plan->view->name, spec->origin->name);
    lvm_plan_add(plan, argv, flags);
}

/* LVM takes an LV as an external origin only while it is not active. */
static bool
lvm_copy_base(LvmPlan *plan, const LvmTenant *own, const LvmCopySpec *spec,
              LvmRefusal *why)
{
    const LvmLv *base = spec->origin;
    char **argv;

    if (!base->is_read_only)
        return lvm_refuse(why, LVM_WHY_BASE_WRITABLE, own->group, own->tenant,
                          base->name, spec->volume);
    if (spec->is_active) {
        g_ptr_array_add(plan->unused, g_strdup(base->name));
        plan->is_base = true;
        lvm_copy_add_activation(plan, spec, false, 0);
    }
    argv = lvm_copy_command(plan, spec);
    lvm_command_add_all(&argv, "--setactivationskip", "n", "--thinpool", NULL);
    lvm_command_add(&argv, "%s/%s", own->group, own->thin_pool->name);
    lvm_command_add(&argv, "%s/%s", own->group, base->name);
    lvm_plan_add(plan, argv, 0);
    if (spec->is_active)
        lvm_copy_add_activation(plan, spec, true,
                                LVM_STEP_ALWAYS | LVM_STEP_OPTIONAL);
    return true;
}

static bool
lvm_copy_thick(LvmPlan *plan, const LvmTenant *own, const LvmCopySpec *spec,
               LvmRefusal *why)
{
    const LvmLv *origin = spec->origin;
    uint64_t bytes = lvm_copy_cow_max(plan->view, origin);
    char **argv;

    if (spec->cow_bytes == 0)
        return lvm_refuse(why, LVM_WHY_NO_COW_SPACE, own->group, own->tenant,
                          spec->volume, origin->volume);
    if (spec->cow_bytes < bytes)
        bytes = MIN(bytes, LVM_ROUND_UP(spec->cow_bytes, plan->view->extent_bytes));
    if (!lvm_plan_check_growth(plan->view, own->tenant, bytes, why))
        return lvm_refusal_about(why, spec->volume);
    plan->charge_bytes = bytes;
    plan->needs_pool_here = true;
    argv = lvm_copy_command(plan, spec);
    lvm_command_add_all(&argv, "--size", NULL);
    lvm_command_add(&argv, "%" G_GUINT64_FORMAT "b", bytes);
    lvm_command_add_all(&argv, "--chunksize", NULL);
    lvm_command_add(&argv, "%" G_GUINT64_FORMAT "b", COW_CHUNK_BYTES);
    lvm_command_add(&argv, "%s/%s", own->group, origin->name);
    lvm_plan_add(plan, argv, 0);
    lvm_plan_expect(plan, plan->made, bytes, own->tenant);
    return true;
}

/* lvm_copy_size: how large it will be: not smaller than its origin. */
static bool
lvm_copy_size(const LvmGroup *view, const char *tenant, const LvmCopySpec *spec,
              uint64_t *bytes, LvmRefusal *why)
{
    uint64_t least = spec->origin->lv.size_bytes;

    *bytes = least;
    if (spec->bytes == 0)
        return true;
    if (spec->bytes > INT64_MAX) {
        lvm_refuse(why, LVM_WHY_TOO_LARGE, view->name, tenant, spec->volume, NULL);
        why->asked = spec->bytes;
        return false;
    }
    *bytes = LVM_ROUND_UP(spec->bytes, view->extent_bytes);
    if (*bytes < least) {
        lvm_refuse(why, LVM_WHY_ORIGIN_LARGER, view->name, tenant, spec->volume,
                   spec->origin->name);
        why->asked = spec->bytes;
        why->room = least;
        return false;
    }
    return true;
}

LvmPlan *
lvm_plan_copy(const LvmGroup *view, const char *tenant, const LvmCopySpec *spec,
              LvmRefusal *why)
{
    g_autoptr(LvmPlan) plan = lvm_plan_new(view, tenant);
    const LvmTenant *own = lvm_check_tenant(view, tenant, why);
    const LvmLv *origin = spec->origin;
    char name[QUOTA_LV_MAX_BYTES + 1];
    uint64_t bytes;
    char **argv;

    if (!own || !lvm_plan_check_new(view, tenant, spec->volume, name, why))
        return lvm_refusal_about(why, spec->volume);
    if (lvm_lv_is_thick_snapshot(origin)) {
        lvm_refuse(why, LVM_WHY_IS_SNAPSHOT, view->name, tenant, origin->name,
                   NULL);
        return NULL;
    }
    if (!lvm_copy_size(view, tenant, spec, &bytes, why))
        return NULL;
    lvm_plan_makes(plan, name);

    if (lvm_copy_is_in_pool(own, origin)) {
        lvm_copy_thin(plan, own, spec);
    } else if (lvm_lv_has_tag(origin, LVM_TAG_BASE)) {
        if (!lvm_copy_base(plan, own, spec, why))
            return NULL;
    } else if (bytes > origin->lv.size_bytes) {
        lvm_refuse(why, LVM_WHY_ORIGIN_FIXED, view->name, tenant, spec->volume,
                   origin->volume);
        why->asked = bytes;
        why->room = origin->lv.size_bytes;
        return NULL;
    } else {
        return lvm_copy_thick(plan, own, spec, why) ? g_steal_pointer(&plan)
                                                    : NULL;
    }
    if (bytes > origin->lv.size_bytes) {
        argv = lvm_command("lvextend", "--size", NULL);
        lvm_command_add(&argv, "%" G_GUINT64_FORMAT "b", bytes);
        lvm_command_add(&argv, "%s/%s", view->name, name);
        lvm_plan_add(plan, argv, 0);
    }
    lvm_plan_expect(plan, name, bytes, tenant);
    return g_steal_pointer(&plan);
}

LvmPlan *
lvm_plan_rollback(const LvmGroup *view, const char *tenant, const char *volume,
                  LvmRefusal *why)
{
    g_autoptr(LvmPlan) plan = lvm_plan_new(view, tenant);
    const LvmLv *snapshot = lvm_tenant_find_volume(view, tenant, volume);
    const LvmLv *origin;
    char **argv;

    if (!snapshot) {
        lvm_refuse(why, LVM_WHY_NO_VOLUME, view->name, tenant, volume, NULL);
        return NULL;
    }
    origin = lvm_group_find_lv(view, snapshot->origin);
    if (!origin || g_strcmp0(origin->tenant, tenant) != 0 ||
        lvm_lv_has_tag(snapshot, LVM_TAG_CLONE) ||
        !g_str_equal(snapshot->pool, origin->pool)) {
        lvm_refuse(why, LVM_WHY_NOT_SNAPSHOT, view->name, tenant, volume, NULL);
        return NULL;
    }
    /* In use by nobody: then there is no writer whose charged chunks would have
     * to be voided, and LVM does not put the merge off until the volume is
     * activated the next time. */
    g_ptr_array_add(plan->unused, g_strdup(origin->name));
    g_ptr_array_add(plan->unused, g_strdup(snapshot->name));
    /* What a thick snapshot has kept is copied back; the volume can be used
     * meanwhile, and nobody waits for the lock. */
    argv = lvm_command("lvconvert", "--yes", "--merge", NULL);
    if (!*snapshot->pool)
        lvm_command_add_all(&argv, "--background", NULL);
    lvm_command_add(&argv, "%s/%s", view->name, snapshot->name);
    lvm_plan_add(plan, argv, 0);
    lvm_plan_expect(plan, origin->name, 0, tenant);
    return g_steal_pointer(&plan);
}
