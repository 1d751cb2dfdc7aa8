/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * register.h: a shared sum whose updates are attributable.
 */
#ifndef QUOTA_LEDGER_REGISTER_H
#define QUOTA_LEDGER_REGISTER_H

#include "ledger.h"

#pragma GCC visibility push(hidden)

/* One reading of a register: its sum, and the word that an addition swaps. */
struct quota_register_value {
    uint64_t bytes;
    uint64_t last;
    unsigned retries;           /* it changed so often while it was read */
};

/* quota_register_read: -EUCLEAN if the register names a writer that does not
 * exist, or never stops changing. */
int quota_register_read(const struct quota_ledger *ledger, unsigned volume,
                        enum quota_scope scope,
                        struct quota_register_value *value);

/*
 * A writer slot that adds to registers, one thread at a time.  The owner keeps
 * this in its own memory, because anybody can corrupt the file.
 */
struct quota_adder {
    struct quota_ledger *ledger;
    unsigned index;             /* of the writer in the file */
    uint64_t operation[QUOTA_SCOPES];   /* number of the last one */
    uint64_t own_bytes[QUOTA_SCOPES];   /* sum of all of them */
};

/* quota_adder_init: read from the file what the slot's last owner added.  The
 * caller is that owner or has outlived it.  -EUCLEAN: the file contradicts
 * itself. */
int quota_adder_init(struct quota_adder *adder, struct quota_ledger *ledger,
                     unsigned index);

/* quota_register_try_add: add @bytes (which may be "negative") if the register
 * is still as in @value; false: another writer was first, or what the register
 * names is forged. */
bool quota_register_try_add(struct quota_adder *adder, enum quota_scope scope,
                            const struct quota_register_value *value,
                            uint64_t bytes);

/* quota_register_add: add @bytes to whatever the register holds.  -EAGAIN:
 * other writers were first at all @tries, of which each look is one; -EUCLEAN. */
int quota_register_add(struct quota_adder *adder, enum quota_scope scope,
                       uint64_t bytes, unsigned tries);

#pragma GCC visibility pop

#endif
