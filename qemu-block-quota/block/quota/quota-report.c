/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reports of a quota node: statistics, image information, and events when a
 * write waits at a limit, when one is refused, and when one is admitted again.
 *
 * Each report of a refusal names the limit.
 */

#include "qemu/osdep.h"

#include "block/block-io.h"
#include "qapi/error.h"
#include "qapi/qapi-events-block-quota.h"
#include "qapi/qapi-visit-block-quota.h"
#include "qapi/qobject-input-visitor.h"

#include "quota-options.h"
#include "quota-report.h"
#include "quota-sample.h"
#include "quota-threshold.h"
#include "quota-waits.h"
#include "trace.h"

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

char *quota_reason_text(BlockDriverState *bs, enum quota_reason reason)
{
    BDRVQuotaState *s = bs->opaque;
    const char *tenant = s->opts.tenant ?: "";
    struct quota_volume_usage volume = {};
    struct quota_usage usage;

    quota_usage_read(s->ledger, &usage);
    switch (reason) {
    case QUOTA_REASON_TENANT_LIMIT:
        if (quota_is_private(s)) {
            return g_strdup_printf("the limit of %" PRIu64 " bytes is reached; "
                                   "raise it with blockdev-reopen, or delete "
                                   "data", usage.limit_bytes);
        }
        return g_strdup_printf("the limit of tenant '%s', %" PRIu64 " bytes, "
                               "is reached; raise it with 'quota-lvm set', or "
                               "delete data", tenant, usage.limit_bytes);
    case QUOTA_REASON_VOLUME_LIMIT:
        quota_own_volume(s, s->ledger, &volume);
        return g_strdup_printf("volume '%s' has reached its own limit, %" PRIu64
                               " bytes, whatever room tenant '%s' has; raise "
                               "the volume's limit, or delete data on it",
                               s->opts.volume, volume.limit_bytes, tenant);
    case QUOTA_REASON_GROUP_FULL:
        return g_strdup_printf("the volume group has no space left to give, "
                               "though the limit of tenant '%s' has; extend "
                               "the volume group", tenant);
    default:
        return g_strdup_printf("usage of tenant '%s' is unknown; check that "
                               "quota-lvmd is running", tenant);
    }
}

/* ---- events ------------------------------------------------------------- */

static void quota_send_limit_state(BlockDriverState *bs,
                                   BlockQuotaLimitState state,
                                   enum quota_reason reason, uint64_t bytes)
{
    BDRVQuotaState *s = bs->opaque;
    const char *node_name = bdrv_get_node_name(bs);
    BlockQuotaReason qapi_reason = quota_qapi_reason(reason);
    struct quota_volume_usage volume = {};
    struct quota_usage usage;
    bool has_limit, has_used;

    quota_usage_read(s->ledger, &usage);
    has_limit = reason == QUOTA_REASON_VOLUME_LIMIT &&
                quota_own_volume(s, s->ledger, &volume);
    has_used = has_limit && volume.is_sampled;

    switch (state) {
    case BLOCK_QUOTA_LIMIT_STATE_WAITING:
        trace_quota_waiting(bs, bytes, quota_reason_name(reason));
        qapi_event_send_block_quota_waiting(node_name, s->opts.tenant,
                                            s->opts.volume, qapi_reason, bytes,
                                            usage.limit_bytes,
                                            usage.used_bytes,
                                            has_limit, volume.limit_bytes,
                                            has_used, volume.used_bytes);
        break;
    case BLOCK_QUOTA_LIMIT_STATE_REFUSING:
        qapi_event_send_block_quota_refused(node_name, s->opts.tenant,
                                            s->opts.volume, qapi_reason, bytes,
                                            usage.limit_bytes,
                                            usage.used_bytes,
                                            has_limit, volume.limit_bytes,
                                            has_used, volume.used_bytes);
        break;
    case BLOCK_QUOTA_LIMIT_STATE_ADMITTING:
        trace_quota_recovered(bs);
        qapi_event_send_block_quota_recovered(node_name, s->opts.tenant,
                                              s->opts.volume,
                                              usage.limit_bytes,
                                              usage.used_bytes);
        break;
    default:
        g_assert_not_reached();
    }
}

