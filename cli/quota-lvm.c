/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quota-lvm.c: the command that shows and sets tenants' quotas.
 *
 * Works with and without quota-lvmd and libvirt: the numbers come from LVM
 * and the kernel, and the limits go to LVM's tags.  Each command is in the file
 * of its name: NAME.c has its arguments and what it does.
 */
#include <locale.h>
#include <stdlib.h>

#include "arguments.h"
#include "commands.h"
#include "config-tools.h"
#include "log.h"
#include "host.h"

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
        return arguments_refuse("which command? list, show, set, adopt, "
                                "release, rollback or check; see quota-lvm "
                                "--help");
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
            host_init();
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    return arguments_refuse("there is no command '%s': list, show, set, adopt, "
                            "release, rollback or check",
                            argv[1]);
}
