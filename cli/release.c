/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * release.c: `quota-lvm release`: a tenant's volume becomes an LV of no tenant.
 */
#include <stdlib.h>

#include "arguments.h"
#include "commands.h"
#include "hold.h"
#include "plans.h"

/* @name is what it is called then (NULL: as the volume was). */
static bool
release_apply(const char *group, const char *tenant, const char *volume,
              const char *name, LvmRefusal *why)
{
    g_autoptr(LvmHold) hold = lvm_hold_new(group, tenant, "release", why);
    g_autoptr(LvmPlan) plan = NULL;

    if (!hold || !lvm_hold_read(hold, why))
        return false;
    plan = lvm_plan_release(hold->view, tenant, volume, name, why);
    return plan && lvm_hold_run(hold, plan, why);
}

int
command_release(int argc, char **argv)
{
    const GOptionEntry entries[] = { ARGUMENTS_END };
    g_auto(LvmRefusal) why = { 0 };
    g_autofree char *group = NULL, *tenant = NULL;
    int status = EXIT_SUCCESS;
    unsigned tries = 0;
    bool ok = arguments_parse("Make a volume of a tenant an LV of nobody.",
                              "GROUP/TENANT VOLUME [NAME] - release", entries,
                              &argc, &argv, &status);

    if (!ok)
        return status;
    if (argc < 3 || argc > 4)
        return arguments_refuse("release takes a tenant and a volume: "
                                "quota-lvm release GROUP/TENANT VOLUME "
                                "[NAME]");
    group = arguments_split(argv[1], "TENANT", &tenant, &status);
    if (!group || !arguments_check_names(group, tenant, &status))
        return status;
    do {
        ok = release_apply(group, tenant, argv[2], argc == 4 ? argv[3] : NULL,
                           &why);
    } while (!ok && !tries++ && lvm_wait_ready(&why));
    if (!ok)
        return arguments_refusal(&why);
    return EXIT_SUCCESS;
}
