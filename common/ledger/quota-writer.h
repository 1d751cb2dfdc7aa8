/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quota-writer.h: for processes that write to a tenant's volumes: attach,
 * reserve before a write and settle after it, queue for throughput.
 *
 * Every function returns 0 or a negative errno unless it says otherwise.
 * Nothing here blocks except where the name says "wait"; attaching may take
 * 200 ms when another process that attaches was stopped.  Functions on a
 * writer may be called by any thread at any time, attach and detach apart.
 */
#ifndef QUOTA_WRITER_H
#define QUOTA_WRITER_H

#include "quota-ledger.h"

#pragma GCC visibility push(hidden)

/* ---- attaching (writer.c) ------------------------------------------------ */

/* struct quota_writer: one writer of one volume, such as a filter node. */
struct quota_writer;

/* What every writer begins with; for quota_rate_is_armed. */
struct quota_writer_head {
    const uint32_t *any_armed;
};

/*
 * quota_writer_attach: become a writer of @volume (at most 127 bytes count).
 * The ledger remembers what a writer has in flight, so that a killed one's
 * share can be given back.  The claim lives as long as the open file
 * description of the ledger's descriptor: the kernel tells when its last
 * holder is gone.  Two processes must not attach through one description, nor
 * two threads at once through two ledgers that were opened from one.
 *   -EUSERS   the volume has all the writers it may have, or the tenant all
 *             the volumes
 *   -EBUSY    another process keeps the attach lock
 *   -EUCLEAN  the ledger contradicts itself
 *   -ENOMEM
 */
int quota_writer_attach(struct quota_ledger *ledger, const char *volume,
                        struct quota_writer **writer);

/* quota_writer_detach: give the slot back; NULL is allowed.  No request may be
 * in flight or queued. */
void quota_writer_detach(struct quota_writer *writer);

/* ---- bytes (account.c) --------------------------------------------------- */

/*
 * quota_bytes_reserve: admit @bytes of new allocation, before it is issued, to
 * the volume and to the tenant.  Returns 0, or -ENOSPC: there is no room by
 * what the ledger knows; quota_admission_poll asks for a newer answer; or
 * -EUCLEAN: the ledger contradicts itself, fail closed.
 */
int quota_bytes_reserve(struct quota_writer *writer, uint64_t bytes);

/*
 * quota_bytes_settle: the write that reserved @bytes has finished, whether it
 * allocated, failed or was cancelled: what it really took shows in the next
 * sample.
 */
void quota_bytes_settle(struct quota_writer *writer, uint64_t bytes);

/* quota_bytes_return: @bytes were reserved, and it is known that no write was
 * issued for them: they are free again at once. */
void quota_bytes_return(struct quota_writer *writer, uint64_t bytes);

/*
 * A refused write becomes an admission: it rings once, then asks
 * quota_admission_poll until that says 0 (reserved), or a final error.
 * Zero-initialise before the first call, but for until_ns.
 */
struct quota_admission {
    uint64_t until_ns;          /* CLOCK_MONOTONIC; 0: no deadline.  A writer that
                                   also serves other tenants must set one: any
                                   writer of the tenant can forge answers */
    uint32_t ticket;            /* doorbell value that must be answered */
    bool is_waiting;
    uint64_t begin_ns;          /* CLOCK_MONOTONIC when it first rang */
    uint64_t since_ns;          /* and when it rang for the ticket */
    enum quota_reason reason;   /* valid after -ENOSPC or -EUCLEAN */
};

/*
 * quota_admission_poll: try to reserve @bytes, ringing the doorbell where
 * that is needed.
 *   0         reserved
 *   -EAGAIN   not decided yet: call again in a millisecond or so
 *   -ENOSPC   refused by a sample newer than the request that leaves no room
 *             even if what is in flight came to nothing, or not yet after
 *             @patience_ns; reason says why.  Or no sampler answered for
 *             @patience_ns, or all answers until until_ns were to wait
 *             (QUOTA_REASON_ACCOUNTING_LOST)
 *   -EUCLEAN  the ledger contradicts itself (QUOTA_REASON_ACCOUNTING_LOST)
 * A host that has no other way to do the write counts the refusal then.
 */
