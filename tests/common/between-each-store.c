/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whatever another writer does between any two stores of an operation, no byte
 * is lost or counted for good, and no I/O passes uncounted; and no reader waits
 * for a register that never stops changing. */
#include <fcntl.h>

#include "lease.h"
#include "lock.h"
#include "scratch.h"
#include "stores.h"

/* ThreadSanitizer has a lock of its own when a store traps, and needs it for
 * what is done there. */
#if defined(HAVE_STORES) && !defined(__SANITIZE_THREAD__)

#define CHUNK UINT64_C(65536)
#define SECOND UINT64_C(1000000000)
#define HELD (10 * CHUNK)       /* by each writer, before it begins */
#define KERNEL (2 * HELD)       /* not less than what is settled */
#define NO_ROOM (100 * CHUNK)   /* for leases */
#define ROOM (100 * GIB)

static struct quota_ledger *ledger;
static struct quota_ledger *own[2];
static struct quota_writer *writer[2];
static uint64_t reserved[2];    /* what each has in flight */

/* An operation of writer @w; what it does to what the writer has in flight is
 * in reserved[]. */
struct operation {
    const char *name;
    void (*run)(int w);
};

static void op_reserve(int w)
{
    g_assert_cmpint(quota_bytes_reserve(writer[w], 3 * CHUNK), ==, 0);
    reserved[w] += 3 * CHUNK;
}

static void op_refused(int w)
{
    g_assert_cmpint(quota_bytes_reserve(writer[w], 101 * GIB), ==, -ENOSPC);
}

static void op_return(int w)
{
    quota_bytes_return(writer[w], 2 * CHUNK);
    reserved[w] -= 2 * CHUNK;
}

static void op_settle(int w)
{
    quota_bytes_settle(writer[w], CHUNK);
    reserved[w] -= CHUNK;
}

static void op_rings(int w)
{
    struct quota_admission admission = { 0 };

    g_assert_cmpint(quota_admission_poll(writer[w], 101 * GIB + w, 0, SECOND,
                                         &admission), ==, -EAGAIN);
}

/* Of writes that have settled, the kernel has got all. */
static void op_sample(int w)
{
    scratch_sample(own[w], KERNEL, QUOTA_REASON_NONE);
}

/* All the room that there is but for what one write needs. */
static void op_most(int w)
{
    struct quota_usage usage;
    uint64_t bytes;

    quota_usage_read(own[w], &usage);
    bytes = usage.available_bytes - 3 * CHUNK;
    g_assert_cmpint(quota_bytes_reserve(writer[w], bytes), ==, 0);
    reserved[w] += bytes;
}

static void op_queue(int w)
{
    struct quota_request request = { 0 };

    quota_queue_enter(writer[w], &request, true, MIB, SECOND);
    quota_queue_leave(writer[w], &request, SECOND);
}

static const struct operation operations[] = {
    { "reserve", op_reserve },
    { "refused", op_refused },
    { "return", op_return },
    { "settle", op_settle },
    { "rings", op_rings },
    { "queue", op_queue },
    { "sample", op_sample },
    { "most", op_most },        /* only between */
};
#define OPERATIONS (G_N_ELEMENTS(operations) - 1)

static void set_up(uint64_t limit_bytes, bool is_leased)
{
    const struct quota_state state = {
        .limits.limit_bytes = limit_bytes,
        .limits.rates[QUOTA_RATE_WRITE_BYTES] = { 10 * MIB, 20 * MIB, 1 },
        .limits.rates[QUOTA_RATE_TOTAL_IOPS] = { 10, 0, 0 },
        .grant_bytes = limit_bytes,
    };

    quota_ledger_unlink("vg0", "acme");
    ledger = scratch_ledger("acme");
    quota_state_publish(ledger, &state);
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    for (int w = 0; w < 2; w++) {
        own[w] = scratch_open("acme");
        writer[w] = scratch_writer(own[w], "disk");
        g_assert_cmpint(quota_bytes_reserve(writer[w], HELD), ==, 0);
        reserved[w] = HELD;
    }
    if (!is_leased) {
        scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    }
}

/* What set_up made, to begin from again: the writers' own memory, and what is
 * used of the ledger. */
