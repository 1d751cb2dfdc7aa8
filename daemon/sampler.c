/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sampler.c: sample a tenant's used bytes, answer its doorbell, and have its
 * thin pool grown in time.
 *
 * The ledger is the tenant's to spoil: what is read from it decides only what
 * this tenant is told and when LVM is asked.  Growth runs in a thread of its
 * own, beside the sampling, so that over-counts vanish while LVM works.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "gauge.h"
#include "growth.h"
#include "log.h"
#include "pace.h"
#include "sampler.h"
#include "sigbus.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_SEC (1000 * NS_PER_MS)

/* Enough for LVM's reports; a host has many tenants. */
#define SAMPLER_STACK_BYTES (256 * 1024)
/* Writers whose answer is "wait" ring again at once: pause between samples. */
#define SAMPLER_PAUSE_US 5000
/* And never sample faster than this, however madly a tenant rings. */
#define SAMPLER_GAP_US 500
/* Nor look out for the end of a pool that is filled fast more often. */
#define SAMPLER_FILLS_MIN_NS (20 * NS_PER_MS)
/* How soon LVM is asked again when it had no room or made trouble, doubled
 * each time: for a writer that waits, and for growth ahead of need. */
#define SAMPLER_RETRY_NS (250 * NS_PER_MS)
#define SAMPLER_RETRY_DEMAND_MAX_NS (2 * NS_PER_SEC)
#define SAMPLER_RETRY_AHEAD_MAX_NS (32 * NS_PER_SEC)
/* And a pool or ledger that is not as it should be looked into again. */
#define SAMPLER_REREAD_MIN_NS NS_PER_SEC
#define SAMPLER_REREAD_MAX_NS (32 * NS_PER_SEC)
/* Failures of LVM in a row after which writers are told that there is no
 * room, rather than kept waiting. */
#define SAMPLER_FAILURES_MAX 3
/* And how long while another host has LVM's lock: longer than it takes until
 * sanlock gives up a host that has died with it, 140 s by its defaults. */
#define SAMPLER_BUSY_NS (180 * NS_PER_SEC)

/* A refusal is said in the log again only after there was this much room. */
#define SAMPLER_QUIET_BYTES (UINT64_C(16) << 20)

enum sampler_trouble {
    TROUBLE_NONE,
    TROUBLE_INACTIVE,
    TROUBLE_POOL_FAILED,
    TROUBLE_LVM,
    TROUBLE_LEDGER
};

typedef struct {
    GThread *thread;
    atomic_bool is_done;
    struct quota_ledger *ledger;
    const char *group;
    const char *tenant;
    struct growth_need need;
    uint64_t since_ns;
    /* valid when is_done */
    enum growth_outcome outcome;
    uint64_t added_bytes;
    bool is_ledger_lost;
    GError *error;
} SamplerGrowth;

struct Sampler {
    char *group;
    char *tenant;
    uint64_t interval_ns;
    SamplerEnded ended;
    void *opaque;

    pthread_t thread;
    bool is_started;
    bool may_lock;              /* the group; false while our maker has it */
    atomic_bool is_stopping;
    GMutex ledger_lock;         /* held to replace ledger, or to ring it from
                                   another thread */
    struct quota_ledger *ledger;

    /* from LVM; the rest is the thread's alone */
    struct gauge gauge;
    uint64_t extent_bytes;

    struct quota_sample sample;
    uint64_t demand_bytes;      /* of writers that wait for an answer */
    bool is_gone;

    struct pace pace;
    uint64_t fills_ns;          /* after which the pool may have to grow */
    SamplerGrowth *growth;      /* NULL: none runs */
    bool is_short;              /* the last attempts brought nothing */
    unsigned attempts;          /* without growth, one after the other */
    unsigned failures;          /* of LVM's commands, likewise */
    uint64_t busy_since_ns;     /* another host has LVM's lock; 0: it has not */
    uint64_t retry_demand_ns;   /* no attempt before these */
    uint64_t retry_ahead_ns;
    bool is_verdict;            /* LVM was asked and had no room: what waits
                                   may be refused */
    bool is_held;               /* writers wait for us to ask LVM, or grow */
    uint64_t reread_ns;         /* no attempt before this */
    uint64_t reread_delay_ns;

