/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Throughput of a quota node: take a turn on arrival, sleep until it is paid
 * for.
 *
 * Who is first in its writer's queue pays; when it has, it wakes the next one,
 * in whatever thread that is.  A drain lets requests go before they have paid:
 * what they owe is paid for before anything else is.  But only by so much, or
 * a guest that has its device reset again and again would never have to pay
 * back; for the rest, a drain takes as long as on a disk of that speed.
 *
 * Each request sleeps in its own AioContext and is woken there.  No lock is
 * held over a yield.
 */

#include "qemu/osdep.h"

#include "qemu/coroutine.h"
#include "qemu/lockable.h"
#include "system/qtest.h"

#include "quota-int.h"
#include "trace.h"

/* How far a drain lets requests go ahead of the rates. */
#define QUOTA_DRAIN_AHEAD_NS NANOSECONDS_PER_SECOND

/* Lives on the stack of a request that waits for its turn. */
typedef struct QuotaSleeper {
    struct quota_turn turn;
    QemuCoSleep sleep;
    QEMUTimer timer;
    /*
     * Armed, at once, by a drain and by who is ahead in the queue.  Of
     * QEMU_CLOCK_REALTIME: QEMU_CLOCK_VIRTUAL may stand still.
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
    /* The cells are in CLOCK_MONOTONIC, for all processes together. */
    return qtest_enabled() ? qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL)
                           : quota_clock_ns();
}

static void quota_sleep_cb(void *opaque)
{
    QuotaSleeper *sleeper = opaque;

    qemu_co_sleep_wake(&sleeper->sleep);
}

/*
 * In any thread.  The coroutine may be between asking for its turn and going
 * to sleep: a timer, unlike qemu_co_sleep_wake(), waits until it sleeps, since
 * it runs in the same AioContext.
 */
static void quota_sleeper_poke(QuotaSleeper *sleeper)
{
    timer_mod_ns(&sleeper->poke_timer, 0);
}

static void quota_turn_wake(struct quota_turn *turn)
{
    quota_sleeper_poke(container_of(turn, QuotaSleeper, turn));
}

/* How long to sleep before the turn is asked for again; 0: go. */
static uint64_t quota_drained_wait_ns(BDRVQuotaState *s, QuotaSleeper *sleeper,
                                      uint64_t wait_ns, uint64_t now_ns)
{
    uint64_t ahead_ns;

    ahead_ns = quota_turn_ahead_ns(s->writer, &sleeper->turn, now_ns);
    if (ahead_ns <= QUOTA_DRAIN_AHEAD_NS || qtest_enabled()) {
        quota_turn_leave(s->writer, &sleeper->turn, now_ns);
        return 0;
    }
    return MIN(wait_ns, ahead_ns - QUOTA_DRAIN_AHEAD_NS);
}

void coroutine_fn quota_co_take_turn(BlockDriverState *bs, int64_t bytes,
                                     bool is_write)
{
    BDRVQuotaState *s = bs->opaque;
    AioContext *ctx = qemu_get_current_aio_context();
    QEMUClockType type = quota_clock_type();
    uint64_t begin_ns = quota_rate_now_ns();
    uint64_t now_ns = begin_ns;
    uint64_t wait_ns;
    QuotaSleeper sleeper = {
        .turn.wake = quota_turn_wake,
    };

    /* Before the turn is taken, which is when wake may first be called. */
    aio_timer_init(ctx, &sleeper.timer, type, SCALE_NS,
                   quota_sleep_cb, &sleeper);
    aio_timer_init(ctx, &sleeper.poke_timer, QEMU_CLOCK_REALTIME, SCALE_NS,
                   quota_sleep_cb, &sleeper);
    WITH_QEMU_LOCK_GUARD(&s->sleepers_lock) {
        QLIST_INSERT_HEAD(&s->sleepers, &sleeper, next);
    }

    wait_ns = quota_turn_take(s->writer, &sleeper.turn, is_write, bytes,
                              now_ns);
    while (wait_ns) {
        /* A drain that begins after this look pokes us. */
        if (qatomic_read(&s->is_drained)) {
            wait_ns = quota_drained_wait_ns(s, &sleeper, wait_ns, now_ns);
            if (!wait_ns) {
                break;
            }
        }
        timer_mod_ns(&sleeper.timer, qemu_clock_get_ns(type) + wait_ns);
        qemu_co_sleep(&sleeper.sleep);
        now_ns = quota_rate_now_ns();
        wait_ns = quota_turn_poll(s->writer, &sleeper.turn, now_ns);
    }

    /* The turn is out of the queue: only a drain could still arm a timer. */
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
void quota_drain_begin(BlockDriverState *bs)
{
    BDRVQuotaState *s = bs->opaque;
    QuotaSleeper *sleeper;

    QEMU_LOCK_GUARD(&s->sleepers_lock);
    qatomic_set(&s->is_drained, true);
    QLIST_FOREACH(sleeper, &s->sleepers, next) {
        quota_sleeper_poke(sleeper);
    }
}

void quota_drain_end(BlockDriverState *bs)
{
    BDRVQuotaState *s = bs->opaque;

    /* Nobody exchanges a child but in a drained section. */
    bdrv_graph_rdlock_main_loop();
    quota_follow_child(bs);
    bdrv_graph_rdunlock_main_loop();

    QEMU_LOCK_GUARD(&s->sleepers_lock);
    qatomic_set(&s->is_drained, false);
}