#define USED_BYTES (offsetof(struct quota_ledger_file, volumes) + \
                    sizeof(struct quota_volume))
static struct quota_writer writers_begun[2];
static char ledger_begun[USED_BYTES];

static void save(void)
{
    memcpy(ledger_begun, ledger->file, USED_BYTES);
    for (int w = 0; w < 2; w++) {
        writers_begun[w] = *writer[w];
    }
}

static void restore(void)
{
    memcpy(ledger->file, ledger_begun, USED_BYTES);
    for (int w = 0; w < 2; w++) {
        *writer[w] = writers_begun[w];
        reserved[w] = HELD;
    }
}

static void tear_down(void)
{
    for (int w = 0; w < 2; w++) {
        quota_writer_detach(writer[w]);
        quota_ledger_close(own[w]);
    }
    quota_ledger_close(ledger);
}

static const struct operation *between;

static void run_between(void)
{
    between->run(1);
}

/* To the byte: what the two have in flight, for the tenant and the volume. */
static void check(void)
{
    struct quota_volume_usage volume;
    struct quota_usage usage;

    scratch_sample(ledger, KERNEL, QUOTA_REASON_NONE);
    quota_usage_read(ledger, &usage);
    g_assert_cmpint(usage.reason, ==, QUOTA_REASON_NONE);
    g_assert_cmpuint(usage.unsampled_bytes, ==, reserved[0] + reserved[1]);
    g_assert_cmpint(quota_volume_read(ledger, 0, &volume), ==, 0);
    for (int w = 0; w < 2; w++) {
        quota_bytes_settle(writer[w], reserved[w]);
    }
    scratch_sample(ledger, KERNEL, QUOTA_REASON_NONE);
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.used_bytes, ==, KERNEL);
}

/* Both costs were debited, in whatever order: the next one waits for both. */
static void check_debited(uint64_t count)
{
    struct quota_request request = { 0 };

    quota_queue_enter(writer[0], &request, true, 1, SECOND);
    g_assert_cmpuint(quota_queue_ahead_ns(writer[0], &request, SECOND), >=,
                     (count - 1) * SECOND / 10);
    quota_queue_leave(writer[0], &request, SECOND);
}

static void test_pair(const struct operation *op, uint64_t limit_bytes,
                      bool is_leased)
{
    bool is_between = true;

    set_up(limit_bytes, is_leased);
    save();
    for (unsigned nth = 1; is_between; nth++) {
        restore();
        stores_between = run_between;
        stores_begin(own[0], nth);
        op->run(0);
        stores_end();
        is_between = !stores_between;
        stores_between = NULL;
        if (!is_between) {
            run_between();
        }
        if (op->run == op_queue) {
            check_debited(between->run == op_queue ? 2 : 1);
        }
        check();
    }
    tear_down();
}

/* With too little room for a lease, with room for one, and with an existing
 * one. */
static void test_operation(gconstpointer opaque)
{
    for (size_t i = 0; i < G_N_ELEMENTS(operations); i++) {
        between = &operations[i];
        test_pair(opaque, NO_ROOM, false);
        test_pair(opaque, ROOM, false);
        test_pair(opaque, ROOM, true);
    }
}

/* The rates are changed while units that the peak cell admitted, and the
 * sustained one denied, are given back: no cell is left far ahead. */
static void change_rates(void)
{
    struct quota_state state;

    quota_state_read(own[1], &state);
    state.limits.rates[QUOTA_RATE_WRITE_BYTES].max_per_sec++;
    quota_state_publish(own[1], &state);
}

static void test_rates_changed(void)
{
    struct quota_cell *cell;
    bool is_between = true;

    set_up(NO_ROOM, false);
    cell = &ledger->file->cells[QUOTA_RATE_WRITE_BYTES];
    save();
    for (unsigned nth = 1; is_between; nth++) {
        struct quota_request request = { 0 };

        restore();
        atomic_store(&cell->peak_tat_ns, 0);
        atomic_store(&cell->sustained_tat_ns, 1000 * SECOND);
        stores_between = change_rates;
        stores_begin(own[0], nth);
        quota_queue_enter(writer[0], &request, true, 1000, SECOND);
        stores_end();
        is_between = !stores_between;
        stores_between = NULL;
        if (!is_between) {
            change_rates();
        }
        g_assert_cmpuint(quota_queue_ahead_ns(writer[0], &request, SECOND), <=,
                         SECOND);
        quota_queue_leave(writer[0], &request, SECOND);
    }
    g_assert_cmpuint(stores_seen, >=, 2);
    tear_down();
}

