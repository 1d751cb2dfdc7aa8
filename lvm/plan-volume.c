/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plan-volume.c: make, resize and remove volumes.
 *
 * A volume is an LV <tenant>.<volume> that carries the tenant's tag from the
 * command that makes it.  A thick one is charged before LVM is asked for its
 * space and takes just what was charged.
 */
#include "command.h"
#include "plans.h"

static void
lvm_volume_add_thin(const LvmTenant *own, uint64_t bytes, char ***argv)
{
    lvm_command_add_all(argv, "--type", "thin", "--virtualsize", NULL);
    lvm_command_add(argv, "%" G_GUINT64_FORMAT "b", bytes);
    lvm_command_add_all(argv, "--thinpool", NULL);
    lvm_command_add(argv, "%s/%s", own->group, own->thin_pool->name);
}

/* What a former owner of the extents left must not be mistaken for the new
 * volume's own file system. */
static void
lvm_volume_add_thick(const LvmTenant *own, const LvmLayout *layout,
                     uint64_t bytes, char ***argv)
{
    lvm_layout_add_arguments(layout, argv);
    lvm_command_add_all(argv, "--wipesignatures", "y", "--zero", "y", "--size",
                        NULL);
    lvm_command_add(argv, "%" G_GUINT64_FORMAT "b", bytes);
    lvm_command_add(argv, "%s", own->group);
}

LvmPlan *
lvm_plan_volume_create(const LvmGroup *view, const char *tenant,
                       const char *volume, uint64_t capacity,
                       const LvmLayout *layout, LvmRefusal *why)
{
    g_autoptr(LvmPlan) plan = lvm_plan_new(view, tenant);
    const LvmTenant *own = lvm_check_tenant(view, tenant, why);
    char name[QUOTA_LV_MAX_BYTES + 1];
    uint64_t bytes, physical;
    char **argv;

    if (!own || !lvm_plan_check_new(view, tenant, volume, name, why) ||
        !lvm_plan_check_sizes(view, tenant, layout, capacity, &bytes, &physical,
                              why) ||
        (layout && !lvm_plan_check_growth(view, tenant, physical, why)))
        return lvm_refusal_about(why, volume);
    if (layout) {
        plan->charge_bytes = physical;
        plan->needs_pool_here = true;
    }
    argv = lvm_command("lvcreate", "--yes", "--name", name, "--addtag", NULL);
    lvm_command_add(&argv, QUOTA_TAG_TENANT "%s", tenant);
    if (layout)
        lvm_volume_add_thick(own, layout, bytes, &argv);
    else
        lvm_volume_add_thin(own, bytes, &argv);
    lvm_plan_add(plan, argv, 0);
    lvm_plan_makes(plan, name);
    lvm_plan_expect(plan, name, bytes, tenant);
    return g_steal_pointer(&plan);
}

/* ---- resize -------------------------------------------------------------- */

static bool
lvm_resize_check_kind(const LvmGroup *view, const char *tenant, const LvmLv *lv,
                      LvmRefusal *why)
{
    const LvmLv *snapshot = lvm_group_find_thick_snapshot(view, lv);
    const char *volume = lv->volume ? lv->volume : lv->name;

    if (snapshot)
        return lvm_refuse(why, LVM_WHY_SIZE_KEPT, view->name, tenant, volume,
                          snapshot->name);
    if (lvm_lv_is_thick_snapshot(lv))
        return lvm_refuse(why, LVM_WHY_SIZE_OF_ORIGIN, view->name, tenant, volume,
                          lv->origin);
    if (*lv->unknown) {
        lvm_refuse(why, LVM_WHY_IS_UNKNOWN, view->name, tenant, lv->name, NULL);
        why->text = g_strdup(lv->unknown);
        return false;
    }
    return true;
}

