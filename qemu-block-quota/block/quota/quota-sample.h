/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Samples of a private ledger, by its node. */
#ifndef BLOCK_QUOTA_SAMPLE_H
#define BLOCK_QUOTA_SAMPLE_H

#include "quota-int.h"

/*
 * Sample the node's private ledger: the child's allocated size is the truth.
 * -EBUSY: another thread is sampling.
 */
int coroutine_fn GRAPH_RDLOCK quota_co_sample(BlockDriverState *bs);
/* Make sure that the last sample is of the current child. */
int coroutine_fn GRAPH_RDLOCK quota_co_renew_sample(BlockDriverState *bs);
int GRAPH_RDLOCK quota_sample(BlockDriverState *bs);

#endif
