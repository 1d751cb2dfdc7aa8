/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sampler.c: sample a tenant's used bytes, answer its doorbell, and grow its thin
 * pool in time.
 *
 * This file reads and acts; decide.c has the state and decides.  The tenant can
 * corrupt its ledger, so what is read from it affects only this tenant's answers,
 * and when LVM is asked.  Growth runs in its own thread, so that over-counts vanish
 * while LVM works.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "decide.h"
#include "gauge.h"
#include "log.h"
#include "hold.h"
#include "sampler.h"

#define NS_PER_MS UINT64_C(1000000)

/* Enough for LVM's reports; a host has many tenants. */
#define SAMPLER_STACK_BYTES (256 * 1024)
/* Writers whose answer is "wait" ring again at once: pause between samples. */
#define SAMPLER_PAUSE_US 5000
/* Never sample faster than this, however often a tenant rings. */
#define SAMPLER_GAP_US 500
/* A sampler may use 1/SAMPLER_SHARE of a processor, and a second in advance: the
 * tenant names the volumes and so controls the cost of a sample. */
#define SAMPLER_SHARE 5
#define SAMPLER_BURST_NS (INT64_C(1000) * 1000 * 1000)
#define SAMPLER_REST_US 50000
/* The log says the same of a tenant once in this time. */
#define SAMPLER_QUIET_NS (10000 * NS_PER_MS)
/* If no sample can be published for this long, the ledger is forged and is
 * replaced. */
#define SAMPLER_UNPUBLISHED_NS (2000 * NS_PER_MS)
/* Upper bound for bytes in flight.  Only a forged ledger says more; real writes beyond
 * it appear in the next sample. */
#define SAMPLER_IN_FLIGHT_BYTES QUOTA_REQUEST_MAX_BYTES

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
    const char *thin_dm_uuid;   /* the gauge's */
    struct growth_need need;
    uint64_t since_ns;
    /* valid when is_done */
    enum growth_outcome outcome;
    uint64_t took_ns;
    uint64_t added_bytes;
    LvmRefusal why;
} SamplerGrowth;

struct Sampler {
    gatomicrefcount refs;
    char *group;
    char *tenant;
    uint64_t interval_ns;
    SamplerEnded ended;
    void *opaque;

    pthread_t thread;
    bool is_started;
    bool may_lock;              /* the group; not in the first run */
    atomic_bool is_stopping;
    GMutex ledger_lock;         /* held to replace ledger, or to ring it from
                                   another thread */
    struct quota_ledger *ledger;

    /* from LVM; the rest is the thread's alone */
    struct gauge gauge;
    uint64_t extent_bytes;

    uint64_t pool;              /* another number for each pool that LVM had */

    struct decide_state state;
    struct quota_sample sample;
    bool is_gone;
    uint64_t wake_ns;           /* sample again after so long at most */
    SamplerGrowth *growth;      /* NULL: none runs */

    enum sampler_trouble said_trouble;
    bool said_metadata;
    uint64_t said_refusal_ns[QUOTA_REASON_MAX];
    uint64_t said_spoilt_ns;

    uint64_t unpublished_ns;    /* since then no sample was published; 0: one was */
};

/* sampler_may_say: not again too soon what a tenant can bring about at will. */
static bool
sampler_may_say(uint64_t *said_ns)
{
    uint64_t now_ns = quota_clock_ns();

    if (*said_ns && now_ns - *said_ns < SAMPLER_QUIET_NS)
        return false;
    *said_ns = now_ns;
    return true;
}

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

static struct decide_action
sampler_decide(Sampler *sampler, const struct decide_input *input)
{
    return decide(&sampler->state, input, quota_clock_ns());
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

    growth->outcome = growth_run(growth->group, growth->tenant,
                                 growth->thin_dm_uuid, growth->ledger,
                                 &growth->need, &growth->added_bytes,
                                 &growth->why);
    growth->took_ns = quota_clock_ns() - growth->since_ns;
    atomic_store(&growth->is_done, true);
    /* growth_run rang before it was done: ring again now that it is */
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
    growth->thin_dm_uuid = sampler->gauge.thin_dm_uuid;
    growth->need = *need;
    growth->since_ns = quota_clock_ns();
    growth->thread = g_thread_try_new("growth", sampler_growth_thread, growth,
                                      &error);
    if (!growth->thread) {
        sampler_log(sampler, LOG_ERR, "cannot start a thread to grow: %s",
                    error->message);
        sampler_decide(sampler,
                       &(struct decide_input) { .event = DECIDE_NOT_BEGUN });
        g_free(growth);
        return;
    }
    sampler->growth = growth;
}

