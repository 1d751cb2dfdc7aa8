/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * command.h: build and run one command of LVM, and interpret how it ended.
 *
 * LVM's commands are named in lvm/ and nowhere else.  No shell parses an argument.
 */
#ifndef LVM_COMMAND_H
#define LVM_COMMAND_H

#include "refusal.h"

#pragma GCC visibility push(hidden)

/* LVM's name for the LV of a thin pool's metadata: the pool's, and this. */
#define LVM_METADATA_SUFFIX "_tmeta"

/*
 * lvm_command: argv of LVM's @program with @..., strings up to a NULL; to be freed
 * with g_strfreev.  All have the settings without which LVM would grow thin pools
 * by its own rule (dmeventd), and thin pools would queue writes without end when
 * they are full; lvcreate 2.03.31 refuses --errorwhenfull beside --type thin-pool,
 * but takes the default from there.
 */
char **lvm_command(const char *program, ...) G_GNUC_NULL_TERMINATED;

/* lvm_command_skip_check: have the command not run thin_check, which takes as long as
 * it takes, with LVM's lock of the group. */
void lvm_command_skip_check(char **argv);
bool lvm_command_skips_check(const char *settings);

/* lvm_command_add: append one formatted argument, or some as they are. */
void lvm_command_add(char ***argv, const char *format, ...) G_GNUC_PRINTF(2, 3);
void lvm_command_add_all(char ***argv, ...) G_GNUC_NULL_TERMINATED;

/* lvm_command_join: one argv that runs each of the @count commands after the
 * other, until one fails, in one child that ignores what a terminal sends. */
char **lvm_command_join(char *const *const *argvs, unsigned count);

/*
 * lvm_command_ask: run a command that changes nothing; its output, to be freed,
 * or NULL with @why.  One that does not end is killed.
 */
char *lvm_command_ask(const char *const *argv, LvmRefusal *why);

/* lvm_thin_check: whether thin_check finds nothing wrong with the metadata of @group's
 * thin pool @lv, whose metadata LV alone is active.  For as long as it takes: nothing is
 * to be locked meanwhile. */
bool lvm_thin_check(const char *group, const char *lv);

/*
 * lvm_command_change: run a command that changes @group.
 *
 * It must come to its end even if the caller is killed, or stops waiting:
 * - @lock_fd becomes its standard input.  A lock of flock(2) lasts until the last
 *   descriptor of its file is closed, and LVM closes every inherited descriptor
 *   but the first three: only there the lock outlives the caller.  Were it to go,
 *   the next process could measure the group before the orphaned command has
 *   changed it, and hand out the same bytes again.
 * - Its messages go to a file in memory.  A pipe would break with the caller's
 *   death, and SIGPIPE would end the command half way.
 * - It is never killed: that can leave a device suspended, with every guest of
 *   the tenant waiting for it.  LVM_WHY_SLOW: it still runs, and has the lock.
 */
bool lvm_command_change(const char *const *argv, const char *group, int lock_fd,
                        LvmRefusal *why);

#pragma GCC visibility pop

#endif
