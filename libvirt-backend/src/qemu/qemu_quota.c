/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qemu_quota.c: the 'quota' block filter above volumes of quota-lvm pools.
 *
 * Everything here hangs off virStorageSource.quota, which exists exactly for
 * volumes of a quota-lvm pool.  The ledger of the tenant is opened here, once
 * for each filter, and handed to QEMU as a descriptor: QEMU itself may not
 * open it.  What QEMU was told is repeated word by word when the node is
 * reopened, also by a daemon that was restarted in between.
 */

#include <config.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "qemu_quota.h"

#include "qemu_block.h"
#include "qemu_fd.h"
#include "quota-ledger.h"
#include "virerror.h"
#include "virfile.h"
#include "virlog.h"
#include "virstring.h"

#define VIR_FROM_THIS VIR_FROM_QEMU

VIR_LOG_INIT("qemu.qemu_quota");


/**
 * qemuQuotaGetNodename:
 * @src: storage source
 *
 * Returns the node name of the filter above the storage of @src, or NULL if
 * there is none.
 */
const char *
qemuQuotaGetNodename(const virStorageSource *src)
{
    if (!src->quota)
        return NULL;

    return src->quota->nodename;
}


/**
 * qemuQuotaGetSliceParentNodename:
 * @src: storage source
 *
 * Returns the name of the node which a storage slice of @src is cut from: the
 * filter stands below the slice, since it must see the offsets of the volume.
 */
const char *
qemuQuotaGetSliceParentNodename(const virStorageSource *src)
{
    const char *nodename = qemuQuotaGetNodename(src);

    return nodename ? nodename : src->nodenamestorage;
}


/**
 * qemuQuotaPrepareNodename:
 * @src: storage source about to be added to QEMU
 * @nodenameprefix: what the node names of @src begin with
 *
 * From here on @src has a filter node.
 */
void
qemuQuotaPrepareNodename(virStorageSource *src,
                         const char *nodenameprefix)
{
    if (!src->quota)
        return;

    g_free(src->quota->nodename);
    src->quota->nodename = g_strdup_printf("%s-quota", nodenameprefix);
}


/**
 * qemuQuotaClearNodename:
 * @src: copy of a storage source that goes into a configuration
 */
void
qemuQuotaClearNodename(virStorageSource *src)
{
    if (src->quota)
        g_clear_pointer(&src->quota->nodename, g_free);
}


/**
 * qemuQuotaValidateStorageSource:
 * @src: storage source
 * @qemuCaps: capabilities of the QEMU binary
 *
 * A volume under a quota is never used without the filter: refuse it if QEMU
 * has none.
 */
int
qemuQuotaValidateStorageSource(const virStorageSource *src,
                               virQEMUCaps *qemuCaps)
{
    if (!src->quota ||
        virQEMUCapsGet(qemuCaps, QEMU_CAPS_BLOCKDEV_QUOTA))
        return 0;

    virReportError(VIR_ERR_CONFIG_UNSUPPORTED,
                   _("volume '%1$s' of tenant '%2$s' is under a quota, but this QEMU has no 'quota' block driver: use a QEMU that was built with quota-lvm"),
                   src->quota->volume, src->quota->tenant);
    return -1;
}


/**
 * qemuQuotaValidateDisk:
 * @disk: disk whose source was translated
 *
 * Refuse what would lead around the filter.
 */
int
qemuQuotaValidateDisk(const virDomainDiskDef *disk)
{
    virStorageSource *n;

    for (n = disk->src; virStorageSourceIsBacking(n); n = n->backingStore) {
        if (!n->quota)
            continue;

        /* -drive knows no filter nodes */
        if (disk->bus == VIR_DOMAIN_DISK_BUS_SD) {
            virReportError(VIR_ERR_CONFIG_UNSUPPORTED,
                           _("disk '%1$s': volume '%2$s' of tenant '%3$s' is under a quota, which bus 'sd' does not support"),
                           disk->dst, n->quota->volume, n->quota->tenant);
            return -1;
        }

        /* SCSI commands of the guest would go straight to the device */
        if (disk->device == VIR_DOMAIN_DISK_DEVICE_LUN) {
            virReportError(VIR_ERR_CONFIG_UNSUPPORTED,
                           _("disk '%1$s': volume '%2$s' of tenant '%3$s' is under a quota, which device 'lun' does not support: use device 'disk'"),
                           disk->dst, n->quota->volume, n->quota->tenant);
            return -1;
        }
    }

    return 0;
}


