/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * event-not-decided.c: an event comes in a state that does not expect it, and
 * quota-lvmd refuses a write, asks LVM or grows a pool by mistake.  Every event is
 * tried in every state.
 */
#include "world.h"

static const char *const state_names[STATES] = {
    "NEW", "QUIET", "AHEAD", "WAITING", "ASKING", "LIMIT", "FULL", "HELD",
    "SHORT", "FAILED", "RETRYING", "BROKEN", "BUSY", "LOCKED", "UNREAD"
};

#define IN(state) (1u << (state))
#define ANY ((1u << STATES) - 1)
/* In these a growth runs. */
#define GROWING (IN(AHEAD) | IN(WAITING) | IN(ASKING) | IN(RETRYING))

/* ---- events -------------------------------------------------------------- */

enum {
    SECOND_PASSES,
    WRITER_ASKS,
    TENANT_FREES,
    LIMIT_CUT,
    LIMIT_RAISED,
    GROUP_FILLS,
    GROUP_EXTENDED,
    POOL_GROWS,                 /* a growth has ended, so or otherwise: */
    NOTHING_TO_DO,              /* by LVM's numbers */
    NO_ROOM,
    OTHER_HOST,                 /* has LVM's lock */
    LVM_FAILS,
    TENANT_GONE,
    POOL_REPLACED,
    NO_THREAD,                  /* to grow in, when a writer asks */
    LEDGER_REPLACED,
    LEDGER_SPOILT,
    POOL_STOPPED,
    POOL_STARTED,
    LVM_DEAD,                   /* the pool is stopped, LVM cannot be read */
    GROUP_REMADE,               /* by hand, under the same names */
    DAEMON_RESTARTED,
    LEDGER_LEFT,                /* both: the old ledger is still there */
    EVENTS
};

static const char *const event_names[EVENTS] = {
    "SECOND_PASSES", "WRITER_ASKS", "TENANT_FREES", "LIMIT_CUT", "LIMIT_RAISED",
    "GROUP_FILLS", "GROUP_EXTENDED", "POOL_GROWS", "NOTHING_TO_DO", "NO_ROOM",
    "OTHER_HOST", "LVM_FAILS", "TENANT_GONE", "POOL_REPLACED", "NO_THREAD",
    "LEDGER_REPLACED", "LEDGER_SPOILT", "POOL_STOPPED", "POOL_STARTED", "LVM_DEAD",
    "GROUP_REMADE", "DAEMON_RESTARTED", "LEDGER_LEFT"
};

static void
restart(struct world *world)
{
    memset(&world->state, 0, sizeof(world->state));
    world->is_growing = false;
    world->is_active = true;
    world->is_lvm_dead = false;
    tell(world, (struct decide_input) {
        .event = DECIDE_READ,
        .pool = 1,
        .demand_bytes = take_demand(world),
    });
}

