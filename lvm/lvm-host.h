/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lvm-host.h: what lvm/ needs of the program that it is part of: to start a child,
 * and to say something.
 */
#ifndef LVM_HOST_H
#define LVM_HOST_H

#include <glib.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)

typedef struct {
    /*
     * start: run the program @argv[0], found by PATH, with the descriptors as
     * its standard input, output and error, and with LC_ALL=C and
     * LVM_SUPPRESS_FD_WARNINGS=1.  Returns its process ID, which lvm/ waits for,
     * or a negative errno.  May be called by any thread.
     */
    pid_t (*start)(const char *const *argv, int input, int output, int error);

    /* warn: say something that is not an error of the caller's. */
    void (*warn)(const char *message);

    /* Seconds after which nobody waits for a command any longer, or for the lock
     * of a group; 0: LVM_PATIENCE_SEC. */
    unsigned patience_sec;
} LvmHost;

#define LVM_PATIENCE_SEC 60

/* lvm_host_set: once, before any other function of lvm/ is used; @host stays
 * the caller's. */
void lvm_host_set(const LvmHost *host);

const LvmHost *lvm_host_get(void);
unsigned lvm_host_patience_sec(void);
void lvm_host_warn(const char *format, ...) G_GNUC_PRINTF(1, 2);

#pragma GCC visibility pop

#endif
