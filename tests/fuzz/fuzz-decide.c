/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process that writes for a tenant can write all of its ledger while quota-lvmd
 * reads it and decides.  Whatever it writes, quota-lvmd asks LVM for no more than the
 * limit, nor for more than the thin pool's use, one request and the growth ahead
 * explain, and never overflows.
 *
 * Input: the number of changes to a sound ledger, and those; the number of changes
 * that the neighbour makes, and those, each after how many steps of the library; then
 * samples, up to the end: milliseconds since the last one (2 bytes), chunks that the
 * kernel counts (2 bytes), how a growth that runs goes on (1 byte).
 */
#include "decide.h"
#include "neighbour.h"

#define NS_PER_MS UINT64_C(1000000)
#define EXTENT (UINT64_C(4) << 20)
#define STEP (UINT64_C(64) << 20)
#define LIMIT (UINT64_C(64) << 30)
#define THICK (UINT64_C(1) << 30)

static struct quota_ledger *ledger;
static struct quota_ledger_file *image;

static bool is_busy;

/* Before each access of the library to shared memory. */
void fuzz_step(void);
void fuzz_step(void)
{
    if (is_busy) {
        neighbour_step(ledger->file);
    }
}

/* What LVM says; a tenant cannot change it. */
static struct quota_state lvm;

struct daemon {
    struct decide_state state;
    struct growth_need need;    /* of the growth that runs */
    uint64_t now_ns, began_ns, used_bytes;
    bool is_growing;
};

static void prepare(void)
{
    struct quota_sample sample;

    ledger = fuzz_ledger();
    lvm = (struct quota_state) {
        .limits = { .limit_bytes = LIMIT, .step_bytes = STEP },
        .thick_bytes = THICK,
        .grant_bytes = STEP,
        .chunk_bytes = CHUNK,
        .group_free_bytes = LIMIT,
    };
    quota_state_publish(ledger, &lvm);
    quota_sample_begin(ledger, &sample);
    quota_sample_publish(ledger, &sample, CHUNK, 1, QUOTA_REASON_NONE);
    image = malloc(sizeof(*image));
    FUZZ_CHECK(image);
    memcpy(image, ledger->file, sizeof(*image));
}

/* growth_run, with LVM's own numbers. */
static void grow(struct daemon *daemon)
{
    uint64_t grant = lvm.grant_bytes, most;
    struct growth_plan plan;

    FUZZ_CHECK(daemon->need.demand_bytes <= QUOTA_REQUEST_MAX_BYTES);
    FUZZ_CHECK(daemon->need.used_bytes <=
               daemon->used_bytes + QUOTA_REQUEST_MAX_BYTES);
    FUZZ_CHECK(daemon->need.ahead_bytes <= PACE_AHEAD_MAX_BYTES);
    growth_decide(&lvm, EXTENT, &daemon->need, &plan);
    FUZZ_CHECK(plan.extents <= LIMIT / EXTENT);
    lvm.grant_bytes += plan.extents * EXTENT;
    lvm.group_free_bytes -= plan.extents * EXTENT;
    FUZZ_CHECK(lvm.grant_bytes + THICK <= LIMIT);
    FUZZ_CHECK(lvm.group_free_bytes <= LIMIT);
    if (plan.extents == 0) {
        return;
    }
    most = 2 * (daemon->need.ahead_bytes / STEP + 1) * STEP;
    if (most < daemon->need.demand_bytes) {
        most = daemon->need.demand_bytes;
    }
    FUZZ_CHECK(lvm.grant_bytes - grant < most + EXTENT);
}

static void grown(struct daemon *daemon, unsigned how)
{
    struct decide_input input = {
        .event = DECIDE_GROWN,
        .began_ns = daemon->began_ns,
        .took_ns = daemon->now_ns - daemon->began_ns,
        .outcome = how % 7,
    };

    daemon->is_growing = false;
    if (input.outcome == GROWTH_DONE) {
        grow(daemon);
        quota_state_publish(ledger, &lvm);
    }
    decide(&daemon->state, &input, daemon->now_ns);
}

static void tell(struct daemon *daemon, struct decide_input input)
{
    decide(&daemon->state, &input, daemon->now_ns);
}

/* As sampler.c does it. */
static void run(struct daemon *daemon)
{
    struct decide_input seen = { .event = DECIDE_SAMPLED, .has_pool = true };
    struct decide_action action;
    struct quota_sample sample;
    struct quota_usage usage;
    struct quota_state policy;

    quota_writer_audit(ledger);
    quota_sample_begin(ledger, &sample);
    tell(daemon, (struct decide_input) {
        .event = DECIDE_ASKED,
        .demand_bytes = quota_doorbell_demand(ledger),
    });
    quota_state_read(ledger, &policy);
    seen.policy = &policy;
    seen.extent_bytes = EXTENT;
    seen.used_bytes = daemon->used_bytes;
    action = decide(&daemon->state, &seen, daemon->now_ns);
    FUZZ_CHECK(action.reason < QUOTA_REASON_MAX);
    if (quota_sample_publish(ledger, &sample, daemon->used_bytes, daemon->now_ns,
                             action.reason) < 0) {
        return;
    }
    quota_usage_read(ledger, &usage);
    if (usage.reason == QUOTA_REASON_ACCOUNTING_LOST) {
        tell(daemon, (struct decide_input) { .event = DECIDE_SPOILT });
        return;
    }
    seen.event = DECIDE_ANSWERED;
    seen.used_bytes += usage.unsampled_bytes < QUOTA_REQUEST_MAX_BYTES
                       ? usage.unsampled_bytes : QUOTA_REQUEST_MAX_BYTES;
    action = decide(&daemon->state, &seen, daemon->now_ns);
    FUZZ_CHECK(action.say < QUOTA_REASON_MAX);
    FUZZ_CHECK(!action.grow || !daemon->is_growing);
    if (action.grow) {
        daemon->is_growing = true;
        daemon->began_ns = daemon->now_ns;
        daemon->need = action.need;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = { data, size };
    struct daemon daemon = { .now_ns = 1000 * NS_PER_MS };

    if (!image) {
        prepare();
    }
    lvm.grant_bytes = STEP;
    lvm.group_free_bytes = LIMIT;
    neighbour_take(&input, ledger->file, image);
    is_busy = true;
    tell(&daemon, (struct decide_input) {
        .event = DECIDE_READ,
        .pool = 1,
        .demand_bytes = quota_doorbell_demand(ledger),
    });
    while (input.size > 0) {
        unsigned how;

        daemon.now_ns += fuzz_take(&input, 2) * NS_PER_MS;
        daemon.used_bytes = fuzz_take(&input, 2) * CHUNK;
        how = fuzz_take(&input, 1);
        if (daemon.used_bytes > lvm.grant_bytes) {
            daemon.used_bytes = lvm.grant_bytes;
        }
        if (daemon.is_growing && how < 128) {
            grown(&daemon, how);
        }
        run(&daemon);
    }
    is_busy = false;
    return 0;
}
