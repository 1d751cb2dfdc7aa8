/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * storage_backend_quota_lvm_internal.h: what the files of the quota-lvm backend
 * share among each other
 *
 * LVM's tags are the truth about limits, LVM's metadata about volumes,
 * device-mapper's status about used bytes; nothing here keeps a copy for
 * longer than one verb of the storage driver takes.  What can be done in a
 * volume group is decided and done by libquota-lvm-vg; the files here are in
 * the order of what needs what.
 */

#pragma once

#include "hold.h"
#include "plans.h"
#include "storage_backend.h"
#include "storage_conf.h"

#define VIR_STORAGE_POOL_QUOTA_LVM_URI \
    "http://libvirt.org/schemas/storagepool/quota-lvm/1.0"

/* storage_backend_quota_lvm_layout.c: <quota:layout> */

int
virQuotaLayoutParse(xmlNodePtr node,
                    LvmLayout *layout);

void
virQuotaLayoutFormat(virBuffer *buf,
                     const LvmLayout *layout);

/* storage_backend_quota_lvm_conf.c: the definition's own namespace */

typedef struct _virQuotaPoolDef virQuotaPoolDef;
struct _virQuotaPoolDef {
    bool hasDefined;
    struct quota_limits defined;    /* as parsed, never changed */

    bool hasCurrent;
    struct quota_state current;     /* as LVM had it at the last look */

    bool hasLayout;
    LvmLayout layout;               /* of thick volumes to be made */
};

extern virXMLNamespace virQuotaPoolXMLNamespace;

const struct quota_limits *
virQuotaPoolDefGetLimits(virStoragePoolDef *def);

void
virQuotaPoolDefSetCurrent(virStoragePoolDef *def,
                          const struct quota_state *state);

const struct quota_state *
virQuotaPoolDefGetCurrent(virStoragePoolDef *def);

const LvmLayout *
virQuotaPoolDefGetLayout(virStoragePoolDef *def);

void
virQuotaPoolDefCopyLayout(virStoragePoolDef *def,
                          virStoragePoolDef *from);

/* storage_backend_quota_lvm_host.c: libvirt as the host of libquota-lvm-vg */

void
virQuotaHostInit(void);

void
virQuotaReportRefusal(virStoragePoolDef *def,
                      const LvmRefusal *why);

/* storage_backend_quota_lvm_tenant.c: a tenant under its group's lock */

typedef struct _virQuotaTenant virQuotaTenant;
struct _virQuotaTenant {
    virStoragePoolDef *def;         /* must outlive the tenant */
    const char *name;               /* belongs to def, as does the next */
    const char *group;
    LvmHold *hold;
};

virQuotaTenant *
virQuotaTenantLock(virStoragePoolDef *def,
                   const char *verb);

virQuotaTenant *
virQuotaTenantBegin(virStoragePoolDef *def,
                    const char *verb);

void
virQuotaTenantFree(virQuotaTenant *tenant);

/* A verb that takes long, by the name of its pool: set by virQuotaSlowBegin, ended
 * with its scope.  NULL: none. */
typedef char *virQuotaSlow;

int
virQuotaSlowBegin(virStoragePoolDef *def,
                  virQuotaSlow *slow);

void
virQuotaSlowEnd(virQuotaSlow *slow);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(virQuotaSlow, virQuotaSlowEnd);

void
virQuotaPoolLend(virStoragePoolObj *pool,
                 virStorageVolDef *vol);

void
virQuotaPoolTakeBack(virStoragePoolObj *pool,
                     virStorageVolDef *vol);

bool
virQuotaPoolWait(virStoragePoolObj *pool,
                 virStorageVolDef *vol,
                 LvmRefusal *why);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virQuotaTenant, virQuotaTenantFree);

int
virQuotaTenantRead(virQuotaTenant *tenant);

const LvmGroup *
virQuotaTenantView(virQuotaTenant *tenant);

const LvmTenant *
virQuotaTenantGet(virQuotaTenant *tenant);

const LvmLv *
virQuotaTenantFindVolume(virQuotaTenant *tenant,
                         const char *volume);

int
virQuotaTenantRequirePool(virQuotaTenant *tenant);

int
virQuotaTenantRun(virQuotaTenant *tenant,
                  LvmPlan *plan,
                  LvmRefusal *why);

int
virQuotaTenantDefine(virQuotaTenant *tenant,
                     virStoragePoolDef *newDef);

int
virQuotaTenantPublish(virQuotaTenant *tenant);

void
virQuotaPoolSetSizes(virStoragePoolDef *def,
                     const struct quota_state *state,
                     unsigned long long used);

void
virQuotaPoolRefreshSizes(virStoragePoolObj *pool);

/* storage_backend_quota_lvm_luks.c: what tells of encryption */

char *
virQuotaLuksFindTag(const LvmLv *lv);

char *
virQuotaLuksFormatTag(virStorageVolDef *vol,
                      int payload);

unsigned long long
virQuotaLuksGetHeader(const LvmLv *lv);

unsigned long long
virQuotaLuksGetNewHeader(virStorageVolDef *vol);

void
virQuotaLuksUpdate(virStorageVolDef *vol,
                   const LvmLv *lv);

int
virQuotaLuksCheck(virStorageVolDef *vol,
                  unsigned long long *header);

bool
virQuotaLuksIsSame(virStorageVolDef *a,
                   virStorageVolDef *b);

