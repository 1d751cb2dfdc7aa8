/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cost of a quota filter: requests of 4 KiB on a null-co node alone, and
 * below a raw, a throttle and a quota node, all in one run, in short
 * alternation, so that other load affects all of them; prints the medians.
 * Only ratios mean anything.
 *
 *   block-quota-cost LEDGER TENANT [ROUNDS]
 *
 * LEDGER has room, a volume "data", and caps of the tenant and of the volume
 * that the run does not reach; tests/bench/bench-block-quota creates one.
 *
 * Requests are made as devices make them, by blk_aio_preadv() and
 * blk_aio_pwritev() in an iothread, and each that completes makes the next.
 *
 * Status 1: a ratio misses its aim, which is printed beside it.
 */

#include "qemu/osdep.h"

#include "../unit/iothread.h"
#include "block/block.h"
#include "block/block-global-state.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/iov.h"
#include "qemu/main-loop.h"
#include "qemu/memalign.h"
#include "qemu/module.h"
#include "qemu/option.h"
#include "qemu/thread.h"
#include "qemu/units.h"
#include "qobject/qdict.h"
#include "qom/object.h"
#include "system/block-backend.h"

#define REQUEST_BYTES (4 * KiB)
#define REGION_BYTES (512 * MiB)
#define CHUNK_BYTES (64 * KiB)
#define ROUND_US 10000
#define THREADS_MAX 2
#define DEPTH_MAX 32
#define ROUNDS_MAX 1000

enum { PLAIN, RAW, THROTTLE, UNARMED, ARMED, SUBJECTS };

static const char *const subject_name[SUBJECTS] = {
    [PLAIN] = "no filter",
    [RAW] = "raw",
    [THROTTLE] = "throttle",
    [UNARMED] = "quota, nothing armed",
    [ARMED] = "quota, armed",
};

static const struct {
    bool is_write;
    int depth;
    int threads;
} cells[] = {
    { false, 1, 1 }, { false, 32, 1 }, { true, 1, 1 }, { true, 32, 1 },
    { false, 1, 2 }, { false, 32, 2 }, { true, 1, 2 }, { true, 32, 2 },
};

typedef struct Worker {
    IOThread *iothread;
    BlockBackend *blk;
    QEMUIOVector qiov;
    int64_t offset;             /* of the next request */
    int64_t start, end;         /* this worker's part of the region */
    bool is_write;
    int depth;
    int in_flight;
    uint64_t done;
    int64_t begin_ns, end_ns;
    QemuSemaphore finished;
} QEMU_ALIGNED(128) Worker;

static BlockBackend *subjects[SUBJECTS];
static Worker workers[THREADS_MAX];
static bool is_over;
static bool is_missed;

/* ---- requests ------------------------------------------------------------ */

static void next_request(Worker *worker);

static void request_cb(void *opaque, int ret)
{
    Worker *worker = opaque;

    if (ret < 0) {
        error_report("a request failed: %s", strerror(-ret));
        exit(2);
    }
    worker->done++;
    worker->in_flight--;
    if (!qatomic_read(&is_over)) {
        next_request(worker);
    } else if (!worker->in_flight) {
        worker->end_ns = get_clock();
        qemu_sem_post(&worker->finished);
    }
}

static void next_request(Worker *worker)
{
    int64_t offset = worker->offset;

    worker->offset += REQUEST_BYTES;
    if (worker->offset == worker->end) {
        worker->offset = worker->start;
    }
    worker->in_flight++;
    if (worker->is_write) {
        blk_aio_pwritev(worker->blk, offset, &worker->qiov, 0, request_cb,
                        worker);
    } else {
        blk_aio_preadv(worker->blk, offset, &worker->qiov, 0, request_cb,
                       worker);
    }
}

static void begin_bh(void *opaque)
{
    Worker *worker = opaque;

    worker->done = 0;
    worker->begin_ns = get_clock();
    for (int i = 0; i < worker->depth; i++) {
        next_request(worker);
    }
}

/* Nanoseconds between one completed request and the next, of all together. */
static double measure(BlockBackend *blk, bool is_write, int depth, int threads)
{
    double per_ns = 0;

    qatomic_set(&is_over, false);
    for (int i = 0; i < threads; i++) {
        Worker *worker = &workers[i];

        worker->blk = blk;
        worker->is_write = is_write;
        worker->depth = depth;
        worker->start = REGION_BYTES / threads * i;
        worker->end = REGION_BYTES / threads * (i + 1);
        worker->offset = worker->start;
        aio_bh_schedule_oneshot(iothread_get_aio_context(worker->iothread),
                                begin_bh, worker);
    }
    g_usleep(ROUND_US);
    qatomic_set(&is_over, true);
    for (int i = 0; i < threads; i++) {
        Worker *worker = &workers[i];

        qemu_sem_wait(&worker->finished);
        per_ns += (double)worker->done / (worker->end_ns - worker->begin_ns);
    }
    return 1 / per_ns;
}

/* ---- subjects ------------------------------------------------------------ */

static BlockBackend *open_subject(const char *driver, ...)
{
    QDict *options = qdict_new();
    const char *prefix = driver ? "file." : "";
    g_autofree char *key = NULL;
    const char *name;
    va_list args;

    va_start(args, driver);
    if (driver) {
        qdict_put_str(options, "driver", driver);
        while ((name = va_arg(args, const char *))) {
            qdict_put_str(options, name, va_arg(args, const char *));
        }
    }
    va_end(args);
    key = g_strconcat(prefix, "driver", NULL);
    qdict_put_str(options, key, "null-co");
    g_free(key);
    key = g_strconcat(prefix, "size", NULL);
    qdict_put_int(options, key, REGION_BYTES);
    return blk_new_open(NULL, NULL, options, BDRV_O_RDWR, &error_fatal);
}

