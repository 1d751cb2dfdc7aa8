/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * query-block-quota.  Part of the block layer, not of the quota module: the
 * command answers whether or not the module has been loaded, and asks the
 * nodes through their driver-specific statistics.
 */

#include "qemu/osdep.h"

#include "block/block-io.h"
#include "block/block_int.h"
#include "qapi/clone-visitor.h"
#include "qapi/qapi-commands-block-quota.h"
#include "qapi/qapi-types-block-core.h"
#include "qapi/qapi-visit-block-core.h"
#include "qapi/qapi-visit-block-quota.h"

BlockQuotaInfoList *qmp_query_block_quota(Error **errp)
{
    BlockQuotaInfoList *head = NULL, **tail = &head;
    BlockDriverState *bs;

    GRAPH_RDLOCK_GUARD_MAINLOOP();

    for (bs = bdrv_next_node(NULL); bs; bs = bdrv_next_node(bs)) {
        g_autoptr(BlockStatsSpecific) stats = NULL;
        BlockQuotaInfo *info;

        if (!bs->drv || strcmp(bs->drv->format_name, "quota")) {
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
