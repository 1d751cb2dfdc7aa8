/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * name.c: which names a tenant, a volume and a volume group may have, and how
 * the first two make the name of a logical volume.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "quota-limits.h"

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
    return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z');
}

static int refuse(const char **why, const char *reason)
{
    if (why) {
        *why = reason;
    }
    return -EINVAL;
}

/*
 * Words that LVM gives to the hidden parts of a volume: both lists of lvm2's
 * lib/misc/lvm-string.c, as of 2.03.31 and 2.03.39.  It refuses a name that
 * contains one anywhere.
 */
static const char *const reserved_words[] = {
    "_cdata", "_cmeta", "_corig", "_cpool", "_cvol", "_imeta", "_iorig",
    "_mimage", "_mlog", "_pmspare", "_rimage", "_rmeta", "_tdata", "_tmeta",
    "_vdata", "_vorigin", "_wcorig",
};
#define RESERVED_WORDS (sizeof(reserved_words) / sizeof(reserved_words[0]))

static bool has_reserved_word(const char *name)
{
    for (size_t i = 0; i < RESERVED_WORDS; i++) {
        if (strstr(name, reserved_words[i])) {
            return true;
        }
    }
    return false;
}

static bool has_reserved_prefix(const char *name)
{
    return strncmp(name, "snapshot", 8) == 0 || strncmp(name, "pvmove", 6) == 0;
}

bool quota_name_is_part(const char *lv)
{
    size_t len = strlen(lv);

    while (len > 0 && lv[len - 1] >= '0' && lv[len - 1] <= '9') {
        len--;
    }
    if (lv[len] && len > 0 && lv[len - 1] == '_') {
        len--;                  /* acme.logs_rimage_0 */
    } else {
        len = strlen(lv);
    }
    for (size_t i = 0; i < RESERVED_WORDS; i++) {
        size_t word = strlen(reserved_words[i]);

        if (len >= word &&
            memcmp(lv + len - word, reserved_words[i], word) == 0) {
            return true;
        }
    }
    return false;
}

int quota_name_check_tenant(const char *tenant, const char **why)
{
    if (!is_lower_or_digit(tenant[0])) {
        return refuse(why, "must begin with a lower-case letter or a digit");
    }
    for (const char *p = tenant; *p; p++) {
        if (!is_lower_or_digit(*p) && *p != '_' && *p != '-') {
            return refuse(why, "may only have lower-case letters, digits, "
                               "'_' and '-'");
        }
    }
    if (strlen(tenant) > QUOTA_TENANT_MAX_BYTES) {
        return refuse(why, "is longer than 32 characters");
    }
    /* A volume of the tenant begins with the tenant's name. */
    if (has_reserved_prefix(tenant)) {
        return refuse(why, "must not begin with 'snapshot' or 'pvmove', which "
                           "LVM keeps for itself");
    }
    if (has_reserved_word(tenant)) {
        return refuse(why, "has a word in it that LVM keeps for itself, such "
                           "as '_tdata'");
    }
    return 0;
}

/* What a name takes in one of device-mapper's: each hyphen stands twice. */
static size_t device_bytes(const char *name)
{
    size_t bytes = 0;

    for (; *name; name++) {
        bytes += *name == '-' ? 2 : 1;
    }
    return bytes;
}

int quota_name_check_lv(const char *group, const char *lv, const char **why)
{
    if (lv[0] == '\0') {
        return refuse(why, "is empty");
    }
    if (lv[0] == '-' || strcmp(lv, ".") == 0 || strcmp(lv, "..") == 0) {
        return refuse(why, "must not be '.' or '..' or begin with '-'");
    }
    for (const char *p = lv; *p; p++) {
        if (!is_alnum(*p) && !strchr("+_.-", *p)) {
            return refuse(why, "may only have letters, digits, '+', '_', '.' "
                               "and '-'");
        }
    }
    if (strlen(lv) > QUOTA_LV_MAX_BYTES) {
        return refuse(why, "is longer than 127 characters");
    }
    if (group &&
        device_bytes(group) + 1 + device_bytes(lv) > QUOTA_DEVICE_MAX_BYTES) {
        return refuse(why, "is too long: device-mapper has 127 characters for "
                           "the names of volume group and LV, a hyphen "
                           "between them, and each '-' in them doubled");
    }
    if (has_reserved_prefix(lv)) {
        return refuse(why, "must not begin with 'snapshot' or 'pvmove', which "
                           "LVM keeps for itself");
    }
    if (has_reserved_word(lv)) {
        return refuse(why, "has a word in it that LVM keeps for itself, such "
                           "as '_tdata'");
    }
    return 0;
}

int quota_name_check_volume(const char *group, const char *tenant,
                            const char *volume, const char **why)
{
    char lv[QUOTA_LV_MAX_BYTES + 1];

    if (!is_alnum(volume[0])) {
        return refuse(why, "must begin with a letter or a digit");
    }
    if (quota_name_format_lv(tenant, volume, lv) < 0) {
        return refuse(why, "is too long: with the tenant's name and a dot it "
                           "may have 127 characters");
    }
    return quota_name_check_lv(group, lv, why);
}

int quota_name_check_pool(const char *group, const char *tenant,
                          const char **why)
{
    /* LVM's longest names for its parts end in -tpool, _tdata and _tmeta */
    if (device_bytes(group) + strlen("-") + device_bytes(tenant) +
        strlen("." QUOTA_THIN_POOL_VOLUME "-tpool") > QUOTA_DEVICE_MAX_BYTES) {
        return refuse(why, "is too long: device-mapper leaves 114 characters "
                           "for the names of volume group and tenant, each "
                           "'-' counted twice");
    }
    return 0;
}

int quota_name_check_group(const char *group, const char **why)
{
    if (group[0] == '\0') {
        return refuse(why, "is empty");
    }
    if (group[0] == '-' || strcmp(group, ".") == 0 ||
        strcmp(group, "..") == 0) {
        return refuse(why, "must not be '.' or '..' or begin with '-'");
    }
    for (const char *p = group; *p; p++) {
        if (!is_alnum(*p) && !strchr("+_.-", *p)) {
            return refuse(why, "may only have letters, digits, '+', '_', '.' "
                               "and '-'");
        }
    }
    if (strlen(group) > QUOTA_GROUP_MAX_BYTES) {
        return refuse(why, "is longer than 127 characters");
    }
    return 0;
}

int quota_name_format_lv(const char *tenant, const char *volume,
                         char lv[QUOTA_LV_MAX_BYTES + 1])
{
    int n = snprintf(lv, QUOTA_LV_MAX_BYTES + 1, "%s.%s", tenant, volume);

    return (unsigned)n > QUOTA_LV_MAX_BYTES ? -ENAMETOOLONG : 0;
}

const char *quota_name_parse_lv(const char *tenant, const char *lv)
{
    size_t len = strlen(tenant);

    return strncmp(lv, tenant, len) == 0 && lv[len] == '.' && lv[len + 1] ?
           lv + len + 1 : NULL;
}
