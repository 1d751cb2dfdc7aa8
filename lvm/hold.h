/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hold.h: a volume group while it is locked, and the one place where plans are
 * carried out.
 *
 *   hold = lvm_hold_new(group, tenant, "vol-create", &why)     lock
 *   lvm_hold_read(hold, &why)                                  read
 *   plan = lvm_plan_volume_create(hold->view, ..., &why)       decide
 *   lvm_hold_run(hold, plan, &why)    charge, run, read again, compare, publish
 *   lvm_hold_free(hold)                                        unlock
 *
 * Whoever is killed in between leaves a tenant charged for what it may not have
 * got, until LVM is read the next time, and never the reverse.
 */
#ifndef LVM_HOLD_H
#define LVM_HOLD_H

#include <quota-ledger.h>

#include "plan.h"

#pragma GCC visibility push(hidden)

typedef struct {
    char *group;
    char *tenant;               /* whose ledger is kept right; NULL: nobody's */
    int lock_fd;
    LvmGroup *view;             /* what LVM said last; NULL: not read yet */
    struct quota_ledger *ledger;    /* NULL: none yet */
    bool is_ledger_borrowed;
    bool makes_ledger;          /* one that is missing is made */
    bool has_grown;             /* the kernel says so, whatever LVM said then */
} LvmHold;

/*
 * lvm_hold_new: wait for the lock of @group, on behalf of @verb ("vol-create").
 * Nothing is read yet.  NULL with LVM_WHY_LOCK: it was not to be had in the host's
 * time; @why names the holder.
 */
LvmHold *lvm_hold_new(const char *group, const char *tenant, const char *verb,
                      LvmRefusal *why);
void lvm_hold_free(LvmHold *hold);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LvmHold, lvm_hold_free)

/* lvm_hold_borrow: use the caller's @ledger; ownership is not transferred. */
void lvm_hold_borrow(LvmHold *hold, struct quota_ledger *ledger);

/* lvm_hold_read: ask LVM anew, into hold->view.  A view from before is gone unless
 * the caller has a reference to it. */
bool lvm_hold_read(LvmHold *hold, LvmRefusal *why);

/* lvm_hold_tenant: the tenant in the view; NULL: it is not there. */
const LvmTenant *lvm_hold_tenant(const LvmHold *hold);

/* lvm_hold_check: what @plan needs is so now: its LVs are not in use, and no other
 * host decides by the same limit.  lvm_hold_run does it by itself. */
bool lvm_hold_check(LvmHold *hold, const LvmPlan *plan, LvmRefusal *why);

/* lvm_can_wait: the refusal is temporary: an LV is in use, or writes are in flight.
 * lvm_wait_ready: after such a refusal, wait some seconds for that; call it without a
 * group's lock.  True: @why is empty, try once more. */
bool lvm_can_wait(const LvmRefusal *why);
bool lvm_wait_ready(LvmRefusal *why);

/*
 * lvm_hold_run: carry @plan out, which must have been made from hold->view.  After
 * that the view and the ledger are what LVM says, whether the plan succeeded or
 * not; if it did not, what it made is gone again, as far as LVM allows.
 */
bool lvm_hold_run(LvmHold *hold, const LvmPlan *plan, LvmRefusal *why);

/* lvm_tenant_is_elsewhere: another host may have the tenant: its group is shared by
 * lvmlockd, and its thin pool is not active here. */
bool lvm_tenant_is_elsewhere(const LvmGroup *view, const LvmTenant *tenant);

/* lvm_hold_open_ledger: the tenant's, made first if the hold makes ledgers.
 * LVM_WHY_LEDGER. */
bool lvm_hold_open_ledger(LvmHold *hold, LvmRefusal *why);

/* lvm_hold_publish: put what LVM said last of the tenant into its ledger, if there
 * is one, and ask for a sample: writers that wait for a higher limit go on. */
void lvm_hold_publish(LvmHold *hold);

#pragma GCC visibility pop

#endif
