/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_backend_quota_lvm_write.c: libvirtd as a writer of a tenant
 *
 * What libvirtd itself writes to a thin volume is charged as a guest's writes
 * are: reserved in the ledger before, which makes the thin pool grow, and
 * settled when the kernel has it.  Writes go past the page cache, so that one
 * that returned is one that has its space, and one that has none fails.
 */

#include <config.h>

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "quota-writer.h"
#include "storage_backend_quota_lvm_internal.h"
#include "thin-status.h"
#include "virerror.h"
#include "virfile.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE

/* How long a write waits for a sample, and in all, for its thin pool to grow.  What
 * has been waited is given back at 16 MiB a second as it is written: the answers are the
 * tenant's QEMU's to forge, and a worker of libvirtd waits. */
#define WRITE_PATIENCE_NS (10ULL * 1000 * 1000 * 1000)
#define WRITE_MOST_NS (60ULL * 1000 * 1000 * 1000)
#define WRITE_BACK_NS 60ULL     /* for a byte */
#define WRITE_POLL_US 5000

#define WRITE_BUFFER_SIZE (1ULL << 20)
#define WRITE_ALIGN 4096ULL
#define RESERVE_STEP (16ULL << 20)

struct _virQuotaWriter {
    char *group;
    char *tenant;
    char *volume;
    char *path;
    int fd;
    unsigned long long size;

    /* of a thin volume alone */
    struct quota_ledger *ledger;
    struct quota_writer *writer;    /* NULL: a thick volume */
    struct quota_admission admission;   /* of the run that is waited for */
    unsigned long long left_ns;     /* of WRITE_MOST_NS */
    unsigned long long begin_ns;    /* of the wait; 0: none */
    unsigned long long chunk;
    unsigned long long held;        /* reserved for what others write */
    bool external;                  /* unmapped chunks show a base image */

    /* What is next to be written.  Begins at a multiple of WRITE_ALIGN and ends
     * before a multiple of bufferSize, so that each chunk is written once. */
    char *buffer;
    unsigned long long bufferSize;
    unsigned long long start;
    unsigned long long used;
    unsigned long long done;        /* of which this is written */
};


void
virQuotaWriterFree(virQuotaWriter *writer)
{
    if (!writer)
        return;

    VIR_FORCE_CLOSE(writer->fd);

    if (writer->held > 0)
        quota_bytes_settle(writer->writer, writer->held);
    quota_writer_detach(writer->writer);
    if (writer->ledger)
        quota_doorbell_ring(writer->ledger);
    quota_ledger_close(writer->ledger);

    free(writer->buffer);
    g_free(writer->group);
    g_free(writer->tenant);
    g_free(writer->volume);
    g_free(writer->path);
    g_free(writer);
}


/* What pool-refresh makes anew is not what may not be opened, or not now. */
static void
virQuotaWriterNoLedger(virQuotaWriter *writer,
                       int rc)
{
    switch (-rc) {
    case ENOENT:
    case ENODATA:
    case EILSEQ:
    case EBADFD:
    case EXDEV:
    case EBADMSG:
    case ESTALE:
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("the ledger of tenant '%1$s' of volume group '%2$s' %3$s: run pool-refresh"),
                       writer->tenant, writer->group,
                       quota_ledger_strerror(rc));
        break;
    case EPROTONOSUPPORT:
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("the ledger of tenant '%1$s' of volume group '%2$s' %3$s: restart libvirtd if it was not since an upgrade, else run pool-refresh"),
                       writer->tenant, writer->group,
                       quota_ledger_strerror(rc));
        break;
    default:
        virReportSystemError(-rc,
                             _("cannot open the ledger of tenant '%1$s' of volume group '%2$s'"),
                             writer->tenant, writer->group);
        break;
    }
}


static void
virQuotaWriterNoPlace(virQuotaWriter *writer,
                      int rc)
{
    switch (-rc) {
    case EUSERS:
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("cannot write to volume '%1$s' of tenant '%2$s': its ledger takes no further writer"),
                       writer->volume, writer->tenant);
        break;
    case EUCLEAN:
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("cannot write to volume '%1$s' of tenant '%2$s': its ledger contradicts itself, and quota-lvmd makes it anew: try again"),
                       writer->volume, writer->tenant);
        break;
    default:
        virReportSystemError(-rc,
                             _("cannot write to volume '%1$s' of tenant '%2$s' by its ledger"),
                             writer->volume, writer->tenant);
        break;
    }
}


