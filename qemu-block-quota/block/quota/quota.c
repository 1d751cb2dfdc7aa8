/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Quota filter driver
 *
 * Enforces a tenant's limits of bytes on disk and of throughput over all its
 * nodes in all processes of the host, through a ledger in shared memory; or
 * enforces limits that are options of one node.  Data passes through unchanged.
 *
 * This file contains only the driver's callbacks; quota-int.h lists the other
 * files.
 */

#include "qemu/osdep.h"

#include "block/block-io.h"
#include "qapi/error.h"
#include "qemu/module.h"

#include "quota-alloc.h"
#include "quota-attach.h"
#include "quota-child.h"
#include "quota-map.h"
#include "quota-mapped.h"
#include "quota-options.h"
#include "quota-rate.h"
#include "quota-report.h"
#include "quota-threshold.h"
#include "quota-waits.h"

static int quota_open(BlockDriverState *bs, QDict *options, int flags,
                      Error **errp)
{
    BDRVQuotaState *s = bs->opaque;
    int ret;

    GLOBAL_STATE_CODE();

    /* Attaching the child drains this node already. */
    qemu_co_mutex_init(&s->lock);
    QLIST_INIT(&s->charges);
    qemu_mutex_init(&s->sleepers_lock);
    QLIST_INIT(&s->sleepers);
    quota_waits_init(s);
    quota_thresholds_init(s);

    ret = bdrv_open_file_child(NULL, options, "file", bs, errp);
    if (ret < 0) {
        goto fail;
    }

    ret = quota_options_parse(&s->opts, options, errp);
    if (ret < 0) {
        goto fail;
    }

    bdrv_graph_rdlock_main_loop();
    ret = quota_attach(bs, errp);
    bdrv_graph_rdunlock_main_loop();
    if (ret < 0) {
        goto fail;
    }
    return 0;

fail:
    quota_options_clear(&s->opts);
    quota_thresholds_destroy(s);
    quota_waits_destroy(s);
    qemu_mutex_destroy(&s->sleepers_lock);
    return ret;
}

static void quota_close(BlockDriverState *bs)
{
    BDRVQuotaState *s = bs->opaque;

    assert(QLIST_EMPTY(&s->charges));
    assert(QLIST_EMPTY(&s->sleepers));
    quota_thresholds_destroy(s);
    quota_detach(bs);
    quota_waits_destroy(s);
    qemu_mutex_destroy(&s->sleepers_lock);
    quota_options_clear(&s->opts);
}

/*
 * Devices and exports report these limits to the guest, which must see the same
 * as without the filter; the block layer has merged the others.
 */
static void GRAPH_RDLOCK quota_refresh_limits(BlockDriverState *bs,
                                              Error **errp)
{
    const BlockLimits *bl = &bs->file->bs->bl;

    /* As in bdrv_add_child(); host-aware devices are used like any other. */
    if (bl->zoned == BLK_Z_HM) {
        error_setg(errp, "Cannot add a zoned child to quota node '%s', which "
                   "does not support zoned children",
                   bdrv_get_node_name(bs));
        return;
    }
    bs->bl.request_alignment = bl->request_alignment;
    bs->bl.max_pdiscard = bl->max_pdiscard;
    bs->bl.max_pwrite_zeroes = bl->max_pwrite_zeroes;
    bs->bl.pwrite_zeroes_alignment = bl->pwrite_zeroes_alignment;
}

static int64_t coroutine_fn GRAPH_RDLOCK
quota_co_getlength(BlockDriverState *bs)
{
    return bdrv_co_getlength(bs->file->bs);
}

static int coroutine_fn GRAPH_RDLOCK
quota_co_preadv_part(BlockDriverState *bs, int64_t offset, int64_t bytes,
                     QEMUIOVector *qiov, size_t qiov_offset,
                     BdrvRequestFlags flags)
{
    quota_co_throttle(bs, bytes, false);

    return bdrv_co_preadv_part(bs->file, offset, bytes, qiov, qiov_offset,
                               flags);
}

