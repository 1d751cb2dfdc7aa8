/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quota-limits.h: a tenant's limits, and how each is written: as an LVM tag,
 * as an XML element, as a command-line option.
 *
 * One table (quota_limit_fields) names every limit; adding a limit means
 * adding a row.  Nothing here touches shared memory.
 */
#ifndef QUOTA_LIMITS_H
#define QUOTA_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A host's modules each have a copy of this library, and do not offer it to
 * one another. */
#pragma GCC visibility push(hidden)

enum quota_rate_kind {
    QUOTA_RATE_TOTAL_BYTES,
    QUOTA_RATE_READ_BYTES,
    QUOTA_RATE_WRITE_BYTES,
    QUOTA_RATE_TOTAL_IOPS,
    QUOTA_RATE_READ_IOPS,
    QUOTA_RATE_WRITE_IOPS,
    QUOTA_RATE_MAX
};

/* struct quota_rate: a throughput limit, as libvirt's <iotune> means it. */
struct quota_rate {
    uint64_t per_sec;           /* bytes or I/Os a second; 0: no limit */
    uint64_t max_per_sec;       /* while bursting; 0: no burst */
    uint64_t max_length_sec;    /* how long a burst may last; 0 means 1 */
};

struct quota_limits {
    uint64_t limit_bytes;       /* of physical space; 0: not set */
    uint64_t step_bytes;        /* growth of the grant; 0: the default */
    uint64_t guarantee_bytes;   /* of physical space, kept for the tenant */
    uint64_t max_volumes;       /* 0: as many as LVM takes */
    struct quota_rate rates[QUOTA_RATE_MAX];
};

#define QUOTA_STEP_DEFAULT_BYTES (UINT64_C(1) << 30)

enum quota_unit {
    QUOTA_UNIT_BYTES,
    QUOTA_UNIT_BYTES_PER_SEC,
    QUOTA_UNIT_IOPS,
    QUOTA_UNIT_SECONDS,
    QUOTA_UNIT_COUNT
};

/*
 * struct quota_limit_field: @name is the XML element and the tag's key
 * ("limit", "total_bytes_sec", "total_bytes_sec_max",
 * "total_bytes_sec_max_length", as <iotune> has them); the command line
 * writes '-' for '_'.
 */
struct quota_limit_field {
    const char *name;
    size_t offset;              /* of the uint64_t in struct quota_limits */
    enum quota_unit unit;
    bool is_in_ledger;          /* needed at each write, or to grow; the others
                                   only when something is made or promised */
    const char *help;           /* one line, without a full stop */
};

extern const struct quota_limit_field quota_limit_fields[];
extern const size_t quota_limit_fields_count;

/* quota_limit_field_find: NULL when there is no such name. */
const struct quota_limit_field *quota_limit_field_find(const char *name);
uint64_t quota_limit_get(const struct quota_limits *limits,
                         const struct quota_limit_field *field);
void quota_limit_set(struct quota_limits *limits,
                     const struct quota_limit_field *field, uint64_t value);

/*
 * quota_limits_check: -EINVAL when the set makes no sense, with @field set to
 * the limit at fault and @why to the reason (static): a burst without a
 * sustained rate or below it, a total together with a read or write rate (as
 * <iotune> refuses it), a burst length without a burst, a guarantee above the
 * limit.
 */
int quota_limits_check(const struct quota_limits *limits,
                       const struct quota_limit_field **field,
                       const char **why);

/* quota_limits_digest: a stable 64-bit digest (FNV-1a over the table), to
 * tell a changed definition from an unchanged one. */
uint64_t quota_limits_digest(const struct quota_limits *limits);

#define QUOTA_TENANT_MAX_BYTES 32

/* ---- LVM tags ------------------------------------------------------------ */

/* All tags of ours begin so; LVM's alphabet allows ':' and '='. */
#define QUOTA_TAG_PREFIX "quota-lvm:"
/* On every LV of a tenant, its thin pool included: quota-lvm:tenant=<name>. */
#define QUOTA_TAG_TENANT QUOTA_TAG_PREFIX "tenant="
/* On the thin pool: digest of the pool definition that was last applied. */
#define QUOTA_TAG_DEFINITION QUOTA_TAG_PREFIX "definition="
/* The limits stand on the thin pool: quota-lvm:<field name>=<value>, in base
 * units, decimal; a limit that is not set has no tag. */
#define QUOTA_TAG_MAX_BYTES 128

/* On the volume group: how much of its size all limits together may promise, in
 * percent; without it there is no bound. */
#define QUOTA_TAG_OVERCOMMIT QUOTA_TAG_PREFIX "overcommit="

/* quota_tag_format_limit: the tag of @field in @limits; 0, or -ENOENT when
 * the limit is not set. */
int quota_tag_format_limit(const struct quota_limits *limits,
                           const struct quota_limit_field *field,
                           char tag[QUOTA_TAG_MAX_BYTES]);

