/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * volume.c: the volumes of a tenant that anybody writes to, or that have limits
 * of their own, and their epochs.
 *
 * A slot is found by the volume's name.  Its sums go on when it is given to
 * another volume: only differences of them mean anything.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ledger-layout.h"

/* How long a snapshot waits for one writer before it looks whether that is
 * still alive. */
#define EPOCH_LOOK_NS 10000000

static bool is_used(const struct quota_volume *volume)
{
    return quota_load(&volume->use) % 2;
}

/* The name of a slot; false: it is nobody's, or was given to another volume
 * while the name was read. */
static bool read_name(const struct quota_volume *volume,
                      char name[QUOTA_LV_MAX_BYTES + 1])
{
    uint32_t use = quota_load(&volume->use);

    for (size_t n = 0; n < QUOTA_LV_MAX_BYTES; n++) {
        name[n] = quota_load(&volume->name[n]);
    }
    name[QUOTA_LV_MAX_BYTES] = '\0';
    return use % 2 && quota_load(&volume->use) == use;
}

/* As many bytes as a slot has room for count. */
static bool has_name(const struct quota_volume *volume, const char *name)
{
    char own[QUOTA_LV_MAX_BYTES + 1];

    return is_used(volume) && read_name(volume, own) &&
           strncmp(own, name, QUOTA_LV_MAX_BYTES) == 0;
}

int quota_volume_find(const struct quota_ledger *ledger, const char *name)
{
    unsigned count = quota_volumes_count(ledger);

    for (unsigned i = 0; i < count; i++) {
        if (has_name(&ledger->file->volumes[i], name)) {
            return i;
        }
    }
    return -ENOENT;
}

/* Whether a slot says nothing that would be lost with it: nobody writes, all
 * has settled, and there are no limits. */
static bool is_idle(const struct quota_ledger *ledger, unsigned i)
{
    const struct quota_volume *volume = &ledger->file->volumes[i];
    struct quota_register_value reserved;
    uint64_t settled = 0;

    for (unsigned n = 0; n < QUOTA_VOLUME_WRITERS; n++) {
        const struct quota_writer_words *words = &volume->writers[n];

        if (quota_load(&words->owner) != 0) {
            return false;
        }
        settled += quota_load(&words->settled_bytes) +
                   QUOTA_LEASE_RECALLED_BYTES(quota_load(&words->lease));
    }
    return quota_load(&volume->limit_bytes) == 0 &&
           quota_load(&volume->weight) == 0 &&
           quota_load(&volume->rates.armed) == 0 &&
           quota_load(&volume->epoch) % 2 == 0 &&
           quota_register_read(ledger, i, QUOTA_OF_VOLUME, &reserved) == 0 &&
           settled == reserved.bytes;
}

/* By the sampler alone: between its begin and its publish, a slot stays that
 * of the volume that was sampled. */
void quota_volume_tidy(struct quota_ledger *ledger)
{
    unsigned count = quota_volumes_count(ledger);

    if (quota_attach_lock(ledger, 1) < 0) {
        return;                     /* the next time will do */
    }
    for (unsigned i = 0; i < count; i++) {
        struct quota_volume *volume = &ledger->file->volumes[i];

        if (is_used(volume) && is_idle(ledger, i)) {
            quota_store(&volume->use, quota_load(&volume->use) + 1);
        }
    }
    quota_attach_unlock(ledger);
}

static int find_free(const struct quota_ledger *ledger)
{
    for (int i = 0; i < QUOTA_LEDGER_VOLUMES; i++) {
        if (!is_used(&ledger->file->volumes[i])) {
            return i;
        }
    }
    return -EUSERS;
}

