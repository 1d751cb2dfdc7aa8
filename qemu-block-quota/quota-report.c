/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a quota node tells: its statistics, and events when it refuses a write
 * and when it recovers.
 */

#include "qemu/osdep.h"

#include "block/block-io.h"
#include "qapi/qapi-events-block-quota.h"
#include "qemu/units.h"

#include "quota-int.h"

static BlockQuotaReason quota_qapi_reason(enum quota_reason reason)
{
    switch (reason) {
    case QUOTA_REASON_NONE:
        return BLOCK_QUOTA_REASON_NONE;
    case QUOTA_REASON_TENANT_LIMIT:
        return BLOCK_QUOTA_REASON_TENANT_LIMIT;
    case QUOTA_REASON_VOLUME_LIMIT:
        return BLOCK_QUOTA_REASON_VOLUME_LIMIT;
    case QUOTA_REASON_GROUP_FULL:
        return BLOCK_QUOTA_REASON_GROUP_FULL;
    default:
        return BLOCK_QUOTA_REASON_ACCOUNTING_LOST;
    }
}

/* Called in any thread.  One event for all writes that are refused in a row. */
void quota_report_refused(BlockDriverState *bs, enum quota_reason reason,
                          uint64_t bytes)
{
    BDRVQuotaState *s = bs->opaque;
    struct quota_usage usage;

    stat64_add(&s->refused, 1);
    if (qatomic_xchg(&s->is_refusing, true)) {
        return;
    }
    quota_usage_read(s->ledger, &usage);
    qapi_event_send_block_quota_refused(bdrv_get_node_name(bs),
                                        s->opts.tenant, s->opts.volume,
                                        quota_qapi_reason(reason), bytes,
                                        usage.limit_bytes, usage.used_bytes);
}

void quota_report_admitted(BlockDriverState *bs, uint64_t bytes)
{
    BDRVQuotaState *s = bs->opaque;
    struct quota_usage usage;

    stat64_add(&s->charged_bytes, bytes);
    /* Look before swapping: this is the path of every first write. */
    if (likely(!qatomic_read(&s->is_refusing)) ||
        !qatomic_xchg(&s->is_refusing, false)) {
        return;
    }
    quota_usage_read(s->ledger, &usage);
    qapi_event_send_block_quota_recovered(bdrv_get_node_name(bs),
                                          s->opts.tenant, s->opts.volume,
                                          usage.limit_bytes,
                                          usage.used_bytes);
}

BlockStatsSpecific *quota_get_specific_stats(BlockDriverState *bs)
{
    BDRVQuotaState *s = bs->opaque;
    BlockStatsSpecific *stats = g_new(BlockStatsSpecific, 1);
    uint64_t settled_bytes = stat64_get(&s->settled_bytes);
    struct quota_usage usage;

    if (quota_is_private(s) && s->opts.allocation) {
        GRAPH_RDLOCK_GUARD_MAINLOOP();
        /* If it fails, or is being done, the last sample has to do. */
        quota_sample(bs);
    }
    quota_usage_read(s->ledger, &usage);

    *stats = (BlockStatsSpecific) {
        .driver = BLOCKDEV_DRIVER_QUOTA,
        .u.quota = {
            .tenant = g_strdup(s->opts.tenant),
            .volume = g_strdup(s->opts.volume),
            .ledger = g_strdup(s->opts.ledger),
            .allocation = s->opts.allocation,
            .limit_bytes = usage.limit_bytes,
            .thick_bytes = usage.thick_bytes,
            .grant_bytes = usage.grant_bytes,
            .sampled_bytes = usage.sampled_bytes,
            .unsampled_bytes = usage.unsampled_bytes,
            .used_bytes = usage.used_bytes,
            .available_bytes = usage.available_bytes,
            .has_sample_age_ns = usage.sample_ns != 0,
            .reason = quota_qapi_reason(usage.reason),
            .refusing = qatomic_read(&s->is_refusing),
            .refused = stat64_get(&s->refused),
            .refused_total = usage.refused_total,
            /* Read after settled_bytes, so that it is not the smaller one. */
            .charged_bytes = stat64_get(&s->charged_bytes),
            .growth_waits = stat64_get(&s->growth_waits),
            .growth_wait_ns = stat64_get(&s->growth_wait_ns),
            .rate_waits = stat64_get(&s->rate_waits),
            .rate_wait_ns = stat64_get(&s->rate_wait_ns),
        },
    };
    stats->u.quota.in_flight_bytes = stats->u.quota.charged_bytes -
                                     settled_bytes;
    if (stats->u.quota.has_sample_age_ns) {
        stats->u.quota.sample_age_ns = quota_clock_ns() - usage.sample_ns;
    }
    return stats;
}
