/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the ledger calls used must never be less than what was written, and a
 * refusal be final only on a sample that is newer than the request. */
#include "scratch.h"

#define CHUNK UINT64_C(65536)
#define SECOND UINT64_C(1000000000)

static void test_nothing_before_first_sample(void)
{
    struct quota_ledger *ledger = scratch_ledger("first");
    int slot = quota_slot_attach(ledger, "disk0");
    struct quota_usage usage;

    scratch_publish(ledger, GIB, 0, GIB);
    g_assert_cmpint(quota_bytes_reserve(ledger, slot, CHUNK), ==, -ENOSPC);
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    g_assert_cmpint(quota_bytes_reserve(ledger, slot, CHUNK), ==, 0);
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.unsampled_bytes, ==, CHUNK);
    quota_bytes_settle(ledger, slot, CHUNK);
    quota_slot_detach(ledger, slot);
    quota_ledger_close(ledger);
}

/* A write that settles between the sampler's two readings is in the kernel's
 * number and still counted as unsampled: over, not under. */
static void test_settled_while_sampling(void)
{
    struct quota_ledger *ledger = scratch_ledger("between");
    int slot = quota_slot_attach(ledger, "disk0");
    struct quota_sample sample;
    struct quota_usage usage;
    uint64_t truth = 0;

    scratch_publish(ledger, GIB, 10 * MIB, GIB);
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);

    g_assert_cmpint(quota_bytes_reserve(ledger, slot, 4 * CHUNK), ==, 0);
    quota_sample_begin(ledger, &sample);
    truth += 4 * CHUNK;
    quota_bytes_settle(ledger, slot, 4 * CHUNK);
    quota_sample_publish(ledger, &sample, truth, quota_clock_ns(),
                         QUOTA_REASON_NONE);
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.used_bytes, ==, 10 * MIB + 8 * CHUNK);

    scratch_sample(ledger, truth, QUOTA_REASON_NONE);
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.used_bytes, ==, 10 * MIB + truth);
    quota_slot_detach(ledger, slot);
    quota_ledger_close(ledger);
}

/* The smaller of what the limit and what the grant leaves is what is given. */
static void test_room(void)
{
    struct quota_ledger *ledger = scratch_ledger("room");
    int slot = quota_slot_attach(ledger, "disk0");

    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    scratch_publish(ledger, 100 * CHUNK, 60 * CHUNK, 30 * CHUNK);
    g_assert_cmpint(quota_bytes_reserve(ledger, slot, 31 * CHUNK), ==, -ENOSPC);
    g_assert_cmpint(quota_bytes_reserve(ledger, slot, 30 * CHUNK), ==, 0);
    scratch_publish(ledger, 100 * CHUNK, 60 * CHUNK, 99 * CHUNK);
    g_assert_cmpint(quota_bytes_reserve(ledger, slot, 11 * CHUNK), ==, -ENOSPC);
    g_assert_cmpint(quota_bytes_reserve(ledger, slot, 10 * CHUNK), ==, 0);
    quota_bytes_settle(ledger, slot, 40 * CHUNK);
    /* Lowered below what is used: over limit, nothing new, no wrap-around. */
    scratch_publish(ledger, CHUNK, 60 * CHUNK, 99 * CHUNK);
    g_assert_cmpint(quota_bytes_reserve(ledger, slot, 1), ==, -ENOSPC);
    quota_slot_detach(ledger, slot);
    quota_ledger_close(ledger);
}

