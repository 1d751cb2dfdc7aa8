/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A volume must not pass its own limit, nor what it is refused be taken from
 * its tenant; and what is given back must be free for others at once. */
#include "scratch.h"

#define CHUNK UINT64_C(65536)
#define SECOND UINT64_C(1000000000)

static void limit(struct quota_ledger *ledger, const char *volume,
                  uint64_t bytes)
{
    g_assert_cmpint(quota_volume_publish(ledger, volume,
                                         &(struct quota_limits) {
                                             .limit_bytes = bytes }, 0),
                    ==, 0);
}

static void read_volume(struct quota_ledger *ledger, const char *name,
                        struct quota_volume_usage *usage)
{
    g_assert_cmpint(quota_volume_read(ledger, quota_volume_find(ledger, name),
                                      usage), ==, 0);
}

static uint64_t used(struct quota_ledger *ledger)
{
    struct quota_usage usage;

    quota_usage_read(ledger, &usage);
    return usage.used_bytes;
}

/* A sample in which each volume has @bytes. */
static void sample(struct quota_ledger *ledger, uint64_t bytes,
                   enum quota_reason reason)
{
    struct quota_sample s;

    quota_sample_begin(ledger, &s);
    for (unsigned i = 0; i < s.volumes; i++) {
        s.volume[i].used_bytes = bytes;
    }
    quota_sample_publish(ledger, &s, bytes * s.volumes, quota_clock_ns(),
                         reason);
}

static void test_own_limit(void)
{
    struct quota_ledger *ledger = scratch_ledger("own");
    struct quota_writer *small = scratch_writer(ledger, "small");
    struct quota_writer *second = scratch_writer(ledger, "small");
    struct quota_writer *large = scratch_writer(ledger, "large");
    struct quota_volume_usage usage;

    scratch_publish(ledger, 100 * CHUNK, 0, 100 * CHUNK);
    limit(ledger, "small", 3 * CHUNK);
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    /* Not before the volume itself was sampled. */
    g_assert_cmpint(quota_bytes_reserve(small, CHUNK), ==, -ENOSPC);
    read_volume(ledger, "small", &usage);
    g_assert_false(usage.is_sampled);
    sample(ledger, 0, QUOTA_REASON_NONE);

    g_assert_cmpint(quota_bytes_reserve(small, 2 * CHUNK), ==, 0);
    g_assert_cmpint(quota_bytes_reserve(second, 2 * CHUNK), ==, -ENOSPC);
    g_assert_cmpint(quota_bytes_reserve(second, CHUNK), ==, 0);
    g_assert_cmpint(quota_bytes_reserve(small, 1), ==, -ENOSPC);
    g_assert_cmpuint(used(ledger), ==, 3 * CHUNK);
    g_assert_cmpint(quota_bytes_reserve(large, 97 * CHUNK), ==, 0);
    g_assert_cmpint(quota_bytes_reserve(large, 1), ==, -ENOSPC);

    /* By its writers together. */
    read_volume(ledger, "small", &usage);
    g_assert_true(usage.is_sampled);
    g_assert_cmpuint(usage.limit_bytes, ==, 3 * CHUNK);
    g_assert_cmpuint(usage.used_bytes, ==, 3 * CHUNK);
    g_assert_cmpuint(usage.writers, ==, 2);

    /* What the tenant refuses is not left with the volume. */
    limit(ledger, "small", 0);
    g_assert_cmpint(quota_bytes_reserve(small, CHUNK), ==, -ENOSPC);
    read_volume(ledger, "small", &usage);
    g_assert_cmpuint(usage.used_bytes, ==, 3 * CHUNK);

    quota_bytes_settle(small, 2 * CHUNK);
    quota_bytes_settle(second, CHUNK);
    quota_bytes_settle(large, 97 * CHUNK);
    quota_writer_detach(small);
    quota_writer_detach(second);
    quota_writer_detach(large);
    quota_ledger_close(ledger);
}

/* The volume's limit is said to be the reason, and only on a sample that is
 * newer than the request. */
static void test_reason(void)
{
    struct quota_ledger *ledger = scratch_ledger("reason");
    struct quota_writer *writer = scratch_writer(ledger, "disk0");
    struct quota_admission admission = { 0 };
    struct quota_usage usage;

    scratch_publish(ledger, GIB, 0, GIB);
    limit(ledger, "disk0", 2 * CHUNK);
    sample(ledger, 2 * CHUNK, QUOTA_REASON_NONE);
    g_assert_cmpint(quota_admission_poll(writer, CHUNK, 0, SECOND, &admission),
                    ==, -EAGAIN);
    g_assert_cmpint(quota_admission_poll(writer, CHUNK, 1, SECOND, &admission),
                    ==, -EAGAIN);
    /* Growing the pool would not help it. */
    g_assert_cmpuint(quota_doorbell_demand(ledger), ==, 0);
    sample(ledger, 2 * CHUNK, QUOTA_REASON_NONE);
    g_assert_cmpint(quota_admission_poll(writer, CHUNK, 2, SECOND, &admission),
                    ==, -ENOSPC);
    g_assert_cmpint(admission.reason, ==, QUOTA_REASON_VOLUME_LIMIT);
    g_assert_cmpstr(quota_reason_name(admission.reason), ==, "volume-limit");

    /* A refusal is not for good before the host says so. */
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.refused_writes, ==, 0);
    quota_refusal_count(writer);
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.refused_writes, ==, 1);

    /* Discarded, or raised: there is room again. */
    g_assert_cmpint(quota_admission_poll(writer, CHUNK, 3, SECOND, &admission),
                    ==, -EAGAIN);
    sample(ledger, CHUNK, QUOTA_REASON_NONE);
    g_assert_cmpint(quota_admission_poll(writer, CHUNK, 4, SECOND, &admission),
                    ==, 0);
    g_assert_cmpint(quota_bytes_reserve(writer, CHUNK), ==, -ENOSPC);
    limit(ledger, "disk0", 3 * CHUNK);
    g_assert_cmpint(quota_bytes_reserve(writer, CHUNK), ==, 0);
    quota_bytes_settle(writer, 2 * CHUNK);
    quota_writer_detach(writer);
    quota_ledger_close(ledger);
}