static int
virQuotaWriterAttach(virQuotaWriter *writer)
{
    char path[QUOTA_LEDGER_PATH_BYTES];
    int rc;

    if ((rc = quota_ledger_path(writer->group, writer->tenant, path,
                                sizeof(path))) < 0 ||
        (rc = quota_ledger_open(path, true, &writer->ledger)) < 0) {
        virQuotaWriterNoLedger(writer, rc);
        return -1;
    }

    if ((rc = quota_writer_attach(writer->ledger, writer->volume,
                                  &writer->writer)) < 0) {
        virQuotaWriterNoPlace(writer, rc);
        return -1;
    }

    return 0;
}


/**
 * virQuotaWriterNew:
 * @def: pool definition
 * @vol: volume that is to be written to
 *
 * One thread at a time may use it.
 */
virQuotaWriter *
virQuotaWriterNew(virStoragePoolDef *def,
                  virStorageVolDef *vol)
{
    const struct quota_state *current = virQuotaPoolDefGetCurrent(def);
    g_autoptr(virQuotaWriter) writer = NULL;
    g_autofree char *lv = g_path_get_basename(vol->target.path);
    void *buffer;

    writer = g_new0(virQuotaWriter, 1);
    writer->group = g_strdup(def->source.name);
    writer->tenant = g_strdup(def->source.tenant);
    writer->volume = g_strdup(vol->name);
    writer->path = g_strdup(vol->target.path);
    writer->chunk = WRITE_ALIGN;
    writer->left_ns = WRITE_MOST_NS;

    writer->fd = open(writer->path, O_RDWR | O_DIRECT | O_CLOEXEC);
    if (writer->fd < 0 || ioctl(writer->fd, BLKGETSIZE64, &writer->size) < 0) {
        virReportSystemError(errno, _("cannot open volume '%1$s'"), writer->path);
        return NULL;
    }

    if (vol->target.sparse) {
        /* By LVM: the ledger is the tenant's QEMU's to write, and this becomes the
         * size of a buffer. */
        if (!current || current->chunk_bytes == 0) {
            virReportError(VIR_ERR_OPERATION_FAILED,
                           _("the chunks of tenant '%1$s' in volume group '%2$s' are not known: run pool-refresh for pool '%3$s'"),
                           writer->tenant, writer->group, def->name);
            return NULL;
        }

        writer->chunk = current->chunk_bytes;
        if (virQuotaWriterAttach(writer) < 0)
            return NULL;
        writer->external =
            thin_status_has_external_origin(writer->group, lv);
    }

    writer->bufferSize = VIR_ROUND_UP(WRITE_BUFFER_SIZE, writer->chunk);
    if (posix_memalign(&buffer, WRITE_ALIGN, writer->bufferSize) != 0)
        abort();
    writer->buffer = buffer;

    return g_steal_pointer(&writer);
}


static void
virQuotaWriterRefused(virQuotaWriter *writer,
                      unsigned long long bytes,
                      enum quota_reason reason)
{
    struct quota_state state;
    char asked[QUOTA_SIZE_MAX_BYTES];
    char limit[QUOTA_SIZE_MAX_BYTES];

    quota_state_read(writer->ledger, &state);
    quota_size_format(bytes, asked);

    switch (reason) {
    case QUOTA_REASON_GROUP_FULL:
        virReportSystemError(ENOSPC,
                             _("volume group '%1$s' is full, volume '%2$s' of tenant '%3$s' needs %4$s more: extend the group with vgextend"),
                             writer->group, writer->volume, writer->tenant, asked);
        break;
    case QUOTA_REASON_VOLUME_LIMIT:
        virReportSystemError(ENOSPC,
                             _("volume '%1$s' of tenant '%2$s' has reached its own limit and needs %3$s more: raise that"),
                             writer->volume, writer->tenant, asked);
        break;
    case QUOTA_REASON_ACCOUNTING_LOST:
        virReportSystemError(ENOSPC,
                             _("nobody samples what tenant '%1$s' of volume group '%2$s' uses, volume '%3$s' needs %4$s more: see whether quota-lvmd runs"),
                             writer->tenant, writer->group, writer->volume, asked);
        break;
    case QUOTA_REASON_NONE:
    case QUOTA_REASON_TENANT_LIMIT:
    case QUOTA_REASON_MAX:
        virReportSystemError(ENOSPC,
                             _("tenant '%1$s' has reached its limit of %2$s in volume group '%3$s', volume '%4$s' needs %5$s more: raise the limit, or delete something"),
                             writer->tenant,
                             quota_size_format(state.limits.limit_bytes, limit),
                             writer->group, writer->volume, asked);
        break;
    }
}


