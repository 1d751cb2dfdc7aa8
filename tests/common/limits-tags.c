/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A limit must read back from its tag as it was written, and an LV be charged
 * once and in the right place. */
#include "scratch.h"

#define LONG_64 \
    "abcdefghijklmnopqrstuvwxyz012345abcdefghijklmnopqrstuvwxyz012345"

static void test_round_trip(void)
{
    for (size_t i = 0; i < quota_limit_fields_count; i++) {
        const struct quota_limit_field *field = &quota_limit_fields[i];
        struct quota_limits in = { 0 }, out = { 0 };
        char tag[QUOTA_TAG_MAX_BYTES];

        g_assert_cmpint(quota_tag_format_limit(&in, field, tag), ==, -ENOENT);
        quota_limit_set(&in, field, 1234567890123 + i);
        g_assert_cmpint(quota_tag_format_limit(&in, field, tag), ==, 0);
        g_assert_cmpint(quota_tag_parse_limit(tag, &out), ==, 0);
        g_assert_cmpmem(&in, sizeof(in), &out, sizeof(out));
        g_assert_true(quota_limit_field_find(field->name) == field);
        for (size_t j = 0; j < i; j++) {
            g_assert_cmpuint(field->offset, !=, quota_limit_fields[j].offset);
        }
    }
}

static void test_foreign_and_bad_tags(void)
{
    static const char *const foreign[] = {
        "", "backup", "quota-lvm", "quota-lvm:", "quota-lvm:limit",
        "quota-lvm:tenant=acme", "quota-lvm:colour=blue", "limit=5",
        "quota-lvm:" LONG_64 LONG_64 "=5",
    };
    static const char *const bad[] = {
        "quota-lvm:limit=", "quota-lvm:limit=-1", "quota-lvm:limit=5G",
        "quota-lvm:limit=99999999999999999999",
        "quota-lvm:total_iops_sec=1.5", "quota-lvm:step=1:",
    };
    struct quota_limits limits = { 0 }, none = { 0 };

    for (size_t i = 0; i < G_N_ELEMENTS(foreign); i++) {
        g_assert_cmpint(quota_tag_parse_limit(foreign[i], &limits), ==,
                        -ENOENT);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_cmpint(quota_tag_parse_limit(bad[i], &limits), ==, -EINVAL);
    }
    g_assert_cmpmem(&limits, sizeof(limits), &none, sizeof(none));
}

/* An LV with odd tags is charged to two tenants, to none, or to the wrong
 * one. */
static void test_owners(void)
{
    static const struct {
        const char *tags, *lv, *tenant;
        bool is_of_two, is_of_invalid;
    } cases[] = {
        { "", "acme.a", "", false, false },
        { "quota-lvm:limit=1,mine", "acme.a", "", false, false },
        { "quota-lvm:tenant=acme", "acme.a", "acme", false, false },
        { "mine,quota-lvm:tenant=acme,b", "data", "acme", false, false },
        /* two: who it is called after, or else the first */
        { "quota-lvm:tenant=globex,quota-lvm:tenant=acme", "acme.a", "acme",
          true, false },
        { "quota-lvm:tenant=acme,quota-lvm:tenant=globex", "acme.a", "acme",
          true, false },
        { "quota-lvm:tenant=globex,quota-lvm:tenant=acme", "data", "globex",
          true, false },
        { "quota-lvm:tenant=globex,quota-lvm:tenant=acme", "acme", "globex",
          true, false },
        { "quota-lvm:tenant=acme,quota-lvm:tenant=acme", "acme.a", "acme",
          false, false },
        /* names that no tenant can have */
        { "quota-lvm:tenant=", "acme.a", "", false, true },
        { "quota-lvm:tenant=Acme", "Acme.a", "", false, true },
        { "quota-lvm:tenant=../x,quota-lvm:tenant=acme", "data", "acme", false,
          true },
        { "quota-lvm:tenant=acme_cpool", "acme_cpool.a", "", false, true },
        { "quota-lvm:tenant=abcdefghijklmnopqrstuvwxyz012345", "a",
          "abcdefghijklmnopqrstuvwxyz012345", false, false },
        { "quota-lvm:tenant=abcdefghijklmnopqrstuvwxyz0123456", "a", "", false,
          true },
        { "quota-lvm:tenant=" LONG_64 LONG_64, "a", "", false, true },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct quota_owner owner;

        g_test_message("%s: %s", cases[i].lv, cases[i].tags);
        quota_owner_find(cases[i].tags, cases[i].lv, &owner);
        g_assert_cmpstr(owner.tenant, ==, cases[i].tenant);
        g_assert_cmpint(owner.is_of_two, ==, cases[i].is_of_two);
        g_assert_cmpint(owner.is_of_invalid, ==, cases[i].is_of_invalid);
    }
}