static void spoil_cell(void)
{
    atomic_store(&ledger->file->cells[QUOTA_RATE_WRITE_BYTES].peak_tat_ns, 1);
}

/* Nor if the cell is corrupted in between: no request waits for centuries. */
static void test_cell_spoilt(void)
{
    struct quota_cell *cell;
    bool is_between = true;

    set_up(NO_ROOM, false);
    cell = &ledger->file->cells[QUOTA_RATE_WRITE_BYTES];
    atomic_store(&cell->sustained_tat_ns, 100 * SECOND);
    atomic_store(&cell->peak_tat_ns, SECOND);
    save();
    for (unsigned nth = 1; is_between; nth++) {
        struct quota_request request = { 0 };
        uint64_t wait_ns, now_ns = SECOND;

        restore();
        stores_between = spoil_cell;
        stores_begin(own[0], nth);
        wait_ns = quota_queue_enter(writer[0], &request, true, 1000, now_ns);
        stores_end();
        is_between = !stores_between;
        stores_between = NULL;
        change_rates();
        for (int i = 0; i < 100 && wait_ns; i++) {
            now_ns += wait_ns;
            wait_ns = quota_queue_poll(writer[0], &request, now_ns);
        }
        g_assert_cmpuint(wait_ns, ==, 0);
    }
    restore();
    tear_down();
}

/* Nor by one that is made at the old rate, with its long burst, when the new
 * one is there already. */
static void publish_rate(uint64_t per_sec, uint64_t max_per_sec,
                         uint64_t max_length_sec)
{
    struct quota_state state;

    quota_state_read(own[1], &state);
    state.limits.rates[QUOTA_RATE_WRITE_BYTES] = (struct quota_rate) {
        per_sec, max_per_sec, max_length_sec };
    quota_state_publish(own[1], &state);
}

static void raise_rate(void)
{
    publish_rate(100 * MIB, 0, 0);
}

static void test_rate_raised(void)
{
    bool is_between = true;

    set_up(NO_ROOM, false);
    save();
    for (unsigned nth = 1; is_between; nth++) {
        struct quota_request request = { 0 };

        restore();
        publish_rate(MIB, 10 * MIB, 60);
        stores_between = raise_rate;
        stores_begin(own[0], nth);
        quota_queue_enter(writer[0], &request, true, MIB, SECOND);
        quota_queue_leave(writer[0], &request, SECOND);
        stores_end();
        is_between = !stores_between;
        stores_between = NULL;
        if (!is_between) {
            raise_rate();
        }
        g_assert_cmpuint(quota_queue_ahead_ns(writer[0], &request, SECOND), <=,
                         SECOND);
    }
    tear_down();
}

/* The register changes between any two loads: the reader gives up and says
 * so. */
static void test_never_still(void)
{
    struct quota_register_value value;

    set_up(NO_ROOM, false);
    /* A writer whose entry is on another page, which stays accessible. */
    atomic_store(&own[0]->file->counters.reserved.last,
                 (uint64_t)(QUOTA_VOLUME_WRITERS + 1) << 48 | 2);
    stores_spoil = (uint64_t *)&own[0]->file->counters.reserved.last;
    stores_spoil_each = 1;
    stores_begin(own[0], 0);
    g_assert_cmpint(quota_register_read(own[0], 0, QUOTA_OF_TENANT, &value), ==,
                    -EUCLEAN);
    stores_spoil = NULL;
    stores_end();
    tear_down();
}

static void spoil_begin(quota_u64 *word, unsigned each, uint64_t bits)
{
    save();
    stores_spoil = (uint64_t *)word;
    stores_spoil_each = each;
    stores_spoil_bits = bits;
    stores_begin(own[0], 0);
}

static void spoil_end(void)
{
    stores_spoil = NULL;
    stores_spoil_bits = 1;
    stores_end();
    restore();
}