    enum quota_reason said_reason;      /* what the log said last */
    enum sampler_trouble said_trouble;
    bool said_metadata;
};

static void G_GNUC_PRINTF(3, 4)
sampler_log(const Sampler *sampler, int priority, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    log_message(priority, "tenant %s in group %s: %s", sampler->tenant,
                sampler->group, text);
}

/* sampler_trouble_begins: say it when it begins, not at every sample. */
static bool
sampler_trouble_begins(Sampler *sampler, enum sampler_trouble trouble)
{
    bool begins = sampler->said_trouble != trouble;

    sampler->said_trouble = trouble;
    return begins;
}

/* ---- growth -------------------------------------------------------------- */

static gpointer
sampler_growth_thread(gpointer opaque)
{
    SamplerGrowth *growth = opaque;

    growth->outcome = growth_run(growth->group, growth->tenant, growth->ledger,
                                 &growth->need, &growth->added_bytes,
                                 &growth->error);
    growth->is_ledger_lost = sigbus_taken();
    atomic_store(&growth->is_done, true);
    /* growth_run rang before it was done: once more, now that it is */
    quota_doorbell_ring(growth->ledger);
    return NULL;
}

static void
sampler_growth_begin(Sampler *sampler, const struct growth_need *need)
{
    g_autoptr(GError) error = NULL;
    SamplerGrowth *growth = g_new0(SamplerGrowth, 1);

    growth->ledger = sampler->ledger;
    growth->group = sampler->group;
    growth->tenant = sampler->tenant;
    growth->need = *need;
    growth->since_ns = quota_clock_ns();
    growth->thread = g_thread_try_new("growth", sampler_growth_thread, growth,
                                      &error);
    if (!growth->thread) {
        sampler_log(sampler, LOG_ERR, "cannot start a thread to grow: %s",
                    error->message);
        sampler->retry_demand_ns = growth->since_ns + NS_PER_SEC;
        sampler->retry_ahead_ns = growth->since_ns + NS_PER_SEC;
        g_free(growth);
        return;
    }
    sampler->growth = growth;
}

static void
sampler_growth_log(Sampler *sampler, const SamplerGrowth *growth,
                   uint64_t now_ns)
{
    char added[QUOTA_SIZE_MAX_BYTES], grant[QUOTA_SIZE_MAX_BYTES];
    char limit[QUOTA_SIZE_MAX_BYTES];
    struct quota_state state;

    switch (growth->outcome) {
    case GROWTH_DONE:
        quota_state_read(sampler->ledger, &state);
        sampler_log(sampler, LOG_INFO,
                    "thin pool grew by %s to %s, limit %s, in %u ms",
                    quota_size_format(growth->added_bytes, added),
                    quota_size_format(state.grant_bytes, grant),
                    quota_size_format(state.limits.limit_bytes, limit),
                    (unsigned)((now_ns - growth->since_ns) / NS_PER_MS));
        break;
    case GROWTH_FAILED:
    case GROWTH_BUSY:
        sampler_log(sampler, sampler->failures || sampler->busy_since_ns
                             ? LOG_DEBUG : LOG_ERR,
                    "cannot grow the thin pool, trying again: %s",
                    growth->error->message);
        break;
    case GROWTH_SHORT:
        sampler_log(sampler, LOG_DEBUG, "%s", growth->error->message);
        break;
    case GROWTH_NOT_NEEDED:
    case GROWTH_GONE:
        break;
    }
}

/* sampler_growth_collect: take the result of a growth that has ended, or
 * first wait for its end. */
