/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * New space of a quota node: reserved before a write is issued, settled when
 * it has finished.
 *
 * A write to chunks that are charged already (quota-map.c) takes no lock.  Any
 * other write is listed with its chunks, so that two writes to one new chunk do
 * not both reserve it; the second waits for the first, as it would in the thin
 * pool.  A sleeping request holds nothing but its place in that list.  A
 * snapshot waits for each write in flight that relies on charged chunks
 * (quota_epoch_enter).
 */

#include "qemu/osdep.h"

#include "block/block-io.h"
#include "qapi/error.h"
#include "qemu/coroutine.h"
#include "qemu/host-utils.h"
#include "qemu/units.h"

#include "quota-alloc.h"
#include "quota-child.h"
#include "quota-map.h"
#include "quota-mapped.h"
#include "quota-report.h"
#include "quota-room.h"
#include "quota-sample.h"
#include "quota-waits.h"

/* What a file system allocates at least. */
#define QUOTA_FILE_BLOCK_BYTES (4 * KiB)

/* Whether a refusal is likely to be final. */
static bool quota_is_at_limit(BDRVQuotaState *s)
{
    struct quota_usage usage;

    if (quota_is_private(s) ||
        qatomic_read(&s->limit_state) != BLOCK_QUOTA_LIMIT_STATE_ADMITTING) {
        return true;
    }
    quota_usage_read(s->ledger, &usage);
    return usage.reason != QUOTA_REASON_NONE;
}

/*
 * Reserve what a listed write needs, waiting for it.  *@needed: new space as
 * far as the map knows; then, what was reserved, if 0 is returned.
 */
static int coroutine_fn GRAPH_RDLOCK
quota_co_reserve(BlockDriverState *bs, int64_t offset, int64_t bytes,
                 const QuotaCharge *charge, uint64_t *needed)
{
    BDRVQuotaState *s = bs->opaque;
    enum quota_reason reason = QUOTA_REASON_ACCOUNTING_LOST;
    uint64_t asked = *needed;
    /* Below an image format, data does not tell where a write goes. */
    bool has_checked = !s->is_flat;
    bool has_asked = false;
    uint64_t begin_ns;
    int ret;

    ret = quota_bytes_reserve(s->writer, *needed);
    if (ret == 0) {
        return 0;
    }
    begin_ns = quota_clock_ns();

    /*
     * Overwrites continue at the limit.  Where the answer is known, check what
     * is mapped before asking, so that an overwrite costs a read and not a
     * sample; where the pool may be growing, ask first and save the read.
     */
    if (!has_checked && quota_is_at_limit(s)) {
        *needed = quota_co_check_mapped(bs, offset, bytes, charge->chunk_bytes,
                                        charge->epoch);
        has_checked = true;
    }
    if (*needed) {
        ret = quota_co_admit(bs, *needed, &reason);
        has_asked = true;
    }
    if (ret < 0 && !has_checked) {
        *needed = quota_co_check_mapped(bs, offset, bytes, charge->chunk_bytes,
                                        charge->epoch);
        if (*needed && *needed < asked) {
            ret = quota_co_admit(bs, *needed, &reason);
        }
    }
    if (ret < 0 && *needed && quota_is_private(s) && s->is_flat) {
        /* A file takes up less than a chunk for less than a chunk. */
        uint64_t least = ROUND_UP(offset + bytes, QUOTA_FILE_BLOCK_BYTES) -
                         ROUND_DOWN(offset, QUOTA_FILE_BLOCK_BYTES);

        if (least < *needed) {
            *needed = least;
            ret = quota_co_admit(bs, *needed, &reason);
        }
    }
    if (has_asked) {
        quota_account_wait(s, QUOTA_WAIT_GROWTH, quota_clock_ns() - begin_ns);
    }
    if (ret < 0 && *needed) {
        ret = quota_co_wait_for_room(bs, *needed, charge->begin_ns, &reason);
    }
    if (ret < 0 && *needed) {
        quota_report_refused(bs, reason, *needed);
        return ret;
    }
    return 0;
}

