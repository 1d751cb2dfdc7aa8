/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench-ledger: the cost of the accounting library, and the accuracy of its
 * rates.
 *
 *   bench-ledger [cost|accuracy|fairness]...     (default: all)
 *
 * Prints costs beside those of a plain atomic add, of a compare-and-swap, of
 * reading the clock, and of the same bookkeeping behind a robust process-shared
 * mutex: medians of several measurements in the same run.  Only ratios mean
 * anything.
 *
 * Status 1: a ratio or an accuracy misses its target, which is printed beside
 * it.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../common/scratch.h"

#define CHUNK UINT64_C(65536)
#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)
#define ROUNDS 7
#define PROCESSES_MAX 64

static bool is_missed;

/* What processes share with the one that measures. */
static struct shared {
    quota_u64 word;
    char pad0[120];
    quota_u64 started;          /* processes that are ready */
    quota_u64 is_over;
    char pad1[112];
    struct {
        quota_u64 done;         /* operations, bytes or I/Os */
        char pad[120];
    } of[PROCESSES_MAX];
    struct {
        pthread_mutex_t mutex;
        uint64_t reserved, settled, in_flight;
        uint64_t limit, thick, grant, sampled, settled_at_sample;
        uint64_t volume_reserved, volume_settled;
    } locked;
} *shared;

/* ---- what is measured ---------------------------------------------------- */

struct subject {
    const char *name;
    void (*run)(struct quota_writer *writer, uint64_t count);
};

static void run_add(struct quota_writer *writer, uint64_t count)
{
    (void)writer;
    while (count--) {
        atomic_fetch_add(&shared->word, 1);
    }
}

static void run_swap(struct quota_writer *writer, uint64_t count)
{
    uint64_t now = atomic_load(&shared->word);

    (void)writer;
    while (count) {
        if (atomic_compare_exchange_strong(&shared->word, &now, now + 1)) {
            now++;
            count--;
        }
    }
}

static void run_load(struct quota_writer *writer, uint64_t count)
{
    (void)writer;
    while (count--) {
        if (atomic_load_explicit(&shared->is_over, memory_order_relaxed) == 2) {
            abort();
        }
    }
}

static void run_clock(struct quota_writer *writer, uint64_t count)
{
    (void)writer;
    while (count--) {
        quota_clock_ns();
    }
}

static void run_reserve(struct quota_writer *writer, uint64_t count)
{
    while (count--) {
        if (quota_bytes_reserve(writer, CHUNK) < 0) {
            abort();
        }
        quota_bytes_settle(writer, CHUNK);
    }
}

static void lock(void)
{
    int ret = pthread_mutex_lock(&shared->locked.mutex);

    if (ret == EOWNERDEAD) {
        ret = pthread_mutex_consistent(&shared->locked.mutex);
    }
    if (ret) {
        abort();
    }
}

static void run_mutex(struct quota_writer *writer, uint64_t count)
{
    (void)writer;
    while (count--) {
        uint64_t room;

        lock();
        room = shared->locked.limit - shared->locked.thick;
        if (room > shared->locked.grant) {
            room = shared->locked.grant;
        }
        room -= shared->locked.sampled + shared->locked.reserved -
                shared->locked.settled_at_sample;
        if (CHUNK > room) {
            abort();
        }
        shared->locked.reserved += CHUNK;
        shared->locked.volume_reserved += CHUNK;
        shared->locked.in_flight += CHUNK;
        pthread_mutex_unlock(&shared->locked.mutex);

        lock();
        shared->locked.in_flight -= CHUNK;
        shared->locked.settled += CHUNK;
        shared->locked.volume_settled += CHUNK;
        pthread_mutex_unlock(&shared->locked.mutex);
    }
}

static void run_charged(struct quota_writer *writer, uint64_t count)
{
    unsigned lane;

    while (count--) {
        if (quota_epoch_enter(writer, &lane) % 2) {
            abort();
        }
        quota_epoch_leave(writer, lane);
    }
}

