/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plan-pool.c: from devices to a tenant's thin pool, and its limits.
 *
 * The limits are tags of the thin pool, changed in one transaction of LVM.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "command.h"
#include "plans.h"

/* Every LV takes about 1 KB of the text that LVM keeps in the metadata area, in
 * which must hold both the old and the new text.  16 MiB hold 8,000 LVs, and more
 * text than 8 MiB LVM would not read without tuning (io_memory_size in
 * lvmlocal.conf(5)). */
#define METADATA_AREA "16m"

/* What a chunk costs in the thin pool's metadata; thin_metadata_size(8). */
#define METADATA_PER_CHUNK UINT64_C(64)
#define METADATA_MIN_BYTES (UINT64_C(4) << 20)
/* The kernel takes no more than 15.8 GiB. */
#define METADATA_MAX_BYTES (UINT64_C(15) << 30)
#define CHUNK_MIN_BYTES (UINT64_C(64) << 10)

LvmPlan *
lvm_plan_group(const LvmGroup *view, const char *name, bool exists,
               const char *const *devices)
{
    LvmPlan *plan = lvm_plan_new(view, NULL);
    /* both make devices into physical volumes by themselves */
    char **argv = lvm_command(exists ? "vgextend" : "vgcreate", "--yes",
                              "--metadatasize", METADATA_AREA, name, NULL);

    for (; *devices; devices++)
        lvm_command_add_all(&argv, *devices, NULL);
    lvm_plan_add(plan, argv, 0);
    return plan;
}

LvmPlan *
lvm_plan_group_clear(const char *name)
{
    LvmPlan *plan = lvm_plan_new(NULL, NULL);

    lvm_plan_add(plan, lvm_command("vgremove", name, NULL), 0);
    return plan;
}

uint64_t
lvm_pool_metadata_bytes(uint64_t limit_bytes, uint64_t chunk_bytes)
{
    uint64_t chunks = chunk_bytes ? limit_bytes / chunk_bytes : 0;
    uint64_t bytes = chunks > METADATA_MAX_BYTES / METADATA_PER_CHUNK
        ? METADATA_MAX_BYTES : chunks * METADATA_PER_CHUNK;

    return CLAMP(bytes, METADATA_MIN_BYTES, METADATA_MAX_BYTES);
}

void
lvm_plan_add_pool_metadata(LvmPlan *plan, const LvmTenant *own,
                           uint64_t limit_bytes)
{
    const LvmLv *pool = own->thin_pool;
    uint64_t needed = lvm_pool_metadata_bytes(limit_bytes, pool->lv.chunk_bytes);
    char **argv;

    if (pool->metadata_bytes >= needed)
        return;
    argv = lvm_command("lvextend", "--poolmetadatasize", NULL);
    lvm_command_add(&argv, "%" PRIu64 "b", needed);
    lvm_command_add(&argv, "%s/%s", own->group, pool->name);
    lvm_plan_add(plan, argv, LVM_STEP_OPTIONAL);
}

/* ---- build --------------------------------------------------------------- */

typedef struct {
    uint64_t data, chunk, metadata;
} PoolSizes;

/* The first grant is one step.  Metadata is sized for the whole limit at once, as
 * it cannot shrink and a pool that runs out of it is read-only; chunks are as
 * small as that allows, since a chunk is the smallest thing charged. */
static void
lvm_pool_sizes(const LvmGroup *view, const struct quota_limits *limits,
               uint64_t room, PoolSizes *sizes)
{
    uint64_t step = limits->step_bytes ? limits->step_bytes
                                       : QUOTA_STEP_DEFAULT_BYTES;
    uint64_t most = room / view->extent_bytes * view->extent_bytes;

    sizes->data = step < most ? MIN(LVM_ROUND_UP(step, view->extent_bytes), most) : most;
    sizes->chunk = CHUNK_MIN_BYTES;
    while (limits->limit_bytes / sizes->chunk >
           METADATA_MAX_BYTES / METADATA_PER_CHUNK)
        sizes->chunk *= 2;
    sizes->metadata = LVM_ROUND_UP(
        lvm_pool_metadata_bytes(limits->limit_bytes, sizes->chunk),
        view->extent_bytes);
}

