/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * account.c: admission of writes that may allocate.
 *
 *   used = thick + sampled + (reserved - settled_at_sample)
 *
 * reserved_bytes only grows, and one compare-and-swap on it admits.  Whatever
 * else is read before that swap may be old by then, and each word is read in
 * the order in which being old makes the sum larger, never smaller.
 */
#include <errno.h>

#include "ledger-layout.h"

int quota_reading_take(const struct quota_ledger *ledger,
                       struct quota_reading *reading)
{
    const struct quota_ledger_file *file = ledger->file;
    uint64_t settled_at_sample, sampled, thin_limit;
    int ret = 0;

    /*
     * settled_at_sample before sampled_bytes, as the sampler stores them the
     * other way round: an old settled_at_sample beside a newer sample counts
     * a write twice, a new one beside an older sample would lose it.
     * reserved_bytes last: read first, it could be behind settled_at_sample.
     */
    settled_at_sample = quota_load(&file->sample.settled_at_sample);
    sampled = quota_load(&file->sample.sampled_bytes);
    reading->limit_bytes = quota_load(&file->policy.limit_bytes);
    reading->thick_bytes = quota_load(&file->policy.thick_bytes);
    reading->grant_bytes = quota_load(&file->policy.grant_bytes);
    reading->reserved_bytes = quota_load(&file->counters.reserved_bytes);

    reading->unsampled_bytes = reading->reserved_bytes - settled_at_sample;
    reading->room_bytes = 0;
    reading->settled_room_bytes = 0;
    if (sampled == QUOTA_UNSAMPLED) {
        sampled = 0;
        ret = -EAGAIN;
    }
    reading->sampled_bytes = sampled;
    if (settled_at_sample > reading->reserved_bytes) {
        reading->unsampled_bytes = 0;
        return -EUCLEAN;
    }
    if (sampled > INT64_MAX || reading->unsampled_bytes > INT64_MAX) {
        return -EUCLEAN;
    }
    if (ret < 0) {
        return ret;
    }
    thin_limit = reading->limit_bytes > reading->thick_bytes ?
                 reading->limit_bytes - reading->thick_bytes : 0;
    if (thin_limit > reading->grant_bytes) {
        thin_limit = reading->grant_bytes;
    }
    if (thin_limit > sampled) {
        reading->settled_room_bytes = thin_limit - sampled;
    }
    if (reading->settled_room_bytes > reading->unsampled_bytes) {
        reading->room_bytes = reading->settled_room_bytes -
                              reading->unsampled_bytes;
    }
    return 0;
}

int quota_bytes_reserve(struct quota_ledger *ledger, int slot, uint64_t bytes)
{
    struct quota_ledger_file *file = ledger->file;
    struct quota_reading reading;

    do {
        int ret = quota_reading_take(ledger, &reading);

        if (ret == -EUCLEAN) {
            return ret;
        }
        if (ret < 0 || bytes > reading.room_bytes) {
            return -ENOSPC;
        }
    } while (!quota_swap_if(&file->counters.reserved_bytes,
                            &reading.reserved_bytes,
                            reading.reserved_bytes + bytes));
    /* The tenant's word first: killed before the slot knows of them, these
     * bytes stay counted (slot.c); the other way round an audit could settle
     * what was never reserved. */
    quota_add(&file->slots[slot].in_flight_bytes, bytes);
    return 0;
}

void quota_bytes_settle(struct quota_ledger *ledger, int slot, uint64_t bytes)
{
    struct quota_ledger_file *file = ledger->file;

    /* The slot first, for the same reason. */
    quota_add(&file->slots[slot].in_flight_bytes, -bytes);
    quota_add(&file->counters.settled_bytes, bytes);
}

static void raise_demand(quota_u64 *demand, uint64_t bytes)
{
    uint64_t now = quota_load(demand);

    while (now < bytes && !quota_swap_if(demand, &now, bytes)) {
        /* now was reloaded */
    }
}

static int refuse(struct quota_ledger *ledger,
                  struct quota_admission *admission,
                  enum quota_reason reason, int error)
{
    admission->reason = reason;
    admission->is_waiting = false;
    quota_add(&ledger->file->counters.refused_total, 1);
    return error;
}

/*
 * Whether only what is in flight, or was settled while the sample was taken,
 * stands in the way.  Part of it may turn out to have needed nothing, or to be
 * inside the sample already: a refusal now would be one too many.
 */
static bool may_fit_when_settled(const struct quota_ledger *ledger,
                                 uint64_t bytes)
{
    struct quota_reading reading;

    return quota_reading_take(ledger, &reading) == 0 &&
           bytes <= reading.settled_room_bytes;
}

int quota_admission_poll(struct quota_ledger *ledger, int slot, uint64_t bytes,
                         uint64_t now_ns, uint64_t patience_ns,
                         struct quota_admission *admission)
{
    struct quota_ledger_file *file = ledger->file;
    bool is_answered = false;
    uint32_t reason = QUOTA_REASON_NONE;
    int ret;

    /* The answer is read before the attempt that it may make final: the
     * attempt then uses that sample or a newer one. */
    if (admission->is_waiting) {
        uint32_t answered = quota_load(&file->sample.answered);

        reason = quota_load(&file->sample.reason);
        is_answered = (int32_t)(answered - admission->ticket) >= 0;
    }
    ret = quota_bytes_reserve(ledger, slot, bytes);
    if (ret == 0) {
        admission->is_waiting = false;
        admission->reason = QUOTA_REASON_NONE;
        return 0;
    }
    if (ret == -EUCLEAN) {
        return refuse(ledger, admission, QUOTA_REASON_ACCOUNTING_LOST, ret);
    }
    if (is_answered && reason != QUOTA_REASON_NONE &&
        (now_ns - admission->begin_ns >= patience_ns ||
         !may_fit_when_settled(ledger, bytes))) {
        if (reason >= QUOTA_REASON_MAX) {
            reason = QUOTA_REASON_ACCOUNTING_LOST;
        }
        return refuse(ledger, admission, reason, -ENOSPC);
    }
    if (!admission->is_waiting) {
        admission->begin_ns = now_ns;
    }
    if (!admission->is_waiting || is_answered) {
        raise_demand(&file->counters.demand_bytes, bytes);
        admission->ticket = quota_doorbell_ring(ledger);
        admission->is_waiting = true;
        admission->since_ns = now_ns;
        return -EAGAIN;
    }
    if (now_ns - admission->since_ns >= patience_ns) {
        return refuse(ledger, admission, QUOTA_REASON_ACCOUNTING_LOST, -ENOSPC);
    }
    return -EAGAIN;
}
