/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A process that is killed after any store, in any operation, must leave a
 * ledger that never under-counts, that others can use at once, and that one
 * audit corrects; a second audit changes nothing. */
#include <sys/prctl.h>
#include <sys/wait.h>

#include "scratch.h"
#include "stores.h"

#ifdef HAVE_STORES

#define CHUNK UINT64_C(65536)
#define LIMIT (100000 * CHUNK)   /* room for leases */
#define OTHERS (3 * CHUNK)      /* in flight for the other writer, always */

/* What an operation starts from, and may use. */
struct stage {
    struct quota_ledger *ledger;
    struct quota_writer *writer;        /* NULL before it attaches */
};

struct operation {
    const char *name;
    bool begins_attached;
    uint64_t reserved_bytes;    /* before it begins */
    uint64_t kernel_bytes;      /* what the kernel has then */
    void (*run)(struct stage *stage);
};

static void op_attach(struct stage *stage)
{
    quota_writer_attach(stage->ledger, "disk1", &stage->writer);
}

static void op_reserve(struct stage *stage)
{
    quota_bytes_reserve(stage->writer, 5 * CHUNK);
}

/* The volume has room, the tenant has not. */
static void op_refused(struct stage *stage)
{
    quota_bytes_reserve(stage->writer, LIMIT);
}

static void op_rings(struct stage *stage)
{
    struct quota_admission admission = { 0 };

    quota_admission_poll(stage->writer, LIMIT, 0, 1, &admission);
}

static void op_settle(struct stage *stage)
{
    quota_bytes_settle(stage->writer, 4 * CHUNK);
}

static void op_return(struct stage *stage)
{
    quota_bytes_return(stage->writer, 4 * CHUNK);
}

static void op_charged_write(struct stage *stage)
{
    unsigned lane;

    quota_epoch_enter(stage->writer, &lane);
    quota_epoch_leave(stage->writer, lane);
}

static void op_queue(struct stage *stage)
{
    struct quota_request first = { 0 }, second = { 0 };

    quota_queue_enter(stage->writer, &first, true, 1, 1000);
    quota_queue_enter(stage->writer, &second, true, MIB, 1000);
    quota_queue_leave(stage->writer, &second, 1000);
}

static void op_detach(struct stage *stage)
{
    quota_writer_detach(stage->writer);
    stage->writer = NULL;
}

/* All that the kernel has given out is of disk0. */
static void sample(struct quota_ledger *of, uint64_t kernel_bytes)
{
    struct quota_sample s;

    quota_sample_begin(of, &s);
    for (unsigned i = 0; i < s.volumes; i++) {
        struct quota_volume_usage volume;

        if (quota_volume_read(of, i, &volume) == 0) {
            s.volume[i].used_bytes = strcmp(volume.name, "disk0") == 0
                                     ? kernel_bytes : 0;
        }
    }
    quota_sample_publish(of, &s, kernel_bytes, quota_clock_ns(),
                         QUOTA_REASON_NONE);
}

static void op_snapshot(struct stage *stage)
{
    quota_epoch_begin(stage->ledger, "disk0");
    quota_epoch_wait(stage->ledger, "disk0", 0);
    quota_epoch_end(stage->ledger, "disk0");
}

static void op_sample(struct stage *stage)
{
    struct quota_sample sample;

    quota_writer_audit(stage->ledger);
    quota_sample_begin(stage->ledger, &sample);
    quota_doorbell_demand(stage->ledger);
    for (unsigned i = 0; i < sample.volumes; i++) {
        sample.volume[i].used_bytes = 0;
    }
    quota_sample_publish(stage->ledger, &sample, 0, quota_clock_ns(),
                         QUOTA_REASON_NONE);
}

/* Of what this process itself has written and settled. */
static void op_sample_written(struct stage *stage)
{
    quota_bytes_settle(stage->writer, 4 * CHUNK);
    sample(stage->ledger, 4 * CHUNK);
}

static void op_publish(struct stage *stage)
{
    struct quota_state state;

    quota_state_read(stage->ledger, &state);
    state.limits.step_bytes = 7 * CHUNK;
    state.limits.rates[QUOTA_RATE_TOTAL_IOPS].per_sec = 500;
    quota_state_publish(stage->ledger, &state);
    quota_volume_publish(stage->ledger, "disk0", &(struct quota_limits) {
        .limit_bytes = LIMIT, .rates[QUOTA_RATE_WRITE_IOPS].per_sec = 10 }, 50);
}

static const struct operation operations[] = {
    { "attach", false, 0, 0, op_attach },
    { "reserve", true, 0, 0, op_reserve },
    { "spend", true, 5 * CHUNK, 0, op_reserve },
    { "refused", true, 0, 0, op_refused },
    { "rings", true, 0, 0, op_rings },
    { "settle", true, 4 * CHUNK, 4 * CHUNK, op_settle },
    { "return", true, 4 * CHUNK, 0, op_return },
    { "charged-write", true, 4 * CHUNK, 2 * CHUNK, op_charged_write },
    { "queue", true, 0, 0, op_queue },
    { "detach", true, 0, 0, op_detach },
    { "snapshot", false, 0, 0, op_snapshot },
    { "sample", false, 0, 0, op_sample },
    { "sample-written", true, 4 * CHUNK, 4 * CHUNK, op_sample_written },
    { "publish", false, 0, 0, op_publish },
};