static bool
lvm_pool_check_limits(const LvmGroup *view, const char *tenant,
                      const struct quota_limits *limits, LvmRefusal *why)
{
    if (limits->limit_bytes == 0)
        return lvm_refuse(why, LVM_WHY_NO_LIMIT, view->name, tenant, NULL, NULL);
    if (limits->limit_bytes < view->extent_bytes) {
        lvm_refuse(why, LVM_WHY_SMALL_LIMIT, view->name, tenant, NULL, NULL);
        why->limit = limits->limit_bytes;
        why->room = view->extent_bytes;
        return false;
    }
    return lvm_plan_check_limits(view, tenant, limits, why);
}

/* lvm_pool_room: what the limit leaves to the pool of a tenant that has thick
 * volumes already: *@room. */
static bool
lvm_pool_room(const LvmGroup *view, const char *tenant,
              const struct quota_limits *limits, uint64_t *room, LvmRefusal *why)
{
    const LvmTenant *own = lvm_group_find_tenant(view, tenant);
    uint64_t thick = own ? own->state.thick_bytes : 0;

    *room = limits->limit_bytes > thick ? limits->limit_bytes - thick : 0;
    if (*room >= view->extent_bytes)
        return true;
    lvm_refuse(why, LVM_WHY_TENANT_LIMIT, view->name, tenant, NULL, NULL);
    why->asked = view->extent_bytes;
    why->limit = limits->limit_bytes;
    why->thick = thick;
    why->room = *room;
    return false;
}

static void
lvm_pool_add_tags(const char *tenant, const struct quota_limits *limits,
                  char ***argv)
{
    lvm_command_add_all(argv, "--addtag", NULL);
    lvm_command_add(argv, QUOTA_TAG_TENANT "%s", tenant);
    for (size_t i = 0; i < quota_limit_fields_count; i++) {
        char tag[QUOTA_TAG_MAX_BYTES];

        if (quota_tag_format_limit(limits, &quota_limit_fields[i], tag) == 0)
            lvm_command_add_all(argv, "--addtag", tag, NULL);
    }
    lvm_command_add_all(argv, "--addtag", NULL);
    lvm_command_add(argv, QUOTA_TAG_DEFINITION "%016" PRIx64,
                    quota_limits_digest(limits));
}

static char **
lvm_pool_command(const LvmGroup *view, const char *tenant, const char *name,
                 const struct quota_limits *limits, const PoolSizes *sizes)
{
    char **argv = lvm_command("lvcreate", "--type", "thin-pool", "--name", name,
                              "--zero", "y", "--discards", "passdown", "--size",
                              NULL);

    lvm_command_add(&argv, "%" PRIu64 "b", sizes->data);
    lvm_command_add_all(&argv, "--chunksize", NULL);
    lvm_command_add(&argv, "%" PRIu64 "b", sizes->chunk);
    lvm_command_add_all(&argv, "--poolmetadatasize", NULL);
    lvm_command_add(&argv, "%" PRIu64 "b", sizes->metadata);
    lvm_pool_add_tags(tenant, limits, &argv);
    lvm_command_add_all(&argv, "--yes", view->name, NULL);
    return argv;
}