static void run_rate(struct quota_writer *writer, uint64_t count)
{
    while (count--) {
        struct quota_request request = { 0 };

        if (quota_rate_is_armed(writer) &&
            !quota_credit_take(writer, true, 4096) &&
            quota_queue_enter(writer, &request, true, 4096, quota_clock_ns())) {
            abort();
        }
    }
}

static void run_unarmed(struct quota_writer *writer, uint64_t count)
{
    while (count--) {
        if (quota_rate_is_armed(writer)) {
            abort();
        }
    }
}

static const struct subject add = { "atomic add", run_add };
static const struct subject swap = { "compare-and-swap", run_swap };
static const struct subject load = { "load and branch", run_load };
static const struct subject clock_read = { "clock", run_clock };
static const struct subject reserve = { "reserve and settle", run_reserve };
static const struct subject mutex = { "the same behind a robust mutex",
                                      run_mutex };
static const struct subject charged = {
    "write to a charged chunk", run_charged
};
static const struct subject rate = { "rate decision, 4 caps", run_rate };
static const struct subject unarmed = { "nothing armed", run_unarmed };

/* ---- processes ----------------------------------------------------------- */

static pid_t start(unsigned i, const char *volume,
                   void (*body)(struct quota_writer *, quota_u64 *done))
{
    pid_t pid = fork();

    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        struct quota_ledger *ledger = scratch_open("bench");
        struct quota_writer *writer = scratch_writer(ledger, volume);

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        atomic_fetch_add(&shared->started, 1);
        body(writer, &shared->of[i].done);
        quota_writer_detach(writer);
        quota_ledger_close(ledger);
        _exit(0);
    }
    return pid;
}

static void begin(void)
{
    atomic_store(&shared->is_over, 0);
    atomic_store(&shared->started, 0);
    for (int i = 0; i < PROCESSES_MAX; i++) {
        atomic_store(&shared->of[i].done, 0);
    }
}

static void end(const pid_t *pids, unsigned count)
{
    atomic_store(&shared->is_over, 1);
    for (unsigned i = 0; i < count; i++) {
        int status;

        g_assert_cmpint(waitpid(pids[i], &status, 0), ==, pids[i]);
        g_assert_cmpint(status, ==, 0);
    }
}

/* ---- costs --------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static double median(double *figures)
{
    qsort(figures, ROUNDS, sizeof(*figures), compare);
    return figures[ROUNDS / 2];
}

/* Nanoseconds an operation. */
static double measure_once(const struct subject *subject,
                           struct quota_writer *writer)
{
    const uint64_t count = 400000;
    uint64_t begin_ns = quota_clock_ns();

    subject->run(writer, count);
    return (double)(quota_clock_ns() - begin_ns) / count;
}

static void print_cost(const char *name, double ns, const char *than,
                       double than_ns, double aim, bool is_at_most)
{
    double ratio = ns / than_ns;
    bool is_met = is_at_most ? ratio <= aim : ratio >= aim;

    printf("  %-34s %8.1f  %6.2f x %-30s %s %.2f%s\n", name, ns, ratio, than,
           is_at_most ? "at most" : "at least", aim, is_met ? "" : "  MISSED");
    if (!is_met) {
        is_missed = true;
    }
}

static void arm(struct quota_ledger *ledger, uint64_t bytes, uint64_t iops)
{
    struct quota_state state;
    struct quota_limits volume = { 0 };

    quota_state_read(ledger, &state);
    state.limits.rates[QUOTA_RATE_TOTAL_BYTES].per_sec = bytes;
    state.limits.rates[QUOTA_RATE_TOTAL_IOPS].per_sec = iops;
    quota_state_publish(ledger, &state);
    volume.rates[QUOTA_RATE_TOTAL_BYTES].per_sec = bytes;
    volume.rates[QUOTA_RATE_TOTAL_IOPS].per_sec = iops;
    quota_volume_publish(ledger, "disk0", &volume, 0);
}

static const struct subject *const alone[] = {
    &load, &unarmed, &add, &swap, &clock_read, &charged, &reserve, &mutex,
    &rate,
};

