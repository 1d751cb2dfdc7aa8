/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz.h: what the fuzz targets share: a ledger to spoil, and an input that is
 * read byte by byte.  Inputs are lists of changes to a sound ledger, so that a
 * few dozen bytes say what half a megabyte of file would.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "writer.h"

#define CHUNK UINT64_C(65536)

#define FUZZ_CHECK(what) \
    do { \
        if (!(what)) { \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what); \
            abort(); \
        } \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_input {
    const uint8_t *data;
    size_t size;
};

/* The next number of @bytes bytes, little-endian; zeroes after the end. */
static inline uint64_t fuzz_take(struct fuzz_input *input, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes && input->size > 0; i++) {
        value |= (uint64_t)*input->data++ << 8 * i;
        input->size--;
    }
    return value;
}

/* A change of one word of a ledger. */
struct fuzz_patch {
    size_t word;
    uint64_t value;
    bool is_flip;               /* value is exclusive-or'ed */
};

/* Where a change goes: mostly where something stands. */
static inline size_t fuzz_take_word(struct fuzz_input *input)
{
    static const struct {
        uint16_t offset, words;
    } regions[] = {
        { 0, sizeof(struct quota_header) / 8 },
        { offsetof(struct quota_ledger_file, policy),
          sizeof(struct quota_policy) / 8 },
        { offsetof(struct quota_ledger_file, sample),
          (sizeof(struct quota_sampled) + sizeof(struct quota_counters)) / 8 },
        { offsetof(struct quota_ledger_file, cells),
          sizeof(struct quota_cell) * QUOTA_RATE_MAX / 8 },
        { offsetof(struct quota_ledger_file, volumes[0]),
          offsetof(struct quota_volume, writers) / 8 },
        { offsetof(struct quota_ledger_file, volumes[0].writers),
          sizeof(struct quota_writer_words) * QUOTA_VOLUME_WRITERS / 8 },
        { offsetof(struct quota_ledger_file, volumes[1]),
          offsetof(struct quota_volume, writers) / 8 },
        { offsetof(struct quota_ledger_file, volumes[1].writers),
          sizeof(struct quota_writer_words) * QUOTA_VOLUME_WRITERS / 8 },
    };
    unsigned region = fuzz_take(input, 1) % 9;

    if (region == 8) {
        return fuzz_take(input, 3) % (sizeof(struct quota_ledger_file) / 8);
    }
    return regions[region].offset / 8 +
           fuzz_take(input, 1) % regions[region].words;
}

static inline struct fuzz_patch fuzz_take_patch(struct fuzz_input *input)
{
    struct fuzz_patch patch = { .word = fuzz_take_word(input) };
    unsigned shift;

    switch (fuzz_take(input, 1) % 8) {
    case 0:
        break;
    case 1:
        patch.value = UINT64_MAX;
        break;
    case 2:
        patch.value = INT64_MAX;
        break;
    case 3:
        patch.value = fuzz_take(input, 1);
        break;
    case 4:                     /* chunks */
        patch.value = fuzz_take(input, 1) * CHUNK;
        break;
    case 5:                     /* a register's word: writer, operation */
        patch.value = fuzz_take(input, 1) << 48;
        patch.value |= fuzz_take(input, 1);
        break;
    case 6:
        shift = fuzz_take(input, 1);
        patch.value = UINT64_C(1) << shift % 64;
        patch.is_flip = true;
        break;
    default:
        patch.value = fuzz_take(input, 8);
        break;
    }
    return patch;
}

/* The same, of what follows the header: that is copied when a ledger is opened, and
 * never read again. */
static inline struct fuzz_patch
fuzz_take_body_patch(struct fuzz_input *input)
{
    struct fuzz_patch patch = fuzz_take_patch(input);

    if (patch.word < offsetof(struct quota_ledger_file, policy) / 8) {
        patch.word += offsetof(struct quota_ledger_file, policy) / 8;
    }
    return patch;
}

static inline void fuzz_patch(struct quota_ledger_file *file,
                              const struct fuzz_patch *patch)
{
    quota_u64 *word = (quota_u64 *)file + patch->word;

    if (patch->is_flip) {
        atomic_fetch_xor(word, patch->value);
    } else {
        atomic_store(word, patch->value);
    }
}

/* The checksum that a header must have, to spoil what stands before it. */
static inline uint64_t fuzz_checksum(const struct quota_header *header)
{
    const unsigned char *p = (const unsigned char *)header;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < offsetof(struct quota_header, checksum); i++) {
        hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* ---- a ledger of the target's own, gone with the process ----------------- */

static char fuzz_dir[256], fuzz_path[QUOTA_LEDGER_PATH_BYTES];

static inline void fuzz_remove(void)
{
    char path[sizeof(fuzz_dir) + 8];

    unlink(fuzz_path);
    snprintf(path, sizeof(path), "%s/vg0", fuzz_dir);
    rmdir(path);
    rmdir(fuzz_dir);
}

static inline struct quota_ledger *fuzz_ledger(void)
{
    const char *tmp = getenv("TMPDIR");
    struct quota_ledger *ledger;

    snprintf(fuzz_dir, sizeof(fuzz_dir), "%s/quota-fuzz-XXXXXX",
             tmp ? tmp : access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    FUZZ_CHECK(mkdtemp(fuzz_dir));
    quota_ledger_set_dir(fuzz_dir);
    FUZZ_CHECK(quota_ledger_create("vg0", "acme", &ledger) == 0);
    FUZZ_CHECK(quota_ledger_path("vg0", "acme", fuzz_path,
                                 sizeof(fuzz_path)) == 0);
    atexit(fuzz_remove);
    return ledger;
}

static inline struct quota_ledger *fuzz_open(void)
{
    struct quota_ledger *ledger;

    FUZZ_CHECK(quota_ledger_open(fuzz_path, true, &ledger) == 0);
    return ledger;
}

/* Everything that can be read of a ledger, as tools read it. */
static inline void fuzz_read_all(const struct quota_ledger *ledger)
{
    struct quota_usage usage;
    struct quota_state state;
    struct quota_volume_usage volume;
    unsigned i = 0;
    int ret;

    quota_usage_read(ledger, &usage);
    FUZZ_CHECK(usage.reason < QUOTA_REASON_MAX);
    FUZZ_CHECK(quota_reason_name(usage.reason));
    quota_state_read(ledger, &state);
    while ((ret = quota_volume_read(ledger, i++, &volume)) != -ENOENT) {
        FUZZ_CHECK(ret == 0 || ret == -EAGAIN || ret == -EUCLEAN);
        FUZZ_CHECK(memchr(volume.name, '\0', sizeof(volume.name)));
        FUZZ_CHECK(i <= QUOTA_LEDGER_VOLUMES);
    }
    quota_volume_find(ledger, "disk0");
    FUZZ_CHECK(quota_writer_count(ledger) <= QUOTA_LEDGER_WRITERS);
    FUZZ_CHECK(strlen(quota_ledger_tenant(ledger)) <= QUOTA_TENANT_MAX_BYTES +
               7);
    FUZZ_CHECK(strlen(ledger->header.group) <= QUOTA_GROUP_MAX_BYTES);
    quota_ledger_is_current(ledger);
}

#endif
