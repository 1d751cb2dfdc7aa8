/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which chunks a quota node was charged for.
 *
 * The map belongs to the node and lives in its own memory: if the node loses
 * the map, or forgets a chunk, it reserves the chunk once more, until the next
 * sample.  A bit may therefore be cleared at any time, but is set only by a
 * write that succeeded, or for a chunk that was found to be allocated.
 *
 * The map is valid for one epoch of the volume, which a snapshot ends: the next
 * write to each chunk copies the chunk.  A write that relies on the map
 * announces itself while it is in flight, and a snapshot waits for it.
 *
 * Readers take no lock, and each thread counts its writes in flight in its own
 * lane, so that threads that write to charged chunks do not contend.
 */

#include "qemu/osdep.h"

#include "qemu/bitmap.h"
#include "qemu/coroutine.h"
#include "qemu/units.h"

#include "quota-map.h"

/* A larger map (2 EiB of 64 KiB chunks) is a mistake. */
#define QUOTA_MAP_MAX_CHUNKS (INT64_C(1) << 45)

/* A thin pool's chunk is a multiple of 64 KiB up to this. */
#define QUOTA_CHUNK_MAX_BYTES (1 * GiB)

/* How often to check whether a snapshot has been taken. */
#define QUOTA_EPOCH_POLL_NS (1 * SCALE_MS)

static QuotaMap *quota_map_new(uint64_t chunk_bytes, int64_t nb_chunks,
                               uint32_t epoch)
{
    QuotaMap *map;

    map = g_try_malloc0(sizeof(*map) +
                        BITS_TO_LONGS(nb_chunks) * sizeof(map->bits[0]));
    if (map) {
        map->chunk_bytes = chunk_bytes;
        map->nb_chunks = nb_chunks;
        map->epoch = epoch;
    }
    return map;
}

static void quota_map_replace(BDRVQuotaState *s, QuotaMap *map)
{
    QuotaMap *old = s->map;

    qatomic_rcu_set(&s->map, map);
    if (old) {
        g_free_rcu(old, rcu);
    }
}

uint64_t quota_map_ledger_chunk(BDRVQuotaState *s)
{
    struct quota_state state;

    quota_state_read(s->ledger, &state);
    if (state.chunk_bytes % QUOTA_CHUNK_DEFAULT_BYTES ||
        state.chunk_bytes > QUOTA_CHUNK_MAX_BYTES) {
        return 0;
    }
    return state.chunk_bytes ?: QUOTA_CHUNK_DEFAULT_BYTES;
}

void quota_map_reset(BDRVQuotaState *s, uint64_t chunk_bytes,
                     int64_t length_bytes)
{
    int64_t nb_chunks = DIV_ROUND_UP(length_bytes, chunk_bytes);
    /* While a snapshot is being taken: the epoch that begins afterwards. */
    uint32_t epoch = ROUND_UP(quota_epoch_read(s->writer), 2);
    QuotaMap *map = NULL;

    if (nb_chunks < QUOTA_MAP_MAX_CHUNKS) {
        map = quota_map_new(chunk_bytes, nb_chunks, epoch);
    }
    /* Without memory for the bits, every write is charged. */
    quota_map_replace(s, map ?: quota_map_new(chunk_bytes, 0, epoch));
}

void quota_map_free(BDRVQuotaState *s)
{
    quota_map_replace(s, NULL);
}

static bool quota_map_has(const QuotaMap *map, int64_t offset, int64_t bytes)
{
    int64_t first = offset / map->chunk_bytes;
    int64_t end = (offset + bytes - 1) / map->chunk_bytes + 1;

    return end <= map->nb_chunks &&
           find_next_zero_bit(map->bits, end, first) >= end;
}

bool quota_map_is_charged(BDRVQuotaState *s, int64_t offset, int64_t bytes)
{
    RCU_READ_LOCK_GUARD();
    return quota_map_has(qatomic_rcu_read(&s->map), offset, bytes);
}

bool quota_map_enter(BDRVQuotaState *s, int64_t offset, int64_t bytes,
                     unsigned *lane)
{
    QuotaMap *map;

    RCU_READ_LOCK_GUARD();
    map = qatomic_rcu_read(&s->map);
    if (!quota_map_has(map, offset, bytes)) {
        return false;
    }
    if (likely(quota_epoch_enter(s->writer, lane) == map->epoch)) {
        return true;
    }
    quota_epoch_leave(s->writer, *lane);
    return false;
}

int64_t quota_map_count_uncharged(BDRVQuotaState *s, int64_t first, int64_t end)
{
    QuotaMap *map = s->map;
    int64_t known_end = MIN(end, map->nb_chunks);
    int64_t uncharged = end - MAX(first, known_end);
    int64_t i = first;

    while (i < known_end &&
           (i = find_next_zero_bit(map->bits, known_end, i)) < known_end) {
        uncharged++;
        i++;
    }
    return uncharged;
}

void quota_map_set_charged(BDRVQuotaState *s, int64_t first, int64_t end,
                           uint32_t epoch)
{
    QuotaMap *map = s->map;

    if (map->epoch != epoch || quota_epoch_read(s->writer) != epoch ||
        !s->is_flat) {
        return;
    }
    if (end > map->nb_chunks && end < QUOTA_MAP_MAX_CHUNKS) {
        /* The child grew, as the file below an image format does. */
        map = quota_map_new(map->chunk_bytes, MAX(end, map->nb_chunks * 2),
                            epoch);
        if (map) {
            bitmap_copy(map->bits, s->map->bits, s->map->nb_chunks);
            quota_map_replace(s, map);
        } else {
            map = s->map;
        }
    }
    end = MIN(end, map->nb_chunks);
    if (first < end) {
        bitmap_set_atomic(map->bits, first, end - first);
    }
}

void quota_map_clear_charged(BDRVQuotaState *s, int64_t first, int64_t end)
{
    QuotaMap *map = s->map;

    end = MIN(end, map->nb_chunks);
    if (first < end) {
        bitmap_test_and_clear_atomic(map->bits, first, end - first);
    }
}

int coroutine_fn quota_co_wait_epoch(BlockDriverState *bs)
{
    BDRVQuotaState *s = bs->opaque;
    uint64_t begin_ns = quota_clock_ns();

    while (quota_epoch_read(s->writer) % 2) {
        if (quota_clock_ns() - begin_ns >= s->opts.wait_timeout_ns) {
            return -ENOSPC;
        }
        qemu_co_sleep_ns(QEMU_CLOCK_REALTIME, QUOTA_EPOCH_POLL_NS);
    }
    return 0;
}
