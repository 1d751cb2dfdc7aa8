/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quota-ledger.h: the ledger of one tenant, shared by all processes that write
 * for it.
 *
 * A ledger is a small memory file of fixed size (a sealed memfd), kept open by
 * quota-ledgerd and mapped by the QEMU processes of the tenant (which reserve and
 * settle: quota-writer.h), by quota-lvmd (which samples) and by programs that change
 * a limit (under the group's lock).  Its path in /run/quota-lvm is a link to the
 * keeper's descriptor in /proc.
 * quota-ledger(5) defines every byte.  A ledger is never the truth: it is
 * rebuilt from LVM's tags and device-mapper's status, so losing it loses
 * nothing.
 *
 * Every function returns 0 or a negative errno unless it says otherwise.  Only
 * functions with "wait" or "lock" in the name block, and those that create, open,
 * restore or unlink a ledger by its name while quota-ledgerd does not answer: for up
 * to QUOTA_KEEP_SECONDS a try, twice.  None prints or exits.  Any thread may call
 * functions on a ledger at any time.
 */
#ifndef QUOTA_LEDGER_H
#define QUOTA_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "quota-charge.h"

#pragma GCC visibility push(hidden)

/* Ledgers are QUOTA_LEDGER_DIR/<group>/<tenant>. */
#define QUOTA_LEDGER_DIR "/run/quota-lvm"
#define QUOTA_LEDGER_PATH_BYTES 512

struct quota_ledger;

/* ---- files: create, open, close (ledger.c) ------------------------------ */

/*
 * quota_ledger_set_dir: use @dir (not copied) instead of QUOTA_LEDGER_DIR (NULL:
 * use that again) in this process; for tests, which must not touch the host's ledgers.  Where no
 * quota-ledgerd listens in @dir, this process keeps the ledgers that it makes.
 */
void quota_ledger_set_dir(const char *dir);

/*
 * quota_ledger_path: write the path of a tenant's ledger into @path.
 * Returns -EINVAL for a bad name, -ENAMETOOLONG when @size is too small.
 */
int quota_ledger_path(const char *group, const char *tenant,
                      char *path, size_t size);

/*
 * quota_ledger_create: open the ledger of a tenant for reading and writing, making
 * the directory, and a ledger that quota-ledgerd keeps, if they are missing.  What
 * is not a valid ledger of this boot for this tenant loses the name to a new one:
 * processes that still map the old one fail closed, because it gets no more
 * samples.  A ledger of a newer version is left while it has writers:
 * -EPROTONOSUPPORT.  -ENOTCONN: quota-ledgerd cannot be reached.  The caller must
 * hold the group's lock (quota_group_lock).
 *
 * A new ledger admits nothing until quota_state_publish and a first sample.
 */
int quota_ledger_create(const char *group, const char *tenant,
                        struct quota_ledger **ledger);

/*
 * quota_ledger_open: map an existing ledger.  quota_ledger_open_fd takes a
 * descriptor instead of a path and keeps a duplicate of it; with a read-only
 * descriptor only the functions that say "read" may be used.
 *
 * Errors, each with one meaning, which the host should put into words:
 *   open(2)'s own    the file cannot be opened, e.g. -ENOENT: no ledger
 *   -ENODATA         truncated: shorter than a ledger
 *   -EBADFD          not sealed: its size could change
 *   -EXDEV           the ledger of another tenant than the path's, or a file that
 *                    was not made to be what its header says
 *   -EILSEQ          not a ledger: the magic is wrong
 *   -EPROTONOSUPPORT a ledger of another major version, or with features that
 *                    this program does not know and needs to open, or to write
 *   -EBADMSG         damaged: the checksum of the header does not match
 *   -ESTALE          left over from before the last boot
 */
int quota_ledger_open(const char *path, bool writable,
                      struct quota_ledger **ledger);
int quota_ledger_open_fd(int fd, bool writable, struct quota_ledger **ledger);

/* quota_ledger_descriptor: another descriptor of a tenant's ledger, open for reading
 * and writing, for another process: it has a file description of its own.  Errors as
 * quota_ledger_open. */
int quota_ledger_descriptor(const char *group, const char *tenant);

/* quota_ledger_strerror: what an error of quota_ledger_open means, as the end
 * of a sentence ("is truncated"); never NULL.  For -EPROTONOSUPPORT it names
 * the versions, or the bits, of this thread's last such error. */
const char *quota_ledger_strerror(int error);

/*
 * quota_ledger_new_private: a ledger in this process's own memory, without a
 * file, for limits that are options of one filter.  The owner takes the
 * samples.
 */
int quota_ledger_new_private(const char *tenant, struct quota_ledger **ledger);

/* quota_ledger_close: unmap and free; NULL is allowed. */
void quota_ledger_close(struct quota_ledger *ledger);

/* quota_ledger_unlink: remove a tenant's ledger; who maps it keeps it.  -ENOENT if
 * missing. */
int quota_ledger_unlink(const char *group, const char *tenant);

/* quota_ledger_group, quota_ledger_tenant: the names in the header, valid until
 * quota_ledger_close. */
const char *quota_ledger_group(const struct quota_ledger *ledger);
const char *quota_ledger_tenant(const struct quota_ledger *ledger);

/*
 * quota_ledger_is_whole: whether all of the ledger that is in use is still there.
 * Nothing keeps its tenant from punching holes into it, and whoever touches it then waits
 * until that is over, which can be made to take seconds: look before touching it with a lock
 * held that others wait for.
 */
bool quota_ledger_is_whole(const struct quota_ledger *ledger);

/* quota_ledger_is_current: whether the ledger's path still leads to this file
 * (false after it was replaced or removed, or its keeper ended). */
bool quota_ledger_is_current(const struct quota_ledger *ledger);

/* quota_ledger_is_same: whether both, neither private, map one file. */
bool quota_ledger_is_same(const struct quota_ledger *a,
                          const struct quota_ledger *b);

/* quota_ledger_is_in_use: whether some process holds a lock of the ledger that has
 * this name, as writers do, whatever stands in it; in doubt, true. */
bool quota_ledger_is_in_use(const char *group, const char *tenant);

/* quota_ledger_restore: 0 if the ledger is current, or has its name again, which it
 * lost with its keeper.  -ESTALE: it was replaced or removed; and quota-ledgerd's
 * errors.  The caller holds the group's lock. */
int quota_ledger_restore(struct quota_ledger *ledger);

/*
 * quota_group_lock: wait for, and take, the lock of a group's quotas.  Hold it
 * to read LVM, decide by a limit, and change LVM or publish limits, so that two
 * processes cannot both hand out a tenant's last extent.  It is a flock(2) on a
 * file beside the group's directory: the kernel drops it with its holder.  Nobody can
 * keep others from it by taking it again and again.  Returns a descriptor (>= 0) for
 * quota_group_unlock.  -EINVAL for a bad name; -ETIMEDOUT if another process still has
 * the lock after @seconds: see quota_group_lock_holder.
 */
int quota_group_lock(const char *group, unsigned seconds);
void quota_group_unlock(int lock_fd);

#define QUOTA_VERB_MAX_BYTES 31

/* struct quota_lock_holder: what the holder of a group's lock wrote about
 * itself. */
struct quota_lock_holder {
    pid_t pid;
    char verb[QUOTA_VERB_MAX_BYTES + 1];    /* what it does: "lvcreate" */
    uint64_t seconds;           /* since when */
};

/*
 * quota_group_lock_note: write into the lock's file that @pid does @verb from
 * now on, for people who wait for it.  @pid is the holder, or its child that
 * inherited the lock.  A verb consists of [a-z-]; the rest is cut off.
 * quota_group_lock_holder: read the note.  -ENODATA: the file does not hold a
 * valid one.  The holder may have changed since.
 */
void quota_group_lock_note(int lock_fd, pid_t pid, const char *verb);
int quota_group_lock_holder(const char *group, struct quota_lock_holder *holder);

/* ---- what is shared (state.c, reading.c) --------------------------------- */

/*
 * quota_state_publish: make the ledger enforce @state, from the next admission
 * on, and within 100 ms for requests that already wait.  The caller holds the
 * group's lock and read @state under it; no snapshot is being taken.  A rate
 * that changes starts without saved-up credit.
 */
void quota_state_publish(struct quota_ledger *ledger,
                         const struct quota_state *state);

/* quota_state_read: a copy of what is enforced now. */
void quota_state_read(const struct quota_ledger *ledger,
                      struct quota_state *state);

/* struct quota_usage: one reading of a tenant's bytes, as consistent as it can
 * be without stopping the writers; sums never under-count. */
struct quota_usage {
    uint64_t limit_bytes;
    uint64_t thick_bytes;
    uint64_t grant_bytes;
    uint64_t sampled_bytes;     /* thin pool's used bytes at the last sample */
    uint64_t unsampled_bytes;   /* reserved since, in flight or settled */
    uint64_t used_bytes;        /* thick + sampled + unsampled */
    uint64_t least_bytes;       /* used, less what sampled and unsampled may
                                   both count, until the next sample */
    uint64_t available_bytes;   /* limit - used, 0 when over limit */
    uint64_t sample_ns;         /* CLOCK_MONOTONIC of last sample; 0: none */
    uint64_t refused_writes;    /* writes that failed with ENOSPC */
    enum quota_reason reason;   /* by the last sample */
};
void quota_usage_read(const struct quota_ledger *ledger,
                      struct quota_usage *usage);

/* ---- volumes (volume.c, state.c, epoch.c) -------------------------------- */

/* Volumes of a tenant that may have writers, or limits, at one time. */
#define QUOTA_LEDGER_VOLUMES 256
/* Writers that one volume may have. */
#define QUOTA_VOLUME_WRITERS 4

/* A volume's share of a throughput cap, relative to other volumes. */
#define QUOTA_WEIGHT_MIN 10
#define QUOTA_WEIGHT_DEFAULT 100
#define QUOTA_WEIGHT_MAX 1000

/*
 * quota_volume_publish: set a volume's @limits (limit_bytes and rates; 0: only
 * the tenant's apply) and @weight (0: the default).  The caller holds the
 * group's lock.  -EUSERS: all volumes' slots are taken; -EBUSY: another process
 * keeps the ledger's attach lock.
 */
int quota_volume_publish(struct quota_ledger *ledger, const char *name,
                         const struct quota_limits *limits, unsigned weight);

/* struct quota_volume_usage: like struct quota_usage, for one volume. */
struct quota_volume_usage {
    char name[QUOTA_LV_MAX_BYTES + 1];
    uint64_t limit_bytes;       /* 0: only the tenant's */
    uint64_t sampled_bytes;
    uint64_t unsampled_bytes;
    uint64_t used_bytes;
    unsigned weight;            /* 0: the default */
    unsigned writers;
    bool is_sampled;            /* false: sampled_bytes is unknown */
};

/*
 * quota_volume_read: the volume in slot @i.  0; -EAGAIN: the slot is free, try
 * the next one; -ENOENT: no slot from here on is used; -EUCLEAN: the ledger
 * contradicts itself.
 */
int quota_volume_read(const struct quota_ledger *ledger, unsigned i,
                      struct quota_volume_usage *usage);

/* quota_volume_find: the slot of the volume with that name; -ENOENT, or -EUCLEAN: the
 * ledger is not whole. */
int quota_volume_find(const struct quota_ledger *ledger, const char *name);

/*
 * Epochs: after a snapshot the next write to each chunk copies the chunk, so
 * every chunk counts as not charged.  To take a snapshot, with the group's lock
 * held:
 *   quota_epoch_begin   from now on, no chunk counts as charged
 *   quota_epoch_wait    until no write is in flight that relied on a charge
 *   (the snapshot)
 *   quota_epoch_end     chunks that are charged from now on count again
 * If the caller is killed in between, each write is charged until the next
 * quota_state_publish: an over-count.  -ENOENT, from wait: the volume has no
 * writers; -ETIMEDOUT: a write is still in flight after @timeout_ns; -EUSERS,
 * -EBUSY from begin as quota_volume_publish.  Without the group's lock, another
 * program may end the epoch at any time.
 */
int quota_epoch_begin(struct quota_ledger *ledger, const char *name);
int quota_epoch_wait(struct quota_ledger *ledger, const char *name,
                     uint64_t timeout_ns);
int quota_epoch_end(struct quota_ledger *ledger, const char *name);

/* ---- the sampler's side (writer.c, sample.c, doorbell.c, clock.c) -------- */

/*
 * quota_writer_audit: settle what dead writers had in flight, and free their
 * slots and those of unused volumes.  For the sampler, before it samples; never
 * on a descriptor that the process also writes through.  Returns the number of
 * dead writers, or a negative errno; -ETIME: it takes longer than any honest ledger
 * has it take.
 */
int quota_writer_audit(struct quota_ledger *ledger);

/* quota_writer_count: attached writers, live or not yet audited. */
unsigned quota_writer_count(const struct quota_ledger *ledger);

/*
 * struct quota_sample: what must be read before the kernel is asked.  The
 * kernel's answer includes every write that was settled by then.
 */
struct quota_sample {
    uint64_t settled_bytes;
    uint64_t recalled_bytes;    /* the part never written: recalled leases */
    uint32_t doorbell;
    unsigned volumes;           /* how many of the following are valid */
    struct {
        uint64_t settled_bytes;
        /* set by the caller where it knows the volume's bytes; volumes that
         * stay QUOTA_SAMPLE_UNKNOWN are not published */
        uint64_t used_bytes;
    } volume[QUOTA_LEDGER_VOLUMES];
};
#define QUOTA_SAMPLE_UNKNOWN UINT64_MAX

/*
 * quota_sample_begin: call first; then read the thin pool's used bytes from
 * device-mapper; then quota_sample_publish.  One sampler per ledger.
 */
void quota_sample_begin(struct quota_ledger *ledger,
                        struct quota_sample *sample);

/*
 * quota_sample_publish: @used_bytes is the kernel's answer after
 * quota_sample_begin.  @reason tells writers that are still refused why;
 * QUOTA_REASON_NONE means that the pool is growing and they should wait.
 * Returns 0, or -EBUSY: another process is publishing a sample, or has
 * published a newer one; begin again.  (A ledger has one sampler, except for
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

/* The most that one request can need: what a QEMU writes at once, and two chunks
 * of a thin pool.  Whoever needs more asks for it in parts. */
#define QUOTA_REQUEST_MAX_BYTES (UINT64_C(4) << 30)

/*
 * quota_doorbell_demand: bytes that the largest waiting writer was refused
 * since the last call, 0 for none: how much room a step must make at least.
 * Never more than QUOTA_REQUEST_MAX_BYTES, whatever stands in the ledger.
 */
uint64_t quota_doorbell_demand(struct quota_ledger *ledger);

/* quota_clock_ns: CLOCK_MONOTONIC. */
uint64_t quota_clock_ns(void);

#pragma GCC visibility pop

#endif
