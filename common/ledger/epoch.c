/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * epoch.c: a volume's epochs.  A chunk that a writer was charged for stays
 * charged until the next snapshot, which waits for the writes that rely on it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>

#include "clock.h"
#include "lock.h"
#include "volume.h"
#include "writer.h"

/* How long a snapshot waits for a writer before it checks that the writer is
 * still alive. */
#define EPOCH_POLL_NS 10000000

int quota_epoch_begin(struct quota_ledger *ledger, const char *name)
{
    int i = quota_attach_lock(ledger, QUOTA_ATTACH_LOCKED_NS);

    if (i < 0) {
        return i;
    }
    i = quota_volume_claim(ledger, name);
    if (i >= 0) {
        quota_u32 *epoch = &ledger->file->volumes[i].epoch;

        /* With the lock still held: an odd epoch keeps the slot from being
         * reused for another volume. */
        quota_store(epoch, quota_load(epoch) | 1);
        /* Before charged_in_flight is read: see quota_epoch_enter. */
        atomic_thread_fence(memory_order_seq_cst);
    }
    quota_attach_unlock(ledger);
    return i < 0 ? i : 0;
}

/* Wait until no write is in flight in a writer's lane, or the writer is dead.
 * Once the lane is empty, no write enters it before the epoch ends. */
static int wait_for_lane(struct quota_ledger *ledger, unsigned index,
                         unsigned lane, uint64_t until_ns)
{
    struct quota_writer_words *words = quota_writer_at(ledger, index);
    quota_u32 *in_flight = &words->lanes[lane].charged_in_flight;
    uint32_t writes;

    while (quota_load(&words->owner) != 0 &&
           (writes = quota_load(in_flight)) != 0) {
        if (quota_ledger_lock(ledger, QUOTA_LOCK_BASE + index, F_OFD_GETLK,
                              F_WRLCK) == F_UNLCK) {
            return 0;
        }
        if (quota_clock_ns() >= until_ns) {
            return -ETIMEDOUT;
        }
        quota_word_wait(in_flight, writes, EPOCH_POLL_NS);
    }
    return 0;
}

int quota_epoch_wait(struct quota_ledger *ledger, const char *name,
                     uint64_t timeout_ns)
{
    uint64_t until_ns = quota_clock_ns() + timeout_ns;
    int i = quota_volume_find(ledger, name);
    int ret = i < 0 ? i : 0;

    for (unsigned n = 0; n < QUOTA_VOLUME_WRITERS * QUOTA_LANES && ret == 0;
         n++) {
        ret = wait_for_lane(ledger,
                            i * QUOTA_VOLUME_WRITERS + n / QUOTA_LANES,
                            n % QUOTA_LANES, until_ns);
    }
    return ret;
}

int quota_epoch_end(struct quota_ledger *ledger, const char *name)
{
    int i = quota_volume_find(ledger, name);
    quota_u32 *epoch;

    if (i < 0) {
        return i;
    }
    epoch = &ledger->file->volumes[i].epoch;
    quota_store(epoch, (quota_load(epoch) | 1) + 1);
    return 0;
}

uint32_t quota_epoch_read(const struct quota_writer *writer)
{
    return quota_load(&writer->volume->epoch);
}

uint32_t quota_epoch_enter(struct quota_writer *writer, unsigned *lane)
{
    *lane = quota_lane_of_thread();
    /* One of the two sees the other: a write counts itself and then reads the
     * epoch, a snapshot changes the epoch and then reads the count. */
    atomic_fetch_add_explicit(&writer->words->lanes[*lane].charged_in_flight, 1,
                              memory_order_seq_cst);
    return atomic_load_explicit(&writer->volume->epoch, memory_order_seq_cst);
}

void quota_epoch_leave(struct quota_writer *writer, unsigned lane)
{
    quota_u32 *writes = &writer->words->lanes[lane].charged_in_flight;

    atomic_fetch_sub_explicit(writes, 1, memory_order_seq_cst);
    if (quota_load(&writer->volume->epoch) % 2) {
        quota_word_wake(writes);
    }
}
