/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hold.c: carry out plans, under the lock of a volume group.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "device.h"
#include "hold.h"
#include "lvm-host.h"
#include "read.h"
#include "thin-status.h"

/* How long a snapshot waits for the writes that are in flight, in slices. */
#define EPOCH_PATIENCE_SEC 10
#define EPOCH_SLICES 100
/* And while others wait for the group's lock. */
#define EPOCH_LOCKED_NS UINT64_C(100000000)

/* ---- lock, read ---------------------------------------------------------- */

static void
lvm_hold_refuse_lock(const char *group, int error, LvmRefusal *why)
{
    struct quota_lock_holder holder;

    lvm_refuse(why, LVM_WHY_LOCK, group, NULL, NULL, NULL);
    why->error = error;
    if (error == -ETIMEDOUT && quota_group_lock_holder(group, &holder) == 0) {
        why->asked = holder.seconds;
        why->text = g_strdup_printf("%s (process %d)", holder.verb,
                                    (int)holder.pid);
    }
}

LvmHold *
lvm_hold_new(const char *group, const char *tenant, const char *verb,
             LvmRefusal *why)
{
    int lock_fd = quota_group_lock(group, lvm_host_patience_sec());
    LvmHold *hold;

    if (lock_fd < 0) {
        lvm_hold_refuse_lock(group, lock_fd, why);
        return NULL;
    }
    quota_group_lock_note(lock_fd, getpid(), verb);
    hold = g_new0(LvmHold, 1);
    hold->group = g_strdup(group);
    hold->tenant = g_strdup(tenant);
    hold->lock_fd = lock_fd;
    return hold;
}

void
lvm_hold_free(LvmHold *hold)
{
    if (!hold)
        return;
    if (!hold->is_ledger_borrowed)
        quota_ledger_close(hold->ledger);
    lvm_group_unref(hold->view);
    quota_group_unlock(hold->lock_fd);
    g_free(hold->group);
    g_free(hold->tenant);
    g_free(hold);
}

void
lvm_hold_borrow(LvmHold *hold, struct quota_ledger *ledger)
{
    hold->ledger = ledger;
    hold->is_ledger_borrowed = true;
}

bool
lvm_hold_read(LvmHold *hold, LvmRefusal *why)
{
    LvmGroup *view = lvm_group_read(hold->group, why);

    if (!view)
        return false;
    g_clear_pointer(&hold->view, lvm_group_unref);
    hold->view = view;
    return !view->is_exported ||
           lvm_refuse(why, LVM_WHY_EXPORTED, hold->group, NULL, NULL, NULL);
}

const LvmTenant *
lvm_hold_tenant(const LvmHold *hold)
{
    return hold->view && hold->tenant
        ? lvm_group_find_tenant(hold->view, hold->tenant) : NULL;
}

/* ---- the ledger ---------------------------------------------------------- */

bool
lvm_hold_open_ledger(LvmHold *hold, LvmRefusal *why)
{
    char path[QUOTA_LEDGER_PATH_BYTES];
    int ret;

    if (hold->ledger) {
        ret = 0;
    } else if (hold->makes_ledger) {
        ret = quota_ledger_create(hold->group, hold->tenant, &hold->ledger);
    } else {
        ret = quota_ledger_path(hold->group, hold->tenant, path, sizeof(path));
        if (ret == 0)
            ret = quota_ledger_open(path, true, &hold->ledger);
    }
    if (ret == 0 && !quota_ledger_is_whole(hold->ledger))
        ret = -EUCLEAN;
    if (ret == 0)
        return true;
    lvm_refuse(why, LVM_WHY_LEDGER, hold->group, hold->tenant, NULL, NULL);
    why->error = ret;
    return false;
}

/* lvm_hold_has_ledger: open, or can be. */
static bool
lvm_hold_has_ledger(LvmHold *hold)
{
    g_auto(LvmRefusal) ignored = { 0 };

    return hold->tenant && lvm_hold_open_ledger(hold, &ignored);
}

/* A new ledger admits no write before it has a sample.  All later samples are
 * quota-lvmd's: a ledger has one sampler. */
