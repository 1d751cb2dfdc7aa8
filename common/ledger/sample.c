/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sample.c: the sampler's side of a ledger, and the doorbell that asks for a
 * sample.
 *
 * settled_bytes is read first, then the kernel, then both are published: each
 * settled write had reached the kernel before it settled, so it is inside the
 * sample, and the sum never falls below the truth.  What writers do while the
 * kernel is asked may be inside the sample and count once more until the next
 * one: reserved_at_sample, read last, is for who must not be told too much.
 *
 * Who wakes whom: a writer that was refused rings the doorbell, a futex on
 * which the sampler sleeps; the sampler's answer is one too, on which threads
 * may sleep (quota_admission_wait).  An event loop asks again from a timer.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ledger-layout.h"

void quota_sample_begin(struct quota_ledger *ledger,
                        struct quota_sample *sample)
{
    const struct quota_counters *counters = &ledger->file->counters;

    /* The doorbell first: a writer rings after its refusal, so whatever it
     * saw settled by then is in settled_bytes. */
    sample->doorbell = quota_load(&counters->doorbell);
    sample->settled_bytes = 0;
    sample->recalled_bytes = 0;
    sample->volumes = quota_volumes_count(ledger);
    for (unsigned i = 0; i < sample->volumes; i++) {
        struct quota_volume *volume = &ledger->file->volumes[i];
        uint64_t settled = 0;

        for (unsigned n = 0; n < QUOTA_VOLUME_WRITERS; n++) {
            struct quota_writer_words *words = &volume->writers[n];

            uint64_t recalled = quota_lease_recall(words);

            settled += recalled + quota_load(&words->settled_bytes);
            sample->recalled_bytes += recalled;
        }
        sample->settled_bytes += settled;
        sample->volume[i].settled_bytes = settled;
        sample->volume[i].used_bytes = QUOTA_SAMPLE_UNKNOWN;
    }
}

/*
 * Whether nobody has published a newer sample: this one's bytes would stand
 * beside its settled_at_sample until the second store.  A number that cannot
 * be, since not so much was ever reserved, is nobody's.
 */
static bool is_newest(const struct quota_ledger *ledger, unsigned volume,
                      enum quota_scope scope, const struct quota_sampled *to,
                      uint64_t settled_bytes)
{
    uint64_t published = quota_load(&to->settled_at_sample);
    struct quota_register_value reserved;

    return settled_bytes >= published ||
           quota_register_read(ledger, volume, scope, &reserved) < 0 ||
           published > reserved.bytes;
}

/* [publish] sampled_bytes before settled_at_sample: account.c reads them the
 * other way round. */
static void publish(struct quota_sampled *to, uint64_t used_bytes,
                    uint64_t settled_bytes, uint64_t now_ns)
{
    quota_store(&to->sampled_bytes, used_bytes);
    quota_store(&to->settled_at_sample, settled_bytes);
    quota_store(&to->sample_ns, now_ns);
}

int quota_sample_publish(struct quota_ledger *ledger,
                         const struct quota_sample *sample,
                         uint64_t used_bytes, uint64_t now_ns,
                         enum quota_reason reason)
{
    struct quota_sampled *to = &ledger->file->sample;
    struct quota_register_value reserved;
    int ret = 0;

    /* Two that publish at once could leave the one's bytes with the other's
     * settled_at_sample. */
    if (quota_ledger_lock(ledger, QUOTA_SAMPLE_LOCK, F_OFD_SETLK,
                          F_WRLCK) < 0) {
        return -EBUSY;
    }
    for (unsigned i = 0; i < sample->volumes; i++) {
        struct quota_sampled *of_volume = &ledger->file->volumes[i].sample;

        if (sample->volume[i].used_bytes != QUOTA_SAMPLE_UNKNOWN &&
            is_newest(ledger, i, QUOTA_OF_VOLUME, of_volume,
                      sample->volume[i].settled_bytes)) {
            publish(of_volume, sample->volume[i].used_bytes,
                    sample->volume[i].settled_bytes, now_ns);
        }
    }
    if (quota_register_read(ledger, 0, QUOTA_OF_TENANT, &reserved) < 0) {
        reserved.bytes = UINT64_MAX;
    }
    if (is_newest(ledger, 0, QUOTA_OF_TENANT, to, sample->settled_bytes)) {
        quota_store(&to->reserved_at_sample, reserved.bytes);
        publish(to, used_bytes, sample->settled_bytes, now_ns);
        quota_store(&to->reason, reason);
        /* [answer] Last: it makes the rest final. */
        quota_store(&to->answered, sample->doorbell);
    } else {
        ret = -EBUSY;
    }
    quota_ledger_lock(ledger, QUOTA_SAMPLE_LOCK, F_OFD_SETLK, F_UNLCK);
    syscall(SYS_futex, &to->answered, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    return ret;
}

int quota_doorbell_wait(struct quota_ledger *ledger, uint32_t seen,
                        uint64_t timeout_ns)
{
    quota_u32 *doorbell = &ledger->file->counters.doorbell;
    struct timespec timeout = {
        .tv_sec = timeout_ns / 1000000000,
        .tv_nsec = timeout_ns % 1000000000,
    };

    if (quota_load(doorbell) == seen) {
        /* Woken without cause, or by a signal, the caller just samples
         * once more. */
        syscall(SYS_futex, doorbell, FUTEX_WAIT, seen, &timeout, NULL, 0);
    }
    return quota_load(doorbell) == seen ? -ETIMEDOUT : 0;
}

uint32_t quota_doorbell_ring(struct quota_ledger *ledger)
{
    quota_u32 *doorbell = &ledger->file->counters.doorbell;
    uint32_t ticket = atomic_fetch_add_explicit(doorbell, 1,
                                                memory_order_acq_rel) + 1;

    syscall(SYS_futex, doorbell, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    return ticket;
}

uint64_t quota_doorbell_demand(struct quota_ledger *ledger)
{
    uint64_t demand = atomic_exchange_explicit(
        &ledger->file->counters.demand_bytes, 0, memory_order_acq_rel);

    return demand;
}

uint64_t quota_clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
