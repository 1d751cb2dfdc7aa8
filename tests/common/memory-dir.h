/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memory-dir.h: a directory for a test's files in memory, where ledgers are when
 * they are used, so that no test waits for a disk that others keep busy.
 */
#ifndef TEST_MEMORY_DIR_H
#define TEST_MEMORY_DIR_H

#include <glib.h>
#include <glib/gstdio.h>
#include <stdbool.h>
#include <unistd.h>

/* In $TMPDIR if that is set; else in /dev/shm if that can be used. */
static inline char *memory_dir_new(void)
{
    bool is_memory = !g_getenv("TMPDIR") && g_access("/dev/shm", W_OK) == 0;
    char *dir = g_build_filename(is_memory ? "/dev/shm" : g_get_tmp_dir(),
                                 "quota-lvm-XXXXXX", NULL);

    g_assert_nonnull(g_mkdtemp(dir));
    return dir;
}

#endif