static void
sampler_growth_log(Sampler *sampler, const SamplerGrowth *growth, bool is_first)
{
    char added[QUOTA_SIZE_MAX_BYTES], grant[QUOTA_SIZE_MAX_BYTES];
    char limit[QUOTA_SIZE_MAX_BYTES];
    g_autofree char *words = NULL;
    struct quota_state state;

    switch (growth->outcome) {
    case GROWTH_DONE:
        quota_state_read(sampler->ledger, &state);
        sampler_log(sampler, LOG_INFO,
                    "thin pool grew by %s to %s, limit %s, in %u ms",
                    quota_size_format(growth->added_bytes, added),
                    quota_size_format(state.grant_bytes, grant),
                    quota_size_format(state.limits.limit_bytes, limit),
                    (unsigned)(growth->took_ns / NS_PER_MS));
        break;
    case GROWTH_FAILED:
    case GROWTH_BUSY:
        words = lvm_refusal_format(&growth->why);
        sampler_log(sampler, is_first ? LOG_ERR : LOG_DEBUG,
                    "cannot grow the thin pool, trying again: %s", words);
        break;
    case GROWTH_SHORT:
        words = lvm_refusal_format(&growth->why);
        sampler_log(sampler, LOG_DEBUG, "%s", words);
        break;
    case GROWTH_NOT_NEEDED:
    case GROWTH_GONE:
    case GROWTH_REPLACED:
        break;
    }
}

/* sampler_growth_collect: take the result of a growth that has ended, or first wait
 * for its end.  True: LVM has to be read again. */
static bool
sampler_growth_collect(Sampler *sampler, bool wait)
{
    SamplerGrowth *growth = sampler->growth;
    struct decide_action action;
    uint64_t now_ns;

    if (!growth || (!wait && !atomic_load(&growth->is_done)))
        return false;

    g_thread_join(growth->thread);
    sampler->growth = NULL;
    now_ns = quota_clock_ns();
    action = decide(&sampler->state, &(struct decide_input) {
        .event = DECIDE_GROWN,
        .outcome = growth->outcome,
        .began_ns = growth->since_ns,
        .took_ns = growth->took_ns,
    }, now_ns);
    sampler_growth_log(sampler, growth, action.is_first);
    lvm_refusal_clear(&growth->why);
    g_free(growth);
    return action.reread;
}

/* ---- trouble ------------------------------------------------------------- */

/* sampler_take_lvm: what LVM says of the tenant; the group is locked. */
static void
sampler_take_lvm(Sampler *sampler, const LvmTenant *lvm)
{
    if (!sampler->pool ||
        g_strcmp0(sampler->gauge.thin_dm_uuid, lvm->thin_dm_uuid) != 0) {
        if (sampler->pool)
            sampler_log(sampler, LOG_INFO, "has another thin pool: what is "
                        "known of the old one is forgotten");
        sampler->pool++;
        gauge_forget(&sampler->gauge);
    }
    gauge_take_lvm(&sampler->gauge, lvm);
    sampler->extent_bytes = lvm->extent_bytes;
    sampler_decide(sampler, &(struct decide_input) {
        .event = DECIDE_READ,
        .pool = sampler->pool,
        .demand_bytes = quota_doorbell_demand(sampler->ledger),
    });
}

/* sampler_renew_ledger: restore the name of the ledger; if another ledger has that
 * name now, use it; create one if there is none, or if ours is @spoilt.  False: no
 * ledger could be made. */
