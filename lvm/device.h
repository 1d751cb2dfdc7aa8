/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device.h: what device-mapper says of any LV's device.  thin_status_init
 * first; nothing is kept.
 */
#ifndef QLVM_DEVICE_H
#define QLVM_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

struct device {
    uint64_t size_bytes;        /* of its table */
    bool is_open;
    bool is_suspended;
    bool has_new_table;         /* loaded, and not in use yet */
};

/* device_read: the device of this UUID; -ENODEV: the LV is not active. */
int device_read(const char *dm_uuid, struct device *device);

#endif
