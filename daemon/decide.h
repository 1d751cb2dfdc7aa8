/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * decide.h: what quota-lvmd does next about a tenant.
 *
 * The sampler reports what it saw, and does what decide() returns.  decide() is pure:
 * it reads no clock, LVM or ledger, and allocates nothing.  Times are CLOCK_MONOTONIC.
 */
#ifndef QLVM_DECIDE_H
#define QLVM_DECIDE_H

#include "growth.h"
#include "pace.h"

/* What was seen.  A run of the sampler sees some of these, in this order; each comment
 * lists the valid members of struct decide_input. */
enum decide_event {
    DECIDE_GROWN,               /* a growth has ended: outcome, began_ns,
                                   took_ns */
    DECIDE_STALE,               /* the ledger has lost its name, or LVM has another
                                   thin pool: may_lock */
    DECIDE_ASKED,               /* the ledger was read: demand_bytes */
    DECIDE_INACTIVE,            /* the kernel does not know the pool: may_lock */
    DECIDE_SAMPLED,             /* it does: policy, extent_bytes, has_pool,
                                   used_bytes */
    DECIDE_ANSWERED,            /* the answer is published: policy, extent_bytes,
                                   used_bytes with what is in flight */
    DECIDE_SPOILT,              /* the ledger contradicts itself: may_lock */
    DECIDE_READ,                /* LVM was read, at first or when told to: pool,
                                   demand_bytes */
    DECIDE_RENEWED,             /* the ledger is a new one now */
    DECIDE_NOT_BEGUN            /* the growth cannot be begun */
};

struct decide_input {
    enum decide_event event;
    const struct quota_state *policy;   /* what the ledger enforces */
    uint64_t extent_bytes;
    uint64_t used_bytes;        /* the thin pool's */
    uint64_t demand_bytes;      /* the largest request in the ledger; 0: none */
    uint64_t pool;              /* identifies the thin pool that LVM has, whatever its
                                   name; never 0 */
    uint64_t began_ns;
    uint64_t took_ns;           /* until it ended, not until we saw that */
    enum growth_outcome outcome;
    bool has_pool;              /* false: thick volumes only */
    bool may_lock;              /* the group; false while our creator has it */
};

/* What to do: zeroes, and wake_ns UINT64_MAX, for nothing. */
struct decide_action {
    bool reread;                /* LVM, then report DECIDE_READ if that succeeded */
    bool is_early;              /* STALE: LVM was just read: take no sample */
    enum quota_reason reason;   /* SAMPLED: the answer to publish */
    enum quota_reason say;      /* ANSWERED: a new refusal to log; NONE: there is
                                   none */
    bool is_failing;            /* say: LVM failed; it was not out of room */
    bool is_first;              /* GROWN: the first failure in a row */
    bool grow;                  /* ANSWERED: begin to, for this need */
    struct growth_need need;
    uint64_t wake_ns;           /* ANSWERED: run again after so long at most */
};

/*
 * What decide() remembers of a tenant.  Zeroes: nothing, and DECIDE_READ comes first.
 * The sampler may read is_held; all else is private.
 */
struct decide_state {
    uint64_t pool;              /* that the rest is about */
    uint64_t demand_bytes;      /* of writers that wait for an answer */
    struct pace pace;

    bool is_growing;
    bool is_short;              /* the last attempts gained nothing */
    unsigned attempts;          /* without growth, one after the other */
    unsigned failures;          /* of LVM's commands, likewise */
    uint64_t busy_since_ns;     /* another host has LVM's lock; 0: no other has */
    uint64_t retry_demand_ns;   /* no attempt before these */
    uint64_t retry_ahead_ns;

    bool is_verdict;            /* LVM was asked and had no room: waiting writers may
                                   be refused */
    bool is_held;               /* writers wait for us to ask LVM, or grow */
    bool is_dropped;            /* demand of an earlier pool was dropped: refuse
                                   nothing; writers that still wait ring again */
    bool is_asking;             /* from SAMPLED to ANSWERED: ask LVM */
    enum quota_reason reason;   /* likewise: the answer */
    enum quota_reason said;     /* logged last */

    uint64_t reread_ns;         /* LVM is not read before this */
    uint64_t reread_delay_ns;
};

/* decide: update @state with what was seen at @now_ns, and return what to do. */
struct decide_action decide(struct decide_state *state,
                            const struct decide_input *input, uint64_t now_ns);

#endif
