/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quota-lvm.c: the command that shows and sets tenants' quotas.
 *
 * Works with and without quota-lvmd and libvirt: the numbers come from LVM
 * and the kernel, and the limits go to LVM's tags.
 */
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adopt.h"
#include "check.h"
#include "config-tools.h"
#include "log.h"
#include "rollback.h"
#include "set.h"
#include "sigbus.h"
#include "survey.h"
#include "thin-status.h"

#define EXIT_USAGE 2

static int G_GNUC_PRINTF(1, 2)
usage_error(const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_printerr("quota-lvm: %s\n", text);
    return EXIT_USAGE;
}

static int
failure(const GError *error)
{
    g_printerr("quota-lvm: %s%s\n", error->message,
               geteuid() == 0 ? "" : " (quota-lvm needs root)");
    return EXIT_FAILURE;
}

/* parse: options of one command; argv[0] becomes the first argument. */
static bool
parse(const char *summary, const char *arguments, const GOptionEntry *entries,
      int *argc, char ***argv, int *status)
{
    g_autoptr(GOptionContext) context = g_option_context_new(arguments);
    g_autoptr(GError) error = NULL;

    g_option_context_set_summary(context, summary);
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, &error)) {
        *status = usage_error("%s; see quota-lvm --help", error->message);
        return false;
    }
    return true;
}

static bool
check_names(const char *group, const char *tenant, int *status)
{
    const char *why = NULL;

    if (group && quota_name_check_group(group, &why) < 0) {
        *status = usage_error("--group: '%s' is no name of a volume group: it "
                              "%s", group, why);
        return false;
    }
    if (tenant && quota_name_check_tenant(tenant, &why) < 0) {
        *status = usage_error("'%s' is no name of a tenant: it %s", tenant,
                              why);
        return false;
    }
    return true;
}

/* find: the one tenant that is meant; NULL with an error. */
static LvmTenant *
find(const char *group, const char *tenant, GError **error)
{
    g_autoptr(GPtrArray) all = lvm_tenants_read(group, NULL, error);
    g_autoptr(GString) known = g_string_new(NULL);
    LvmTenant *found = NULL;
    guint matches = 0, at = 0;

    if (!all)
        return NULL;
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
    if (matches == 1) {
        found = g_ptr_array_steal_index(all, at);
    } else if (matches > 1) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    "which %s is meant: %s? Say it with --group", tenant,
                    known->str);
    } else if (known->len) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                    "there is no tenant %s%s%s; there is %s", tenant,
                    group ? " in group " : "", group ? group : "", known->str);
    } else {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                    "there is no tenant %s, nor any other%s%s: define a "
                    "storage pool of type quota-lvm with virsh first", tenant,
                    group ? " in group " : "", group ? group : "");
    }
    return found;
}

/* ---- list, show --------------------------------------------------- */

static int
command_list(int argc, char **argv)
{
    g_autofree char *group = NULL;
    gboolean is_json = FALSE;
    const GOptionEntry entries[] = {
        { "group", 'g', 0, G_OPTION_ARG_STRING, &group,
          "Only the tenants of this volume group", "GROUP" },
        { "json", 0, 0, G_OPTION_ARG_NONE, &is_json,
          "Print JSON: base units, null for what is not set or not known",
          NULL },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };
    g_autoptr(GPtrArray) tenants = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    g_autofree struct report *reports = NULL;
    int status = EXIT_SUCCESS;
    bool ok = parse("Show all tenants.", "- list", entries, &argc, &argv,
                    &status);

    if (!ok)
        return status;
    if (argc > 1)
        return usage_error("list takes no argument '%s'", argv[1]);
    if (!check_names(group, NULL, &status))
        return status;

    tenants = lvm_tenants_read(group, NULL, &error);
    if (!tenants)
        return failure(error);

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

static int
command_show(int argc, char **argv)
{
    g_autofree char *group = NULL;
    gboolean is_json = FALSE;
    const GOptionEntry entries[] = {
        { "group", 'g', 0, G_OPTION_ARG_STRING, &group,
          "The tenant's volume group, where several have one of this name",
          "GROUP" },
        { "json", 0, 0, G_OPTION_ARG_NONE, &is_json,
          "Print JSON: base units, null for what is not set or not known",
          NULL },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };
    g_autoptr(LvmTenant) lvm = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    struct report report;
    int status = EXIT_SUCCESS;
    bool ok = parse("Show one tenant.", "TENANT - show", entries, &argc, &argv,
                    &status);

    if (!ok)
        return status;
    if (argc != 2)
        return usage_error("show takes one tenant: quota-lvm show TENANT");
    if (!check_names(group, argv[1], &status))
        return status;

    lvm = find(group, argv[1], &error);
    if (!lvm)
        return failure(error);
    survey_tenant(lvm, &report);
    text = is_json ? report_show_json(&report)
                           : report_show_text(&report);
    g_print("%s", text);
    report_clear(&report);
    return EXIT_SUCCESS;
}

/* ---- check --------------------------------------------------------------- */

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

/* check_locked: a group, read anew under its lock; an error ends the check. */
static bool
check_locked(const char *name, GPtrArray *targets, GPtrArray *results,
             GError **error)
{
    int lock_fd;
    g_autoptr(LvmGroup) group = lvm_group_lock(name, &lock_fd, error);

    if (!group)
        return false;
    for (guint i = 0; i < targets->len; i++) {
        struct check_target *target = g_ptr_array_index(targets, i);

        if (target->group && !g_str_equal(target->group, name))
            continue;
        if (target->tenant &&
            !lvm_group_find_tenant(group, target->tenant))
            continue;
        target->is_found = true;
        check_group(group, target->tenant, results);
    }
    quota_group_unlock(lock_fd);
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
            check_stray_group(name, results);
    }
}

