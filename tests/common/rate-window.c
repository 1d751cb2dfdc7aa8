/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* In no window may more pass than the rate and the burst allow, and a change
 * must take effect at once and bring no saved-up credit.  Time is simulated. */
#include <pthread.h>

#include "sim.h"

/* rate.c: the largest tolerance, how much of its lateness a writer makes up
 * for, and what is taken ahead. */
#define TOLERANCE_NS (30 * MS)
#define LATE_NS (60 * MS)
#define ADVANCE_NS (MS / 4)

static void publish(struct quota_ledger *ledger, int kind,
                    struct quota_rate rate)
{
    struct quota_state state = { 0 };

    state.limits.rates[kind] = rate;
    quota_state_publish(ledger, &state);
}

static struct quota_ledger *armed(int kind, struct quota_rate rate,
                                  struct quota_writer **writer)
{
    struct quota_ledger *ledger;

    g_assert_cmpint(quota_ledger_new_private("acme", &ledger), ==, 0);
    *writer = scratch_writer(ledger, "disk");
    g_assert_false(quota_rate_is_armed(*writer));
    publish(ledger, kind, rate);
    g_assert_true(quota_rate_is_armed(*writer));
    return ledger;
}

static void disarm(struct quota_ledger *ledger, struct quota_writer *writer)
{
    quota_writer_detach(writer);
    quota_ledger_close(ledger);
}

/* Sleep as a filter does; returns when the request starts. */
static uint64_t start(struct quota_writer *writer, bool is_write,
                      uint64_t bytes, uint64_t now)
{
    struct quota_request request = { 0 };
    uint64_t wait;

    if (quota_credit_take(writer, is_write, bytes)) {
        return now;
    }
    for (wait = quota_queue_enter(writer, &request, is_write, bytes, now);
         wait > 0; wait = quota_queue_poll(writer, &request, now)) {
        g_assert_cmpuint(wait, <=, 50 * MS);
        now += wait;
    }
    return now;
}

/* ---- windows ------------------------------------------------------------- */

struct passed {
    uint64_t at, units;
};

static GArray *trace;

static void note(struct sim_volume *volume, uint64_t now_ns)
{
    struct passed passed = { now_ns, *(uint64_t *)volume->opaque ?
                                     volume->bytes : 1 };

    g_array_append_val(trace, passed);
}

/*
 * Every window of the trace against rate x window + burst + @head: what the
 * first request of each volume had taken before the window began.
 */
static void check_windows(double rate, double burst, double head)
{
    /* What has passed by a request's end, less what the rate allows until then,
     * against the least that this has been before any request's beginning. */
    double passed = 0, least = 0;

    for (guint i = 0; i < trace->len; i++) {
        const struct passed *p = &g_array_index(trace, struct passed, i);
        double allowed = rate * (p->at - g_array_index(trace, struct passed,
                                                       0).at) / 1e9;

        least = MIN(least, passed - allowed);
        passed += p->units;
        g_assert_cmpfloat(passed - allowed - least, <=, burst + head);
    }
}

/* One to four volumes of random depths and sizes, at a random rate, with or
 * without bursts, which then changes. */
