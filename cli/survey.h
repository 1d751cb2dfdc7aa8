/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * survey.h: gather a tenant's numbers from LVM, the kernel and the ledger.
 * Reads only; keeps nothing.
 */
#ifndef QLVM_SURVEY_H
#define QLVM_SURVEY_H

#include <quota-ledger.h>

#include "read.h"
#include "report.h"

/*
 * survey_tenant: fill @report, which borrows @lvm's names; report_clear.  Bytes are LVM's
 * and the kernel's own, so they are right whether or not quota-lvmd runs; the
 * ledger only adds what nobody else knows.
 */
void survey_tenant(const LvmTenant *lvm, struct report *report);

/* survey_ledger_open: the tenant's ledger, to be read.  survey_ledger_remedy:
 * what to do about an error of it, in words. */
int survey_ledger_open(const LvmTenant *lvm, struct quota_ledger **ledger);
const char *survey_ledger_remedy(int error);

/* What makes a ledger anew that is none, or differs from LVM. */
#define SURVEY_REREAD "virsh pool-refresh, or quota-lvmd (at its next scan, or " \
    "quota-lvmd --once), reads LVM anew"

/* survey_thin_bytes: used bytes of the tenant's thin pool, 0 without one.
 * -ENODEV: it is not active. */
int survey_thin_bytes(const LvmTenant *lvm, uint64_t *bytes);

#endif
