/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a quota node can write to without new space. */
#ifndef BLOCK_QUOTA_MAPPED_H
#define BLOCK_QUOTA_MAPPED_H

#include "quota-int.h"

/*
 * quota_co_check_mapped: how much new space a listed write needs, given what is
 * mapped already.  If that is less than all its chunks, it is true of @epoch
 * only.
 */
uint64_t coroutine_fn GRAPH_RDLOCK
quota_co_check_mapped(BlockDriverState *bs, int64_t offset, int64_t bytes,
                      int64_t chunk_bytes, uint32_t epoch);

/*
 * quota_co_zero_in_place: make a range read as zeroes without new space.  Parts
 * that already do are left alone; all others are mapped.  Call quota_co_forget
 * first, which keeps writes to the range out.
 */
int coroutine_fn GRAPH_RDLOCK
quota_co_zero_in_place(BlockDriverState *bs, int64_t offset, int64_t bytes,
                       BdrvRequestFlags flags);

#endif