/* Called in any thread.  Sends one event for all writes that wait in a row. */
void quota_report_waiting(BlockDriverState *bs, enum quota_reason reason,
                          uint64_t bytes)
{
    BDRVQuotaState *s = bs->opaque;

    qatomic_set(&s->limit_reason, reason);
    if (qatomic_cmpxchg(&s->limit_state, BLOCK_QUOTA_LIMIT_STATE_ADMITTING,
                        BLOCK_QUOTA_LIMIT_STATE_WAITING) ==
        BLOCK_QUOTA_LIMIT_STATE_ADMITTING) {
        quota_send_limit_state(bs, BLOCK_QUOTA_LIMIT_STATE_WAITING, reason,
                               bytes);
    }
}

/* Called in any thread.  Sends one event for all refusals in a row. */
void quota_report_refused(BlockDriverState *bs, enum quota_reason reason,
                          uint64_t bytes)
{
    BDRVQuotaState *s = bs->opaque;

    trace_quota_refused(bs, bytes, quota_reason_name(reason));
    stat64_add(&s->refused[reason], 1);
    quota_refusal_count(s->writer);
    qatomic_set(&s->limit_reason, reason);
    if (qatomic_xchg(&s->limit_state, BLOCK_QUOTA_LIMIT_STATE_REFUSING) !=
        BLOCK_QUOTA_LIMIT_STATE_REFUSING) {
        quota_send_limit_state(bs, BLOCK_QUOTA_LIMIT_STATE_REFUSING, reason,
                               bytes);
    }
}

void coroutine_fn quota_report_admitted(BlockDriverState *bs, uint64_t bytes)
{
    BDRVQuotaState *s = bs->opaque;

    stat64_add(&s->charged_bytes, bytes);
    if (unlikely(qatomic_read(&s->nb_thresholds))) {
        quota_co_threshold_check(bs);
    }
    /* Read before swapping: each first write to a chunk comes this way. */
    if (unlikely(qatomic_read(&s->limit_state) !=
                 BLOCK_QUOTA_LIMIT_STATE_ADMITTING) &&
        qatomic_xchg(&s->limit_state, BLOCK_QUOTA_LIMIT_STATE_ADMITTING) !=
        BLOCK_QUOTA_LIMIT_STATE_ADMITTING) {
        quota_send_limit_state(bs, BLOCK_QUOTA_LIMIT_STATE_ADMITTING,
                               QUOTA_REASON_NONE, bytes);
    }
}

/* ---- queries ------------------------------------------------------------ */

static void quota_query_usage(BlockDriverState *bs, BlockQuotaUsage *info)
{
    BDRVQuotaState *s = bs->opaque;
    struct quota_volume_usage volume;
    struct quota_state state;
    struct quota_usage usage;

    if (quota_is_private(s) && s->opts.allocation) {
        GRAPH_RDLOCK_GUARD_MAINLOOP();
        /* If it fails, or another is under way, use the last sample. */
        quota_sample(bs);
    }
    quota_state_read(s->ledger, &state);
    quota_usage_read(s->ledger, &usage);
    if (quota_is_private(s) &&
        (!s->opts.allocation || usage.available_bytes)) {
        /* Samples of a private ledger always give a reason: ignore it. */
        usage.reason = QUOTA_REASON_NONE;
    }

    *info = (BlockQuotaUsage) {
        .tenant = g_strdup(s->opts.tenant),
        .volume = g_strdup(s->opts.volume),
        .ledger = g_strdup(s->opts.ledger),
        .allocation = s->opts.allocation,
        .limit_bytes = usage.limit_bytes,
        .thick_bytes = usage.thick_bytes,
        .grant_bytes = usage.grant_bytes,
        .chunk_bytes = state.chunk_bytes,
        .sampled_bytes = usage.sampled_bytes,
        .unsampled_bytes = usage.unsampled_bytes,
        .used_bytes = usage.used_bytes,
        .available_bytes = usage.available_bytes,
        .has_sample_age_ns = usage.sample_ns != 0,
        .sample_reason = quota_qapi_reason(usage.reason),
    };
    if (info->has_sample_age_ns) {
        info->sample_age_ns = quota_clock_ns() - usage.sample_ns;
    }
    if (quota_own_volume(s, s->ledger, &volume) && volume.limit_bytes) {
        info->has_volume_limit_bytes = true;
        info->volume_limit_bytes = volume.limit_bytes;
        info->has_volume_used_bytes = volume.is_sampled;
        info->volume_used_bytes = volume.used_bytes;
    }
}

