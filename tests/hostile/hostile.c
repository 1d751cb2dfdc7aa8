/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hostile.c: what a QEMU that was taken over can do with its tenant's ledger.  It
 * has a descriptor and a mapping, as the quota filter has, and no other right.
 *
 *   hostile LEDGER ATTACK SECONDS SEED
 *
 * ATTACK is a name of the table below, or "all": every attack in turn, in an order
 * and with values that the seed gives.  Prints how often each was done.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ledger.h"

static struct quota_ledger_file *file;
static struct quota_ledger *ledger;
static uint64_t state;

/* xorshift64*, Vigna 2016. */
static uint64_t
any(void)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * UINT64_C(2685821657736338717);
}

/* What is likely to be near an edge somewhere. */
static uint64_t
odd(void)
{
    static const uint64_t values[] = {
        0, 1, 2, 4096, 65535, 65536, 65537, UINT64_C(1) << 31, UINT64_C(1) << 32,
        UINT64_C(1) << 50, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX - 1, UINT64_MAX,
    };

    return any() % 4 ? values[any() % (sizeof(values) / sizeof(*values))] : any();
}

static void
ring(void)
{
    quota_doorbell_ring(ledger);
}

static void
no_volumes(void)
{
    quota_store(&file->counters.volumes, any() % 2 ? 0 : any());
    ring();
}

static void
demand(void)
{
    quota_store(&file->counters.demand_bytes, any() % 4 ? UINT64_MAX : odd());
    ring();
}

/* As if very much was being written. */
static void
in_flight(void)
{
    struct quota_writer_words *words = &file->volumes[0].writers[0];

    quota_store(&words->entries[QUOTA_OF_TENANT].value[any() % 2], odd());
    quota_store(&words->entries[QUOTA_OF_TENANT].own[any() % 2], odd());
    quota_store(&file->counters.reserved.last, (UINT64_C(1) << 48) | any() % 4);
    quota_store(&file->sample.settled_at_sample, any() % 2 ? 0 : odd());
    ring();
}

static void
answer(void)
{
    quota_store(&file->sample.reason, any() % 8);
    quota_store(&file->sample.answered, any() % 2 ?
                quota_load(&file->counters.doorbell) : (uint32_t)any());
    quota_store(&file->sample.sample_ns, quota_clock_ns());
}

/* At its limit and not, as often as it is looked at. */
static void
reason(void)
{
    quota_store(&file->policy.limit_bytes, any() % 2 ? 0 : UINT64_MAX / 2);
    quota_store(&file->policy.group_free_bytes, any() % 2 ? 0 : UINT64_MAX / 2);
    quota_store(&file->counters.demand_bytes, any() % 2 ? 65536 : UINT64_MAX);
    ring();
}

/* Each of them is looked for in the kernel. */
static void
slots(void)
{
    struct quota_volume *volume = &file->volumes[any() % QUOTA_LEDGER_VOLUMES];
    char name[16];

    snprintf(name, sizeof(name), "v%u", (unsigned)(any() % 100000));
    for (size_t i = 0; i < sizeof(name); i++)
        quota_store(&volume->name[i], name[i]);
    quota_store(&volume->limit_bytes, 1 + any() % 1000);
    quota_store(&volume->writers[0].owner, 1);
    quota_store(&volume->use, 1);
    quota_store(&file->counters.volumes, QUOTA_LEDGER_VOLUMES);
    ring();
}

static void
policy(void)
{
    quota_u64 *words = (quota_u64 *)&file->policy;

    quota_store(&words[any() % (sizeof(file->policy) / 8)], odd());
    ring();
}

/* Any word but the header. */
static void
word(void)
{
    quota_u64 *words = (quota_u64 *)file;
    size_t first = sizeof(file->header) / 8;

    quota_store(&words[first + any() % (sizeof(*file) / 8 - first)], odd());
    if (any() % 64 == 0)
        ring();
}

static void
header(void)
{
    ((volatile uint8_t *)file)[any() % sizeof(file->header)] = any();
    ring();
}

static void
locks(void)
{
    static const int64_t bytes[] = { QUOTA_SAMPLE_LOCK, QUOTA_ATTACH_LOCK };
    struct flock lock = {
        .l_type = any() % 4 ? F_WRLCK : F_UNLCK,
        .l_whence = SEEK_SET,
        .l_start = bytes[any() % 2],
        .l_len = 1,
    };

    (void)fcntl(ledger->fd, F_OFD_SETLK, &lock);
    ring();
}

static void
hole(void)
{
    (void)fallocate(ledger->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    any() % 256 * 4096, 4096);
    ring();
}

static const struct attack {
    const char *name;
    void (*run)(void);
} attacks[] = {
    { "no-volumes", no_volumes },
    { "demand", demand },
    { "in-flight", in_flight },
    { "answer", answer },
    { "reason", reason },
    { "slots", slots },
    { "policy", policy },
    { "word", word },
    { "header", header },
    { "locks", locks },
    { "hole", hole },
};
#define ATTACKS (sizeof(attacks) / sizeof(*attacks))

int
main(int argc, char **argv)
{
    uint64_t done[ATTACKS] = { 0 };
    uint64_t end_ns;
    size_t now = 0;
    int ret;

    if (argc != 5) {
        fprintf(stderr, "usage: hostile LEDGER ATTACK SECONDS SEED\n");
        return 2;
    }
    ret = quota_ledger_open(argv[1], true, &ledger);
    if (ret < 0) {
        fprintf(stderr, "hostile: %s %s\n", argv[1], quota_ledger_strerror(ret));
        return 1;
    }
    file = ledger->file;
    state = strtoull(argv[4], NULL, 0) | 1;
    while (now < ATTACKS && strcmp(attacks[now].name, argv[2]) != 0)
        now++;
    if (now == ATTACKS && strcmp(argv[2], "all") != 0) {
        fprintf(stderr, "hostile: there is no attack %s\n", argv[2]);
        return 2;
    }

    end_ns = quota_clock_ns() + strtoull(argv[3], NULL, 0) * 1000000000;
    while (quota_clock_ns() < end_ns) {
        size_t i = now < ATTACKS ? now : any() % ATTACKS;

        for (unsigned n = 0; n < 16; n++, done[i]++)
            attacks[i].run();
        /* A ledger that was replaced is attacked no more: take the new one. */
        if (!quota_ledger_is_current(ledger)) {
            struct quota_ledger *newer;

            if (quota_ledger_open(argv[1], true, &newer) == 0) {
                quota_ledger_close(ledger);
                ledger = newer;
                file = ledger->file;
            }
        }
        usleep(100);
    }
    for (size_t i = 0; i < ATTACKS; i++)
        if (done[i])
            printf("%s=%" PRIu64 " ", attacks[i].name, done[i]);
    printf("seed=%s\n", argv[4]);
    return 0;
}
