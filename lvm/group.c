/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * group.c: LVM's metadata of a volume group, by tenants.
 *
 * Every LV is taken, not only a tenant's: what one tenant may have depends on
 * the others.
 */
#include <string.h>

#include "group.h"

void
lvm_tenant_free(LvmTenant *tenant)
{
    if (!tenant)
        return;
    g_free(tenant->group);
    g_free(tenant->tenant);
    g_free(tenant->thin_dm_uuid);
    g_strfreev(tenant->thin_tags);
    g_free(tenant);
}

static void
lvm_lv_free(LvmLv *lv)
{
    g_free(lv->name);
    g_free(lv->segtype);
    g_free(lv->tags);
    g_free(lv->uuid);
    g_free(lv->dm_uuid);
    g_free(lv->pool);
    g_free(lv->origin);
    g_free(lv->tenant);
    g_free(lv);
}

void
lvm_group_free(LvmGroup *group)
{
    if (!group)
        return;
    g_free(group->name);
    g_strfreev(group->tags);
    g_clear_pointer(&group->lvs, g_ptr_array_unref);
    g_clear_pointer(&group->tenants, g_ptr_array_unref);
    g_free(group);
}

/*
 * lvm_dm_uuid: device-mapper's name for a thin pool is <group>-<pool> until it
 * holds its first volume, and <group>-<pool>-tpool from then on, but its UUID
 * is the same in both lives:
 *   vg0-acme._thin       LVM-928G...wVy9eZ...QRIGIXjMEwAJ7GD-tpool
 * The device of another LV has no such layer.
 */
static char *
lvm_dm_uuid(const char *group_uuid, const char *lv_uuid, bool is_thin_pool)
{
    g_autoptr(GString) uuid = g_string_new("LVM-");

    for (const char *c = group_uuid; *c; c++) {
        if (*c != '-')
            g_string_append_c(uuid, *c);
    }
    for (const char *c = lv_uuid; *c; c++) {
        if (*c != '-')
            g_string_append_c(uuid, *c);
    }
    if (is_thin_pool)
        g_string_append(uuid, "-tpool");
    return g_string_free(g_steal_pointer(&uuid), FALSE);
}

/* lvm_lv_take_tenant: the first tenant whom the tags name. */
static void
lvm_lv_take_tenant(LvmLv *lv)
{
    g_auto(GStrv) list = g_strsplit(lv->tags, ",", -1);

    for (char **tag = list; *tag; tag++) {
        const char *tenant = quota_tag_parse_tenant(*tag);

        if (!tenant || quota_name_check_tenant(tenant, NULL) < 0)
            continue;
        if (!lv->tenant)
            lv->tenant = g_strdup(tenant);
        else if (!g_str_equal(lv->tenant, tenant))
            lv->is_of_two = true;
    }
}

static LvmLv *
lvm_lv_new(const struct quota_metadata_group *group,
           const struct quota_metadata_lv *from)
{
    LvmLv *lv = g_new0(LvmLv, 1);
    const char *origin = from->origin ? from->origin : from->external_origin;

    lv->name = g_strdup(from->name);
    lv->segtype = g_strdup(from->segtype);
    lv->tags = g_strdup(from->tags);
    lv->uuid = g_strdup(from->uuid);
    lv->dm_uuid = lvm_dm_uuid(group->uuid, from->uuid,
                              g_str_equal(from->segtype, "thin-pool"));
    lv->pool = g_strdup(from->thin_pool ? from->thin_pool : "");
    lv->origin = g_strdup(origin ? origin : "");
    lv->transaction = from->transaction;
    lv->is_hidden = !from->is_visible;
    lv->lv = (struct quota_lv) {
        .name = lv->name,
        .segtype = lv->segtype,
        .tags = lv->tags,
        .size_bytes = from->size_bytes,
        .physical_bytes = from->physical_bytes,
        .chunk_bytes = from->chunk_bytes,
    };
    lvm_lv_take_tenant(lv);
    return lv;
}

