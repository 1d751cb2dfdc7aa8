/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Room for new space: asking for it and waiting for it. */
#ifndef BLOCK_QUOTA_ROOM_H
#define BLOCK_QUOTA_ROOM_H

#include "quota-int.h"

/*
 * quota_co_admit: ask until there is an answer.  0: bytes are reserved.
 */
int coroutine_fn GRAPH_RDLOCK
quota_co_admit(BlockDriverState *bs, uint64_t bytes,
               enum quota_reason *reason);

/*
 * quota_co_wait_for_room: wait, as limit-timeout allows, for a write that began
 * at @begin_ns and was refused @bytes for *@reason.  0: reserved.
 */
int coroutine_fn GRAPH_RDLOCK
quota_co_wait_for_room(BlockDriverState *bs, uint64_t bytes, uint64_t begin_ns,
                       enum quota_reason *reason);

#endif
