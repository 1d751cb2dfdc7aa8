/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How long requests wait in a quota node. */
#ifndef BLOCK_QUOTA_WAITS_H
#define BLOCK_QUOTA_WAITS_H

#include "quota-int.h"

void quota_waits_init(BDRVQuotaState *s);
void quota_waits_destroy(BDRVQuotaState *s);
void quota_account_wait(BDRVQuotaState *s, QuotaWait wait, uint64_t wait_ns);
void quota_set_histograms(BlockDriverState *bs, bool has_all, uint64List *all,
                          const QuotaBoundaries boundaries[QUOTA_WAIT__MAX],
                          Error **errp);
void quota_waits_query(BDRVQuotaState *s, BlockStatsSpecificQuota *stats);

#endif
