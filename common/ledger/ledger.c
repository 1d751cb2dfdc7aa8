/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ledger.c: creates, finds, opens and closes ledgers.
 *
 * A ledger is a memfd whose size is sealed: a process that has it open can neither
 * truncate it under the others that map it, nor extend it.  Its path is a link into
 * /proc, to the descriptor of the process that keeps it (keep.c).  A ledger gets its
 * path only when its header is complete, so no program ever maps an incomplete one.
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
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keep.h"
#include "ledger.h"
#include "path.h"

/* Linux 6.3; older kernels refuse it, and need it not. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif

#define LEDGER_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static const struct quota_features known = QUOTA_FEATURES_KNOWN;
static const struct quota_features made = QUOTA_FEATURES_MADE;

/* What -EPROTONOSUPPORT was about when this thread last got it. */
static _Thread_local char version_text[160] =
    "has another major version than this program";

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

/* @file is all zeroes.  Only what is not is touched: a page that nobody has touched
 * takes no memory. */
static void init_file(struct quota_ledger_file *file,
                      const char *group, const char *tenant)
{
    struct quota_header *header = &file->header;

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

/*
 * The name that a ledger's file is made with: its tenant, and the version and features
 * that a program must know.  The tenant can forge the header, but neither this name
 * nor the file's owner.
 */
#define MADE_PREFIX "quota-lvm:"
#define MADE_NAME_BYTES \
    (sizeof(MADE_PREFIX "/ 65535::") + 32 + \
     sizeof(((struct quota_header *)0)->group) + \
     sizeof(((struct quota_header *)0)->tenant))

/*
 * made_version: the part of a file's name behind that of its tenant, into @version.
 * -EXDEV: the file was not made to be this tenant's ledger.
 */
static int made_version(int fd, const char *group, const char *tenant,
                        char version[MADE_NAME_BYTES])
{
    char link[32], is[MADE_NAME_BYTES + 32] = "", should[MADE_NAME_BYTES + 32];
    struct stat st;
    int length;

    if (fstat(fd, &st) < 0) {
        return -errno;
    }
    if (st.st_uid != 0 && st.st_uid != geteuid()) {
        return -EXDEV;
    }
    length = snprintf(should, sizeof(should), "/memfd:" MADE_PREFIX "%s/%s ",
                      group, tenant);
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    if (readlink(link, is, sizeof(is) - 1) < 0) {
        return -errno;
    }
    if (strncmp(is, should, length) != 0) {
        return -EXDEV;
    }
    snprintf(version, MADE_NAME_BYTES, "%s", is + length);
    return 0;
}

int quota_ledger_open_fd(int fd, bool writable, struct quota_ledger **ledger)
{
    struct quota_ledger *l = calloc(1, sizeof(*l));
    int prot = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    size_t size = sizeof(*l->file);
    char version[MADE_NAME_BYTES];
    struct stat st;
    int seals, ret;

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
    /* A file has seals only if it is a memfd: -EINVAL for others. */
    seals = fcntl(l->fd, F_GET_SEALS);
    if (seals < 0 && errno != EINVAL) {
        ret = -errno;
        goto fail;
    }
    if (seals < 0 || (seals & LEDGER_SEALS) != LEDGER_SEALS) {
        ret = -EBADFD;
        goto fail;
    }
    ret = made_version(l->fd, l->header.group, l->header.tenant, version);
    if (ret < 0) {
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

/* Of a path that leads nowhere: whether the name is there. */
static bool is_dangling(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

static int open_path(const char *path)
{
    int fd = open(path, O_PATH | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

/* Open a ledger by its link.  The process id in the link may have been reused, so
 * only regular files are opened. */
static int open_name(const char *path, int flags)
{
    struct stat st;
    int name_fd = open_path(path);
    int ret = 0;

    if (name_fd == -ENOENT && is_dangling(path) && quota_keep_wait() == 0) {
        name_fd = open_path(path);
    }
    if (name_fd < 0) {
        return name_fd;
    }
    if (fstat(name_fd, &st) < 0) {
        ret = -errno;
    } else if (!S_ISREG(st.st_mode)) {
        ret = -EILSEQ;
    }
    if (ret == 0) {
        ret = quota_file_reopen(name_fd, flags);
    }
    close(name_fd);
    return ret;
}

/* Whether @path is the one that a ledger with this header has. */
static bool is_path_of(const struct quota_header *header, const char *path)
{
    char end[QUOTA_LEDGER_PATH_BYTES];
    size_t length = strlen(path);
    size_t n = snprintf(end, sizeof(end), "/%s/%s", header->group,
                        header->tenant);

    return n <= length && strcmp(path + length - n, end) == 0;
}

int quota_ledger_open(const char *path, bool writable,
                      struct quota_ledger **ledger)
{
    int fd = open_name(path, writable ? O_RDWR : O_RDONLY);
    int ret;

    *ledger = NULL;
    if (fd < 0) {
        return fd;
    }
    ret = quota_ledger_open_fd(fd, writable, ledger);
    close(fd);
    if (ret == 0 && !is_path_of(&(*ledger)->header, path)) {
        quota_ledger_close(*ledger);
        *ledger = NULL;
        ret = -EXDEV;
    }
    return ret;
}

int quota_ledger_descriptor(const char *group, const char *tenant)
{
    char path[QUOTA_LEDGER_PATH_BYTES];
    struct quota_ledger *ledger;
    int ret = quota_ledger_path(group, tenant, path, sizeof(path));

    if (ret == 0) {
        ret = quota_ledger_open(path, true, &ledger);
    }
    if (ret < 0) {
        return ret;
    }
    ret = quota_file_reopen(ledger->fd, O_RDWR);
    quota_ledger_close(ledger);
    return ret;
}

/* A ledger's file, complete and sealed, without a name. */
static int make_file(const char *group, const char *tenant)
{
    char name[MADE_NAME_BYTES];
    struct quota_ledger_file *file;
    int fd, ret = 0;

    snprintf(name, sizeof(name), MADE_PREFIX "%s/%s %u:%" PRIx64 ":%" PRIx64,
             group, tenant, QUOTA_LEDGER_MAJOR, made.incompatible, made.write);
    fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) {
        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    }
    if (fd < 0) {
        return -errno;
    }
    /* 0600: a process that is given a descriptor cannot open it again. */
    if (fchmod(fd, 0600) < 0 || ftruncate(fd, sizeof(*file)) < 0) {
        ret = -errno;
        goto out;
    }
    file = mmap(NULL, sizeof(*file), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (file == MAP_FAILED) {
        ret = -errno;
        goto out;
    }
    init_file(file, group, tenant);
    munmap(file, sizeof(*file));
    if (fcntl(fd, F_ADD_SEALS, LEDGER_SEALS) < 0) {
        ret = -errno;
    }
out:
    if (ret < 0) {
        close(fd);
        return ret;
    }
    return fd;
}

/* Whether some process holds a lock of a ledger's file, as writers do; in doubt,
 * true. */
static bool has_locks(int fd)
{
    struct flock lock = {
        .l_type = F_WRLCK,
        .l_whence = SEEK_SET,
        .l_start = QUOTA_ATTACH_LOCK,
        .l_len = 0,             /* and all that follow */
    };

    return fcntl(fd, F_OFD_GETLK, &lock) < 0 || lock.l_type != F_UNLCK;
}

/*
 * Whether a ledger that was refused for its version was made by a newer program and has
 * writers.  If we replaced it, its writers would be refused, while other programs of
 * their version would use our ledger.  One whose header alone says so was forged.
 */
static bool is_newer_in_use(const char *path, const char *group,
                            const char *tenant)
{
    char version[MADE_NAME_BYTES];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint64_t incompatible, write;
    bool is_in_use = false;
    unsigned major;

    if (fd < 0) {
        return true;
    }
    if (made_version(fd, group, tenant, version) == 0 &&
        sscanf(version, "%u:%" SCNx64 ":%" SCNx64, &major, &incompatible,
               &write) == 3) {
        is_in_use = (major > QUOTA_LEDGER_MAJOR ||
                     (major == QUOTA_LEDGER_MAJOR &&
                      (incompatible & ~known.incompatible ||
                       write & ~known.write))) && has_locks(fd);
    }
    close(fd);
    return is_in_use;
}

bool quota_ledger_is_in_use(const char *group, const char *tenant)
{
    char path[QUOTA_LEDGER_PATH_BYTES];
    int ret = quota_ledger_path(group, tenant, path, sizeof(path));
    bool is_in_use;

    if (ret == 0) {
        ret = open_name(path, O_RDONLY);
    }
    if (ret < 0) {
        return ret != -ENOENT;
    }
    is_in_use = has_locks(ret);
    close(ret);
    return is_in_use;
}

int quota_ledger_create(const char *group, const char *tenant,
                        struct quota_ledger **ledger)
{
    char path[QUOTA_LEDGER_PATH_BYTES];
    int fd, ret;

    *ledger = NULL;
    ret = quota_ledger_path(group, tenant, path, sizeof(path));
    if (ret < 0) {
        return ret;
    }
    ret = quota_make_group_dir(group);
    if (ret < 0) {
        return ret;
    }
    ret = quota_ledger_open(path, true, ledger);
    if (ret == 0 && !quota_ledger_is_whole(*ledger)) {
        quota_ledger_close(*ledger);
        *ledger = NULL;
        ret = -EUCLEAN;
    }
    if (ret == 0 || ret == -EACCES || ret == -EPERM || ret == -ENOMEM ||
        ret == -EMFILE || ret == -ENFILE ||
        (ret == -EPROTONOSUPPORT && is_newer_in_use(path, group, tenant))) {
        return ret;
    }
    fd = make_file(group, tenant);
    if (fd < 0) {
        return fd;
    }
    ret = quota_keep(path, group, tenant, fd);
    close(fd);
    return ret < 0 ? ret : quota_ledger_open(path, true, ledger);
}

bool quota_ledger_is_same(const struct quota_ledger *a,
                          const struct quota_ledger *b)
{
    struct stat first, second;

    /* Ledgers are files in memory, of one file system. */
    return fstat(a->fd, &first) == 0 && fstat(b->fd, &second) == 0 &&
           first.st_ino == second.st_ino;
}

int quota_ledger_restore(struct quota_ledger *ledger)
{
    char path[QUOTA_LEDGER_PATH_BYTES];
    int ret;

    if (quota_ledger_is_current(ledger)) {
        return 0;
    }
    ret = quota_ledger_path(ledger->header.group, ledger->header.tenant, path,
                            sizeof(path));
    if (ret < 0) {
        return ret;
    }
    /* By now, quota-ledgerd may have come back. */
    ret = open_name(path, O_RDONLY);
    if (ret >= 0) {
        close(ret);
        return quota_ledger_is_current(ledger) ? 0 : -ESTALE;
    }
    if (ret != -ENOENT || !is_dangling(path)) {
        return -ESTALE;
    }
    return quota_keep(path, ledger->header.group, ledger->header.tenant,
                      ledger->fd);
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
    if (unlink(path) < 0) {
        return -errno;
    }
    quota_keep_drop(path, group, tenant);
    return 0;
}

const char *quota_ledger_group(const struct quota_ledger *ledger)
{
    return ledger->header.group;
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

/* Every page in use has been written.  Nothing mapped is touched here: the fault would
 * wait for as long as somebody punches holes. */
bool quota_ledger_is_whole(const struct quota_ledger *ledger)
{
    const off_t at = offsetof(struct quota_ledger_file, counters.volumes);
    off_t used = offsetof(struct quota_ledger_file, volumes);
    uint32_t volumes = 0;

    if (ledger->fd < 0 ||
        pread(ledger->fd, &volumes, sizeof(volumes), at) < 0) {
        return true;                    /* not known otherwise */
    }
    if (volumes > QUOTA_LEDGER_VOLUMES) {
        volumes = QUOTA_LEDGER_VOLUMES;
    }
    used += (off_t)volumes * sizeof(struct quota_volume);
    return lseek(ledger->fd, 0, SEEK_HOLE) >= used;
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
    case EBADFD:
        return "is not sealed: whoever has it open could change its size";
    case EXDEV:
        return "is another tenant's";
    case ENOTCONN:
        return "cannot be made, since quota-ledgerd does not answer";
    case EUCLEAN:
        return "is damaged: a hole was punched into it; quota-lvmd replaces it";
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
