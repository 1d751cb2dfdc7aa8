/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file that is not this tenant's ledger must be told apart and refused, and
 * replaced when the ledger is recreated. */
#include <fcntl.h>
#include <sys/stat.h>
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
    g_assert_cmpint(quota_ledger_open(path, false, &ledger), ==, error);
    g_assert_null(ledger);
    g_assert_cmpstr(quota_ledger_strerror(error), !=, "cannot be opened");
    g_assert_cmpstr(quota_ledger_strerror(error), ==,
                    quota_ledger_strerror(-error));
}

static void forge(struct quota_header *header)
{
    g_autofree char *path = ledger_path();

    scratch_forge(path, header);
}

static void assert_made_anew(void)
{
    struct quota_ledger *ledger = scratch_ledger("acme");

    g_assert_cmpstr(quota_ledger_tenant(ledger), ==, "acme");
    g_assert_cmpstr(ledger->header.group, ==, "vg0");
    g_assert_true(quota_ledger_is_current(ledger));
    quota_ledger_close(ledger);
}

static void test_missing(void)
{
    quota_ledger_unlink("vg0", "acme");
    assert_refused(-ENOENT);
    assert_made_anew();
}

/* Whether the answer could change at this length: in the header's page, in the
 * last one, and around the beginning of each page, which is each volume's. */
static bool is_telling(size_t len)
{
    return len <= 4096 || len >= sizeof(struct quota_ledger_file) - 4096 ||
           (len + 1) % 4096 < 3;
}

/* At every length what begins as a ledger is refused; none crashes.  Cut from the
 * end, so that one file serves all lengths.  There are half a million, each some calls
 * of the system: only with "-m slow" are all of them tried. */
static void test_truncated(void)
{
    g_autofree char *path = ledger_path();
    struct quota_ledger *ledger = scratch_ledger("acme");
    struct quota_header header = ledger->header;
    int fd;

    quota_ledger_close(ledger);
    fd = scratch_other("acme", &header, sizeof(header),
                       sizeof(struct quota_ledger_file), 0);
    for (size_t len = sizeof(struct quota_ledger_file); len-- > 0; ) {
        int ret;

        if (!g_test_slow() && !is_telling(len)) {
            continue;
        }
        g_assert_cmpint(truncate(path, len), ==, 0);
        ret = quota_ledger_open(path, true, &ledger);
        g_assert_cmpint(ret, ==, len > 0 && len < 8 ? -EILSEQ : -ENODATA);
        g_assert_null(ledger);
    }
    close(fd);
    assert_made_anew();
}

/* Who holds a ledger's descriptor can neither cut it off under others that map it, nor
 * make it grow, nor allow that again; and a file that lacks a seal is refused. */
static void test_size_changed(void)
{
    const int seals[] = {
        0, F_SEAL_SHRINK | F_SEAL_GROW, F_SEAL_SHRINK | F_SEAL_SEAL,
        F_SEAL_GROW | F_SEAL_SEAL,
    };
    struct quota_ledger *ledger = scratch_ledger("acme"), *refused;
    g_autofree char *path = ledger_path();
    struct quota_header header = ledger->header;
    off_t size = sizeof(struct quota_ledger_file);
    g_autofree char *plain = NULL;
    int fd = open(path, O_RDWR);

    g_assert_cmpint(fd, >=, 0);
    for (off_t to = 0; to <= 2 * size; to += 4096) {
        g_assert_cmpint(ftruncate(fd, to), ==, to == size ? 0 : -1);
    }
    g_assert_cmpint(fallocate(fd, 0, 0, size + 4096), <, 0);
    g_assert_cmpint(pwrite(fd, "more", 4, size), <, 0);
    g_assert_cmpint(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), <, 0);
    g_assert_cmpint(errno, ==, EPERM);
    g_assert_cmpint(lseek(fd, 0, SEEK_END), ==, size);
    close(fd);
    quota_ledger_close(ledger);

    for (size_t i = 0; i < G_N_ELEMENTS(seals); i++) {
        fd = scratch_other("acme", &header, sizeof(header), size, seals[i]);
        assert_refused(-EBADFD);
        close(fd);
    }
    plain = g_malloc0(size);
    memcpy(plain, &header, sizeof(header));
    quota_ledger_unlink("vg0", "acme");
    g_assert_true(g_file_set_contents(path, plain, size, NULL));
    g_assert_cmpint(quota_ledger_open(path, true, &refused), ==, -EBADFD);
    assert_made_anew();
}