/* @bytes were admitted, which were asked for at @begin_ns */
static void
virQuotaWriterWaited(virQuotaWriter *writer,
                     unsigned long long begin_ns,
                     unsigned long long bytes)
{
    unsigned long long waited_ns = quota_clock_ns() - begin_ns;

    writer->left_ns -= MIN(writer->left_ns, waited_ns);
    writer->left_ns = MIN(writer->left_ns + bytes * WRITE_BACK_NS, WRITE_MOST_NS);
}


/**
 * virQuotaWriterReserve:
 * @writer: writer
 * @bytes: what another program is about to write
 *
 * Holds space for a program that knows nothing of ledgers, until the writer is
 * freed; the thin pool has grown that far then.  Nothing for a thick volume.
 */
int
virQuotaWriterReserve(virQuotaWriter *writer,
                      unsigned long long bytes)
{
    if (!writer->writer)
        return 0;

    /* A chunk more, as nobody knows where it begins */
    bytes = VIR_ROUND_UP(bytes, writer->chunk) + writer->chunk;

    while (bytes > 0) {
        unsigned long long step = MIN(bytes, RESERVE_STEP);
        unsigned long long begin_ns = quota_clock_ns();
        enum quota_reason reason = QUOTA_REASON_NONE;

        if (quota_admission_wait(writer->writer, step, WRITE_PATIENCE_NS,
                                 writer->left_ns, &reason) < 0) {
            virQuotaWriterRefused(writer, bytes, reason);
            return -1;
        }

        virQuotaWriterWaited(writer, begin_ns, step);
        writer->held += step;
        bytes -= step;
    }

    return 0;
}


/* Reads whole blocks around the ends of what is written */
static int
virQuotaWriterRead(virQuotaWriter *writer,
                   char *buffer,
                   unsigned long long offset,
                   size_t bytes)
{
    ssize_t got = pread(writer->fd, buffer, bytes, offset);

    if (got != bytes) {
        if (got >= 0)
            errno = EIO;
        virReportSystemError(errno, _("cannot read volume '%1$s'"), writer->path);
        return -1;
    }

    return 0;
}


/**
 * virQuotaWriterBegin:
 * @writer: new writer
 * @offset: where the first byte goes
 */
int
virQuotaWriterBegin(virQuotaWriter *writer,
                    unsigned long long offset)
{
    if (offset > writer->size) {
        virReportError(VIR_ERR_INVALID_ARG,
                       _("offset %1$llu is past the end of volume '%2$s' of %3$llu bytes"),
                       offset, writer->volume, writer->size);
        return -1;
    }

    writer->start = offset / WRITE_ALIGN * WRITE_ALIGN;
    writer->used = offset - writer->start;
    writer->done = 0;

    if (writer->used > 0)
        return virQuotaWriterRead(writer, writer->buffer,
                                  writer->start, WRITE_ALIGN);
    return 0;
}


static bool
virQuotaWriterIsZero(const char *data,
                     size_t bytes)
{
    return bytes == 0 ||
        (data[0] == '\0' && memcmp(data, data + 1, bytes - 1) == 0);
}


static int
virQuotaWriterWrite(virQuotaWriter *writer,
                    const char *data,
                    unsigned long long offset,
                    size_t bytes)
{
    while (bytes > 0) {
        ssize_t rc = pwrite(writer->fd, data, bytes, offset);

        if (rc < 0 && errno == EINTR)
            continue;

        if (rc <= 0) {
            if (rc == 0)
                errno = ENOSPC;
            virReportSystemError(errno,
                                 _("cannot write to volume '%1$s' of tenant '%2$s' at %3$llu"),
                                 writer->volume, writer->tenant, offset);
            return -1;
        }

        data += rc;
        offset += rc;
        bytes -= rc;
    }

    return 0;
}


