/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plans.h: what can be done in a volume group, each as a pure function of a view.
 *
 * Every function returns a plan to be freed, or NULL with the reason in @why.
 * @tenant must be in the view, with a thin pool, unless a function says otherwise.
 * Sizes are in bytes.  Commands that fail half way leave nothing that the next
 * reader does not understand: what exists is charged.
 */
#ifndef LVM_PLANS_H
#define LVM_PLANS_H

#include <quota-limits.h>

#include "layout.h"
#include "plan.h"

#pragma GCC visibility push(hidden)

/* ---- checks that several plans have (plan-check.c) ----------------------- */

/* lvm_check_tenant: the tenant, if it has a thin pool; else NULL with @why. */
const LvmTenant *lvm_check_tenant(const LvmGroup *view, const char *tenant,
                                  LvmRefusal *why);

/* lvm_plan_check_tags: all its limits can be read: one that cannot may be the one that
 * applies. */
bool lvm_plan_check_tags(const LvmGroup *view, const LvmTenant *own,
                         LvmRefusal *why);

/* lvm_plan_check_max_volumes: its limits allow one more, which is called @name in the
 * refusal (may be NULL). */
bool lvm_plan_check_max_volumes(const LvmGroup *view, const LvmTenant *own,
                                const char *name, LvmRefusal *why);

/* lvm_plan_check_new: the tenant may have one more volume, called @volume, which
 * becomes the LV @lv (NULL: of no interest).  @why is for lvm_refusal_about. */
bool lvm_plan_check_new(const LvmGroup *view, const char *tenant,
                        const char *volume, char lv[QUOTA_LV_MAX_BYTES + 1],
                        LvmRefusal *why);

/* lvm_plan_check_growth: the tenant's limit and the group have room for @bytes, as
 * thick. */
bool lvm_plan_check_growth(const LvmGroup *view, const char *tenant,
                           uint64_t bytes, LvmRefusal *why);

/* lvm_plan_check_sizes: what a volume of @capacity will hold, in whole extents on
 * each leg, and take of the group; @layout NULL: linear. */
bool lvm_plan_check_sizes(const LvmGroup *view, const char *tenant,
                          const LvmLayout *layout, uint64_t capacity,
                          uint64_t *bytes, uint64_t *physical,
                          LvmRefusal *why);

/* ---- volumes (plan-volume.c) --------------------------------------------- */

/* lvm_plan_volume_create: a volume of at least @bytes; @layout NULL: thin. */
LvmPlan *lvm_plan_volume_create(const LvmGroup *view, const char *tenant,
                                const char *volume, uint64_t bytes,
                                const LvmLayout *layout, LvmRefusal *why);

typedef enum {
    LVM_RESIZE_SHRINK = 1 << 0, /* may become smaller */
} LvmResizeFlags;

/* lvm_plan_volume_resize: to @bytes, rounded up to whole extents; without a step
 * when it has that size. */
LvmPlan *lvm_plan_volume_resize(const LvmGroup *view, const char *tenant,
                                const LvmLv *lv, uint64_t bytes, unsigned flags,
                                LvmRefusal *why);

/* lvm_plan_volume_remove: with its snapshots, or (false) only if it has none that
 * would be lost. */
LvmPlan *lvm_plan_volume_remove(const LvmGroup *view, const char *tenant,
                                const LvmLv *lv, bool with_snapshots,
                                LvmRefusal *why);

/* lvm_plan_volume_cut: take back what is beyond @bytes of an LV that was never
 * given to anybody in full; 0: all of it. */
LvmPlan *lvm_plan_volume_cut(const LvmGroup *view, const char *tenant,
                             const LvmLv *lv, uint64_t bytes);

/* lvm_plan_volume_tag: put a tag on a volume. */
LvmPlan *lvm_plan_volume_tag(const LvmGroup *view, const char *tenant,
                             const LvmLv *lv, const char *tag);

/* ---- volumes that begin with another's content (plan-copy.c) -------------- */

typedef struct {
    const char *volume;
    const LvmLv *origin;        /* the tenant's, or tagged as a base image */
    uint64_t bytes;             /* 0: its origin's */
    uint64_t cow_bytes;         /* of a thick snapshot, for copies of what
                                   changes; UINT64_MAX: for all */
    uint64_t mapped_bytes;      /* of all thin volumes of the tenant, with
                                   this one */
    bool is_clone;              /* a volume in its own right */
    bool is_active;             /* the base image is */
    const char *tag;            /* of the origin, to be kept; NULL */
} LvmCopySpec;

/* lvm_plan_copy: a thin snapshot or clone, a thick snapshot, or a thin clone of
 * a base image, whichever the origin allows. */
