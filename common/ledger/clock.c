/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clock.c: the clock, and sleeping on a word of a ledger.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

/* More than a tenant's writers that wait at a time, and those look by themselves now
 * and then.  A hostile one can have threads by the hundred thousand wait. */
#define WAKE_MAX 1024

uint64_t quota_clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void quota_word_wait(quota_u32 *word, uint32_t seen, uint64_t timeout_ns)
{
    const struct timespec timeout = {
        .tv_sec = timeout_ns / 1000000000,
        .tv_nsec = timeout_ns % 1000000000,
    };

    syscall(SYS_futex, word, FUTEX_WAIT, seen, &timeout, NULL, 0);
}

void quota_word_wake(quota_u32 *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, WAKE_MAX, NULL, NULL, 0);
}
