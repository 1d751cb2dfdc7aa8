/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * set-values.c: a limit set to something that nobody asked for, or tags of
 * others touched.
 */
#include <glib.h>
#include <string.h>

#include "set-values.h"

static void
test_values(void)
{
    static const struct {
        const char *field, *text;
        bool ok;
        uint64_t value;
        const char *says;
    } cases[] = {
        { "limit", "10G", true, UINT64_C(10) << 30, NULL },
        { "limit", "10737418240", true, UINT64_C(10) << 30, NULL },
        { "limit", "1.5TiB", true, UINT64_C(3) << 39, NULL },
        { "limit", "0", false, 0, "--limit: '0' would leave the tenant no " },
        { "limit", "none", false, 0, "--limit: 'none' would leave" },
        { "limit", "-5G", false, 0, "--limit: '-5G' is negative: give a size" },
        { "limit", "10Q", false, 0, "'10Q' is not a size with a unit known" },
        { "limit", "", false, 0, "'' is not a size" },
        { "limit", "16E", false, 0, "'16E' is too large" },
        { "limit", "99999999999999999999", false, 0, "is too large" },
        { "step", "none", true, 0, NULL },
        { "step", "512M", true, UINT64_C(512) << 20, NULL },
        { "total_bytes_sec", "20M", true, 20 << 20, NULL },
        { "total_bytes_sec", "0", true, 0, NULL },
        { "total_bytes_sec", "none", true, 0, NULL },
        { "total_bytes_sec", "fast", false, 0, "--total-bytes-sec: 'fast'" },
        { "total_iops_sec", "500", true, 500, NULL },
        { "total_iops_sec", "1.5", false, 0, "is not a whole number" },
        { "total_iops_sec", "5k", false, 0, "is not a whole number" },
        { "total_iops_sec", "-1", false, 0, "is negative" },
        { "total_iops_sec", "99999999999999999999", false, 0, "is too large" },
        { "read_iops_sec_max_length", "60", true, 60, NULL },
        { "read_iops_sec_max_length", "1m", false, 0,
          "--read-iops-sec-max-length: '1m' is not a whole number" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const struct quota_limit_field *field =
            quota_limit_field_find(cases[i].field);
        g_autoptr(GError) error = NULL;
        uint64_t value = 0;
        bool ok;

        g_test_message("%s %s", cases[i].field, cases[i].text);
        g_assert_nonnull(field);
        ok = set_value_parse(field, cases[i].text, &value, &error);
        g_assert_cmpint(ok, ==, cases[i].ok);
        if (ok) {
            g_assert_cmpuint(value, ==, cases[i].value);
        } else {
            g_test_message("%s", error->message);
            g_assert_nonnull(strstr(error->message, cases[i].says));
        }
    }
}

static void
change_one(struct set_change *change, const char *name, uint64_t value)
{
    size_t i = quota_limit_field_find(name) - quota_limit_fields;

    change->values[i] = value;
    change->is_given[i] = true;
    change->given_count++;
}

/* What is given changes, what is not stays; 0 clears. */
static void
test_together(void)
{
    g_autofree uint64_t *values = g_new0(uint64_t, quota_limit_fields_count);
    g_autofree bool *is_given = g_new0(bool, quota_limit_fields_count);
    struct set_change change = { values, is_given, 0 };
    struct quota_limits limits = { .limit_bytes = 1000 };

    change_one(&change, "total_bytes_sec", 100);
    set_limits_change(&limits, &change);
    g_assert_cmpuint(limits.limit_bytes, ==, 1000);
    g_assert_cmpuint(limits.rates[QUOTA_RATE_TOTAL_BYTES].per_sec, ==, 100);

    change_one(&change, "read_bytes_sec", 50);
    change_one(&change, "total_bytes_sec", 0);
    set_limits_change(&limits, &change);
    g_assert_cmpuint(limits.rates[QUOTA_RATE_TOTAL_BYTES].per_sec, ==, 0);
    g_assert_cmpuint(limits.rates[QUOTA_RATE_READ_BYTES].per_sec, ==, 50);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/set/values", test_values);
    g_test_add_func("/set/together", test_together);
    return g_test_run();
}
