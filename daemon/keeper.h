/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * keeper.h: the set of quota-lvmd's samplers, kept in step with LVM.
 *
 * Each group is read by a thread of its own, so that neither a signal, nor the
 * watchdog, nor another group waits for LVM.  Requests may come from any thread.
 */
#ifndef QLVM_KEEPER_H
#define QLVM_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Keeper Keeper;

/* KeeperScanned: every tenant was read once, or !@ok: not all of them, or not in 20
 * seconds.  Called by any thread after each scan of all groups; must not wait. */
typedef void (*KeeperScanned)(unsigned tenants, bool ok, void *opaque);

Keeper *keeper_new(uint64_t interval_ns, KeeperScanned scanned, void *opaque);

/* keeper_run_once: read, sample and grow all tenants and wait until
 * nothing is left to do.  False: something failed, see the log. */
bool keeper_run_once(Keeper *keeper);

/* keeper_start: begin with a scan of all groups. */
void keeper_start(Keeper *keeper);

/* keeper_rescan: read everything again, e.g. after SIGHUP. */
void keeper_rescan(Keeper *keeper);

/* keeper_is_alive: its thread has shown that it runs, within 30 seconds. */
bool keeper_is_alive(Keeper *keeper);

/* keeper_check: a tenant's ledger was created, changed or removed. */
void keeper_check(Keeper *keeper, const char *group, const char *tenant);

/* keeper_free: end all samplers; waits for LVM's commands that still run. */
void keeper_free(Keeper *keeper);

#endif