/* A page that nobody has touched takes no memory. */
static void test_size_in_memory(void)
{
    struct quota_ledger *ledger = scratch_ledger("acme");
    struct stat st;

    g_assert_cmpint(fstat(ledger->fd, &st), ==, 0);
    g_assert_cmpint(st.st_blocks * 512, <=, 2 * 4096);
    quota_ledger_close(ledger);
    quota_ledger_unlink("vg0", "acme");
}

static void test_not_a_ledger(void)
{
    g_autofree char *path = ledger_path();

    g_assert_true(g_file_set_contents(path, "hello\n", -1, NULL));
    assert_refused(-EILSEQ);
    assert_made_anew();
}

/* What begins as a ledger of another major version is said to be that,
 * whatever the rest of it looks like to us; and is not taken for damaged. */
static void test_other_major(void)
{
    const uint16_t majors[] = { 0, QUOTA_LEDGER_MAJOR - 1,
                                QUOTA_LEDGER_MAJOR + 1, UINT16_MAX };

    for (size_t i = 0; i < G_N_ELEMENTS(majors); i++) {
        struct quota_header header;
        struct quota_ledger *ledger = scratch_ledger("acme");
        g_autofree char *words = NULL;

        header = ledger->header;
        quota_ledger_close(ledger);
        spoil(offsetof(struct quota_header, version_major), &majors[i],
              sizeof(majors[i]));
        assert_refused(-EPROTONOSUPPORT);
        header.version_major = majors[i];
        forge(&header);
        assert_refused(-EPROTONOSUPPORT);
        words = g_strdup_printf("has another major version (%u) than this "
                                "program (%u)", majors[i], QUOTA_LEDGER_MAJOR);
        g_assert_cmpstr(quota_ledger_strerror(-EPROTONOSUPPORT), ==, words);
        assert_made_anew();
    }
}

/* A newer minor version has fields where padding is now, and may have more
 * behind the end: it is used as it is, by writer, sampler and publisher, and
 * what we do not know stays. */
static void test_newer_minor(void)
{
    g_autofree char *path = ledger_path();
    const size_t size = sizeof(struct quota_ledger_file);
    struct quota_ledger *ledger = scratch_ledger("acme"), *same, *own;
    struct quota_header header = ledger->header;
    struct quota_writer *writer;
    struct quota_usage usage;
    char more[64], after[64], pad[sizeof(ledger->file->pad)];
    int fd;

    memset(more, 0x5a, sizeof(more));
    memset(pad, 0x5a, sizeof(pad));
    quota_ledger_close(ledger);
    header.version_minor = QUOTA_LEDGER_MINOR + 1;
    memset(header.reserved, 0x5a, sizeof(header.reserved));
    header.file_bytes = size + sizeof(more);
    forge(&header);
    assert_refused(-ENODATA);           /* shorter than it says */
    header = scratch_header(path);
    fd = scratch_other("acme", &header, sizeof(header), size + sizeof(more), 0);
    spoil(size, more, sizeof(more));
    spoil(offsetof(struct quota_ledger_file, pad), pad, sizeof(pad));
    g_assert_cmpint(fcntl(fd, F_ADD_SEALS, SCRATCH_SEALS), ==, 0);

    g_assert_cmpint(quota_ledger_open(path, true, &ledger), ==, 0);
    g_assert_cmpuint(ledger->header.version_minor, ==, QUOTA_LEDGER_MINOR + 1);
    g_assert_cmpstr(quota_ledger_tenant(ledger), ==, "acme");
    same = scratch_ledger("acme");      /* kept, not recreated */
    g_assert_true(quota_ledger_is_current(ledger));
    quota_ledger_close(same);

    own = scratch_open("acme");
    writer = scratch_writer(own, "disk0");
    scratch_publish(ledger, GIB, 0, GIB);
    scratch_sample(ledger, 5 * MIB, QUOTA_REASON_NONE);
    g_assert_cmpint(quota_bytes_reserve(writer, MIB), ==, 0);
    quota_usage_read(ledger, &usage);
    g_assert_cmpuint(usage.used_bytes, ==, 6 * MIB);
    quota_bytes_settle(writer, MIB);
    quota_writer_detach(writer);
    quota_ledger_close(own);

    for (size_t i = 0; i < sizeof(ledger->file->pad); i++) {
        g_assert_cmpint(ledger->file->pad[i], ==, 0x5a);
    }
    g_assert_cmpint(pread(ledger->fd, after, sizeof(after), size), ==,
                    sizeof(after));
    g_assert_cmpmem(more, sizeof(more), after, sizeof(after));
    quota_ledger_close(ledger);
    quota_ledger_unlink("vg0", "acme");
    close(fd);
    assert_made_anew();
}