/* At the limit: what holds data already needs no space, as long as nobody takes
 * a snapshot.  A chunk of zeroes is taken for one that is not there. */
static int
virQuotaWriterOverwrite(virQuotaWriter *writer,
                        const char *data,
                        unsigned long long offset,
                        size_t bytes)
{
    g_autofree char *raw = g_malloc(bytes + WRITE_ALIGN);
    char *old = (char *) VIR_ROUND_UP((uintptr_t) raw, WRITE_ALIGN);
    unsigned int lane;
    uint32_t epoch;
    size_t i;
    int ret = -1;

    if (writer->external)
        return 0;

    if (virQuotaWriterRead(writer, old, offset, bytes) < 0)
        return -1;

    for (i = 0; i < bytes; i += writer->chunk) {
        if (virQuotaWriterIsZero(old + i, MIN(writer->chunk, bytes - i)))
            return 0;
    }

    epoch = quota_epoch_enter(writer->writer, &lane);
    if (epoch % 2 == 1)
        ret = 0;
    else if (virQuotaWriterWrite(writer, data, offset, bytes) == 0)
        ret = 1;
    quota_epoch_leave(writer->writer, lane);
    return ret;
}


/* Returns 1 when it is written, 0 to be asked again, -1 on error */
static int
virQuotaWriterCharged(virQuotaWriter *writer,
                      const char *data,
                      unsigned long long offset,
                      size_t bytes)
{
    unsigned long long first = offset / writer->chunk;
    unsigned long long charge = (VIR_DIV_UP(offset + bytes, writer->chunk) - first) *
        writer->chunk;
    int rc;

    if (writer->begin_ns == 0) {
        writer->begin_ns = quota_clock_ns();
        writer->admission.until_ns = writer->begin_ns + writer->left_ns;
    }
    rc = quota_admission_poll(writer->writer, charge, quota_clock_ns(),
                              WRITE_PATIENCE_NS, &writer->admission);
    if (rc == -EAGAIN) {
        g_usleep(WRITE_POLL_US);
        return 0;
    }

    if (rc < 0) {
        enum quota_reason reason = writer->admission.reason;

        memset(&writer->admission, 0, sizeof(writer->admission));
        virQuotaWriterWaited(writer, writer->begin_ns, 0);
        writer->begin_ns = 0;
        if (rc == -ENOSPC &&
            (rc = virQuotaWriterOverwrite(writer, data, offset,
                                          bytes)) != 0)
            return rc;

        quota_refusal_count(writer->writer);
        virQuotaWriterRefused(writer, charge, reason);
        return -1;
    }

    memset(&writer->admission, 0, sizeof(writer->admission));
    virQuotaWriterWaited(writer, writer->begin_ns, bytes);
    writer->begin_ns = 0;
    rc = virQuotaWriterWrite(writer, data, offset, bytes);
    quota_bytes_settle(writer->writer, charge);
    return rc < 0 ? -1 : 1;
}


/* Gives back chunks that are to be zeroes.  Those of a clone of a base image
 * would show the image again. */
static int
virQuotaWriterDiscard(virQuotaWriter *writer,
                      unsigned long long offset,
                      unsigned long long bytes)
{
    unsigned long long range[2] = { offset, bytes };

    if (ioctl(writer->fd, BLKDISCARD, range) < 0) {
        virReportSystemError(errno,
                             _("cannot discard %1$llu bytes of volume '%2$s' of tenant '%3$s'"),
                             bytes, writer->volume, writer->tenant);
        return -1;
    }

    return 0;
}


/* How far the same can be done: chunks that are whole and zeroes are given
 * back, all others are written. */
static unsigned long long
virQuotaWriterGetRun(virQuotaWriter *writer,
                     unsigned long long end,
                     bool *zero)
{
    unsigned long long at = writer->done;

    while (at < end) {
        unsigned long long offset = writer->start + at;
        unsigned long long bytes = MIN(writer->chunk - offset % writer->chunk,
                                       end - at);
        bool now = bytes == writer->chunk && !writer->external &&
            virQuotaWriterIsZero(writer->buffer + at, bytes);

        if (at == writer->done)
            *zero = now;
        else if (*zero != now)
            break;

        at += bytes;
    }

    return at - writer->done;
}


/* Writes what is in the buffer.  Returns 1 when all of it is written, 0 to be
 * asked again, -1 on error. */