int
virQuotaLuksReadPayload(const char *path,
                        int *payload);

/* storage_backend_quota_lvm_vol.c: what a volume shows of its LV */

void
virQuotaVolSetProgress(virStorageVolDef *vol,
                       unsigned long long done);

void
virQuotaVolEndProgress(virStorageVolDef *vol,
                       bool failed);

void
virQuotaVolUpdateBacking(virStoragePoolDef *def,
                         virStorageVolDef *vol,
                         const LvmLv *lv);

void
virQuotaVolUpdate(virStoragePoolDef *def,
                  virStorageVolDef *vol,
                  const LvmLv *lv);

virStorageVolDef *
virQuotaVolNew(virStoragePoolDef *def,
               const LvmLv *lv);

const LvmLv *
virQuotaVolFindLV(virQuotaTenant *tenant,
                  virStorageVolDef *vol);

int
virQuotaVolRefresh(virStoragePoolObj *pool,
                   virStorageVolDef *vol);

/* storage_backend_quota_lvm_zero.c: no tenant reads another's old bytes */

int
virQuotaZeroDevice(const char *path,
                   unsigned long long from,
                   int flags);

bool
virQuotaZeroIsPending(const char *group,
                      const char *lv,
                      const char *uuid,
                      unsigned long long size);

int
virQuotaZeroBegin(virQuotaTenant *tenant,
                  const char *lv,
                  const char *uuid,
                  unsigned long long from);

void
virQuotaZeroTakeBack(virQuotaTenant *tenant,
                     const char *lv,
                     unsigned long long from);

int
virQuotaZeroMade(virQuotaTenant *tenant,
                 const LvmLv *lv);

int
virQuotaZeroVol(virStoragePoolDef *def,
                virStorageVolDef *vol,
                unsigned long long content);

void
virQuotaZeroEnd(virStoragePoolDef *def,
                virStorageVolDef *vol);

void
virQuotaZeroForget(const char *group,
                   const char *lv);

int
virQuotaZeroSettle(virQuotaTenant *tenant);

/* storage_backend_quota_lvm_write.c: libvirtd as a writer of a tenant */

typedef struct _virQuotaWriter virQuotaWriter;

virQuotaWriter *
virQuotaWriterNew(virStoragePoolDef *def,
                  virStorageVolDef *vol);

void
virQuotaWriterFree(virQuotaWriter *writer);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virQuotaWriter, virQuotaWriterFree);

int
virQuotaWriterReserve(virQuotaWriter *writer,
                      unsigned long long bytes);

int
virQuotaWriterBegin(virQuotaWriter *writer,
                    unsigned long long offset);

ssize_t
virQuotaWriterPut(virQuotaWriter *writer,
                  const char *data,
                  size_t bytes);

int
virQuotaWriterEnd(virQuotaWriter *writer);

unsigned long long
virQuotaWriterGetSize(virQuotaWriter *writer);

int
virQuotaWriterDiscardAll(virQuotaWriter *writer);

bool
virQuotaWriterIsExternal(virQuotaWriter *writer);

/* storage_backend_quota_lvm_format.c: encrypting new volumes */

int
virQuotaFormatTag(virStoragePoolObj *pool,
                  virStorageVolDef *vol,
                  int payload);

int
virQuotaFormatQemuImg(virStoragePoolObj *pool,
                      virStorageVolDef *vol,
                      virStorageVolDef *inputvol);

int
virQuotaFormatVol(virStoragePoolObj *pool,
                  virStorageVolDef *vol);

/* storage_backend_quota_lvm_build.c: from a device to a tenant's thin pool */

int
virQuotaPoolBuild(virStoragePoolObj *pool,
                  unsigned int flags);

/* storage_backend_quota_lvm_create.c: new volumes */

int
virQuotaVolCreate(virStoragePoolObj *pool,
                  virStorageVolDef *vol);

int
virQuotaVolCreateFrom(virStoragePoolObj *pool,
                      virStorageVolDef *vol,
                      virStorageVolDef *inputvol,
                      unsigned int flags);

int
virQuotaVolBuild(virStoragePoolObj *pool,
                 virStorageVolDef *vol,
                 unsigned int flags);

/* storage_backend_quota_lvm_resize.c */

int
virQuotaVolResize(virStoragePoolObj *pool,
                  virStorageVolDef *vol,
                  unsigned long long capacity,
                  unsigned int flags);

/* storage_backend_quota_lvm_delete.c */

int
virQuotaVolDelete(virStoragePoolObj *pool,
                  virStorageVolDef *vol,
                  unsigned int flags);

/* storage_backend_quota_lvm_copy.c: what libvirtd itself writes */

int
virQuotaVolDownload(virStoragePoolObj *pool,
                    virStorageVolDef *vol,
                    virStreamPtr stream,
                    unsigned long long offset,
                    unsigned long long length,
                    unsigned int flags);

int
virQuotaVolUpload(virStoragePoolObj *pool,
                  virStorageVolDef *vol,
                  virStreamPtr stream,
                  unsigned long long offset,
                  unsigned long long length,
                  unsigned int flags);

int
virQuotaVolBuildFrom(virStoragePoolObj *pool,
                     virStorageVolDef *vol,
                     virStorageVolDef *inputvol,
                     unsigned int flags);

int
virQuotaVolWipe(virStoragePoolObj *pool,
                virStorageVolDef *vol,
                unsigned int algorithm,
                unsigned int flags);
