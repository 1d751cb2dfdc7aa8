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
 * Words that LVM gives to the hidden parts of a volume; lvm(8), "VALID NAMES".
 * It refuses a name that contains one anywhere.
 */
static bool has_reserved_word(const char *name)
{
    static const char *const words[] = {
        "_cdata", "_cmeta", "_corig", "_cvol", "_imeta", "_iorig", "_mimage",
        "_mlog", "_pmspare", "_rimage", "_rmeta", "_tdata", "_tmeta",
        "_vdata", "_vorigin",
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strstr(name, words[i])) {
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
    if (strncmp(tenant, "snapshot", 8) == 0 ||
        strncmp(tenant, "pvmove", 6) == 0) {
        return refuse(why, "must not begin with 'snapshot' or 'pvmove', which "
                           "LVM keeps for itself");
    }
    if (has_reserved_word(tenant)) {
        return refuse(why, "has a word in it that LVM keeps for itself, such "
                           "as '_tdata'");
    }
    return 0;
}

int quota_name_check_volume(const char *tenant, const char *volume,
                            const char **why)
{
    if (!is_alnum(volume[0])) {
        return refuse(why, "must begin with a letter or a digit");
    }
    for (const char *p = volume; *p; p++) {
        if (!is_alnum(*p) && !strchr("+_.-", *p)) {
            return refuse(why, "may only have letters, digits, '+', '_', '.' "
                               "and '-'");
        }
    }
    if (strlen(tenant) + 1 + strlen(volume) > QUOTA_LV_MAX_BYTES) {
        return refuse(why, "is too long: with the tenant's name and a dot it "
                           "may have 127 characters");
    }
    if (has_reserved_word(volume)) {
        return refuse(why, "has a word in it that LVM keeps for itself, such "
                           "as '_tdata'");
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
