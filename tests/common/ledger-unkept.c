/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A ledger is lost with the process that keeps it, or another one is made while
 * guests use it; a quota-ledgerd that is slow, wrong or gone ends who asks it.
 *
 * quota-ledgerd is played by a thread: tests/daemon/ledgers-kept.sh has the real
 * one. */
#include <sys/socket.h>
#include <sys/stat.h>

#include "scratch.h"

#include "keep.h"
#include "path.h"

/* What the played one does with a request. */
enum play {
    PLAY_KEEP,                  /* what quota-ledgerd does */
    PLAY_REFUSE,
    PLAY_CLOSE,                 /* without an answer */
    PLAY_SHORT,                 /* half an answer */
    PLAY_BACK,                  /* comes back with what it kept, and keeps */
};

static _Atomic(enum play) play;
static atomic_int kept_fd = -1;
static atomic_uint asked[3];    /* by verb */
static int listener = -1;

static int take_request(int peer, struct quota_keep_request *request)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct iovec part = { request, sizeof(*request) };
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1,
        .msg_control = &control, .msg_controllen = sizeof(control),
    };
    int fd = -1;

    if (recvmsg(peer, &message, 0) != sizeof(*request)) {
        return -2;              /* the test's own, to end the thread */
    }
    if (CMSG_FIRSTHDR(&message)) {
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
    }
    return fd;
}

static gpointer serve(gpointer opaque)
{
    (void)opaque;
    for (;;) {
        struct quota_keep_request request;
        int peer = accept(listener, NULL, NULL);
        int fd = take_request(peer, &request);
        int32_t answer = 0;

        if (fd == -2) {
            close(peer);
            return NULL;
        }
        asked[request.verb]++;
        if (play == PLAY_BACK || (play == PLAY_KEEP && fd >= 0)) {
            if (fd >= 0) {
                if (kept_fd >= 0) {
                    close(kept_fd);
                }
                kept_fd = dup(fd);
            }
            answer = quota_ledger_name("vg0", "acme", kept_fd);
        }
        if (fd >= 0) {
            close(fd);
        }
        if (play == PLAY_REFUSE) {
            answer = -EDQUOT;
        }
        if (play != PLAY_CLOSE) {
            send(peer, &answer, play == PLAY_SHORT ? 2 : sizeof(answer),
                 MSG_NOSIGNAL);
        }
        close(peer);
    }
}

static GThread *start(enum play what)
{
    struct sockaddr_un address;

    play = what;
    for (size_t i = 0; i < G_N_ELEMENTS(asked); i++) {
        asked[i] = 0;
    }
    g_assert_cmpint(quota_keep_address(scratch_dir, &address), ==, 0);
    listener = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    g_assert_cmpint(bind(listener, (struct sockaddr *)&address,
                         sizeof(address)), ==, 0);
    g_assert_cmpint(listen(listener, 5), ==, 0);
    return g_thread_new("ledgerd", serve, NULL);
}

static void stop(GThread *thread)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

    quota_keep_address(scratch_dir, &address);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address,
                            sizeof(address)), ==, 0);
    close(fd);
    g_thread_join(thread);
    close(listener);
    unlink(address.sun_path);
}

static void dangle(void)
{
    g_autofree char *path = g_build_filename(scratch_dir, "vg0", "acme", NULL);

    unlink(path);
    g_assert_cmpint(symlink("/proc/self/fd/1000000", path), ==, 0);
}

static void end(struct quota_ledger *ledger)
{
    g_autofree char *path = g_build_filename(scratch_dir, "vg0", "acme", NULL);

    quota_ledger_close(ledger);
    unlink(path);
    if (kept_fd >= 0) {
        close(kept_fd);
    }
    kept_fd = -1;
}

static void test_kept(void)
{
    GThread *thread = start(PLAY_KEEP);
    struct quota_ledger *ledger = scratch_ledger("acme");
    struct stat ours, theirs;

    g_assert_cmpint(kept_fd, >=, 0);
    g_assert_cmpint(fstat(ledger->fd, &ours), ==, 0);
    g_assert_cmpint(fstat(kept_fd, &theirs), ==, 0);
    g_assert_cmpuint(ours.st_ino, ==, theirs.st_ino);
    g_assert_cmpuint(asked[QUOTA_KEEP_TAKE], ==, 1);
    quota_ledger_close(scratch_ledger("acme"));
    g_assert_cmpuint(asked[QUOTA_KEEP_TAKE], ==, 1);
    quota_ledger_unlink("vg0", "acme");
    g_assert_cmpuint(asked[QUOTA_KEEP_DROP], ==, 1);
    stop(thread);
    end(ledger);
}

