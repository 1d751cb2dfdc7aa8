/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sample.c: takes and publishes a sample, which answers the writers that rang
 * for it.
 *
 * settled_bytes is read first, then the kernel, then both are published.  Each
 * settled write reached the kernel before it settled, so it is inside the
 * sample, and the sum never falls below the truth.  Writes that happen while
 * the kernel is asked may count twice until the next sample; readers that must
 * not over-count use reserved_at_sample, which is read last.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>

#include "clock.h"
#include "lease.h"
#include "lock.h"
#include "register.h"

void quota_sample_begin(struct quota_ledger *ledger,
                        struct quota_sample *sample)
{
    const struct quota_counters *counters = &ledger->file->counters;

    /* The doorbell first: a writer rings after its refusal, so settled_bytes
     * includes all that the writer saw settled. */
    sample->doorbell = quota_load(&counters->doorbell);
    sample->settled_bytes = 0;
    sample->recalled_bytes = 0;
    sample->volumes = quota_volumes_seen(ledger);
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
 * [compare] Whether this sample is the newest: else its bytes would accompany
 * the newer settled_at_sample until the second store.  A published number that
 * is larger than all that was ever reserved does not count.
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

/* [publish] sampled_bytes before settled_at_sample: reading.c reads them the
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

    /* [lock] Two samplers that publish at once could leave the bytes of one
     * with the settled_at_sample of the other. */
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
    quota_word_wake(&to->answered);
    return ret;
}
