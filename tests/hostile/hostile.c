/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hostile.c: what a QEMU that was taken over can do with its tenant's ledger.  It
 * has a descriptor and a mapping, as the quota filter has, and no other right.
 *
 *   hostile LEDGER ATTACK SECONDS SEED
 *
 * ATTACK is a name of the table below, or "all": every attack in turn, in an order
 * and with values that the seed gives.  Prints how often each was done.  Fails if the
 * ledger's size could be changed, or an honest writer beside it waited for too long.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ledger.h"
#include "quota-writer.h"

/* Of each thread that attacks: two race for the same words. */
static _Thread_local struct quota_ledger_file *file;
static _Thread_local struct quota_ledger *ledger;
static _Thread_local uint64_t state;

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

/* Answered, and told to wait, as often as somebody asks; and the sampler, which could
 * say otherwise, is kept away. */
static void
stall(void)
{
    struct flock lock = {
        .l_type = F_WRLCK,
        .l_whence = SEEK_SET,
        .l_start = QUOTA_SAMPLE_LOCK,
        .l_len = 1,
    };

    (void)fcntl(ledger->fd, F_OFD_SETLK, &lock);
    for (unsigned n = 0; n < 10000; n++) {
        quota_store(&file->sample.reason, QUOTA_REASON_NONE);
        quota_store(&file->sample.answered, quota_load(&file->counters.doorbell));
    }
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

/* Another word each time that somebody could swap it. */
static void
restless(void)
{
    struct quota_writer_words *words = &file->volumes[0].writers[0];

    for (uint64_t n = 0; n < 10000; n++) {
        quota_store(&file->counters.reserved.last, UINT64_C(1) << 48 | n << 1);
        quota_store(&words->lease, 1 + n % 1000);
        quota_store(&words->done[QUOTA_OF_TENANT], n % 2);
    }
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

/* FNV-1a, as in common/ledger/ledger.c: anybody can compute it. */
static uint64_t
checksum(const struct quota_header *what)
{
    const unsigned char *bytes = (const unsigned char *)what;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < offsetof(struct quota_header, checksum); i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* A header that is right but for its version, or its features, and in use. */
static void
newer(void)
{
    struct quota_header forged = ledger->header;
    struct flock lock = {
        .l_type = F_WRLCK,
        .l_whence = SEEK_SET,
        .l_start = QUOTA_LOCK_BASE,
        .l_len = 1,
    };

    if (any() % 2)
        forged.version_major++;
    else
        forged.features.incompatible = UINT64_C(1) << any() % 64;
    forged.checksum = checksum(&forged);
    memcpy(&file->header, &forged, sizeof(forged));
    (void)fcntl(ledger->fd, F_OFD_SETLK, &lock);
    ring();
}

/* Very many locks, through which the kernel looks for each that others ask for, and
 * owners everywhere, so that they ask for many. */
#define FLOOD_LOCKS 16000
static _Thread_local unsigned flooded;

static void
flood(void)
{
    struct flock lock = {
        .l_type = F_WRLCK,
        .l_whence = SEEK_SET,
        .l_start = 2 * (int64_t)flooded,
        .l_len = 1,
    };

    if (flooded < FLOOD_LOCKS && fcntl(ledger->fd, F_OFD_SETLK, &lock) == 0)
        flooded++;
    quota_store(&quota_writer_at(ledger, any() % QUOTA_LEDGER_WRITERS)->owner, 1);
    quota_store(&file->counters.volumes, QUOTA_LEDGER_VOLUMES);
    if (any() % 64 == 0)
        ring();
}

/* Holes, again and again, in what is mapped so often that each takes long: who touches
 * it meanwhile waits for that. */
#define PUNCH_MAPS 2000
static _Thread_local void *maps[PUNCH_MAPS];

static void
maps_drop(void)
{
    for (unsigned i = 0; i < PUNCH_MAPS && maps[i]; i++) {
        munmap(maps[i], sizeof(*file));
        maps[i] = NULL;
    }
}

static void
punch(void)
{
    for (unsigned i = 0; !maps[PUNCH_MAPS - 1] && i < PUNCH_MAPS; i++) {
        maps[i] = mmap(NULL, sizeof(*file), PROT_READ, MAP_SHARED, ledger->fd, 0);
        if (maps[i] == MAP_FAILED) {
            fprintf(stderr, "hostile: cannot map the ledger %u times\n", i + 1);
            exit(1);
        }
        (void)*(volatile char *)maps[i];
    }
    (void)fallocate(ledger->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                    sizeof(*file));
    quota_store(&file->counters.volumes, QUOTA_LEDGER_VOLUMES);
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

/* What somebody else maps must not go away, nor grow without end. */
static void
size(void)
{
    off_t to = any() % 4 ? (off_t)(any() % (2 * sizeof(*file))) : 0;

    if (to == (off_t)sizeof(*file))
        return;
    if (ftruncate(ledger->fd, to) == 0 ||
        fcntl(ledger->fd, F_ADD_SEALS, F_SEAL_WRITE) == 0) {
        fprintf(stderr, "hostile: a ledger's size, or its seals, could be changed\n");
        exit(1);
    }
}

/* A write that never ends, for which a snapshot would have to wait. */
static void
writes(void)
{
    int slot = quota_volume_find(ledger, "root");
    unsigned index = (slot < 0 ? 0 : slot) * QUOTA_VOLUME_WRITERS +
        QUOTA_VOLUME_WRITERS - 1;
    struct quota_writer_words *words = quota_writer_at(ledger, index);
    struct flock lock = {
        .l_type = F_WRLCK,
        .l_whence = SEEK_SET,
        .l_start = QUOTA_LOCK_BASE + index,
        .l_len = 1,
    };

    (void)fcntl(ledger->fd, F_OFD_SETLK, &lock);
    quota_store(&words->owner, 1);
    quota_store(&words->lanes[any() % QUOTA_LANES].charged_in_flight, 1);
}

/* ---- an honest writer beside it, with a clock of its own ------------------ */

#define WAIT_NS UINT64_C(500000000)
#define WAIT_MOST_NS (5 * WAIT_NS)

static const char *path;
static atomic_uint waits;
static atomic_bool is_over;

/* Waits for half a second for more than there is.  Whatever is answered, it is not to
 * wait for much longer: in libvirtd a worker would. */
static void *
waiter(void *opaque)
{
    (void)opaque;
    while (!atomic_load(&is_over)) {
        struct quota_ledger *own;
        struct quota_writer *writer = NULL;
        enum quota_reason why;
        uint64_t began_ns;

        if (quota_ledger_open(path, true, &own) < 0) {
            usleep(100000);
            continue;
        }
        if (quota_writer_attach(own, "waiter", &writer) == 0) {
            began_ns = quota_clock_ns();
            (void)quota_admission_wait(writer, UINT64_C(1) << 50, WAIT_NS / 2, WAIT_NS,
                                       &why);
            began_ns = quota_clock_ns() - began_ns;
            if (began_ns > WAIT_MOST_NS) {
                fprintf(stderr, "hostile: a wait of %u ms took %u ms\n",
                        (unsigned)(WAIT_NS / 1000000), (unsigned)(began_ns / 1000000));
                exit(1);
            }
            atomic_fetch_add(&waits, 1);
            quota_writer_detach(writer);
        } else {
            usleep(100000);
        }
        quota_ledger_close(own);
    }
    return NULL;
}

static const struct attack {
    const char *name;
    void (*run)(void);
} attacks[] = {
    { "no-volumes", no_volumes },
    { "demand", demand },
    { "in-flight", in_flight },
    { "answer", answer },
    { "stall", stall },
    { "reason", reason },
    { "slots", slots },
    { "policy", policy },
    { "restless", restless },
    { "word", word },
    { "header", header },
    { "newer", newer },
    { "locks", locks },
    { "flood", flood },
    { "hole", hole },
    { "punch", punch },
    { "size", size },
    { "writes", writes },
};
#define ATTACKS (sizeof(attacks) / sizeof(*attacks))

static size_t chosen = ATTACKS;     /* ATTACKS: all */
static bool is_waiting;
static uint64_t end_ns;
static atomic_ullong done[ATTACKS];

static size_t
attack_find(const char *name)
{
    size_t i = 0;

    while (i < ATTACKS && strcmp(attacks[i].name, name) != 0)
        i++;
    return i;
}

/* 0, or what opening it gave: then the one that this thread has stays. */
static int
take_ledger(void)
{
    struct quota_ledger *newer_one;
    int ret = quota_ledger_open(path, true, &newer_one);

    if (ret < 0)
        return ret;
    quota_ledger_close(ledger);
    ledger = newer_one;
    file = ledger->file;
    flooded = 0;
    maps_drop();
    return 0;
}

static void
attack(uint64_t seed)
{
    const size_t stalls = attack_find("stall");

    state = seed | 1;
    while (quota_clock_ns() < end_ns) {
        size_t i = chosen < ATTACKS ? chosen : any() % ATTACKS;
        /* For longer than a wait may take, and nothing else. */
        bool is_stalling = is_waiting && quota_clock_ns() / 1000000000 % 10 < 4;

        if (chosen == ATTACKS && is_stalling)
            i = stalls;
        for (unsigned n = 0; n < 16; n++) {
            attacks[i].run();
            atomic_fetch_add(&done[i], 1);
        }
        /* A ledger that was replaced is attacked no more, unless somebody still waits in
         * it: take the new one. */
        if (!is_stalling && !quota_ledger_is_current(ledger))
            (void)take_ledger();
        usleep(100);
    }
}

static void *
second(void *seed)
{
    /* the first one may have spoilt it already */
    while (take_ledger() < 0 && quota_clock_ns() < end_ns)
        usleep(1000);
    if (ledger)
        attack((uintptr_t)seed);
    return NULL;
}

int
main(int argc, char **argv)
{
    pthread_t asker, racer;
    uint64_t seed;
    int ret;

    if (argc != 5) {
        fprintf(stderr, "usage: hostile LEDGER ATTACK SECONDS SEED\n");
        return 2;
    }
    path = argv[1];
    chosen = attack_find(argv[2]);
    seed = strtoull(argv[4], NULL, 0);
    if (chosen == ATTACKS && strcmp(argv[2], "all") != 0) {
        fprintf(stderr, "hostile: there is no attack %s\n", argv[2]);
        return 2;
    }
    ret = take_ledger();
    if (ret < 0) {
        fprintf(stderr, "hostile: %s %s\n", path, quota_ledger_strerror(ret));
        return 1;
    }

    is_waiting = chosen == ATTACKS || attacks[chosen].run == answer ||
        attacks[chosen].run == stall || attacks[chosen].run == restless;
    end_ns = quota_clock_ns() + strtoull(argv[3], NULL, 0) * 1000000000;
    if ((is_waiting && pthread_create(&asker, NULL, waiter, NULL) != 0) ||
        pthread_create(&racer, NULL, second, (void *)(uintptr_t)(seed + 1000)) != 0) {
        fprintf(stderr, "hostile: cannot start a thread\n");
        return 1;
    }
    attack(seed);
    pthread_join(racer, NULL);
    if (is_waiting) {
        atomic_store(&is_over, true);
        pthread_join(asker, NULL);
        printf("waits=%u ", atomic_load(&waits));
    }
    for (size_t i = 0; i < ATTACKS; i++)
        if (done[i])
            printf("%s=%llu ", attacks[i].name, atomic_load(&done[i]));
    printf("seed=%s\n", argv[4]);
    return 0;
}