static void
sampler_growth_collect(Sampler *sampler, bool wait)
{
    SamplerGrowth *growth = sampler->growth;
    uint64_t now_ns;

    if (!growth || (!wait && !atomic_load(&growth->is_done)))
        return;

    g_thread_join(growth->thread);
    sampler->growth = NULL;
    now_ns = quota_clock_ns();
    sampler_growth_log(sampler, growth, now_ns);

    if (growth->outcome == GROWTH_DONE) {
        pace_note_growth(&sampler->pace, now_ns - growth->since_ns);
        sampler->is_short = false;
        sampler->attempts = 0;
        sampler->failures = 0;
        sampler->busy_since_ns = 0;
        sampler->retry_demand_ns = 0;
        sampler->retry_ahead_ns = 0;
    } else {
        unsigned shift = MIN(sampler->attempts, 7);

        /* Asking costs the group's lock and an lvs: neither a full group nor
         * a forged ledger may have us ask all the time. */
        sampler->attempts++;
        sampler->failures = growth->outcome == GROWTH_FAILED
            ? sampler->failures + 1 : 0;
        if (growth->outcome != GROWTH_BUSY)
            sampler->busy_since_ns = 0;
        else if (!sampler->busy_since_ns)
            sampler->busy_since_ns = growth->since_ns;
        sampler->is_short = growth->outcome == GROWTH_SHORT ||
            sampler->failures >= SAMPLER_FAILURES_MAX ||
            (sampler->busy_since_ns &&
             now_ns - sampler->busy_since_ns >= SAMPLER_BUSY_NS);
        sampler->retry_demand_ns = now_ns + MIN(SAMPLER_RETRY_NS << shift,
                                                SAMPLER_RETRY_DEMAND_MAX_NS);
        sampler->retry_ahead_ns = now_ns + MIN(SAMPLER_RETRY_NS << shift,
                                               SAMPLER_RETRY_AHEAD_MAX_NS);
        sampler->is_verdict = true;
    }
    if (growth->outcome == GROWTH_GONE || growth->is_ledger_lost)
        sampler->reread_ns = 0;
    g_clear_error(&growth->error);
    g_free(growth);
}

/* ---- trouble ------------------------------------------------------------- */

static void
sampler_take_lvm(Sampler *sampler, const LvmTenant *lvm)
{
    gauge_take_lvm(&sampler->gauge, lvm);
    sampler->extent_bytes = lvm->extent_bytes;
}

/*
 * sampler_reread: the ledger, or what we know of LVM, does not hold any more:
 * begin anew from LVM.  With @spoilt the ledger is replaced even when it still
 * has its name; processes that map the old one fail closed.
 */
static void
sampler_reread(Sampler *sampler, bool spoilt)
{
    g_autoptr(LvmTenant) lvm = NULL;
    g_autoptr(GError) error = NULL;
    struct quota_ledger *ledger = NULL;
    int lock_fd, ret;

    if (!sampler->may_lock)
        return;
    sampler->reread_delay_ns = CLAMP(sampler->reread_delay_ns * 2,
                                     SAMPLER_REREAD_MIN_NS,
                                     SAMPLER_REREAD_MAX_NS);
    sampler->reread_ns = quota_clock_ns() + sampler->reread_delay_ns;
    sampler_growth_collect(sampler, true);

    lock_fd = quota_group_lock(sampler->group);
    if (lock_fd < 0) {
        if (sampler_trouble_begins(sampler, TROUBLE_LEDGER))
            sampler_log(sampler, LOG_ERR, "cannot lock the group: %s",
                        g_strerror(-lock_fd));
        return;
    }
    lvm = lvm_tenant_read(sampler->group, sampler->tenant, &error);
    if (error) {
        if (sampler_trouble_begins(sampler, TROUBLE_LVM))
            sampler_log(sampler, LOG_ERR, "cannot be read, trying again: %s",
                        error->message);
        goto out;
    }
    if (!lvm) {
        /* only LVM's word ends a tenant, never a missing file */
        sampler->is_gone = true;
        quota_ledger_unlink(sampler->group, sampler->tenant);
        sampler_log(sampler, LOG_INFO, "is gone from LVM: ledger removed");
        goto out;
    }
    sampler_take_lvm(sampler, lvm);

    if (spoilt)
        quota_ledger_unlink(sampler->group, sampler->tenant);
    if (spoilt || !quota_ledger_is_current(sampler->ledger)) {
        ret = quota_ledger_create(sampler->group, sampler->tenant, &ledger);
        if (ret < 0) {
            if (sampler_trouble_begins(sampler, TROUBLE_LEDGER))
                sampler_log(sampler, LOG_ERR, "cannot make its ledger: %s",
                            g_strerror(-ret));
            goto out;
        }
        g_mutex_lock(&sampler->ledger_lock);
        quota_ledger_close(sampler->ledger);
        sampler->ledger = ledger;
        g_mutex_unlock(&sampler->ledger_lock);
        sampler->demand_bytes = 0;
        gauge_forget(&sampler->gauge);
        (void)sigbus_taken();   /* that was the old one */
        sampler_log(sampler, spoilt ? LOG_WARNING : LOG_INFO, spoilt
                    ? "ledger contradicted itself and was made anew: writers "
                      "of the old one get ENOSPC until their guest restarts"
                    : "ledger was replaced: using the new one");
    }
    quota_state_publish(sampler->ledger, &lvm->state);
 out:
    quota_group_unlock(lock_fd);
}

