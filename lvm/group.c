/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * group.c: LVM's metadata of a volume group, by tenants.
 *
 * Every LV is taken, not only a tenant's: what one tenant may have depends on
 * the others.
 */
#include <string.h>

#include "group.h"

LvmTenant *
lvm_tenant_ref(LvmTenant *tenant)
{
    return g_atomic_rc_box_acquire(tenant);
}

static void
lvm_tenant_clear(LvmTenant *tenant)
{
    g_free(tenant->group);
    g_free(tenant->tenant);
    g_free(tenant->thin_dm_uuid);
    g_free(tenant->definition);
    g_strfreev(tenant->thin_tags);
    g_ptr_array_unref(tenant->lvs);
}

void
lvm_tenant_unref(LvmTenant *tenant)
{
    if (tenant)
        g_atomic_rc_box_release_full(tenant, (GDestroyNotify)lvm_tenant_clear);
}

static void
lvm_lv_free(LvmLv *lv)
{
    g_free(lv->name);
    g_free(lv->uuid);
    g_free(lv->segtype);
    g_free(lv->tags);
    g_free(lv->dm_uuid);
    g_free(lv->pool);
    g_free(lv->origin);
    g_free(lv->unknown);
    g_free(lv->tenant);
    g_free(lv);
}

LvmGroup *
lvm_group_ref(LvmGroup *group)
{
    return g_atomic_rc_box_acquire(group);
}

static void
lvm_group_clear(LvmGroup *group)
{
    g_free(group->name);
    g_strfreev(group->tags);
    g_hash_table_unref(group->lv_by_name);
    g_hash_table_unref(group->tenant_by_name);
    g_ptr_array_unref(group->tenants);
    g_ptr_array_unref(group->lvs);
}

