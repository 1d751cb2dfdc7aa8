/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quota-lvmd.c: the daemon that samples every tenant's used bytes and grows
 * the thin pools in time.
 *
 * Keeps nothing that LVM and the kernel do not know: it may be killed at any
 * moment and is right again after its next start.
 */
#include <errno.h>
#include <glib-unix.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#ifdef HAVE_LIBSYSTEMD
# include <systemd/sd-daemon.h>
# define daemon_notify(...) sd_notifyf(0, __VA_ARGS__)
#else
# define daemon_notify(...) ((void)0)
#endif

#include "config-tools.h"
#include "host.h"
#include "instance.h"
#include "keeper.h"
#include "log.h"
#include "quota-ledger.h"
#include "watch.h"

typedef struct {
    GMainLoop *loop;
    Keeper *keeper;
    bool is_ready;
    unsigned tenants;           /* as was logged last */
    bool ok;
} Daemon;

typedef struct {
    Daemon *daemon;
    unsigned tenants;
    bool ok;
} DaemonScanned;

static gboolean
daemon_scanned_idle(gpointer opaque)
{
    g_autofree DaemonScanned *scanned = opaque;
    Daemon *daemon = scanned->daemon;

    daemon_notify("%sSTATUS=%u tenant%s%s", daemon->is_ready ? "" : "READY=1\n",
                  scanned->tenants, scanned->tenants == 1 ? "" : "s",
                  scanned->ok ? "" : ", with errors: see the journal");
    log_message(daemon->is_ready && daemon->tenants == scanned->tenants &&
                daemon->ok == scanned->ok ? LOG_DEBUG : LOG_INFO,
                "%u tenant%s read from LVM%s", scanned->tenants,
                scanned->tenants == 1 ? "" : "s",
                scanned->ok ? "" : ", with errors");
    daemon->is_ready = true;
    daemon->tenants = scanned->tenants;
    daemon->ok = scanned->ok;
    return G_SOURCE_REMOVE;
}

static void
daemon_scanned(unsigned tenants, bool ok, void *opaque)
{
    DaemonScanned *scanned = g_new0(DaemonScanned, 1);

    scanned->daemon = opaque;
    scanned->tenants = tenants;
    scanned->ok = ok;
    g_idle_add(daemon_scanned_idle, scanned);
}

static void
daemon_ledger_changed(const char *group, const char *tenant, void *opaque)
{
    Daemon *daemon = opaque;

    keeper_check(daemon->keeper, group, tenant);
}

static gboolean
daemon_stop(gpointer opaque)
{
    Daemon *daemon = opaque;

    g_main_loop_quit(daemon->loop);
    return G_SOURCE_CONTINUE;
}

static gboolean
daemon_rescan(gpointer opaque)
{
    Daemon *daemon = opaque;

    keeper_rescan(daemon->keeper);
    return G_SOURCE_CONTINUE;
}

static gboolean
daemon_watchdog(gpointer opaque)
{
    Daemon *daemon = opaque;

    if (keeper_is_alive(daemon->keeper))
        daemon_notify("WATCHDOG=1");
    else
        log_message(LOG_ERR, "the thread that finds tenants hangs: the watchdog gets "
                    "no answer, so that systemd restarts quota-lvmd");
    return G_SOURCE_CONTINUE;
}