static void test_overcommit_tags(void)
{
    static const struct {
        const char *tag;
        int ret;
    } cases[] = {
        { "quota-lvm:overcommit=150", 0 }, { "quota-lvm:overcommit=1", 0 },
        { "quota-lvm:overcommit=1000000", 0 },
        { "quota-lvm:overcommit=1000001", -EINVAL },
        { "quota-lvm:overcommit=0", -EINVAL },
        { "quota-lvm:overcommit=", -EINVAL },
        { "quota-lvm:overcommit=1.5", -EINVAL },
        { "quota-lvm:limit=5", -ENOENT }, { "overcommit=5", -ENOENT },
    };
    uint64_t percent;

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s", cases[i].tag);
        g_assert_cmpint(quota_tag_parse_overcommit(cases[i].tag, &percent), ==,
                        cases[i].ret);
    }
    g_assert_cmpint(quota_tag_parse_overcommit(cases[0].tag, &percent), ==, 0);
    g_assert_cmpuint(percent, ==, 150);
}

static void test_senseless_sets(void)
{
    const struct {
        struct quota_limits limits;
        const char *field;
    } cases[] = {
        { { .rates[0] = { 0, 5, 0 } }, "total_bytes_sec_max" },
        { { .rates[2] = { 9, 5, 0 } }, "write_bytes_sec_max" },
        { { .rates[4] = { 9, 0, 3 } }, "read_iops_sec_max_length" },
        { { .rates[0] = { 9, 0, 0 }, .rates[1] = { 9, 0, 0 } },
          "total_bytes_sec" },
        { { .rates[3] = { 9, 0, 0 }, .rates[5] = { 9, 0, 0 } },
          "total_iops_sec" },
        { { .limit_bytes = UINT64_C(1) << 63 }, "limit" },
        { { .limit_bytes = 5, .guarantee_bytes = 6 }, "guarantee" },
    };
    const struct quota_limits good = {
        .limit_bytes = GIB,
        .guarantee_bytes = GIB, .max_volumes = 3,
        .rates[0] = { 5, 9, 3 }, .rates[4] = { 5, 0, 0 },
    };
    const struct quota_limits no_limit = { .guarantee_bytes = GIB };
    const struct quota_limit_field *field;
    const char *why;

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_cmpint(quota_limits_check(&cases[i].limits, &field, &why), ==,
                        -EINVAL);
        g_assert_cmpstr(field->name, ==, cases[i].field);
        g_assert_nonnull(why);
    }
    g_assert_cmpint(quota_limits_check(&good, &field, &why), ==, 0);
    g_assert_cmpint(quota_limits_check(&no_limit, &field, &why), ==, 0);
}

static void test_digest_sees_every_limit(void)
{
    struct quota_limits none = { 0 };

    for (size_t i = 0; i < quota_limit_fields_count; i++) {
        struct quota_limits limits = { 0 };
        uint64_t one, two;

        quota_limit_set(&limits, &quota_limit_fields[i], 1);
        one = quota_limits_digest(&limits);
        quota_limit_set(&limits, &quota_limit_fields[i], 2);
        two = quota_limits_digest(&limits);
        g_assert_cmpuint(one, !=, two);
        g_assert_cmpuint(one, !=, quota_limits_digest(&none));
    }
}

#define LV(segtype_, tags_, size) \
    .segtype = segtype_, .tags = tags_, .size_bytes = size

static void test_charge(void)
{
    const struct quota_lv lvs[] = {
        { LV("thin-pool",
             "quota-lvm:limit=10737418240,quota-lvm:tenant=acme,mine",
             2 * GIB), .chunk_bytes = 65536 },
        { LV("thin", "quota-lvm:tenant=acme", 50 * GIB) },
        { LV("linear", "quota-lvm:limit=7", 3 * GIB) },
        { LV("thin", "", GIB) },
        { LV("striped", "quota-lvm:tenant=acme", GIB) },
    };
    struct quota_state state = { .group_free_bytes = 100 * GIB };
    enum quota_reason reason;

    for (size_t i = 0; i < G_N_ELEMENTS(lvs); i++) {
        g_assert_cmpint(quota_state_charge(&state, &lvs[i]), ==, 0);
    }
    g_assert_cmpuint(state.limits.limit_bytes, ==, 10 * GIB);
    g_assert_cmpuint(state.grant_bytes, ==, 2 * GIB);
    g_assert_cmpuint(state.thick_bytes, ==, 4 * GIB);
    g_assert_cmpuint(state.volumes, ==, 4);
    g_assert_cmpuint(state.chunk_bytes, ==, 65536);
    g_assert_cmpuint(quota_state_can_grow(&state, &reason), ==, 4 * GIB);
    g_assert_cmpint(reason, ==, QUOTA_REASON_TENANT_LIMIT);
    state.group_free_bytes = GIB;
    g_assert_cmpuint(quota_state_can_grow(&state, &reason), ==, GIB);
    g_assert_cmpint(reason, ==, QUOTA_REASON_GROUP_FULL);
    state.limits.limit_bytes = 5 * GIB;
    g_assert_cmpuint(quota_state_can_grow(&state, &reason), ==, 0);
    g_assert_cmpint(reason, ==, QUOTA_REASON_TENANT_LIMIT);
    g_assert_cmpuint(quota_state_can_grow(&state, NULL), ==, 0);
}

