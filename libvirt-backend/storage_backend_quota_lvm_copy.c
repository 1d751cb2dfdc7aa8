/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_backend_quota_lvm_copy.c: what libvirtd itself writes to volumes of
 * a tenant: copies, and what a wipe leaves
 */

#include <config.h>

#include "storage_backend_quota_lvm_internal.h"
#include "storage_util.h"
#include "viralloc.h"
#include "virerror.h"
#include "virstring.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE


int
virStorageBackendQuotaLVMBuildVolFrom(virStoragePoolObj *pool,
                                      virStorageVolDef *vol,
                                      virStorageVolDef *inputvol,
                                      unsigned int flags)
{
    virStorageBackendBuildVolFrom build_func;

    build_func = virStorageBackendGetBuildVolFromFunction(vol, inputvol);
    if (!build_func)
        return -1;

    return build_func(pool, vol, inputvol, flags);
}


int
virStorageBackendQuotaLVMWipeVol(virStoragePoolObj *pool,
                                 virStorageVolDef *vol,
                                 unsigned int algorithm,
                                 unsigned int flags)
{
    if (!vol->target.sparse)
        return virStorageBackendVolWipeLocal(pool, vol, algorithm, flags);

    /* Writing a pattern over a thin volume would first take all the space
     * that it never used.  Chunks that are freed are zeroed before anybody
     * gets to read them, so deleting it is as good. */
    virReportError(VIR_ERR_NO_SUPPORT,
                   _("volume '%1$s' is thin, volume wipe not supported: delete it instead"),
                   vol->target.path);
    return -1;
}
