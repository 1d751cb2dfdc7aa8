/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch.h: tell when a ledger file appears, goes, or is replaced.
 *
 * Owns one inotify descriptor, read by the default main context.
 */
#ifndef QLVM_WATCH_H
#define QLVM_WATCH_H

#include <glib.h>

typedef struct Watch Watch;

/* WatchChanged: something happened to the ledger of @tenant; @tenant is NULL
 * when events were lost and anything may have. */
typedef void (*WatchChanged)(const char *group, const char *tenant,
                             void *opaque);

Watch *watch_new(const char *directory, WatchChanged changed, void *opaque,
                 GError **error);
void watch_free(Watch *watch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Watch, watch_free)

#endif