/* sampler_check_metadata: say it when the thin pool's metadata runs out. */
static void
sampler_check_metadata(Sampler *sampler, const struct thin_status *status)
{
    bool is_short = status->is_read_only ||
        status->meta_used_blocks > status->meta_total_blocks / 10 * 9;

    if (is_short && !sampler->said_metadata)
        sampler_log(sampler, LOG_ERR,
                    "thin pool's metadata %s: lvextend "
                    "--poolmetadatasize +64m %s/%s." QUOTA_THIN_POOL_VOLUME,
                    status->is_read_only ? "is full or damaged"
                                         : "is nine tenths full",
                    sampler->group, sampler->tenant);
    sampler->said_metadata = is_short;
}

/* sampler_read_used: the thin pool's used bytes.  False: not known now; then
 * nothing is published, and writers fail closed when their patience ends. */
static bool
sampler_read_used(Sampler *sampler, uint64_t *used_bytes)
{
    struct thin_status status;
    int ret = gauge_read_pool(&sampler->gauge, sampler->sample.settled_bytes -
                              sampler->sample.recalled_bytes,
                              &status, used_bytes);

    if (ret == -EAGAIN)
        return false;
    if (ret == -ENODEV) {
        if (quota_clock_ns() >= sampler->reread_ns)
            sampler_reread(sampler, false);
        if (!sampler->is_gone &&
            sampler_trouble_begins(sampler, TROUBLE_INACTIVE))
            sampler_log(sampler, LOG_WARNING,
                        "thin pool is not active: start the tenant's storage "
                        "pool, or lvchange -ay %s/%s." QUOTA_THIN_POOL_VOLUME,
                        sampler->group, sampler->tenant);
        return false;
    }
    if (ret < 0) {
        if (sampler_trouble_begins(sampler, TROUBLE_POOL_FAILED))
            sampler_log(sampler, LOG_ERR,
                        "thin pool cannot be sampled: %s; see dmsetup status "
                        "and, for a failed pool, lvconvert --repair %s/%s."
                        QUOTA_THIN_POOL_VOLUME, g_strerror(-ret),
                        sampler->group, sampler->tenant);
        return false;
    }
    if (sampler->gauge.thin_dm_uuid) {
        sampler_check_metadata(sampler, &status);
        sampler->said_trouble = TROUBLE_NONE;
        sampler->reread_delay_ns = 0;
        gauge_read_volumes(&sampler->gauge, sampler->ledger, &sampler->sample);
    }
    return true;
}

/* ---- a turn -------------------------------------------------------------- */

static void
sampler_log_refusal(Sampler *sampler, const struct quota_usage *usage,
                    enum quota_reason reason)
{
    char used[QUOTA_SIZE_MAX_BYTES], limit[QUOTA_SIZE_MAX_BYTES];

    if (sampler->said_reason == reason)
        return;
    sampler->said_reason = reason;

    quota_size_format(usage->used_bytes, used);
    quota_size_format(usage->limit_bytes, limit);
    if (reason == QUOTA_REASON_TENANT_LIMIT)
        sampler_log(sampler, LOG_NOTICE,
                    "limit reached, writes get ENOSPC: %s used of %s; raise "
                    "it with: quota-lvm set %s --group %s --limit SIZE",
                    used, limit, sampler->tenant, sampler->group);
    else if (reason == QUOTA_REASON_GROUP_FULL)
        sampler_log(sampler, LOG_WARNING,
                    "volume group has no room to grow, writes get ENOSPC "
                    "below the limit: %s used of %s; add a disk with: "
                    "vgextend %s DEVICE", used, limit, sampler->group);
}

