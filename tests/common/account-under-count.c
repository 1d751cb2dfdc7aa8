/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the ledger calls used must never be less than what was written, and a
 * refusal be final only on a sample that is newer than the request. */
#include <fcntl.h>
#include <pthread.h>
#include <time.h>

#include "lock.h"
#include "scratch.h"

#define CHUNK UINT64_C(65536)
#define SECOND UINT64_C(1000000000)

static void test_nothing_before_first_sample(void)
{
    struct quota_ledger *ledger = scratch_ledger("first");
    struct quota_writer *writer = scratch_writer(ledger, "disk0");
    struct quota_usage usage;

    scratch_publish(ledger, 100 * MIB, 0, 100 * MIB);
    g_assert_cmpint(quota_bytes_reserve(writer, CHUNK), ==, -ENOSPC);
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    g_assert_cmpint(quota_bytes_reserve(writer, CHUNK), ==, 0);
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.unsampled_bytes, ==, CHUNK);
    quota_bytes_settle(writer, CHUNK);
    quota_writer_detach(writer);
    quota_ledger_close(ledger);
}

/* A write that settles between the sampler's two readings is in the kernel's
 * number and still counted as unsampled: over, not under. */
static void test_settled_while_sampling(void)
{
    struct quota_ledger *ledger = scratch_ledger("between");
    struct quota_writer *writer = scratch_writer(ledger, "disk0");
    struct quota_sample sample;
    struct quota_usage usage;
    uint64_t truth = 0;

    scratch_publish(ledger, 100 * MIB, 10 * MIB, 100 * MIB);
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);

    g_assert_cmpint(quota_bytes_reserve(writer, 4 * CHUNK), ==, 0);
    quota_sample_begin(ledger, &sample);
    truth += 4 * CHUNK;
    quota_bytes_settle(writer, 4 * CHUNK);
    quota_sample_publish(ledger, &sample, truth, quota_clock_ns(),
                         QUOTA_REASON_NONE);
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.used_bytes, ==, 10 * MIB + 8 * CHUNK);
    g_assert_cmpuint(usage.least_bytes, ==, 10 * MIB + truth);

    /* What comes after it is only there once. */
    g_assert_cmpint(quota_bytes_reserve(writer, CHUNK), ==, 0);
    truth += CHUNK;
    quota_bytes_settle(writer, CHUNK);
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.used_bytes, ==, 10 * MIB + 9 * CHUNK);
    g_assert_cmpuint(usage.least_bytes, ==, 10 * MIB + truth);

    scratch_sample(ledger, truth, QUOTA_REASON_NONE);
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.used_bytes, ==, 10 * MIB + truth);
    g_assert_cmpuint(usage.least_bytes, ==, 10 * MIB + truth);
    quota_writer_detach(writer);
    quota_ledger_close(ledger);
}

/* Two samplers must not leave the bytes of one with the settled ones of the
 * other. */
static void test_one_sampler(void)
{
    struct quota_ledger *ledger = scratch_ledger("samplers");
    struct quota_ledger *second = scratch_open("samplers");
    struct quota_writer *writer;
    struct quota_sample old, newer;
    struct quota_volume_usage volume;
    struct quota_usage usage;

    g_assert_cmpint(quota_ledger_lock(second, QUOTA_SAMPLE_LOCK, F_OFD_SETLK,
                                      F_WRLCK), ==, F_WRLCK);
    scratch_sample(ledger, CHUNK, QUOTA_REASON_NONE);
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.sample_ns, ==, 0);
    /* Its holder dies. */
    quota_ledger_close(second);
    scratch_sample(ledger, CHUNK, QUOTA_REASON_NONE);
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.sampled_bytes, ==, CHUNK);

    /* One that began before the other's is published after it. */
    scratch_publish(ledger, 100 * MIB, 0, 100 * MIB);
    second = scratch_open("samplers");
    writer = scratch_writer(second, "disk0");
    quota_sample_begin(ledger, &old);
    g_assert_cmpint(quota_bytes_reserve(writer, CHUNK), ==, 0);
    quota_bytes_settle(writer, CHUNK);
    quota_sample_begin(second, &newer);
    newer.volume[0].used_bytes = 2 * CHUNK;
    g_assert_cmpint(quota_sample_publish(second, &newer, 2 * CHUNK, 1,
                                         QUOTA_REASON_NONE), ==, 0);
    old.volume[0].used_bytes = CHUNK;
    g_assert_cmpint(quota_sample_publish(ledger, &old, CHUNK, 1,
                                         QUOTA_REASON_NONE), ==, -EBUSY);
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.sampled_bytes, ==, 2 * CHUNK);
    g_assert_cmpint(quota_volume_read(ledger, 0, &volume), ==, 0);
    g_assert_cmpuint(volume.sampled_bytes, ==, 2 * CHUNK);
    quota_writer_detach(writer);
    quota_ledger_close(second);
    quota_ledger_close(ledger);
}

