/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Thresholds of a quota node. */
#ifndef BLOCK_QUOTA_THRESHOLD_H
#define BLOCK_QUOTA_THRESHOLD_H

#include "quota-int.h"

void quota_thresholds_init(BDRVQuotaState *s);
void quota_thresholds_destroy(BDRVQuotaState *s);
void quota_set_thresholds(BlockDriverState *bs, BlockQuotaThresholdList *list,
                          Error **errp);
/* quota_co_threshold_check: send events after usage has grown. */
void coroutine_fn GRAPH_RDLOCK quota_co_threshold_check(BlockDriverState *bs);
void quota_thresholds_query(BDRVQuotaState *s, BlockStatsSpecificQuota *stats);

#endif