static int
command_check(int argc, char **argv)
{
    g_autofree char *group = NULL;
    gboolean is_json = FALSE;
    const GOptionEntry entries[] = {
        { "group", 'g', 0, G_OPTION_ARG_STRING, &group,
          "Only this volume group", "GROUP" },
        { "json", 0, 0, G_OPTION_ARG_NONE, &is_json, "Print JSON", NULL },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };
    g_autoptr(GPtrArray) targets =
        g_ptr_array_new_with_free_func((GDestroyNotify)check_target_free);
    g_autoptr(GPtrArray) results = check_results_new();
    g_autoptr(GPtrArray) groups = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    int status = EXIT_SUCCESS;
    bool ok = parse("Compare LVM, the kernel and the ledgers.",
                    "[[GROUP/]TENANT...] - check", entries, &argc, &argv,
                    &status);

    if (!ok)
        return status;
    if (!check_names(group, NULL, &status))
        return status;
    for (int i = 1; i < argc || i == 1; i++) {
        struct check_target *target = g_new0(struct check_target, 1);
        const char *slash = i < argc ? strchr(argv[i], '/') : NULL;

        g_ptr_array_add(targets, target);
        target->group = slash ? g_strndup(argv[i], slash - argv[i])
                              : g_strdup(group);
        target->tenant = i < argc ? g_strdup(slash ? slash + 1 : argv[i])
                                  : NULL;
        if (!check_names(target->group, target->tenant, &status))
            return status;
        if (group && !g_str_equal(group, target->group))
            return usage_error("'%s' is not in the group %s", argv[i], group);
    }

    groups = lvm_groups_read(group, &error);
    if (!groups)
        return failure(error);
    for (guint i = 0; i < groups->len; i++) {
        const LvmGroup *one = g_ptr_array_index(groups, i);

        /* groups of others are none of our business */
        if (one->tenants->len == 0 && !group)
            continue;
        if (!check_locked(one->name, targets, results, &error))
            return failure(error);
    }
    if (argc == 1 && !group)
        check_strays(groups, results);
    for (guint i = 0; i < targets->len; i++) {
        const struct check_target *target = g_ptr_array_index(targets, i);

        if (!target->is_found && target->tenant) {
            g_autoptr(LvmTenant) none = find(target->group, target->tenant,
                                             &error);

            return error ? failure(error) : EXIT_FAILURE;
        }
    }
    text = is_json ? check_json(results) : check_text(results);
    g_print("%s", text);
    return check_count(results) ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- set ----------------------------------------------------------------- */

static int
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

    if (!parse("Change a tenant's limits, live, or a group's.  none clears a "
               "limit, except --limit itself.", "[TENANT] - set", entries, &argc, &argv,
               &status))
        return status;
    if (overcommit) {
        uint64_t percent;

        for (size_t i = 0; i < count; i++)
            change.given_count += texts[i] != NULL;
        if (argc != 1 || !group || change.given_count)
            return usage_error("--overcommit is of a group, and set alone: "
                               "quota-lvm set --group GROUP --overcommit "
                               "PERCENT");
        if (!check_names(group, NULL, &status))
            return status;
        if (!set_overcommit_parse(overcommit, &percent, &error))
            return usage_error("%s", error->message);
        return set_overcommit(group, percent, &error) ? EXIT_SUCCESS
                                                      : failure(error);
    }
    if (argc != 2)
        return usage_error("set takes one tenant: quota-lvm set TENANT "
                           "--limit SIZE ...");
    if (!check_names(group, argv[1], &status))
        return status;
    for (size_t i = 0; i < count; i++) {
        if (!texts[i])
            continue;
        if (!set_value_parse(&quota_limit_fields[i], texts[i], &values[i],
                             &error))
            return usage_error("%s", error->message);
        is_given[i] = true;
        change.given_count++;
    }
    if (change.given_count == 0)
        return usage_error("nothing to set: give --limit SIZE or another "
                           "limit, see quota-lvm set --help");

    lvm = find(group, argv[1], &error);
    if (!lvm || !set_apply(lvm->group, lvm->tenant, &change, &error))
        return failure(error);
    return EXIT_SUCCESS;
}

/* ---- rollback ------------------------------------------------------------ */