static void
lvm_hold_first_sample(LvmHold *hold, const LvmTenant *own)
{
    g_autofree struct quota_sample *sample = NULL;
    struct thin_status status;
    struct quota_usage usage;

    quota_usage_read(hold->ledger, &usage);
    if (usage.sample_ns != 0 || !own->thin_pool)
        return;
    sample = g_new0(struct quota_sample, 1);
    quota_sample_begin(hold->ledger, sample);
    if (thin_status_read(own->thin_dm_uuid, &status) < 0)
        return;
    quota_sample_publish(hold->ledger, sample,
                         status.used_blocks * own->state.chunk_bytes,
                         quota_clock_ns(), QUOTA_REASON_NONE);
}

void
lvm_hold_publish(LvmHold *hold)
{
    const LvmTenant *own = lvm_hold_tenant(hold);

    if (!own || !lvm_hold_has_ledger(hold))
        return;
    quota_state_publish(hold->ledger, &own->state);
    if (hold->makes_ledger)
        lvm_hold_first_sample(hold, own);
    quota_doorbell_ring(hold->ledger);
}

/* Charge before LVM allocates.  If the ledger is missing and this program does not
 * create ledgers, skip: quota-lvmd will build it from LVM. */
static bool
lvm_hold_charge(LvmHold *hold, uint64_t bytes, LvmRefusal *why)
{
    struct quota_state state;

    if (!lvm_hold_open_ledger(hold, why)) {
        if (hold->makes_ledger || why->error != -ENOENT)
            return false;
        lvm_refusal_clear(why);
        return true;
    }
    state = lvm_hold_tenant(hold)->state;
    state.thick_bytes = quota_add_saturating(state.thick_bytes, bytes);
    quota_state_publish(hold->ledger, &state);
    return true;
}

/* The kernel is asked before LVM's metadata is read again: it is the one that
 * serves the writers, and it answers at once. */
static void
lvm_hold_publish_grant(LvmHold *hold)
{
    const LvmTenant *own = lvm_hold_tenant(hold);
    struct quota_state state;
    struct thin_status status;
    uint64_t grant, added;

    if (!own || !own->thin_pool || !lvm_hold_has_ledger(hold) ||
        thin_status_read(own->thin_dm_uuid, &status) < 0)
        return;
    state = own->state;
    grant = status.total_blocks * state.chunk_bytes;
    added = grant > state.grant_bytes ? grant - state.grant_bytes : 0;
    hold->has_grown = added > 0;
    state.grant_bytes = grant;
    state.group_free_bytes -= MIN(added, state.group_free_bytes);
    quota_state_publish(hold->ledger, &state);
    quota_doorbell_ring(hold->ledger);
}

/* ---- what must be so before ---------------------------------------------- */

bool
lvm_tenant_is_elsewhere(const LvmGroup *view, const LvmTenant *tenant)
{
    struct thin_status status;

    return view->is_shared && tenant->thin_pool &&
           thin_status_read(tenant->thin_dm_uuid, &status) == -ENODEV;
}

/* Another host would decide by the same limit at the same time, with another
 * ledger. */
static bool
lvm_hold_check_here(LvmHold *hold, LvmRefusal *why)
{
    const LvmTenant *own = lvm_hold_tenant(hold);

    if (!own || !lvm_tenant_is_elsewhere(hold->view, own))
        return true;
    return lvm_refuse(why, LVM_WHY_ELSEWHERE, hold->group, hold->tenant, NULL,
                      own->thin_pool->name);
}

static bool
lvm_hold_check_unused(LvmHold *hold, const LvmPlan *plan, LvmRefusal *why)
{
    for (guint i = 0; i < plan->unused->len; i++) {
        const char *name = g_ptr_array_index(plan->unused, i);

        if (device_is_in_use(hold->group, name))
            return lvm_refuse(why, plan->is_base ? LVM_WHY_BASE_IN_USE
                                                 : LVM_WHY_IN_USE,
                              hold->group, hold->tenant, name, NULL);
    }
    return true;
}

/* Begin the epoch again in each slice: without the group's lock, another program may
 * end it at any time.  The next try of the verb ends it, or the next publication. */
static void
lvm_wait_epoch(const LvmRefusal *why)
{
    int ret = -ETIMEDOUT;
    char path[QUOTA_LEDGER_PATH_BYTES];
    struct quota_ledger *ledger;

    if (quota_ledger_path(why->group, why->tenant, path, sizeof(path)) < 0 ||
        quota_ledger_open(path, true, &ledger) < 0)
        return;
    for (int i = 0; i < EPOCH_SLICES && (ret == -ETIMEDOUT || ret == -EBUSY); i++) {
        ret = quota_epoch_begin(ledger, why->name);
        if (ret == 0)
            ret = quota_epoch_wait(ledger, why->name, EPOCH_PATIENCE_SEC *
                                   UINT64_C(1000000000) / EPOCH_SLICES);
        else if (ret == -EBUSY)
            g_usleep(EPOCH_PATIENCE_SEC * G_USEC_PER_SEC / EPOCH_SLICES);
    }
    quota_ledger_close(ledger);
}

