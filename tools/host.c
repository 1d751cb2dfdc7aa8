/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * host.c: start LVM's commands with posix_spawn(3), and log what lvm/ says.
 */
#include <spawn.h>

#include "host.h"
#include "log.h"
#include "lvm-host.h"
#include "thin-status.h"

static pid_t
tools_host_start(const char *const *argv, int input, int output, int error)
{
    g_auto(GStrv) environment = g_get_environ();
    posix_spawn_file_actions_t actions;
    pid_t pid = -1;
    int ret;

    environment = g_environ_setenv(environment, "LC_ALL", "C", TRUE);
    environment = g_environ_setenv(environment, "LVM_SUPPRESS_FD_WARNINGS", "1",
                                   TRUE);
    ret = posix_spawn_file_actions_init(&actions);
    if (ret)
        return -ret;
    /* dup2 clears close-on-exec; all of ours have it, and are above these */
    ret = posix_spawn_file_actions_adddup2(&actions, input, 0);
    if (!ret)
        ret = posix_spawn_file_actions_adddup2(&actions, output, 1);
    if (!ret)
        ret = posix_spawn_file_actions_adddup2(&actions, error, 2);
    if (!ret)
        ret = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv,
                           environment);
    posix_spawn_file_actions_destroy(&actions);
    return ret ? -ret : pid;
}

static void
tools_host_warn(const char *message)
{
    log_message(LOG_WARNING, "%s", message);
}

void
host_init(void)
{
    static const LvmHost host = {
        .start = tools_host_start,
        .warn = tools_host_warn,
    };

    thin_status_init();
    lvm_host_set(&host);
}
