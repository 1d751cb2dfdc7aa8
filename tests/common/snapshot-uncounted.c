/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A snapshot makes each chunk of its origin uncharged.  No write may still take
 * such a chunk as charged, neither afterwards nor while it is in flight. */
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"

#define MS UINT64_C(1000000)

/* Where the test's only write in flight is counted. */
static unsigned lane;

static gpointer enter_odd(gpointer data)
{
    unsigned other_lane;

    g_assert_cmpuint(quota_epoch_enter(data, &other_lane) % 2, ==, 1);
    quota_epoch_leave(data, other_lane);
    return NULL;
}

static void test_epochs(void)
{
    struct quota_ledger *ledger = scratch_ledger("epochs");
    struct quota_ledger *own = scratch_open("epochs");
    struct quota_writer *writer = scratch_writer(own, "disk0");
    uint32_t before = quota_epoch_read(writer);
    GThread *other;

    g_assert_cmpuint(before % 2, ==, 0);
    g_assert_cmpuint(quota_epoch_enter(writer, &lane), ==, before);
    g_assert_cmpint(quota_epoch_begin(ledger, "disk0"), ==, 0);
    /* A write is in flight that relies on charged chunks. */
    g_assert_cmpint(quota_epoch_wait(ledger, "disk0", 5 * MS), ==, -ETIMEDOUT);
    /* From now on no other write can rely on them, in any thread. */
    other = g_thread_new("other", enter_odd, writer);
    g_thread_join(other);
    quota_epoch_leave(writer, lane);
    g_assert_cmpint(quota_epoch_wait(ledger, "disk0", 0), ==, 0);
    g_assert_cmpint(quota_epoch_end(ledger, "disk0"), ==, 0);
    g_assert_cmpuint(quota_epoch_enter(writer, &lane) % 2, ==, 0);
    quota_epoch_leave(writer, lane);
    g_assert_cmpuint(quota_epoch_read(writer), !=, before);

    /* Volumes that nobody writes to. */
    g_assert_cmpint(quota_epoch_wait(ledger, "nobody", 0), ==, -ENOENT);
    g_assert_cmpint(quota_epoch_end(ledger, "nobody"), ==, -ENOENT);
    g_assert_cmpint(quota_epoch_begin(ledger, "later"), ==, 0);
    g_assert_cmpint(quota_epoch_wait(ledger, "later", 0), ==, 0);
    g_assert_cmpint(quota_epoch_end(ledger, "later"), ==, 0);
    quota_writer_detach(writer);
    quota_ledger_close(own);
    quota_ledger_close(ledger);
}

static gpointer enter(gpointer data)
{
    quota_epoch_enter(data, &lane);
    return NULL;
}

/* A snapshot waits for a write of any thread; another thread may end it. */
static void test_each_lane(void)
{
    struct quota_ledger *ledger = scratch_ledger("lanes");
    struct quota_ledger *own = scratch_open("lanes");
    struct quota_writer *writer = scratch_writer(own, "disk0");
    bool seen[QUOTA_LANES] = { false };

    for (unsigned i = 0; i < QUOTA_LANES; i++) {
        g_thread_join(g_thread_new("write", enter, writer));
        g_assert_false(seen[lane]);
        seen[lane] = true;
        g_assert_cmpint(quota_epoch_begin(ledger, "disk0"), ==, 0);
        g_assert_cmpint(quota_epoch_wait(ledger, "disk0", 0), ==, -ETIMEDOUT);
        quota_epoch_leave(writer, lane);
        g_assert_cmpint(quota_epoch_wait(ledger, "disk0", 0), ==, 0);
        g_assert_cmpint(quota_epoch_end(ledger, "disk0"), ==, 0);
    }
    quota_writer_detach(writer);
    quota_ledger_close(own);
    quota_ledger_close(ledger);
}

static gpointer leave_later(gpointer data)
{
    g_usleep(20000);
    quota_epoch_leave(data, lane);
    return NULL;
}

