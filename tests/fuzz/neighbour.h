/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * neighbour.h: a process that changes a ledger while another one uses it, by plan:
 * each change comes after so many steps of the library.  A target includes it once.
 */
#ifndef FUZZ_NEIGHBOUR_H
#define FUZZ_NEIGHBOUR_H

#include "fuzz.h"

#define NEIGHBOUR_MAX 64

static struct {
    struct {
        struct fuzz_patch patch;
        unsigned delay;
    } changes[NEIGHBOUR_MAX];
    unsigned count, next, delay;
} neighbour;

/* Input: the number of changes to a sound ledger, @image, and those; the number of
 * changes that the neighbour makes, and those, each after how many steps. */
static void neighbour_take(struct fuzz_input *input,
                           struct quota_ledger_file *file,
                           const struct quota_ledger_file *image)
{
    unsigned count;

    memcpy(file, image, sizeof(*image));
    count = fuzz_take(input, 1) % 32;
    for (unsigned i = 0; i < count; i++) {
        struct fuzz_patch patch = fuzz_take_body_patch(input);

        fuzz_patch(file, &patch);
    }
    neighbour.count = fuzz_take(input, 1) % NEIGHBOUR_MAX;
    for (unsigned i = 0; i < neighbour.count; i++) {
        neighbour.changes[i].delay = fuzz_take(input, 1);
        neighbour.changes[i].patch = fuzz_take_body_patch(input);
    }
    neighbour.next = 0;
    neighbour.delay = neighbour.changes[0].delay;
}

/* A step of the library; true: the neighbour has changed something. */
static bool neighbour_step(struct quota_ledger_file *file)
{
    bool has_changed = false;

    while (neighbour.next < neighbour.count) {
        if (neighbour.delay > 0) {
            neighbour.delay--;
            break;
        }
        fuzz_patch(file, &neighbour.changes[neighbour.next++].patch);
        has_changed = true;
        neighbour.delay = neighbour.next < neighbour.count ?
                          neighbour.changes[neighbour.next].delay : 0;
    }
    return has_changed;
}

#endif
