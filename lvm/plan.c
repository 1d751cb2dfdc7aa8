/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plan.c: a change of LVM before it is made.
 */
#include <string.h>

#include "command.h"
#include "plan.h"

static void
lvm_step_free(LvmStep *step)
{
    g_strfreev(step->argv);
    g_free(step->epoch);
    g_free(step);
}

static void
lvm_expect_free(LvmExpect *expect)
{
    g_free(expect->lv);
    g_free(expect->tenant);
    g_free(expect);
}

LvmPlan *
lvm_plan_new(const LvmGroup *view, const char *tenant)
{
    LvmPlan *plan = g_new0(LvmPlan, 1);

    if (view)
        plan->view = lvm_group_ref((LvmGroup *)view);
    plan->tenant = g_strdup(tenant);
    plan->unused = g_ptr_array_new_with_free_func(g_free);
    plan->steps =
        g_ptr_array_new_with_free_func((GDestroyNotify)lvm_step_free);
    plan->expected =
        g_ptr_array_new_with_free_func((GDestroyNotify)lvm_expect_free);
    return plan;
}

void
lvm_plan_free(LvmPlan *plan)
{
    if (!plan)
        return;
    lvm_group_unref(plan->view);
    g_free(plan->tenant);
    g_ptr_array_unref(plan->unused);
    g_ptr_array_unref(plan->steps);
    g_ptr_array_unref(plan->expected);
    g_free(plan->made);
    g_strfreev(plan->undo);
    g_free(plan);
}

LvmStep *
lvm_plan_add(LvmPlan *plan, char **argv, unsigned flags)
{
    LvmStep *step = g_new0(LvmStep, 1);

    step->argv = argv;
    step->flags = flags;
    g_ptr_array_add(plan->steps, step);
    return step;
}

static LvmExpect *
lvm_expect_new(LvmPlan *plan, const char *lv)
{
    LvmExpect *expect = g_new0(LvmExpect, 1);

    expect->lv = g_strdup(lv);
    g_ptr_array_add(plan->expected, expect);
    return expect;
}

void
lvm_plan_expect(LvmPlan *plan, const char *lv, uint64_t size_bytes,
                const char *tenant)
{
    LvmExpect *expect = lvm_expect_new(plan, lv);

    expect->size_bytes = size_bytes;
    expect->tenant = g_strdup(tenant);
}

void
lvm_plan_expect_grown(LvmPlan *plan, const char *lv, uint64_t size_bytes,
                      const char *tenant)
{
    LvmExpect *expect = lvm_expect_new(plan, lv);

    expect->size_bytes = size_bytes;
    expect->is_at_least = true;
    expect->tenant = g_strdup(tenant);
}

void
lvm_plan_expect_gone(LvmPlan *plan, const char *lv)
{
    lvm_expect_new(plan, lv)->is_gone = true;
}

void
lvm_plan_makes(LvmPlan *plan, const char *lv)
{
    plan->made = g_strdup(lv);
    plan->undo = lvm_command("lvremove", "--force", NULL);
    lvm_command_add(&plan->undo, "%s/%s", plan->view->name, lv);
}

static bool
lvm_expect_is_fulfilled(const LvmExpect *expect, const LvmGroup *after)
{
    const LvmLv *lv = lvm_group_find_lv(after, expect->lv);

    if (!lv || expect->is_gone)
        return !lv == expect->is_gone;
    return (!expect->size_bytes || lv->lv.size_bytes == expect->size_bytes ||
            (expect->is_at_least && lv->lv.size_bytes > expect->size_bytes)) &&
           (!expect->tenant ||
            g_str_equal(lv->tenant ? lv->tenant : "", expect->tenant));
}

bool
lvm_plan_is_fulfilled(const LvmPlan *plan, const LvmGroup *after,
                      const char **lv)
{
    for (guint i = 0; i < plan->expected->len; i++) {
        const LvmExpect *expect = g_ptr_array_index(plan->expected, i);

        if (!lvm_expect_is_fulfilled(expect, after)) {
            if (lv)
                *lv = expect->lv;
            return false;
        }
    }
    return true;
}

/* ---- text ---------------------------------------------------------------- */

static void
lvm_format_argv(GString *text, const char *what, char *const *argv)
{
    g_string_append(text, what);
    for (char *const *argument = argv; *argument; argument++) {
        /* the settings are the same for all, but for one */
        if (g_str_equal(*argument, "--config") && argument[1]) {
            argument++;
            if (lvm_command_skips_check(*argument))
                g_string_append(text, " [unchecked]");
            continue;
        }
        g_string_append_printf(text, strpbrk(*argument, " \t'") ? " '%s'" : " %s",
                               *argument);
    }
}

static void
lvm_format_step(GString *text, const LvmStep *step)
{
    static const char *const words[] = {
        "optional", "always", "joined", "flushes", "grows"
    };

    lvm_format_argv(text, "run", step->argv);
    for (guint i = 0; i < G_N_ELEMENTS(words); i++) {
        if (step->flags & (1u << i))
            g_string_append_printf(text, " [%s]", words[i]);
    }
    if (step->epoch)
        g_string_append_printf(text, " [epoch of %s]", step->epoch);
    g_string_append_c(text, '\n');
}

static void
lvm_format_expect(GString *text, const LvmExpect *expect)
{
    g_string_append_printf(text, "expect %s", expect->lv);
    if (expect->is_gone)
        g_string_append(text, " gone");
    if (expect->size_bytes)
        g_string_append_printf(text, " of %s%" G_GUINT64_FORMAT " bytes",
                               expect->is_at_least ? "at least " : "",
                               expect->size_bytes);
    if (expect->tenant)
        g_string_append_printf(text, *expect->tenant ? " of tenant %s"
                                                     : " of no tenant%s",
                               expect->tenant);
    g_string_append_c(text, '\n');
}

char *
lvm_plan_format(const LvmPlan *plan)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < plan->unused->len; i++)
        g_string_append_printf(text, "unused %s\n",
                               (char *)g_ptr_array_index(plan->unused, i));
    if (plan->needs_pool_here)
        g_string_append(text, "pool active on this host, if the group is shared\n");
    if (plan->charge_bytes)
        g_string_append_printf(text, "charge %s %" G_GUINT64_FORMAT "\n",
                               plan->tenant, plan->charge_bytes);
    for (guint i = 0; i < plan->steps->len; i++)
        lvm_format_step(text, g_ptr_array_index(plan->steps, i));
    for (guint i = 0; i < plan->expected->len; i++)
        lvm_format_expect(text, g_ptr_array_index(plan->expected, i));
    if (plan->undo) {
        lvm_format_argv(text, "undo", plan->undo);
        g_string_append_c(text, '\n');
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}
