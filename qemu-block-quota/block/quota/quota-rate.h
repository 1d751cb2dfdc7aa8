/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Throughput of a quota node. */
#ifndef BLOCK_QUOTA_RATE_H
#define BLOCK_QUOTA_RATE_H

#include "quota-int.h"

void coroutine_fn quota_co_queue(BlockDriverState *bs, int64_t bytes,
                                 bool is_write);

/* quota_co_throttle: make an arriving request wait until the rates admit it. */
static inline void coroutine_fn
quota_co_throttle(BlockDriverState *bs, int64_t bytes, bool is_write)
{
    BDRVQuotaState *s = bs->opaque;

    if (quota_rate_is_armed(s->writer) &&
        !quota_credit_take(s->writer, is_write, bytes)) {
        quota_co_queue(bs, bytes, is_write);
    }
}

void quota_rate_drain_begin(BDRVQuotaState *s);
void quota_rate_drain_end(BDRVQuotaState *s);

#endif