LvmTenant *
lvm_group_find_tenant(const LvmGroup *group, const char *tenant)
{
    for (guint i = 0; i < group->tenants->len; i++) {
        LvmTenant *found = g_ptr_array_index(group->tenants, i);

        if (g_str_equal(found->tenant, tenant))
            return found;
    }
    return NULL;
}

const LvmLv *
lvm_group_find_lv(const LvmGroup *group, const char *name)
{
    for (guint i = 0; i < group->lvs->len; i++) {
        const LvmLv *lv = g_ptr_array_index(group->lvs, i);

        if (g_str_equal(lv->name, name))
            return lv;
    }
    return NULL;
}

static void
lvm_group_charge_lv(LvmGroup *group, const LvmLv *lv)
{
    LvmTenant *tenant;

    if (!lv->tenant || lv->is_hidden)
        return;
    tenant = lvm_group_find_tenant(group, lv->tenant);
    if (!tenant) {
        tenant = g_new0(LvmTenant, 1);
        tenant->group = g_strdup(group->name);
        tenant->tenant = g_strdup(lv->tenant);
        tenant->extent_bytes = group->extent_bytes;
        g_ptr_array_add(group->tenants, tenant);
    }
    if (quota_state_charge(&tenant->state, &lv->lv) < 0)
        tenant->has_bad_tag = true;

    if (g_str_equal(lv->segtype, "thin-pool") && !tenant->thin_dm_uuid) {
        tenant->thin_dm_uuid = g_strdup(lv->dm_uuid);
        tenant->thin_tags = g_strsplit(lv->tags, ",", -1);
    }
}

static gint
lvm_lvs_compare(gconstpointer left, gconstpointer right)
{
    const LvmLv *a = *(LvmLv *const *)left;
    const LvmLv *b = *(LvmLv *const *)right;

    return strcmp(a->name, b->name);
}

static gint
lvm_tenants_compare(gconstpointer left, gconstpointer right)
{
    const LvmTenant *a = *(LvmTenant *const *)left;
    const LvmTenant *b = *(LvmTenant *const *)right;

    return strcmp(a->tenant, b->tenant);
}

/* lvm_group_promise: what is kept for whom, once all is charged. */
static void
lvm_group_promise(LvmGroup *group)
{
    for (char **tag = group->tags; *tag; tag++) {
        uint64_t percent;

        if (quota_tag_parse_overcommit(*tag, &percent) == 0)
            group->promised.overcommit_percent = percent;
    }
    for (guint i = 0; i < group->tenants->len; i++) {
        LvmTenant *tenant = g_ptr_array_index(group->tenants, i);

        quota_group_add(&group->promised, &tenant->state);
    }
    for (guint i = 0; i < group->tenants->len; i++) {
        LvmTenant *tenant = g_ptr_array_index(group->tenants, i);
        struct quota_group others = quota_group_without(&group->promised,
                                                        &tenant->state);

        tenant->state.group_free_bytes = quota_group_free(&others);
    }
}

LvmGroup *
lvm_group_new(const struct quota_metadata_group *metadata)
{
    LvmGroup *group = g_new0(LvmGroup, 1);

    group->name = g_strdup(metadata->name);
    group->tags = g_strsplit(metadata->tags, ",", -1);
    group->extent_bytes = metadata->extent_bytes;
    group->promised.size_bytes = metadata->size_bytes;
    group->promised.free_bytes = metadata->free_bytes;
    group->missing_devices = metadata->missing + metadata->unread;
    group->is_shared = metadata->is_shared;
    group->lvs = g_ptr_array_new_with_free_func((GDestroyNotify)lvm_lv_free);
    group->tenants =
        g_ptr_array_new_with_free_func((GDestroyNotify)lvm_tenant_free);

    for (size_t i = 0; i < metadata->nlvs; i++)
        g_ptr_array_add(group->lvs, lvm_lv_new(metadata, &metadata->lvs[i]));
    g_ptr_array_sort(group->lvs, lvm_lvs_compare);
    for (guint i = 0; i < group->lvs->len; i++)
        lvm_group_charge_lv(group, g_ptr_array_index(group->lvs, i));
    g_ptr_array_sort(group->tenants, lvm_tenants_compare);
    lvm_group_promise(group);
    return group;
}
