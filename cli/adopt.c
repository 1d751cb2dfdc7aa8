/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * adopt.c: `quota-lvm adopt`: an LV that is there becomes a tenant's volume.
 */
#include <stdlib.h>

#include "arguments.h"
#include "commands.h"
#include "hold.h"
#include "plans.h"

static bool
adopt_apply(const char *group, const char *lv, const char *tenant,
            const char *volume, LvmRefusal *why)
{
    g_autoptr(LvmHold) hold = lvm_hold_new(group, tenant, "adopt", why);
    g_autoptr(LvmPlan) plan = NULL;

    if (!hold || !lvm_hold_read(hold, why))
        return false;
    plan = lvm_plan_adopt(hold->view, lv, tenant, volume, why);
    return plan && lvm_hold_run(hold, plan, why);
}

int
command_adopt(int argc, char **argv)
{
    const GOptionEntry entries[] = { ARGUMENTS_END };
    g_auto(LvmRefusal) why = { 0 };
    g_autofree char *group = NULL, *lv = NULL;
    int status = EXIT_SUCCESS;
    unsigned tries = 0;
    bool ok = arguments_parse("Make an LV that is there a volume of a tenant.",
                              "GROUP/LV TENANT [VOLUME] - adopt", entries, &argc,
                              &argv, &status);

    if (!ok)
        return status;
    if (argc < 3 || argc > 4)
        return arguments_refuse("adopt takes an LV and a tenant: quota-lvm "
                                "adopt GROUP/LV TENANT [VOLUME]");
    group = arguments_split(argv[1], "LV", &lv, &status);
    if (!group || !arguments_check_names(group, argv[2], &status))
        return status;
    do {
        ok = adopt_apply(group, lv, argv[2], argc == 4 ? argv[3] : NULL, &why);
    } while (!ok && !tries++ && lvm_wait_ready(&why));
    if (!ok)
        return arguments_refusal(&why);
    g_print("run virsh pool-refresh to see it in its pool\n");
    return EXIT_SUCCESS;
}
