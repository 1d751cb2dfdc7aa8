/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The nodes below a quota node: which one allocates space, whether that space
 * can be accounted for, and what to forget when the child is replaced.
 */

#include "qemu/osdep.h"

#include "block/block-io.h"
#include "qapi/error.h"

#include "quota-child.h"
#include "quota-map.h"

BlockDriverState *quota_bottom_bs(BlockDriverState *bs)
{
    BlockDriverState *next;

    while ((next = bdrv_primary_bs(bs))) {
        bs = next;
    }
    return bs;
}

/*
 * Whether each chunk of the node is one chunk of the node that holds the data.
 * False below an image format, which places clusters by itself, and below
 * quorum.
 */
static bool GRAPH_RDLOCK quota_is_flat(BlockDriverState *bs)
{
    BlockDriverState *p = bs->file->bs;

    while (p && p->drv && (p->drv->is_filter ||
                           (!strcmp(p->drv->format_name, "raw") &&
                            !qdict_haskey(p->options, "offset")))) {
        p = bdrv_primary_bs(p);
    }
    return p && p->drv && p->drv->protocol_name;
}

/*
 * Filters allocate nothing, though those that can be opened as a protocol, such
 * as blkdebug, do not report that.
 */
BlockDriverState *quota_allocating_bs(BlockDriverState *bs)
{
    BlockDriverState *next;

    while ((next = bdrv_filter_bs(bs))) {
        bs = next;
    }
    return bs;
}

/*
 * With the host's page cache, space is allocated when the cache is written
 * back.  A flush does that before a new chunk is settled; cache=unsafe omits
 * it.
 */
BlockDriverState *quota_unflushed_bs(BlockDriverState *bs)
{
    BlockDriverState *p;

    if (quota_bottom_bs(bs)->open_flags & BDRV_O_NOCACHE) {
        return NULL;
    }
    for (p = bs->file->bs; p; p = bdrv_primary_bs(p)) {
        if (p->open_flags & BDRV_O_NO_FLUSH) {
            return p;
        }
    }
    return NULL;
}

int quota_check_child(BlockDriverState *bs, const QuotaOptions *opts,
                      Error **errp)
{
    BlockDriverState *bottom = quota_bottom_bs(bs);
    BlockDriverState *unflushed;
    int64_t size;

    if (!opts->allocation) {
        return 0;
    }

    if (!opts->ledger) {
        size = bdrv_get_allocated_file_size(quota_allocating_bs(bs));
        if (size >= 0 && !strcmp(bottom->drv->format_name, "host_device")) {
            size = -ENOTSUP;
        }
        if (size < 0) {
            error_setg(errp, "Option 'limit' needs a child that knows how "
                       "much space it takes up, and node '%s' (driver '%s') "
                       "does not; give the ledger of a quota-lvm pool instead",
                       bdrv_get_node_name(bottom), bottom->drv->format_name);
            return -ENOTSUP;
        }
        return 0;
    }

    unflushed = quota_unflushed_bs(bs);
    if (unflushed) {
        error_setg(errp, "Writes to node '%s' take up space after they "
                   "have been acknowledged, so that tenant '%s' cannot be "
                   "charged for them: do not use cache.no-flush=on "
                   "(cache=unsafe), or use cache.direct=on as well",
                   bdrv_get_node_name(unflushed), opts->tenant);
        return -EINVAL;
    }
    return 0;
}

/* The node supports the requests that its child supports. */
void quota_take_child(BlockDriverState *bs)
{
    BDRVQuotaState *s = bs->opaque;
    BlockDriverState *child_bs = bs->file->bs;

    bs->supported_write_flags = child_bs->supported_write_flags |
                                BDRV_REQ_WRITE_UNCHANGED;
    bs->supported_zero_flags = child_bs->supported_zero_flags |
                               BDRV_REQ_WRITE_UNCHANGED;
    bs->supported_truncate_flags = child_bs->supported_truncate_flags;
    s->bottom_bs = quota_bottom_bs(bs);
    s->is_flat = quota_is_flat(bs);
}

void quota_void_child(BlockDriverState *bs)
{
    BDRVQuotaState *s = bs->opaque;

    quota_map_reset(s, s->map->chunk_bytes,
                    bs->total_sectors * BDRV_SECTOR_SIZE);
    qatomic_set(&s->is_sample_void, quota_is_private(s));
}

void quota_follow_child(BlockDriverState *bs)
{
    BDRVQuotaState *s = bs->opaque;
    BlockDriverState *bottom_bs = s->bottom_bs;
    bool is_flat = s->is_flat;

    /* Not while it is being opened. */
    if (!s->writer || !bs->file) {
        return;
    }
    quota_take_child(bs);
    if (s->bottom_bs != bottom_bs || s->is_flat != is_flat) {
        quota_void_child(bs);
    }
}