/* lvm_resize_bytes: what growing @lv to @bytes takes, if its layout would take @now
 * for what it has and @physical for what it will have.  Metadata that was not made
 * by us may have another layout in each segment, or none that a volume can be asked
 * for (a mirror, a cache): then no less than @lv takes for each byte now.  Never 0: a
 * plan that charges nothing gets no extents. */
static uint64_t
lvm_resize_bytes(const LvmGroup *view, const LvmLv *lv, uint64_t bytes,
                 uint64_t now, uint64_t physical)
{
    uint64_t taken = lvm_lv_taken_bytes(lv);
    uint64_t extents = lv->lv.size_bytes / view->extent_bytes;
    uint64_t added = (bytes - lv->lv.size_bytes) / view->extent_bytes;
    uint64_t grown = MAX(physical - MIN(now, taken), bytes - lv->lv.size_bytes);
    unsigned __int128 scaled;

    if (taken <= now || extents == 0)
        return grown;
    scaled = (unsigned __int128)LVM_DIVIDE_UP(taken, view->extent_bytes) * added;
    scaled = (scaled + extents - 1) / extents * view->extent_bytes;
    return MAX(grown, (uint64_t)MIN(scaled, UINT64_MAX));
}

LvmPlan *
lvm_plan_volume_resize(const LvmGroup *view, const char *tenant, const LvmLv *lv,
                       uint64_t capacity, unsigned flags, LvmRefusal *why)
{
    g_autoptr(LvmPlan) plan = lvm_plan_new(view, tenant);
    const char *volume = lv->volume ? lv->volume : lv->name;
    LvmLayout layout = lvm_layout_of(lv);
    uint64_t bytes, physical, now, unused;
    char **argv;

    if (!lvm_check_tenant(view, tenant, why) ||
        !lvm_resize_check_kind(view, tenant, lv, why) ||
        !lvm_plan_check_sizes(view, tenant, &layout, lv->lv.size_bytes, &unused,
                              &now, why) ||
        !lvm_plan_check_sizes(view, tenant, &layout, capacity, &bytes, &physical,
                              why))
        return lvm_refusal_about(why, volume);
    if (bytes == 0 ||
        (bytes < lv->lv.size_bytes && !(flags & LVM_RESIZE_SHRINK))) {
        lvm_refuse(why, LVM_WHY_NOT_SMALLER, view->name, tenant, volume, NULL);
        why->asked = bytes;
        why->room = lv->lv.size_bytes;
        return NULL;
    }
    if (!lvm_lv_is_thin(lv) && bytes > lv->lv.size_bytes) {
        plan->charge_bytes = lvm_resize_bytes(view, lv, bytes, now, physical);
        if (!lvm_plan_check_growth(view, tenant, plan->charge_bytes, why))
            return lvm_refusal_about(why, volume);
        plan->needs_pool_here = true;
    }
    if (bytes != lv->lv.size_bytes) {
        argv = bytes < lv->lv.size_bytes ? lvm_command("lvreduce", "--force", NULL)
                                         : lvm_command("lvextend", NULL);
        lvm_command_add_all(&argv, "--size", NULL);
        lvm_command_add(&argv, "%" G_GUINT64_FORMAT "b", bytes);
        lvm_command_add(&argv, "%s/%s", view->name, lv->name);
        lvm_plan_add(plan, argv, lvm_lv_is_thin(lv) ? LVM_STEP_FLUSHES : 0);
    }
    if (bytes > lv->lv.size_bytes)
        lvm_plan_expect_grown(plan, lv->name, bytes, tenant);
    else
        lvm_plan_expect(plan, lv->name, bytes, tenant);
    return g_steal_pointer(&plan);
}

/* ---- remove -------------------------------------------------------------- */

/* Whether @lv would be lost with its origin.  Thin volumes of one pool share
 * chunks, but none of them needs another. */
static bool
lvm_lv_depends_on(const LvmLv *lv, const LvmLv *origin)
{
    return g_str_equal(lv->origin, origin->name) &&
           !(lvm_lv_is_thin(lv) && g_str_equal(lv->pool, origin->pool));
}