LvmPlan *
lvm_plan_pool_build(const LvmGroup *view, const char *tenant,
                    const struct quota_limits *limits, LvmRefusal *why)
{
    g_autoptr(LvmPlan) plan = lvm_plan_new(view, tenant);
    const LvmTenant *own = lvm_group_find_tenant(view, tenant);
    struct quota_group others = lvm_group_others(view, tenant);
    char name[QUOTA_LV_MAX_BYTES + 1];
    const char *text = NULL;
    PoolSizes sizes;
    uint64_t room;

    if (own && own->thin_pool) {
        lvm_refuse(why, LVM_WHY_HAS_THIN_POOL, view->name, tenant, NULL, NULL);
        return NULL;
    }
    if (quota_name_check_tenant(tenant, &text) < 0 ||
        quota_name_check_pool(view->name, tenant, &text) < 0 ||
        quota_name_format_lv(tenant, QUOTA_THIN_POOL_VOLUME, name) < 0) {
        lvm_refuse(why, LVM_WHY_BAD_NAME, view->name, tenant, tenant, NULL);
        why->text = g_strdup(text);
        return NULL;
    }
    if (!lvm_pool_check_limits(view, tenant, limits, why) ||
        !lvm_pool_room(view, tenant, limits, &room, why))
        return NULL;
    lvm_pool_sizes(view, limits, room, &sizes);
    /* LVM keeps a spare as large as the largest metadata of the group */
    if (sizes.data + 2 * sizes.metadata > quota_group_free(&others)) {
        lvm_refuse(why, LVM_WHY_GROUP_KEPT, view->name, tenant, NULL, NULL);
        why->asked = sizes.data + 2 * sizes.metadata;
        why->room = quota_group_free(&others);
        why->kept = others.free_bytes - why->room;
        return NULL;
    }
    lvm_plan_makes(plan, name);
    lvm_plan_add(plan, lvm_pool_command(view, tenant, name, limits, &sizes), 0);
    lvm_plan_expect(plan, name, sizes.data, tenant);
    return g_steal_pointer(&plan);
}

LvmPlan *
lvm_plan_pool_grow(const LvmGroup *view, const char *tenant, uint64_t extents,
                   LvmRefusal *why)
{
    const LvmTenant *own = lvm_check_tenant(view, tenant, why);
    LvmPlan *plan;
    char **argv;

    if (!own)
        return NULL;
    plan = lvm_plan_new(view, tenant);
    argv = lvm_command("lvextend", "--yes", "-l", NULL);
    lvm_command_add(&argv, "+%" PRIu64, extents);
    lvm_command_add(&argv, "%s/%s", view->name, own->thin_pool->name);
    lvm_plan_add(plan, argv, LVM_STEP_GROWS);
    lvm_plan_expect_grown(plan, own->thin_pool->name,
                          own->thin_pool->lv.size_bytes +
                          extents * view->extent_bytes, tenant);
    return plan;
}

/* lvm_pool_has_volumes: how many LVs would go with the tenant's thin pool: all in it,
 * whatever their tags say.  The first into *@first. */
static uint64_t
lvm_pool_has_volumes(const LvmGroup *view, const LvmTenant *own,
                     const LvmLv **first)
{
    uint64_t count = 0;

    for (guint i = 0; i < view->lvs->len; i++) {
        const LvmLv *lv = g_ptr_array_index(view->lvs, i);

        if (lv->is_hidden || lv == own->thin_pool ||
            (g_strcmp0(lv->tenant, own->tenant) != 0 &&
             !(own->thin_pool && g_str_equal(lv->pool, own->thin_pool->name))))
            continue;
        if (count++ == 0)
            *first = lv;
    }
    return count;
}

LvmPlan *
lvm_plan_pool_remove(const LvmGroup *view, const char *tenant, LvmRefusal *why)
{
    const LvmTenant *own = lvm_group_find_tenant(view, tenant);
    const LvmLv *lv = NULL;
    uint64_t volumes = own ? lvm_pool_has_volumes(view, own, &lv) : 0;
    LvmPlan *plan;
    char **argv;

    if (volumes) {
        lvm_refuse(why, LVM_WHY_HAS_VOLUMES, view->name, tenant, NULL, lv->name);
        why->asked = volumes;
        return NULL;
    }
    plan = lvm_plan_new(view, tenant);
    if (own && own->thin_pool) {
        argv = lvm_command("lvremove", "--force", NULL);
        lvm_command_add(&argv, "%s/%s", view->name, own->thin_pool->name);
        lvm_plan_add(plan, argv, 0);
        lvm_plan_expect_gone(plan, own->thin_pool->name);
    }
    return plan;
}