static void check_random_trace(bool is_bytes, bool bursts)
{
    int kind = is_bytes ? QUOTA_RATE_WRITE_BYTES : QUOTA_RATE_TOTAL_IOPS;
    size_t count = g_test_rand_int_range(1, 5);
    struct sim_volume v[4] = { 0 };
    struct quota_ledger *ledger;
    uint64_t bytes_flag = is_bytes;

    g_assert_cmpint(quota_ledger_new_private("acme", &ledger), ==, 0);
    sim_now_ns = SECOND;
    trace = g_array_new(FALSE, FALSE, sizeof(struct passed));
    for (size_t i = 0; i < count; i++) {
        char name[16];

        g_snprintf(name, sizeof(name), "disk%zu", i);
        v[i].depth = g_test_rand_int_range(1, 9);
        v[i].bytes = g_test_rand_int_range(1, 400000);
        /* at most a few thousand requests in all */
        v[i].device_ns = g_test_rand_int_range(5 * MS, 400 * MS);
        v[i].late_ns = 3 * MS;
        v[i].started = note;
        v[i].opaque = &bytes_flag;
        sim_start(&v[i], ledger, name);
    }
    for (int change = 0; change < 3; change++) {
        uint64_t per_sec = is_bytes ? g_test_rand_int_range(10000, 100000000)
                                    : g_test_rand_int_range(1, 5000);
        struct quota_rate rate = {
            .per_sec = per_sec,
            .max_per_sec = bursts ? per_sec * 3 : 0,
            .max_length_sec = bursts ? 2 : 0,
        };
        double advance = (TOLERANCE_NS + count * ADVANCE_NS +
                          v[0].late_ns) / 1e9, head = 0;

        publish(ledger, kind, rate);
        g_array_set_size(trace, 0);
        sim_run(v, count, sim_now_ns + 5 * SECOND);
        for (size_t i = 0; i < count; i++) {
            head += is_bytes ? v[i].bytes : 1;
        }
        /* Taken in pieces of up to 10 ms of the fastest rate, of which the last
         * may be ahead. */
        advance += bursts ? 0.030 : 0.010;
        check_windows(per_sec, per_sec * (advance + (bursts ? 6 : 0)), head);
        if (bursts) {
            check_windows(per_sec * 3.0, per_sec * 3 * advance, head);
        }
    }
    for (size_t i = 0; i < count; i++) {
        sim_stop(&v[i]);
    }
    g_array_free(trace, TRUE);
    quota_ledger_close(ledger);
}

static void test_random_traces(void)
{
    for (int round = 0; round < 40; round++) {
        check_random_trace(round & 1, round & 2);
    }
}

/* A depth-1 writer whose timer is always late loses nothing. */
static void test_late_timers(void)
{
    struct quota_writer *writer;
    struct quota_ledger *ledger =
        armed(QUOTA_RATE_WRITE_BYTES, (struct quota_rate) { 20 * MIB, 0, 0 },
              &writer);
    uint64_t begin = SECOND, now = begin, sum = 0;

    while (now < begin + 10 * SECOND) {
        now = start(writer, true, 65536, now);
        sum += 65536;
        now += 3 * MS;
    }
    g_assert_cmpfloat(sum, >=, 0.99 * 10 * 20 * MIB);
    g_assert_cmpfloat(sum, <=, 1.01 * 10 * 20 * MIB);
    disarm(ledger, writer);
}

/* Nor does one that now and then is not woken for long; but it makes up for
 * only so much. */
static void test_woken_late(void)
{
    struct quota_writer *writer;
    struct quota_ledger *ledger =
        armed(QUOTA_RATE_WRITE_BYTES, (struct quota_rate) { 20 * MIB, 0, 0 },
              &writer);
    uint64_t begin = SECOND, now = begin, sum = 0, burst = 0, woken;

    while (now < begin + 10 * SECOND) {
        struct quota_request request = { 0 };
        uint64_t wait = quota_queue_enter(writer, &request, true, 65536, now);

        while (wait) {
            now += wait + (g_test_rand_int_range(0, 100) == 0 ? 55 * MS : 0);
            wait = quota_queue_poll(writer, &request, now);
        }
        sum += 65536;
    }
    g_assert_cmpfloat(sum, >=, 0.99 * 10 * 20 * MIB);
    g_assert_cmpfloat(sum, <=, 1.01 * 10 * 20 * MIB);

    /* A minute late. */
    do {
        struct quota_request request = { 0 };
        uint64_t wait = quota_queue_enter(writer, &request, true, 65536, now);

        if (wait) {
            now += 60 * SECOND;
            g_assert_cmpuint(quota_queue_poll(writer, &request, now), ==, 0);
            break;
        }
    } while (true);
    for (woken = now; now == woken; burst += 65536) {
        now = start(writer, true, 65536, now);
    }
    g_assert_cmpfloat(burst, <=, 20.0 * MIB * (TOLERANCE_NS + LATE_NS) / 1e9 +
                      2 * 65536);
    disarm(ledger, writer);
}

