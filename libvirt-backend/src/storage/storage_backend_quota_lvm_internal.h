/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * storage_backend_quota_lvm_internal.h: what the files of the quota-lvm backend
 * share among each other
 *
 * LVM's tags are the truth about limits, LVM's metadata about volumes,
 * device-mapper's status about used bytes; nothing here keeps a copy for
 * longer than one verb of the storage driver takes.
 */

#pragma once

#include "quota-ledger.h"
#include "quota-metadata.h"
#include "storage_backend.h"
#include "storage_conf.h"
#include "vircommand.h"

#define VIR_STORAGE_POOL_QUOTA_LVM_URI \
    "http://libvirt.org/schemas/storagepool/quota-lvm/1.0"

typedef struct _virStorageBackendQuotaLVMLV virStorageBackendQuotaLVMLV;

/* storage_backend_quota_lvm_layout.c: how a thick volume lies on its devices */

typedef enum {
    VIR_STORAGE_BACKEND_QUOTA_LVM_LAYOUT_LINEAR = 0,
    VIR_STORAGE_BACKEND_QUOTA_LVM_LAYOUT_STRIPED,
    VIR_STORAGE_BACKEND_QUOTA_LVM_LAYOUT_RAID1,
    VIR_STORAGE_BACKEND_QUOTA_LVM_LAYOUT_RAID5,
    VIR_STORAGE_BACKEND_QUOTA_LVM_LAYOUT_RAID6,
    VIR_STORAGE_BACKEND_QUOTA_LVM_LAYOUT_RAID10,

    VIR_STORAGE_BACKEND_QUOTA_LVM_LAYOUT_LAST
} virStorageBackendQuotaLVMLayoutType;

VIR_ENUM_DECL(virStorageBackendQuotaLVMLayout);

typedef struct _virStorageBackendQuotaLVMLayout virStorageBackendQuotaLVMLayout;
struct _virStorageBackendQuotaLVMLayout {
    virStorageBackendQuotaLVMLayoutType type;
    unsigned int stripes;           /* of data; 0: as few as the type can have */
    unsigned int mirrors;           /* copies beside the first; 0: one */
    unsigned long long stripeSize;  /* 0: LVM's default */
};

int
virStorageBackendQuotaLVMLayoutGetSizes(const virStorageBackendQuotaLVMLayout *layout,
                                        unsigned long long extent,
                                        unsigned long long capacity,
                                        unsigned long long *logical,
                                        unsigned long long *physical);

void
virStorageBackendQuotaLVMLayoutOfLV(const virStorageBackendQuotaLVMLV *lv,
                                    virStorageBackendQuotaLVMLayout *layout);

void
virStorageBackendQuotaLVMLayoutAddArgs(const virStorageBackendQuotaLVMLayout *layout,
                                       virCommand *cmd);

int
virStorageBackendQuotaLVMLayoutParse(xmlNodePtr node,
                                     virStorageBackendQuotaLVMLayout *layout);

void
virStorageBackendQuotaLVMLayoutFormat(virBuffer *buf,
                                      const virStorageBackendQuotaLVMLayout *layout);

/* Tags of single LVs, beside those of the tenant and its limits */

/* Set by the operator: tenants of the group may make clones of this LV */
#define QUOTA_TAG_BASE QUOTA_TAG_PREFIX "base"
/* A thin volume that was made as a copy of its origin, not as a snapshot */
#define QUOTA_TAG_CLONE QUOTA_TAG_PREFIX "clone"

/* storage_backend_quota_lvm_conf.c: the definition's own namespace */

typedef struct _virStoragePoolQuotaLVMDef virStoragePoolQuotaLVMDef;
struct _virStoragePoolQuotaLVMDef {
    bool hasDefined;
    struct quota_limits defined;    /* as parsed, never changed */

    bool hasCurrent;
    struct quota_state current;     /* as LVM had it at the last look */

    bool hasLayout;
    virStorageBackendQuotaLVMLayout layout; /* of thick volumes to be made */
};

extern virXMLNamespace virStoragePoolQuotaLVMXMLNamespace;

const struct quota_limits *
virStorageBackendQuotaLVMGetLimits(virStoragePoolDef *def);

void
virStorageBackendQuotaLVMSetCurrent(virStoragePoolDef *def,
                                    const struct quota_state *state);

const struct quota_state *
virStorageBackendQuotaLVMGetCurrent(virStoragePoolDef *def);

