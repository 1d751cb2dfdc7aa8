/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lease.h: bytes that a writer has reserved ahead of its writes.
 */
#ifndef QUOTA_LEDGER_LEASE_H
#define QUOTA_LEDGER_LEASE_H

#include "register.h"

#pragma GCC visibility push(hidden)

/* The largest lease that a writer takes at once. */
#define QUOTA_LEASE_BYTES_MAX (UINT64_C(64) << 20)

/* quota_lease_size: how much to reserve on top of a write of @bytes; 0: there
 * is little room, or the write is unsuitable for a lease. */
uint64_t quota_lease_size(const struct quota_adder *adder, uint64_t bytes);

/* [spend] quota_lease_spend: take a write's bytes from the lease; false: it is
 * too small. */
static inline bool quota_lease_spend(struct quota_writer_words *words,
                                     uint64_t bytes)
{
    uint64_t units = bytes / QUOTA_LEASE_UNIT_BYTES;
    uint64_t lease = quota_load(&words->lease);

    if (bytes % QUOTA_LEASE_UNIT_BYTES) {
        return false;
    }
    for (int i = 0; i < QUOTA_TRIES; i++) {
        /* A genuine lease is below a new one plus a rest that was too small for
         * a write. */
        if (units > QUOTA_LEASE_UNITS(lease) || QUOTA_LEASE_UNITS(lease) >
            2 * QUOTA_LEASE_BYTES_MAX / QUOTA_LEASE_UNIT_BYTES) {
            return false;
        }
        if (quota_swap_if(&words->lease, &lease, lease - units)) {
            return true;
        }
    }
    return false;
}

/* quota_lease_recall: take back a writer's unspent lease, unless its word never
 * stops changing; returns the bytes that were ever taken back from the writer. */
uint64_t quota_lease_recall(struct quota_writer_words *words);

#pragma GCC visibility pop

#endif
