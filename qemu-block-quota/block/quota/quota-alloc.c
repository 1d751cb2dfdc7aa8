/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * New space of a quota node: reserved before a write is issued, settled when
 * it has finished, waited for while the thin pool grows.
 *
 * A write to chunks that are paid for (quota-map.c) takes no lock.  Any other
 * write is listed with its chunks, so that two writes to one new chunk do not
 * both reserve it; the second waits for the first, as it would in the thin
 * pool.  Nothing is held while a request sleeps but its place in that list;
 * while one is in flight that counts on paid chunks, a snapshot waits for it
 * (quota_epoch_enter).
 */

#include "qemu/osdep.h"

#include "block/block-io.h"
#include "qapi/error.h"
#include "qemu/coroutine.h"
#include "qemu/host-utils.h"
#include "qemu/lockable.h"
#include "qemu/units.h"

#include "quota-int.h"
#include "trace.h"

/* A waiting write looks for its answer this often, and less and less so. */
#define QUOTA_POLL_MIN_NS (1 * SCALE_MS)
#define QUOTA_POLL_MAX_NS (20 * SCALE_MS)

/* A thin pool's chunk is a multiple of 64 KiB up to this. */
#define QUOTA_CHUNK_MAX_BYTES (1 * GiB)

/* What a file system allocates at least. */
#define QUOTA_FILE_BLOCK_BYTES (4 * KiB)

int coroutine_fn quota_co_admit(BlockDriverState *bs, uint64_t bytes,
                                uint64_t until_ns, enum quota_reason *reason)
{
    BDRVQuotaState *s = bs->opaque;
    struct quota_admission admission = {};
    uint64_t begin_ns = quota_clock_ns();
    uint64_t now_ns = begin_ns;
    bool has_sampled = false;
    int ret;

    while (true) {
        ret = quota_admission_poll(s->writer, bytes, now_ns,
                                   s->opts.wait_timeout_ns, &admission);
        if (ret != -EAGAIN) {
            *reason = admission.reason;
            break;
        }
        if (until_ns && quota_room_is_over(bs, until_ns, now_ns)) {
            ret = -ENOSPC;
            break;
        }
        /*
         * The first answer of a private ledger is had at once; after it, what
         * is in flight must get a chance to finish.
         *
         * A drain waits for this, at most for wait-timeout: to let the write
         * go would give space away, to fail it would show the guest an error
         * that is none.
         */
        if (has_sampled || !quota_is_private(s)) {
            qemu_co_sleep_ns(QEMU_CLOCK_REALTIME,
                             MIN(QUOTA_POLL_MIN_NS + (now_ns - begin_ns) / 8,
                                 QUOTA_POLL_MAX_NS));
        }
        if (quota_is_private(s)) {
            quota_co_sample(bs);
            has_sampled = true;
        }
        now_ns = quota_clock_ns();
    }

    trace_quota_asked(bs, bytes, now_ns - begin_ns, ret,
                      quota_reason_name(*reason));
    return ret;
}

