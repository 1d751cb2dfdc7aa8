/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A volume must not starve beside another of its tenant, whatever their queue
 * depths and request sizes; nor may a share lie idle that somebody wants.
 * Time is simulated. */
#include "sim.h"

static struct quota_ledger *capped(int kind, uint64_t per_sec)
{
    struct quota_ledger *ledger;
    struct quota_state state = { 0 };

    sim_now_ns = SECOND;
    g_assert_cmpint(quota_ledger_new_private("acme", &ledger), ==, 0);
    state.limits.rates[kind].per_sec = per_sec;
    quota_state_publish(ledger, &state);
    return ledger;
}

static void start_all(struct quota_ledger *ledger, struct sim_volume *volumes,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char name[16];

        g_snprintf(name, sizeof(name), "disk%zu", i);
        sim_start(&volumes[i], ledger, name);
    }
}

static void stop_all(struct quota_ledger *ledger, struct sim_volume *volumes,
                     size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sim_stop(&volumes[i]);
    }
    quota_ledger_close(ledger);
}

static double done(const struct sim_volume *volume, int kind)
{
    return kind == QUOTA_RATE_TOTAL_BYTES ? volume->started_bytes
                                          : volume->started_count;
}

/* R. Jain, D. Chiu, W. Hawe, DEC-TR-301, 1984. */
static double jain(const struct sim_volume *volumes, size_t count, int kind)
{
    double sum = 0, squares = 0;

    for (size_t i = 0; i < count; i++) {
        double x = done(&volumes[i], kind);

        sum += x;
        squares += x * x;
    }
    return sum * sum / (count * squares);
}

static double total(const struct sim_volume *volumes, size_t count, int kind)
{
    double sum = 0;

    for (size_t i = 0; i < count; i++) {
        sum += done(&volumes[i], kind);
    }
    return sum;
}

static void forget(struct sim_volume *volumes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        volumes[i].started_bytes = 0;
        volumes[i].started_count = 0;
    }
}

static void check_deep_and_shallow(int kind, uint64_t per_sec)
{
    struct quota_ledger *ledger = capped(kind, per_sec);
    struct sim_volume v[2] = {
        { .depth = 1, .bytes = 4096, .device_ns = 1000, .late_ns = MS },
        { .depth = 64, .bytes = MIB, .device_ns = 1000, .late_ns = MS },
    };

    start_all(ledger, v, 2);
    sim_run(v, 2, sim_now_ns + 2 * SECOND);
    forget(v, 2);
    sim_run(v, 2, sim_now_ns + 10 * SECOND);
    g_test_message("cap %" G_GUINT64_FORMAT ": shares %.4f %.4f, sum %.4f, "
                   "Jain %.4f", per_sec, done(&v[0], kind) / per_sec / 10,
                   done(&v[1], kind) / per_sec / 10,
                   total(v, 2, kind) / per_sec / 10, jain(v, 2, kind));
    g_assert_cmpfloat(jain(v, 2, kind), >=, 0.98);
    g_assert_cmpfloat(total(v, 2, kind), <=, per_sec * 10.1 + MIB);
    g_assert_cmpfloat(total(v, 2, kind), >=, per_sec * 9.9 - MIB);
    stop_all(ledger, v, 2);
}

static void test_deep_and_shallow(void)
{
    for (uint64_t mib = 20; mib <= 1024; mib *= 3) {
        check_deep_and_shallow(QUOTA_RATE_TOTAL_BYTES, mib * MIB);
    }
    for (uint64_t iops = 100; iops <= 100000; iops *= 10) {
        check_deep_and_shallow(QUOTA_RATE_TOTAL_IOPS, iops);
    }
}

