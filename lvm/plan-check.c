/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plan-check.c: what several plans are refused for.
 */
#include "plans.h"

const LvmTenant *
lvm_check_tenant(const LvmGroup *view, const char *tenant, LvmRefusal *why)
{
    const LvmTenant *found = lvm_group_find_tenant(view, tenant);

    if (found && found->thin_pool)
        return found;
    lvm_refuse(why, LVM_WHY_NO_THIN_POOL, view->name, tenant, NULL, NULL);
    return NULL;
}

bool
lvm_plan_check_tags(const LvmGroup *view, const LvmTenant *own, LvmRefusal *why)
{
    return !own->has_bad_tag ||
           lvm_refuse(why, LVM_WHY_BAD_TAG, view->name, own->tenant, NULL, NULL);
}

bool
lvm_plan_check_max_volumes(const LvmGroup *view, const LvmTenant *own,
                           const char *name, LvmRefusal *why)
{
    const struct quota_state *state = &own->state;

    if (!state->limits.max_volumes || state->volumes < state->limits.max_volumes)
        return true;
    lvm_refuse(why, LVM_WHY_MAX_VOLUMES, view->name, own->tenant, name, NULL);
    why->limit = state->limits.max_volumes;
    why->asked = state->volumes;
    return false;
}

bool
lvm_plan_check_new(const LvmGroup *view, const char *tenant,
                   const char *volume, char lv[QUOTA_LV_MAX_BYTES + 1],
                   LvmRefusal *why)
{
    const LvmTenant *own = lvm_check_tenant(view, tenant, why);
    char name[QUOTA_LV_MAX_BYTES + 1];
    const char *text = NULL;
    const LvmLv *taken;

    if (!own)
        return false;
    if (quota_name_check_volume(view->name, tenant, volume, &text) < 0 ||
        quota_name_format_lv(tenant, volume, name) < 0) {
        lvm_refuse(why, LVM_WHY_BAD_NAME, view->name, tenant, NULL, NULL);
        why->text = g_strdup(text);
        return false;
    }
    if (!lvm_plan_check_tags(view, own, why))
        return false;
    taken = lvm_group_find_lv(view, name);
    if (taken && g_strcmp0(taken->tenant, tenant) != 0)
        return lvm_refuse(why, LVM_WHY_TAKEN, view->name, tenant, name, NULL);
    if (taken) {
        lvm_refuse(why, LVM_WHY_EXISTS, view->name, tenant, NULL, NULL);
        return false;
    }
    if (lv)
        g_strlcpy(lv, name, sizeof(name));
    return lvm_plan_check_max_volumes(view, own, NULL, why);
}

bool
lvm_plan_check_growth(const LvmGroup *view, const char *tenant, uint64_t bytes,
                      LvmRefusal *why)
{
    const LvmTenant *own = lvm_check_tenant(view, tenant, why);
    struct quota_group others = lvm_group_others(view, tenant);
    const struct quota_state *state;
    enum quota_reason reason;

    if (!own)
        return false;
    state = &own->state;
    if (bytes <= quota_state_can_grow(state, &reason))
        return true;
    lvm_refuse(why, reason != QUOTA_REASON_GROUP_FULL ? LVM_WHY_TENANT_LIMIT
               : state->group_free_bytes < others.free_bytes ? LVM_WHY_GROUP_KEPT
               : LVM_WHY_GROUP_FULL, view->name, tenant, NULL, NULL);
    why->asked = bytes;
    why->limit = state->limits.limit_bytes;
    why->thick = state->thick_bytes;
    why->grant = state->grant_bytes;
    why->room = others.free_bytes;
    why->kept = others.free_bytes - state->group_free_bytes;
    return false;
}

bool
lvm_plan_check_sizes(const LvmGroup *view, const char *tenant,
                     const LvmLayout *layout, uint64_t capacity,
                     uint64_t *bytes, uint64_t *physical, LvmRefusal *why)
{
    static const LvmLayout linear = { 0 };

    if (capacity <= INT64_MAX &&
        lvm_layout_sizes(layout ? layout : &linear, view->extent_bytes, capacity,
                         bytes, physical))
        return true;
    lvm_refuse(why, LVM_WHY_TOO_LARGE, view->name, tenant, NULL, NULL);
    why->asked = capacity;
    return false;
}
