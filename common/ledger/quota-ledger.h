/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quota-ledger.h: the ledger of one tenant, shared by every process that
 * writes for it.
 *
 * A ledger is a small file in /run/quota-lvm, mapped by the QEMU processes of
 * the tenant (which reserve and settle: quota-writer.h), by quota-lvmd (which
 * samples) and by whoever changes a limit (under the group's lock).  Every byte
 * of it is in quota-ledger(5).  It is never the truth:
 * it is rebuilt from LVM's tags and device-mapper's status, so losing it
 * loses nothing.
 *
 * Every function returns 0 or a negative errno unless it says otherwise.
 * Nothing here blocks except where the name says "wait" or "lock", prints, or
 * exits.  Functions on a ledger may be called by any thread at any time.
 */
#ifndef QUOTA_LEDGER_H
#define QUOTA_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "quota-limits.h"

#pragma GCC visibility push(hidden)

/* Ledgers are QUOTA_LEDGER_DIR/<group>/<tenant>. */
#define QUOTA_LEDGER_DIR "/run/quota-lvm"
#define QUOTA_LEDGER_PATH_BYTES 512

struct quota_ledger;

/* ---- files: create, open, close (ledger.c) ------------------------------ */

/*
 * quota_ledger_set_dir: use @dir (not copied) in place of QUOTA_LEDGER_DIR in
 * this process; for tests, which must not touch the host's.
 */
void quota_ledger_set_dir(const char *dir);

/*
 * quota_ledger_path: write the path of a tenant's ledger into @path.
 * Returns -EINVAL for a bad name, -ENAMETOOLONG when @size is too small.
 */
int quota_ledger_path(const char *group, const char *tenant,
                      char *path, size_t size);

/*
 * quota_ledger_create: open the ledger of a tenant for reading and writing,
 * making directory and file (mode 0600) first where they are missing.  A file
 * that is there but is not a valid ledger of this boot for this tenant is
 * replaced by a new file: whoever still maps the old one keeps it, and fails
 * closed because nobody samples it any more.  The caller must hold the
 * group's lock (quota_group_lock).
 *
 * A new ledger admits nothing until quota_limits_publish and a first sample.
 */
int quota_ledger_create(const char *group, const char *tenant,
                        struct quota_ledger **ledger);

/*
 * quota_ledger_open: map an existing ledger.  quota_ledger_open_fd takes a
 * descriptor instead of a path and keeps a duplicate of it; with a read-only
 * descriptor only the functions that say "read" may be used.
 *
 * Errors, each with one meaning that the host should put into words:
 *   open(2)'s own    the file cannot be opened, e.g. -ENOENT: no ledger
 *   -ENODATA         truncated: shorter than a ledger
 *   -EILSEQ          not a ledger: the magic is wrong
 *   -EPROTONOSUPPORT a ledger of another major version
 *   -EBADMSG         damaged: the checksum of the header does not match
 *   -ESTALE          left over from before the last boot
 */
int quota_ledger_open(const char *path, bool writable,
                      struct quota_ledger **ledger);
int quota_ledger_open_fd(int fd, bool writable, struct quota_ledger **ledger);

/* quota_ledger_strerror: what an error of quota_ledger_open means, as the end
 * of a sentence ("is truncated"); never NULL, static memory. */
const char *quota_ledger_strerror(int error);

/*
 * quota_ledger_new_private: a ledger in this process's own memory, without a
 * file: for limits that are given to one filter directly.  The owner samples
 * it itself.
 */
int quota_ledger_new_private(const char *tenant, struct quota_ledger **ledger);

/* quota_ledger_close: unmap and free; NULL is allowed. */
void quota_ledger_close(struct quota_ledger *ledger);

/* quota_ledger_unlink: remove a tenant's ledger file.  -ENOENT if missing. */
int quota_ledger_unlink(const char *group, const char *tenant);

/* Names as the header gives them; valid while the ledger is open. */
const char *quota_ledger_group(const struct quota_ledger *ledger);
const char *quota_ledger_tenant(const struct quota_ledger *ledger);

/* quota_ledger_is_current: the file at the ledger's path is still this one
 * (false after it was replaced or removed). */
bool quota_ledger_is_current(const struct quota_ledger *ledger);

/*
 * quota_group_lock: take the lock of a group's quotas, waiting for it.
 * Whoever reads LVM, decides by a limit and changes LVM or publishes limits
 * does it under this lock, so that two processes cannot both hand out a
 * tenant's last extent.  It is a flock(2) on a file beside the ledgers: the
 * kernel drops it with its holder.  Returns a descriptor (>= 0) for
 * quota_group_unlock.  -EINVAL for a bad name.
 */
int quota_group_lock(const char *group);
void quota_group_unlock(int lock_fd);

/* ---- what is shared (state.c) -------------------------------------------- */

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
 * quota_state_publish: make @state what the ledger enforces, from the next
 * admission and within 100 ms for requests that already wait.  The caller
 * holds the group's lock and read @state under it; no snapshot is being taken.
 * A rate that differs from what was armed starts without saved-up credit.
 */
void quota_state_publish(struct quota_ledger *ledger,
                         const struct quota_state *state);

/* quota_state_read: a copy of what is enforced now. */
void quota_state_read(const struct quota_ledger *ledger,
                      struct quota_state *state);

/*
 * struct quota_lv: what LVM says of one LV that carries the tenant's tag and is
 * no part of another one.
 */
struct quota_lv {
    const char *name;
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
 *   segtype "thin"        nothing: it lives inside the grant, snapshots and
 *                         clones too
 *   anything else         thick: all that it takes, raid's legs and a thick
 *                         snapshot's space included
 * -EINVAL: a limit's tag on the thin pool cannot be read; the rest is charged
 * all the same.
 */
int quota_state_charge(struct quota_state *state, const struct quota_lv *lv);

/*
 * struct quota_group: a volume group, and what its tenants were promised of it.
 * Zeroes, then size and free bytes and overcommit by the caller, then
 * quota_group_add for each tenant.  (group.c)
 */
struct quota_group {
    uint64_t size_bytes;        /* all extents */
    uint64_t free_bytes;
    uint64_t overcommit_percent;    /* limits may promise so much of the size;
                                       0: anything */
    uint64_t limits_bytes;      /* the limits of all that were added */
    uint64_t kept_bytes;        /* what their guarantees miss */
};

/* quota_guarantee_missing: what is left of a guarantee of @guarantee_bytes,
 * beside what the tenant holds, thick volumes and grant. */
uint64_t quota_guarantee_missing(const struct quota_state *state,
                                 uint64_t guarantee_bytes);

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

/*
 * quota_state_can_grow: how many bytes may be added for a thick volume or to
 * the grant: what is left of the limit beside thick and grant, and of the
 * group.  *@reason (may be NULL) tells which of the two is the smaller.
 */
uint64_t quota_state_can_grow(const struct quota_state *state,
                              enum quota_reason *reason);

/* struct quota_usage: one reading of a tenant's bytes, all from one moment as
 * far as that can be without stopping anybody; sums never under-count. */
struct quota_usage {
    uint64_t limit_bytes;
    uint64_t thick_bytes;
    uint64_t grant_bytes;
    uint64_t sampled_bytes;     /* thin pool's used bytes at the last sample */
    uint64_t unsampled_bytes;   /* reserved since, in flight or settled */
    uint64_t used_bytes;        /* thick + sampled + unsampled */
    uint64_t least_bytes;       /* used, less what may stand in sampled and in
                                   unsampled, until the next sample */
    uint64_t available_bytes;   /* limit - used, 0 when over limit */
    uint64_t sample_ns;         /* CLOCK_MONOTONIC of the last sample, 0: none */
    uint64_t refused_total;     /* writes that were refused for good */
    enum quota_reason reason;   /* the sampler's last word */
    bool is_over_limit;         /* used > limit */
};
void quota_usage_read(const struct quota_ledger *ledger,
                      struct quota_usage *usage);

/* ---- volumes (volume.c, state.c) ----------------------------------------- */

/* Volumes of a tenant that are written to, or have limits, at one time. */
#define QUOTA_LEDGER_VOLUMES 256
/* Writers that one volume may have. */
#define QUOTA_VOLUME_WRITERS 4

/* A volume's share of a cap that is short, relative to the others'. */
#define QUOTA_WEIGHT_MIN 10
#define QUOTA_WEIGHT_DEFAULT 100
#define QUOTA_WEIGHT_MAX 1000

/*
 * quota_volume_publish: make @limits (limit_bytes and rates; 0: only the
 * tenant's hold) and @weight (0: the default) those of a volume.  The caller
 * holds the group's lock.  -EUSERS: all volumes' slots are taken; -EBUSY:
 * somebody does not give up the ledger's attach lock.
 */
int quota_volume_publish(struct quota_ledger *ledger, const char *name,
                         const struct quota_limits *limits, unsigned weight);

/* struct quota_volume_usage: as struct quota_usage, of one volume. */
struct quota_volume_usage {
    char name[QUOTA_LV_MAX_BYTES + 1];
    uint64_t limit_bytes;       /* 0: only the tenant's */
    uint64_t sampled_bytes;
    uint64_t unsampled_bytes;
    uint64_t used_bytes;
    unsigned weight;            /* 0: the default */
    unsigned writers;
    bool is_sampled;            /* false: sampled_bytes is not known */
};

/*
 * quota_volume_read: the volume in slot @i.  0; -EAGAIN: nobody is there, go
 * on with the next one; -ENOENT: no slot from here on is used; -EUCLEAN: the
 * ledger contradicts itself.
 */
int quota_volume_read(const struct quota_ledger *ledger, unsigned i,
                      struct quota_volume_usage *usage);

/* quota_volume_find: the slot of the volume of that name; -ENOENT. */
int quota_volume_find(const struct quota_ledger *ledger, const char *name);

/*
 * Epochs: a snapshot makes each chunk of a volume one that the next write to it
 * copies, so what its writers have paid for is void.  Whoever takes one, with
 * the group's lock held:
 *   quota_epoch_begin   from now on, nothing counts as paid for
 *   quota_epoch_wait    no write is in flight that counted on it
 *   (the snapshot)
 *   quota_epoch_end     what is paid for from now on is
 * Killed in between, it leaves writers paying for each write until the next
 * quota_state_publish: an over-count.  -ENOENT, from wait: nobody writes;
 * -ETIMEDOUT: a write is still in flight after @timeout_ns; -EUSERS, -EBUSY
 * from begin as quota_volume_publish.
 */
int quota_epoch_begin(struct quota_ledger *ledger, const char *name);
int quota_epoch_wait(struct quota_ledger *ledger, const char *name,
                     uint64_t timeout_ns);
int quota_epoch_end(struct quota_ledger *ledger, const char *name);

/* ---- the sampler's side (writer.c, sample.c) ------------------------------ */

/*
 * quota_writer_audit: settle what dead writers had in flight and free their
 * slots, and those of volumes that are not in use any more.  For the sampler,
 * before it samples; never on a descriptor that the process also writes
 * through.  Returns the number of dead ones found, or a negative errno.
 */
int quota_writer_audit(struct quota_ledger *ledger);

/* quota_writer_count: attached writers, live or not yet audited. */
unsigned quota_writer_count(const struct quota_ledger *ledger);

/*
 * struct quota_sample: what must be read before the kernel is asked.  Every
 * write that was settled then is inside what the kernel answers.
 */
struct quota_sample {
    uint64_t settled_bytes;
    uint64_t recalled_bytes;    /* of these, what was never written: leases */
    uint32_t doorbell;
    unsigned volumes;           /* how many of the following are valid */
    struct {
        uint64_t settled_bytes;
        /* set by the caller where it knows what the volume takes up; those
         * that stay QUOTA_SAMPLE_UNKNOWN are not published */
        uint64_t used_bytes;
    } volume[QUOTA_LEDGER_VOLUMES];
};
#define QUOTA_SAMPLE_UNKNOWN UINT64_MAX

/*
 * quota_sample_begin: call first; then read the thin pool's used bytes from
 * device-mapper; then quota_sample_publish.  One sampler a ledger.
 */
void quota_sample_begin(struct quota_ledger *ledger,
                        struct quota_sample *sample);

/*
 * quota_sample_publish: @used_bytes as the kernel said after
 * quota_sample_begin.  @reason tells a writer that is still refused why:
 * QUOTA_REASON_NONE means room is being made and it should go on waiting.
 * Returns 0, or -EBUSY: another process publishes a sample at this moment, or
 * has published a newer one; begin anew.  (A ledger has one sampler, but for
 * its first sample.)
 */
int quota_sample_publish(struct quota_ledger *ledger,
                         const struct quota_sample *sample,
                         uint64_t used_bytes, uint64_t now_ns,
                         enum quota_reason reason);

/*
 * quota_doorbell_wait: sleep until a writer rings after @seen (the doorbell
 * of the last quota_sample_begin), quota_doorbell_ring is called, or
 * @timeout_ns has passed.  Returns 0 (rung) or -ETIMEDOUT.
 */
int quota_doorbell_wait(struct quota_ledger *ledger, uint32_t seen,
                        uint64_t timeout_ns);
/* quota_doorbell_ring: ask for a sample; returns the ticket of this ring. */
uint32_t quota_doorbell_ring(struct quota_ledger *ledger);

/*
 * quota_doorbell_demand: bytes that the largest waiting writer was refused
 * since the last call, 0 for none: how much room a step must make at least.
 */
uint64_t quota_doorbell_demand(struct quota_ledger *ledger);

/* quota_clock_ns: CLOCK_MONOTONIC. */
uint64_t quota_clock_ns(void);

#pragma GCC visibility pop

#endif
