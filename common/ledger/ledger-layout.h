/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ledger-layout.h: every byte of a ledger file.  Private to common/ and to the
 * tests that look at, or spoil, single fields.
 *
 * Rules that every field obeys:
 * - Whoever can map a ledger can write all of it.  A reader copies a field
 *   once, then checks the copy; nothing read here is used as an index, a
 *   pointer or a length without a check.
 * - No lock lives here.  The order of the stores makes each state that a
 *   killed process can leave behind a safe one; the order that must hold is
 *   written where the stores are.
 * - Fields that different processes write stand on different cache lines.
 */
#ifndef QUOTA_LEDGER_LAYOUT_H
#define QUOTA_LEDGER_LAYOUT_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "quota-writer.h"

#pragma GCC visibility push(hidden)

#define QUOTA_LEDGER_MAGIC "QUOTALVM"
#define QUOTA_LEDGER_MAJOR 3    /* a reader refuses another major version */
#define QUOTA_LEDGER_MINOR 0    /* and reads any minor one */
#define QUOTA_LINE_BYTES 64

#define QUOTA_LANES 8           /* of one writer, for its threads */
#define QUOTA_LEDGER_WRITERS (QUOTA_LEDGER_VOLUMES * QUOTA_VOLUME_WRITERS)

/* sampled_bytes before the first sample: nothing is admitted. */
#define QUOTA_UNSAMPLED UINT64_MAX
/* tat_ns of a cell whose credit is void: this, plus the generation of its rates,
 * so that a cell that is emptied is never as it was: see rate.c. */
#define QUOTA_TAT_EMPTY (UINT64_C(1) << 63)

typedef _Atomic(uint64_t) quota_u64;
typedef _Atomic(uint32_t) quota_u32;

/* Written once, before the file gets its name; never changed. */
struct quota_header {
    char magic[8];
    uint16_t version_major;
    uint16_t version_minor;
    uint32_t file_bytes;
    uint8_t boot_id[16];        /* zeroes: not known, not checked */
    char group[QUOTA_GROUP_MAX_BYTES + 1];
    char tenant[QUOTA_TENANT_MAX_BYTES + 8];
    uint64_t checksum;          /* FNV-1a, 64 bits, of all that stands before */
};

/* A rate and its burst, as struct quota_rate. */
struct quota_rate_words {
    quota_u64 per_sec;
    quota_u64 max_per_sec;
    quota_u64 max_length_sec;
    quota_u64 pad;
};

/* Written by the holder of the group's lock (state.c), read by everybody. */
struct quota_rates {
    /* Odd while the rates are being changed, and another number afterwards:
     * what was paid in advance under a number that has passed is void. */
    quota_u32 generation;
    quota_u32 armed;            /* bit k: words[k].per_sec is not 0 */
    quota_u64 pad[7];
    struct quota_rate_words words[QUOTA_RATE_MAX];
};

/* Written by the holder of the group's lock (state.c), read by everybody. */
struct quota_policy {
    quota_u64 limit_bytes;
    quota_u64 step_bytes;
    quota_u64 thick_bytes;
    quota_u64 grant_bytes;
    quota_u64 chunk_bytes;
    quota_u64 group_free_bytes;
    quota_u32 any_armed;        /* a rate of the tenant or of any volume is */
    quota_u32 pad0;
    quota_u64 pad1;
    struct quota_rates rates;
};

/* Written by the sampler alone (sample.c), in the order of the fields, but for
 * the last one. */
struct quota_sampled {
    quota_u64 sampled_bytes;
    quota_u64 settled_at_sample;
    quota_u64 sample_ns;
    quota_u32 reason;           /* enum quota_reason; the tenant's only */
    quota_u32 answered;         /* the doorbell that this sample answers; futex;
                                   the tenant's only */
    quota_u64 reserved_at_sample;   /* stored first; the tenant's only */
    quota_u64 pad[3];
};

/*
 * The bytes that writers have reserved, all together, and who moved the sum
 * last: bits 48 to 63 are the index of that writer plus 1, the others the
 * number of its operation; 0: nobody yet, the sum is 0.  See register.c.
 */
struct quota_register {
    quota_u64 last;
    quota_u64 pad[7];
};

/* Written by every writer of the tenant, each line by another function. */
struct quota_counters {
    struct quota_register reserved;
    quota_u32 doorbell;         /* futex; one more for each ring */
    quota_u32 pad0;
    quota_u64 demand_bytes;     /* largest refused request since last read */
    quota_u64 refused_total;
    quota_u64 pad1[5];
    quota_u32 volumes;          /* all slots from here on were never used */
    quota_u32 pad2;
    quota_u64 pad3[7];
};

