/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lock of a group is waited for longer than was asked, or for as long as somebody
 * takes it again and again; or those who wait are told of a holder that there is not. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch.h"

static char *lock_file(const char *group)
{
    return g_strdup_printf("%s/.%s.lock", scratch_dir, group);
}

static int take(const char *group)
{
    int lock = quota_group_lock(group, 0);

    g_assert_cmpint(lock, >=, 0);
    return lock;
}

static gpointer give_back(gpointer lock)
{
    g_usleep(100 * 1000);
    quota_group_unlock(GPOINTER_TO_INT(lock));
    return NULL;
}

static void test_wait(void)
{
    g_autofree char *directory = g_build_filename(scratch_dir, "vg0", NULL);
    int lock = take("vg0");
    struct quota_ledger *ledger;
    GThread *thread;

    g_assert_cmpint(quota_group_lock("a/b", 0), ==, -EINVAL);
    g_assert_cmpint(quota_group_lock("vg0", 0), ==, -ETIMEDOUT);
    /* Whatever becomes of the ledgers. */
    g_assert_cmpint(quota_ledger_create("vg0", "acme", &ledger), ==, 0);
    quota_ledger_close(ledger);
    scratch_remove(directory);
    g_assert_cmpint(quota_group_lock("vg0", 0), ==, -ETIMEDOUT);
    thread = g_thread_new("holder", give_back, GINT_TO_POINTER(lock));
    /* In time: far longer than the holder takes on any machine. */
    lock = quota_group_lock("vg0", 300);
    g_assert_cmpint(lock, >=, 0);
    g_thread_join(thread);
    quota_group_unlock(lock);
}

#define WAITS 15

static _Atomic(unsigned) turns;
static _Atomic(bool) is_over;

/* As four verbs of one tenant do, each of which is refused under the lock. */
static gpointer greedy(gpointer unused)
{
    (void)unused;
    while (!is_over) {
        int lock = quota_group_lock("vg0", 300);

        g_assert_cmpint(lock, >=, 0);
        turns++;
        g_usleep(2000);
        quota_group_unlock(lock);
    }
    return NULL;
}

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void test_greedy(void)
{
    GThread *thread = g_thread_new("greedy", greedy, NULL);
    int waited[WAITS];

    for (int i = 0; i < WAITS; i++) {
        unsigned since;
        int lock;

        g_usleep(7000);
        since = turns;
        lock = quota_group_lock("vg0", 300);
        g_assert_cmpint(lock, >=, 0);
        waited[i] = turns - since;
        quota_group_unlock(lock);
    }
    is_over = true;
    g_thread_join(thread);
    /* most of the time: on a busy machine a thread may not even begin to wait */
    qsort(waited, WAITS, sizeof(*waited), compare);
    g_assert_cmpint(waited[WAITS / 2], <=, 3);
}

static void test_holder(void)
{
    struct quota_lock_holder holder;
    int lock = take("vg0");

    quota_group_lock_note(lock, 4711, "vol-create");
    g_assert_cmpint(quota_group_lock_holder("vg0", &holder), ==, 0);
    g_assert_cmpint(holder.pid, ==, 4711);
    g_assert_cmpstr(holder.verb, ==, "vol-create");
    g_assert_cmpuint(holder.seconds, <, 300);
    /* shorter than the one before, and one that does not fit */
    quota_group_lock_note(lock, 1, "a");
    g_assert_cmpint(quota_group_lock_holder("vg0", &holder), ==, 0);
    g_assert_cmpstr(holder.verb, ==, "a");
    quota_group_lock_note(lock, 1, "a-verb-that-is-much-longer-than-any-verb-there-is");
    g_assert_cmpint(quota_group_lock_holder("vg0", &holder), ==, 0);
    g_assert_cmpstr(holder.verb, ==, "a-verb-that-is-much-longer-than");
    /* a note that cannot be written keeps nobody from the lock */
    quota_group_lock_note(-1, 1, "a");
    quota_group_unlock(lock);
}

static void test_no_holder(void)
{
    static const char *const texts[] = {
        "", "x", "1", "1 Verb 5\n", "1 verb\n", "1 verb x\n", "-\n",
    };
    struct quota_lock_holder holder;
    g_autofree char *path = lock_file("vg0");
    g_autofree char *directory = lock_file("vg2");
    g_autofree char *group = g_path_get_dirname(directory);

    quota_group_unlock(take("vg0"));
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_assert_true(g_file_set_contents(path, texts[i], -1, NULL));
        g_assert_cmpint(quota_group_lock_holder("vg0", &holder), ==, -ENODATA);
    }
    /* one that began in the future */
    g_assert_true(g_file_set_contents(path, "1 verb 99999999999\n", -1, NULL));
    g_assert_cmpint(quota_group_lock_holder("vg0", &holder), ==, 0);
    g_assert_cmpuint(holder.seconds, ==, 0);

    g_assert_cmpint(quota_group_lock_holder("a/b", &holder), ==, -EINVAL);
    g_assert_cmpint(quota_group_lock_holder("vg1", &holder), ==, -ENOENT);
    g_assert_cmpint(g_mkdir_with_parents(directory, 0700), ==, 0);
    g_assert_cmpint(quota_group_lock_holder("vg2", &holder), ==, -EISDIR);
    g_rmdir(directory);
    g_rmdir(group);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/lock/wait", test_wait);
    g_test_add_func("/lock/greedy", test_greedy);
    g_test_add_func("/lock/holder", test_holder);
    g_test_add_func("/lock/no-holder", test_no_holder);
    return scratch_run();
}
