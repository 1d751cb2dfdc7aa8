/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reports of a quota node. */
#ifndef BLOCK_QUOTA_REPORT_H
#define BLOCK_QUOTA_REPORT_H

#include "quota-int.h"

void quota_report_waiting(BlockDriverState *bs, enum quota_reason reason,
                          uint64_t bytes);
void quota_report_refused(BlockDriverState *bs, enum quota_reason reason,
                          uint64_t bytes);
void coroutine_fn GRAPH_RDLOCK
quota_report_admitted(BlockDriverState *bs, uint64_t bytes);
/* What a reason means here, and its remedy: the end of a sentence. */
char *quota_reason_text(BlockDriverState *bs, enum quota_reason reason);
BlockStatsSpecific *quota_get_specific_stats(BlockDriverState *bs);
ImageInfoSpecific * GRAPH_RDLOCK
quota_get_specific_info(BlockDriverState *bs, Error **errp);

#endif
