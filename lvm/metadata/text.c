/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * text.c: what the text of a volume group's metadata says.
 *
 * libdevmapper, LVM's own library, takes the text apart.  Here each logical
 * volume gets its size, and what it takes of the group: an LV may lie on
 * others, and those on devices.
 */
#include <errno.h>
#include <libdevmapper.h>
#include <string.h>

#include "segment.h"
#include "text.h"
#include "tree.h"

#define SECTOR_BYTES UINT64_C(512)

/* LVs of LVs: a thin pool's data on a cache on a raid with integrity, and each
 * on its way to another device; LVM stacks no more */
#define DEPTH_MAX 16

/* What is known of an LV besides what is told. */
struct lv_node {
    struct quota_metadata_lv *lv;
    const struct dm_config_node *config;
    uint64_t own_extents;       /* that it takes of devices itself */
    uint64_t moving_extents;    /* those are on their way to other devices */
    uint64_t extents;           /* all that it takes, once that is summed */
    bool is_summed;
    bool is_in_sum;             /* now: what lies below it is being summed */
};

struct parsing {
    struct dm_pool *pool;
    struct dm_hash_table *pvs;  /* by "pv0": its section */
    struct dm_hash_table *lvs;  /* by name: struct lv_node */
    struct quota_metadata_group *group;
    uint64_t extents;
    uint64_t extents_taken;
    bool is_doubted;            /* of an LV something is not known */
};

struct group_memory {
    struct quota_metadata_group group;
    struct dm_config_tree *tree;    /* most strings are its own */
    struct dm_pool *pool;
};

/* ---- values ---------------------------------------------------------------- */

static const struct dm_config_node *
section(const struct dm_config_node *parent, const char *key)
{
    const struct dm_config_node *node = parent->child;

    while (node && strcmp(node->key, key) != 0) {
        node = node->sib;
    }
    return node;
}

static const struct dm_config_value *
value_of(const struct dm_config_node *parent, const char *key)
{
    const struct dm_config_node *node = section(parent, key);

    return node ? node->v : NULL;
}

static const char *string_of(const struct dm_config_node *parent,
                             const char *key)
{
    const struct dm_config_value *value = value_of(parent, key);

    return value && value->type == DM_CFG_STRING ? value->v.str : NULL;
}

/* LVM counts extents, sectors and changes in 32 bits: sums of them fit in 64.
 * -EBADMSG: there is none, or it is none that counts something. */
static int number_of(const struct dm_config_node *parent, const char *key,
                     uint64_t *number)
{
    const struct dm_config_value *value = value_of(parent, key);

    *number = 0;
    if (!value || value->type != DM_CFG_INT || value->v.i < 0 ||
        value->v.i > UINT32_MAX) {
        return -EBADMSG;
    }
    *number = value->v.i;
    return 0;
}

static uint64_t number_or_zero(const struct dm_config_node *parent,
                               const char *key)
{
    uint64_t number;

    (void)number_of(parent, key, &number);
    return number;
}

static bool has_flag(const struct dm_config_node *parent, const char *key,
                     const char *flag)
{
    const struct dm_config_value *value = value_of(parent, key);

    for (; value; value = value->next) {
        if (value->type == DM_CFG_STRING && strcmp(value->v.str, flag) == 0) {
            return true;
        }
    }
    return false;
}

/* tags = ["a", "b"], as lvs prints them: a,b */
static const char *tags_of(struct dm_pool *pool,
                           const struct dm_config_node *parent)
{
    const struct dm_config_value *value;

    if (!dm_pool_begin_object(pool, 256)) {
        return NULL;
    }
    for (value = value_of(parent, "tags"); value; value = value->next) {
        if (value->type != DM_CFG_STRING) {
            continue;           /* an empty list has one value, of that type */
        }
        if (!dm_pool_grow_object(pool, value->v.str, strlen(value->v.str)) ||
            (value->next && !dm_pool_grow_object(pool, ",", 1))) {
            dm_pool_abandon_object(pool);
            return NULL;
        }
    }
    if (!dm_pool_grow_object(pool, "", 1)) {
        dm_pool_abandon_object(pool);
        return NULL;
    }
    return dm_pool_end_object(pool);
}

/* extents * extent size fits in 64 bits, or the text is not metadata */
static int extents_to_bytes(const struct parsing *p, uint64_t extents,
                            uint64_t *bytes)
{
    return __builtin_mul_overflow(extents, p->group->extent_bytes, bytes)
        ? -EBADMSG : 0;
}