void
lvm_group_unref(LvmGroup *group)
{
    if (group)
        g_atomic_rc_box_release_full(group, (GDestroyNotify)lvm_group_clear);
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

static LvmLv *
lvm_lv_new(const struct quota_metadata_group *group,
           const struct quota_metadata_lv *from)
{
    LvmLv *lv = g_new0(LvmLv, 1);
    struct quota_owner owner;
    const char *origin = from->origin ? from->origin : from->external_origin;

    lv->name = g_strdup(from->name);
    lv->uuid = g_strdup(from->uuid);
    lv->segtype = g_strdup(from->segtype);
    lv->tags = g_strdup(from->tags);
    lv->dm_uuid = lvm_dm_uuid(group->uuid, from->uuid,
                              g_str_equal(from->segtype, "thin-pool"));
    lv->pool = g_strdup(from->thin_pool ? from->thin_pool : "");
    lv->origin = g_strdup(origin ? origin : "");
    lv->unknown = g_strdup(from->unknown ? from->unknown : "");
    lv->origin_bytes = from->origin_bytes;
    lv->metadata_bytes = from->metadata_bytes;
    lv->transaction = from->transaction;
    lv->data_stripes = from->data_stripes;
    lv->data_copies = from->data_copies;
    lv->is_hidden = !from->is_visible;
    lv->is_read_only = !from->is_writable;
    lv->lv = (struct quota_lv) {
        .segtype = lv->segtype,
        .tags = lv->tags,
        .size_bytes = from->size_bytes,
        .physical_bytes = from->physical_bytes,
        .chunk_bytes = from->chunk_bytes,
    };
    quota_owner_find(lv->tags, lv->name, &owner);
    if (*owner.tenant) {
        lv->tenant = g_strdup(owner.tenant);
        lv->volume = quota_name_parse_lv(lv->tenant, lv->name);
    }
    lv->is_of_two = owner.is_of_two;
    lv->is_of_invalid = owner.is_of_invalid;
    return lv;
}

LvmTenant *
lvm_group_find_tenant(const LvmGroup *group, const char *tenant)
{
    return g_hash_table_lookup(group->tenant_by_name, tenant);
}

const LvmLv *
lvm_group_find_lv(const LvmGroup *group, const char *name)
{
    return g_hash_table_lookup(group->lv_by_name, name);
}

struct quota_group
lvm_group_others(const LvmGroup *group, const char *tenant)
{
    const LvmTenant *found = lvm_group_find_tenant(group, tenant);

    return found ? quota_group_without(&group->promised, &found->state)
                 : group->promised;
}

const LvmLv *
lvm_tenant_find_volume(const LvmGroup *group, const char *tenant,
                       const char *volume)
{
    char name[QUOTA_LV_MAX_BYTES + 1];
    const LvmLv *lv;

    if (quota_name_format_lv(tenant, volume, name) < 0)
        return NULL;
    lv = lvm_group_find_lv(group, name);
    return lv && !lv->is_hidden && g_strcmp0(lv->tenant, tenant) == 0 ? lv : NULL;
}

bool
lvm_lv_has_tag(const LvmLv *lv, const char *tag)
{
    size_t length = strlen(tag);
    const char *at = lv->tags;

    for (; *at; at += strcspn(at, ","), at += *at == ',') {
        if (strncmp(at, tag, length) == 0 &&
            (at[length] == ',' || at[length] == '\0'))
            return true;
    }
    return false;
}

bool
lvm_lv_is_thin(const LvmLv *lv)
{
    return g_str_equal(lv->segtype, "thin");
}

bool
lvm_lv_is_pool(const LvmLv *lv)
{
    return g_str_has_suffix(lv->segtype, "-pool");
}

uint64_t
lvm_available_bytes(const struct quota_state *state, uint64_t thin_bytes)
{
    uint64_t used = quota_add_saturating(state->thick_bytes, thin_bytes);
    uint64_t limit = state->limits.limit_bytes;
    uint64_t room = state->group_free_bytes;

    if (state->grant_bytes > thin_bytes)
        room = quota_add_saturating(room, state->grant_bytes - thin_bytes);
    return MIN(room, limit > used ? limit - used : 0);
}

bool
lvm_lv_is_thick_snapshot(const LvmLv *lv)
{
    return *lv->origin && !lvm_lv_is_thin(lv);
}

uint64_t
lvm_lv_taken_bytes(const LvmLv *lv)
{
    return MAX(lv->lv.size_bytes, lv->lv.physical_bytes);
}

const LvmLv *
lvm_group_find_thick_snapshot(const LvmGroup *group, const LvmLv *origin)
{
    for (guint i = 0; i < group->lvs->len; i++) {
        const LvmLv *lv = g_ptr_array_index(group->lvs, i);

        if (!lv->is_hidden && lvm_lv_is_thick_snapshot(lv) &&
            g_str_equal(lv->origin, origin->name))
            return lv;
    }
    return NULL;
}

static LvmTenant *
lvm_tenant_new(const LvmGroup *group, const char *name)
{
    LvmTenant *tenant = g_atomic_rc_box_new0(LvmTenant);

    tenant->group = g_strdup(group->name);
    tenant->tenant = g_strdup(name);
    tenant->extent_bytes = group->extent_bytes;
    tenant->lvs = g_ptr_array_new();
    return tenant;
}

static void
lvm_tenant_take_pool(LvmTenant *tenant, const LvmLv *pool)
{
    tenant->thin_pool = pool;
    tenant->thin_dm_uuid = g_strdup(pool->dm_uuid);
    tenant->thin_tags = g_strsplit(pool->tags, ",", -1);
    for (char **tag = tenant->thin_tags; *tag; tag++) {
        if (g_str_has_prefix(*tag, QUOTA_TAG_DEFINITION) && !tenant->definition)
            tenant->definition = g_strdup(*tag + strlen(QUOTA_TAG_DEFINITION));
    }
}

/* A tenant has one thin pool, <tenant>._thin.  Another one with its tag is
 * charged whole, as thick, and sets no limits. */
static bool
lvm_lv_is_foreign_pool(const LvmLv *lv)
{
    return g_str_equal(lv->segtype, "thin-pool") &&
           g_strcmp0(lv->volume, QUOTA_THIN_POOL_VOLUME) != 0;
}

static void
lvm_group_charge_lv(LvmGroup *group, const LvmLv *lv)
{
    struct quota_lv charged = lv->lv;
    LvmTenant *tenant;

    if (!lv->tenant || lv->is_hidden)
        return;
    tenant = lvm_group_find_tenant(group, lv->tenant);
    if (!tenant) {
        tenant = lvm_tenant_new(group, lv->tenant);
        g_ptr_array_add(group->tenants, tenant);
        g_hash_table_insert(group->tenant_by_name, tenant->tenant, tenant);
    }
    g_ptr_array_add(tenant->lvs, (gpointer)lv);
    if (lvm_lv_is_foreign_pool(lv))
        charged.segtype = "linear";
    else if (g_str_equal(lv->segtype, "thin-pool"))
        lvm_tenant_take_pool(tenant, lv);
    if (quota_state_charge(&tenant->state, &charged) < 0)
        tenant->has_bad_tag = true;
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
    LvmGroup *group = g_atomic_rc_box_new0(LvmGroup);

    group->name = g_strdup(metadata->name);
    group->tags = g_strsplit(metadata->tags, ",", -1);
    group->extent_bytes = metadata->extent_bytes;
    group->promised.size_bytes = metadata->size_bytes;
    group->promised.free_bytes = metadata->free_bytes;
    group->missing_devices = metadata->missing + metadata->unread;
    group->is_exported = metadata->is_exported;
    group->is_shared = metadata->is_shared;
    group->lvs = g_ptr_array_new_with_free_func((GDestroyNotify)lvm_lv_free);
    group->tenants =
        g_ptr_array_new_with_free_func((GDestroyNotify)lvm_tenant_unref);
    group->lv_by_name = g_hash_table_new(g_str_hash, g_str_equal);
    group->tenant_by_name = g_hash_table_new(g_str_hash, g_str_equal);

    for (size_t i = 0; i < metadata->nlvs; i++) {
        LvmLv *lv = lvm_lv_new(metadata, &metadata->lvs[i]);

        g_ptr_array_add(group->lvs, lv);
        g_hash_table_insert(group->lv_by_name, lv->name, lv);
    }
    g_ptr_array_sort(group->lvs, lvm_lvs_compare);
    for (guint i = 0; i < group->lvs->len; i++)
        lvm_group_charge_lv(group, g_ptr_array_index(group->lvs, i));
    g_ptr_array_sort(group->tenants, lvm_tenants_compare);
    lvm_group_promise(group);
    return group;
}
