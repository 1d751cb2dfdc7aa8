/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The quota driver while requests wait in it: drains of everything that can be
 * drained, changes of the AioContext and of the graph, several iothreads.
 *
 * What test-bdrv-drain, test-block-iothread and test-bdrv-graph-mod test with
 * drivers of their own, whose requests sleep for a given time; here they wait
 * for a rate, of which there is never enough to let them go by themselves.
 */

#include "qemu/osdep.h"
#include "block/block.h"
#include "block/block_int.h"
#include "system/block-backend.h"
#include "qapi/error.h"
#include "qobject/qdict.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "iothread.h"

/*
 * One goes at once, the others wait for 0.3 s and more: long enough for the
 * test, and less than a drain lets go ahead of the rate (quota-rate.c).
 */
#define RATE "3"
#define NB_REQUESTS 4

static BlockBackend *blk;
static BlockDriverState *quota, *disk;
static int nb_done;

static BlockDriverState *open_quota(const char *iops)
{
    QDict *options = qdict_new();

    qdict_put_str(options, "driver", "quota");
    qdict_put_str(options, "node-name", "quota");
    qdict_put_str(options, "file", "disk");
    if (iops) {
        qdict_put_str(options, "total-iops-sec", iops);
    }
    return bdrv_open(NULL, NULL, options, BDRV_O_RDWR, &error_abort);
}

static void open_all(const char *iops)
{
    QDict *options = qdict_new();

    qdict_put_str(options, "driver", "null-co");
    qdict_put_str(options, "node-name", "disk");
    qdict_put_str(options, "read-zeroes", "on");
    disk = bdrv_open(NULL, NULL, options, BDRV_O_RDWR, &error_abort);
    quota = open_quota(iops);
    blk = blk_new(qemu_get_aio_context(), BLK_PERM_ALL, BLK_PERM_ALL);
    blk_insert_bs(blk, quota, &error_abort);
    nb_done = 0;
}

static void close_all(void)
{
    blk_set_aio_context(blk, qemu_get_aio_context(), &error_abort);
    blk_unref(blk);
    bdrv_unref(quota);
    bdrv_unref(disk);
    g_assert(!bdrv_find_node("quota"));
    g_assert(!bdrv_find_node("disk"));
}

static void request_cb(void *opaque, int ret)
{
    g_assert_cmpint(ret, ==, 0);
    qatomic_inc(&nb_done);
    aio_wait_kick();
}

/* In the AioContext of the BlockBackend. */
static void submit_cb(void *opaque)
{
    static char buf[512];
    static QEMUIOVector qiov = QEMU_IOVEC_INIT_BUF(qiov, buf, sizeof(buf));
    int i;

    for (i = 0; i < NB_REQUESTS; i++) {
        blk_aio_preadv(blk, i * sizeof(buf), &qiov, 0, request_cb, NULL);
    }
    qatomic_inc((int *)opaque);
    aio_wait_kick();
}

static void submit(void)
{
    int done_before = qatomic_read(&nb_done);
    int submitted = 0;

    aio_bh_schedule_oneshot(blk_get_aio_context(blk), submit_cb, &submitted);
    AIO_WAIT_WHILE_UNLOCKED(NULL, !qatomic_read(&submitted));
    g_assert_cmpint(qatomic_read(&nb_done), <, done_before + NB_REQUESTS);
}

static void assert_done(int requests)
{
    g_assert_cmpint(qatomic_read(&nb_done), ==, requests);
    g_assert_cmpint(qatomic_read(&quota->in_flight), ==, 0);
}

static void wait_done(int requests)
{
    AIO_WAIT_WHILE_UNLOCKED(NULL, qatomic_read(&nb_done) < requests);
}

/* ---- drains ------------------------------------------------------------- */

typedef struct Drain {
    const char *name;
    void (*begin)(void);
    void (*end)(void);
} Drain;

