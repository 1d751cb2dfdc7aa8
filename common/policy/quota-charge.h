/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quota-charge.h: what a tenant is charged for the LVs that LVM has for it,
 * what may be added within its limit, and what a volume group's tenants were
 * promised.
 *
 * Pure functions of what the caller read from LVM under the group's lock:
 * nothing here touches shared memory.
 */
#ifndef QUOTA_CHARGE_H
#define QUOTA_CHARGE_H

#include "quota-limits.h"

#pragma GCC visibility push(hidden)

/* quota_add_saturating: a sum, of which a term may be any number at all. */
static inline uint64_t quota_add_saturating(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* ---- charges (charge.c) -------------------------------------------------- */

/* Why a write was, or would be, refused. */
enum quota_reason {
    QUOTA_REASON_NONE,              /* there is room, or it is being made */
    QUOTA_REASON_TENANT_LIMIT,      /* the tenant's limit is reached */
    QUOTA_REASON_VOLUME_LIMIT,      /* the volume's own is */
    QUOTA_REASON_GROUP_FULL,        /* the limit has room, the group has not */
    QUOTA_REASON_ACCOUNTING_LOST,   /* no sampler answers, or the ledger
                                       contradicts itself */
    QUOTA_REASON_MAX
};

/* quota_reason_name: "none", "tenant-limit", "volume-limit", "group-full",
 * "accounting-lost", as reports print them. */
const char *quota_reason_name(enum quota_reason reason);

/*
 * struct quota_state: what LVM says of a tenant: its limits (from tags) and
 * what they are measured against.
 */
struct quota_state {
    struct quota_limits limits;
    uint64_t thick_bytes;       /* charged for volumes outside the thin pool */
    uint64_t grant_bytes;       /* data size of the tenant's thin pool */
    uint64_t chunk_bytes;       /* its chunk: a multiple of 64 KiB, not always
                                   a power of two */
    uint64_t group_free_bytes;  /* free extents of the volume group, without
                                   those that are kept for others */
    uint64_t volumes;           /* LVs beside the thin pool; not in the ledger */
};

/*
 * struct quota_lv: what LVM says of one LV that carries the tenant's tag and is
 * no part of another one.
 */
struct quota_lv {
    const char *segtype;        /* as lvs(8) names it */
    const char *tags;           /* separated by commas; NULL: none */
    uint64_t size_bytes;        /* of a thick snapshot, its own space */
    uint64_t physical_bytes;    /* of the group, with all its parts: legs, logs,
                                   metadata of raid; not a thin pool's */
    uint64_t chunk_bytes;       /* used for a thin pool */
};

/*
 * quota_state_charge: add one LV of the tenant to @state, which began as
 * zeroes.  The rules of charging are here and nowhere else:
 *   segtype "thin-pool"   the grant; its tags are the limits.  Legs beyond the
 *                         first, if it has any, are charged as thick
 *   segtype "thin"        what it takes outside the grant, in which it lives,
 *                         snapshots and clones too: nothing
 *   anything else         thick: all that it takes, raid's legs and a thick
 *                         snapshot's space included
 * -EINVAL: a limit's tag on the thin pool cannot be read; the rest is charged
 * all the same.
 */
int quota_state_charge(struct quota_state *state, const struct quota_lv *lv);

/*
 * quota_state_can_grow: how many bytes may be added for a thick volume or to
 * the grant: what is left of the limit beside thick and grant, and of the
 * group.  *@reason (may be NULL) tells which of the two is the smaller.
 */
uint64_t quota_state_can_grow(const struct quota_state *state,
                              enum quota_reason *reason);

/* ---- promises (group.c) -------------------------------------------------- */

/*
 * struct quota_group: a volume group, and what its tenants were promised of it.
 * Zeroes, then size and free bytes and overcommit by the caller, then
 * quota_group_add for each tenant.
 */
struct quota_group {
    uint64_t size_bytes;        /* all extents */
    uint64_t free_bytes;
    uint64_t overcommit_percent;    /* limits may promise so much of the size;
                                       0: anything */
    uint64_t limits_bytes;      /* the limits of all that were added */
    uint64_t kept_bytes;        /* what their guarantees miss */
};

void quota_group_add(struct quota_group *group,
                     const struct quota_state *state);
/* quota_group_without: a group as the tenant of @state, which was added, sees
 * it: the others. */
struct quota_group quota_group_without(const struct quota_group *group,
                                       const struct quota_state *state);

/* quota_group_free: what a tenant may get of the free extents, when @others are
 * all but the tenant: those that no guarantee misses. */
uint64_t quota_group_free(const struct quota_group *others);

/*
 * quota_group_check: whether the tenant of @state, which need not exist yet, may
 * get @limits in place of its own: -ENOSPC when the group does not have what
 * the guarantee adds, -EDQUOT when the limits would promise more than the
 * overcommit allows, with *@most (bytes) the highest guarantee, or limit, that
 * would do.  Lowering is always allowed.
 */
int quota_group_check(const struct quota_group *others,
                      const struct quota_state *state,
                      const struct quota_limits *limits, uint64_t *most);

#pragma GCC visibility pop

#endif
