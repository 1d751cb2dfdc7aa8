/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QMP commands of the quota filter.  They are part of the block layer, not of
 * the quota module, so they work whether or not the module is loaded.  They
 * query nodes by driver-specific statistics, and change them by quota_ops.
 */

#include "qemu/osdep.h"

#include "block/block-io.h"
#include "block/block_int.h"
#include "qapi/clone-visitor.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-block-quota.h"
#include "qapi/qapi-types-block-core.h"
#include "qapi/qapi-visit-block-quota.h"

#include "quota-module.h"

const QuotaOps *quota_ops;

static bool quota_is_node(BlockDriverState *bs)
{
    return bs->drv && !strcmp(bs->drv->format_name, "quota");
}

static BlockDriverState *quota_find_node(const char *node_name, Error **errp)
{
    BlockDriverState *bs = bdrv_find_node(node_name);

    if (!bs) {
        error_setg(errp, "Node '%s' not found", node_name);
        return NULL;
    }
    if (!quota_is_node(bs)) {
        error_setg(errp, "Node '%s' is not a quota node",
                   node_name);
        return NULL;
    }
    return bs;
}

BlockQuotaInfoList *qmp_query_block_quota(Error **errp)
{
    BlockQuotaInfoList *head = NULL, **tail = &head;
    BlockDriverState *bs;

    GRAPH_RDLOCK_GUARD_MAINLOOP();

    for (bs = bdrv_next_node(NULL); bs; bs = bdrv_next_node(bs)) {
        g_autoptr(BlockStatsSpecific) stats = NULL;
        BlockQuotaInfo *info;

        if (!quota_is_node(bs)) {
            continue;
        }
        stats = bdrv_get_specific_stats(bs);
        if (!stats) {
            continue;
        }
        info = g_new0(BlockQuotaInfo, 1);
        QAPI_CLONE_MEMBERS(BlockStatsSpecificQuota,
                           qapi_BlockQuotaInfo_base(info), &stats->u.quota);
        info->node_name = g_strdup(bdrv_get_node_name(bs));
        QAPI_LIST_APPEND(tail, info);
    }
    return head;
}

void qmp_block_quota_threshold_set(const char *node_name,
                                   BlockQuotaThresholdList *thresholds,
                                   Error **errp)
{
    BlockDriverState *bs = quota_find_node(node_name, errp);

    if (bs) {
        quota_ops->set_thresholds(bs, thresholds, errp);
    }
}

void qmp_block_quota_latency_histogram_set(
    const char *node_name,
    bool has_boundaries, uint64List *boundaries,
    bool has_boundaries_growth, uint64List *boundaries_growth,
    bool has_boundaries_limit, uint64List *boundaries_limit,
    bool has_boundaries_rate, uint64List *boundaries_rate,
    Error **errp)
{
    const QuotaBoundaries given[QUOTA_WAIT__MAX] = {
        [QUOTA_WAIT_GROWTH] = { has_boundaries_growth, boundaries_growth },
        [QUOTA_WAIT_LIMIT] = { has_boundaries_limit, boundaries_limit },
        [QUOTA_WAIT_RATE] = { has_boundaries_rate, boundaries_rate },
    };
    BlockDriverState *bs = quota_find_node(node_name, errp);

    if (bs) {
        quota_ops->set_histograms(bs, has_boundaries, boundaries, given, errp);
    }
}
