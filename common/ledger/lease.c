/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lease.c: bytes that a writer has reserved ahead of its writes.
 *
 * With plenty of room, a writer reserves more than one write needs and spends
 * the rest on the next ones, in its own word: so writers of one tenant contend
 * for its register once in LEASE_WRITES writes.  Unspent bytes count as
 * reserved; each sample takes them back (by a swap of that same word) before it
 * asks the kernel, so no answer to a refused write depends on them.
 */
#include <errno.h>

#include "lease.h"
#include "reading.h"

#define LEASE_WRITES 32
/* Plenty of room: this many leases. */
#define LEASE_ROOM 128

uint64_t quota_lease_size(const struct quota_adder *adder, uint64_t bytes)
{
    const struct quota_writer_words *words = quota_writer_at(adder->ledger,
                                                             adder->index);
    uint64_t lease = LEASE_WRITES * bytes;
    struct quota_reading reading;

    if (bytes % QUOTA_LEASE_UNIT_BYTES ||
        bytes > QUOTA_LEASE_BYTES_MAX / LEASE_WRITES ||
        QUOTA_LEASE_RECALLED_BYTES(quota_load(&words->lease)) >
        QUOTA_LEASE_RECALLED_MAX_BYTES) {
        return 0;
    }
    for (int scope = 0; scope < QUOTA_SCOPES; scope++) {
        int ret = quota_reading_take_for(adder, scope, &reading);

        if (ret == -EUCLEAN || reading.room_bytes < LEASE_ROOM * lease) {
            return 0;
        }
    }
    return lease;
}

/* [recall] */
uint64_t quota_lease_recall(struct quota_writer_words *words)
{
    uint64_t lease = quota_load(&words->lease);

    for (int i = 0; i < QUOTA_TRIES && QUOTA_LEASE_UNITS(lease); i++) {
        uint64_t units = QUOTA_LEASE_UNITS(lease);
        uint64_t recalled = lease - units + (units << QUOTA_LEASE_BITS);

        if (quota_swap_if(&words->lease, &lease, recalled)) {
            lease = recalled;
        }
    }
    return QUOTA_LEASE_RECALLED_BYTES(lease);
}
