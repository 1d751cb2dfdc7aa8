/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * account.c: admission of writes that may allocate.
 *
 *   used = thick + sampled + (reserved - settled_at_sample)
 *
 * One compare-and-swap on the register of reserved bytes admits (register.c).
 * Whatever else is read before that swap may be old by then, and each word is
 * read in the order in which being old makes the sum larger, never smaller.
 *
 * A volume's bytes are reserved before its tenant's and returned after them,
 * so whatever instant a writer dies, the volume's sum is the larger.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ledger-layout.h"

/* A thread that waits for an answer looks at its patience this often. */
#define ANSWER_LOOK_NS 10000000

/*
 * settled_at_sample before sampled_bytes, as the sampler stores them the other
 * way round: an old settled_at_sample beside a newer sample counts a write
 * twice, a new one beside an older sample would lose it.  The register last:
 * read first, it could be behind settled_at_sample.
 */
static int take_sums(const struct quota_ledger *ledger,
                     const struct quota_sampled *sample, unsigned volume,
                     enum quota_scope scope, struct quota_reading *reading)
{
    uint64_t settled_at_sample = quota_load(&sample->settled_at_sample);
    int ret;

    reading->sampled_bytes = quota_load(&sample->sampled_bytes);
    ret = quota_register_read(ledger, volume, scope, &reading->reserved);
    if (ret < 0 || settled_at_sample > reading->reserved.bytes) {
        reading->sampled_bytes = 0;
        reading->unsampled_bytes = 0;
        return -EUCLEAN;
    }
    reading->unsampled_bytes = reading->reserved.bytes - settled_at_sample;
    if (reading->sampled_bytes == QUOTA_UNSAMPLED) {
        reading->sampled_bytes = 0;
        return reading->unsampled_bytes > INT64_MAX ? -EUCLEAN : -EAGAIN;
    }
    return reading->sampled_bytes > INT64_MAX ||
           reading->unsampled_bytes > INT64_MAX ? -EUCLEAN : 0;
}

static void set_room(struct quota_reading *reading, uint64_t limit_bytes)
{
    if (limit_bytes > reading->sampled_bytes) {
        reading->settled_room_bytes = limit_bytes - reading->sampled_bytes;
    }
    if (reading->settled_room_bytes > reading->unsampled_bytes) {
        reading->room_bytes = reading->settled_room_bytes -
                              reading->unsampled_bytes;
    }
}

int quota_reading_take(const struct quota_ledger *ledger,
                       struct quota_reading *reading)
{
    const struct quota_ledger_file *file = ledger->file;
    uint64_t thin_limit;
    int ret;

    reading->room_bytes = 0;
    reading->settled_room_bytes = 0;
    reading->limit_bytes = quota_load(&file->policy.limit_bytes);
    reading->thick_bytes = quota_load(&file->policy.thick_bytes);
    reading->grant_bytes = quota_load(&file->policy.grant_bytes);
    ret = take_sums(ledger, &file->sample, 0, QUOTA_OF_TENANT, reading);
    if (ret < 0) {
        return ret;
    }
    thin_limit = reading->limit_bytes > reading->thick_bytes ?
                 reading->limit_bytes - reading->thick_bytes : 0;
    set_room(reading, thin_limit < reading->grant_bytes ? thin_limit
                                                        : reading->grant_bytes);
    return 0;
}

int quota_reading_take_volume(const struct quota_ledger *ledger,
                              unsigned volume, struct quota_reading *reading)
{
    const struct quota_volume *v = &ledger->file->volumes[volume];
    int ret;

    reading->room_bytes = 0;
    reading->settled_room_bytes = 0;
    reading->thick_bytes = 0;
    reading->grant_bytes = 0;
    reading->limit_bytes = quota_load(&v->limit_bytes);
    ret = take_sums(ledger, &v->sample, volume, QUOTA_OF_VOLUME, reading);
    if (reading->limit_bytes == 0 && ret != -EUCLEAN) {
        /* Nothing to be measured against, so no sample is needed. */
        reading->room_bytes = INT64_MAX;
        reading->settled_room_bytes = INT64_MAX;
        return ret;
    }
    if (ret == 0) {
        set_room(reading, reading->limit_bytes);
    }
    return ret;
}

static int take(const struct quota_mover *mover, enum quota_scope scope,
                struct quota_reading *reading)
{
    return scope == QUOTA_OF_TENANT
           ? quota_reading_take(mover->ledger, reading)
           : quota_reading_take_volume(mover->ledger, mover->index /
                                       QUOTA_VOLUME_WRITERS, reading);
}

/* -ENOSPC: there is no room. */
static int reserve(struct quota_mover *mover, enum quota_scope scope,
                   uint64_t bytes)
{
    struct quota_reading reading;

    do {
        int ret = take(mover, scope, &reading);

        if (ret == -EUCLEAN) {
            return ret;
        }
        if (bytes > reading.room_bytes) {
            return -ENOSPC;
        }
    } while (!quota_register_move(mover, scope, &reading.reserved, bytes));
    return 0;
}

