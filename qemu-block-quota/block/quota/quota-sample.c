/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Samples of a private ledger, whose only sampler is its node: the allocated
 * size of the child is the truth.
 *
 * One thread samples at a time; the others use the previous sample.
 */

#include "qemu/osdep.h"

#include "block/block-io.h"
#include "qemu/coroutine.h"

#include "quota-child.h"
#include "quota-sample.h"
#include "trace.h"

/* 0: the caller may sample. */
static int quota_begin_sample(BDRVQuotaState *s)
{
    if (qatomic_xchg(&s->is_sampling, true)) {
        return -EBUSY;
    }
    quota_sample_begin(s->ledger, &s->sample);
    return 0;
}

static int quota_end_sample(BDRVQuotaState *s, int64_t used)
{
    trace_quota_sampled(s, used);
    if (used >= 0) {
        /* It has no other volume. */
        if (s->sample.volumes) {
            s->sample.volume[0].used_bytes = used;
        }
        /* No pool grows: a refusal by this sample is final. */
        quota_sample_publish(s->ledger, &s->sample, used, quota_clock_ns(),
                             QUOTA_REASON_TENANT_LIMIT);
        qatomic_set(&s->is_sample_void, false);
    }
    qatomic_store_release(&s->is_sampling, false);
    return used < 0 ? used : 0;
}

int coroutine_fn quota_co_sample(BlockDriverState *bs)
{
    BDRVQuotaState *s = bs->opaque;
    int ret = quota_begin_sample(s);

    if (ret < 0) {
        return ret;
    }
    return quota_end_sample(s, bdrv_co_get_allocated_file_size(
                                   quota_allocating_bs(bs)));
}

int coroutine_fn quota_co_renew_sample(BlockDriverState *bs)
{
    BDRVQuotaState *s = bs->opaque;
    int ret = 0;

    while (qatomic_read(&s->is_sample_void) &&
           (ret = quota_co_sample(bs)) == -EBUSY) {
        qemu_co_sleep_ns(QEMU_CLOCK_REALTIME, SCALE_MS);
    }
    return ret == -EBUSY ? 0 : ret;
}

int quota_sample(BlockDriverState *bs)
{
    BDRVQuotaState *s = bs->opaque;
    int ret = quota_begin_sample(s);

    if (ret < 0) {
        return ret;
    }
    return quota_end_sample(s, bdrv_get_allocated_file_size(
                                   quota_allocating_bs(bs)));
}
