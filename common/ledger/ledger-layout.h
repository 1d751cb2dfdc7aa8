/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ledger-layout.h: every byte of a ledger file, and how its words are read and
 * written.  Private to common/ and to tests that read or corrupt single fields.
 *
 * Rules for every field:
 * - A process that can map a ledger can write all of it.  A reader copies a
 *   field once, then checks the copy; it uses nothing as an index, a pointer or
 *   a length without a check.
 * - The file holds no lock.  The order of the stores makes each state that a
 *   killed process can leave behind safe; comments at the stores say which
 *   order must hold.
 * - Fields that different processes write are on different cache lines.
 *
 * Programs of several versions share one ledger: a QEMU that has run for weeks
 * and a quota-lvmd that was just upgraded, or the reverse.  A change of the
 * layout takes the first of these that applies:
 * 1. A program may ignore the new field, reading or writing, and 0 in the field
 *    means the same as its absence: QUOTA_LEDGER_MINOR.  With a compatible bit
 *    if programs must tell 0 from absent.
 * 2. Readers may ignore the field, but programs that write to the ledger must
 *    keep it right: a write bit.  An example is a field that must be cleared
 *    for the next owner of a slot; a program that ignores it does not clear it.
 * 3. A program that ignores the field misreads the ledger: an incompatible bit.
 * 4. The header changes, or the bytes that are locked: QUOTA_LEDGER_MAJOR.
 *    The magic and the major version keep their places in every version.
 *
 * New fields go into padding, into the header's reserved bytes, or past the
 * end.  The program that creates a ledger writes 0 to padding and reserved
 * bytes.  A program without a field there neither reads nor writes them;
 * checking that they are 0 would make each addition incompatible.  Fields past
 * the end of an older, shorter file read as 0, and no other program sees what
 * is stored there.
 *
 * The header decides, and never changes: a newer program on an older ledger
 * does without the fields that the ledger has no bit for.  An older program
 * does not replace a newer ledger that has writers; a newer program replaces an
 * older one.
 */
#ifndef QUOTA_LEDGER_LAYOUT_H
#define QUOTA_LEDGER_LAYOUT_H

#include <stdatomic.h>

#include "quota-ledger.h"

#pragma GCC visibility push(hidden)

#define QUOTA_LEDGER_MAGIC "QUOTALVM"
#define QUOTA_LEDGER_MAJOR 4    /* programs refuse any other major version */
/* The size of a file of minor version 0; later files are never shorter. */
#define QUOTA_LEDGER_LEAST_BYTES 1052672
#define QUOTA_LINE_BYTES 64

/* tests/common/newer.h overrides these to build a newer program. */
#ifndef QUOTA_LEDGER_MINOR
#define QUOTA_LEDGER_MINOR 0    /* programs accept any: no check needs it */
/* The bits that this program knows, and those of the ledgers that it creates.
 * Know a bit for one release before setting it: programs restart at different
 * times. */
#define QUOTA_FEATURES_KNOWN { .incompatible = 0, .write = 0, .compatible = 0 }
#define QUOTA_FEATURES_MADE { .incompatible = 0, .write = 0, .compatible = 0 }
#endif

#define QUOTA_LANES 8           /* per writer, for its threads */
#define QUOTA_LEDGER_WRITERS (QUOTA_LEDGER_VOLUMES * QUOTA_VOLUME_WRITERS)

/* sampled_bytes before the first sample: nothing is admitted. */
#define QUOTA_UNSAMPLED UINT64_MAX
/* tat_ns of an emptied cell: this, plus the generation of its rates, so that
 * emptying a cell always changes it: see rate.c. */
#define QUOTA_TAT_EMPTY (UINT64_C(1) << 63)

typedef _Atomic(uint64_t) quota_u64;
typedef _Atomic(uint32_t) quota_u32;

/* What a program must know to use a ledger; bits are never reused. */
struct quota_features {
    uint64_t incompatible;      /* with an unknown bit: do not use the ledger */
    uint64_t write;             /* with an unknown bit: read it at most */
    uint64_t compatible;        /* with an unknown bit: ignore the bit */
};

/* Written once, before the file gets its name; never changes. */
struct quota_header {
    char magic[8];
    uint16_t version_major;
    uint16_t version_minor;
    uint32_t file_bytes;
    uint8_t boot_id[16];        /* zeroes: unknown, not checked */
    char group[QUOTA_GROUP_MAX_BYTES + 1];
    char tenant[QUOTA_TENANT_MAX_BYTES + 8];
    struct quota_features features;
    uint8_t reserved[280];
    uint64_t checksum;          /* FNV-1a, 64 bits, of all bytes before it */
};