static struct quota_ledger *ledger;     /* the outside process's */
static struct quota_ledger *others_ledger;
static struct quota_writer *other;
static struct quota_writer other_begun;

static void check_used(uint64_t at_least, uint64_t at_most)
{
    struct quota_usage usage;

    quota_usage_read(ledger, &usage);
    g_assert_cmpint(usage.reason, !=, QUOTA_REASON_ACCOUNTING_LOST);
    g_assert_cmpuint(usage.used_bytes, >=, at_least);
    g_assert_cmpuint(usage.used_bytes, <=, at_most);
}

/* Before an audit, which forgets volumes without writers. */
static void check_used_by_volumes(uint64_t at_least)
{
    struct quota_volume_usage volume;
    uint64_t sum = 0;
    int ret;

    for (unsigned i = 0; (ret = quota_volume_read(ledger, i, &volume)) !=
         -ENOENT; i++) {
        g_assert_cmpint(ret, !=, -EUCLEAN);
        sum += volume.used_bytes;
    }
    g_assert_cmpuint(sum, >=, at_least);
}

/* What is used of a ledger, with three volumes.  To make a new file each time
 * would take ten times as long as the rest. */
#define USED_BYTES offsetof(struct quota_ledger_file, volumes[4])
static char ledger_begun[USED_BYTES];

/* As set_up left it: the file and the other writer's own memory. */
static void restore(void)
{
    memcpy(ledger->file, ledger_begun, USED_BYTES);
    *other = other_begun;
}

/* A ledger with another writer that has OTHERS in flight. */
static void set_up(uint64_t limit_bytes)
{
    const struct quota_state state = {
        .limits.limit_bytes = limit_bytes,
        .limits.rates[QUOTA_RATE_WRITE_BYTES] = { MIB, 2 * MIB, 1 },
        .grant_bytes = limit_bytes,
        .chunk_bytes = CHUNK,
    };

    quota_ledger_unlink("vg0", "acme");
    ledger = scratch_ledger("acme");
    quota_state_publish(ledger, &state);
    sample(ledger, 0);
    others_ledger = scratch_open("acme");
    other = scratch_writer(others_ledger, "disk2");
    g_assert_cmpint(quota_bytes_reserve(other, OTHERS), ==, 0);
    sample(ledger, 0);
    memcpy(ledger_begun, ledger->file, USED_BYTES);
    other_begun = *other;
}

static void tear_down(void)
{
    const char *rest = (char *)ledger->file + USED_BYTES;

    /* nothing was stored elsewhere: all zeroes */
    g_assert_cmpint(rest[0], ==, 0);
    g_assert_cmpmem(rest, sizeof(*ledger->file) - USED_BYTES - 1,
                    rest + 1, sizeof(*ledger->file) - USED_BYTES - 1);
    quota_writer_detach(other);
    quota_ledger_close(others_ledger);
    quota_ledger_close(ledger);
}

/*
 * Run an operation in a process of its own, to its end or to the store after
 * which it is killed; returns whether it was killed.
 */
static bool run(const struct operation *op, unsigned nth)
{
    int status;
    pid_t pid = fork();

    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        struct stage stage = { .ledger = scratch_open("acme") };

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (op->begins_attached) {
            stage.writer = scratch_writer(stage.ledger, "disk0");
            if (op->reserved_bytes &&
                quota_bytes_reserve(stage.writer, op->reserved_bytes) < 0) {
                _exit(102);
            }
        }
        stores_begin(stage.ledger, nth);
        op->run(&stage);
        stores_end();
        _exit(stores_seen ? 0 : 103);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    if (WIFSIGNALED(status)) {
        g_assert_cmpint(WTERMSIG(status), ==, SIGKILL);
        return true;
    }
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
    return false;
}

/* Others continue at once, before any audit. */
static void check_others_continue(void)
{
    g_assert_cmpint(quota_bytes_reserve(other, 2 * CHUNK), ==, 0);
    quota_bytes_return(other, CHUNK);
    quota_bytes_settle(other, CHUNK);
}

/* One audit and one sample make all numbers exact. */
static void check_audited(uint64_t kernel_bytes)
{
    struct quota_ledger *own = scratch_open("acme");
    struct quota_volume_usage volume;
    char before[USED_BYTES];

    g_assert_cmpint(quota_writer_audit(ledger), >=, 0);
    memcpy(before, ledger->file, USED_BYTES);
    g_assert_cmpint(quota_writer_audit(ledger), ==, 0);
    g_assert_cmpint(memcmp(before, ledger->file, USED_BYTES), ==, 0);

    sample(ledger, kernel_bytes);
    check_used(kernel_bytes + OTHERS, kernel_bytes + OTHERS);
    for (unsigned i = 0; i < quota_volumes_count(ledger); i++) {
        g_assert_cmpint(quota_volume_read(ledger, i, &volume), !=, -EUCLEAN);
        g_assert_cmpuint(volume.unsampled_bytes, ==,
                         strcmp(volume.name, "disk2") == 0 ? OTHERS : 0);
    }
    /* The next writers find all in order. */
    quota_writer_detach(scratch_writer(own, "disk0"));
    quota_writer_detach(scratch_writer(own, "disk1"));
    quota_ledger_close(own);
}