/* Whoever asks is told; nothing gets the name. */
static void test_not_kept(gconstpointer opaque)
{
    enum play what = GPOINTER_TO_INT(opaque);
    GThread *thread = start(what);
    struct quota_ledger *ledger;
    int ret;

    quota_ledger_set_dir(scratch_dir);
    ret = quota_ledger_create("vg0", "acme", &ledger);
    if (what == PLAY_REFUSE) {
        g_assert_cmpint(ret, ==, -EDQUOT);
        g_assert_null(ledger);
        g_assert_cmpuint(asked[QUOTA_KEEP_TAKE], ==, 1);
        ledger = NULL;
    } else {
        /* Asked again, then kept by this process, since the directory is a
         * test's own. */
        g_assert_cmpint(ret, ==, 0);
        g_assert_cmpuint(asked[QUOTA_KEEP_TAKE], ==, 2);
    }
    stop(thread);
    quota_ledger_unlink("vg0", "acme");
    end(ledger);
}

/* Its keeper is restarted, and comes back with it: nobody makes another. */
static void test_restarted(void)
{
    GThread *thread = start(PLAY_KEEP);
    struct quota_ledger *ledger = scratch_ledger("acme"), *same;
    int fd;

    play = PLAY_BACK;
    dangle();
    g_assert_false(quota_ledger_is_current(ledger));
    same = scratch_ledger("acme");
    g_assert_true(quota_ledger_is_current(ledger));
    g_assert_true(quota_ledger_is_current(same));
    quota_ledger_close(same);
    dangle();
    quota_ledger_close(scratch_open("acme"));
    dangle();
    g_assert_cmpint(quota_ledger_restore(ledger), ==, 0);
    dangle();
    fd = quota_ledger_descriptor("vg0", "acme");
    g_assert_cmpint(fd, >=, 0);
    close(fd);
    g_assert_cmpuint(asked[QUOTA_KEEP_TAKE], ==, 1);
    stop(thread);
    end(ledger);
}

/* It comes back with nothing: a process that has the ledger open gives it back. */
static void test_given_back(void)
{
    GThread *thread = start(PLAY_KEEP);
    struct quota_ledger *ledger = scratch_ledger("acme");

    dangle();
    g_assert_cmpint(quota_ledger_restore(ledger), ==, 0);
    g_assert_true(quota_ledger_is_current(ledger));
    g_assert_cmpuint(asked[QUOTA_KEEP_TAKE], ==, 2);
    play = PLAY_REFUSE;
    dangle();
    g_assert_cmpint(quota_ledger_restore(ledger), ==, -EDQUOT);
    /* Not if another one has the name meanwhile. */
    play = PLAY_KEEP;
    quota_ledger_unlink("vg0", "acme");
    quota_ledger_close(scratch_ledger("acme"));
    g_assert_cmpint(quota_ledger_restore(ledger), ==, -ESTALE);
    stop(thread);
    end(ledger);
}

/* On a host nobody else keeps a ledger. */
static void test_missing(void)
{
    g_autofree char *path = g_build_filename(scratch_dir, "vg0", "acme", NULL);
    struct sockaddr_un address;
    int fd;

    g_assert_cmpint(quota_make_group_dir("vg0"), ==, 0);
    g_assert_cmpint(quota_keep_wait(), ==, -ENOTCONN);
    /* A socket that was left: whatever connect() says, the ledger is missing. */
    dangle();
    quota_keep_address(scratch_dir, &address);
    fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    close(fd);
    g_assert_cmpint(quota_ledger_descriptor("vg0", "acme"), ==, -ENOENT);
    unlink(address.sun_path);
    unlink(path);
    quota_ledger_set_dir(NULL);
    g_assert_cmpint(quota_keep("nowhere", "vg0", "acme", -1), <, 0);
    quota_ledger_set_dir(scratch_dir);
    g_assert_cmpstr(quota_ledger_strerror(-ENOTCONN), !=, "cannot be opened");
}

/* The link leads to a number that is another process's by now. */
static void test_other_process(void)
{
    g_autofree char *path = g_build_filename(scratch_dir, "vg0", "acme", NULL);
    g_autofree char *to = NULL;
    struct quota_ledger *ledger = scratch_ledger("globex");
    int pipes[2];

    to = g_strdup_printf("/proc/self/fd/%d", ledger->fd);
    g_assert_cmpint(symlink(to, path), ==, 0);
    g_assert_cmpint(quota_ledger_descriptor("vg0", "acme"), ==, -EXDEV);
    unlink(path);
    g_assert_cmpint(pipe(pipes), ==, 0);
    g_free(to);
    to = g_strdup_printf("/proc/self/fd/%d", pipes[0]);
    g_assert_cmpint(symlink(to, path), ==, 0);
    g_assert_cmpint(quota_ledger_descriptor("vg0", "acme"), ==, -EILSEQ);
    unlink(path);
    close(pipes[0]);
    close(pipes[1]);
    quota_ledger_close(ledger);
    quota_ledger_unlink("vg0", "globex");
    g_assert_cmpint(quota_ledger_descriptor("vg0", "acme"), ==, -ENOENT);
    g_assert_cmpint(quota_ledger_descriptor("vg0", "/"), ==, -EINVAL);
}

