/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dm.c: ask device-mapper.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "dm.h"

/* libdevmapper opens the control device, and compares versions, on first use, into
 * static variables. */
static pthread_mutex_t lvm_dm_mutex = PTHREAD_MUTEX_INITIALIZER;
static bool lvm_dm_is_held;

void
lvm_dm_hold(void)
{
    struct dm_task *task;

    dm_hold_control_dev(1);
    task = dm_task_create(DM_DEVICE_VERSION);
    if (task) {
        lvm_dm_is_held = dm_task_run(task);
        dm_task_destroy(task);
    }
}

static int
lvm_dm_name(struct dm_task *task, const struct lvm_dm_device *device)
{
    struct dm_pool *pool;
    const char *name;
    int ok;

    if (device->uuid)
        return dm_task_set_uuid(task, device->uuid) ? 0 : -ENOMEM;
    pool = dm_pool_create("quota-lvm", 256);
    if (!pool)
        return -ENOMEM;
    name = dm_build_dm_name(pool, device->group, device->lv, device->layer);
    ok = name && dm_task_set_name(task, name);
    dm_pool_destroy(pool);
    return ok ? 0 : -ENOMEM;
}

char *
lvm_dm_path(const char *group, const char *lv)
{
    struct dm_pool *pool = dm_pool_create("quota-lvm", 256);
    const char *name = pool ? dm_build_dm_name(pool, group, lv, NULL) : NULL;
    char *path = NULL;

    if (name && asprintf(&path, "%s/%s", dm_dir(), name) < 0)
        path = NULL;
    if (pool)
        dm_pool_destroy(pool);
    return path;
}

static void
lvm_dm_take_targets(struct dm_task *task, struct lvm_dm_answer *answer)
{
    char *target = NULL, *params = NULL;
    uint64_t start, length;
    void *next = NULL;

    do {
        next = dm_get_next_target(task, next, &start, &length, &target, &params);
        if (!target)
            break;
        if (!*answer->target) {
            snprintf(answer->target, sizeof(answer->target), "%s", target);
            snprintf(answer->params, sizeof(answer->params), "%s",
                     params ? params : "");
        }
        if ((start + length) * 512 > answer->size_bytes)
            answer->size_bytes = (start + length) * 512;
    } while (next);
}

static int
lvm_dm_run(struct dm_task *task, bool commits, bool has_targets,
           struct lvm_dm_answer *answer)
{
    struct dm_info info;

    if (!commits && !dm_task_no_flush(task))
        return -ENOMEM;
    if (!dm_task_run(task)) {
        int error = dm_task_get_errno(task);

        return error == ENXIO ? -ENODEV : error ? -error : -EIO;
    }
    if (!dm_task_get_info(task, &info) || !info.exists)
        return -ENODEV;
    answer->is_open = info.open_count > 0;
    answer->is_suspended = info.suspended;
    answer->has_new_table = info.inactive_table;
    if (has_targets)
        lvm_dm_take_targets(task, answer);
    return 0;
}

static int
lvm_dm_ask_safely(int type, const struct lvm_dm_device *device, bool commits,
                  struct lvm_dm_answer *answer)
{
    struct dm_task *task;
    int ret;

    errno = 0;
    task = dm_task_create(type);
    if (!task)
        return errno == 0 || errno == ENODEV || errno == ENXIO ? -EOPNOTSUPP
                                                               : -errno;
    ret = lvm_dm_name(task, device);
    if (ret == 0)
        ret = lvm_dm_run(task, commits, type != DM_DEVICE_INFO, answer);
    dm_task_destroy(task);
    return ret;
}

int
lvm_dm_ask(int type, const struct lvm_dm_device *device, bool commits,
           struct lvm_dm_answer *answer)
{
    int ret;

    memset(answer, 0, sizeof(*answer));
    if (lvm_dm_is_held)
        return lvm_dm_ask_safely(type, device, commits, answer);
    pthread_mutex_lock(&lvm_dm_mutex);
    ret = lvm_dm_ask_safely(type, device, commits, answer);
    pthread_mutex_unlock(&lvm_dm_mutex);
    return ret;
}
