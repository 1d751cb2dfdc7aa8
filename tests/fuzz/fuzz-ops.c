/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process that writes for a tenant can write all of its ledger while others
 * use it.  The others must not crash, loop for ever, or admit bytes that they
 * can see are not available.
 *
 * Input: a byte of flags (1: the neighbour is a thread, that races; else it
 * acts between two steps of the library, by plan); the number of changes to a
 * sound ledger, and those; the number of changes that the neighbour makes, and
 * those, each after how many steps; then operations, up to the end.
 */
#include <pthread.h>

#include "neighbour.h"
#include "reading.h"

#define WRITERS 4
#define REQUESTS 4
/* Accesses to shared memory that one operation may take.  A request takes its
 * cost in pieces of 10 ms at the sustained rate, at least one byte: at a
 * corrupted rate, a large request takes as many steps as it has bytes. */
#define STEPS_MAX 2000000
#define REQUEST_MAX (UINT64_C(64) << 20)

static struct quota_ledger_file *image;
static struct quota_ledger *sampler;

static struct {
    struct quota_ledger *ledger;
    struct quota_writer *writer;
    uint64_t in_flight;
    unsigned charged_writes, lane;
    struct quota_admission admission;
    struct quota_request requests[REQUESTS];
    uint64_t lease;             /* units, before the operation */
} guests[WRITERS];

static bool is_racing, is_busy, was_disturbed;
static atomic_bool is_over;
static uint64_t steps, now_ns;

/* Before each access of the library to shared memory. */
void fuzz_step(void);
void fuzz_step(void)
{
    if (!is_busy) {
        return;
    }
    if (++steps > STEPS_MAX) {
        fprintf(stderr, "an operation does not end\n");
        abort();
    }
    if (!is_racing && neighbour_step(sampler->file)) {
        was_disturbed = true;
    }
}

static void *race(void *unused)
{
    while (!atomic_load(&is_over)) {
        for (unsigned i = 0; i < neighbour.count; i++) {
            fuzz_patch(sampler->file, &neighbour.changes[i].patch);
        }
    }
    return unused;
}

static void prepare(void)
{
    struct quota_ledger *ledger = fuzz_ledger();
    struct quota_limits volume = { .limit_bytes = 20 * CHUNK };
    struct quota_state state = {
        .limits.limit_bytes = 64 * CHUNK,
        .limits.rates[QUOTA_RATE_TOTAL_BYTES].per_sec = 100 * CHUNK,
        .limits.rates[QUOTA_RATE_WRITE_IOPS] = { 50, 1000, 3 },
        .thick_bytes = 4 * CHUNK,
        .grant_bytes = 40 * CHUNK,
        .chunk_bytes = CHUNK,
    };
    struct quota_sample sample;

    quota_state_publish(ledger, &state);
    quota_sample_begin(ledger, &sample);
    quota_sample_publish(ledger, &sample, CHUNK, 1, QUOTA_REASON_TENANT_LIMIT);
    FUZZ_CHECK(quota_volume_publish(ledger, "disk1", &volume, 200) == 0);
    image = malloc(sizeof(*image));
    FUZZ_CHECK(image);
    memcpy(image, ledger->file, sizeof(*image));
    sampler = ledger;
}

static const char *volume_name(unsigned n)
{
    static const char *const names[] = { "disk0", "disk1", "disk2", "" };

    return names[n % 4];
}

/* The process is gone, and its locks with it. */
static void die(unsigned n)
{
    free(guests[n].writer);
    quota_ledger_close(guests[n].ledger);
    memset(&guests[n], 0, sizeof(guests[n]));
}

static void detach(unsigned n)
{
    struct quota_writer *writer = guests[n].writer;

    for (unsigned i = 0; i < REQUESTS; i++) {
        quota_queue_leave(writer, &guests[n].requests[i], now_ns);
    }
    quota_bytes_settle(writer, guests[n].in_flight);
    for (; guests[n].charged_writes > 0; guests[n].charged_writes--) {
        quota_epoch_leave(writer, guests[n].lane);
    }
    quota_writer_detach(writer);
    quota_ledger_close(guests[n].ledger);
    memset(&guests[n], 0, sizeof(guests[n]));
}

