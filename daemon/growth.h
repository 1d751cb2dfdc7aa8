/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * growth.h: when a tenant's thin pool grows, by how much, and doing it.
 *
 * growth_decide is pure; growth_run takes the group's lock and asks LVM again,
 * since what a ledger says can be old or forged.
 */
#ifndef QLVM_GROWTH_H
#define QLVM_GROWTH_H

#include "hold.h"

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
 * not last.  It never grows past the limit: a limit that is no multiple of the
 * extent is rounded down.
 */
void growth_decide(const struct quota_state *state, uint64_t extent_bytes,
                   const struct growth_need *need, struct growth_plan *plan);

/* growth_spare_bytes: the room that there is, less what there should be; 0: the
 * pool would have to grow. */
uint64_t growth_spare_bytes(const struct quota_state *state,
                            const struct growth_need *need);

enum growth_outcome {
    GROWTH_DONE,                /* the pool is larger now */
    GROWTH_NOT_NEEDED,          /* LVM's numbers left nothing to do */
    GROWTH_SHORT,               /* the group had not the extents after all */
    GROWTH_BUSY,                /* another host keeps LVM from changing it */
    GROWTH_GONE,                /* LVM knows no such tenant */
    GROWTH_REPLACED,            /* its thin pool is another one by now */
    GROWTH_FAILED               /* a command failed: see the error */
};

/*
 * growth_run: read, decide and extend under the group's lock, and publish
 * each new state to @ledger; rings its doorbell when there is more room.  @why, which
 * is to be cleared, has the words of GROWTH_FAILED, _BUSY and _SHORT.
 * @thin_dm_uuid is the pool that @need is of (NULL: there was none): no other is
 * grown for it.  Blocks for as long as LVM takes.  @added_bytes may be 0 with any
 * outcome but GROWTH_DONE.
 */
enum growth_outcome growth_run(const char *group, const char *tenant,
                               const char *thin_dm_uuid,
                               struct quota_ledger *ledger,
                               const struct growth_need *need,
                               uint64_t *added_bytes, LvmRefusal *why);

#endif
