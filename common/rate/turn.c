/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * turn.c: the requests of one writer that wait until they are paid for, in the
 * order in which they came.
 *
 * Only the first of them pays, in pieces, as the cells let it (rate.c); when it
 * has paid it goes, and the next one is woken to pay.  So a writer has one
 * timer that matters, whatever its queue depth, and what a tenant's volumes
 * get does not depend on it.  The others look now and then all the same, and
 * pay in the first one's place should its thread be stuck.
 */
#include <string.h>

#include "ledger-layout.h"

/* A waiting request looks at the rates at least this often. */
#define LOOK_AGAIN_NS (50 * UINT64_C(1000000))

/* A writer that asks for nothing for longer is idle, and not late. */
#define IDLE_NS (20 * UINT64_C(1000000))

/* The two parts of struct quota_purse's words. */
#define PURSE_BYTES_BITS 40
#define PURSE_BYTES_MAX ((UINT64_C(1) << PURSE_BYTES_BITS) - 1)
#define PURSE_REQUESTS_MAX ((UINT64_C(1) << (64 - PURSE_BYTES_BITS)) - 1)

static uint32_t rates_of(const struct quota_writer *writer,
                         enum quota_scope scope, bool is_write)
{
    return quota_rate_mask(
        quota_load(&quota_meter_of(writer, scope).rates->armed), is_write);
}

/* The rates of a scope have changed: what was paid under them is void. */
static void take_rates(struct quota_writer *writer, enum quota_scope changed,
                       uint32_t generation)
{
    writer->paid[changed].generation = generation;
    writer->due_ns = 0;
    memset(writer->paid[changed].credit, 0,
           sizeof(writer->paid[changed].credit));
    for (int is_write = 0; is_write < 2; is_write++) {
        unsigned count = 0;

        for (int scope = 0; scope < QUOTA_SCOPES; scope++) {
            for (uint32_t m = rates_of(writer, scope, is_write); m;
                 m &= m - 1) {
                int kind = __builtin_ctz(m);

                writer->fee[is_write].of[count].credit =
                    &writer->paid[scope].credit[kind];
                writer->fee[is_write].of[count++].is_bytes =
                    quota_rate_is_bytes(kind);
            }
        }
        writer->fee[is_write].count = count;
    }
}

static inline void look_at_rates(struct quota_writer *writer)
{
    for (int scope = 0; scope < QUOTA_SCOPES; scope++) {
        uint32_t generation =
            quota_load(&quota_meter_of(writer, scope).rates->generation);

        if (writer->paid[scope].generation != generation) {
            take_rates(writer, scope, generation);
        }
    }
}