/* A corrupted number that makes each new sample look older must not keep new
 * samples out. */
static void test_spoilt_sample_heals(void)
{
    struct quota_ledger *ledger = scratch_ledger("heals");
    struct quota_writer *writer = scratch_writer(ledger, "disk0");
    quota_u64 *settled = &ledger->file->sample.settled_at_sample;

    scratch_publish(ledger, 100 * MIB, 0, 100 * MIB);
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    atomic_store(settled, CHUNK);
    g_assert_cmpint(quota_bytes_reserve(writer, CHUNK), ==, -EUCLEAN);
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    g_assert_cmpint(quota_bytes_reserve(writer, CHUNK), ==, 0);
    quota_bytes_settle(writer, CHUNK);

    /* And where the register is as mad. */
    atomic_store(settled, GIB);
    atomic_store(&ledger->file->counters.reserved.last, UINT64_MAX - 1);
    scratch_sample(ledger, CHUNK, QUOTA_REASON_NONE);
    g_assert_cmpuint(atomic_load(settled), ==, CHUNK);
    quota_writer_detach(writer);
    quota_ledger_close(ledger);
}

/* The smaller of what the limit and what the grant leaves is what is given. */
static void test_room(void)
{
    struct quota_ledger *ledger = scratch_ledger("room");
    struct quota_writer *writer = scratch_writer(ledger, "disk0");

    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    scratch_publish(ledger, 100 * CHUNK, 60 * CHUNK, 30 * CHUNK);
    g_assert_cmpint(quota_bytes_reserve(writer, 31 * CHUNK), ==, -ENOSPC);
    g_assert_cmpint(quota_bytes_reserve(writer, 30 * CHUNK), ==, 0);
    scratch_publish(ledger, 100 * CHUNK, 60 * CHUNK, 99 * CHUNK);
    g_assert_cmpint(quota_bytes_reserve(writer, 11 * CHUNK), ==, -ENOSPC);
    g_assert_cmpint(quota_bytes_reserve(writer, 10 * CHUNK), ==, 0);
    quota_bytes_settle(writer, 40 * CHUNK);
    /* Lowered below what is used: over limit, nothing new, no wrap-around. */
    scratch_publish(ledger, CHUNK, 60 * CHUNK, 99 * CHUNK);
    g_assert_cmpint(quota_bytes_reserve(writer, 1), ==, -ENOSPC);
    quota_writer_detach(writer);
    quota_ledger_close(ledger);
}

