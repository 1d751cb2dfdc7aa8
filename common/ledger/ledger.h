/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ledger.h: a ledger that is mapped, and where its slots are.
 */
#ifndef QUOTA_LEDGER_LEDGER_H
#define QUOTA_LEDGER_LEDGER_H

#include <pthread.h>

#include "ledger-layout.h"

#pragma GCC visibility push(hidden)

/* A mapping of a ledger in this process. */
struct quota_ledger {
    struct quota_ledger_file *file;
    int fd;                     /* -1: private, without a file */
    unsigned volumes_seen;      /* by quota_volumes_seen */
    struct quota_header header; /* checked copy */
    /* The attach lock is the file description's: threads that share it need
     * one of their own. */
    pthread_mutex_t attach_mutex;
};

/* The slots in use, of what the file says; never out of bounds. */
static inline unsigned quota_volumes_count(const struct quota_ledger *ledger)
{
    uint32_t count = quota_load(&ledger->file->counters.volumes);

    return count < QUOTA_LEDGER_VOLUMES ? count : QUOTA_LEDGER_VOLUMES;
}

/* For the sampler: slots stay in use, so a number smaller than an earlier one is a
 * forged one.  Without what was settled in the others, no sample would ever be the
 * newest. */
static inline unsigned quota_volumes_seen(struct quota_ledger *ledger)
{
    unsigned count = quota_volumes_count(ledger);

    if (ledger->volumes_seen < count) {
        ledger->volumes_seen = count;
    }
    return ledger->volumes_seen;
}

static inline struct quota_volume *
quota_volume_at(const struct quota_ledger *ledger, unsigned writer)
{
    return &ledger->file->volumes[writer / QUOTA_VOLUME_WRITERS];
}

static inline struct quota_writer_words *
quota_writer_at(const struct quota_ledger *ledger, unsigned writer)
{
    return &quota_volume_at(ledger, writer)
        ->writers[writer % QUOTA_VOLUME_WRITERS];
}

#pragma GCC visibility pop

#endif