/* Bytes that were never written are free without a sample. */
static void test_returned(void)
{
    struct quota_ledger *ledger = scratch_ledger("returned");
    struct quota_writer *one = scratch_writer(ledger, "one");
    struct quota_writer *two = scratch_writer(ledger, "two");

    scratch_publish(ledger, 4 * CHUNK, 0, 4 * CHUNK);
    sample(ledger, 0, QUOTA_REASON_NONE);
    for (int i = 0; i < 1000; i++) {
        g_assert_cmpint(quota_bytes_reserve(one, 4 * CHUNK), ==, 0);
        g_assert_cmpint(quota_bytes_reserve(two, CHUNK), ==, -ENOSPC);
        quota_bytes_return(one, 3 * CHUNK);
        g_assert_cmpint(quota_bytes_reserve(two, 3 * CHUNK), ==, 0);
        quota_bytes_return(two, 3 * CHUNK);
        quota_bytes_return(one, CHUNK);
    }
    g_assert_cmpuint(used(ledger), ==, 0);
    quota_writer_detach(one);
    quota_writer_detach(two);
    quota_ledger_close(ledger);
}

/* A volume's numbers that contradict each other stop that volume alone. */
static void test_mad_volume(void)
{
    struct quota_ledger *ledger = scratch_ledger("mad");
    struct quota_writer *mad = scratch_writer(ledger, "mad");
    struct quota_writer *sane = scratch_writer(ledger, "sane");
    struct quota_admission admission = { 0 };
    struct quota_volume_usage usage;

    scratch_publish(ledger, GIB, 0, GIB);
    sample(ledger, 0, QUOTA_REASON_NONE);
    atomic_store(&mad->volume->sample.settled_at_sample, CHUNK);
    g_assert_cmpint(quota_bytes_reserve(mad, CHUNK), ==, -EUCLEAN);
    g_assert_cmpint(quota_admission_poll(mad, CHUNK, 0, SECOND, &admission),
                    ==, -EUCLEAN);
    g_assert_cmpint(admission.reason, ==, QUOTA_REASON_ACCOUNTING_LOST);
    g_assert_cmpint(quota_volume_read(ledger, 0, &usage), ==, -EUCLEAN);
    g_assert_cmpint(quota_bytes_reserve(sane, CHUNK), ==, 0);
    quota_bytes_settle(sane, CHUNK);
    quota_writer_detach(mad);
    quota_writer_detach(sane);
    quota_ledger_close(ledger);
}

static gpointer sample_later(gpointer data)
{
    struct quota_ledger *ledger = data;

    g_assert_cmpint(quota_doorbell_wait(ledger, 0, HOUR_NS), ==, 0);
    g_usleep(20000);
    sample(ledger, CHUNK, QUOTA_REASON_TENANT_LIMIT);
    return NULL;
}

/* A thread that waits for its answer is woken by it. */
static void test_wait(void)
{
    struct quota_ledger *ledger = scratch_ledger("wait");
    struct quota_writer *writer = scratch_writer(ledger, "disk0");
    enum quota_reason reason = QUOTA_REASON_NONE;
    struct quota_usage usage;
    GThread *thread;

    scratch_publish(ledger, 2 * CHUNK, 0, 2 * CHUNK);
    sample(ledger, 2 * CHUNK, QUOTA_REASON_NONE);
    thread = g_thread_new("sampler", sample_later, ledger);
    g_assert_cmpint(quota_admission_wait(writer, CHUNK, HOUR_NS, HOUR_NS, &reason),
                    ==, 0);
    g_thread_join(thread);
    quota_bytes_settle(writer, CHUNK);
    /* No sampler answers. */
    g_assert_cmpint(quota_admission_wait(writer, CHUNK, SECOND / 50, HOUR_NS,
                                         &reason),
                    ==, -ENOSPC);
    g_assert_cmpint(reason, ==, QUOTA_REASON_ACCOUNTING_LOST);
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.refused_writes, ==, 1);
    quota_writer_detach(writer);
    quota_ledger_close(ledger);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/volume/own-limit", test_own_limit);
    g_test_add_func("/volume/reason", test_reason);
    g_test_add_func("/volume/returned", test_returned);
    g_test_add_func("/volume/mad", test_mad_volume);
    g_test_add_func("/volume/wait", test_wait);
    return scratch_run();
}