static void test_kinds(void)
{
    const struct {
        int kind;
        bool reads, writes;
    } cases[] = {
        { QUOTA_RATE_TOTAL_BYTES, true, true },
        { QUOTA_RATE_READ_BYTES, true, false },
        { QUOTA_RATE_WRITE_BYTES, false, true },
        { QUOTA_RATE_TOTAL_IOPS, true, true },
        { QUOTA_RATE_READ_IOPS, true, false },
        { QUOTA_RATE_WRITE_IOPS, false, true },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        for (int is_write = 0; is_write < 2; is_write++) {
            struct quota_writer *writer;
            struct quota_ledger *ledger =
                armed(cases[i].kind, (struct quota_rate) { 1, 0, 0 }, &writer);
            bool held = is_write ? cases[i].writes : cases[i].reads;

            start(writer, is_write, 1, SECOND);
            g_assert_cmpint(start(writer, is_write, 1, SECOND) > SECOND, ==,
                            held);
            disarm(ledger, writer);
        }
    }
}

/* One request that is larger than any burst waits for its own cost. */
static void test_huge_request_is_not_free(void)
{
    struct quota_writer *writer;
    struct quota_ledger *ledger =
        armed(QUOTA_RATE_TOTAL_BYTES, (struct quota_rate) { MIB, 0, 0 },
              &writer);
    uint64_t begin = start(writer, true, 1, 100 * SECOND);
    uint64_t now = start(writer, true, 10 * MIB, begin);

    g_assert_cmpuint(now - begin, >=, 10 * SECOND - TOLERANCE_NS - 10 * MS);
    g_assert_cmpuint(now - begin, <=, 10 * SECOND);
    disarm(ledger, writer);
}

/* ---- changes ------------------------------------------------------------- */

/* Raised: a request that waits for seconds starts within 100 ms.  Lowered: it
 * waits again.  No change brings credit from before it. */
static void test_live_change(void)
{
    struct quota_writer *writer;
    struct quota_ledger *ledger =
        armed(QUOTA_RATE_TOTAL_BYTES, (struct quota_rate) { 1000, 0, 0 },
              &writer);
    struct quota_request request = { 0 };
    uint64_t now = 10 * SECOND, wait, begin;

    /* 100 seconds at this rate. */
    wait = quota_queue_enter(writer, &request, true, 100000, now);
    g_assert_cmpuint(wait, >, 0);
    publish(ledger, QUOTA_RATE_TOTAL_BYTES, (struct quota_rate) { GIB, 0, 0 });
    begin = now;
    do {
        now += wait;
    } while ((wait = quota_queue_poll(writer, &request, now)));
    g_assert_cmpuint(now - begin, <=, 100 * MS);

    /* Idle for long, then lowered: the idle time brings no credit. */
    now += 1000 * SECOND;
    publish(ledger, QUOTA_RATE_TOTAL_BYTES,
            (struct quota_rate) { 1000, 100000, 10 });
    begin = now;
    for (int i = 0; i < 10; i++) {
        now = start(writer, true, 1000, now);
    }
    g_assert_cmpuint(now - begin, >=, 9 * SECOND - TOLERANCE_NS);

    /* Removed: the queued request starts. */
    wait = quota_queue_enter(writer, &request, true, GIB, now);
    g_assert_cmpuint(wait, >, 0);
    publish(ledger, QUOTA_RATE_TOTAL_BYTES, (struct quota_rate) { 0, 0, 0 });
    g_assert_cmpuint(quota_queue_poll(writer, &request, now + wait), ==, 0);
    g_assert_false(quota_rate_is_armed(writer));

    /* Of the volume alone. */
    quota_volume_publish(ledger, "disk", &(struct quota_limits) {
        .rates[QUOTA_RATE_READ_IOPS].per_sec = 10 }, 0);
    g_assert_true(quota_rate_is_armed(writer));
    begin = now;
    for (int i = 0; i < 11; i++) {
        now = start(writer, false, 1, now);
    }
    g_assert_cmpuint(now - begin, >=, SECOND - TOLERANCE_NS - 100 * MS);
    disarm(ledger, writer);
}

/* Credit that was taken ahead is void after a change. */
static void test_no_saved_up_credit(void)
{
    struct quota_writer *writer;
    struct quota_ledger *ledger =
        armed(QUOTA_RATE_TOTAL_IOPS, (struct quota_rate) { 1000000, 0, 0 },
              &writer);

    start(writer, true, 1, SECOND);
    g_assert_true(quota_credit_take(writer, true, 1));
    publish(ledger, QUOTA_RATE_TOTAL_IOPS, (struct quota_rate) { 1, 0, 0 });
    g_assert_false(quota_credit_take(writer, true, 1));
    disarm(ledger, writer);
}