/* quota_tag_parse_limit: put a tag into @limits.  -ENOENT: not a tag of a
 * limit (leave it alone); -EINVAL: one of ours, with a value that is none. */
int quota_tag_parse_limit(const char *tag, struct quota_limits *limits);

/* quota_tag_parse_overcommit: the percentage of a tag.  -ENOENT: another tag;
 * -EINVAL: no number from 1 to a million. */
int quota_tag_parse_overcommit(const char *tag, uint64_t *percent);

/* struct quota_owner: whose an LV is. */
struct quota_owner {
    char tenant[QUOTA_TENANT_MAX_BYTES + 1];    /* "": nobody's */
    bool is_of_two;             /* its tags name another tenant besides */
    bool is_of_invalid;         /* a tag names a tenant that there cannot be */
};

/*
 * quota_owner_find: of the LV @lv with @tags ("a,b").  An LV is one tenant's, who
 * is charged all of it: of those whom the tags name, the one after whom it is
 * called, since no other's pool shows it, or else the first.  A name that
 * quota_name_check_tenant refuses is nobody's.
 */
void quota_owner_find(const char *tags, const char *lv,
                      struct quota_owner *owner);

/* ---- names --------------------------------------------------------------- */

#define QUOTA_GROUP_MAX_BYTES 127
#define QUOTA_LV_MAX_BYTES 127  /* LVM's NAME_LEN - 1 */
#define QUOTA_DEVICE_MAX_BYTES 127  /* device-mapper's DM_NAME_LEN - 1 */
/* The tenant's thin pool is the LV <tenant>._thin: no volume can be called so,
 * because a volume's name begins with a letter or digit. */
#define QUOTA_THIN_POOL_VOLUME "_thin"

/*
 * quota_name_check_tenant: [a-z0-9][a-z0-9_-]{0,31}.
 * quota_name_check_lv: what LVM takes for an LV: its alphabet, short enough for
 * "<group>-<lv>" to be a device's name (@group NULL: not known yet), and free of
 * what LVM keeps for itself (snapshot..., ..._tdata..., ..._mimage..., ...).
 * quota_name_check_volume: [A-Za-z0-9][A-Za-z0-9+_.-]*, and "<tenant>.<volume>"
 * is an LV's name in @group (NULL: as above); @tenant is taken as checked.
 * quota_name_check_pool: the names of @tenant's thin pool and of its parts are
 * short enough; both names are taken as checked.
 * quota_name_check_group: LVM's alphabet for a volume group.
 * Return 0 or -EINVAL, with @why (may be NULL) set to a static reason that
 * ends a sentence ("must begin with a lower-case letter or a digit").
 */
int quota_name_check_tenant(const char *tenant, const char **why);
int quota_name_check_lv(const char *group, const char *lv, const char **why);
int quota_name_check_volume(const char *group, const char *tenant,
                            const char *volume, const char **why);
int quota_name_check_pool(const char *group, const char *tenant,
                          const char **why);
int quota_name_check_group(const char *group, const char **why);

/* quota_name_is_part: LVM calls only parts of other LVs so (..._tdata,
 * ..._rimage_0): one that is visible was left behind. */
bool quota_name_is_part(const char *lv);

/* quota_name_format_lv: "<tenant>.<volume>" into @lv.  Names are taken as
 * checked; -ENAMETOOLONG. */
int quota_name_format_lv(const char *tenant, const char *volume,
                         char lv[QUOTA_LV_MAX_BYTES + 1]);

/* quota_name_parse_lv: the volume part of @lv when it belongs to @tenant,
 * else NULL.  The thin pool gives QUOTA_THIN_POOL_VOLUME. */
const char *quota_name_parse_lv(const char *tenant, const char *lv);

/* ---- sizes --------------------------------------------------------------- */

/*
 * quota_size_parse: "10", "10G", "10GiB", "1.5 TiB", "500MB": units as
 * libvirt's scaled integers have them (k, KiB = 1024; KB = 1000; bytes, B, no
 * unit = 1), case-insensitive; a fraction must come out at whole bytes,
 * rounded down.  -EINVAL: not a number, negative, unknown unit; -ERANGE: more
 * than INT64_MAX bytes.  0 is allowed here; whoever needs more checks.
 */
int quota_size_parse(const char *text, uint64_t *bytes);

/* quota_size_scale: a number with a unit given apart, as XML does
 * (<limit unit='GiB'>10</limit>).  NULL: bytes.  Errors as above. */
int quota_size_scale(uint64_t number, const char *unit, uint64_t *bytes);

/* quota_size_format: "1.50 GiB", for people; whole bytes as "12 B". */
#define QUOTA_SIZE_MAX_BYTES 32
const char *quota_size_format(uint64_t bytes, char text[QUOTA_SIZE_MAX_BYTES]);

#pragma GCC visibility pop

#endif
