/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lvm-report.c: an LV counted twice, forgotten, or charged to someone else
 * because its report was misread.  lvs-*.json are what LVM 2.03.31 printed.
 */
#include <glib.h>

#include "lvm.h"

#define MIB (UINT64_C(1) << 20)

static GPtrArray *
parse_file(const char *name)
{
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, name, NULL);
    g_autofree char *json = NULL;
    g_autoptr(GError) error = NULL;
    GPtrArray *tenants;

    g_assert_true(g_file_get_contents(path, &json, NULL, &error));
    tenants = lvm_tenants_parse(json, &error);
    g_assert_no_error(error);
    return tenants;
}

static void
test_two_tenants(void)
{
    g_autoptr(GPtrArray) tenants = parse_file("lvs-two-tenants.json");
    const LvmTenant *lvm;

    g_assert_cmpuint(tenants->len, ==, 2);

    lvm = g_ptr_array_index(tenants, 0);
    g_assert_cmpstr(lvm->group, ==, "vg0");
    g_assert_cmpstr(lvm->tenant, ==, "acme");
    g_assert_cmpuint(lvm->state.limits.limit_bytes, ==, 1024 * MIB);
    g_assert_cmpuint(lvm->state.limits.step_bytes, ==, 64 * MIB);
    g_assert_cmpuint(lvm->state.grant_bytes, ==, 64 * MIB);
    g_assert_cmpuint(lvm->state.chunk_bytes, ==, 65536);
    g_assert_cmpuint(lvm->extent_bytes, ==, 4 * MIB);
    g_assert_cmpstr(lvm->thin_dm_uuid, ==,
                    "LVM-fkX6BSooCDvMi2sz3QdSUeS3FvFUJGAM"
                    "bNfk1dDGq1tsXudXrI0FGH4L15Bmx0em-tpool");
    g_assert_false(lvm->has_bad_tag);

    lvm = g_ptr_array_index(tenants, 1);
    g_assert_cmpstr(lvm->tenant, ==, "globex");
    g_assert_cmpuint(lvm->state.thick_bytes, ==, 0);
}

/* lvs prints an LV once for each segment when asked for segtype. */
static void
test_segments_counted_once(void)
{
    g_autoptr(GPtrArray) tenants = parse_file("lvs-two-tenants.json");
    const LvmTenant *lvm = g_ptr_array_index(tenants, 0);

    g_assert_cmpuint(lvm->state.thick_bytes, ==, 40 * MIB);
}

static void
test_none(void)
{
    g_autoptr(GPtrArray) tenants = parse_file("lvs-none.json");

    g_assert_cmpuint(tenants->len, ==, 0);
}

/* Whatever is cut off or changed in the text: an answer or an error. */
static void
test_malformed(void)
{
    static const char *const texts[] = {
        "", "null", "[]", "{}", "{\"report\": 5}", "{\"report\": [5]}",
        "{\"report\": [{}]}", "{\"report\": [{\"lv\": 5}]}",
        "{\"report\": [{\"lv\": [5]}]}", "{\"report\": [{\"lv\": [{}]}]}",
        "{\"report\": [{\"lv\": [{\"vg_name\": 7}]}]}",
    };
    g_autofree char *path = g_test_build_filename(G_TEST_DIST,
                                                  "lvs-two-tenants.json",
                                                  NULL);
    g_autofree char *json = NULL;
    gsize length;

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(lvm_tenants_parse(texts[i], &error));
        g_assert_nonnull(error);
    }

    g_assert_true(g_file_get_contents(path, &json, &length, NULL));
    for (gsize end = 0; end < length; end += 3) {
        g_autofree char *cut = g_strndup(json, end);
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) tenants = lvm_tenants_parse(cut, &error);

        g_assert_true(!tenants == !!error);
    }
    for (gsize at = 0; at < length; at++) {
        char was = json[at];

        for (const char *c = "\"0x-{"; *c; c++) {
            g_autoptr(GError) error = NULL;
            g_autoptr(GPtrArray) tenants = NULL;

            json[at] = *c;
            tenants = lvm_tenants_parse(json, &error);
            g_assert_true(!tenants == !!error);
        }
        json[at] = was;
    }
}

static void
test_bad_tags(void)
{
    static const char format[] =
        "{\"report\": [{\"lv\": [{\"vg_name\":\"vg0\", \"vg_uuid\":\"a-b\", "
        "\"vg_extent_size\":\"4194304\", \"vg_free\":\"0\", "
        "\"lv_name\":\"acme._thin\", \"lv_uuid\":\"c-d\", "
        "\"segtype\":\"thin-pool\", \"lv_size\":\"4194304\", "
        "\"chunk_size\":\"65536\", \"lv_tags\":\"%s\"}]}]}";
    static const struct {
        const char *tags;
        guint tenants;
        bool is_bad;
    } cases[] = {
        { "quota-lvm:tenant=acme,quota-lvm:limit=5", 1, false },
        { "quota-lvm:tenant=acme,quota-lvm:limit=five", 1, true },
        { "quota-lvm:tenant=acme,backup=daily,quota-lvm:colour=red", 1, false },
        { "quota-lvm:tenant=Acme", 0, false },
        { "quota-lvm:tenant=", 0, false },
        { "quota-lvm:tenant=../etc", 0, false },
        { "backup=daily", 0, false },
        { "", 0, false },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *json = g_strdup_printf(format, cases[i].tags);
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) tenants = lvm_tenants_parse(json, &error);

        g_test_message("tags: %s", cases[i].tags);
        g_assert_no_error(error);
        g_assert_cmpuint(tenants->len, ==, cases[i].tenants);
        if (tenants->len) {
            const LvmTenant *lvm = g_ptr_array_index(tenants, 0);

            g_assert_cmpint(lvm->has_bad_tag, ==, cases[i].is_bad);
        }
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/lvm-report/two-tenants", test_two_tenants);
    g_test_add_func("/lvm-report/segments-counted-once",
                    test_segments_counted_once);
    g_test_add_func("/lvm-report/none", test_none);
    g_test_add_func("/lvm-report/malformed", test_malformed);
    g_test_add_func("/lvm-report/bad-tags", test_bad_tags);
    return g_test_run();
}
