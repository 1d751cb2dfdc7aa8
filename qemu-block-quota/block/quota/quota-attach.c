/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a quota node counts in: opening and checking its tenant's ledger, or
 * making one of its own for limits that were given inline.
 *
 * Such a private ledger has no sampler but the node itself: the allocated
 * size of its child is the truth.
 */

#include "qemu/osdep.h"

#include "block/block-io.h"
#include "qapi/error.h"
#include "qemu/coroutine.h"
#include "qemu/units.h"

#include "quota-int.h"
#include "trace.h"

BlockDriverState *quota_bottom_bs(BlockDriverState *bs)
{
    BlockDriverState *next;

    while ((next = bdrv_primary_bs(bs))) {
        bs = next;
    }
    return bs;
}

/*
 * Whether what is written to a chunk of the node is written to one chunk of
 * what holds the data, and to nothing else: not so below an image format,
 * which has its own idea of where a cluster goes, nor below quorum.
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
 * What takes up space: below filters, which take up nothing, though those that
 * can be opened as a protocol, such as blkdebug, do not say so.
 */
static BlockDriverState * GRAPH_RDLOCK quota_allocating_bs(BlockDriverState *bs)
{
    BlockDriverState *next;

    while ((next = bdrv_filter_bs(bs))) {
        bs = next;
    }
    return bs;
}

/*
 * Through the host's page cache, space is taken when the cache is written
 * back; a flush makes that happen before a new chunk is settled, and with
 * cache=unsafe there is none.
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

/* What helps against an error of quota_ledger_open_fd. */
static const char *quota_ledger_way_out(int error)
{
    switch (error) {
    case -EPROTONOSUPPORT:
        return "use a QEMU and a quota-lvmd that were built from the same "
               "version of quota-lvm";
    case -EILSEQ:
        return "give the ledger of the volume's tenant, "
               QUOTA_LEDGER_DIR "/GROUP/TENANT";
    default:
        return "quota-lvmd, and refreshing the tenant's pool, make it anew";
    }
}

static int quota_open_ledger(BDRVQuotaState *s, Error **errp)
{
    Error *local_err = NULL;
    int fd, ret;

    fd = qemu_open(s->opts.ledger, O_RDWR, &local_err);
    if (fd < 0) {
        ret = -errno;
        error_setg(errp, "Ledger '%s' of tenant '%s' cannot be opened for "
                   "writing: %s; quota-lvmd, and starting the tenant's pool, "
                   "make it", s->opts.ledger, s->opts.tenant, strerror(-ret));
        error_free(local_err);
        return ret;
    }

    ret = quota_ledger_open_fd(fd, true, &s->ledger);
    qemu_close(fd);
    if (ret < 0) {
        error_setg(errp, "Ledger '%s' %s; %s", s->opts.ledger,
                   quota_ledger_strerror(ret), quota_ledger_way_out(ret));
        return ret;
    }

    if (strcmp(quota_ledger_tenant(s->ledger), s->opts.tenant)) {
        error_setg(errp, "Ledger '%s' belongs to tenant '%s', not to '%s'; "
                   "give the ledger of the volume's own tenant",
                   s->opts.ledger, quota_ledger_tenant(s->ledger),
                   s->opts.tenant);
        quota_ledger_close(s->ledger);
        s->ledger = NULL;
        return -EINVAL;
    }
    return 0;
}

void quota_publish_inline(BDRVQuotaState *s)
{
    struct quota_state state = {
        .limits = s->opts.limits,
        .grant_bytes = s->opts.limits.limit_bytes,
        .chunk_bytes = QUOTA_CHUNK_DEFAULT_BYTES,
    };

    quota_state_publish(s->ledger, &state);
}

/* 0: the caller is the one who samples. */
static int quota_begin_sample(BDRVQuotaState *s)
{
    if (qatomic_xchg(&s->is_sampling, true)) {
        return -EBUSY;
    }
    quota_sample_begin(s->ledger, &s->sample);
    return 0;
}

static int quota_end_sample(BDRVQuotaState *s, int64_t used)
{
    trace_quota_sampled(s, used);
    if (used >= 0) {
        /* It has no other volume. */
        if (s->sample.volumes) {
            s->sample.volume[0].used_bytes = used;
        }
        /* Nobody makes room: whoever is refused by this sample is refused. */
        quota_sample_publish(s->ledger, &s->sample, used, quota_clock_ns(),
                             QUOTA_REASON_TENANT_LIMIT);
        qatomic_set(&s->is_sample_void, false);
    }
    qatomic_store_release(&s->is_sampling, false);
    return used < 0 ? used : 0;
}

