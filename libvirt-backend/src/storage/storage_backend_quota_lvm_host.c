/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_backend_quota_lvm_host.c: libvirt as the host of libquota-lvm-vg:
 * starts LVM's commands, and turns refusals into errors
 */

#include <config.h>

#include <fcntl.h>
#include <unistd.h>

#include "lvm-host.h"
#include "storage_backend_quota_lvm_internal.h"
#include "vircommand.h"
#include "virerror.h"
#include "virfile.h"
#include "virlog.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE

VIR_LOG_INIT("storage.storage_backend_quota_lvm_host");


/* libquota-lvm-vg waits for the child.  Its descriptors stay its own: virCommand
 * closes the input that it is given, but only if the child cannot be started. */
static pid_t
virQuotaHostStart(const char *const *argv,
                  int input,
                  int output,
                  int error)
{
    g_autoptr(virCommand) cmd = virCommandNewArgs(argv);
    int in = fcntl(input, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    pid_t pid;

    if (in < 0)
        return -errno;

    virCommandAddEnvPassCommon(cmd);
    virCommandAddEnvPair(cmd, "LVM_SUPPRESS_FD_WARNINGS", "1");
    virCommandSetInputFD(cmd, in);
    virCommandSetOutputFD(cmd, &output);
    virCommandSetErrorFD(cmd, &error);

    if (virCommandRunAsync(cmd, &pid) < 0) {
        virErrorPtr err = virGetLastError();
        int rc = err && err->code == VIR_ERR_SYSTEM_ERROR && err->int1 > 0 ?
            -err->int1 : -ECHILD;

        VIR_WARN("cannot run %s: %s", argv[0], virGetLastErrorMessage());
        virResetLastError();
        return rc;
    }

    VIR_FORCE_CLOSE(in);
    return pid;
}


static void
virQuotaHostWarn(const char *message)
{
    VIR_WARN("%s", message);
}


void
virQuotaHostInit(void)
{
    static const LvmHost host = {
        .start = virQuotaHostStart,
        .warn = virQuotaHostWarn,
    };

    lvm_host_set(&host);
}


static bool
virQuotaReportGroup(const LvmRefusal *why)
{
    switch ((int) why->why) {
    case LVM_WHY_LOCK:
        if (why->text) {
            virReportError(VIR_ERR_OPERATION_TIMEOUT,
                           _("volume group '%1$s' has been locked for %2$llu seconds by %3$s: check what that is waiting for"),
                           why->group, (unsigned long long) why->asked, why->text);
        } else {
            virReportSystemError(-why->error,
                                 _("cannot lock the quotas of volume group '%1$s' in %2$s"),
                                 why->group, QUOTA_LEDGER_DIR);
        }
        return true;
    case LVM_WHY_NO_GROUP:
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("volume group '%1$s' does not exist: make it with vgcreate, or name its devices in <source> and run pool-build"),
                       why->group);
        return true;
    case LVM_WHY_DEVICES_MISSING:
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("all devices of volume group '%1$s' are missing: see what pvs says"),
                       why->group);
        return true;
    case LVM_WHY_METADATA:
        if (why->error == -EBADMSG) {
            virReportError(VIR_ERR_OPERATION_FAILED,
                           _("LVM's metadata of volume group '%1$s' is not consistent on its devices: see what vgck says"),
                           why->group);
        } else {
            virReportSystemError(-why->error,
                                 _("cannot read LVM's metadata of volume group '%1$s' from its devices"),
                                 why->group);
        }
        return true;
    case LVM_WHY_EXPORTED:
        virReportError(VIR_ERR_OPERATION_INVALID,
                       _("volume group '%1$s' is exported: run vgimport first"),
                       why->group);
        return true;
    case LVM_WHY_COMMAND:
        virReportError(VIR_ERR_OPERATION_FAILED, _("%1$s failed: %2$s"),
                       why->name, why->text);
        return true;
    case LVM_WHY_SLOW:
        virReportError(VIR_ERR_OPERATION_TIMEOUT,
                       _("%1$s has not finished after %2$llu seconds: see whether a disk or a lock of LVM is stuck, and run pool-refresh when it has finished"),
                       why->name, (unsigned long long) why->asked);
        return true;
    case LVM_WHY_LEDGER:
        if (why->error == -EPROTONOSUPPORT) {
            virReportError(VIR_ERR_OPERATION_FAILED,
                           _("the ledger of tenant '%1$s' of volume group '%2$s' %3$s, and guests use it: restart libvirtd if it was not since an upgrade, or those guests after a downgrade"),
                           why->tenant, why->group,
                           quota_ledger_strerror(why->error));
        } else if (why->error == -ENOTCONN) {
            virReportError(VIR_ERR_OPERATION_FAILED,
                           _("the ledger of tenant '%1$s' of volume group '%2$s' %3$s: start quota-ledgerd.socket"),
                           why->tenant, why->group,
                           quota_ledger_strerror(why->error));
        } else {
            virReportSystemError(-why->error,
                                 _("cannot create the ledger of tenant '%1$s' of volume group '%2$s' in %3$s"),
                                 why->tenant, why->group, QUOTA_LEDGER_DIR);
        }
        return true;
    case LVM_WHY_EPOCH:
        if (why->error == -ETIMEDOUT) {
            virReportError(VIR_ERR_OPERATION_TIMEOUT,
                           _("a write to volume '%1$s' of tenant '%2$s' has been in flight for %3$llu seconds, so no snapshot was taken: check that its disks respond, and try again"),
                           why->name, why->tenant,
                           (unsigned long long) why->asked);
        } else {
            virReportSystemError(-why->error,
                                 _("cannot wait for the writes to volume '%1$s' of tenant '%2$s'"),
                                 why->name, why->tenant);
        }
        return true;
    default:
        return false;
    }
}