/* A write that may need new space; separate, to save the others' stack. */
static __attribute__((noinline)) int coroutine_fn GRAPH_RDLOCK
quota_co_pwritev_charged(BlockDriverState *bs, int64_t offset, int64_t bytes,
                         QEMUIOVector *qiov, size_t qiov_offset,
                         BdrvRequestFlags flags)
{
    QuotaCharge charge;
    int ret;

    ret = quota_co_charge(bs, offset, bytes, true, &charge);
    if (ret < 0) {
        return ret;
    }
    ret = bdrv_co_pwritev_part(bs->file, offset, bytes, qiov, qiov_offset,
                               flags);
    return quota_co_settle(bs, &charge, ret, true);
}

static int coroutine_fn GRAPH_RDLOCK
quota_co_pwritev_part(BlockDriverState *bs, int64_t offset, int64_t bytes,
                      QEMUIOVector *qiov, size_t qiov_offset,
                      BdrvRequestFlags flags)
{
    BDRVQuotaState *s = bs->opaque;
    bool is_announced = false;
    unsigned lane;
    int ret;

    quota_co_throttle(bs, bytes, true);

    if (s->opts.allocation) {
        is_announced = quota_map_enter(s, offset, bytes, &lane);
        if (!is_announced) {
            return quota_co_pwritev_charged(bs, offset, bytes, qiov,
                                            qiov_offset, flags);
        }
    }
    ret = bdrv_co_pwritev_part(bs->file, offset, bytes, qiov, qiov_offset,
                               flags);
    if (is_announced) {
        quota_epoch_leave(s->writer, lane);
    }
    return ret;
}

static int coroutine_fn GRAPH_RDLOCK
quota_co_pwrite_zeroes(BlockDriverState *bs, int64_t offset, int64_t bytes,
                       BdrvRequestFlags flags)
{
    bool may_unmap = flags & BDRV_REQ_MAY_UNMAP;
    bool is_fast = flags & BDRV_REQ_NO_FALLBACK;
    QuotaCharge charge;
    int ret;

    quota_co_throttle(bs, bytes, true);

    /*
     * With BDRV_REQ_MAY_UNMAP the child decides whether the request frees space
     * or takes it: device-mapper's thin target, for example, allocates.  So the
     * request is charged until the next sample, and its chunks never count as
     * charged.  But it can be done without new space.
     */
    if (may_unmap) {
        quota_co_forget(bs, offset, bytes);
    }
    ret = quota_co_charge(bs, offset, bytes, !may_unmap && !is_fast, &charge);
    if (ret < 0) {
        if (may_unmap) {
            return quota_co_zero_in_place(bs, offset, bytes, flags);
        }
        /* A caller that accepts a slow write may wait. */
        return is_fast ? -ENOTSUP : ret;
    }
    ret = bdrv_co_pwrite_zeroes(bs->file, offset, bytes, flags);
    return quota_co_settle(bs, &charge, ret, !may_unmap);
}

static int coroutine_fn GRAPH_RDLOCK
quota_co_pwritev_compressed_part(BlockDriverState *bs, int64_t offset,
                                 int64_t bytes, QEMUIOVector *qiov,
                                 size_t qiov_offset)
{
    return quota_co_pwritev_part(bs, offset, bytes, qiov, qiov_offset,
                                 BDRV_REQ_WRITE_COMPRESSED);
}

static int coroutine_fn GRAPH_RDLOCK
quota_co_pdiscard(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    /* A discard is throttled as a write, as in the throttle driver. */
    quota_co_throttle(bs, bytes, true);
    quota_co_forget(bs, offset, bytes);

    return bdrv_co_pdiscard(bs->file, offset, bytes);
}

static int coroutine_fn GRAPH_RDLOCK
quota_co_copy_range_from(BlockDriverState *bs, BdrvChild *src,
                         int64_t src_offset, BdrvChild *dst,
                         int64_t dst_offset, int64_t bytes,
                         BdrvRequestFlags read_flags,
                         BdrvRequestFlags write_flags)
{
    quota_co_throttle(bs, bytes, false);

    return bdrv_co_copy_range_from(bs->file, src_offset, dst, dst_offset,
                                   bytes, read_flags, write_flags);
}