static void test_refusal_needs_a_newer_sample(void)
{
    struct quota_ledger *ledger = scratch_ledger("refusal");
    struct quota_writer *writer = scratch_writer(ledger, "disk0");
    struct quota_admission admission = { 0 };
    struct quota_sample old;
    struct quota_usage usage;

    scratch_publish(ledger, GIB, 0, 2 * CHUNK);
    scratch_sample(ledger, 2 * CHUNK, QUOTA_REASON_TENANT_LIMIT);

    /* This sample began before the request: its answer is not for it. */
    quota_sample_begin(ledger, &old);
    g_assert_cmpint(quota_admission_poll(writer, CHUNK, 0, SECOND,
                                         &admission), ==, -EAGAIN);
    quota_sample_publish(ledger, &old, 2 * CHUNK, 1, QUOTA_REASON_TENANT_LIMIT);
    g_assert_cmpint(quota_admission_poll(writer, CHUNK, 1, SECOND,
                                         &admission), ==, -EAGAIN);
    g_assert_cmpuint(quota_doorbell_demand(ledger), ==, CHUNK);
    g_assert_cmpuint(quota_doorbell_demand(ledger), ==, 0);

    /* The pool grows: continue to wait, ring again. */
    scratch_sample(ledger, 2 * CHUNK, QUOTA_REASON_NONE);
    g_assert_cmpint(quota_admission_poll(writer, CHUNK, 2, SECOND,
                                         &admission), ==, -EAGAIN);
    scratch_publish(ledger, GIB, 0, 3 * CHUNK);
    g_assert_cmpint(quota_admission_poll(writer, CHUNK, 3, SECOND,
                                         &admission), ==, 0);

    /* No room: the sampler says why. */
    quota_bytes_settle(writer, CHUNK);
    g_assert_cmpint(quota_admission_poll(writer, CHUNK, 4, SECOND,
                                         &admission), ==, -EAGAIN);
    scratch_sample(ledger, 3 * CHUNK, QUOTA_REASON_GROUP_FULL);
    g_assert_cmpint(quota_admission_poll(writer, CHUNK, 5, SECOND,
                                         &admission), ==, -ENOSPC);
    g_assert_cmpint(admission.reason, ==, QUOTA_REASON_GROUP_FULL);

    /* No sampler answers: patience ends. */
    g_assert_cmpint(quota_admission_poll(writer, CHUNK, 6, SECOND,
                                         &admission), ==, -EAGAIN);
    g_assert_cmpint(quota_admission_poll(writer, CHUNK, 5 + SECOND,
                                         SECOND, &admission), ==, -EAGAIN);
    g_assert_cmpint(quota_admission_poll(writer, CHUNK, 6 + SECOND,
                                         SECOND, &admission), ==, -ENOSPC);
    g_assert_cmpint(admission.reason, ==, QUOTA_REASON_ACCOUNTING_LOST);
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.refused_writes, ==, 0);
    quota_writer_detach(writer);
    quota_ledger_close(ledger);
}

/* Writes in flight may need no room in the end: no refusal before that is
 * known, or patience ends. */
static void test_in_flight_does_not_refuse(void)
{
    struct quota_ledger *ledger = scratch_ledger("in-flight");
    struct quota_writer *writer = scratch_writer(ledger, "disk0");
    struct quota_admission admission = { 0 }, late = { 0 };

    scratch_publish(ledger, 2 * CHUNK, 0, 2 * CHUNK);
    scratch_sample(ledger, CHUNK, QUOTA_REASON_NONE);
    g_assert_cmpint(quota_bytes_reserve(writer, CHUNK), ==, 0);
    for (int i = 0; i < 5; i++) {
        g_assert_cmpint(quota_admission_poll(writer, CHUNK, i, SECOND,
                                             &admission), ==, -EAGAIN);
        scratch_sample(ledger, CHUNK, QUOTA_REASON_TENANT_LIMIT);
    }
    /* More than there would be room for in any case. */
    g_assert_cmpint(quota_admission_poll(writer, 2 * CHUNK, 0, SECOND,
                                         &late), ==, -EAGAIN);
    scratch_sample(ledger, CHUNK, QUOTA_REASON_TENANT_LIMIT);
    g_assert_cmpint(quota_admission_poll(writer, 2 * CHUNK, 1, SECOND,
                                         &late), ==, -ENOSPC);

    g_assert_cmpint(quota_admission_poll(writer, CHUNK, SECOND - 1,
                                         SECOND, &admission), ==, -EAGAIN);
    scratch_sample(ledger, CHUNK, QUOTA_REASON_TENANT_LIMIT);
    g_assert_cmpint(quota_admission_poll(writer, CHUNK, SECOND, SECOND,
                                         &admission), ==, -ENOSPC);
    g_assert_cmpint(admission.reason, ==, QUOTA_REASON_TENANT_LIMIT);

    /* It was an overwrite: the sample after it has the room. */
    g_assert_cmpint(quota_admission_poll(writer, CHUNK, 0, SECOND,
                                         &admission), ==, -EAGAIN);
    quota_bytes_settle(writer, CHUNK);
    scratch_sample(ledger, CHUNK, QUOTA_REASON_TENANT_LIMIT);
    g_assert_cmpint(quota_admission_poll(writer, CHUNK, 1, SECOND,
                                         &admission), ==, 0);
    quota_bytes_settle(writer, CHUNK);
    quota_writer_detach(writer);
    quota_ledger_close(ledger);
}