/*
 * One rate, one line (rate.c): theoretical arrival times, and how much the
 * volume that has had most of it has had.  Written by every payer.
 */
struct quota_cell {
    quota_u64 sustained_tat_ns;
    quota_u64 peak_tat_ns;
    quota_u64 lead_ns;          /* the tenant's only */
    quota_u64 pad[5];
};

enum quota_scope {
    QUOTA_OF_TENANT,
    QUOTA_OF_VOLUME,
    QUOTA_SCOPES
};

/* A writer's part in one register; operation n stands at [n % 2]. */
struct quota_entry {
    quota_u64 value[2];         /* the sum after the operation */
    quota_u64 own[2];           /* what of it is this writer's */
    quota_u64 pad[4];
};

/*
 * Writes in flight that reserve nothing, of some of the owner's threads: each
 * thread counts in the lane that is its own (volume.c), so that several do not
 * wait for one line of the cache.
 */
struct quota_lane {
    quota_u32 paid_in_flight;   /* futex */
    quota_u32 pad[15];
};

/*
 * owner: 0 free, else the process id of who attached; set by a process that
 * holds the lock on byte QUOTA_LOCK_BASE + index of the file, cleared by it,
 * or by whoever got that lock after it died (writer.c).
 * settled_bytes, entries, lanes: written by the owner.
 * lease: by the owner and the sampler.
 * done: by whoever moves a register on after this writer did.
 */
struct quota_writer_words {
    quota_u64 owner;
    quota_u64 settled_bytes;    /* only grows, never passes what is reserved */
    quota_u64 lease;            /* see QUOTA_LEASE_UNIT_BYTES */
    quota_u64 pad0[5];
    struct quota_entry entries[QUOTA_SCOPES];
    quota_u64 done[QUOTA_SCOPES];       /* only grows */
    quota_u64 pad1[6];
    struct quota_lane lanes[QUOTA_LANES];
};

/*
 * name, use: written under the lock on byte QUOTA_ATTACH_LOCK.
 * limit_bytes, weight, rates, epoch: by the holder of the group's lock.
 */
struct quota_volume {
    _Atomic(char) name[QUOTA_LV_MAX_BYTES + 1];
    quota_u32 use;              /* odd: the slot is the volume's of that name;
                                   another number for the next volume's */
    quota_u32 epoch;            /* odd while a snapshot is being taken */
    quota_u64 limit_bytes;      /* 0: only the tenant's */
    quota_u64 weight;           /* 0: QUOTA_WEIGHT_DEFAULT */
    quota_u64 pad0[5];
    struct quota_rates rates;
    struct quota_register reserved;
    struct quota_sampled sample;
    struct quota_cell cells[QUOTA_RATE_MAX];
    /* of each of the tenant's rates, how much it has had, over its weight */
    quota_u64 served_ns[QUOTA_RATE_MAX];
    quota_u64 pad1[2];
    struct quota_writer_words writers[QUOTA_VOLUME_WRITERS];
};

/*
 * A lease: bytes that are reserved, and not yet for any write.  Bits 0 to 23
 * are how many units of them there are, the others how many the sampler has
 * taken back, ever: in one word, so that neither can be lost.
 */
#define QUOTA_LEASE_UNIT_BYTES UINT64_C(65536)
#define QUOTA_LEASE_BITS 24
#define QUOTA_LEASE_UNITS(lease) ((lease) & ((1u << QUOTA_LEASE_BITS) - 1))
#define QUOTA_LEASE_RECALLED_BYTES(lease) \
    (((lease) >> QUOTA_LEASE_BITS) * QUOTA_LEASE_UNIT_BYTES)
/* No more leases for a writer that has had so many taken back. */
#define QUOTA_LEASE_RECALLED_MAX_BYTES (UINT64_C(1) << 55)

/* Beyond any real offset, so that locks never meet the file's own bytes. */
#define QUOTA_LOCK_BASE (INT64_C(1) << 40)
#define QUOTA_ATTACH_LOCK (QUOTA_LOCK_BASE - 1)
#define QUOTA_SAMPLE_LOCK (QUOTA_LOCK_BASE - 2)

struct quota_ledger_file {
    struct quota_header header;
    char pad[512 - sizeof(struct quota_header)];
    struct quota_policy policy;
    struct quota_sampled sample;
    struct quota_counters counters;
    struct quota_cell cells[QUOTA_RATE_MAX];
    char pad1[4096 - 512 - sizeof(struct quota_policy) -
              sizeof(struct quota_sampled) - sizeof(struct quota_counters) -
              sizeof(struct quota_cell) * QUOTA_RATE_MAX];
    struct quota_volume volumes[QUOTA_LEDGER_VOLUMES];
};

