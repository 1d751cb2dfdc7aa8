/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clock.h: sleeping on a word of a ledger.
 */
#ifndef QUOTA_LEDGER_CLOCK_H
#define QUOTA_LEDGER_CLOCK_H

#include "ledger-layout.h"

#pragma GCC visibility push(hidden)

/* quota_word_wait: sleep until the word is woken, which may be without cause,
 * or @timeout_ns has passed; not at all if it is not @seen any more. */
void quota_word_wait(quota_u32 *word, uint32_t seen, uint64_t timeout_ns);
/* quota_word_wake: wake all that sleep on a word, in whatever process. */
void quota_word_wake(quota_u32 *word);

#pragma GCC visibility pop

#endif