static void test_wait_is_woken(void)
{
    struct quota_ledger *ledger = scratch_ledger("woken");
    struct quota_ledger *own = scratch_open("woken");
    struct quota_writer *writer = scratch_writer(own, "disk0");
    GThread *thread;

    quota_epoch_enter(writer, &lane);
    g_assert_cmpint(quota_epoch_begin(ledger, "disk0"), ==, 0);
    thread = g_thread_new("write", leave_later, writer);
    g_assert_cmpint(quota_epoch_wait(ledger, "disk0", HOUR_NS), ==, 0);
    g_thread_join(thread);
    quota_writer_detach(writer);
    quota_ledger_close(own);
    quota_ledger_close(ledger);
}

/* A snapshot does not wait for dead writers, and a killed snapshot does not
 * leave each write charged for ever. */
static void test_killed(void)
{
    struct quota_ledger *ledger = scratch_ledger("killed");
    struct quota_ledger *own;
    struct quota_writer *writer;
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        own = scratch_open("killed");
        quota_epoch_enter(scratch_writer(own, "disk0"), &lane);
        _exit(0);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0);
    g_assert_cmpint(quota_epoch_begin(ledger, "disk0"), ==, 0);
    g_assert_cmpint(quota_epoch_wait(ledger, "disk0", HOUR_NS), ==, 0);

    own = scratch_open("killed");
    writer = scratch_writer(own, "disk0");
    g_assert_cmpuint(quota_epoch_read(writer) % 2, ==, 1);
    scratch_publish(ledger, GIB, 0, GIB);
    g_assert_cmpuint(quota_epoch_read(writer) % 2, ==, 0);
    quota_writer_detach(writer);
    quota_ledger_close(own);
    quota_ledger_close(ledger);
}

/* For a private ledger there is no way to check whether a writer is alive. */
static void test_private(void)
{
    struct quota_ledger *ledger;
    struct quota_writer *writer;

    g_assert_cmpint(quota_ledger_new_private("acme", &ledger), ==, 0);
    writer = scratch_writer(ledger, "disk");
    quota_epoch_enter(writer, &lane);
    g_assert_cmpint(quota_epoch_begin(ledger, "disk"), ==, 0);
    g_assert_cmpint(quota_epoch_wait(ledger, "disk", 0), ==, -ETIMEDOUT);
    quota_epoch_leave(writer, lane);
    g_assert_cmpint(quota_epoch_wait(ledger, "disk", 0), ==, 0);
    quota_writer_detach(writer);
    quota_ledger_close(ledger);
}

/* A snapshot that was killed and is begun again, or ended by another process:
 * earlier charges stay void. */
static void test_begun_again(void)
{
    struct quota_ledger *ledger = scratch_ledger("again");
    struct quota_writer *writer = scratch_writer(ledger, "disk");
    uint32_t before = quota_epoch_read(writer);

    g_assert_cmpint(quota_epoch_begin(ledger, "disk"), ==, 0);
    g_assert_cmpint(quota_epoch_begin(ledger, "disk"), ==, 0);
    g_assert_cmpuint(quota_epoch_read(writer), ==, before + 1);
    scratch_publish(ledger, GIB, 0, GIB);
    g_assert_cmpuint(quota_epoch_read(writer), ==, before + 2);
    scratch_publish(ledger, GIB, 0, GIB);
    g_assert_cmpuint(quota_epoch_read(writer), ==, before + 2);
    quota_writer_detach(writer);
    quota_ledger_close(ledger);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/snapshot/epochs", test_epochs);
    g_test_add_func("/snapshot/each-lane", test_each_lane);
    g_test_add_func("/snapshot/woken", test_wait_is_woken);
    g_test_add_func("/snapshot/killed", test_killed);
    g_test_add_func("/snapshot/private", test_private);
    g_test_add_func("/snapshot/begun-again", test_begun_again);
    return scratch_run();
}
