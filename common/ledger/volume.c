/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * volume.c: slots for the volumes of a tenant that have writers, or limits of
 * their own.
 *
 * A slot is found by the volume's name.  Its sums continue when another volume
 * gets the slot: only their differences mean anything.
 */
#include <errno.h>
#include <string.h>

#include "lock.h"
#include "reading.h"
#include "volume.h"

static bool is_used(const struct quota_volume *volume)
{
    return quota_load(&volume->use) % 2;
}

/* The name of a slot; false: it is free, or another volume got it while the
 * name was read. */
static bool read_name(const struct quota_volume *volume,
                      char name[QUOTA_LV_MAX_BYTES + 1])
{
    uint32_t use = quota_load(&volume->use);

    for (size_t n = 0; n < QUOTA_LV_MAX_BYTES; n++) {
        name[n] = quota_load(&volume->name[n]);
    }
    name[QUOTA_LV_MAX_BYTES] = '\0';
    return use % 2 && quota_load(&volume->use) == use;
}

/* Compares as many bytes as a slot has room for. */
static bool has_name(const struct quota_volume *volume, const char *name)
{
    char own[QUOTA_LV_MAX_BYTES + 1];

    return is_used(volume) && read_name(volume, own) &&
           strncmp(own, name, QUOTA_LV_MAX_BYTES) == 0;
}

/* Slots lie a page apart, and whoever punches holes into the ledger makes each of them
 * take long to touch. */
#define SLOTS_AT_ONCE 4

/* The first of @end slots that has this name (NULL: that is free); @none: none has. */
static int search(const struct quota_ledger *ledger, const char *name, unsigned end,
                  int none)
{
    for (unsigned i = 0; i < end; i++) {
        const struct quota_volume *volume = &ledger->file->volumes[i];

        if (i % SLOTS_AT_ONCE == 0 && !quota_ledger_is_whole(ledger)) {
            return -EUCLEAN;
        }
        if (name ? has_name(volume, name) : !is_used(volume)) {
            return i;
        }
    }
    return none;
}

int quota_volume_find(const struct quota_ledger *ledger, const char *name)
{
    return search(ledger, name, quota_volumes_count(ledger), -ENOENT);
}

/* Whether a slot can be freed without loss: no writers, all settled, and no
 * limits. */
static bool is_idle(const struct quota_ledger *ledger, unsigned i)
{
    const struct quota_volume *volume = &ledger->file->volumes[i];
    struct quota_register_value reserved;
    uint64_t settled = 0;

    for (unsigned n = 0; n < QUOTA_VOLUME_WRITERS; n++) {
        const struct quota_writer_words *words = &volume->writers[n];

        if (quota_load(&words->owner) != 0) {
            return false;
        }
        settled += quota_load(&words->settled_bytes) +
                   QUOTA_LEASE_RECALLED_BYTES(quota_load(&words->lease));
    }
    return quota_load(&volume->limit_bytes) == 0 &&
           quota_load(&volume->weight) == 0 &&
           quota_load(&volume->rates.armed) == 0 &&
           quota_load(&volume->epoch) % 2 == 0 &&
           quota_register_read(ledger, i, QUOTA_OF_VOLUME, &reserved) == 0 &&
           settled == reserved.bytes;
}

/* By the sampler alone: between its begin and its publish, a slot stays that
 * of the volume that was sampled. */
void quota_volume_tidy(struct quota_ledger *ledger)
{
    unsigned count = quota_volumes_count(ledger);

    if (quota_attach_lock(ledger, 0) < 0) {
        return;                     /* the next time will do */
    }
    for (unsigned i = 0; i < count; i++) {
        struct quota_volume *volume = &ledger->file->volumes[i];

        if (is_used(volume) && is_idle(ledger, i)) {
            quota_store(&volume->use, quota_load(&volume->use) + 1);
        }
    }
    quota_attach_unlock(ledger);
}

int quota_volume_claim(struct quota_ledger *ledger, const char *name)
{
    struct quota_volume *volume;
    int i = quota_volume_find(ledger, name);

    if (i != -ENOENT) {
        return i;
    }
    i = search(ledger, NULL, QUOTA_LEDGER_VOLUMES, -EUSERS);
    if (i < 0) {
        return i;
    }
    volume = &ledger->file->volumes[i];
    quota_store(&volume->sample.sampled_bytes, QUOTA_UNSAMPLED);
    for (size_t n = 0; ; n++) {
        char c = n < QUOTA_LV_MAX_BYTES ? name[n] : '\0';

        quota_store(&volume->name[n], c);
        if (!c) {
            break;
        }
    }
    /* Readers check the count of slots first, and then use. */
    if (quota_volumes_count(ledger) < (unsigned)i + 1) {
        quota_store(&ledger->file->counters.volumes, i + 1);
    }
    quota_store(&volume->use, quota_load(&volume->use) + 1);
    return i;
}

int quota_volume_read(const struct quota_ledger *ledger, unsigned i,
                      struct quota_volume_usage *usage)
{
    const struct quota_volume *volume;
    struct quota_reading reading;
    int ret;

    memset(usage, 0, sizeof(*usage));
    if (i >= quota_volumes_count(ledger)) {
        return -ENOENT;
    }
    volume = &ledger->file->volumes[i];
    if (!read_name(volume, usage->name)) {
        return -EAGAIN;
    }
    ret = quota_reading_take_volume(ledger, i, &reading);
    usage->limit_bytes = reading.limit_bytes;
    usage->sampled_bytes = reading.sampled_bytes;
    usage->is_sampled = ret != -EAGAIN;
    usage->unsampled_bytes = reading.unsampled_bytes;
    usage->used_bytes = quota_add_saturating(reading.sampled_bytes,
                                             reading.unsampled_bytes);
    usage->weight = quota_load(&volume->weight);
    for (unsigned n = 0; n < QUOTA_VOLUME_WRITERS; n++) {
        usage->writers += quota_load(&volume->writers[n].owner) != 0;
    }
    return ret == -EUCLEAN ? ret : 0;
}
