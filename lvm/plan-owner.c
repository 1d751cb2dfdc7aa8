/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plan-owner.c: an LV gets an owner, or loses it, with all its data.
 *
 * LVM renames and tags in two transactions.  Adopting tags first, releasing untags
 * last: an LV caught in between is charged even though it is not shown.  Both run in
 * one child that has the lock and outlives the caller; after a power cut in between,
 * the same plan completes the change.
 */
#include "command.h"
#include "plans.h"

static void
lvm_owner_rename(LvmPlan *plan, const char *from, const char *to, unsigned flags)
{
    g_ptr_array_add(plan->unused, g_strdup(from));
    lvm_plan_add(plan, lvm_command("lvrename", "--yes", plan->view->name, from, to,
                                   NULL), flags);
}

static void
lvm_owner_retag(LvmPlan *plan, const char *lv, const char *change,
                unsigned flags)
{
    char **argv = lvm_command("lvchange", "--yes", change, NULL);

    lvm_command_add(&argv, QUOTA_TAG_TENANT "%s", plan->tenant);
    lvm_command_add(&argv, "%s/%s", plan->view->name, lv);
    lvm_plan_add(plan, argv, flags);
}

/* ---- adopt --------------------------------------------------------------- */

/* lvm_adopt_check_kind: an LV of this kind can be a volume of the tenant. */
static bool
lvm_adopt_check_kind(const LvmGroup *view, const LvmLv *lv,
                     const LvmTenant *own, LvmRefusal *why)
{
    if (lv->is_hidden)
        return lvm_refuse(why, LVM_WHY_IS_PART, view->name, own->tenant,
                          lv->name, NULL);
    if (*lv->unknown) {
        lvm_refuse(why, LVM_WHY_IS_UNKNOWN, view->name, own->tenant, lv->name,
                   NULL);
        why->text = g_strdup(lv->unknown);
        return false;
    }
    if (lv->tenant && !g_str_equal(lv->tenant, own->tenant))
        return lvm_refuse(why, LVM_WHY_OF_TENANT, view->name, own->tenant,
                          lv->name, lv->tenant);
    if (lvm_lv_is_pool(lv)) {
        lvm_refuse(why, LVM_WHY_IS_POOL, view->name, own->tenant, lv->name, NULL);
        why->text = g_strdup(lv->segtype);
        return false;
    }
    if (*lv->pool && !g_str_equal(lv->pool, own->thin_pool->name)) {
        const LvmLv *in = lvm_group_find_lv(view, lv->pool);

        lvm_refuse(why, LVM_WHY_OTHER_POOL, view->name, own->tenant, lv->name,
                   lv->pool);
        why->text = g_strdup(in ? in->tenant : NULL);
        return false;
    }
    return true;
}

/* lvm_adopt_check_limits: the LV's extents are there already, so the group's free
 * ones do not matter. */
static bool
lvm_adopt_check_limits(const LvmGroup *view, const LvmLv *lv,
                       const LvmTenant *own, uint64_t bytes, LvmRefusal *why)
{
    const struct quota_state *state = &own->state;
    uint64_t held = quota_add_saturating(state->thick_bytes, state->grant_bytes);
    uint64_t limit = state->limits.limit_bytes;

    if (!lvm_plan_check_max_volumes(view, own, lv->name, why))
        return false;
    if (held > limit || bytes > limit - held) {
        lvm_refuse(why, LVM_WHY_TENANT_LIMIT, view->name, own->tenant, lv->name,
                   NULL);
        why->asked = bytes;
        why->limit = limit;
        why->thick = state->thick_bytes;
        why->grant = state->grant_bytes;
        why->room = limit > held ? limit - held : 0;
        return false;
    }
    return true;
}