LvmPlan *
lvm_plan_activate_metadata(const LvmGroup *view, const char *tenant, bool on)
{
    const LvmTenant *own = lvm_group_find_tenant(view, tenant);
    LvmPlan *plan = lvm_plan_new(view, tenant);
    char **argv = lvm_command("lvchange", "--yes", "--activate", on ? "y" : "n",
                              NULL);

    lvm_command_add(&argv, "%s/%s" LVM_METADATA_SUFFIX, view->name,
                    own->thin_pool->name);
    lvm_plan_add(plan, argv, 0);
    return plan;
}

LvmPlan *
lvm_plan_activate(const LvmGroup *view, const char *tenant, bool on,
                  bool is_checked, const char *const *lvs)
{
    LvmPlan *plan = lvm_plan_new(view, tenant);
    /* Without --yes, LVM asks whether a thick snapshot's origin may change along
     * with it. */
    char **argv = lvm_command("lvchange", "--yes", "--activate", on ? "y" : "n",
                              NULL);

    if (!on || is_checked)
        lvm_command_skip_check(argv);
    for (; *lvs; lvs++)
        lvm_command_add(&argv, "%s/%s", view->name, *lvs);
    lvm_plan_add(plan, argv, 0);
    return plan;
}

/* ---- limits -------------------------------------------------------------- */

bool
lvm_plan_check_limits(const LvmGroup *view, const char *tenant,
                      const struct quota_limits *limits, LvmRefusal *why)
{
    static const struct quota_state none = { 0 };
    const LvmTenant *own = lvm_group_find_tenant(view, tenant);
    struct quota_group others = lvm_group_others(view, tenant);
    const struct quota_limit_field *field = NULL;
    const char *text = NULL;
    uint64_t most = 0;
    int ret;

    if (quota_limits_check(limits, &field, &text) < 0) {
        lvm_refuse(why, LVM_WHY_BAD_LIMITS, view->name, tenant, field->name, NULL);
        why->text = g_strdup(text);
        return false;
    }
    ret = quota_group_check(&others, own ? &own->state : &none, limits, &most);
    if (ret == 0)
        return true;
    lvm_refuse(why, ret == -ENOSPC ? LVM_WHY_GUARANTEE : LVM_WHY_OVERCOMMIT,
               view->name, tenant, NULL, NULL);
    why->asked = ret == -ENOSPC ? limits->guarantee_bytes : limits->limit_bytes;
    why->room = quota_group_free(&others);
    why->most = most;
    why->percent = others.overcommit_percent;
    return false;
}

/* lvm_tag_is_of: the tag stands for @field, even if its value cannot be read. */
static bool
lvm_tag_is_of(const char *tag, const struct quota_limit_field *field)
{
    size_t prefix = strlen(QUOTA_TAG_PREFIX), length = strlen(field->name);

    return g_str_has_prefix(tag, QUOTA_TAG_PREFIX) &&
           strncmp(tag + prefix, field->name, length) == 0 &&
           tag[prefix + length] == '=';
}

/* lvm_tags_replace: all of @tags that @is_ours by one, @wanted ("": none).  LVM
 * refuses a tag that is taken off and put on in one command. */
static bool
lvm_tags_replace(char *const *tags, bool (*is_ours)(const char *, const void *),
                 const void *opaque, const char *wanted, char ***argv)
{
    bool is_there = !*wanted, is_changed = false;

    for (; *tags; tags++) {
        if (!is_ours(*tags, opaque))
            continue;
        if (g_str_equal(*tags, wanted)) {
            is_there = true;
        } else {
            lvm_command_add_all(argv, "--deltag", *tags, NULL);
            is_changed = true;
        }
    }
    if (!is_there)
        lvm_command_add_all(argv, "--addtag", wanted, NULL);
    return is_changed || !is_there;
}

