/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The hot path of a writer must not store to a cache line that another process
 * uses, or all writers of a tenant wait for each other. */
#include "scratch.h"
#include "stores.h"

#ifdef HAVE_STORES

#define CHUNK UINT64_C(65536)

static struct quota_ledger *ledger;
static struct quota_writer *writer;

static void start(const char *tenant)
{
    struct quota_state state = {
        .limits.limit_bytes = 100 * GIB,
        .grant_bytes = 100 * GIB,
        .chunk_bytes = CHUNK,
    };

    state.limits.rates[QUOTA_RATE_TOTAL_BYTES].per_sec = 100 * GIB;
    state.limits.rates[QUOTA_RATE_TOTAL_IOPS].per_sec = 1000000;
    ledger = scratch_ledger(tenant);
    quota_state_publish(ledger, &state);
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    writer = scratch_writer(ledger, "disk0");
}

/* There were so many stores, all to one line. */
static void finish(unsigned stores, const void *line)
{
    size_t own = (const char *)line - (char *)ledger->file;

    stores_end();
    g_assert_cmpuint(stores_seen, ==, stores);
    for (unsigned i = 0; i < stores; i++) {
        g_assert_cmpuint(stores_at[i] / QUOTA_LINE_BYTES, ==,
                         own / QUOTA_LINE_BYTES);
    }
    quota_writer_detach(writer);
    quota_ledger_close(ledger);
}

static void test_charged_write(void)
{
    unsigned lane;

    start("charged");
    stores_begin(ledger, 0);
    quota_epoch_enter(writer, &lane);
    quota_epoch_leave(writer, lane);
    finish(2, &writer->words->lanes[lane]);
}

static void test_leased_write(void)
{
    start("leased");
    g_assert_cmpint(quota_bytes_reserve(writer, CHUNK), ==, 0);
    quota_bytes_settle(writer, CHUNK);
    stores_begin(ledger, 0);
    if (quota_bytes_reserve(writer, CHUNK) == 0) {
        quota_bytes_settle(writer, CHUNK);
    }
    finish(2, writer->words);
}

/* Credit that was taken ahead is in the writer's own memory. */
static void test_rate(void)
{
    struct quota_request request = { 0 };
    bool is_taken;

    start("rate");
    g_assert_cmpuint(quota_queue_enter(writer, &request, true, 4096, 1000), ==,
                     0);
    stores_begin(ledger, 0);
    is_taken = quota_credit_take(writer, true, 4096);
    finish(0, writer->words);
    g_assert_true(is_taken);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hot-path/charged-write", test_charged_write);
    g_test_add_func("/hot-path/leased-write", test_leased_write);
    g_test_add_func("/hot-path/rate", test_rate);
    return scratch_run();
}

#else

int main(void)
{
    puts("1..0 # SKIP single-stepping is done for x86-64 only");
    return 0;
}

#endif
