/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * state.c: what LVM says of a tenant, how its volumes are charged, and how
 * that is made known through the ledger.  Written only under the group's lock.
 */
#include <errno.h>
#include <string.h>

#include "ledger-layout.h"

static const char *const reason_names[QUOTA_REASON_MAX] = {
    [QUOTA_REASON_NONE] = "none",
    [QUOTA_REASON_VOLUME_LIMIT] = "volume-limit",
    [QUOTA_REASON_TENANT_LIMIT] = "tenant-limit",
    [QUOTA_REASON_GROUP_FULL] = "group-full",
    [QUOTA_REASON_ACCOUNTING_LOST] = "accounting-lost",
};

const char *quota_reason_name(enum quota_reason reason)
{
    if ((unsigned)reason >= QUOTA_REASON_MAX) {
        reason = QUOTA_REASON_ACCOUNTING_LOST;
    }
    return reason_names[reason];
}

int quota_state_charge(struct quota_state *state, const struct quota_lv *lv)
{
    const char *tag = lv->tags ? lv->tags : "";
    uint64_t taken = lv->physical_bytes > lv->size_bytes ? lv->physical_bytes
                                                         : lv->size_bytes;
    int ret = 0;

    if (strcmp(lv->segtype, "thin-pool") != 0) {
        state->volumes++;
        if (strcmp(lv->segtype, "thin") == 0) {
            return 0;
        }
        state->thick_bytes = quota_add_saturating(state->thick_bytes, taken);
        return 0;
    }
    state->thick_bytes = quota_add_saturating(state->thick_bytes,
                                              taken - lv->size_bytes);
    state->grant_bytes = quota_add_saturating(state->grant_bytes, lv->size_bytes);
    state->chunk_bytes = lv->chunk_bytes;
    while (*tag) {
        size_t len = strcspn(tag, ",");
        char one[QUOTA_TAG_MAX_BYTES];

        if (len < sizeof(one)) {
            memcpy(one, tag, len);
            one[len] = '\0';
            if (quota_tag_parse_limit(one, &state->limits) == -EINVAL) {
                ret = -EINVAL;
            }
        }
        tag += len + (tag[len] == ',');
    }
    return ret;
}

uint64_t quota_state_can_grow(const struct quota_state *state,
                              enum quota_reason *reason)
{
    uint64_t held = quota_add_saturating(state->thick_bytes, state->grant_bytes);
    uint64_t room = state->limits.limit_bytes > held ?
                    state->limits.limit_bytes - held : 0;
    bool is_limit = room <= state->group_free_bytes;

    if (reason) {
        *reason = is_limit ? QUOTA_REASON_TENANT_LIMIT
                           : QUOTA_REASON_GROUP_FULL;
    }
    return is_limit ? room : state->group_free_bytes;
}

static void read_rate(const struct quota_rate_words *words,
                      struct quota_rate *rate)
{
    rate->per_sec = quota_load(&words->per_sec);
    rate->max_per_sec = quota_load(&words->max_per_sec);
    rate->max_length_sec = quota_load(&words->max_length_sec);
}

/*
 * A rate's three words change one after the other, so a payer could see a mix;
 * the generation is odd meanwhile, and another one once it has passed: what
 * was paid in advance is void then.
 */
static void publish_rates(struct quota_rates *to, struct quota_cell *cells,
                          const struct quota_rate *rates)
{
    uint32_t generation = quota_load(&to->generation);
    uint32_t armed = 0;
    bool is_changed = generation & 1;  /* whoever wrote before us was killed */

    for (int i = 0; i < QUOTA_RATE_MAX; i++) {
        struct quota_rate now;

        read_rate(&to->words[i], &now);
        if (now.per_sec != rates[i].per_sec ||
            now.max_per_sec != rates[i].max_per_sec ||
            now.max_length_sec != rates[i].max_length_sec) {
            is_changed = true;
        }
        if (rates[i].per_sec) {
            armed |= 1u << i;
        }
    }
    if (!is_changed) {
        return;
    }
    generation |= 1;
    quota_store(&to->generation, generation);
    for (int i = 0; i < QUOTA_RATE_MAX; i++) {
        quota_store(&to->words[i].per_sec, rates[i].per_sec);
        quota_store(&to->words[i].max_per_sec, rates[i].max_per_sec);
        quota_store(&to->words[i].max_length_sec, rates[i].max_length_sec);
        quota_store(&cells[i].sustained_tat_ns, QUOTA_TAT_EMPTY | generation);
        quota_store(&cells[i].peak_tat_ns, QUOTA_TAT_EMPTY | generation);
    }
    quota_store(&to->armed, armed);
    quota_store(&to->generation, generation + 1);
}

/* One word that says whether there is any rate to look at. */
static void publish_any_armed(struct quota_ledger *ledger)
{
    struct quota_policy *policy = &ledger->file->policy;
    unsigned count = quota_volumes_count(ledger);
    uint32_t any = quota_load(&policy->rates.armed);

    for (unsigned i = 0; i < count; i++) {
        any |= quota_load(&ledger->file->volumes[i].rates.armed);
    }
    quota_store(&policy->any_armed, any);
}

