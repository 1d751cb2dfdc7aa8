/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waiting for room at a limit: a write that was told that there is none looks
 * again and again, until there is some or option limit-timeout has passed.
 *
 * Its place in the list of charges is all that it holds meanwhile.
 */

#include "qemu/osdep.h"

#include "qemu/coroutine.h"

#include "quota-int.h"
#include "trace.h"

/* How often a waiting write looks, in its own process, for a raised limit. */
#define QUOTA_ROOM_LOOK_NS (50 * SCALE_MS)

/*
 * How often it asks for a sample: less and less, since each one costs the
 * sampler of the whole host.
 */
#define QUOTA_ROOM_ASK_MIN_NS (100 * SCALE_MS)
#define QUOTA_ROOM_ASK_MAX_NS NANOSECONDS_PER_SECOND

/*
 * Whether a drain waits for the requests of @bs: its own, or one of a node
 * above, which does not reach this driver's callbacks but waits all the same.
 */
static bool GRAPH_RDLOCK quota_is_draining(BlockDriverState *bs)
{
    BdrvChild *c;

    if (qatomic_read(&bs->quiesce_counter)) {
        return true;
    }
    QLIST_FOREACH(c, &bs->parents, next_parent) {
        if (c->klass->parent_is_bds && quota_is_draining(c->opaque)) {
            return true;
        }
    }
    return false;
}

bool quota_room_is_over(BlockDriverState *bs, uint64_t until_ns,
                        uint64_t now_ns)
{
    /*
     * A drain must not take as long as somebody may need to raise a limit.
     * What the write is told then, that there is no room, is the truth; with
     * werror=enospc the guest stops and the write is tried again.
     */
    return now_ns >= until_ns || quota_is_draining(bs);
}

int coroutine_fn quota_co_wait_for_room(BlockDriverState *bs, uint64_t bytes,
                                        uint64_t begin_ns,
                                        enum quota_reason *reason)
{
    BDRVQuotaState *s = bs->opaque;
    uint64_t until_ns = begin_ns + s->opts.limit_timeout_ns;
    uint64_t pause_ns = QUOTA_ROOM_ASK_MIN_NS;
    uint64_t start_ns = quota_clock_ns();
    uint64_t now_ns = start_ns;
    uint64_t ask_ns = now_ns + pause_ns;
    int ret = -ENOSPC;

    /* Without an answer there is no limit to wait at: that fails closed. */
    if (!s->opts.limit_timeout_ns ||
        *reason == QUOTA_REASON_ACCOUNTING_LOST ||
        quota_room_is_over(bs, until_ns, now_ns)) {
        return -ENOSPC;
    }

    qatomic_inc(&s->limit_waiting);
    quota_report_waiting(bs, *reason, bytes);

    do {
        qemu_co_sleep_ns(QEMU_CLOCK_REALTIME,
                         MIN(QUOTA_ROOM_LOOK_NS, until_ns - now_ns));
        ret = quota_bytes_reserve(s->writer, bytes);
        now_ns = quota_clock_ns();
        if (ret == -ENOSPC && now_ns >= ask_ns) {
            ret = quota_co_admit(bs, bytes, until_ns, reason);
            now_ns = quota_clock_ns();
            pause_ns = MIN(pause_ns * 2, QUOTA_ROOM_ASK_MAX_NS);
            ask_ns = now_ns + pause_ns;
        }
        if (ret == -EUCLEAN) {
            *reason = QUOTA_REASON_ACCOUNTING_LOST;
        }
    } while (ret < 0 && *reason != QUOTA_REASON_ACCOUNTING_LOST &&
             !quota_room_is_over(bs, until_ns, now_ns));

    qatomic_dec(&s->limit_waiting);
    quota_account_wait(s, QUOTA_WAIT_LIMIT, now_ns - start_ns);
    trace_quota_room_waited(bs, bytes, now_ns - start_ns, ret,
                            quota_reason_name(*reason));
    return ret;
}
