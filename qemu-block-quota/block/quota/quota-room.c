/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Room for new space: a quota node asks its ledger, and waits for the answer
 * while the thin pool grows.  A write that is refused polls for room until it
 * finds some or limit-timeout has passed.
 *
 * It holds nothing meanwhile but its place in the list of charges.
 */

#include "qemu/osdep.h"

#include "qemu/coroutine.h"

#include "quota-report.h"
#include "quota-room.h"
#include "quota-sample.h"
#include "quota-waits.h"
#include "trace.h"

/* How often a waiting write polls for its answer, at increasing intervals. */
#define QUOTA_POLL_MIN_NS (1 * SCALE_MS)
/*
 * How long answers may put a request off: longer than quota-lvmd waits for
 * another host that has LVM's lock.  A forged answer must not hold up a drain
 * for good.
 */
#define QUOTA_GROWTH_MAX_NS (300 * NANOSECONDS_PER_SECOND)
#define QUOTA_POLL_MAX_NS (20 * SCALE_MS)

/* How often a write at a limit polls the ledger for a raised limit. */
#define QUOTA_ROOM_POLL_NS (50 * SCALE_MS)

/*
 * How often it asks for a sample, at increasing intervals, since the sampler
 * works for the whole host.
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

/* Whether a wait for room is over: it timed out, or a drain waits for it. */
static bool GRAPH_RDLOCK
quota_room_is_over(BlockDriverState *bs, uint64_t until_ns, uint64_t now_ns)
{
    /*
     * A drain must not take as long as an operator may need to raise a limit.
     * The write then fails with ENOSPC, which is true; with werror=enospc the
     * guest stops, and retries the write when it continues.
     */
    return now_ns >= until_ns || quota_is_draining(bs);
}

static int coroutine_fn GRAPH_RDLOCK
quota_co_admit_part(BlockDriverState *bs, uint64_t bytes, uint64_t until_ns,
                    enum quota_reason *reason)
{
    BDRVQuotaState *s = bs->opaque;
    uint64_t begin_ns = quota_clock_ns();
    struct quota_admission admission = {
        .until_ns = begin_ns + s->opts.wait_timeout_ns + QUOTA_GROWTH_MAX_NS,
    };
    uint64_t now_ns = begin_ns;
    bool has_sampled = false;
    int ret;

    while (true) {
        ret = quota_admission_poll(s->writer, bytes, now_ns,
                                   s->opts.wait_timeout_ns, &admission);
        if (ret != -EAGAIN) {
            *reason = admission.reason;
            break;
        }
        if (until_ns && quota_room_is_over(bs, until_ns, now_ns)) {
            ret = -ENOSPC;
            break;
        }
        /*
         * A private ledger answers at once the first time; after that, give
         * writes in flight a chance to finish.
         *
         * A drain waits for this, for wait-timeout at most: letting the write
         * through would give space away, and failing it would report a false
         * error to the guest.
         */
        if (has_sampled || !quota_is_private(s)) {
            qemu_co_sleep_ns(QEMU_CLOCK_REALTIME,
                             MIN(QUOTA_POLL_MIN_NS + (now_ns - begin_ns) / 8,
                                 QUOTA_POLL_MAX_NS));
        }
        if (quota_is_private(s)) {
            quota_co_sample(bs);
            has_sampled = true;
        }
        now_ns = quota_clock_ns();
    }

    trace_quota_asked(bs, bytes, now_ns - begin_ns, ret,
                      quota_reason_name(*reason));
    return ret;
}

/* Whether @bytes are more than the limit allows, by the last sample. */
static bool quota_is_beyond_limit(BDRVQuotaState *s, uint64_t bytes)
{
    struct quota_usage usage;

    quota_usage_read(s->ledger, &usage);
    return usage.least_bytes > usage.limit_bytes ||
           bytes > usage.limit_bytes - usage.least_bytes;
}

/*
 * In parts that quota-lvmd makes room for one by one; all or nothing.
 * @until_ns, if not 0: give up by then, or for a drain; *@reason is kept.
 */
static int coroutine_fn GRAPH_RDLOCK
quota_co_admit_until(BlockDriverState *bs, uint64_t bytes, uint64_t until_ns,
                     enum quota_reason *reason)
{
    BDRVQuotaState *s = bs->opaque;
    uint64_t done = 0;
    int ret = 0;

    while (ret == 0 && done < bytes) {
        uint64_t part = MIN(bytes - done, QUOTA_REQUEST_MAX_BYTES);

        if (done && quota_is_beyond_limit(s, bytes - done)) {
            /* Not even the rest: the pool need not grow for it. */
            *reason = QUOTA_REASON_TENANT_LIMIT;
            ret = -ENOSPC;
        } else {
            ret = quota_co_admit_part(bs, part, until_ns, reason);
        }
        if (ret == 0) {
            done += part;
        }
    }
    if (ret < 0 && done) {
        quota_bytes_return(s->writer, done);
    }
    return ret;
}

int coroutine_fn quota_co_admit(BlockDriverState *bs, uint64_t bytes,
                                enum quota_reason *reason)
{
    return quota_co_admit_until(bs, bytes, 0, reason);
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

    /* Fail closed: without an answer it is unknown whether room may come. */
    if (!s->opts.limit_timeout_ns ||
        *reason == QUOTA_REASON_ACCOUNTING_LOST ||
        quota_room_is_over(bs, until_ns, now_ns)) {
        return -ENOSPC;
    }

    qatomic_inc(&s->limit_waiting);
    quota_report_waiting(bs, *reason, bytes);

    do {
        qemu_co_sleep_ns(QEMU_CLOCK_REALTIME,
                         MIN(QUOTA_ROOM_POLL_NS, until_ns - now_ns));
        ret = quota_bytes_reserve(s->writer, bytes);
        now_ns = quota_clock_ns();
        if (ret == -ENOSPC && now_ns >= ask_ns) {
            ret = quota_co_admit_until(bs, bytes, until_ns, reason);
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
