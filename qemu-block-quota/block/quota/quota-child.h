/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The nodes below a quota node. */
#ifndef BLOCK_QUOTA_CHILD_H
#define BLOCK_QUOTA_CHILD_H

#include "quota-int.h"

/* Whether the child's space can be accounted for with these options. */
int GRAPH_RDLOCK quota_check_child(BlockDriverState *bs,
                                   const QuotaOptions *opts, Error **errp);
BlockDriverState * GRAPH_RDLOCK quota_bottom_bs(BlockDriverState *bs);
/* The node below that allocates space. */
BlockDriverState * GRAPH_RDLOCK quota_allocating_bs(BlockDriverState *bs);
/* The node below that ignores flushes, or NULL. */
BlockDriverState * GRAPH_RDLOCK quota_unflushed_bs(BlockDriverState *bs);
/* quota_take_child: take over what the child supports. */
void GRAPH_RDLOCK quota_take_child(BlockDriverState *bs);
/*
 * quota_follow_child: take over a child that may have been replaced.  Call it
 * with no I/O in flight; it does not poll.
 */
void GRAPH_RDLOCK quota_follow_child(BlockDriverState *bs);
/* quota_void_child: forget what is known of the child.  Likewise. */
void GRAPH_RDLOCK quota_void_child(BlockDriverState *bs);

#endif