static bool
virQuotaReportLimits(const LvmRefusal *why)
{
    char asked[QUOTA_SIZE_MAX_BYTES];
    char limit[QUOTA_SIZE_MAX_BYTES];
    char thick[QUOTA_SIZE_MAX_BYTES];
    char grant[QUOTA_SIZE_MAX_BYTES];
    char room[QUOTA_SIZE_MAX_BYTES];
    char kept[QUOTA_SIZE_MAX_BYTES];
    char most[QUOTA_SIZE_MAX_BYTES];

    quota_size_format(why->asked, asked);
    quota_size_format(why->limit, limit);
    quota_size_format(why->thick, thick);
    quota_size_format(why->grant, grant);
    quota_size_format(why->room, room);
    quota_size_format(why->kept, kept);
    quota_size_format(why->most, most);

    switch ((int) why->why) {
    case LVM_WHY_BAD_LIMITS:
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED,
                       _("quota limit '%1$s' of tenant '%2$s' %3$s"),
                       why->name, why->tenant, why->text);
        return true;
    case LVM_WHY_BAD_TAG:
        virReportError(VIR_ERR_OPERATION_INVALID,
                       _("a limit among the tags of tenant '%1$s' in volume group '%2$s' cannot be read: set that limit again, see quota-lvm check"),
                       why->tenant, why->group);
        return true;
    case LVM_WHY_SMALL_LIMIT:
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED,
                       _("quota limit 'limit' of %1$s is less than an extent of the volume group, %2$s: raise it"),
                       limit, room);
        return true;
    case LVM_WHY_GUARANTEE:
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("volume group '%1$s' cannot keep the guarantee of %2$s for tenant '%3$s': %4$s are free and not kept for others, so it can have up to %5$s: lower another tenant's guarantee, or extend the group with vgextend"),
                       why->group, asked, why->tenant, room, most);
        return true;
    case LVM_WHY_OVERCOMMIT:
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("volume group '%1$s' allows limits of %2$llu%% of its size together: tenant '%3$s' can have a limit of up to %4$s, not %5$s: lower another tenant's limit, or raise the group's overcommit with quota-lvm set --group"),
                       why->group, (unsigned long long) why->percent,
                       why->tenant, most, asked);
        return true;
    case LVM_WHY_MAX_VOLUMES:
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("tenant '%1$s' is limited to %2$llu volumes in volume group '%3$s' and has %4$llu: delete a volume or raise max_volumes before creating '%5$s'"),
                       why->tenant, (unsigned long long) why->limit, why->group,
                       (unsigned long long) why->asked, why->name);
        return true;
    case LVM_WHY_TENANT_LIMIT:
        if (!why->name) {
            virReportError(VIR_ERR_OPERATION_FAILED,
                           _("tenant '%1$s' is limited to %2$s in volume group '%3$s': %4$s are used by thick volumes, which leaves no extent (%5$s) to a thin pool: raise the limit"),
                           why->tenant, limit, why->group, thick, asked);
            return true;
        }
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("tenant '%1$s' is limited to %2$s in volume group '%3$s': %4$s are used by thick volumes and %5$s granted to its thin pool, volume '%6$s' needs %7$s: raise the limit, or make the volume thin (allocation 0)"),
                       why->tenant, limit, why->group, thick, grant, why->name,
                       asked);
        return true;
    case LVM_WHY_GROUP_FULL:
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("volume group '%1$s' is full: it has %2$s free, volume '%3$s' of tenant '%4$s' needs %5$s: extend the group with vgextend"),
                       why->group, room, why->name, why->tenant, asked);
        return true;
    case LVM_WHY_GROUP_KEPT:
        if (!why->name) {
            virReportError(VIR_ERR_OPERATION_FAILED,
                           _("volume group '%1$s' is full: it has %2$s free and not guaranteed to others, the thin pool of tenant '%3$s' begins with %4$s: extend the group with vgextend"),
                           why->group, room, why->tenant, asked);
        } else {
            virReportError(VIR_ERR_OPERATION_FAILED,
                           _("volume group '%1$s' is full: it has %2$s free, of which %3$s are guaranteed to other tenants, volume '%4$s' of tenant '%5$s' needs %6$s: extend the group with vgextend"),
                           why->group, room, kept, why->name, why->tenant, asked);
        }
        return true;
    default:
        return false;
    }
}


