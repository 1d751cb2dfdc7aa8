/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rate.h: the rate cells that requests take from.
 */
#ifndef QUOTA_RATE_RATE_H
#define QUOTA_RATE_RATE_H

#include "writer.h"

#pragma GCC visibility push(hidden)

/* The rates of a scope, and their cells. */
struct quota_meter {
    const struct quota_rates *rates;
    struct quota_cell *cells;
};

static inline struct quota_meter
quota_meter_of(const struct quota_writer *writer, enum quota_scope scope)
{
    struct quota_ledger_file *file = writer->ledger->file;

    if (scope == QUOTA_OF_TENANT) {
        return (struct quota_meter) { &file->policy.rates, file->cells };
    }
    return (struct quota_meter) { &writer->volume->rates,
                                  writer->volume->cells };
}

/* When a request takes from a cell, in CLOCK_MONOTONIC, and by how much it is
 * late. */
struct quota_time {
    uint64_t now_ns;
    uint64_t late_ns;
};

/*
 * quota_cell_take: take units (bytes or I/Os) from one cell, about @wanted.
 * Returns how many it took: at least 1, less than @wanted if that is large,
 * more if it is small; or 0, with *@wait_ns until the next attempt can succeed.
 */
uint64_t quota_cell_take(struct quota_writer *writer, enum quota_scope scope,
                         int kind, uint64_t wanted, struct quota_time time,
                         uint64_t *wait_ns);

/* quota_cell_debit: take @units now, however far that puts the cell ahead. */
void quota_cell_debit(struct quota_writer *writer, enum quota_scope scope,
                      int kind, uint64_t units, uint64_t now_ns);

/* quota_cell_ahead_ns: how far a cell is ahead of its rate. */
uint64_t quota_cell_ahead_ns(const struct quota_writer *writer,
                             enum quota_scope scope, int kind,
                             uint64_t now_ns);

/* The rates that count a request; at most one of bytes and one of I/Os. */
uint32_t quota_rate_mask(uint32_t armed, bool is_write);
bool quota_rate_is_bytes(int kind);

#pragma GCC visibility pop

#endif
