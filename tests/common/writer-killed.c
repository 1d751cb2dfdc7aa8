/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A writer that is killed must neither keep its share for ever nor have it
 * given away while it lives. */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lock.h"
#include "scratch.h"

#define CHUNK UINT64_C(65536)

static pid_t start_writer(const char *tenant)
{
    int ready[2];
    char byte;
    pid_t pid;

    g_assert_cmpint(pipe(ready), ==, 0);
    pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        struct quota_ledger *own = scratch_open(tenant);
        struct quota_writer *writer = scratch_writer(own, "disk0");

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (quota_bytes_reserve(writer, 5 * CHUNK) < 0 ||
            write(ready[1], "", 1) != 1) {
            _exit(1);
        }
        for (;;) {
            pause();
        }
    }
    g_assert_cmpint(read(ready[0], &byte, 1), ==, 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static uint64_t used(struct quota_ledger *ledger)
{
    struct quota_usage usage;

    quota_usage_read(ledger, &usage);
    return usage.used_bytes;
}

static uint64_t used_by(struct quota_ledger *ledger, const char *volume)
{
    struct quota_volume_usage usage;

    g_assert_cmpint(quota_volume_read(ledger,
                                      quota_volume_find(ledger, volume),
                                      &usage), ==, 0);
    g_assert_cmpstr(usage.name, ==, volume);
    return usage.used_bytes;
}

static void test_killed(void)
{
    struct quota_ledger *ledger = scratch_ledger("killed");
    pid_t pid;

    scratch_publish(ledger, GIB, 0, GIB);
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    pid = start_writer("killed");

    /* Alive: nothing is settled for it. */
    g_assert_cmpint(quota_writer_audit(ledger), ==, 0);
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    g_assert_cmpuint(used(ledger), ==, 5 * CHUNK);
    g_assert_cmpuint(used_by(ledger, "disk0"), ==, 5 * CHUNK);
    g_assert_cmpuint(quota_writer_count(ledger), ==, 1);

    kill(pid, SIGKILL);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    g_assert_cmpint(quota_writer_audit(ledger), ==, 1);
    g_assert_cmpint(quota_writer_audit(ledger), ==, 0);
    g_assert_cmpuint(quota_writer_count(ledger), ==, 0);
    /* Two of the five chunks had reached the kernel. */
    scratch_sample(ledger, 2 * CHUNK, QUOTA_REASON_NONE);
    g_assert_cmpuint(used(ledger), ==, 2 * CHUNK);
    quota_ledger_close(ledger);
}

/* A guest that is started again at once does not wait for the sampler. */
static void test_started_again(void)
{
    struct quota_ledger *ledger = scratch_ledger("again");
    struct quota_ledger *own;

    scratch_publish(ledger, GIB, 0, GIB);
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    for (int i = 0; i < 2 * QUOTA_VOLUME_WRITERS; i++) {
        pid_t pid = start_writer("again");

        kill(pid, SIGKILL);
        g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    }
    own = scratch_open("again");
    quota_writer_detach(scratch_writer(own, "disk0"));
    quota_ledger_close(own);
    quota_writer_audit(ledger);
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    g_assert_cmpuint(used(ledger), ==, 0);
    quota_ledger_close(ledger);
}

/* The descriptor of a killed owner lives on in another process: so may its
 * I/O, as far as anybody knows, and nothing is given back. */
static void test_descriptor_lives_on(void)
{
    struct quota_ledger *ledger = scratch_ledger("passed");
    struct quota_ledger *own;
    pid_t pid;

    scratch_publish(ledger, GIB, 0, GIB);
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    own = scratch_open("passed");
    pid = fork();
    if (pid == 0) {
        struct quota_writer *writer;

        _exit(quota_writer_attach(own, "disk0", &writer) == 0 ? 0 : 1);
    }
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    g_assert_cmpint(quota_writer_audit(ledger), ==, 0);
    g_assert_cmpuint(quota_writer_count(ledger), ==, 1);
    quota_ledger_close(own);
    g_assert_cmpint(quota_writer_audit(ledger), ==, 1);
    quota_ledger_close(ledger);
}

/* All slots of a volume, and all volumes; and both come free again. */
static void test_all_slots(void)
{
    struct quota_ledger *ledger = scratch_ledger("crowd");
    struct quota_ledger *own = scratch_open("crowd");
    struct quota_writer *writers[QUOTA_LEDGER_VOLUMES], *one_more;
    struct quota_volume_usage usage;

    for (int i = 0; i < QUOTA_VOLUME_WRITERS; i++) {
        writers[i] = scratch_writer(own, "disk");
    }
    g_assert_cmpint(quota_writer_attach(own, "disk", &one_more), ==, -EUSERS);
    for (int i = 0; i < QUOTA_VOLUME_WRITERS; i++) {
        quota_writer_detach(writers[i]);
    }
    writers[0] = scratch_writer(own, "disk");

    for (int i = 1; i < QUOTA_LEDGER_VOLUMES; i++) {
        char name[16];

        g_snprintf(name, sizeof(name), "disk%d", i);
        writers[i] = scratch_writer(own, name);
    }
    g_assert_cmpint(quota_writer_attach(own, "more", &one_more), ==, -EUSERS);
    g_assert_cmpint(quota_volume_read(ledger, QUOTA_LEDGER_VOLUMES, &usage),
                    ==, -ENOENT);
    /* A volume that loses its last writer makes room. */
    quota_writer_detach(writers[0]);
    g_assert_cmpint(quota_writer_attach(own, "more", &one_more), ==, -EUSERS);
    g_assert_cmpint(quota_writer_audit(ledger), ==, 0);
    writers[0] = scratch_writer(own, "more");
    for (int i = 0; i < QUOTA_LEDGER_VOLUMES; i++) {
        quota_writer_detach(writers[i]);
    }
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    g_assert_cmpint(quota_writer_audit(ledger), ==, 0);
    g_assert_cmpint(quota_volume_read(ledger, 7, &usage), ==, -EAGAIN);
    quota_ledger_close(own);
    quota_ledger_close(ledger);
}

/* Auditor and attacher leave a slot alone whose words contradict each other: it
 * over-counts, and the others continue. */
static void test_mad_slot(void)
{
    struct quota_ledger *ledger = scratch_ledger("mad");
    struct quota_writer *writer = scratch_writer(ledger, "disk0");
    struct quota_writer_words *words = writer->words;
    struct quota_ledger *own;
    struct quota_writer *other;

    scratch_publish(ledger, 99 * CHUNK, 0, 99 * CHUNK);   /* no lease */
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    g_assert_cmpint(quota_bytes_reserve(writer, CHUNK), ==, 0);
    quota_writer_detach(writer);
    own = scratch_open("mad");

    /* An operation that was noted, and its writer killed before it could be
     * replaced, counts once. */
    quota_raise(&words->done[QUOTA_OF_TENANT], 1);
    writer = scratch_writer(own, "disk0");
    g_assert_cmpuint(writer->adder.index, ==, 0);
    g_assert_cmpuint(writer->adder.own_bytes[QUOTA_OF_TENANT], ==, CHUNK);
    quota_writer_detach(writer);

    atomic_store(&words->done[QUOTA_OF_TENANT], UINT64_MAX);
    g_assert_cmpint(quota_writer_attach(own, "disk0", &writer), ==, -EUCLEAN);
    g_assert_null(writer);
    atomic_store(&words->owner, 1);
    g_assert_cmpint(quota_writer_audit(ledger), ==, 0);
    g_assert_cmpuint(quota_writer_count(ledger), ==, 1);
    writer = scratch_writer(own, "disk0");
    g_assert_cmpuint(writer->adder.index, ==, 1);
    g_assert_cmpint(quota_bytes_reserve(writer, CHUNK), ==, 0);

    /* The dead one's own words are well again, but its volume's register is
     * not, and the two differ. */
    atomic_store(&words->done[QUOTA_OF_TENANT], 1);
    atomic_store(&words->entries[QUOTA_OF_TENANT].own[1], 7 * CHUNK);
    atomic_store(&writer->volume->reserved.last, UINT64_MAX);
    g_assert_cmpint(quota_writer_audit(ledger), ==, 0);
    g_assert_cmpint(quota_bytes_reserve(writer, CHUNK), ==, -EUCLEAN);
    g_assert_cmpint(quota_writer_attach(own, "disk1", &other), ==, 0);
    quota_writer_detach(other);
    quota_writer_detach(writer);
    quota_writer_detach(NULL);
    quota_ledger_close(own);
    quota_ledger_close(ledger);
}

/* A ledger without a file has no dead writers to audit, and the slot of an
 * owner that may be alive is not given away. */
static void test_private(void)
{
    struct quota_writer *writers[QUOTA_VOLUME_WRITERS], *one_more;
    struct quota_ledger *ledger;

    g_assert_cmpint(quota_ledger_new_private("acme", &ledger), ==, 0);
    for (int i = 0; i < QUOTA_VOLUME_WRITERS; i++) {
        writers[i] = scratch_writer(ledger, "disk");
    }
    atomic_store(&writers[0]->words->owner, (uint64_t)getppid());
    g_assert_cmpint(quota_writer_attach(ledger, "disk", &one_more), ==,
                    -EUSERS);
    g_assert_cmpint(quota_writer_audit(ledger), ==, 0);
    g_assert_cmpuint(quota_writer_count(ledger), ==, QUOTA_VOLUME_WRITERS);
    for (int i = 0; i < QUOTA_VOLUME_WRITERS; i++) {
        quota_writer_detach(writers[i]);
    }
    quota_ledger_close(ledger);
}

/* A process that keeps the attach lock delays those that attach, limit a volume
 * or begin a snapshot, but not the sampler. */
static void test_attach_lock_kept(void)
{
    const struct quota_limits none = { 0 };
    struct quota_ledger *ledger = scratch_ledger("kept");
    struct quota_ledger *own = scratch_open("kept");
    struct quota_writer *writer;

    g_assert_cmpint(quota_ledger_lock(ledger, QUOTA_ATTACH_LOCK, F_OFD_SETLK,
                                      F_WRLCK), ==, F_WRLCK);
    g_assert_cmpint(quota_writer_attach(own, "disk", &writer), ==, -EBUSY);
    g_assert_cmpint(quota_volume_publish(own, "disk", &none, 0), ==, -EBUSY);
    g_assert_cmpint(quota_epoch_begin(own, "disk"), ==, -EBUSY);
    g_assert_cmpint(quota_writer_audit(own), ==, 0);
    g_assert_cmpint(quota_ledger_lock(ledger, QUOTA_ATTACH_LOCK, F_OFD_SETLK,
                                      F_UNLCK), ==, F_UNLCK);
    quota_writer_detach(scratch_writer(own, "disk"));
    quota_ledger_close(own);
    quota_ledger_close(ledger);
}

/* A writer that lives keeps its slot from the next one, in whatever instant
 * of attaching it was stopped. */
static void test_alive(void)
{
    struct quota_ledger *ledger = scratch_ledger("alive");
    struct quota_ledger *own = scratch_open("alive");
    struct quota_writer *writer;
    pid_t pid;

    scratch_publish(ledger, GIB, 0, GIB);
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    pid = start_writer("alive");
    writer = scratch_writer(own, "disk0");
    g_assert_cmpuint(writer->adder.index, ==, 1);
    quota_writer_detach(writer);
    atomic_store(&ledger->file->volumes[0].writers[0].owner, 0);
    writer = scratch_writer(own, "disk0");
    g_assert_cmpuint(writer->adder.index, ==, 1);
    quota_writer_detach(writer);
    kill(pid, SIGKILL);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    quota_ledger_close(own);
    quota_ledger_close(ledger);
}

/* A name that is too long is cut, and never runs over its end. */
static void test_long_name(void)
{
    g_autofree char *name = g_strnfill(300, 'x');
    struct quota_ledger *ledger = scratch_ledger("long");
    struct quota_writer *writer = scratch_writer(ledger, name);
    struct quota_volume_usage usage;

    g_assert_cmpint(quota_volume_read(ledger, 0, &usage), ==, 0);
    g_assert_cmpuint(strlen(usage.name), ==, QUOTA_LV_MAX_BYTES);
    g_assert_cmpuint(ledger->file->volumes[0].use % 2, ==, 1);
    quota_writer_detach(writer);
    quota_ledger_close(ledger);
}

/* A volume keeps its slot while that says anything of it. */
static void test_slot_kept(void)
{
    const struct quota_limits none = { 0 };
    const struct quota_limits limit = { .limit_bytes = GIB };
    const struct quota_limits rate = {
        .rates[QUOTA_RATE_READ_IOPS].per_sec = 5
    };
    struct quota_ledger *ledger = scratch_ledger("slot");
    struct quota_volume_usage usage;
    struct quota_writer *writer;
    char name[16];

    g_assert_cmpint(quota_volume_publish(ledger, "a", &limit, 0), ==, 0);
    g_assert_cmpint(quota_volume_publish(ledger, "b", &none, 50), ==, 0);
    g_assert_cmpint(quota_volume_publish(ledger, "c", &rate, 0), ==, 0);
    g_assert_cmpint(quota_epoch_begin(ledger, "d"), ==, 0);
    writer = scratch_writer(ledger, "e");
    scratch_publish(ledger, GIB, 0, GIB);       /* ends the epoch */
    g_assert_cmpint(quota_epoch_begin(ledger, "d"), ==, 0);
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    g_assert_cmpint(quota_bytes_reserve(writer, CHUNK), ==, 0);
    quota_writer_detach(writer);                /* not sampled yet */
    quota_writer_detach(scratch_writer(ledger, "f"));
    atomic_store(&ledger->file->volumes[6].use, 1);
    atomic_store(&ledger->file->volumes[6].reserved.last, UINT64_MAX);
    atomic_store(&ledger->file->counters.volumes, 7);
    g_assert_cmpint(quota_writer_audit(ledger), ==, 0);
    for (unsigned i = 0; i < 7; i++) {
        g_assert_cmpint(quota_volume_read(ledger, i, &usage), ==,
                        i == 5 ? -EAGAIN : i == 6 ? -EUCLEAN : 0);
    }
    /* No free slot: each caller that needs one gets the error. */
    for (int i = 6; i < QUOTA_LEDGER_VOLUMES; i++) {
        g_snprintf(name, sizeof(name), "more%d", i);
        g_assert_cmpint(quota_volume_publish(ledger, name, &limit, 0), ==, 0);
    }
    g_assert_cmpint(quota_volume_publish(ledger, "z", &limit, 0), ==, -EUSERS);
    g_assert_cmpint(quota_epoch_begin(ledger, "z"), ==, -EUSERS);
    quota_ledger_close(ledger);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/writer/killed", test_killed);
    g_test_add_func("/writer/started-again", test_started_again);
    g_test_add_func("/writer/descriptor-lives-on", test_descriptor_lives_on);
    g_test_add_func("/writer/all-slots", test_all_slots);
    g_test_add_func("/writer/mad-slot", test_mad_slot);
    g_test_add_func("/writer/private", test_private);
    g_test_add_func("/writer/attach-lock-kept", test_attach_lock_kept);
    g_test_add_func("/writer/alive", test_alive);
    g_test_add_func("/writer/slot-kept", test_slot_kept);
    g_test_add_func("/writer/long-name", test_long_name);
    return scratch_run();
}