static void test_operation(gconstpointer opaque)
{
    const struct operation *op = opaque;
    bool is_killed = true;
    unsigned nth;

    set_up(LIMIT);
    for (nth = 1; is_killed; nth++) {
        for (int audit_first = 0; audit_first < 2; audit_first++) {
            restore();
            is_killed = run(op, nth);
            check_used(op->kernel_bytes + OTHERS, LIMIT);
            sample(ledger, op->kernel_bytes);
            check_used(op->kernel_bytes + OTHERS, LIMIT);
            if (op->begins_attached) {
                check_used_by_volumes(op->kernel_bytes + OTHERS);
            }
            if (audit_first) {
                check_audited(op->kernel_bytes);
            }
            check_others_continue();
            check_audited(op->kernel_bytes);
        }
    }
    tear_down();
    g_test_message("%s: killed after each of %u stores", op->name, nth - 2);
    g_assert_cmpuint(nth, >, 2);
}

/* The auditor is killed after each of its stores, too, whatever instant the
 * writer before it was. */
static void test_audit(void)
{
    const struct operation audit = { "audit", false, 0, 0, op_sample };
    unsigned pairs = 0;

    set_up(LIMIT);
    for (size_t i = 0; i < G_N_ELEMENTS(operations); i++) {
        const struct operation *op = &operations[i];
        bool is_killed = op->begins_attached;

        for (unsigned nth = 1; is_killed; nth++) {
            bool is_auditor_killed = true;

            for (unsigned n = 1; is_auditor_killed; n++) {
                restore();
                is_killed = run(op, nth);
                /* op_sample says that the kernel has nothing, so that is so */
                is_auditor_killed = run(&audit, n);
                check_used(OTHERS, LIMIT);
                check_audited(0);
                pairs++;
            }
        }
    }
    tear_down();
    g_test_message("%u pairs of stores", pairs);
}

/* After a publisher is killed, no write is admitted beyond what the old or the
 * new limits allow; and the next publish corrects the limits. */
static void check_limits(struct quota_state from, struct quota_state to)
{
    bool is_killed = true;

    set_up(100 * CHUNK);
    for (unsigned nth = 1; is_killed; nth++) {
        uint64_t before = MIN(from.grant_bytes, from.limits.limit_bytes -
                              from.thick_bytes) - OTHERS;
        uint64_t after = MIN(to.grant_bytes, to.limits.limit_bytes -
                             to.thick_bytes) - OTHERS;
        int status;
        pid_t pid;

        restore();
        quota_state_publish(ledger, &from);
        pid = fork();
        g_assert_cmpint(pid, >=, 0);
        if (pid == 0) {
            struct quota_ledger *own = scratch_open("acme");

            stores_begin(own, nth);
            quota_state_publish(own, &to);
            _exit(0);
        }
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        is_killed = WIFSIGNALED(status);
        g_assert_cmpint(quota_bytes_reserve(other, MAX(before, after) + 1), ==,
                        -ENOSPC);
        quota_state_publish(ledger, &to);
        g_assert_cmpint(quota_bytes_reserve(other, after + 1), ==, -ENOSPC);
        g_assert_cmpint(quota_bytes_reserve(other, after), ==, 0);
        quota_bytes_return(other, after);
    }
    tear_down();
}

static void test_limits(void)
{
    check_limits((struct quota_state) { .limits.limit_bytes = 100 * CHUNK,
                                        .grant_bytes = 100 * CHUNK },
                 (struct quota_state) { .limits.limit_bytes = 50 * CHUNK,
                                        .thick_bytes = 30 * CHUNK,
                                        .grant_bytes = 60 * CHUNK });
    /* Over the limit: the grant bounds nothing. */
    check_limits((struct quota_state) { .limits.limit_bytes = 100 * CHUNK,
                                        .thick_bytes = 50 * CHUNK,
                                        .grant_bytes = 1000 * CHUNK },
                 (struct quota_state) { .limits.limit_bytes = 1000 * CHUNK,
                                        .thick_bytes = 950 * CHUNK,
                                        .grant_bytes = 1000 * CHUNK });
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(operations); i++) {
        char *path = g_strconcat("/killed/", operations[i].name, NULL);

        g_test_add_data_func(path, &operations[i], test_operation);
        g_free(path);
    }
    g_test_add_func("/killed/audit", test_audit);
    g_test_add_func("/killed/limits", test_limits);
    return scratch_run();
}

#else

int main(void)
{
    puts("1..0 # SKIP single-stepping is done for x86-64 only");
    return 0;
}

#endif