#define QUOTA_ASSERT_AT(type, field, offset) \
    _Static_assert(offsetof(struct type, field) == (offset), \
                   "quota-ledger(5): " #type "." #field)
#define QUOTA_ASSERT_SIZE(type, bytes) \
    _Static_assert(sizeof(struct type) == (bytes), "quota-ledger(5): " #type)

/* Where a reader of another program finds each part; and no line of the cache
 * is written by two parts. */
QUOTA_ASSERT_SIZE(quota_header, 208);
QUOTA_ASSERT_AT(quota_ledger_file, policy, 512);
QUOTA_ASSERT_AT(quota_ledger_file, policy.rates, 576);
QUOTA_ASSERT_AT(quota_ledger_file, sample, 832);
QUOTA_ASSERT_AT(quota_ledger_file, counters.reserved, 896);
QUOTA_ASSERT_AT(quota_ledger_file, counters.doorbell, 960);
QUOTA_ASSERT_AT(quota_ledger_file, counters.volumes, 1024);
QUOTA_ASSERT_AT(quota_ledger_file, cells, 1088);
QUOTA_ASSERT_AT(quota_ledger_file, volumes, 4096);
QUOTA_ASSERT_AT(quota_rates, words, 64);
QUOTA_ASSERT_SIZE(quota_rate_words, 32);
QUOTA_ASSERT_SIZE(quota_rates, 256);
QUOTA_ASSERT_SIZE(quota_sampled, 64);
QUOTA_ASSERT_SIZE(quota_register, 64);
QUOTA_ASSERT_SIZE(quota_cell, 64);
QUOTA_ASSERT_AT(quota_volume, use, 128);
QUOTA_ASSERT_AT(quota_volume, rates, 192);
QUOTA_ASSERT_AT(quota_volume, reserved, 448);
QUOTA_ASSERT_AT(quota_volume, sample, 512);
QUOTA_ASSERT_AT(quota_volume, cells, 576);
QUOTA_ASSERT_AT(quota_volume, served_ns, 960);
QUOTA_ASSERT_AT(quota_volume, writers, 1024);
QUOTA_ASSERT_SIZE(quota_volume, 4096);
QUOTA_ASSERT_AT(quota_writer_words, entries, 64);
QUOTA_ASSERT_AT(quota_writer_words, done, 192);
QUOTA_ASSERT_SIZE(quota_entry, 64);
QUOTA_ASSERT_AT(quota_writer_words, lanes, 256);
QUOTA_ASSERT_SIZE(quota_lane, 64);
QUOTA_ASSERT_SIZE(quota_writer_words, 768);
_Static_assert(512 % QUOTA_LINE_BYTES == 0, "all offsets above begin lines");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics are lock-free");

/* A mapping of a ledger in this process. */
struct quota_ledger {
    struct quota_ledger_file *file;
    int fd;                     /* -1: private, without a file */
    bool is_writable;
    struct quota_header header; /* checked copy */
    /* The attach lock is the file description's: threads that share it need
     * one of their own. */
    pthread_mutex_t attach_mutex;
};

/* Loads acquire and stores release: what is written in an order is seen in
 * it.  Nothing else is used on shared words, but where two processes each write
 * one and read the other's (volume.c). */
#define quota_load(word) atomic_load_explicit((word), memory_order_acquire)
#define quota_store(word, value) \
    atomic_store_explicit((word), (value), memory_order_release)

static inline uint64_t quota_add(quota_u64 *word, uint64_t value)
{
    return atomic_fetch_add_explicit(word, value, memory_order_acq_rel);
}

/* On failure *expected is what stands there now. */
static inline bool quota_swap_if(quota_u64 *word, uint64_t *expected,
                                 uint64_t desired)
{
    return atomic_compare_exchange_strong_explicit(
        word, expected, desired, memory_order_acq_rel, memory_order_acquire);
}

/* quota_raise: make *word at least @value. */
static inline void quota_raise(quota_u64 *word, uint64_t value)
{
    uint64_t now = quota_load(word);

    while (now < value && !quota_swap_if(word, &now, value)) {
        /* now was reloaded */
    }
}

static inline uint64_t quota_add_saturating(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* The slots in use, of what the file says; never out of bounds. */
static inline unsigned quota_volumes_count(const struct quota_ledger *ledger)
{
    uint32_t count = quota_load(&ledger->file->counters.volumes);

    return count < QUOTA_LEDGER_VOLUMES ? count : QUOTA_LEDGER_VOLUMES;
}

/* ---- register.c ---------------------------------------------------------- */

/* One reading of a register: its sum, and the word that a change swaps. */
struct quota_register_value {
    uint64_t bytes;
    uint64_t last;
};

/* -EUCLEAN: it names a writer that there is not. */
int quota_register_read(const struct quota_ledger *ledger, unsigned volume,
                        enum quota_scope scope,
                        struct quota_register_value *value);

/*
 * Who moves registers: one writer slot, by one thread at a time.  Kept in the
 * owner's own memory, since what stands in the file can be spoilt.
 */
struct quota_mover {
    struct quota_ledger *ledger;
    unsigned index;             /* of the writer in the file */
    uint64_t operation[QUOTA_SCOPES];   /* number of the last one */
    uint64_t own_bytes[QUOTA_SCOPES];   /* sum of all of them */
};

/* quota_mover_init: what the file says that the slot's last owner did.  The
 * caller is, or has outlived, that owner.  -EUCLEAN: it is nonsense. */
int quota_mover_init(struct quota_mover *mover, struct quota_ledger *ledger,
                     unsigned index);

/* quota_register_move: add @bytes (which may be "negative") if the register
 * still is as in @value; false: somebody else was first. */
bool quota_register_move(struct quota_mover *mover, enum quota_scope scope,
                         const struct quota_register_value *value,
                         uint64_t bytes);

/* quota_register_add: add @bytes, whatever the register's value.  -EAGAIN:
 * somebody else was first at each of @tries; -EUCLEAN. */
#define QUOTA_TRIES_ENDLESS UINT_MAX
int quota_register_add(struct quota_mover *mover, enum quota_scope scope,
                       uint64_t bytes, unsigned tries);

static inline struct quota_volume *
quota_volume_at(const struct quota_ledger *ledger, unsigned writer)
{
    return &ledger->file->volumes[writer / QUOTA_VOLUME_WRITERS];
}

static inline struct quota_writer_words *
quota_writer_at(const struct quota_ledger *ledger, unsigned writer)
{
    return &quota_volume_at(ledger, writer)
        ->writers[writer % QUOTA_VOLUME_WRITERS];
}

/* ---- account.c ----------------------------------------------------------- */

/* quota_lease_recall: nobody can spend a writer's lease any more; returns the
 * bytes of all that were taken back from it, ever. */
uint64_t quota_lease_recall(struct quota_writer_words *words);

/* What may still be admitted to the tenant. */
struct quota_reading {
    uint64_t limit_bytes, thick_bytes, grant_bytes;
    uint64_t sampled_bytes, unsampled_bytes;
    uint64_t room_bytes;
    uint64_t settled_room_bytes; /* room_bytes if unsampled_bytes were 0 */
    struct quota_register_value reserved;
};
/* -EUCLEAN when the words contradict each other, -EAGAIN before the first
 * sample; all but the room is valid then too. */
int quota_reading_take(const struct quota_ledger *ledger,
                       struct quota_reading *reading);
/* The same of one volume; its limit alone bounds the room. */
int quota_reading_take_volume(const struct quota_ledger *ledger,
                              unsigned volume, struct quota_reading *reading);

/* ---- volume.c ------------------------------------------------------------ */

/* quota_volume_claim: the slot of a volume, made if it has none; the caller
 * holds the attach lock.  -EUSERS. */
int quota_volume_claim(struct quota_ledger *ledger, const char *name);
/* quota_volume_tidy: free the slots of volumes that nobody writes to and that
 * have no limits. */
void quota_volume_tidy(struct quota_ledger *ledger);

/* ---- writer.c ------------------------------------------------------------ */

/*
 * What was paid for requests that are to come, at all rates that count them,
 * and lies ready for the threads of one lane: for reads, and for writes.  Bits
 * 0 to 39 of a word are bytes, the others requests.  Both hold for the rates
 * of the generations that stand beside them.
 */
struct quota_purse {
    _Alignas(QUOTA_LINE_BYTES) quota_u64 prepaid[2];
    quota_u32 generation[QUOTA_SCOPES];
};

/*
 * struct quota_writer: what an attached writer keeps in its own memory.
 * @lock: private to the process, held for some dozens of instructions, never
 * while anything waits; protects what stands below it.
 */
struct quota_writer {
    struct quota_writer_head head;
    struct quota_ledger *ledger;
    struct quota_volume *volume;
    struct quota_writer_words *words;
    quota_u32 is_queued;        /* somebody waits for a turn; set with @lock */
    struct quota_purse purses[QUOTA_LANES];
    _Alignas(QUOTA_LINE_BYTES) atomic_flag lock;
    struct quota_mover mover;
    /* turn.c: who waits for its turn, in the order of arrival */
    struct quota_turn *first, **end;
    /* when the last one that had to wait could pay; 0: the writer was idle
     * since; and when all who waited had been served */
    uint64_t due_ns;
    uint64_t served_ns;
    struct {
        uint32_t generation;    /* of the rates that the rest is valid for */
        /* paid to the cell and not yet used: bytes, or I/Os */
        uint64_t credit[QUOTA_RATE_MAX];
    } paid[QUOTA_SCOPES];
    /* What a read, and a write, takes of which credit. */
    struct {
        unsigned count;
        struct {
            uint64_t *credit;
            bool is_bytes;
        } of[QUOTA_RATE_MAX * QUOTA_SCOPES];
    } fee[2];
};

/*
 * The calling thread's number, from 1 on; 0: none yet.  In the part of its
 * memory that is reached without a call, of which a module that is loaded late
 * may have a few bytes.
 */
extern _Thread_local unsigned quota_thread_number
    __attribute__((tls_model("initial-exec")));
unsigned quota_thread_number_take(void);

/* quota_lane_of_thread: the lane of the calling thread, which other threads may
 * share if there are many. */
static inline unsigned quota_lane_of_thread(void)
{
    unsigned number = quota_thread_number, lane;

    if (__builtin_expect(number == 0, false)) {
        number = quota_thread_number_take();
    }
    /* Processors fetch lines in pairs: every second lane first. */
    lane = number % QUOTA_LANES * 2;
    return lane < QUOTA_LANES ? lane : lane - QUOTA_LANES + 1;
}

void quota_writer_lock(struct quota_writer *writer);
void quota_writer_unlock(struct quota_writer *writer);

/* quota_ledger_lock: the lock on one byte of the file, for F_OFD_SETLK and
 * F_OFD_GETLK.  Returns the type of the lock found, or a negative errno. */
int quota_ledger_lock(const struct quota_ledger *ledger, int64_t byte,
                      int command, short type);
/* Attaching takes microseconds; who holds the lock for longer than this many
 * milliseconds was stopped, or is up to something: -EBUSY. */
#define QUOTA_ATTACH_TRIES 200
int quota_attach_lock(struct quota_ledger *ledger, int tries);
void quota_attach_unlock(struct quota_ledger *ledger);

/* ---- rate.c -------------------------------------------------------------- */

/* The rates of a scope, and the cells that they move. */
struct quota_meter {
    const struct quota_rates *rates;
    struct quota_cell *cells;
};

static inline struct quota_meter
quota_meter_of(const struct quota_writer *writer, enum quota_scope scope)
{
    struct quota_ledger_file *file = writer->ledger->file;

    if (scope == QUOTA_OF_TENANT) {
        return (struct quota_meter) { &file->policy.rates, file->cells };
    }
    return (struct quota_meter) { &writer->volume->rates,
                                  writer->volume->cells };
}

/* When a payment is made, in CLOCK_MONOTONIC, and how much later that is than
 * it could have been. */
struct quota_time {
    uint64_t now_ns;
    uint64_t late_ns;
};

/*
 * quota_cell_buy: pay for up to @wanted units (bytes or I/Os) at one rate.
 * Returns how many were paid for: at least 1, less than @wanted if that is
 * much, more if it is little; or 0, with *@wait_ns until it may be tried again.
 */
uint64_t quota_cell_buy(struct quota_writer *writer, enum quota_scope scope,
                        int kind, uint64_t wanted, struct quota_time time,
                        uint64_t *wait_ns);

/* quota_cell_charge: pay for @units, now, whether it is their turn or not. */
void quota_cell_charge(struct quota_writer *writer, enum quota_scope scope,
                       int kind, uint64_t units, uint64_t now_ns);

/* quota_cell_ahead_ns: how far a rate has been paid for in advance. */
uint64_t quota_cell_ahead_ns(const struct quota_writer *writer,
                             enum quota_scope scope, int kind,
                             uint64_t now_ns);

/* The rates that count a request; at most one of bytes and one of I/Os. */
uint32_t quota_rate_mask(uint32_t armed, bool is_write);
bool quota_rate_is_bytes(int kind);

#pragma GCC visibility pop

#endif
