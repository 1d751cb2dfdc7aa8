/* SPDX-License-Identifier: GPL-2.0-or-later */
/* New space of a quota node: reserved, settled, given back. */
#ifndef BLOCK_QUOTA_ALLOC_H
#define BLOCK_QUOTA_ALLOC_H

#include "block/reqlist.h"

#include "quota-int.h"

/* One request's new space, from before it is issued until it has finished. */
typedef struct QuotaCharge {
    BlockReq req;               /* in BDRVQuotaState.charges if is_listed */
    uint64_t chunk_bytes;       /* stays so while it is listed */
    uint64_t begin_ns;          /* when it had to ask; 0: it had not */
    uint32_t epoch;             /* in which its chunks were checked */
    int64_t charged_first;      /* chunks that count as charged on success */
    int64_t charged_end;
    uint64_t reserved_bytes;
    unsigned lane;              /* valid if is_announced */
    bool is_listed;
    bool is_announced;          /* relies on chunks that are charged */
    bool needs_flush;           /* space is taken when the cache is written */
} QuotaCharge;

/*
 * quota_co_charge: ask for the new space of a write, and wait for the answer
 * if @may_wait.  0: issue the write, then call quota_co_settle; -ENOSPC: there
 * is no room, or none yet.
 */
int coroutine_fn GRAPH_RDLOCK
quota_co_charge(BlockDriverState *bs, int64_t offset, int64_t bytes,
                bool may_wait, QuotaCharge *charge);

/*
 * quota_co_settle: the write has finished with @ret.  @is_charged: on success
 * its chunks are allocated and count as charged.  Returns the write's result.
 */
int coroutine_fn GRAPH_RDLOCK
quota_co_settle(BlockDriverState *bs, QuotaCharge *charge, int ret,
                bool is_charged);

/*
 * quota_co_forget: call before chunks may be given back.  They do not count as
 * charged any more, and writes to them wait until the calling request is done.
 */
void coroutine_fn GRAPH_RDLOCK
quota_co_forget(BlockDriverState *bs, int64_t offset, int64_t bytes);

/* .bdrv_co_truncate: preallocation is charged, a cut-off tail forgotten. */
int coroutine_fn GRAPH_RDLOCK
quota_co_truncate(BlockDriverState *bs, int64_t offset, bool exact,
                  PreallocMode prealloc, BdrvRequestFlags flags, Error **errp);

#endif
