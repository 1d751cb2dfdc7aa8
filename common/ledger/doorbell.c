/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * doorbell.c: how a writer that was refused asks for a sample, and how the
 * sampler sleeps until one does.
 *
 * The sampler sleeps on the doorbell, a word that writers change; threads may
 * sleep on the sampler's answer, another word (quota_admission_wait).  An event
 * loop polls the answer from a timer.
 */
#include <errno.h>

#include "clock.h"
#include "ledger.h"

int quota_doorbell_wait(struct quota_ledger *ledger, uint32_t seen,
                        uint64_t timeout_ns)
{
    quota_u32 *doorbell = &ledger->file->counters.doorbell;

    if (quota_load(doorbell) == seen) {
        /* On a spurious wake-up, or a signal, the caller just samples again. */
        quota_word_wait(doorbell, seen, timeout_ns);
    }
    return quota_load(doorbell) == seen ? -ETIMEDOUT : 0;
}

uint32_t quota_doorbell_ring(struct quota_ledger *ledger)
{
    quota_u32 *doorbell = &ledger->file->counters.doorbell;
    uint32_t ticket = atomic_fetch_add_explicit(doorbell, 1,
                                                memory_order_acq_rel) + 1;

    quota_word_wake(doorbell);
    return ticket;
}

uint64_t quota_doorbell_demand(struct quota_ledger *ledger)
{
    uint64_t demand = atomic_exchange_explicit(
        &ledger->file->counters.demand_bytes, 0, memory_order_acq_rel);

    return demand < QUOTA_REQUEST_MAX_BYTES ? demand : QUOTA_REQUEST_MAX_BYTES;
}