/* The words are those of one run, or of two separated by a comma. */
static void
make_event(struct world *world, unsigned event)
{
    uint64_t past_ns = MS;
    bool is_twice = false;

    switch (event) {
    case SECOND_PASSES:
        past_ns = SECOND;
        break;
    case WRITER_ASKS:
        asks(world);
        break;
    case TENANT_FREES:
        world->used_bytes = 0;
        break;
    case LIMIT_CUT:
        world->policy.limits.limit_bytes = STEP;
        break;
    case LIMIT_RAISED:
        world->policy.limits.limit_bytes = 2048 * MIB;
        break;
    case GROUP_FILLS:
        world->policy.group_free_bytes = 0;
        break;
    case GROUP_EXTENDED:
        world->policy.group_free_bytes = 8192 * MIB;
        break;
    case POOL_GROWS:
        ends(world, GROWTH_DONE);
        world->policy.grant_bytes += STEP;
        world->policy.group_free_bytes = 2048 * MIB;
        break;
    case NOTHING_TO_DO:
        ends(world, GROWTH_NOT_NEEDED);
        world->policy.group_free_bytes = 0;
        break;
    case NO_ROOM:
        ends(world, GROWTH_SHORT);
        break;
    case OTHER_HOST:
        ends(world, GROWTH_BUSY);
        break;
    case LVM_FAILS:
        ends(world, GROWTH_FAILED);
        break;
    case TENANT_GONE:
        ends(world, GROWTH_GONE);
        break;
    case POOL_REPLACED:
        remake_group(world);
        ends(world, GROWTH_REPLACED);
        world->is_active = true;
        break;
    case NO_THREAD:
        asks(world);
        world->is_thread_missing = true;
        is_twice = true;
        break;
    case LEDGER_REPLACED:
        world->is_ledger_current = false;
        break;
    case LEDGER_SPOILT:
        world->is_ledger_spoilt = true;
        is_twice = true;
        break;
    case POOL_STOPPED:
        world->is_active = false;
        world->is_lvm_dead = false;
        break;
    case POOL_STARTED:
        world->is_active = true;
        world->is_lvm_dead = false;
        break;
    case LVM_DEAD:
        world->is_active = false;
        world->is_lvm_dead = true;
        break;
    case GROUP_REMADE:
        remake_group(world);
        if (world->state.reread_ns > world->now_ns)
            past_ns = SECOND;
        is_twice = true;
        break;
    case DAEMON_RESTARTED:
        restart(world);
        is_twice = true;
        break;
    case LEDGER_LEFT:
        remake_group(world);
        restart(world);
        is_twice = true;
        break;
    }
    run_after(world, past_ns);
    if (is_twice) {
        if (event == GROUP_REMADE)
            world->is_active = true;
        g_string_append(world->said, ", ");
        run_after(world, 5 * MS);
    }
}

/* ---- what is to be done -------------------------------------------------- */

/* No growth runs that could end. */
#define CANNOT NULL

