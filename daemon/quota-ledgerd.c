/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quota-ledgerd.c: keep every tenant's ledger open, so that it outlives quota-lvmd,
 * libvirtd and guests, and give it its name.
 *
 * It reads and checks only the header of a ledger and does nothing else, so there
 * should be no reason to restart it.  During a restart systemd keeps the descriptors
 * (FileDescriptorStoreMax=); if they are lost, quota-lvmd gives them back
 * (quota_ledger_restore).
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef HAVE_LIBSYSTEMD
# include <systemd/sd-daemon.h>
#endif

#include "config-tools.h"
#include "log.h"
#include "quota-keep.h"

/* Kept: a ledger. */
typedef struct {
    int fd;
    uint64_t number;            /* in systemd's store, where a number is a name */
} Kept;

typedef struct {
    int socket_fd;
    uint64_t number;            /* the last one given */
    GHashTable *ledgers;        /* "group/tenant" -> Kept */
} Ledgerd;

/* ---- systemd's store ----------------------------------------------------- */

static void
ledgerd_store(const Kept *kept)
{
#ifdef HAVE_LIBSYSTEMD
    g_autofree char *text = g_strdup_printf("FDSTORE=1\nFDPOLL=0\nFDNAME=%" PRIx64,
                                            kept->number);

    (void)sd_pid_notify_with_fds(0, 0, text, &kept->fd, 1);
#else
    (void)kept;
#endif
}

static void
ledgerd_store_remove(uint64_t number)
{
#ifdef HAVE_LIBSYSTEMD
    (void)sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%" PRIx64, number);
#else
    (void)number;
#endif
}

/* ---- what is kept -------------------------------------------------------- */

static void
kept_free(gpointer data)
{
    Kept *kept = data;

    ledgerd_store_remove(kept->number);
    close(kept->fd);
    g_free(kept);
}

/* ledgerd_key: "group/tenant" of a descriptor that is open on a ledger; NULL. */
static char *
ledgerd_key(int fd)
{
    struct quota_ledger *ledger;
    char *key;

    if (quota_ledger_open_fd(fd, false, &ledger) < 0)
        return NULL;
    key = g_strdup_printf("%s/%s", quota_ledger_group(ledger),
                          quota_ledger_tenant(ledger));
    quota_ledger_close(ledger);
    return key;
}

static int
ledgerd_take(Ledgerd *ledgerd, const struct quota_keep_request *request, int fd)
{
    g_autofree char *asked = g_strdup_printf("%s/%s", request->group,
                                             request->tenant);
    g_autofree char *key = ledgerd_key(fd);
    Kept *kept;
    int ret;

    if (!key || !g_str_equal(key, asked))
        return -EINVAL;
    kept = g_new0(Kept, 1);
    kept->number = ++ledgerd->number;
    /* so that no lock of the sender's stays with us */
    kept->fd = quota_file_reopen(fd, O_RDWR);
    ret = MIN(kept->fd, 0);
    if (ret == 0) {
        ledgerd_store(kept);
        ret = quota_ledger_name(request->group, request->tenant, kept->fd);
    }
    if (ret < 0) {
        log_message(LOG_ERR, "ledger of %s: cannot be kept: %s", asked,
                    g_strerror(-ret));
        kept_free(kept);
        return ret;
    }
    g_hash_table_replace(ledgerd->ledgers, g_steal_pointer(&key), kept);
    return 0;
}

/* ledgerd_has_name: whether the ledger's path is there, wherever it leads to. */
static bool
ledgerd_has_name(const char *group, const char *tenant)
{
    char path[QUOTA_LEDGER_PATH_BYTES];
    struct stat st;

    return quota_ledger_path(group, tenant, path, sizeof(path)) == 0 &&
        lstat(path, &st) == 0;
}

static int
ledgerd_drop(Ledgerd *ledgerd, const struct quota_keep_request *request)
{
    g_autofree char *key = g_strdup_printf("%s/%s", request->group,
                                           request->tenant);

    if (!ledgerd_has_name(request->group, request->tenant))
        g_hash_table_remove(ledgerd->ledgers, key);
    return 0;
}

/* ledgerd_sweep: forget the ledgers whose names were removed by hand. */
static void
ledgerd_sweep(Ledgerd *ledgerd)
{
    GHashTableIter iter;
    gpointer key;

    g_hash_table_iter_init(&iter, ledgerd->ledgers);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        g_auto(GStrv) names = g_strsplit(key, "/", 2);

        if (!ledgerd_has_name(names[0], names[1]))
            g_hash_table_iter_remove(&iter);
    }
}

/* ---- start --------------------------------------------------------------- */

#ifdef HAVE_LIBSYSTEMD
/* ledgerd_take_back: a descriptor that systemd has kept. */
static void
ledgerd_take_back(Ledgerd *ledgerd, int fd, uint64_t number)
{
    g_autofree char *key = ledgerd_key(fd);
    g_auto(GStrv) names = g_strsplit(key ? key : "", "/", 2);
    Kept *kept = g_new0(Kept, 1), *other;

    kept->fd = fd;
    kept->number = number;
    ledgerd->number = MAX(ledgerd->number, number);
    other = key ? g_hash_table_lookup(ledgerd->ledgers, key) : NULL;
    /* The later one of two: we were killed before the other one was dropped. */
    if (!key || (other && other->number > number) ||
        !ledgerd_has_name(names[0], names[1]) ||
        quota_ledger_name(names[0], names[1], fd) < 0) {
        kept_free(kept);
        return;
    }
    g_hash_table_replace(ledgerd->ledgers, g_steal_pointer(&key), kept);
}
#endif

