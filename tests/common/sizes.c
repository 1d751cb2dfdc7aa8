/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A size must mean what its unit says, to the byte, or be refused. */
#include "scratch.h"

static void test_parse(void)
{
    const struct {
        const char *text;
        int ret;
        uint64_t bytes;
    } cases[] = {
        { "0", 0, 0 }, { "512", 0, 512 }, { "10 B", 0, 10 },
        { "7 bytes", 0, 7 }, { "1 Byte", 0, 1 }, { "9b", 0, 9 },
        { "1k", 0, 1024 }, { "1KB", 0, 1000 },
        { "10G", 0, 10 * GIB }, { "10GiB", 0, 10 * GIB },
        { " 10 gib ", 0, 10 * GIB }, { "10GB", 0, UINT64_C(10000000000) },
        { "1.5T", 0, 1536 * GIB }, { "0.1K", 0, 102 },
        { "7.999999999999999999E", 0, UINT64_C(9223372036854775806) },
        { "8E", -ERANGE, 0 }, { "9223372036854775807", 0, INT64_MAX },
        { "9223372036854775808", -ERANGE, 0 },
        { "99999999999999999999999", -ERANGE, 0 },
        { "18446744073709551616", -ERANGE, 0 },
        { "", -EINVAL, 0 }, { "-1", -EINVAL, 0 }, { "+1", -EINVAL, 0 },
        { "G", -EINVAL, 0 }, { "1X", -EINVAL, 0 }, { "1GiBs", -EINVAL, 0 },
        { "1 G B", -EINVAL, 0 }, { "1.", -EINVAL, 0 }, { ".5G", -EINVAL, 0 },
        { "1e3", -EINVAL, 0 }, { "0x10", -EINVAL, 0 }, { "1,5G", -EINVAL, 0 },
        { "inf", -EINVAL, 0 }, { "nan", -EINVAL, 0 }, { "10 i", -EINVAL, 0 },
        { "1bytez", -EINVAL, 0 }, { "1bits", -EINVAL, 0 }, { "1bite", -EINVAL, 0 }, { "1kin", -EINVAL, 0 },
        { "1k:", -EINVAL, 0 }, { "1./5", -EINVAL, 0 }, { "1.:", -EINVAL, 0 },
        { "0.5:", -EINVAL, 0 }, { "0.5/", -EINVAL, 0 }, { ":", -EINVAL, 0 },
        { "0.5000000000000000000001K", 0, 512 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint64_t bytes = 0;
        int ret = quota_size_parse(cases[i].text, &bytes);

        g_test_message("'%s'", cases[i].text);
        g_assert_cmpint(ret, ==, cases[i].ret);
        g_assert_cmpuint(bytes, ==, cases[i].bytes);
    }
}

static void test_scale(void)
{
    uint64_t bytes;

    g_assert_cmpint(quota_size_scale(3, NULL, &bytes), ==, 0);
    g_assert_cmpuint(bytes, ==, 3);
    g_assert_cmpint(quota_size_scale(3, "MiB", &bytes), ==, 0);
    g_assert_cmpuint(bytes, ==, 3 * MIB);
    g_assert_cmpint(quota_size_scale(3, "furlong", &bytes), ==, -EINVAL);
    g_assert_cmpint(quota_size_scale(UINT64_C(1) << 40, "E", &bytes), ==,
                    -ERANGE);
}

static void test_format(void)
{
    char text[QUOTA_SIZE_MAX_BYTES];

    g_assert_cmpstr(quota_size_format(0, text), ==, "0 B");
    g_assert_cmpstr(quota_size_format(1023, text), ==, "1023 B");
    g_assert_cmpstr(quota_size_format(1536, text), ==, "1.50 KiB");
    g_assert_cmpstr(quota_size_format(10 * GIB, text), ==, "10.00 GiB");
    g_assert_cmpstr(quota_size_format(10 * GIB - 1, text), ==, "9.99 GiB");
    g_assert_cmpstr(quota_size_format(UINT64_MAX, text), ==, "15.99 EiB");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/size/parse", test_parse);
    g_test_add_func("/size/scale", test_scale);
    g_test_add_func("/size/format", test_format);
    return g_test_run();
}