/* Take out what was reserved.  Fails only on a spoilt register, which admits
 * nothing any more. */
static int give_back(struct quota_mover *mover, enum quota_scope scope,
                     uint64_t bytes)
{
    return quota_register_add(mover, scope, -bytes, QUOTA_TRIES_ENDLESS);
}

/* *scope: whose room is short, after -ENOSPC. */
static int reserve_both(struct quota_writer *writer, uint64_t bytes,
                        enum quota_scope *scope)
{
    int ret;

    *scope = QUOTA_OF_VOLUME;
    ret = reserve(&writer->mover, QUOTA_OF_VOLUME, bytes);
    if (ret == 0) {
        *scope = QUOTA_OF_TENANT;
        ret = reserve(&writer->mover, QUOTA_OF_TENANT, bytes);
        if (ret < 0) {
            give_back(&writer->mover, QUOTA_OF_VOLUME, bytes);
        }
    }
    return ret;
}

/* ---- leases -------------------------------------------------------------- */

/*
 * Where there is plenty of room, a writer reserves more than one write needs,
 * and spends the rest on the next ones, in a word that nobody else writes: so
 * writers of one tenant meet at its register once in LEASE_WRITES writes.
 * What is not spent counts as reserved; each sample takes it back (a store to
 * that same word) before the kernel is asked, so no answer to a refused write
 * depends on it.
 */
#define LEASE_WRITES 32
#define LEASE_BYTES_MAX (UINT64_C(64) << 20)
/* Plenty: so many times a lease. */
#define LEASE_ROOM 128

/* [spend] */
static bool spend(struct quota_writer_words *words, uint64_t bytes)
{
    uint64_t units = bytes / QUOTA_LEASE_UNIT_BYTES;
    uint64_t lease = quota_load(&words->lease);

    if (bytes % QUOTA_LEASE_UNIT_BYTES) {
        return false;
    }
    do {
        /* No writer has more than it takes at once and less than what was too
         * little for a write. */
        if (units > QUOTA_LEASE_UNITS(lease) || QUOTA_LEASE_UNITS(lease) >
            2 * LEASE_BYTES_MAX / QUOTA_LEASE_UNIT_BYTES) {
            return false;
        }
    } while (!quota_swap_if(&words->lease, &lease, lease - units));
    return true;
}

/* [recall] */
uint64_t quota_lease_recall(struct quota_writer_words *words)
{
    uint64_t lease = quota_load(&words->lease);
    uint64_t recalled;

    do {
        uint64_t units = QUOTA_LEASE_UNITS(lease);

        recalled = lease - units + (units << QUOTA_LEASE_BITS);
    } while (recalled != lease &&
             !quota_swap_if(&words->lease, &lease, recalled));
    return QUOTA_LEASE_RECALLED_BYTES(recalled);
}

/* How much to reserve on top of a write. */
static uint64_t lease_bytes(const struct quota_writer *writer, uint64_t bytes)
{
    uint64_t lease = LEASE_WRITES * bytes;
    struct quota_reading reading;

    if (bytes % QUOTA_LEASE_UNIT_BYTES ||
        bytes > LEASE_BYTES_MAX / LEASE_WRITES ||
        QUOTA_LEASE_RECALLED_BYTES(quota_load(&writer->words->lease)) >
        QUOTA_LEASE_RECALLED_MAX_BYTES) {
        return 0;
    }
    for (int scope = 0; scope < QUOTA_SCOPES; scope++) {
        if (take(&writer->mover, scope, &reading) == -EUCLEAN ||
            reading.room_bytes < LEASE_ROOM * lease) {
            return 0;
        }
    }
    return lease;
}

/* Reserve for a write and, if there is room enough, for those that follow. */
static int reserve_more(struct quota_writer *writer, uint64_t bytes,
                        enum quota_scope *scope)
{
    uint64_t lease;
    int ret;

    *scope = QUOTA_OF_TENANT;
    if (spend(writer->words, bytes)) {
        return 0;
    }
    quota_writer_lock(writer);
    if (spend(writer->words, bytes)) {      /* another thread's lease */
        quota_writer_unlock(writer);
        return 0;
    }
    lease = lease_bytes(writer, bytes);
    ret = reserve_both(writer, bytes + lease, scope);
    if (ret == 0 && lease) {
        /* [lease] */
        quota_add(&writer->words->lease, lease / QUOTA_LEASE_UNIT_BYTES);
    } else if (ret == -ENOSPC && lease) {
        ret = reserve_both(writer, bytes, scope);
    }
    quota_writer_unlock(writer);
    return ret;
}

