/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lvm-host.c: the program that lvm/ is part of.
 */
#include "lvm-host.h"

static const LvmHost *lvm_host;

void
lvm_host_set(const LvmHost *host)
{
    lvm_host = host;
}

const LvmHost *
lvm_host_get(void)
{
    return lvm_host;
}

unsigned
lvm_host_patience_sec(void)
{
    return lvm_host && lvm_host->patience_sec ? lvm_host->patience_sec
                                              : LVM_PATIENCE_SEC;
}

void
lvm_host_warn(const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list args;

    if (!lvm_host || !lvm_host->warn)
        return;
    va_start(args, format);
    message = g_strdup_vprintf(format, args);
    va_end(args);
    lvm_host->warn(message);
}
