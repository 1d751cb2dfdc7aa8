/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * decide.c: see decide.h.
 *
 * Two actions have a cost for others and are therefore rate-limited here: asking LVM,
 * which takes the group's lock, and refusing a write, which pauses a guest.
 */
#include "decide.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_SEC (1000 * NS_PER_MS)

/* A pool that fills fast is sampled at most this often. */
#define DECIDE_WAKE_MIN_NS (20 * NS_PER_MS)
/* How soon LVM is asked again after it had no room or failed, doubled each time:
 * for a writer that waits, and for growth ahead of need. */
#define DECIDE_RETRY_NS (250 * NS_PER_MS)
#define DECIDE_RETRY_DEMAND_MAX_NS (2 * NS_PER_SEC)
#define DECIDE_RETRY_AHEAD_MAX_NS (32 * NS_PER_SEC)
/* The same, after no thread could be started to ask it. */
#define DECIDE_RETRY_THREAD_NS NS_PER_SEC
/* How soon LVM is read again for a pool or ledger that is not as expected. */
#define DECIDE_REREAD_MIN_NS NS_PER_SEC
#define DECIDE_REREAD_MAX_NS (32 * NS_PER_SEC)
/* After this many failures of LVM in a row, writers are refused rather than kept
 * waiting. */
#define DECIDE_FAILURES_MAX 3
/* How long writers wait while another host has LVM's lock: longer than sanlock
 * takes to give up a host that died with it, 140 s by default. */
#define DECIDE_BUSY_NS (180 * NS_PER_SEC)
/* A refusal is said in the log again only after there was this much room. */
#define DECIDE_QUIET_BYTES (UINT64_C(16) << 20)

static void
decide_grown(struct decide_state *state, const struct decide_input *input,
             uint64_t now_ns, struct decide_action *action)
{
    unsigned shift = MIN(state->attempts, 7);

    state->is_growing = false;
    action->is_first = !state->failures && !state->busy_since_ns;
    if (input->outcome == GROWTH_DONE) {
        pace_note_growth(&state->pace, input->took_ns);
        state->is_short = false;
        state->attempts = 0;
        state->failures = 0;
        state->busy_since_ns = 0;
        state->retry_demand_ns = 0;
        state->retry_ahead_ns = 0;
    } else {
        /* Asking costs the group's lock and a reading of its metadata: neither a
         * full group nor a forged ledger may have us ask all the time. */
        state->attempts++;
        state->failures = input->outcome == GROWTH_FAILED ? state->failures + 1
                                                          : 0;
        if (input->outcome != GROWTH_BUSY)
            state->busy_since_ns = 0;
        else if (!state->busy_since_ns)
            state->busy_since_ns = input->began_ns;
        state->is_short = input->outcome == GROWTH_SHORT ||
            state->failures >= DECIDE_FAILURES_MAX ||
            (state->busy_since_ns &&
             now_ns - state->busy_since_ns >= DECIDE_BUSY_NS);
        state->retry_demand_ns = now_ns + MIN(DECIDE_RETRY_NS << shift,
                                              DECIDE_RETRY_DEMAND_MAX_NS);
        state->retry_ahead_ns = now_ns + MIN(DECIDE_RETRY_NS << shift,
                                             DECIDE_RETRY_AHEAD_MAX_NS);
        state->is_verdict = true;
    }
    action->reread = input->outcome == GROWTH_REPLACED;
    if (action->reread || input->outcome == GROWTH_GONE)
        state->reread_ns = 0;
}

/* What we know does not hold any more. */
static void
decide_reread(struct decide_state *state, const struct decide_input *input,
              uint64_t now_ns, struct decide_action *action)
{
    action->is_early = now_ns < state->reread_ns;
    action->reread = !action->is_early && input->may_lock;
    if (!action->reread)
        return;
    state->reread_delay_ns = CLAMP(state->reread_delay_ns * 2,
                                   DECIDE_REREAD_MIN_NS, DECIDE_REREAD_MAX_NS);
    state->reread_ns = now_ns + state->reread_delay_ns;
}

static void
decide_read(struct decide_state *state, const struct decide_input *input)
{
    state->demand_bytes = MAX(state->demand_bytes, input->demand_bytes);
    if (input->pool == state->pool)
        return;

    /* A group that was removed and made again has the same names: neither what was
     * asked of the old pool, nor its pace, nor its failures are the new one's. */
    *state = (struct decide_state) {
        .pool = input->pool,
        .is_growing = state->is_growing,
        .is_dropped = state->demand_bytes != 0,
        .reread_ns = state->reread_ns,
        .reread_delay_ns = state->reread_delay_ns,
    };
}