static bool
lvm_tag_is_of_limit(const char *tag, const void *field)
{
    return lvm_tag_is_of(tag, field);
}

static bool
lvm_tag_begins(const char *tag, const void *prefix)
{
    return g_str_has_prefix(tag, prefix);
}

/* lvm_limits_are_read: each tag of a limit that is not given can be read. */
static bool
lvm_limits_are_read(const LvmTenant *own, const bool *is_given)
{
    for (size_t i = 0; i < quota_limit_fields_count; i++) {
        if (is_given[i])
            continue;
        for (char *const *tag = own->thin_tags; *tag; tag++) {
            struct quota_limits unused = { 0 };

            if (lvm_tag_is_of(*tag, &quota_limit_fields[i]) &&
                quota_tag_parse_limit(*tag, &unused) < 0)
                return false;
        }
    }
    return true;
}

LvmPlan *
lvm_plan_limits_set(const LvmGroup *view, const char *tenant,
                    const struct quota_limits *limits, const bool *is_given,
                    const char *definition, LvmRefusal *why)
{
    const LvmTenant *own = lvm_check_tenant(view, tenant, why);
    g_autoptr(LvmPlan) plan = lvm_plan_new(view, tenant);
    g_auto(GStrv) argv = NULL;
    bool is_changed = false;

    if (!own)
        return NULL;
    if (is_given && !lvm_limits_are_read(own, is_given)) {
        lvm_refuse(why, LVM_WHY_BAD_TAG, view->name, tenant, NULL, NULL);
        return NULL;
    }
    if (limits->limit_bytes == 0) {
        lvm_refuse(why, LVM_WHY_NO_LIMIT, view->name, tenant, NULL, NULL);
        return NULL;
    }
    if (!lvm_plan_check_limits(view, tenant, limits, why))
        return NULL;
    argv = lvm_command("lvchange", "--yes", NULL);
    for (size_t i = 0; i < quota_limit_fields_count; i++) {
        char wanted[QUOTA_TAG_MAX_BYTES] = "";

        (void)quota_tag_format_limit(limits, &quota_limit_fields[i], wanted);
        if (lvm_tags_replace(own->thin_tags, lvm_tag_is_of_limit,
                             &quota_limit_fields[i], wanted, &argv))
            is_changed = true;
    }
    if (definition) {
        g_autofree char *tag = g_strconcat(QUOTA_TAG_DEFINITION, definition, NULL);

        if (lvm_tags_replace(own->thin_tags, lvm_tag_begins, QUOTA_TAG_DEFINITION,
                             tag, &argv))
            is_changed = true;
    }
    if (is_changed) {
        lvm_command_add(&argv, "%s/%s", view->name, own->thin_pool->name);
        lvm_plan_add(plan, g_steal_pointer(&argv), 0);
        lvm_plan_add_pool_metadata(plan, own, limits->limit_bytes);
    }
    lvm_plan_expect(plan, own->thin_pool->name, 0, tenant);
    return g_steal_pointer(&plan);
}

LvmPlan *
lvm_plan_overcommit_set(const LvmGroup *view, uint64_t percent)
{
    LvmPlan *plan = lvm_plan_new(view, NULL);
    g_autofree char *tag = percent
        ? g_strdup_printf(QUOTA_TAG_OVERCOMMIT "%" PRIu64, percent) : g_strdup("");
    char **argv = lvm_command("vgchange", "--yes", NULL);

    if (lvm_tags_replace(view->tags, lvm_tag_begins, QUOTA_TAG_OVERCOMMIT, tag,
                         &argv)) {
        lvm_command_add_all(&argv, view->name, NULL);
        lvm_plan_add(plan, argv, 0);
    } else {
        g_strfreev(argv);
    }
    return plan;
}