LvmPlan *
lvm_plan_adopt(const LvmGroup *view, const char *name, const char *tenant,
               const char *volume, LvmRefusal *why)
{
    const LvmTenant *own = lvm_group_find_tenant(view, tenant);
    const LvmLv *lv = lvm_group_find_lv(view, name);
    g_autoptr(LvmPlan) plan = lvm_plan_new(view, tenant);
    char to[QUOTA_LV_MAX_BYTES + 1];
    const char *text = NULL;
    bool is_new, is_renamed;

    if (!lv) {
        lvm_refuse(why, LVM_WHY_NO_LV, view->name, tenant, name, NULL);
        return NULL;
    }
    if (!own || !own->thin_pool) {
        lvm_refuse(why, LVM_WHY_NO_TENANT, view->name, tenant, NULL, NULL);
        return NULL;
    }
    if (!lvm_adopt_check_kind(view, lv, own, why))
        return NULL;
    plan->needs_pool_here = true;

    if (!volume)
        volume = quota_name_parse_lv(tenant, name);
    if (!volume)
        volume = name;
    if (quota_name_check_volume(view->name, tenant, volume, &text) < 0) {
        lvm_refuse(why, LVM_WHY_BAD_NAME, view->name, tenant, volume, name);
        why->text = g_strdup(text);
        return NULL;
    }
    (void)quota_name_format_lv(tenant, volume, to);
    is_renamed = !g_str_equal(name, to);
    is_new = !lv->tenant;
    if (!is_new && !is_renamed) {
        lvm_refuse(why, LVM_WHY_OF_TENANT, view->name, tenant, name, tenant);
        return NULL;
    }
    if (is_renamed && lvm_group_find_lv(view, to)) {
        lvm_refuse(why, LVM_WHY_EXISTS, view->name, tenant, volume, NULL);
        return NULL;
    }
    if (is_new) {
        uint64_t bytes = lvm_lv_is_thin(lv) ? 0 : lvm_lv_taken_bytes(lv);

        if (!lvm_plan_check_tags(view, own, why) ||
            !lvm_adopt_check_limits(view, lv, own, bytes, why))
            return NULL;
        plan->charge_bytes = bytes;
        lvm_owner_retag(plan, name, "--addtag", 0);
    }
    if (is_renamed)
        lvm_owner_rename(plan, name, to, is_new ? LVM_STEP_JOINED : 0);
    lvm_plan_expect(plan, to, 0, tenant);
    return g_steal_pointer(&plan);
}

/* ---- release ------------------------------------------------------------- */

static bool
lvm_release_check(const LvmGroup *view, const char *tenant, const char *volume,
                  const LvmLv *lv, const char *to, LvmRefusal *why)
{
    const LvmLv *snapshot;
    const char *text = NULL;

    if (!lv)
        return lvm_refuse(why, LVM_WHY_NO_VOLUME, view->name, tenant, volume,
                          NULL);
    if (lvm_lv_is_pool(lv)) {
        lvm_refuse(why, LVM_WHY_IS_POOL, view->name, tenant, lv->name, NULL);
        why->text = g_strdup(lv->segtype);
        return false;
    }
    if (lvm_lv_is_thin(lv))
        return lvm_refuse(why, LVM_WHY_IS_THIN, view->name, tenant, volume, NULL);
    /* neither could be deleted or rolled back any more without the other's owner */
    if (lvm_lv_is_thick_snapshot(lv))
        return lvm_refuse(why, LVM_WHY_IS_SNAPSHOT, view->name, tenant, volume,
                          lv->origin);
    snapshot = lvm_group_find_thick_snapshot(view, lv);
    if (snapshot)
        return lvm_refuse(why, LVM_WHY_HAS_SNAPSHOT, view->name, tenant, volume,
                          snapshot->name);
    if (lvm_group_find_lv(view, to))
        return lvm_refuse(why, LVM_WHY_TAKEN, view->name, tenant, to, NULL);
    for (guint i = 0; i < view->tenants->len; i++) {
        const LvmTenant *other = g_ptr_array_index(view->tenants, i);

        if (quota_name_parse_lv(other->tenant, to))
            return lvm_refuse(why, LVM_WHY_NAME_OF_TENANT, view->name, tenant, to,
                              other->tenant);
    }
    if (quota_name_check_lv(view->name, to, &text) < 0) {
        lvm_refuse(why, LVM_WHY_BAD_NAME, view->name, tenant, to, NULL);
        why->text = g_strdup(text);
        return false;
    }
    return true;
}

/* lvm_is_half_released: @lv is as a release leaves it that a power cut stopped after
 * the first of its two steps: renamed, and the tenant's still. */
static bool
lvm_is_half_released(const LvmLv *lv, const char *tenant)
{
    return g_strcmp0(lv->tenant, tenant) == 0 && !lv->volume && !lv->is_hidden &&
           !lvm_lv_is_pool(lv) && !lvm_lv_is_thin(lv);
}

LvmPlan *
lvm_plan_release(const LvmGroup *view, const char *tenant, const char *volume,
                 const char *name, LvmRefusal *why)
{
    g_autoptr(LvmPlan) plan = lvm_plan_new(view, tenant);
    const LvmLv *lv = lvm_tenant_find_volume(view, tenant, volume);
    const char *to = name ? name : volume;
    const LvmLv *taken = lvm_group_find_lv(view, to);

    if (!lv && taken && lvm_is_half_released(taken, tenant)) {
        lvm_owner_retag(plan, to, "--deltag", 0);
    } else {
        if (!lvm_release_check(view, tenant, volume, lv, to, why))
            return NULL;
        lvm_owner_rename(plan, lv->name, to, 0);
        lvm_owner_retag(plan, to, "--deltag", LVM_STEP_JOINED);
    }
    lvm_plan_expect(plan, to, 0, "");
    return g_steal_pointer(&plan);
}
