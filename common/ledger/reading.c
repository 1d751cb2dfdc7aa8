/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reading.c: used bytes and room of a tenant, or of a volume.
 *
 *   used = thick + sampled + (reserved - settled_at_sample)
 *
 * A value may be outdated right after it is read.  The words are read in an
 * order in which outdated values make the sum larger, never smaller.
 */
#include <errno.h>
#include <string.h>

#include "reading.h"

/*
 * Read settled_at_sample before sampled_bytes; the sampler stores them in the
 * reverse order.  An old settled_at_sample with a newer sample counts a write
 * twice; a new one with an older sample would lose the write.  Read the
 * register
 * last: read first, it could be behind settled_at_sample.
 */
static int take_sums(const struct quota_ledger *ledger,
                     const struct quota_sampled *sample, unsigned volume,
                     enum quota_scope scope, struct quota_reading *reading)
{
    uint64_t settled_at_sample = quota_load(&sample->settled_at_sample);
    int ret;

    reading->sampled_bytes = quota_load(&sample->sampled_bytes);
    ret = quota_register_read(ledger, volume, scope, &reading->reserved);
    if (ret < 0 || settled_at_sample > reading->reserved.bytes) {
        reading->sampled_bytes = 0;
        reading->unsampled_bytes = 0;
        return -EUCLEAN;
    }
    reading->unsampled_bytes = reading->reserved.bytes - settled_at_sample;
    if (reading->sampled_bytes == QUOTA_UNSAMPLED) {
        reading->sampled_bytes = 0;
        return reading->unsampled_bytes > INT64_MAX ? -EUCLEAN : -EAGAIN;
    }
    return reading->sampled_bytes > INT64_MAX ||
           reading->unsampled_bytes > INT64_MAX ? -EUCLEAN : 0;
}

static void set_room(struct quota_reading *reading, uint64_t limit_bytes)
{
    if (limit_bytes > reading->sampled_bytes) {
        reading->settled_room_bytes = limit_bytes - reading->sampled_bytes;
    }
    if (reading->settled_room_bytes > reading->unsampled_bytes) {
        reading->room_bytes = reading->settled_room_bytes -
                              reading->unsampled_bytes;
    }
}

int quota_reading_take(const struct quota_ledger *ledger,
                       struct quota_reading *reading)
{
    const struct quota_ledger_file *file = ledger->file;
    uint64_t thin_limit;
    int ret;

    reading->room_bytes = 0;
    reading->settled_room_bytes = 0;
    reading->limit_bytes = quota_load(&file->policy.limit_bytes);
    reading->thick_bytes = quota_load(&file->policy.thick_bytes);
    reading->grant_bytes = quota_load(&file->policy.grant_bytes);
    ret = take_sums(ledger, &file->sample, 0, QUOTA_OF_TENANT, reading);
    if (ret < 0) {
        return ret;
    }
    thin_limit = reading->limit_bytes > reading->thick_bytes ?
                 reading->limit_bytes - reading->thick_bytes : 0;
    set_room(reading, thin_limit < reading->grant_bytes ? thin_limit
                                                        : reading->grant_bytes);
    return 0;
}

int quota_reading_take_volume(const struct quota_ledger *ledger,
                              unsigned volume, struct quota_reading *reading)
{
    const struct quota_volume *v = &ledger->file->volumes[volume];
    int ret;

    reading->room_bytes = 0;
    reading->settled_room_bytes = 0;
    reading->thick_bytes = 0;
    reading->grant_bytes = 0;
    reading->limit_bytes = quota_load(&v->limit_bytes);
    ret = take_sums(ledger, &v->sample, volume, QUOTA_OF_VOLUME, reading);
    if (reading->limit_bytes == 0 && ret != -EUCLEAN) {
        /* There is no limit to compare with, so no sample is needed. */
        reading->room_bytes = INT64_MAX;
        reading->settled_room_bytes = INT64_MAX;
        return ret;
    }
    if (ret == 0) {
        set_room(reading, reading->limit_bytes);
    }
    return ret;
}

void quota_usage_read(const struct quota_ledger *ledger,
                      struct quota_usage *usage)
{
    const struct quota_ledger_file *file = ledger->file;
    struct quota_reading reading;
    int ret = quota_reading_take(ledger, &reading);
    uint64_t reserved_at_sample = quota_load(&file->sample.reserved_at_sample);
    uint64_t since_bytes = reading.reserved.bytes > reserved_at_sample ?
                           reading.reserved.bytes - reserved_at_sample : 0;

    memset(usage, 0, sizeof(*usage));
    usage->limit_bytes = reading.limit_bytes;
    usage->thick_bytes = reading.thick_bytes;
    usage->grant_bytes = reading.grant_bytes;
    usage->sampled_bytes = reading.sampled_bytes;
    usage->unsampled_bytes = reading.unsampled_bytes;
    usage->used_bytes = quota_add_saturating(
        quota_add_saturating(reading.thick_bytes, reading.sampled_bytes),
        reading.unsampled_bytes);
    /* [least] Read after the sample, since it is stored before it: a newer
     * value subtracts too much. */
    usage->least_bytes = quota_add_saturating(
        quota_add_saturating(reading.thick_bytes, reading.sampled_bytes),
        since_bytes < reading.unsampled_bytes ? since_bytes
                                              : reading.unsampled_bytes);
    usage->available_bytes = usage->limit_bytes > usage->used_bytes ?
                             usage->limit_bytes - usage->used_bytes : 0;
    usage->sample_ns = quota_load(&file->sample.sample_ns);
    usage->refused_writes = quota_load(&file->counters.refused_writes);
    usage->reason = quota_load(&file->sample.reason);
    if (ret == -EUCLEAN || (unsigned)usage->reason >= QUOTA_REASON_MAX) {
        usage->reason = QUOTA_REASON_ACCOUNTING_LOST;
    }
}
