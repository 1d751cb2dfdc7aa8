/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * set.c: `quota-lvm set`: change a tenant's limits, live: first the tags, in
 * one transaction of LVM, then the ledger.  Killed between the two, the tags
 * hold, and whoever reads LVM next makes the ledger say the same.
 */
#include <errno.h>
#include <stdlib.h>

#include "arguments.h"
#include "commands.h"
#include "hold.h"
#include "instance.h"
#include "plans.h"
#include "set-values.h"
#include "survey.h"

/* set_note: what keeps the new limits from counting at once. */
static void
set_note(LvmHold *hold)
{
    g_auto(LvmRefusal) why = { 0 };

    if (!lvm_hold_open_ledger(hold, &why) && why.error != -ENOENT)
        g_printerr("quota-lvm: note: the ledger of tenant %s in group %s %s, so "
                   "the limits do not count yet: %s\n", hold->tenant, hold->group,
                   quota_ledger_strerror(why.error),
                   survey_ledger_remedy(why.error));
    if (!instance_is_running())
        g_printerr("quota-lvm: note: quota-lvmd is not running: the limits "
                   "are set, but no thin pool grows until it is started\n");
}

static void
set_warn_over_limit(const LvmTenant *lvm)
{
    char used[QUOTA_SIZE_MAX_BYTES], limit[QUOTA_SIZE_MAX_BYTES];
    uint64_t bytes;

    if (survey_thin_bytes(lvm, &bytes) < 0)
        return;
    bytes += lvm->state.thick_bytes;
    if (bytes > lvm->state.limits.limit_bytes)
        g_printerr("quota-lvm: warning: tenant %s is over limit now: it uses "
                   "%s of %s; overwriting and deleting go on, new space is "
                   "refused\n", lvm->tenant, quota_size_format(bytes, used),
                   quota_size_format(lvm->state.limits.limit_bytes, limit));
}

/* set_apply: do it, under the group's lock: all or nothing.  Notes and warnings
 * are printed to standard error. */
static bool
set_apply(const char *group, const char *tenant,
          const struct set_change *change, LvmRefusal *why)
{
    g_autoptr(LvmHold) hold = lvm_hold_new(group, tenant, "set", why);
    g_autoptr(LvmPlan) plan = NULL;
    const LvmTenant *lvm;
    struct quota_limits limits;

    if (!hold || !lvm_hold_read(hold, why))
        return false;
    lvm = lvm_check_tenant(hold->view, tenant, why);
    if (!lvm)
        return false;
    limits = lvm->state.limits;
    set_limits_change(&limits, change);
    plan = lvm_plan_limits_set(hold->view, tenant, &limits, change->is_given, NULL,
                               why);
    if (!plan || !lvm_hold_run(hold, plan, why))
        return false;
    lvm = lvm_hold_tenant(hold);
    if (lvm) {
        set_note(hold);
        set_warn_over_limit(lvm);
    }
    return true;
}

/* set_overcommit: how many percent of @group's size its tenants' limits may
 * promise together; 0: any.  Limits stay as they are. */
static bool
set_overcommit(const char *group, uint64_t percent, LvmRefusal *why)
{
    g_autoptr(LvmHold) hold = lvm_hold_new(group, NULL, "set", why);
    g_autoptr(LvmPlan) plan = NULL;
    const struct quota_group *promised;
    char text[QUOTA_SIZE_MAX_BYTES];

    if (!hold || !lvm_hold_read(hold, why))
        return false;
    plan = lvm_plan_overcommit_set(hold->view, percent);
    if (!lvm_hold_run(hold, plan, why))
        return false;
    promised = &hold->view->promised;
    if (percent && promised->limits_bytes > promised->size_bytes / 100 * percent)
        g_printerr("quota-lvm: warning: the limits in group %s promise %s "
                   "already, more than that: none can be raised until others are "
                   "lowered\n", group,
                   quota_size_format(promised->limits_bytes, text));
    return true;
}

int
command_set(int argc, char **argv)
{
    size_t count = quota_limit_fields_count;
    g_autofree GOptionEntry *entries = g_new0(GOptionEntry, count + 3);
    g_autofree char **texts = g_new0(char *, count);
    g_autofree uint64_t *values = g_new0(uint64_t, count);
    g_autofree bool *is_given = g_new0(bool, count);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    struct set_change change = { .values = values, .is_given = is_given };
    g_autoptr(LvmTenant) lvm = NULL;
    g_autoptr(GError) error = NULL;
    g_auto(LvmRefusal) why = { 0 };
    g_autofree char *group = NULL;
    g_autofree char *overcommit = NULL;
    int status = EXIT_SUCCESS;

    for (size_t i = 0; i < count; i++) {
        const struct quota_limit_field *field = &quota_limit_fields[i];
        char *name = set_option_name(field);

        g_ptr_array_add(names, name);
        entries[i].long_name = name;
        entries[i].arg = G_OPTION_ARG_STRING;
        entries[i].arg_data = &texts[i];
        entries[i].description = field->help;
        entries[i].arg_description =
            field->unit == QUOTA_UNIT_SECONDS ? "SECONDS" :
            field->unit == QUOTA_UNIT_IOPS ||
            field->unit == QUOTA_UNIT_COUNT ? "NUMBER" : "SIZE";
    }
    entries[count].long_name = "group";
    entries[count].short_name = 'g';
    entries[count].arg = G_OPTION_ARG_STRING;
    entries[count].arg_data = &group;
    entries[count].description =
        "The tenant's volume group, where several have one of this name";
    entries[count].arg_description = "GROUP";
    entries[count + 1].long_name = "overcommit";
    entries[count + 1].arg = G_OPTION_ARG_STRING;
    entries[count + 1].arg_data = &overcommit;
    entries[count + 1].description =
        "with --group and no tenant: how much of the group's size all limits "
        "may promise together";
    entries[count + 1].arg_description = "PERCENT";

    if (!arguments_parse("Change a tenant's limits, live, or a group's.  none "
                         "clears a limit, except --limit itself.",
                         "[TENANT] - set", entries, &argc, &argv, &status))
        return status;
    if (overcommit) {
        uint64_t percent;

        for (size_t i = 0; i < count; i++)
            change.given_count += texts[i] != NULL;
        if (argc != 1 || !group || change.given_count)
            return arguments_refuse("--overcommit applies to a group, and cannot "
                                    "be combined with other limits: quota-lvm set --group GROUP "
                                    "--overcommit PERCENT");
        if (!arguments_check_names(group, NULL, &status))
            return status;
        if (!set_overcommit_parse(overcommit, &percent, &error))
            return arguments_refuse("%s", error->message);
        return set_overcommit(group, percent, &why) ? EXIT_SUCCESS
                                                    : arguments_refusal(&why);
    }
    if (argc != 2)
        return arguments_refuse("set takes one tenant: quota-lvm set TENANT "
                                "--limit SIZE ...");
    if (!arguments_check_names(group, argv[1], &status))
        return status;
    for (size_t i = 0; i < count; i++) {
        if (!texts[i])
            continue;
        if (!set_value_parse(&quota_limit_fields[i], texts[i], &values[i],
                             &error))
            return arguments_refuse("%s", error->message);
        is_given[i] = true;
        change.given_count++;
    }
    if (change.given_count == 0)
        return arguments_refuse("nothing to set: give --limit SIZE or another "
                                "limit, see quota-lvm set --help");

    lvm = arguments_find_tenant(group, argv[1], &status);
    if (!lvm)
        return status;
    if (!set_apply(lvm->group, lvm->tenant, &change, &why))
        return arguments_refusal(&why);
    return EXIT_SUCCESS;
}