static bool
sampler_renew_ledger(Sampler *sampler, bool spoilt)
{
    struct quota_ledger *ledger = NULL;
    int ret;

    if (spoilt)
        quota_ledger_unlink(sampler->group, sampler->tenant);
    else if (quota_ledger_restore(sampler->ledger) == 0)
        return true;
    ret = quota_ledger_create(sampler->group, sampler->tenant, &ledger);
    if (ret < 0) {
        g_autofree char *words = sampler_ledger_error(ret);

        if (sampler_trouble_begins(sampler, TROUBLE_LEDGER))
            sampler_log(sampler, LOG_ERR, "cannot make its ledger: %s", words);
        return false;
    }
    g_mutex_lock(&sampler->ledger_lock);
    quota_ledger_close(sampler->ledger);
    sampler->ledger = ledger;
    g_mutex_unlock(&sampler->ledger_lock);
    sampler_decide(sampler, &(struct decide_input) { .event = DECIDE_RENEWED });
    gauge_forget(&sampler->gauge);
    if (spoilt && !sampler_may_say(&sampler->said_spoilt_ns))
        return true;
    sampler_log(sampler, spoilt ? LOG_WARNING : LOG_INFO, spoilt
                ? "ledger contradicted itself and was recreated: writers of the "
                  "old one get ENOSPC until their guest is resumed with virsh "
                  "resume, or restarted"
                : "ledger was replaced: using the new one");
    return true;
}

static void
sampler_cannot_read(Sampler *sampler, const LvmRefusal *why)
{
    g_autofree char *words = lvm_refusal_format(why);

    if (sampler_trouble_begins(sampler, why->why == LVM_WHY_LOCK ? TROUBLE_LEDGER
                                                                 : TROUBLE_LVM))
        sampler_log(sampler, LOG_ERR, "cannot read LVM, retrying: %s", words);
}

/* sampler_reread: read LVM again and publish it.  If the ledger is @spoilt, replace it
 * even when it still has its name; processes that map the old one fail closed. */
static void
sampler_reread(Sampler *sampler, bool spoilt)
{
    g_autoptr(LvmHold) hold = NULL;
    g_auto(LvmRefusal) why = { 0 };
    const LvmTenant *lvm;

    sampler_growth_collect(sampler, true);

    hold = lvm_hold_new(sampler->group, sampler->tenant, "read", &why);
    if (!hold || (!lvm_hold_read(hold, &why) && why.why != LVM_WHY_EXPORTED)) {
        sampler_cannot_read(sampler, &why);
        return;
    }
    lvm = lvm_hold_tenant(hold);
    if (!lvm) {
        /* only LVM's word ends a tenant, never a missing file */
        sampler->is_gone = true;
        quota_ledger_unlink(sampler->group, sampler->tenant);
        sampler_log(sampler, LOG_INFO, "is gone from LVM: ledger removed");
        return;
    }
    sampler_take_lvm(sampler, lvm);
    if (sampler_renew_ledger(sampler, spoilt))
        quota_state_publish(sampler->ledger, &lvm->state);
}

char *
sampler_ledger_error(int error)
{
    if (error == -ENOTCONN)
        return g_strdup("quota-ledgerd does not answer: start "
                        "quota-ledgerd.socket");
    if (error != -EPROTONOSUPPORT)
        return g_strdup(g_strerror(-error));
    return g_strdup_printf("the one that guests use %s: restart quota-lvmd if "
                           "it was not since an upgrade, or those guests "
                           "after a downgrade", quota_ledger_strerror(error));
}

/* sampler_doubt: the ledger, or what we know of LVM, does not hold any more.  False:
 * LVM was read a moment ago. */
static bool
sampler_doubt(Sampler *sampler, enum decide_event event)
{
    struct decide_action action =
        sampler_decide(sampler, &(struct decide_input) {
            .event = event,
            .may_lock = sampler->may_lock,
        });

    if (action.reread)
        sampler_reread(sampler, event == DECIDE_SPOILT);
    return !action.is_early;
}

/* sampler_check_metadata: say it when the thin pool's metadata runs out. */
static void
sampler_check_metadata(Sampler *sampler, const struct thin_status *status)
{
    bool is_short = status->is_read_only ||
        thin_status_is_metadata_short(status);

    if (is_short && !sampler->said_metadata)
        sampler_log(sampler, LOG_ERR, status->is_read_only
                    ? "thin pool takes no writes, its metadata is full or "
                      "damaged: stop its guests and its storage pool, then "
                      "lvconvert --repair %s/%s." QUOTA_THIN_POOL_VOLUME
                    : "thin pool's metadata is at least 80 %% full: lvextend "
                      "--poolmetadatasize +64m %s/%s." QUOTA_THIN_POOL_VOLUME,
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
        sampler_doubt(sampler, DECIDE_INACTIVE);
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
            sampler_log(sampler, LOG_ERR, ret == -EIO
                        ? "thin pool cannot be sampled, it has failed (%s): "
                          "stop its guests and its storage pool, then "
                          "lvconvert --repair %s/%s." QUOTA_THIN_POOL_VOLUME
                        : "thin pool cannot be sampled: %s; see dmsetup status "
                          "of %s/%s." QUOTA_THIN_POOL_VOLUME,
                        g_strerror(-ret), sampler->group, sampler->tenant);
        return false;
    }
    if (sampler->gauge.thin_dm_uuid) {
        sampler_check_metadata(sampler, &status);
        sampler->said_trouble = TROUBLE_NONE;
        gauge_read_volumes(&sampler->gauge, sampler->ledger, &sampler->sample);
    }
    return true;
}

