/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rollback.h: `quota-lvm rollback`: give a volume the content of a snapshot.
 */
#ifndef QLVM_ROLLBACK_H
#define QLVM_ROLLBACK_H

#include <gio/gio.h>
#include <stdbool.h>

/* RollbackPlan: what a rollback is about, as LVM says. */
typedef struct {
    char *snapshot;             /* LVs */
    char *origin;
    bool is_thick;
} RollbackPlan;

void rollback_plan_free(RollbackPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RollbackPlan, rollback_plan_free)

/*
 * rollback_plan_parse: from what `lvs` printed, with ROLLBACK_FIELDS, of the
 * tenant's LVs.  NULL with an error that says why there is nothing to roll back
 * or why it cannot be done now.
 */
#define ROLLBACK_FIELDS "lv_name,origin,segtype,lv_attr,pool_lv,lv_tags"
RollbackPlan *rollback_plan_parse(const char *json, const char *tenant,
                                  const char *snapshot, GError **error);

/*
 * rollback_apply: under the group's lock.  The snapshot is used up: LVM merges
 * it into its origin.
 */
bool rollback_apply(const char *group, const char *tenant,
                    const char *snapshot, GError **error);

#endif