/*
 * With plenty of room, a writer reserves more than one write needs; the unspent
 * rest must not keep other writers out.
 */
static void test_lease_keeps_no_writer_out(void)
{
    struct quota_ledger *ledger = scratch_ledger("lease");
    struct quota_writer *one = scratch_writer(ledger, "one");
    struct quota_writer *two = scratch_writer(ledger, "two");
    struct quota_admission admission = { 0 };
    struct quota_usage usage;
    uint64_t reserved, truth = 0;

    scratch_publish(ledger, GIB, 0, GIB);
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    g_assert_cmpint(quota_bytes_reserve(one, CHUNK), ==, 0);
    quota_usage_read(ledger, &usage);
    reserved = usage.unsampled_bytes;
    g_assert_cmpuint(reserved, >, CHUNK);
    /* The next write takes of it. */
    g_assert_cmpint(quota_bytes_reserve(one, CHUNK), ==, 0);
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.unsampled_bytes, ==, reserved);
    quota_bytes_settle(one, 2 * CHUNK);
    truth += 2 * CHUNK;

    /* The other one writes all the rest, to the byte. */
    while (truth < GIB) {
        uint64_t bytes = MIN(GIB - truth, 5 * MIB);

        while (quota_admission_poll(two, bytes, 0, SECOND, &admission) ==
               -EAGAIN) {
            scratch_sample(ledger, truth, QUOTA_REASON_TENANT_LIMIT);
        }
        g_assert_false(admission.is_waiting);
        quota_bytes_settle(two, bytes);
        truth += bytes;
    }
    g_assert_cmpint(quota_bytes_reserve(one, CHUNK), ==, -ENOSPC);
    g_assert_cmpint(quota_bytes_reserve(two, 1), ==, -ENOSPC);
    scratch_sample(ledger, truth, QUOTA_REASON_TENANT_LIMIT);
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.used_bytes, ==, GIB);
    g_assert_cmpuint(usage.refused_writes, ==, 0);
    quota_writer_detach(one);
    quota_writer_detach(two);
    quota_ledger_close(ledger);
}

/* Words that contradict each other: nothing is admitted, nothing wraps. */
static void test_mad_ledger(void)
{
    struct quota_ledger *ledger = scratch_ledger("mad");
    struct quota_writer *writer = scratch_writer(ledger, "disk0");
    struct quota_admission admission = { 0 };
    struct quota_usage usage;

    scratch_publish(ledger, GIB, 0, GIB);
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    atomic_store(&ledger->file->sample.settled_at_sample, CHUNK);
    g_assert_cmpint(quota_bytes_reserve(writer, CHUNK), ==, -EUCLEAN);
    g_assert_cmpint(quota_admission_poll(writer, CHUNK, 0, SECOND,
                                         &admission), ==, -EUCLEAN);
    g_assert_cmpint(admission.reason, ==, QUOTA_REASON_ACCOUNTING_LOST);
    quota_usage_read(ledger, &usage);
    g_assert_cmpint(usage.reason, ==, QUOTA_REASON_ACCOUNTING_LOST);

    atomic_store(&ledger->file->sample.settled_at_sample, 0);
    atomic_store(&ledger->file->counters.reserved.last, UINT64_MAX - 1);
    g_assert_cmpint(quota_bytes_reserve(writer, CHUNK), ==, -EUCLEAN);
    atomic_store(&ledger->file->sample.reason, 4711);
    quota_usage_read(ledger, &usage);
    g_assert_cmpint(usage.reason, ==, QUOTA_REASON_ACCOUNTING_LOST);
    /* The reservation cannot be returned, and nothing hangs. */
    quota_bytes_return(writer, CHUNK);
    g_assert_cmpint(quota_bytes_reserve(writer, CHUNK), ==, -EUCLEAN);
    quota_writer_detach(writer);
    quota_ledger_close(ledger);
}