static bool
sampler_turn_inner(Sampler *sampler)
{
    struct quota_state state;
    struct quota_usage usage;
    struct growth_plan plan;
    enum quota_reason reason;
    struct growth_need need;
    uint64_t used_bytes, demand_bytes, now_ns;
    bool ask_lvm = false;

    sampler->fills_ns = UINT64_MAX;
    sampler_growth_collect(sampler, false);
    if (!quota_ledger_is_current(sampler->ledger)) {
        if (quota_clock_ns() < sampler->reread_ns)
            return false;
        sampler_reread(sampler, false);
        if (sampler->is_gone)
            return false;
    }

    quota_writer_audit(sampler->ledger);
    quota_sample_begin(sampler->ledger, &sampler->sample);
    /* a writer says what it needs before it rings: after the doorbell was
     * read, this is the demand of every ring that the sample answers */
    demand_bytes = quota_doorbell_demand(sampler->ledger);
    sampler->demand_bytes = MAX(sampler->demand_bytes, demand_bytes);
    if (!sampler_read_used(sampler, &used_bytes))
        return false;

    now_ns = quota_clock_ns();
    pace_note_used(&sampler->pace, used_bytes, now_ns);
    quota_state_read(sampler->ledger, &state);
    need.used_bytes = used_bytes;
    need.demand_bytes = sampler->demand_bytes;
    need.ahead_bytes = pace_ahead_bytes(&sampler->pace);
    growth_decide(&state, sampler->extent_bytes, &need, &plan);
    reason = plan.reason;
    if (reason == QUOTA_REASON_NONE && sampler->is_short)
        reason = QUOTA_REASON_GROUP_FULL;
    sampler->is_held = sampler->growth != NULL;
    if (reason == QUOTA_REASON_GROUP_FULL && sampler->demand_bytes &&
        !sampler->is_verdict) {
        /* The group's free extents are others' to change, so LVM is asked
         * before a write is refused for the want of them; and the write
         * waits until LVM may be asked again, since each time costs the
         * other tenants of the group its lock. */
        ask_lvm = now_ns >= sampler->retry_demand_ns;
        sampler->is_held = true;
    }
    sampler->is_verdict = false;
    if (sampler->is_held)
        reason = QUOTA_REASON_NONE;
    if (quota_sample_publish(sampler->ledger, &sampler->sample, used_bytes,
                             quota_clock_ns(), reason) < 0)
        return false;

    quota_usage_read(sampler->ledger, &usage);
    if (usage.reason == QUOTA_REASON_ACCOUNTING_LOST || sigbus_taken()) {
        if (now_ns >= sampler->reread_ns)
            sampler_reread(sampler, true);
        return false;
    }
    used_bytes = usage.sampled_bytes + usage.unsampled_bytes;
    if (reason != QUOTA_REASON_NONE) {
        if (sampler->demand_bytes)
            sampler_log_refusal(sampler, &usage, reason);
        sampler->demand_bytes = 0;
    } else if (state.grant_bytes > used_bytes &&
               state.grant_bytes - used_bytes >= sampler->demand_bytes) {
        sampler->demand_bytes = 0;
    }
    if (sampler->demand_bytes == 0 && usage.grant_bytes > used_bytes &&
        usage.grant_bytes - used_bytes >= SAMPLER_QUIET_BYTES)
        sampler->said_reason = QUOTA_REASON_NONE;

    need.used_bytes = used_bytes;
    need.demand_bytes = sampler->demand_bytes;
    growth_decide(&state, sampler->extent_bytes, &need, &plan);
    /* Where it could grow, and need not yet. */
    if (!plan.extents && plan.reason == QUOTA_REASON_NONE)
        sampler->fills_ns = pace_fills_ns(&sampler->pace,
                                          growth_spare_bytes(&state, &need));
    if (plan.extents && now_ns >= (sampler->demand_bytes
                                   ? sampler->retry_demand_ns
                                   : sampler->retry_ahead_ns))
        ask_lvm = true;
    if (ask_lvm && !sampler->growth)
        sampler_growth_begin(sampler, &need);
    return true;
}

bool
sampler_turn(Sampler *sampler)
{
    bool ok = sampler_turn_inner(sampler);

    /* a ledger that was cut short between two looks at it */
    if (sigbus_taken() && !sampler->is_gone) {
        if (quota_clock_ns() >= sampler->reread_ns)
            sampler_reread(sampler, true);
        ok = false;
    }
    return ok;
}

