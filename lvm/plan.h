/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plan.h: a change of LVM before it is made: its commands, what is charged for
 * it, what must be so before, what must have come of it, and how it is undone.
 *
 * Plans are made by pure functions of a view (plans.h) and carried out in one
 * place (hold.h).
 */
#ifndef LVM_PLAN_H
#define LVM_PLAN_H

#include "group.h"
#include "refusal.h"

#pragma GCC visibility push(hidden)

typedef enum {
    LVM_STEP_OPTIONAL = 1 << 0, /* a failure is said, and the plan goes on */
    LVM_STEP_ALWAYS = 1 << 1,   /* runs even if a step before it has failed */
    LVM_STEP_JOINED = 1 << 2,   /* in one child with the step before it: nobody
                                   kills the caller in between */
    LVM_STEP_FLUSHES = 1 << 3,  /* suspends a thin volume with flush: its writes
                                   must be able to end, so its pool has room and
                                   nothing throttles them */
    LVM_STEP_GROWS = 1 << 4,    /* the pool has grown once this step succeeds */
} LvmStepFlags;

/* LvmStep: one command. */
typedef struct {
    char **argv;
    unsigned flags;
    char *epoch;                /* a volume of which no write may be in flight
                                   that counts on a chunk being its own; NULL */
} LvmStep;

/* LvmExpect: what LVM must say of an LV when all is done. */
typedef struct {
    char *lv;
    bool is_gone;
    uint64_t size_bytes;        /* 0: any */
    bool is_at_least;           /* LVM rounds up by what only it knows */
    char *tenant;               /* NULL: any; "": no tenant's */
} LvmExpect;

typedef struct {
    LvmGroup *view;             /* it was made from */
    char *tenant;               /* who is charged; NULL: it is about the group */
    uint64_t charge_bytes;      /* as thick, before the first step */
    GPtrArray *unused;          /* names of LVs that nobody may have open */
    bool is_base;               /* they are base images: another refusal */
    bool needs_pool_here;       /* no other host may decide by the same limit */
    GPtrArray *steps;           /* LvmStep */
    GPtrArray *expected;        /* LvmExpect */
    char *made;                 /* an LV that must not stay after a failure */
    char **undo;                /* the command that removes it */
} LvmPlan;

LvmPlan *lvm_plan_new(const LvmGroup *view, const char *tenant);
void lvm_plan_free(LvmPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LvmPlan, lvm_plan_free)

/* lvm_plan_add: add a command, which the plan owns from then on. */
LvmStep *lvm_plan_add(LvmPlan *plan, char **argv, unsigned flags);

/* lvm_plan_expect: size 0 is any; @tenant as in LvmExpect.  lvm_plan_expect_grown: at
 * least that size. */
void lvm_plan_expect(LvmPlan *plan, const char *lv, uint64_t size_bytes,
                     const char *tenant);
void lvm_plan_expect_grown(LvmPlan *plan, const char *lv, uint64_t size_bytes,
                           const char *tenant);
void lvm_plan_expect_gone(LvmPlan *plan, const char *lv);

/* lvm_plan_makes: @lv does not exist yet, and is removed again if the plan
 * fails, whatever the failed command has said. */
void lvm_plan_makes(LvmPlan *plan, const char *lv);

/* lvm_plan_is_fulfilled: @after is as the plan expects; the first LV that is not
 * into *@lv (may be NULL). */
bool lvm_plan_is_fulfilled(const LvmPlan *plan, const LvmGroup *after,
                           const char **lv);

/* lvm_plan_format: all of a plan as lines of text, for golden files. */
char *lvm_plan_format(const LvmPlan *plan);

#pragma GCC visibility pop

#endif