/*
 * Take over a chunk size that became known, or changed, after the node was
 * opened, and an epoch that has begun.  Called with s->lock; may release it.
 */
static int coroutine_fn quota_co_refresh_map(BlockDriverState *bs,
                                             uint32_t epoch)
{
    BDRVQuotaState *s = bs->opaque;
    uint64_t chunk_bytes = quota_map_ledger_chunk(s);

    if (!chunk_bytes) {
        return -EUCLEAN;
    }
    if (chunk_bytes != s->map->chunk_bytes) {
        reqlist_wait_all(&s->charges, 0, INT64_MAX, &s->lock);
        quota_map_reset(s, chunk_bytes, bs->total_sectors * BDRV_SECTOR_SIZE);
    } else if (epoch != s->map->epoch && epoch % 2 == 0) {
        quota_map_reset(s, chunk_bytes, bs->total_sectors * BDRV_SECTOR_SIZE);
    }
    return 0;
}

/*
 * List a write with its uncharged chunks, once no other write has any of them.
 * Returns how many there are; a write without any is not listed.
 */
static int64_t coroutine_fn
quota_co_list(BlockDriverState *bs, int64_t offset, int64_t bytes,
              QuotaCharge *charge)
{
    BDRVQuotaState *s = bs->opaque;
    int64_t first, end, chunk_bytes, uncharged;
    int ret;

    qemu_co_mutex_lock(&s->lock);
    do {
        charge->epoch = quota_epoch_read(s->writer);
        ret = quota_co_refresh_map(bs, charge->epoch);
        if (ret < 0) {
            qemu_co_mutex_unlock(&s->lock);
            return ret;
        }
        chunk_bytes = s->map->chunk_bytes;
        first = offset / chunk_bytes;
        end = DIV_ROUND_UP(offset + bytes, chunk_bytes);
    } while (reqlist_wait_one(&s->charges, first * chunk_bytes,
                              (end - first) * chunk_bytes, &s->lock));

    /* While a snapshot is being taken, no chunk counts as charged. */
    uncharged = charge->epoch == s->map->epoch
                ? quota_map_count_uncharged(s, first, end) : end - first;
    if (!s->is_flat) {
        /* It may not begin where a chunk does, or need metadata. */
        uncharged++;
    }
    if (uncharged) {
        reqlist_init_req(&s->charges, &charge->req, first * chunk_bytes,
                         (end - first) * chunk_bytes);
        charge->is_listed = true;
    }
    qemu_co_mutex_unlock(&s->lock);

    if (quota_is_private(s)) {
        /* Of a file, only what has been written is allocated. */
        first = DIV_ROUND_UP(offset, chunk_bytes);
        end = (offset + bytes) / chunk_bytes;
    }
    charge->chunk_bytes = chunk_bytes;
    charge->charged_first = first;
    charge->charged_end = end;
    return uncharged;
}

