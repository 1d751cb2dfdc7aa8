/*
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * blk: writes, checks and measures a disk from inside a guest.
 *
 *   blk write DEVICE [OPTION=VALUE...]    write a pattern
 *   blk verify DEVICE [OPTION=VALUE...]   read it back and compare
 *   blk read DEVICE [OPTION=VALUE...]     read, compare nothing
 *
 *   offset, length   the range in bytes, K, M and G allowed; all of the disk
 *   bs               bytes a request, default 1M
 *   seed             of the pattern, default 1
 *   seconds          go over the range again and again for so long
 *   every            with seconds: a line for each interval of so many seconds
 *
 * Requests are O_DIRECT, one at a time.  It prints one line of key=value at the
 * end; began and ended are of the guest's monotonic clock, in seconds, for adding
 * up what ran side by side.  The exit status is 0 if there was no error, 1 on an I/O error (at= says
 * where, it stops there), 2 if data was not what had been written.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * UINT64_C(1000000000) + t.tv_nsec;
}

static uint64_t parse_bytes(const char *text)
{
    char *end;
    uint64_t n = strtoull(text, &end, 0);

    switch (*end) {
    case 'G': n <<= 10; /* fall through */
    case 'M': n <<= 10; /* fall through */
    case 'K': n <<= 10; end++;
    }
    if (*end || end == text) {
        fprintf(stderr, "blk: %s is not a number of bytes\n", text);
        exit(3);
    }
    return n;
}

/*
 * Each block is the seed's own 4 KiB of noise with its place on the disk in the
 * first and last word: cheap enough for an emulated processor, and a block that
 * is lost, torn or in the wrong place shows.
 */
static void make_noise(uint64_t *noise, uint64_t seed)
{
    uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

    for (size_t i = 0; i < BLOCK / 8; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        noise[i] = x;
    }
}

static void make_block(uint64_t *block, const uint64_t *noise, uint64_t offset)
{
    memcpy(block, noise, BLOCK);
    block[0] ^= offset;
    block[BLOCK / 8 - 1] ^= ~offset;
}

int main(int argc, char **argv)
{
    uint64_t offset = 0, length = 0, bs = 1 << 20, seed = 1, seconds = 0, every = 0;
    uint64_t bytes = 0, slowest = 0, bad = 0, where = 0, started, t, shown, shown_bytes = 0;
    static uint64_t noise[BLOCK / 8], want[BLOCK / 8];
    bool writing, verifying;
    int fd, error = 0;
    char *buffer;

    if (argc < 3) {
        fprintf(stderr, "usage: blk write|verify|read DEVICE [OPTION=VALUE...]\n");
        return 3;
    }
    writing = !strcmp(argv[1], "write");
    verifying = !strcmp(argv[1], "verify");
    for (int i = 3; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        static const char *const names[] = {
            "offset", "length", "bs", "seed", "seconds", "every",
        };
        uint64_t *const numbers[] = {
            &offset, &length, &bs, &seed, &seconds, &every,
        };
        size_t n = 0;

        if (value) {
            *value++ = '\0';
            while (n < 6 && strcmp(argv[i], names[n])) {
                n++;
            }
        }
        if (!value || n == 6) {
            fprintf(stderr, "blk: what is %s?\n", argv[i]);
            return 3;
        }
        *numbers[n] = parse_bytes(value);
    }
    fd = open(argv[2], (writing ? O_WRONLY : O_RDONLY) | O_DIRECT);
    if (fd < 0) {
        fprintf(stderr, "blk: %s: %s\n", argv[2], strerror(errno));
        return 3;
    }
    if (!length) {
        length = lseek(fd, 0, SEEK_END) - offset;
    }
    if (bs < BLOCK || bs % BLOCK || length % BLOCK || offset % BLOCK ||
        posix_memalign((void **)&buffer, BLOCK, bs)) {
        fprintf(stderr, "blk: offset, length and bs are multiples of %d\n", BLOCK);
        return 3;
    }
    memset(buffer, 0, bs);
    make_noise(noise, seed);

    started = shown = now_ns();
    for (uint64_t at = 0; !error && !bad;) {
        uint64_t n = length - at < bs ? length - at : bs;
        ssize_t done;

        if (n == 0) {
            if (!seconds) {
                break;
            }
            at = 0;
            continue;
        }
        where = offset + at;
        if (writing) {
            for (uint64_t i = 0; i < n; i += BLOCK) {
                make_block((uint64_t *)(buffer + i), noise, where + i);
            }
        }
        t = now_ns();
        done = writing ? pwrite(fd, buffer, n, where) : pread(fd, buffer, n, where);
        t = now_ns() - t;
        slowest = t > slowest ? t : slowest;
        if (done <= 0) {
            error = done < 0 ? errno : EIO;
            break;
        }
        done -= done % BLOCK;
        for (ssize_t i = 0; verifying && i < done; i += BLOCK) {
            make_block(want, noise, where + i);
            if (memcmp(want, buffer + i, BLOCK)) {
                where += i;
                bad++;
                break;
            }
        }
        bytes += done;
        at += done;
        t = now_ns();
        if (every && t - shown >= every * UINT64_C(1000000000)) {
            printf("t=%.3f bytes_per_sec=%.0f\n", (t - started) / 1e9,
                   (bytes - shown_bytes) * 1e9 / (t - shown));
            fflush(stdout);
            shown = t;
            shown_bytes = bytes;
        }
        if (seconds && t - started >= seconds * UINT64_C(1000000000)) {
            break;
        }
    }
    if (writing && !error && fdatasync(fd)) {
        error = errno;
    }
    t = now_ns();
    printf("op=%s offset=%" PRIu64 " bytes=%" PRIu64 " began=%.3f ended=%.3f slowest_ms=%.1f errors=%d",
           argv[1], offset, bytes, started / 1e9, t / 1e9, slowest / 1e6,
           error || bad ? 1 : 0);
    if (error) {
        printf(" errno=%d at=%" PRIu64, error, where);
    }
    if (bad) {
        printf(" wrong_at=%" PRIu64, where);
    }
    printf("\n");
    return error ? 1 : bad ? 2 : 0;
}
