/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening and closing a quota node's ledger. */
#ifndef BLOCK_QUOTA_ATTACH_H
#define BLOCK_QUOTA_ATTACH_H

#include "quota-int.h"

int GRAPH_RDLOCK quota_attach(BlockDriverState *bs, Error **errp);
void quota_detach(BlockDriverState *bs);
/* Publish inline limits in the node's private ledger. */
void quota_publish_inline(BDRVQuotaState *s);

#endif