static int
daemon_run(uint64_t interval_ns, guint rescan_sec)
{
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    g_autoptr(GError) error = NULL;
    g_autoptr(Watch) watch = NULL;
    Daemon daemon = { .loop = loop };

    daemon.keeper = keeper_new(interval_ns, daemon_scanned, &daemon);
    /* the watch begins before the first scan, so that no ledger is missed
     * between the two */
    watch = watch_new(QUOTA_LEDGER_DIR, daemon_ledger_changed, &daemon,
                      &error);
    if (!watch) {
        log_message(LOG_ERR, "%s", error->message);
        keeper_free(daemon.keeper);
        return EXIT_FAILURE;
    }
    g_unix_signal_add(SIGTERM, daemon_stop, &daemon);
    g_unix_signal_add(SIGINT, daemon_stop, &daemon);
    g_unix_signal_add(SIGHUP, daemon_rescan, &daemon);
    /* for changes without a notification: a command killed between LVM and the
     * ledger, tags and volumes changed by hand, a corrupted ledger */
    if (rescan_sec)
        g_timeout_add_seconds(rescan_sec, daemon_rescan, &daemon);
#ifdef HAVE_LIBSYSTEMD
    {
        uint64_t watchdog_us;

        if (sd_watchdog_enabled(0, &watchdog_us) > 0)
            g_timeout_add(MAX(watchdog_us / 2000, 1), daemon_watchdog,
                          &daemon);
    }
#else
    (void)daemon_watchdog;
#endif
    keeper_start(daemon.keeper);
    g_main_loop_run(loop);

    daemon_notify("STOPPING=1");
    keeper_free(daemon.keeper);
    return EXIT_SUCCESS;
}

static int
daemon_run_once(uint64_t interval_ns)
{
    Keeper *keeper = keeper_new(interval_ns, daemon_scanned, NULL);
    bool ok = keeper_run_once(keeper);

    keeper_free(keeper);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
    double interval_sec = 1;
    int rescan_sec = 60;
    gboolean is_once = FALSE, is_verbose = FALSE, is_version = FALSE;
    gboolean is_foreground = FALSE;
    const GOptionEntry entries[] = {
        { "interval", 'i', 0, G_OPTION_ARG_DOUBLE, &interval_sec,
          "Sample each tenant at least this often (default: 1)", "SECONDS" },
        { "rescan", 0, 0, G_OPTION_ARG_INT, &rescan_sec,
          "Read LVM again at least this often (default: 60; 0: only on SIGHUP)",
          "SECONDS" },
        { "once", 0, 0, G_OPTION_ARG_NONE, &is_once,
          "Sample and grow every tenant once, then exit", NULL },
        { "foreground", 0, 0, G_OPTION_ARG_NONE, &is_foreground,
          "Stay in the foreground; it always does", NULL },
        { "verbose", 'v', 0, G_OPTION_ARG_NONE, &is_verbose,
          "Log more", NULL },
        { "version", 'V', 0, G_OPTION_ARG_NONE, &is_version,
          "Print the version and exit", NULL },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;
    uint64_t interval_ns;
    int ret;

    setlocale(LC_ALL, "");
    g_option_context_set_summary(context,
        "Samples the used bytes of all quota-lvm tenants and grows their thin "
        "pools.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        g_printerr("quota-lvmd: %s; see quota-lvmd --help\n", error->message);
        return 2;
    }
    if (is_version) {
        g_print("quota-lvmd %s\n", QUOTA_LVM_VERSION);
        return EXIT_SUCCESS;
    }
    if (argc > 1) {
        g_printerr("quota-lvmd: unexpected argument '%s'; see quota-lvmd "
                   "--help\n", argv[1]);
        return 2;
    }
    if (!(interval_sec >= 0.01 && interval_sec <= 3600)) {
        g_printerr("quota-lvmd: --interval must be between 0.01 and 3600 "
                   "seconds\n");
        return 2;
    }
    if (rescan_sec < 0 || rescan_sec > 86400) {
        g_printerr("quota-lvmd: --rescan must be between 0 and 86400 "
                   "seconds\n");
        return 2;
    }
    interval_ns = (uint64_t)(interval_sec * 1e9);

    log_init("quota-lvmd", is_verbose);
    signal(SIGPIPE, SIG_IGN);
    host_init();

    ret = instance_claim();
    if (ret == -EALREADY) {
        log_message(LOG_ERR, "another quota-lvmd is running: a ledger has one "
                    "sampler");
        return EXIT_FAILURE;
    }
    if (ret < 0) {
        log_message(LOG_ERR, "cannot use %s: %s%s", QUOTA_LEDGER_DIR,
                    g_strerror(-ret), ret == -EACCES || ret == -EPERM
                    ? " (quota-lvmd runs as root)" : "");
        return EXIT_FAILURE;
    }
    return is_once ? daemon_run_once(interval_ns) 
                   : daemon_run(interval_ns, (guint)rescan_sec);
}
