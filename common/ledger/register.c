/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * register.c: a sum that many processes add to, and of which it can be told
 * afterwards whether a process that was killed had added or not.
 *
 * A plain atomic add cannot tell: killed right after it, a writer has told
 * nobody, and whoever audits it can only guess.  So the register does not hold
 * the sum, but who moved it last, by which of its operations; the sum after
 * that operation, and that writer's own part of it, stand in the writer's
 * entry, written before the register is swapped.  Whoever moves the register
 * on first notes, in the writer's `done`, that the operation took place.  A
 * dead writer's last operation that took place is then the larger of `done`
 * and what the register names (read in the other order).
 *
 * This is the compare-and-swap of H. Attiya, O. Ben-Baruch and D. Hendler,
 * "Nesting-Safe Recoverable Linearizability" (PODC 2018), algorithm 2, with
 * the value moved out of the word.  An operation's number is used once, so the
 * swap cannot mistake an old state for the present one.
 *
 * Steps are marked as in tests/model/ledger.pml.
 */
#include <errno.h>

#include "ledger-layout.h"

#define OPERATION_BITS 48
#define OPERATION_MASK ((UINT64_C(1) << OPERATION_BITS) - 1)

/* Reading again is for a register that moved meanwhile.  One that never stands
 * still is not waited for. */
#define READ_TRIES 100000

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

/* The writer that a register names; -EUCLEAN: none that could have moved it. */
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

    for (int i = 0; i < READ_TRIES; i++) {
        const struct quota_entry *entry;
        int writer;

        value->last = quota_load(&reg->last);
        value->bytes = 0;
        if (value->last == 0) {
            return 0;
        }
        writer = writer_of(value->last, volume, scope);
        if (writer < 0) {
            return writer;
        }
        /* The sum of operation n is overwritten by operation n + 2, which
         * begins when n + 1 has taken place: then the register has moved. */
        entry = &quota_writer_at(ledger, writer)->entries[scope];
        value->bytes = quota_load(&entry->value[value->last % 2]);
        if (quota_load(&reg->last) == value->last) {
            return 0;
        }
    }
    return -EUCLEAN;
}

bool quota_register_move(struct quota_mover *mover, enum quota_scope scope,
                         const struct quota_register_value *value,
                         uint64_t bytes)
{
    struct quota_ledger *ledger = mover->ledger;
    unsigned volume = mover->index / QUOTA_VOLUME_WRITERS;
    struct quota_entry *entry =
        &quota_writer_at(ledger, mover->index)->entries[scope];
    struct quota_register *reg =
        (struct quota_register *)register_of(ledger, volume, scope);
    uint64_t operation = mover->operation[scope] + 1;
    uint64_t own = mover->own_bytes[scope] + bytes;
    uint64_t last = value->last;

    /* [prepare] The entry of the operation before this one stays: it may be
     * what the register names. */
    quota_store(&entry->own[operation % 2], own);
    quota_store(&entry->value[operation % 2], value->bytes + bytes);
    /* [help] Not for an own operation: that it took place, this one tells. */
    if (last != 0 && last >> OPERATION_BITS != mover->index + 1) {
        int other = writer_of(last, volume, scope);

        if (other < 0) {
            return false;
        }
        quota_raise(&quota_writer_at(ledger, other)->done[scope],
                    last & OPERATION_MASK);
    }
    /* [move] */
    if (!quota_swap_if(&reg->last, &last,
                       name_operation(mover->index, operation))) {
        return false;
    }
    mover->operation[scope] = operation;
    mover->own_bytes[scope] = own;
    return true;
}

int quota_mover_init(struct quota_mover *mover, struct quota_ledger *ledger,
                     unsigned index)
{
    unsigned volume = index / QUOTA_VOLUME_WRITERS;
    struct quota_writer_words *words = quota_writer_at(ledger, index);

    mover->ledger = ledger;
    mover->index = index;
    for (int scope = 0; scope < QUOTA_SCOPES; scope++) {
        /* [audit] The register before `done`: an operation that it does not
         * name any more was noted there before it was replaced. */
        uint64_t last = quota_load(&register_of(ledger, volume, scope)->last);
        uint64_t operation = quota_load(&words->done[scope]);

        if (last >> OPERATION_BITS == index + 1 &&
            (last & OPERATION_MASK) > operation) {
            operation = last & OPERATION_MASK;
        }
        if (operation > OPERATION_MASK / 2) {
            return -EUCLEAN;
        }
        mover->operation[scope] = operation;
        mover->own_bytes[scope] = operation == 0 ? 0 :
            quota_load(&words->entries[scope].own[operation % 2]);
    }
    return 0;
}

int quota_register_add(struct quota_mover *mover, enum quota_scope scope,
                       uint64_t bytes, unsigned tries)
{
    unsigned volume = mover->index / QUOTA_VOLUME_WRITERS;
    struct quota_register_value value;

    do {
        int ret = quota_register_read(mover->ledger, volume, scope, &value);

        if (ret < 0) {
            return ret;
        }
        if (tries != QUOTA_TRIES_ENDLESS && tries-- == 0) {
            return -EAGAIN;
        }
    } while (!quota_register_move(mover, scope, &value, bytes));
    return 0;
}