bool
lvm_can_wait(const LvmRefusal *why)
{
    return (why->why == LVM_WHY_EPOCH &&
            (why->error == -ETIMEDOUT || why->error == -EBUSY)) ||
           why->why == LVM_WHY_IN_USE || why->why == LVM_WHY_BASE_IN_USE;
}

bool
lvm_wait_ready(LvmRefusal *why)
{
    if (!lvm_can_wait(why))
        return false;
    if (why->why == LVM_WHY_EPOCH)
        lvm_wait_epoch(why);
    else if (!device_wait_unused(why->group, why->name))
        return false;
    lvm_refusal_clear(why);
    return true;
}

bool
lvm_hold_check(LvmHold *hold, const LvmPlan *plan, LvmRefusal *why)
{
    return (!plan->needs_pool_here || lvm_hold_check_here(hold, why)) &&
           lvm_hold_check_unused(hold, plan, why);
}

/* ---- run ----------------------------------------------------------------- */

static bool
lvm_hold_run_argv(LvmHold *hold, char *const *argv, LvmRefusal *why)
{
    return lvm_command_change((const char *const *)argv, hold->group,
                              hold->lock_fd, why);
}

static bool
lvm_hold_begin_epoch(LvmHold *hold, const LvmStep *step, LvmRefusal *why)
{
    int ret;

    if (!lvm_hold_open_ledger(hold, why))
        return false;
    ret = quota_epoch_begin(hold->ledger, step->epoch);
    if (ret == 0)
        ret = quota_epoch_wait(hold->ledger, step->epoch, EPOCH_LOCKED_NS);
    if (ret == 0 || ret == -ENOENT)
        return true;
    lvm_refuse(why, LVM_WHY_EPOCH, hold->group, hold->tenant, step->epoch, NULL);
    why->error = ret;
    why->asked = EPOCH_PATIENCE_SEC;
    return false;
}

/* Run the step while no write in flight relies on an earlier charge. */
static bool
lvm_hold_run_in_epoch(LvmHold *hold, const LvmStep *step, LvmRefusal *why)
{
    bool ok = lvm_hold_begin_epoch(hold, step, why) &&
              lvm_hold_run_argv(hold, step->argv, why);

    /* One that still runs may take the snapshot yet.  Whoever has the lock next ends
     * the epoch, when it publishes. */
    if (hold->ledger && (ok || why->why != LVM_WHY_SLOW))
        quota_epoch_end(hold->ledger, step->epoch);
    return ok;
}

static void
lvm_hold_end_epochs(LvmHold *hold, const LvmPlan *plan)
{
    for (guint i = 0; i < plan->steps->len; i++) {
        const LvmStep *step = g_ptr_array_index(plan->steps, i);

        if (step->epoch && hold->ledger)
            quota_epoch_end(hold->ledger, step->epoch);
    }
}

/* Before anything is charged or run: writes in flight may take as long as a tenant
 * likes. */
static bool
lvm_hold_begin_epochs(LvmHold *hold, const LvmPlan *plan, LvmRefusal *why)
{
    for (guint i = 0; i < plan->steps->len; i++) {
        const LvmStep *step = g_ptr_array_index(plan->steps, i);

        if (step->epoch && !lvm_hold_begin_epoch(hold, step, why))
            return false;
    }
    return true;
}

/* lvm_hold_run_step: the step at *@at, with those that are joined to it. */
static bool
lvm_hold_run_step(LvmHold *hold, const LvmPlan *plan, guint *at, LvmRefusal *why)
{
    const LvmStep *step = g_ptr_array_index(plan->steps, *at);
    g_autoptr(GPtrArray) argvs = g_ptr_array_new();
    g_auto(GStrv) joined = NULL;
    bool ok;

    g_ptr_array_add(argvs, step->argv);
    while (*at + 1 < plan->steps->len) {
        const LvmStep *next = g_ptr_array_index(plan->steps, *at + 1);

        if (!(next->flags & LVM_STEP_JOINED))
            break;
        g_ptr_array_add(argvs, next->argv);
        ++*at;
    }
    if (argvs->len > 1) {
        joined = lvm_command_join((char *const *const *)argvs->pdata, argvs->len);
        ok = lvm_hold_run_argv(hold, joined, why);
    } else if (step->epoch) {
        ok = lvm_hold_run_in_epoch(hold, step, why);
    } else {
        ok = lvm_hold_run_argv(hold, step->argv, why);
    }
    if (ok && (step->flags & LVM_STEP_GROWS))
        lvm_hold_publish_grant(hold);
    return ok;
}

