/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pace.h: how fast a tenant fills its thin pool, and so how much room there
 * must be for its writers not to meet the pool's end while it grows.
 *
 * Measured, not configured: the kernel's used bytes from sample to sample, and
 * how long LVM took the last time.  Pure; times are CLOCK_MONOTONIC.
 */
#ifndef QLVM_PACE_H
#define QLVM_PACE_H

#include <stdint.h>

/* Zeroes: nothing is known. */
struct pace {
    uint64_t used_bytes;        /* at since_ns */
    uint64_t since_ns;          /* 0: no sample yet */
    uint64_t bytes_per_sec;
    uint64_t growth_ns;         /* 0: the pool has not grown yet */
};

/*
 * pace_note_used: a sample found @used_bytes.  A pace that was fast is taken
 * to be fast for some seconds still: a writer that waits for room fills none,
 * and one that writes in bursts will do so again.
 */
void pace_note_used(struct pace *pace, uint64_t used_bytes, uint64_t now_ns);

/* pace_note_growth: the pool has grown, which took @took_ns; what is more than some
 * seconds is not believed. */
void pace_note_growth(struct pace *pace, uint64_t took_ns);

/* A burst, and a growth that was slow for whatever reason, must not take the group. */
#define PACE_AHEAD_MAX_BYTES (UINT64_C(4) << 30)

/* pace_ahead_bytes: what will be filled while the pool grows, twice, and at most
 * PACE_AHEAD_MAX_BYTES; 0 while that is not known. */
uint64_t pace_ahead_bytes(const struct pace *pace);

/* pace_fills_ns: how long it takes to fill @bytes; UINT64_MAX: for ever. */
uint64_t pace_fills_ns(const struct pace *pace, uint64_t bytes);

#endif
