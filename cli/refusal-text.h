/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * refusal-text.h: why lvm/ refuses something, in the words of quota-lvm.
 */
#ifndef QLVM_REFUSAL_TEXT_H
#define QLVM_REFUSAL_TEXT_H

#include "refusal.h"

/* refusal_text: what was asked, what is so, and what to do; to be freed. */
char *refusal_text(const LvmRefusal *why);

#endif
