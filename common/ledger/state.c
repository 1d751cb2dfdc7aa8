/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * state.c: how what LVM says of a tenant is made known through the ledger, and
 * read there.  Written only under the group's lock.
 */
#include <string.h>

#include "lock.h"
#include "volume.h"

static void read_rate(const struct quota_rate_words *words,
                      struct quota_rate *rate)
{
    rate->per_sec = quota_load(&words->per_sec);
    rate->max_per_sec = quota_load(&words->max_per_sec);
    rate->max_length_sec = quota_load(&words->max_length_sec);
}

/*
 * A rate's three words change one after the other, so a writer could see a mix.
 * The generation is odd meanwhile and a new number afterwards, which voids
 * credit taken ahead.
 */
static void publish_rates(struct quota_rates *to, struct quota_cell *cells,
                          const struct quota_rate *rates)
{
    uint32_t generation = quota_load(&to->generation);
    uint32_t armed = 0;
    bool is_changed = generation & 1;  /* the last publisher was killed */

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

/* Publish, in one word, whether any rate is limited. */
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

/* End the epochs of killed snapshots: a live one would hold the group's
 * lock. */
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

    /* Store what takes room before what gives room, so that no mix of the old
     * and the new state admits more than the two together. */
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
    int i = quota_attach_lock(ledger, QUOTA_ATTACH_LOCKED_NS);

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