/* A tenant writes another's name into its own header: the file stays its own. */
static void test_forged_header(void)
{
    g_autofree char *path = g_build_filename(scratch_dir, "vg0", "acme", NULL);
    struct quota_ledger *ledger = scratch_ledger("globex"), *own;
    struct quota_header *header = &ledger->file->header;
    const uid_t nobody = 65534;

    memcpy(header->tenant, "acme", sizeof("acme"));
    header->checksum = scratch_checksum(header);
    g_assert_cmpint(quota_ledger_open_fd(ledger->fd, true, &own), ==, -EXDEV);
    g_assert_cmpint(quota_ledger_name("vg0", "acme", ledger->fd), ==, 0);
    g_assert_cmpint(quota_ledger_descriptor("vg0", "acme"), ==, -EXDEV);
    unlink(path);
    memcpy(header->tenant, "globex", sizeof("globex"));
    header->checksum = scratch_checksum(header);
    quota_ledger_close(scratch_open("globex"));
    /* And root refuses a user's own file, whatever its name. */
    if (geteuid() == 0) {
        g_assert_cmpint(fchown(ledger->fd, nobody, -1), ==, 0);
        g_assert_cmpint(quota_ledger_open_fd(ledger->fd, true, &own), ==, -EXDEV);
        g_assert_cmpint(seteuid(nobody), ==, 0);
        g_assert_cmpint(quota_ledger_open_fd(ledger->fd, true, &own), ==, 0);
        g_assert_cmpint(seteuid(0), ==, 0);
        quota_ledger_close(own);
    }
    quota_ledger_close(ledger);
    quota_ledger_unlink("vg0", "globex");
}

/* Whether a ledger is used is asked of the kernel: words of it can be forged. */
static void test_in_use(void)
{
    struct quota_ledger *ledger;
    struct quota_writer *writer;

    g_assert_false(quota_ledger_is_in_use("vg0", "acme"));
    g_assert_true(quota_ledger_is_in_use("vg0", "a/b"));
    ledger = scratch_ledger("acme");
    atomic_store(&quota_writer_at(ledger, 0)->owner, 1);
    atomic_store(&ledger->file->counters.volumes, 1);
    g_assert_false(quota_ledger_is_in_use("vg0", "acme"));
    writer = scratch_writer(ledger, "disk");
    g_assert_true(quota_ledger_is_in_use("vg0", "acme"));
    quota_writer_detach(writer);
    quota_ledger_close(ledger);
    quota_ledger_unlink("vg0", "acme");
}

/* The directory's name leaves no room for the socket's. */
static void test_long_directory(void)
{
    g_autofree char *dir = g_strnfill(200, 'd');
    struct sockaddr_un address;

    g_assert_cmpint(quota_make_group_dir("a/b"), ==, -EINVAL);
    g_assert_cmpint(quota_ledger_name("vg0", "a/b", 0), ==, -EINVAL);
    g_assert_cmpint(quota_keep_address(dir, &address), ==, -ENAMETOOLONG);
    quota_ledger_set_dir(dir);
    g_assert_cmpint(quota_keep_wait(), ==, -ENAMETOOLONG);
    quota_ledger_set_dir(scratch_dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/unkept/kept", test_kept);
    g_test_add_data_func("/unkept/refused", GINT_TO_POINTER(PLAY_REFUSE),
                         test_not_kept);
    g_test_add_data_func("/unkept/closed", GINT_TO_POINTER(PLAY_CLOSE),
                         test_not_kept);
    g_test_add_data_func("/unkept/short", GINT_TO_POINTER(PLAY_SHORT),
                         test_not_kept);
    g_test_add_func("/unkept/restarted", test_restarted);
    g_test_add_func("/unkept/given-back", test_given_back);
    g_test_add_func("/unkept/missing", test_missing);
    g_test_add_func("/unkept/other-process", test_other_process);
    g_test_add_func("/unkept/forged-header", test_forged_header);
    g_test_add_func("/unkept/in-use", test_in_use);
    g_test_add_func("/unkept/long-directory", test_long_directory);
    return scratch_run();
}
