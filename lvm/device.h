/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device.h: what device-mapper says of any LV's device.  Nothing is kept.
 */
#ifndef LVM_DEVICE_H
#define LVM_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

struct device {
    uint64_t size_bytes;        /* of its table */
    bool is_open;
    bool is_suspended;
    bool has_new_table;         /* loaded, and not in use yet */
};

/* device_read: the device of this UUID; -ENODEV: the LV is not active. */
int device_read(const char *dm_uuid, struct device *device);

/* device_is_active: the LV has a device; *@is_open (may be NULL): somebody has it
 * open, as each volume has its thin pool. */
bool device_is_active(const char *group, const char *lv, bool *is_open);

/* device_is_in_use: it is open, and still is after 50 ms. */
bool device_is_in_use(const char *group, const char *lv);

/* device_wait_unused: within three seconds nobody has it open: udev looks at a device
 * whenever somebody who could write to it closes it. */
bool device_wait_unused(const char *group, const char *lv);

#pragma GCC visibility pop

#endif
