/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plan-changed.c: a plan has another command, charge, undo or expectation than it
 * should have, or what must be refused is not.
 *
 * plans.golden is a list of questions, "> words", each with the plan or the refusal
 * that must come of it.  "= FILE.vg LV~FROM~TO..." says of which group, with
 * changes of its text.  With QUOTA_UPDATE_GOLDENS=1 the test writes it anew: read the
 * difference.
 */
#include <stdlib.h>
#include <string.h>

#include "plans.h"

static uint64_t
size_of(const char *text)
{
    uint64_t bytes;

    g_assert_cmpint(quota_size_parse(text, &bytes), ==, 0);
    return bytes;
}

/* "LV~FROM~TO": change what stands in the LV's block, or with "vg0" in the group's. */
static void
text_change(char **text, const char *change)
{
    g_auto(GStrv) parts = g_strsplit(change, "~", 3);
    g_autofree char *begin = g_strdup_printf(
        g_str_equal(parts[0], "vg0") ? "%s {" : "\t%s {", parts[0]);
    char *at = strstr(*text, begin), *end, *changed;

    g_assert_nonnull(at);
    end = strstr(at, "\n\t\t}");
    at = strstr(at, parts[1]);
    g_assert_true(at && at < end);
    *at = '\0';
    changed = g_strconcat(*text, parts[2], at + strlen(parts[1]), NULL);
    g_free(*text);
    *text = changed;
}

/* @words: the file, and the changes. */
static LvmGroup *
group_of_file(const char *words)
{
    g_auto(GStrv) parts = g_strsplit(words, " ", -1);
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, parts[0], NULL);
    struct quota_metadata_group *metadata;
    g_autofree char *text = NULL;
    LvmGroup *group;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    for (char **part = parts + 1; *part; part++)
        text_change(&text, *part);
    g_assert_cmpint(quota_metadata_parse(text, "vg0", &metadata), ==, 0);
    group = lvm_group_new(metadata);
    quota_metadata_group_free(metadata);
    return group;
}

static LvmLayout
layout_of_words(const char *word)
{
    g_auto(GStrv) parts = g_strsplit(word, ",", -1);
    LvmLayout layout = { 0 };

    while (!g_str_equal(lvm_layout_kinds[layout.type].name, parts[0]))
        g_assert_cmpint(++layout.type, <, LVM_LAYOUT_LAST);
    for (char **part = parts + 1; *part; part++) {
        if (g_str_has_prefix(*part, "stripes="))
            layout.stripes = atoi(*part + 8);
        else if (g_str_has_prefix(*part, "mirrors="))
            layout.mirrors = atoi(*part + 8);
        else if (g_str_has_prefix(*part, "stripe="))
            layout.stripe_bytes = size_of(*part + 7);
        else
            g_assert_not_reached();
    }
    return layout;
}

/* "limit=1G", "guarantee=...": into @limits. */
static void
limits_of_words(char **words, struct quota_limits *limits)
{
    for (; *words; words++) {
        g_auto(GStrv) pair = g_strsplit(*words, "=", 2);
        const struct quota_limit_field *field = quota_limit_field_find(pair[0]);

        g_assert_nonnull(field);
        quota_limit_set(limits, field, size_of(pair[1]));
    }
}

static bool
has_word(char **words, const char *word)
{
    return g_strv_contains((const char *const *)words, word);
}

static LvmPlan *
copy_of_words(const LvmGroup *view, char **words, LvmRefusal *why)
{
    LvmCopySpec spec = {
        .volume = words[2],
        .origin = lvm_group_find_lv(view, words[3]),
        .bytes = size_of(words[4]),
        .cow_bytes = g_str_equal(words[5], "all") ? UINT64_MAX : size_of(words[5]),
        .is_clone = has_word(words, "clone"),
        .is_active = has_word(words, "active"),
        .mapped_bytes = has_word(words, "mapped") ? size_of("500G") : 0,
        .tag = has_word(words, "encrypted") ? "quota-lvm:luks=x" : NULL,
    };

    g_assert_nonnull(spec.origin);
    return lvm_plan_copy(view, words[1], &spec, why);
}