static uint64_t lease_of(unsigned n)
{
    return QUOTA_LEASE_UNITS(quota_load(&guests[n].writer->words->lease));
}

/* What was admitted is inside the limits, as the file has them now; or was
 * admitted when it was leased. */
static void admitted(unsigned n, uint64_t bytes)
{
    struct quota_reading reading;

    guests[n].in_flight += bytes;
    is_busy = false;
    if (was_disturbed || is_racing || bytes == 0 ||
        lease_of(n) < guests[n].lease) {
        return;
    }
    FUZZ_CHECK(quota_reading_take(sampler, &reading) == 0);
    FUZZ_CHECK(reading.thick_bytes + reading.sampled_bytes +
               reading.unsampled_bytes <= reading.limit_bytes);
    FUZZ_CHECK(reading.sampled_bytes + reading.unsampled_bytes <=
               reading.grant_bytes);
    FUZZ_CHECK(quota_reading_take_volume(sampler, guests[n].writer->adder.index
                                         / QUOTA_VOLUME_WRITERS, &reading) !=
               -EUCLEAN);
    FUZZ_CHECK(reading.limit_bytes == 0 ||
               reading.sampled_bytes + reading.unsampled_bytes <=
               reading.limit_bytes);
}

static uint64_t take_bytes(struct fuzz_input *input)
{
    uint64_t value = fuzz_take(input, 1);

    return value < 200 ? value * (CHUNK / 4)
           : value < 240 ? value : fuzz_take(input, 8);
}

static void wake(struct quota_request *request)
{
    (void)request;
}

static void take_rates(struct fuzz_input *input, struct quota_limits *limits)
{
    for (int i = 0; i < QUOTA_RATE_MAX; i++) {
        uint64_t rate = fuzz_take(input, 1);

        if (rate & 1) {
            limits->rates[i].per_sec = rate << rate % 32;
            limits->rates[i].max_per_sec = rate & 2 ? rate << 32 : 0;
            limits->rates[i].max_length_sec = rate & 6 ? rate % 64 : 0;
        }
    }
}

static void publish_sample(struct fuzz_input *input)
{
    struct quota_sample sample;
    uint64_t used;

    quota_sample_begin(sampler, &sample);
    FUZZ_CHECK(sample.volumes <= QUOTA_LEDGER_VOLUMES);
    used = take_bytes(input);
    for (unsigned i = 0; i < sample.volumes && i < 2; i++) {
        sample.volume[i].used_bytes = used / 2;
    }
    quota_sample_publish(sampler, &sample, used, now_ns,
                         fuzz_take(input, 1) % QUOTA_REASON_MAX);
}

static void operate_as_host(unsigned what, struct fuzz_input *input)
{
    struct quota_limits limits = { 0 };
    struct quota_state state = { 0 };
    const char *name = volume_name(fuzz_take(input, 1));

    switch (what % 9) {
    case 0:
    case 1:
        publish_sample(input);
        break;
    case 2:
        quota_writer_audit(sampler);
        break;
    case 3:
        state.limits.limit_bytes = take_bytes(input);
        state.thick_bytes = take_bytes(input);
        state.grant_bytes = take_bytes(input);
        take_rates(input, &state.limits);
        quota_state_publish(sampler, &state);
        break;
    case 4:
        limits.limit_bytes = take_bytes(input);
        take_rates(input, &limits);
        quota_volume_publish(sampler, name, &limits, fuzz_take(input, 1));
        break;
    case 5:
        quota_epoch_begin(sampler, name);
        break;
    case 6:
        quota_epoch_wait(sampler, name, 0);
        break;
    case 7:
        quota_epoch_end(sampler, name);
        break;
    default:
        quota_doorbell_demand(sampler);
        quota_doorbell_wait(sampler, fuzz_take(input, 1), 0);
        fuzz_read_all(sampler);
        break;
    }
}

