/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * storage_backend_quota_lvm.h: pools that hold one tenant's quota of a volume
 * group: what the storage driver needs to know of them
 */

#pragma once

int virStorageBackendQuotaLVMRegister(void);
