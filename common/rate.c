/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rate.c: throughput of a tenant over all its writers, by the generic cell
 * rate algorithm (ITU-T I.371, annex A; the virtual scheduling form).
 *
 * A cell is one word, the theoretical arrival time (TAT): when the next
 * request would come if all had come at exactly the sustained rate.  A request
 * moves it on by its own cost and may start at TAT less the burst tolerance.
 * In any window no more passes than rate x window + rate x tolerance: a
 * request that is larger than the tolerance waits for its own cost too.
 *
 * Two cells a rate: the sustained one tolerates what a burst of max for
 * max_length holds, and the peak one keeps a burst at max.  (QEMU's throttle
 * takes max_length 1 as a bucket of max that may be emptied at once; here a
 * burst never passes max within a second either.)
 */
#include "ledger-layout.h"

#define NS_PER_SEC UINT64_C(1000000000)

/*
 * Tolerance without a burst.  Long enough that a late timer costs a writer no
 * throughput (the credit of its lateness is not cut off), short enough to
 * stay under 1 % of a window of five seconds.
 */
#define TOLERANCE_NS (25 * UINT64_C(1000000))

/* A waiting request looks at the rates at least this often. */
#define LOOK_AGAIN_NS (50 * UINT64_C(1000000))

/* units / rate in nanoseconds, rounded up: never faster than the rate. */
static uint64_t cost_ns(uint64_t units, uint64_t per_sec)
{
    unsigned __int128 ns;

    if (units <= (UINT64_MAX - per_sec) / NS_PER_SEC) {
        return (units * NS_PER_SEC + per_sec - 1) / per_sec;
    }
    ns = ((unsigned __int128)units * NS_PER_SEC + per_sec - 1) / per_sec;
    return ns > INT64_MAX ? INT64_MAX : (uint64_t)ns;
}

/* Move a cell on; returns when the request may start. */
static uint64_t cell_pay(quota_u64 *tat_ns, uint64_t cost, uint64_t tolerance,
                         uint64_t now_ns)
{
    uint64_t before = quota_load(tat_ns);
    uint64_t after;

    do {
        uint64_t base = before;

        /* Void credit is counted from the first request's own clock, so that
         * whoever changed the rates need not share it. */
        if (base == QUOTA_TAT_EMPTY) {
            base = now_ns + tolerance;
        } else if (base < now_ns) {
            base = now_ns;
        }
        after = base > INT64_MAX - cost ? INT64_MAX : base + cost;
    } while (!quota_swap_if(tat_ns, &before, after));
    return after > tolerance ? after - tolerance : 0;
}

static uint64_t rate_pay(struct quota_ledger_file *file, int kind,
                         uint64_t units, uint64_t now_ns)
{
    const struct quota_rate_words *rate = &file->policy.rates[kind];
    struct quota_cell *cell = &file->cells[kind];
    uint64_t per_sec = quota_load(&rate->per_sec);
    uint64_t max = quota_load(&rate->max_per_sec);
    uint64_t length = quota_load(&rate->max_length_sec);
    uint64_t tolerance = TOLERANCE_NS;
    uint64_t start, peak_start;

    if (per_sec == 0) {
        return now_ns;
    }
    if (max > per_sec) {
        uint64_t burst = max > INT64_MAX / (length ? length : 1) ?
                         INT64_MAX : max * (length ? length : 1);

        tolerance = cost_ns(burst, per_sec);
    }
    start = cell_pay(&cell->sustained_tat_ns, cost_ns(units, per_sec),
                     tolerance, now_ns);
    if (max > per_sec) {
        peak_start = cell_pay(&cell->peak_tat_ns, cost_ns(units, max),
                              TOLERANCE_NS, now_ns);
        if (peak_start > start) {
            start = peak_start;
        }
    }
    return start;
}

bool quota_rate_is_armed(const struct quota_ledger *ledger)
{
    return atomic_load_explicit(&ledger->file->policy.rate_armed,
                                memory_order_relaxed) != 0;
}

void quota_rate_pay(struct quota_ledger *ledger, struct quota_payment *payment,
                    bool is_write, uint64_t bytes, uint64_t now_ns)
{
    static const struct {
        bool of_reads, of_writes, is_bytes;
    } kinds[QUOTA_RATE_MAX] = {
        [QUOTA_RATE_TOTAL_BYTES] = { true, true, true },
        [QUOTA_RATE_READ_BYTES] = { true, false, true },
        [QUOTA_RATE_WRITE_BYTES] = { false, true, true },
        [QUOTA_RATE_TOTAL_IOPS] = { true, true, false },
        [QUOTA_RATE_READ_IOPS] = { true, false, false },
        [QUOTA_RATE_WRITE_IOPS] = { false, true, false },
    };
    struct quota_ledger_file *file = ledger->file;
    uint32_t armed;

    payment->generation = quota_load(&file->policy.rate_generation);
    payment->is_write = is_write;
    payment->bytes = bytes;
    payment->start_ns = now_ns;
    armed = quota_load(&file->policy.rate_armed);
    for (int i = 0; i < QUOTA_RATE_MAX; i++) {
        uint64_t start;

        if (!(armed & (1u << i)) ||
            !(is_write ? kinds[i].of_writes : kinds[i].of_reads)) {
            continue;
        }
        start = rate_pay(file, i, kinds[i].is_bytes ? bytes : 1, now_ns);
        if (start > payment->start_ns) {
            payment->start_ns = start;
        }
    }
}

uint64_t quota_rate_wait_ns(struct quota_ledger *ledger,
                            struct quota_payment *payment, uint64_t now_ns)
{
    uint64_t left;

    if (payment->start_ns <= now_ns) {
        return 0;
    }
    if (quota_load(&ledger->file->policy.rate_generation) !=
        payment->generation) {
        quota_rate_pay(ledger, payment, payment->is_write, payment->bytes,
                       now_ns);
        if (payment->start_ns <= now_ns) {
            return 0;
        }
    }
    left = payment->start_ns - now_ns;
    return left < LOOK_AGAIN_NS ? left : LOOK_AGAIN_NS;
}
