/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The quota block filter: the state of a node, which all of its files share.
 *
 * A node holds requests to the rates of its tenant's ledger (quota-rate.c),
 * reserves new space there (quota-alloc.c), and remembers in its own memory
 * which chunks it was charged for (quota-map.c).  common/ decides how bytes and
 * requests are counted.
 *
 * The header of the same name declares a file's functions.  A file calls only
 * those below it in this list:
 *
 *   quota.c              the driver's callbacks
 *   quota-attach.c       opening and closing the ledger
 *   quota-alloc.c        new space of a request
 *   quota-room.c         asking for room and waiting for it
 *   quota-report.c       statistics, image information, events
 *   quota-threshold.c    events when usage crosses a threshold
 *   quota-sample.c       samples of a private ledger
 *   quota-mapped.c       chunks that are mapped already
 *   quota-child.c        the nodes below
 *   quota-map.c          chunks that are charged
 *   quota-rate.c         throughput
 *   quota-waits.c        how long requests waited
 *   quota-options.c      options
 *
 * quota-qmp.c and quota-hmp.c, the commands, are not part of the module: see
 * quota-module.h.
 */
#ifndef BLOCK_QUOTA_INT_H
#define BLOCK_QUOTA_INT_H

#include "block/accounting.h"
#include "block/block_int.h"
#include "block/reqlist.h"
#include "qapi/qapi-types-block-core.h"
#include "qemu/stats64.h"
#include "qemu/thread.h"
#include "qemu/timer.h"

#include "compat.h"
#include "quota-writer.h"
#include "quota-module.h"

/*
 * The chunk size without a thin pool; no thin pool has smaller chunks.
 */
#define QUOTA_CHUNK_DEFAULT_BYTES (64 * KiB)

/* Checked options; see BlockQuotaOptions. */
typedef struct QuotaOptions {
    char *ledger;               /* NULL: limits are given inline */
    char *tenant;               /* NULL only without a ledger */
    char *volume;
    bool allocation;            /* new space is charged */
    uint64_t wait_timeout_ns;
    uint64_t limit_timeout_ns;
    struct quota_limits limits; /* only without a ledger */
} QuotaOptions;

/* Requests that waited, see QuotaWait. */
typedef struct QuotaWaitStats {
    Stat64 count;
    Stat64 ns;
    bool has_histogram;         /* atomic; changes under waits_lock */
    BlockLatencyHistogram histogram;    /* under waits_lock */
} QuotaWaitStats;

typedef struct QuotaMap QuotaMap;
typedef struct QuotaThreshold QuotaThreshold;

typedef struct BDRVQuotaState {
    /* Written by open and close, and by reopen while the node is drained. */
    QuotaOptions opts;
    struct quota_ledger *ledger;
    struct quota_writer *writer;

    /* Protects @map, its bits, and @charges. */
    CoMutex lock;
    QuotaMap *map;
    /* The node that @map is about; only compared, see quota_follow_child. */
    BlockDriverState *bottom_bs;
    /* A chunk of the node is a chunk of the node that holds the data. */
    bool is_flat;
    /* Atomic: the last sample of a private ledger was of another child. */
    bool is_sample_void;
    /* Writes to uncharged chunks; no two of them overlap in chunks. */
    BlockReqList charges;

    /*
     * Protects @sleepers and changes of @is_drained, which may be read without
     * it; never held over a yield.
     */
    QemuMutex sleepers_lock;
    QLIST_HEAD(, QuotaSleeper) sleepers;
    bool is_drained;

    /* Atomic: a thread is sampling the private ledger... */
    bool is_sampling;
    /* ...and uses this, which is too large for a coroutine's stack. */
    struct quota_sample sample;

    /*
     * Atomic: BlockQuotaLimitState, and enum quota_reason, which is valid while
     * the state is not ADMITTING.  Each transition sends an event.
     */
    int limit_state;
    int limit_reason;
    /* Atomic: writes in quota_co_wait_for_room. */
    unsigned limit_waiting;

    /* Only grow. */
    Stat64 refused[QUOTA_REASON_MAX];
    Stat64 charged_bytes;
    Stat64 settled_bytes;

    QemuMutex waits_lock;
    QuotaWaitStats waits[QUOTA_WAIT__MAX];

    /* Protects @thresholds; @nb_thresholds may be read without it. */
    QemuMutex thresholds_lock;
    QuotaThreshold *thresholds;
    int nb_thresholds;
    /* Main loop only; NULL without thresholds. */
    QEMUTimer *threshold_timer;
    /* Atomic: the timer's coroutine is running. */
    bool is_checking;
} BDRVQuotaState;

/* The node has its own limits and samples its private ledger. */
static inline bool quota_is_private(const BDRVQuotaState *s)
{
    return !s->opts.ledger;
}

/* The node's volume in @ledger; false if there is none. */
static inline bool quota_own_volume(BDRVQuotaState *s,
                                    const struct quota_ledger *ledger,
                                    struct quota_volume_usage *usage)
{
    int slot = quota_volume_find(ledger, s->opts.volume);

    return slot >= 0 && quota_volume_read(ledger, slot, usage) == 0;
}

#endif