/* Sums beyond any disk, each alone. */
static void test_mad_sums(void)
{
    struct quota_ledger *ledger = scratch_ledger("sums");
    struct quota_writer *writer = scratch_writer(ledger, "disk0");
    struct quota_ledger_file *file = ledger->file;
    quota_u64 *value = writer->words->entries[QUOTA_OF_TENANT].value;
    struct quota_volume_usage volume;
    struct quota_usage usage;

    scratch_publish(ledger, 99 * CHUNK, 0, 99 * CHUNK);   /* no lease */
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    g_assert_cmpint(quota_bytes_reserve(writer, CHUNK), ==, 0);

    atomic_store(&file->sample.sampled_bytes, UINT64_MAX - 1);
    g_assert_cmpint(quota_bytes_reserve(writer, CHUNK), ==, -EUCLEAN);
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.used_bytes, ==, UINT64_MAX);
    atomic_store(&file->sample.sampled_bytes, 0);
    atomic_store(&value[0], UINT64_MAX);
    atomic_store(&value[1], UINT64_MAX);
    g_assert_cmpint(quota_bytes_reserve(writer, CHUNK), ==, -EUCLEAN);
    atomic_store(&file->sample.sampled_bytes, QUOTA_UNSAMPLED);
    g_assert_cmpint(quota_bytes_reserve(writer, CHUNK), ==, -EUCLEAN);
    atomic_store(&value[0], CHUNK);
    atomic_store(&value[1], CHUNK);
    atomic_store(&file->sample.sampled_bytes, 0);
    atomic_store(&file->sample.reason, 4711);
    quota_usage_read(ledger, &usage);
    g_assert_cmpint(usage.reason, ==, QUOTA_REASON_ACCOUNTING_LOST);

    /* The volume's, though it has no limit. */
    atomic_store(&writer->volume->sample.settled_at_sample, GIB);
    g_assert_cmpint(quota_bytes_reserve(writer, CHUNK), ==, -EUCLEAN);
    g_assert_cmpint(quota_volume_read(ledger, 0, &volume), ==, -EUCLEAN);
    atomic_store(&writer->volume->sample.settled_at_sample, 0);
    g_assert_cmpint(quota_bytes_reserve(writer, CHUNK), ==, 0);
    /* A writer of another volume cannot have added to it. */
    atomic_store(&writer->volume->reserved.last,
                 (uint64_t)(QUOTA_VOLUME_WRITERS + 1) << 48 | 1);
    g_assert_cmpint(quota_bytes_reserve(writer, CHUNK), ==, -EUCLEAN);
    quota_writer_detach(writer);
    quota_ledger_close(ledger);
}

/* Nothing is added to a register that names no writer. */
static void test_added_by_nobody(void)
{
    struct quota_ledger *ledger = scratch_ledger("nobody");
    struct quota_writer *writer = scratch_writer(ledger, "disk0");
    const struct quota_register_value nobody = { .last = UINT64_MAX };
    struct quota_register_value value;
    struct quota_usage usage;

    atomic_store(&ledger->file->counters.reserved.last, UINT64_MAX);
    g_assert_cmpint(quota_register_read(ledger, 0, QUOTA_OF_TENANT, &value), ==,
                    -EUCLEAN);
    quota_usage_read(ledger, &usage);
    g_assert_cmpint(usage.reason, ==, QUOTA_REASON_ACCOUNTING_LOST);
    atomic_store(&ledger->file->counters.reserved.last, 0);
    g_assert_false(quota_register_try_add(&writer->adder, QUOTA_OF_TENANT,
                                          &nobody, CHUNK));
    g_assert_cmpuint(ledger->file->counters.reserved.last, ==, 0);
    quota_writer_detach(writer);
    quota_ledger_close(ledger);
}

/* A volume with a limit whose bytes no sample has: nothing is admitted. */
static void test_unsampled_volume(void)
{
    const struct quota_limits limits = { .limit_bytes = 4 * CHUNK };
    struct quota_ledger *ledger = scratch_ledger("unsampled");
    struct quota_writer *writer = scratch_writer(ledger, "disk0");
    struct quota_admission admission = { 0 };

    scratch_publish(ledger, GIB, 0, GIB);
    g_assert_cmpint(quota_volume_publish(ledger, "disk0", &limits, 0), ==, 0);
    g_assert_cmpint(quota_admission_poll(writer, CHUNK, 0, SECOND,
                                         &admission), ==, -EAGAIN);
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    g_assert_cmpint(quota_admission_poll(writer, CHUNK, 1, SECOND,
                                         &admission), <, 0);
    quota_writer_detach(writer);
    quota_ledger_close(ledger);
}