/* ---- one run ------------------------------------------------------------- */

static void
sampler_log_refusal(Sampler *sampler, const struct quota_usage *usage,
                    const struct decide_action *action)
{
    char used[QUOTA_SIZE_MAX_BYTES], limit[QUOTA_SIZE_MAX_BYTES];

    if (!sampler_may_say(&sampler->said_refusal_ns[action->say]))
        return;
    quota_size_format(usage->used_bytes, used);
    quota_size_format(usage->limit_bytes, limit);
    if (action->say == QUOTA_REASON_TENANT_LIMIT)
        sampler_log(sampler, LOG_NOTICE,
                    "limit reached, writes get ENOSPC: %s used of %s; raise "
                    "it with: quota-lvm set %s --group %s --limit SIZE",
                    used, limit, sampler->tenant, sampler->group);
    else if (action->say == QUOTA_REASON_GROUP_FULL && action->is_failing)
        sampler_log(sampler, LOG_WARNING,
                    "thin pool cannot grow, writes get ENOSPC below the limit: "
                    "%s used of %s; LVM's reason is logged above", used, limit);
    else if (action->say == QUOTA_REASON_GROUP_FULL)
        sampler_log(sampler, LOG_WARNING,
                    "volume group has no room to grow, writes get ENOSPC "
                    "below the limit: %s used of %s; add a disk with: "
                    "vgextend %s DEVICE", used, limit, sampler->group);
}

/* sampler_unpublished: a sample could not be published: another process published a
 * newer one, or pretends to.  @since_ns: the first failure in a row; 0: none before. */
static bool
sampler_unpublished(Sampler *sampler, uint64_t since_ns)
{
    uint64_t now_ns = quota_clock_ns();

    if (since_ns && now_ns - since_ns >= SAMPLER_UNPUBLISHED_NS)
        sampler_doubt(sampler, DECIDE_SPOILT);
    else
        sampler->unpublished_ns = since_ns ? since_ns : now_ns;
    return false;
}

bool
sampler_run(Sampler *sampler)
{
    struct quota_state policy;
    struct quota_usage usage;
    struct decide_input seen;
    struct decide_action action;
    uint64_t unpublished_ns;

    sampler->wake_ns = UINT64_MAX;
    unpublished_ns = sampler->unpublished_ns;
    sampler->unpublished_ns = 0;
    if (sampler_growth_collect(sampler, false) ||
        !quota_ledger_is_current(sampler->ledger)) {
        if (!sampler_doubt(sampler, DECIDE_STALE) || sampler->is_gone)
            return false;
    }

    if (!quota_ledger_is_whole(sampler->ledger) ||
        quota_writer_audit(sampler->ledger) == -ETIME) {
        sampler_doubt(sampler, DECIDE_SPOILT);
        return false;
    }
    quota_sample_begin(sampler->ledger, &sampler->sample);
    /* a writer stores its demand before it rings: read after the doorbell, this
     * is the demand of every ring that the sample answers */
    sampler_decide(sampler, &(struct decide_input) {
        .event = DECIDE_ASKED,
        .demand_bytes = quota_doorbell_demand(sampler->ledger),
    });
    seen = (struct decide_input) { .event = DECIDE_SAMPLED, .policy = &policy };
    if (!sampler_read_used(sampler, &seen.used_bytes))
        return false;

    quota_state_read(sampler->ledger, &policy);
    seen.extent_bytes = sampler->extent_bytes;
    seen.has_pool = sampler->gauge.thin_dm_uuid != NULL;
    action = sampler_decide(sampler, &seen);
    if (quota_sample_publish(sampler->ledger, &sampler->sample,
                             seen.used_bytes, quota_clock_ns(),
                             action.reason) < 0)
        return sampler_unpublished(sampler, unpublished_ns);

    quota_usage_read(sampler->ledger, &usage);
    if (usage.reason == QUOTA_REASON_ACCOUNTING_LOST) {
        sampler_doubt(sampler, DECIDE_SPOILT);
        return false;
    }
    seen.event = DECIDE_ANSWERED;
    seen.used_bytes += MIN(usage.unsampled_bytes, SAMPLER_IN_FLIGHT_BYTES);
    action = sampler_decide(sampler, &seen);
    sampler->wake_ns = action.wake_ns;
    if (action.say != QUOTA_REASON_NONE)
        sampler_log_refusal(sampler, &usage, &action);
    if (action.grow)
        sampler_growth_begin(sampler, &action.need);
    return true;
}