/* A word is another each time that it would be swapped: nobody tries without end. */
static void test_never_swapped(void)
{
    const uint64_t bytes = QUOTA_LEASE_BYTES_MAX / 16;  /* too much for a lease */
    struct quota_writer_words *words;
    struct quota_register_value value;
    struct quota_register *reg;
    uint64_t sum, held;
    int ret;

    alarm(120);
    set_up(NO_ROOM, false);
    words = writer[0]->words;
    reg = &own[0]->file->counters.reserved;

    /* The register is read twice before each swap. */
    spoil_begin(&reg->last, 3, 1u << 20);
    ret = quota_bytes_reserve(writer[0], bytes);
    spoil_end();
    g_assert_cmpint(ret, ==, -EUCLEAN);

    spoil_begin(&reg->last, 3, 1u << 20);
    quota_bytes_return(writer[0], CHUNK);
    held = writer[0]->adder.own_bytes[QUOTA_OF_TENANT];
    spoil_end();
    g_assert_cmpuint(held, ==, HELD);

    /* And what its last writer has done, each time that it would be raised. */
    g_assert_cmpint(quota_register_read(own[0], 0, QUOTA_OF_TENANT, &value), ==, 0);
    atomic_store(&reg->last, UINT64_C(2) << 48 | 1u << 20);
    atomic_store(&writer[1]->words->entries[QUOTA_OF_TENANT].value[0],
                 value.bytes);
    spoil_begin(&quota_writer_at(own[0], 1)->done[QUOTA_OF_TENANT], 1, 1);
    ret = quota_bytes_reserve(writer[0], bytes);
    spoil_end();
    g_assert_cmpint(ret, ==, -EUCLEAN);

    /* A lease: its owner spends it, the sampler takes it back. */
    atomic_store(&words->lease, 1000);
    spoil_begin(&words->lease, 1, 1);
    ret = quota_lease_spend(words, CHUNK);
    spoil_end();
    g_assert_false(ret);
    spoil_begin(&words->lease, 1, 1);
    sum = quota_lease_recall(words);
    spoil_end();
    g_assert_cmpuint(sum, ==, 0);
    tear_down();
    alarm(0);
}

/* Each time that the auditor would add, another writer is first: the auditor
 * gives up, and tries again another time. */
static void test_audit_overtaken(void)
{
    struct quota_writer_words *dead;
    struct quota_register *reg;

    set_up(NO_ROOM, false);
    dead = writer[0]->words;
    reg = &writer[0]->volume->reserved;
    /* Its volume's part is not its tenant's. */
    atomic_store(&dead->done[QUOTA_OF_TENANT], 10);
    atomic_store(&dead->entries[QUOTA_OF_TENANT].own[0], HELD + CHUNK);
    atomic_store(&dead->owner, 1);
    quota_ledger_lock(own[0], QUOTA_LOCK_BASE, F_OFD_SETLK, F_UNLCK);
    /* Read once to begin with, and then twice before each swap. */
    stores_spoil = (uint64_t *)&own[0]->file->volumes[0].reserved.last;
    stores_spoil_each = 3;
    stores_begin(own[0], 0);
    stores_spoil_seen = 2;
    g_assert_cmpint(quota_writer_audit(own[0]), ==, 0);
    stores_spoil = NULL;
    stores_end();
    g_assert_cmpuint(atomic_load(&dead->owner), ==, 1);
    g_assert_cmpuint(atomic_load(&reg->last) >> 48, ==, 2);
    g_assert_cmpint(quota_writer_audit(ledger), ==, 1);
    tear_down();
}

/* A slot is given to another volume while its name is read: it is neither's,
 * this time. */
static void test_slot_given_away(void)
{
    int found;

    set_up(NO_ROOM, false);
    g_assert_cmpint(quota_volume_find(own[0], "disk"), ==, 0);
    /* `use` is read before the name, and again after it. */
    stores_spoil = (uint64_t *)&own[0]->file->volumes[0].use;
    stores_spoil_each = 3;
    stores_begin(own[0], 0);
    found = quota_volume_find(own[0], "disk");
    stores_spoil = NULL;
    stores_end();
    g_assert_cmpint(found, ==, -ENOENT);
    g_assert_cmpuint(quota_load(&own[0]->file->volumes[0].use) % 2, ==, 0);
    tear_down();
}