/* ledgerd_take_passed: the socket and the descriptors that systemd passes. */
static void
ledgerd_take_passed(Ledgerd *ledgerd)
{
#ifdef HAVE_LIBSYSTEMD
    g_auto(GStrv) names = NULL;
    int count = sd_listen_fds_with_names(1, &names);

    for (int i = 0; i < count; i++) {
        int fd = SD_LISTEN_FDS_START + i;

        if (sd_is_socket(fd, AF_UNIX, SOCK_SEQPACKET, 1) > 0)
            ledgerd->socket_fd = fd;
        else
            ledgerd_take_back(ledgerd, fd, g_ascii_strtoull(names[i], NULL, 16));
    }
#endif
}

/* ledgerd_listen: on a socket of our own; where systemd passed none. */
static int
ledgerd_listen(Ledgerd *ledgerd, const char *dir)
{
    struct sockaddr_un address;
    int ret = quota_keep_address(dir, &address);

    if (ret < 0)
        return ret;
    (void)unlink(address.sun_path);
    ledgerd->socket_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (ledgerd->socket_fd < 0 ||
        bind(ledgerd->socket_fd, (struct sockaddr *)&address,
             sizeof(address)) < 0 ||
        listen(ledgerd->socket_fd, SOMAXCONN) < 0)
        return -errno;
    return 0;
}

/* ---- requests ------------------------------------------------------------ */

/* ledgerd_receive: -1 in @fd if none was passed.  False: no request. */
static bool
ledgerd_receive(int peer, struct quota_keep_request *request, int *fd)
{
    struct iovec part = { .iov_base = request, .iov_len = sizeof(*request) };
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct msghdr message = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    ssize_t length = recvmsg(peer, &message, MSG_CMSG_CLOEXEC);
    struct cmsghdr *header;

    *fd = -1;
    header = length < 0 ? NULL : CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_level == SOL_SOCKET &&
        header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(fd, CMSG_DATA(header), sizeof(int));
    if (length != sizeof(*request) ||
        !memchr(request->group, '\0', sizeof(request->group)) ||
        !memchr(request->tenant, '\0', sizeof(request->tenant)))
        return false;
    return true;
}

/* ledgerd_serve: one client; it gets QUOTA_KEEP_SECONDS. */
static void
ledgerd_serve(Ledgerd *ledgerd, int peer)
{
    const struct timeval most = { .tv_sec = QUOTA_KEEP_SECONDS };
    struct quota_keep_request request;
    struct ucred who;
    socklen_t length = sizeof(who);
    int32_t answer = -EINVAL;
    int fd = -1;

    (void)setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
    (void)setsockopt(peer, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof(most));
    if (getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &who, &length) < 0 ||
        who.uid != geteuid() || !ledgerd_receive(peer, &request, &fd)) {
        answer = -EPERM;
    } else if (request.verb == QUOTA_KEEP_HELLO) {
        answer = 0;
    } else if (request.verb == QUOTA_KEEP_TAKE && fd >= 0) {
        ledgerd_sweep(ledgerd);
        answer = ledgerd_take(ledgerd, &request, fd);
    } else if (request.verb == QUOTA_KEEP_DROP) {
        answer = ledgerd_drop(ledgerd, &request);
    }
    if (fd >= 0)
        close(fd);
    (void)send(peer, &answer, sizeof(answer), MSG_NOSIGNAL);
}

int
main(int argc, char **argv)
{
    g_autofree char *dir = NULL;
    gboolean is_version = FALSE;
    const GOptionEntry entries[] = {
        { "directory", 0, 0, G_OPTION_ARG_FILENAME, &dir,
          "Name ledgers in DIR, for tests (default: " QUOTA_LEDGER_DIR ")", "DIR" },
        { "version", 'V', 0, G_OPTION_ARG_NONE, &is_version,
          "Print the version and exit", NULL },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;
    Ledgerd ledgerd = { .socket_fd = -1 };

    g_option_context_set_summary(context,
        "Keeps the ledgers of quota-lvm tenants while other programs restart.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || argc > 1) {
        g_printerr("quota-ledgerd: %s; see quota-ledgerd --help\n",
                   error ? error->message : "unexpected argument");
        return 2;
    }
    if (is_version) {
        g_print("quota-ledgerd %s\n", QUOTA_LVM_VERSION);
        return EXIT_SUCCESS;
    }
    log_init("quota-ledgerd", false);
    signal(SIGPIPE, SIG_IGN);
    if (dir)
        quota_ledger_set_dir(dir);
    ledgerd.ledgers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                            kept_free);
    ledgerd_take_passed(&ledgerd);
    if (ledgerd.socket_fd < 0) {
        int ret = ledgerd_listen(&ledgerd, dir ? dir : QUOTA_LEDGER_DIR);

        if (ret < 0) {
            log_message(LOG_ERR, "cannot listen in %s: %s; start "
                        "quota-ledgerd.socket", dir ? dir : QUOTA_LEDGER_DIR,
                        g_strerror(-ret));
            return EXIT_FAILURE;
        }
    }
    log_message(LOG_INFO, "%u ledgers taken over",
                g_hash_table_size(ledgerd.ledgers));
#ifdef HAVE_LIBSYSTEMD
    (void)sd_notify(0, "READY=1");
#endif
    for (;;) {
        int peer = accept4(ledgerd.socket_fd, NULL, NULL, SOCK_CLOEXEC);

        if (peer >= 0) {
            ledgerd_serve(&ledgerd, peer);
            close(peer);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            log_message(LOG_ERR, "cannot accept: %s", g_strerror(errno));
            g_usleep(G_USEC_PER_SEC);
        }
    }
}
