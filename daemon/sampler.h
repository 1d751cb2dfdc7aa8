/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sampler.h: one tenant's thread in quota-lvmd.
 *
 * A sampler owns its tenant's mapping of the ledger and is its only sampler.
 * It shares nothing with other tenants' samplers but the lock of their group,
 * which it takes only to grow or after trouble, so no tenant waits for
 * another's sample.
 */
#ifndef QLVM_SAMPLER_H
#define QLVM_SAMPLER_H

#include "read.h"

typedef struct Sampler Sampler;

/* SamplerEnded: LVM does not have the tenant any more; called once, by the
 * sampler's own thread, which ends. */
typedef void (*SamplerEnded)(const char *group, const char *tenant,
                             void *opaque);

/* sampler_ledger_error: why a ledger cannot be created, and what helps. */
char *sampler_ledger_error(int error);

/* sampler_new: takes @ledger, to which @lvm's state was published under the
 * group's lock. */
Sampler *sampler_new(const LvmTenant *lvm, struct quota_ledger *ledger,
                     uint64_t interval_ns, SamplerEnded ended, void *opaque);

/* sampler_run: sample once and begin to grow if needed; only while no thread runs.
 * Without the group's lock: it takes as long as the tenant's ledger has it take.
 * sampler_settle waits for the growth and samples again until nothing is left to do.
 * False: no sample could be taken. */
bool sampler_run(Sampler *sampler);
bool sampler_settle(Sampler *sampler);

/* sampler_start: from now on a thread runs it, at each ring of the doorbell and
 * each interval.  False: it cannot be started, which is logged. */
bool sampler_start(Sampler *sampler);

/* sampler_key: "group/tenant". */
char *sampler_key(const Sampler *sampler);

/* sampler_poke: make the thread run now.  Without a lock that others wait for: it
 * touches the ledger, and its tenant may have that take long. */
void sampler_poke(Sampler *sampler);

/* sampler_ask_stop: ask the thread to end; sampler_free waits for it. */
void sampler_ask_stop(Sampler *sampler);
void sampler_free(Sampler *sampler);

/* sampler_ref, sampler_unref: keep it valid for sampler_poke after it was freed. */
Sampler *sampler_ref(Sampler *sampler);
void sampler_unref(Sampler *sampler);

#endif
