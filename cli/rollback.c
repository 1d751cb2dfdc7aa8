/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rollback.c: `quota-lvm rollback`: give a volume back the content that a
 * snapshot of it has kept.
 *
 * libvirt has no verb for it.
 */
#include <stdlib.h>

#include "arguments.h"
#include "commands.h"
#include "hold.h"
#include "plans.h"

/* The snapshot is used up: LVM merges it into its origin. */
static bool
rollback_apply(const char *group, const char *tenant, const char *volume,
               LvmRefusal *why)
{
    g_autoptr(LvmHold) hold = lvm_hold_new(group, tenant, "rollback", why);
    g_autoptr(LvmPlan) plan = NULL;

    if (!hold || !lvm_hold_read(hold, why))
        return false;
    plan = lvm_plan_rollback(hold->view, tenant, volume, why);
    return plan && lvm_hold_run(hold, plan, why);
}

int
command_rollback(int argc, char **argv)
{
    g_autofree char *group = NULL;
    const GOptionEntry entries[] = {
        ARGUMENTS_GROUP(&group),
        ARGUMENTS_END,
    };
    g_autoptr(LvmTenant) lvm = NULL;
    g_auto(LvmRefusal) why = { 0 };
    int status = EXIT_SUCCESS;
    unsigned tries = 0;
    bool ok;

    if (!arguments_parse("Give a volume the content of a snapshot of it, which "
                         "is used up.  Nobody may use either.",
                         "TENANT SNAPSHOT - rollback", entries, &argc, &argv,
                         &status))
        return status;
    if (argc != 3)
        return arguments_refuse("rollback takes a tenant and a snapshot: "
                                "quota-lvm rollback TENANT SNAPSHOT");
    if (!arguments_check_names(group, argv[1], &status))
        return status;

    lvm = arguments_find_tenant(group, argv[1], &status);
    if (!lvm)
        return status;
    do {
        ok = rollback_apply(lvm->group, lvm->tenant, argv[2], &why);
    } while (!ok && !tries++ && lvm_wait_ready(&why));
    if (!ok)
        return arguments_refusal(&why);
    return EXIT_SUCCESS;
}
