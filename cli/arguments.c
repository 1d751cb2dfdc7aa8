/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * arguments.c: what is refused, and in which words, before LVM is asked
 * anything; and the tenant that is meant.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arguments.h"
#include "refusal-text.h"

int
arguments_refuse(const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_printerr("quota-lvm: %s\n", text);
    return EXIT_USAGE;
}

int
arguments_refusal(const LvmRefusal *why)
{
    g_autofree char *text = refusal_text(why);
    bool is_denied = why->error == -EPERM || why->error == -EACCES;

    g_printerr("quota-lvm: %s%s\n", text,
               is_denied && geteuid() != 0 ? " (quota-lvm needs root)" : "");
    return EXIT_FAILURE;
}

bool
arguments_parse(const char *summary, const char *arguments,
                const GOptionEntry *entries, int *argc, char ***argv,
                int *status)
{
    g_autoptr(GOptionContext) context = g_option_context_new(arguments);
    g_autoptr(GError) error = NULL;

    g_option_context_set_summary(context, summary);
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, &error)) {
        *status = arguments_refuse("%s; see quota-lvm --help", error->message);
        return false;
    }
    return true;
}

bool
arguments_check_names(const char *group, const char *tenant, int *status)
{
    const char *why = NULL;

    if (group && quota_name_check_group(group, &why) < 0) {
        *status = arguments_refuse("--group: '%s' is not a valid volume "
                                   "group name: it %s", group, why);
        return false;
    }
    if (tenant && quota_name_check_tenant(tenant, &why) < 0) {
        *status = arguments_refuse("'%s' is not a valid tenant name: it %s", tenant,
                                   why);
        return false;
    }
    return true;
}

LvmTenant *
arguments_find_tenant(const char *group, const char *tenant, int *status)
{
    g_auto(LvmRefusal) why = { 0 };
    g_autoptr(GPtrArray) all = lvm_tenants_read(group, &why);
    g_autoptr(GString) known = g_string_new(NULL);
    guint matches = 0, at = 0;

    if (!all) {
        *status = arguments_refusal(&why);
        return NULL;
    }
    for (guint i = 0; i < all->len; i++) {
        const LvmTenant *lvm = g_ptr_array_index(all, i);

        if (g_str_equal(lvm->tenant, tenant)) {
            matches++;
            at = i;
        }
    }
    for (guint i = 0; i < all->len; i++) {
        const LvmTenant *lvm = g_ptr_array_index(all, i);

        if (matches == 0 || g_str_equal(lvm->tenant, tenant))
            g_string_append_printf(known, "%s%s in group %s",
                                   known->len ? ", " : "", lvm->tenant,
                                   lvm->group);
    }
    if (matches == 1)
        return g_ptr_array_steal_index(all, at);
    *status = EXIT_FAILURE;
    if (matches > 1)
        g_printerr("quota-lvm: which %s is meant: %s? Say it with --group\n",
                   tenant, known->str);
    else if (known->len)
        g_printerr("quota-lvm: there is no tenant %s%s%s; there is %s\n", tenant,
                   group ? " in group " : "", group ? group : "", known->str);
    else
        g_printerr("quota-lvm: there is no tenant %s, nor any other%s%s: define a "
                   "storage pool of type quota-lvm with virsh first\n", tenant,
                   group ? " in group " : "", group ? group : "");
    return NULL;
}

char *
arguments_split(const char *argument, const char *what, char **name,
                int *status)
{
    const char *slash = strchr(argument, '/');

    if (!slash || slash == argument || !slash[1] || strchr(slash + 1, '/')) {
        *status = arguments_refuse("'%s' is not GROUP/%s", argument, what);
        return NULL;
    }
    *name = g_strdup(slash + 1);
    return g_strndup(argument, slash - argument);
}
