/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One bit of a ledger in use flips, or the file is truncated: its users must
 * neither crash nor hang, and get no more than the limits allow, except when
 * the bit is in the limits themselves. */
#include <fcntl.h>
#include <unistd.h>

#include "../common/scratch.h"
#include "reading.h"

#define CHUNK UINT64_C(65536)
#define LIMIT (64 * CHUNK)
/* A request of a whole second at a corrupted rate, not of an hour. */
#define REQUEST UINT64_C(4096)

static struct quota_ledger *ledger, *own;
static struct quota_writer *writers[3];
static struct quota_writer kept[3];
static struct quota_ledger_file *image;
/* Two volumes are used; the slots after them are a hole in the file, so that
 * checking them needs no comparing or copying of half a megabyte. */
#define USED_BYTES offsetof(struct quota_ledger_file, volumes[2])

static void punch_hole(void)
{
    const size_t size = sizeof(*image) - USED_BYTES;

    if (fallocate(ledger->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  USED_BYTES, size) < 0) {
        memset((char *)ledger->file + USED_BYTES, 0, size);
    }
}

/* Two volumes, three writers, something in flight in each, something settled,
 * something sampled, rates armed. */
static void start(void)
{
    struct quota_limits limits = { .limit_bytes = 40 * CHUNK };
    struct quota_state state = {
        .limits.limit_bytes = LIMIT,
        .limits.rates[QUOTA_RATE_TOTAL_BYTES] = { 1 << 20, 1 << 24, 2 },
        .thick_bytes = 4 * CHUNK,
        .grant_bytes = 50 * CHUNK,
        .chunk_bytes = CHUNK,
    };

    ledger = scratch_ledger("acme");
    quota_state_publish(ledger, &state);
    scratch_sample(ledger, 0, QUOTA_REASON_TENANT_LIMIT);
    own = scratch_open("acme");
    writers[0] = scratch_writer(own, "disk0");
    writers[1] = scratch_writer(own, "disk0");
    writers[2] = scratch_writer(own, "disk1");
    g_assert_cmpint(quota_volume_publish(ledger, "disk1", &limits, 50), ==, 0);
    for (int i = 0; i < 3; i++) {
        struct quota_sample sample;

        g_assert_cmpint(quota_bytes_reserve(writers[i], i == 2 ? 0 : CHUNK), ==,
                        0);
        quota_bytes_settle(writers[i], i == 2 ? 0 : CHUNK);
        quota_sample_begin(ledger, &sample);
        sample.volume[0].used_bytes = 2 * CHUNK;
        sample.volume[1].used_bytes = 0;
        quota_sample_publish(ledger, &sample, 2 * CHUNK, quota_clock_ns(),
                             QUOTA_REASON_TENANT_LIMIT);
        g_assert_cmpint(quota_bytes_reserve(writers[i], 2 * CHUNK), ==, 0);
    }
    image = g_malloc(sizeof(*image));
    memcpy(image, ledger->file, sizeof(*image));
    for (int i = 0; i < 3; i++) {
        kept[i] = *writers[i];
    }
    punch_hole();
}

/* As it was before the bit fell over, files and processes. */
static void restore(void)
{
    memcpy(ledger->file, image, USED_BYTES);
    if (lseek(ledger->fd, USED_BYTES, SEEK_DATA) >= 0) {
        punch_hole();
    }
    for (int i = 0; i < 3; i++) {
        *writers[i] = kept[i];
        writers[i]->end = &writers[i]->first;
    }
    /* or all slots would be looked at from a flip in their number on */
    ledger->volumes_seen = 2;
}

static bool is_in(size_t offset, const void *base, size_t size)
{
    size_t from = (const char *)base - (const char *)image;

    return offset >= from && offset < from + size;
}

/* Whether a byte is part of a limit or of used bytes.  Only the tenant's own
 * processes and the host can write it, and it does not enlarge the thin
 * pool. */
static bool is_amount(size_t offset)
{
    const struct quota_policy *policy = &image->policy;
    const struct quota_sampled *sample = &image->sample;

    if (is_in(offset, &policy->limit_bytes, 8) ||
        is_in(offset, &policy->thick_bytes, 8) ||
        is_in(offset, &policy->grant_bytes, 8) ||
        is_in(offset, &sample->sampled_bytes, 16) ||
        is_in(offset, &image->counters.reserved.last, 8)) {
        return true;
    }
    for (int i = 0; i < QUOTA_LEDGER_VOLUMES; i++) {
        for (int n = 0; n < QUOTA_VOLUME_WRITERS; n++) {
            const struct quota_writer_words *words =
                &image->volumes[i].writers[n];

            if (is_in(offset, &words->settled_bytes, 8) ||
                is_in(offset, &words->lease, 8) ||
                is_in(offset, words->entries, sizeof(words->entries)) ||
                is_in(offset, words->done, sizeof(words->done))) {
                return true;
            }
        }
    }
    return false;
}

static void read_all(void)
{
    struct quota_usage usage;
    struct quota_state state;
    struct quota_volume_usage volume;
    int ret;

    quota_usage_read(ledger, &usage);
    g_assert_cmpint(usage.reason, <, QUOTA_REASON_MAX);
    quota_state_read(ledger, &state);
    for (int i = 0; (ret = quota_volume_read(ledger, i, &volume)) != -ENOENT;
         i++) {
        g_assert_true(ret == 0 || ret == -EAGAIN || ret == -EUCLEAN);
        g_assert_nonnull(memchr(volume.name, '\0', sizeof(volume.name)));
    }
    g_assert_cmpuint(quota_writer_count(ledger), <=, QUOTA_LEDGER_WRITERS);
}

