/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * layout-legs.c: a thick volume takes more of its group than it was charged, or is
 * smaller than was asked for.
 */
#include "layout.h"

#define MIB UINT64_C(1048576)
#define GIB (1024 * MIB)
#define EXTENT (4 * MIB)

/* What LVM 2.03.31 took for each of them, in extents of 4 MiB. */
static void
test_legs(void)
{
    static const struct {
        LvmLayout layout;
        uint64_t capacity, logical, physical;
    } cases[] = {
        { { LVM_LAYOUT_LINEAR, 0, 0, 0 }, 25, 25, 25 },
        { { LVM_LAYOUT_STRIPED, 0, 0, 0 }, 25, 26, 26 },
        { { LVM_LAYOUT_STRIPED, 3, 0, 0 }, 25, 27, 27 },
        { { LVM_LAYOUT_RAID1, 0, 0, 0 }, 25, 25, 52 },
        { { LVM_LAYOUT_RAID1, 0, 2, 0 }, 25, 25, 78 },
        { { LVM_LAYOUT_RAID5, 0, 0, 0 }, 25, 26, 42 },
        { { LVM_LAYOUT_RAID5, 4, 0, 0 }, 25, 28, 40 },
        { { LVM_LAYOUT_RAID6, 0, 0, 0 }, 25, 27, 50 },
        { { LVM_LAYOUT_RAID6, 5, 0, 0 }, 25, 25, 42 },
        { { LVM_LAYOUT_RAID10, 0, 0, 0 }, 25, 26, 56 },
        { { LVM_LAYOUT_RAID10, 3, 1, 0 }, 25, 27, 60 },
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint64_t logical, physical;

        g_test_message("%s of %" G_GUINT64_FORMAT, lvm_layout_kinds[cases[i].layout.type].name,
                       lvm_layout_legs(&cases[i].layout));
        g_assert_true(lvm_layout_sizes(&cases[i].layout, EXTENT,
                                       cases[i].capacity * EXTENT, &logical,
                                       &physical));
        g_assert_cmpuint(logical, ==, cases[i].logical * EXTENT);
        g_assert_cmpuint(physical, ==, cases[i].physical * EXTENT);
    }
}

/* As many as metadata may say, but no LVM: neither too little nor a crash. */
static void
test_legs_that_cannot_be(void)
{
    static const LvmLayout cases[] = {
        { LVM_LAYOUT_RAID10, 2, INT32_MAX, 0 },
        { LVM_LAYOUT_RAID10, 0, UINT32_MAX, 0 },
        { LVM_LAYOUT_RAID1, 0, UINT32_MAX, 0 },
        { LVM_LAYOUT_STRIPED, UINT32_MAX, 0, 0 },
        { LVM_LAYOUT_RAID6, UINT32_MAX - 1, 0, 0 },
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint64_t logical, physical;

        g_assert_cmpuint(lvm_layout_legs(&cases[i]), >, 0);
        g_assert_false(lvm_layout_sizes(&cases[i], EXTENT, EXTENT, &logical,
                                        &physical));
    }
}

static void
test_edges(void)
{
    const LvmLayout raid1 = { .type = LVM_LAYOUT_RAID1 };
    LvmLv lv = { .data_stripes = 4, .data_copies = 2 };
    uint64_t logical, physical;
    LvmLayout layout;

    /* metadata that does not fit one extent: 64 KiB extents, 1 TiB */
    g_assert_true(lvm_layout_sizes(&raid1, 64 << 10, 1024 * GIB, &logical,
                                   &physical));
    g_assert_cmpuint(logical, ==, 1024 * GIB);
    g_assert_cmpuint(physical, ==, 2 * (1024 * GIB + (128 << 10)));
    g_assert_false(lvm_layout_sizes(&raid1, EXTENT, INT64_MAX, &logical,
                                    &physical));

    lv.segtype = (char *)"raid5_ls";
    layout = lvm_layout_of(&lv);
    g_assert_cmpint(layout.type, ==, LVM_LAYOUT_RAID5);
    g_assert_cmpuint(layout.stripes, ==, 4);
    g_assert_cmpuint(layout.mirrors, ==, 0);
    lv.segtype = (char *)"raid10";
    layout = lvm_layout_of(&lv);
    g_assert_cmpint(layout.type, ==, LVM_LAYOUT_RAID10);
    g_assert_cmpuint(layout.stripes, ==, 4);
    g_assert_cmpuint(layout.mirrors, ==, 1);
    lv.segtype = (char *)"cache";
    g_assert_cmpint(lvm_layout_of(&lv).type, ==, LVM_LAYOUT_LINEAR);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/layout/legs", test_legs);
    g_test_add_func("/layout/legs-that-cannot-be", test_legs_that_cannot_be);
    g_test_add_func("/layout/edges", test_edges);
    return g_test_run();
}