/* ---- physical volumes -------------------------------------------------------- */

static int read_pvs(struct parsing *p, const struct dm_config_node *vg,
                    text_device_check *is_read, void *opaque)
{
    const struct dm_config_node *node = section(vg, "physical_volumes");

    for (node = node ? node->child : NULL; node; node = node->sib) {
        const char *uuid = string_of(node, "id");
        uint64_t extents;

        if (!uuid || number_of(node, "pe_count", &extents) < 0) {
            return -EBADMSG;
        }
        p->extents += extents;
        if (has_flag(node, "flags", "MISSING") ||
            has_flag(node, "status", "MISSING")) {
            p->group->missing++;
        } else if (is_read && !is_read(uuid, opaque)) {
            p->group->unread++;
        }
        if (!dm_hash_insert(p->pvs, node->key, (void *)node)) {
            return -ENOMEM;
        }
    }
    return 0;
}

/* ---- logical volumes --------------------------------------------------------- */

/* What is not understood may take anything: the first such word is told. */
static void doubt(struct parsing *p, struct lv_node *node, const char *word)
{
    p->is_doubted = true;
    if (!node->lv->unknown) {
        node->lv->unknown = word;
    }
}

/*
 * LVM keeps such names for an LV that several others may lie on while pvmove
 * copies their extents: what it takes twice is nobody's, and not for long.
 */
static bool is_pvmove(const char *name)
{
    return strncmp(name, "pvmove", strlen("pvmove")) == 0;
}

/*
 * What a segment takes of devices.  Of its areas,
 *     stripes = [ "pv0", 0, "pv1", 512 ]    an equal part of the extents each
 *     mirrors = [ "pv0", 0, "pv1", 512 ]    all of the extents each (pvmove)
 *     stripes = [ "pvmove0", 0 ]            extents that are being moved
 * those on other LVs are not its own.  A name is a device's before it is an
 * LV's, since LVM takes it so.
 */
static void take_areas(struct parsing *p, struct lv_node *lv,
                       const struct dm_config_node *segment,
                       const char *key, uint64_t extents)
{
    const struct dm_config_value *value;

    for (value = value_of(segment, key); value; value = value->next) {
        if (value->type != DM_CFG_STRING) {
            continue;
        }
        if (dm_hash_lookup(p->pvs, value->v.str)) {
            lv->own_extents += extents;
        } else if (is_pvmove(value->v.str)) {
            lv->moving_extents += extents;
        }
    }
}

/* As lvs names it: "raid5" of "raid5+RESHAPE".  NULL: no memory */
static const char *segtype_of(struct parsing *p, const char *type,
                              uint64_t stripes)
{
    if (segment_is(type, "striped") && stripes <= 1) {
        return "linear";
    }
    return strchr(type, '+') ? dm_pool_strndup(p->pool, type, strcspn(type, "+"))
                             : type;
}

/* As lvs shows data_stripes and data_copies.  @legs: 0 if it has no such. */
static void count_stripes(struct quota_metadata_lv *lv, uint64_t legs)
{
    unsigned parity = 0;

    lv->data_stripes = legs ? legs : 1;
    if (strcmp(lv->segtype, "raid1") == 0) {
        lv->data_copies = lv->data_stripes;
    } else if (strncmp(lv->segtype, "raid10", 6) == 0) {
        lv->data_copies = lv->data_copies ? lv->data_copies : 2;
    } else {
        lv->data_copies = 1;
        parity = strncmp(lv->segtype, "raid6", 5) == 0 ? 2 :
                 strncmp(lv->segtype, "raid5", 5) == 0 ||
                 strncmp(lv->segtype, "raid4", 5) == 0;
    }
    if (lv->data_stripes > parity) {
        lv->data_stripes -= parity;
    }
    lv->data_stripes = lv->data_stripes > lv->data_copies
        ? lv->data_stripes / lv->data_copies : 1;
}