static void drain_node_begin(void)
{
    bdrv_drained_begin(quota);
}

static void drain_node_end(void)
{
    bdrv_drained_end(quota);
}

static void drain_child_begin(void)
{
    bdrv_drained_begin(disk);
}

static void drain_child_end(void)
{
    bdrv_drained_end(disk);
}

static void drain_blk_begin(void)
{
    blk_drain(blk);
}

static void drain_blk_end(void)
{
}

static void drain_nested_begin(void)
{
    bdrv_drain_all_begin();
    bdrv_drained_begin(disk);
    bdrv_drained_begin(quota);
    bdrv_drained_end(disk);
}

static void drain_nested_end(void)
{
    bdrv_drained_begin(disk);
    bdrv_drain_all_end();
    bdrv_drained_end(quota);
    bdrv_drained_end(disk);
}

static const Drain drains[] = {
    { "node", drain_node_begin, drain_node_end },
    { "child", drain_child_begin, drain_child_end },
    { "blk", drain_blk_begin, drain_blk_end },
    { "all", bdrv_drain_all_begin, bdrv_drain_all_end },
    { "nested", drain_nested_begin, drain_nested_end },
};

/*
 * No request waits once the node is drained; but the next ones wait until the
 * rate has caught up with those that the drain started.  So most of the time
 * passes after the drain.
 */
static void do_test_drain(const Drain *drain, AioContext *ctx)
{
    int64_t begin_ns, drained_ns, end_ns;

    open_all(RATE);
    blk_set_aio_context(blk, ctx, &error_abort);

    begin_ns = get_clock();
    submit();
    drain->begin();
    drained_ns = get_clock();
    assert_done(NB_REQUESTS);
    drain->end();

    submit();
    wait_done(NB_REQUESTS + 1);
    end_ns = get_clock();
    g_assert_cmpint(drained_ns - begin_ns, <, end_ns - drained_ns);

    drain->begin();
    assert_done(2 * NB_REQUESTS);
    drain->end();

    close_all();
}

static void test_drain(const void *opaque)
{
    do_test_drain(opaque, qemu_get_aio_context());
}

static void test_drain_iothread(const void *opaque)
{
    IOThread *iothread = iothread_new();

    do_test_drain(opaque, iothread_get_aio_context(iothread));
    iothread_join(iothread);
}

/* A node that is opened while all are drained knows nothing of it later. */
static void test_open_drained(void)
{
    bdrv_drain_all_begin();
    open_all(RATE);
    bdrv_drain_all_end();

    submit();
    wait_done(1);
    g_assert_cmpint(qatomic_read(&nb_done), <, NB_REQUESTS);
    wait_done(NB_REQUESTS);
    close_all();
}

/* Requests wait when their device, and the last reference, go away. */
static void test_close(void)
{
    open_all(RATE);
    submit();
    bdrv_unref(quota);
    blk_unref(blk);
    g_assert_cmpint(qatomic_read(&nb_done), ==, NB_REQUESTS);
    g_assert(!bdrv_find_node("quota"));
    bdrv_unref(disk);
}

/* ---- AioContexts -------------------------------------------------------- */

static void test_move(void)
{
    IOThread *a = iothread_new();
    IOThread *b = iothread_new();
    AioContext *contexts[] = {
        iothread_get_aio_context(a), iothread_get_aio_context(b),
        qemu_get_aio_context(), iothread_get_aio_context(a),
    };
    int i;

    open_all("10000");
    for (i = 0; i < 100; i++) {
        AioContext *ctx = contexts[i % ARRAY_SIZE(contexts)];

        blk_set_aio_context(blk, ctx, &error_abort);
        g_assert(bdrv_get_aio_context(quota) == ctx);
        g_assert(bdrv_get_aio_context(disk) == ctx);
        submit_cb(&(int){ 0 });
    }
    bdrv_drain_all();
    assert_done(100 * NB_REQUESTS);
    close_all();
    iothread_join(a);
    iothread_join(b);
}

