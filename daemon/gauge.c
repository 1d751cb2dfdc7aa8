/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gauge.c: read what a tenant takes up, as often as needed and no more.
 */
#include <errno.h>
#include <string.h>

#include "gauge.h"

#define NS_PER_MS UINT64_C(1000000)

/* A pool is not made to commit more often than this: it writes and flushes,
 * and its disks are others' too. */
#define GAUGE_COMMIT_NS (50 * NS_PER_MS)
/* Nor a volume read that has no limit, however madly the tenant rings. */
#define GAUGE_VOLUME_NS (100 * NS_PER_MS)

void
gauge_take_lvm(struct gauge *gauge, const LvmTenant *lvm)
{
    g_free(gauge->group);
    g_free(gauge->tenant);
    g_free(gauge->thin_dm_uuid);
    gauge->group = g_strdup(lvm->group);
    gauge->tenant = g_strdup(lvm->tenant);
    gauge->thin_dm_uuid = g_strdup(lvm->thin_dm_uuid);
    gauge->chunk_bytes = lvm->state.chunk_bytes;
}

void
gauge_clear(struct gauge *gauge)
{
    g_free(gauge->group);
    g_free(gauge->tenant);
    g_free(gauge->thin_dm_uuid);
    memset(gauge, 0, sizeof(*gauge));
}

void
gauge_forget(struct gauge *gauge)
{
    gauge->has_exact = false;
    memset(gauge->volume_ns, 0, sizeof(gauge->volume_ns));
}

/*
 * Chunks that a discard freed leave the kernel's count at once, but it can hand
 * them out only after its next commit, up to a second later; a write that is
 * admitted meanwhile would get ENOSPC from the pool itself.  So a count that is
 * lower than the last exact one and the writes since add up to, is not believed
 * before a commit of ours.  Without discards and over-counts it never is, and
 * sampling writes nothing.
 */
int
gauge_read_pool(struct gauge *gauge, uint64_t written_bytes,
                struct thin_status *status, uint64_t *used_bytes)
{
    uint64_t now_ns;
    int ret;

    gauge->due_ns = 0;
    *used_bytes = 0;
    if (!gauge->thin_dm_uuid)
        return 0;
    ret = thin_status_read(gauge->thin_dm_uuid, status);
    if (ret < 0)
        return ret;
    *used_bytes = status->used_blocks * gauge->chunk_bytes;
    if (gauge->has_exact && *used_bytes >= gauge->exact_bytes &&
        *used_bytes - gauge->exact_bytes >=
        written_bytes - gauge->exact_written)
        return 0;

    now_ns = quota_clock_ns();
    if (now_ns < gauge->commit_ns) {
        gauge->due_ns = gauge->commit_ns;
        return -EAGAIN;
    }
    gauge->commit_ns = now_ns + GAUGE_COMMIT_NS;
    ret = thin_status_read_exact(gauge->thin_dm_uuid, status);
    if (ret < 0)
        return ret;
    *used_bytes = status->used_blocks * gauge->chunk_bytes;
    gauge->exact_bytes = *used_bytes;
    gauge->exact_written = written_bytes;
    gauge->has_exact = true;
    return 0;
}

void
gauge_read_volumes(struct gauge *gauge, const struct quota_ledger *ledger,
                   struct quota_sample *sample)
{
    uint64_t now_ns = quota_clock_ns();

    for (unsigned i = 0; i < sample->volumes; i++) {
        struct quota_volume_usage volume;
        uint64_t bytes;

        /* Each time where a writer may be refused for it. */
        if (quota_volume_read(ledger, i, &volume) < 0 ||
            (!volume.writers && !volume.limit_bytes))
            continue;
        if (!volume.limit_bytes &&
            now_ns < gauge->volume_ns[i] + GAUGE_VOLUME_NS)
            continue;
        gauge->volume_ns[i] = now_ns;
        if (thin_status_read_volume(gauge->group, gauge->tenant, volume.name,
                                    &bytes) == 0)
            sample->volume[i].used_bytes = bytes;
    }
}