/* A rate and its burst, like struct quota_rate. */
struct quota_rate_words {
    quota_u64 per_sec;
    quota_u64 max_per_sec;
    quota_u64 max_length_sec;
    quota_u64 pad;
};

/* Written by the holder of the group's lock (state.c), read by all. */
struct quota_rates {
    /* Odd while the rates are being changed, and a new number afterwards:
     * credit taken under an earlier number is void. */
    quota_u32 generation;
    quota_u32 armed;            /* bit k: words[k].per_sec is not 0 */
    quota_u64 pad[7];
    struct quota_rate_words words[QUOTA_RATE_MAX];
};

/* Written by the holder of the group's lock (state.c), read by all. */
struct quota_policy {
    quota_u64 limit_bytes;
    quota_u64 step_bytes;
    quota_u64 thick_bytes;
    quota_u64 grant_bytes;
    quota_u64 chunk_bytes;
    quota_u64 group_free_bytes;
    quota_u32 any_armed;        /* the tenant or any volume has a rate */
    quota_u32 pad0;
    quota_u64 pad1;
    struct quota_rates rates;
};

/* Written by the sampler alone (sample.c), in the order of the fields, except
 * for the last one. */
struct quota_sampled {
    quota_u64 sampled_bytes;
    quota_u64 settled_at_sample;
    quota_u64 sample_ns;
    quota_u32 reason;           /* enum quota_reason; the tenant's only */
    quota_u32 answered;         /* the doorbell that this sample answers;
                                   futex; the tenant's only */
    quota_u64 reserved_at_sample;   /* stored first; the tenant's only */
    quota_u64 pad[3];
};

/*
 * The sum of the bytes that writers have reserved, kept as a reference to the
 * writer that added last: bits 48 to 63 are its index plus 1, the other bits
 * the number of its operation; 0: no addition yet, the sum is 0.  See
 * register.c.
 */
struct quota_register {
    quota_u64 last;
    quota_u64 pad[7];
};

/* Written by every writer of the tenant, each line by a different function. */
struct quota_counters {
    struct quota_register reserved;
    quota_u32 doorbell;         /* futex; each ring adds 1 */
    quota_u32 pad0;
    quota_u64 demand_bytes;     /* largest refused request since last read */
    quota_u64 refused_writes;
    quota_u64 pad1[5];
    quota_u32 volumes;          /* slots from this one on were never used */
    quota_u32 pad2;
    quota_u64 pad3[7];
};

/*
 * One rate, one line (rate.c): theoretical arrival times, and the largest
 * service of any volume.  Written by every writer that takes from the cell.
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

/* A writer's part in one register; operation n uses [n % 2]. */
struct quota_entry {
    quota_u64 value[2];         /* the sum after the operation */
    quota_u64 own[2];           /* this writer's part of it */
    quota_u64 pad[4];
};

/*
 * Writes in flight to chunks that are charged already, of some of the owner's
 * threads.  Each thread counts in its own lane (epoch.c), so that threads do
 * not contend for one cache line.
 */
struct quota_lane {
    quota_u32 charged_in_flight;    /* futex */
    quota_u32 pad[15];
};

/*
 * owner: 0 free, else the id of the process that attached.  Set and cleared by
 * the process that holds the lock on byte QUOTA_LOCK_BASE + index of the file;
 * cleared by the next holder of that lock if the owner died (writer.c).
 * settled_bytes, entries, lanes: written by the owner.
 * lease: written by the owner and the sampler.
 * done: written by the next writer that adds to the register.
 */
struct quota_writer_words {
    quota_u64 owner;
    quota_u64 settled_bytes;    /* only grows, never exceeds the reserved */
    quota_u64 lease;            /* see QUOTA_LEASE_UNIT_BYTES */
    quota_u64 pad0[5];
    struct quota_entry entries[QUOTA_SCOPES];
    quota_u64 done[QUOTA_SCOPES];       /* only grows */
    quota_u64 pad1[6];
    struct quota_lane lanes[QUOTA_LANES];
};

/*
 * name, use: written under the lock on byte QUOTA_ATTACH_LOCK.
 * limit_bytes, weight, rates, epoch: written by the holder of the group's lock.
 */
struct quota_volume {
    _Atomic(char) name[QUOTA_LV_MAX_BYTES + 1];
    quota_u32 use;              /* odd: the volume of that name has the slot;
                                   the next volume gets a new number */
    quota_u32 epoch;            /* odd while a snapshot is being taken */
    quota_u64 limit_bytes;      /* 0: only the tenant's */
    quota_u64 weight;           /* 0: QUOTA_WEIGHT_DEFAULT */
    quota_u64 pad0[5];
    struct quota_rates rates;
    struct quota_register reserved;
    struct quota_sampled sample;
    struct quota_cell cells[QUOTA_RATE_MAX];
    /* its service by each of the tenant's rates, relative to its weight */
    quota_u64 served_ns[QUOTA_RATE_MAX];
    quota_u64 pad1[2];
    struct quota_writer_words writers[QUOTA_VOLUME_WRITERS];
};

