/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sample.c: the sampler's side of a ledger, and the doorbell that asks for a
 * sample.
 *
 * settled_bytes is read first, then the kernel, then both are published: each
 * settled write had reached the kernel before it settled, so it is inside the
 * sample, and the sum never falls below the truth.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ledger-layout.h"

void quota_sample_begin(const struct quota_ledger *ledger,
                        struct quota_sample *sample)
{
    const struct quota_counters *counters = &ledger->file->counters;

    /* The doorbell first: a writer rings after its refusal, so whatever it
     * saw settled by then is in settled_bytes. */
    sample->doorbell = quota_load(&counters->doorbell);
    sample->settled_bytes = quota_load(&counters->settled_bytes);
}

void quota_sample_publish(struct quota_ledger *ledger,
                          const struct quota_sample *sample,
                          uint64_t used_bytes, uint64_t now_ns,
                          enum quota_reason reason)
{
    struct quota_sampled *to = &ledger->file->sample;

    /* sampled_bytes before settled_at_sample: account.c reads them the other
     * way round.  answered last: it makes the rest final. */
    quota_store(&to->sampled_bytes, used_bytes);
    quota_store(&to->settled_at_sample, sample->settled_bytes);
    quota_store(&to->sample_ns, now_ns);
    quota_store(&to->reason, reason);
    quota_store(&to->answered, sample->doorbell);
}

int quota_doorbell_wait(struct quota_ledger *ledger, uint32_t seen,
                        uint64_t timeout_ns)
{
    quota_u32 *doorbell = &ledger->file->counters.doorbell;
    struct timespec timeout = {
        .tv_sec = timeout_ns / 1000000000,
        .tv_nsec = timeout_ns % 1000000000,
    };

    if (quota_load(doorbell) == seen) {
        /* Woken without cause, or by a signal, the caller just samples
         * once more. */
        syscall(SYS_futex, doorbell, FUTEX_WAIT, seen, &timeout, NULL, 0);
    }
    return quota_load(doorbell) == seen ? -ETIMEDOUT : 0;
}

uint32_t quota_doorbell_ring(struct quota_ledger *ledger)
{
    quota_u32 *doorbell = &ledger->file->counters.doorbell;
    uint32_t ticket = atomic_fetch_add_explicit(doorbell, 1,
                                                memory_order_acq_rel) + 1;

    quota_test_store();
    syscall(SYS_futex, doorbell, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    return ticket;
}

uint64_t quota_doorbell_demand(struct quota_ledger *ledger)
{
    uint64_t demand = atomic_exchange_explicit(
        &ledger->file->counters.demand_bytes, 0, memory_order_acq_rel);

    quota_test_store();
    return demand;
}

uint64_t quota_clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
