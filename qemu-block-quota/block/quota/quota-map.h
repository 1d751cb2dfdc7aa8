/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which chunks a quota node was charged for. */
#ifndef BLOCK_QUOTA_MAP_H
#define BLOCK_QUOTA_MAP_H

#include "qemu/rcu.h"

#include "quota-int.h"

/*
 * Chunks that are charged in an epoch.  Immutable except for the bits, which
 * change under BDRVQuotaState.lock; read under it or under RCU.
 */
struct QuotaMap {
    struct rcu_head rcu;
    uint64_t chunk_bytes;
    int64_t nb_chunks;
    uint32_t epoch;             /* of the volume; even: see quota-writer.h */
    unsigned long bits[];
};

/* Any thread; lock not needed. */
bool quota_map_is_charged(BDRVQuotaState *s, int64_t offset, int64_t bytes);

/*
 * quota_map_enter: whether all chunks of a write are charged.  If so, the write
 * is announced: call quota_epoch_leave with the same @lane once it is done.  Any
 * thread; lock not needed.
 */
bool quota_map_enter(BDRVQuotaState *s, int64_t offset, int64_t bytes,
                     unsigned *lane);

/* The other functions: with BDRVQuotaState.lock, or with no I/O in flight. */

/* quota_map_ledger_chunk: the chunk size that the ledger says; 0: none can be. */
uint64_t quota_map_ledger_chunk(BDRVQuotaState *s);
/* quota_map_reset: forget all chunks and begin the volume's current epoch. */
void quota_map_reset(BDRVQuotaState *s, uint64_t chunk_bytes,
                     int64_t length_bytes);
void quota_map_free(BDRVQuotaState *s);
int64_t quota_map_count_uncharged(BDRVQuotaState *s, int64_t first,
                                  int64_t end);
/* @epoch: in which they were charged; ignored if it has passed. */
void quota_map_set_charged(BDRVQuotaState *s, int64_t first, int64_t end,
                           uint32_t epoch);
void quota_map_clear_charged(BDRVQuotaState *s, int64_t first, int64_t end);

/*
 * quota_co_wait_epoch: wait while a snapshot is being taken.  Until then it is
 * unknown which chunks can be written to without new space.  -ENOSPC: the
 * snapshot takes longer than wait-timeout.
 */
int coroutine_fn quota_co_wait_epoch(BlockDriverState *bs);

#endif