static void bench_alone(struct quota_ledger *ledger)
{
    static double ns[G_N_ELEMENTS(alone)][ROUNDS];
    double of[G_N_ELEMENTS(alone)];
    struct quota_ledger *own = scratch_open("bench");
    struct quota_writer *writer = scratch_writer(own, "disk0");
    enum { LOAD, UNARMED, ADD, SWAP, CLOCK, CHARGED, RESERVE, MUTEX, RATE };

    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < G_N_ELEMENTS(alone); i++) {
            if (alone[i] == &rate) {
                /* more than this machine can ask for, less than no limit */
                arm(ledger, UINT64_C(1) << 42, UINT64_C(1) << 32);
            }
            ns[i][round] = measure_once(alone[i], writer);
            arm(ledger, 0, 0);
            scratch_sample(ledger, 0, QUOTA_REASON_NONE);
            shared->locked.settled_at_sample = shared->locked.settled;
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(alone); i++) {
        of[i] = median(ns[i]);
    }
    printf("One process                          ns each   ratio\n");
    printf("  %-34s %8.1f\n", add.name, of[ADD]);
    printf("  %-34s %8.1f\n", swap.name, of[SWAP]);
    printf("  %-34s %8.1f\n", clock_read.name, of[CLOCK]);
    print_cost(unarmed.name, of[UNARMED], load.name, of[LOAD], 2.5, true);
    print_cost(charged.name, of[CHARGED], "two atomic adds", 2 * of[ADD], 3,
               true);
    print_cost(reserve.name, of[RESERVE], add.name, of[ADD], 8, true);
    print_cost(mutex.name, of[MUTEX], reserve.name, of[RESERVE], 2, false);
    print_cost(rate.name, of[RATE], "clock + 4 compare-and-swaps",
               of[CLOCK] + 4 * of[SWAP], 1, true);
    quota_writer_detach(writer);
    quota_ledger_close(own);
}

static const struct subject *contended;

static void contend(struct quota_writer *writer, quota_u64 *done)
{
    while (!atomic_load(&shared->is_over)) {
        contended->run(writer, 1000);
        atomic_fetch_add(done, 1000);
    }
}

/* Nanoseconds an operation, of all processes together. */
static double measure_contended(struct quota_ledger *ledger,
                                const struct subject *subject, unsigned count)
{
    pid_t pids[PROCESSES_MAX];
    uint64_t begin_ns, begin_done = 0, done = 0, passed_ns;

    contended = subject;
    begin();
    for (unsigned i = 0; i < count; i++) {
        char volume[16];

        g_snprintf(volume, sizeof(volume), "disk%u", i);
        pids[i] = start(i, volume, contend);
    }
    while (atomic_load(&shared->started) < count) {
        g_usleep(1000);
    }
    g_usleep(20000);
    begin_ns = quota_clock_ns();
    for (unsigned i = 0; i < count; i++) {
        begin_done += atomic_load(&shared->of[i].done);
    }
    while ((passed_ns = quota_clock_ns() - begin_ns) < 200 * MS) {
        g_usleep(10000);
        scratch_sample(ledger, 0, QUOTA_REASON_NONE);
        lock();
        shared->locked.settled_at_sample = shared->locked.settled;
        pthread_mutex_unlock(&shared->locked.mutex);
    }
    for (unsigned i = 0; i < count; i++) {
        done += atomic_load(&shared->of[i].done);
    }
    end(pids, count);
    quota_writer_audit(ledger);
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    return (double)passed_ns / (done - begin_done);
}

static void bench_two(struct quota_ledger *ledger)
{
    double ns[3][ROUNDS];

    for (int round = 0; round < ROUNDS; round++) {
        ns[0][round] = measure_contended(ledger, &add, 2);
        ns[1][round] = measure_contended(ledger, &reserve, 2);
        ns[2][round] = measure_contended(ledger, &mutex, 2);
    }
    printf("\nTwo processes, one tenant            ns each   ratio\n");
    printf("  %-34s %8.1f\n", add.name, median(ns[0]));
    printf("  %-34s %8.1f\n", reserve.name, median(ns[1]));
    print_cost(mutex.name, median(ns[2]), reserve.name, median(ns[1]), 3,
               false);
}

static void bench_cost(struct quota_ledger *ledger)
{
    bench_alone(ledger);
    bench_two(ledger);
}

