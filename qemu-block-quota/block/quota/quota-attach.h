/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening and closing a quota node's ledger. */
#ifndef BLOCK_QUOTA_ATTACH_H
#define BLOCK_QUOTA_ATTACH_H

#include "quota-int.h"

/* A ledger, and the node as a writer in it; NULL: the node keeps its own. */
typedef struct QuotaAttachment {
    struct quota_ledger *ledger;
    struct quota_writer *writer;
} QuotaAttachment;

int GRAPH_RDLOCK quota_attach(BlockDriverState *bs, Error **errp);
void quota_detach(BlockDriverState *bs);

/*
 * Attach the node, which is drained, to the ledger that @opts leads to, if that
 * is another one by now.
 */
int quota_reattach_prepare(BlockDriverState *bs, const QuotaOptions *opts,
                           QuotaAttachment *attachment, Error **errp);
void quota_reattach_commit(BlockDriverState *bs, QuotaAttachment *attachment);
void quota_reattach_abort(QuotaAttachment *attachment);

/* Publish inline limits in the node's private ledger. */
void quota_publish_inline(BDRVQuotaState *s);

#endif