/* A request that leaves early is debited: the next one waits for it. */
static void test_leaving_is_not_free(void)
{
    struct quota_writer *writer;
    struct quota_ledger *ledger =
        armed(QUOTA_RATE_TOTAL_BYTES, (struct quota_rate) { MIB, 0, 0 },
              &writer);
    struct quota_request request = { 0 };
    uint64_t now = SECOND;

    g_assert_cmpuint(quota_queue_enter(writer, &request, true, 5 * MIB, now), >,
                     0);
    g_assert_cmpuint(quota_queue_ahead_ns(writer, &request, now), <=,
                     TOLERANCE_NS + 10 * MS);
    quota_queue_leave(writer, &request, now);
    quota_queue_leave(writer, &request, now);
    g_assert_cmpuint(quota_queue_ahead_ns(writer, &request, now), >=,
                     5 * SECOND - 10 * MS);
    g_assert_cmpuint(start(writer, true, 1, now) - now, >=,
                     5 * SECOND - TOLERANCE_NS - 10 * MS);
    disarm(ledger, writer);
}

/* A lane's credit does not let a request overtake a queued one. */
static void test_lane_credit_waits(void)
{
    struct quota_rate rate = { .per_sec = GIB };
    struct quota_request request = { 0 };
    struct quota_writer *writer;
    struct quota_ledger *ledger = armed(QUOTA_RATE_TOTAL_BYTES, rate, &writer);
    unsigned lane = quota_lane_of_thread();

    g_assert_cmpuint(start(writer, true, 4096, SECOND), ==, SECOND);
    g_assert_true(quota_credit_take(writer, true, 4096));
    g_assert_cmpuint(quota_load(&writer->lane_credit[lane].packed[true]) &
                     0xffffff, >=, 50 * 4096);
    g_assert_cmpuint(quota_queue_enter(writer, &request, true, GIB, SECOND), >,
                     0);
    g_assert_false(quota_credit_take(writer, true, 4096));
    quota_queue_leave(writer, &request, SECOND);
    g_assert_true(quota_credit_take(writer, true, 4096));
    /* It is not for reads, nor for what is larger. */
    g_assert_false(quota_credit_take(writer, false, 4096));
    g_assert_false(quota_credit_take(writer, true, GIB));
    disarm(ledger, writer);
}

/* As many as ADVANCE_NS of the rate below admits, so that the race is long
 * enough for all threads.  between-each-store proves that no swap is lost. */
#define RACE_REQUESTS 1000000

static struct {
    pthread_barrier_t all_have_lanes;
    quota_u32 taken;
} race;

static gpointer take_all_credit(gpointer data)
{
    unsigned count = 0;

    quota_lane_of_thread();
    pthread_barrier_wait(&race.all_have_lanes);
    while (quota_credit_take(data, true, 1)) {
        count++;
    }
    atomic_fetch_add(&race.taken, count);
    return NULL;
}

/* Threads that take from one writer's credit never take the same; the volume's
 * own rates count like the tenant's. */
static void test_lane_credit_is_shared(void)
{
    const struct quota_limits limits = {
        .rates[QUOTA_RATE_TOTAL_IOPS].per_sec =
            2 * RACE_REQUESTS * (SECOND / ADVANCE_NS),
    };
    struct quota_rate rate = { .per_sec = RACE_REQUESTS *
                                          (SECOND / ADVANCE_NS) };
    struct quota_writer *writer;
    struct quota_ledger *ledger = armed(QUOTA_RATE_TOTAL_IOPS, rate, &writer);
    GThread *threads[2 * QUOTA_LANES];

    g_assert_cmpint(quota_volume_publish(ledger, "disk", &limits, 0), ==, 0);
    g_assert_cmpuint(start(writer, true, 1, SECOND), ==, SECOND);
    pthread_barrier_init(&race.all_have_lanes, NULL, G_N_ELEMENTS(threads));
    for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++) {
        threads[i] = g_thread_new("take", take_all_credit, writer);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++) {
        g_thread_join(threads[i]);
    }
    pthread_barrier_destroy(&race.all_have_lanes);
    /* the first request has had one */
    g_assert_cmpuint(quota_load(&race.taken), ==, RACE_REQUESTS - 1);
    disarm(ledger, writer);
}