static void
decide_sampled(struct decide_state *state, const struct decide_input *input,
               uint64_t now_ns, struct decide_action *action)
{
    struct growth_plan plan;
    struct growth_need need;

    if (input->has_pool)
        state->reread_delay_ns = 0;
    pace_note_used(&state->pace, input->used_bytes, now_ns);
    need.used_bytes = input->used_bytes;
    need.demand_bytes = state->demand_bytes;
    need.ahead_bytes = pace_ahead_bytes(&state->pace);
    growth_decide(input->policy, input->extent_bytes, &need, &plan);

    state->reason = plan.reason;
    if (state->reason == QUOTA_REASON_NONE && state->is_short)
        state->reason = QUOTA_REASON_GROUP_FULL;
    state->is_held = state->is_growing || state->is_dropped;
    state->is_asking = false;
    if (state->reason == QUOTA_REASON_GROUP_FULL && state->demand_bytes &&
        !state->is_verdict) {
        /* The group's free extents are others' to change, so LVM is asked
         * before a write is refused for the want of them; and the write
         * waits until LVM may be asked again, since each time costs the
         * other tenants of the group its lock. */
        state->is_asking = now_ns >= state->retry_demand_ns;
        state->is_held = true;
    }
    state->is_verdict = false;
    if (state->is_held)
        state->reason = QUOTA_REASON_NONE;
    action->reason = state->reason;
}

static void
decide_answered(struct decide_state *state, const struct decide_input *input,
                uint64_t now_ns, struct decide_action *action)
{
    uint64_t grant = input->policy->grant_bytes;
    uint64_t used = input->used_bytes;
    struct growth_plan plan;

    state->is_dropped = false;
    if (state->reason != QUOTA_REASON_NONE) {
        if (state->demand_bytes && state->said != state->reason) {
            action->say = state->said = state->reason;
            action->is_failing = state->is_short &&
                (state->failures || state->busy_since_ns);
        }
        state->demand_bytes = 0;
    } else if (grant > used && grant - used >= state->demand_bytes) {
        state->demand_bytes = 0;
    }
    if (state->demand_bytes == 0 && grant > used &&
        grant - used >= DECIDE_QUIET_BYTES)
        state->said = QUOTA_REASON_NONE;

    action->need.used_bytes = used;
    action->need.demand_bytes = state->demand_bytes;
    action->need.ahead_bytes = pace_ahead_bytes(&state->pace);
    growth_decide(input->policy, input->extent_bytes, &action->need, &plan);
    /* Where it could grow, and need not yet. */
    if (!plan.extents && plan.reason == QUOTA_REASON_NONE)
        action->wake_ns = MAX(pace_fills_ns(&state->pace,
                                            growth_spare_bytes(input->policy,
                                                               &action->need)),
                              DECIDE_WAKE_MIN_NS);
    if (plan.extents && now_ns >= (state->demand_bytes
                                   ? state->retry_demand_ns
                                   : state->retry_ahead_ns))
        state->is_asking = true;
    action->grow = state->is_asking && !state->is_growing;
    state->is_growing |= action->grow;
}

struct decide_action
decide(struct decide_state *state, const struct decide_input *input,
       uint64_t now_ns)
{
    struct decide_action action = { .wake_ns = UINT64_MAX };

    switch (input->event) {
    case DECIDE_GROWN:
        decide_grown(state, input, now_ns, &action);
        break;
    case DECIDE_STALE:
    case DECIDE_INACTIVE:
    case DECIDE_SPOILT:
        decide_reread(state, input, now_ns, &action);
        break;
    case DECIDE_ASKED:
        state->demand_bytes = MAX(state->demand_bytes, input->demand_bytes);
        break;
    case DECIDE_SAMPLED:
        decide_sampled(state, input, now_ns, &action);
        break;
    case DECIDE_ANSWERED:
        decide_answered(state, input, now_ns, &action);
        break;
    case DECIDE_READ:
        decide_read(state, input);
        break;
    case DECIDE_RENEWED:
        state->demand_bytes = 0;
        break;
    case DECIDE_NOT_BEGUN:
        state->is_growing = false;
        state->retry_demand_ns = now_ns + DECIDE_RETRY_THREAD_NS;
        state->retry_ahead_ns = now_ns + DECIDE_RETRY_THREAD_NS;
        break;
    }
    return action;
}
