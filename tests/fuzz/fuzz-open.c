/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A file that anybody may have written must not crash, or keep, who opens it
 * and reads it.
 *
 * Input: a byte of flags (1: the rest is the file; 2: the header's checksum is
 * made right again; 4: the file is cut or lengthened, to the length that
 * follows; 8: it is not sealed); then changes to a sound ledger, up to the end.
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "fuzz.h"

/* Nobody is beside us here. */
void fuzz_step(void);
void fuzz_step(void)
{
}

static struct quota_ledger_file *image, *spoilt;

static void prepare(void)
{
    struct quota_ledger *ledger = fuzz_ledger();
    struct quota_state state = {
        .limits.limit_bytes = 64 * CHUNK,
        .grant_bytes = 40 * CHUNK,
        .chunk_bytes = CHUNK,
    };
    struct quota_sample sample;
    struct quota_writer *writer;

    quota_state_publish(ledger, &state);
    quota_sample_begin(ledger, &sample);
    quota_sample_publish(ledger, &sample, CHUNK, 1, QUOTA_REASON_NONE);
    FUZZ_CHECK(quota_writer_attach(ledger, "disk0", &writer) == 0);
    FUZZ_CHECK(quota_bytes_reserve(writer, CHUNK) == 0);
    image = malloc(sizeof(*image));
    spoilt = malloc(sizeof(*spoilt));
    FUZZ_CHECK(image && spoilt);
    memcpy(image, ledger->file, sizeof(*image));
    quota_writer_detach(writer);
    quota_ledger_close(ledger);
}

static void open_and_read(int spoilt_fd, bool is_writable)
{
    struct quota_ledger *ledger;
    int ret = quota_ledger_open_fd(spoilt_fd, is_writable, &ledger);

    FUZZ_CHECK((ret == 0) == (ledger != NULL));
    if (ret < 0) {
        FUZZ_CHECK(strcmp(quota_ledger_strerror(ret), "cannot be opened"));
        return;
    }
    fuzz_read_all(ledger);
    if (is_writable) {
        struct quota_writer *writer;

        quota_writer_audit(ledger);
        if (quota_writer_attach(ledger, "disk0", &writer) == 0) {
            quota_bytes_reserve(writer, CHUNK);
            quota_writer_detach(writer);
        }
        fuzz_read_all(ledger);
    }
    quota_ledger_close(ledger);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = { data, size };
    size_t length = sizeof(*spoilt);
    unsigned flags = fuzz_take(&input, 1);
    int fd;

    if (!image) {
        prepare();
    }
    if (flags & 1) {
        length = input.size < length ? input.size : length;
        memcpy(spoilt, input.data, length);
    } else {
        if (flags & 4) {
            length = fuzz_take(&input, 3) % (2 * sizeof(*spoilt));
        }
        memcpy(spoilt, image, sizeof(*spoilt));
        while (input.size > 0) {
            struct fuzz_patch patch = fuzz_take_patch(&input);

            fuzz_patch(spoilt, &patch);
        }
        if (flags & 2) {
            spoilt->header.checksum = fuzz_checksum(&spoilt->header);
        }
    }
    fd = memfd_create("quota-lvm:vg0/acme", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    FUZZ_CHECK(fd >= 0 && ftruncate(fd, length) == 0);
    length = length < sizeof(*spoilt) ? length : sizeof(*spoilt);
    FUZZ_CHECK(pwrite(fd, spoilt, length, 0) == (ssize_t)length);
    FUZZ_CHECK(fcntl(fd, F_ADD_SEALS, flags & 8 ? 0 : F_SEAL_SHRINK |
                     F_SEAL_GROW | F_SEAL_SEAL) == 0);
    open_and_read(fd, false);
    open_and_read(fd, true);
    close(fd);
    return 0;
}
