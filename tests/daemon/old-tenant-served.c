/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * old-tenant-served.c: a group is removed and made again under the same names, and the
 * new, empty pool grows for what its predecessor asked for, or by its pace.
 */
#include "world.h"

/* A tenant whose pool is kept growing by how fast it is filled. */
static void
make_fast(struct world *world)
{
    begin(world);
    world->policy.limits.limit_bytes = 64 * 1024 * MIB;
    world->policy.group_free_bytes = 64 * 1024 * MIB;
    run(world);
    for (unsigned i = 0; i < 8; i++) {
        world->used_bytes = world->policy.grant_bytes;
        asks(world);
        run_after(world, SECOND);
        ends(world, GROWTH_DONE);
        world->policy.grant_bytes += 4 * STEP;
        run_after(world, SECOND);
    }
    g_assert_cmpuint(world->last.need.ahead_bytes, >, STEP);
}

/* Neither the pace nor the demand of the old tenant makes the new pool grow. */
static void
test_pace_of_another_pool(void)
{
    struct world world = { .said = g_string_new(NULL) };

    make_fast(&world);
    remake_group(&world);
    run_after(&world, MS);
    world.is_active = true;
    g_string_truncate(world.said, 0);
    for (unsigned i = 0; i < 20; i++)
        run_after(&world, SECOND);
    g_assert_false(world.is_growing);
    g_assert_cmpuint(world.last.need.ahead_bytes, ==, 0);

    /* The new tenant's own demand does. */
    asks(&world);
    run_after(&world, MS);
    g_assert_true(world.is_growing);
    g_assert_cmpuint(world.last.need.demand_bytes, ==, STEP + MIB);
    g_string_free(world.said, TRUE);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/decide/pace-of-another-pool", test_pace_of_another_pool);
    return g_test_run();
}
