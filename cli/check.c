/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * check.c: `quota-lvm check`: which groups and tenants are looked at; what is
 * found there is in findings.c.
 */
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "commands.h"
#include "findings.h"
#include "hold.h"

/* struct check_target: what an argument of check names. */
struct check_target {
    char *group;                /* NULL: every group that has the tenant */
    char *tenant;               /* NULL: all of the group */
    bool is_found;
};

static void
check_target_free(struct check_target *target)
{
    g_free(target->group);
    g_free(target->tenant);
    g_free(target);
}

/* check_group: read anew under its lock; an error ends the check. */
static bool
check_group(const char *name, GPtrArray *targets, GPtrArray *results,
            LvmRefusal *why)
{
    g_autoptr(LvmHold) hold = lvm_hold_new(name, NULL, "check", why);
    g_autoptr(LvmGroup) view = NULL;

    if (!hold || (!lvm_hold_read(hold, why) && why->why != LVM_WHY_EXPORTED))
        return false;
    for (guint i = 0; i < targets->len; i++) {
        struct check_target *target = g_ptr_array_index(targets, i);

        if (target->group && !g_str_equal(target->group, name))
            continue;
        if (target->tenant &&
            !lvm_group_find_tenant(hold->view, target->tenant))
            continue;
        target->is_found = true;
        findings_check_group(hold->view, target->tenant, results);
    }
    view = lvm_group_ref(hold->view);
    g_clear_pointer(&hold, lvm_hold_free);
    findings_check_usage(view, results);
    return true;
}

/* check_strays: ledgers of groups that LVM does not have, or not any more. */
static void
check_strays(const GPtrArray *groups, GPtrArray *results)
{
    g_autoptr(GDir) dir = g_dir_open(QUOTA_LEDGER_DIR, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        bool is_known = name[0] == '.' ||
            quota_name_check_group(name, NULL) < 0;

        for (guint i = 0; i < groups->len && !is_known; i++) {
            const LvmGroup *group = g_ptr_array_index(groups, i);

            is_known = group->tenants->len && g_str_equal(group->name, name);
        }
        if (!is_known)
            findings_check_stray_group(name, results);
    }
}

int
command_check(int argc, char **argv)
{
    g_autofree char *group = NULL;
    gboolean is_json = FALSE;
    const GOptionEntry entries[] = {
        ARGUMENTS_ONLY_GROUP(&group),
        ARGUMENTS_JSON(&is_json),
        ARGUMENTS_END,
    };
    g_autoptr(GPtrArray) targets =
        g_ptr_array_new_with_free_func((GDestroyNotify)check_target_free);
    g_autoptr(GPtrArray) results = findings_new();
    g_autoptr(GPtrArray) groups = NULL;
    g_auto(LvmRefusal) why = { 0 };
    g_autofree char *text = NULL;
    int status = EXIT_SUCCESS;
    bool ok = arguments_parse("Compare LVM, the kernel and the ledgers.",
                              "[[GROUP/]TENANT...] - check", entries, &argc,
                              &argv, &status);

    if (!ok)
        return status;
    if (!arguments_check_names(group, NULL, &status))
        return status;
    for (int i = 1; i < argc || i == 1; i++) {
        struct check_target *target = g_new0(struct check_target, 1);
        const char *slash = i < argc ? strchr(argv[i], '/') : NULL;

        g_ptr_array_add(targets, target);
        target->group = slash ? g_strndup(argv[i], slash - argv[i])
                              : g_strdup(group);
        target->tenant = i < argc ? g_strdup(slash ? slash + 1 : argv[i])
                                  : NULL;
        if (!arguments_check_names(target->group, target->tenant, &status))
            return status;
        if (group && !g_str_equal(group, target->group))
            return arguments_refuse("'%s' is not in the group %s", argv[i],
                                    group);
    }

    groups = lvm_groups_read(group, &why);
    if (!groups)
        return arguments_refusal(&why);
    for (guint i = 0; i < groups->len; i++) {
        const LvmGroup *one = g_ptr_array_index(groups, i);

        /* groups of others are none of our business */
        if (one->tenants->len == 0 && !group)
            continue;
        if (!check_group(one->name, targets, results, &why))
            return arguments_refusal(&why);
    }
    if (argc == 1 && !group)
        check_strays(groups, results);
    for (guint i = 0; i < targets->len; i++) {
        const struct check_target *target = g_ptr_array_index(targets, i);

        if (!target->is_found && target->tenant) {
            g_autoptr(LvmTenant) none =
                arguments_find_tenant(target->group, target->tenant, &status);

            return EXIT_FAILURE;
        }
    }
    text = is_json ? findings_json(results) : findings_text(results);
    g_print("%s", text);
    return findings_count(results) ? EXIT_FAILURE : EXIT_SUCCESS;
}