/**
 * qemuQuotaGetDeviceAllocation:
 * @maj: major number of a block device
 * @min: its minor number
 *
 * Ask the kernel whether a write to the device may allocate.  A thin volume is
 * stacked on the device of its pool:
 *
 *   /sys/dev/block/253:7/slaves/dm-4/dm/uuid: LVM-Fb1T...9xQe-tpool
 *
 * and a thick one on anything else.  Returns VIR_TRISTATE_BOOL_ABSENT if the
 * kernel does not say.
 */
virTristateBool
qemuQuotaGetDeviceAllocation(unsigned int maj,
                             unsigned int min)
{
    g_autofree char *path = g_strdup_printf("/sys/dev/block/%u:%u/slaves", maj, min);
    g_autoptr(DIR) dir = NULL;
    struct dirent *ent;
    virTristateBool ret = VIR_TRISTATE_BOOL_ABSENT;
    int rc;

    if (virDirOpenQuiet(&dir, path) < 0)
        return VIR_TRISTATE_BOOL_ABSENT;

    while ((rc = virDirRead(dir, &ent, path)) > 0) {
        g_autofree char *uuidpath = g_strdup_printf("%s/%s/dm/uuid", path, ent->d_name);
        g_autofree char *uuid = NULL;
        int len = virFileReadAllQuiet(uuidpath, 1024, &uuid);

        /* a disk or partition below a thick volume has no such file */
        if (len < 0 && len != -ENOENT)
            return VIR_TRISTATE_BOOL_ABSENT;

        if (uuid) {
            virStringTrimOptionalNewline(uuid);

            if (g_str_has_suffix(uuid, "-tpool"))
                return VIR_TRISTATE_BOOL_YES;
        }

        ret = VIR_TRISTATE_BOOL_NO;
    }

    if (rc < 0) {
        virResetLastError();
        return VIR_TRISTATE_BOOL_ABSENT;
    }

    return ret;
}


/**
 * qemuQuotaDetectAllocation:
 * @src: storage source under a quota
 *
 * Find out whether the writes to @src are to be charged as they come. If in
 * doubt they are: a thick volume that is charged twice errs on the safe side.
 */
static void
qemuQuotaDetectAllocation(virStorageSource *src)
{
    virTristateBool allocation = VIR_TRISTATE_BOOL_ABSENT;
    struct stat sb;

    if (stat(src->path, &sb) == 0 && S_ISBLK(sb.st_mode))
        allocation = qemuQuotaGetDeviceAllocation(major(sb.st_rdev),
                                                  minor(sb.st_rdev));

    if (allocation == VIR_TRISTATE_BOOL_ABSENT) {
        VIR_WARN("cannot tell whether volume '%s' of tenant '%s' at '%s' is thin, charging all its writes",
                 src->quota->volume, src->quota->tenant, src->path);
        allocation = VIR_TRISTATE_BOOL_YES;
    }

    src->quota->allocation = allocation;
}


/**
 * qemuQuotaCheckZeroed:
 * @src: storage source that a guest is to get, or to see the new size of
 *
 * No guest is to read what another tenant left on the extents of a volume that
 * is still being made, or grown.
 */
int
qemuQuotaCheckZeroed(const virStorageSource *src)
{
    g_autofree char *note = NULL;

    if (!src->quota)
        return 0;

    note = g_strdup_printf("%s/%s/%s.%s", VIR_STORAGE_SOURCE_QUOTA_NOTES_DIR,
                           src->quota->group, src->quota->tenant,
                           src->quota->volume);

    if (!virFileExists(note))
        return 0;

    virReportError(VIR_ERR_OPERATION_INVALID,
                   _("volume '%1$s' of tenant '%2$s' is still being overwritten with zeroes: wait until it is made or resized, or refresh its pool if that was interrupted"),
                   src->quota->volume, src->quota->tenant);
    return -1;
}


static char *
qemuQuotaGetLedgerPath(const virStorageSource *src)
{
    return g_strdup_printf("%s/%s/%s", QUOTA_LEDGER_DIR,
                           src->quota->group, src->quota->tenant);
}


/**
 * qemuQuotaOpenLedger:
 * @src: storage source under a quota
 *
 * Returns a descriptor of the ledger for QEMU, or -1. Each filter gets an open
 * file description of its own: the ledger tells by it whether the filter is
 * still alive.
 *
 * The descriptor needs no security label: AppArmor does not mediate memory
 * files.  QEMU cannot open the file anew, since it belongs to root.
 */
