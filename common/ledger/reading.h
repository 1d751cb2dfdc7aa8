/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reading.h: used bytes and room.
 */
#ifndef QUOTA_LEDGER_READING_H
#define QUOTA_LEDGER_READING_H

#include "register.h"

#pragma GCC visibility push(hidden)

/* What may still be admitted to the tenant. */
struct quota_reading {
    uint64_t limit_bytes, thick_bytes, grant_bytes;
    uint64_t sampled_bytes, unsampled_bytes;
    uint64_t room_bytes;
    uint64_t settled_room_bytes; /* room_bytes if unsampled_bytes were 0 */
    struct quota_register_value reserved;
};
/* -EUCLEAN when the words contradict each other, -EAGAIN before the first
 * sample; then all but the room is valid. */
int quota_reading_take(const struct quota_ledger *ledger,
                       struct quota_reading *reading);
/* The same for one volume; only its own limit bounds the room. */
int quota_reading_take_volume(const struct quota_ledger *ledger,
                              unsigned volume, struct quota_reading *reading);
/* The same for the volume or the tenant of an adder. */
static inline int quota_reading_take_for(const struct quota_adder *adder,
                                         enum quota_scope scope,
                                         struct quota_reading *reading)
{
    return scope == QUOTA_OF_TENANT
           ? quota_reading_take(adder->ledger, reading)
           : quota_reading_take_volume(adder->ledger, adder->index /
                                       QUOTA_VOLUME_WRITERS, reading);
}

#pragma GCC visibility pop

#endif
