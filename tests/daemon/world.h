/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * world.h: LVM, kernel, ledger and clock of one tenant, simulated, around decide().
 * A test includes it once.
 */
#ifndef TEST_DAEMON_WORLD_H
#define TEST_DAEMON_WORLD_H

#include <glib.h>
#include <string.h>

#include "decide.h"

#define MIB (UINT64_C(1) << 20)
#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)
#define EXTENT (4 * MIB)
#define STEP (64 * MIB)

struct world {
    struct decide_state state;
    uint64_t now_ns;
    struct decide_action last;  /* after DECIDE_ANSWERED */

    struct quota_state policy;  /* what LVM and the ledger say */
    uint64_t used_bytes;
    uint64_t pool;              /* that LVM has */
    bool is_active;             /* and the kernel knows the one that we know */
    bool is_lvm_dead;
    bool is_thread_missing;

    uint64_t demand_bytes;      /* in the ledger */
    uint64_t waits_bytes;       /* a writer waits for these, and asks for them again
                                   when there is an answer and still no room */
    bool is_ledger_current;
    bool is_ledger_spoilt;

    bool is_growing;
    bool has_grown;
    enum growth_outcome outcome;
    uint64_t began_ns;

    GString *said;
};

static inline void G_GNUC_PRINTF(2, 3)
say(struct world *world, const char *format, ...)
{
    va_list args;

    if (world->said->len &&
        !g_str_has_suffix(world->said->str, ", "))
        g_string_append_c(world->said, ' ');
    va_start(args, format);
    g_string_append_vprintf(world->said, format, args);
    va_end(args);
}

static inline struct decide_action
tell(struct world *world, struct decide_input input)
{
    input.may_lock = true;
    return decide(&world->state, &input, world->now_ns);
}

static inline uint64_t
take_demand(struct world *world)
{
    uint64_t demand = world->demand_bytes;

    world->demand_bytes = 0;
    return demand;
}

/* True: LVM has to be read again. */
static inline bool
collect(struct world *world)
{
    world->is_growing = false;
    world->has_grown = false;
    return tell(world, (struct decide_input) {
        .event = DECIDE_GROWN,
        .outcome = world->outcome,
        .began_ns = world->began_ns,
        .took_ns = world->now_ns - world->began_ns,
    }).reread;
}

static inline void
reread(struct world *world)
{
    say(world, "reread");
    if (world->is_growing)
        collect(world);
    if (world->is_lvm_dead) {
        say(world, "in-vain");
        return;
    }
    tell(world, (struct decide_input) {
        .event = DECIDE_READ,
        .pool = world->pool,
        .demand_bytes = take_demand(world),
    });
    if (!world->is_ledger_current || world->is_ledger_spoilt) {
        world->is_ledger_current = true;
        world->is_ledger_spoilt = false;
        world->waits_bytes = 0; /* writers of the old ledger fail closed */
        world->demand_bytes = 0;
        tell(world, (struct decide_input) { .event = DECIDE_RENEWED });
    }
}

static inline void
doubt(struct world *world, enum decide_event event)
{
    if (tell(world, (struct decide_input) { .event = event }).reread)
        reread(world);
    else
        say(world, "later");
}

/* What sampler_run does, in words:
 *   room, wait      the answer: there is room, or some is being made
 *   limit, full     writes are refused
 *   news, broken    and the log says so: for want of room, for LVM's failure
 *   ask, ahead      LVM is asked to grow the pool for a writer, or ahead of need
 *   reread, later   LVM is read again, or was a moment ago; in-vain: it cannot be
 */
static inline void
run(struct world *world)
{
    struct decide_input seen = {
        .event = DECIDE_SAMPLED,
        .policy = &world->policy,
        .extent_bytes = EXTENT,
        .has_pool = true,
    };
    struct decide_action action;

    if ((world->has_grown && collect(world)) || !world->is_ledger_current) {
        doubt(world, DECIDE_STALE);
        if (!world->is_ledger_current)
            return;
    }
    tell(world, (struct decide_input) {
        .event = DECIDE_ASKED,
        .demand_bytes = take_demand(world),
    });
    if (!world->is_active) {
        doubt(world, DECIDE_INACTIVE);
        return;
    }

    seen.used_bytes = world->used_bytes;
    action = tell(world, seen);
    if (world->is_ledger_spoilt) {
        doubt(world, DECIDE_SPOILT);
        return;
    }
    if (action.reason != QUOTA_REASON_NONE) {
        say(world, action.reason == QUOTA_REASON_TENANT_LIMIT ? "limit" : "full");
        world->waits_bytes = 0;
    } else {
        say(world, world->state.is_held ? "wait" : "room");
        if (world->policy.grant_bytes - world->used_bytes >= world->waits_bytes)
            world->waits_bytes = 0;
    }
    world->demand_bytes = world->waits_bytes;

    seen.event = DECIDE_ANSWERED;
    action = tell(world, seen);
    if (action.say != QUOTA_REASON_NONE)
        say(world, action.is_failing ? "broken" : "news");
    if (action.grow) {
        say(world, action.need.demand_bytes ? "ask" : "ahead");
        if (world->is_thread_missing) {
            tell(world, (struct decide_input) { .event = DECIDE_NOT_BEGUN });
        } else {
            world->is_growing = true;
            world->began_ns = world->now_ns;
        }
    }
    world->last = action;
}