/* -EAGAIN: what the write relied on has changed; try again. */
static int coroutine_fn GRAPH_RDLOCK
quota_co_try_charge(BlockDriverState *bs, int64_t offset, int64_t bytes,
                    bool may_wait, QuotaCharge *charge)
{
    BDRVQuotaState *s = bs->opaque;
    int64_t uncharged;
    uint64_t needed;
    int ret;

    if (quota_map_enter(s, offset, bytes, &charge->lane)) {
        charge->is_announced = true;
        return 0;
    }

    if (!charge->begin_ns) {
        charge->begin_ns = quota_clock_ns();
    }
    if (quota_co_renew_sample(bs) < 0 ||
        (!quota_is_private(s) && quota_unflushed_bs(bs))) {
        /* The child was exchanged or reopened as one that cannot be counted. */
        quota_report_refused(bs, QUOTA_REASON_ACCOUNTING_LOST, bytes);
        return -ENOSPC;
    }
    uncharged = quota_co_list(bs, offset, bytes, charge);
    if (uncharged < 0) {
        quota_report_refused(bs, QUOTA_REASON_ACCOUNTING_LOST, bytes);
        return -ENOSPC;
    }
    if (!uncharged) {
        /* Another write has been charged for them meanwhile. */
        return -EAGAIN;
    }

    needed = uncharged * charge->chunk_bytes;
    ret = may_wait ? quota_co_reserve(bs, offset, bytes, charge, &needed)
                   : quota_bytes_reserve(s->writer, needed);
    if (ret < 0) {
        return quota_co_settle(bs, charge, -ENOSPC, false);
    }
    if (needed < charge->req.bytes) {
        /*
         * Not before the reservation: a snapshot waits for announced writes,
         * and the pool can grow only after the snapshot.
         */
        if (quota_epoch_enter(s->writer, &charge->lane) != charge->epoch ||
            charge->epoch % 2) {
            quota_epoch_leave(s->writer, charge->lane);
            if (needed) {
                quota_bytes_return(s->writer, needed);
            }
            return quota_co_settle(bs, charge, -EAGAIN, false);
        }
        charge->is_announced = true;
    }
    if (needed) {
        charge->reserved_bytes = needed;
        charge->needs_flush = !quota_is_private(s) &&
                              !(quota_bottom_bs(bs)->open_flags &
                                BDRV_O_NOCACHE);
        quota_report_admitted(bs, needed);
    }
    return 0;
}

int coroutine_fn quota_co_charge(BlockDriverState *bs, int64_t offset,
                                 int64_t bytes, bool may_wait,
                                 QuotaCharge *charge)
{
    BDRVQuotaState *s = bs->opaque;
    int ret;

    charge->is_listed = false;
    charge->is_announced = false;
    charge->needs_flush = false;
    charge->reserved_bytes = 0;
    charge->begin_ns = 0;

    if (!s->opts.allocation || !bytes) {
        return 0;
    }
    while ((ret = quota_co_try_charge(bs, offset, bytes, may_wait,
                                      charge)) == -EAGAIN) {
        ret = quota_co_wait_epoch(bs);
        if (ret < 0) {
            quota_report_refused(bs, QUOTA_REASON_ACCOUNTING_LOST, bytes);
            break;
        }
    }
    return ret;
}

/* Settle the reserved bytes, and leave the list. */
static int coroutine_fn GRAPH_RDLOCK
quota_co_settle_listed(BlockDriverState *bs, QuotaCharge *charge, int ret,
                       bool is_charged)
{
    BDRVQuotaState *s = bs->opaque;

    /*
     * The next sample must include every settled write, so the write must have
     * left the host's page cache.  BDRV_REQ_FUA does not suffice: where a flush
     * emulates it, the flush comes before the write itself is recorded, and is
     * omitted if there was no other write since the last flush.
     */
    if (ret >= 0 && charge->needs_flush) {
        ret = bdrv_co_flush(bs->file->bs);
    }

    /*
     * Before leaving the list: the next write to these chunks must not reserve
     * while these bytes still count as in flight.
     */
    if (charge->reserved_bytes) {
        quota_bytes_settle(s->writer, charge->reserved_bytes);
        stat64_add(&s->settled_bytes, charge->reserved_bytes);
        if (quota_is_private(s) && !s->is_flat) {
            /* It may have taken more than was reserved for it. */
            quota_co_sample(bs);
        }
    }

    qemu_co_mutex_lock(&s->lock);
    if (ret >= 0 && is_charged) {
        quota_map_set_charged(s, charge->charged_first, charge->charged_end,
                              charge->epoch);
    }
    reqlist_remove_req(&charge->req);
    charge->is_listed = false;
    qemu_co_mutex_unlock(&s->lock);
    return ret;
}

