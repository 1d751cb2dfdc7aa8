/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * list.c: `quota-lvm list`: all tenants, a line for each.
 */
#include <stdlib.h>

#include "arguments.h"
#include "commands.h"
#include "survey.h"

int
command_list(int argc, char **argv)
{
    g_autofree char *group = NULL;
    gboolean is_json = FALSE;
    const GOptionEntry entries[] = {
        ARGUMENTS_ONLY_GROUP(&group),
        ARGUMENTS_JSON(&is_json),
        ARGUMENTS_END,
    };
    g_autoptr(GPtrArray) tenants = NULL;
    g_auto(LvmRefusal) why = { 0 };
    g_autofree char *text = NULL;
    g_autofree struct report *reports = NULL;
    int status = EXIT_SUCCESS;
    bool ok = arguments_parse("Show all tenants.", "- list", entries, &argc,
                              &argv, &status);

    if (!ok)
        return status;
    if (argc > 1)
        return arguments_refuse("list takes no argument '%s'", argv[1]);
    if (!arguments_check_names(group, NULL, &status))
        return status;

    tenants = lvm_tenants_read(group, &why);
    if (!tenants)
        return arguments_refusal(&why);

    reports = g_new0(struct report, tenants->len + 1);
    for (guint i = 0; i < tenants->len; i++)
        survey_tenant(g_ptr_array_index(tenants, i), &reports[i]);
    text = is_json ? report_list_json(reports, tenants->len)
                   : report_list_text(reports, tenants->len);
    g_print("%s", text);
    for (guint i = 0; i < tenants->len; i++)
        report_clear(&reports[i]);
    return EXIT_SUCCESS;
}
