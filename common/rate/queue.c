/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * queue.c: the requests of one writer that wait for throughput, in the order of
 * their arrival.
 *
 * Only the first request takes from the cells, in pieces, as the cells admit it
 * (rate.c).  Once it has its whole cost it starts, and wakes the next one.  So
 * one timer per writer matters, whatever its queue depth, and a volume's share
 * does not depend on its queue depth.  The other requests still poll now and
 * then, and take in the first one's place should its thread be stuck.
 */
#include <string.h>

#include "rate.h"

/* A queued request checks the rates at least this often. */
#define POLL_NS (50 * UINT64_C(1000000))

/* A writer without requests for longer than this is idle, and not late. */
#define IDLE_NS (20 * UINT64_C(1000000))

/* The two parts of a word of struct quota_lane_credit. */
#define CREDIT_BYTES_BITS 40
#define CREDIT_BYTES_MAX ((UINT64_C(1) << CREDIT_BYTES_BITS) - 1)
#define CREDIT_REQUESTS_MAX ((UINT64_C(1) << (64 - CREDIT_BYTES_BITS)) - 1)

static uint32_t rates_of(const struct quota_writer *writer,
                         enum quota_scope scope, bool is_write)
{
    return quota_rate_mask(
        quota_load(&quota_meter_of(writer, scope).rates->armed), is_write);
}

/* The rates of a scope have changed: credit of the old ones is void. */
static void reload_rates(struct quota_writer *writer, enum quota_scope changed,
                         uint32_t generation)
{
    writer->taken[changed].generation = generation;
    writer->due_ns = 0;
    memset(writer->taken[changed].credit, 0,
           sizeof(writer->taken[changed].credit));
    for (int is_write = 0; is_write < 2; is_write++) {
        unsigned count = 0;

        for (int scope = 0; scope < QUOTA_SCOPES; scope++) {
            for (uint32_t m = rates_of(writer, scope, is_write); m;
                 m &= m - 1) {
                int kind = __builtin_ctz(m);

                writer->cost[is_write].of[count].credit =
                    &writer->taken[scope].credit[kind];
                writer->cost[is_write].of[count++].is_bytes =
                    quota_rate_is_bytes(kind);
            }
        }
        writer->cost[is_write].count = count;
    }
}

static inline void check_rates(struct quota_writer *writer)
{
    for (int scope = 0; scope < QUOTA_SCOPES; scope++) {
        uint32_t generation =
            quota_load(&quota_meter_of(writer, scope).rates->generation);

        if (writer->taken[scope].generation != generation) {
            reload_rates(writer, scope, generation);
        }
    }
}

