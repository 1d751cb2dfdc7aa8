/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * command.c: run a command of LVM, and understand how it ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <quota-ledger.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "dm.h"
#include "lvm-host.h"

#define LVM_SETTINGS "activation { monitoring=0 error_when_full=1 } " \
    "report { compact_output=0 prefixes=0 columns_as_rows=0 }"

#define LVM_NO_CHECK " global { thin_check_executable=\"\" }"

/* A report of all devices takes 200 bytes for each. */
#define LVM_OUTPUT_MAX_BYTES (16 * 1024 * 1024)
#define LVM_MESSAGES_MAX_BYTES 4096

/* A day, for terabytes: only its caller waits. */
#define CHECK_PATIENCE_SEC 86400

void
lvm_command_add(char ***argv, const char *format, ...)
{
    guint length = g_strv_length(*argv);
    va_list args;

    va_start(args, format);
    *argv = g_renew(char *, *argv, length + 2);
    (*argv)[length] = g_strdup_vprintf(format, args);
    (*argv)[length + 1] = NULL;
    va_end(args);
}

static void
lvm_command_add_list(char ***argv, va_list args)
{
    const char *argument;

    while ((argument = va_arg(args, const char *)))
        lvm_command_add(argv, "%s", argument);
}

void
lvm_command_add_all(char ***argv, ...)
{
    va_list args;

    va_start(args, argv);
    lvm_command_add_list(argv, args);
    va_end(args);
}

char **
lvm_command(const char *program, ...)
{
    char **argv = g_new0(char *, 1);
    va_list args;

    lvm_command_add_all(&argv, program, "--config", LVM_SETTINGS, NULL);
    va_start(args, program);
    lvm_command_add_list(&argv, args);
    va_end(args);
    return argv;
}

void
lvm_command_skip_check(char **argv)
{
    g_return_if_fail(g_str_equal(argv[1], "--config"));
    g_free(argv[2]);
    argv[2] = g_strdup(LVM_SETTINGS LVM_NO_CHECK);
}

bool
lvm_command_skips_check(const char *settings)
{
    return g_str_has_suffix(settings, LVM_NO_CHECK);
}

char **
lvm_command_join(char *const *const *argvs, unsigned count)
{
    g_autoptr(GString) script = g_string_new("trap '' INT HUP TERM\n");
    g_autoptr(GString) names = g_string_new(NULL);
    char **argv = g_new0(char *, 1);
    unsigned at = 0;

    lvm_command_add_all(&argv, "sh", "-c", "", "", NULL);
    for (unsigned i = 0; i < count; i++) {
        for (char *const *argument = argvs[i]; *argument; argument++) {
            g_string_append_printf(script, "\"${%u}\" ", ++at);
            lvm_command_add(&argv, "%s", *argument);
        }
        g_string_append(script, "|| exit\n");
        g_string_append_printf(names, i ? " and %s" : "%s", argvs[i][0]);
    }
    g_free(argv[2]);
    argv[2] = g_string_free(g_steal_pointer(&script), FALSE);
    g_free(argv[3]);
    argv[3] = g_string_free(g_steal_pointer(&names), FALSE);
    return argv;
}

/* ---- a child ------------------------------------------------------------- */

typedef struct {
    pid_t pid;
    int output, messages;       /* files in memory; -1: not wanted */
    int status;                 /* of waitpid(2) */
} LvmChild;

static void
lvm_child_clear(LvmChild *child)
{
    if (child->output >= 0)
        close(child->output);
    if (child->messages >= 0)
        close(child->messages);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LvmChild, lvm_child_clear)

/* lvm_child_words: the first or the last @max bytes of a file in memory. */
static char *
lvm_child_words(int fd, size_t max, bool is_end)
{
    struct stat st;
    size_t length;
    ssize_t got;
    char *words;

    if (fd < 0 || fstat(fd, &st) < 0)
        return g_strdup("");
    length = MIN((size_t)st.st_size, max);
    words = g_malloc(length + 1);
    got = pread(fd, words, length, is_end ? st.st_size - (off_t)length : 0);
    words[MAX(got, 0)] = '\0';
    return words;
}

