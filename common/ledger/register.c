/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * register.c: a shared sum whose updates are attributable: an auditor can tell
 * whether a killed process's last addition took effect.
 *
 * A plain atomic add leaves no such trace: a writer that is killed right after
 * it has told nobody, and its auditor can only guess.  So the register does not
 * hold the sum.  It names the writer that added last, and the number of that
 * writer's operation.  The writer's entry holds the sum after the operation and
 * the writer's own part of it; both are written before the register is swapped.
 * Whoever adds next first records in the named writer's `done` that its
 * operation took effect.  The last effective operation of a dead writer is
 * therefore the larger of `done` and the number in the register, if the
 * register names that writer.  An auditor reads the register before `done`.
 *
 * This is the compare-and-swap of H. Attiya, O. Ben-Baruch and D. Hendler,
 * "Nesting-Safe Recoverable Linearizability" (PODC 2018), algorithm 2, with
 * the value kept outside the word.  An operation number is used once, so the
 * swap cannot mistake an old state for the present one.
 *
 * Steps have the same names as in tests/model/ledger.pml.
 */
#include <errno.h>

#include "register.h"

#define OPERATION_BITS 48
#define OPERATION_MASK ((UINT64_C(1) << OPERATION_BITS) - 1)

/* A reader tries again if the register changed meanwhile. */
#define READ_TRIES 1000

static uint64_t name_operation(unsigned index, uint64_t operation)
{
    return (uint64_t)(index + 1) << OPERATION_BITS | operation;
}

static const struct quota_register *
register_of(const struct quota_ledger *ledger, unsigned volume,
            enum quota_scope scope)
{
    return scope == QUOTA_OF_TENANT ? &ledger->file->counters.reserved
                                    : &ledger->file->volumes[volume].reserved;
}

/* The writer that a register names; -EUCLEAN if it cannot have added. */
static int writer_of(uint64_t last, unsigned volume, enum quota_scope scope)
{
    uint64_t index = (last >> OPERATION_BITS) - 1;

    if (index >= QUOTA_LEDGER_WRITERS ||
        (scope == QUOTA_OF_VOLUME && index / QUOTA_VOLUME_WRITERS != volume)) {
        return -EUCLEAN;
    }
    return index;
}

int quota_register_read(const struct quota_ledger *ledger, unsigned volume,
                        enum quota_scope scope,
                        struct quota_register_value *value)
{
    const struct quota_register *reg = register_of(ledger, volume, scope);

    for (unsigned i = 0; i < READ_TRIES; i++) {
        const struct quota_entry *entry;
        int writer;

        value->retries = i;
        value->last = quota_load(&reg->last);
        value->bytes = 0;
        if (value->last == 0) {
            return 0;
        }
        writer = writer_of(value->last, volume, scope);
        if (writer < 0) {
            return writer;
        }
        /* Operation n + 2 overwrites the sum of operation n.  It begins after
         * n + 1 took effect, so the register has changed by then. */
        entry = &quota_writer_at(ledger, writer)->entries[scope];
        value->bytes = quota_load(&entry->value[value->last % 2]);
        if (quota_load(&reg->last) == value->last) {
            return 0;
        }
    }
    return -EUCLEAN;
}

bool quota_register_try_add(struct quota_adder *adder, enum quota_scope scope,
                            const struct quota_register_value *value,
                            uint64_t bytes)
{
    struct quota_ledger *ledger = adder->ledger;
    unsigned volume = adder->index / QUOTA_VOLUME_WRITERS;
    struct quota_entry *entry =
        &quota_writer_at(ledger, adder->index)->entries[scope];
    struct quota_register *reg =
        (struct quota_register *)register_of(ledger, volume, scope);
    uint64_t operation = adder->operation[scope] + 1;
    uint64_t own = adder->own_bytes[scope] + bytes;
    uint64_t last = value->last;

    /* [prepare] Keep the previous operation's half of the entry: the register
     * may name it. */
    quota_store(&entry->own[operation % 2], own);
    quota_store(&entry->value[operation % 2], value->bytes + bytes);
    /* [help] Not needed for an own operation: this one implies it. */
    if (last != 0 && last >> OPERATION_BITS != adder->index + 1) {
        int other = writer_of(last, volume, scope);

        if (other < 0 ||
            !quota_raise(&quota_writer_at(ledger, other)->done[scope],
                         last & OPERATION_MASK)) {
            return false;
        }
    }
    /* [add] */
    if (!quota_swap_if(&reg->last, &last,
                       name_operation(adder->index, operation))) {
        return false;
    }
    adder->operation[scope] = operation;
    adder->own_bytes[scope] = own;
    return true;
}

int quota_adder_init(struct quota_adder *adder, struct quota_ledger *ledger,
                     unsigned index)
{
    unsigned volume = index / QUOTA_VOLUME_WRITERS;
    struct quota_writer_words *words = quota_writer_at(ledger, index);

    adder->ledger = ledger;
    adder->index = index;
    for (int scope = 0; scope < QUOTA_SCOPES; scope++) {
        /* [audit] Read the register before `done`: an operation is recorded
         * in `done` before the register stops naming it. */
        uint64_t last = quota_load(&register_of(ledger, volume, scope)->last);
        uint64_t operation = quota_load(&words->done[scope]);

        if (last >> OPERATION_BITS == index + 1 &&
            (last & OPERATION_MASK) > operation) {
            operation = last & OPERATION_MASK;
        }
        if (operation > OPERATION_MASK / 2) {
            return -EUCLEAN;
        }
        adder->operation[scope] = operation;
        adder->own_bytes[scope] = operation == 0 ? 0 :
            quota_load(&words->entries[scope].own[operation % 2]);
    }
    return 0;
}

int quota_register_add(struct quota_adder *adder, enum quota_scope scope,
                       uint64_t bytes, unsigned tries)
{
    unsigned volume = adder->index / QUOTA_VOLUME_WRITERS;
    struct quota_register_value value;

    for (unsigned i = 0; i < tries; i += 1 + value.retries) {
        int ret = quota_register_read(adder->ledger, volume, scope, &value);

        if (ret < 0) {
            return ret;
        }
        if (quota_register_try_add(adder, scope, &value, bytes)) {
            return 0;
        }
    }
    return -EAGAIN;
}