int quota_bytes_reserve(struct quota_writer *writer, uint64_t bytes)
{
    enum quota_scope scope;

    return reserve_more(writer, bytes, &scope);
}

void quota_bytes_settle(struct quota_writer *writer, uint64_t bytes)
{
    /* One store for the tenant and the volume: samples add up the writers'
     * words, so that nothing can be half settled. */
    quota_add(&writer->words->settled_bytes, bytes);
}

void quota_bytes_return(struct quota_writer *writer, uint64_t bytes)
{
    quota_writer_lock(writer);
    give_back(&writer->mover, QUOTA_OF_TENANT, bytes);
    give_back(&writer->mover, QUOTA_OF_VOLUME, bytes);
    quota_writer_unlock(writer);
}

static int refuse(struct quota_admission *admission, enum quota_reason reason,
                  int error)
{
    admission->reason = reason;
    admission->is_waiting = false;
    return error;
}

void quota_refusal_count(struct quota_writer *writer)
{
    quota_add(&writer->ledger->file->counters.refused_total, 1);
}

/*
 * [may fit] Whether only what is in flight, or was settled while the sample was
 * taken, stands in the way.  Part of it may turn out to have needed nothing, or
 * to be inside the sample already: a refusal now would be one too many.  So would it
 * be by the limit of a volume that is not in the sample.
 */
static bool may_fit_later(const struct quota_mover *mover,
                          enum quota_scope scope, uint64_t bytes,
                          uint32_t *reason)
{
    struct quota_reading reading;
    int ret = take(mover, scope, &reading);

    if (ret == -EAGAIN) {
        *reason = QUOTA_REASON_ACCOUNTING_LOST;
    }
    return ret == -EAGAIN ||
           (ret == 0 && bytes <= reading.settled_room_bytes);
}

int quota_admission_poll(struct quota_writer *writer, uint64_t bytes,
                         uint64_t now_ns, uint64_t patience_ns,
                         struct quota_admission *admission)
{
    struct quota_ledger_file *file = writer->ledger->file;
    bool is_answered = false;
    uint32_t reason = QUOTA_REASON_NONE;
    enum quota_scope scope;
    int ret;

    /* [answered] The answer is read before the attempt that it may make
     * final: the attempt then uses that sample or a newer one. */
    if (admission->is_waiting) {
        uint32_t answered = quota_load(&file->sample.answered);

        reason = quota_load(&file->sample.reason);
        is_answered = (int32_t)(answered - admission->ticket) >= 0;
    }
    ret = reserve_more(writer, bytes, &scope);
    if (ret == 0) {
        admission->is_waiting = false;
        admission->reason = QUOTA_REASON_NONE;
        return 0;
    }
    if (ret == -EUCLEAN) {
        return refuse(admission, QUOTA_REASON_ACCOUNTING_LOST, ret);
    }
    if (scope == QUOTA_OF_VOLUME) {
        reason = QUOTA_REASON_VOLUME_LIMIT;     /* no room is being made */
    }
    if (is_answered && reason != QUOTA_REASON_NONE &&
        (!may_fit_later(&writer->mover, scope, bytes, &reason) ||
         now_ns - admission->begin_ns >= patience_ns)) {
        if (reason >= QUOTA_REASON_MAX) {
            reason = QUOTA_REASON_ACCOUNTING_LOST;
        }
        return refuse(admission, reason, -ENOSPC);
    }
    if (!admission->is_waiting) {
        admission->begin_ns = now_ns;
    }
    if (!admission->is_waiting || is_answered) {
        if (scope == QUOTA_OF_TENANT) {
            quota_raise(&file->counters.demand_bytes, bytes);
        }
        /* [ring] */
        admission->ticket = quota_doorbell_ring(writer->ledger);
        admission->is_waiting = true;
        admission->since_ns = now_ns;
        return -EAGAIN;
    }
    if (now_ns - admission->since_ns >= patience_ns) {
        return refuse(admission, QUOTA_REASON_ACCOUNTING_LOST, -ENOSPC);
    }
    return -EAGAIN;
}

int quota_admission_wait(struct quota_writer *writer, uint64_t bytes,
                         uint64_t patience_ns, enum quota_reason *reason)
{
    quota_u32 *answered = &writer->ledger->file->sample.answered;
    struct quota_admission admission = { 0 };
    int ret;

    for (;;) {
        uint32_t seen = quota_load(answered);
        const struct timespec look = { .tv_nsec = ANSWER_LOOK_NS };

        ret = quota_admission_poll(writer, bytes, quota_clock_ns(),
                                   patience_ns, &admission);
        if (ret != -EAGAIN) {
            if (ret < 0) {
                quota_refusal_count(writer);
            }
            *reason = admission.reason;
            return ret;
        }
        syscall(SYS_futex, answered, FUTEX_WAIT, seen, &look, NULL, 0);
    }
}
