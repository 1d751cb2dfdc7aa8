/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lvm-report.c: an LV counted twice, forgotten, or charged to someone else
 * because LVM's metadata was misread.  two-tenants.vg and parts.vg are what
 * vgcfgbackup of LVM 2.03.31 wrote, the others say what they are.
 */
#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <string.h>

#include "group.h"

#define MIB (UINT64_C(1) << 20)

static char *
text_of(const char *name)
{
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, name, NULL);
    char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

/* group_of: NULL: the text makes no sense. */
static LvmGroup *
group_of(const char *text)
{
    struct quota_metadata_group *metadata;
    LvmGroup *group;
    int ret = quota_metadata_parse(text, "vg0", &metadata);

    if (ret < 0) {
        g_assert_true(ret == -EBADMSG || ret == -ENOENT);
        g_assert_null(metadata);
        return NULL;
    }
    group = lvm_group_new(metadata);
    quota_metadata_group_free(metadata);
    return group;
}

static LvmGroup *
parse_file(const char *name)
{
    g_autofree char *text = text_of(name);
    LvmGroup *group = group_of(text);

    g_assert_nonnull(group);
    return group;
}

static void
test_two_tenants(void)
{
    g_autoptr(LvmGroup) group = parse_file("two-tenants.vg");
    const LvmTenant *lvm;

    g_assert_cmpstr(group->name, ==, "vg0");
    g_assert_cmpuint(group->tenants->len, ==, 2);
    g_assert_cmpuint(group->missing_devices, ==, 0);

    lvm = g_ptr_array_index(group->tenants, 0);
    g_assert_cmpstr(lvm->group, ==, "vg0");
    g_assert_cmpstr(lvm->tenant, ==, "acme");
    g_assert_cmpuint(lvm->state.limits.limit_bytes, ==, 1024 * MIB);
    g_assert_cmpuint(lvm->state.limits.step_bytes, ==, 64 * MIB);
    g_assert_cmpuint(lvm->state.grant_bytes, ==, 64 * MIB);
    g_assert_cmpuint(lvm->state.chunk_bytes, ==, 65536);
    g_assert_cmpuint(lvm->extent_bytes, ==, 4 * MIB);
    g_assert_cmpstr(lvm->thin_dm_uuid, ==,
                    "LVM-mttW0kdrLqNesjIRwTcBc8O6sMPsxSEn"
                    "1kImju3CqbFW8pSCXzvR79lNSuTOFpjG-tpool");
    g_assert_false(lvm->has_bad_tag);
    /* of two segments */
    g_assert_cmpuint(lvm->state.thick_bytes, ==, 40 * MIB);

    lvm = g_ptr_array_index(group->tenants, 1);
    g_assert_cmpstr(lvm->tenant, ==, "globex");
    g_assert_cmpuint(lvm->state.thick_bytes, ==, 0);
    g_assert_cmpuint(lvm->state.group_free_bytes, ==, group->promised.free_bytes);
}

/* Legs, logs and metadata of raid, mirror, integrity and cache; a snapshot's
 * own space; nothing of thin volumes, or of the metadata of their pool. */