static int read_segment(struct parsing *p, struct lv_node *node,
                        const struct dm_config_node *segment, bool is_first)
{
    struct quota_metadata_lv *lv = node->lv;
    uint64_t extents, bytes, stripes = number_or_zero(segment, "stripe_count");
    uint64_t devices = number_or_zero(segment, "device_count");
    uint64_t parts = stripes ? stripes : 1;
    const char *type = string_of(segment, "type");

    if (!type || number_of(segment, "extent_count", &extents) < 0 ||
        extents_to_bytes(p, extents, &bytes) < 0 ||
        __builtin_add_overflow(lv->size_bytes, bytes, &lv->size_bytes)) {
        return -EBADMSG;
    }
    if (segment_is_known(type)) {
        take_areas(p, node, segment, "stripes", (extents + parts - 1) / parts);
        take_areas(p, node, segment, "mirrors", extents);
    } else {
        doubt(p, node, type);
    }
    if (!is_first) {
        return 0;
    }
    lv->segtype = segtype_of(p, type, stripes);
    if (!lv->segtype) {
        return -ENOMEM;
    }
    lv->data_copies = number_or_zero(segment, "data_copies");
    count_stripes(lv, stripes ? stripes : devices);
    lv->chunk_bytes = number_or_zero(segment, "chunk_size") * SECTOR_BYTES;
    lv->transaction = number_or_zero(segment, "transaction_id");
    lv->thin_pool = string_of(segment, "thin_pool");
    lv->external_origin = string_of(segment, "external_origin");
    lv->origin = lv->thin_pool ? string_of(segment, "origin") : NULL;
    return 0;
}

static int read_lv(struct parsing *p, const struct dm_config_node *config,
                   struct quota_metadata_lv *lv)
{
    struct lv_node *node = dm_pool_zalloc(p->pool, sizeof(*node));
    const struct dm_config_node *segment;
    bool is_first = true;
    int ret;

    if (!node) {
        return -ENOMEM;
    }
    node->lv = lv;
    node->config = config;
    lv->name = config->key;
    lv->uuid = string_of(config, "id");
    lv->tags = tags_of(p->pool, config);
    lv->is_visible = has_flag(config, "status", "VISIBLE");
    lv->is_writable = has_flag(config, "status", "WRITE") ||
                      has_flag(config, "flags", "WRITE_LOCKED");
    if (dm_hash_lookup(p->lvs, lv->name)) {
        return -EBADMSG;        /* one of the two would not be charged */
    }
    if (!lv->tags || !dm_hash_insert(p->lvs, lv->name, node)) {
        return -ENOMEM;
    }
    for (segment = config->child; segment; segment = segment->sib) {
        if (!segment->child) {
            continue;           /* LVM takes every section for a segment */
        }
        ret = read_segment(p, node, segment, is_first);
        if (ret < 0) {
            return ret;
        }
        is_first = false;
    }
    if (!lv->uuid || is_first) {
        return -EBADMSG;
    }
    return 0;
}

/* Most keys are, and name nothing. */
static bool is_number(const struct dm_config_node *config)
{
    return config->v && config->v->type != DM_CFG_STRING && !config->v->next;
}

/*
 * What a key names that is not known: a device, of which the segment then has all
 * its extents, or an LV, which may not be a part: the tenant in its tag is charged
 * for it, too.  Other strings are settings.
 */
static void doubt_names(struct parsing *p, struct lv_node *node,
                        const struct dm_config_node *config, uint64_t extents,
                        unsigned depth)
{
    const struct dm_config_value *value;
    const struct dm_config_node *child;
    struct lv_node *named;

    for (value = config->v; value; value = value->next) {
        if (value->type != DM_CFG_STRING) {
            continue;
        }
        if (dm_hash_lookup(p->pvs, value->v.str)) {
            node->own_extents += extents;
            doubt(p, node, config->key);
        } else if ((named = dm_hash_lookup(p->lvs, value->v.str))) {
            named->lv->is_visible = true;
            doubt(p, node, config->key);
        }
    }
    if (config->child && depth == DEPTH_MAX) {
        doubt(p, node, config->key);
        return;
    }
    for (child = config->child; child; child = child->sib) {
        doubt_names(p, node, child, extents, depth + 1);
    }
}

static void doubt_keys(struct parsing *p, struct lv_node *node)
{
    const struct dm_config_node *segment, *child;

    for (segment = node->config->child; segment; segment = segment->sib) {
        const char *type = segment->child ? string_of(segment, "type") : NULL;
        bool is_known = type && segment_is_known(type);

        for (child = type ? segment->child : NULL; child; child = child->sib) {
            enum segment_role role = is_number(child) ? SEGMENT_WORD
                                     : segment_role(type, child->key);

            if (role == SEGMENT_UNKNOWN ||
                (!is_known && role != SEGMENT_WORD)) {
                doubt_names(p, node, child,
                            number_or_zero(segment, "extent_count"), 0);
            }
        }
    }
    p->extents_taken += node->own_extents;
}

static uint64_t sum_extents(struct parsing *p, struct lv_node *node,
                            unsigned depth);