/* A snapshot that was killed: no other can be under way, since it would have
 * the group's lock. */
static void end_epochs(struct quota_ledger *ledger)
{
    unsigned count = quota_volumes_count(ledger);

    for (unsigned i = 0; i < count; i++) {
        quota_u32 *epoch = &ledger->file->volumes[i].epoch;
        uint32_t now = quota_load(epoch);

        if (now % 2) {
            quota_store(epoch, now + 1);
        }
    }
}

void quota_state_publish(struct quota_ledger *ledger,
                         const struct quota_state *state)
{
    struct quota_policy *policy = &ledger->file->policy;

    /* What takes room away is stored before what gives room, so that no mix
     * admits more than both the old and the new state do together. */
    quota_store(&policy->thick_bytes, state->thick_bytes);
    quota_store(&policy->chunk_bytes, state->chunk_bytes);
    quota_store(&policy->group_free_bytes, state->group_free_bytes);
    quota_store(&policy->step_bytes, state->limits.step_bytes);
    quota_store(&policy->limit_bytes, state->limits.limit_bytes);
    quota_store(&policy->grant_bytes, state->grant_bytes);
    publish_rates(&policy->rates, ledger->file->cells, state->limits.rates);
    publish_any_armed(ledger);
    end_epochs(ledger);
}

int quota_volume_publish(struct quota_ledger *ledger, const char *name,
                         const struct quota_limits *limits, unsigned weight)
{
    struct quota_volume *volume;
    int i = quota_attach_lock(ledger, QUOTA_ATTACH_TRIES);

    if (i < 0) {
        return i;
    }
    i = quota_volume_claim(ledger, name);
    if (i >= 0) {
        volume = &ledger->file->volumes[i];
        quota_store(&volume->limit_bytes, limits->limit_bytes);
        quota_store(&volume->weight, weight);
        publish_rates(&volume->rates, volume->cells, limits->rates);
        publish_any_armed(ledger);
    }
    quota_attach_unlock(ledger);
    return i < 0 ? i : 0;
}

void quota_state_read(const struct quota_ledger *ledger,
                      struct quota_state *state)
{
    const struct quota_policy *policy = &ledger->file->policy;

    memset(state, 0, sizeof(*state));
    state->limits.limit_bytes = quota_load(&policy->limit_bytes);
    state->limits.step_bytes = quota_load(&policy->step_bytes);
    state->thick_bytes = quota_load(&policy->thick_bytes);
    state->grant_bytes = quota_load(&policy->grant_bytes);
    state->chunk_bytes = quota_load(&policy->chunk_bytes);
    state->group_free_bytes = quota_load(&policy->group_free_bytes);
    for (int i = 0; i < QUOTA_RATE_MAX; i++) {
        read_rate(&policy->rates.words[i], &state->limits.rates[i]);
    }
}

void quota_usage_read(const struct quota_ledger *ledger,
                      struct quota_usage *usage)
{
    const struct quota_ledger_file *file = ledger->file;
    struct quota_reading reading;
    int ret = quota_reading_take(ledger, &reading);
    uint64_t reserved_at_sample = quota_load(&file->sample.reserved_at_sample);
    uint64_t since_bytes = reading.reserved.bytes > reserved_at_sample ?
                           reading.reserved.bytes - reserved_at_sample : 0;

    memset(usage, 0, sizeof(*usage));
    usage->limit_bytes = reading.limit_bytes;
    usage->thick_bytes = reading.thick_bytes;
    usage->grant_bytes = reading.grant_bytes;
    usage->sampled_bytes = reading.sampled_bytes;
    usage->unsampled_bytes = reading.unsampled_bytes;
    usage->used_bytes = quota_add_saturating(
        quota_add_saturating(reading.thick_bytes, reading.sampled_bytes),
        reading.unsampled_bytes);
    /* [least] Read after the sample, as it is stored before it: a newer one
     * takes away too much. */
    usage->least_bytes = quota_add_saturating(
        quota_add_saturating(reading.thick_bytes, reading.sampled_bytes),
        since_bytes < reading.unsampled_bytes ? since_bytes
                                              : reading.unsampled_bytes);
    usage->available_bytes = usage->limit_bytes > usage->used_bytes ?
                             usage->limit_bytes - usage->used_bytes : 0;
    usage->sample_ns = quota_load(&file->sample.sample_ns);
    usage->refused_total = quota_load(&file->counters.refused_total);
    usage->reason = quota_load(&file->sample.reason);
    if (ret == -EUCLEAN || (unsigned)usage->reason >= QUOTA_REASON_MAX) {
        usage->reason = QUOTA_REASON_ACCOUNTING_LOST;
    }
    usage->is_over_limit = usage->used_bytes > usage->limit_bytes;
}
