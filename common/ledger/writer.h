/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * writer.h: what an attached writer keeps in its own memory.
 */
#ifndef QUOTA_LEDGER_WRITER_H
#define QUOTA_LEDGER_WRITER_H

#include "quota-writer.h"
#include "register.h"

#pragma GCC visibility push(hidden)

/*
 * Credit of one lane's threads for their next requests, taken ahead from all
 * cells that count them: [0] for reads, [1] for writes.  Bits 0 to 39 of a word
 * are bytes, the others requests.  Valid while the rates have the same
 * generations.
 */
struct quota_lane_credit {
    _Alignas(QUOTA_LINE_BYTES) quota_u64 packed[2];
    quota_u32 generation[QUOTA_SCOPES];
};

/*
 * struct quota_writer: what an attached writer keeps in its own memory.
 * @lock: private to the process, held for some dozens of instructions, never
 * during a wait; protects the members below it.
 */
struct quota_writer {
    struct quota_writer_head head;
    struct quota_ledger *ledger;
    struct quota_volume *volume;
    struct quota_writer_words *words;
    quota_u32 is_queued;        /* a request is queued; set with @lock */
    struct quota_lane_credit lane_credit[QUOTA_LANES];
    _Alignas(QUOTA_LINE_BYTES) atomic_flag lock;
    struct quota_adder adder;
    /* queue.c: the queued requests, in the order of arrival */
    struct quota_request *first, **end;
    /* when the first queued request can take its cost; 0: the writer was idle
     * since; and when the queue was last empty */
    uint64_t due_ns;
    uint64_t served_ns;
    struct {
        uint32_t generation;    /* of the rates that the rest is valid for */
        /* taken from the cell and not yet used: bytes, or I/Os */
        uint64_t credit[QUOTA_RATE_MAX];
    } taken[QUOTA_SCOPES];
    /* What a read, and a write, costs: which credit, in which unit. */
    struct {
        unsigned count;
        struct {
            uint64_t *credit;
            bool is_bytes;
        } of[QUOTA_RATE_MAX * QUOTA_SCOPES];
    } cost[2];
};

/*
 * The calling thread's number, from 1 on; 0: none yet.  In the part of its
 * memory that is reached without a call, of which a module that is loaded late
 * may have a few bytes.
 */
extern _Thread_local unsigned quota_thread_number
    __attribute__((tls_model("initial-exec")));
unsigned quota_thread_number_take(void);

/* quota_lane_of_thread: the lane of the calling thread, which other threads may
 * share if there are many. */
static inline unsigned quota_lane_of_thread(void)
{
    unsigned number = quota_thread_number, lane;

    if (__builtin_expect(number == 0, false)) {
        number = quota_thread_number_take();
    }
    /* Processors fetch lines in pairs: every second lane first. */
    lane = number % QUOTA_LANES * 2;
    return lane < QUOTA_LANES ? lane : lane - QUOTA_LANES + 1;
}

/* The process's own lock on a writer. */
void quota_writer_lock(struct quota_writer *writer);
void quota_writer_unlock(struct quota_writer *writer);

#pragma GCC visibility pop

#endif