static int coroutine_fn GRAPH_RDLOCK
quota_co_copy_range_to(BlockDriverState *bs, BdrvChild *src,
                       int64_t src_offset, BdrvChild *dst,
                       int64_t dst_offset, int64_t bytes,
                       BdrvRequestFlags read_flags,
                       BdrvRequestFlags write_flags)
{
    QuotaCharge charge;
    int ret;

    quota_co_throttle(bs, bytes, true);

    ret = quota_co_charge(bs, dst_offset, bytes, true, &charge);
    if (ret < 0) {
        return ret;
    }
    ret = bdrv_co_copy_range_to(src, src_offset, bs->file, dst_offset, bytes,
                                read_flags, write_flags);
    return quota_co_settle(bs, &charge, ret, true);
}

/*
 * Another process had the image, such as the QEMU that it was migrated to, and
 * may have discarded chunks that this node was charged for.
 */
static void coroutine_fn GRAPH_RDLOCK
quota_co_invalidate_cache(BlockDriverState *bs, Error **errp)
{
    quota_void_child(bs);
}

static int coroutine_fn GRAPH_RDLOCK quota_co_flush(BlockDriverState *bs)
{
    return bdrv_co_flush(bs->file->bs);
}

/* An image format's events are for the nodes below, such as blkdebug. */
static void coroutine_fn GRAPH_RDLOCK
quota_co_debug_event(BlockDriverState *bs, BlkdebugEvent event)
{
    switch (event) {
    case BLKDBG_PWRITEV:
    case BLKDBG_PWRITEV_ZERO:
    case BLKDBG_PWRITEV_DONE:
    case BLKDBG_PWRITEV_RMW_HEAD:
    case BLKDBG_PWRITEV_RMW_AFTER_HEAD:
    case BLKDBG_PWRITEV_RMW_TAIL:
    case BLKDBG_PWRITEV_RMW_AFTER_TAIL:
        /* The block layer's own: the child has one too. */
        break;
    default:
        bdrv_co_debug_event(bs->file->bs, event);
        break;
    }
}

static void GRAPH_RDLOCK quota_cancel_in_flight(BlockDriverState *bs)
{
    bdrv_cancel_in_flight(bs->file->bs);
}

static void quota_drain_begin(BlockDriverState *bs)
{
    quota_rate_drain_begin(bs->opaque);
}

static void quota_drain_end(BlockDriverState *bs)
{
    /* Children are exchanged only in drained sections. */
    bdrv_graph_rdlock_main_loop();
    quota_follow_child(bs);
    bdrv_graph_rdunlock_main_loop();

    quota_rate_drain_end(bs->opaque);
}

typedef struct QuotaReopen {
    QuotaOptions opts;
    QuotaAttachment attachment;
} QuotaReopen;

static void quota_reopen_free(QuotaReopen *reopen)
{
    quota_reattach_abort(&reopen->attachment);
    quota_options_clear(&reopen->opts);
    g_free(reopen);
}

static int quota_reopen_prepare(BDRVReopenState *reopen_state,
                                BlockReopenQueue *queue, Error **errp)
{
    BDRVQuotaState *s = reopen_state->bs->opaque;
    QuotaReopen *reopen = g_new0(QuotaReopen, 1);
    QuotaOptions *opts = &reopen->opts;
    int ret;

    ret = quota_options_parse(opts, reopen_state->options, errp);
    if (ret < 0) {
        goto fail;
    }

    if (!opts->volume) {
        opts->volume = g_strdup(bdrv_get_node_name(reopen_state->bs));
    }
    /*
     * A ledger may have been replaced, by another one of the same tenant; what
     * was reserved and charged in the old one ends with it.
     */
    if (!opts->ledger != !s->opts.ledger ||
        g_strcmp0(opts->tenant, s->opts.tenant) ||
        g_strcmp0(opts->volume, s->opts.volume)) {
        error_setg(errp, "Options 'tenant' and 'volume' of quota node '%s' "
                   "cannot be changed, nor can 'ledger' be added or removed; "
                   "add a new node instead",
                   bdrv_get_node_name(reopen_state->bs));
        ret = -EINVAL;
    } else {
        GRAPH_RDLOCK_GUARD_MAINLOOP();
        ret = quota_check_child(reopen_state->bs, opts, errp);
    }
    if (ret == 0) {
        ret = quota_reattach_prepare(reopen_state->bs, opts,
                                     &reopen->attachment, errp);
    }
    if (ret < 0) {
        goto fail;
    }

    reopen_state->opaque = reopen;
    return 0;

fail:
    quota_reopen_free(reopen);
    return ret;
}

