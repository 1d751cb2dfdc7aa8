/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * segment.c: which kinds of segments are known, and what their keys name.
 *
 * Types are those of lvm2's lib/metadata/segtype.h, flags those that its
 * lib/format_text/flags.c appends to a type, keys those that the text_export of
 * each type writes, as of 2.03.31 and 2.03.39.  No other word is guessed at: the
 * LV that has it is charged all that it can take.
 */
#include <stddef.h>
#include <string.h>

#include "segment.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const types[] = {
    "cache", "cache-pool", "error", "integrity", "linear", "mirror", "raid0",
    "raid0_meta", "raid1", "raid10", "raid10_near", "raid4", "raid5",
    "raid5_la", "raid5_ls", "raid5_n", "raid5_ra", "raid5_rs", "raid6",
    "raid6_la_6", "raid6_ls_6", "raid6_n_6", "raid6_nc", "raid6_nr",
    "raid6_ra_6", "raid6_rs_6", "raid6_zr", "snapshot", "striped", "thin",
    "thin-pool", "vdo", "vdo-pool", "writecache", "zero",
};

/* LVM appends only flags that an older version must not ignore. */
static const char *const flags[] = {
    "CACHE_USES_CACHEVOL", "CROP_METADATA", "METADATA_FORMAT",
    "REMOVE_AFTER_RESHAPE", "RESHAPE", "RESHAPE_DATA_OFFSET",
    "RESHAPE_DELTA_DISKS_MINUS", "RESHAPE_DELTA_DISKS_PLUS",
};

static const struct {
    const char *key;
    enum segment_role role;
} keys[] = {
    { "stripes", SEGMENT_BELOW },
    { "mirrors", SEGMENT_BELOW },
    { "mirror_log", SEGMENT_BELOW },
    { "raids", SEGMENT_BELOW },
    { "raid0_lvs", SEGMENT_BELOW },
    { "data", SEGMENT_BELOW },              /* cache-pool, vdo-pool */
    { "pool", SEGMENT_BELOW },              /* a thin pool's data */
    { "metadata", SEGMENT_BELOW },
    { "meta_dev", SEGMENT_BELOW },
    { "origin", SEGMENT_BELOW },
    { "cache_pool", SEGMENT_BELOW },        /* or a cachevol */
    { "writecache", SEGMENT_BELOW },
    /* LVM allows a pool one volume, and lvconvert leaves the tags there */
    { "vdo_pool", SEGMENT_BELOW },
    { "thin_pool", SEGMENT_BESIDE },
    { "external_origin", SEGMENT_BESIDE },
    { "merge", SEGMENT_BESIDE },
    { "cow_store", SEGMENT_BESIDE },
    { "merging_store", SEGMENT_BESIDE },
    { "type", SEGMENT_WORD },
    { "tags", SEGMENT_WORD },
    { "cache_mode", SEGMENT_WORD },
    { "policy", SEGMENT_WORD },
    { "policy_settings", SEGMENT_WORD },
    { "metadata_id", SEGMENT_WORD },        /* UUIDs of a cachevol's parts */
    { "data_id", SEGMENT_WORD },
    { "discards", SEGMENT_WORD },
    { "mode", SEGMENT_WORD },
    { "internal_hash", SEGMENT_WORD },
    { "write_policy", SEGMENT_WORD },
    { "writecache_setting_key", SEGMENT_WORD },
    { "writecache_setting_val", SEGMENT_WORD },
};

static bool is_listed(const char *const *list, size_t count, const char *word,
                      size_t len)
{
    for (size_t i = 0; i < count; i++) {
        if (strncmp(list[i], word, len) == 0 && list[i][len] == '\0') {
            return true;
        }
    }
    return false;
}

bool segment_is_known(const char *type)
{
    size_t len = strcspn(type, "+");

    if (!is_listed(types, COUNT(types), type, len)) {
        return false;
    }
    for (type += len; *type; type += len) {
        len = strcspn(++type, "+");
        if (!is_listed(flags, COUNT(flags), type, len)) {
            return false;
        }
    }
    return true;
}

bool segment_is(const char *type, const char *name)
{
    size_t len = strlen(name);

    return strncmp(type, name, len) == 0 && strchr("+", type[len]);
}

enum segment_role segment_role(const char *type, const char *key)
{
    bool is_thin_pool = segment_is(type, "thin-pool");

    /* thin volumes and snapshots lie beside their origin; nobody is charged for
     * the metadata of a thin pool */
    if ((strcmp(key, "origin") == 0 &&
         (segment_is(type, "thin") || segment_is(type, "snapshot"))) ||
        (strcmp(key, "metadata") == 0 && is_thin_pool)) {
        return SEGMENT_BESIDE;
    }
    /* message1 { create = "acme.new" }: what its transaction will do */
    if (is_thin_pool && strncmp(key, "message", strlen("message")) == 0) {
        return SEGMENT_WORD;
    }
    for (size_t i = 0; i < COUNT(keys); i++) {
        if (strcmp(keys[i].key, key) == 0) {
            return keys[i].role;
        }
    }
    return SEGMENT_UNKNOWN;
}
