/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * findings.h: `quota-lvm check`: what LVM, the kernel and the ledgers say of a
 * group and its tenants, where they do not agree, and what to do about it.
 * Changes nothing.
 */
#ifndef QLVM_FINDINGS_H
#define QLVM_FINDINGS_H

#include "group.h"

/* struct finding: one thing that is not as it must be. */
struct finding {
    const char *kind;           /* a word for machines: "ledger-differs" */
    char *lv;                   /* the LV at fault, NULL: none */
    char *problem;              /* a sentence without its end */
    const char *remedy;         /* what to do, likewise */
};

/* struct findings: of a tenant, or of the group itself. */
struct findings {
    char *group;
    char *tenant;               /* NULL: the group itself */
    GPtrArray *findings;        /* struct finding */
};

GPtrArray *findings_new(void);

/*
 * findings_check_group: add a result for each tenant of @group, or only for
 * @tenant (NULL: all, and the group itself).  The caller holds the group's lock
 * and read @group under it.
 */
void findings_check_group(const LvmGroup *group, const char *tenant,
                          GPtrArray *results);

/* findings_check_usage: add to the results of @group's tenants what their ledgers say
 * of used bytes.  It reads each ledger more than once, for up to three seconds, so the
 * group must not be locked. */
void findings_check_usage(const LvmGroup *group, GPtrArray *results);

/* findings_check_stray_group: add a result for a group without tenants, if there
 * are ledgers of it. */
void findings_check_stray_group(const char *name, GPtrArray *results);

/* Text, or JSON, that ends with a newline; the caller frees it. */
char *findings_text(const GPtrArray *results);
char *findings_json(const GPtrArray *results);

unsigned findings_count(const GPtrArray *results);

#endif
