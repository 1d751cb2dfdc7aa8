/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * commands.h: the commands of quota-lvm, each in the file of its name.
 *
 * argv[0] is the command's name; the status is that of the program: 0, 1 when
 * something failed or was found, EXIT_USAGE.
 */
#ifndef QLVM_COMMANDS_H
#define QLVM_COMMANDS_H

int command_adopt(int argc, char **argv);
int command_check(int argc, char **argv);
int command_list(int argc, char **argv);
int command_release(int argc, char **argv);
int command_rollback(int argc, char **argv);
int command_set(int argc, char **argv);
int command_show(int argc, char **argv);

#endif
