/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * charge.c: how a tenant's LVs are charged, what may still be added, and the
 * reasons why not.
 */
#include <errno.h>
#include <string.h>

#include "quota-charge.h"

static const char *const reason_names[QUOTA_REASON_MAX] = {
    [QUOTA_REASON_NONE] = "none",
    [QUOTA_REASON_VOLUME_LIMIT] = "volume-limit",
    [QUOTA_REASON_TENANT_LIMIT] = "tenant-limit",
    [QUOTA_REASON_GROUP_FULL] = "group-full",
    [QUOTA_REASON_ACCOUNTING_LOST] = "accounting-lost",
};

const char *quota_reason_name(enum quota_reason reason)
{
    if ((unsigned)reason >= QUOTA_REASON_MAX) {
        reason = QUOTA_REASON_ACCOUNTING_LOST;
    }
    return reason_names[reason];
}

int quota_state_charge(struct quota_state *state, const struct quota_lv *lv)
{
    const char *tag = lv->tags ? lv->tags : "";
    uint64_t taken = lv->physical_bytes > lv->size_bytes ? lv->physical_bytes
                                                         : lv->size_bytes;
    int ret = 0;

    if (strcmp(lv->segtype, "thin-pool") != 0) {
        state->volumes++;
        if (strcmp(lv->segtype, "thin") == 0) {
            taken = lv->physical_bytes;     /* none, unless it is not known */
        }
        state->thick_bytes = quota_add_saturating(state->thick_bytes, taken);
        return 0;
    }
    state->thick_bytes = quota_add_saturating(state->thick_bytes,
                                              taken - lv->size_bytes);
    state->grant_bytes = quota_add_saturating(state->grant_bytes, lv->size_bytes);
    state->chunk_bytes = lv->chunk_bytes;
    while (*tag) {
        size_t len = strcspn(tag, ",");
        char one[QUOTA_TAG_MAX_BYTES];

        if (len < sizeof(one)) {
            memcpy(one, tag, len);
            one[len] = '\0';
            if (quota_tag_parse_limit(one, &state->limits) == -EINVAL) {
                ret = -EINVAL;
            }
        }
        tag += len + (tag[len] == ',');
    }
    return ret;
}

uint64_t quota_state_can_grow(const struct quota_state *state,
                              enum quota_reason *reason)
{
    uint64_t held = quota_add_saturating(state->thick_bytes, state->grant_bytes);
    uint64_t room = state->limits.limit_bytes > held ?
                    state->limits.limit_bytes - held : 0;
    bool is_limit = room <= state->group_free_bytes;

    if (reason) {
        *reason = is_limit ? QUOTA_REASON_TENANT_LIMIT
                           : QUOTA_REASON_GROUP_FULL;
    }
    return is_limit ? room : state->group_free_bytes;
}
