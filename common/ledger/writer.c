/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * writer.c: who writes for a tenant, and what becomes of the share of one that
 * was killed.
 *
 * An open-file-description lock (fcntl(2), F_OFD_SETLK) on one byte a writer
 * tells whether the owner lives: the kernel drops it with the last copy of the
 * descriptor, whoever passed it on and however the owner ended.  A pid can be
 * reused, a pidfd cannot be found again by a sampler that was restarted, and a
 * robust futex would have each owner's kernel thread write to the ledger.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ledger-layout.h"

/* An auditor does not fight for ever with a volume's living writers. */
#define AUDIT_TRIES 1000

/* Between two tries to get the attach lock. */
#define ATTACH_PAUSE_NS 1000000

int quota_ledger_lock(const struct quota_ledger *ledger, int64_t byte,
                      int command, short type)
{
    struct flock lock = {
        .l_type = type,
        .l_whence = SEEK_SET,
        .l_start = byte,
        .l_len = 1,
    };

    if (ledger->fd < 0) {
        return type;
    }
    if (fcntl(ledger->fd, command, &lock) < 0) {
        return -errno;
    }
    return lock.l_type;
}

int quota_attach_lock(struct quota_ledger *ledger, int tries)
{
    const struct timespec pause = { .tv_nsec = ATTACH_PAUSE_NS };
    int ret = -EBUSY;

    pthread_mutex_lock(&ledger->attach_mutex);
    for (int i = 0; i < tries; i++) {
        ret = quota_ledger_lock(ledger, QUOTA_ATTACH_LOCK, F_OFD_SETLK,
                                F_WRLCK);
        if (ret != -EAGAIN && ret != -EACCES) {
            break;
        }
        ret = -EBUSY;
        nanosleep(&pause, NULL);
    }
    if (ret < 0) {
        pthread_mutex_unlock(&ledger->attach_mutex);
        return ret;
    }
    return 0;
}

void quota_attach_unlock(struct quota_ledger *ledger)
{
    quota_ledger_lock(ledger, QUOTA_ATTACH_LOCK, F_OFD_SETLK, F_UNLCK);
    pthread_mutex_unlock(&ledger->attach_mutex);
}

/* ---- the process's own lock, and its threads' lanes ----------------------- */

_Thread_local unsigned quota_thread_number;

unsigned quota_thread_number_take(void)
{
    static _Atomic(unsigned) threads;

    quota_thread_number = atomic_fetch_add(&threads, 1) + 1;
    return quota_thread_number;
}

/*
 * A pthread mutex would cost a second locked instruction to release, and what
 * is done under it takes less time than to put a thread to sleep.
 */
void quota_writer_lock(struct quota_writer *writer)
{
    for (int spins = 0; atomic_flag_test_and_set_explicit(
             &writer->lock, memory_order_acquire); spins++) {
        if (spins >= 100) {
            sched_yield();
        }
    }
}

void quota_writer_unlock(struct quota_writer *writer)
{
    atomic_flag_clear_explicit(&writer->lock, memory_order_release);
}

/* ---- audit --------------------------------------------------------------- */

/*
 * Put a slot whose owner is dead in order; the caller holds its lock and so
 * acts in the dead one's name.  The kernel ends a process's I/O before it drops
 * its files, so all that was in flight is in the next sample.
 *
 * Each step can be repeated by the next auditor when this one is killed, and
 * until the last one the slot only counts too much:
 * 1. [correct] A reservation, or a return, stands in the volume's register and
 *    not in the tenant's: take it out again.
 * 2. [recall] What was leased and not spent is nobody's.
 * 3. [settle] All that was reserved is settled, or was taken back.
 * 4. [free] The slot is free.
 */
static int audit(struct quota_ledger *ledger, unsigned index)
{
    struct quota_writer_words *words = quota_writer_at(ledger, index);
    struct quota_mover mover;
    int ret = quota_mover_init(&mover, ledger, index);

    if (ret < 0) {
        return ret;
    }
    if (mover.own_bytes[QUOTA_OF_VOLUME] != mover.own_bytes[QUOTA_OF_TENANT]) {
        ret = quota_register_add(&mover, QUOTA_OF_VOLUME,
                                 mover.own_bytes[QUOTA_OF_TENANT] -
                                 mover.own_bytes[QUOTA_OF_VOLUME],
                                 AUDIT_TRIES);
        if (ret < 0) {
            return ret;
        }
    }
    quota_store(&words->settled_bytes, mover.own_bytes[QUOTA_OF_TENANT] -
                quota_lease_recall(words));
    for (int i = 0; i < QUOTA_LANES; i++) {
        quota_store(&words->lanes[i].paid_in_flight, 0);
    }
    quota_store(&words->owner, 0);
    return 0;
}