static bool
virQuotaReportPool(const char *pool,
                   const LvmRefusal *why)
{
    switch ((int) why->why) {
    case LVM_WHY_NO_LIMIT:
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED,
                       _("volume group '%1$s' knows no limit of tenant '%2$s': add <quota:limits><quota:limit unit='GiB'>...</quota:limit></quota:limits> to pool '%3$s'"),
                       why->group, why->tenant, pool);
        return true;
    case LVM_WHY_NO_THIN_POOL:
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("volume group '%1$s' has no thin pool of tenant '%2$s': run pool-build for pool '%3$s' first"),
                       why->group, why->tenant, pool);
        return true;
    case LVM_WHY_HAS_THIN_POOL:
        virReportError(VIR_ERR_OPERATION_INVALID,
                       _("volume group '%1$s' has a thin pool of tenant '%2$s' already"),
                       why->group, why->tenant);
        return true;
    case LVM_WHY_HAS_VOLUMES:
        virReportError(VIR_ERR_OPERATION_INVALID,
                       _("tenant '%1$s' still has %2$llu volumes in volume group '%3$s', among them '%4$s': delete them with vol-delete first"),
                       why->tenant, (unsigned long long) why->asked, why->group,
                       why->other);
        return true;
    case LVM_WHY_ELSEWHERE:
        virReportError(VIR_ERR_OPERATION_INVALID,
                       _("thin pool '%1$s' of the shared volume group '%2$s' is not active on this host, and another one may have it: stop and start the pool on this host before allocating space"),
                       why->other, why->group);
        return true;
    default:
        return false;
    }
}


static bool
virQuotaReportOrigin(const LvmRefusal *why)
{
    char asked[QUOTA_SIZE_MAX_BYTES];
    char room[QUOTA_SIZE_MAX_BYTES];

    quota_size_format(why->asked, asked);
    quota_size_format(why->room, room);

    switch ((int) why->why) {
    case LVM_WHY_ORIGIN_LARGER:
        virReportError(VIR_ERR_INVALID_ARG,
                       _("volume '%1$s' of %2$s is smaller than '%3$s', which it begins with: give it at least %4$s (%5$llu bytes)"),
                       why->name, asked, why->other, room,
                       (unsigned long long) why->room);
        return true;
    case LVM_WHY_ORIGIN_FIXED:
        virReportError(VIR_ERR_OPERATION_UNSUPPORTED,
                       _("a snapshot of thick volume '%1$s' has its capacity, %2$s, not %3$s"),
                       why->other, room, asked);
        return true;
    case LVM_WHY_NO_COW_SPACE:
        virReportError(VIR_ERR_INVALID_ARG,
                       _("a snapshot of thick volume '%1$s' needs an allocation: the space for what changes while snapshot '%2$s' exists"),
                       why->other, why->name);
        return true;
    case LVM_WHY_BASE_IN_USE:
        virReportError(VIR_ERR_OPERATION_INVALID,
                       _("base image '%1$s' of volume group '%2$s' is in use, and LVM cannot clone it while it is open: stop what has it open"),
                       why->name, why->group);
        return true;
    case LVM_WHY_BASE_WRITABLE:
        virReportError(VIR_ERR_OPERATION_INVALID,
                       _("base image '%1$s' of volume group '%2$s' is writable, which would change volume '%3$s': make it read-only with lvchange --permission r"),
                       why->name, why->group, why->other);
        return true;
    case LVM_WHY_IS_BASE:
        virReportError(VIR_ERR_OPERATION_INVALID,
                       _("volume '%1$s' of tenant '%2$s' is the base image of '%3$s', which would be lost: delete that first"),
                       why->name, why->tenant, why->other);
        return true;
    default:
        return false;
    }
}


