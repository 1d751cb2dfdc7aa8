/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opens the tenant's ledger, or creates a private one for limits that are
 * options of the node, and registers the node as a writer; when the node is
 * reopened, in the ledger that has replaced the old one, too.
 */

#include "qemu/osdep.h"

#include "block/block-io.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/units.h"

#include "quota-attach.h"
#include "quota-child.h"
#include "quota-map.h"
#include "quota-sample.h"

/* The remedy for a file that cannot be opened. */
static const char *quota_open_way_out(const char *ledger, int error)
{
    bool is_fdset = strstart(ledger, "/dev/fdset/", NULL);

    switch (error) {
    case -ENOENT:
        return is_fdset
               ? "add a descriptor of the ledger to this set with 'add-fd'"
               : "start quota-lvmd or the tenant's pool: either makes it";
    case -EACCES:
    case -EPERM:
    case -EROFS:
        return is_fdset
               ? "add a descriptor to this set that is open for reading and "
                 "writing"
               : "run QEMU as a user who may read and write the file, or pass "
                 "it as a descriptor ('add-fd'), as libvirt does";
    case -EMFILE:
    case -ENFILE:
        return "raise the limit of open files";
    default:
        return "give the ledger of the volume's tenant, "
               QUOTA_LEDGER_DIR "/GROUP/TENANT";
    }
}

/* Sets the error of a file that can be opened, with its remedy. */
static void quota_ledger_error(const QuotaOptions *opts, int error, Error **errp)
{
    const char *way_out;

    switch (error) {
    case -EPROTONOSUPPORT:
        way_out = "use a QEMU and a quota-lvmd that were built from the same "
                  "version of quota-lvm";
        break;
    case -EILSEQ:
    case -EXDEV:
        way_out = "give the ledger of the volume's tenant, "
                  QUOTA_LEDGER_DIR "/GROUP/TENANT";
        break;
    case -ENODATA:
    case -EBADFD:
    case -EBADMSG:
    case -ESTALE:
        way_out = "quota-lvmd, or a refresh of the tenant's pool, recreates it";
        break;
    case -EACCES:
    case -EPERM:
        error_setg(errp, "Ledger '%s' of tenant '%s' can be opened, but not "
                   "mapped for writing: %s; have the security policy that "
                   "confines QEMU allow it to map memory files (memfd)",
                   opts->ledger, opts->tenant, strerror(-error));
        return;
    default:
        error_setg_errno(errp, -error, "Ledger '%s' of tenant '%s' cannot be "
                         "mapped", opts->ledger, opts->tenant);
        return;
    }
    error_setg(errp, "Ledger '%s' %s; %s", opts->ledger,
               quota_ledger_strerror(error), way_out);
}

static int quota_open_ledger(const QuotaOptions *opts,
                             struct quota_ledger **ledger, Error **errp)
{
    int fd, ret;

    *ledger = NULL;

    fd = qemu_open(opts->ledger, O_RDWR, NULL);
    if (fd < 0) {
        ret = -errno;
        error_setg(errp, "Ledger '%s' of tenant '%s' cannot be opened for "
                   "writing: %s; %s", opts->ledger, opts->tenant,
                   strerror(-ret),
                   quota_open_way_out(opts->ledger, ret));
        return ret;
    }

    ret = quota_ledger_open_fd(fd, true, ledger);
    qemu_close(fd);
    if (ret < 0) {
        quota_ledger_error(opts, ret, errp);
        return ret;
    }

    if (strcmp(quota_ledger_tenant(*ledger), opts->tenant)) {
        error_setg(errp, "Ledger '%s' belongs to tenant '%s', not to '%s'; "
                   "give the ledger of the volume's own tenant",
                   opts->ledger, quota_ledger_tenant(*ledger),
                   opts->tenant);
        quota_ledger_close(*ledger);
        *ledger = NULL;
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

static void quota_attach_error(BDRVQuotaState *s,
                               const struct quota_ledger *ledger, int error,
                               Error **errp)
{
    struct quota_volume_usage usage;

    switch (error) {
    case -EUSERS:
        if (quota_own_volume(s, ledger, &usage) &&
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
                   "another process; if that was stopped, continue or end it",
                   s->opts.ledger, s->opts.tenant);
        break;
    case -EUCLEAN:
        error_setg(errp, "Ledger '%s' of tenant '%s' contradicts itself; "
                   "check that quota-lvmd is running, which recreates it",
                   s->opts.ledger, s->opts.tenant);
        break;
    default:
        error_setg_errno(errp, -error, "Cannot become a writer of volume '%s'",
                         s->opts.volume);
        break;
    }
}

/* Nothing that the ledger of @s charges is known yet.  A size that cannot be is told
 * when the first write is refused for it. */
static void quota_begin_map(BDRVQuotaState *s, int64_t length)
{
    quota_map_reset(s, quota_map_ledger_chunk(s) ?: QUOTA_CHUNK_DEFAULT_BYTES,
                    length);
}

int quota_attach(BlockDriverState *bs, Error **errp)
{
    BDRVQuotaState *s = bs->opaque;
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
        ret = quota_open_ledger(&s->opts, &s->ledger, errp);
        if (ret < 0) {
            return ret;
        }
    }

    ret = quota_writer_attach(s->ledger, s->opts.volume, &s->writer);
    if (ret < 0) {
        quota_attach_error(s, s->ledger, ret, errp);
        quota_ledger_close(s->ledger);
        s->ledger = NULL;
        return ret;
    }

    if (quota_is_private(s) && s->opts.allocation) {
        quota_sample(bs);
    }
    quota_begin_map(s, length);
    return 0;
}

int quota_reattach_prepare(BlockDriverState *bs, const QuotaOptions *opts,
                           QuotaAttachment *attachment, Error **errp)
{
    BDRVQuotaState *s = bs->opaque;
    Error *local_err = NULL;
    int ret;

    *attachment = (QuotaAttachment) {};
    if (!opts->ledger) {
        return 0;
    }
    ret = quota_open_ledger(opts, &attachment->ledger, &local_err);
    if (ret < 0 && !g_strcmp0(opts->ledger, s->opts.ledger)) {
        /*
         * Other options can change even if the ledger cannot be opened now:
         * without samples the old ledger fails closed.
         */
        error_free(local_err);
        return 0;
    }
    if (ret < 0) {
        error_propagate(errp, local_err);
        return ret;
    }
    if (quota_ledger_is_same(attachment->ledger, s->ledger)) {
        quota_reattach_abort(attachment);
        return 0;
    }
    ret = quota_writer_attach(attachment->ledger, s->opts.volume,
                              &attachment->writer);
    if (ret < 0) {
        quota_attach_error(s, attachment->ledger, ret, errp);
        quota_reattach_abort(attachment);
    }
    return ret;
}

void quota_reattach_commit(BlockDriverState *bs, QuotaAttachment *attachment)
{
    BDRVQuotaState *s = bs->opaque;

    if (!attachment->ledger) {
        return;
    }
    quota_writer_detach(s->writer);
    quota_ledger_close(s->ledger);
    s->writer = attachment->writer;
    s->ledger = attachment->ledger;
    *attachment = (QuotaAttachment) {};

    /* What was charged is charged in the old one. */
    quota_begin_map(s, bs->total_sectors * BDRV_SECTOR_SIZE);
}

void quota_reattach_abort(QuotaAttachment *attachment)
{
    if (attachment->writer) {
        quota_writer_detach(attachment->writer);
    }
    quota_ledger_close(attachment->ledger);
    *attachment = (QuotaAttachment) {};
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
