/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pace.c: see pace.h.
 */
#include "pace.h"

#define NS_PER_SEC UINT64_C(1000000000)

/* What was filled in less time than this says little. */
#define PACE_LEAST_NS (NS_PER_SEC / 50)
/* Growth that took longer had to wait for others, or for the tenant itself. */
#define PACE_GROWTH_MAX_NS (8 * NS_PER_SEC)
/* A pace that was is forgotten in so much time. */
#define PACE_FORGET_NS (8 * NS_PER_SEC)

/* a * b / c, as large as fits */
static uint64_t
scale(uint64_t a, uint64_t b, uint64_t c)
{
    unsigned __int128 result = (unsigned __int128)a * b / c;

    return result > UINT64_MAX ? UINT64_MAX : (uint64_t)result;
}

void
pace_note_used(struct pace *pace, uint64_t used_bytes, uint64_t now_ns)
{
    uint64_t past_ns = now_ns - pace->since_ns;
    uint64_t now_per_sec;

    if (pace->since_ns != 0) {
        if (past_ns < PACE_LEAST_NS)
            return;
        now_per_sec = used_bytes > pace->used_bytes
            ? scale(used_bytes - pace->used_bytes, NS_PER_SEC, past_ns) : 0;
        pace->bytes_per_sec -= past_ns < PACE_FORGET_NS
            ? scale(pace->bytes_per_sec, past_ns, PACE_FORGET_NS)
            : pace->bytes_per_sec;
        if (pace->bytes_per_sec < now_per_sec)
            pace->bytes_per_sec = now_per_sec;
    }
    pace->used_bytes = used_bytes;
    pace->since_ns = now_ns;
}

void
pace_note_growth(struct pace *pace, uint64_t took_ns)
{
    pace->growth_ns = took_ns < PACE_GROWTH_MAX_NS ? took_ns : PACE_GROWTH_MAX_NS;
}

uint64_t
pace_ahead_bytes(const struct pace *pace)
{
    uint64_t bytes = scale(pace->bytes_per_sec, pace->growth_ns, NS_PER_SEC / 2);

    return bytes < PACE_AHEAD_MAX_BYTES ? bytes : PACE_AHEAD_MAX_BYTES;
}

uint64_t
pace_fills_ns(const struct pace *pace, uint64_t bytes)
{
    return pace->bytes_per_sec
        ? scale(bytes, NS_PER_SEC, pace->bytes_per_sec) : UINT64_MAX;
}
