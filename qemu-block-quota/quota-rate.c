/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Throughput of a quota node: pay on arrival, sleep until the paid slot.
 *
 * A request pays before it sleeps, so a drain may let it go early without
 * giving anything away: whoever comes next finds the tenant's cells moved on.
 * Each request sleeps in its own AioContext and is woken there.  No lock is
 * held over a yield, and no request waits for another one.
 */

#include "qemu/osdep.h"

#include "qemu/coroutine.h"
#include "qemu/lockable.h"
#include "system/qtest.h"

#include "quota-int.h"

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

/* Returns false, perhaps early, when the node is being drained. */
static bool coroutine_fn quota_co_sleep(BDRVQuotaState *s, uint64_t ns)
{
    AioContext *ctx = qemu_get_current_aio_context();
    QEMUClockType type = quota_clock_type();
    QuotaSleeper sleeper = {};
    bool is_drained;

    aio_timer_init(ctx, &sleeper.timer, type, SCALE_NS,
                   quota_sleep_cb, &sleeper);
    /* QEMU_CLOCK_VIRTUAL may stand still; drain must not. */
    aio_timer_init(ctx, &sleeper.drain_timer, QEMU_CLOCK_REALTIME, SCALE_NS,
                   quota_sleep_cb, &sleeper);

    WITH_QEMU_LOCK_GUARD(&s->sleepers_lock) {
        if (s->is_drained) {
            return false;
        }
        QLIST_INSERT_HEAD(&s->sleepers, &sleeper, next);
    }

    timer_mod_ns(&sleeper.timer, qemu_clock_get_ns(type) + ns);
    qemu_co_sleep(&sleeper.sleep);

    WITH_QEMU_LOCK_GUARD(&s->sleepers_lock) {
        QLIST_REMOVE(&sleeper, next);
        is_drained = s->is_drained;
    }
    /* Not before: until it left the list, quota_drain_begin may arm one. */
    timer_del(&sleeper.timer);
    timer_del(&sleeper.drain_timer);
    return !is_drained;
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
        bool is_early = !quota_co_sleep(s, wait_ns);

        now_ns = quota_rate_now_ns();
        if (is_early) {
            break;
        }
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
    s->is_drained = true;
    QLIST_FOREACH(sleeper, &s->sleepers, next) {
        timer_mod_ns(&sleeper->drain_timer, 0);
    }
}

void quota_drain_end(BlockDriverState *bs)
{
    BDRVQuotaState *s = bs->opaque;

    QEMU_LOCK_GUARD(&s->sleepers_lock);
    s->is_drained = false;
}
