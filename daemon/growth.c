/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * growth.c: grow a tenant's thin pool, in steps.
 *
 * No state: a process killed between any two lines leaves LVM and the kernel
 * right, and the next reading of them makes the ledger right.
 */
#include <errno.h>

#include "growth.h"
#include "plans.h"

/* growth_outcome_of: what became of it, by the reason of a refusal. */
static enum growth_outcome
growth_outcome_of(const LvmRefusal *why)
{
    if ((why->why == LVM_WHY_COMMAND && why->error == -EBUSY) ||
        (why->why == LVM_WHY_LOCK && why->error == -ETIMEDOUT))
        return GROWTH_BUSY;
    return GROWTH_FAILED;
}

/* Beside the data LVM may enlarge the pool's metadata and the group's spare, by an
 * amount that it alone knows: near the end of the group ask for less until it
 * fits. */
static enum growth_outcome
growth_extend(LvmHold *hold, uint64_t extents, uint64_t *added_bytes,
              LvmRefusal *why)
{
    for (; extents; extents /= 2) {
        g_autoptr(LvmPlan) plan = lvm_plan_pool_grow(hold->view, hold->tenant,
                                                     extents, why);

        if (plan && (lvm_hold_run(hold, plan, why) || hold->has_grown)) {
            *added_bytes = extents * hold->view->extent_bytes;
            return GROWTH_DONE;
        }
        if (why->why != LVM_WHY_COMMAND || why->error != -ENOSPC)
            return growth_outcome_of(why);
    }
    return GROWTH_SHORT;
}

enum growth_outcome
growth_run(const char *group, const char *tenant, const char *thin_dm_uuid,
           struct quota_ledger *ledger, const struct growth_need *need,
           uint64_t *added_bytes, LvmRefusal *why)
{
    g_autoptr(LvmHold) hold = lvm_hold_new(group, tenant, "grow", why);
    enum growth_outcome outcome;
    struct growth_plan plan;
    const LvmTenant *lvm;

    *added_bytes = 0;
    if (!hold)
        return growth_outcome_of(why);
    lvm_hold_borrow(hold, ledger);
    if (!lvm_hold_read(hold, why))
        return GROWTH_FAILED;
    lvm = lvm_hold_tenant(hold);
    if (!lvm)
        return GROWTH_GONE;
    if (!lvm_hold_open_ledger(hold, why))
        return GROWTH_FAILED;
    quota_state_publish(ledger, &lvm->state);
    if (g_strcmp0(lvm->thin_dm_uuid, thin_dm_uuid) != 0)
        return GROWTH_REPLACED;
    growth_decide(&lvm->state, lvm->extent_bytes, need, &plan);
    if (!lvm->thin_dm_uuid || plan.extents == 0)
        outcome = GROWTH_NOT_NEEDED;
    else
        outcome = growth_extend(hold, plan.extents, added_bytes, why);
    quota_doorbell_ring(ledger);
    return outcome;
}