int coroutine_fn quota_co_settle(BlockDriverState *bs, QuotaCharge *charge,
                                 int ret, bool is_charged)
{
    BDRVQuotaState *s = bs->opaque;

    if (charge->is_listed) {
        ret = quota_co_settle_listed(bs, charge, ret, is_charged);
    }
    if (charge->is_announced) {
        quota_epoch_leave(s->writer, charge->lane);
    }
    return ret;
}

void coroutine_fn quota_co_forget(BlockDriverState *bs, int64_t offset,
                                  int64_t bytes)
{
    BDRVQuotaState *s = bs->opaque;
    BdrvTrackedRequest *req = bdrv_co_get_self_request(bs);
    int64_t chunk_bytes = 0;

    assert(req);
    if (!s->opts.allocation || !bytes) {
        return;
    }

    /*
     * A write that is in flight at the same time could lose its chunk and then
     * mark it as charged, so the two must not overlap in chunks.  (A thin
     * pool's chunk size may not be a power of two.  The pool gives back whole
     * chunks only, and the request itself covers those.)
     */
    qemu_co_mutex_lock(&s->lock);
    while (chunk_bytes != s->map->chunk_bytes) {
        uint64_t align = bs->bl.request_alignment;

        chunk_bytes = s->map->chunk_bytes;
        qemu_co_mutex_unlock(&s->lock);
        if (is_power_of_2(chunk_bytes)) {
            align = MAX(align, chunk_bytes);
        }
        bdrv_make_request_serialising(req, align);
        qemu_co_mutex_lock(&s->lock);
    }
    /*
     * Before the request is issued: should it fail half way, the node has
     * forgotten more chunks than were given back, and merely charges them
     * twice.
     */
    quota_map_clear_charged(s, offset / chunk_bytes,
                            DIV_ROUND_UP(offset + bytes, chunk_bytes));
    qemu_co_mutex_unlock(&s->lock);
}

int coroutine_fn quota_co_truncate(BlockDriverState *bs, int64_t offset,
                                   bool exact, PreallocMode prealloc,
                                   BdrvRequestFlags flags, Error **errp)
{
    BDRVQuotaState *s = bs->opaque;
    enum quota_reason reason = QUOTA_REASON_ACCOUNTING_LOST;
    uint64_t reserved_bytes = 0;
    int64_t old_length;
    int ret;

    old_length = bdrv_co_getlength(bs->file->bs);
    if (old_length < 0) {
        error_setg_errno(errp, -old_length, "Failed to get file length");
        return old_length;
    }

    if (s->opts.allocation && offset > old_length &&
        (prealloc == PREALLOC_MODE_FALLOC || prealloc == PREALLOC_MODE_FULL)) {
        reserved_bytes = offset - old_length;
        ret = quota_co_admit(bs, reserved_bytes, &reason);
        if (ret < 0) {
            g_autofree char *why = quota_reason_text(bs, reason);

            quota_report_refused(bs, reason, reserved_bytes);
            error_setg(errp, "Preallocating %" PRIu64 " bytes was refused to "
                       "quota node '%s': %s: %s", reserved_bytes,
                       bdrv_get_node_name(bs), quota_reason_name(reason), why);
            return -ENOSPC;
        }
        quota_report_admitted(bs, reserved_bytes);
    }

    ret = bdrv_co_truncate(bs->file, offset, exact, prealloc, flags, errp);

    if (reserved_bytes) {
        quota_bytes_settle(s->writer, reserved_bytes);
        stat64_add(&s->settled_bytes, reserved_bytes);
    }
    if (s->opts.allocation && offset < old_length) {
        /* A write to the tail must not mark it as charged after the cut. */
        qemu_co_mutex_lock(&s->lock);
        reqlist_wait_all(&s->charges, offset, INT64_MAX - offset, &s->lock);
        quota_map_clear_charged(s, offset / s->map->chunk_bytes, INT64_MAX);
        qemu_co_mutex_unlock(&s->lock);
    }
    return ret;
}
