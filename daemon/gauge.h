/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gauge.h: how many bytes a tenant and its volumes take up, by device-mapper.
 *
 * A gauge belongs to one sampler, and remembers what it needs to ask the
 * kernel no more often, and for no more, than an answer is worth.
 */
#ifndef QLVM_GAUGE_H
#define QLVM_GAUGE_H

#include <quota-ledger.h>

#include "read.h"
#include "thin-status.h"

struct gauge {
    char *group;
    char *tenant;
    char *thin_dm_uuid;         /* NULL: thick volumes only */
    uint64_t chunk_bytes;
    /* the pool */
    bool has_exact;
    uint64_t exact_bytes;       /* used bytes after the last commit of ours */
    uint64_t exact_written;     /* what had been written before it */
    uint64_t commit_ns;         /* no commit before this */
    uint64_t due_ns;            /* valid after -EAGAIN, else 0 */
    /* volumes: when each slot of the ledger was read last */
    uint64_t volume_ns[QUOTA_LEDGER_VOLUMES];
};

/* gauge_take_lvm: what LVM says of the tenant, at first and when it has
 * changed; the gauge begins as zeroes.  gauge_clear: free what it holds. */
void gauge_take_lvm(struct gauge *gauge, const LvmTenant *lvm);
void gauge_clear(struct gauge *gauge);

/* gauge_forget: the sums of the ledger begin anew. */
void gauge_forget(struct gauge *gauge);

/*
 * gauge_read_pool: the used bytes of the tenant's thin pool of which the rest
 * can be handed out, when @written_bytes had settled, leases apart; *@status is
 * what they were read from, if there is a pool.  -EAGAIN: not before due_ns;
 * else as thin_status_read.
 */
int gauge_read_pool(struct gauge *gauge, uint64_t written_bytes,
                    struct thin_status *status, uint64_t *used_bytes);

/* gauge_read_volumes: put into @sample, between quota_sample_begin and
 * quota_sample_publish, what the volumes in the ledger take up. */
void gauge_read_volumes(struct gauge *gauge,
                        const struct quota_ledger *ledger,
                        struct quota_sample *sample);

#endif