/* Whether a refusal is likely to be final. */
static bool quota_is_at_limit(BDRVQuotaState *s)
{
    struct quota_usage usage;

    if (quota_is_private(s) || qatomic_read(&s->standing)) {
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
    /* Below an image format, data says nothing about where a write goes. */
    bool has_looked = !s->is_flat;
    bool has_asked = false;
    uint64_t begin_ns;
    int ret;

    ret = quota_bytes_reserve(s->writer, *needed);
    if (ret == 0) {
        return 0;
    }
    begin_ns = quota_clock_ns();

    /*
     * Overwriting goes on at the limit.  Look before asking where the answer
     * is known, so that an overwrite costs a read and not a sample; where
     * room may be on its way, ask first and do not read in vain.
     */
    if (!has_looked && quota_is_at_limit(s)) {
        *needed = quota_co_look(bs, offset, bytes, charge);
        has_looked = true;
    }
    if (*needed) {
        ret = quota_co_admit(bs, *needed, 0, &reason);
        has_asked = true;
    }
    if (ret < 0 && !has_looked) {
        *needed = quota_co_look(bs, offset, bytes, charge);
        if (*needed && *needed < asked) {
            ret = quota_co_admit(bs, *needed, 0, &reason);
        }
    }
    if (ret < 0 && *needed && quota_is_private(s) && s->is_flat) {
        /* A file takes up less than a chunk for less than a chunk. */
        uint64_t least = ROUND_UP(offset + bytes, QUOTA_FILE_BLOCK_BYTES) -
                         ROUND_DOWN(offset, QUOTA_FILE_BLOCK_BYTES);

        if (least < *needed) {
            *needed = least;
            ret = quota_co_admit(bs, *needed, 0, &reason);
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
    struct quota_state state;
    uint64_t chunk_bytes;

    quota_state_read(s->ledger, &state);
    chunk_bytes = state.chunk_bytes ?: QUOTA_CHUNK_DEFAULT_BYTES;
    if (chunk_bytes % QUOTA_CHUNK_DEFAULT_BYTES ||
        chunk_bytes > QUOTA_CHUNK_MAX_BYTES) {
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
 * List a write with the chunks that it has to pay for, once no other write
 * has any of them.  Returns how many there are; if none, it is not listed.
 */
static int64_t coroutine_fn
quota_co_list(BlockDriverState *bs, int64_t offset, int64_t bytes,
              QuotaCharge *charge)
{
    BDRVQuotaState *s = bs->opaque;
    int64_t first, end, chunk_bytes, unpaid;
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

    /* While a snapshot is being taken, nothing counts as paid for. */
    unpaid = charge->epoch == s->map->epoch
             ? quota_map_count_unpaid(s, first, end) : end - first;
    if (!s->is_flat) {
        /* It may not begin where a chunk does, or need metadata. */
        unpaid++;
    }
    if (unpaid) {
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
    charge->paid_first = first;
    charge->paid_end = end;
    return unpaid;
}

/* -EAGAIN: what the write counted on holds no more; try again. */
static int coroutine_fn GRAPH_RDLOCK
quota_co_try_charge(BlockDriverState *bs, int64_t offset, int64_t bytes,
                    bool may_wait, QuotaCharge *charge)
{
    BDRVQuotaState *s = bs->opaque;
    int64_t unpaid;
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
        /* The child was exchanged, or opened anew, for one like this. */
        quota_report_refused(bs, QUOTA_REASON_ACCOUNTING_LOST, bytes);
        return -ENOSPC;
    }
    unpaid = quota_co_list(bs, offset, bytes, charge);
    if (unpaid < 0) {
        quota_report_refused(bs, QUOTA_REASON_ACCOUNTING_LOST, bytes);
        return -ENOSPC;
    }
    if (!unpaid) {
        /* Somebody else has paid for them meanwhile. */
        return -EAGAIN;
    }

    needed = unpaid * charge->chunk_bytes;
    ret = may_wait ? quota_co_reserve(bs, offset, bytes, charge, &needed)
                   : quota_bytes_reserve(s->writer, needed);
    if (ret < 0) {
        return quota_co_settle(bs, charge, -ENOSPC, false);
    }
    if (needed < charge->req.bytes) {
        /*
         * Not before the reservation: a snapshot waits for who is announced,
         * and the pool may only grow after it.
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

/* Settle what was reserved, and leave the list. */
static int coroutine_fn GRAPH_RDLOCK
quota_co_settle_listed(BlockDriverState *bs, QuotaCharge *charge, int ret,
                       bool is_paid)
{
    BDRVQuotaState *s = bs->opaque;

    /*
     * What is settled must be in the next sample, so it must have left the
     * host's page cache.  BDRV_REQ_FUA would not do: where it is emulated by
     * a flush, that comes before the write itself is noted, and is left out
     * if there was none since the last flush.
     */
    if (ret >= 0 && charge->needs_flush) {
        ret = bdrv_co_flush(bs->file->bs);
    }

    /*
     * Before the list is left: whoever comes next must not reserve again
     * what is counted as in flight still.
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
    if (ret >= 0 && is_paid) {
        quota_map_set_paid(s, charge->paid_first, charge->paid_end,
                           charge->epoch);
    }
    reqlist_remove_req(&charge->req);
    charge->is_listed = false;
    qemu_co_mutex_unlock(&s->lock);
    return ret;
}

int coroutine_fn quota_co_settle(BlockDriverState *bs, QuotaCharge *charge,
                                 int ret, bool is_paid)
{
    BDRVQuotaState *s = bs->opaque;

    if (charge->is_listed) {
        ret = quota_co_settle_listed(bs, charge, ret, is_paid);
    }
    if (charge->is_announced) {
        quota_epoch_leave(s->writer, charge->lane);
    }
    return ret;
}

int coroutine_fn quota_co_wait_epoch(BlockDriverState *bs)
{
    BDRVQuotaState *s = bs->opaque;
    uint64_t begin_ns = quota_clock_ns();

    while (quota_epoch_read(s->writer) % 2) {
        if (quota_clock_ns() - begin_ns >= s->opts.wait_timeout_ns) {
            return -ENOSPC;
        }
        qemu_co_sleep_ns(QEMU_CLOCK_REALTIME, QUOTA_POLL_MIN_NS);
    }
    return 0;
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
     * A write that is in flight at the same time could find its chunk taken
     * away and then say that it is paid for: so the two must not overlap in
     * chunks.  (Of a chunk that is no power of two, a thin pool's, only whole
     * ones are given back, and the request itself covers those.)
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
     * Before the request is issued: should it fail half way, more has been
     * forgotten than was given back, which only means paying twice.
     */
    quota_map_clear_paid(s, offset / chunk_bytes,
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
        ret = quota_co_admit(bs, reserved_bytes, 0, &reason);
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
        /* Who wrote to it before it was cut off must not say so afterwards. */
        qemu_co_mutex_lock(&s->lock);
        reqlist_wait_all(&s->charges, offset, INT64_MAX - offset, &s->lock);
        quota_map_clear_paid(s, offset / s->map->chunk_bytes, INT64_MAX);
        qemu_co_mutex_unlock(&s->lock);
    }
    return ret;
}