/* After more bytes were taken back than any disk has, there are no more leases,
 * and writes continue. */
static void test_mad_lease(void)
{
    struct quota_ledger *ledger = scratch_ledger("lease");
    struct quota_writer *writer = scratch_writer(ledger, "disk0");
    quota_u64 *lease = &writer->words->lease;

    scratch_publish(ledger, 100 * GIB, 0, 100 * GIB);
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    g_assert_cmpint(quota_bytes_reserve(writer, CHUNK), ==, 0);
    g_assert_cmpuint(QUOTA_LEASE_UNITS(atomic_load(lease)), >, 0);
    atomic_store(lease, (QUOTA_LEASE_RECALLED_MAX_BYTES /
                         QUOTA_LEASE_UNIT_BYTES + 1) << QUOTA_LEASE_BITS);
    g_assert_cmpint(quota_bytes_reserve(writer, CHUNK), ==, 0);
    g_assert_cmpuint(QUOTA_LEASE_UNITS(atomic_load(lease)), ==, 0);
    quota_writer_detach(writer);
    quota_ledger_close(ledger);
}

/* With an invalid reason, the rest is not trusted either. */
static void test_mad_reason(void)
{
    struct quota_ledger *ledger = scratch_ledger("reason");
    struct quota_writer *writer = scratch_writer(ledger, "disk0");
    struct quota_admission admission = { 0 };

    scratch_publish(ledger, CHUNK, 0, CHUNK);
    scratch_sample(ledger, CHUNK, QUOTA_REASON_NONE);
    g_assert_cmpint(quota_admission_poll(writer, CHUNK, 0, SECOND,
                                         &admission), ==, -EAGAIN);
    scratch_sample(ledger, CHUNK, QUOTA_REASON_TENANT_LIMIT);
    atomic_store(&ledger->file->sample.reason, 4711);
    g_assert_cmpint(quota_admission_poll(writer, CHUNK, 1, SECOND,
                                         &admission), ==, -ENOSPC);
    g_assert_cmpint(admission.reason, ==, QUOTA_REASON_ACCOUNTING_LOST);
    quota_writer_detach(writer);
    quota_ledger_close(ledger);
}

/* Answers as a sampler does, with one chunk more each time. */
struct answering {
    struct quota_ledger *ledger;
    uint64_t grant;
    enum quota_reason reason;
};

static gpointer answer(gpointer data)
{
    struct answering *a = data;
    uint32_t seen = 0;

    for (int i = 0; i < 3; i++) {
        struct quota_sample sample;

        g_assert_cmpint(quota_doorbell_wait(a->ledger, seen, HOUR_NS), ==,
                        0);
        quota_sample_begin(a->ledger, &sample);
        seen = sample.doorbell;
        scratch_publish(a->ledger, GIB, 0, a->grant += CHUNK);
        quota_sample_publish(a->ledger, &sample, CHUNK, quota_clock_ns(),
                             i < 2 ? QUOTA_REASON_NONE : a->reason);
    }
    return NULL;
}

/* Who sleeps is woken by the answer: room, or why there is none. */
static void test_wait_is_answered(void)
{
    struct quota_ledger *ledger = scratch_ledger("sleeps");
    struct quota_writer *writer = scratch_writer(ledger, "disk0");
    struct answering a = { ledger, 0, QUOTA_REASON_GROUP_FULL };
    enum quota_reason reason;
    GThread *thread;

    scratch_sample(ledger, CHUNK, QUOTA_REASON_NONE);
    thread = g_thread_new("sampler", answer, &a);
    g_assert_cmpint(quota_admission_wait(writer, 2 * CHUNK, HOUR_NS, HOUR_NS,
                                         &reason), ==, 0);
    g_assert_cmpint(reason, ==, QUOTA_REASON_NONE);
    g_thread_join(thread);

    quota_bytes_return(writer, 2 * CHUNK);
    thread = g_thread_new("sampler", answer, &a);
    g_assert_cmpint(quota_admission_wait(writer, 20 * CHUNK, HOUR_NS, HOUR_NS,
                                         &reason), ==, -ENOSPC);
    g_assert_cmpint(reason, ==, QUOTA_REASON_GROUP_FULL);
    g_thread_join(thread);
    quota_writer_detach(writer);
    quota_ledger_close(ledger);
}