const virStorageBackendQuotaLVMLayout *
virStorageBackendQuotaLVMGetLayout(virStoragePoolDef *def);

void
virStorageBackendQuotaLVMCopyLayout(virStoragePoolDef *def,
                                    virStoragePoolDef *from);

/* storage_backend_quota_lvm_lvm.c: asking LVM */

typedef struct _virStorageBackendQuotaLVMDevice virStorageBackendQuotaLVMDevice;
struct _virStorageBackendQuotaLVMDevice {
    char *path;
    char *group;                    /* NULL: in no volume group */
    unsigned long long nlvs;        /* of the whole group */
    unsigned long long npvs;
};

virCommand *
virStorageBackendQuotaLVMCommand(const char *program);

int
virStorageBackendQuotaLVMReadDevices(virStorageBackendQuotaLVMDevice **devices,
                                     size_t *ndevices);

void
virStorageBackendQuotaLVMFreeDevices(virStorageBackendQuotaLVMDevice *devices,
                                     size_t ndevices);

char *
virStorageBackendQuotaLVMFindPoolSources(const char *srcSpec,
                                         unsigned int flags);

/* storage_backend_quota_lvm_group.c: what LVM knows of a volume group */

typedef struct _virStorageBackendQuotaLVMGroupTenant virStorageBackendQuotaLVMGroupTenant;
struct _virStorageBackendQuotaLVMGroupTenant {
    GPtrArray *lvs;                 /* visible and with the tenant's tag */
    struct quota_state state;       /* all of lvs, charged */
};

typedef struct _virStorageBackendQuotaLVMGroup virStorageBackendQuotaLVMGroup;
struct _virStorageBackendQuotaLVMGroup {
    struct quota_metadata *metadata;
    const struct quota_metadata_group *now; /* belongs to metadata */
    GHashTable *tenants;            /* those of now: by name,
                                       virStorageBackendQuotaLVMGroupTenant */
};

GHashTable *
virStorageBackendQuotaLVMGroupSort(const struct quota_metadata_group *group);

const virStorageBackendQuotaLVMGroup *
virStorageBackendQuotaLVMGroupRead(const char *group);

/* storage_backend_quota_lvm_report.c: what LVM says of a tenant */

struct _virStorageBackendQuotaLVMLV {
    char *name;                     /* <tenant>.<volume> */
    const char *volume;             /* points into name; NULL: tagged, but not
                                       named as a volume of the tenant */
    char *uuid;
    char *segtype;
    char *tags;
    char *origin;                   /* of a snapshot or clone, any LV of the
                                       group; NULL: none, or removed */
    unsigned long long originSize;  /* of a thick snapshot: its capacity */
    char *pool;                     /* thin pool of a thin volume, or NULL */
    unsigned int dataStripes;       /* of a striped or raid LV */
    unsigned int dataCopies;
    unsigned long long size;
    unsigned long long physicalSize;    /* of the group, with all its parts */
    unsigned long long chunkSize;
    unsigned long long metadataSize;
    bool readOnly;
};

typedef struct _virStorageBackendQuotaLVMReport virStorageBackendQuotaLVMReport;
struct _virStorageBackendQuotaLVMReport {
    unsigned long long extentSize;
    virStorageBackendQuotaLVMLV *lvs;
    size_t nlvs;
    virStorageBackendQuotaLVMLV *thinPool;  /* points into lvs, may be NULL */
    struct quota_state state;               /* all of lvs, charged */
    struct quota_group others;              /* promised to other tenants */
    char *definition;                       /* digest last applied, may be NULL */
    bool isShared;                          /* with other hosts, by lvmlockd */
    GHashTable *volumes;                    /* of lvs, by the volume's name */
};

void
virStorageBackendQuotaLVMFillReport(const virStorageBackendQuotaLVMGroup *group,
                                    const char *tenant,
                                    virStorageBackendQuotaLVMReport *report);

int
virStorageBackendQuotaLVMReadReport(const char *group,
                                    const char *tenant,
                                    virStorageBackendQuotaLVMReport *report);

int
virStorageBackendQuotaLVMReadWholeGroup(const char *group,
                                        const char *tenant,
                                        virStorageBackendQuotaLVMReport *report);

void
virStorageBackendQuotaLVMClearReport(virStorageBackendQuotaLVMReport *report);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(virStorageBackendQuotaLVMReport,
                                 virStorageBackendQuotaLVMClearReport);

