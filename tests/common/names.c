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
        "snapshot1", "pvmove0", "a_tdata", "a_rimage_0", "a_cpool", "a_wcorig", "a\n", "../x", "{", "/",
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

#define HYPHENS_16 "----------------"

static void test_volumes(void)
{
    static const char *const good[] = {
        "disk0", "volume-1b2c.A+x_y", "snapshot1", "pvmove0", "tdata", "cpool",
        "a_cpoo", "1", "A",
    };
    static const char *const bad[] = {
        "", "_thin", "-a", ".", "..", "+a", "a/b", "a b", "a,b", "x_tmeta",
        "x_cpool", "x_wcorig", "x_cvol.1", "x_vdata_2", "x_vorigin",
    };
    char exact[QUOTA_LV_MAX_BYTES], over[QUOTA_LV_MAX_BYTES + 1];

    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_assert_cmpint(quota_name_check_volume("vg0", "acme", good[i], NULL),
                        ==, 0);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        const char *why = NULL;

        g_assert_cmpint(quota_name_check_volume("vg0", "acme", bad[i], &why),
                        ==, -EINVAL);
        g_assert_nonnull(why);
    }

    /* "acme." and this many more make 127. */
    memset(exact, 'x', sizeof(exact));
    exact[QUOTA_LV_MAX_BYTES - 5] = '\0';
    g_assert_cmpint(quota_name_check_volume(NULL, "acme", exact, NULL), ==, 0);
    memset(over, 'x', sizeof(over));
    over[QUOTA_LV_MAX_BYTES - 4] = '\0';
    g_assert_cmpint(quota_name_check_volume(NULL, "acme", over, NULL), ==,
                    -EINVAL);
}

/* Device-mapper takes 127 bytes for "vg0-acme.", and what is called so. */
static void test_device_names(void)
{
    char name[QUOTA_LV_MAX_BYTES + 1];

    memset(name, 'x', sizeof(name));
    name[QUOTA_DEVICE_MAX_BYTES - strlen("vg0-acme.")] = '\0';
    g_assert_cmpint(quota_name_check_volume("vg0", "acme", name, NULL), ==, 0);
    g_assert_cmpint(quota_name_check_volume("vg01", "acme", name, NULL), ==,
                    -EINVAL);
    g_assert_cmpint(quota_name_check_volume("vg0", "acmes", name, NULL), ==,
                    -EINVAL);
    name[1] = '-';              /* which stands twice */
    g_assert_cmpint(quota_name_check_volume("vg0", "acme", name, NULL), ==,
                    -EINVAL);
    name[strlen(name) - 1] = '\0';
    g_assert_cmpint(quota_name_check_volume("vg0", "acme", name, NULL), ==, 0);
    g_assert_cmpint(quota_name_check_volume("v-0", "acme", name, NULL), ==,
                    -EINVAL);

    /* 114 for group and tenant, so that "-", "._thin" and "-tpool" fit */
    memset(name, 'g', sizeof(name));
    name[114 - 4] = '\0';
    g_assert_cmpint(quota_name_check_pool(name, "acme", NULL), ==, 0);
    g_assert_cmpint(quota_name_check_pool(name, "acmes", NULL), ==, -EINVAL);
    g_assert_cmpint(quota_name_check_pool(name, "a-me", NULL), ==, -EINVAL);
    g_assert_cmpint(quota_name_check_pool("g" HYPHENS_16 HYPHENS_16 HYPHENS_16
                                          HYPHENS_16, "acme", NULL), ==,
                    -EINVAL);
}

/* What becomes nobody's LV must have a name that LVM takes. */
static void test_free_names(void)
{
    static const char *const bad[] = {
        "", ".", "..", "-a", "a/b", "snapshot1", "pvmove0", "a_cpool",
        LONG_32 LONG_32 LONG_32 LONG_32,
    };

    g_assert_cmpint(quota_name_check_lv("vg0", "_a", NULL), ==, 0);
    g_assert_cmpint(quota_name_check_lv("vg0", "acme.x", NULL), ==, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_cmpint(quota_name_check_lv("vg0", bad[i], NULL), ==, -EINVAL);
    }
}

/* An LV that a killed command left is taken for somebody's, or the reverse. */
static void test_parts(void)
{
    static const char *const parts[] = {
        "acme.a_tdata", "acme.a_rimage_0", "acme.a_rmeta_11", "fast_cpool",
        "fast_cvol", "acme.a_wcorig", "acme.a_corig", "lvol0_pmspare",
        "acme.a_rimage_0_imeta", "acme.a_vdata", "a_vorigin", "a_mlog",
    };
    static const char *const others[] = {
        "", "0", "_0", "acme.a", "acme.a_0", "acme._thin", "acme.tdata",
        "acme.a_tdata.1", "acme.a_tdata1", "acme.a_tdata_x",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_assert_true(quota_name_is_part(parts[i]));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
        g_assert_false(quota_name_is_part(others[i]));
    }
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
    g_test_add_func("/name/devices", test_device_names);
    g_test_add_func("/name/free", test_free_names);
    g_test_add_func("/name/parts", test_parts);
    g_test_add_func("/name/groups", test_groups);
    g_test_add_func("/name/lv", test_lv_names);
    return g_test_run();
}
