/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ledger.c: creates, finds, opens and closes the files of ledgers, and locks
 * groups.  A ledger gets its name only when its header is complete, so no
 * program ever maps an incomplete one.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ledger.h"

static const char *ledger_dir = QUOTA_LEDGER_DIR;
static const struct quota_features known = QUOTA_FEATURES_KNOWN;
static const struct quota_features made = QUOTA_FEATURES_MADE;

/* What -EPROTONOSUPPORT was about when this thread last got it. */
static _Thread_local char version_text[160] =
    "has another major version than this program";

void quota_ledger_set_dir(const char *dir)
{
    ledger_dir = dir;
}

/* FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/ */
static uint64_t header_checksum(const struct quota_header *header)
{
    const unsigned char *p = (const unsigned char *)header;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < offsetof(struct quota_header, checksum); i++) {
        hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* The kernel's id of this boot; zeroes where /proc cannot be read. */
static void read_boot_id(uint8_t id[16])
{
    char text[64] = "";
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    size_t n = 0;

    memset(id, 0, 16);
    if (fd < 0) {
        return;
    }
    if (read(fd, text, sizeof(text) - 1) > 0) {
        for (const char *p = text; n < 16 && p[0] && p[1]; ) {
            unsigned byte;

            if (*p == '-') {
                p++;
            } else if (sscanf(p, "%2x", &byte) == 1) {
                id[n++] = byte;
                p += 2;
            } else {
                break;
            }
        }
    }
    close(fd);
    if (n != 16) {
        memset(id, 0, 16);
    }
}

static int check_features(const struct quota_features *features, bool writable)
{
    uint64_t incompatible = features->incompatible & ~known.incompatible;
    uint64_t write = writable ? features->write & ~known.write : 0;

    if (!(incompatible | write)) {
        return 0;
    }
    snprintf(version_text, sizeof(version_text),
             "needs features that this program does not know (incompatible "
             "bits %#" PRIx64 ", write bits %#" PRIx64 ")", incompatible,
             write);
    return -EPROTONOSUPPORT;
}

/* Of a file whose magic is right. */
static int check_header(const struct quota_header *header, bool writable)
{
    static const uint8_t unknown[16];
    uint8_t boot_id[16];

    if (header->version_major != QUOTA_LEDGER_MAJOR) {
        snprintf(version_text, sizeof(version_text),
                 "has another major version (%u) than this program (%u)",
                 header->version_major, QUOTA_LEDGER_MAJOR);
        return -EPROTONOSUPPORT;
    }
    if (header->checksum != header_checksum(header) ||
        header->file_bytes < QUOTA_LEDGER_LEAST_BYTES ||
        !memchr(header->group, '\0', sizeof(header->group)) ||
        !memchr(header->tenant, '\0', sizeof(header->tenant))) {
        return -EBADMSG;
    }
    read_boot_id(boot_id);
    if (memcmp(boot_id, unknown, 16) != 0 &&
        memcmp(header->boot_id, unknown, 16) != 0 &&
        memcmp(boot_id, header->boot_id, 16) != 0) {
        return -ESTALE;
    }
    return check_features(&header->features, writable);
}

static void init_file(struct quota_ledger_file *file,
                      const char *group, const char *tenant)
{
    struct quota_header *header = &file->header;

    memset(file, 0, sizeof(*file));
    atomic_init(&file->sample.sampled_bytes, QUOTA_UNSAMPLED);
    memcpy(header->magic, QUOTA_LEDGER_MAGIC, sizeof(header->magic));
    header->version_major = QUOTA_LEDGER_MAJOR;
    header->version_minor = QUOTA_LEDGER_MINOR;
    header->file_bytes = sizeof(*file);
    header->features = made;
    read_boot_id(header->boot_id);
    snprintf(header->group, sizeof(header->group), "%s", group);
    snprintf(header->tenant, sizeof(header->tenant), "%s", tenant);
    header->checksum = header_checksum(header);
}

static int group_dir(const char *group, char *path, size_t size)
{
    int n;

    if (quota_name_check_group(group, NULL) < 0) {
        return -EINVAL;
    }
    n = snprintf(path, size, "%s/%s", ledger_dir, group);
    return (size_t)n >= size ? -ENAMETOOLONG : 0;
}

int quota_ledger_path(const char *group, const char *tenant,
                      char *path, size_t size)
{
    size_t len;
    int ret, n;

    if (quota_name_check_tenant(tenant, NULL) < 0) {
        return -EINVAL;
    }
    ret = group_dir(group, path, size);
    if (ret < 0) {
        return ret;
    }
    len = strlen(path);
    n = snprintf(path + len, size - len, "/%s", tenant);
    return (size_t)n >= size - len ? -ENAMETOOLONG : 0;
}

static int make_group_dir(const char *group)
{
    char path[QUOTA_LEDGER_PATH_BYTES];
    int ret = group_dir(group, path, sizeof(path));

    if (ret < 0) {
        return ret;
    }
    if ((mkdir(ledger_dir, 0700) < 0 && errno != EEXIST) ||
        (mkdir(path, 0700) < 0 && errno != EEXIST)) {
        return -errno;
    }
    return 0;
}

int quota_ledger_open_fd(int fd, bool writable, struct quota_ledger **ledger)
{
    struct quota_ledger *l = calloc(1, sizeof(*l));
    int prot = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    size_t size = sizeof(*l->file);
    struct stat st;
    int ret;

    *ledger = NULL;
    if (!l) {
        return -ENOMEM;
    }
    pthread_mutex_init(&l->attach_mutex, NULL);
    l->file = MAP_FAILED;
    l->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (l->fd < 0 || fstat(l->fd, &st) < 0) {
        ret = -errno;
        goto fail;
    }
    if (!S_ISREG(st.st_mode)) {
        ret = -EILSEQ;
        goto fail;
    }
    /* Read the header before the length is judged: "not a ledger" says more
     * of a short text file than "truncated" does. */
    memset(&l->header, 0, sizeof(l->header));
    if (pread(l->fd, &l->header, sizeof(l->header), 0) < 0) {
        ret = -errno;
        goto fail;
    }
    if (st.st_size > 0 && memcmp(l->header.magic, QUOTA_LEDGER_MAGIC,
                                 sizeof(l->header.magic)) != 0) {
        ret = -EILSEQ;
        goto fail;
    }
    if ((size_t)st.st_size < sizeof(l->header)) {
        ret = -ENODATA;
        goto fail;
    }
    ret = check_header(&l->header, writable);
    if (ret < 0) {
        goto fail;
    }
    if ((size_t)st.st_size < l->header.file_bytes) {
        ret = -ENODATA;
        goto fail;
    }
    /* Map zeroes past the end of an older file: reads there need no check, and
     * raise no SIGBUS. */
    if (size > l->header.file_bytes) {
        size = l->header.file_bytes;
    }
    l->file = mmap(NULL, sizeof(*l->file), prot, MAP_PRIVATE | MAP_ANONYMOUS,
                   -1, 0);
    if (l->file == MAP_FAILED ||
        mmap(l->file, size, prot, MAP_SHARED | MAP_FIXED, l->fd, 0) ==
        MAP_FAILED) {
        ret = -errno;
        goto fail;
    }
    *ledger = l;
    return 0;

fail:
    quota_ledger_close(l);
    return ret;
}

int quota_ledger_open(const char *path, bool writable,
                      struct quota_ledger **ledger)
{
    int fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    int ret;

    *ledger = NULL;
    if (fd < 0) {
        return -errno;
    }
    ret = quota_ledger_open_fd(fd, writable, ledger);
    close(fd);
    return ret;
}

/* Create a complete ledger under a temporary name, then rename it. */
static int create_file(const char *group, const char *tenant, const char *path)
{
    char temporary[QUOTA_LEDGER_PATH_BYTES + 16];
    struct quota_ledger_file *file;
    int fd, ret = 0;

    /* A tenant's name never begins with a dot. */
    snprintf(temporary, sizeof(temporary), "%.*s/.%s.new",
             (int)(strrchr(path, '/') - path), path, tenant);
    unlink(temporary);
    fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -errno;
    }
    /* posix_fallocate, not ftruncate: a full tmpfs fails now, not by a SIGBUS
     * later. */
    ret = -posix_fallocate(fd, 0, sizeof(*file));
    if (ret < 0) {
        goto out;
    }
    file = mmap(NULL, sizeof(*file), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (file == MAP_FAILED) {
        ret = -errno;
        goto out;
    }
    init_file(file, group, tenant);
    munmap(file, sizeof(*file));
    if (rename(temporary, path) < 0) {
        ret = -errno;
    }
out:
    close(fd);
    if (ret < 0) {
        unlink(temporary);
    }
    return ret;
}

/*
 * Whether a ledger that was refused for its version is newer than this program
 * and has writers.  If we replaced it, its writers would be refused, while
 * other programs of their version would use our ledger.  When in doubt, leave
 * it.
 */
static bool is_newer_in_use(const char *path)
{
    struct flock lock = {
        .l_type = F_WRLCK,
        .l_whence = SEEK_SET,
        .l_start = QUOTA_ATTACH_LOCK,
        .l_len = 0,             /* and all that follow */
    };
    struct quota_header header = { .version_major = UINT16_MAX };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is_in_use;

    if (fd < 0) {
        return true;
    }
    is_in_use = pread(fd, &header, sizeof(header), 0) < 0 ||
                (header.version_major >= QUOTA_LEDGER_MAJOR &&
                 (fcntl(fd, F_OFD_GETLK, &lock) < 0 ||
                  lock.l_type != F_UNLCK));
    close(fd);
    return is_in_use;
}

int quota_ledger_create(const char *group, const char *tenant,
                        struct quota_ledger **ledger)
{
    char path[QUOTA_LEDGER_PATH_BYTES];
    int ret;

    *ledger = NULL;
    ret = quota_ledger_path(group, tenant, path, sizeof(path));
    if (ret < 0) {
        return ret;
    }
    ret = make_group_dir(group);
    if (ret < 0) {
        return ret;
    }
    ret = quota_ledger_open(path, true, ledger);
    if (ret == 0) {
        if (strcmp((*ledger)->header.group, group) == 0 &&
            strcmp((*ledger)->header.tenant, tenant) == 0) {
            return 0;
        }
        quota_ledger_close(*ledger);
        *ledger = NULL;
    } else if (ret == -EACCES || ret == -EPERM || ret == -ENOMEM ||
               ret == -EMFILE || ret == -ENFILE ||
               (ret == -EPROTONOSUPPORT && is_newer_in_use(path))) {
        return ret;
    }
    ret = create_file(group, tenant, path);
    return ret < 0 ? ret : quota_ledger_open(path, true, ledger);
}

int quota_ledger_new_private(const char *tenant, struct quota_ledger **ledger)
{
    struct quota_ledger *l = calloc(1, sizeof(*l));

    *ledger = NULL;
    if (!l) {
        return -ENOMEM;
    }
    pthread_mutex_init(&l->attach_mutex, NULL);
    l->fd = -1;
    l->file = mmap(NULL, sizeof(*l->file), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (l->file == MAP_FAILED) {
        quota_ledger_close(l);
        return -ENOMEM;
    }
    init_file(l->file, "", tenant);
    l->header = l->file->header;
    *ledger = l;
    return 0;
}

void quota_ledger_close(struct quota_ledger *ledger)
{
    if (!ledger) {
        return;
    }
    if (ledger->file != MAP_FAILED) {
        munmap(ledger->file, sizeof(*ledger->file));
    }
    if (ledger->fd >= 0) {
        close(ledger->fd);
    }
    pthread_mutex_destroy(&ledger->attach_mutex);
    free(ledger);
}

int quota_ledger_unlink(const char *group, const char *tenant)
{
    char path[QUOTA_LEDGER_PATH_BYTES];
    int ret = quota_ledger_path(group, tenant, path, sizeof(path));

    if (ret < 0) {
        return ret;
    }
    return unlink(path) < 0 ? -errno : 0;
}

const char *quota_ledger_tenant(const struct quota_ledger *ledger)
{
    return ledger->header.tenant;
}

bool quota_ledger_is_current(const struct quota_ledger *ledger)
{
    char path[QUOTA_LEDGER_PATH_BYTES];
    struct stat ours, named;

    if (ledger->fd < 0) {
        return true;
    }
    return quota_ledger_path(ledger->header.group, ledger->header.tenant,
                             path, sizeof(path)) == 0 &&
           fstat(ledger->fd, &ours) == 0 && stat(path, &named) == 0 &&
           ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
}

const char *quota_ledger_strerror(int error)
{
    switch (error < 0 ? -error : error) {
    case ENOENT:
        return "does not exist";
    case ENODATA:
        return "is truncated";
    case EILSEQ:
        return "is not a quota-lvm ledger";
    case EPROTONOSUPPORT:
        return version_text;
    case EBADMSG:
        return "is damaged: its header does not match its checksum";
    case ESTALE:
        return "was left over from before the last boot";
    case EACCES:
    case EPERM:
        return "may not be opened by this user";
    default:
        return "cannot be opened";
    }
}

/* How often a lock that may not be waited for without end is tried. */
#define GROUP_LOCK_PAUSE_NS 500000

static int group_lock_path(const char *group,
                           char path[QUOTA_LEDGER_PATH_BYTES])
{
    int ret = group_dir(group, path, QUOTA_LEDGER_PATH_BYTES - sizeof("/.lock"));

    if (ret == 0) {
        strcat(path, "/.lock");
    }
    return ret;
}

static int group_lock_open(const char *group)
{
    char path[QUOTA_LEDGER_PATH_BYTES];
    int fd, ret;

    ret = make_group_dir(group);
    if (ret == 0) {
        ret = group_lock_path(group, path);
    }
    if (ret < 0) {
        return ret;
    }
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : fd;
}

int quota_group_lock(const char *group)
{
    int fd = group_lock_open(group);

    while (fd >= 0 && flock(fd, LOCK_EX) < 0) {
        if (errno != EINTR) {
            int ret = -errno;

            close(fd);
            return ret;
        }
    }
    return fd;
}

int quota_group_lock_timed(const char *group, unsigned seconds)
{
    const struct timespec pause = { .tv_nsec = GROUP_LOCK_PAUSE_NS };
    uint64_t end = quota_clock_ns() + seconds * UINT64_C(1000000000);
    int fd = group_lock_open(group);

    if (fd < 0) {
        return fd;
    }
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int error = errno;

        if (error == EWOULDBLOCK && quota_clock_ns() >= end) {
            error = ETIMEDOUT;
        } else if (error == EWOULDBLOCK) {
            nanosleep(&pause, NULL);
            continue;
        } else if (error == EINTR) {
            continue;
        }
        close(fd);
        return -error;
    }
    return fd;
}

void quota_group_lock_note(int lock_fd, pid_t pid, const char *verb)
{
    char text[QUOTA_VERB_MAX_BYTES + 64];
    int length = snprintf(text, sizeof(text), "%d %.*s %" PRIu64 "\n", (int)pid,
                          QUOTA_VERB_MAX_BYTES, verb,
                          quota_clock_ns() / 1000000000);

    /* For people only: a full /run must not keep anybody from the lock. */
    if (pwrite(lock_fd, text, length, 0) == length) {
        (void)!ftruncate(lock_fd, length);
    }
}

int quota_group_lock_holder(const char *group, struct quota_lock_holder *holder)
{
    char path[QUOTA_LEDGER_PATH_BYTES], text[QUOTA_VERB_MAX_BYTES + 64] = "";
    uint64_t now = quota_clock_ns() / 1000000000, since;
    int fd, pid, ret = group_lock_path(group, path);

    if (ret < 0) {
        return ret;
    }
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    ret = read(fd, text, sizeof(text) - 1) < 0 ? -errno : 0;
    close(fd);
    if (ret == 0 && sscanf(text, "%d %31[a-z-] %" SCNu64, &pid, holder->verb,
                           &since) != 3) {
        ret = -ENODATA;
    }
    if (ret == 0) {
        holder->pid = pid;
        holder->seconds = now > since ? now - since : 0;
    }
    return ret;
}

void quota_group_unlock(int lock_fd)
{
    close(lock_fd);
}
