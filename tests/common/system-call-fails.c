/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A call of the system that fails must be told as an error, leave nothing
 * behind, spoil no ledger that was there, and succeed when it is tried again.
 *
 * The linker puts the functions below in place of the C library's (--wrap); the
 * Nth call fails, for N = 1, 2, ... until a run is clean. */
#include <fcntl.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch.h"

static unsigned calls, fail_at; /* of the calls below; 0: none fails */
static int fail_errno;
static const char *read_text;   /* what read() reads; NULL: what there is */
static void (*before_fcntl)(void);
static bool is_other_device;    /* what stat() says */
static bool is_unconnected;     /* what connect() does not say */
static unsigned refused_memfd_flags;    /* by an older kernel */

static bool fails(void)
{
    calls++;
    if (calls != fail_at) {
        return false;
    }
    errno = fail_errno;
    return true;
}

#define WRAP(type, name, params) \
    type __real_##name params; \
    type __wrap_##name params; \
    type __wrap_##name params

WRAP(void *, aligned_alloc, (size_t alignment, size_t size))
{
    return fails() ? NULL : __real_aligned_alloc(alignment, size);
}

WRAP(void *, calloc, (size_t count, size_t size))
{
    return fails() ? NULL : __real_calloc(count, size);
}

WRAP(int, open64, (const char *path, int flags, ...))
{
    mode_t mode = 0;

    if (flags & O_CREAT) {
        va_list ap;

        va_start(ap, flags);
        mode = va_arg(ap, int);
        va_end(ap);
    }
    return fails() ? -1 : __real_open64(path, flags, mode);
}

WRAP(ssize_t, read, (int fd, void *buffer, size_t size))
{
    if (read_text) {
        return g_strlcpy(buffer, read_text, size);
    }
    return fails() ? -1 : __real_read(fd, buffer, size);
}

WRAP(ssize_t, pread64, (int fd, void *buffer, size_t size, off_t offset))
{
    return fails() ? -1 : __real_pread64(fd, buffer, size, offset);
}

WRAP(int, fstat64, (int fd, struct stat *st))
{
    return fails() ? -1 : __real_fstat64(fd, st);
}

WRAP(int, stat64, (const char *path, struct stat *st))
{
    int ret = fails() ? -1 : __real_stat64(path, st);

    st->st_dev += is_other_device;
    return ret;
}

WRAP(int, fcntl64, (int fd, int command, ...))
{
    va_list ap;
    void *argument;

    va_start(ap, command);
    argument = va_arg(ap, void *);
    va_end(ap);
    if (before_fcntl) {
        before_fcntl();
    }
    return fails() ? -1 : __real_fcntl64(fd, command, argument);
}

WRAP(void *, mmap64, (void *at, size_t length, int prot, int flags, int fd,
                      off_t offset))
{
    return fails() ? MAP_FAILED
                   : __real_mmap64(at, length, prot, flags, fd, offset);
}

WRAP(int, mkdir, (const char *path, mode_t mode))
{
    return fails() ? -1 : __real_mkdir(path, mode);
}

WRAP(int, rename, (const char *from, const char *to))
{
    return fails() ? -1 : __real_rename(from, to);
}

WRAP(int, lstat64, (const char *path, struct stat *st))
{
    return fails() ? -1 : __real_lstat64(path, st);
}

WRAP(int, symlink, (const char *to, const char *path))
{
    return fails() ? -1 : __real_symlink(to, path);
}

WRAP(ssize_t, readlink, (const char *path, char *target, size_t size))
{
    return fails() ? -1 : __real_readlink(path, target, size);
}

WRAP(int, memfd_create, (const char *name, unsigned flags))
{
    if (refused_memfd_flags & flags) {
        errno = EINVAL;
        return -1;
    }
    return fails() ? -1 : __real_memfd_create(name, flags);
}

WRAP(int, fchmod, (int fd, mode_t mode))
{
    return fails() ? -1 : __real_fchmod(fd, mode);
}

WRAP(int, ftruncate64, (int fd, off_t length))
{
    return fails() ? -1 : __real_ftruncate64(fd, length);
}

