/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qemu_quota.h: the 'quota' block filter above volumes of quota-lvm pools.
 *
 * The filter stands between the storage node and whatever is above it, so
 * that every byte that reaches the tenant's volume has passed it.  It is part
 * of the virStorageSource, not of the disk: an overlay, a mirror or a block
 * job above it changes nothing.
 */

#pragma once

#include <libxml/xpath.h>

#include "domain_conf.h"
#include "qemu_capabilities.h"
#include "qemu_domain.h"
#include "storage_source_conf.h"
#include "virbuffer.h"
#include "virjson.h"

const char *
qemuQuotaGetNodename(const virStorageSource *src);

const char *
qemuQuotaGetSliceParentNodename(const virStorageSource *src);

void
qemuQuotaPrepareNodename(virStorageSource *src,
                         const char *nodenameprefix);

void
qemuQuotaClearNodename(virStorageSource *src);

int
qemuQuotaValidateStorageSource(const virStorageSource *src,
                               virQEMUCaps *qemuCaps);

int
qemuQuotaValidateDisk(const virDomainDiskDef *disk);

int
qemuQuotaCheckZeroed(const virStorageSource *src);

int
qemuQuotaPrepareHostStorageSource(virStorageSource *src,
                                  qemuDomainObjPrivate *priv);

void
qemuQuotaRenewLedgers(virDomainObj *vm,
                      virDomainAsyncJob asyncJob);

virTristateBool
qemuQuotaGetDeviceAllocation(unsigned int maj,
                             unsigned int min);

virJSONValue *
qemuQuotaGetBlockdevProps(const virStorageSource *src);

int
qemuQuotaPrivateDataParse(xmlXPathContextPtr ctxt,
                          virStorageSource *src);

void
qemuQuotaPrivateDataFormat(const virStorageSource *src,
                           virBuffer *buf,
                           virBuffer *nodenames,
                           virBuffer *fdsets);