/* Many volumes, each different. */
static void check_crowd(int kind, uint64_t per_sec, size_t count)
{
    struct quota_ledger *ledger = capped(kind, per_sec);
    struct sim_volume v[64] = { 0 };
    const uint64_t seconds = 10;

    for (size_t i = 0; i < count; i++) {
        v[i].depth = 1 + i % 4 * 2;
        v[i].bytes = 4096 << i % 5;
        v[i].device_ns = 1000;
        v[i].late_ns = MS;
    }
    start_all(ledger, v, count);
    sim_run(v, count, sim_now_ns + 2 * SECOND);
    forget(v, count);
    sim_run(v, count, sim_now_ns + seconds * SECOND);
    g_test_message("%zu volumes, cap %" G_GUINT64_FORMAT ": sum %.4f, Jain "
                   "%.4f", count, per_sec,
                   total(v, count, kind) / per_sec / seconds,
                   jain(v, count, kind));
    g_assert_cmpfloat(jain(v, count, kind), >=, 0.98);
    g_assert_cmpfloat(total(v, count, kind), <=, per_sec * seconds * 1.01);
    g_assert_cmpfloat(total(v, count, kind), >=, per_sec * seconds * 0.99);
    stop_all(ledger, v, count);
}

static void test_crowd(void)
{
    check_crowd(QUOTA_RATE_TOTAL_BYTES, 50 * MIB, 3);
    check_crowd(QUOTA_RATE_TOTAL_BYTES, 50 * MIB, 16);
    check_crowd(QUOTA_RATE_TOTAL_BYTES, 200 * MIB, 64);
    check_crowd(QUOTA_RATE_TOTAL_IOPS, 1000, 16);
    check_crowd(QUOTA_RATE_TOTAL_IOPS, 20000, 64);
}

/* Who wants less than its share gets that, without waiting long; the others
 * get all the rest. */
static void test_max_min(void)
{
    struct quota_ledger *ledger = capped(QUOTA_RATE_TOTAL_BYTES, 100 * MIB);
    struct sim_volume v[3] = {
        /* 4 KiB each 2 ms: 2 MiB/s */
        { .depth = 1, .bytes = 4096, .device_ns = 2 * MS },
        { .depth = 16, .bytes = 65536, .device_ns = 1000, .late_ns = MS },
        { .depth = 64, .bytes = MIB, .device_ns = 1000, .late_ns = MS },
    };

    start_all(ledger, v, 3);
    sim_run(v, 3, sim_now_ns + 2 * SECOND);
    forget(v, 3);
    sim_run(v, 3, sim_now_ns + 10 * SECOND);
    g_test_message("modest %.4f of what it wants, others %.4f %.4f of the rest",
                   v[0].started_bytes / (4096.0 * 500 * 10),
                   v[1].started_bytes / (49.0 * MIB * 10),
                   v[2].started_bytes / (49.0 * MIB * 10));
    g_assert_cmpfloat(v[0].started_bytes, >=, 0.95 * 4096 * 500 * 10);
    g_assert_cmpfloat(v[1].started_bytes, >=, 0.9 * 49 * MIB * 10);
    g_assert_cmpfloat(v[2].started_bytes, >=, 0.9 * 49 * MIB * 10);
    g_assert_cmpfloat(total(v, 3, QUOTA_RATE_TOTAL_BYTES), >=, 990.0 * MIB);
    stop_all(ledger, v, 3);
}

