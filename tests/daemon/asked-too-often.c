/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * asked-too-often.c: quota-lvmd asks LVM too often, and so keeps the group's lock from
 * other tenants; or it asks LVM, or samples, too late.
 */
#include "world.h"

/* How long until LVM is asked again after the attempt that ends now; checked every
 * 10 ms. */
static uint64_t
retry_ms(struct world *world, enum growth_outcome outcome)
{
    uint64_t since_ns = world->now_ns;

    ends(world, outcome);
    run(world);
    while (!world->is_growing) {
        g_assert_cmpuint(world->now_ns - since_ns, <, 100 * SECOND);
        run_after(world, 10 * MS);
    }
    return (world->now_ns - since_ns) / MS;
}

/* LVM that fails is asked again, but not all the time. */
static void
test_backs_off(void)
{
    static const unsigned demand_ms[] = { 250, 500, 1000, 2000, 2000, 2000 };
    static const unsigned ahead_ms[] = { 250, 500, 1000, 2000, 4000, 8000, 16000,
                                         32000, 32000 };
    static const enum growth_outcome outcomes[] = {
        GROWTH_NOT_NEEDED, GROWTH_SHORT, GROWTH_BUSY, GROWTH_GONE, GROWTH_FAILED
    };
    struct world world = { .said = g_string_new(NULL) };

    for (unsigned o = 0; o < G_N_ELEMENTS(outcomes); o++) {
        make_state(&world, AHEAD);
        for (unsigned i = 0; i < G_N_ELEMENTS(ahead_ms); i++)
            g_assert_cmpuint(retry_ms(&world, outcomes[o]), ==, ahead_ms[i]);
        /* once it has grown, all that is forgotten */
        ends(&world, GROWTH_DONE);
        g_assert_cmpuint(retry_ms(&world, GROWTH_DONE), ==, 0);
    }

    /* A writer that waits; it is refused after three failures and comes again. */
    make_state(&world, WAITING);
    for (unsigned i = 0; i < G_N_ELEMENTS(demand_ms); i++) {
        uint64_t since_ns = world.now_ns;

        ends(&world, GROWTH_FAILED);
        run(&world);
        while (!world.is_growing) {
            if (!world.waits_bytes)
                asks(&world);
            run_after(&world, 10 * MS);
        }
        g_assert_cmpuint((world.now_ns - since_ns) / MS, ==, demand_ms[i]);
    }

    make_state(&world, QUIET);
    world.is_thread_missing = true;
    asks(&world);
    run(&world);
    world.is_thread_missing = false;
    run_after(&world, 999 * MS);
    g_assert_false(world.is_growing);
    run_after(&world, MS);
    g_assert_true(world.is_growing);
    g_string_free(world.said, TRUE);
}

/* LVM is read again for a pool that is not there, but not all the time. */
static void
test_reads_again(void)
{
    static const unsigned delays_sec[] = { 1, 2, 4, 8, 16, 32, 32 };
    struct decide_state state = { 0 };
    struct decide_input seen = { .event = DECIDE_INACTIVE, .may_lock = true };
    uint64_t now_ns = 1000 * SECOND;

    g_assert_true(decide(&state, &seen, now_ns).reread);
    for (unsigned i = 0; i < G_N_ELEMENTS(delays_sec); i++) {
        now_ns += delays_sec[i] * SECOND;
        g_assert_false(decide(&state, &seen, now_ns - 1).reread);
        g_assert_true(decide(&state, &seen, now_ns).reread);
    }

    /* While our maker has the group's lock, it is only put off. */
    memset(&state, 0, sizeof(state));
    seen.may_lock = false;
    g_assert_false(decide(&state, &seen, now_ns).reread);
    seen.may_lock = true;
    g_assert_true(decide(&state, &seen, now_ns).reread);

    /* At once, when a growth says that it has to be. */
    seen = (struct decide_input) {
        .event = DECIDE_GROWN, .outcome = GROWTH_GONE, .may_lock = true
    };
    g_assert_false(decide(&state, &seen, now_ns).reread);
    seen.event = DECIDE_STALE;
    g_assert_true(decide(&state, &seen, now_ns).reread);
}

/* A pool is sampled as often as its pace requires. */
static void
test_wakes_in_time(void)
{
    struct world world = { .said = g_string_new(NULL) };
    uint64_t left_ns;

    make_state(&world, QUIET);
    g_assert_cmpuint(world.last.wake_ns, ==, UINT64_MAX);

    /* 32 MiB a second, and 32 MiB before it has to grow */
    world.used_bytes += 32 * MIB;
    run_after(&world, SECOND);
    g_assert_cmpuint(world.last.wake_ns, ==, SECOND);
    world.used_bytes += 31 * MIB;
    run_after(&world, 968 * MS);
    left_ns = world.last.wake_ns;
    g_assert_cmpuint(left_ns, >, 20 * MS);
    g_assert_cmpuint(left_ns, <, 40 * MS);
    world.used_bytes += MIB - 4096;
    run_after(&world, left_ns);
    g_assert_cmpuint(world.last.wake_ns, ==, 20 * MS);
    g_assert_false(world.is_growing);

    /* Not while it grows, or cannot grow. */
    world.used_bytes += 4096;
    world.used_bytes += MIB;
    run_after(&world, 20 * MS);
    g_assert_true(world.is_growing);
    g_assert_cmpuint(world.last.wake_ns, ==, UINT64_MAX);
    make_state(&world, LIMIT);
    g_assert_cmpuint(world.last.wake_ns, ==, UINT64_MAX);
    g_string_free(world.said, TRUE);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/decide/backs-off", test_backs_off);
    g_test_add_func("/decide/reads-again", test_reads_again);
    g_test_add_func("/decide/wakes-in-time", test_wakes_in_time);
    return g_test_run();
}