static unsigned woken;

static void count_wake(struct quota_request *request)
{
    (void)request;
    woken++;
}

/* The next request in the queue is woken when it is first, and one for which
 * another took the cost when it may start. */
static void test_no_request_is_forgotten(void)
{
    struct quota_writer *writer;
    struct quota_ledger *ledger =
        armed(QUOTA_RATE_TOTAL_IOPS, (struct quota_rate) { 10, 0, 0 }, &writer);
    struct quota_request first = { .wake = count_wake };
    struct quota_request second = { .wake = count_wake };
    struct quota_request third = { .wake = count_wake };
    uint64_t now = SECOND;

    start(writer, true, 1, now);
    g_assert_cmpuint(quota_queue_enter(writer, &first, true, 1, now), >, 0);
    g_assert_cmpuint(quota_queue_enter(writer, &second, true, 1, now), >, 0);
    g_assert_cmpuint(quota_queue_enter(writer, &third, true, 1, now), >, 0);
    g_assert_cmpuint(woken, ==, 0);
    now += 100 * MS;
    /* The first one's thread is stuck: the second takes for it, and is the one
     * whose timer matters now. */
    g_assert_cmpuint(quota_queue_poll(writer, &second, now), <, 100 * MS);
    g_assert_cmpuint(woken, ==, 1);
    g_assert_cmpuint(quota_queue_poll(writer, &first, now), ==, 0);
    now += 100 * MS;
    g_assert_cmpuint(quota_queue_poll(writer, &second, now), ==, 0);
    g_assert_cmpuint(woken, ==, 2);
    g_assert_cmpuint(quota_queue_poll(writer, &third, now + 100 * MS), ==, 0);
    /* Those that only poll are not called. */
    woken = 0;
    first.wake = NULL;
    second.wake = NULL;
    now += SECOND;
    start(writer, true, 1, now);
    g_assert_cmpuint(quota_queue_enter(writer, &first, true, 1, now), >, 0);
    g_assert_cmpuint(quota_queue_enter(writer, &second, true, 1, now), >, 0);
    now += 100 * MS;
    g_assert_cmpuint(quota_queue_poll(writer, &first, now), ==, 0);
    g_assert_cmpuint(quota_queue_enter(writer, &first, true, 1, now), >, 0);
    quota_queue_leave(writer, &second, now);
    g_assert_cmpuint(quota_queue_enter(writer, &second, true, 1, now), >, 0);
    quota_queue_leave(writer, &first, now);
    quota_queue_leave(writer, &second, now);
    g_assert_cmpuint(woken, ==, 0);
    disarm(ledger, writer);
}

static void test_extremes(void)
{
    struct quota_writer *writer;
    struct quota_ledger *ledger =
        armed(QUOTA_RATE_TOTAL_BYTES,
              (struct quota_rate) { 1, INT64_MAX, INT64_MAX }, &writer);
    struct quota_request request = { 0 };

    for (int i = 0; i < 8; i++) {
        quota_queue_enter(writer, &request, true, INT64_MAX, SECOND);
        quota_queue_leave(writer, &request, SECOND);
    }
    /* Saturated, not wrapped round to "now". */
    disarm(ledger, writer);
    ledger = armed(QUOTA_RATE_TOTAL_BYTES, (struct quota_rate) { 1, 0, 0 },
                   &writer);
    for (int i = 0; i < 8; i++) {
        quota_queue_enter(writer, &request, true, INT64_MAX, SECOND);
        quota_queue_leave(writer, &request, SECOND);
    }
    g_assert_cmpuint(quota_queue_ahead_ns(writer, &request, SECOND), >,
                     INT64_MAX / 2);
    disarm(ledger, writer);
}

/* Rates that change while a request waits, the tenant's or the volume's: its
 * cost is that of the new rates. */