static LvmPlan *
limits_plan(const LvmGroup *view, char **words, LvmRefusal *why)
{
    const LvmTenant *tenant = lvm_group_find_tenant(view, words[1]);
    struct quota_limits limits = { 0 };
    g_autofree bool *is_given = g_new0(bool, quota_limit_fields_count);
    bool is_build = g_str_equal(words[0], "build");

    if (tenant && !is_build)
        limits = tenant->state.limits;
    limits_of_words(words + (is_build ? 2 : 3), &limits);
    if (is_build)
        return lvm_plan_pool_build(view, words[1], &limits, why);
    for (size_t i = 0; i < quota_limit_fields_count; i++) {
        for (char **word = words + 3; *word; word++)
            is_given[i] |= g_str_has_prefix(*word, quota_limit_fields[i].name) &&
                           (*word)[strlen(quota_limit_fields[i].name)] == '=';
    }
    return lvm_plan_limits_set(view, words[1], &limits,
                               g_str_equal(words[0], "change") ? is_given : NULL,
                               g_str_equal(words[2], "-") ? NULL : words[2], why);
}

static LvmPlan *
plan_of_words(const LvmGroup *view, char **words, LvmRefusal *why)
{
    const char *verb = words[0];
    const LvmLv *lv = words[1] && words[2] ? lvm_group_find_lv(view, words[2]) : NULL;
    LvmLayout layout;

    if (g_str_equal(verb, "create")) {
        if (!g_str_equal(words[4], "thin"))
            layout = layout_of_words(words[4]);
        return lvm_plan_volume_create(view, words[1], words[2], size_of(words[3]),
                                      g_str_equal(words[4], "thin") ? NULL : &layout,
                                      why);
    }
    if (g_str_equal(verb, "resize"))
        return lvm_plan_volume_resize(view, words[1], lv, size_of(words[3]),
                                      has_word(words, "shrink") ? LVM_RESIZE_SHRINK
                                                                : 0, why);
    if (g_str_equal(verb, "remove"))
        return lvm_plan_volume_remove(view, words[1], lv,
                                      has_word(words, "snapshots"), why);
    if (g_str_equal(verb, "cut"))
        return lvm_plan_volume_cut(view, words[1], lv, size_of(words[3]));
    if (g_str_equal(verb, "tag"))
        return lvm_plan_volume_tag(view, words[1], lv, words[3]);
    if (g_str_equal(verb, "copy"))
        return copy_of_words(view, words, why);
    if (g_str_equal(verb, "rollback"))
        return lvm_plan_rollback(view, words[1], words[2], why);
    if (g_str_equal(verb, "build") || g_str_equal(verb, "limits") ||
        g_str_equal(verb, "change"))
        return limits_plan(view, words, why);
    if (g_str_equal(verb, "grow"))
        return lvm_plan_pool_grow(view, words[1], atoi(words[2]), why);
    if (g_str_equal(verb, "remove-pool"))
        return lvm_plan_pool_remove(view, words[1], why);
    if (g_str_equal(verb, "activate-metadata"))
        return lvm_plan_activate_metadata(view, words[1],
                                          g_str_equal(words[2], "on"));
    if (g_str_equal(verb, "activate"))
        return lvm_plan_activate(view, words[1], !g_str_equal(words[2], "off"),
                                 g_str_equal(words[2], "checked"),
                                 (const char *const *)words + 3);
    if (g_str_equal(verb, "group"))
        return lvm_plan_group(NULL, words[1], g_str_equal(words[2], "extend"),
                              (const char *const *)words + 3);
    if (g_str_equal(verb, "clear-group"))
        return lvm_plan_group_clear(words[1]);
    if (g_str_equal(verb, "overcommit"))
        return lvm_plan_overcommit_set(view, atoi(words[1]));
    if (g_str_equal(verb, "adopt"))
        return lvm_plan_adopt(view, words[1], words[2], words[3], why);
    if (g_str_equal(verb, "release"))
        return lvm_plan_release(view, words[1], words[2],
                                words[2] ? words[3] : NULL, why);
    g_error("no verb '%s'", verb);
}

static void
add_number(GString *text, const char *name, uint64_t number)
{
    if (number)
        g_string_append_printf(text, " %s=%" G_GUINT64_FORMAT, name, number);
}

static void
add_refusal(GString *text, const LvmRefusal *why)
{
    g_string_append_printf(text, "refused %s", lvm_why_name(why->why));
    if (why->name)
        g_string_append_printf(text, " '%s'", why->name);
    if (why->other)
        g_string_append_printf(text, " by '%s'", why->other);
    add_number(text, "asked", why->asked);
    add_number(text, "limit", why->limit);
    add_number(text, "thick", why->thick);
    add_number(text, "grant", why->grant);
    add_number(text, "room", why->room);
    add_number(text, "kept", why->kept);
    add_number(text, "most", why->most);
    add_number(text, "percent", why->percent);
    if (why->text)
        g_string_append_printf(text, ": %s", why->text);
    g_string_append_c(text, '\n');
}

