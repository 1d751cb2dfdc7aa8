/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * growth-size.h: when a tenant's thin pool grows, and by how much.
 */
#ifndef QLVM_GROWTH_SIZE_H
#define QLVM_GROWTH_SIZE_H

#include "quota-charge.h"

struct growth_plan {
    uint64_t extents;           /* to add to the thin pool; 0: none */
    enum quota_reason reason;   /* for a writer that is still refused: NONE
                                   while more extents could be added */
};

struct growth_need {
    uint64_t used_bytes;        /* the thin pool's, with what is in flight */
    uint64_t demand_bytes;      /* what a waiting writer was refused; 0: none */
    uint64_t ahead_bytes;       /* room there should always be: pace.h */
};

/*
 * growth_decide: a pool grows by one step when less than half a step, or less
 * than @need's ahead_bytes, is left in it, so that writers rarely meet its end,
 * or when a writer waits for more than is left; by more steps where one would
 * not last.  It never grows past the limit: a limit that is not a multiple of the
 * extent is rounded down.
 */
void growth_decide(const struct quota_state *state, uint64_t extent_bytes,
                   const struct growth_need *need, struct growth_plan *plan);

/* growth_spare_bytes: the room that there is, less what there should be; 0: the
 * pool would have to grow. */
uint64_t growth_spare_bytes(const struct quota_state *state,
                            const struct growth_need *need);

#endif
