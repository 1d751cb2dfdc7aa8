/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tag.c: limits and tenants as LVM tags.  Only the tags of the known prefix
 * are ours; all others are left alone.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "quota-limits.h"

int quota_tag_format_limit(const struct quota_limits *limits,
                           const struct quota_limit_field *field,
                           char tag[QUOTA_TAG_MAX_BYTES])
{
    uint64_t value = quota_limit_get(limits, field);

    if (value == 0) {
        return -ENOENT;
    }
    snprintf(tag, QUOTA_TAG_MAX_BYTES, QUOTA_TAG_PREFIX "%s=%" PRIu64,
             field->name, value);
    return 0;
}

static const char *after_prefix(const char *tag, const char *prefix)
{
    size_t len = strlen(prefix);

    return strncmp(tag, prefix, len) == 0 ? tag + len : NULL;
}

/* Decimal digits alone, and not more than fit. */
static int parse_number(const char *text, uint64_t *value)
{
    *value = 0;
    if (*text == '\0') {
        return -EINVAL;
    }
    for (const char *p = text; *p; p++) {
        if (*p < '0' || *p > '9' ||
            *value > (uint64_t)(INT64_MAX - 9) / 10) {
            return -EINVAL;
        }
        *value = *value * 10 + (*p - '0');
    }
    return 0;
}

int quota_tag_parse_limit(const char *tag, struct quota_limits *limits)
{
    const char *key = after_prefix(tag, QUOTA_TAG_PREFIX);
    const char *equals = key ? strchr(key, '=') : NULL;
    const struct quota_limit_field *field;
    char name[QUOTA_TAG_MAX_BYTES];
    uint64_t value;

    if (!equals || (size_t)(equals - key) >= sizeof(name)) {
        return -ENOENT;
    }
    memcpy(name, key, equals - key);
    name[equals - key] = '\0';
    field = quota_limit_field_find(name);
    if (!field) {
        return -ENOENT;
    }
    if (parse_number(equals + 1, &value) < 0) {
        return -EINVAL;
    }
    quota_limit_set(limits, field, value);
    return 0;
}

int quota_tag_parse_overcommit(const char *tag, uint64_t *percent)
{
    const char *text = after_prefix(tag, QUOTA_TAG_OVERCOMMIT);

    if (!text) {
        return -ENOENT;
    }
    return parse_number(text, percent) < 0 || *percent == 0 ||
           *percent > 1000000 ? -EINVAL : 0;
}

void quota_owner_find(const char *tags, const char *lv,
                      struct quota_owner *owner)
{
    bool is_called = false;     /* the LV, after the owner so far */

    memset(owner, 0, sizeof(*owner));
    for (size_t len; *tags; tags += len + (tags[len] == ',')) {
        const char *name = after_prefix(tags, QUOTA_TAG_TENANT);
        char tenant[QUOTA_TENANT_MAX_BYTES + 2];
        size_t name_len;

        len = strcspn(tags, ",");
        if (!name) {
            continue;
        }
        name_len = len - strlen(QUOTA_TAG_TENANT);
        if (name_len >= sizeof(tenant)) {
            name_len = sizeof(tenant) - 1;      /* still too long */
        }
        memcpy(tenant, name, name_len);
        tenant[name_len] = '\0';
        if (quota_name_check_tenant(tenant, NULL) < 0) {
            owner->is_of_invalid = true;
            continue;
        }
        owner->is_of_two |= *owner->tenant && strcmp(owner->tenant, tenant) != 0;
        if (!*owner->tenant || (!is_called && quota_name_parse_lv(tenant, lv))) {
            memcpy(owner->tenant, tenant, name_len + 1);
            is_called = quota_name_parse_lv(tenant, lv) != NULL;
        }
    }
}