static char *
answer_to(const LvmGroup *view, const char *question)
{
    g_auto(GStrv) words = g_strsplit(question, " ", -1);
    g_auto(LvmRefusal) why = { 0 };
    g_autoptr(LvmPlan) plan = plan_of_words(view, words, &why);
    g_autoptr(GString) text = g_string_new(NULL);

    g_assert_true(!plan == (why.why != LVM_WHY_NONE));
    if (plan) {
        g_autofree char *formatted = lvm_plan_format(plan);

        g_string_append(text, formatted);
    } else {
        add_refusal(text, &why);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* The first line that differs, rather than all of both. */
static void
assert_same_lines(const char *found, const char *expected)
{
    g_auto(GStrv) left = g_strsplit(found, "\n", -1);
    g_auto(GStrv) right = g_strsplit(expected, "\n", -1);

    for (guint i = 0; left[i] || right[i]; i++) {
        g_assert_cmpstr(left[i], ==, right[i]);
        if (!left[i])
            break;
    }
}

static void
test_golden(void)
{
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, "plans.golden", NULL);
    g_autoptr(GString) found = g_string_new(NULL);
    g_autoptr(LvmGroup) view = NULL;
    g_autofree char *expected = NULL;
    g_auto(GStrv) lines = NULL;
    unsigned questions = 0;

    g_assert_true(g_file_get_contents(path, &expected, NULL, NULL));
    lines = g_strsplit(expected, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_autofree char *answer = NULL;

        if (!strchr("#=>", **line))
            continue;
        if (**line == '#' || **line == '=')
            g_string_append(found, line == lines ? "" : "\n");
        if (**line)
            g_string_append_printf(found, "%s\n", *line);
        if (g_str_has_prefix(*line, "= ")) {
            g_clear_pointer(&view, lvm_group_unref);
            view = group_of_file(*line + 2);
        } else if (g_str_has_prefix(*line, "> ")) {
            answer = answer_to(view, *line + 2);
            g_string_append(found, answer);
            questions++;
        }
    }
    if (g_getenv("QUOTA_UPDATE_GOLDENS")) {
        g_assert_true(g_file_set_contents(path, found->str, -1, NULL));
        return;
    }
    g_test_message("%u questions", questions);
    g_assert_cmpuint(questions, >=, 60);
    assert_same_lines(found->str, expected);
}

/* A plan that ends a program, or that runs nothing, for any name and number. */
static void
test_any_words(void)
{
    static const char *const names[] = {
        "", ".", "-x", "a/b", "_thin", "a b", "root", "acme.root", "snapshot0",
    };
    static const uint64_t sizes[] = {
        0, 1, UINT64_C(1) << 40, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX,
    };
    g_autoptr(LvmGroup) view = group_of_file("parts.vg");
    const LvmLayout layout = { .type = LVM_LAYOUT_RAID10, .mirrors = 3 };

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        for (guint j = 0; j < G_N_ELEMENTS(sizes); j++) {
            for (guint k = 0; k < view->lvs->len; k++) {
                const LvmLv *lv = g_ptr_array_index(view->lvs, k);
                const LvmCopySpec spec = {
                    .volume = names[i], .origin = lv, .bytes = sizes[j],
                    .cow_bytes = sizes[j], .mapped_bytes = sizes[j],
                };
                g_auto(LvmRefusal) why = { 0 };

                if (lv->is_hidden)
                    continue;
                lvm_plan_free(lvm_plan_copy(view, "acme", &spec, &why));
                lvm_plan_free(lvm_plan_volume_resize(view, "acme", lv, sizes[j],
                                                     LVM_RESIZE_SHRINK, &why));
                lvm_plan_free(lvm_plan_adopt(view, lv->name, "acme", names[i],
                                             &why));
                lvm_plan_free(lvm_plan_volume_create(view, "acme", names[i],
                                                     sizes[j], &layout, &why));
            }
        }
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/plan/golden", test_golden);
    g_test_add_func("/plan/any-words", test_any_words);
    return g_test_run();
}