static const struct {
    unsigned event, states;
    const char *words;
} rows[] = {
    { SECOND_PASSES, IN(NEW) | IN(QUIET), "room" },
    { SECOND_PASSES, GROWING, "wait" },
    { SECOND_PASSES, IN(LIMIT), "limit" },
    { SECOND_PASSES, IN(FULL), "full" },
    { SECOND_PASSES, IN(HELD), "wait ask" },
    { SECOND_PASSES, IN(SHORT) | IN(BROKEN) | IN(LOCKED), "full ahead" },
    { SECOND_PASSES, IN(FAILED) | IN(BUSY), "room ask" },
    { SECOND_PASSES, IN(UNREAD), "reread in-vain" },

    { WRITER_ASKS, IN(NEW) | IN(QUIET), "room ask" },
    { WRITER_ASKS, GROWING, "wait" },
    { WRITER_ASKS, IN(LIMIT), "limit" },
    { WRITER_ASKS, IN(FULL) | IN(HELD) | IN(SHORT) | IN(BROKEN) | IN(LOCKED), "wait" },
    { WRITER_ASKS, IN(FAILED) | IN(BUSY), "room" },
    { WRITER_ASKS, IN(UNREAD), "later" },

    { TENANT_FREES, IN(NEW) | IN(QUIET) | IN(FAILED) | IN(BUSY), "room" },
    { TENANT_FREES, GROWING | IN(HELD), "wait" },
    { TENANT_FREES, IN(LIMIT), "limit" },
    { TENANT_FREES, IN(FULL) | IN(SHORT) | IN(BROKEN) | IN(LOCKED), "full" },
    { TENANT_FREES, IN(UNREAD), "later" },

    { LIMIT_CUT, IN(NEW) | IN(QUIET) | IN(LIMIT) | IN(FULL) | IN(SHORT) |
                 IN(BROKEN) | IN(LOCKED), "limit" },
    { LIMIT_CUT, IN(HELD) | IN(FAILED) | IN(BUSY), "limit news" },
    { LIMIT_CUT, GROWING, "wait" },
    { LIMIT_CUT, IN(UNREAD), "later" },

    { LIMIT_RAISED, IN(NEW) | IN(QUIET) | IN(FAILED) | IN(BUSY), "room" },
    { LIMIT_RAISED, GROWING | IN(HELD), "wait" },
    { LIMIT_RAISED, IN(LIMIT), "room ahead" },
    { LIMIT_RAISED, IN(FULL) | IN(SHORT) | IN(BROKEN) | IN(LOCKED), "full" },
    { LIMIT_RAISED, IN(UNREAD), "later" },

    { GROUP_FILLS, IN(NEW) | IN(QUIET) | IN(FULL) | IN(SHORT) | IN(BROKEN) |
                   IN(LOCKED), "full" },
    { GROUP_FILLS, GROWING | IN(HELD) | IN(FAILED) | IN(BUSY), "wait" },
    { GROUP_FILLS, IN(LIMIT), "limit" },
    { GROUP_FILLS, IN(UNREAD), "later" },

    { GROUP_EXTENDED, IN(NEW) | IN(QUIET) | IN(FULL) | IN(HELD) | IN(FAILED) |
                      IN(BUSY), "room" },
    { GROUP_EXTENDED, GROWING, "wait" },
    { GROUP_EXTENDED, IN(LIMIT), "limit" },
    { GROUP_EXTENDED, IN(SHORT) | IN(BROKEN) | IN(LOCKED), "full" },
    { GROUP_EXTENDED, IN(UNREAD), "later" },

    { POOL_GROWS, GROWING, "room" },
    { POOL_GROWS, ANY & ~GROWING, CANNOT },

    { NOTHING_TO_DO, IN(AHEAD), "full" },
    { NOTHING_TO_DO, IN(WAITING) | IN(ASKING) | IN(RETRYING), "full news" },
    { NOTHING_TO_DO, ANY & ~GROWING, CANNOT },

    { NO_ROOM, IN(AHEAD), "full" },
    { NO_ROOM, IN(WAITING) | IN(ASKING) | IN(RETRYING), "full news" },
    { NO_ROOM, ANY & ~GROWING, CANNOT },

    { OTHER_HOST, IN(AHEAD) | IN(WAITING) | IN(RETRYING), "room" },
    { OTHER_HOST, IN(ASKING), "full news" },
    { OTHER_HOST, ANY & ~GROWING, CANNOT },

    { LVM_FAILS, IN(AHEAD) | IN(WAITING) | IN(RETRYING), "room" },
    { LVM_FAILS, IN(ASKING), "full news" },
    { LVM_FAILS, ANY & ~GROWING, CANNOT },

    { TENANT_GONE, IN(AHEAD) | IN(WAITING) | IN(RETRYING), "room" },
    { TENANT_GONE, IN(ASKING), "full news" },
    { TENANT_GONE, ANY & ~GROWING, CANNOT },

    { POOL_REPLACED, GROWING, "reread wait" },
    { POOL_REPLACED, ANY & ~GROWING, CANNOT },

    { NO_THREAD, IN(NEW) | IN(QUIET), "room ask, room" },
    { NO_THREAD, GROWING, "wait, wait" },
    { NO_THREAD, IN(LIMIT), "limit, limit" },
    { NO_THREAD, IN(FULL) | IN(HELD) | IN(SHORT) | IN(BROKEN) | IN(LOCKED),
      "wait, wait" },
    { NO_THREAD, IN(FAILED) | IN(BUSY), "room, room" },
    { NO_THREAD, IN(UNREAD), "later, later" },

    { LEDGER_REPLACED, IN(NEW) | IN(QUIET) | IN(FAILED) | IN(BUSY), "reread room" },
    { LEDGER_REPLACED, IN(AHEAD) | IN(WAITING) | IN(RETRYING), "reread room" },
    { LEDGER_REPLACED, IN(LIMIT), "reread limit" },
    { LEDGER_REPLACED, IN(ASKING) | IN(FULL) | IN(HELD) | IN(SHORT) | IN(BROKEN) |
                       IN(LOCKED), "reread full" },
    { LEDGER_REPLACED, IN(UNREAD), "later" },

    { LEDGER_SPOILT, IN(NEW) | IN(QUIET) | IN(FAILED) | IN(BUSY), "reread, room" },
    { LEDGER_SPOILT, IN(AHEAD) | IN(WAITING) | IN(RETRYING), "reread, room" },
    { LEDGER_SPOILT, IN(LIMIT), "reread, limit" },
    { LEDGER_SPOILT, IN(ASKING) | IN(FULL) | IN(HELD) | IN(SHORT) | IN(BROKEN) |
                     IN(LOCKED), "reread, full" },
    { LEDGER_SPOILT, IN(UNREAD), "later, later" },

    { POOL_STOPPED, ANY & ~IN(UNREAD), "reread" },
    { POOL_STOPPED, IN(UNREAD), "later" },

    { POOL_STARTED, IN(NEW) | IN(QUIET) | IN(FAILED) | IN(BUSY) | IN(UNREAD), "room" },
    { POOL_STARTED, GROWING | IN(HELD), "wait" },
    { POOL_STARTED, IN(LIMIT), "limit" },
    { POOL_STARTED, IN(FULL) | IN(SHORT) | IN(BROKEN) | IN(LOCKED), "full" },

    { LVM_DEAD, ANY & ~IN(UNREAD), "reread in-vain" },
    { LVM_DEAD, IN(UNREAD), "later" },

    { GROUP_REMADE, ANY, "reread, wait" },

    { DAEMON_RESTARTED, IN(NEW) | IN(QUIET) | IN(UNREAD), "room, room" },
    { DAEMON_RESTARTED, IN(AHEAD) | IN(SHORT) | IN(BROKEN) | IN(LOCKED),
      "room ahead, wait" },
    { DAEMON_RESTARTED, IN(WAITING) | IN(FAILED) | IN(RETRYING) | IN(BUSY),
      "wait ahead, wait" },
    { DAEMON_RESTARTED, IN(ASKING) | IN(HELD), "wait, wait ask" },
    { DAEMON_RESTARTED, IN(LIMIT), "limit, limit" },
    { DAEMON_RESTARTED, IN(FULL), "full, full" },

    { LEDGER_LEFT, ANY, "wait, room" },
};

