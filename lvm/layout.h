/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * layout.h: how a thick volume is laid out on its devices, and what it takes of its
 * group before LVM gives it.  Pure functions.
 */
#ifndef LVM_LAYOUT_H
#define LVM_LAYOUT_H

#include "group.h"

#pragma GCC visibility push(hidden)

typedef enum {
    LVM_LAYOUT_LINEAR,
    LVM_LAYOUT_STRIPED,
    LVM_LAYOUT_RAID1,
    LVM_LAYOUT_RAID5,
    LVM_LAYOUT_RAID6,
    LVM_LAYOUT_RAID10,

    LVM_LAYOUT_LAST
} LvmLayoutType;

typedef struct {
    LvmLayoutType type;
    unsigned stripes;           /* of data; 0: as few as the type can have */
    unsigned mirrors;           /* copies beside the first; 0: one */
    uint64_t stripe_bytes;      /* 0: LVM's default */
} LvmLayout;

/* LvmLayoutKind: what layouts of a type may have; lvmraid(7). */
typedef struct {
    const char *name;           /* as lvcreate --type takes it */
    unsigned min_stripes;       /* 0: it has none */
    unsigned parity;            /* legs beside the stripes */
    bool is_mirrored;
    bool is_raid;               /* each leg has metadata of its own */
    unsigned max_legs;
} LvmLayoutKind;

extern const LvmLayoutKind lvm_layout_kinds[LVM_LAYOUT_LAST];

/* LVM's own bound of a stripe's size, a power of two. */
#define LVM_LAYOUT_MIN_STRIPE_BYTES 4096

/* lvm_layout_stripes, lvm_layout_legs: with what is 0 in @layout put in. */
unsigned lvm_layout_stripes(const LvmLayout *layout);
uint64_t lvm_layout_legs(const LvmLayout *layout);

/* lvm_layout_of: that of a thick LV. */
LvmLayout lvm_layout_of(const LvmLv *lv);

/*
 * lvm_layout_sizes: how many bytes a volume of @capacity will hold (whole extents
 * on each leg) and take of the group (the legs' metadata too).  false: there are
 * no such numbers.
 */
bool lvm_layout_sizes(const LvmLayout *layout, uint64_t extent_bytes,
                      uint64_t capacity, uint64_t *logical, uint64_t *physical);

/* lvm_layout_add_arguments: what lvcreate is told beside name and size. */
void lvm_layout_add_arguments(const LvmLayout *layout, char ***argv);

#pragma GCC visibility pop

#endif
