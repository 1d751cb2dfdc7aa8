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

#include <stdatomic.h>

#include "quota-ledger.h"

#define QUOTA_LEDGER_MAGIC "QUOTALVM"
#define QUOTA_LEDGER_MAJOR 1    /* a reader refuses another major version */
#define QUOTA_LEDGER_MINOR 0    /* and reads any minor one */
#define QUOTA_LEDGER_SLOTS 256  /* attached filter nodes of one tenant */
#define QUOTA_LINE_BYTES 64

/* sampled_bytes before the first sample: nothing is admitted. */
#define QUOTA_UNSAMPLED UINT64_MAX
/* tat_ns of a cell whose credit is void: see rate.c. */
#define QUOTA_TAT_EMPTY UINT64_MAX

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
struct quota_policy {
    quota_u64 limit_bytes;
    quota_u64 step_bytes;
    quota_u64 thick_bytes;
    quota_u64 grant_bytes;
    quota_u64 chunk_bytes;
    quota_u64 group_free_bytes;
    quota_u64 pad0[2];
    /* Odd while the rates are being changed, and another number afterwards:
     * payments made under a number that has passed are void (rate.c). */
    quota_u32 rate_generation;
    quota_u32 rate_armed;       /* bit k: rates[k].per_sec is not 0 */
    quota_u64 pad1[7];
    struct quota_rate_words rates[QUOTA_RATE_MAX];
};

/* Written by the sampler alone (sample.c), in the order of the fields. */
struct quota_sampled {
    quota_u64 sampled_bytes;
    quota_u64 settled_at_sample;
    quota_u64 sample_ns;
    quota_u32 reason;           /* enum quota_reason */
    quota_u32 answered;         /* the doorbell that this sample answers */
    quota_u64 pad[4];
};

/* Each line written by every writer of the tenant (account.c). */
struct quota_counters {
    quota_u64 reserved_bytes;   /* only grows */
    quota_u64 pad0[7];
    quota_u64 settled_bytes;    /* only grows, never passes reserved_bytes */
    quota_u64 pad1[7];
    quota_u32 doorbell;         /* futex; one more for each ring */
    quota_u32 pad2;
    quota_u64 demand_bytes;     /* largest refused request since last read */
    quota_u64 refused_total;
    quota_u64 pad3[5];
};

/* One theoretical arrival time a line; written by every payer (rate.c). */
struct quota_cell {
    quota_u64 sustained_tat_ns;
    quota_u64 peak_tat_ns;
    quota_u64 pad[6];
};

/*
 * owner: 0 free, else the process id of who attached; set by compare-and-swap
 * by a process that holds the lock on byte QUOTA_SLOT_LOCK_BASE + slot of the
 * file, cleared by the owner, or by the sampler once that lock is gone.
 * in_flight_bytes, volume: written by the owner.
 */
struct quota_slot {
    quota_u64 owner;
    quota_u64 in_flight_bytes;
    quota_u64 pad[6];
    char volume[QUOTA_LV_MAX_BYTES + 1];
};

/* Beyond any real offset, so that locks never meet the file's own bytes. */
#define QUOTA_SLOT_LOCK_BASE (INT64_C(1) << 40)

struct quota_ledger_file {
    struct quota_header header;
    char pad[512 - sizeof(struct quota_header)];
    struct quota_policy policy;
    struct quota_sampled sample;
    struct quota_counters counters;
    struct quota_cell cells[QUOTA_RATE_MAX];
    char pad1[2048 - 512 - sizeof(struct quota_policy) -
              sizeof(struct quota_sampled) - sizeof(struct quota_counters) -
              sizeof(struct quota_cell) * QUOTA_RATE_MAX];
    struct quota_slot slots[QUOTA_LEDGER_SLOTS];
};

#define QUOTA_ASSERT_LINE(field) \
    _Static_assert(offsetof(struct quota_ledger_file, field) % \
                   QUOTA_LINE_BYTES == 0, #field " begins a cache line")
QUOTA_ASSERT_LINE(policy);
QUOTA_ASSERT_LINE(policy.rate_generation);
QUOTA_ASSERT_LINE(sample);
QUOTA_ASSERT_LINE(counters.reserved_bytes);
QUOTA_ASSERT_LINE(counters.settled_bytes);
QUOTA_ASSERT_LINE(counters.doorbell);
QUOTA_ASSERT_LINE(cells);
QUOTA_ASSERT_LINE(slots);
_Static_assert(offsetof(struct quota_ledger_file, policy) == 512, "policy");
_Static_assert(offsetof(struct quota_ledger_file, slots) == 2048, "slots");
_Static_assert(sizeof(struct quota_slot) == 3 * QUOTA_LINE_BYTES, "slot");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics are lock-free");

/* A mapping of a ledger in this process. */
struct quota_ledger {
    struct quota_ledger_file *file;
    int fd;                     /* -1: private, without a file */
    bool is_writable;
    struct quota_header header; /* checked copy */
};

/*
 * Every store to shared memory after a ledger has its name goes through one
 * of these, so that a test can stop and kill a process after each of them.
 */
#ifdef QUOTA_TEST_STORES
void quota_test_store(void);
#else
static inline void quota_test_store(void) { }
#endif

#define quota_store(word, value) \
    do { \
        atomic_store_explicit((word), (value), memory_order_release); \
        quota_test_store(); \
    } while (0)

#define quota_load(word) atomic_load_explicit((word), memory_order_acquire)

static inline uint64_t quota_add(quota_u64 *word, uint64_t value)
{
    uint64_t before = atomic_fetch_add_explicit(word, value,
                                                memory_order_acq_rel);
    quota_test_store();
    return before;
}

/* On failure *expected is what stands there now. */
static inline bool quota_swap_if(quota_u64 *word, uint64_t *expected,
                                 uint64_t desired)
{
    bool swapped = atomic_compare_exchange_strong_explicit(
        word, expected, desired, memory_order_acq_rel, memory_order_acquire);

    if (swapped) {
        quota_test_store();
    }
    return swapped;
}

/* quota_room_bytes: what may still be admitted; account.c.  -EUCLEAN when the
 * words contradict each other, -EAGAIN before the first sample. */
struct quota_reading {
    uint64_t limit_bytes, thick_bytes, grant_bytes;
    uint64_t sampled_bytes, unsampled_bytes;
    uint64_t reserved_bytes;    /* the word that a reservation swaps */
    uint64_t room_bytes;
    uint64_t settled_room_bytes; /* room_bytes if unsampled_bytes were 0 */
};
int quota_reading_take(const struct quota_ledger *ledger,
                       struct quota_reading *reading);

#endif