static void
test_all_pairs(void)
{
    struct world world = { .said = g_string_new(NULL) };
    unsigned walked = 0, cannot = 0, never = 0, wrong = 0;

    for (unsigned event = 0; event < EVENTS; event++)
    for (unsigned state = 0; state < STATES; state++) {
        unsigned matching = 0, row = 0;

        for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
            if (rows[i].event == event && rows[i].states & IN(state)) {
                matching++;
                row = i;
            }
        }
        if (matching != 1) {
            g_test_message("%s when %s: %s", state_names[state],
                           event_names[event],
                           matching ? "in two rows" : "never walked");
            never++;
            continue;
        }
        make_state(&world, state);
        g_assert_cmpint(world.is_growing, ==, (GROWING & IN(state)) != 0);
        if (rows[row].words == CANNOT) {
            g_assert_false(world.is_growing);
            cannot++;
            continue;
        }
        walked++;
        g_string_truncate(world.said, 0);
        make_event(&world, event);
        if (!g_str_equal(world.said->str, rows[row].words)) {
            g_test_message("%s when %s: \"%s\", should be \"%s\"",
                           state_names[state], event_names[event],
                           world.said->str, rows[row].words);
            wrong++;
        }
    }
    g_test_message("%u states by %u events: %u pairs walked, %u cannot be, %u "
                   "never walked", STATES, EVENTS, walked, cannot, never);
    g_string_free(world.said, TRUE);
    g_assert_cmpuint(never, ==, 0);
    g_assert_cmpuint(wrong, ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/decide/all-pairs", test_all_pairs);
    return g_test_run();
}