static void
test_parts_charged(void)
{
    g_autoptr(LvmGroup) group = parse_file("parts.vg");
    static const struct {
        const char *name;
        uint64_t mib;
    } charged[] = {
        { "acme.lin", 32 }, { "acme.cow", 16 }, { "acme.st", 64 },
        { "acme.r1", 2 * (64 + 4) }, { "acme.mir", 2 * 32 + 4 },
        { "acme.int", 2 * (32 + 8 + 4) }, { "acme.cached", 32 + 16 + 8 },
    };
    uint64_t thick = 0, others = 0;
    const LvmTenant *lvm;

    for (size_t i = 0; i < G_N_ELEMENTS(charged); i++) {
        const LvmLv *lv = lvm_group_find_lv(group, charged[i].name);

        g_assert_cmpuint(lv->lv.physical_bytes, ==, charged[i].mib * MIB);
        g_assert_false(lv->is_hidden);
        thick += charged[i].mib * MIB;
    }
    g_assert_cmpuint(group->tenants->len, ==, 1);
    lvm = g_ptr_array_index(group->tenants, 0);
    g_assert_cmpuint(lvm->state.grant_bytes, ==, 64 * MIB);
    g_assert_cmpuint(lvm->state.thick_bytes, ==, thick);

    /* it has its tenant's tag, too */
    g_assert_cmpstr(lvm_group_find_lv(group, "acme.r1_rmeta_0")->tenant, ==,
                    "acme");
    g_assert_true(lvm_group_find_lv(group, "acme.r1_rmeta_0")->is_hidden);
    g_assert_cmpstr(lvm_group_find_lv(group, "acme.snap")->origin, ==,
                    "acme.root");
    g_assert_cmpstr(lvm_group_find_lv(group, "acme.snap")->pool, ==,
                    "acme._thin");
    g_assert_cmpstr(lvm_group_find_lv(group, "acme.cow")->origin, ==,
                    "acme.lin");
    g_assert_cmpstr(lvm_group_find_lv(group, "acme.clone")->origin, ==,
                    "acme.image");
    g_assert_cmpuint(lvm_group_find_lv(group, "acme._thin")->transaction, ==, 3);

    /* and nothing is lost: what is not free was charged, or is nobody's */
    others = lvm_group_find_lv(group, "acme.image")->lv.physical_bytes +
             lvm_group_find_lv(group, "acme._thin_tmeta")->lv.physical_bytes +
             lvm_group_find_lv(group, "lvol0_pmspare")->lv.physical_bytes;
    g_assert_cmpuint(group->promised.size_bytes -
                     group->promised.free_bytes, ==,
                     lvm->state.grant_bytes + thick + others);
}

/* Who has an LV of an unknown kind gets no more, and is named; others go on. */
static void
test_unknown_kinds(void)
{
    g_autoptr(LvmGroup) group = parse_file("unknown-kinds.vg");

    for (guint i = 0; i < group->tenants->len; i++) {
        LvmTenant *lvm = g_ptr_array_index(group->tenants, i);
        bool is_known = g_str_equal(lvm->tenant, "acme") ||
                        g_str_equal(lvm->tenant, "setting");

        g_test_message("%s", lvm->tenant);
        lvm->state.limits.limit_bytes = group->promised.size_bytes;
        g_assert_cmpint(quota_state_can_grow(&lvm->state, NULL) > 0, ==,
                        is_known);
    }
    g_assert_cmpstr(lvm_group_find_lv(group, "type.a")->unknown, ==, "dedup");
    g_assert_cmpstr(lvm_group_find_lv(group, "key.a")->unknown, ==, "journal");
    g_assert_cmpstr(lvm_group_find_lv(group, "acme.logs")->unknown, ==, "");
}

static void
test_odd_tags(void)
{
    g_autoptr(LvmGroup) group = parse_file("odd-tags.vg");
    const LvmLv *lv = lvm_group_find_lv(group, "acme.two");

    g_assert_cmpstr(lv->tenant, ==, "acme");
    g_assert_true(lv->is_of_two);
    g_assert_cmpstr(lvm_group_find_lv(group, "globex._thin")->tenant, ==,
                    "globex");
    g_assert_null(lvm_group_find_lv(group, "Acme.a")->tenant);
    g_assert_true(lvm_group_find_lv(group, "Acme.a")->is_of_invalid);
    g_assert_null(lvm_group_find_tenant(group, "Acme"));
    g_assert_true(lvm_group_find_tenant(group, "bad")->has_bad_tag);
    g_assert_false(lvm_group_find_tenant(group, "acme")->has_bad_tag);
}

/* Whatever is cut off or changed in the text: an answer or an error. */
/* What every face must say of a group: libvirt's storagequotalvmtest compares itself
 * with the same files.  Bytes: thick, grant, limit, what the group has free for the
 * tenant; volumes. */
