/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A QEMU that was taken over writes to its tenant's ledger what it likes, and makes
 * who serves others as well wait, stop sampling, or ask LVM for too much. */
#include "scratch.h"

#define CHUNK UINT64_C(65536)
#define SECOND UINT64_C(1000000000)

static bool is_answered(struct quota_ledger *ledger, uint64_t used)
{
    struct quota_sample s;

    quota_sample_begin(ledger, &s);
    return quota_sample_publish(ledger, &s, used, quota_clock_ns(),
                                QUOTA_REASON_NONE) == 0;
}

/* "No volume was ever written to": then nothing was settled, and a sample that says
 * so would be an old one. */
static void test_no_volumes(void)
{
    struct quota_ledger *ledger = scratch_ledger("volumes");
    struct quota_writer *writer = scratch_writer(ledger, "disk0");
    struct quota_usage usage;

    scratch_publish(ledger, GIB, 0, GIB);
    g_assert_true(is_answered(ledger, 0));
    g_assert_cmpint(quota_bytes_reserve(writer, CHUNK), ==, 0);
    quota_bytes_settle(writer, CHUNK);
    g_assert_true(is_answered(ledger, CHUNK));
    for (unsigned forged = 0; forged < 2 * QUOTA_LEDGER_VOLUMES; forged++) {
        quota_store(&ledger->file->counters.volumes, forged);
        g_assert_true(is_answered(ledger, CHUNK));
        quota_usage_read(ledger, &usage);
        g_assert_cmpuint(usage.sampled_bytes, ==, CHUNK);
    }

    /* A sampler that has seen nothing else learns that it is kept out. */
    quota_store(&ledger->file->counters.volumes, 0);
    ledger->volumes_seen = 0;
    g_assert_false(is_answered(ledger, CHUNK));
    quota_writer_detach(writer);
    quota_ledger_close(ledger);
}

/* As much as there is, and for nobody. */
static void test_demand(void)
{
    static const uint64_t forged[] = {
        1, CHUNK, QUOTA_REQUEST_MAX_BYTES, QUOTA_REQUEST_MAX_BYTES + 1,
        INT64_MAX, UINT64_MAX,
    };
    struct quota_ledger *ledger = scratch_ledger("demand");

    for (size_t i = 0; i < G_N_ELEMENTS(forged); i++) {
        quota_store(&ledger->file->counters.demand_bytes, forged[i]);
        g_assert_cmpuint(quota_doorbell_demand(ledger), ==,
                         MIN(forged[i], QUOTA_REQUEST_MAX_BYTES));
    }
    quota_ledger_close(ledger);
}

static struct quota_ledger *answered;
static gint is_over;

static gpointer answer_all(gpointer unused)
{
    while (!g_atomic_int_get(&is_over)) {
        quota_store(&answered->file->sample.answered,
                    quota_load(&answered->file->counters.doorbell));
        quota_store(&answered->file->sample.sample_ns, quota_clock_ns());
        g_usleep(100);
    }
    return unused;
}

/* The answer is "wait" for ever: the waiter keeps its own deadline all the same. */
static void test_endless_answers(void)
{
    struct quota_ledger *ledger = scratch_ledger("answers");
    struct quota_writer *writer = scratch_writer(ledger, "disk0");
    struct quota_admission admission = { .until_ns = 100 * SECOND };
    enum quota_reason reason;
    uint64_t begin_ns;
    GThread *thread;

    scratch_publish(ledger, GIB, 0, CHUNK);
    g_assert_true(is_answered(ledger, CHUNK));
    for (uint64_t now = 1; now < 100; now++) {
        g_assert_cmpint(quota_admission_poll(writer, CHUNK, now * SECOND, SECOND,
                                             &admission), ==, -EAGAIN);
        quota_store(&ledger->file->sample.answered,
                    quota_load(&ledger->file->counters.doorbell));
    }
    g_assert_cmpint(quota_admission_poll(writer, CHUNK, 100 * SECOND, SECOND,
                                         &admission), ==, -ENOSPC);
    g_assert_cmpint(admission.reason, ==, QUOTA_REASON_ACCOUNTING_LOST);

    answered = ledger;
    thread = g_thread_new("answers", answer_all, NULL);
    begin_ns = quota_clock_ns();
    g_assert_cmpint(quota_admission_wait(writer, CHUNK, HOUR_NS, SECOND / 5,
                                         &reason), ==, -ENOSPC);
    g_assert_cmpint(reason, ==, QUOTA_REASON_ACCOUNTING_LOST);
    g_assert_cmpuint(quota_clock_ns() - begin_ns, >=, SECOND / 5);
    g_atomic_int_set(&is_over, 1);
    g_thread_join(thread);
    quota_writer_detach(writer);
    quota_ledger_close(ledger);
}