/*
 * A lease: bytes that are reserved, but for no write yet.  Bits 0 to 23 count
 * the units that are left, the others the units that the sampler has ever taken
 * back.  One word holds both, so that neither can be lost.
 */
#define QUOTA_LEASE_UNIT_BYTES UINT64_C(65536)
#define QUOTA_LEASE_BITS 24
#define QUOTA_LEASE_UNITS(lease) ((lease) & ((1u << QUOTA_LEASE_BITS) - 1))
#define QUOTA_LEASE_RECALLED_BYTES(lease) \
    (((lease) >> QUOTA_LEASE_BITS) * QUOTA_LEASE_UNIT_BYTES)
/* A writer that has had this much taken back gets no more leases. */
#define QUOTA_LEASE_RECALLED_MAX_BYTES (UINT64_C(1) << 55)

/* Beyond any real offset, so that locks never meet the file's own bytes. */
#define QUOTA_LOCK_BASE (INT64_C(1) << 40)
#define QUOTA_ATTACH_LOCK (QUOTA_LOCK_BASE - 1)
#define QUOTA_SAMPLE_LOCK (QUOTA_LOCK_BASE - 2)

struct quota_ledger_file {
    struct quota_header header;
    struct quota_policy policy;
    struct quota_sampled sample;
    struct quota_counters counters;
    struct quota_cell cells[QUOTA_RATE_MAX];
    char pad[4096 - sizeof(struct quota_header) - sizeof(struct quota_policy) -
             sizeof(struct quota_sampled) - sizeof(struct quota_counters) -
             sizeof(struct quota_cell) * QUOTA_RATE_MAX];
    struct quota_volume volumes[QUOTA_LEDGER_VOLUMES];
#ifdef QUOTA_LEDGER_TEST_TAIL
    quota_u64 tail[512];        /* of the newer program only */
#endif
};

#define QUOTA_ASSERT_AT(type, field, offset) \
    _Static_assert(offsetof(struct type, field) == (offset), \
                   "quota-ledger(5): " #type "." #field)
#define QUOTA_ASSERT_SIZE(type, bytes) \
    _Static_assert(sizeof(struct type) == (bytes), "quota-ledger(5): " #type)

/* Other programs find each part here, and no two parts share a cache line. */
QUOTA_ASSERT_AT(quota_header, version_major, 8);
QUOTA_ASSERT_AT(quota_header, features, 200);
QUOTA_ASSERT_AT(quota_header, checksum, 504);
QUOTA_ASSERT_SIZE(quota_header, 512);
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
_Static_assert(sizeof(struct quota_ledger_file) >= QUOTA_LEDGER_LEAST_BYTES,
               "no program finds an older one's ledger too short");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics are lock-free");

/* Loads acquire and stores release, so readers see stores in their order.
 * Shared words are accessed in no other way, except where two processes each
 * write one word and read the other's (epoch.c). */
#define quota_load(word) atomic_load_explicit((word), memory_order_acquire)
#define quota_store(word, value) \
    atomic_store_explicit((word), (value), memory_order_release)

static inline uint64_t quota_add(quota_u64 *word, uint64_t value)
{
    return atomic_fetch_add_explicit(word, value, memory_order_acq_rel);
}

/* On failure *expected is the current value. */
static inline bool quota_swap_if(quota_u64 *word, uint64_t *expected,
                                 uint64_t desired)
{
    return atomic_compare_exchange_strong_explicit(
        word, expected, desired, memory_order_acq_rel, memory_order_acquire);
}

/*
 * How often a compare-and-swap is tried.  Among honest programs, a failed swap means
 * that another one succeeded.  A word that changes at every try is forged and must not
 * block libvirtd or quota-lvmd.
 */
#define QUOTA_TRIES 10000
#define QUOTA_RAISE_TRIES 10    /* and then it is raised at the next occasion */

/* quota_raise: make *word at least @value; false: it never stopped changing. */
static inline bool quota_raise(quota_u64 *word, uint64_t value)
{
    uint64_t now = quota_load(word);

    for (int i = 0; i < QUOTA_RAISE_TRIES && now < value; i++) {
        if (quota_swap_if(word, &now, value)) {
            return true;
        }
    }
    return now >= value;
}

#pragma GCC visibility pop

#endif