/* ---- accuracy ------------------------------------------------------------ */

static void nap(uint64_t ns)
{
    const struct timespec time = { .tv_sec = ns / SECOND,
                                   .tv_nsec = ns % SECOND };

    nanosleep(&time, NULL);
}

struct load {
    uint64_t bytes;
    unsigned depth;
};

static struct load load_of[2];
static unsigned load_count;
static bool counts_bytes;

/* As many requests at a time as the load has; each is replaced when it may
 * start, as on a device that takes no time. */
static void keep_going(struct quota_writer *writer, struct load what,
                       quota_u64 *done)
{
    struct quota_request *requests = g_new0(struct quota_request, what.depth);
    bool *is_waiting = g_new0(bool, what.depth);

    while (!atomic_load(&shared->is_over)) {
        uint64_t shortest_ns = 10 * MS;

        for (unsigned i = 0; i < what.depth; i++) {
            uint64_t wait_ns = 0, now_ns = quota_clock_ns();

            if (is_waiting[i]) {
                wait_ns = quota_queue_poll(writer, &requests[i], now_ns);
            } else if (!quota_credit_take(writer, true, what.bytes)) {
                wait_ns = quota_queue_enter(writer, &requests[i], true,
                                            what.bytes, now_ns);
            }
            is_waiting[i] = wait_ns > 0;
            if (!wait_ns) {
                atomic_fetch_add(done, counts_bytes ? what.bytes : 1);
                shortest_ns = 0;
            } else if (wait_ns < shortest_ns) {
                shortest_ns = wait_ns;
            }
        }
        if (shortest_ns) {
            nap(shortest_ns);
        }
    }
    for (unsigned i = 0; i < what.depth; i++) {
        quota_queue_leave(writer, &requests[i], quota_clock_ns());
    }
    g_free(requests);
    g_free(is_waiting);
}

static void first_load(struct quota_writer *writer, quota_u64 *done)
{
    keep_going(writer, load_of[0], done);
}

static void second_load(struct quota_writer *writer, quota_u64 *done)
{
    keep_going(writer, load_of[1], done);
}

static void arm_one(struct quota_ledger *ledger, uint64_t per_sec)
{
    struct quota_state state;

    quota_state_read(ledger, &state);
    memset(state.limits.rates, 0, sizeof(state.limits.rates));
    state.limits.rates[counts_bytes ? QUOTA_RATE_TOTAL_BYTES
                                    : QUOTA_RATE_TOTAL_IOPS].per_sec = per_sec;
    quota_state_publish(ledger, &state);
}

/* Five seconds of @count processes, after one to get going; *jain: how even
 * their shares are.  Returns the sum over the cap. */
static double measure_shares(struct quota_ledger *ledger, unsigned count,
                             uint64_t per_sec, double *jain)
{
    uint64_t before[PROCESSES_MAX];
    pid_t pids[PROCESSES_MAX];
    uint64_t begin_ns, passed_ns;
    double sum = 0, squares = 0;

    arm_one(ledger, per_sec);
    begin();
    for (unsigned i = 0; i < count; i++) {
        char volume[16];

        g_snprintf(volume, sizeof(volume), "disk%u", i);
        pids[i] = start(i, volume, load_count == 2 && i ? second_load
                                                        : first_load);
    }
    while (atomic_load(&shared->started) < count) {
        g_usleep(1000);
    }
    nap(SECOND);
    begin_ns = quota_clock_ns();
    for (unsigned i = 0; i < count; i++) {
        before[i] = atomic_load(&shared->of[i].done);
    }
    nap(5 * SECOND);
    passed_ns = quota_clock_ns() - begin_ns;
    for (unsigned i = 0; i < count; i++) {
        double x = atomic_load(&shared->of[i].done) - before[i];

        sum += x;
        squares += x * x;
    }
    end(pids, count);
    quota_writer_audit(ledger);
    arm_one(ledger, 0);
    *jain = sum * sum / (count * squares);
    return sum / (per_sec * (passed_ns / 1e9));
}