bool
sampler_settle(Sampler *sampler)
{
    bool ok = true;

    sampler->may_lock = true;
    while (sampler->growth) {
        sampler_growth_collect(sampler, true);
        ok = sampler_run(sampler);
    }
    return ok;
}

/* ---- the thread ---------------------------------------------------------- */

/* sampler_worked_ns: processor time of this thread. */
static uint64_t
sampler_worked_ns(void)
{
    struct timespec worked = { 0 };

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &worked);
    return (uint64_t)worked.tv_sec * 1000 * NS_PER_MS + worked.tv_nsec;
}

/* sampler_rest: for so long, unless we are to stop. */
static void
sampler_rest(const Sampler *sampler, uint64_t usec)
{
    while (usec && !atomic_load(&sampler->is_stopping)) {
        uint64_t slice = MIN(usec, SAMPLER_REST_US);

        g_usleep(slice);
        usec -= slice;
    }
}

static void *
sampler_thread(void *opaque)
{
    Sampler *sampler = opaque;
    int64_t share_ns = SAMPLER_BURST_NS;
    uint64_t last_ns = 0;

    while (!atomic_load(&sampler->is_stopping) && !sampler->is_gone) {
        uint64_t now_ns = quota_clock_ns();
        uint64_t worked_ns = sampler_worked_ns();
        uint64_t timeout_ns = sampler->interval_ns;
        int rung;

        if (sampler->gauge.due_ns)
            timeout_ns = sampler->gauge.due_ns > now_ns
                ? MIN(timeout_ns, sampler->gauge.due_ns - now_ns) : 0;
        timeout_ns = MIN(timeout_ns, sampler->wake_ns);
        rung = quota_doorbell_wait(sampler->ledger, sampler->sample.doorbell,
                                   timeout_ns);
        if (atomic_load(&sampler->is_stopping))
            break;
        if (rung == 0 && sampler->state.is_held)
            g_usleep(SAMPLER_PAUSE_US);
        else if (quota_clock_ns() - last_ns < SAMPLER_GAP_US * 1000)
            g_usleep(SAMPLER_GAP_US);
        if (!sampler_run(sampler) && !sampler->is_gone &&
            !sampler->gauge.due_ns) {
            /* without a sample the ring stays unanswered, and would wake us for
             * ever */
            g_usleep(SAMPLER_PAUSE_US);
        }
        last_ns = quota_clock_ns();
        share_ns = MIN(share_ns + (int64_t)(last_ns - now_ns) / SAMPLER_SHARE,
                       SAMPLER_BURST_NS) -
            (int64_t)(sampler_worked_ns() - worked_ns);
        if (share_ns < 0) {
            sampler_rest(sampler, (uint64_t)-share_ns * SAMPLER_SHARE / 1000);
            share_ns = 0;
        }
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

    g_atomic_ref_count_init(&sampler->refs);
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

char *
sampler_key(const Sampler *sampler)
{
    return g_strdup_printf("%s/%s", sampler->group, sampler->tenant);
}

bool
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
    if (ret != 0)
        sampler_log(sampler, LOG_ERR, "cannot start its thread: %s", g_strerror(ret));
    return ret == 0;
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

Sampler *
sampler_ref(Sampler *sampler)
{
    g_atomic_ref_count_inc(&sampler->refs);
    return sampler;
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
    sampler_unref(sampler);
}

void
sampler_unref(Sampler *sampler)
{
    if (!g_atomic_ref_count_dec(&sampler->refs))
        return;
    quota_ledger_close(sampler->ledger);
    g_mutex_clear(&sampler->ledger_lock);
    gauge_clear(&sampler->gauge);
    g_free(sampler->group);
    g_free(sampler->tenant);
    g_free(sampler);
}
