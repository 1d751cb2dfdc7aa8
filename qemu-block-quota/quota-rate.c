/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Throughput of a quota node: pay on arrival, sleep until the paid slot.
 *
 * A request pays before it sleeps, so a drain may let it go early: whoever
 * comes next finds the tenant's cells moved on.  But only by so much, or a
 * guest that has its device reset again and again would never have to pay
 * back; for the rest, a drain takes as long as on a disk of that speed.
 *
 * Each request sleeps in its own AioContext and is woken there.  No lock is
 * held over a yield, and no request waits for another one.
 */

#include "qemu/osdep.h"

#include "qemu/coroutine.h"
#include "qemu/lockable.h"
#include "system/qtest.h"

#include "quota-int.h"

/* How far a drain lets a request go ahead of its slot. */
#define QUOTA_DRAIN_AHEAD_NS NANOSECONDS_PER_SECOND

/* Lives on the stack of a request that sleeps. */
typedef struct QuotaSleeper {
    QemuCoSleep sleep;
    QEMUTimer timer;
    QEMUTimer drain_timer;      /* armed, at once, by quota_drain_begin */
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
 * Sleeps for @ns, or until a drain begins.  @is_drained: what the
 * caller made @ns from; if that has changed, it does not sleep at all.
 */
static void coroutine_fn quota_co_sleep(BDRVQuotaState *s, uint64_t ns,
                                        bool is_drained)
{
    AioContext *ctx = qemu_get_current_aio_context();
    QEMUClockType type = quota_clock_type();
    QuotaSleeper sleeper = {};

    aio_timer_init(ctx, &sleeper.timer, type, SCALE_NS,
                   quota_sleep_cb, &sleeper);
    /* QEMU_CLOCK_VIRTUAL may stand still; drain must not. */
    aio_timer_init(ctx, &sleeper.drain_timer, QEMU_CLOCK_REALTIME, SCALE_NS,
                   quota_sleep_cb, &sleeper);

    WITH_QEMU_LOCK_GUARD(&s->sleepers_lock) {
        if (s->is_drained != is_drained) {
            return;
        }
        QLIST_INSERT_HEAD(&s->sleepers, &sleeper, next);
    }

    timer_mod_ns(&sleeper.timer, qemu_clock_get_ns(type) + ns);
    qemu_co_sleep(&sleeper.sleep);

    WITH_QEMU_LOCK_GUARD(&s->sleepers_lock) {
        QLIST_REMOVE(&sleeper, next);
    }
    /* Not before: until it left the list, quota_drain_begin may arm one. */
    timer_del(&sleeper.timer);
    timer_del(&sleeper.drain_timer);
}

void coroutine_fn quota_co_pay_slow(BlockDriverState *bs, int64_t bytes,
                                    bool is_write)
{
    BDRVQuotaState *s = bs->opaque;
    struct quota_payment payment;
    uint64_t begin_ns = quota_rate_now_ns();
    uint64_t now_ns = begin_ns;
    uint64_t wait_ns;

    quota_rate_pay(s->ledger, &payment, is_write, bytes, now_ns);
    while ((wait_ns = quota_rate_wait_ns(s->ledger, &payment, now_ns))) {
        bool is_drained = qatomic_read(&s->is_drained);

        if (is_drained) {
            uint64_t left_ns = payment.start_ns - now_ns;

            if (left_ns <= QUOTA_DRAIN_AHEAD_NS || qtest_enabled()) {
                break;
            }
            wait_ns = MIN(wait_ns, left_ns - QUOTA_DRAIN_AHEAD_NS);
        }
        quota_co_sleep(s, wait_ns, is_drained);
        now_ns = quota_rate_now_ns();
    }
    if (now_ns != begin_ns) {
        stat64_add(&s->rate_waits, 1);
        stat64_add(&s->rate_wait_ns, now_ns - begin_ns);
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
        timer_mod_ns(&sleeper->drain_timer, 0);
    }
}

void quota_drain_end(BlockDriverState *bs)
{
    BDRVQuotaState *s = bs->opaque;

    QEMU_LOCK_GUARD(&s->sleepers_lock);
    qatomic_set(&s->is_drained, false);
}