static int
qemuQuotaOpenLedger(const virStorageSource *src)
{
    const char *pool = src->srcpool ? src->srcpool->pool : src->quota->tenant;
    g_autofree char *path = NULL;
    int fd = quota_ledger_descriptor(src->quota->group, src->quota->tenant);

    if (fd >= 0)
        return fd;

    path = qemuQuotaGetLedgerPath(src);

    if (fd == -ENOENT) {
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("storage pool '%1$s' has no ledger '%2$s': start or refresh the pool, or start quota-lvmd"),
                       pool, path);
    } else {
        virReportSystemError(-fd, _("ledger '%1$s' of storage pool '%2$s' %3$s"),
                             path, pool, quota_ledger_strerror(fd));
    }
    return -1;
}


/**
 * qemuQuotaPrepareHostStorageSource:
 * @src: storage source
 * @priv: private data of the VM
 *
 * Open the ledger for the filter above @src, if there is to be one.
 */
int
qemuQuotaPrepareHostStorageSource(virStorageSource *src,
                                  qemuDomainObjPrivate *priv)
{
    qemuDomainStorageSourcePrivate *srcpriv = NULL;
    VIR_AUTOCLOSE fd = -1;

    if (!src->quota)
        return 0;

    if (qemuQuotaCheckZeroed(src) < 0)
        return -1;

    if ((fd = qemuQuotaOpenLedger(src)) < 0)
        return -1;

    qemuQuotaDetectAllocation(src);

    srcpriv = qemuDomainStorageSourcePrivateFetch(src);

    qemuFDPassFree(srcpriv->quotaFDPass);
    srcpriv->quotaFDPass = qemuFDPassNew(src->quota->nodename, priv);
    qemuFDPassAddFD(srcpriv->quotaFDPass, &fd, NULL);

    return 0;
}


static int
qemuQuotaRenewLedger(virDomainObj *vm,
                     virStorageSource *src,
                     virDomainAsyncJob asyncJob)
{
    qemuDomainStorageSourcePrivate *srcpriv = qemuDomainStorageSourcePrivateFetch(src);
    g_autoptr(qemuFDPass) renewed = qemuFDPassNew(src->quota->nodename, vm->privateData);
    qemuFDPass *old = srcpriv->quotaFDPass;
    VIR_AUTOCLOSE fd = -1;
    int rc;

    if ((fd = qemuQuotaOpenLedger(src)) < 0)
        return -1;

    qemuFDPassAddFD(renewed, &fd, NULL);

    if (qemuDomainObjEnterMonitorAsync(vm, asyncJob) < 0)
        return -1;

    rc = qemuFDPassTransferMonitor(renewed, qemuDomainGetMonitor(vm));
    qemuDomainObjExitMonitor(vm);

    srcpriv->quotaFDPass = renewed;
    if (rc == 0)
        rc = qemuBlockReopenQuota(vm, src, asyncJob);

    srcpriv->quotaFDPass = old;
    if (rc == 0) {
        srcpriv->quotaFDPass = g_steal_pointer(&renewed);
        renewed = old;
    }

    /* by now it is the one that is not in use */
    if (qemuDomainObjEnterMonitorAsync(vm, asyncJob) < 0)
        return -1;

    qemuFDPassTransferMonitorRollback(renewed, qemuDomainGetMonitor(vm));
    qemuDomainObjExitMonitor(vm);
    return rc;
}


/**
 * qemuQuotaRenewLedgers:
 * @vm: domain object, about to run on
 * @asyncJob: qemu async job type
 *
 * A ledger that was damaged, or lost, has been replaced by another one, and
 * guests that use the old one are paused by ENOSPC when they want space.  Have
 * all filters of @vm use the ledgers that there are now.  What fails leaves the
 * guest as it is, and is only logged.
 */
void
qemuQuotaRenewLedgers(virDomainObj *vm,
                      virDomainAsyncJob asyncJob)
{
    virErrorPtr orig_err;
    size_t i;

    virErrorPreserveLast(&orig_err);

    for (i = 0; i < vm->def->ndisks; i++) {
        virStorageSource *n;

        for (n = vm->def->disks[i]->src; virStorageSourceIsBacking(n); n = n->backingStore) {
            if (qemuQuotaGetNodename(n) &&
                qemuQuotaRenewLedger(vm, n, asyncJob) < 0) {
                VIR_WARN("domain '%s', disk '%s': the filter keeps its ledger: %s",
                         vm->def->name, vm->def->disks[i]->dst,
                         virGetLastErrorMessage());
                virResetLastError();
            }
        }
    }

    virErrorRestore(&orig_err);
}


/**
 * qemuQuotaGetBlockdevProps:
 * @src: storage source under a quota
 *
 * Returns what the filter wants to know beyond what every node does.
 */