/* An unreadable tag is reported, and the bytes are still charged. */
static void test_charge_with_bad_tags(void)
{
    const struct quota_lv pool = {
        LV("thin-pool", "quota-lvm:limit=5G," LONG_64 LONG_64
           ",quota-lvm:step=4096", GIB), .chunk_bytes = 65536,
    };
    const struct quota_lv untagged = {
        LV("thin-pool", NULL, GIB), .chunk_bytes = 65536,
    };
    struct quota_state state = { 0 };

    g_assert_cmpint(quota_state_charge(&state, &pool), ==, -EINVAL);
    g_assert_cmpuint(state.grant_bytes, ==, GIB);
    g_assert_cmpuint(state.limits.limit_bytes, ==, 0);
    g_assert_cmpuint(state.limits.step_bytes, ==, 4096);
    g_assert_cmpint(quota_state_charge(&state, &untagged), ==, 0);
    g_assert_cmpuint(state.grant_bytes, ==, 2 * GIB);
}

/* A thin volume is charged for what it takes outside its pool, and for all of
 * it if its kind is unknown. */
static void test_charge_unknown(void)
{
    const struct quota_lv lv = {
        LV("thin", "", GIB), .physical_bytes = 100 * GIB,
    };
    struct quota_state state = { .limits.limit_bytes = 50 * GIB };

    g_assert_cmpint(quota_state_charge(&state, &lv), ==, 0);
    g_assert_cmpuint(state.thick_bytes, ==, 100 * GIB);
    g_assert_cmpuint(quota_state_can_grow(&state, NULL), ==, 0);
}

/* Sums of what cannot be true stay at the most there is. */
static void test_charge_saturates(void)
{
    const struct quota_lv huge = { LV("linear", "", UINT64_MAX - 5) };
    struct quota_state state = { .limits.limit_bytes = INT64_MAX };

    g_assert_cmpint(quota_state_charge(&state, &huge), ==, 0);
    g_assert_cmpint(quota_state_charge(&state, &huge), ==, 0);
    g_assert_cmpuint(state.thick_bytes, ==, UINT64_MAX);
    g_assert_cmpuint(quota_state_can_grow(&state, NULL), ==, 0);
}

/* All readers get the state as it was published. */
static void test_read_back(void)
{
    struct quota_ledger *ledger;
    struct quota_state in = { .thick_bytes = 1, .grant_bytes = 2,
                              .chunk_bytes = 3, .group_free_bytes = 4 }, out;

    for (size_t i = 0; i < quota_limit_fields_count; i++) {
        if (quota_limit_fields[i].is_in_ledger) {
            quota_limit_set(&in.limits, &quota_limit_fields[i], 100 + i);
        }
    }
    g_assert_cmpint(quota_ledger_new_private("acme", &ledger), ==, 0);
    /* Each word alone is a change. */
    for (size_t i = 0; i <= quota_limit_fields_count; i++) {
        quota_state_publish(ledger, &in);
        quota_state_read(ledger, &out);
        g_assert_cmpmem(&in, sizeof(in), &out, sizeof(out));
        if (quota_limit_fields[i % quota_limit_fields_count].is_in_ledger) {
            quota_limit_set(&in.limits,
                            &quota_limit_fields[i % quota_limit_fields_count],
                            i);
        }
    }
    quota_ledger_close(ledger);
}

static void test_reasons(void)
{
    for (int a = 0; a < QUOTA_REASON_MAX; a++) {
        for (int b = 0; b < a; b++) {
            g_assert_cmpstr(quota_reason_name(a), !=, quota_reason_name(b));
        }
    }
    g_assert_cmpstr(quota_reason_name(QUOTA_REASON_MAX), ==,
                    "accounting-lost");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/limits/round-trip", test_round_trip);
    g_test_add_func("/limits/foreign-and-bad-tags", test_foreign_and_bad_tags);
    g_test_add_func("/limits/owners", test_owners);
    g_test_add_func("/limits/overcommit-tags", test_overcommit_tags);
    g_test_add_func("/limits/senseless-sets", test_senseless_sets);
    g_test_add_func("/limits/digest", test_digest_sees_every_limit);
    g_test_add_func("/limits/charge", test_charge);
    g_test_add_func("/limits/charge-with-bad-tags", test_charge_with_bad_tags);
    g_test_add_func("/limits/charge-unknown", test_charge_unknown);
    g_test_add_func("/limits/charge-saturates", test_charge_saturates);
    g_test_add_func("/limits/read-back", test_read_back);
    g_test_add_func("/limits/reasons", test_reasons);
    return g_test_run();
}
