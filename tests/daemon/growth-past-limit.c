/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * growth-past-limit.c: a thin pool grown past the limit or the group, one that
 * stops growing while both have room, or a writer told to wait for ever.
 */
#include <glib.h>

#include "growth.h"

#define EXTENT 4

/* Every small case there is: sizes in units of a quarter of an extent. */
static void
test_all_small(void)
{
    struct quota_state state = { .chunk_bytes = 1 };
    struct growth_plan plan;
    unsigned long cases = 0;

    for (uint64_t limit = 0; limit <= 34; limit++)
    for (uint64_t step = 1; step <= 9; step += 2)
    for (uint64_t thick = 0; thick <= 8; thick += EXTENT)
    for (uint64_t grant = 0; grant <= 36; grant += EXTENT)
    for (uint64_t free_bytes = 0; free_bytes <= 12; free_bytes += EXTENT)
    for (uint64_t used = 0; used <= grant + 3; used += 3)
    for (uint64_t demand = 0; demand <= 13; demand++)
    for (uint64_t ahead = 0; ahead <= 12; ahead += 4) {
        struct growth_need need = { used, demand, ahead };
        uint64_t room = grant > used ? grant - used : 0;
        uint64_t added;

        state.limits.limit_bytes = limit;
        state.limits.step_bytes = step;
        state.thick_bytes = thick;
        state.grant_bytes = grant;
        state.group_free_bytes = free_bytes;
        growth_decide(&state, EXTENT, &need, &plan);
        added = plan.extents * EXTENT;
        cases++;

        /* promises: never past the limit, never more than the group has */
        g_assert_true(added == 0 || thick + grant + added <= limit);
        g_assert_cmpuint(added, <=, free_bytes);

        if (thick + grant + EXTENT <= limit && free_bytes >= EXTENT) {
            /* there is room: no refusal, and whoever waits gets some */
            g_assert_cmpint(plan.reason, ==, QUOTA_REASON_NONE);
            if (demand > room || room < step / 2 || room < ahead)
                g_assert_cmpuint(plan.extents, >, 0);
            else
                g_assert_cmpuint(plan.extents, ==, 0);
            g_assert_cmpuint(growth_spare_bytes(&state, &need), ==,
                             room > MAX(step / 2, ahead)
                             ? room - MAX(step / 2, ahead) : 0);
            /* with what is added, or all there is, there is as much ahead as
             * there should be, and again */
            if (plan.extents && added + 2 * EXTENT <= limit - thick - grant &&
                added + EXTENT <= free_bytes)
                g_assert_cmpuint(room + added, >=, 2 * ahead);
            /* one step does, unless the demand, the pace or the end says
             * otherwise */
            if (demand <= room + step && ahead <= step / 2)
                g_assert_cmpuint(plan.extents, <=,
                                 (step + EXTENT - 1) / EXTENT);
        } else {
            g_assert_cmpuint(plan.extents, ==, 0);
            if (thick + grant + EXTENT > limit && free_bytes >= EXTENT)
                g_assert_cmpint(plan.reason, ==, QUOTA_REASON_TENANT_LIMIT);
            if (thick + grant + EXTENT <= limit)
                g_assert_cmpint(plan.reason, ==, QUOTA_REASON_GROUP_FULL);
        }
    }
    g_test_message("%lu cases", cases);
}

/* Numbers that a ledger of a QEMU that was taken over could hold. */
static void
test_forged(void)
{
    static const uint64_t numbers[] = {
        0, 1, EXTENT, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX - 1,
        UINT64_MAX,
    };
    size_t n = G_N_ELEMENTS(numbers);

    for (size_t i = 0; i < n * n * n * n * n * n; i++) {
        struct quota_state state = {
            .limits.limit_bytes = numbers[i % n],
            .limits.step_bytes = numbers[i / n % n],
            .thick_bytes = numbers[i / n / n % n],
            .grant_bytes = numbers[i / n / n / n % n],
            .group_free_bytes = numbers[i / n / n / n / n % n],
        };
        struct growth_need need = {
            numbers[i / n / n / n / n / n % n], UINT64_MAX, numbers[i % n]
        };
        struct growth_plan plan;

        growth_decide(&state, EXTENT, &need, &plan);
        g_assert_cmpuint(plan.extents, <=,
                         state.limits.limit_bytes / EXTENT);
        g_assert_cmpuint(plan.extents, <=, state.group_free_bytes / EXTENT);
        need = (struct growth_need) { 0 };
        growth_decide(&state, 0, &need, &plan);
        g_assert_cmpuint(plan.extents, ==, 0);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/growth/all-small", test_all_small);
    g_test_add_func("/growth/forged", test_forged);
    return g_test_run();
}