static int
command_rollback(int argc, char **argv)
{
    g_autofree char *group = NULL;
    const GOptionEntry entries[] = {
        { "group", 'g', 0, G_OPTION_ARG_STRING, &group,
          "The tenant's volume group, where several have one of this name",
          "GROUP" },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };
    g_autoptr(LvmTenant) lvm = NULL;
    g_autoptr(GError) error = NULL;
    int status = EXIT_SUCCESS;

    if (!parse("Give a volume the content of a snapshot of it, which is used "
               "up.  Nobody may use either.", "TENANT SNAPSHOT - rollback",
               entries, &argc, &argv, &status))
        return status;
    if (argc != 3)
        return usage_error("rollback takes a tenant and a snapshot: quota-lvm "
                           "rollback TENANT SNAPSHOT");
    if (!check_names(group, argv[1], &status))
        return status;

    lvm = find(group, argv[1], &error);
    if (!lvm || !rollback_apply(lvm->group, lvm->tenant, argv[2], &error))
        return failure(error);
    return EXIT_SUCCESS;
}

/* ---- adopt, release ------------------------------------------------------ */

/* split: "GROUP/NAME" into two; NULL and an error in @status otherwise. */
static char *
split(const char *argument, const char *what, char **name, int *status)
{
    const char *slash = strchr(argument, '/');

    if (!slash || slash == argument || !slash[1] || strchr(slash + 1, '/')) {
        *status = usage_error("'%s' is not GROUP/%s", argument, what);
        return NULL;
    }
    *name = g_strdup(slash + 1);
    return g_strndup(argument, slash - argument);
}

static int
command_adopt(int argc, char **argv)
{
    const GOptionEntry entries[] = { { NULL, 0, 0, 0, NULL, NULL, NULL } };
    g_autoptr(GError) error = NULL;
    g_autofree char *group = NULL, *lv = NULL;
    int status = EXIT_SUCCESS;
    bool ok = parse("Make an LV that is there a volume of a tenant.",
                    "GROUP/LV TENANT [VOLUME] - adopt", entries, &argc, &argv,
                    &status);

    if (!ok)
        return status;
    if (argc < 3 || argc > 4)
        return usage_error("adopt takes an LV and a tenant: quota-lvm adopt "
                           "GROUP/LV TENANT [VOLUME]");
    group = split(argv[1], "LV", &lv, &status);
    if (!group || !check_names(group, argv[2], &status))
        return status;
    if (!adopt_apply(group, lv, argv[2], argc == 4 ? argv[3] : NULL, &error))
        return failure(error);
    g_print("virsh pool-refresh shows it in its pool\n");
    return EXIT_SUCCESS;
}

static int
command_release(int argc, char **argv)
{
    const GOptionEntry entries[] = { { NULL, 0, 0, 0, NULL, NULL, NULL } };
    g_autoptr(GError) error = NULL;
    g_autofree char *group = NULL, *tenant = NULL;
    int status = EXIT_SUCCESS;
    bool ok = parse("Make a volume of a tenant an LV of nobody.",
                    "GROUP/TENANT VOLUME [NAME] - release", entries, &argc,
                    &argv, &status);

    if (!ok)
        return status;
    if (argc < 3 || argc > 4)
        return usage_error("release takes a tenant and a volume: quota-lvm "
                           "release GROUP/TENANT VOLUME [NAME]");
    group = split(argv[1], "TENANT", &tenant, &status);
    if (!group || !check_names(group, tenant, &status))
        return status;
    if (!adopt_release(group, tenant, argv[2], argc == 4 ? argv[3] : NULL,
                       &error))
        return failure(error);
    return EXIT_SUCCESS;
}

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    { "list", command_list, "show all tenants" },
    { "show", command_show, "show one tenant with all its limits" },
    { "set", command_set, "change a tenant's limits, live" },
    { "adopt", command_adopt, "make an LV a volume of a tenant" },
    { "release", command_release, "make a volume an LV of nobody" },
    { "rollback", command_rollback, "give a volume a snapshot's content" },
    { "check", command_check, "compare LVM, the kernel and the ledgers" },
};

static void
print_help(void)
{
    g_print("Usage: quota-lvm COMMAND [OPTION...]\n\n"
            "Shows and sets the storage quotas of tenants.\n\nCommands:\n");
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
        g_print("  %-8s %s\n", commands[i].name, commands[i].help);
    g_print("\nquota-lvm COMMAND --help tells the options of a command; "
            "--version the version.\n");
}

int
main(int argc, char **argv)
{
    setlocale(LC_ALL, "");
    log_init("quota-lvm", false);
    if (argc < 2)
        return usage_error("which command? list, show, set, adopt, release, "
                           "rollback or check; see quota-lvm --help");
    if (g_str_equal(argv[1], "--help") || g_str_equal(argv[1], "-h")) {
        print_help();
        return EXIT_SUCCESS;
    }
    if (g_str_equal(argv[1], "--version") || g_str_equal(argv[1], "-V")) {
        g_print("quota-lvm %s\n", QUOTA_LVM_VERSION);
        return EXIT_SUCCESS;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (g_str_equal(argv[1], commands[i].name)) {
            sigbus_install();
            thin_status_init();
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    return usage_error("there is no command '%s': list, show, set, adopt, "
                       "release, rollback or check",
                       argv[1]);
}
