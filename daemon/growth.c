/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * growth.c: grow a tenant's thin pool, in steps.
 *
 * No state: a process killed between any two lines leaves LVM and the kernel
 * right, and the next reading of them makes the ledger right.
 */
#include <gio/gio.h>

#include "growth.h"
#include "lvm.h"
#include "thin-status.h"

static uint64_t
growth_step(const struct quota_state *state)
{
    return state->limits.step_bytes ? state->limits.step_bytes
                                    : QUOTA_STEP_DEFAULT_BYTES;
}

static uint64_t
growth_room(const struct quota_state *state, const struct growth_need *need)
{
    return state->grant_bytes > need->used_bytes
        ? state->grant_bytes - need->used_bytes : 0;
}

/* The room that there should be. */
static uint64_t
growth_ahead(const struct quota_state *state, const struct growth_need *need)
{
    return MAX(growth_step(state) / 2, need->ahead_bytes);
}

uint64_t
growth_spare_bytes(const struct quota_state *state,
                   const struct growth_need *need)
{
    uint64_t room = growth_room(state, need);
    uint64_t ahead = growth_ahead(state, need);

    return room > ahead ? room - ahead : 0;
}

void
growth_decide(const struct quota_state *state, uint64_t extent_bytes,
              const struct growth_need *need, struct growth_plan *plan)
{
    uint64_t step = growth_step(state);
    uint64_t room = growth_room(state, need);
    uint64_t ahead = growth_ahead(state, need);
    uint64_t can, wanted;

    plan->extents = 0;
    plan->reason = QUOTA_REASON_NONE;
    can = quota_state_can_grow(state, &plan->reason);
    can = extent_bytes ? can / extent_bytes : 0;
    if (can == 0)
        return;                 /* the reason says which of the two is short */

    plan->reason = QUOTA_REASON_NONE;
    if (room >= ahead && room >= need->demand_bytes)
        return;

    /* Twice as much as there should be: LVM is not asked all the time. */
    wanted = step;
    if (ahead > step / 2)
        wanted = ahead / step < UINT64_MAX / 4 / step
            ? (ahead / step + 1) * 2 * step : UINT64_MAX;
    if (need->demand_bytes > room)
        wanted = MAX(wanted, need->demand_bytes - room);
    plan->extents = MIN(can, wanted / extent_bytes +
                             (wanted % extent_bytes != 0));
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
           const struct growth_need *need,
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
    growth_decide(&lvm->state, lvm->extent_bytes, need, &plan);
    if (!lvm->thin_dm_uuid || plan.extents == 0) {
        outcome = GROWTH_NOT_NEEDED;
        goto out;
    }

    /* Next to the data LVM may enlarge the pool's metadata and the group's
     * spare, by an amount that it alone knows: near the end of the group ask
     * for less until it fits. */
    while (!lvm_thin_pool_extend(lock_fd, group, tenant, plan.extents,
                                 &failure)) {
        if (lvm_error_is_busy(failure))
            outcome = GROWTH_BUSY;
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