static void
test_faces(void)
{
    static const char *const names[] = {
        "odd-kinds", "odd-tags", "parts", "two-tenants", "unknown-kinds",
    };

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *file = g_strconcat(names[i], ".vg", NULL);
        g_autofree char *golden = g_strconcat(names[i], ".tenants", NULL);
        g_autofree char *path = g_test_build_filename(G_TEST_DIST, golden, NULL);
        g_autoptr(LvmGroup) group = parse_file(file);
        g_autoptr(GString) found = g_string_new(NULL);
        g_autofree char *expected = NULL;

        for (guint j = 0; j < group->tenants->len; j++) {
            const LvmTenant *lvm = g_ptr_array_index(group->tenants, j);
            const struct quota_state *state = &lvm->state;

            g_string_append_printf(found, "%s %" PRIu64 " %" PRIu64 " %" PRIu64
                                   " %" PRIu64 " %" PRIu64 "%s\n", lvm->tenant,
                                   state->thick_bytes, state->grant_bytes,
                                   state->limits.limit_bytes,
                                   state->group_free_bytes, state->volumes,
                                   lvm->has_bad_tag ? " bad" : "");
        }
        if (g_getenv("QUOTA_UPDATE_GOLDENS")) {
            g_assert_true(g_file_set_contents(path, found->str, -1, NULL));
            continue;
        }
        g_assert_true(g_file_get_contents(path, &expected, NULL, NULL));
        g_assert_cmpstr(found->str, ==, expected);
    }
}

static void
test_malformed(void)
{
    g_autofree char *text = text_of("two-tenants.vg");
    size_t length = strlen(text), refused = 0;

    g_assert_null(group_of(""));
    g_assert_null(group_of("vg0"));
    g_assert_null(group_of("vg0 { }"));
    g_assert_null(group_of("contents = \"Text Format Volume Group\""));
    {
        /* each level costs the parser stack */
        g_autofree char *nested = g_strnfill(1000000, '{');

        for (size_t i = 0; i < 1000000; i += 2)
            nested[i] = 'a';
        g_assert_null(group_of(nested));
    }
    for (size_t end = 0; end < length; end += 7) {
        g_autofree char *cut = g_strndup(text, end);
        g_autoptr(LvmGroup) group = group_of(cut);

        refused += !group;
    }
    g_assert_cmpuint(refused, >, length / 8);
    for (size_t at = 0; at < length; at += 5) {
        char was = text[at];

        for (const char *c = "\"0x-{"; *c; c++) {
            text[at] = *c;
            lvm_group_unref(group_of(text));
        }
        text[at] = was;
    }
}

static void
test_bad_tags(void)
{
    static const char format[] =
        "vg0 { id = \"a-b\" seqno = 1 extent_size = 8192 physical_volumes {"
        " pv0 { id = \"p\" pe_count = 10 } } logical_volumes {"
        " acme._thin { id = \"c-d\" status = [\"READ\", \"VISIBLE\"]"
        " tags = [%s] segment1 { extent_count = 1 type = \"thin-pool\""
        " chunk_size = 128 } } } }";
    static const struct {
        const char *tags;
        guint tenants;
        bool is_bad;
    } cases[] = {
        { "\"quota-lvm:tenant=acme\", \"quota-lvm:limit=5\"", 1, false },
        { "\"quota-lvm:tenant=acme\", \"quota-lvm:limit=five\"", 1, true },
        { "\"quota-lvm:tenant=acme\", \"backup=daily\", \"quota-lvm:colour=red\"",
          1, false },
        { "\"quota-lvm:tenant=Acme\"", 0, false },
        { "\"quota-lvm:tenant=\"", 0, false },
        { "\"quota-lvm:tenant=../etc\"", 0, false },
        { "\"backup=daily\"", 0, false },
        { "", 0, false },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strdup_printf(format, cases[i].tags);
        g_autoptr(LvmGroup) group = group_of(text);

        g_test_message("tags: %s", cases[i].tags);
        g_assert_nonnull(group);
        g_assert_cmpuint(group->tenants->len, ==, cases[i].tenants);
        if (group->tenants->len) {
            const LvmTenant *lvm = g_ptr_array_index(group->tenants, 0);

            g_assert_cmpint(lvm->has_bad_tag, ==, cases[i].is_bad);
        }
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/lvm-report/two-tenants", test_two_tenants);
    g_test_add_func("/lvm-report/parts-charged", test_parts_charged);
    g_test_add_func("/lvm-report/unknown-kinds", test_unknown_kinds);
    g_test_add_func("/lvm-report/odd-tags", test_odd_tags);
    g_test_add_func("/lvm-report/faces", test_faces);
    g_test_add_func("/lvm-report/malformed", test_malformed);
    g_test_add_func("/lvm-report/bad-tags", test_bad_tags);
    return g_test_run();
}
