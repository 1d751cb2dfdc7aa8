/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Threads of one process, such as QEMU's iothreads, must not corrupt a ledger
 * or a writer, whatever they call at once.  Sums are checked at the end;
 * ThreadSanitizer (tests/sanitizers) detects data races. */
#include "scratch.h"
#include "volume.h"

#define CHUNK UINT64_C(65536)
#define MS UINT64_C(1000000)
#define WRITING 3
#define ROUNDS 400              /* of each thread, at least */

static struct quota_ledger *ledger;
static quota_u32 behind;        /* threads with fewer rounds */
static quota_u64 written;       /* what the kernel has */

static bool is_over(void)
{
    return quota_load(&behind) == 0;
}

/* Once a round: until every thread has had its rounds, however slow it is. */
static bool go_on(void)
{
    static _Thread_local unsigned rounds;

    if (rounds++ == ROUNDS) {
        atomic_fetch_sub(&behind, 1);
    }
    return !is_over();
}

static gpointer write_bytes(gpointer data)
{
    struct quota_writer *writer = data;

    while (go_on()) {
        enum quota_reason reason;
        unsigned lane;

        g_assert_cmpint(quota_bytes_reserve(writer, CHUNK), ==, 0);
        g_assert_cmpint(quota_bytes_reserve(writer, 3 * CHUNK), ==, 0);
        quota_bytes_return(writer, CHUNK);
        quota_add(&written, 3 * CHUNK);
        quota_bytes_settle(writer, 3 * CHUNK);
        g_assert_cmpint(quota_admission_wait(writer, 400 * GIB, 20 * MS, HOUR_NS,
                                             &reason), ==, -ENOSPC);
        if (quota_epoch_enter(writer, &lane) == quota_epoch_read(writer)) {
            quota_add(&written, 1);
        }
        quota_epoch_leave(writer, lane);
    }
    return NULL;
}

static void nothing(struct quota_request *request)
{
    (void)request;
}

static gpointer take_throughput(gpointer data)
{
    struct quota_writer *writer = data;

    for (unsigned i = 0; go_on(); i++) {
        struct quota_request request = { .wake = nothing };
        bool is_write = i % 2;

        if (!quota_rate_is_armed(writer) ||
            quota_credit_take(writer, is_write, 4096)) {
            continue;
        }
        for (uint64_t wait_ns = quota_queue_enter(writer, &request, is_write,
                                                  4096, quota_clock_ns());
             wait_ns; wait_ns = quota_queue_poll(writer, &request,
                                                 quota_clock_ns())) {
            if (i % 8 == 0 || is_over()) {
                break;
            }
            g_usleep(100);
        }
        quota_queue_ahead_ns(writer, &request, quota_clock_ns());
        quota_queue_leave(writer, &request, quota_clock_ns());
    }
    return NULL;
}

/* Volumes come and go, and leave their slots to others. */
static gpointer attach(gpointer data)
{
    const char *prefix = data;

    for (unsigned i = 0; go_on(); i++) {
        struct quota_writer *writer;
        char name[32];

        g_snprintf(name, sizeof(name), "%s-%u", prefix, i % 7);
        writer = scratch_writer(ledger, name);
        g_assert_cmpint(quota_bytes_reserve(writer, 5 * CHUNK), ==, 0);
        quota_bytes_return(writer, 5 * CHUNK);
        quota_writer_detach(writer);
    }
    return NULL;
}

static gpointer sample(gpointer data)
{
    (void)data;
    while (go_on()) {
        struct quota_sample s;

        quota_volume_tidy(ledger);
        quota_sample_begin(ledger, &s);
        for (unsigned i = 0; i < s.volumes; i++) {
            s.volume[i].used_bytes = CHUNK;
        }
        quota_sample_publish(ledger, &s, quota_load(&written),
                             quota_clock_ns(), QUOTA_REASON_TENANT_LIMIT);
        quota_doorbell_demand(ledger);
        quota_doorbell_wait(ledger, s.doorbell, MS);
    }
    return NULL;
}

static gpointer publish(gpointer data)
{
    (void)data;
    for (unsigned i = 0; go_on(); i++) {
        struct quota_state state = {
            .limits.limit_bytes = 300 * GIB,
            .limits.rates[QUOTA_RATE_TOTAL_BYTES] = {
                (1 + i % 2) * GIB, 4 * GIB, 1 },
            .grant_bytes = (300 - i % 2) * GIB,
        };
        const struct quota_limits limits = {
            .limit_bytes = i % 2 * 300 * GIB,
            .rates[QUOTA_RATE_WRITE_IOPS].per_sec = i % 3 * 100000,
        };

        int ret;

        /* -EBUSY: the holder of the attach lock waits for a processor */
        while ((ret = quota_volume_publish(ledger, "limited", &limits,
                                           i % 5 * 10)) == -EBUSY) {
        }
        g_assert_cmpint(ret, ==, 0);
        while ((ret = quota_epoch_begin(ledger, "disk")) == -EBUSY) {
        }
        g_assert_cmpint(ret, ==, 0);
        quota_epoch_wait(ledger, "disk", MS);
        g_assert_cmpint(quota_epoch_end(ledger, "disk"), ==, 0);
        quota_state_publish(ledger, &state);
    }
    return NULL;
}

static gpointer read_all(gpointer data)
{
    (void)data;
    while (go_on()) {
        struct quota_volume_usage volume;
        struct quota_usage usage;
        struct quota_state state;
        int ret;

        quota_usage_read(ledger, &usage);
        g_assert_cmpint(usage.reason, !=, QUOTA_REASON_ACCOUNTING_LOST);
        quota_state_read(ledger, &state);
        for (unsigned i = 0;
             (ret = quota_volume_read(ledger, i, &volume)) != -ENOENT; i++) {
            g_assert_cmpint(ret, !=, -EUCLEAN);
        }
        quota_volume_find(ledger, "nobody");
        quota_writer_count(ledger);
    }
    return NULL;
}

static void test_all_at_once(void)
{
    struct quota_writer *writer;
    struct quota_usage usage;
    GThread *threads[2 * WRITING + 5];
    unsigned n = 0;

    ledger = scratch_ledger("acme");
    writer = scratch_writer(ledger, "disk");
    scratch_publish(ledger, 300 * GIB, 0, 300 * GIB);
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    quota_store(&behind, G_N_ELEMENTS(threads));
    for (int i = 0; i < WRITING; i++) {
        threads[n++] = g_thread_new("bytes", write_bytes, writer);
        threads[n++] = g_thread_new("throughput", take_throughput, writer);
    }
    threads[n++] = g_thread_new("attach", attach, (char *)"one");
    threads[n++] = g_thread_new("attach", attach, (char *)"two");
    threads[n++] = g_thread_new("sample", sample, NULL);
    threads[n++] = g_thread_new("publish", publish, NULL);
    threads[n++] = g_thread_new("read", read_all, NULL);
    g_assert_cmpuint(n, ==, G_N_ELEMENTS(threads));
    while (n) {
        g_thread_join(threads[--n]);
    }

    scratch_sample(ledger, written, QUOTA_REASON_NONE);
    quota_usage_read(ledger, &usage);
    g_assert_cmpint(usage.reason, ==, QUOTA_REASON_NONE);
    g_assert_cmpuint(usage.unsampled_bytes, ==, 0);
    quota_writer_detach(writer);
    g_assert_cmpuint(quota_writer_count(ledger), ==, 0);
    quota_ledger_close(ledger);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/threads/all-at-once", test_all_at_once);
    return scratch_run();
}
