/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sigbus.h: outlive a ledger that is cut short under our feet.
 *
 * A tenant's QEMU processes may write the tenant's ledger, so one that was
 * taken over can truncate it, and touching a page that is gone raises SIGBUS.
 * Owns the handler of that signal for the whole process.
 */
#ifndef QLVM_SIGBUS_H
#define QLVM_SIGBUS_H

#include <stdbool.h>

/* sigbus_install: from now on a thread that touches a page that is gone finds
 * zeroes there, privately, and goes on. */
void sigbus_install(void);

/* sigbus_taken: the calling thread met such a page since it last asked. */
bool sigbus_taken(void);

#endif
