/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Extents that are guaranteed to one tenant are promised to another, or limits
 * promise more than the group allows. */
#include "scratch.h"

enum { TENANTS = 3 };

/* Every small case there is of three tenants; units of one byte. */
static void test_guarantees(void)
{
    struct quota_state state[TENANTS] = { 0 };
    unsigned long cases = 0;

    for (unsigned n = 0; n < 4 * 4 * 4 * 4 * 4 * 4 * 6; n++) {
        struct quota_group group = { .size_bytes = 40 }, others;
        unsigned rest = n;
        uint64_t missing = 0, most;

        for (int i = 0; i < TENANTS; i++) {
            state[i].limits.guarantee_bytes = rest % 4 * 2;
            rest /= 4;
            state[i].thick_bytes = rest % 2 * 2;
            state[i].grant_bytes = rest % 4 / 2;
            rest /= 4;
        }
        group.free_bytes = rest * 2;
        for (int i = 0; i < TENANTS; i++) {
            quota_group_add(&group, &state[i]);
        }
        for (int i = 1; i < TENANTS; i++) {
            uint64_t held = state[i].thick_bytes + state[i].grant_bytes;

            missing += MAX(state[i].limits.guarantee_bytes, held) - held;
        }
        others = quota_group_without(&group, &state[0]);
        g_assert_cmpuint(quota_group_free(&others), ==,
                         MAX(group.free_bytes, missing) - missing);

        /* raising it: what is allowed can be kept, beside all others' */
        for (uint64_t wanted = 0; wanted < 12; wanted++) {
            struct quota_limits limits = { .guarantee_bytes = wanted };
            uint64_t held = state[0].thick_bytes + state[0].grant_bytes;
            int ret = quota_group_check(&others, &state[0], &limits, &most);

            cases++;
            if (wanted <= state[0].limits.guarantee_bytes) {
                g_assert_cmpint(ret, ==, 0);    /* lowered, or as it was */
            } else if (MAX(wanted, held) - held + missing <=
                       MAX(group.free_bytes, missing)) {
                g_assert_cmpint(ret, ==, 0);
            } else {
                g_assert_cmpint(ret, ==, -ENOSPC);
                g_assert_cmpuint(most, <, wanted);
                limits.guarantee_bytes = most;
                g_assert_cmpint(quota_group_check(&others, &state[0], &limits,
                                                  &most), ==, 0);
            }
        }
    }
    g_test_message("%lu cases", cases);
}

static void test_overcommit(void)
{
    struct quota_state a = { .limits.limit_bytes = 700 };
    struct quota_state b = { .limits.limit_bytes = 600 };
    struct quota_group group = { .size_bytes = 1000,
                                 .overcommit_percent = 150 };
    struct quota_limits limits = { .limit_bytes = 900 };
    struct quota_group others;
    uint64_t most;

    quota_group_add(&group, &a);
    quota_group_add(&group, &b);
    others = quota_group_without(&group, &a);
    g_assert_cmpint(quota_group_check(&others, &a, &limits, &most), ==, 0);
    limits.limit_bytes = 901;
    g_assert_cmpint(quota_group_check(&others, &a, &limits, &most), ==,
                    -EDQUOT);
    g_assert_cmpuint(most, ==, 900);
    /* who is beyond it may come down, and stay, and not rise */
    others.overcommit_percent = 50;
    limits.limit_bytes = 700;
    g_assert_cmpint(quota_group_check(&others, &a, &limits, &most), ==, 0);
    limits.limit_bytes = 701;
    g_assert_cmpint(quota_group_check(&others, &a, &limits, &most), ==,
                    -EDQUOT);
    g_assert_cmpuint(most, ==, 0);
    /* none set: anything goes, and nothing wraps */
    others.overcommit_percent = 0;
    g_assert_cmpint(quota_group_check(&others, &a, &limits, &most), ==, 0);
    others.overcommit_percent = 1000000;
    others.size_bytes = INT64_MAX;
    limits.limit_bytes = INT64_MAX;
    g_assert_cmpint(quota_group_check(&others, &a, &limits, &most), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/promised/guarantees", test_guarantees);
    g_test_add_func("/promised/overcommit", test_overcommit);
    return g_test_run();
}
