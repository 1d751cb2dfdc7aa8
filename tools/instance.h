/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * instance.h: there is one quota-lvmd on a host, because a ledger has one
 * sampler; and others can see whether it runs.
 */
#ifndef QLVM_INSTANCE_H
#define QLVM_INSTANCE_H

#include <stdbool.h>

/* instance_claim: be the one, until this process ends.  Makes
 * QUOTA_LEDGER_DIR where it is missing.  -EALREADY: another one runs. */
int instance_claim(void);

/* instance_is_running: a quota-lvmd runs. */
bool instance_is_running(void);

#endif