static BlockQuotaRefusedWrites *quota_query_refused_writes(BDRVQuotaState *s)
{
    BlockQuotaRefusedWrites *refused = g_new(BlockQuotaRefusedWrites, 1);

    *refused = (BlockQuotaRefusedWrites) {
        .tenant_limit = stat64_get(&s->refused[QUOTA_REASON_TENANT_LIMIT]),
        .volume_limit = stat64_get(&s->refused[QUOTA_REASON_VOLUME_LIMIT]),
        .group_full = stat64_get(&s->refused[QUOTA_REASON_GROUP_FULL]),
        .accounting_lost =
            stat64_get(&s->refused[QUOTA_REASON_ACCOUNTING_LOST]),
    };
    refused->total = refused->tenant_limit + refused->volume_limit +
                     refused->group_full + refused->accounting_lost;
    return refused;
}

BlockStatsSpecific *quota_get_specific_stats(BlockDriverState *bs)
{
    BDRVQuotaState *s = bs->opaque;
    BlockStatsSpecific *stats = g_new0(BlockStatsSpecific, 1);
    BlockStatsSpecificQuota *quota = &stats->u.quota;
    uint64_t settled_bytes = stat64_get(&s->settled_bytes);
    struct quota_usage usage;

    stats->driver = BLOCKDEV_DRIVER_QUOTA;
    quota_query_usage(bs, qapi_BlockStatsSpecificQuota_base(quota));

    quota->limit_state = qatomic_read(&s->limit_state);
    if (quota->limit_state != BLOCK_QUOTA_LIMIT_STATE_ADMITTING) {
        quota->has_limit_reason = true;
        quota->limit_reason =
            quota_qapi_reason(qatomic_read(&s->limit_reason));
    }
    quota->refused_writes = quota_query_refused_writes(s);
    quota_usage_read(s->ledger, &usage);
    quota->tenant_refused_writes = usage.refused_writes;

    /* Read after settled_bytes, so that it is not smaller. */
    quota->charged_bytes = stat64_get(&s->charged_bytes);
    quota->in_flight_bytes = quota->charged_bytes - settled_bytes;
    quota_waits_query(s, quota);
    quota_thresholds_query(s, quota);
    return stats;
}

/* common/policy/limits.c defines names and order of the rates. */
static BlockQuotaRates *quota_query_rates(const struct quota_limits *limits)
{
    QDict *dict = qdict_new();
    BlockQuotaRates *rates = NULL;
    Visitor *v;
    size_t i;

    for (i = 0; i < quota_limit_fields_count; i++) {
        const struct quota_limit_field *field = &quota_limit_fields[i];
        uint64_t value = quota_limit_get(limits, field);

        if (value && field->unit != QUOTA_UNIT_BYTES) {
            g_autofree char *name = quota_option_name(field);

            /* A damaged ledger may contain any number. */
            qdict_put_int(dict, name, MIN(value, INT64_MAX));
        }
    }
    v = qobject_input_visitor_new(QOBJECT(dict));
    visit_type_BlockQuotaRates(v, NULL, &rates, &error_abort);
    visit_free(v);
    qobject_unref(dict);
    return rates;
}

ImageInfoSpecific *quota_get_specific_info(BlockDriverState *bs, Error **errp)
{
    BDRVQuotaState *s = bs->opaque;
    ImageInfoSpecific *info = g_new0(ImageInfoSpecific, 1);
    ImageInfoSpecificQuota *quota = g_new0(ImageInfoSpecificQuota, 1);
    struct quota_state state;

    quota_state_read(s->ledger, &state);
    quota_query_usage(bs, qapi_ImageInfoSpecificQuota_base(quota));
    quota->rates = quota_query_rates(&state.limits);

    info->type = IMAGE_INFO_SPECIFIC_KIND_QUOTA;
    info->u.quota.data = quota;
    return info;
}