static void test_cost_set_anew(void)
{
    struct quota_writer *writer;
    struct quota_ledger *ledger =
        armed(QUOTA_RATE_TOTAL_IOPS, (struct quota_rate) { 1, 0, 0 }, &writer);
    struct quota_request request = { 0 };
    uint64_t now = SECOND;

    start(writer, true, 1, now);
    g_assert_cmpuint(quota_queue_enter(writer, &request, true, 1, now), >, 0);
    quota_volume_publish(ledger, "disk", &(struct quota_limits) {
        .rates[QUOTA_RATE_WRITE_IOPS].per_sec = 1000 }, 0);
    g_assert_cmpuint(quota_queue_poll(writer, &request, now), >, 0);
    publish(ledger, QUOTA_RATE_TOTAL_IOPS, (struct quota_rate) { 0, 0, 0 });
    g_assert_cmpuint(quota_queue_poll(writer, &request, now), ==, 0);
    disarm(ledger, writer);
}

/* How far a request that leaves is ahead: by the rate that is furthest ahead,
 * the sustained or the burst one, without a burst that is still available. */
static void test_ahead(void)
{
    struct quota_writer *writer;
    struct quota_ledger *ledger;
    struct quota_request request = { .is_write = true };
    struct quota_state state = { 0 };
    uint64_t now = SECOND;

    /* no burst length is one second */
    ledger = armed(QUOTA_RATE_TOTAL_BYTES,
                   (struct quota_rate) { 1000, 10000, 0 }, &writer);
    state.limits.rates[QUOTA_RATE_TOTAL_BYTES] =
        (struct quota_rate) { 1000, 10000, 0 };
    state.limits.rates[QUOTA_RATE_WRITE_IOPS].per_sec = 1000;
    quota_state_publish(ledger, &state);
    start(writer, true, 1, now);
    now += 100 * SECOND;        /* the whole burst is available */
    quota_queue_enter(writer, &request, true, 5000, now);
    quota_queue_leave(writer, &request, now);
    /* 5000 of the burst's 10000 bytes: at 10000 a second. */
    g_assert_cmpuint(quota_queue_ahead_ns(writer, &request, now), <=, 500 * MS);
    g_assert_cmpuint(quota_queue_ahead_ns(writer, &request, now), >=, 490 * MS);
    quota_queue_enter(writer, &request, true, 50000, now);
    quota_queue_leave(writer, &request, now);
    /* The burst is used up: 45000 at 1000 a second. */
    g_assert_cmpuint(quota_queue_ahead_ns(writer, &request, now), >=,
                     44 * SECOND);
    disarm(ledger, writer);
}

/* Words that no publisher writes: nothing divides by 0, wraps or hangs. */
static void test_mad_words(void)
{
    struct quota_writer *writer;
    struct quota_ledger *ledger =
        armed(QUOTA_RATE_TOTAL_IOPS, (struct quota_rate) { 10, 0, 0 }, &writer);
    struct quota_request request = { 0 };
    uint64_t now = SECOND;

    start(writer, true, 1, now);
    g_assert_cmpuint(quota_queue_enter(writer, &request, true, 1, now), >, 0);
    atomic_store(&writer->volume->weight, 100000);
    atomic_store(&ledger->file->policy.rates.words[QUOTA_RATE_TOTAL_IOPS]
                 .per_sec, 0);
    g_assert_cmpuint(quota_queue_poll(writer, &request, now + SECOND), ==, 0);
    disarm(ledger, writer);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rate/random-traces", test_random_traces);
    g_test_add_func("/rate/late-timers", test_late_timers);
    g_test_add_func("/rate/woken-late", test_woken_late);
    g_test_add_func("/rate/kinds", test_kinds);
    g_test_add_func("/rate/huge-request", test_huge_request_is_not_free);
    g_test_add_func("/rate/live-change", test_live_change);
    g_test_add_func("/rate/no-saved-up-credit", test_no_saved_up_credit);
    g_test_add_func("/rate/leaving", test_leaving_is_not_free);
    g_test_add_func("/rate/lane-credit-waits", test_lane_credit_waits);
    g_test_add_func("/rate/lane-credit-is-shared", test_lane_credit_is_shared);
    g_test_add_func("/rate/no-request-forgotten", test_no_request_is_forgotten);
    g_test_add_func("/rate/extremes", test_extremes);
    g_test_add_func("/rate/cost-set-anew", test_cost_set_anew);
    g_test_add_func("/rate/ahead", test_ahead);
    g_test_add_func("/rate/mad-words", test_mad_words);
    return g_test_run();
}