static bool
lvm_hold_run_steps(LvmHold *hold, const LvmPlan *plan, LvmRefusal *why)
{
    bool ok = true;

    for (guint i = 0; i < plan->steps->len; i++) {
        const LvmStep *step = g_ptr_array_index(plan->steps, i);
        g_auto(LvmRefusal) failure = { 0 };

        if ((!ok && !(step->flags & LVM_STEP_ALWAYS)) ||
            lvm_hold_run_step(hold, plan, &i, &failure))
            continue;
        /* the next one would wait for it inside LVM */
        if (failure.why == LVM_WHY_SLOW) {
            lvm_refusal_clear(why);
            *why = failure;
            failure = (LvmRefusal) { 0 };
            return false;
        }
        if (step->flags & LVM_STEP_OPTIONAL) {
            g_autofree char *words = lvm_refusal_format(&failure);
            g_autofree char *argv = g_strjoinv(" ", step->argv);

            lvm_host_warn("%s (%s): going on without", words, argv);
        } else if (ok) {
            lvm_refusal_clear(why);
            *why = failure;
            failure = (LvmRefusal) { 0 };
            ok = false;
        }
    }
    return ok;
}

/* lvm_hold_undo: a command of LVM that failed may have made the LV all the same;
 * one that was there before, or was made by somebody else meanwhile, is not.
 * One that still runs may yet make it, and nothing is done meanwhile: the lock is
 * still the command's. */
static void
lvm_hold_undo(LvmHold *hold, const LvmPlan *plan, int error)
{
    g_auto(LvmRefusal) why = { 0 };
    const LvmLv *made;

    made = plan->undo ? lvm_group_find_lv(hold->view, plan->made) : NULL;
    if (!made || lvm_group_find_lv(plan->view, plan->made) ||
        g_strcmp0(made->tenant, plan->tenant) != 0 || error == -EEXIST)
        return;
    if (!lvm_hold_run_argv(hold, plan->undo, &why)) {
        g_autofree char *words = lvm_refusal_format(&why);

        lvm_host_warn("LV %s/%s, which was not finished, stays: %s", hold->group,
                      plan->made, words);
    }
    (void)lvm_hold_read(hold, &why);
}

bool
lvm_hold_run(LvmHold *hold, const LvmPlan *plan, LvmRefusal *why)
{
    g_auto(LvmRefusal) unread = { 0 };
    const char *unlike = NULL;
    bool needs_ledger = plan->made && hold->makes_ledger;
    bool ok;

    g_return_val_if_fail(plan->view == hold->view, false);

    /* The ledger of a tenant that is only being made would wake quota-lvmd for
     * nothing. */
    if (!lvm_hold_check(hold, plan, why) ||
        !lvm_hold_begin_epochs(hold, plan, why) ||
        (needs_ledger && lvm_hold_tenant(hold) && !lvm_hold_open_ledger(hold, why)) ||
        (plan->charge_bytes && !lvm_hold_charge(hold, plan->charge_bytes, why))) {
        lvm_hold_end_epochs(hold, plan);
        return false;
    }

    ok = lvm_hold_run_steps(hold, plan, why);
    /* about a group that nobody has read: it may not exist yet, or be gone */
    if (!hold->view || (!ok && why->why == LVM_WHY_SLOW))
        return ok;
    /* whatever the commands reported, LVM's metadata is authoritative */
    if (!lvm_hold_read(hold, ok ? why : &unread))
        return false;
    if (ok && !lvm_plan_is_fulfilled(plan, hold->view, &unlike))
        ok = lvm_refuse(why, LVM_WHY_UNEXPECTED, hold->group, hold->tenant, unlike,
                        NULL);
    ok = ok && (!needs_ledger || lvm_hold_open_ledger(hold, why));
    if (!ok)
        lvm_hold_undo(hold, plan, why->error);
    lvm_hold_publish(hold);
    return ok;
}