static void punch(const struct quota_ledger *ledger, unsigned page)
{
    g_assert_cmpint(fallocate(ledger->fd, FALLOC_FL_PUNCH_HOLE |
                              FALLOC_FL_KEEP_SIZE, page * 4096, 4096), ==, 0);
}

/* Seen without being touched: a fault waits for who punches. */
static void test_holes(void)
{
    struct quota_ledger *ledger = scratch_ledger("holes"), *made;
    struct quota_writer *writer;

    g_assert_true(quota_ledger_is_whole(ledger));
    quota_writer_detach(scratch_writer(ledger, "disk0"));
    quota_writer_detach(scratch_writer(ledger, "disk1"));
    g_assert_true(quota_ledger_is_whole(ledger));
    punch(ledger, 3);                   /* nobody's */
    g_assert_true(quota_ledger_is_whole(ledger));
    punch(ledger, 2);
    g_assert_false(quota_ledger_is_whole(ledger));
    g_assert_cmpint(quota_volume_find(ledger, "disk1"), ==, -EUCLEAN);
    g_assert_cmpint(quota_writer_attach(ledger, "disk1", &writer), ==, -EUCLEAN);

    /* Whoever opens it to write what is so makes another. */
    g_assert_cmpint(quota_ledger_create("vg0", "holes", &made), ==, 0);
    g_assert_true(quota_ledger_is_whole(made));
    g_assert_false(quota_ledger_is_current(ledger));
    quota_ledger_close(ledger);
    ledger = made;

    /* Volumes that nobody has ever written to. */
    quota_store(&ledger->file->counters.volumes, UINT32_MAX);
    g_assert_false(quota_ledger_is_whole(ledger));
    quota_store(&ledger->file->counters.volumes, 0);
    g_assert_true(quota_ledger_is_whole(ledger));
    punch(ledger, 0);
    g_assert_false(quota_ledger_is_whole(ledger));
    quota_ledger_close(ledger);

    g_assert_cmpint(quota_ledger_new_private("acme", &ledger), ==, 0);
    g_assert_true(quota_ledger_is_whole(ledger));
    quota_ledger_close(ledger);
}

/* Each look at a lock goes through all that the tenant has taken. */
static void test_flood(void)
{
    struct quota_ledger *ledger = scratch_ledger("flood");
    struct quota_ledger *own = scratch_open("flood");

    for (unsigned i = 0; i < QUOTA_LEDGER_VOLUMES; i++) {
        for (unsigned n = 0; n < QUOTA_VOLUME_WRITERS; n++) {
            quota_store(&own->file->volumes[i].writers[n].owner, 1);
        }
    }
    quota_store(&own->file->counters.volumes, QUOTA_LEDGER_VOLUMES);
    g_assert_cmpint(quota_writer_audit(ledger), >, 0);

    for (unsigned i = 0; i < QUOTA_LEDGER_VOLUMES; i++) {
        for (unsigned n = 0; n < QUOTA_VOLUME_WRITERS; n++) {
            quota_store(&own->file->volumes[i].writers[n].owner, 1);
        }
    }
    /* one byte in two, or the kernel makes one lock of them */
    for (unsigned i = 0; i < 12000; i++) {
        struct flock lock = {
            .l_type = F_WRLCK,
            .l_whence = SEEK_SET,
            .l_start = 2 * i,
            .l_len = 1,
        };

        g_assert_cmpint(fcntl(own->fd, F_OFD_SETLK, &lock), ==, 0);
    }
    g_assert_cmpint(quota_writer_audit(ledger), ==, -ETIME);
    quota_ledger_close(own);
    quota_ledger_close(ledger);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/forged/no-volumes", test_no_volumes);
    g_test_add_func("/forged/demand", test_demand);
    g_test_add_func("/forged/endless-answers", test_endless_answers);
    g_test_add_func("/forged/holes", test_holes);
    g_test_add_func("/forged/flood", test_flood);
    return scratch_run();
}
