/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The quota block filter: what its files share.
 *
 * A node turns requests into payments (quota-rate.c) and into reservations of
 * new space (quota-alloc.c) on its tenant's ledger, and remembers in its own
 * memory which chunks it has paid for (quota-map.c).  How bytes are counted
 * is not decided here but in common/.
 */
#ifndef BLOCK_QUOTA_INT_H
#define BLOCK_QUOTA_INT_H

#include "block/accounting.h"
#include "block/block_int.h"
#include "block/reqlist.h"
#include "qapi/qapi-types-block-core.h"
#include "qemu/rcu.h"
#include "qemu/stats64.h"
#include "qemu/thread.h"
#include "qemu/timer.h"

#include "compat.h"
#include "common/quota-writer.h"
#include "quota-module.h"

/*
 * What is charged at once where no thin pool says otherwise; no thin pool has
 * smaller chunks.
 */
#define QUOTA_CHUNK_DEFAULT_BYTES (64 * KiB)

/* Options as they were given, checked; see BlockQuotaOptions. */
typedef struct QuotaOptions {
    char *ledger;               /* NULL: limits are given inline */
    char *tenant;               /* NULL only without a ledger */
    char *volume;
    bool allocation;            /* new space is charged */
    uint64_t wait_timeout_ns;
    uint64_t limit_timeout_ns;
    struct quota_limits limits; /* only without a ledger */
} QuotaOptions;

/*
 * Chunks that need not be paid for again in an epoch.  Immutable but for the
 * bits, which change under BDRVQuotaState.lock; read under it or under RCU.
 */
typedef struct QuotaMap {
    struct rcu_head rcu;
    uint64_t chunk_bytes;
    int64_t nb_chunks;
    uint32_t epoch;             /* of the volume; even: see quota-writer.h */
    unsigned long bits[];
} QuotaMap;

/* How a node stands at a limit; each change but the first's is an event. */
typedef enum QuotaStanding {
    QUOTA_STANDING_ADMITTED,
    QUOTA_STANDING_WAITING,     /* BLOCK_QUOTA_WAITING was sent */
    QUOTA_STANDING_REFUSED,     /* BLOCK_QUOTA_REFUSED was sent */
} QuotaStanding;

/* Requests that waited, see QuotaWait. */
typedef struct QuotaWaitStats {
    Stat64 count;
    Stat64 ns;
    bool has_histogram;         /* atomic; changes under waits_lock */
    BlockLatencyHistogram histogram;    /* under waits_lock */
} QuotaWaitStats;

typedef struct QuotaThreshold QuotaThreshold;

typedef struct BDRVQuotaState {
    /* Written by open and close, and by reopen while the node is drained. */
    QuotaOptions opts;
    struct quota_ledger *ledger;
    struct quota_writer *writer;

    /* Protects the bits and the replacing of @map, and @charges. */
    CoMutex lock;
    QuotaMap *map;
    /* What @map is about, to be compared only; see quota_follow_child. */
    BlockDriverState *bottom_bs;
    /* A chunk of the node is a chunk of what holds its data. */
    bool is_flat;
    /* Atomic: the last sample of a private ledger was of something else. */
    bool is_sample_void;
    /* Writes that have chunks to pay for; none of them overlap in chunks. */
    BlockReqList charges;

    /*
     * Protects @sleepers and changes of @is_drained, which may be read without
     * it; never held over a yield.
     */
    QemuMutex sleepers_lock;
    QLIST_HEAD(, QuotaSleeper) sleepers;
    bool is_drained;

    /* Atomic: somebody samples a ledger that only this node has... */
    bool is_sampling;
    /* ...and may use this, which is too large for a coroutine's stack. */
    struct quota_sample sample;

    /* Atomic: QuotaStanding, and the reason while it is not ADMITTED. */
    int standing;
    int standing_reason;
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
    /* Atomic: the timer's coroutine is under way. */
    bool is_looking;
} BDRVQuotaState;

/* Limits that are of this node alone: it samples its own ledger. */
static inline bool quota_is_private(const BDRVQuotaState *s)
{
    return !s->opts.ledger;
}

/* ---- quota-options.c ---------------------------------------------------- */

extern const char *const quota_mutable_opts[];
extern const char *const quota_strong_runtime_opts[];

/* "total_bytes_sec_max" -> "total-bytes-sec-max" */
char *quota_option_name(const struct quota_limit_field *field);
int quota_options_parse(QuotaOptions *opts, QDict *options, Error **errp);
void quota_options_clear(QuotaOptions *opts);

/* ---- quota-attach.c ----------------------------------------------------- */

/* Whether what the child takes up can be accounted for with these options. */
int GRAPH_RDLOCK quota_check_child(BlockDriverState *bs,
                                   const QuotaOptions *opts, Error **errp);