/* Bytes that a writer gets, in pieces, until it is refused for good. */
static uint64_t take_all(struct quota_writer *writer)
{
    uint64_t got = 0;

    for (uint64_t bytes = LIMIT; bytes >= CHUNK; ) {
        if (quota_bytes_reserve(writer, bytes) == 0) {
            got += bytes;
        } else {
            bytes /= 2;
        }
    }
    return got;
}

/* What a writer may spend without asking. */
static uint64_t leased(const struct quota_writer *writer)
{
    return QUOTA_LEASE_UNITS(quota_load(&writer->words->lease)) *
           QUOTA_LEASE_UNIT_BYTES;
}

/* Use it in every way; never more is admitted than what it says there is, and,
 * @is_amount_word apart, never more than there was before. */
static void use(bool is_amount_word)
{
    struct quota_request request = { 0 };
    struct quota_admission admission = { 0 };
    uint64_t got, room;
    unsigned lane;
    bool was_read;
    struct quota_reading reading;

    read_all();
    quota_credit_take(writers[0], true, REQUEST);
    if (quota_queue_enter(writers[0], &request, true, REQUEST, 1000000000)) {
        g_assert_cmpuint(quota_queue_poll(writers[0], &request, 1050000000), <=,
                         50000000);
        quota_queue_leave(writers[0], &request, 1060000000);
    }
    quota_epoch_enter(writers[0], &lane);
    quota_epoch_leave(writers[0], lane);

    was_read = quota_reading_take(ledger, &reading) == 0;
    room = (was_read ? reading.room_bytes : 0) + leased(writers[0]) +
           leased(writers[2]);
    got = take_all(writers[0]) + take_all(writers[2]);
    g_assert_cmpuint(got, <=, room);
    if (!is_amount_word) {
        g_assert_cmpuint(got, <=, 50 * CHUNK - 8 * CHUNK);
    }
    quota_admission_poll(writers[1], CHUNK, 1, 1000000000, &admission);
    quota_bytes_settle(writers[1], CHUNK);
    quota_bytes_return(writers[2], CHUNK);

    /* The host continues, and the next sample admits no more. */
    quota_writer_audit(ledger);
    scratch_sample(ledger, 8 * CHUNK + got, QUOTA_REASON_TENANT_LIMIT);
    if (!is_amount_word) {
        got += take_all(writers[1]);
        g_assert_cmpuint(got, <=, 50 * CHUNK - 8 * CHUNK + 2 * CHUNK);
    }
    quota_admission_poll(writers[1], CHUNK, 2, 1000000000, &admission);
    read_all();
}

static void flip_and_use(size_t offset, int bit)
{
    ((unsigned char *)ledger->file)[offset] ^= 1 << bit;
    use(is_amount(offset));
    restore();
}

static void test_flips(void)
{
    start();
    use(false);
    restore();
    for (size_t offset = offsetof(struct quota_ledger_file, policy);
         offset < USED_BYTES; offset++) {
        for (int bit = 0; bit < 8; bit++) {
            flip_and_use(offset, bit);
        }
    }
    for (size_t n = USED_BYTES; n < sizeof(*image); n += 509) {
        flip_and_use(n, n / 509 % 8);
    }
    for (int i = 0; i < 3; i++) {
        quota_writer_detach(writers[i]);
    }
    quota_ledger_close(own);
    quota_ledger_close(ledger);
    g_free(image);
}

/* A flip in the header is seen when a ledger is opened, and only then. */
static void test_header(void)
{
    struct quota_ledger *sound = scratch_ledger("header"), *again;

    for (size_t bit = 0; bit < 8 * sizeof(struct quota_header); bit++) {
        unsigned char *byte = (unsigned char *)sound->file + bit / 8;
        int ret;

        *byte ^= 1 << bit % 8;
        ret = quota_ledger_open_fd(sound->fd, bit % 2, &again);
        g_assert_cmpint(ret, <, 0);
        g_assert_null(again);
        g_assert_true(quota_ledger_is_current(sound));
        *byte ^= 1 << bit % 8;
    }
    quota_ledger_close(sound);
}

static void test_cut(void)
{
    char path[QUOTA_LEDGER_PATH_BYTES];
    struct quota_ledger *cut = scratch_ledger("cut");
    int fd = scratch_other("cut", &cut->header, sizeof(cut->header),
                           sizeof(struct quota_ledger_file), 0);

    quota_ledger_path("vg0", "cut", path, sizeof(path));
    quota_ledger_close(cut);
    for (size_t len = sizeof(struct quota_ledger_file); len-- > 0; ) {
        if (len > sizeof(struct quota_header) + 8 && len % 1021) {
            continue;
        }
        g_assert_cmpint(truncate(path, len), ==, 0);
        for (int writable = 0; writable < 2; writable++) {
            g_assert_cmpint(quota_ledger_open(path, writable, &cut), <, 0);
            g_assert_null(cut);
        }
    }
    close(fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bit-flips/header", test_header);
    g_test_add_func("/bit-flips/cut", test_cut);
    g_test_add_func("/bit-flips/in-use", test_flips);
    return scratch_run();
}