int quota_writer_audit(struct quota_ledger *ledger)
{
    unsigned end = quota_volumes_count(ledger) * QUOTA_VOLUME_WRITERS;
    int dead = 0;

    for (unsigned i = 0; i < end && ledger->fd >= 0; i++) {
        struct quota_writer_words *words = quota_writer_at(ledger, i);
        int64_t byte = QUOTA_LOCK_BASE + i;
        int ret;

        if (quota_load(&words->owner) == 0) {
            continue;
        }
        ret = quota_ledger_lock(ledger, byte, F_OFD_SETLK, F_WRLCK);
        if (ret == -EAGAIN || ret == -EACCES) {
            continue;               /* alive */
        }
        if (ret < 0) {
            return ret;
        }
        /* It may have detached since, and its slot is free. */
        if (quota_load(&words->owner) != 0 && audit(ledger, i) == 0) {
            dead++;
        }
        quota_ledger_lock(ledger, byte, F_OFD_SETLK, F_UNLCK);
    }
    if (ledger->fd >= 0) {
        quota_volume_tidy(ledger);
    }
    return dead;
}

unsigned quota_writer_count(const struct quota_ledger *ledger)
{
    unsigned end = quota_volumes_count(ledger) * QUOTA_VOLUME_WRITERS;
    unsigned count = 0;

    for (unsigned i = 0; i < end; i++) {
        count += quota_load(&quota_writer_at(ledger, i)->owner) != 0;
    }
    return count;
}

/* ---- attach and detach --------------------------------------------------- */

/* Take a free slot of a volume; the attach lock is held. */
static int take_slot(struct quota_ledger *ledger, unsigned volume)
{
    for (unsigned i = volume * QUOTA_VOLUME_WRITERS;
         i < (volume + 1) * QUOTA_VOLUME_WRITERS; i++) {
        struct quota_writer_words *words = quota_writer_at(ledger, i);
        uint64_t owner = quota_load(&words->owner);
        int64_t byte = QUOTA_LOCK_BASE + i;

        /* Look before locking: if the owner shares our file description, the
         * lock would succeed, and giving it up would drop the owner's. */
        if (owner == (uint64_t)getpid() || (owner != 0 && ledger->fd < 0) ||
            quota_ledger_lock(ledger, byte, F_OFD_SETLK, F_WRLCK) < 0) {
            continue;
        }
        if (quota_load(&words->owner) != 0 && audit(ledger, i) < 0) {
            quota_ledger_lock(ledger, byte, F_OFD_SETLK, F_UNLCK);
            continue;
        }
        return i;
    }
    return -EUSERS;
}

static int attach(struct quota_ledger *ledger, const char *volume,
                  struct quota_mover *mover)
{
    int slot = quota_volume_claim(ledger, volume);
    int ret;

    if (slot < 0) {
        return slot;
    }
    slot = take_slot(ledger, slot);
    if (slot < 0) {
        return slot;
    }
    ret = quota_mover_init(mover, ledger, slot);
    if (ret < 0) {
        quota_ledger_lock(ledger, QUOTA_LOCK_BASE + slot, F_OFD_SETLK, F_UNLCK);
        return ret;
    }
    quota_store(&quota_writer_at(ledger, slot)->owner, (uint64_t)getpid());
    return 0;
}

int quota_writer_attach(struct quota_ledger *ledger, const char *volume,
                        struct quota_writer **writer)
{
    struct quota_writer *w = aligned_alloc(_Alignof(struct quota_writer),
                                           sizeof(*w));
    int ret;

    *writer = NULL;
    if (!w) {
        return -ENOMEM;
    }
    memset(w, 0, sizeof(*w));
    ret = quota_attach_lock(ledger, QUOTA_ATTACH_TRIES);
    if (ret == 0) {
        ret = attach(ledger, volume, &w->mover);
        quota_attach_unlock(ledger);
    }
    if (ret < 0) {
        free(w);
        return ret;
    }
    w->ledger = ledger;
    w->volume = quota_volume_at(ledger, w->mover.index);
    w->words = quota_writer_at(ledger, w->mover.index);
    atomic_flag_clear(&w->lock);
    w->end = &w->first;
    w->head.any_armed = (const uint32_t *)&ledger->file->policy.any_armed;
    *writer = w;
    return 0;
}

void quota_writer_detach(struct quota_writer *writer)
{
    if (!writer) {
        return;
    }
    quota_lease_recall(writer->words);
    /* The owner goes before the lock: a slot with an owner and no lock is a
     * dead one, and this one is not. */
    quota_store(&writer->words->owner, 0);
    quota_ledger_lock(writer->ledger, QUOTA_LOCK_BASE + writer->mover.index,
                      F_OFD_SETLK, F_UNLCK);
    free(writer);
}
