/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * set-values.c: a limit set to something that nobody asked for, or tags of
 * others touched.
 */
#include <glib.h>
#include <string.h>

#include "set.h"

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

static void
test_together(void)
{
    g_autofree uint64_t *values = g_new0(uint64_t, quota_limit_fields_count);
    g_autofree bool *is_given = g_new0(bool, quota_limit_fields_count);
    struct set_change change = { values, is_given, 0 };
    struct quota_limits limits = { 0 };
    g_autoptr(GError) error = NULL;

    /* a tenant that never had a limit */
    change_one(&change, "total_bytes_sec", 100);
    g_assert_false(set_limits_change(&limits, &change, &error));
    g_assert_nonnull(strstr(error->message, "--limit SIZE"));
    g_clear_error(&error);

    limits = (struct quota_limits) { .limit_bytes = 1000 };
    g_assert_true(set_limits_change(&limits, &change, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(limits.limit_bytes, ==, 1000);

    /* a total and a part of it */
    change_one(&change, "read_bytes_sec", 50);
    g_assert_false(set_limits_change(&limits, &change, &error));
    g_assert_nonnull(strstr(error->message, "--total-bytes-sec cannot be set"));
    g_clear_error(&error);
    change_one(&change, "total_bytes_sec", 0);
    g_assert_true(set_limits_change(&limits, &change, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(limits.rates[QUOTA_RATE_READ_BYTES].per_sec, ==, 50);
}

static char *
join(GPtrArray *tags)
{
    g_ptr_array_add(tags, NULL);
    return g_strjoinv(" ", (char **)tags->pdata);
}

static void
test_tags(void)
{
    static const struct {
        const char *tags;
        uint64_t limit, step;
        const char *remove, *add;
    } cases[] = {
        { "quota-lvm:tenant=acme quota-lvm:limit=5", 5, 0, "", "" },
        { "quota-lvm:tenant=acme quota-lvm:limit=5", 7, 0,
          "quota-lvm:limit=5", "quota-lvm:limit=7" },
        { "quota-lvm:tenant=acme quota-lvm:limit=5", 5, 3, "",
          "quota-lvm:step=3" },
        { "quota-lvm:limit=5 quota-lvm:step=3", 5, 0, "quota-lvm:step=3", "" },
        { "quota-lvm:tenant=acme", 5, 0, "", "quota-lvm:limit=5" },
        /* a value that cannot be read, and two of one kind */
        { "quota-lvm:limit=five", 5, 0, "quota-lvm:limit=five",
          "quota-lvm:limit=5" },
        { "quota-lvm:limit=5 quota-lvm:limit=6", 6, 0, "quota-lvm:limit=5",
          "" },
        /* not ours to touch */
        { "limit=9 quota-lvm:limits=9 quota-lvm:definition=0123456789abcdef "
          "quota-lvm:limit=5", 6, 0, "quota-lvm:limit=5",
          "quota-lvm:limit=6" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(GStrv) tags = g_strsplit(cases[i].tags, " ", -1);
        g_autoptr(GPtrArray) remove = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GPtrArray) add = g_ptr_array_new_with_free_func(g_free);
        struct quota_limits limits = {
            .limit_bytes = cases[i].limit,
            .step_bytes = cases[i].step,
        };
        g_autofree char *removed = NULL;
        g_autofree char *added = NULL;

        set_tags_change(tags, &limits, remove, add);
        removed = join(remove);
        added = join(add);
        g_assert_cmpstr(removed, ==, cases[i].remove);
        g_assert_cmpstr(added, ==, cases[i].add);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/set/values", test_values);
    g_test_add_func("/set/together", test_together);
    g_test_add_func("/set/tags", test_tags);
    return g_test_run();
}