static void test_refusal_needs_a_newer_sample(void)
{
    struct quota_ledger *ledger = scratch_ledger("refusal");
    int slot = quota_slot_attach(ledger, "disk0");
    struct quota_admission admission = { 0 };
    struct quota_sample old;
    struct quota_usage usage;

    scratch_publish(ledger, GIB, 0, 2 * CHUNK);
    scratch_sample(ledger, 2 * CHUNK, QUOTA_REASON_TENANT_LIMIT);

    /* This sample began before the request: its answer is not for it. */
    quota_sample_begin(ledger, &old);
    g_assert_cmpint(quota_admission_poll(ledger, slot, CHUNK, 0, SECOND,
                                         &admission), ==, -EAGAIN);
    quota_sample_publish(ledger, &old, 2 * CHUNK, 1, QUOTA_REASON_TENANT_LIMIT);
    g_assert_cmpint(quota_admission_poll(ledger, slot, CHUNK, 1, SECOND,
                                         &admission), ==, -EAGAIN);
    g_assert_cmpuint(quota_doorbell_demand(ledger), ==, CHUNK);
    g_assert_cmpuint(quota_doorbell_demand(ledger), ==, 0);

    /* Room is being made: wait on, ring anew. */
    scratch_sample(ledger, 2 * CHUNK, QUOTA_REASON_NONE);
    g_assert_cmpint(quota_admission_poll(ledger, slot, CHUNK, 2, SECOND,
                                         &admission), ==, -EAGAIN);
    scratch_publish(ledger, GIB, 0, 3 * CHUNK);
    g_assert_cmpint(quota_admission_poll(ledger, slot, CHUNK, 3, SECOND,
                                         &admission), ==, 0);

    /* No room: the sampler says why. */
    quota_bytes_settle(ledger, slot, CHUNK);
    g_assert_cmpint(quota_admission_poll(ledger, slot, CHUNK, 4, SECOND,
                                         &admission), ==, -EAGAIN);
    scratch_sample(ledger, 3 * CHUNK, QUOTA_REASON_GROUP_FULL);
    g_assert_cmpint(quota_admission_poll(ledger, slot, CHUNK, 5, SECOND,
                                         &admission), ==, -ENOSPC);
    g_assert_cmpint(admission.reason, ==, QUOTA_REASON_GROUP_FULL);

    /* Nobody answers: patience ends. */
    g_assert_cmpint(quota_admission_poll(ledger, slot, CHUNK, 6, SECOND,
                                         &admission), ==, -EAGAIN);
    g_assert_cmpint(quota_admission_poll(ledger, slot, CHUNK, 5 + SECOND,
                                         SECOND, &admission), ==, -EAGAIN);
    g_assert_cmpint(quota_admission_poll(ledger, slot, CHUNK, 6 + SECOND,
                                         SECOND, &admission), ==, -ENOSPC);
    g_assert_cmpint(admission.reason, ==, QUOTA_REASON_ACCOUNTING_LOST);
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.refused_total, ==, 2);
    quota_slot_detach(ledger, slot);
    quota_ledger_close(ledger);
}

/* What is in flight may turn out to need no room: no refusal before that is
 * known, or patience ends. */
static void test_in_flight_refuses_nobody(void)
{
    struct quota_ledger *ledger = scratch_ledger("in-flight");
    int slot = quota_slot_attach(ledger, "disk0");
    struct quota_admission admission = { 0 }, late = { 0 };

    scratch_publish(ledger, 2 * CHUNK, 0, 2 * CHUNK);
    scratch_sample(ledger, CHUNK, QUOTA_REASON_NONE);
    g_assert_cmpint(quota_bytes_reserve(ledger, slot, CHUNK), ==, 0);
    for (int i = 0; i < 5; i++) {
        g_assert_cmpint(quota_admission_poll(ledger, slot, CHUNK, i, SECOND,
                                             &admission), ==, -EAGAIN);
        scratch_sample(ledger, CHUNK, QUOTA_REASON_TENANT_LIMIT);
    }
    /* More than there would be room for in any case. */
    g_assert_cmpint(quota_admission_poll(ledger, slot, 2 * CHUNK, 0, SECOND,
                                         &late), ==, -EAGAIN);
    scratch_sample(ledger, CHUNK, QUOTA_REASON_TENANT_LIMIT);
    g_assert_cmpint(quota_admission_poll(ledger, slot, 2 * CHUNK, 1, SECOND,
                                         &late), ==, -ENOSPC);

    g_assert_cmpint(quota_admission_poll(ledger, slot, CHUNK, SECOND - 1,
                                         SECOND, &admission), ==, -EAGAIN);
    scratch_sample(ledger, CHUNK, QUOTA_REASON_TENANT_LIMIT);
    g_assert_cmpint(quota_admission_poll(ledger, slot, CHUNK, SECOND, SECOND,
                                         &admission), ==, -ENOSPC);
    g_assert_cmpint(admission.reason, ==, QUOTA_REASON_TENANT_LIMIT);

    /* It was an overwrite: the sample after it has the room. */
    g_assert_cmpint(quota_admission_poll(ledger, slot, CHUNK, 0, SECOND,
                                         &admission), ==, -EAGAIN);
    quota_bytes_settle(ledger, slot, CHUNK);
    scratch_sample(ledger, CHUNK, QUOTA_REASON_TENANT_LIMIT);
    g_assert_cmpint(quota_admission_poll(ledger, slot, CHUNK, 1, SECOND,
                                         &admission), ==, 0);
    quota_bytes_settle(ledger, slot, CHUNK);
    quota_slot_detach(ledger, slot);
    quota_ledger_close(ledger);
}