static struct {
    quota_u32 has_clock;
    clockid_t clock;            /* of what the thread has run */
} reserving;

static uint64_t has_run_ns(void)
{
    struct timespec time;

    g_assert_cmpint(clock_gettime(reserving.clock, &time), ==, 0);
    return time.tv_sec * SECOND + time.tv_nsec;
}

static gpointer reserve_one(gpointer writer)
{
    g_assert_cmpint(pthread_getcpuclockid(pthread_self(), &reserving.clock),
                    ==, 0);
    quota_store(&reserving.has_clock, 1);
    g_assert_cmpint(quota_bytes_reserve(writer, CHUNK), ==, 0);
    return NULL;
}

/* Start a thread that waits for the lock.  It spins there, so it is waiting
 * once it has run for longer than the code before the lock takes. */
static GThread *start_reserving(struct quota_writer *writer)
{
    GThread *thread;
    uint64_t begun_ns;

    quota_store(&reserving.has_clock, 0);
    thread = g_thread_new("reserve", reserve_one, writer);
    while (!quota_load(&reserving.has_clock)) {
        g_usleep(1000);
    }
    begun_ns = has_run_ns();
    while (has_run_ns() - begun_ns < 2 * SECOND / 1000) {
        g_usleep(1000);
    }
    return thread;
}

/* A thread that is stopped inside the writer's own lock blocks the others of
 * its process, which continue after it. */
static void test_writer_lock(void)
{
    struct quota_ledger *ledger = scratch_ledger("lock");
    struct quota_writer *writer = scratch_writer(ledger, "disk0");
    struct quota_usage usage;
    GThread *thread;

    scratch_publish(ledger, 99 * CHUNK, 0, 99 * CHUNK);   /* no lease */
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    quota_writer_lock(writer);
    thread = start_reserving(writer);
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.used_bytes, ==, 0);
    quota_writer_unlock(writer);
    g_thread_join(thread);
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.used_bytes, ==, CHUNK);

    /* What another one has leased meanwhile is enough for it. */
    g_assert_cmpint(quota_bytes_reserve(writer, 5 * CHUNK), ==, 0);
    quota_writer_lock(writer);
    thread = start_reserving(writer);
    quota_add(&writer->words->lease, 5);
    quota_writer_unlock(writer);
    g_thread_join(thread);
    g_assert_cmpuint(QUOTA_LEASE_UNITS(atomic_load(&writer->words->lease)), ==,
                     4);
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.used_bytes, ==, 6 * CHUNK);
    quota_writer_detach(writer);
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
    g_assert_cmpint(quota_doorbell_wait(ledger, sample.doorbell, HOUR_NS),
                    ==, 0);
    g_thread_join(thread);
    /* Rung since: no sleep at all. */
    g_assert_cmpint(quota_doorbell_wait(ledger, sample.doorbell, 0), ==, 0);
    quota_ledger_close(ledger);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/account/first-sample", test_nothing_before_first_sample);
    g_test_add_func("/account/settled-while-sampling",
                    test_settled_while_sampling);
    g_test_add_func("/account/one-sampler", test_one_sampler);
    g_test_add_func("/account/spoilt-sample-heals", test_spoilt_sample_heals);
    g_test_add_func("/account/room", test_room);
    g_test_add_func("/account/refusal", test_refusal_needs_a_newer_sample);
    g_test_add_func("/account/in-flight", test_in_flight_does_not_refuse);
    g_test_add_func("/account/lease", test_lease_keeps_no_writer_out);
    g_test_add_func("/account/mad-ledger", test_mad_ledger);
    g_test_add_func("/account/mad-sums", test_mad_sums);
    g_test_add_func("/account/mad-lease", test_mad_lease);
    g_test_add_func("/account/mad-reason", test_mad_reason);
    g_test_add_func("/account/added-by-nobody", test_added_by_nobody);
    g_test_add_func("/account/unsampled-volume", test_unsampled_volume);
    g_test_add_func("/account/wait", test_wait_is_answered);
    g_test_add_func("/account/writer-lock", test_writer_lock);
    g_test_add_func("/account/doorbell", test_doorbell_wakes);
    return scratch_run();
}
