/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * growth-too-late.c: a tenant that writes fast meets the end of its thin pool
 * again and again, though limit and group have room.  Time is simulated.
 */
#include <glib.h>

#include "growth.h"
#include "pace.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)
#define EXTENT (4 * MIB)

/* Write @per_sec until the limit while LVM takes @growth_ns each time: how long
 * the writer has to wait, after the first @known growths, in all. */
static uint64_t
waits(uint64_t per_sec, uint64_t growth_ns, uint64_t step, unsigned known)
{
    struct quota_state state = {
        .limits.limit_bytes = 16 * GIB,
        .limits.step_bytes = step,
        .grant_bytes = step,
        .group_free_bytes = 64 * GIB,
    };
    struct pace pace = { 0 };
    struct growth_need need = { 0 };
    struct growth_plan plan;
    uint64_t used = 0, check_ns = 0, done_ns = 0, added = 0, waited_ns = 0;
    unsigned growths = 0;

    for (uint64_t now = SECOND; used < 8 * GIB; now += MS) {
        if (done_ns && now >= done_ns) {
            pace_note_growth(&pace, growth_ns);
            state.grant_bytes += added;
            growths++;
            done_ns = 0;
            check_ns = now;
        }
        if (used + per_sec / 1000 <= state.grant_bytes)
            used += per_sec / 1000;
        else {
            if (growths >= known)
                waited_ns += MS;
            need.demand_bytes = per_sec / 1000;
            check_ns = now;
        }
        if (now < check_ns)
            continue;
        pace_note_used(&pace, used, now);
        need.used_bytes = used;
        need.ahead_bytes = pace_ahead_bytes(&pace);
        growth_decide(&state, EXTENT, &need, &plan);
        need.demand_bytes = 0;
        if (plan.extents && !done_ns) {
            added = plan.extents * EXTENT;
            done_ns = now + growth_ns;
        }
        check_ns = now + MIN(SECOND, MAX(20 * MS, pace_fills_ns(
            &pace, growth_spare_bytes(&state, &need))));
    }
    return waited_ns;
}

static void
test_steady(void)
{
    static const uint64_t rates[] = { 10 * MIB, 100 * MIB, 1000 * MIB };
    static const uint64_t lvm[] = { 50 * MS, 400 * MS, 2 * SECOND };
    static const uint64_t steps[] = { 64 * MIB, 256 * MIB, GIB };

    for (unsigned r = 0; r < G_N_ELEMENTS(rates); r++)
    for (unsigned l = 0; l < G_N_ELEMENTS(lvm); l++)
    for (unsigned s = 0; s < G_N_ELEMENTS(steps); s++)
        /* the first tells how long LVM takes, the second how fast the writer
         * is when nothing holds it up */
        g_assert_cmpuint(waits(rates[r], lvm[l], steps[s], 2), ==, 0);
}

static void
test_pace(void)
{
    struct pace pace = { 0 };

    g_assert_cmpuint(pace_ahead_bytes(&pace), ==, 0);
    g_assert_cmpuint(pace_fills_ns(&pace, 1), ==, UINT64_MAX);

    /* The first sample says nothing of a pace, nor does one right after it. */
    pace_note_used(&pace, GIB, SECOND);
    pace_note_used(&pace, 2 * GIB, SECOND + MS);
    pace_note_growth(&pace, SECOND / 2);
    g_assert_cmpuint(pace_ahead_bytes(&pace), ==, 0);
    pace_note_used(&pace, GIB + 100 * MIB, 2 * SECOND);
    g_assert_cmpuint(pace_ahead_bytes(&pace), ==, 100 * MIB);
    g_assert_cmpuint(pace_fills_ns(&pace, 50 * MIB), ==, SECOND / 2);

    /* It is forgotten slowly, and given back is not written. */
    pace_note_used(&pace, GIB, 4 * SECOND);
    g_assert_cmpuint(pace_ahead_bytes(&pace), ==, 75 * MIB);
    pace_note_used(&pace, GIB, 20 * SECOND);
    g_assert_cmpuint(pace_ahead_bytes(&pace), ==, 0);

    /* Nothing overflows. */
    pace_note_used(&pace, UINT64_MAX, 20 * SECOND + 20 * MS);
    pace_note_growth(&pace, UINT64_MAX);
    g_assert_cmpuint(pace_ahead_bytes(&pace), ==, PACE_AHEAD_MAX_BYTES);
}

/* A growth that was slow, and a tenant has a say in that, and then a burst. */
static void
test_burst(void)
{
    struct quota_state state = {
        .limits.limit_bytes = 1024 * GIB,
        .limits.step_bytes = GIB,
        .grant_bytes = GIB,
        .group_free_bytes = 600 * GIB,
    };
    struct pace pace = { 0 };
    struct growth_need need = { 0 };
    struct growth_plan plan;

    pace_note_used(&pace, 256 * MIB, SECOND);
    pace_note_growth(&pace, 300 * SECOND);
    pace_note_used(&pace, 384 * MIB, SECOND + 100 * MS);
    need.used_bytes = 384 * MIB;
    need.ahead_bytes = pace_ahead_bytes(&pace);
    growth_decide(&state, EXTENT, &need, &plan);
    g_assert_cmpuint(plan.extents * EXTENT, >, 2 * GIB);
    g_assert_cmpuint(plan.extents * EXTENT, <=, 2 * (PACE_AHEAD_MAX_BYTES + GIB));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pace/steady", test_steady);
    g_test_add_func("/pace/numbers", test_pace);
    g_test_add_func("/pace/burst", test_burst);
    return g_test_run();
}