/* An idle volume's share is lent at once, and taken back within 100 ms. */
static void test_lent_and_taken_back(void)
{
    struct quota_ledger *ledger = capped(QUOTA_RATE_TOTAL_BYTES, 100 * MIB);
    struct sim_volume v[2] = {
        { .depth = 8, .bytes = 65536, .device_ns = 1000,
          .from_ns = 4 * SECOND, .until_ns = 6 * SECOND, .late_ns = MS },
        { .depth = 64, .bytes = 262144, .device_ns = 1000, .late_ns = MS },
    };

    start_all(ledger, v, 2);
    sim_run(v, 2, 2 * SECOND);
    forget(v, 2);
    sim_run(v, 2, 4 * SECOND);
    g_assert_cmpfloat(v[1].started_bytes, >=, 0.99 * 200 * MIB);
    /* 100 ms to take it back; then half of each. */
    sim_run(v, 2, 4 * SECOND + 100 * MS);
    g_assert_cmpfloat(v[0].started_bytes, >, 0);
    forget(v, 2);
    sim_run(v, 2, 5 * SECOND + 100 * MS);
    g_test_message("taken back: %.4f %.4f", v[0].started_bytes / (50.0 * MIB),
                   v[1].started_bytes / (50.0 * MIB));
    g_assert_cmpfloat(v[0].started_bytes, >=, 0.95 * 50 * MIB);
    g_assert_cmpfloat(v[1].started_bytes, >=, 0.95 * 50 * MIB);
    /* And lent again, at once. */
    sim_run(v, 2, 6 * SECOND + 10 * MS);
    forget(v, 2);
    sim_run(v, 2, 7 * SECOND);
    g_test_message("lent again: %.4f", v[1].started_bytes / (99.0 * MIB));
    g_assert_cmpfloat(v[1].started_bytes, >=, 0.97 * 99 * MIB);
    stop_all(ledger, v, 2);
}

static void test_weights(void)
{
    struct quota_ledger *ledger = capped(QUOTA_RATE_TOTAL_BYTES, 100 * MIB);
    struct quota_limits none = { 0 };
    struct sim_volume v[2] = {
        { .depth = 4, .bytes = 65536, .device_ns = 1000, .late_ns = MS },
        { .depth = 64, .bytes = 262144, .device_ns = 1000, .late_ns = MS },
    };

    g_assert_cmpint(quota_volume_publish(ledger, "disk0", &none, 300), ==, 0);
    start_all(ledger, v, 2);
    sim_run(v, 2, sim_now_ns + SECOND);
    forget(v, 2);
    sim_run(v, 2, sim_now_ns + 10 * SECOND);
    g_test_message("weights 3 to 1: %.4f to 1",
                   (double)v[0].started_bytes / v[1].started_bytes);
    g_assert_cmpfloat(v[0].started_bytes, >=, 2.8 * v[1].started_bytes);
    g_assert_cmpfloat(v[0].started_bytes, <=, 3.2 * v[1].started_bytes);
    stop_all(ledger, v, 2);
}

/* A volume's own cap, under the tenant's: held, and what it leaves is used. */
static void test_volume_cap(void)
{
    struct quota_ledger *ledger = capped(QUOTA_RATE_TOTAL_BYTES, 100 * MIB);
    struct quota_limits own = { 0 };
    struct sim_volume v[2] = {
        { .depth = 64, .bytes = 262144, .device_ns = 1000, .late_ns = MS },
        { .depth = 4, .bytes = 65536, .device_ns = 1000, .late_ns = MS },
    };

    own.rates[QUOTA_RATE_WRITE_BYTES].per_sec = 10 * MIB;
    g_assert_cmpint(quota_volume_publish(ledger, "disk0", &own, 0), ==, 0);
    start_all(ledger, v, 2);
    sim_run(v, 2, sim_now_ns + SECOND);
    forget(v, 2);
    sim_run(v, 2, sim_now_ns + 10 * SECOND);
    g_test_message("capped %.4f, other %.4f", v[0].started_bytes /
                   (100.0 * MIB), v[1].started_bytes / (900.0 * MIB));
    g_assert_cmpfloat(v[0].started_bytes, >=, 0.99 * 100 * MIB);
    g_assert_cmpfloat(v[0].started_bytes, <=, 1.01 * 100 * MIB);
    g_assert_cmpfloat(v[1].started_bytes, >=, 0.99 * 900 * MIB);
    stop_all(ledger, v, 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rate/deep-and-shallow", test_deep_and_shallow);
    g_test_add_func("/rate/crowd", test_crowd);
    g_test_add_func("/rate/max-min", test_max_min);
    g_test_add_func("/rate/lent-and-taken-back", test_lent_and_taken_back);
    g_test_add_func("/rate/weights", test_weights);
    g_test_add_func("/rate/volume-cap", test_volume_cap);
    return g_test_run();
}