int coroutine_fn quota_co_sample(BlockDriverState *bs)
{
    BDRVQuotaState *s = bs->opaque;
    int ret = quota_begin_sample(s);

    if (ret < 0) {
        return ret;
    }
    return quota_end_sample(s, bdrv_co_get_allocated_file_size(
                                   quota_allocating_bs(bs)));
}

int coroutine_fn quota_co_renew_sample(BlockDriverState *bs)
{
    BDRVQuotaState *s = bs->opaque;
    int ret = 0;

    while (qatomic_read(&s->is_sample_void) &&
           (ret = quota_co_sample(bs)) == -EBUSY) {
        qemu_co_sleep_ns(QEMU_CLOCK_REALTIME, SCALE_MS);
    }
    return ret == -EBUSY ? 0 : ret;
}

int quota_sample(BlockDriverState *bs)
{
    BDRVQuotaState *s = bs->opaque;
    int ret = quota_begin_sample(s);

    if (ret < 0) {
        return ret;
    }
    return quota_end_sample(s, bdrv_get_allocated_file_size(
                                   quota_allocating_bs(bs)));
}

bool quota_own_volume(BDRVQuotaState *s, struct quota_volume_usage *usage)
{
    int slot = quota_volume_find(s->ledger, s->opts.volume);

    return slot >= 0 && quota_volume_read(s->ledger, slot, usage) == 0;
}

static void quota_attach_error(BDRVQuotaState *s, int error, Error **errp)
{
    struct quota_volume_usage usage;

    switch (error) {
    case -EUSERS:
        if (quota_own_volume(s, &usage) &&
            usage.writers == QUOTA_VOLUME_WRITERS) {
            error_setg(errp, "Volume '%s' of tenant '%s' has all its %d "
                       "writers in ledger '%s'; remove a node that uses it",
                       s->opts.volume, s->opts.tenant, QUOTA_VOLUME_WRITERS,
                       s->opts.ledger);
        } else {
            error_setg(errp, "Tenant '%s' has all its %d volumes in ledger "
                       "'%s', none is left for volume '%s'; remove nodes of "
                       "another one", s->opts.tenant, QUOTA_LEDGER_VOLUMES,
                       s->opts.ledger, s->opts.volume);
        }
        break;
    case -EBUSY:
        error_setg(errp, "Ledger '%s' of tenant '%s' is kept locked by "
                   "another process", s->opts.ledger, s->opts.tenant);
        break;
    case -EUCLEAN:
        error_setg(errp, "Ledger '%s' of tenant '%s' contradicts itself; %s",
                   s->opts.ledger, s->opts.tenant,
                   quota_ledger_way_out(error));
        break;
    default:
        error_setg_errno(errp, -error, "Cannot become a writer of volume '%s'",
                         s->opts.volume);
        break;
    }
}

/* What may be asked of the node is what may be asked of its child. */
static void GRAPH_RDLOCK quota_take_child(BlockDriverState *bs)
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

int quota_attach(BlockDriverState *bs, Error **errp)
{
    BDRVQuotaState *s = bs->opaque;
    struct quota_state state;
    int64_t length;
    int ret;

    quota_take_child(bs);

    ret = quota_check_child(bs, &s->opts, errp);
    if (ret < 0) {
        return ret;
    }
    length = bdrv_getlength(bs->file->bs);
    if (length < 0) {
        error_setg_errno(errp, -length, "Cannot get the length of node '%s'",
                         bdrv_get_node_name(bs->file->bs));
        return length;
    }

    if (!s->opts.volume) {
        s->opts.volume = g_strdup(bdrv_get_node_name(bs));
    }
    if (quota_is_private(s)) {
        ret = quota_ledger_new_private(s->opts.tenant ?: "", &s->ledger);
        if (ret < 0) {
            error_setg_errno(errp, -ret, "Cannot make a ledger");
            return ret;
        }
        quota_publish_inline(s);
    } else {
        ret = quota_open_ledger(s, errp);
        if (ret < 0) {
            return ret;
        }
    }

    ret = quota_writer_attach(s->ledger, s->opts.volume, &s->writer);
    if (ret < 0) {
        quota_attach_error(s, ret, errp);
        quota_ledger_close(s->ledger);
        s->ledger = NULL;
        return ret;
    }

    if (quota_is_private(s) && s->opts.allocation) {
        quota_sample(bs);
    }
    quota_state_read(s->ledger, &state);
    quota_map_reset(s, state.chunk_bytes ?: QUOTA_CHUNK_DEFAULT_BYTES, length);
    return 0;
}

void quota_detach(BlockDriverState *bs)
{
    BDRVQuotaState *s = bs->opaque;

    quota_map_free(s);
    quota_writer_detach(s->writer);
    s->writer = NULL;
    quota_ledger_close(s->ledger);
    s->ledger = NULL;
}
