/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file that is not this tenant's ledger must be told apart and refused, and
 * replaced when the ledger is made anew. */
#include <fcntl.h>
#include <unistd.h>

#include "scratch.h"

static char *ledger_path(void)
{
    char path[QUOTA_LEDGER_PATH_BYTES];

    g_assert_cmpint(quota_ledger_path("vg0", "acme", path, sizeof(path)), ==,
                    0);
    return g_strdup(path);
}

static void spoil(size_t offset, const void *bytes, size_t len)
{
    g_autofree char *path = ledger_path();
    int fd = open(path, O_RDWR);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pwrite(fd, bytes, len, offset), ==, len);
    close(fd);
}

static void assert_refused(int error)
{
    g_autofree char *path = ledger_path();
    struct quota_ledger *ledger;

    g_assert_cmpint(quota_ledger_open(path, true, &ledger), ==, error);
    g_assert_null(ledger);
    g_assert_cmpstr(quota_ledger_strerror(error), !=, "cannot be opened");
}

static void assert_made_anew(void)
{
    struct quota_ledger *ledger = scratch_ledger("acme");

    g_assert_cmpstr(quota_ledger_tenant(ledger), ==, "acme");
    g_assert_cmpstr(quota_ledger_group(ledger), ==, "vg0");
    g_assert_true(quota_ledger_is_current(ledger));
    quota_ledger_close(ledger);
}

static void test_missing(void)
{
    quota_ledger_unlink("vg0", "acme");
    assert_refused(-ENOENT);
    assert_made_anew();
}

/* At every length a real ledger is refused; none crashes.  Cut from the end,
 * so that one file serves all lengths. */
static void test_truncated(void)
{
    g_autofree char *path = ledger_path();

    assert_made_anew();
    for (size_t len = sizeof(struct quota_ledger_file); len-- > 0; ) {
        struct quota_ledger *ledger;
        int ret;

        g_assert_cmpint(truncate(path, len), ==, 0);
        ret = quota_ledger_open(path, true, &ledger);
        g_assert_cmpint(ret, ==, len > 0 && len < 8 ? -EILSEQ : -ENODATA);
        g_assert_null(ledger);
    }
    assert_made_anew();
}

static void test_not_a_ledger(void)
{
    g_autofree char *path = ledger_path();

    g_assert_true(g_file_set_contents(path, "hello\n", -1, NULL));
    assert_refused(-EILSEQ);
    assert_made_anew();
}

static void test_other_version(void)
{
    uint16_t major = QUOTA_LEDGER_MAJOR + 1;

    assert_made_anew();
    spoil(offsetof(struct quota_header, version_major), &major, sizeof(major));
    assert_refused(-EPROTONOSUPPORT);
    assert_made_anew();
}

static void test_every_header_bit(void)
{
    g_autofree char *path = ledger_path();
    struct quota_ledger *ledger;
    int fd;

    assert_made_anew();
    fd = open(path, O_RDWR);
    for (size_t bit = 0; bit < 8 * sizeof(struct quota_header); bit++) {
        unsigned char byte;

        g_assert_cmpint(pread(fd, &byte, 1, bit / 8), ==, 1);
        byte ^= 1 << bit % 8;
        g_assert_cmpint(pwrite(fd, &byte, 1, bit / 8), ==, 1);
        g_assert_cmpint(quota_ledger_open(path, true, &ledger), <, 0);
        byte ^= 1 << bit % 8;
        g_assert_cmpint(pwrite(fd, &byte, 1, bit / 8), ==, 1);
    }
    close(fd);
    g_assert_cmpint(quota_ledger_open(path, true, &ledger), ==, 0);
    quota_ledger_close(ledger);
}

static void test_other_boot(void)
{
    g_autofree char *path = ledger_path();
    struct quota_ledger *ledger = scratch_ledger("acme");
    struct quota_header header = ledger->header;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    quota_ledger_close(ledger);
    if (!g_file_test("/proc/sys/kernel/random/boot_id", G_FILE_TEST_EXISTS)) {
        g_test_skip("no boot id here");
        return;
    }
    header.boot_id[3] ^= 0x55;
    for (size_t i = 0; i < offsetof(struct quota_header, checksum); i++) {
        hash = (hash ^ ((unsigned char *)&header)[i]) *
               UINT64_C(0x100000001b3);
    }
    header.checksum = hash;
    spoil(0, &header, sizeof(header));
    assert_refused(-ESTALE);
    assert_made_anew();
}

/* Whoever maps a ledger that was replaced can tell. */
static void test_replaced(void)
{
    struct quota_ledger *old = scratch_ledger("acme");

    g_assert_true(quota_ledger_is_current(old));
    quota_ledger_unlink("vg0", "acme");
    g_assert_false(quota_ledger_is_current(old));
    assert_made_anew();
    g_assert_false(quota_ledger_is_current(old));
    quota_ledger_close(old);
}

static void test_bad_names(void)
{
    struct quota_ledger *ledger;
    char path[QUOTA_LEDGER_PATH_BYTES];

    g_assert_cmpint(quota_ledger_create("vg0", "../up", &ledger), ==, -EINVAL);
    g_assert_cmpint(quota_ledger_create("..", "acme", &ledger), ==, -EINVAL);
    g_assert_cmpint(quota_group_lock("a/b"), ==, -EINVAL);
    g_assert_cmpint(quota_ledger_path("vg0", "acme", path, 8), ==,
                    -ENAMETOOLONG);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ledger/missing", test_missing);
    g_test_add_func("/ledger/truncated", test_truncated);
    g_test_add_func("/ledger/not-a-ledger", test_not_a_ledger);
    g_test_add_func("/ledger/other-version", test_other_version);
    g_test_add_func("/ledger/every-header-bit", test_every_header_bit);
    g_test_add_func("/ledger/other-boot", test_other_boot);
    g_test_add_func("/ledger/replaced", test_replaced);
    g_test_add_func("/ledger/bad-names", test_bad_names);
    return scratch_run();
}
