/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * growth-size.c: see growth-size.h.
 */
#include <glib.h>

#include "growth-size.h"

static uint64_t
growth_step(const struct quota_state *state)
{
    return state->limits.step_bytes ? state->limits.step_bytes
                                    : QUOTA_STEP_DEFAULT_BYTES;
}

static uint64_t
growth_room(const struct quota_state *state, const struct growth_need *need)
{
    return state->grant_bytes > need->used_bytes
        ? state->grant_bytes - need->used_bytes : 0;
}

/* The room that there should be. */
static uint64_t
growth_ahead(const struct quota_state *state, const struct growth_need *need)
{
    return MAX(growth_step(state) / 2, need->ahead_bytes);
}

uint64_t
growth_spare_bytes(const struct quota_state *state,
                   const struct growth_need *need)
{
    uint64_t room = growth_room(state, need);
    uint64_t ahead = growth_ahead(state, need);

    return room > ahead ? room - ahead : 0;
}

void
growth_decide(const struct quota_state *state, uint64_t extent_bytes,
              const struct growth_need *need, struct growth_plan *plan)
{
    uint64_t step = growth_step(state);
    uint64_t room = growth_room(state, need);
    uint64_t ahead = growth_ahead(state, need);
    uint64_t can, wanted;

    plan->extents = 0;
    plan->reason = QUOTA_REASON_NONE;
    can = quota_state_can_grow(state, &plan->reason);
    can = extent_bytes ? can / extent_bytes : 0;
    if (can == 0)
        return;                 /* the reason says which of the two is short */

    plan->reason = QUOTA_REASON_NONE;
    if (room >= ahead && room >= need->demand_bytes)
        return;

    /* Twice as much as there should be: LVM is not asked all the time. */
    wanted = step;
    if (ahead > step / 2)
        wanted = ahead / step < UINT64_MAX / 4 / step
            ? (ahead / step + 1) * 2 * step : UINT64_MAX;
    if (need->demand_bytes > room)
        wanted = MAX(wanted, need->demand_bytes - room);
    plan->extents = MIN(can, wanted / extent_bytes +
                             (wanted % extent_bytes != 0));
}
