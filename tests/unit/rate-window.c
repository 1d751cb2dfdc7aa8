/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* In no window may more pass than the rate and the burst allow, and a change
 * must take effect at once and bring no saved-up credit.  Time is simulated. */
#include "scratch.h"

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)
#define TOLERANCE_NS (25 * MS)  /* rate.c */

static struct quota_ledger *armed(int kind, struct quota_rate rate)
{
    struct quota_ledger *ledger;
    struct quota_state state = { 0 };

    g_assert_cmpint(quota_ledger_new_private("acme", &ledger), ==, 0);
    g_assert_false(quota_rate_is_armed(ledger));
    state.limits.rates[kind] = rate;
    quota_state_publish(ledger, &state);
    g_assert_true(quota_rate_is_armed(ledger));
    return ledger;
}

/* Sleep as a filter does; returns when the request starts. */
static uint64_t start(struct quota_ledger *ledger, bool is_write,
                      uint64_t bytes, uint64_t now)
{
    struct quota_payment payment;
    uint64_t wait;

    quota_rate_pay(ledger, &payment, is_write, bytes, now);
    while ((wait = quota_rate_wait_ns(ledger, &payment, now)) > 0) {
        g_assert_cmpuint(wait, <=, 50 * MS);
        now += wait;
    }
    return now;
}

struct trace {
    uint64_t at, units;
};

/* Every window [i, j] of a trace against rate x window + burst.  All bytes of
 * a request count as passed when it starts, those of the first one in a window
 * too, though it paid for them with waiting time before the window. */
static void check_windows(const GArray *trace, double rate, double burst)
{
    for (guint i = 0; i < trace->len; i++) {
        double sum = 0;

        for (guint j = i; j < trace->len; j++) {
            const struct trace *a = &g_array_index(trace, struct trace, i);
            const struct trace *b = &g_array_index(trace, struct trace, j);

            sum += b->units;
            g_assert_cmpfloat(sum, <=, rate * (b->at - a->at) / 1e9 + burst +
                              a->units);
        }
    }
}

static gint by_start(gconstpointer a, gconstpointer b)
{
    const struct trace *x = a, *y = b;

    return x->at < y->at ? -1 : x->at > y->at;
}

static void test_random_traces(void)
{
    for (int round = 0; round < 40; round++) {
        uint64_t per_sec = 1000 + g_test_rand_int_range(0, 100000000);
        bool bursts = round & 1;
        struct quota_rate rate = {
            .per_sec = per_sec,
            .max_per_sec = bursts ? per_sec * 3 : 0,
            .max_length_sec = bursts ? 2 : 0,
        };
        struct quota_ledger *ledger = armed(QUOTA_RATE_TOTAL_BYTES, rate);
        GArray *trace = g_array_new(FALSE, FALSE, sizeof(struct trace));
        uint64_t now = SECOND;

        for (int i = 0; i < 300; i++) {
            struct trace t = {
                .units = g_test_rand_int_range(1, 200000),
            };

            if (g_test_rand_int_range(0, 3) == 0) {
                now += g_test_rand_int_range(0, 400) * MS;
            }
            t.at = start(ledger, i & 1, t.units, now);
            g_array_append_val(trace, t);
        }
        g_array_sort(trace, by_start);
        check_windows(trace, per_sec,
                      bursts ? per_sec * 6.0 : per_sec * 0.025);
        if (bursts) {
            check_windows(trace, per_sec * 3.0, per_sec * 3 * 0.025);
        }
        g_array_free(trace, TRUE);
        quota_ledger_close(ledger);
    }
}

/* A depth-1 writer whose timer is late all the time loses nothing. */
static void test_late_timers(void)
{
    struct quota_ledger *ledger =
        armed(QUOTA_RATE_WRITE_BYTES, (struct quota_rate) { 20 * MIB, 0, 0 });
    uint64_t begin = SECOND, now = begin, sum = 0;

    while (now < begin + 10 * SECOND) {
        now = start(ledger, true, 65536, now);
        sum += 65536;
        now += 3 * MS;
    }
    g_assert_cmpfloat(sum, >=, 0.99 * 10 * 20 * MIB);
    g_assert_cmpfloat(sum, <=, 1.01 * 10 * 20 * MIB);
    quota_ledger_close(ledger);
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
            struct quota_ledger *ledger =
                armed(cases[i].kind, (struct quota_rate) { 1, 0, 0 });
            bool waits = start(ledger, is_write, 1, SECOND) > SECOND;

            g_assert_true(waits == (is_write ? cases[i].writes
                                             : cases[i].reads));
            quota_ledger_close(ledger);
        }
    }
}

