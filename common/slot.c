/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * slot.c: who writes for a tenant, and what becomes of the share of one that
 * was killed.
 *
 * An open-file-description lock (fcntl(2), F_OFD_SETLK) on one byte a slot
 * tells whether the owner lives: the kernel drops it with the last copy of the
 * descriptor, whoever passed it on and however the owner ended.  A pid can be
 * reused, and a pidfd cannot be found again by a sampler that was restarted.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ledger-layout.h"

static int slot_lock(int fd, int slot, int command, short type)
{
    struct flock lock = {
        .l_type = type,
        .l_whence = SEEK_SET,
        .l_start = QUOTA_SLOT_LOCK_BASE + slot,
        .l_len = 1,
    };

    if (fcntl(fd, command, &lock) < 0) {
        return -errno;
    }
    return lock.l_type;
}

int quota_slot_attach(struct quota_ledger *ledger, const char *volume)
{
    for (int i = 0; i < QUOTA_LEDGER_SLOTS; i++) {
        struct quota_slot *slot = &ledger->file->slots[i];
        uint64_t nobody = 0;

        /* Look before locking: if the owner shares our file description,
         * the lock would succeed, and giving it up would drop the owner's. */
        if (quota_load(&slot->owner) != 0) {
            continue;
        }
        if (ledger->fd >= 0 &&
            slot_lock(ledger->fd, i, F_OFD_SETLK, F_WRLCK) < 0) {
            continue;
        }
        if (!quota_swap_if(&slot->owner, &nobody, (uint64_t)getpid())) {
            /* Only a sharer of our file description can have come between;
             * the lock is its own now. */
            continue;
        }
        quota_store(&slot->in_flight_bytes, 0);
        snprintf(slot->volume, sizeof(slot->volume), "%s", volume);
        return i;
    }
    return -EUSERS;
}

void quota_slot_detach(struct quota_ledger *ledger, int slot)
{
    /* The owner goes before the lock: a slot with an owner and no lock is a
     * dead one, and this one is not. */
    quota_store(&ledger->file->slots[slot].owner, 0);
    if (ledger->fd >= 0) {
        slot_lock(ledger->fd, slot, F_OFD_SETLK, F_UNLCK);
    }
}

unsigned quota_slot_count(const struct quota_ledger *ledger)
{
    unsigned count = 0;

    for (int i = 0; i < QUOTA_LEDGER_SLOTS; i++) {
        count += quota_load(&ledger->file->slots[i].owner) != 0;
    }
    return count;
}

/*
 * Between its two steps a reservation, or a settlement, stands in the
 * tenant's words alone; a writer that is killed there leaves bytes that no
 * slot claims.  They count as in flight, which is safe, until the tenant has
 * no writer at all: then nothing can be in flight.
 *
 * The count is read again after reserved_bytes: a writer attaches before it
 * reserves, so if its bytes are in the number read, its slot is in the count.
 */
static void settle_leftovers(struct quota_ledger *ledger)
{
    struct quota_counters *counters = &ledger->file->counters;
    uint64_t settled, reserved;

    if (quota_slot_count(ledger) != 0) {
        return;
    }
    settled = quota_load(&counters->settled_bytes);
    reserved = quota_load(&counters->reserved_bytes);
    if (settled != reserved && quota_slot_count(ledger) == 0) {
        quota_swap_if(&counters->settled_bytes, &settled, reserved);
    }
}

int quota_slot_audit(struct quota_ledger *ledger)
{
    int dead = 0;

    for (int i = 0; i < QUOTA_LEDGER_SLOTS && ledger->fd >= 0; i++) {
        struct quota_slot *slot = &ledger->file->slots[i];
        uint64_t owner = quota_load(&slot->owner);
        uint64_t left;
        int type;

        if (owner == 0) {
            continue;
        }
        type = slot_lock(ledger->fd, i, F_OFD_GETLK, F_WRLCK);
        if (type < 0) {
            return type;
        }
        if (type != F_UNLCK) {
            continue;
        }
        /* The kernel ends a process's I/O before it drops its files, so what
         * was in flight is in the next sample.  Emptied first, settled next:
         * killed between the two, this leaves an over-count. */
        left = quota_load(&slot->in_flight_bytes);
        if (quota_swap_if(&slot->in_flight_bytes, &left, 0)) {
            quota_add(&ledger->file->counters.settled_bytes, left);
        }
        if (quota_swap_if(&slot->owner, &owner, 0)) {
            dead++;
        }
    }
    settle_leftovers(ledger);
    return dead;
}
