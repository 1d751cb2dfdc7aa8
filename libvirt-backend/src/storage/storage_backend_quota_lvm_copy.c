/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_backend_quota_lvm_copy.c: what libvirtd itself writes to volumes of
 * a tenant: copies, uploads, and what a wipe leaves
 *
 * All of it that goes to a thin volume goes through a writer, which is charged
 * and stopped as a guest is.  How far a copy is shows in the allocation of the
 * volume that is being made.
 */

#include <config.h>

#include <fcntl.h>
#include <unistd.h>

#include "storage_backend_quota_lvm_internal.h"
#include "storage_util.h"
#include "virerror.h"
#include "virfdstream.h"
#include "virfile.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE

#define COPY_BUFFER_SIZE (1ULL << 20)
#define COPY_ALIGN 4096ULL


static int
virQuotaVolCopy(virQuotaWriter *writer,
                virStorageVolDef *vol,
                virStorageVolDef *inputvol)
{
    const char *path = inputvol->target.path;
    unsigned long long left = virQuotaWriterGetSize(writer);
    g_autofree char *raw = g_malloc(COPY_BUFFER_SIZE + COPY_ALIGN);
    char *buffer = (char *) VIR_ROUND_UP((uintptr_t) raw, COPY_ALIGN);
    unsigned long long done = 0;
    VIR_AUTOCLOSE fd = -1;
    int rc;

    /* A guest's writes pass the page cache by, which might be older */
    fd = open(path, O_RDONLY | O_CLOEXEC |
              (inputvol->type == VIR_STORAGE_VOL_BLOCK ? O_DIRECT : 0));
    if (fd < 0) {
        virReportSystemError(errno, _("could not open input path '%1$s'"), path);
        return -1;
    }

    if (virQuotaWriterBegin(writer, 0) < 0)
        return -1;

    while (left > 0) {
        ssize_t got = saferead(fd, buffer, MIN(left, COPY_BUFFER_SIZE));
        ssize_t put = 0;
        ssize_t used = 0;

        if (got < 0) {
            virReportSystemError(errno, _("failed reading from file '%1$s'"), path);
            return -1;
        }

        if (got == 0)
            break;

        for (; used < got; used += put) {
            if ((put = virQuotaWriterPut(writer, buffer + used,
                                         got - used)) < 0)
                return -1;
        }

        left -= got;
        done += got;
        virQuotaVolSetProgress(vol, done);
    }

    while ((rc = virQuotaWriterEnd(writer)) == 0);

    return rc < 0 ? -1 : 0;
}


/* Converts by libvirt's own steps with qemu-img, which knows no ledger: what it
 * may write at most is reserved first. */
static int
virQuotaVolConvert(virQuotaWriter *writer,
                   virStoragePoolObj *pool,
                   virStorageVolDef *vol,
                   virStorageVolDef *inputvol)
{
    unsigned long long size = virQuotaWriterGetSize(writer);

    if (virQuotaWriterReserve(writer, size) < 0)
        return -1;

    return virQuotaFormatQemuImg(pool, vol, inputvol);
}


/* What a thick volume holds beyond what is copied to it was another's */
static int
virQuotaVolZeroBeyond(virStoragePoolDef *def,
                      virStorageVolDef *vol,
                      virStorageVolDef *inputvol)
{
    const char *path = inputvol->target.path;
    VIR_AUTOCLOSE fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t size;

    if (fd < 0 || (size = lseek(fd, 0, SEEK_END)) < 0) {
        virReportSystemError(errno, _("could not open input path '%1$s'"), path);
        return -1;
    }

    return virQuotaZeroVol(def, vol, size);
}


/**
 * virQuotaVolBuildFrom:
 * @pool: pool object
 * @vol: new volume, without content
 * @inputvol: of any pool
 * @flags: VIR_STORAGE_VOL_CREATE_*
 */
int
virQuotaVolBuildFrom(virStoragePoolObj *pool,
                     virStorageVolDef *vol,
                     virStorageVolDef *inputvol,
                     unsigned int flags)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    g_auto(virQuotaSlow) slow = NULL;
    g_autoptr(virQuotaWriter) writer = NULL;
    bool file = inputvol->type == VIR_STORAGE_VOL_FILE;
    bool convert;
    int ret;

    virCheckFlags(VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA |
                  VIR_STORAGE_VOL_CREATE_REFLINK, -1);

    if (flags & VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED, "%s",
                       _("metadata preallocation is not supported for block volumes"));
        return -1;
    }

    if (!file && inputvol->type != VIR_STORAGE_VOL_BLOCK) {
        virReportError(VIR_ERR_NO_SUPPORT,
                       _("volume '%1$s' is neither a file nor a block device: a volume of pool '%2$s' cannot be a copy of it"),
                       inputvol->name, def->name);
        return -1;
    }

    /* The header of a LUKS file may have another size than that of the volume */
    convert = (file && (inputvol->target.encryption ||
                        (inputvol->target.format != VIR_STORAGE_FILE_RAW &&
                         inputvol->target.format != VIR_STORAGE_FILE_ISO))) ||
        !virQuotaLuksIsSame(vol, inputvol);

    if (virQuotaSlowBegin(def, &slow) < 0)
        return -1;

    if ((convert ? virQuotaZeroVol(def, vol, 0)
                 : virQuotaVolZeroBeyond(def, vol, inputvol)) < 0)
        return -1;

    if (!(writer = virQuotaWriterNew(def, vol)))
        return -1;

    if (convert)
        ret = virQuotaVolConvert(writer, pool, vol, inputvol);
    else
        ret = virQuotaVolCopy(writer, vol, inputvol);

    virQuotaVolEndProgress(vol, ret < 0);

    /* Whatever a copy has where its header was: its user may have put it there */
    if (ret == 0 && vol->target.encryption)
        ret = virQuotaFormatTag(pool, vol, convert ? 0 :
                                MAX(inputvol->target.encryption->payload_offset, 0));

    if (ret == 0)
        virQuotaZeroEnd(def, vol);

    return ret;
}