/* A file that was made as its header says. */
static int made_as(struct quota_header *header)
{
    g_autofree char *name = g_strdup_printf("quota-lvm:%s/%s", header->group,
                                            header->tenant);
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    header->checksum = scratch_checksum(header);
    g_assert_cmpint(ftruncate(fd, sizeof(struct quota_ledger_file)), ==, 0);
    g_assert_cmpint(pwrite(fd, header, sizeof(*header), 0), ==, sizeof(*header));
    g_assert_cmpint(fcntl(fd, F_ADD_SEALS, SCRATCH_SEALS), ==, 0);
    return fd;
}

/* The checksum is no secret: each field is looked at all the same. */
static void test_forged_header(void)
{
    g_autofree char *path = ledger_path();
    struct quota_header good, header;
    struct quota_ledger *ledger = scratch_ledger("acme");
    int fd;

    good = ledger->header;
    quota_ledger_close(ledger);

    header = good;
    header.file_bytes = QUOTA_LEDGER_LEAST_BYTES - 1;
    forge(&header);
    assert_refused(-EBADMSG);
    header = good;
    memset(header.group, 'x', sizeof(header.group));
    forge(&header);
    assert_refused(-EBADMSG);
    header = good;
    memset(header.tenant, 'x', sizeof(header.tenant));
    forge(&header);
    assert_refused(-EBADMSG);

    /* Names that are none find no file. */
    header = good;
    memcpy(header.tenant, "../acme", 8);
    forge(&header);
    assert_refused(-EXDEV);
    fd = made_as(&header);
    g_assert_cmpint(quota_ledger_open_fd(fd, true, &ledger), ==, 0);
    close(fd);
    g_assert_false(quota_ledger_is_current(ledger));
    g_assert_cmpint(quota_ledger_restore(ledger), ==, -EINVAL);
    quota_ledger_close(ledger);

    header = good;
    memset(header.group, 'x', QUOTA_GROUP_MAX_BYTES);
    forge(&header);
    assert_refused(-EXDEV);
    fd = made_as(&header);              /* longer than the path */
    g_assert_cmpint(quota_ledger_name("vg0", "acme", fd), ==, 0);
    assert_refused(-EXDEV);
    close(fd);
    assert_made_anew();

    /* Another tenant's, or group's, under this one's name. */
    header = good;
    memcpy(header.tenant, "emca", 5);
    forge(&header);
    assert_refused(-EXDEV);
    assert_made_anew();
    header = good;
    memcpy(header.group, "vg1", 4);
    forge(&header);
    assert_made_anew();

    /* Not known to whoever made it: not checked. */
    header = good;
    memset(header.boot_id, 0, sizeof(header.boot_id));
    forge(&header);
    quota_ledger_close(scratch_open("acme"));
    quota_ledger_unlink("vg0", "acme");
}

static void test_bad_descriptors(void)
{
    g_autofree char *path = ledger_path();
    struct quota_ledger *ledger;
    int fd;

    assert_made_anew();
    g_assert_cmpint(quota_ledger_open_fd(-1, true, &ledger), ==, -EBADF);
    g_assert_cmpint(quota_ledger_open(scratch_dir, false, &ledger), ==,
                    -EILSEQ);
    fd = open(path, O_WRONLY);
    g_assert_cmpint(quota_ledger_open_fd(fd, false, &ledger), ==, -EBADF);
    close(fd);
    fd = open(scratch_dir, O_RDONLY);
    g_assert_cmpint(quota_ledger_open_fd(fd, false, &ledger), ==, -EILSEQ);
    close(fd);
    fd = open(path, O_RDONLY);
    g_assert_cmpint(quota_ledger_open_fd(fd, true, &ledger), ==, -EACCES);
    g_assert_null(ledger);
    g_assert_cmpint(quota_ledger_open_fd(fd, false, &ledger), ==, 0);
    g_assert_cmpuint(quota_writer_count(ledger), ==, 0);
    quota_ledger_close(ledger);
    close(fd);
    quota_ledger_close(NULL);
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
    struct quota_ledger *ledger = scratch_ledger("acme");
    struct quota_header header = ledger->header;

    quota_ledger_close(ledger);
    if (!g_file_test("/proc/sys/kernel/random/boot_id", G_FILE_TEST_EXISTS)) {
        g_test_skip("no boot id here");
        return;
    }
    header.boot_id[3] ^= 0x55;
    forge(&header);
    assert_refused(-ESTALE);
    assert_made_anew();
}