static void quota_reopen_commit(BDRVReopenState *reopen_state)
{
    BDRVQuotaState *s = reopen_state->bs->opaque;
    QuotaReopen *reopen = reopen_state->opaque;
    QuotaOptions *opts = &reopen->opts;

    if (opts->allocation != s->opts.allocation) {
        /* Neither writes nor discards were counted while it was off. */
        GRAPH_RDLOCK_GUARD_MAINLOOP();
        quota_void_child(reopen_state->bs);
    }
    quota_options_clear(&s->opts);
    s->opts = *opts;
    *opts = (QuotaOptions) {};
    quota_reattach_commit(reopen_state->bs, &reopen->attachment);
    quota_reopen_free(reopen);
    reopen_state->opaque = NULL;

    if (quota_is_private(s)) {
        quota_publish_inline(s);
    }
}

static void quota_reopen_abort(BDRVReopenState *reopen_state)
{
    if (reopen_state->opaque) {
        quota_reopen_free(reopen_state->opaque);
        reopen_state->opaque = NULL;
    }
}

static BlockDriver bdrv_quota = {
    .format_name = "quota",
    .instance_size = sizeof(BDRVQuotaState),

    .bdrv_open = quota_open,
    .bdrv_close = quota_close,
    .bdrv_child_perm = bdrv_default_perms,

    .bdrv_reopen_prepare = quota_reopen_prepare,
    .bdrv_reopen_commit = quota_reopen_commit,
    .bdrv_reopen_abort = quota_reopen_abort,

    .bdrv_refresh_limits = quota_refresh_limits,
    .bdrv_co_getlength = quota_co_getlength,

    .bdrv_co_preadv_part = quota_co_preadv_part,
    .bdrv_co_pwritev_part = quota_co_pwritev_part,
    .bdrv_co_pwrite_zeroes = quota_co_pwrite_zeroes,
    .bdrv_co_pwritev_compressed_part = quota_co_pwritev_compressed_part,
    .bdrv_co_pdiscard = quota_co_pdiscard,
    .bdrv_co_copy_range_from = quota_co_copy_range_from,
    .bdrv_co_copy_range_to = quota_co_copy_range_to,
    .bdrv_co_flush = quota_co_flush,
    .bdrv_co_truncate = quota_co_truncate,

    .bdrv_co_invalidate_cache = quota_co_invalidate_cache,
    .bdrv_co_debug_event = quota_co_debug_event,
    .bdrv_cancel_in_flight = quota_cancel_in_flight,

    .bdrv_drain_begin = quota_drain_begin,
    .bdrv_drain_end = quota_drain_end,

    .bdrv_get_specific_stats = quota_get_specific_stats,
    .bdrv_get_specific_info = quota_get_specific_info,

    .is_filter = true,
    .mutable_opts = quota_mutable_opts,
    .strong_runtime_opts = quota_strong_runtime_opts,
};

static const QuotaOps bdrv_quota_ops = {
    .set_thresholds = quota_set_thresholds,
    .set_histograms = quota_set_histograms,
};

static void bdrv_quota_init(void)
{
    bdrv_register(&bdrv_quota);
    quota_ops = &bdrv_quota_ops;
}

block_init(bdrv_quota_init);