BlockDriverState * GRAPH_RDLOCK quota_bottom_bs(BlockDriverState *bs);
int GRAPH_RDLOCK quota_attach(BlockDriverState *bs, Error **errp);
void quota_detach(BlockDriverState *bs);
/* The node's own volume in its ledger; false if that is not known. */
bool quota_own_volume(BDRVQuotaState *s, struct quota_volume_usage *usage);
/*
 * quota_follow_child: take over a child that may be another than before.
 * While no I/O is in flight; does not poll.
 */
void GRAPH_RDLOCK quota_follow_child(BlockDriverState *bs);
/* quota_void_child: what is known of the child holds no more.  Likewise. */
void GRAPH_RDLOCK quota_void_child(BlockDriverState *bs);
/* Which of the nodes below lets flushes go nowhere, if one does. */
BlockDriverState * GRAPH_RDLOCK quota_unflushed_bs(BlockDriverState *bs);
/* Make inline limits what the node's own ledger enforces. */
void quota_publish_inline(BDRVQuotaState *s);

/*
 * Sample a ledger that only this node has: the child's allocated size is the
 * truth.  -EBUSY: somebody else is at it.
 */
int coroutine_fn GRAPH_RDLOCK quota_co_sample(BlockDriverState *bs);
/* Have a sample that is of the child as it is now. */
int coroutine_fn GRAPH_RDLOCK quota_co_renew_sample(BlockDriverState *bs);
int GRAPH_RDLOCK quota_sample(BlockDriverState *bs);

/* ---- quota-map.c -------------------------------------------------------- */

/* Any thread; lock not needed. */
bool quota_map_is_paid(BDRVQuotaState *s, int64_t offset, int64_t bytes);

/*
 * quota_map_enter: whether a write is paid for.  If so it has been announced:
 * quota_epoch_leave, with the same @lane, when it has finished.  Any thread;
 * lock not needed.
 */
bool quota_map_enter(BDRVQuotaState *s, int64_t offset, int64_t bytes,
                     unsigned *lane);

/* The others: with BDRVQuotaState.lock, or while no I/O is in flight. */

/* quota_map_reset: forget everything, in favour of the volume's epoch. */
void quota_map_reset(BDRVQuotaState *s, uint64_t chunk_bytes,
                     int64_t length_bytes);
void quota_map_free(BDRVQuotaState *s);
int64_t quota_map_count_unpaid(BDRVQuotaState *s, int64_t first, int64_t end);
/* @epoch: as it was before they were paid for; void if it has passed. */
void quota_map_set_paid(BDRVQuotaState *s, int64_t first, int64_t end,
                        uint32_t epoch);
void quota_map_clear_paid(BDRVQuotaState *s, int64_t first, int64_t end);

/* ---- quota-alloc.c ------------------------------------------------------ */

/* One request's new space, from before it is issued until it has finished. */
typedef struct QuotaCharge {
    BlockReq req;               /* in BDRVQuotaState.charges if is_listed */
    uint64_t chunk_bytes;       /* stays so while it is listed */
    uint64_t begin_ns;          /* when it had to ask; 0: it had not */
    uint32_t epoch;             /* when its chunks were looked up */
    int64_t paid_first;         /* chunks that are paid for if it succeeds */
    int64_t paid_end;
    uint64_t reserved_bytes;
    unsigned lane;              /* valid if is_announced */
    bool is_listed;
    bool is_announced;          /* counts on chunks that are paid for */
    bool needs_flush;           /* space is taken when the cache is written */
} QuotaCharge;

/*
 * quota_co_admit: ask until there is an answer; bytes are reserved if that is
 * 0.  @until_ns, if not 0: the wait for room may be over before that; then
 * *@reason stays as it was.
 */
int coroutine_fn GRAPH_RDLOCK
quota_co_admit(BlockDriverState *bs, uint64_t bytes, uint64_t until_ns,
               enum quota_reason *reason);

/*
 * quota_co_charge: ask for the new space of a write, and wait for the answer
 * if @may_wait.  0: issue the write, then call quota_co_settle; -ENOSPC: there
 * is no room, or none yet.
 */
int coroutine_fn GRAPH_RDLOCK
quota_co_charge(BlockDriverState *bs, int64_t offset, int64_t bytes,
                bool may_wait, QuotaCharge *charge);

/*
 * quota_co_settle: the write has finished with @ret.  @is_paid: if that is
 * success, its chunks are allocated now.  Returns what the write comes to.
 */
int coroutine_fn GRAPH_RDLOCK
quota_co_settle(BlockDriverState *bs, QuotaCharge *charge, int ret,
                bool is_paid);

/*
 * quota_co_wait_epoch: wait while a snapshot is being taken: until it has been,
 * nobody knows which chunks can be written to without new space.  -ENOSPC: it
 * takes longer than the wait timeout.
 */
