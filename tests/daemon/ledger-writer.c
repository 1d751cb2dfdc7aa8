/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ledger-writer.c: what the quota filter does, without QEMU: reserve, write,
 * settle.  And ring: how long the sampler takes to answer; hold: be a writer that
 * does nothing; make: what the storage backend does before a guest starts.
 *
 *   ledger-writer write LEDGER FILE BLOCK-BYTES FIRST COUNT PATIENCE-SECONDS
 *   ledger-writer ring LEDGER COUNT [SECONDS]     (default: 60, for an answer)
 *   ledger-writer hold LEDGER VOLUME
 *   ledger-writer make GROUP TENANT
 *
 * Prints one line of name=value.  Status 0: all written or answered; 3: a
 * write was refused, with the reason; 1: anything else.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "quota-writer.h"

#define NS_PER_MS 1000000

static int
fail(const char *what, int error)
{
    fprintf(stderr, "ledger-writer: %s: %s\n", what, strerror(error));
    return 1;
}

static int
compare(const void *left, const void *right)
{
    const uint64_t *a = left, *b = right;

    return *a < *b ? -1 : *a > *b;
}

/* The volume that a device is: /dev/GROUP/TENANT.VOLUME, or any file. */
static const char *
volume_of(const struct quota_ledger *ledger, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *lv = slash ? slash + 1 : path;
    const char *volume = quota_name_parse_lv(quota_ledger_tenant(ledger), lv);

    return volume ? volume : lv;
}

static int
write_blocks(struct quota_ledger *ledger, char **args)
{
    uint64_t bytes = strtoull(args[1], NULL, 0);
    uint64_t first = strtoull(args[2], NULL, 0);
    uint64_t count = strtoull(args[3], NULL, 0);
    uint64_t patience_ns = strtoull(args[4], NULL, 0) * 1000 * NS_PER_MS;
    uint64_t waits = 0, longest_ns = 0, i;
    struct quota_admission admission = { 0 };
    struct quota_writer *writer;
    int attached = quota_writer_attach(ledger, volume_of(ledger, args[0]),
                                       &writer);
    int fd = open(args[0], O_RDWR | O_DIRECT);
    int ret = 0;
    void *block;

    if (attached < 0)
        return fail("cannot attach", -attached);
    if (fd < 0)
        return fail(args[0], errno);
    if (posix_memalign(&block, 4096, bytes) != 0)
        return fail("memory", ENOMEM);

    for (i = first; i < first + count; i++) {
        uint64_t start_ns = quota_clock_ns();
        uint64_t waited_ns;

        /* each block tells its own number */
        for (size_t at = 0; at < bytes; at += sizeof(i))
            memcpy((char *)block + at, &i, sizeof(i));
        memset(&admission, 0, sizeof(admission));
        while ((ret = quota_admission_poll(writer, bytes,
                                           quota_clock_ns(), patience_ns,
                                           &admission)) == -EAGAIN)
            usleep(1000);
        waited_ns = quota_clock_ns() - start_ns;
        if (waited_ns >= NS_PER_MS)
            waits++;
        if (waited_ns > longest_ns)
            longest_ns = waited_ns;
        if (ret < 0) {
            quota_refusal_count(writer);
            break;
        }
        if (pwrite(fd, block, bytes, (off_t)(i * bytes)) != (ssize_t)bytes) {
            /* the kernel's refusal after ours should have come first */
            return fail("admitted, but the write failed", errno);
        }
        quota_bytes_settle(writer, bytes);
    }
    quota_writer_detach(writer);
    printf("written=%" PRIu64 " waits=%" PRIu64 " longest_ms=%" PRIu64
           " reason=%s\n", i - first, waits, longest_ns / NS_PER_MS,
           quota_reason_name(ret < 0 ? admission.reason : QUOTA_REASON_NONE));
    return ret < 0 ? 3 : 0;
}

static int
ring(struct quota_ledger *ledger, char **args)
{
    size_t count = strtoull(args[0], NULL, 0);
    uint64_t patience_ns = (args[1] ? strtoull(args[1], NULL, 0) : 60) * 1000 *
                           NS_PER_MS;
    uint64_t *took_ns = calloc(count, sizeof(*took_ns));
    struct quota_usage usage;

    for (size_t i = 0; i < count; i++) {
        uint64_t start_ns = quota_clock_ns();

        quota_doorbell_ring(ledger);
        do {
            quota_usage_read(ledger, &usage);
            took_ns[i] = quota_clock_ns() - start_ns;
            if (took_ns[i] > patience_ns)
                return fail("nobody answers", ETIMEDOUT);
            sched_yield();
        } while (usage.sample_ns < start_ns);
        usleep(3000);
    }
    qsort(took_ns, count, sizeof(*took_ns), compare);
    printf("count=%zu median_us=%" PRIu64 " p99_us=%" PRIu64 " longest_us=%"
           PRIu64 "\n", count, took_ns[count / 2] / 1000,
           took_ns[count * 99 / 100] / 1000, took_ns[count - 1] / 1000);
    free(took_ns);
    return 0;
}

static int
hold(struct quota_ledger *ledger, const char *volume)
{
    struct quota_writer *writer;
    int ret = quota_writer_attach(ledger, volume, &writer);

    if (ret < 0)
        return fail("cannot attach", -ret);
    printf("held\n");
    fflush(stdout);
    pause();
    return 0;
}

static int
make(const char *group, const char *tenant)
{
    int lock = quota_group_lock(group, 60);
    struct quota_ledger *ledger;
    int ret = lock < 0 ? lock : quota_ledger_create(group, tenant, &ledger);

    if (ret < 0)
        return fail("cannot make the ledger", -ret);
    quota_ledger_close(ledger);
    quota_group_unlock(lock);
    return 0;
}

int
main(int argc, char **argv)
{
    struct quota_ledger *ledger;
    int ret;

    if (argc == 4 && strcmp(argv[1], "make") == 0)
        return make(argv[2], argv[3]);
    if (!((argc == 8 && strcmp(argv[1], "write") == 0) ||
          (argc == 4 && strcmp(argv[1], "hold") == 0) ||
          ((argc == 4 || argc == 5) && strcmp(argv[1], "ring") == 0))) {
        fprintf(stderr, "usage: see the head of ledger-writer.c\n");
        return 2;
    }
    ret = quota_ledger_open(argv[2], true, &ledger);
    if (ret < 0) {
        fprintf(stderr, "ledger-writer: %s %s\n", argv[2],
                quota_ledger_strerror(ret));
        return 1;
    }
    ret = argc == 8 ? write_blocks(ledger, argv + 3)
        : strcmp(argv[1], "hold") == 0 ? hold(ledger, argv[3])
        : ring(ledger, argv + 3);
    quota_ledger_close(ledger);
    return ret;
}