WRAP(int, dup3, (int fd, int to, int flags))
{
    return fails() ? -1 : __real_dup3(fd, to, flags);
}

WRAP(int, socket, (int domain, int type, int protocol))
{
    return fails() ? -1 : __real_socket(domain, type, protocol);
}

WRAP(int, connect, (int fd, const struct sockaddr *to, socklen_t length))
{
    return is_unconnected ? 0 : __real_connect(fd, to, length);
}

WRAP(int, setsockopt, (int fd, int level, int name, const void *value,
                       socklen_t length))
{
    return fails() ? -1 : __real_setsockopt(fd, level, name, value, length);
}

WRAP(int, flock, (int fd, int operation))
{
    return fails() ? -1 : __real_flock(fd, operation);
}

/* ---- each operation, with each of its calls failing ---------------------- */

static struct quota_ledger *ledger;     /* of "acme", there before */

static int op_lock(void)
{
    int fd = quota_group_lock("vg1", 60);

    if (fd < 0) {
        return fd;
    }
    quota_group_unlock(fd);
    return 0;
}

static int op_lock_timed(void)
{
    int fd = quota_group_lock("vg1", 0);

    if (fd < 0) {
        return fd;
    }
    quota_group_unlock(fd);
    return 0;
}

static int op_create(void)
{
    struct quota_ledger *made;
    int ret = quota_ledger_create("vg1", "acme", &made);

    g_assert_cmpint(ret == 0, ==, made != NULL);
    if (made) {
        g_assert_cmpuint(made->file->header.checksum, !=, 0);
        quota_ledger_close(made);
    }
    return ret;
}

/* What is there, and cannot be opened for want of something, is kept. */
static int op_open_or_create(void)
{
    struct quota_ledger *opened;
    int ret = quota_ledger_create("vg0", "acme", &opened);
    bool is_kept;

    g_assert_cmpint(ret == 0, ==, opened != NULL);
    quota_ledger_close(opened);
    fail_at = 0;
    is_kept = quota_ledger_is_current(ledger);
    g_assert_true(is_kept || fail_errno == EIO || fail_errno == EINTR ||
                  fail_errno == ENOSPC || fail_errno == EINVAL);
    if (!is_kept) {
        quota_ledger_close(ledger);
        ledger = scratch_ledger("acme");
    }
    return ret;
}

/* One of a newer version that nobody uses is replaced. */
static int op_replace_newer(void)
{
    const unsigned calls_before = calls, fail_at_then = fail_at;
    g_autofree char *name = g_strdup_printf("quota-lvm:vg0/acme %u:0:0",
                                            QUOTA_LEDGER_MAJOR + 1);
    struct quota_header header = ledger->header;
    struct quota_ledger *made;
    unsigned calls_then;
    int ret, fd;

    fail_at = 0;
    header.version_major = QUOTA_LEDGER_MAJOR + 1;
    header.checksum = scratch_checksum(&header);
    fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    g_assert_cmpint(ftruncate(fd, header.file_bytes), ==, 0);
    g_assert_cmpint(pwrite(fd, &header, sizeof(header), 0), ==, sizeof(header));
    g_assert_cmpint(fcntl(fd, F_ADD_SEALS, SCRATCH_SEALS), ==, 0);
    g_assert_cmpint(quota_ledger_name("vg0", "acme", fd), ==, 0);
    fail_at = fail_at_then;
    calls = calls_before;
    ret = quota_ledger_create("vg0", "acme", &made);
    calls_then = calls;
    fail_at = 0;
    g_assert_cmpint(ret == 0, ==, made != NULL);
    quota_ledger_close(made);
    close(fd);
    g_assert_cmpint(quota_ledger_name("vg0", "acme", ledger->fd), ==, 0);
    fail_at = fail_at_then;
    calls = calls_then;
    return ret;
}

static int op_open(void)
{
    char path[QUOTA_LEDGER_PATH_BYTES];
    struct quota_ledger *opened;
    int ret;

    quota_ledger_path("vg0", "acme", path, sizeof(path));
    ret = quota_ledger_open(path, false, &opened);
    g_assert_cmpint(ret == 0, ==, opened != NULL);
    quota_ledger_close(opened);
    return ret;
}