/* The part's extents; a doubt about a part is one about the whole. */
static uint64_t sum_part(struct parsing *p, struct lv_node *node,
                         const char *key, const char *name, unsigned depth)
{
    struct lv_node *sub = dm_hash_lookup(p->lvs, name);
    uint64_t extents;

    if (!sub || sub->is_in_sum || depth == DEPTH_MAX) {
        doubt(p, node, key);       /* missing, in a circle, or deeper than LVM goes */
        return 0;
    }
    extents = sum_extents(p, sub, depth + 1);
    if (sub->lv->unknown) {
        doubt(p, node, sub->lv->unknown);
    }
    return is_pvmove(name) ? 0 : extents;
}

/* Each LV once, however often it is named: of text that is not metadata, all
 * ways down would be too many. */
static uint64_t sum_extents(struct parsing *p, struct lv_node *node,
                            unsigned depth)
{
    const struct dm_config_node *segment, *child;
    const struct dm_config_value *value;
    uint64_t extents = node->own_extents + node->moving_extents;

    if (node->is_summed) {
        return node->extents;
    }
    node->is_in_sum = true;
    for (segment = node->config->child; segment; segment = segment->sib) {
        const char *type = segment->child ? string_of(segment, "type") : NULL;

        for (child = type ? segment->child : NULL; child; child = child->sib) {
            /* areas alone may be devices: LVM looks there first */
            bool is_areas = strcmp(child->key, "stripes") == 0 ||
                            strcmp(child->key, "mirrors") == 0;

            if (is_number(child) ||
                segment_role(type, child->key) != SEGMENT_BELOW) {
                continue;
            }
            for (value = child->v; value; value = value->next) {
                if (value->type == DM_CFG_STRING &&
                    !(is_areas && dm_hash_lookup(p->pvs, value->v.str)) &&
                    __builtin_add_overflow(extents,
                                           sum_part(p, node, child->key,
                                                    value->v.str, depth),
                                           &extents)) {
                    extents = UINT64_MAX;
                }
            }
        }
    }
    node->is_in_sum = false;
    node->is_summed = true;
    node->extents = extents;
    return extents;
}

/*
 * A snapshot that is not thin is told by an LV of its own,
 *     snapshot0 { segment1 { type = "snapshot"
 *                            origin = "acme.logs" cow_store = "acme.before" } }
 * which takes no extents.  It is the one marked as visible, though users see
 * the other, with the copies.
 */
static void join_snapshot(struct parsing *p, const struct dm_config_node *config)
{
    const struct dm_config_node *segment = section(config, "segment1");
    const char *type, *cow, *origin;
    struct lv_node *node, *join;

    if (!segment || !(type = string_of(segment, "type")) ||
        !segment_is(type, "snapshot") ||
        !(origin = string_of(segment, "origin"))) {
        return;
    }
    cow = string_of(segment, "cow_store");
    if (!cow) {
        cow = string_of(segment, "merging_store");
    }
    if (!cow || !(node = dm_hash_lookup(p->lvs, cow))) {
        return;
    }
    join = dm_hash_lookup(p->lvs, config->key);
    if (join->lv->unknown) {
        doubt(p, node, join->lv->unknown);
    }
    join->lv->is_visible = false;
    node->lv->is_visible = true;
    node->lv->segtype = "snapshot";
    node->lv->origin = origin;
    node->lv->origin_bytes = join->lv->size_bytes;
    node->lv->chunk_bytes = number_or_zero(segment, "chunk_size") * SECTOR_BYTES;
}

static int finish_lv(struct parsing *p, struct lv_node *node)
{
    const struct dm_config_node *segment = section(node->config, "segment1");
    const char *metadata = segment ? string_of(segment, "metadata") : NULL;
    struct lv_node *sub = metadata ? dm_hash_lookup(p->lvs, metadata) : NULL;
    struct quota_metadata_lv *lv = node->lv;
    uint64_t extents = sum_extents(p, node, 0);

    if (sub && strcmp(lv->segtype, "thin-pool") == 0) {
        lv->metadata_bytes = sub->lv->size_bytes;
    }
    if (extents > p->extents) {
        doubt(p, node, "extent_count");
    }
    return extents_to_bytes(p, lv->unknown ? p->extents : extents,
                            &lv->physical_bytes);
}

