/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * layout.c: how a thick volume lies on its devices.
 */
#include <string.h>

#include "command.h"
#include "layout.h"

/* LVM's own bounds: MAX_STRIPES, and DEFAULT_RAID_MAX_IMAGES. */
#define MAX_LEGS 128
#define MAX_RAID_LEGS 64

/* raid/raid_region_size of lvm.conf(5): what a bit of a leg's metadata is for.
 * A larger region makes less metadata, never more. */
#define REGION_BYTES (UINT64_C(2) << 20)

const LvmLayoutKind lvm_layout_kinds[LVM_LAYOUT_LAST] = {
    [LVM_LAYOUT_LINEAR] = { "linear", 0, 0, false, false, MAX_LEGS },
    [LVM_LAYOUT_STRIPED] = { "striped", 2, 0, false, false, MAX_LEGS },
    [LVM_LAYOUT_RAID1] = { "raid1", 0, 0, true, true, MAX_RAID_LEGS },
    [LVM_LAYOUT_RAID5] = { "raid5", 2, 1, false, true, MAX_RAID_LEGS },
    [LVM_LAYOUT_RAID6] = { "raid6", 3, 2, false, true, MAX_RAID_LEGS },
    [LVM_LAYOUT_RAID10] = { "raid10", 2, 0, true, true, MAX_RAID_LEGS },
};

unsigned
lvm_layout_stripes(const LvmLayout *layout)
{
    return MAX(MAX(layout->stripes, lvm_layout_kinds[layout->type].min_stripes), 1);
}

uint64_t
lvm_layout_legs(const LvmLayout *layout)
{
    const LvmLayoutKind *kind = &lvm_layout_kinds[layout->type];
    uint64_t stripes = lvm_layout_stripes(layout);

    return kind->is_mirrored ? stripes * (MAX(layout->mirrors, 1) + UINT64_C(1))
                             : stripes + kind->parity;
}

LvmLayout
lvm_layout_of(const LvmLv *lv)
{
    LvmLayout layout = { 0 };

    for (int type = LVM_LAYOUT_STRIPED; type < LVM_LAYOUT_LAST; type++) {
        const char *name = lvm_layout_kinds[type].name;

        /* Parity may be rotated in many ways: raid5_ls, raid6_zr, ...; raid10
         * begins with raid1. */
        if (g_str_equal(lv->segtype, name) ||
            (lvm_layout_kinds[type].parity && g_str_has_prefix(lv->segtype, name)) ||
            (type == LVM_LAYOUT_RAID10 && g_str_has_prefix(lv->segtype, name)))
            layout.type = type;
    }
    if (lvm_layout_kinds[layout.type].min_stripes)
        layout.stripes = lv->data_stripes;
    if (lvm_layout_kinds[layout.type].is_mirrored && lv->data_copies > 1)
        layout.mirrors = lv->data_copies - 1;
    return layout;
}

bool
lvm_layout_sizes(const LvmLayout *layout, uint64_t extent_bytes,
                 uint64_t capacity, uint64_t *logical, uint64_t *physical)
{
    uint64_t stripes = lvm_layout_stripes(layout);
    uint64_t legs = lvm_layout_legs(layout);
    uint64_t leg, metadata = 0;

    /* as metadata may say of an LV that LVM would not make */
    if (legs > 2 * MAX_LEGS)
        return false;
    /* Leaves room for every sum and product below. */
    if (capacity > (UINT64_C(1) << 62) / legs - extent_bytes * stripes)
        return false;

    leg = LVM_ROUND_UP(LVM_DIVIDE_UP(capacity, stripes), extent_bytes);

    /* Two superblocks and a bit for each region: LVM's raid_rmeta_extents(). */
    if (lvm_layout_kinds[layout->type].is_raid)
        metadata = LVM_ROUND_UP(2 * 4096 + LVM_DIVIDE_UP(leg / REGION_BYTES, 8),
                                extent_bytes);
    *logical = leg * stripes;
    *physical = (leg + metadata) * legs;
    return true;
}

void
lvm_layout_add_arguments(const LvmLayout *layout, char ***argv)
{
    const LvmLayoutKind *kind = &lvm_layout_kinds[layout->type];

    lvm_command_add_all(argv, "--type", kind->name, NULL);
    if (kind->min_stripes) {
        lvm_command_add_all(argv, "--stripes", NULL);
        lvm_command_add(argv, "%u", lvm_layout_stripes(layout));
        if (layout->stripe_bytes) {
            lvm_command_add_all(argv, "--stripesize", NULL);
            lvm_command_add(argv, "%" G_GUINT64_FORMAT "b", layout->stripe_bytes);
        }
    }
    if (kind->is_mirrored) {
        lvm_command_add_all(argv, "--mirrors", NULL);
        lvm_command_add(argv, "%u", MAX(layout->mirrors, 1));
    }
}
