/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * thin-status.h: how full a thin pool, or a thin volume, is, as the kernel
 * counts it.
 *
 * Nothing is kept; a reading is one ioctl.  Functions return 0 or a negative
 * errno and may be called by any thread.
 */
#ifndef LVM_THIN_STATUS_H
#define LVM_THIN_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

struct thin_status {
    uint64_t used_blocks;       /* of data, each as large as a chunk */
    uint64_t total_blocks;
    uint64_t meta_used_blocks;  /* of metadata, each 4 KiB */
    uint64_t meta_total_blocks;
    uint64_t transaction;       /* LVM's count of its volumes made and removed */
    bool is_read_only;          /* metadata failed or is full */
    bool needs_check;           /* by thin_check, before it is writable again */
};

/* thin_status_is_metadata_short: 80 % of it are used.  The kernel keeps back
 * a tenth, at most 16 MiB, and takes no writes that need more. */
bool thin_status_is_metadata_short(const struct thin_status *status);

/* thin_status_init: have libdevmapper print nothing by itself; for programs whose
 * users do not want to see that.  Call once, before any thread is started. */
void thin_status_init(void);

/* thin_status_parse: from a status line's parameters.  -EINVAL: not the
 * status of a thin pool; -EIO: the pool has failed. */
int thin_status_parse(const char *params, struct thin_status *status);

/*
 * thin_status_read: of the device with this device-mapper UUID.  -ENODEV: no
 * such device, e.g. the pool is not active; else as thin_status_parse.
 *
 * The count has what was allocated until now, and no longer what was freed (by
 * a discard), although freed blocks are handed out again only after the pool's
 * next commit, up to a second later.  thin_status_read_exact has the pool
 * commit first, so that all that it does not count can be handed out; that
 * writes to the pool's metadata device and waits.
 */
int thin_status_read(const char *dm_uuid, struct thin_status *status);
int thin_status_read_exact(const char *dm_uuid, struct thin_status *status);

/* thin_status_parse_mapped: the bytes of a thin volume that are mapped, from a
 * status line's parameters.  -EINVAL, -EIO: as thin_status_parse. */
int thin_status_parse_mapped(const char *params, uint64_t *bytes);

/*
 * thin_status_read_lv: of a thin pool by its LV.  LVM puts the pool under a layer of
 * its own; one that never had a volume may be without.
 */
int thin_status_read_lv(const char *group, const char *lv,
                        struct thin_status *status);

/* thin_status_read_mapped: of a thin LV; what a snapshot shares with it counts as
 * its own.  -ENODEV: it is not active, or there is none; -EINVAL: not thin. */
int thin_status_read_mapped(const char *group, const char *lv, uint64_t *bytes);

/* thin_status_read_volume: the same, of a tenant's volume whose name is not to be
 * trusted, as it comes from a ledger: -EINVAL where it cannot be one. */
int thin_status_read_volume(const char *group, const char *tenant,
                            const char *volume, uint64_t *bytes);

/* thin_status_has_external_origin: chunks of a thin LV that are not mapped show
 * another device's data. */
bool thin_status_has_external_origin(const char *group, const char *lv);

#pragma GCC visibility pop

#endif