bool
sampler_settle(Sampler *sampler)
{
    bool ok = true;

    sampler->may_lock = true;
    while (sampler->growth) {
        sampler_growth_collect(sampler, true);
        ok = sampler_turn(sampler);
    }
    return ok;
}

/* ---- the thread ---------------------------------------------------------- */

static void *
sampler_thread(void *opaque)
{
    Sampler *sampler = opaque;
    uint64_t last_ns = 0;

    while (!atomic_load(&sampler->is_stopping) && !sampler->is_gone) {
        uint64_t now_ns = quota_clock_ns();
        uint64_t timeout_ns = sampler->interval_ns;
        int rung;

        if (sampler->gauge.due_ns)
            timeout_ns = sampler->gauge.due_ns > now_ns
                ? MIN(timeout_ns, sampler->gauge.due_ns - now_ns) : 0;
        timeout_ns = MIN(timeout_ns,
                         MAX(sampler->fills_ns, SAMPLER_FILLS_MIN_NS));
        rung = quota_doorbell_wait(sampler->ledger, sampler->sample.doorbell,
                                   timeout_ns);
        if (atomic_load(&sampler->is_stopping))
            break;
        if (rung == 0 && sampler->is_held)
            g_usleep(SAMPLER_PAUSE_US);
        else if (quota_clock_ns() - last_ns < SAMPLER_GAP_US * 1000)
            g_usleep(SAMPLER_GAP_US);
        if (!sampler_turn(sampler) && !sampler->is_gone &&
            !sampler->gauge.due_ns) {
            /* no sample, so the ring was not answered and would wake us for
             * ever */
            g_usleep(SAMPLER_PAUSE_US);
        }
        last_ns = quota_clock_ns();
    }
    sampler_growth_collect(sampler, true);
    if (sampler->is_gone)
        sampler->ended(sampler->group, sampler->tenant, sampler->opaque);
    return NULL;
}

Sampler *
sampler_new(const LvmTenant *lvm, struct quota_ledger *ledger,
            uint64_t interval_ns, SamplerEnded ended, void *opaque)
{
    Sampler *sampler = g_new0(Sampler, 1);

    sampler->group = g_strdup(lvm->group);
    sampler->tenant = g_strdup(lvm->tenant);
    sampler->interval_ns = interval_ns;
    sampler->ended = ended;
    sampler->opaque = opaque;
    sampler->ledger = ledger;
    g_mutex_init(&sampler->ledger_lock);
    sampler_take_lvm(sampler, lvm);
    if (lvm->has_bad_tag)
        sampler_log(sampler, LOG_ERR,
                    "a tag of its limits cannot be read and is ignored: set "
                    "it anew with quota-lvm set");
    if (lvm->thin_dm_uuid && lvm->state.limits.limit_bytes == 0)
        sampler_log(sampler, LOG_WARNING,
                    "has no limit, so it gets no space: quota-lvm set %s "
                    "--group %s --limit SIZE", lvm->tenant, lvm->group);
    return sampler;
}

int
sampler_start(Sampler *sampler)
{
    pthread_attr_t attr;
    int ret = pthread_attr_init(&attr);

    sampler->may_lock = true;
    if (ret == 0) {
        ret = pthread_attr_setstacksize(&attr, SAMPLER_STACK_BYTES);
        if (ret == 0)
            ret = pthread_create(&sampler->thread, &attr, sampler_thread,
                                 sampler);
        pthread_attr_destroy(&attr);
    }
    sampler->is_started = ret == 0;
    return -ret;
}

void
sampler_poke(Sampler *sampler)
{
    g_mutex_lock(&sampler->ledger_lock);
    quota_doorbell_ring(sampler->ledger);
    g_mutex_unlock(&sampler->ledger_lock);
}

void
sampler_ask_stop(Sampler *sampler)
{
    atomic_store(&sampler->is_stopping, true);
    sampler_poke(sampler);
}

void
sampler_free(Sampler *sampler)
{
    if (!sampler)
        return;
    if (sampler->is_started) {
        sampler_ask_stop(sampler);
        pthread_join(sampler->thread, NULL);
    }
    sampler_growth_collect(sampler, true);
    quota_ledger_close(sampler->ledger);
    g_mutex_clear(&sampler->ledger_lock);
    gauge_clear(&sampler->gauge);
    g_free(sampler->group);
    g_free(sampler->tenant);
    g_free(sampler);
}