/* Words that contradict each other: nothing is admitted, nothing wraps. */
static void test_mad_ledger(void)
{
    struct quota_ledger *ledger = scratch_ledger("mad");
    int slot = quota_slot_attach(ledger, "disk0");
    struct quota_admission admission = { 0 };
    struct quota_usage usage;

    scratch_publish(ledger, GIB, 0, GIB);
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    atomic_store(&ledger->file->sample.settled_at_sample, CHUNK);
    g_assert_cmpint(quota_bytes_reserve(ledger, slot, CHUNK), ==, -EUCLEAN);
    g_assert_cmpint(quota_admission_poll(ledger, slot, CHUNK, 0, SECOND,
                                         &admission), ==, -EUCLEAN);
    g_assert_cmpint(admission.reason, ==, QUOTA_REASON_ACCOUNTING_LOST);
    quota_usage_read(ledger, &usage);
    g_assert_cmpint(usage.reason, ==, QUOTA_REASON_ACCOUNTING_LOST);

    atomic_store(&ledger->file->sample.settled_at_sample, 0);
    atomic_store(&ledger->file->counters.reserved_bytes, UINT64_MAX - 1);
    g_assert_cmpint(quota_bytes_reserve(ledger, slot, CHUNK), ==, -EUCLEAN);
    atomic_store(&ledger->file->sample.reason, 4711);
    quota_usage_read(ledger, &usage);
    g_assert_cmpint(usage.reason, ==, QUOTA_REASON_ACCOUNTING_LOST);
    quota_slot_detach(ledger, slot);
    quota_ledger_close(ledger);
}

static gpointer ring_later(gpointer data)
{
    g_usleep(20000);
    quota_doorbell_ring(data);
    return NULL;
}

static void test_doorbell_wakes(void)
{
    struct quota_ledger *ledger = scratch_ledger("bell");
    struct quota_sample sample;
    GThread *thread;

    quota_sample_begin(ledger, &sample);
    g_assert_cmpint(quota_doorbell_wait(ledger, sample.doorbell, 1000000), ==,
                    -ETIMEDOUT);
    thread = g_thread_new("ring", ring_later, ledger);
    g_assert_cmpint(quota_doorbell_wait(ledger, sample.doorbell, 30 * SECOND),
                    ==, 0);
    g_thread_join(thread);
    quota_ledger_close(ledger);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/account/first-sample", test_nothing_before_first_sample);
    g_test_add_func("/account/settled-while-sampling",
                    test_settled_while_sampling);
    g_test_add_func("/account/room", test_room);
    g_test_add_func("/account/refusal", test_refusal_needs_a_newer_sample);
    g_test_add_func("/account/in-flight", test_in_flight_refuses_nobody);
    g_test_add_func("/account/mad-ledger", test_mad_ledger);
    g_test_add_func("/account/doorbell", test_doorbell_wakes);
    return scratch_run();
}
