/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long requests wait in a quota node, and for what: totals, and histograms
 * if a user created them.
 *
 * Only requests that had to wait are recorded, so that others bear no cost.
 */

#include "qemu/osdep.h"

#include "block/qapi.h"
#include "qapi/error.h"
#include "qemu/lockable.h"

#include "quota-waits.h"

void quota_waits_init(BDRVQuotaState *s)
{
    qemu_mutex_init(&s->waits_lock);
}

void quota_waits_destroy(BDRVQuotaState *s)
{
    for (int i = 0; i < QUOTA_WAIT__MAX; i++) {
        block_latency_histogram_clear(&s->waits[i].histogram);
    }
    qemu_mutex_destroy(&s->waits_lock);
}

/* Called in any thread. */
void quota_account_wait(BDRVQuotaState *s, QuotaWait wait, uint64_t wait_ns)
{
    QuotaWaitStats *stats = &s->waits[wait];

    stat64_add(&stats->count, 1);
    stat64_add(&stats->ns, wait_ns);
    if (qatomic_read(&stats->has_histogram)) {
        QEMU_LOCK_GUARD(&s->waits_lock);
        block_latency_histogram_account(&stats->histogram, wait_ns);
    }
}

/* As block_latency_histogram_reset() wants them. */
static bool quota_check_boundaries(const uint64List *entry)
{
    uint64_t prev = 0;

    for (; entry; entry = entry->next) {
        if (entry->value <= prev) {
            return false;
        }
        prev = entry->value;
    }
    return prev > 0;
}

void quota_set_histograms(BlockDriverState *bs, bool has_all, uint64List *all,
                          const QuotaBoundaries boundaries[QUOTA_WAIT__MAX],
                          Error **errp)
{
    static const char *const names[QUOTA_WAIT__MAX] = {
        [QUOTA_WAIT_GROWTH] = "boundaries-growth",
        [QUOTA_WAIT_LIMIT] = "boundaries-limit",
        [QUOTA_WAIT_RATE] = "boundaries-rate",
    };
    BDRVQuotaState *s = bs->opaque;
    bool is_given = has_all;

    /* Nothing is changed if anything is wrong. */
    if (has_all && !quota_check_boundaries(all)) {
        error_setg(errp, "Invalid boundary values in 'boundaries'");
        return;
    }
    for (int i = 0; i < QUOTA_WAIT__MAX; i++) {
        is_given |= boundaries[i].has;
        if (boundaries[i].has && !quota_check_boundaries(boundaries[i].list)) {
            error_setg(errp, "Invalid boundary values in '%s'", names[i]);
            return;
        }
    }

    QEMU_LOCK_GUARD(&s->waits_lock);
    for (int i = 0; i < QUOTA_WAIT__MAX; i++) {
        QuotaWaitStats *stats = &s->waits[i];

        if (boundaries[i].has || has_all) {
            block_latency_histogram_reset(&stats->histogram,
                                          boundaries[i].has
                                          ? boundaries[i].list : all);
            qatomic_set(&stats->has_histogram, true);
        } else if (!is_given) {
            qatomic_set(&stats->has_histogram, false);
            block_latency_histogram_clear(&stats->histogram);
        }
    }
}

void quota_waits_query(BDRVQuotaState *s, BlockStatsSpecificQuota *stats)
{
    QuotaWaitStats *growth = &s->waits[QUOTA_WAIT_GROWTH];
    QuotaWaitStats *limit = &s->waits[QUOTA_WAIT_LIMIT];
    QuotaWaitStats *rate = &s->waits[QUOTA_WAIT_RATE];

    QEMU_LOCK_GUARD(&s->waits_lock);

    stats->growth_waits = stat64_get(&growth->count);
    stats->growth_wait_ns = stat64_get(&growth->ns);
    stats->growth_wait_histogram =
        bdrv_latency_histogram_stats(&growth->histogram);

    stats->limit_waits = stat64_get(&limit->count);
    stats->limit_wait_ns = stat64_get(&limit->ns);
    stats->limit_wait_histogram =
        bdrv_latency_histogram_stats(&limit->histogram);
    stats->limit_waiting = qatomic_read(&s->limit_waiting);

    stats->rate_waits = stat64_get(&rate->count);
    stats->rate_wait_ns = stat64_get(&rate->ns);
    stats->rate_wait_histogram =
        bdrv_latency_histogram_stats(&rate->histogram);
}
