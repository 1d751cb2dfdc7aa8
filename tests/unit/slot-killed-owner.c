/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A writer that is killed must neither keep its share for ever nor have it
 * given away while it lives. */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"

#define CHUNK UINT64_C(65536)

static struct quota_ledger *open_own(const char *tenant)
{
    char path[QUOTA_LEDGER_PATH_BYTES];
    struct quota_ledger *ledger;

    quota_ledger_path("vg0", tenant, path, sizeof(path));
    g_assert_cmpint(quota_ledger_open(path, true, &ledger), ==, 0);
    return ledger;
}

static pid_t start_writer(const char *tenant)
{
    int ready[2];
    char byte;
    pid_t pid;

    g_assert_cmpint(pipe(ready), ==, 0);
    pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        struct quota_ledger *own = open_own(tenant);
        int slot = quota_slot_attach(own, "disk0");

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (slot < 0 || quota_bytes_reserve(own, slot, 5 * CHUNK) < 0 ||
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

static void test_killed(void)
{
    struct quota_ledger *ledger = scratch_ledger("killed");
    struct quota_usage usage;
    pid_t pid;

    scratch_publish(ledger, GIB, 0, GIB);
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    pid = start_writer("killed");

    /* Alive: nothing is settled for it. */
    g_assert_cmpint(quota_slot_audit(ledger), ==, 0);
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.used_bytes, ==, 5 * CHUNK);
    g_assert_cmpuint(quota_slot_count(ledger), ==, 1);

    kill(pid, SIGKILL);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    g_assert_cmpint(quota_slot_audit(ledger), ==, 1);
    g_assert_cmpint(quota_slot_audit(ledger), ==, 0);
    g_assert_cmpuint(quota_slot_count(ledger), ==, 0);
    /* Two of the five chunks had reached the kernel. */
    scratch_sample(ledger, 2 * CHUNK, QUOTA_REASON_NONE);
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.used_bytes, ==, 2 * CHUNK);
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
    own = open_own("passed");
    pid = fork();
    if (pid == 0) {
        _exit(quota_slot_attach(own, "disk0") >= 0 ? 0 : 1);
    }
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    g_assert_cmpint(quota_slot_audit(ledger), ==, 0);
    g_assert_cmpuint(quota_slot_count(ledger), ==, 1);
    quota_ledger_close(own);
    g_assert_cmpint(quota_slot_audit(ledger), ==, 1);
    quota_ledger_close(ledger);
}

/* Killed between its two steps, a writer leaves bytes that no slot claims:
 * counted while anybody writes, gone when nobody does. */
static void test_leftovers(void)
{
    struct quota_ledger *ledger = scratch_ledger("leftovers");
    struct quota_ledger *own;
    struct quota_usage usage;
    int slot;

    scratch_publish(ledger, GIB, 0, GIB);
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    own = open_own("leftovers");
    slot = quota_slot_attach(own, "disk0");
    g_assert_cmpint(slot, >=, 0);
    quota_add(&ledger->file->counters.reserved_bytes, 3 * CHUNK);

    g_assert_cmpint(quota_slot_audit(ledger), ==, 0);
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.used_bytes, ==, 3 * CHUNK);

    quota_slot_detach(own, slot);
    quota_ledger_close(own);
    g_assert_cmpint(quota_slot_audit(ledger), ==, 0);
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.used_bytes, ==, 0);
    quota_ledger_close(ledger);
}

static void test_all_slots(void)
{
    struct quota_ledger *ledger = scratch_ledger("crowd");

    for (int i = 0; i < QUOTA_LEDGER_SLOTS; i++) {
        g_assert_cmpint(quota_slot_attach(ledger, "disk"), ==, i);
    }
    g_assert_cmpint(quota_slot_attach(ledger, "disk"), ==, -EUSERS);
    quota_slot_detach(ledger, 7);
    g_assert_cmpint(quota_slot_attach(ledger, "disk"), ==, 7);
    quota_ledger_close(ledger);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/slot/killed", test_killed);
    g_test_add_func("/slot/descriptor-lives-on", test_descriptor_lives_on);
    g_test_add_func("/slot/leftovers", test_leftovers);
    g_test_add_func("/slot/all", test_all_slots);
    return scratch_run();
}