static int
virQuotaWriterFlush(virQuotaWriter *writer)
{
    unsigned long long end = VIR_ROUND_UP(writer->used, WRITE_ALIGN);
    int rc = 1;

    /* The rest of the last block stays as it is */
    if (end != writer->used) {
        g_autofree char *raw = g_malloc(2 * WRITE_ALIGN);
        char *block = (char *) VIR_ROUND_UP((uintptr_t) raw, WRITE_ALIGN);
        unsigned long long kept = writer->used % WRITE_ALIGN;

        if (virQuotaWriterRead(writer, block,
                               writer->start + end - WRITE_ALIGN,
                               WRITE_ALIGN) < 0)
            return -1;

        memcpy(writer->buffer + writer->used, block + kept, WRITE_ALIGN - kept);
        writer->used = end;
    }

    if (!writer->writer) {
        if (virQuotaWriterWrite(writer, writer->buffer,
                                writer->start, end) < 0)
            return -1;
        writer->done = end;
    }

    while (writer->done < end) {
        unsigned long long offset = writer->start + writer->done;
        const char *data = writer->buffer + writer->done;
        unsigned long long bytes;
        bool zero = false;

        bytes = virQuotaWriterGetRun(writer, end, &zero);
        if (zero)
            rc = virQuotaWriterDiscard(writer, offset, bytes) < 0 ? -1 : 1;
        else
            rc = virQuotaWriterCharged(writer, data, offset, bytes);

        if (rc <= 0)
            return rc;

        writer->done += bytes;
    }

    writer->start += end;
    writer->used = 0;
    writer->done = 0;
    return 1;
}


/**
 * virQuotaWriterPut:
 * @writer: writer, begun
 * @data: what comes next, NULL: zeroes
 * @bytes: how much
 *
 * Returns how many bytes were taken; 0: there is no room yet, ask again; -1 on
 * error.  It never waits for more than a few milliseconds beside the disk.
 */
ssize_t
virQuotaWriterPut(virQuotaWriter *writer,
                  const char *data,
                  size_t bytes)
{
    unsigned long long room;
    int rc;

    room = writer->bufferSize - writer->start % writer->bufferSize;

    if (writer->used >= room) {
        if ((rc = virQuotaWriterFlush(writer)) <= 0)
            return rc;
        room = writer->bufferSize;
    }

    room = MIN(room, writer->size - writer->start);
    if (room == writer->used && bytes > 0) {
        virReportSystemError(ENOSPC,
                             _("volume '%1$s' of tenant '%2$s' ends after %3$llu bytes: what is written to it is longer"),
                             writer->volume, writer->tenant, writer->size);
        return -1;
    }

    bytes = MIN(bytes, room - writer->used);

    /* A long hole at once */
    if (!data && writer->used == 0 && writer->writer && !writer->external &&
        bytes == writer->bufferSize) {
        if (virQuotaWriterDiscard(writer, writer->start, bytes) < 0)
            return -1;
        writer->start += bytes;
        return bytes;
    }

    if (data)
        memcpy(writer->buffer + writer->used, data, bytes);
    else
        memset(writer->buffer + writer->used, 0, bytes);
    writer->used += bytes;
    return bytes;
}


/**
 * virQuotaWriterEnd:
 * @writer: writer, begun
 *
 * Writes what is left and has the disk keep it.  Returns 1, 0 to be asked again,
 * or -1 on error.
 */
int
virQuotaWriterEnd(virQuotaWriter *writer)
{
    int rc;

    if (writer->used > 0 &&
        (rc = virQuotaWriterFlush(writer)) <= 0)
        return rc;

    if (virFileDataSync(writer->fd) < 0) {
        virReportSystemError(errno, _("cannot sync data to volume '%1$s'"),
                             writer->path);
        return -1;
    }

    return 1;
}


/* Bytes that fit into the volume */
unsigned long long
virQuotaWriterGetSize(virQuotaWriter *writer)
{
    return writer->size;
}


/* Gives all of a thin volume back.  Returns -1 if something is left. */
int
virQuotaWriterDiscardAll(virQuotaWriter *writer)
{
    return virQuotaWriterDiscard(writer, 0, writer->size);
}


bool
virQuotaWriterIsExternal(virQuotaWriter *writer)
{
    return writer->external;
}
