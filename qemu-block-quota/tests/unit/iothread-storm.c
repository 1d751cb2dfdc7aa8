/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * iothread-storm: requests from several IOThreads at once, as virtio-blk with
 * iothread-vq-mapping issues them, without a guest.
 *
 * Each thread keeps a number of reads and writes in flight: of the one node
 * that was given, of which all threads are users then, or of its own one.  The
 * main thread drains all of them every now and then.  A filter that locks up
 * never lets this end: who starts it keeps the time.
 */

#include "qemu/osdep.h"

#include "block/aio-wait.h"
#include "block/block.h"
#include "block/qdict.h"
#include "iothread.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/keyval.h"
#include "qom/object_interfaces.h"
#include "system/block-backend.h"

#define THREADS_MAX 16

static const char usage[] =
    "usage: iothread-storm OPTION... NODE-OPTIONS...\n"
    "  -o OBJECT    as --object\n"
    "  -t COUNT     IOThreads\n"
    "  -q COUNT     requests that each keeps in flight\n"
    "  -n COUNT     requests of all together\n"
    "  -s BYTES     size of a request\n"
    "  -d MS        drain all nodes this often\n"
    "NODE-OPTIONS are key=value,...: one node for all threads, or one for "
    "each\n";

static unsigned nb_threads = 4;
static unsigned depth = 4;
static unsigned nb_requests = 10000;
static unsigned request_bytes = 4096;
static unsigned drain_ms;

static unsigned nb_nodes;
static BlockBackend *nodes[THREADS_MAX];
static IOThread *threads[THREADS_MAX];

/* Atomic */
static unsigned nb_started, nb_failed, nb_running;

static void coroutine_fn storm_co_entry(void *opaque)
{
    BlockBackend *blk = opaque;
    int64_t length = blk_co_getlength(blk);
    g_autofree void *buf = blk_blockalign(blk, request_bytes);
    unsigned i;

    while ((i = qatomic_fetch_inc(&nb_started)) < nb_requests) {
        QEMUIOVector qiov = QEMU_IOVEC_INIT_BUF(qiov, buf, request_bytes);
        int64_t offset = (int64_t)i * request_bytes %
                         (length - request_bytes + 1);
        int ret;

        ret = i % 3 ? blk_co_pwritev(blk, offset, request_bytes, &qiov, 0)
                    : blk_co_preadv(blk, offset, request_bytes, &qiov, 0);
        if (ret < 0) {
            qatomic_inc(&nb_failed);
        }
    }

    qatomic_dec(&nb_running);
    aio_wait_kick();
}

static void storm(void)
{
    int64_t begin_ns = qemu_clock_get_ns(QEMU_CLOCK_REALTIME);
    unsigned nb_drains = 0;

    nb_running = nb_threads * depth;
    for (unsigned i = 0; i < nb_threads * depth; i++) {
        IOThread *thread = threads[i % nb_threads];

        aio_co_enter(iothread_get_aio_context(thread),
                     qemu_coroutine_create(storm_co_entry,
                                           nodes[i % nb_threads % nb_nodes]));
    }

    while (drain_ms && qatomic_read(&nb_running)) {
        g_usleep(drain_ms * 1000);
        bdrv_drain_all_begin();
        bdrv_drain_all_end();
        nb_drains++;
    }
    AIO_WAIT_WHILE_UNLOCKED(NULL, qatomic_read(&nb_running));

    printf("%u requests, %u failed, %u drains, %.2f s\n", nb_requests,
           nb_failed, nb_drains,
           (qemu_clock_get_ns(QEMU_CLOCK_REALTIME) - begin_ns) / 1e9);
}

static BlockBackend *open_node(const char *options, AioContext *ctx)
{
    QDict *dict = keyval_parse(options, "driver", NULL, &error_fatal);
    BlockBackend *blk;

    /* As qemu-io --image-opts has it: all values are strings still. */
    qdict_flatten(dict);
    blk = blk_new_open(NULL, NULL, dict, BDRV_O_RDWR | BDRV_O_NOCACHE,
                       &error_fatal);
    blk_set_aio_context(blk, ctx, &error_fatal);
    return blk;
}

static unsigned parse_number(const char *text)
{
    unsigned number;

    if (qemu_strtoui(text, NULL, 0, &number) < 0) {
        fprintf(stderr, "iothread-storm: '%s' is no number\n", text);
        exit(2);
    }
    return number;
}

static void parse_option(int c)
{
    switch (c) {
    case 'o':
        user_creatable_add_from_str(optarg, &error_fatal);
        break;
    case 't':
        nb_threads = MAX(1, MIN(parse_number(optarg), THREADS_MAX));
        break;
    case 'q':
        depth = MAX(1, parse_number(optarg));
        break;
    case 'n':
        nb_requests = parse_number(optarg);
        break;
    case 's':
        request_bytes = MAX(512, parse_number(optarg));
        break;
    case 'd':
        drain_ms = parse_number(optarg);
        break;
    default:
        fputs(usage, stderr);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    int c;

    qemu_init_exec_dir(argv[0]);
    module_call_init(MODULE_INIT_QOM);
    qemu_init_main_loop(&error_fatal);
    bdrv_init();

    while ((c = getopt(argc, argv, "o:t:q:n:s:d:")) != -1) {
        parse_option(c);
    }
    nb_nodes = argc - optind;
    if (nb_nodes != 1 && nb_nodes != nb_threads) {
        fputs(usage, stderr);
        return 2;
    }

    for (unsigned i = 0; i < nb_threads; i++) {
        threads[i] = iothread_new();
    }
    for (unsigned i = 0; i < nb_nodes; i++) {
        nodes[i] = open_node(argv[optind + i],
                             iothread_get_aio_context(threads[i]));
    }

    storm();

    for (unsigned i = 0; i < nb_nodes; i++) {
        blk_set_aio_context(nodes[i], qemu_get_aio_context(), &error_abort);
        blk_unref(nodes[i]);
    }
    for (unsigned i = 0; i < nb_threads; i++) {
        iothread_join(threads[i]);
    }
    return nb_failed ? 1 : 0;
}