static void operate_as_guest(unsigned n, unsigned what,
                             struct fuzz_input *input)
{
    struct quota_writer *writer = guests[n].writer;
    struct quota_request *request = &guests[n].requests[what / 16 % REQUESTS];
    uint64_t bytes;

    if (!writer) {
        guests[n].ledger = fuzz_open();
        is_busy = true;
        quota_writer_attach(guests[n].ledger, volume_name(what), &writer);
        guests[n].writer = writer;
        if (!writer) {
            die(n);
        }
        return;
    }
    bytes = take_bytes(input);
    guests[n].lease = lease_of(n);
    switch (what % 16) {
    case 0:
        detach(n);
        break;
    case 1:
        is_busy = false;
        die(n);
        break;
    case 2:
    case 3:
        if (quota_bytes_reserve(writer, bytes) == 0) {
            admitted(n, bytes);
        }
        break;
    case 4:
    case 5:
        if (quota_admission_poll(writer, bytes, now_ns, 1000000000,
                                 &guests[n].admission) == 0) {
            admitted(n, bytes);
        }
        break;
    case 6:
    case 7:
        bytes = bytes < guests[n].in_flight ? bytes : guests[n].in_flight;
        guests[n].in_flight -= bytes;
        quota_bytes_settle(writer, bytes);
        break;
    case 8:
        bytes = bytes < guests[n].in_flight ? bytes : guests[n].in_flight;
        guests[n].in_flight -= bytes;
        quota_bytes_return(writer, bytes);
        break;
    case 9:
        quota_epoch_enter(writer, &guests[n].lane);
        guests[n].charged_writes++;
        break;
    case 10:
        if (guests[n].charged_writes > 0) {
            guests[n].charged_writes--;
            quota_epoch_leave(writer, guests[n].lane);
        }
        quota_epoch_read(writer);
        break;
    case 11:
        quota_rate_is_armed(writer);
        quota_credit_take(writer, bytes & 1, bytes % REQUEST_MAX);
        break;
    case 12:
    case 13:
        if (!request->is_queued) {
            memset(request, 0, sizeof(*request));
            request->wake = bytes & 2 ? wake : NULL;
            FUZZ_CHECK(quota_queue_enter(writer, request, bytes & 1,
                                         bytes % REQUEST_MAX,
                                         now_ns) <= 50000000);
        }
        break;
    case 14:
        FUZZ_CHECK(quota_queue_poll(writer, request, now_ns) <= 50000000);
        break;
    default:
        quota_queue_ahead_ns(writer, request, now_ns);
        quota_queue_leave(writer, request, now_ns);
        break;
    }
}

static void operate(struct fuzz_input *input)
{
    unsigned what = fuzz_take(input, 1);
    unsigned n = what / 64;

    what %= 64;
    steps = 0;
    was_disturbed = false;
    is_busy = true;
    if (what < 12) {
        operate_as_host(what, input);
    } else if (what == 12) {
        now_ns += fuzz_take(input, 4);
    } else if (what == 13) {
        struct fuzz_patch patch = fuzz_take_body_patch(input);

        fuzz_patch(sampler->file, &patch);
    } else {
        operate_as_guest(n, fuzz_take(input, 1), input);
    }
    is_busy = false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = { data, size };
    unsigned flags = fuzz_take(&input, 1);
    pthread_t thread;

    if (!image) {
        prepare();
    }
    neighbour_take(&input, sampler->file, image);
    now_ns = 1000000000;
    is_racing = flags & 1 && neighbour.count > 0;
    atomic_store(&is_over, false);
    if (is_racing) {
        FUZZ_CHECK(pthread_create(&thread, NULL, race, NULL) == 0);
    }
    while (input.size > 0) {
        operate(&input);
    }
    for (unsigned n = 0; n < WRITERS; n++) {
        if (guests[n].writer) {
            steps = 0;
            is_busy = true;
            detach(n);
            is_busy = false;
        }
    }
    if (is_racing) {
        atomic_store(&is_over, true);
        pthread_join(thread, NULL);
    }
    return 0;
}