/* Whether what was paid in advance is enough; if so it is taken. */
static inline bool take_credit(struct quota_writer *writer, bool is_write,
                               uint64_t bytes)
{
    unsigned count = writer->fee[is_write].count;

    for (unsigned i = 0; i < count; i++) {
        if (*writer->fee[is_write].of[i].credit <
            (writer->fee[is_write].of[i].is_bytes ? bytes : 1)) {
            return false;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        *writer->fee[is_write].of[i].credit -=
            writer->fee[is_write].of[i].is_bytes ? bytes : 1;
    }
    return true;
}

/* What a request has to pay for, by the rates as they are now: once, and anew
 * when they have changed; what it has paid by then was for others. */
static void bill(struct quota_writer *writer, struct quota_turn *turn)
{
    if (turn->is_billed &&
        turn->generation[0] == writer->paid[0].generation &&
        turn->generation[1] == writer->paid[1].generation) {
        return;
    }
    turn->is_billed = true;
    for (int scope = 0; scope < QUOTA_SCOPES; scope++) {
        uint32_t mask = rates_of(writer, scope, turn->is_write);

        turn->generation[scope] = writer->paid[scope].generation;
        for (int kind = 0; kind < QUOTA_RATE_MAX; kind++) {
            turn->left[scope][kind] = !(mask & 1u << kind) ? 0 :
                quota_rate_is_bytes(kind) ? turn->bytes : 1;
        }
    }
}

/* Pay for one request at one rate, in pieces; 0, or how long to wait. */
static uint64_t pay_one(struct quota_writer *writer, struct quota_turn *turn,
                        enum quota_scope scope, int kind,
                        struct quota_time time)
{
    uint64_t *credit = &writer->paid[scope].credit[kind];
    uint64_t *left = &turn->left[scope][kind];
    uint64_t wait_ns = 0;

    while (*left) {
        uint64_t taken = *credit < *left ? *credit : *left;

        *credit -= taken;
        *left -= taken;
        if (*left) {
            *credit = quota_cell_buy(writer, scope, kind, *left, time,
                                     &wait_ns);
            if (*credit == 0) {
                return wait_ns;
            }
        }
    }
    return 0;
}

/* The volume's own rates first: a share of the tenant's is taken only by a
 * request that may use it at once. */
static uint64_t pay_all(struct quota_writer *writer, struct quota_turn *turn,
                        struct quota_time time)
{
    for (int scope = QUOTA_SCOPES - 1; scope >= 0; scope--) {
        for (int kind = 0; kind < QUOTA_RATE_MAX; kind++) {
            uint64_t wait_ns = pay_one(writer, turn, scope, kind, time);

            if (wait_ns) {
                return wait_ns;
            }
        }
    }
    return 0;
}

static void leave_queue(struct quota_writer *writer, struct quota_turn *turn)
{
    struct quota_turn **at = &writer->first;

    while (*at != turn) {
        at = &(*at)->next;
    }
    *at = turn->next;
    if (!*at) {
        writer->end = at;
    }
    quota_store(&writer->is_queued, writer->first != NULL);
    turn->is_queued = false;
}

/* @self: whoever looks at the queue just now. */
static void wake(struct quota_turn *turn, const struct quota_turn *self)
{
    if (turn && turn != self && turn->wake) {
        turn->wake(turn);
    }
}

/* Let everybody go who has paid; how long until the next one may. */
static uint64_t serve_queue(struct quota_writer *writer,
                            const struct quota_turn *self, uint64_t now_ns)
{
    struct quota_time time = { now_ns, 0 };
    struct quota_turn *turn;

    if (writer->due_ns && writer->due_ns < now_ns) {
        time.late_ns = now_ns - writer->due_ns;
    }
    while ((turn = writer->first)) {
        uint64_t wait_ns;

        bill(writer, turn);
        wait_ns = pay_all(writer, turn, time);
        if (wait_ns) {
            writer->due_ns = now_ns + wait_ns;
            return wait_ns;
        }
        leave_queue(writer, turn);
        wake(turn, self);
        /* Who comes next must set its own timer. */
        wake(writer->first, self);
    }
    writer->served_ns = now_ns;
    return 0;
}

/*
 * Whether the purse can pay for a request; if so, it has.  No lock is needed:
 * one word holds all that is taken.  (Should the rates change in between, the
 * request came before.)
 */
static inline bool take_prepaid(struct quota_writer *writer,
                                struct quota_purse *purse, bool is_write,
                                uint64_t bytes)
{
    quota_u64 *word = &purse->prepaid[is_write];
    uint64_t now;

    for (int scope = 0; scope < QUOTA_SCOPES; scope++) {
        if (quota_load(&purse->generation[scope]) !=
            quota_load(&quota_meter_of(writer, scope).rates->generation)) {
            return false;
        }
    }
    if (quota_load(&writer->is_queued)) {
        return false;
    }
    now = quota_load(word);
    do {
        if (now >> PURSE_BYTES_BITS == 0 || (now & PURSE_BYTES_MAX) < bytes) {
            return false;
        }
    } while (!quota_swap_if(word, &now, now - bytes -
                            (UINT64_C(1) << PURSE_BYTES_BITS)));
    return true;
}

/* What is left of credit that all fees of one unit have in common. */
static uint64_t common_credit(const struct quota_writer *writer, bool is_write,
                              bool is_bytes, uint64_t most)
{
    for (unsigned i = 0; i < writer->fee[is_write].count; i++) {
        if (writer->fee[is_write].of[i].is_bytes == is_bytes &&
            *writer->fee[is_write].of[i].credit < most) {
            most = *writer->fee[is_write].of[i].credit;
        }
    }
    return most;
}

/*
 * Lay ready, for the lane's next requests, what has been paid and nobody
 * needs: at most what a cell sells at once, and so worth PAY_MIN_NS (rate.c).
 * With the writer's lock.
 */
static void fill_purse(struct quota_writer *writer, struct quota_purse *purse,
                       bool is_write)
{
    uint64_t bytes, requests, now;
    bool is_void = false;

    for (int scope = 0; scope < QUOTA_SCOPES; scope++) {
        is_void |= quota_load(&purse->generation[scope]) !=
                   writer->paid[scope].generation;
    }
    if (is_void) {
        /* Before the generations: nobody takes what was paid under others. */
        quota_store(&purse->prepaid[0], 0);
        quota_store(&purse->prepaid[1], 0);
        for (int scope = 0; scope < QUOTA_SCOPES; scope++) {
            quota_store(&purse->generation[scope],
                        writer->paid[scope].generation);
        }
    }

    /* Others may take from it meanwhile, but only this fills it. */
    now = quota_load(&purse->prepaid[is_write]);
    bytes = common_credit(writer, is_write, true,
                          PURSE_BYTES_MAX - (now & PURSE_BYTES_MAX));
    requests = common_credit(writer, is_write, false, PURSE_REQUESTS_MAX -
                             (now >> PURSE_BYTES_BITS));
    quota_add(&purse->prepaid[is_write],
              bytes + (requests << PURSE_BYTES_BITS));
    for (unsigned i = 0; i < writer->fee[is_write].count; i++) {
        *writer->fee[is_write].of[i].credit -=
            writer->fee[is_write].of[i].is_bytes ? bytes : requests;
    }
}

/* Not inlined: it would cost the other way its registers. */
static __attribute__((noinline)) bool
take_paid(struct quota_writer *writer, struct quota_purse *purse,
          bool is_write, uint64_t bytes)
{
    bool is_paid;

    quota_writer_lock(writer);
    look_at_rates(writer);
    is_paid = !writer->first && take_credit(writer, is_write, bytes);
    if (is_paid) {
        fill_purse(writer, purse, is_write);
    }
    quota_writer_unlock(writer);
    return is_paid;
}

bool quota_turn_is_paid(struct quota_writer *writer, bool is_write,
                        uint64_t bytes)
{
    struct quota_purse *purse = &writer->purses[quota_lane_of_thread()];

    return take_prepaid(writer, purse, is_write, bytes) ||
           take_paid(writer, purse, is_write, bytes);
}

static uint64_t look(struct quota_writer *writer, struct quota_turn *turn,
                     uint64_t now_ns)
{
    uint64_t wait_ns;

    look_at_rates(writer);
    wait_ns = serve_queue(writer, turn, now_ns);
    if (!turn->is_queued) {
        return 0;
    }
    return turn == writer->first && wait_ns < LOOK_AGAIN_NS ? wait_ns
                                                            : LOOK_AGAIN_NS;
}

uint64_t quota_turn_take(struct quota_writer *writer, struct quota_turn *turn,
                         bool is_write, uint64_t bytes, uint64_t now_ns)
{
    uint64_t wait_ns;

    turn->is_write = is_write;
    turn->bytes = bytes;
    turn->is_billed = false;
    turn->is_queued = true;
    turn->next = NULL;
    quota_writer_lock(writer);
    if (!writer->first && now_ns - writer->served_ns > IDLE_NS) {
        writer->due_ns = 0;
    }
    *writer->end = turn;
    writer->end = &turn->next;
    quota_store(&writer->is_queued, true);
    wait_ns = look(writer, turn, now_ns);
    quota_writer_unlock(writer);
    return wait_ns;
}

uint64_t quota_turn_poll(struct quota_writer *writer, struct quota_turn *turn,
                         uint64_t now_ns)
{
    uint64_t wait_ns = 0;

    quota_writer_lock(writer);
    if (turn->is_queued) {
        wait_ns = look(writer, turn, now_ns);
    }
    quota_writer_unlock(writer);
    return wait_ns;
}

uint64_t quota_turn_ahead_ns(struct quota_writer *writer,
                             const struct quota_turn *turn, uint64_t now_ns)
{
    uint64_t ahead_ns = 0;

    for (int scope = 0; scope < QUOTA_SCOPES; scope++) {
        for (uint32_t m = rates_of(writer, scope, turn->is_write); m;
             m &= m - 1) {
            uint64_t ns = quota_cell_ahead_ns(writer, scope, __builtin_ctz(m),
                                              now_ns);

            if (ns > ahead_ns) {
                ahead_ns = ns;
            }
        }
    }
    return ahead_ns;
}

void quota_turn_leave(struct quota_writer *writer, struct quota_turn *turn,
                      uint64_t now_ns)
{
    quota_writer_lock(writer);
    if (turn->is_queued) {
        look_at_rates(writer);
        bill(writer, turn);
        leave_queue(writer, turn);
        for (int scope = 0; scope < QUOTA_SCOPES; scope++) {
            for (int kind = 0; kind < QUOTA_RATE_MAX; kind++) {
                if (turn->left[scope][kind]) {
                    quota_cell_charge(writer, scope, kind,
                                      turn->left[scope][kind], now_ns);
                }
            }
        }
        wake(writer->first, turn);
    }
    quota_writer_unlock(writer);
}
