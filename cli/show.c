/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * show.c: `quota-lvm show`: one tenant with all its limits.
 */
#include <stdlib.h>

#include "arguments.h"
#include "commands.h"
#include "survey.h"

int
command_show(int argc, char **argv)
{
    g_autofree char *group = NULL;
    gboolean is_json = FALSE;
    const GOptionEntry entries[] = {
        ARGUMENTS_GROUP(&group),
        ARGUMENTS_JSON(&is_json),
        ARGUMENTS_END,
    };
    g_autoptr(LvmTenant) lvm = NULL;
    g_autofree char *text = NULL;
    struct report report;
    int status = EXIT_SUCCESS;
    bool ok = arguments_parse("Show one tenant.", "TENANT - show", entries, &argc,
                              &argv, &status);

    if (!ok)
        return status;
    if (argc != 2)
        return arguments_refuse("show takes one tenant: quota-lvm show TENANT");
    if (!arguments_check_names(group, argv[1], &status))
        return status;

    lvm = arguments_find_tenant(group, argv[1], &status);
    if (!lvm)
        return status;
    survey_tenant(lvm, &report);
    text = is_json ? report_show_json(&report)
                           : report_show_text(&report);
    g_print("%s", text);
    report_clear(&report);
    return EXIT_SUCCESS;
}
