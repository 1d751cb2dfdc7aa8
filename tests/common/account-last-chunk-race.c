/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Processes that fight for the last chunks must together get exactly what is
 * there, never one byte over, whatever a sampler publishes meanwhile. */
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"

#define CHUNK UINT64_C(65536)
#define WRITERS 4
#define CHUNKS UINT64_C(200000)

/* Each writer takes chunks until it is refused, and counts what it got in the
 * stand-in for the kernel's allocation map before it settles. */
static void write_all(quota_u64 *kernel)
{
    struct quota_ledger *ledger = scratch_open("acme");
    struct quota_writer *writer = scratch_writer(ledger, "disk");

    for (;;) {
        struct quota_admission admission = { 0 };
        int ret;

        while ((ret = quota_admission_poll(writer, CHUNK,
                                           quota_clock_ns(), INT64_MAX,
                                           &admission)) == -EAGAIN) {
            g_usleep(100);
        }
        if (ret < 0) {
            break;
        }
        atomic_fetch_add(kernel, CHUNK);
        quota_bytes_settle(writer, CHUNK);
    }
    quota_writer_detach(writer);
    quota_ledger_close(ledger);
    _exit(0);
}

static void test_race(void)
{
    struct quota_ledger *ledger = scratch_ledger("acme");
    quota_u64 *kernel = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pids[WRITERS];
    struct quota_usage usage;
    int running = WRITERS;

    g_assert_true(kernel != MAP_FAILED);
    scratch_publish(ledger, CHUNKS * CHUNK, 0, CHUNKS * CHUNK);
    scratch_sample(ledger, 0, QUOTA_REASON_TENANT_LIMIT);
    for (int i = 0; i < WRITERS; i++) {
        pids[i] = fork();
        g_assert_cmpint(pids[i], >=, 0);
        if (pids[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            write_all(kernel);
        }
    }
    while (running) {
        struct quota_sample sample;
        uint64_t sampled, before;
        int status;

        g_assert_cmpint(quota_writer_audit(ledger), >=, 0);
        before = atomic_load(kernel);
        quota_sample_begin(ledger, &sample);
        sampled = atomic_load(kernel);
        g_assert_cmpuint(sampled, <=, CHUNKS * CHUNK);
        quota_sample_publish(ledger, &sample, sampled, quota_clock_ns(),
                             QUOTA_REASON_TENANT_LIMIT);
        quota_usage_read(ledger, &usage);
        /* A chunk that the kernel has and its writer has not yet settled is
         * counted twice, for each writer once; so are those that were written
         * while the sample was taken. */
        g_assert_cmpuint(usage.used_bytes, <=, (CHUNKS + WRITERS) * CHUNK +
                         sampled - before);
        g_assert_cmpuint(usage.used_bytes, >=, sampled);
        if (waitpid(-1, &status, WNOHANG) > 0) {
            g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
            running--;
        }
    }
    g_assert_cmpuint(atomic_load(kernel), ==, CHUNKS * CHUNK);
    scratch_sample(ledger, atomic_load(kernel), QUOTA_REASON_TENANT_LIMIT);
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.used_bytes, ==, CHUNKS * CHUNK);
    g_assert_cmpuint(usage.unsampled_bytes, ==, 0);
    munmap(kernel, 4096);
    quota_ledger_close(ledger);
}

/* ---- a million times ----------------------------------------------------- */

#define WINS UINT64_C(1000000)

struct arena {
    quota_u64 wins;             /* of all, ever */
    char pad0[120];
    quota_u64 holders;          /* of the last chunk, now */
};

/* Take the last chunk, see that nobody else has it, give it back. */
static void fight(struct arena *arena)
{
    struct quota_ledger *ledger = scratch_open("last");
    struct quota_writer *writer = scratch_writer(ledger, "disk");

    while (atomic_load(&arena->wins) < WINS) {
        int ret = quota_bytes_reserve(writer, CHUNK);

        if (ret == -ENOSPC) {
            continue;
        }
        if (ret < 0) {
            _exit(3);
        }
        if (atomic_fetch_add(&arena->holders, 1) != 0) {
            _exit(4);
        }
        atomic_fetch_add(&arena->wins, 1);
        atomic_fetch_sub(&arena->holders, 1);
        quota_bytes_return(writer, CHUNK);
    }
    quota_writer_detach(writer);
    quota_ledger_close(ledger);
    _exit(0);
}

static void test_million(void)
{
    struct quota_ledger *ledger = scratch_ledger("last");
    struct arena *arena = mmap(NULL, sizeof(*arena), PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pids[WRITERS];
    struct quota_usage usage;

    g_assert_true(arena != MAP_FAILED);
    scratch_publish(ledger, 10 * CHUNK, 5 * CHUNK, 5 * CHUNK);
    scratch_sample(ledger, 4 * CHUNK, QUOTA_REASON_TENANT_LIMIT);
    for (int i = 0; i < WRITERS; i++) {
        pids[i] = fork();
        g_assert_cmpint(pids[i], >=, 0);
        if (pids[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            fight(arena);
        }
    }
    for (int i = 0; i < WRITERS; i++) {
        int status;

        g_assert_cmpint(waitpid(pids[i], &status, 0), ==, pids[i]);
        g_assert_true(WIFEXITED(status));
        g_assert_cmpint(WEXITSTATUS(status), ==, 0);
    }
    g_assert_cmpuint(atomic_load(&arena->wins), >=, WINS);
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.used_bytes, ==, 9 * CHUNK);
    g_assert_cmpuint(usage.unsampled_bytes, ==, 0);
    munmap(arena, sizeof(*arena));
    quota_ledger_close(ledger);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/account/last-chunk-race", test_race);
    g_test_add_func("/account/last-chunk-a-million-times", test_million);
    return scratch_run();
}
