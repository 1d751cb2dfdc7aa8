/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Throughput of a quota node: queue a request that no credit covers, and sleep
 * until the rates admit it.
 *
 * The first request in a writer's queue takes from the rate cells; once it has
 * its cost it wakes the next one, in whatever thread that is.  A drain starts
 * requests early and debits the cells, so later requests wait for that cost.
 * It may put the cells only so far ahead, or a guest that resets its device
 * again and again would escape the rates; beyond that, a drain takes as long as
 * on a disk of that speed.
 *
 * Each request sleeps in its own AioContext and is woken there.  No lock is
 * held over a yield.
 */

#include "qemu/osdep.h"

#include "qemu/coroutine.h"
#include "qemu/lockable.h"
#include "system/qtest.h"

#include "quota-rate.h"
#include "quota-waits.h"
#include "trace.h"

/* How far ahead of the rates a drain may start requests. */
#define QUOTA_DRAIN_AHEAD_NS NANOSECONDS_PER_SECOND

/* Lives on the stack of a queued request. */
typedef struct QuotaSleeper {
    struct quota_request request;
    QemuCoSleep sleep;
    QEMUTimer timer;
    /*
     * Expires at once when a drain, or the request ahead in the queue, arms it.
     * On QEMU_CLOCK_REALTIME: QEMU_CLOCK_VIRTUAL may be stopped.
     */
    QEMUTimer poke_timer;
    QLIST_ENTRY(QuotaSleeper) next;
} QuotaSleeper;

static QEMUClockType quota_clock_type(void)
{
    /* A test steps this clock; see throttle_group_obj_init(). */
    return qtest_enabled() ? QEMU_CLOCK_VIRTUAL : QEMU_CLOCK_REALTIME;
}

static uint64_t quota_rate_now_ns(void)
{
    /* The cells are in CLOCK_MONOTONIC, which all processes share. */
    return qtest_enabled() ? qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL)
                           : quota_clock_ns();
}

static void quota_sleep_cb(void *opaque)
{
    QuotaSleeper *sleeper = opaque;

    qemu_co_sleep_wake(&sleeper->sleep);
}

/*
 * In any thread.  The coroutine may have queued its request and not be asleep
 * yet.  Unlike qemu_co_sleep_wake(), a timer waits until it is, since it runs in
 * the same AioContext.
 */
static void quota_sleeper_poke(QuotaSleeper *sleeper)
{
    timer_mod_ns(&sleeper->poke_timer, 0);
}

static void quota_request_wake(struct quota_request *request)
{
    quota_sleeper_poke(container_of(request, QuotaSleeper, request));
}

/* How long to sleep until the next poll; 0: start. */
static uint64_t quota_drained_wait_ns(BDRVQuotaState *s, QuotaSleeper *sleeper,
                                      uint64_t wait_ns, uint64_t now_ns)
{
    uint64_t ahead_ns;

    ahead_ns = quota_queue_ahead_ns(s->writer, &sleeper->request, now_ns);
    if (ahead_ns <= QUOTA_DRAIN_AHEAD_NS || qtest_enabled()) {
        quota_queue_leave(s->writer, &sleeper->request, now_ns);
        return 0;
    }
    return MIN(wait_ns, ahead_ns - QUOTA_DRAIN_AHEAD_NS);
}

void coroutine_fn quota_co_queue(BlockDriverState *bs, int64_t bytes,
                                 bool is_write)
{
    BDRVQuotaState *s = bs->opaque;
    AioContext *ctx = qemu_get_current_aio_context();
    QEMUClockType type = quota_clock_type();
    uint64_t begin_ns = quota_rate_now_ns();
    uint64_t now_ns = begin_ns;
    uint64_t wait_ns;
    QuotaSleeper sleeper = {
        .request.wake = quota_request_wake,
    };

    /* Before the request is queued: from then on, wake may be called. */
    aio_timer_init(ctx, &sleeper.timer, type, SCALE_NS,
                   quota_sleep_cb, &sleeper);
    aio_timer_init(ctx, &sleeper.poke_timer, QEMU_CLOCK_REALTIME, SCALE_NS,
                   quota_sleep_cb, &sleeper);
    WITH_QEMU_LOCK_GUARD(&s->sleepers_lock) {
        QLIST_INSERT_HEAD(&s->sleepers, &sleeper, next);
    }

    wait_ns = quota_queue_enter(s->writer, &sleeper.request, is_write, bytes,
                                now_ns);
    while (wait_ns) {
        /* A drain that begins after this check pokes us. */
        if (qatomic_read(&s->is_drained)) {
            wait_ns = quota_drained_wait_ns(s, &sleeper, wait_ns, now_ns);
            if (!wait_ns) {
                break;
            }
        }
        timer_mod_ns(&sleeper.timer, qemu_clock_get_ns(type) + wait_ns);
        qemu_co_sleep(&sleeper.sleep);
        now_ns = quota_rate_now_ns();
        wait_ns = quota_queue_poll(s->writer, &sleeper.request, now_ns);
    }

    /* The request is out of the queue: only a drain could still arm a timer. */
    WITH_QEMU_LOCK_GUARD(&s->sleepers_lock) {
        QLIST_REMOVE(&sleeper, next);
    }
    timer_del(&sleeper.timer);
    timer_del(&sleeper.poke_timer);

    if (now_ns != begin_ns) {
        quota_account_wait(s, QUOTA_WAIT_RATE, now_ns - begin_ns);
        trace_quota_rate_waited(s, bytes, is_write, now_ns - begin_ns);
    }
}

/*
 * Not a counter: a node that is opened within a drained section hears of its
 * beginning more than once, but of its end once.
 */
void quota_rate_drain_begin(BDRVQuotaState *s)
{
    QuotaSleeper *sleeper;

    QEMU_LOCK_GUARD(&s->sleepers_lock);
    qatomic_set(&s->is_drained, true);
    QLIST_FOREACH(sleeper, &s->sleepers, next) {
        quota_sleeper_poke(sleeper);
    }
}

void quota_rate_drain_end(BDRVQuotaState *s)
{
    QEMU_LOCK_GUARD(&s->sleepers_lock);
    qatomic_set(&s->is_drained, false);
}