static int op_private(void)
{
    struct quota_ledger *made;
    int ret = quota_ledger_new_private("acme", &made);

    g_assert_cmpint(ret == 0, ==, made != NULL);
    quota_ledger_close(made);
    return ret;
}

static int op_attach(void)
{
    struct quota_writer *writer;
    int ret = quota_writer_attach(ledger, "disk0", &writer);

    g_assert_cmpint(ret == 0, ==, writer != NULL);
    quota_writer_detach(writer);
    return ret;
}

static int op_audit(void)
{
    int ret;

    /* somebody who is dead */
    quota_store(&quota_writer_at(ledger, 1)->owner, 1);
    ret = quota_writer_audit(ledger);
    return ret < 0 ? ret : 0;
}

static int op_limit_volume(void)
{
    const struct quota_limits none = { 0 };

    return quota_volume_publish(ledger, "disk0", &none, 0);
}

static int op_is_current(void)
{
    return quota_ledger_is_current(ledger) ? 0 : -ESTALE;
}

static int op_is_same(void)
{
    return quota_ledger_is_same(ledger, ledger) ? 0 : -ESTALE;
}

/* One that this process has not kept before. */
static int op_keep(void)
{
    const unsigned calls_before = calls, fail_at_then = fail_at;
    struct quota_ledger *made;
    int ret;

    fail_at = 0;
    quota_ledger_unlink("vg2", "acme");
    fail_at = fail_at_then;
    calls = calls_before;
    ret = quota_ledger_create("vg2", "acme", &made);
    g_assert_cmpint(ret == 0, ==, made != NULL);
    quota_ledger_close(made);
    if (ret < 0) {
        fail_at = 0;
        g_assert_cmpint(quota_ledger_create("vg2", "acme", &made), ==, 0);
        quota_ledger_close(made);
    }
    return ret;
}

static int op_descriptor(void)
{
    int fd = quota_ledger_descriptor("vg0", "acme");

    if (fd >= 0) {
        close(fd);
    }
    return fd < 0 ? fd : 0;
}

/* The process that kept it has ended. */
static int op_restore(void)
{
    g_autofree char *path = g_build_filename(scratch_dir, "vg0", "acme", NULL);

    unlink(path);
    g_assert_cmpint(__real_symlink("/proc/self/fd/1000000", path), ==, 0);
    return quota_ledger_restore(ledger);
}

struct operation {
    const char *name;
    int (*run)(void);
};

static const struct operation operations[] = {
    { "group-lock", op_lock },
    { "group-lock-timed", op_lock_timed },
    { "create", op_create },
    { "open-or-create", op_open_or_create },
    { "replace-newer", op_replace_newer },
    { "open", op_open },
    { "private", op_private },
    { "attach", op_attach },
    { "audit", op_audit },
    { "limit-volume", op_limit_volume },
    { "is-current", op_is_current },
    { "is-same", op_is_same },
    { "keep", op_keep },
    { "descriptor", op_descriptor },
    { "restore", op_restore },
};

/* Another one than before when a descriptor was left open, or closed twice. */
static int next_descriptor(void)
{
    int fd = dup(ledger->fd);

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    return fd;
}