int coroutine_fn quota_co_wait_epoch(BlockDriverState *bs);

/*
 * quota_co_forget: call before chunks may be given back: keeps writes to them
 * out until the calling request is done, and takes them as not paid for.
 */
void coroutine_fn GRAPH_RDLOCK
quota_co_forget(BlockDriverState *bs, int64_t offset, int64_t bytes);

/* .bdrv_co_truncate: preallocation is charged, a cut-off tail forgotten. */
int coroutine_fn GRAPH_RDLOCK
quota_co_truncate(BlockDriverState *bs, int64_t offset, bool exact,
                  PreallocMode prealloc, BdrvRequestFlags flags, Error **errp);

/* ---- quota-mapped.c ----------------------------------------------------- */

/* How much new space a listed write needs, by what is there already.  If less
 * than it has chunks, that holds for the epoch of @charge. */
uint64_t coroutine_fn GRAPH_RDLOCK
quota_co_look(BlockDriverState *bs, int64_t offset, int64_t bytes,
              const QuotaCharge *charge);

/*
 * quota_co_zero_in_place: make a range read as zeroes without new space: what
 * does already is left alone, the rest is there.  After quota_co_forget, so
 * that nobody writes to the range meanwhile.
 */
int coroutine_fn GRAPH_RDLOCK
quota_co_zero_in_place(BlockDriverState *bs, int64_t offset, int64_t bytes,
                       BdrvRequestFlags flags);

/* ---- quota-room.c ------------------------------------------------------- */

/*
 * quota_co_wait_for_room: a write that asked at @begin_ns was refused @bytes
 * for *@reason: wait as option limit-timeout says.  0: reserved.
 */
int coroutine_fn GRAPH_RDLOCK
quota_co_wait_for_room(BlockDriverState *bs, uint64_t bytes, uint64_t begin_ns,
                       enum quota_reason *reason);
/* Whether such a wait is over: it has lasted long enough, or a drain waits. */
bool GRAPH_RDLOCK quota_room_is_over(BlockDriverState *bs, uint64_t until_ns,
                                     uint64_t now_ns);

/* ---- quota-rate.c ------------------------------------------------------- */

void coroutine_fn quota_co_take_turn(BlockDriverState *bs, int64_t bytes,
                                     bool is_write);

/* quota_co_pay: have a request that has arrived wait until it is paid for. */
static inline void coroutine_fn
quota_co_pay(BlockDriverState *bs, int64_t bytes, bool is_write)
{
    BDRVQuotaState *s = bs->opaque;

    if (quota_rate_is_armed(s->writer) &&
        !quota_turn_is_paid(s->writer, is_write, bytes)) {
        quota_co_take_turn(bs, bytes, is_write);
    }
}

void quota_drain_begin(BlockDriverState *bs);
void quota_drain_end(BlockDriverState *bs);

/* ---- quota-waits.c ------------------------------------------------------ */

void quota_waits_init(BDRVQuotaState *s);
void quota_waits_destroy(BDRVQuotaState *s);
void quota_account_wait(BDRVQuotaState *s, QuotaWait wait, uint64_t wait_ns);
void quota_set_histograms(BlockDriverState *bs, bool has_all, uint64List *all,
                          const QuotaBoundaries boundaries[QUOTA_WAIT__MAX],
                          Error **errp);
void quota_waits_query(BDRVQuotaState *s, BlockStatsSpecificQuota *stats);

/* ---- quota-threshold.c -------------------------------------------------- */

void quota_thresholds_init(BDRVQuotaState *s);
void quota_thresholds_destroy(BDRVQuotaState *s);
void quota_set_thresholds(BlockDriverState *bs, BlockQuotaThresholdList *list,
                          Error **errp);
/* quota_co_threshold_look: usage has grown. */
void coroutine_fn GRAPH_RDLOCK quota_co_threshold_look(BlockDriverState *bs);
void quota_thresholds_query(BDRVQuotaState *s, BlockStatsSpecificQuota *stats);

/* ---- quota-report.c ----------------------------------------------------- */

void quota_report_waiting(BlockDriverState *bs, enum quota_reason reason,
                          uint64_t bytes);
void quota_report_refused(BlockDriverState *bs, enum quota_reason reason,
                          uint64_t bytes);
void coroutine_fn GRAPH_RDLOCK
quota_report_admitted(BlockDriverState *bs, uint64_t bytes);
/* What a reason means here, and what helps: the end of a sentence. */
char *quota_reason_text(BlockDriverState *bs, enum quota_reason reason);
BlockStatsSpecific *quota_get_specific_stats(BlockDriverState *bs);
ImageInfoSpecific * GRAPH_RDLOCK
quota_get_specific_info(BlockDriverState *bs, Error **errp);

#endif