static inline void
run_after(struct world *world, uint64_t past_ns)
{
    world->now_ns += past_ns;
    run(world);
}

static inline void
ends(struct world *world, enum growth_outcome outcome)
{
    g_assert_true(world->is_growing);
    world->has_grown = true;
    world->outcome = outcome;
}

/* A writer needs 1 MiB more than there is. */
static inline void
asks(struct world *world)
{
    world->waits_bytes = world->policy.grant_bytes - world->used_bytes + MIB;
    world->demand_bytes = world->waits_bytes;
}

static inline void
begin(struct world *world)
{
    *world = (struct world) {
        .now_ns = 1000 * SECOND,
        .policy.limits.limit_bytes = 1024 * MIB,
        .policy.limits.step_bytes = STEP,
        .policy.grant_bytes = 2 * STEP,
        .policy.group_free_bytes = 4096 * MIB,
        .used_bytes = 32 * MIB,
        .pool = 1,
        .is_active = true,
        .is_ledger_current = true,
        .outcome = GROWTH_NOT_NEEDED,
        .said = world->said,
    };
    tell(world, (struct decide_input) { .event = DECIDE_READ, .pool = 1 });
}

static inline void
remake_group(struct world *world)
{
    world->pool++;
    world->is_active = false;
    world->is_lvm_dead = false;
    world->policy.limits.limit_bytes = 1024 * MIB;
    world->policy.grant_bytes = STEP;
    world->policy.group_free_bytes = 4096 * MIB;
    world->used_bytes = 0;
    /* the writer that asked for it is gone */
    world->waits_bytes = 0;
    world->demand_bytes = 256 * MIB;
    world->outcome = GROWTH_REPLACED;
}

/* ---- states -------------------------------------------------------------- */

enum {
    NEW,                        /* not sampled yet */
    QUIET,                      /* room enough, nobody waits */
    AHEAD,                      /* the pool grows ahead of need */
    WAITING,                    /* it grows for a writer */
    ASKING,                     /* the group seems full: LVM is asked */
    LIMIT,                      /* the limit is reached, a writer was refused */
    FULL,                       /* the group is full, a writer was refused */
    HELD,                       /* and another waits until LVM may be asked again */
    SHORT,                      /* the group had not what it seemed to have */
    FAILED,                     /* LVM failed once; a writer waits */
    RETRYING,                   /* and is asked again */
    BROKEN,                     /* it failed three times, a writer was refused */
    BUSY,                       /* another host has LVM's lock; a writer waits */
    LOCKED,                     /* it has had it for minutes, a writer was refused */
    UNREAD,                     /* the pool is inactive, LVM cannot be read */
    STATES
};

static inline void
make_state(struct world *world, unsigned state)
{
    begin(world);
    if (state == NEW)
        return;
    run(world);
    if (state == QUIET)
        return;
    if (state == UNREAD) {
        world->is_active = false;
        world->is_lvm_dead = true;
        run_after(world, 10 * SECOND);
        return;
    }

    world->used_bytes = (state == AHEAD ? 120 : 128) * MIB;
    if (state != AHEAD)
        asks(world);
    if (state == ASKING || state == FULL || state == HELD)
        world->policy.group_free_bytes = 0;
    if (state == LIMIT)
        world->policy.limits.limit_bytes = 2 * STEP;
    run_after(world, 10 * SECOND);
    if (state == AHEAD || state == WAITING || state == ASKING || state == LIMIT)
        return;

    ends(world, state == FULL || state == HELD ? GROWTH_NOT_NEEDED
         : state == SHORT ? GROWTH_SHORT
         : state == BUSY || state == LOCKED ? GROWTH_BUSY : GROWTH_FAILED);
    run_after(world, 100 * MS);
    if (state == HELD) {
        asks(world);
        run_after(world, MS);
    } else if (state == RETRYING || state == BROKEN) {
        run_after(world, 300 * MS);
    } else if (state == LOCKED) {
        run_after(world, 200 * SECOND);
    }
    if (state == BROKEN) {
        ends(world, GROWTH_FAILED);
        run_after(world, 100 * MS);
        run_after(world, 600 * MS);
        ends(world, GROWTH_FAILED);
        run_after(world, 100 * MS);
    } else if (state == LOCKED) {
        ends(world, GROWTH_BUSY);
        run_after(world, 100 * MS);
    }
}

#endif