static void print_share(const char *cap, unsigned count, double sum,
                        double jain, double jain_aim)
{
    bool is_met = sum >= 0.99 && sum <= 1.01 && jain >= jain_aim;

    printf("  %-14s %9u  %8.4f  %6.3f%s\n", cap, count, sum, jain,
           is_met ? "" : "  MISSED");
    fflush(stdout);
    if (!is_met) {
        is_missed = true;
    }
}

static const struct cap {
    const char *name;
    bool is_bytes;
    uint64_t per_sec;
    uint64_t request_bytes;
} caps[] = {
    { "1 MB/s", true, 1000000, 512 },
    { "100 MB/s", true, 100000000, 4096 },
    { "4 GB/s", true, UINT64_C(4000000000), 65536 },
    { "100 I/O/s", false, 100, 4096 },
    { "10000 I/O/s", false, 10000, 4096 },
    { "1000000 I/O/s", false, 1000000, 4096 },
};

static void bench_accuracy(struct quota_ledger *ledger)
{
    static const unsigned counts[] = { 1, 2, 16, 64 };

    printf("\nUnder one cap, over five seconds: the sum within 1 %%\n"
           "  cap            processes   sum/cap    Jain\n");
    for (size_t i = 0; i < G_N_ELEMENTS(caps); i++) {
        counts_bytes = caps[i].is_bytes;
        load_of[0] = (struct load) { caps[i].request_bytes, 1 };
        load_count = 1;
        for (size_t n = 0; n < G_N_ELEMENTS(counts); n++) {
            double jain, sum = measure_shares(ledger, counts[n],
                                              caps[i].per_sec, &jain);

            print_share(caps[i].name, counts[n], sum, jain, 0);
        }
    }
}

static void bench_fairness(struct quota_ledger *ledger)
{
    static const struct cap shared_caps[] = {
        { "20 MB/s", true, 20000000, 0 },
        { "200 MB/s", true, 200000000, 0 },
        { "2 GB/s", true, UINT64_C(2000000000), 0 },
        { "100 I/O/s", false, 100, 0 },
        { "10000 I/O/s", false, 10000, 0 },
        { "100000 I/O/s", false, 100000, 0 },
    };

    printf("\nDepth 1 of 4 KiB beside depth 64 of 1 MiB: Jain at least 0.98, "
           "and the sum\n"
           "  cap            processes   sum/cap    Jain\n");
    for (size_t i = 0; i < G_N_ELEMENTS(shared_caps); i++) {
        double jain, sum;

        counts_bytes = shared_caps[i].is_bytes;
        load_of[0] = (struct load) { 4096, 1 };
        load_of[1] = (struct load) { MIB, 64 };
        load_count = 2;
        sum = measure_shares(ledger, 2, shared_caps[i].per_sec, &jain);
        print_share(shared_caps[i].name, 2, sum, jain, 0.98);
    }
}

static void make_mutex(void)
{
    pthread_mutexattr_t attr;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&shared->locked.mutex, &attr);
    shared->locked.limit = INT64_MAX;
    shared->locked.grant = INT64_MAX;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(struct quota_ledger *);
    } parts[] = {
        { "cost", bench_cost },
        { "accuracy", bench_accuracy },
        { "fairness", bench_fairness },
    };
    struct quota_ledger *ledger;

    for (int n = 1; n < argc; n++) {
        if (strcmp(argv[n], "cost") && strcmp(argv[n], "accuracy") &&
            strcmp(argv[n], "fairness")) {
            fprintf(stderr, "usage: bench-ledger [cost|accuracy|fairness]...\n");
            return 2;
        }
    }
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    g_assert_true(shared != MAP_FAILED);
    make_mutex();
    scratch_begin();
    ledger = scratch_ledger("bench");
    scratch_publish(ledger, INT64_MAX, 0, INT64_MAX);
    scratch_sample(ledger, 0, QUOTA_REASON_NONE);
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        bool is_wanted = argc == 1;

        for (int n = 1; n < argc; n++) {
            is_wanted |= strcmp(argv[n], parts[i].name) == 0;
        }
        if (is_wanted) {
            parts[i].run(ledger);
        }
    }
    quota_ledger_close(ledger);
    scratch_end();
    return is_missed;
}
