/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A name that LVM refuses, or that two tenants could share, must not pass. */
#include "scratch.h"

#define LONG_32 "abcdefghijklmnopqrstuvwxyz012345"

static void test_tenants(void)
{
    static const char *const good[] = {
        "a", "0", "acme", "a_b-c", "9lives", LONG_32, "snap", "thin_data",
    };
    static const char *const bad[] = {
        "", "Acme", "_a", "-a", "a.b", "a b", "a/b", "\xc3\xa4", LONG_32 "x",
        "snapshot1", "pvmove0", "a_tdata", "a_rimage_0", "a\n", "../x", "{", "/",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_assert_cmpint(quota_name_check_tenant(good[i], NULL), ==, 0);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        const char *why = NULL;

        g_assert_cmpint(quota_name_check_tenant(bad[i], &why), ==, -EINVAL);
        g_assert_nonnull(why);
    }
}

static void test_volumes(void)
{
    char exact[QUOTA_LV_MAX_BYTES], over[QUOTA_LV_MAX_BYTES + 1];

    g_assert_cmpint(quota_name_check_volume("acme", "disk0", NULL), ==, 0);
    g_assert_cmpint(quota_name_check_volume(
        "acme", "volume-1b2c.A+x_y", NULL), ==, 0);
    g_assert_cmpint(quota_name_check_volume("acme", "", NULL), ==, -EINVAL);
    g_assert_cmpint(quota_name_check_volume("acme", "_thin", NULL), ==,
                    -EINVAL);
    g_assert_cmpint(quota_name_check_volume("acme", "a/b", NULL), ==, -EINVAL);
    g_assert_cmpint(quota_name_check_volume("acme", "x_tmeta", NULL), ==,
                    -EINVAL);

    /* "acme." and this many more make 127. */
    memset(exact, 'x', sizeof(exact));
    exact[QUOTA_LV_MAX_BYTES - 5] = '\0';
    g_assert_cmpint(quota_name_check_volume("acme", exact, NULL), ==, 0);
    memset(over, 'x', sizeof(over));
    over[QUOTA_LV_MAX_BYTES - 4] = '\0';
    g_assert_cmpint(quota_name_check_volume("acme", over, NULL), ==, -EINVAL);
}

static void test_groups(void)
{
    g_assert_cmpint(quota_name_check_group("vg0", NULL), ==, 0);
    g_assert_cmpint(quota_name_check_group("ubuntu-vg.1", NULL), ==, 0);
    g_assert_cmpint(quota_name_check_group("..", NULL), ==, -EINVAL);
    g_assert_cmpint(quota_name_check_group("-f", NULL), ==, -EINVAL);
    g_assert_cmpint(quota_name_check_group("a/b", NULL), ==, -EINVAL);
    g_assert_cmpint(quota_name_check_group(".", NULL), ==, -EINVAL);
    g_assert_cmpint(quota_name_check_group("", NULL), ==, -EINVAL);
    g_assert_cmpint(quota_name_check_group(LONG_32 LONG_32 LONG_32 LONG_32,
                                           NULL), ==, -EINVAL);
}

/* No two pairs of tenant and volume make the same LV. */
static void test_lv_names(void)
{
    char lv[QUOTA_LV_MAX_BYTES + 1];

    g_assert_cmpint(quota_name_format_lv("acme", LONG_32 LONG_32 LONG_32 LONG_32,
                                         lv), ==, -ENAMETOOLONG);
    g_assert_cmpint(quota_name_format_lv("acme", "a.b", lv), ==, 0);
    g_assert_cmpstr(lv, ==, "acme.a.b");
    g_assert_cmpstr(quota_name_parse_lv("acme", lv), ==, "a.b");
    g_assert_null(quota_name_parse_lv("acm", lv));
    g_assert_null(quota_name_parse_lv("acmf", lv));
    g_assert_null(quota_name_parse_lv("acme.a", "acme.ab"));
    g_assert_null(quota_name_parse_lv("acme", "acme"));
    g_assert_null(quota_name_parse_lv("acme", "acme."));
    g_assert_cmpstr(quota_name_parse_lv("acme", "acme._thin"), ==,
                    QUOTA_THIN_POOL_VOLUME);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/name/tenants", test_tenants);
    g_test_add_func("/name/volumes", test_volumes);
    g_test_add_func("/name/groups", test_groups);
    g_test_add_func("/name/lv", test_lv_names);
    return g_test_run();
}