virStorageBackendQuotaLVMLV *
virStorageBackendQuotaLVMFindName(virStorageBackendQuotaLVMReport *report,
                                  const char *name);

bool
virStorageBackendQuotaLVMHasTag(const virStorageBackendQuotaLVMLV *lv,
                                const char *tag);

virStorageBackendQuotaLVMLV *
virStorageBackendQuotaLVMFindVolume(virStorageBackendQuotaLVMReport *report,
                                    const char *volume);

/* storage_backend_quota_lvm_status.c: what device-mapper says */

bool
virStorageBackendQuotaLVMIsActive(const char *group,
                                  const char *lv,
                                  bool *inUse);

int
virStorageBackendQuotaLVMGetPoolUsed(const char *group,
                                     const char *lv,
                                     unsigned long long chunkSize,
                                     unsigned long long *used,
                                     unsigned long long *size);

unsigned long long
virStorageBackendQuotaLVMGetThinMapped(const char *group,
                                       const char *lv);

bool
virStorageBackendQuotaLVMIsInUse(const char *group,
                                 const char *lv);

bool
virStorageBackendQuotaLVMHasExternalOrigin(const char *group,
                                           const char *lv);

/* storage_backend_quota_lvm_tenant.c: a tenant under its group's lock */

typedef struct _virStorageBackendQuotaLVMTenant virStorageBackendQuotaLVMTenant;
struct _virStorageBackendQuotaLVMTenant {
    const char *group;              /* both belong to the pool's definition */
    const char *name;
    int lock;                       /* of the group, -1: not held */
    struct quota_ledger *ledger;    /* NULL until something was published */
    virStorageBackendQuotaLVMReport report;
};

virStorageBackendQuotaLVMTenant *
virStorageBackendQuotaLVMTenantLock(virStoragePoolDef *def);

void
virStorageBackendQuotaLVMTenantFree(virStorageBackendQuotaLVMTenant *tenant);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virStorageBackendQuotaLVMTenant,
                              virStorageBackendQuotaLVMTenantFree);

int
virStorageBackendQuotaLVMTenantRun(virStorageBackendQuotaLVMTenant *tenant,
                                   virCommand *cmd,
                                   int *status);

int
virStorageBackendQuotaLVMTenantRead(virStorageBackendQuotaLVMTenant *tenant);

int
virStorageBackendQuotaLVMTenantRequirePool(virStorageBackendQuotaLVMTenant *tenant,
                                           virStoragePoolDef *def);

int
virStorageBackendQuotaLVMTenantCheckPromises(virStorageBackendQuotaLVMTenant *tenant,
                                             const struct quota_limits *limits);

int
virStorageBackendQuotaLVMTenantCheckNew(virStorageBackendQuotaLVMTenant *tenant,
                                        const char *volume);

int
virStorageBackendQuotaLVMTenantDefine(virStorageBackendQuotaLVMTenant *tenant,
                                      virStoragePoolDef *def,
                                      virStoragePoolDef *newDef);

void
virStorageBackendQuotaLVMTenantGrowMetadata(virStorageBackendQuotaLVMTenant *tenant,
                                            unsigned long long shared);

int
virStorageBackendQuotaLVMTenantOpenLedger(virStorageBackendQuotaLVMTenant *tenant);

int
virStorageBackendQuotaLVMTenantPublish(virStorageBackendQuotaLVMTenant *tenant,
                                       virStoragePoolDef *def);

int
virStorageBackendQuotaLVMTenantCharge(virStorageBackendQuotaLVMTenant *tenant,
                                      const char *volume,
                                      unsigned long long bytes);

void
virStorageBackendQuotaLVMUpdateSizes(virStoragePoolDef *def,
                                     const struct quota_state *state,
                                     unsigned long long used);

void
virStorageBackendQuotaLVMRefreshPoolSizes(virStoragePoolObj *pool);

/* storage_backend_quota_lvm_build.c: from a device to a tenant's thin pool */

unsigned long long
virStorageBackendQuotaLVMGetMetadataSize(unsigned long long limit,
                                         unsigned long long chunk);

int
virStorageBackendQuotaLVMBuildPool(virStoragePoolObj *pool,
                                   unsigned int flags);

/* storage_backend_quota_lvm_vol.c: volumes */

void
virStorageBackendQuotaLVMVolUpdateBacking(virStoragePoolDef *def,
                                          virStorageVolDef *vol,
                                          virStorageBackendQuotaLVMLV *lv);

