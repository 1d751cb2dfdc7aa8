/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * report-text.c: a number shown under another's name, or a word where a
 * program expects null.  The goldens are report-*.txt and report-*.json; run
 * with QUOTA_UPDATE_GOLDENS=1 to write them anew, then read the difference.
 */
#include <glib.h>
#include <json-glib/json-glib.h>

#include "report.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static const struct report_volume volumes[] = {
    { "root", 512 * MIB, 300 * MIB, 65536, 1 },
    { "data+2", REPORT_UNKNOWN, REPORT_UNKNOWN, 0, 2 },
};

static struct report reports[] = {
    {
        .group = "vg0",
        .tenant = "acme",
        .limits = {
            .limit_bytes = 10 * GIB,
            .step_bytes = 512 * MIB,
            .rates[QUOTA_RATE_TOTAL_BYTES] = { 20 * MIB, 40 * MIB, 60 },
            .rates[QUOTA_RATE_READ_IOPS] = { 500, 0, 0 },
        },
        .used_bytes = 3 * GIB + 65536,
        .thick_bytes = 2 * GIB,
        .thin_bytes = GIB + 65536,
        .grant_bytes = 1536 * MIB,
        .available_bytes = 7 * GIB - 65536,
        .group_free_bytes = 100 * GIB,
        .unsampled_bytes = 65536,
        .refused_writes = 3,
        .writers = 2,
    },
    {
        /* not active, no limit, no ledger: nothing but the grant is known */
        .group = "a-longer-group",
        .tenant = "globex-and-sons",
        .limits.limit_bytes = REPORT_UNKNOWN,
        .used_bytes = REPORT_UNKNOWN,
        .thin_bytes = REPORT_UNKNOWN,
        .grant_bytes = 100 * MIB,
        .available_bytes = REPORT_UNKNOWN,
        .group_free_bytes = 0,
        .unsampled_bytes = REPORT_UNKNOWN,
        .refused_writes = REPORT_UNKNOWN,
        .writers = REPORT_UNKNOWN,
        .is_over_limit = true,
    },
};

static void
compare(const char *name, const char *text)
{
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, name, NULL);
    g_autofree char *golden = NULL;

    if (g_getenv("QUOTA_UPDATE_GOLDENS"))
        g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_assert_true(g_file_get_contents(path, &golden, NULL, NULL));
    g_assert_cmpstr(text, ==, golden);
}

static void
test_text(void)
{
    g_autofree char *list = report_list_text(reports, G_N_ELEMENTS(reports));
    g_autofree char *none = report_list_text(reports, 0);
    g_autofree char *show = report_show_text(&reports[0]);

    compare("report-list.txt", list);
    compare("report-none.txt", none);
    compare("report-show.txt", show);
}

static void
test_json(void)
{
    g_autofree char *list = report_list_json(reports, G_N_ELEMENTS(reports));
    g_autofree char *show = report_show_json(&reports[0]);
    g_autofree char *none = report_list_json(reports, 0);
    g_autoptr(JsonParser) parser = json_parser_new();

    compare("report-list.json", list);
    compare("report-show.json", show);
    g_assert_true(json_parser_load_from_data(parser, none, -1, NULL));
    g_assert_cmpuint(json_array_get_length(
        json_node_get_array(json_parser_get_root(parser))), ==, 0);
}

int
main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    reports[0].volumes = g_array_new(FALSE, FALSE, sizeof(volumes[0]));
    g_array_append_vals(reports[0].volumes, volumes, G_N_ELEMENTS(volumes));
    g_test_add_func("/report/text", test_text);
    g_test_add_func("/report/json", test_json);
    ret = g_test_run();
    report_clear(&reports[0]);
    return ret;
}
