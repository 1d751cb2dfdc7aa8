/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch.c: inotify on the directory of ledgers and on each group's in it.
 *
 * Only names are reported, for files whose name a tenant could have: locks, the
 * socket of quota-ledgerd and links before their renaming begin with a dot.
 */
#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "log.h"
#include "quota-limits.h"
#include "watch.h"

#define WATCH_EVENTS (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE)

struct Watch {
    int fd;
    guint source;
    int root_wd;
    char *directory;
    GHashTable *groups;         /* watch descriptor -> name of the group */
    WatchChanged changed;
    void *opaque;
};

static void
watch_add_group(Watch *watch, const char *group)
{
    g_autofree char *path = g_build_filename(watch->directory, group, NULL);
    g_autoptr(GDir) dir = NULL;
    const char *name;
    int wd;

    if (quota_name_check_group(group, NULL) < 0)
        return;
    wd = inotify_add_watch(watch->fd, path, WATCH_EVENTS | IN_ONLYDIR);
    if (wd < 0) {
        /* ENOTDIR, ENOENT: a file, or gone already */
        if (errno != ENOTDIR && errno != ENOENT)
            log_message(LOG_ERR, "cannot watch %s, new tenants of group %s are "
                        "found by rescans alone: %s; see "
                        "fs.inotify.max_user_watches", path, group,
                        g_strerror(errno));
        return;
    }
    g_hash_table_replace(watch->groups, GINT_TO_POINTER(wd), g_strdup(group));

    /* created before the watch began */
    dir = g_dir_open(path, 0, NULL);
    while (dir && (name = g_dir_read_name(dir))) {
        if (quota_name_check_tenant(name, NULL) == 0)
            watch->changed(group, name, watch->opaque);
    }
}

static void
watch_handle(Watch *watch, const struct inotify_event *event)
{
    const char *group;

    if (event->mask & IN_Q_OVERFLOW) {
        watch->changed(NULL, NULL, watch->opaque);
        return;
    }
    if (event->mask & IN_IGNORED) {
        g_hash_table_remove(watch->groups, GINT_TO_POINTER(event->wd));
        return;
    }
    if (event->len == 0)
        return;
    if (event->wd == watch->root_wd) {
        if (event->mask & IN_ISDIR &&
            event->mask & (IN_CREATE | IN_MOVED_TO))
            watch_add_group(watch, event->name);
        return;
    }
    group = g_hash_table_lookup(watch->groups, GINT_TO_POINTER(event->wd));
    if (group && quota_name_check_tenant(event->name, NULL) == 0)
        watch->changed(group, event->name, watch->opaque);
}

static gboolean
watch_read(gint fd, GIOCondition condition, gpointer opaque)
{
    union {
        struct inotify_event event;
        char bytes[4096];
    } buffer;
    ssize_t length = read(fd, &buffer, sizeof(buffer));

    (void)condition;
    for (ssize_t at = 0; at < length; ) {
        const struct inotify_event *event =
            (const struct inotify_event *)(buffer.bytes + at);

        watch_handle(opaque, event);
        at += sizeof(*event) + event->len;
    }
    return G_SOURCE_CONTINUE;
}

Watch *
watch_new(const char *directory, WatchChanged changed, void *opaque,
          GError **error)
{
    g_autoptr(Watch) watch = g_new0(Watch, 1);
    g_autoptr(GDir) dir = NULL;
    const char *name;

    watch->groups = g_hash_table_new_full(g_direct_hash, g_direct_equal,
                                          NULL, g_free);
    watch->directory = g_strdup(directory);
    watch->changed = changed;
    watch->opaque = opaque;
    watch->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (watch->fd >= 0)
        watch->root_wd = inotify_add_watch(watch->fd, directory,
                                           WATCH_EVENTS | IN_ONLYDIR);
    if (watch->fd < 0 || watch->root_wd < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
                    "cannot watch %s: %s", directory, g_strerror(errno));
        return NULL;
    }
    dir = g_dir_open(directory, 0, error);
    if (!dir)
        return NULL;
    while ((name = g_dir_read_name(dir)))
        watch_add_group(watch, name);
    watch->source = g_unix_fd_add(watch->fd, G_IO_IN, watch_read, watch);
    return g_steal_pointer(&watch);
}

void
watch_free(Watch *watch)
{
    if (!watch)
        return;
    if (watch->source)
        g_source_remove(watch->source);
    if (watch->fd >= 0)
        close(watch->fd);
    g_hash_table_destroy(watch->groups);
    g_free(watch->directory);
    g_free(watch);
}
