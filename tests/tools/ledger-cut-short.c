/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ledger-cut-short.c: one tenant's truncated ledger ends the process that
 * samples all of them.
 */
#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "quota-ledger.h"
#include "sigbus.h"

static void
test_truncated(gconstpointer left_bytes)
{
    g_autofree char *directory = g_dir_make_tmp("quota-lvm-XXXXXX", NULL);
    g_autofree char *group = g_build_filename(directory, "vg0", NULL);
    g_autofree char *lock = g_build_filename(group, ".lock", NULL);
    struct quota_state state = { .limits.limit_bytes = 1, .grant_bytes = 1 };
    struct quota_volume_usage volume;
    struct quota_ledger *ledger;
    struct quota_sample sample;
    struct quota_usage usage;
    char path[4096];
    int lock_fd;

    sigbus_install();
    quota_ledger_set_dir(directory);
    lock_fd = quota_group_lock("vg0");
    g_assert_cmpint(lock_fd, >=, 0);
    g_assert_cmpint(quota_ledger_create("vg0", "acme", &ledger), ==, 0);
    g_assert_cmpint(quota_volume_publish(ledger, "root", &state.limits, 0), ==,
                    0);
    g_assert_cmpint(quota_volume_publish(ledger, "data", &state.limits, 0), ==,
                    0);
    quota_group_unlock(lock_fd);
    g_assert_cmpint(quota_ledger_path("vg0", "acme", path, sizeof(path)), ==,
                    0);
    g_assert_false(sigbus_taken());
    g_assert_cmpint(truncate(path, GPOINTER_TO_INT(left_bytes)), ==, 0);

    /* what a sampler does, in its order */
    g_assert_cmpint(quota_doorbell_wait(ledger, 0, 1000000), <=, 0);
    quota_state_publish(ledger, &state);
    quota_writer_audit(ledger);
    quota_sample_begin(ledger, &sample);
    for (unsigned i = 0; quota_volume_read(ledger, i, &volume) != -ENOENT; i++)
        continue;
    quota_sample_publish(ledger, &sample, 0, 1, QUOTA_REASON_NONE);
    quota_usage_read(ledger, &usage);
    quota_doorbell_ring(ledger);
    g_assert_true(sigbus_taken());
    g_assert_false(sigbus_taken());
    quota_ledger_close(ledger);

    g_unlink(path);
    g_unlink(lock);
    g_rmdir(group);
    g_rmdir(directory);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/ledger/cut-short/empty", GINT_TO_POINTER(0),
                         test_truncated);
    /* one volume is left of two */
    g_test_add_data_func("/ledger/cut-short/page", GINT_TO_POINTER(4096),
                         test_truncated);
    return g_test_run();
}