/* A writer on its own pages, and how often its lane's credit was taken. */
#define WRITER_BYTES ((sizeof(struct quota_writer) + 4095) & ~(size_t)4095)
static struct quota_writer *paged;
static unsigned taken;

static void take_credit(void)
{
    taken += quota_credit_take(paged, true, 1);
}

/* Two threads take from one lane's credit, the second before any store of the
 * first: neither gets what the other has taken. */
static void test_lane_credit(void)
{
    const struct quota_state state = {
        .limits.rates[QUOTA_RATE_TOTAL_IOPS].per_sec = 1000000,
    };
    struct quota_request request = { 0 };
    struct quota_writer begun;
    bool is_between = true;
    unsigned whole = 0;

    set_up(NO_ROOM, false);
    quota_state_publish(ledger, &state);
    paged = mmap(NULL, WRITER_BYTES, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_assert_true(paged != MAP_FAILED);
    *paged = *writer[0];
    paged->end = &paged->first;
    g_assert_cmpuint(quota_queue_enter(paged, &request, true, 1, SECOND), ==,
                     0);
    take_credit();              /* which fills it */
    g_assert_cmpuint(taken, ==, 1);
    begun = *paged;
    for (unsigned nth = 1; is_between; nth++) {
        *paged = begun;
        taken = 0;
        stores_between = take_credit;
        stores_begin_at(paged, WRITER_BYTES, nth);
        take_credit();
        stores_end();
        is_between = !stores_between;
        stores_between = NULL;
        if (!is_between) {
            take_credit();
        }
        g_assert_cmpuint(taken, ==, 2);
        while (quota_credit_take(paged, true, 1)) {
            taken++;
        }
        whole = nth == 1 ? taken : whole;
        g_assert_cmpuint(taken, ==, whole);
    }
    g_assert_cmpuint(stores_seen, >=, 1);
    munmap(paged, WRITER_BYTES);
    tear_down();
}

static void spoil_sample(void)
{
    atomic_store(&ledger->file->sample.settled_at_sample, UINT64_MAX);
}

/* A ledger that is corrupted while a write is refused: refused. */
static void test_spoilt_meanwhile(void)
{
    bool is_between = true;

    set_up(NO_ROOM, false);
    save();
    for (unsigned nth = 1; is_between; nth++) {
        struct quota_admission admission = { 0 };
        int ret;

        restore();
        g_assert_cmpint(quota_admission_poll(writer[0], 200 * CHUNK, 0, SECOND,
                                             &admission), ==, -EAGAIN);
        scratch_sample(ledger, 0, QUOTA_REASON_TENANT_LIMIT);
        stores_between = spoil_sample;
        stores_begin(own[0], nth);
        ret = quota_admission_poll(writer[0], 200 * CHUNK, 1, SECOND,
                                   &admission);
        stores_end();
        is_between = !stores_between;
        stores_between = NULL;
        g_assert_true(ret == -EUCLEAN || ret == -ENOSPC ||
                      (ret == -EAGAIN && !is_between));
    }
    restore();
    tear_down();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < OPERATIONS; i++) {
        char *path = g_strconcat("/between/", operations[i].name, NULL);

        g_test_add_data_func(path, &operations[i], test_operation);
        g_free(path);
    }
    g_test_add_func("/between/rates-changed", test_rates_changed);
    g_test_add_func("/between/rate-raised", test_rate_raised);
    g_test_add_func("/between/never-still", test_never_still);
    g_test_add_func("/between/never-swapped", test_never_swapped);
    g_test_add_func("/between/audit-overtaken", test_audit_overtaken);
    g_test_add_func("/between/slot-given-away", test_slot_given_away);
    g_test_add_func("/between/spoilt-meanwhile", test_spoilt_meanwhile);
    g_test_add_func("/between/cell-spoilt", test_cell_spoilt);
    g_test_add_func("/between/lane-credit", test_lane_credit);
    return scratch_run();
}

#else

int main(void)
{
    puts("1..0 # SKIP single-stepping is done for x86-64 only, and not under "
         "ThreadSanitizer");
    return 0;
}

#endif