int quota_volume_claim(struct quota_ledger *ledger, const char *name)
{
    struct quota_volume *volume;
    int i = quota_volume_find(ledger, name);

    if (i >= 0) {
        return i;
    }
    i = find_free(ledger);
    if (i < 0) {
        return i;
    }
    volume = &ledger->file->volumes[i];
    quota_store(&volume->sample.sampled_bytes, QUOTA_UNSAMPLED);
    for (size_t n = 0; ; n++) {
        char c = n < QUOTA_LV_MAX_BYTES ? name[n] : '\0';

        quota_store(&volume->name[n], c);
        if (!c) {
            break;
        }
    }
    /* Readers look at as many slots as are counted, and then at use. */
    if (quota_volumes_count(ledger) < (unsigned)i + 1) {
        quota_store(&ledger->file->counters.volumes, i + 1);
    }
    quota_store(&volume->use, quota_load(&volume->use) + 1);
    return i;
}

int quota_volume_read(const struct quota_ledger *ledger, unsigned i,
                      struct quota_volume_usage *usage)
{
    const struct quota_volume *volume;
    struct quota_reading reading;
    int ret;

    memset(usage, 0, sizeof(*usage));
    if (i >= quota_volumes_count(ledger)) {
        return -ENOENT;
    }
    volume = &ledger->file->volumes[i];
    if (!read_name(volume, usage->name)) {
        return -EAGAIN;
    }
    ret = quota_reading_take_volume(ledger, i, &reading);
    usage->limit_bytes = reading.limit_bytes;
    usage->sampled_bytes = reading.sampled_bytes;
    usage->is_sampled = ret != -EAGAIN;
    usage->unsampled_bytes = reading.unsampled_bytes;
    usage->used_bytes = quota_add_saturating(reading.sampled_bytes,
                                             reading.unsampled_bytes);
    usage->weight = quota_load(&volume->weight);
    for (unsigned n = 0; n < QUOTA_VOLUME_WRITERS; n++) {
        usage->writers += quota_load(&volume->writers[n].owner) != 0;
    }
    return ret == -EUCLEAN ? ret : 0;
}

/* ---- epochs -------------------------------------------------------------- */

int quota_epoch_begin(struct quota_ledger *ledger, const char *name)
{
    int i = quota_attach_lock(ledger, QUOTA_ATTACH_TRIES);

    if (i < 0) {
        return i;
    }
    i = quota_volume_claim(ledger, name);
    if (i >= 0) {
        quota_u32 *epoch = &ledger->file->volumes[i].epoch;

        /* With the lock still held: an odd epoch keeps the slot from being
         * given to another volume. */
        quota_store(epoch, quota_load(epoch) | 1);
        /* Before paid_in_flight is read: see quota_epoch_enter. */
        atomic_thread_fence(memory_order_seq_cst);
    }
    quota_attach_unlock(ledger);
    return i < 0 ? i : 0;
}

/* Wait until no write is in flight in a writer's lane, or the writer is dead.
 * Once it was empty, nobody enters it again before the epoch has ended. */
static int wait_for_lane(struct quota_ledger *ledger, unsigned index,
                         unsigned lane, uint64_t until_ns)
{
    struct quota_writer_words *words = quota_writer_at(ledger, index);
    quota_u32 *in_flight = &words->lanes[lane].paid_in_flight;
    const struct timespec look = { .tv_nsec = EPOCH_LOOK_NS };
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
        syscall(SYS_futex, in_flight, FUTEX_WAIT, writes, &look, NULL, 0);
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
    /* One of the two sees the other: this counts itself and then reads the
     * epoch, a snapshot changes the epoch and then reads the count. */
    atomic_fetch_add_explicit(&writer->words->lanes[*lane].paid_in_flight, 1,
                              memory_order_seq_cst);
    return atomic_load_explicit(&writer->volume->epoch, memory_order_seq_cst);
}

void quota_epoch_leave(struct quota_writer *writer, unsigned lane)
{
    quota_u32 *writes = &writer->words->lanes[lane].paid_in_flight;

    atomic_fetch_sub_explicit(writes, 1, memory_order_seq_cst);
    if (quota_load(&writer->volume->epoch) % 2) {
        syscall(SYS_futex, writes, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    }
}