static bool
lvm_lv_is_snapshot_of(const LvmLv *lv, const char *tenant, const LvmLv *origin)
{
    if (!g_str_equal(lv->origin, origin->name) ||
        g_strcmp0(lv->tenant, tenant) != 0 || lvm_lv_has_tag(lv, LVM_TAG_CLONE))
        return false;
    /* a clone of a base image is not a snapshot of it */
    return lvm_lv_is_thick_snapshot(lv) || !lvm_lv_depends_on(lv, origin);
}

/* Adds @lv to what is removed, after its snapshots if these are to go too.  LVM
 * would remove whatever depends on it, be it another tenant's. */
static bool
lvm_remove_add(LvmPlan *plan, const LvmLv *lv, bool with_snapshots,
               char ***argv, LvmRefusal *why)
{
    const LvmGroup *view = plan->view;
    const char *volume = lv->volume ? lv->volume : lv->name;

    for (guint i = 0; i < view->lvs->len; i++) {
        const LvmLv *other = g_ptr_array_index(view->lvs, i);
        bool is_snapshot = lvm_lv_is_snapshot_of(other, plan->tenant, lv);

        if (other->is_hidden)
            continue;
        if (is_snapshot && with_snapshots) {
            if (!lvm_remove_add(plan, other, true, argv, why))
                return false;
        } else if (lvm_lv_depends_on(other, lv)) {
            return lvm_refuse(why, is_snapshot ? LVM_WHY_HAS_SNAPSHOT
                                               : LVM_WHY_IS_BASE,
                              view->name, plan->tenant, volume,
                              is_snapshot && other->volume ? other->volume
                                                           : other->name);
        }
    }
    g_ptr_array_add(plan->unused, g_strdup(lv->name));
    lvm_command_add(argv, "%s/%s", view->name, lv->name);
    lvm_plan_expect_gone(plan, lv->name);
    return true;
}

LvmPlan *
lvm_plan_volume_remove(const LvmGroup *view, const char *tenant, const LvmLv *lv,
                       bool with_snapshots, LvmRefusal *why)
{
    g_autoptr(LvmPlan) plan = lvm_plan_new(view, tenant);
    char **argv = lvm_command("lvremove", "--force", NULL);

    if (!lvm_remove_add(plan, lv, with_snapshots, &argv, why)) {
        g_strfreev(argv);
        return NULL;
    }
    lvm_plan_add(plan, argv, 0);
    return g_steal_pointer(&plan);
}

LvmPlan *
lvm_plan_volume_cut(const LvmGroup *view, const char *tenant, const LvmLv *lv,
                    uint64_t bytes)
{
    LvmPlan *plan = lvm_plan_new(view, tenant);
    char **argv;

    if (bytes) {
        argv = lvm_command("lvreduce", "--force", "--size", NULL);
        lvm_command_add(&argv, "%" G_GUINT64_FORMAT "b", bytes);
        lvm_plan_expect(plan, lv->name, bytes, NULL);
    } else {
        argv = lvm_command("lvremove", "--force", NULL);
        lvm_plan_expect_gone(plan, lv->name);
    }
    lvm_command_add(&argv, "%s/%s", view->name, lv->name);
    lvm_plan_add(plan, argv, 0);
    return plan;
}

LvmPlan *
lvm_plan_volume_tag(const LvmGroup *view, const char *tenant, const LvmLv *lv,
                    const char *tag)
{
    LvmPlan *plan = lvm_plan_new(view, tenant);
    char **argv = lvm_command("lvchange", "--yes", "--addtag", tag, NULL);

    lvm_command_add(&argv, "%s/%s", view->name, lv->name);
    lvm_plan_add(plan, argv, 0);
    lvm_plan_expect(plan, lv->name, 0, tenant);
    return plan;
}
