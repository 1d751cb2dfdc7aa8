/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * group.c: what a volume group's tenants were promised of it.
 *
 * Pure functions on what the caller read from LVM under the group's lock.
 */
#include <errno.h>

#include "quota-charge.h"

/* What is left of a guarantee, beside what the tenant holds, thick volumes and
 * grant. */
static uint64_t guarantee_missing(const struct quota_state *state,
                                  uint64_t guarantee_bytes)
{
    uint64_t held = quota_add_saturating(state->thick_bytes, state->grant_bytes);

    return guarantee_bytes > held ? guarantee_bytes - held : 0;
}

void quota_group_add(struct quota_group *group,
                     const struct quota_state *state)
{
    uint64_t missing = guarantee_missing(state,
                                         state->limits.guarantee_bytes);

    group->limits_bytes = quota_add_saturating(group->limits_bytes,
                                               state->limits.limit_bytes);
    group->kept_bytes = quota_add_saturating(group->kept_bytes, missing);
}

struct quota_group quota_group_without(const struct quota_group *group,
                                       const struct quota_state *state)
{
    struct quota_group others = *group;

    others.limits_bytes -= state->limits.limit_bytes;
    others.kept_bytes -= guarantee_missing(state,
                                           state->limits.guarantee_bytes);
    return others;
}

uint64_t quota_group_free(const struct quota_group *others)
{
    return others->free_bytes > others->kept_bytes ?
           others->free_bytes - others->kept_bytes : 0;
}

int quota_group_check(const struct quota_group *others,
                      const struct quota_state *state,
                      const struct quota_limits *limits, uint64_t *most)
{
    uint64_t missing = guarantee_missing(state, limits->guarantee_bytes);
    uint64_t percent = others->overcommit_percent;
    uint64_t allowed = others->size_bytes / 100;

    /* whole hundredths: never a byte too many */
    allowed = percent && allowed > UINT64_MAX / percent ? UINT64_MAX
                                                        : allowed * percent;

    if (limits->guarantee_bytes > state->limits.guarantee_bytes &&
        missing > quota_group_free(others)) {
        *most = quota_add_saturating(
            quota_add_saturating(state->thick_bytes, state->grant_bytes),
            quota_group_free(others));
        return -ENOSPC;
    }
    *most = allowed > others->limits_bytes ? allowed - others->limits_bytes : 0;
    if (percent && limits->limit_bytes > state->limits.limit_bytes &&
        limits->limit_bytes > *most) {
        return -EDQUOT;
    }
    return 0;
}
