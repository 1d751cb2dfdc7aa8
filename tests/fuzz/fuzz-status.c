/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A status line of device-mapper, whatever stands in it, must not be read as a
 * number that it does not say.
 *
 * Input: the line.
 */
#include <inttypes.h>
#include <libdevmapper.h>

#include "fuzz.h"
#include "thin-status.h"

/* Nobody is beside us here. */
void fuzz_step(void);
void fuzz_step(void)
{
}

/* What was read, without zeroes in front of numbers, is how the line begins. */
static void check_same(const char *line, const char *read)
{
    for (bool is_inside = false; *read; line++) {
        if (!is_inside && line[0] == '0' && line[1] >= '0' && line[1] <= '9') {
            continue;
        }
        FUZZ_CHECK(*line == *read);
        is_inside = *read >= '0' && *read <= '9';
        read++;
    }
}

static void check_pool(const char *line)
{
    struct thin_status status;
    char read[256];
    int ret = thin_status_parse(line, &status);

    FUZZ_CHECK(ret == 0 || ret == -EINVAL || ret == -EIO);
    if (ret < 0) {
        return;
    }
    snprintf(read, sizeof(read), "%" PRIu64 " %" PRIu64 "/%" PRIu64 " %" PRIu64
             "/%" PRIu64 " ", status.transaction, status.meta_used_blocks,
             status.meta_total_blocks, status.used_blocks,
             status.total_blocks);
    check_same(line, read);
    FUZZ_CHECK(status.used_blocks <= status.total_blocks);
    FUZZ_CHECK(status.meta_used_blocks <= status.meta_total_blocks);
}

static void check_volume(const char *line)
{
    uint64_t bytes;
    char read[32];
    int ret = thin_status_parse_mapped(line, &bytes);

    FUZZ_CHECK(ret == 0 || ret == -EINVAL || ret == -EIO);
    if (ret < 0) {
        FUZZ_CHECK(bytes == 0);
        return;
    }
    snprintf(read, sizeof(read), "%" PRIu64 " ", bytes / 512);
    check_same(line, read);
    FUZZ_CHECK(bytes % 512 == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *line = strndup((const char *)data, size);

    FUZZ_CHECK(line);
    check_pool(line);
    check_volume(line);
    free(line);
    return 0;
}
