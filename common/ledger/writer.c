/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * writer.c: attaches and detaches writers, and audits the share of a killed
 * one.
 *
 * An open-file-description lock (fcntl(2), F_OFD_SETLK) on one byte per writer
 * tells whether the owner is alive: the kernel drops the lock with the last
 * copy of the descriptor, whichever process has it and however the owner ended.
 * A pid can be reused, a restarted sampler cannot find a pidfd again, and a
 * robust futex would make each owner's kernel thread write to the ledger.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lease.h"
#include "lock.h"
#include "volume.h"
#include "writer.h"

/* An auditor gives up after so many races with a volume's live writers. */
#define AUDIT_TRIES 1000
/* And after so much processor time for locks: the kernel looks through all that a file
 * has for each that is asked of it, and a tenant may have taken a million. */
#define AUDIT_LOCKS_NS UINT64_C(50000000)

/* ---- the process's own lock, and its threads' lanes ---------------------- */

_Thread_local unsigned quota_thread_number;

unsigned quota_thread_number_take(void)
{
    static _Atomic(unsigned) threads;

    quota_thread_number = atomic_fetch_add(&threads, 1) + 1;
    return quota_thread_number;
}

/*
 * A pthread mutex would need a second locked instruction to release, and the
 * lock is held for less time than it takes to put a thread to sleep.
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
 * Audit a slot whose owner is dead; the caller holds its lock and so acts for
 * the owner.  The kernel ends a process's I/O before it drops its files, so all
 * writes that were in flight are in the next sample.
 *
 * If this auditor is killed, the next one can repeat each step, and until the
 * last one the slot can only over-count:
 * 1. [correct] A reservation, or a return, took effect in the volume's register
 *    and not in the tenant's: undo it.
 * 2. [recall] Take back the unspent lease.
 * 3. [settle] Settle all other reserved bytes.
 * 4. [free] Free the slot.
 */
static int audit(struct quota_ledger *ledger, unsigned index)
{
    struct quota_writer_words *words = quota_writer_at(ledger, index);
    struct quota_adder adder;
    int ret = quota_adder_init(&adder, ledger, index);

    if (ret < 0) {
        return ret;
    }
    if (adder.own_bytes[QUOTA_OF_VOLUME] != adder.own_bytes[QUOTA_OF_TENANT]) {
        ret = quota_register_add(&adder, QUOTA_OF_VOLUME,
                                 adder.own_bytes[QUOTA_OF_TENANT] -
                                 adder.own_bytes[QUOTA_OF_VOLUME],
                                 AUDIT_TRIES);
        if (ret < 0) {
            return ret;
        }
    }
    quota_store(&words->settled_bytes, adder.own_bytes[QUOTA_OF_TENANT] -
                quota_lease_recall(words));
    for (int i = 0; i < QUOTA_LANES; i++) {
        quota_store(&words->lanes[i].charged_in_flight, 0);
    }
    quota_store(&words->owner, 0);
    return 0;
}

static uint64_t thread_cpu_ns(void)
{
    struct timespec worked;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &worked);
    return (uint64_t)worked.tv_sec * 1000000000 + worked.tv_nsec;
}

/* Take or drop the lock of a slot; adds what that took to @spent_ns. */
static int lock_slot(struct quota_ledger *ledger, unsigned index, short type,
                     uint64_t *spent_ns)
{
    uint64_t began_ns = thread_cpu_ns();
    int ret = quota_ledger_lock(ledger, QUOTA_LOCK_BASE + index, F_OFD_SETLK,
                                type);

    *spent_ns += thread_cpu_ns() - began_ns;
    return ret;
}

int quota_writer_audit(struct quota_ledger *ledger)
{
    unsigned end = quota_volumes_seen(ledger) * QUOTA_VOLUME_WRITERS;
    uint64_t spent_ns = 0;
    int dead = 0;

    for (unsigned i = 0; i < end && ledger->fd >= 0; i++) {
        struct quota_writer_words *words = quota_writer_at(ledger, i);
        int ret;

        if (quota_load(&words->owner) == 0) {
            continue;
        }
        if (spent_ns > AUDIT_LOCKS_NS) {
            return -ETIME;
        }
        /* [lock] A live owner holds it. */
        ret = lock_slot(ledger, i, F_WRLCK, &spent_ns);
        if (ret == -EAGAIN || ret == -EACCES) {
            continue;               /* alive */
        }
        if (ret < 0) {
            return ret;
        }
        /* The owner may have detached meanwhile and freed the slot. */
        if (quota_load(&words->owner) != 0 && audit(ledger, i) == 0) {
            dead++;
        }
        lock_slot(ledger, i, F_UNLCK, &spent_ns);
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

        /* Check before locking: if the owner shares our file description, the
         * lock would succeed, and unlocking would drop the owner's lock. */
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
                  struct quota_adder *adder)
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
    ret = quota_adder_init(adder, ledger, slot);
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
    ret = quota_attach_lock(ledger, QUOTA_ATTACH_NS);
    if (ret == 0) {
        ret = attach(ledger, volume, &w->adder);
        quota_attach_unlock(ledger);
    }
    if (ret < 0) {
        free(w);
        return ret;
    }
    w->ledger = ledger;
    w->volume = quota_volume_at(ledger, w->adder.index);
    w->words = quota_writer_at(ledger, w->adder.index);
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
    quota_ledger_lock(writer->ledger, QUOTA_LOCK_BASE + writer->adder.index,
                      F_OFD_SETLK, F_UNLCK);
    free(writer);
}