virJSONValue *
qemuQuotaGetBlockdevProps(const virStorageSource *src)
{
    qemuDomainStorageSourcePrivate *srcpriv = QEMU_DOMAIN_STORAGE_SOURCE_PRIVATE(src);
    g_autoptr(virJSONValue) props = NULL;
    g_autofree char *ledger = NULL;
    unsigned int fdset;

    /* A descriptor that a previous daemon passed has an ID, but no path.
     * Without any descriptor this is about a command line for people
     * (domxml-to-native): QEMU opens the ledger if it may. */
    if (srcpriv && qemuFDPassIsPassed(srcpriv->quotaFDPass, &fdset))
        ledger = g_strdup_printf("/dev/fdset/%u", fdset);
    else if (srcpriv && srcpriv->quotaFDPass)
        ledger = g_strdup(qemuFDPassGetPath(srcpriv->quotaFDPass));
    else
        ledger = qemuQuotaGetLedgerPath(src);

    if (virJSONValueObjectAdd(&props,
                              "s:driver", "quota",
                              "s:file", src->nodenamestorage,
                              "s:ledger", ledger,
                              "s:tenant", src->quota->tenant,
                              "s:volume", src->quota->volume,
                              "T:allocation", src->quota->allocation,
                              NULL) < 0)
        return NULL;

    return g_steal_pointer(&props);
}


/**
 * qemuQuotaPrivateDataParse:
 * @ctxt: XPath context standing at the private data of @src
 * @src: storage source to fill
 *
 * The pool is not asked again after a restart of the daemon: a running QEMU
 * has a filter or has none, whatever became of the pool.
 */
int
qemuQuotaPrivateDataParse(xmlXPathContextPtr ctxt,
                          virStorageSource *src)
{
    g_autoptr(virStorageSourceQuota) quota = g_new0(virStorageSourceQuota, 1);
    qemuDomainStorageSourcePrivate *srcpriv = NULL;
    unsigned int fdset;
    xmlNodePtr node;

    if (!(node = virXPathNode("./quota", ctxt)))
        return 0;

    if (!(quota->group = virXMLPropStringRequired(node, "group")) ||
        !(quota->tenant = virXMLPropStringRequired(node, "tenant")) ||
        !(quota->volume = virXMLPropStringRequired(node, "volume")))
        return -1;

    if (virXMLPropTristateBool(node, "allocation", VIR_XML_PROP_NONE,
                               &quota->allocation) < 0)
        return -1;

    quota->nodename = virXPathString("string(./nodenames/nodename[@type='quota']/@name)", ctxt);

    virStorageSourceQuotaFree(src->quota);
    src->quota = g_steal_pointer(&quota);

    if (virXPathUInt("string(./fdsets/fdset[@type='quota']/@id)", ctxt, &fdset) == 0) {
        srcpriv = qemuDomainStorageSourcePrivateFetch(src);

        qemuFDPassFree(srcpriv->quotaFDPass);
        srcpriv->quotaFDPass = qemuFDPassNewPassed(fdset);
    }

    return 0;
}


/**
 * qemuQuotaPrivateDataFormat:
 * @src: storage source
 * @buf: private data of @src
 * @nodenames: content of the element <nodenames> of @buf
 * @fdsets: content of the element <fdsets> of @buf
 */
void
qemuQuotaPrivateDataFormat(const virStorageSource *src,
                           virBuffer *buf,
                           virBuffer *nodenames,
                           virBuffer *fdsets)
{
    qemuDomainStorageSourcePrivate *srcpriv = QEMU_DOMAIN_STORAGE_SOURCE_PRIVATE(src);
    g_auto(virBuffer) attrs = VIR_BUFFER_INITIALIZER;
    unsigned int fdset;

    if (!src->quota)
        return;

    virBufferEscapeString(&attrs, " group='%s'", src->quota->group);
    virBufferEscapeString(&attrs, " tenant='%s'", src->quota->tenant);
    virBufferEscapeString(&attrs, " volume='%s'", src->quota->volume);
    if (src->quota->allocation != VIR_TRISTATE_BOOL_ABSENT)
        virBufferAsprintf(&attrs, " allocation='%s'",
                          virTristateBoolTypeToString(src->quota->allocation));
    virXMLFormatElement(buf, "quota", &attrs, NULL);

    virBufferEscapeString(nodenames, "<nodename type='quota' name='%s'/>\n",
                          src->quota->nodename);

    if (srcpriv && qemuFDPassIsPassed(srcpriv->quotaFDPass, &fdset))
        virBufferAsprintf(fdsets, "<fdset type='quota' id='%u'/>\n", fdset);
}
