/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * thin-status-lines.c: a status line read as a number that it does not say.
 */
#include <errno.h>
#include <glib.h>

#include "thin-status.h"

static void
test_lines(void)
{
    static const struct {
        const char *params;
        int ret;
        uint64_t used, total;
        bool is_read_only;
    } cases[] = {
        /* printed by kernel 6.12 */
        { "1 112/1024 160/1024 - rw no_discard_passdown error_if_no_space - "
          "256 ", 0, 160, 1024, false },
        { "1 117/1024 1024/1024 - out_of_data_space no_discard_passdown "
          "error_if_no_space - 256 ", 0, 1024, 1024, false },
        { "0 111/1024 0/1024 - rw discard_passdown queue_if_no_space - 256 ",
          0, 0, 1024, false },
        { "1 1024/1024 7/1024 - ro no_discard_passdown error_if_no_space "
          "needs_check 256 ", 0, 7, 1024, true },
        { "18446744073709551615 1/2 4611686018427387904/9223372036854775807 "
          "- rw x", 0, UINT64_C(1) << 62, INT64_MAX, false },
        { "Fail", -EIO, 0, 0, false },
        { "Error", -EIO, 0, 0, false },
        /* a thin volume, a linear one, and what nobody printed */
        { "20480 20479", -EINVAL, 0, 0, false },
        { "-", -EINVAL, 0, 0, false },
        { "", -EINVAL, 0, 0, false },
        { "1 112/1024", -EINVAL, 0, 0, false },
        { "1 112/1024 160", -EINVAL, 0, 0, false },
        { "1 112/1024 1025/1024 - rw x", -EINVAL, 0, 0, false },
        { "1 112/1024 -160/1024 - rw x", -EINVAL, 0, 0, false },
        { "1 112 1024 160 1024 - rw x", -EINVAL, 0, 0, false },
        { "1 112/1024 -160/-1 - rw x", -EINVAL, 0, 0, false },
        { "1 112/1024 160/+1024 - rw x", -EINVAL, 0, 0, false },
        { "1 112/1024  160/1024 - rw x", -EINVAL, 0, 0, false },
        { "1 1025/1024 160/1024 - rw x", -EINVAL, 0, 0, false },
        { "1 112/1024 160/99999999999999999999 - rw x", -EINVAL, 0, 0, false },
        { "1 112/1024 160/1024", -EINVAL, 0, 0, false },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct thin_status status;

        g_test_message("'%s'", cases[i].params);
        g_assert_cmpint(thin_status_parse(cases[i].params, &status), ==,
                        cases[i].ret);
        if (cases[i].ret == 0) {
            g_assert_cmpuint(status.used_blocks, ==, cases[i].used);
            g_assert_cmpuint(status.total_blocks, ==, cases[i].total);
            g_assert_cmpint(status.is_read_only, ==, cases[i].is_read_only);
        }
    }
}

static void
test_mapped(void)
{
    static const struct {
        const char *params;
        int ret;
        uint64_t bytes;
    } cases[] = {
        /* printed by kernel 6.12 */
        { "20480 20479", 0, 20480 * 512 },
        { "0 -", 0, 0 },
        { "Fail", -EIO, 0 },
        { "Error", -EIO, 0 },
        /* without a pool; a linear volume; and what nobody printed */
        { "-", -EINVAL, 0 },
        { "", -EINVAL, 0 },
        { "20480", -EINVAL, 0 },
        { "-20480 20479", -EINVAL, 0 },
        { "99999999999999999999 1", -EINVAL, 0 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint64_t bytes;

        g_test_message("'%s'", cases[i].params);
        g_assert_cmpint(thin_status_parse_mapped(cases[i].params, &bytes), ==,
                        cases[i].ret);
        g_assert_cmpuint(bytes, ==, cases[i].bytes);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/thin-status/lines", test_lines);
    g_test_add_func("/thin-status/mapped", test_mapped);
    return g_test_run();
}
