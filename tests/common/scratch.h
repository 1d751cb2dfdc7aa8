/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * scratch.h: a ledger directory of the test's own, gone with it.
 */
#ifndef TEST_SCRATCH_H
#define TEST_SCRATCH_H

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memory-dir.h"
#include "quota-keep.h"
#include "writer.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

/* Patience for what is certain to come: what hangs, the runner ends. */
#define HOUR_NS (UINT64_C(3600) * 1000000000)

static char *scratch_dir;

static inline void scratch_remove(const char *dir)
{
    GDir *d = g_dir_open(dir, 0, NULL);
    const char *name;

    while (d && (name = g_dir_read_name(d))) {
        char *path = g_build_filename(dir, name, NULL);

        if (g_file_test(path, G_FILE_TEST_IS_DIR)) {
            scratch_remove(path);
        } else {
            g_unlink(path);
        }
        g_free(path);
    }
    if (d) {
        g_dir_close(d);
    }
    g_rmdir(dir);
}

static inline void scratch_begin(void)
{
    scratch_dir = memory_dir_new();
    quota_ledger_set_dir(scratch_dir);
}

static inline void scratch_end(void)
{
    scratch_remove(scratch_dir);
    g_free(scratch_dir);
}

static inline int scratch_run(void)
{
    int ret;

    scratch_begin();
    ret = g_test_run();
    scratch_end();
    return ret;
}

static inline struct quota_ledger *scratch_ledger(const char *tenant)
{
    struct quota_ledger *ledger;
    int lock = quota_group_lock("vg0", 60);

    g_assert_cmpint(lock, >=, 0);
    g_assert_cmpint(quota_ledger_create("vg0", tenant, &ledger), ==, 0);
    quota_group_unlock(lock);
    return ledger;
}

static inline struct quota_writer *scratch_writer(struct quota_ledger *ledger,
                                                  const char *volume)
{
    struct quota_writer *writer;
    int ret;

    do {
        /* who has the attach lock may have to wait for a processor */
        ret = quota_writer_attach(ledger, volume, &writer);
    } while (ret == -EBUSY);
    g_assert_cmpint(ret, ==, 0);
    return writer;
}

/* The same ledger once more, as another process has it. */
static inline struct quota_ledger *scratch_open(const char *tenant)
{
    char path[QUOTA_LEDGER_PATH_BYTES];
    struct quota_ledger *ledger;

    quota_ledger_path("vg0", tenant, path, sizeof(path));
    g_assert_cmpint(quota_ledger_open(path, true, &ledger), ==, 0);
    return ledger;
}

/* Another file under a ledger's name: @length bytes, of which the first are these. */
static inline int scratch_other(const char *tenant, const void *bytes,
                                size_t count, size_t length, int seals)
{
    g_autofree char *name = g_strconcat("quota-lvm:vg0/", tenant, NULL);
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, length), ==, 0);
    g_assert_cmpint(pwrite(fd, bytes, count, 0), ==, count);
    g_assert_cmpint(fcntl(fd, F_ADD_SEALS, seals), ==, 0);
    g_assert_cmpint(quota_ledger_name("vg0", tenant, fd), ==, 0);
    return fd;
}

#define SCRATCH_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static inline struct quota_header scratch_header(const char *path)
{
    struct quota_header header;
    int fd = open(path, O_RDONLY);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pread(fd, &header, sizeof(header), 0), ==, sizeof(header));
    close(fd);
    return header;
}

static inline uint64_t scratch_checksum(const struct quota_header *header)
{
    const unsigned char *bytes = (const unsigned char *)header;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < offsetof(struct quota_header, checksum); i++) {
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* A header that says something else, with a checksum that is right. */
static inline void scratch_forge(const char *path, struct quota_header *header)
{
    int fd = open(path, O_WRONLY);

    header->checksum = scratch_checksum(header);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pwrite(fd, header, sizeof(*header), 0), ==,
                    sizeof(*header));
    close(fd);
}

/* What a sampler does, with @used in place of the kernel's answer. */
static inline void scratch_sample(struct quota_ledger *ledger, uint64_t used,
                                  enum quota_reason reason)
{
    struct quota_sample sample;

    quota_sample_begin(ledger, &sample);
    quota_sample_publish(ledger, &sample, used, quota_clock_ns(), reason);
}

static inline void scratch_publish(struct quota_ledger *ledger,
                                   uint64_t limit, uint64_t thick,
                                   uint64_t grant)
{
    struct quota_state state = {
        .limits.limit_bytes = limit,
        .thick_bytes = thick,
        .grant_bytes = grant,
        .chunk_bytes = 65536,
    };

    quota_state_publish(ledger, &state);
}

#endif