int quota_admission_poll(struct quota_writer *writer, uint64_t bytes,
                         uint64_t now_ns, uint64_t patience_ns,
                         struct quota_admission *admission);

/* quota_refusal_count: a write was refused for good; once a write, however
 * often and for whatever less the host asked.  Shown as refused_writes. */
void quota_refusal_count(struct quota_writer *writer);

/* quota_admission_wait: the same, sleeping until it is decided, for @most_ns in
 * all; a refusal is counted. */
int quota_admission_wait(struct quota_writer *writer, uint64_t bytes,
                         uint64_t patience_ns, uint64_t most_ns,
                         enum quota_reason *reason);

/* ---- chunks that are charged already (epoch.c) --------------------------- */

/*
 * A writer remembers, in its own memory, the chunks that it was charged for and
 * the epoch of the volume.  A write to such chunks reserves nothing, but is
 * announced:
 *   epoch = quota_epoch_enter(writer, &lane)
 *   if that is the remembered epoch, which is never odd: write; then
 *   quota_epoch_leave(writer, lane), in any thread
 *   else leave; forget all chunks, if the epoch is even; and reserve
 * A writer remembers newly charged chunks only if quota_epoch_read returned the
 * same even number before the reservation and after the write.
 */
uint32_t quota_epoch_enter(struct quota_writer *writer, unsigned *lane);
void quota_epoch_leave(struct quota_writer *writer, unsigned lane);
uint32_t quota_epoch_read(const struct quota_writer *writer);

/* ---- throughput (rate.c, queue.c) ---------------------------------------- */

/* quota_rate_is_armed: any rate of the tenant or of one of its volumes is
 * limited.  One load. */
static inline bool quota_rate_is_armed(const struct quota_writer *writer)
{
    const struct quota_writer_head *head = (const void *)writer;

    return __atomic_load_n(head->any_armed, __ATOMIC_RELAXED) != 0;
}

/*
 * A request that the writer's credit does not cover is queued, and starts when
 * the rate cells have admitted its whole cost.  Requests of one writer start in
 * the order of their arrival; volumes of one tenant share its cap by their
 * weights.
 */
struct quota_request {
    /*
     * Called from any thread when the request may be admitted, or when it must
     * serve the writer's queue: have quota_queue_poll called soon.  The caller
     * holds a lock: do not wait, and do not call functions of this library.
     * NULL: the owner only polls.
     */
    void (*wake)(struct quota_request *request);

    /* private */
    struct quota_request *next;
    uint64_t bytes;
    uint64_t left[2][QUOTA_RATE_MAX];
    uint32_t generation[2];
    bool is_write, is_queued, has_cost;
};

/* quota_credit_take: take a request's cost from credit.  True: it may start at
 * once; false: quota_queue_enter.  @is_write: it counts for the write rates
 * (writes, zero writes, discards), else for the read rates. */
bool quota_credit_take(struct quota_writer *writer, bool is_write,
                       uint64_t bytes);

/*
 * quota_queue_enter: queue a request, of which only `wake` need be set.
 * Returns 0: start now; else the number of nanoseconds after which, at the
 * latest, to call quota_queue_poll, which returns the same.  Never more than
 * 50 ms, so that a change of the rates is noticed in time.
 */
uint64_t quota_queue_enter(struct quota_writer *writer,
                           struct quota_request *request, bool is_write,
                           uint64_t bytes, uint64_t now_ns);
uint64_t quota_queue_poll(struct quota_writer *writer,
                          struct quota_request *request, uint64_t now_ns);

/* quota_queue_leave: the request starts before it is admitted.  The rest of its
 * cost is debited from the cells, so later requests wait for it. */
void quota_queue_leave(struct quota_writer *writer,
                       struct quota_request *request, uint64_t now_ns);

/* quota_queue_ahead_ns: how far the cells that count this request are ahead of
 * their rates: how much early starts have given away already. */
uint64_t quota_queue_ahead_ns(struct quota_writer *writer,
                              const struct quota_request *request,
                              uint64_t now_ns);

#pragma GCC visibility pop

#endif
