/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * growth.c: grow a tenant's thin pool, one step at a time.
 *
 * No state: a process killed between any two lines leaves LVM and the kernel
 * right, and the next reading of them makes the ledger right.
 */
#include <gio/gio.h>

#include "growth.h"
#include "lvm.h"
#include "thin-status.h"

void
growth_decide(const struct quota_state *state, uint64_t extent_bytes,
              uint64_t used_bytes, uint64_t demand_bytes,
              struct growth_plan *plan)
{
    uint64_t step = state->limits.step_bytes ? state->limits.step_bytes
                                             : QUOTA_STEP_DEFAULT_BYTES;
    uint64_t room = state->grant_bytes > used_bytes
        ? state->grant_bytes - used_bytes : 0;
    uint64_t can, need;

    plan->extents = 0;
    plan->reason = QUOTA_REASON_NONE;
    can = quota_state_can_grow(state, &plan->reason);
    can = extent_bytes ? can / extent_bytes : 0;
    if (can == 0)
        return;                 /* the reason says which of the two is short */

    plan->reason = QUOTA_REASON_NONE;
    if (room >= step / 2 && room >= demand_bytes)
        return;

    need = step;
    if (demand_bytes > room && demand_bytes - room > need)
        need = demand_bytes - room;
    plan->extents = MIN(can, need / extent_bytes + (need % extent_bytes != 0));
}

/*
 * The kernel is asked before LVM: it is the one that serves the writers, it
 * answers at once, and an `lvs` would keep them waiting.
 */
static void
growth_publish_grant(struct quota_ledger *ledger, LvmTenant *lvm,
                     uint64_t added_bytes)
{
    struct thin_status status;

    if (thin_status_read(lvm->thin_dm_uuid, &status) < 0)
        return;
    lvm->state.grant_bytes = status.total_blocks * lvm->state.chunk_bytes;
    lvm->state.group_free_bytes -= MIN(added_bytes,
                                       lvm->state.group_free_bytes);
    quota_state_publish(ledger, &lvm->state);
    quota_doorbell_ring(ledger);
}

enum growth_outcome
growth_run(const char *group, const char *tenant, struct quota_ledger *ledger,
           uint64_t used_bytes, uint64_t demand_bytes,
           uint64_t *added_bytes, GError **error)
{
    g_autoptr(LvmTenant) lvm = NULL;
    g_autoptr(LvmTenant) after = NULL;
    g_autoptr(GError) failure = NULL;
    enum growth_outcome outcome = GROWTH_FAILED;
    struct growth_plan plan;
    int lock_fd;

    *added_bytes = 0;
    lock_fd = quota_group_lock(group);
    if (lock_fd < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(-lock_fd),
                    "cannot lock the group: %s", g_strerror(-lock_fd));
        return GROWTH_FAILED;
    }

    lvm = lvm_tenant_read(group, tenant, &failure);
    if (!lvm) {
        outcome = failure ? GROWTH_FAILED : GROWTH_GONE;
        goto out;
    }
    quota_state_publish(ledger, &lvm->state);
    growth_decide(&lvm->state, lvm->extent_bytes, used_bytes, demand_bytes,
                  &plan);
    if (!lvm->thin_dm_uuid || plan.extents == 0) {
        outcome = GROWTH_NOT_NEEDED;
        goto out;
    }

    /* Next to the data LVM may enlarge the pool's metadata and the group's
     * spare, by an amount that it alone knows: near the end of the group ask
     * for less until it fits. */
    while (!lvm_thin_pool_extend(lock_fd, group, tenant, plan.extents,
                                 &failure)) {
        if (!lvm_error_is_short(failure))
            goto out;
        plan.extents /= 2;
        if (plan.extents == 0) {
            outcome = GROWTH_SHORT;
            goto out;
        }
        g_clear_error(&failure);
    }
    *added_bytes = plan.extents * lvm->extent_bytes;
    outcome = GROWTH_DONE;
    growth_publish_grant(ledger, lvm, *added_bytes);

    /* What it cost the group besides is only known to LVM. */
    after = lvm_tenant_read(group, tenant, NULL);
    if (after)
        quota_state_publish(ledger, &after->state);
 out:
    quota_group_unlock(lock_fd);
    quota_doorbell_ring(ledger);
    if (failure)
        g_propagate_error(error, g_steal_pointer(&failure));
    return outcome;
}
