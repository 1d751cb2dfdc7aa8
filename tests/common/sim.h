/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sim.h: writers on simulated time: each volume keeps a number of requests of
 * one size going, as a guest with that queue depth does.
 */
#ifndef TEST_SIM_H
#define TEST_SIM_H

#include "scratch.h"

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)

struct sim_request {
    struct quota_request queued;        /* first: wake casts */
    struct sim_volume *volume;
    uint64_t at_ns;             /* what happens next, happens then */
    bool is_waiting;            /* is queued; else it is to arrive */
};

struct sim_volume {
    struct quota_writer *writer;
    struct sim_request *requests;
    struct sim_request *next;   /* what happens to it next; valid unless */
    bool has_changed;
    unsigned depth;
    uint64_t bytes;             /* of a request */
    uint64_t device_ns;         /* from its start until the next arrives */
    uint64_t late_ns;           /* timers are up to so much late */
    uint64_t from_ns, until_ns; /* arrives only then */
    bool is_read;
    /* results */
    uint64_t started_bytes, started_count;
    void (*started)(struct sim_volume *, uint64_t now_ns);
    void *opaque;
};

static uint64_t sim_now_ns;

static inline void sim_wake(struct quota_request *queued)
{
    struct sim_request *request = (struct sim_request *)queued;

    if (request->is_waiting && request->at_ns > sim_now_ns) {
        request->at_ns = sim_now_ns;
        request->volume->has_changed = true;
    }
}

static inline uint64_t sim_lateness(const struct sim_volume *volume)
{
    return volume->late_ns ? g_test_rand_int_range(0, volume->late_ns) : 0;
}

static inline void sim_step(struct sim_request *request)
{
    struct sim_volume *volume = request->volume;
    uint64_t wait_ns = 0;

    volume->has_changed = true;
    if (request->is_waiting) {
        wait_ns = quota_queue_poll(volume->writer, &request->queued,
                                   sim_now_ns);
    } else if (!quota_credit_take(volume->writer, !volume->is_read,
                                  volume->bytes)) {
        request->queued.wake = sim_wake;
        request->is_waiting = true;
        wait_ns = quota_queue_enter(volume->writer, &request->queued,
                                    !volume->is_read, volume->bytes,
                                    sim_now_ns);
    }
    if (wait_ns) {
        g_assert_cmpuint(wait_ns, <=, 50 * MS);
        request->at_ns = sim_now_ns + wait_ns + sim_lateness(volume);
        return;
    }
    request->is_waiting = false;
    volume->started_bytes += volume->bytes;
    volume->started_count++;
    if (volume->started) {
        volume->started(volume, sim_now_ns);
    }
    request->at_ns = sim_now_ns + volume->device_ns;
}

static inline void sim_check(struct sim_volume *volume)
{
    volume->next = NULL;
    volume->has_changed = false;
    for (unsigned r = 0; r < volume->depth; r++) {
        struct sim_request *request = &volume->requests[r];

        if ((request->is_waiting || request->at_ns < volume->until_ns) &&
            (!volume->next || request->at_ns < volume->next->at_ns)) {
            volume->next = request;
        }
    }
}

/* Run until @end_ns; may be called again to go on. */
static inline void sim_run(struct sim_volume *volumes, size_t count,
                           uint64_t end_ns)
{
    for (;;) {
        struct sim_request *next = NULL;

        for (size_t v = 0; v < count; v++) {
            if (volumes[v].has_changed) {
                sim_check(&volumes[v]);
            }
            if (volumes[v].next &&
                (!next || volumes[v].next->at_ns < next->at_ns)) {
                next = volumes[v].next;
            }
        }
        if (!next || next->at_ns >= end_ns) {
            sim_now_ns = end_ns;
            return;
        }
        if (next->at_ns > sim_now_ns) {
            sim_now_ns = next->at_ns;
        }
        sim_step(next);
    }
}

/* Fill in what a volume needs beside its own numbers. */
static inline void sim_start(struct sim_volume *volume,
                             struct quota_ledger *ledger, const char *name)
{
    volume->writer = scratch_writer(ledger, name);
    volume->requests = g_new0(struct sim_request, volume->depth);
    if (volume->until_ns == 0) {
        volume->until_ns = UINT64_MAX;
    }
    for (unsigned r = 0; r < volume->depth; r++) {
        volume->requests[r].volume = volume;
        volume->requests[r].at_ns = MAX(volume->from_ns, sim_now_ns) +
                                    sim_lateness(volume);
    }
    volume->has_changed = true;
}

static inline void sim_stop(struct sim_volume *volume)
{
    for (unsigned r = 0; r < volume->depth; r++) {
        quota_queue_leave(volume->writer, &volume->requests[r].queued,
                          sim_now_ns);
    }
    quota_writer_detach(volume->writer);
    g_free(volume->requests);
}

#endif
