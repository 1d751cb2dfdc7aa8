/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device.c: the size and the state of an LV's device.
 *
 * A command of LVM that is killed between loading a table and resuming the
 * device leaves both to be seen here, and nowhere in LVM's own metadata.
 */
#include <unistd.h>

#include "device.h"
#include "dm.h"

/* How many times to check whether a device is still open: while others wait for the
 * group's lock, and while nobody does. */
#define IN_USE_TRIES 5
#define IN_USE_TRIES_UNLOCKED 300
#define IN_USE_WAIT_US (10 * 1000)

int
device_read(const char *dm_uuid, struct device *device)
{
    const struct lvm_dm_device which = { .uuid = dm_uuid };
    struct lvm_dm_answer answer;
    int ret = lvm_dm_ask(DM_DEVICE_TABLE, &which, false, &answer);

    device->size_bytes = answer.size_bytes;
    device->is_open = answer.is_open;
    device->is_suspended = answer.is_suspended;
    device->has_new_table = answer.has_new_table;
    return ret;
}

bool
device_is_active(const char *group, const char *lv, bool *is_open)
{
    const struct lvm_dm_device which = { .group = group, .lv = lv };
    struct lvm_dm_answer answer;
    bool is_active = lvm_dm_ask(DM_DEVICE_INFO, &which, false, &answer) == 0;

    if (is_open)
        *is_open = is_active && answer.is_open;
    return is_active;
}

static bool
device_stays_open(const char *group, const char *lv, unsigned tries)
{
    bool is_open;

    for (unsigned i = 0; i < tries; i++) {
        (void)device_is_active(group, lv, &is_open);
        if (!is_open)
            return false;
        usleep(IN_USE_WAIT_US);
    }
    return true;
}

bool
device_is_in_use(const char *group, const char *lv)
{
    return device_stays_open(group, lv, IN_USE_TRIES);
}

bool
device_wait_unused(const char *group, const char *lv)
{
    return !device_stays_open(group, lv, IN_USE_TRIES_UNLOCKED);
}
