/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Chunks that are mapped already: a quota node does not remember being charged
 * for them, but they can be written to, or zeroed, without new space.
 *
 * Checked only where space is short.  The check may report a mapped chunk as
 * unmapped, never the reverse, except in the case marked FIXME.
 */

#include "qemu/osdep.h"

#include "block/block-io.h"
#include "qemu/coroutine.h"
#include "qemu/cutils.h"
#include "qemu/memalign.h"
#include "qemu/units.h"

#include "quota-child.h"
#include "quota-map.h"
#include "quota-mapped.h"

/* How much is read at once to see whether a chunk has data. */
#define QUOTA_PROBE_BYTES (64 * KiB)

typedef enum QuotaMapped {
    QUOTA_MAPPED_NO,            /* or not known */
    QUOTA_MAPPED_REQUEST,       /* what the request touches of the chunk is */
    QUOTA_MAPPED_CHUNK,
} QuotaMapped;

/* Whether all of a range holds data, where the child can tell. */
static bool coroutine_fn GRAPH_RDLOCK
quota_co_is_data(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    int64_t pnum;
    int ret;

    while (bytes > 0) {
        ret = bdrv_co_block_status(bs->file->bs, offset, bytes, &pnum, NULL,
                                   NULL);
        if (ret < 0 || !(ret & BDRV_BLOCK_DATA) || !pnum) {
            return false;
        }
        offset += pnum;
        bytes -= pnum;
    }
    return true;
}

/* 1: there is something but zeroes, 0: there is not. */
static int coroutine_fn GRAPH_RDLOCK
quota_co_has_content(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    int64_t end = MIN(offset + bytes, bs->total_sectors * BDRV_SECTOR_SIZE);
    void *buf = qemu_try_blockalign(bs->file->bs, QUOTA_PROBE_BYTES);
    int ret = buf ? 0 : -ENOMEM;

    while (!ret && offset < end) {
        int64_t n = MIN(QUOTA_PROBE_BYTES, end - offset);

        ret = bdrv_co_pread(bs->file, offset, n, buf, 0);
        if (ret >= 0) {
            ret = !buffer_is_zero(buf, n);
        }
        offset += n;
    }
    qemu_vfree(buf);
    return ret;
}

/* Whether block status tells what is allocated; a host device's does not. */
static bool GRAPH_RDLOCK quota_has_block_status(BlockDriverState *bs)
{
    return quota_bottom_bs(bs)->drv->bdrv_co_block_status;
}

/*
 * Whether a write to a chunk needs no new space because the chunk is mapped
 * already, though this node does not remember being charged for it.
 *
 * A block device does not tell what a thin pool has mapped, but an unmapped
 * chunk reads as zeroes, so any other content proves that the chunk is mapped.
 * A mapped chunk of zeroes is taken for a new one.
 *
 * Rejected: letting the write through for the kernel to refuse.  The pool may
 * have free chunks that other writers have reserved, and through the page cache
 * the refusal comes after the write was acknowledged.
 *
 * FIXME A chunk that is shared with a snapshot, or comes from an external
 * origin, has content and still takes new space, which is not counted until
 * the next sample.
 */
static QuotaMapped coroutine_fn GRAPH_RDLOCK
quota_co_is_mapped(BlockDriverState *bs, int64_t chunk_start,
                   int64_t chunk_bytes, int64_t offset, int64_t bytes)
{
    int64_t start = MAX(chunk_start, offset);
    int64_t end = MIN(chunk_start + chunk_bytes, offset + bytes);

    if (!quota_has_block_status(bs)) {
        return quota_co_has_content(bs, chunk_start, chunk_bytes) > 0
               ? QUOTA_MAPPED_CHUNK : QUOTA_MAPPED_NO;
    }
    if (!quota_co_is_data(bs, start, end - start)) {
        return QUOTA_MAPPED_NO;
    }
    return quota_co_is_data(bs, chunk_start, start - chunk_start) &&
           quota_co_is_data(bs, end, chunk_start + chunk_bytes - end)
           ? QUOTA_MAPPED_CHUNK : QUOTA_MAPPED_REQUEST;
}

uint64_t coroutine_fn
quota_co_check_mapped(BlockDriverState *bs, int64_t offset, int64_t bytes,
                      int64_t chunk_bytes, uint32_t epoch)
{
    BDRVQuotaState *s = bs->opaque;
    int64_t chunk = offset / chunk_bytes;
    uint64_t needed = 0;

    for (; chunk * chunk_bytes < offset + bytes; chunk++) {
        int64_t start = chunk * chunk_bytes;

        if (quota_map_is_charged(s, start, chunk_bytes)) {
            continue;
        }
        switch (quota_co_is_mapped(bs, start, chunk_bytes, offset, bytes)) {
        case QUOTA_MAPPED_CHUNK:
            qemu_co_mutex_lock(&s->lock);
            quota_map_set_charged(s, chunk, chunk + 1, epoch);
            qemu_co_mutex_unlock(&s->lock);
            break;
        case QUOTA_MAPPED_REQUEST:
            break;
        case QUOTA_MAPPED_NO:
            needed += chunk_bytes;
            break;
        }
    }
    return needed;
}

/* Zero the beginning of a range; *@done: how much of it. */
static int coroutine_fn GRAPH_RDLOCK
quota_co_zero_piece(BlockDriverState *bs, int64_t offset, int64_t bytes,
                    BdrvRequestFlags flags, int64_t *done)
{
    int ret;

    if (quota_has_block_status(bs)) {
        ret = bdrv_co_block_status(bs->file->bs, offset, bytes, done, NULL,
                                   NULL);
        if (ret >= 0) {
            ret = !(ret & BDRV_BLOCK_ZERO);
        }
    } else {
        *done = MIN(bytes, QUOTA_PROBE_BYTES - offset % QUOTA_PROBE_BYTES);
        ret = quota_co_has_content(bs, offset, *done);
    }
    if (ret > 0) {
        ret = bdrv_co_pwrite_zeroes(bs->file, offset, *done, flags);
    }
    return ret;
}

int coroutine_fn quota_co_zero_in_place(BlockDriverState *bs, int64_t offset,
                                        int64_t bytes, BdrvRequestFlags flags)
{
    BDRVQuotaState *s = bs->opaque;
    unsigned lane;
    int64_t n;
    int ret;

    for (; bytes > 0; offset += n, bytes -= n) {
        /* No snapshot may come between the check and the write. */
        while (quota_epoch_enter(s->writer, &lane) % 2) {
            quota_epoch_leave(s->writer, lane);
            ret = quota_co_wait_epoch(bs);
            if (ret < 0) {
                return ret;
            }
        }
        ret = quota_co_zero_piece(bs, offset, bytes, flags, &n);
        quota_epoch_leave(s->writer, lane);
        if (ret < 0) {
            return ret;
        }
    }
    return 0;
}
