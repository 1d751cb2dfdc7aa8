/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Processes that write, and the one that samples for them, are killed at random
 * all the time.  Never may the ledger say less than has been written, nor let
 * more be written than the limit; and when all are dead, one audit and one
 * sample make it exact.
 *
 *   kill-soak [SECONDS [SEED]]       (default: 2, and a random one)
 *
 * It takes longer when the machine is too busy to kill often enough.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"

#define CHUNK UINT64_C(65536)
#define WRITERS 6
#define VOLUMES 3
#define SECOND UINT64_C(1000000000)
/* What the seconds stand for, on a machine that has to do with others as well. */
#define KILLS_PER_SECOND 20

/* Stands for the kernel: what each volume has had allocated, never less. */
static struct kernel {
    quota_u64 volume_bytes[VOLUMES];
    quota_u64 mistakes;
} *kernel;

static const struct size {
    uint64_t limit_bytes;
    const char *what;
} sizes[] = {
    { 64 * MIB, "at the limit" },
    { UINT64_C(1) << 50, "with leases" },
};

static uint64_t kernel_bytes(void)
{
    uint64_t sum = 0;

    for (int i = 0; i < VOLUMES; i++) {
        sum += atomic_load(&kernel->volume_bytes[i]);
    }
    return sum;
}

static void write_on(GRand *rand, int n)
{
    struct quota_ledger *ledger = scratch_open("soak");
    char volume[16];
    struct quota_writer *writer;
    int v = n % VOLUMES, ret;

    g_snprintf(volume, sizeof(volume), "disk%d", v);
    /* Its slot may be dead and not yet audited; who has the attach lock may have
     * to wait for a processor. */
    while ((ret = quota_writer_attach(ledger, volume, &writer)) == -EUSERS ||
           ret == -EBUSY) {
        g_usleep(100);
    }
    g_assert_cmpint(ret, ==, 0);
    for (;;) {
        uint64_t bytes = CHUNK * g_rand_int_range(rand, 1, 8);
        int what = g_rand_int_range(rand, 0, 100);

        if (quota_bytes_reserve(writer, bytes) < 0) {
            quota_doorbell_ring(ledger);
            g_usleep(50);
            continue;
        }
        if (what < 30) {
            quota_bytes_return(writer, bytes);
            continue;
        }
        if (what < 60) {
            atomic_fetch_add(&kernel->volume_bytes[v], bytes);
        }                           /* else it was an overwrite */
        quota_bytes_settle(writer, bytes);
        if (what == 99) {
            quota_writer_detach(writer);
            while (quota_writer_attach(ledger, volume, &writer) < 0) {
                g_usleep(100);
            }
        }
    }
}

static void sample_once(struct quota_ledger *ledger)
{
    struct quota_sample sample;
    uint64_t sum = 0;

    quota_writer_audit(ledger);
    quota_sample_begin(ledger, &sample);
    for (int v = 0; v < VOLUMES; v++) {
        char name[16];
        uint64_t bytes = atomic_load(&kernel->volume_bytes[v]);
        int i;

        g_snprintf(name, sizeof(name), "disk%d", v);
        i = quota_volume_find(ledger, name);
        if (i >= 0 && (unsigned)i < sample.volumes) {
            sample.volume[i].used_bytes = bytes;
        }
        sum += bytes;
    }
    quota_sample_publish(ledger, &sample, sum, quota_clock_ns(),
                         QUOTA_REASON_TENANT_LIMIT);
}

static void sample_on(void)
{
    struct quota_ledger *ledger = scratch_open("soak");

    for (;;) {
        sample_once(ledger);
        g_usleep(200);
    }
}

static pid_t start(GRand *seeds, int n)
{
    guint32 seed = g_rand_int(seeds);
    pid_t parent = getpid(), pid = fork();

    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(1);               /* it was dead already */
        }
        if (n == WRITERS) {
            sample_on();
        }
        write_on(g_rand_new_with_seed(seed), n);
    }
    return pid;
}

static void stop(pid_t pid)
{
    int status;

    kill(pid, SIGKILL);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* What has been written is read first: it only grows. */
static void check(const struct quota_ledger *ledger, uint64_t limit_bytes)
{
    uint64_t truth = kernel_bytes();
    struct quota_usage usage;

    quota_usage_read(ledger, &usage);
    g_assert_cmpint(usage.reason, !=, QUOTA_REASON_ACCOUNTING_LOST);
    g_assert_cmpuint(usage.used_bytes, >=, truth);
    g_assert_cmpuint(truth, <=, limit_bytes);
}

static void check_exact(struct quota_ledger *ledger)
{
    struct quota_ledger_file *before = g_malloc(sizeof(*before));
    struct quota_usage usage;

    sample_once(ledger);
    g_assert_cmpint(quota_writer_audit(ledger), ==, 0);
    memcpy(before, ledger->file, sizeof(*before));
    g_assert_cmpint(quota_writer_audit(ledger), ==, 0);
    g_assert_cmpint(memcmp(before, ledger->file, sizeof(*before)), ==, 0);
    g_free(before);
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.used_bytes, ==, kernel_bytes());
    g_assert_cmpuint(usage.unsampled_bytes, ==, 0);
    g_assert_cmpuint(quota_writer_count(ledger), ==, 0);
}

static void soak(GRand *rand, const struct size *size, uint64_t length_ns)
{
    uint64_t until_ns = quota_clock_ns() + length_ns;
    uint64_t least_kills = length_ns * KILLS_PER_SECOND / SECOND;
    pid_t pids[WRITERS + 1];
    struct quota_ledger *ledger;
    uint64_t kills = 0;

    memset(kernel, 0, sizeof(*kernel));
    quota_ledger_unlink("vg0", "soak");
    ledger = scratch_ledger("soak");
    scratch_publish(ledger, size->limit_bytes, 0, size->limit_bytes);
    sample_once(ledger);
    for (int i = 0; i <= WRITERS; i++) {
        pids[i] = start(rand, i);
    }
    while (quota_clock_ns() < until_ns || kills < least_kills) {
        int i = g_rand_int_range(rand, 0, WRITERS + 1);

        for (int looks = g_rand_int_range(rand, 1, 20); looks; looks--) {
            check(ledger, size->limit_bytes);
            g_usleep(g_rand_int_range(rand, 1, 300));
        }
        stop(pids[i]);
        kills++;
        check(ledger, size->limit_bytes);
        pids[i] = start(rand, i);
    }
    for (int i = 0; i <= WRITERS; i++) {
        stop(pids[i]);
    }
    check_exact(ledger);
    printf("%s: %" G_GUINT64_FORMAT " killed, %" G_GUINT64_FORMAT
           " MiB written, exact\n", size->what, kills, kernel_bytes() / MIB);
    fflush(stdout);
    quota_ledger_close(ledger);
}

int main(int argc, char **argv)
{
    uint64_t seconds = argc > 1 ? strtoull(argv[1], NULL, 10) : 2;
    guint32 seed = argc > 2 ? strtoul(argv[2], NULL, 10) : g_random_int();
    GRand *rand = g_rand_new_with_seed(seed);

    printf("%" G_GUINT64_FORMAT " seconds, seed %u\n", seconds, seed);
    kernel = mmap(NULL, sizeof(*kernel), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    g_assert_true(kernel != MAP_FAILED);
    scratch_begin();
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        soak(rand, &sizes[i], seconds * SECOND / G_N_ELEMENTS(sizes));
    }
    scratch_end();
    g_rand_free(rand);
    return 0;
}
