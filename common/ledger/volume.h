/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * volume.h: the slots of volumes.
 */
#ifndef QUOTA_LEDGER_VOLUME_H
#define QUOTA_LEDGER_VOLUME_H

#include "ledger.h"

#pragma GCC visibility push(hidden)

/* quota_volume_claim: the slot of a volume, which is taken if it has none; the
 * caller holds the attach lock.  -EUSERS, or -EUCLEAN: the ledger is not whole. */
int quota_volume_claim(struct quota_ledger *ledger, const char *name);
/* quota_volume_tidy: free the slots of volumes without writers and limits. */
void quota_volume_tidy(struct quota_ledger *ledger);

#pragma GCC visibility pop

#endif