/* Take a request's cost from the writer's credit; false: that is too small. */
static inline bool spend_credit(struct quota_writer *writer, bool is_write,
                                uint64_t bytes)
{
    unsigned count = writer->cost[is_write].count;

    for (unsigned i = 0; i < count; i++) {
        if (*writer->cost[is_write].of[i].credit <
            (writer->cost[is_write].of[i].is_bytes ? bytes : 1)) {
            return false;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        *writer->cost[is_write].of[i].credit -=
            writer->cost[is_write].of[i].is_bytes ? bytes : 1;
    }
    return true;
}

/* Set what a request costs by the current rates: once, and again after they
 * change.  What it took before the change is lost. */
static void set_cost(struct quota_writer *writer, struct quota_request *request)
{
    if (request->has_cost &&
        request->generation[0] == writer->taken[0].generation &&
        request->generation[1] == writer->taken[1].generation) {
        return;
    }
    request->has_cost = true;
    for (int scope = 0; scope < QUOTA_SCOPES; scope++) {
        uint32_t mask = rates_of(writer, scope, request->is_write);

        request->generation[scope] = writer->taken[scope].generation;
        for (int kind = 0; kind < QUOTA_RATE_MAX; kind++) {
            request->left[scope][kind] = !(mask & 1u << kind) ? 0 :
                quota_rate_is_bytes(kind) ? request->bytes : 1;
        }
    }
}

/* Take one request's cost at one rate, in pieces; 0, or how long to wait. */
static uint64_t take_from_cell(struct quota_writer *writer,
                               struct quota_request *request,
                               enum quota_scope scope, int kind,
                               struct quota_time time)
{
    uint64_t *credit = &writer->taken[scope].credit[kind];
    uint64_t *left = &request->left[scope][kind];
    uint64_t wait_ns = 0;

    while (*left) {
        uint64_t taken = *credit < *left ? *credit : *left;

        *credit -= taken;
        *left -= taken;
        if (*left) {
            *credit = quota_cell_take(writer, scope, kind, *left, time,
                                      &wait_ns);
            if (*credit == 0) {
                return wait_ns;
            }
        }
    }
    return 0;
}

/* The volume's own rates first: only a request that they admit takes from the
 * tenant's. */
static uint64_t take_from_cells(struct quota_writer *writer,
                                struct quota_request *request,
                                struct quota_time time)
{
    for (int scope = QUOTA_SCOPES - 1; scope >= 0; scope--) {
        for (int kind = 0; kind < QUOTA_RATE_MAX; kind++) {
            uint64_t wait_ns = take_from_cell(writer, request, scope, kind,
                                              time);

            if (wait_ns) {
                return wait_ns;
            }
        }
    }
    return 0;
}

static void leave_queue(struct quota_writer *writer,
                        struct quota_request *request)
{
    struct quota_request **at = &writer->first;

    while (*at != request) {
        at = &(*at)->next;
    }
    *at = request->next;
    if (!*at) {
        writer->end = at;
    }
    quota_store(&writer->is_queued, writer->first != NULL);
    request->is_queued = false;
}

/* @self: the request that serves the queue now. */
static void wake(struct quota_request *request,
                 const struct quota_request *self)
{
    if (request && request != self && request->wake) {
        request->wake(request);
    }
}

/* Start each request that has its cost; how long until the next one may. */
static uint64_t serve_queue(struct quota_writer *writer,
                            const struct quota_request *self, uint64_t now_ns)
{
    struct quota_time time = { now_ns, 0 };
    struct quota_request *request;

    if (writer->due_ns && writer->due_ns < now_ns) {
        time.late_ns = now_ns - writer->due_ns;
    }
    while ((request = writer->first)) {
        uint64_t wait_ns;

        set_cost(writer, request);
        wait_ns = take_from_cells(writer, request, time);
        if (wait_ns) {
            writer->due_ns = now_ns + wait_ns;
            return wait_ns;
        }
        leave_queue(writer, request);
        wake(request, self);
        /* The next one must set its own timer. */
        wake(writer->first, self);
    }
    writer->served_ns = now_ns;
    return 0;
}

/*
 * Take a request's cost from the lane's credit; false: that is too small.  No
 * lock is needed, because one word holds both parts.  (If the rates change in
 * between, the request counts as earlier.)
 */
static inline bool take_lane_credit(struct quota_writer *writer,
                                    struct quota_lane_credit *credit,
                                    bool is_write, uint64_t bytes)
{
    quota_u64 *word = &credit->packed[is_write];
    uint64_t now;

    for (int scope = 0; scope < QUOTA_SCOPES; scope++) {
        if (quota_load(&credit->generation[scope]) !=
            quota_load(&quota_meter_of(writer, scope).rates->generation)) {
            return false;
        }
    }
    if (quota_load(&writer->is_queued)) {
        return false;
    }
    now = quota_load(word);
    do {
        if (now >> CREDIT_BYTES_BITS == 0 || (now & CREDIT_BYTES_MAX) < bytes) {
            return false;
        }
    } while (!quota_swap_if(word, &now, now - bytes -
                            (UINT64_C(1) << CREDIT_BYTES_BITS)));
    return true;
}

/* The credit that is left at all rates of one unit. */
static uint64_t common_credit(const struct quota_writer *writer, bool is_write,
                              bool is_bytes, uint64_t most)
{
    for (unsigned i = 0; i < writer->cost[is_write].count; i++) {
        if (writer->cost[is_write].of[i].is_bytes == is_bytes &&
            *writer->cost[is_write].of[i].credit < most) {
            most = *writer->cost[is_write].of[i].credit;
        }
    }
    return most;
}

/*
 * Move the writer's unused credit to a lane, for the lane's next requests: at
 * most what one request takes from a cell at once, and so worth TAKE_MIN_NS
 * (rate.c).  With the writer's lock.
 */
static void fill_lane_credit(struct quota_writer *writer,
                             struct quota_lane_credit *credit, bool is_write)
{
    uint64_t bytes, requests, now;
    bool is_void = false;

    for (int scope = 0; scope < QUOTA_SCOPES; scope++) {
        is_void |= quota_load(&credit->generation[scope]) !=
                   writer->taken[scope].generation;
    }
    if (is_void) {
        /* Before the generations: no thread takes credit of other rates. */
        quota_store(&credit->packed[0], 0);
        quota_store(&credit->packed[1], 0);
        for (int scope = 0; scope < QUOTA_SCOPES; scope++) {
            quota_store(&credit->generation[scope],
                        writer->taken[scope].generation);
        }
    }

    /* Other threads may take from it meanwhile, but only this one fills it. */
    now = quota_load(&credit->packed[is_write]);
    bytes = common_credit(writer, is_write, true,
                          CREDIT_BYTES_MAX - (now & CREDIT_BYTES_MAX));
    requests = common_credit(writer, is_write, false, CREDIT_REQUESTS_MAX -
                             (now >> CREDIT_BYTES_BITS));
    quota_add(&credit->packed[is_write],
              bytes + (requests << CREDIT_BYTES_BITS));
    for (unsigned i = 0; i < writer->cost[is_write].count; i++) {
        *writer->cost[is_write].of[i].credit -=
            writer->cost[is_write].of[i].is_bytes ? bytes : requests;
    }
}

/* Not inlined: it would take registers from the fast path. */
static __attribute__((noinline)) bool
take_writer_credit(struct quota_writer *writer,
                   struct quota_lane_credit *credit, bool is_write,
                   uint64_t bytes)
{
    bool is_taken;

    quota_writer_lock(writer);
    check_rates(writer);
    is_taken = !writer->first && spend_credit(writer, is_write, bytes);
    if (is_taken) {
        fill_lane_credit(writer, credit, is_write);
    }
    quota_writer_unlock(writer);
    return is_taken;
}

bool quota_credit_take(struct quota_writer *writer, bool is_write,
                       uint64_t bytes)
{
    struct quota_lane_credit *credit =
        &writer->lane_credit[quota_lane_of_thread()];

    return take_lane_credit(writer, credit, is_write, bytes) ||
           take_writer_credit(writer, credit, is_write, bytes);
}

/* How long until the request polls again; 0: it starts. */
static uint64_t check(struct quota_writer *writer,
                      struct quota_request *request, uint64_t now_ns)
{
    uint64_t wait_ns;

    check_rates(writer);
    wait_ns = serve_queue(writer, request, now_ns);
    if (!request->is_queued) {
        return 0;
    }
    return request == writer->first && wait_ns < POLL_NS ? wait_ns
                                                            : POLL_NS;
}

uint64_t quota_queue_enter(struct quota_writer *writer,
                           struct quota_request *request, bool is_write,
                           uint64_t bytes, uint64_t now_ns)
{
    uint64_t wait_ns;

    request->is_write = is_write;
    request->bytes = bytes;
    request->has_cost = false;
    request->is_queued = true;
    request->next = NULL;
    quota_writer_lock(writer);
    if (!writer->first && now_ns - writer->served_ns > IDLE_NS) {
        writer->due_ns = 0;
    }
    *writer->end = request;
    writer->end = &request->next;
    quota_store(&writer->is_queued, true);
    wait_ns = check(writer, request, now_ns);
    quota_writer_unlock(writer);
    return wait_ns;
}

uint64_t quota_queue_poll(struct quota_writer *writer,
                          struct quota_request *request, uint64_t now_ns)
{
    uint64_t wait_ns = 0;

    quota_writer_lock(writer);
    if (request->is_queued) {
        wait_ns = check(writer, request, now_ns);
    }
    quota_writer_unlock(writer);
    return wait_ns;
}

uint64_t quota_queue_ahead_ns(struct quota_writer *writer,
                              const struct quota_request *request,
                              uint64_t now_ns)
{
    uint64_t ahead_ns = 0;

    for (int scope = 0; scope < QUOTA_SCOPES; scope++) {
        for (uint32_t m = rates_of(writer, scope, request->is_write); m;
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

void quota_queue_leave(struct quota_writer *writer,
                       struct quota_request *request, uint64_t now_ns)
{
    quota_writer_lock(writer);
    if (request->is_queued) {
        check_rates(writer);
        set_cost(writer, request);
        leave_queue(writer, request);
        for (int scope = 0; scope < QUOTA_SCOPES; scope++) {
            for (int kind = 0; kind < QUOTA_RATE_MAX; kind++) {
                if (request->left[scope][kind]) {
                    quota_cell_debit(writer, scope, kind,
                                     request->left[scope][kind], now_ns);
                }
            }
        }
        wake(writer->first, request);
    }
    quota_writer_unlock(writer);
}
