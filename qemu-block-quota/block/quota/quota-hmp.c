/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * "info block-quota" of the human monitor: query-block-quota in readable form.
 */

#include "qemu/osdep.h"

#include "block/block-hmp-cmds.h"
#include "monitor/hmp.h"
#include "monitor/monitor.h"
#include "qapi/qapi-commands-block-quota.h"
#include "qemu/cutils.h"

#include "compat.h"

static const char *quota_hmp_reason(BlockQuotaReason reason)
{
    switch (reason) {
    case BLOCK_QUOTA_REASON_NONE:
        return "there is room";
    case BLOCK_QUOTA_REASON_TENANT_LIMIT:
        return "the tenant's limit is reached";
    case BLOCK_QUOTA_REASON_VOLUME_LIMIT:
        return "the volume's own limit is reached";
    case BLOCK_QUOTA_REASON_GROUP_FULL:
        return "the volume group is full";
    case BLOCK_QUOTA_REASON_ACCOUNTING_LOST:
        return "usage is unknown";
    default:
        g_assert_not_reached();
    }
}

static void quota_hmp_size(Monitor *mon, const char *what, uint64_t bytes)
{
    g_autofree char *size = size_to_str(bytes);

    monitor_printf(mon, "    %-18s%s (%" PRIu64 " bytes)\n", what, size, bytes);
}

static void quota_hmp_histogram(Monitor *mon,
                                const BlockLatencyHistogramInfo *histogram)
{
    uint64List *boundary, *bin;
    uint64_t from = 0;

    if (!histogram) {
        return;
    }
    boundary = histogram->boundaries;
    for (bin = histogram->bins; bin; bin = bin->next) {
        if (boundary) {
            monitor_printf(mon, "        [%" PRIu64 ", %" PRIu64 ") ns: %"
                           PRIu64 "\n", from, boundary->value, bin->value);
            from = boundary->value;
            boundary = boundary->next;
        } else {
            monitor_printf(mon, "        [%" PRIu64 ", +inf) ns: %" PRIu64 "\n",
                           from, bin->value);
        }
    }
}

static void quota_hmp_waits(Monitor *mon, const char *what, uint64_t waits,
                            uint64_t wait_ns,
                            const BlockLatencyHistogramInfo *histogram)
{
    monitor_printf(mon, "    %-18s%" PRIu64 ", %.3f s together\n", what, waits,
                   (double)wait_ns / NANOSECONDS_PER_SECOND);
    quota_hmp_histogram(mon, histogram);
}

static void quota_hmp_thresholds(Monitor *mon,
                                 const BlockQuotaThresholdInfoList *list)
{
    for (; list; list = list->next) {
        const BlockQuotaThresholdInfo *t = list->value;

        monitor_printf(mon, "    Threshold:        %" PRIu64 "%s, %s, "
                       "hysteresis %" PRIu64 "\n",
                       t->has_percent ? (uint64_t)t->percent : t->bytes,
                       t->has_percent ? " %" : " bytes",
                       t->reached ? "reached" : "not reached", t->hysteresis);
    }
}

static void quota_hmp_node(Monitor *mon, const BlockQuotaInfo *info)
{
    const BlockQuotaRefusedWrites *refused = info->refused_writes;

    monitor_printf(mon, "%s: tenant %s, volume %s\n", info->node_name,
                   info->tenant ?: "(none)", info->volume);
    monitor_printf(mon, "    Limits from:      %s\n",
                   info->ledger ?: "options of the node");
    monitor_printf(mon, "    New space:        %s\n",
                   info->allocation ? "charged" : "not charged");
    quota_hmp_size(mon, "Limit:", info->limit_bytes);
    quota_hmp_size(mon, "Used:", info->used_bytes);
    quota_hmp_size(mon, "Available:", info->available_bytes);
    quota_hmp_size(mon, "Grant:", info->grant_bytes);
    if (info->has_volume_limit_bytes) {
        quota_hmp_size(mon, "Volume's limit:", info->volume_limit_bytes);
    }
    if (info->has_volume_used_bytes) {
        quota_hmp_size(mon, "Volume's used:", info->volume_used_bytes);
    }
    if (info->has_sample_age_ns) {
        monitor_printf(mon, "    Sampled:          %.3f s ago\n",
                       (double)info->sample_age_ns / NANOSECONDS_PER_SECOND);
    } else {
        monitor_printf(mon, "    Sampled:          never\n");
    }
    monitor_printf(mon, "    Limit state:      %s: %s\n",
                   BlockQuotaLimitState_str(info->limit_state),
                   quota_hmp_reason(info->has_limit_reason
                                    ? info->limit_reason
                                    : info->sample_reason));
    monitor_printf(mon, "    Refused writes:   %" PRIu64 " (tenant limit %"
                   PRIu64 ", volume limit %" PRIu64 ", group full %" PRIu64
                   ", accounting lost %" PRIu64 "), tenant's total %" PRIu64
                   "\n", refused->total, refused->tenant_limit,
                   refused->volume_limit, refused->group_full,
                   refused->accounting_lost, info->tenant_refused_writes);
    quota_hmp_size(mon, "Charged:", info->charged_bytes);
    quota_hmp_size(mon, "In flight:", info->in_flight_bytes);
    quota_hmp_waits(mon, "Growth waits:", info->growth_waits,
                    info->growth_wait_ns, info->growth_wait_histogram);
    quota_hmp_waits(mon, "Limit waits:", info->limit_waits,
                    info->limit_wait_ns, info->limit_wait_histogram);
    monitor_printf(mon, "    Waiting now:      %" PRIu64 "\n",
                   info->limit_waiting);
    quota_hmp_waits(mon, "Rate waits:", info->rate_waits,
                    info->rate_wait_ns, info->rate_wait_histogram);
    quota_hmp_thresholds(mon, info->thresholds);
}

void hmp_info_block_quota(Monitor *mon, const QDict *qdict)
{
    const char *node = qdict_get_try_str(qdict, "node");
    g_autoptr(BlockQuotaInfoList) list = qmp_query_block_quota(NULL);
    BlockQuotaInfoList *entry;
    bool printed = false;

    for (entry = list; entry; entry = entry->next) {
        if (!node || !strcmp(node, entry->value->node_name)) {
            quota_hmp_node(mon, entry->value);
            printed = true;
        }
    }
    if (!printed) {
        monitor_printf(mon, node ? "No such node of the quota driver: %s\n"
                                 : "No nodes of the quota driver\n", node);
    }
}
