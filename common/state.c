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

static uint64_t add_saturating(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

int quota_state_charge(struct quota_state *state, const struct quota_lv *lv)
{
    const char *tag = lv->tags ? lv->tags : "";
    int ret = 0;

    if (strcmp(lv->segtype, "thin") == 0) {
        return 0;
    }
    if (strcmp(lv->segtype, "thin-pool") != 0) {
        state->thick_bytes = add_saturating(state->thick_bytes, lv->size_bytes);
        return 0;
    }
    state->grant_bytes = add_saturating(state->grant_bytes, lv->size_bytes);
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
    uint64_t held = add_saturating(state->thick_bytes, state->grant_bytes);
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
 * the generation is odd meanwhile, and whatever was paid under it, or before
 * it, is charged anew once it has passed.  All cells are emptied together: a
 * voided payment was in each of them.
 */
static void publish_rates(struct quota_ledger_file *file,
                          const struct quota_rate *rates)
{
    struct quota_policy *policy = &file->policy;
    uint32_t generation = quota_load(&policy->rate_generation);
    uint32_t armed = 0;
    bool is_changed = generation & 1;  /* whoever wrote before us was killed */

    for (int i = 0; i < QUOTA_RATE_MAX; i++) {
        struct quota_rate now;

        read_rate(&policy->rates[i], &now);
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
    quota_store(&policy->rate_generation, generation);
    for (int i = 0; i < QUOTA_RATE_MAX; i++) {
        quota_store(&policy->rates[i].per_sec, rates[i].per_sec);
        quota_store(&policy->rates[i].max_per_sec, rates[i].max_per_sec);
        quota_store(&policy->rates[i].max_length_sec, rates[i].max_length_sec);
        quota_store(&file->cells[i].sustained_tat_ns, QUOTA_TAT_EMPTY);
        quota_store(&file->cells[i].peak_tat_ns, QUOTA_TAT_EMPTY);
    }
    quota_store(&policy->rate_armed, armed);
    quota_store(&policy->rate_generation, generation + 1);
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
    publish_rates(ledger->file, state->limits.rates);
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
        read_rate(&policy->rates[i], &state->limits.rates[i]);
    }
}

void quota_usage_read(const struct quota_ledger *ledger,
                      struct quota_usage *usage)
{
    const struct quota_ledger_file *file = ledger->file;
    struct quota_reading reading;
    int ret = quota_reading_take(ledger, &reading);

    memset(usage, 0, sizeof(*usage));
    usage->limit_bytes = reading.limit_bytes;
    usage->thick_bytes = reading.thick_bytes;
    usage->grant_bytes = reading.grant_bytes;
    usage->sampled_bytes = reading.sampled_bytes;
    usage->unsampled_bytes = reading.unsampled_bytes;
    usage->used_bytes = add_saturating(
        add_saturating(reading.thick_bytes, reading.sampled_bytes),
        reading.unsampled_bytes);
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