static int read_lvs(struct parsing *p, const struct dm_config_node *vg)
{
    const struct dm_config_node *lvs = section(vg, "logical_volumes");
    struct quota_metadata_group *group = p->group;
    const struct dm_config_node *node;
    size_t i, n = 0;
    int ret;

    for (node = lvs ? lvs->child : NULL; node; node = node->sib) {
        n++;
    }
    group->lvs = dm_pool_zalloc(p->pool, (n + 1) * sizeof(*group->lvs));
    if (!group->lvs) {
        return -ENOMEM;
    }
    for (node = lvs ? lvs->child : NULL; node; node = node->sib) {
        ret = read_lv(p, node, &group->lvs[group->nlvs++]);
        if (ret < 0) {
            return ret;
        }
    }
    for (node = lvs ? lvs->child : NULL; node; node = node->sib) {
        doubt_keys(p, dm_hash_lookup(p->lvs, node->key));
        join_snapshot(p, node);
    }
    for (i = 0; i < group->nlvs; i++) {
        ret = finish_lv(p, dm_hash_lookup(p->lvs, group->lvs[i].name));
        if (ret < 0) {
            return ret;
        }
    }
    return 0;
}

/* ---- the group --------------------------------------------------------------- */

static int read_vg(struct parsing *p, const struct dm_config_node *vg,
                   text_device_check *is_read, void *opaque)
{
    struct quota_metadata_group *group = p->group;
    uint64_t sectors;
    int ret;

    group->name = vg->key;
    group->uuid = string_of(vg, "id");
    group->tags = tags_of(p->pool, vg);
    group->is_exported = has_flag(vg, "status", "EXPORTED");
    group->is_shared = string_of(vg, "lock_type") != NULL;
    if (!group->tags) {
        return -ENOMEM;
    }
    if (!group->uuid ||
        number_of(vg, "seqno", &group->seqno) < 0 ||
        number_of(vg, "extent_size", &sectors) < 0 || sectors == 0 ||
        __builtin_mul_overflow(sectors, SECTOR_BYTES, &group->extent_bytes)) {
        return -EBADMSG;
    }
    ret = read_pvs(p, vg, is_read, opaque);
    if (ret == 0) {
        ret = read_lvs(p, vg);
    }
    if (ret < 0) {
        return ret;
    }
    if (extents_to_bytes(p, p->extents, &group->size_bytes) < 0 ||
        (p->extents_taken > p->extents && !p->is_doubted)) {
        return -EBADMSG;
    }
    if (p->extents_taken > p->extents) {
        p->extents_taken = p->extents;
    }
    return extents_to_bytes(p, p->extents - p->extents_taken,
                            &group->free_bytes);
}

int text_parse(const char *text, const char *name, text_device_check *is_read,
               void *opaque, struct quota_metadata_group **result)
{
    struct group_memory *memory = NULL;
    struct dm_config_tree *tree = tree_read(text);
    struct dm_pool *pool = dm_pool_create("quota-metadata", 64 * 1024);
    struct parsing p = { .pool = pool };
    const struct dm_config_node *vg = tree ? tree->root : NULL;
    int ret = -ENOMEM;

    *result = NULL;
    if (!pool) {
        goto out;
    }
    if (!tree) {
        ret = -EBADMSG;
        goto out;
    }
    while (vg && !vg->child) {  /* contents, version, creation_time, ... */
        vg = vg->sib;
    }
    if (!vg || strcmp(vg->key, name) != 0) {
        ret = vg ? -ENOENT : -EBADMSG;
        goto out;
    }
    memory = dm_pool_zalloc(pool, sizeof(*memory));
    p.pvs = dm_hash_create(64);
    p.lvs = dm_hash_create(1024);
    if (!memory || !p.pvs || !p.lvs) {
        goto out;
    }
    p.group = &memory->group;
    ret = read_vg(&p, vg, is_read, opaque);
    if (ret == 0) {
        memory->pool = pool;
        memory->tree = tree;
        *result = &memory->group;
    }
 out:
    if (p.pvs) {
        dm_hash_destroy(p.pvs);
    }
    if (p.lvs) {
        dm_hash_destroy(p.lvs);
    }
    if (!*result) {
        if (tree) {
            dm_config_destroy(tree);
        }
        if (pool) {
            dm_pool_destroy(pool);
        }
    }
    return ret;
}

int quota_metadata_parse(const char *text, const char *group,
                         struct quota_metadata_group **result)
{
    return text_parse(text, group, NULL, NULL, result);
}

void quota_metadata_group_free(struct quota_metadata_group *group)
{
    struct group_memory *memory = (struct group_memory *)group;

    if (!memory) {
        return;
    }
    dm_config_destroy(memory->tree);
    dm_pool_destroy(memory->pool);
}