static bool
virQuotaReportVol(const LvmRefusal *why)
{
    char asked[QUOTA_SIZE_MAX_BYTES];
    char room[QUOTA_SIZE_MAX_BYTES];

    quota_size_format(why->asked, asked);
    quota_size_format(why->room, room);

    switch ((int) why->why) {
    case LVM_WHY_BAD_NAME:
        virReportError(VIR_ERR_INVALID_ARG, _("volume name '%1$s' %2$s"),
                       why->name, why->text);
        return true;
    case LVM_WHY_EXISTS:
        virReportError(VIR_ERR_STORAGE_VOL_EXIST,
                       _("tenant '%1$s' has a volume '%2$s' in volume group '%3$s' already: run pool-refresh to see it"),
                       why->tenant, why->name, why->group);
        return true;
    case LVM_WHY_TAKEN:
        virReportError(VIR_ERR_STORAGE_VOL_EXIST,
                       _("LV '%1$s' already exists in volume group '%2$s', without the tag of tenant '%3$s': choose another name, or see quota-lvm adopt"),
                       why->name, why->group, why->tenant);
        return true;
    case LVM_WHY_TOO_LARGE:
        virReportError(VIR_ERR_OVERFLOW,
                       _("capacity of %1$s of volume '%2$s' is too large"),
                       asked, why->name);
        return true;
    case LVM_WHY_NOT_SMALLER:
        virReportError(VIR_ERR_INVALID_ARG,
                       _("shrinking volume '%1$s' from %2$s to %3$s needs the shrink flag, and a size above zero"),
                       why->name, room, asked);
        return true;
    case LVM_WHY_IN_USE:
        virReportError(VIR_ERR_OPERATION_INVALID,
                       _("LV '%1$s' of tenant '%2$s' is in use: stop what has /dev/%3$s/%1$s open first"),
                       why->name, why->tenant, why->group);
        return true;
    case LVM_WHY_HAS_SNAPSHOT:
        virReportError(VIR_ERR_OPERATION_INVALID,
                       _("volume '%1$s' of tenant '%2$s' has the thick snapshot '%3$s', which would be lost: delete that first, or both with --delete-snapshots"),
                       why->name, why->tenant, why->other);
        return true;
    case LVM_WHY_SIZE_KEPT:
        virReportError(VIR_ERR_OPERATION_UNSUPPORTED,
                       _("volume '%1$s' has a thick snapshot, '%2$s', and LVM does not resize it meanwhile: delete the snapshot first"),
                       why->name, why->other);
        return true;
    case LVM_WHY_SIZE_OF_ORIGIN:
        virReportError(VIR_ERR_OPERATION_UNSUPPORTED,
                       _("volume '%1$s' is a thick snapshot: its capacity is that of '%2$s'"),
                       why->name, why->other);
        return true;
    case LVM_WHY_IS_SNAPSHOT:
        virReportError(VIR_ERR_OPERATION_UNSUPPORTED,
                       _("'%1$s' is itself a thick snapshot, and LVM makes no snapshots of those: copy it with vol-clone"),
                       why->name);
        return true;
    default:
        return false;
    }
}


/**
 * virQuotaReportRefusal:
 * @def: the pool that it is about, or NULL
 * @why: why something is not done
 *
 * Reports it as libvirt's error.
 */
void
virQuotaReportRefusal(virStoragePoolDef *def,
                      const LvmRefusal *why)
{
    const char *pool = def ? def->name : why->tenant;
    g_autofree char *words = NULL;

    if (virQuotaReportGroup(why) ||
        virQuotaReportLimits(why) ||
        virQuotaReportPool(pool, why) ||
        virQuotaReportOrigin(why) ||
        virQuotaReportVol(why))
        return;

    words = lvm_refusal_format(why);
    virReportError(VIR_ERR_OPERATION_FAILED, "%s", words);
}
