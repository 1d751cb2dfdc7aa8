/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * account.c: admission of writes that may allocate.
 *
 * One compare-and-swap on the register of reserved bytes admits a write
 * (register.c), if the register is still as it was when the room was read
 * (reading.c).
 *
 * A volume's bytes are reserved before its tenant's and returned after them, so
 * whenever a writer dies, the volume's sum is the larger one.
 */
#include <errno.h>

#include "clock.h"
#include "lease.h"
#include "reading.h"
#include "writer.h"

/* A thread that waits for an answer checks its deadline this often. */
#define ANSWER_POLL_NS 10000000

/* -ENOSPC: there is no room. */
static int reserve(struct quota_adder *adder, enum quota_scope scope,
                   uint64_t bytes)
{
    struct quota_reading reading;

    /* Looks count too, or a register that never stands still would have a thousand of
     * them for each try. */
    for (unsigned i = 0; i < QUOTA_TRIES; i += 1 + reading.reserved.retries) {
        int ret = quota_reading_take_for(adder, scope, &reading);

        if (ret == -EUCLEAN) {
            return ret;
        }
        if (bytes > reading.room_bytes) {
            return -ENOSPC;
        }
        if (quota_register_try_add(adder, scope, &reading.reserved, bytes)) {
            return 0;
        }
    }
    return -EUCLEAN;
}

/* Take back a reservation.  Fails only on a register that is corrupted, or is being
 * forged: then the bytes stay reserved. */
static int give_back(struct quota_adder *adder, enum quota_scope scope,
                     uint64_t bytes)
{
    return quota_register_add(adder, scope, -bytes, QUOTA_TRIES);
}

/* *scope: which of the two has no room, after -ENOSPC. */
static int reserve_both(struct quota_writer *writer, uint64_t bytes,
                        enum quota_scope *scope)
{
    int ret;

    *scope = QUOTA_OF_VOLUME;
    ret = reserve(&writer->adder, QUOTA_OF_VOLUME, bytes);
    if (ret == 0) {
        *scope = QUOTA_OF_TENANT;
        ret = reserve(&writer->adder, QUOTA_OF_TENANT, bytes);
        if (ret < 0) {
            give_back(&writer->adder, QUOTA_OF_VOLUME, bytes);
        }
    }
    return ret;
}

/* Reserve for a write and, if there is plenty of room, for the next ones. */
static int reserve_more(struct quota_writer *writer, uint64_t bytes,
                        enum quota_scope *scope)
{
    uint64_t lease;
    int ret;

    *scope = QUOTA_OF_TENANT;
    if (quota_lease_spend(writer->words, bytes)) {
        return 0;
    }
    quota_writer_lock(writer);
    if (quota_lease_spend(writer->words, bytes)) {  /* another thread's lease */
        quota_writer_unlock(writer);
        return 0;
    }
    lease = quota_lease_size(&writer->adder, bytes);
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
    /* One store settles for the tenant and the volume: samples add up the
     * writers' words. */
    quota_add(&writer->words->settled_bytes, bytes);
}

void quota_bytes_return(struct quota_writer *writer, uint64_t bytes)
{
    quota_writer_lock(writer);
    give_back(&writer->adder, QUOTA_OF_TENANT, bytes);
    give_back(&writer->adder, QUOTA_OF_VOLUME, bytes);
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
    quota_add(&writer->ledger->file->counters.refused_writes, 1);
}

/*
 * [may fit] Whether the write fits without the bytes that are in flight, or
 * were settled while the sample was taken.  Some of them may have needed no
 * space, or may be inside the sample already, so it is too early to refuse.
 * The same is true of the limit of a volume that was not sampled.
 */
static bool may_fit_later(const struct quota_adder *adder,
                          enum quota_scope scope, uint64_t bytes,
                          uint32_t *reason)
{
    struct quota_reading reading;
    int ret = quota_reading_take_for(adder, scope, &reading);

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

    /* [answered] Read the answer before the attempt that it may make final, so
     * that the attempt uses that sample or a newer one. */
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
        reason = QUOTA_REASON_VOLUME_LIMIT;     /* growth does not help */
    }
    if (is_answered && reason != QUOTA_REASON_NONE &&
        (!may_fit_later(&writer->adder, scope, bytes, &reason) ||
         now_ns - admission->begin_ns >= patience_ns)) {
        if (reason >= QUOTA_REASON_MAX) {
            reason = QUOTA_REASON_ACCOUNTING_LOST;
        }
        return refuse(admission, reason, -ENOSPC);
    }
    if (!admission->is_waiting) {
        admission->begin_ns = now_ns;
    }
    /* [until] By our own clock, whatever has been answered. */
    if (admission->until_ns && now_ns >= admission->until_ns) {
        return refuse(admission, QUOTA_REASON_ACCOUNTING_LOST, -ENOSPC);
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
                         uint64_t patience_ns, uint64_t most_ns,
                         enum quota_reason *reason)
{
    quota_u32 *answered = &writer->ledger->file->sample.answered;
    struct quota_admission admission = {
        .until_ns = quota_add_saturating(quota_clock_ns(), most_ns),
    };
    int ret;

    for (;;) {
        uint32_t seen = quota_load(answered);

        ret = quota_admission_poll(writer, bytes, quota_clock_ns(),
                                   patience_ns, &admission);
        if (ret != -EAGAIN) {
            if (ret < 0) {
                quota_refusal_count(writer);
            }
            *reason = admission.reason;
            return ret;
        }
        quota_word_wait(answered, seen, ANSWER_POLL_NS);
    }
}
