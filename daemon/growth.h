/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * growth.h: grow a tenant's thin pool.
 *
 * growth_run takes the group's lock and asks LVM again, since what a ledger says can be
 * old or forged.
 */
#ifndef QLVM_GROWTH_H
#define QLVM_GROWTH_H

#include "growth-size.h"
#include "hold.h"

enum growth_outcome {
    GROWTH_DONE,                /* the pool is larger now */
    GROWTH_NOT_NEEDED,          /* LVM's numbers left nothing to do */
    GROWTH_SHORT,               /* the group lacked the extents after all */
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
