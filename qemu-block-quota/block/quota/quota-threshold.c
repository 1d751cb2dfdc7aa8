/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Thresholds of a quota node: an event when its tenant's usage reaches a
 * threshold, and another one when usage has fallen below it again.
 *
 * Usage is checked whenever this node takes new space, so that none of its own
 * crossings is missed, and by a timer for those of other nodes.  A node without
 * thresholds checks nothing.
 */

#include "qemu/osdep.h"

#include "block/block-io.h"
#include "qapi/error.h"
#include "qapi/qapi-events-block-quota.h"
#include "qapi/util.h"
#include "qemu/host-utils.h"
#include "qemu/lockable.h"

#include "quota-sample.h"
#include "quota-threshold.h"
#include "trace.h"

#define QUOTA_THRESHOLDS_MAX 16

/* How often to check for crossings by other nodes of the tenant. */
#define QUOTA_THRESHOLD_POLL_MS 1000

struct QuotaThreshold {
    bool is_percent;
    uint64_t value;             /* in percent or bytes */
    uint64_t hysteresis;        /* likewise; less than @value */
    bool is_reached;
};

static uint64_t quota_threshold_bytes(const QuotaThreshold *t, uint64_t value,
                                      uint64_t limit_bytes)
{
    return t->is_percent ? muldiv64_round_up(limit_bytes, value, 100) : value;
}

/* Whether @usage has crossed a threshold. */
static bool quota_threshold_is_crossed(const QuotaThreshold *t,
                                       const struct quota_usage *usage)
{
    uint64_t limit_bytes = usage->limit_bytes;
    uint64_t mark = quota_threshold_bytes(t, t->value, limit_bytes);

    if (t->is_reached) {
        mark -= quota_threshold_bytes(t, t->hysteresis, limit_bytes);
        return usage->used_bytes < mark;
    }
    /* Bytes that the last sample may count twice do not cross a threshold. */
    return usage->least_bytes >= mark;
}

/* Called in any thread.  Whether a threshold is crossed; sends its event. */
static bool quota_threshold_check(BlockDriverState *bs, bool may_send)
{
    BDRVQuotaState *s = bs->opaque;
    bool is_crossed = false;
    struct quota_usage usage;

    QEMU_LOCK_GUARD(&s->thresholds_lock);

    /* Read under the lock, so that events are in the order of readings. */
    quota_usage_read(s->ledger, &usage);
    if (!usage.limit_bytes) {
        /* No limit has been published yet. */
        return false;
    }

    for (int i = 0; i < s->nb_thresholds; i++) {
        QuotaThreshold *t = &s->thresholds[i];
        uint64_t mark;

        if (!quota_threshold_is_crossed(t, &usage)) {
            continue;
        }
        is_crossed = true;
        if (!may_send) {
            break;
        }
        t->is_reached = !t->is_reached;
        mark = quota_threshold_bytes(t, t->value, usage.limit_bytes);
        trace_quota_threshold(bs, mark, usage.used_bytes, t->is_reached);
        qapi_event_send_block_quota_threshold(
            bdrv_get_node_name(bs), s->opts.tenant, s->opts.volume,
            t->is_percent, t->value, !t->is_percent, t->value, t->is_reached,
            mark, usage.limit_bytes, usage.used_bytes);
    }
    return is_crossed;
}

void coroutine_fn quota_co_threshold_check(BlockDriverState *bs)
{
    BDRVQuotaState *s = bs->opaque;

    /*
     * A private ledger counts whole chunks until it is sampled, which is too
     * much to report.
     */
    if (quota_is_private(s) &&
        (!quota_threshold_check(bs, false) || quota_co_sample(bs) < 0)) {
        return;
    }
    quota_threshold_check(bs, true);
}

static void coroutine_fn quota_co_threshold_entry(void *opaque)
{
    BlockDriverState *bs = opaque;
    BDRVQuotaState *s = bs->opaque;

    WITH_GRAPH_RDLOCK_GUARD() {
        if (!quota_is_private(s) || quota_co_sample(bs) == 0) {
            quota_threshold_check(bs, true);
        }
    }
    qatomic_set(&s->is_checking, false);
    bdrv_dec_in_flight(bs);
}

static void quota_threshold_timer_cb(void *opaque)
{
    BlockDriverState *bs = opaque;
    BDRVQuotaState *s = bs->opaque;

    timer_mod(s->threshold_timer, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) +
                                  QUOTA_THRESHOLD_POLL_MS);
    if (qatomic_read(&bs->quiesce_counter) ||
        qatomic_xchg(&s->is_checking, true)) {
        return;
    }
    bdrv_inc_in_flight(bs);
    qemu_coroutine_enter(qemu_coroutine_create(quota_co_threshold_entry, bs));
}