void
virStorageBackendQuotaLVMVolUpdate(virStoragePoolDef *def,
                                   virStorageVolDef *vol,
                                   virStorageBackendQuotaLVMLV *lv);

virStorageVolDef *
virStorageBackendQuotaLVMVolNew(virStoragePoolDef *def,
                                virStorageBackendQuotaLVMLV *lv);

virStorageBackendQuotaLVMLV *
virStorageBackendQuotaLVMFindLV(virStorageBackendQuotaLVMTenant *tenant,
                                virStorageVolDef *vol);

virStorageBackendQuotaLVMTenant *
virStorageBackendQuotaLVMVolBegin(virStoragePoolDef *def);

int
virStorageBackendQuotaLVMVolEnd(virStorageBackendQuotaLVMTenant *tenant,
                                virStoragePoolDef *def);

int
virStorageBackendQuotaLVMRoundUp(virStorageBackendQuotaLVMTenant *tenant,
                                 virStorageVolDef *vol,
                                 unsigned long long capacity,
                                 const virStorageBackendQuotaLVMLayout *layout,
                                 unsigned long long *bytes,
                                 unsigned long long *physical);

int
virStorageBackendQuotaLVMRemoveLV(virStorageBackendQuotaLVMTenant *tenant,
                                  const char *name);

int
virStorageBackendQuotaLVMRefreshVol(virStoragePoolObj *pool,
                                    virStorageVolDef *vol);

int
virStorageBackendQuotaLVMResizeVol(virStoragePoolObj *pool,
                                   virStorageVolDef *vol,
                                   unsigned long long capacity,
                                   unsigned int flags);

/* storage_backend_quota_lvm_snapshot.c: volumes that begin with another's
 * content, and what depends on what */

bool
virStorageBackendQuotaLVMIsThin(const virStorageBackendQuotaLVMLV *lv);

bool
virStorageBackendQuotaLVMIsThickSnapshot(const virStorageBackendQuotaLVMLV *lv);

virStorageBackendQuotaLVMLV *
virStorageBackendQuotaLVMFindThickSnapshot(virStorageBackendQuotaLVMTenant *tenant,
                                           const virStorageBackendQuotaLVMLV *lv);

int
virStorageBackendQuotaLVMFindOrigin(virStorageBackendQuotaLVMTenant *tenant,
                                    virStoragePoolDef *def,
                                    virStorageVolDef *vol,
                                    const char *path,
                                    virStorageBackendQuotaLVMLV **origin,
                                    virStorageBackendQuotaLVMReport *whole);

int
virStorageBackendQuotaLVMCreateSnapshot(virStorageBackendQuotaLVMTenant *tenant,
                                        virStorageVolDef *vol,
                                        virStorageBackendQuotaLVMLV *origin,
                                        const char *name,
                                        bool clone);

int
virStorageBackendQuotaLVMCreateVolFrom(virStoragePoolObj *pool,
                                       virStorageVolDef *vol,
                                       virStorageVolDef *inputvol,
                                       unsigned int flags);

/* storage_backend_quota_lvm_delete.c */

int
virStorageBackendQuotaLVMDeleteVol(virStoragePoolObj *pool,
                                   virStorageVolDef *vol,
                                   unsigned int flags);

/* storage_backend_quota_lvm_create.c: new volumes */

int
virStorageBackendQuotaLVMCheckNewVol(virStoragePoolDef *def,
                                     virStorageVolDef *vol);

void
virStorageBackendQuotaLVMCreateUndo(virStorageBackendQuotaLVMTenant *tenant,
                                    virStoragePoolDef *def,
                                    virStorageVolDef *vol);

int
virStorageBackendQuotaLVMCreateEnd(virStorageBackendQuotaLVMTenant *tenant,
                                   virStoragePoolDef *def,
                                   virStorageVolDef *vol);

int
virStorageBackendQuotaLVMCreateVol(virStoragePoolObj *pool,
                                   virStorageVolDef *vol);

int
virStorageBackendQuotaLVMBuildVol(virStoragePoolObj *pool,
                                  virStorageVolDef *vol,
                                  unsigned int flags);

/* storage_backend_quota_lvm_zero.c: no tenant reads another's old bytes */

int
virStorageBackendQuotaLVMZeroDevice(const char *path,
                                    unsigned long long from,
                                    int flags);

int
virStorageBackendQuotaLVMZeroBegin(virStorageBackendQuotaLVMTenant *tenant,
                                   const char *lv,
                                   const char *uuid,
                                   unsigned long long from);