static int
lvm_child_start(const char *const *argv, int input, bool has_output,
                LvmChild *child)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int ret = null < 0 ? -errno : 0;

    child->output = has_output ? memfd_create("lvm-output", MFD_CLOEXEC) : -1;
    child->messages = memfd_create("lvm-messages", MFD_CLOEXEC);
    if (ret == 0 && (child->messages < 0 || (has_output && child->output < 0)))
        ret = -errno;
    if (ret == 0) {
        child->pid = lvm_host_get()->start(argv, input >= 0 ? input : null,
                                           has_output ? child->output : null,
                                           child->messages);
        ret = child->pid < 0 ? child->pid : 0;
    }
    if (null >= 0)
        close(null);
    return ret;
}

static int
lvm_child_reap(LvmChild *child)
{
    while (waitpid(child->pid, &child->status, 0) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return 0;
}

/* -ETIMEDOUT: it still runs. */
static int
lvm_child_wait(LvmChild *child, unsigned seconds)
{
    gint64 end = g_get_monotonic_time() + seconds * G_USEC_PER_SEC;
    struct pollfd pidfd = {
        .fd = syscall(SYS_pidfd_open, child->pid, 0),
        .events = POLLIN,
    };
    int ret = 0;

    /* Linux before 5.3, or a sandbox: there is no deadline then. */
    while (pidfd.fd >= 0 && ret == 0) {
        gint64 left = (end - g_get_monotonic_time()) / 1000;

        ret = left > 0 ? poll(&pidfd, 1, left) : -1;
        if (ret < 0 && left > 0 && errno == EINTR)
            ret = 0;
    }
    if (pidfd.fd >= 0)
        close(pidfd.fd);
    return ret < 0 ? -ETIMEDOUT : lvm_child_reap(child);
}

static gpointer
lvm_child_reaper(gpointer pid)
{
    LvmChild child = { .pid = GPOINTER_TO_INT(pid) };

    (void)lvm_child_reap(&child);
    return NULL;
}

/* lvm_child_leave: nobody waits for it any longer.  Without a thread it stays a
 * zombie, which is better than to end the host. */
static void
lvm_child_leave(const LvmChild *child)
{
    GThread *thread = g_thread_try_new("lvm-reaper", lvm_child_reaper,
                                       GINT_TO_POINTER(child->pid), NULL);

    if (thread)
        g_thread_unref(thread);
}

/* ---- what it says -------------------------------------------------------- */

/* lvm_messages_tidy: LVM's complaint in one line, without what LVM says of every
 * thin pool. */
static char *
lvm_messages_tidy(const char *messages)
{
    g_auto(GStrv) lines = g_strsplit(messages, "\n", -1);
    g_autoptr(GString) text = g_string_new(NULL);

    for (char **line = lines; *line; line++) {
        char *words = g_strstrip(*line);

        if (!*words || g_str_has_prefix(words, "WARNING: Sum of all thin") ||
            g_str_has_prefix(words, "WARNING: You have not turned on") ||
            g_str_has_prefix(words, "WARNING: Set activation/"))
            continue;
        if (text->len)
            g_string_append(text, "; ");
        g_string_append(text, words);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/*
 * What the words of a failure mean: LVM's exit status is 5 for every one.
 * "Insufficient free space: 1600 extents needed, but only 723 available" or
 * "Insufficient suitable allocatable extents for logical volume acme._thin: 3
 * more required"; "VG vg0 lock failed: held by other host." or "VG vg0 lock
 * failed: lock start in progress"; "/run/lock/lvm/P_global:aux: open failed:
 * Permission denied".
 */
static int
lvm_messages_error(const char *words)
{
    if (strstr(words, "nsufficient"))
        return -ENOSPC;
    if (strstr(words, "lock failed: held by other host") ||
        strstr(words, "lock failed: lock start in progress"))
        return -EBUSY;
    if (strstr(words, "already exists"))
        return -EEXIST;
    if (strstr(words, "Permission denied") ||
        strstr(words, "Operation not permitted"))
        return -EPERM;
    return -EIO;
}

/* lvm_command_name: all that a joined command runs, for people. */
static const char *
lvm_command_name(const char *const *argv)
{
    return g_str_equal(argv[0], "sh") ? argv[3] : argv[0];
}

static bool
lvm_command_refuse(const char *const *argv, const char *group, int error,
                   char *text, LvmRefusal *why)
{
    lvm_refuse(why, LVM_WHY_COMMAND, group, NULL, lvm_command_name(argv), NULL);
    why->error = error;
    why->text = text;
    return false;
}

/* lvm_command_check: put the failure of a child that has ended into words. */
static bool
lvm_command_check(const char *const *argv, const char *group, LvmChild *child,
                  LvmRefusal *why)
{
    g_autofree char *messages = NULL;
    char *words;

    if (WIFEXITED(child->status) && WEXITSTATUS(child->status) == 0)
        return true;
    if (WIFSIGNALED(child->status))
        return lvm_command_refuse(argv, group, -EIO,
                                  g_strdup_printf("it was killed by signal %d",
                                                  WTERMSIG(child->status)), why);
    messages = lvm_child_words(child->messages, LVM_MESSAGES_MAX_BYTES, true);
    words = lvm_messages_tidy(messages);
    if (!*words) {
        g_free(words);
        words = g_strdup("it gave no reason");
    }
    return lvm_command_refuse(argv, group, lvm_messages_error(words), words, why);
}

static bool
lvm_command_cannot(const char *const *argv, const char *group, int error,
                   LvmRefusal *why)
{
    return lvm_command_refuse(argv, group, error,
                              g_strdup_printf("it cannot be run: %s",
                                              g_strerror(-error)), why);
}

static bool
lvm_command_slow(const char *const *argv, const char *group, LvmRefusal *why)
{
    lvm_refuse(why, LVM_WHY_SLOW, group, NULL, lvm_command_name(argv), NULL);
    why->error = -ETIMEDOUT;
    why->asked = lvm_host_patience_sec();
    return false;
}

char *
lvm_command_ask(const char *const *argv, LvmRefusal *why)
{
    g_auto(LvmChild) child = { .output = -1, .messages = -1 };
    int ret = lvm_child_start(argv, -1, true, &child);

    if (ret == 0) {
        ret = lvm_child_wait(&child, lvm_host_patience_sec());
        if (ret == -ETIMEDOUT) {
            /* one that waits for a dead disk does not end of it */
            kill(child.pid, SIGKILL);
            lvm_child_leave(&child);
            lvm_command_slow(argv, NULL, why);
            return NULL;
        }
    }
    if (ret < 0) {
        lvm_command_cannot(argv, NULL, ret, why);
        return NULL;
    }
    if (!lvm_command_check(argv, NULL, &child, why))
        return NULL;
    return lvm_child_words(child.output, LVM_OUTPUT_MAX_BYTES, false);
}

bool
lvm_thin_check(const char *group, const char *lv)
{
    g_autofree char *metadata = g_strconcat(lv, LVM_METADATA_SUFFIX, NULL);
    g_autofree char *path = lvm_dm_path(group, metadata);
    const char *const argv[] = { "thin_check", "-q", path, NULL };
    g_auto(LvmChild) child = { .output = -1, .messages = -1 };

    if (!path || lvm_child_start(argv, -1, true, &child) < 0)
        return false;
    if (lvm_child_wait(&child, CHECK_PATIENCE_SEC) < 0) {
        kill(child.pid, SIGKILL);
        lvm_child_leave(&child);
        return false;
    }
    return WIFEXITED(child.status) && WEXITSTATUS(child.status) == 0;
}

bool
lvm_command_change(const char *const *argv, const char *group, int lock_fd,
                   LvmRefusal *why)
{
    g_auto(LvmChild) child = { .output = -1, .messages = -1 };
    int ret = lvm_child_start(argv, lock_fd, false, &child);

    if (ret == 0) {
        quota_group_lock_note(lock_fd, child.pid,
                              g_str_equal(argv[0], "sh") ? argv[4] : argv[0]);
        ret = lvm_child_wait(&child, lvm_host_patience_sec());
        if (ret == -ETIMEDOUT) {
            lvm_child_leave(&child);
            return lvm_command_slow(argv, group, why);
        }
    }
    if (ret < 0)
        return lvm_command_cannot(argv, group, ret, why);
    return lvm_command_check(argv, group, &child, why);
}