LvmPlan *lvm_plan_copy(const LvmGroup *view, const char *tenant,
                       const LvmCopySpec *spec, LvmRefusal *why);

/* lvm_copy_is_instant: a copy of @origin for the tenant shares its chunks. */
bool lvm_copy_is_instant(const LvmGroup *view, const char *tenant,
                         const LvmLv *origin);

/* lvm_plan_rollback: give the origin of snapshot @volume its content back; the
 * snapshot is used up. */
LvmPlan *lvm_plan_rollback(const LvmGroup *view, const char *tenant,
                           const char *volume, LvmRefusal *why);

/* ---- thin pools, and limits (plan-pool.c) -------------------------------- */

/* lvm_plan_group: make group @name on @devices, or (@exists) extend it by them.
 * @view: NULL if there is no such group yet. */
LvmPlan *lvm_plan_group(const LvmGroup *view, const char *name, bool exists,
                        const char *const *devices);

/* lvm_plan_group_clear: remove a group that has no LVs. */
LvmPlan *lvm_plan_group_clear(const char *name);

/* lvm_pool_metadata_bytes: what a thin pool needs to reach @limit. */
uint64_t lvm_pool_metadata_bytes(uint64_t limit_bytes, uint64_t chunk_bytes);

/*
 * lvm_plan_add_pool_metadata: a step that makes the metadata of the tenant's thin
 * pool large enough for @limit_bytes, if it is not.  Where the group has no room,
 * the rest of the plan is done all the same: the metadata is full later than now
 * in any case, and quota-lvmd warns before.
 */
void lvm_plan_add_pool_metadata(LvmPlan *plan, const LvmTenant *own,
                                uint64_t limit_bytes);

/* lvm_plan_pool_build: the thin pool of a tenant that has none; the tenant need
 * not be in the view. */
LvmPlan *lvm_plan_pool_build(const LvmGroup *view, const char *tenant,
                             const struct quota_limits *limits,
                             LvmRefusal *why);

/* lvm_plan_pool_grow: by @extents, which the caller has decided. */
LvmPlan *lvm_plan_pool_grow(const LvmGroup *view, const char *tenant,
                            uint64_t extents, LvmRefusal *why);

/* lvm_plan_pool_remove: refused while the tenant has volumes; without a step if
 * it has no thin pool. */
LvmPlan *lvm_plan_pool_remove(const LvmGroup *view, const char *tenant,
                              LvmRefusal *why);

/*
 * lvm_plan_activate: LVs of the tenant, in this order.  A thin pool is not checked when
 * it is deactivated, and not when it is activated if it @is_checked already.
 * lvm_plan_activate_metadata: the metadata alone, read only, of the tenant's thin pool,
 * which is not active.
 */
LvmPlan *lvm_plan_activate_metadata(const LvmGroup *view, const char *tenant, bool on);
LvmPlan *lvm_plan_activate(const LvmGroup *view, const char *tenant, bool on,
                           bool is_checked,
                           const char *const *lvs);

/* lvm_plan_check_limits: the group can keep what @limits promise. */
bool lvm_plan_check_limits(const LvmGroup *view, const char *tenant,
                           const struct quota_limits *limits, LvmRefusal *why);

/* lvm_plan_limits_set: @definition is the digest of what libvirt has applied
 * (NULL: it stays).  @is_given has a member for each of quota_limit_fields: who
 * changes only these is refused while the tag of another cannot be read, or it would
 * be gone (NULL: all are given).  Without a step when nothing changes. */
LvmPlan *lvm_plan_limits_set(const LvmGroup *view, const char *tenant,
                             const struct quota_limits *limits,
                             const bool *is_given, const char *definition,
                             LvmRefusal *why);

/* lvm_plan_overcommit_set: how many percent of the group's size its tenants'
 * limits may promise together; 0: any. */
LvmPlan *lvm_plan_overcommit_set(const LvmGroup *view, uint64_t percent);

/* ---- owners (plan-owner.c) ----------------------------------------------- */

/* lvm_plan_adopt: LV @name becomes a volume of the tenant, called @volume (NULL:
 * as it is).  Again after a power cut, it completes what was begun. */
LvmPlan *lvm_plan_adopt(const LvmGroup *view, const char *name,
                        const char *tenant, const char *volume,
                        LvmRefusal *why);

/* lvm_plan_release: a volume becomes an LV of no tenant, called @name (NULL: as
 * the volume). */
LvmPlan *lvm_plan_release(const LvmGroup *view, const char *tenant,
                          const char *volume, const char *name,
                          LvmRefusal *why);

#pragma GCC visibility pop

#endif