static bool quota_threshold_parse(QuotaThreshold *t,
                                  const BlockQuotaThreshold *from,
                                  Error **errp)
{
    if (from->has_percent == from->has_bytes) {
        error_setg(errp, "A threshold is either 'percent' or 'bytes'");
        return false;
    }
    *t = (QuotaThreshold) {
        .is_percent = from->has_percent,
        .value = from->has_percent ? from->percent : from->bytes,
    };
    if (t->is_percent && (t->value < 1 || t->value > 100)) {
        error_setg(errp, "Threshold 'percent' must be between 1 and 100");
        return false;
    }
    if (t->value < 1 || t->value > INT64_MAX) {
        error_setg(errp, "Threshold 'bytes' must be between 1 and %" PRId64,
                   INT64_MAX);
        return false;
    }
    if (from->has_hysteresis) {
        t->hysteresis = from->hysteresis;
    } else if (t->is_percent) {
        t->hysteresis = t->value > 1;
    } else {
        t->hysteresis = t->value / 100;
    }
    if (t->hysteresis >= t->value) {
        error_setg(errp, "The 'hysteresis' of a threshold must be less than "
                   "the threshold, or nothing could ever fall below it");
        return false;
    }
    return true;
}

void quota_set_thresholds(BlockDriverState *bs, BlockQuotaThresholdList *list,
                          Error **errp)
{
    BDRVQuotaState *s = bs->opaque;
    g_autofree QuotaThreshold *thresholds = NULL;
    int count = QAPI_LIST_LENGTH(list);
    QuotaThreshold *t;

    GLOBAL_STATE_CODE();

    if (count > QUOTA_THRESHOLDS_MAX) {
        error_setg(errp, "At most %d thresholds can be set",
                   QUOTA_THRESHOLDS_MAX);
        return;
    }
    if (quota_is_private(s) && !s->opts.allocation) {
        error_setg(errp, "Node '%s' has neither a ledger nor a limit, so that "
                   "nothing is counted", bdrv_get_node_name(bs));
        return;
    }
    t = thresholds = g_new0(QuotaThreshold, count);
    for (; list; list = list->next) {
        if (!quota_threshold_parse(t++, list->value, errp)) {
            return;
        }
    }

    WITH_QEMU_LOCK_GUARD(&s->thresholds_lock) {
        QuotaThreshold *old = s->thresholds;

        s->thresholds = g_steal_pointer(&thresholds);
        thresholds = old;
        qatomic_set(&s->nb_thresholds, count);
    }

    if (!count) {
        g_clear_pointer(&s->threshold_timer, timer_free);
        return;
    }
    if (!s->threshold_timer) {
        s->threshold_timer = timer_new_ms(QEMU_CLOCK_REALTIME,
                                          quota_threshold_timer_cb, bs);
    }
    timer_mod(s->threshold_timer, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) +
                                  QUOTA_THRESHOLD_POLL_MS);

    /* A client that queried first would miss crossings before this command. */
    if (quota_is_private(s)) {
        GRAPH_RDLOCK_GUARD_MAINLOOP();
        if (quota_sample(bs) < 0) {
            return;
        }
    }
    quota_threshold_check(bs, true);
}

void quota_thresholds_query(BDRVQuotaState *s, BlockStatsSpecificQuota *stats)
{
    BlockQuotaThresholdInfoList **tail = &stats->thresholds;

    QEMU_LOCK_GUARD(&s->thresholds_lock);

    stats->has_thresholds = s->nb_thresholds;
    for (int i = 0; i < s->nb_thresholds; i++) {
        const QuotaThreshold *t = &s->thresholds[i];
        BlockQuotaThresholdInfo *info = g_new(BlockQuotaThresholdInfo, 1);

        *info = (BlockQuotaThresholdInfo) {
            .has_percent = t->is_percent,
            .percent = t->is_percent ? t->value : 0,
            .has_bytes = !t->is_percent,
            .bytes = t->is_percent ? 0 : t->value,
            .has_hysteresis = true,
            .hysteresis = t->hysteresis,
            .reached = t->is_reached,
        };
        QAPI_LIST_APPEND(tail, info);
    }
}

void quota_thresholds_init(BDRVQuotaState *s)
{
    qemu_mutex_init(&s->thresholds_lock);
}

void quota_thresholds_destroy(BDRVQuotaState *s)
{
    g_clear_pointer(&s->threshold_timer, timer_free);
    g_clear_pointer(&s->thresholds, g_free);
    s->nb_thresholds = 0;
    qemu_mutex_destroy(&s->thresholds_lock);
}
