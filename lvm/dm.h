/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dm.h: one question to device-mapper about one device, for any thread.
 */
#ifndef LVM_DM_H
#define LVM_DM_H

#include <libdevmapper.h>
#include <stdbool.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

/* struct lvm_dm_device: which one: by UUID, or (NULL) by LVM's names; @layer is
 * LVM's own below the LV's ("tpool", "cow"), or NULL. */
struct lvm_dm_device {
    const char *uuid;
    const char *group, *lv, *layer;
};

/* struct lvm_dm_answer: target and parameters are those of the device's first
 * target, cut where they are longer; "": it has none. */
struct lvm_dm_answer {
    char target[32];
    char params[512];
    uint64_t size_bytes;        /* of all targets */
    bool is_open;
    bool is_suspended;
    bool has_new_table;         /* loaded, and not in use yet */
};

/* lvm_dm_hold: open the control device for good, once, before any thread is started.
 * From then on a question that a dead disk holds up holds up no other one. */
void lvm_dm_hold(void);

/* lvm_dm_path: of the LV's device, to be freed; NULL: no memory. */
char *lvm_dm_path(const char *group, const char *lv);

/*
 * lvm_dm_ask: @type is DM_DEVICE_STATUS, DM_DEVICE_TABLE or DM_DEVICE_INFO (which
 * knows no targets).  Unless @commits, a status does not have a thin pool commit.
 * Returns 0, -ENODEV (there is no such device), or why device-mapper cannot be asked
 * at all, which is never -ENODEV.
 */
int lvm_dm_ask(int type, const struct lvm_dm_device *device, bool commits,
               struct lvm_dm_answer *answer);

#pragma GCC visibility pop

#endif