/* Whoever maps a ledger that was replaced can tell. */
static void test_replaced(void)
{
    struct quota_ledger *old = scratch_ledger("acme"), *other;

    other = scratch_open("acme");
    g_assert_true(quota_ledger_is_same(old, other));
    quota_ledger_close(other);
    other = scratch_ledger("globex");
    g_assert_false(quota_ledger_is_same(old, other));
    quota_ledger_close(other);
    quota_ledger_unlink("vg0", "globex");
    g_assert_true(quota_ledger_is_current(old));
    g_assert_cmpint(quota_ledger_restore(old), ==, 0);
    quota_ledger_unlink("vg0", "acme");
    g_assert_false(quota_ledger_is_current(old));
    g_assert_cmpint(quota_ledger_restore(old), ==, -ESTALE);
    assert_made_anew();
    g_assert_false(quota_ledger_is_current(old));
    g_assert_cmpint(quota_ledger_restore(old), ==, -ESTALE);
    quota_ledger_close(old);
}

static void test_bad_names(void)
{
    struct quota_ledger *ledger;
    char path[QUOTA_LEDGER_PATH_BYTES];

    g_assert_cmpint(quota_ledger_create("vg0", "../up", &ledger), ==, -EINVAL);
    g_assert_cmpint(quota_ledger_create("..", "acme", &ledger), ==, -EINVAL);
    g_assert_cmpint(quota_group_lock("a/b", 60), ==, -EINVAL);
    g_assert_cmpint(quota_ledger_path("vg0", "acme", path, 8), ==,
                    -ENAMETOOLONG);
    g_assert_cmpint(quota_ledger_path("vg0", "acme", path,
                                      strlen(scratch_dir) + 8), ==,
                    -ENAMETOOLONG);
    g_assert_cmpint(quota_ledger_unlink("vg0", "no/good"), ==, -EINVAL);
}

/* A directory is made where there is none; one whose name leaves no room for a
 * group's is refused. */
static void test_directories(void)
{
    g_autofree char *part = g_strnfill(200, 'd');
    g_autofree char *parent = g_build_filename(scratch_dir, part, NULL);
    g_autofree char *dir = NULL, *fill = NULL;
    int lock;

    g_assert_cmpint(g_mkdir(parent, 0700), ==, 0);
    dir = g_build_filename(parent, "new", NULL);
    quota_ledger_set_dir(dir);
    lock = quota_group_lock("vg0", 60);
    g_assert_cmpint(lock, >=, 0);
    quota_group_unlock(lock);
    /* Room for the group's directory, and none for its lock. */
    fill = g_strnfill(QUOTA_LEDGER_PATH_BYTES - 6 - strlen(parent), '/');
    g_free(dir);
    dir = g_strconcat(parent, fill, NULL);
    quota_ledger_set_dir(dir);
    g_assert_cmpint(quota_group_lock("vg0", 60), ==, -ENAMETOOLONG);
    quota_ledger_set_dir(scratch_dir);
}

static void test_words(void)
{
    for (int error = 0; error < 200; error++) {
        g_assert_nonnull(quota_ledger_strerror(-error));
    }
    g_assert_cmpstr(quota_ledger_strerror(-EACCES), ==,
                    quota_ledger_strerror(-EPERM));
    g_assert_cmpstr(quota_ledger_strerror(-ENOSPC), ==, "cannot be opened");
}

/* Nobody replaces one that has no file. */
static void test_private(void)
{
    struct quota_ledger *ledger;

    g_assert_cmpint(quota_ledger_new_private("acme", &ledger), ==, 0);
    g_assert_true(quota_ledger_is_current(ledger));
    g_assert_cmpstr(quota_ledger_tenant(ledger), ==, "acme");
    quota_ledger_close(ledger);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ledger/missing", test_missing);
    g_test_add_func("/ledger/truncated", test_truncated);
    g_test_add_func("/ledger/size-changed", test_size_changed);
    g_test_add_func("/ledger/size-in-memory", test_size_in_memory);
    g_test_add_func("/ledger/not-a-ledger", test_not_a_ledger);
    g_test_add_func("/ledger/other-major", test_other_major);
    g_test_add_func("/ledger/newer-minor", test_newer_minor);
    g_test_add_func("/ledger/forged-header", test_forged_header);
    g_test_add_func("/ledger/bad-descriptors", test_bad_descriptors);
    g_test_add_func("/ledger/every-header-bit", test_every_header_bit);
    g_test_add_func("/ledger/other-boot", test_other_boot);
    g_test_add_func("/ledger/replaced", test_replaced);
    g_test_add_func("/ledger/bad-names", test_bad_names);
    g_test_add_func("/ledger/directories", test_directories);
    g_test_add_func("/ledger/words", test_words);
    g_test_add_func("/ledger/private", test_private);
    return scratch_run();
}