static void open_subjects(const char *ledger, const char *tenant)
{
    object_new_with_props("throttle-group", object_get_objects_root(),
                          "group", &error_fatal,
                          "x-bps-total", "1000000000000000",
                          "x-iops-total", "1000000000000", NULL);

    subjects[PLAIN] = open_subject(NULL);
    subjects[RAW] = open_subject("raw", NULL);
    subjects[THROTTLE] = open_subject("throttle", "throttle-group", "group",
                                      NULL);
    subjects[UNARMED] = open_subject("quota", NULL);
    subjects[ARMED] = open_subject("quota", "ledger", ledger, "tenant", tenant,
                                   "volume", "data", NULL);
}

/* So that writes find their chunks charged. */
static void write_region(BlockBackend *blk)
{
    void *buf = blk_blockalign(blk, CHUNK_BYTES);

    memset(buf, 1, CHUNK_BYTES);
    for (int64_t offset = 0; offset < REGION_BYTES; offset += CHUNK_BYTES) {
        if (blk_pwrite(blk, offset, CHUNK_BYTES, buf, 0) < 0) {
            error_report("the ledger has no room for %" PRId64 " bytes",
                         (int64_t)REGION_BYTES);
            exit(2);
        }
    }
    qemu_vfree(buf);
}

/* ---- the table ----------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, count, sizeof(*values), compare);
    return values[count / 2];
}

static void print_ratio(double ratio, const char *than, double most)
{
    printf("   %5.2f x %-13s at most %.2f", ratio, than, most);
    if (ratio > most) {
        printf("  MISSED");
        is_missed = true;
    }
}

static void measure_cell(int cell, int rounds)
{
    bool is_write = cells[cell].is_write;
    int depth = cells[cell].depth, threads = cells[cell].threads;
    double ns[SUBJECTS][ROUNDS_MAX];
    double added[SUBJECTS][ROUNDS_MAX];
    double rate[SUBJECTS][ROUNDS_MAX];
    double plain, raw;

    for (int i = 0; i < rounds; i++) {
        for (int k = 0; k < SUBJECTS; k++) {
            /* Not always after the same neighbour. */
            int n = i % 2 ? SUBJECTS - 1 - k : k;

            ns[n][i] = measure(subjects[n], is_write, depth, threads);
        }
        for (int n = 0; n < SUBJECTS; n++) {
            added[n][i] = ns[n][i] - ns[PLAIN][i];
            rate[n][i] = ns[RAW][i] / ns[n][i];
        }
    }

    printf("\n%s, depth %d, %s\n%-24s ns each    adds\n",
           is_write ? "Write" : "Read", depth,
           threads == 1 ? "one iothread" : "two iothreads", "");
    plain = median(ns[PLAIN], rounds);
    printf("  %-22s %7.1f\n", subject_name[PLAIN], plain);
    raw = median(added[RAW], rounds);
    for (int n = RAW; n < SUBJECTS; n++) {
        double adds = median(added[n], rounds);

        printf("  %-22s %7.1f %7.1f", subject_name[n], median(ns[n], rounds),
               adds);
        if (n == UNARMED && threads == 1) {
            print_ratio(adds / raw, "what raw adds", 1.1);
        } else if (n == ARMED && threads == 1) {
            print_ratio(adds / raw, "what raw adds", 1.5);
        }
        if (n >= UNARMED && threads > 1) {
            double share = median(rate[n], rounds);

            printf("   %5.2f of raw's rate      at least 0.95%s", share,
                   share < 0.95 ? "  MISSED" : "");
            is_missed |= share < 0.95;
        }
        if (n == ARMED && adds > median(added[THROTTLE], rounds)) {
            printf("  MORE THAN THROTTLE");
            is_missed = true;
        }
        printf("\n");
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    int rounds = argc > 3 ? atoi(argv[3]) : 75;
    void *buf;

    if (argc < 3 || rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: block-quota-cost LEDGER TENANT [ROUNDS]\n");
        return 2;
    }
    qemu_init_exec_dir(argv[0]);
    qemu_init_main_loop(&error_fatal);
    module_call_init(MODULE_INIT_QOM);
    bdrv_init();

    open_subjects(argv[1], argv[2]);
    write_region(subjects[ARMED]);
    buf = blk_blockalign(subjects[PLAIN], REQUEST_BYTES);
    memset(buf, 1, REQUEST_BYTES);
    for (int i = 0; i < THREADS_MAX; i++) {
        workers[i].iothread = iothread_new();
        qemu_sem_init(&workers[i].finished, 0);
        qemu_iovec_init(&workers[i].qiov, 1);
        qemu_iovec_add(&workers[i].qiov, buf, REQUEST_BYTES);
    }

    printf("Requests of %d bytes on null-co, medians of %d rounds\n",
           (int)REQUEST_BYTES, rounds);
    for (int i = 0; i < ARRAY_SIZE(cells); i++) {
        measure_cell(i, rounds);
    }

    for (int i = 0; i < SUBJECTS; i++) {
        blk_unref(subjects[i]);
    }
    for (int i = 0; i < THREADS_MAX; i++) {
        iothread_join(workers[i].iothread);
    }
    return is_missed;
}