static void test_huge_request_is_not_free(void)
{
    struct quota_ledger *ledger =
        armed(QUOTA_RATE_TOTAL_BYTES, (struct quota_rate) { MIB, 0, 0 });

    g_assert_cmpuint(start(ledger, true, 100 * MIB, SECOND), >=, 100 * SECOND);
    quota_ledger_close(ledger);
}

static void test_live_change(void)
{
    struct quota_ledger *ledger =
        armed(QUOTA_RATE_TOTAL_BYTES, (struct quota_rate) { 1000, 0, 0 });
    struct quota_state state;
    struct quota_payment payment;
    uint64_t now = 100 * SECOND;

    /* 1 MB at 1 kB/s waits for a thousand seconds; the raise ends that. */
    quota_rate_pay(ledger, &payment, true, 1000000, now);
    g_assert_cmpuint(quota_rate_wait_ns(ledger, &payment, now), ==, 50 * MS);
    quota_state_read(ledger, &state);
    state.limits.rates[QUOTA_RATE_TOTAL_BYTES].per_sec = 10000000;
    quota_state_publish(ledger, &state);
    now += 50 * MS;
    g_assert_cmpuint(quota_rate_wait_ns(ledger, &payment, now), ==, 50 * MS);
    now += 100 * MS;
    g_assert_cmpuint(quota_rate_wait_ns(ledger, &payment, now), ==, 0);

    /* Lowered after a long idle time: no credit was saved up. */
    now += 1000 * SECOND;
    state.limits.rates[QUOTA_RATE_TOTAL_BYTES].per_sec = 1000;
    quota_state_publish(ledger, &state);
    g_assert_cmpuint(start(ledger, true, 1000, now), >=, now + SECOND);

    /* The same again is no change, and voids nothing. */
    quota_rate_pay(ledger, &payment, true, 1000, now);
    quota_state_publish(ledger, &state);
    g_assert_cmpuint(quota_rate_wait_ns(ledger, &payment, now), >, 0);
    g_assert_cmpuint(payment.start_ns, >=, now + 2 * SECOND - TOLERANCE_NS);

    /* Taken away: who waits goes. */
    state.limits.rates[QUOTA_RATE_TOTAL_BYTES].per_sec = 0;
    quota_state_publish(ledger, &state);
    g_assert_false(quota_rate_is_armed(ledger));
    g_assert_cmpuint(quota_rate_wait_ns(ledger, &payment, now), ==, 0);
    quota_ledger_close(ledger);
}

static void test_extremes(void)
{
    struct quota_ledger *ledger =
        armed(QUOTA_RATE_TOTAL_BYTES,
              (struct quota_rate) { 1, INT64_MAX, INT64_MAX });
    struct quota_payment payment;

    for (int i = 0; i < 8; i++) {
        quota_rate_pay(ledger, &payment, true, INT64_MAX, SECOND);
    }
    /* Saturated, not wrapped round to "now". */
    quota_ledger_close(ledger);
    ledger = armed(QUOTA_RATE_TOTAL_BYTES, (struct quota_rate) { 1, 0, 0 });
    for (int i = 0; i < 8; i++) {
        quota_rate_pay(ledger, &payment, true, INT64_MAX, SECOND);
    }
    g_assert_cmpuint(payment.start_ns, >, INT64_MAX / 2);
    quota_ledger_close(ledger);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rate/random-traces", test_random_traces);
    g_test_add_func("/rate/late-timers", test_late_timers);
    g_test_add_func("/rate/kinds", test_kinds);
    g_test_add_func("/rate/huge-request", test_huge_request_is_not_free);
    g_test_add_func("/rate/live-change", test_live_change);
    g_test_add_func("/rate/extremes", test_extremes);
    return g_test_run();
}