int
virStorageBackendQuotaLVMZeroMade(virStorageBackendQuotaLVMTenant *tenant,
                                  virStorageBackendQuotaLVMLV *lv);

int
virStorageBackendQuotaLVMZeroVol(virStoragePoolDef *def,
                                 virStorageVolDef *vol,
                                 unsigned long long content);

void
virStorageBackendQuotaLVMZeroEnd(virStoragePoolDef *def,
                                 virStorageVolDef *vol);

void
virStorageBackendQuotaLVMZeroForget(const char *group,
                                    const char *lv);

int
virStorageBackendQuotaLVMZeroSettle(virStorageBackendQuotaLVMTenant *tenant);

/* storage_backend_quota_lvm_luks.c: encrypted volumes */

char *
virStorageBackendQuotaLVMLuksFindTag(const virStorageBackendQuotaLVMLV *lv);

unsigned long long
virStorageBackendQuotaLVMLuksGetHeader(const virStorageBackendQuotaLVMLV *lv);

void
virStorageBackendQuotaLVMLuksUpdate(virStorageVolDef *vol,
                                    const virStorageBackendQuotaLVMLV *lv);

int
virStorageBackendQuotaLVMLuksCheck(virStorageVolDef *vol);

bool
virStorageBackendQuotaLVMLuksIsSame(virStorageVolDef *a,
                                    virStorageVolDef *b);

unsigned long long
virStorageBackendQuotaLVMLuksGetNewHeader(virStorageVolDef *vol);

int
virStorageBackendQuotaLVMLuksTag(virStoragePoolObj *pool,
                                 virStorageVolDef *vol,
                                 int payload);

int
virStorageBackendQuotaLVMLuksQemuImg(virStoragePoolObj *pool,
                                     virStorageVolDef *vol,
                                     virStorageVolDef *inputvol);

int
virStorageBackendQuotaLVMLuksFormat(virStoragePoolObj *pool,
                                    virStorageVolDef *vol);

/* storage_backend_quota_lvm_write.c: libvirtd as a writer of a tenant */

typedef struct _virStorageBackendQuotaLVMWriter virStorageBackendQuotaLVMWriter;

virStorageBackendQuotaLVMWriter *
virStorageBackendQuotaLVMWriterNew(virStoragePoolDef *def,
                                   virStorageVolDef *vol);

void
virStorageBackendQuotaLVMWriterFree(virStorageBackendQuotaLVMWriter *writer);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virStorageBackendQuotaLVMWriter,
                              virStorageBackendQuotaLVMWriterFree);

int
virStorageBackendQuotaLVMWriterReserve(virStorageBackendQuotaLVMWriter *writer,
                                       unsigned long long bytes);

int
virStorageBackendQuotaLVMWriterBegin(virStorageBackendQuotaLVMWriter *writer,
                                     unsigned long long offset);

ssize_t
virStorageBackendQuotaLVMWriterPut(virStorageBackendQuotaLVMWriter *writer,
                                   const char *data,
                                   size_t bytes);

int
virStorageBackendQuotaLVMWriterEnd(virStorageBackendQuotaLVMWriter *writer);

unsigned long long
virStorageBackendQuotaLVMWriterGetSize(virStorageBackendQuotaLVMWriter *writer);

int
virStorageBackendQuotaLVMWriterDiscardAll(virStorageBackendQuotaLVMWriter *writer);

bool
virStorageBackendQuotaLVMWriterIsExternal(virStorageBackendQuotaLVMWriter *writer);

/* storage_backend_quota_lvm_copy.c: what libvirtd itself writes */

bool
virStorageBackendQuotaLVMGetProgress(const char *path,
                                     unsigned long long *allocation);

int
virStorageBackendQuotaLVMUploadVol(virStoragePoolObj *pool,
                                   virStorageVolDef *vol,
                                   virStreamPtr stream,
                                   unsigned long long offset,
                                   unsigned long long length,
                                   unsigned int flags);

int
virStorageBackendQuotaLVMBuildVolFrom(virStoragePoolObj *pool,
                                      virStorageVolDef *vol,
                                      virStorageVolDef *inputvol,
                                      unsigned int flags);

int
virStorageBackendQuotaLVMWipeVol(virStoragePoolObj *pool,
                                 virStorageVolDef *vol,
                                 unsigned int algorithm,
                                 unsigned int flags);