static void test_operation(gconstpointer opaque)
{
    static const int errors[] = {
        EIO, EACCES, EPERM, ENOMEM, EMFILE, ENFILE, EINTR, ENOSPC, EINVAL,
    };
    const struct operation *op = opaque;
    g_autofree char *vg1 = g_build_filename(scratch_dir, "vg1", NULL);
    g_autofree char *left = g_build_filename(vg1, ".acme.new", NULL);

    /* Kept from now on. */
    g_assert_cmpint(op_create(), ==, 0);
    g_assert_cmpint(op_keep(), ==, 0);
    for (size_t e = 0; e < G_N_ELEMENTS(errors); e++) {
        bool is_clean = false;
        unsigned failed = 0;

        fail_errno = errors[e];
        for (unsigned n = 1; !is_clean; n++) {
            int descriptor, ret;

            ledger = scratch_ledger("acme");
            quota_writer_detach(scratch_writer(ledger, "disk0"));
            scratch_remove(vg1);
            descriptor = next_descriptor();
            calls = 0;
            fail_at = n;
            ret = op->run();
            is_clean = calls < n;
            fail_at = 0;
            failed += ret < 0;
            g_assert_true(ret <= 0 && !(is_clean && ret < 0));
            g_assert_false(g_file_test(left, G_FILE_TEST_IS_SYMLINK));
            g_assert_cmpint(next_descriptor(), ==, descriptor);
            g_assert_cmpint(op->run(), ==, 0);
            quota_ledger_unlink("vg0", "acme");
            quota_ledger_close(ledger);
        }
        g_assert_cmpuint(calls, >, 0);
        /* A lock that somebody has is no error, nor is a signal. */
        g_assert_true(failed > 0 || fail_errno == EACCES ||
                      fail_errno == EINTR);
    }
}

/* ---- what the kernel may say besides ------------------------------------- */

static void check_unknown_boot(const char *text)
{
    struct quota_ledger *made;

    read_text = text;
    quota_ledger_unlink("vg0", "acme");
    made = scratch_ledger("acme");
    read_text = NULL;
    for (int i = 0; i < 16; i++) {
        g_assert_cmpuint(made->header.boot_id[i], ==, 0);
    }
    quota_ledger_close(made);
    /* Not known then, so not checked now; nor the other way round. */
    g_assert_cmpint(op_open(), ==, 0);
    quota_ledger_unlink("vg0", "acme");
    quota_ledger_close(scratch_ledger("acme"));
    read_text = text;
    g_assert_cmpint(op_open(), ==, 0);
    read_text = NULL;
}

static void test_unknown_boot(void)
{
    check_unknown_boot("");
    check_unknown_boot("0011-22");
    check_unknown_boot("001");
    check_unknown_boot("nothing like an id that anybody knows");
}

/* Linux before 6.3 */
static void test_older_kernel(void)
{
    quota_ledger_unlink("vg0", "acme");
    refused_memfd_flags = 8;
    quota_ledger_close(scratch_ledger("acme"));
    refused_memfd_flags = 0;
    quota_ledger_unlink("vg0", "acme");
}

/* It ends between a client's connection and its request. */
static void test_keeper_ends(void)
{
    is_unconnected = true;
    quota_ledger_unlink("vg0", "acme");
    quota_ledger_close(scratch_ledger("acme"));
    is_unconnected = false;
}

static void test_other_device(void)
{
    ledger = scratch_ledger("acme");
    g_assert_true(quota_ledger_is_current(ledger));
    is_other_device = true;
    g_assert_false(quota_ledger_is_current(ledger));
    is_other_device = false;
    quota_ledger_close(ledger);
}

static void detach_slot(void)
{
    quota_store(&quota_writer_at(ledger, 0)->owner, 0);
}

/* Who looks dead may have detached before its lock was had. */
static void test_detached_meanwhile(void)
{
    ledger = scratch_ledger("acme");
    quota_writer_detach(scratch_writer(ledger, "disk0"));
    quota_store(&quota_writer_at(ledger, 0)->owner, 1);
    before_fcntl = detach_slot;
    g_assert_cmpint(quota_writer_audit(ledger), ==, 0);
    before_fcntl = NULL;
    quota_ledger_close(ledger);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(operations); i++) {
        char *path = g_strconcat("/fails/", operations[i].name, NULL);

        g_test_add_data_func(path, &operations[i], test_operation);
        g_free(path);
    }
    g_test_add_func("/fails/unknown-boot", test_unknown_boot);
    g_test_add_func("/fails/older-kernel", test_older_kernel);
    g_test_add_func("/fails/keeper-ends", test_keeper_ends);
    g_test_add_func("/fails/other-device", test_other_device);
    g_test_add_func("/fails/detached-meanwhile", test_detached_meanwhile);
    return scratch_run();
}