static ssize_t
virQuotaUploadWrite(const char *data,
                    size_t bytes,
                    void *opaque)
{
    return virQuotaWriterPut(opaque, data, bytes);
}


static int
virQuotaUploadEnd(void *opaque)
{
    return virQuotaWriterEnd(opaque);
}


static void
virQuotaUploadFree(void *opaque)
{
    virQuotaWriterFree(opaque);
}


int
virQuotaVolUpload(virStoragePoolObj *pool,
                  virStorageVolDef *vol,
                  virStreamPtr stream,
                  unsigned long long offset,
                  unsigned long long length,
                  unsigned int flags)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    g_autoptr(virQuotaWriter) writer = NULL;

    if (!(writer = virQuotaWriterNew(def, vol)) ||
        virQuotaWriterBegin(writer, offset) < 0 ||
        virStorageBackendVolUploadLocal(pool, vol, stream, offset, length,
                                        flags) < 0)
        return -1;

    return virFDStreamSetWriteFunc(stream,
                                   virQuotaUploadWrite,
                                   virQuotaUploadEnd,
                                   g_steal_pointer(&writer),
                                   virQuotaUploadFree);
}


/* A refresh lists a volume that it could not take back */
int
virQuotaVolDownload(virStoragePoolObj *pool,
                    virStorageVolDef *vol,
                    virStreamPtr stream,
                    unsigned long long offset,
                    unsigned long long length,
                    unsigned int flags)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    char name[QUOTA_LV_MAX_BYTES + 1];

    if (quota_name_format_lv(def->source.tenant, vol->name, name) == 0 &&
        virQuotaZeroIsPending(def->source.name, name, NULLSTR_EMPTY(vol->key),
                              ULLONG_MAX)) {
        virReportError(VIR_ERR_OPERATION_INVALID,
                       _("volume '%1$s' is not overwritten with zeroes yet and may hold what others wrote: run pool-refresh for pool '%2$s', or delete the volume"),
                       vol->name, def->name);
        return -1;
    }

    return virStorageBackendVolDownloadLocal(pool, vol, stream, offset, length,
                                             flags);
}


/* Thick volumes are overwritten, by libvirt's own algorithms.  Writing a pattern
 * over a thin one would first take all the space that it never used: what it
 * has is given back, to be zeroed before anybody gets to read it. */
int
virQuotaVolWipe(virStoragePoolObj *pool,
                virStorageVolDef *vol,
                unsigned int algorithm,
                unsigned int flags)
{
    virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
    g_auto(virQuotaSlow) slow = NULL;
    g_autoptr(virQuotaWriter) writer = NULL;

    if (!vol->target.sparse && virStorageSourceHasBacking(&vol->target)) {
        virReportError(VIR_ERR_NO_SUPPORT,
                       _("volume '%1$s' is a thick snapshot, whose store would be full before it is wiped: delete it instead"),
                       vol->target.path);
        return -1;
    }

    virCheckFlags(0, -1);

    if (virQuotaSlowBegin(def, &slow) < 0)
        return -1;

    /* libvirt's own writes as much as is allocated, which of raid is more than
     * there is to write to */
    if (!vol->target.sparse && algorithm == VIR_STORAGE_VOL_WIPE_ALG_ZERO)
        return virQuotaZeroDevice(vol->target.path, 0, 0);

    if (!vol->target.sparse)
        return virStorageBackendVolWipeLocal(pool, vol, algorithm, flags);

    if (algorithm != VIR_STORAGE_VOL_WIPE_ALG_ZERO &&
        algorithm != VIR_STORAGE_VOL_WIPE_ALG_TRIM) {
        virReportError(VIR_ERR_NO_SUPPORT,
                       _("volume '%1$s' is thin, a pattern would take all the space that it never used: use the algorithm 'zero' or 'trim'"),
                       vol->target.path);
        return -1;
    }

    if (!(writer = virQuotaWriterNew(def, vol)))
        return -1;

    if (algorithm == VIR_STORAGE_VOL_WIPE_ALG_ZERO &&
        virQuotaWriterIsExternal(writer)) {
        virReportError(VIR_ERR_NO_SUPPORT,
                       _("volume '%1$s' is a clone of a base image, and zeroes would take its whole size: use the algorithm 'trim', which shows the image again, or delete it"),
                       vol->target.path);
        return -1;
    }

    return virQuotaWriterDiscardAll(writer);
}