typedef struct Worker {
    IOThread *iothread;
    int nb_left;
    bool is_done;
} Worker;

static void coroutine_fn worker_entry(void *opaque)
{
    Worker *worker = opaque;
    char buf[512];

    while (worker->nb_left) {
        g_assert_cmpint(blk_co_pread(blk, 0, sizeof(buf), buf, 0), ==, 0);
        worker->nb_left--;
    }
    qatomic_set(&worker->is_done, true);
    aio_wait_kick();
}

/*
 * A disk with iothread-vq-mapping: requests of several threads wait in one
 * node, each to be woken in its own, while the main loop drains.
 */
static void test_iothreads(void)
{
    Worker workers[4][8];
    int i, j;

    open_all("3000");
    for (i = 0; i < ARRAY_SIZE(workers); i++) {
        IOThread *iothread = iothread_new();

        for (j = 0; j < ARRAY_SIZE(workers[i]); j++) {
            workers[i][j] = (Worker) { iothread, 100 };
            aio_co_enter(iothread_get_aio_context(iothread),
                         qemu_coroutine_create(worker_entry, &workers[i][j]));
        }
    }
    for (i = 0; i < ARRAY_SIZE(workers); i++) {
        for (j = 0; j < ARRAY_SIZE(workers[i]); j++) {
            while (!qatomic_read(&workers[i][j].is_done)) {
                bdrv_drained_begin(i % 2 ? quota : disk);
                g_assert_cmpint(qatomic_read(&quota->in_flight), ==, 0);
                bdrv_drained_end(i % 2 ? quota : disk);
                g_usleep(1000);
            }
        }
    }
    bdrv_drain_all();
    for (i = 0; i < ARRAY_SIZE(workers); i++) {
        iothread_join(workers[i][0].iothread);
    }
    close_all();
}

/* ---- graph -------------------------------------------------------------- */

/* Taken out and put back while requests wait, as a block job's filter is. */
static void test_replace(void)
{
    int i;

    open_all(RATE);
    for (i = 0; i < 3; i++) {
        submit();

        bdrv_drained_begin(quota);
        bdrv_ref(disk);
        bdrv_drained_begin(disk);
        bdrv_graph_wrlock();
        bdrv_replace_node(quota, disk, &error_abort);
        bdrv_graph_wrunlock();
        bdrv_drained_end(disk);
        bdrv_drained_end(quota);
        bdrv_unref(disk);
        assert_done((2 * i + 1) * NB_REQUESTS);
        g_assert(blk_bs(blk) == disk);

        bdrv_unref(quota);
        g_assert(!bdrv_find_node("quota"));

        /* Without the filter nothing has to wait. */
        submit_cb(&(int){ 0 });
        wait_done((2 * i + 2) * NB_REQUESTS);

        quota = open_quota(RATE);
        blk_replace_bs(blk, quota, &error_abort);
    }
    close_all();
}

int main(int argc, char **argv)
{
    int i;

    bdrv_init();
    qemu_init_main_loop(&error_abort);
    g_test_init(&argc, &argv, NULL);

    for (i = 0; i < ARRAY_SIZE(drains); i++) {
        g_autofree char *main = g_strdup_printf("/block-quota/drain/%s",
                                                drains[i].name);
        g_autofree char *iothread = g_strdup_printf("%s/iothread", main);

        g_test_add_data_func(main, &drains[i], test_drain);
        g_test_add_data_func(iothread, &drains[i], test_drain_iothread);
    }
    g_test_add_func("/block-quota/drain/open", test_open_drained);
    g_test_add_func("/block-quota/close", test_close);
    g_test_add_func("/block-quota/move", test_move);
    g_test_add_func("/block-quota/iothreads", test_iothreads);
    g_test_add_func("/block-quota/replace", test_replace);

    return g_test_run();
}
