/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lvm.c: read volume groups, and run LVM's commands.
 *
 * No shell is involved.  A command that changes LVM inherits the lock of the
 * group, so that the lock outlives a caller who is killed while the command
 * runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "log.h"
#include "lvm.h"

/* A report takes milliseconds; one that takes this long waits for a lock or a
 * dead disk, and may be killed because it changes nothing. */
#define LVM_REPORT_TIMEOUT_SEC 60

static gboolean
lvm_timeout_cancel(gpointer cancellable)
{
    g_cancellable_cancel(cancellable);
    return G_SOURCE_REMOVE;
}

typedef struct {
    GMainLoop *loop;
    char *output;
    char *messages;
    GError *error;
} LvmWait;

static void
lvm_communicate_done(GObject *object, GAsyncResult *result, gpointer opaque)
{
    LvmWait *wait = opaque;

    g_subprocess_communicate_utf8_finish(G_SUBPROCESS(object), result,
                                         &wait->output, &wait->messages,
                                         &wait->error);
    g_main_loop_quit(wait->loop);
}

/* lvm_messages_tidy: LVM's complaint in one line: warnings and progress make
 * way for what went wrong, where there is such a line. */
static char *
lvm_messages_tidy(const char *messages)
{
    g_auto(GStrv) lines = g_strsplit(messages ? messages : "", "\n", -1);
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

static GSubprocessLauncher *
lvm_launcher_new(GSubprocessFlags flags)
{
    GSubprocessLauncher *launcher = g_subprocess_launcher_new(flags);

    g_subprocess_launcher_setenv(launcher, "LC_ALL", "C", TRUE);
    g_subprocess_launcher_setenv(launcher, "LVM_SUPPRESS_FD_WARNINGS", "1",
                                 TRUE);
    return launcher;
}

/*
 * What the words of a failure mean: LVM's exit status is 5 for every one.
 * "Insufficient free space: 1600 extents needed, but only 723 available" or
 * "Insufficient suitable allocatable extents for logical volume acme._thin: 3
 * more required"; "VG vg0 lock failed: held by other host." or "VG vg0 lock
 * failed: lock start in progress".
 */
static int
lvm_error_code(const char *words)
{
    if (strstr(words, "nsufficient"))
        return G_IO_ERROR_NO_SPACE;
    if (strstr(words, "lock failed: held by other host") ||
        strstr(words, "lock failed: lock start in progress"))
        return G_IO_ERROR_BUSY;
    return G_IO_ERROR_FAILED;
}

/* lvm_check: put the failure of a command that has ended into words. */
static bool
lvm_check(GSubprocess *process, const char *command, const char *messages,
          GError **error)
{
    g_autofree char *words = NULL;

    if (g_subprocess_get_successful(process))
        return true;

    if (g_subprocess_get_if_signaled(process)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED,
                    "%s was killed by signal %d", command,
                    g_subprocess_get_term_sig(process));
        return false;
    }
    words = lvm_messages_tidy(messages);
    g_set_error(error, G_IO_ERROR, lvm_error_code(words), "%s failed: %s",
                command, *words ? words : "it gave no reason");
    return false;
}

/*
 * lvm_log_messages: a report in JSON has its errors in JSON as well:
 *   {"report": [...], "log": [
 *      {"log_seq_num":"1", "log_type":"error", ...,
 *       "log_message":"Volume group \"vg1\" not found", ...},
 *      {..., "log_type":"status", ..., "log_message":"failure", ...}]}
 */
static char *
lvm_log_messages(const char *json)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GString) text = g_string_new(NULL);
    JsonNode *root, *node = NULL;
    JsonArray *log;

    if (json_parser_load_from_data(parser, json, -1, NULL)) {
        root = json_parser_get_root(parser);
        if (root && JSON_NODE_HOLDS_OBJECT(root))
            node = json_object_get_member(json_node_get_object(root), "log");
    }
    if (!node || !JSON_NODE_HOLDS_ARRAY(node))
        return g_strdup("");

    log = json_node_get_array(node);
    for (guint i = 0; i < json_array_get_length(log); i++) {
        JsonNode *entry = json_array_get_element(log, i);
        JsonObject *object;

        if (!JSON_NODE_HOLDS_OBJECT(entry))
            continue;
        object = json_node_get_object(entry);
        if (g_strcmp0(json_object_get_string_member_with_default(
                          object, "log_type", ""), "error") != 0)
            continue;
        g_string_append_printf(text, "%s\n",
                               json_object_get_string_member_with_default(
                                   object, "log_message", ""));
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* lvm_report: run a command that changes nothing and return what it prints. */
static char *
lvm_report(const char *const *argv, GError **error)
{
    g_autoptr(GSubprocessLauncher) launcher =
        lvm_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE |
                         G_SUBPROCESS_FLAGS_STDERR_PIPE);
    g_autoptr(GMainContext) context = g_main_context_new();
    g_autoptr(GMainLoop) loop = g_main_loop_new(context, FALSE);
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    g_autoptr(GSource) timeout =
        g_timeout_source_new_seconds(LVM_REPORT_TIMEOUT_SEC);
    g_autoptr(GSubprocess) process = NULL;
    g_autofree char *messages = NULL;
    g_autofree char *output = NULL;
    LvmWait wait = { .loop = loop };

    process = g_subprocess_launcher_spawnv(launcher, argv, error);
    if (!process)
        return NULL;

    g_main_context_push_thread_default(context);
    g_source_set_callback(timeout, lvm_timeout_cancel, cancellable, NULL);
    g_source_attach(timeout, context);
    g_subprocess_communicate_utf8_async(process, NULL, cancellable,
                                        lvm_communicate_done, &wait);
    g_main_loop_run(loop);
    g_source_destroy(timeout);
    g_main_context_pop_thread_default(context);
    output = wait.output;
    messages = wait.messages;

    if (g_error_matches(wait.error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
        g_clear_error(&wait.error);
        g_subprocess_force_exit(process);
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT,
                    "%s did not answer for %d seconds: is a disk or a lock "
                    "of LVM stuck?", argv[0], LVM_REPORT_TIMEOUT_SEC);
        return NULL;
    }
    if (wait.error) {
        g_propagate_prefixed_error(error, wait.error, "%s: ", argv[0]);
        return NULL;
    }
    if (!g_subprocess_get_successful(process)) {
        g_autofree char *log = lvm_log_messages(output ? output : "");
        g_autofree char *all = g_strconcat(log, messages, NULL);

        lvm_check(process, argv[0], all, error);
        return NULL;
    }
    return g_steal_pointer(&output);
}

/*
 * lvm_change: run a command that changes LVM, to its end.
 *
 * It must come to its end even when we are killed, so:
 * - @lock_fd becomes its standard input.  A lock that flock(2) gave lasts
 *   until the last descriptor of its file is closed, and LVM closes every
 *   inherited descriptor but the first three: only there the lock outlives
 *   us.  Were it to go with us, our successor could measure the group before
 *   the orphaned lvextend has changed it, and hand out the same bytes again.
 * - Its messages go to a file in memory.  A pipe would break with our death,
 *   and SIGPIPE would end the command half way.
 * - It is not killed for being slow: that can leave a device suspended, with
 *   every guest of the tenant waiting on it.
 */
bool
lvm_change(const char *const *argv, int lock_fd, GError **error)
{
    g_autoptr(GSubprocessLauncher) launcher =
        lvm_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_SILENCE);
    g_autoptr(GSubprocess) process = NULL;
    char messages[4096];
    ssize_t length;
    int fd = memfd_create("lvm-messages", MFD_CLOEXEC);

    if (fd < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
                    "%s: cannot keep its messages: %s", argv[0],
                    g_strerror(errno));
        return false;
    }
    g_subprocess_launcher_take_stdin_fd(launcher,
                                        fcntl(lock_fd, F_DUPFD_CLOEXEC, 3));
    g_subprocess_launcher_take_stderr_fd(launcher,
                                         fcntl(fd, F_DUPFD_CLOEXEC, 3));
    process = g_subprocess_launcher_spawnv(launcher, argv, error);
    if (!process || !g_subprocess_wait(process, NULL, error)) {
        close(fd);
        return false;
    }
    length = pread(fd, messages, sizeof(messages) - 1, 0);
    messages[MAX(length, 0)] = '\0';
    close(fd);
    return lvm_check(process, g_str_equal(argv[0], "sh") ? "lvrename or lvchange"
                                                         : argv[0],
                     messages, error);
}

bool
lvm_error_is_short(const GError *error)
{
    return g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NO_SPACE);
}

bool
lvm_error_is_busy(const GError *error)
{
    return g_error_matches(error, G_IO_ERROR, G_IO_ERROR_BUSY);
}

/* ---- readings ------------------------------------------------------------ */

/* LvmDevice: a physical volume. */
typedef struct {
    char *path;
    char *group;                /* "": in none */
} LvmDevice;

static void
lvm_device_free(LvmDevice *device)
{
    g_free(device->path);
    g_free(device->group);
    g_free(device);
}

static const char *
lvm_row_string(JsonNode *row, const char *key)
{
    return JSON_NODE_HOLDS_OBJECT(row)
        ? json_object_get_string_member_with_default(
              json_node_get_object(row), key, "") : "";
}

/*
 * lvm_devices_read: all physical volumes that LVM knows.
 *
 * {"report": [{"pv": [{"pv_name":"/dev/vdc", "vg_name":"vg0"},
 *                     {"pv_name":"[unknown]", "vg_name":"vg0"}]}], "log": []}
 */
static GPtrArray *
lvm_devices_read(GError **error)
{
    const char *argv[] = { "pvs", "--reportformat", "json",
                           "-o", "pv_name,vg_name", NULL };
    g_autoptr(GPtrArray) devices =
        g_ptr_array_new_with_free_func((GDestroyNotify)lvm_device_free);
    g_autoptr(JsonNode) root = NULL;
    g_autoptr(JsonNode) rows = NULL;
    g_autofree char *output = lvm_report(argv, error);

    if (!output)
        return NULL;
    root = json_from_string(output, error);
    rows = root ? json_path_query("$.report[*].pv[*]", root, error) : NULL;
    if (!rows) {
        g_prefix_error(error, "cannot read what pvs printed: ");
        return NULL;
    }
    for (guint i = 0; i < json_array_get_length(json_node_get_array(rows)); i++) {
        JsonNode *row = json_array_get_element(json_node_get_array(rows), i);
        LvmDevice *device = g_new0(LvmDevice, 1);

        device->path = g_strdup(lvm_row_string(row, "pv_name"));
        device->group = g_strdup(lvm_row_string(row, "vg_name"));
        g_ptr_array_add(devices, device);
    }
    return g_steal_pointer(&devices);
}

/* LvmReader: a group, and what was read of it last.  Readers stay for as long
 * as the process runs. */
typedef struct {
    GMutex lock;
    struct quota_metadata *metadata;    /* NULL: its devices are not known */
} LvmReader;

static GMutex lvm_readers_lock;
static GHashTable *lvm_readers;         /* by the group's name */

static LvmReader *
lvm_reader_get(const char *group)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&lvm_readers_lock);
    LvmReader *reader;

    if (!lvm_readers)
        lvm_readers = g_hash_table_new(g_str_hash, g_str_equal);
    reader = g_hash_table_lookup(lvm_readers, group);
    if (!reader) {
        reader = g_new0(LvmReader, 1);
        g_mutex_init(&reader->lock);
        g_hash_table_insert(lvm_readers, g_strdup(group), reader);
    }
    return reader;
}

/* lvm_reader_find: learn the group's devices from @devices. */
static bool
lvm_reader_find(LvmReader *reader, const char *group, const GPtrArray *devices,
                GError **error)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new();
    bool is_known = false;

    for (guint i = 0; i < devices->len; i++) {
        LvmDevice *device = g_ptr_array_index(devices, i);

        if (!g_str_equal(device->group, group))
            continue;
        is_known = true;
        if (device->path[0] == '/')     /* not [unknown] */
            g_ptr_array_add(paths, device->path);
    }
    quota_metadata_free(g_steal_pointer(&reader->metadata));
    if (!paths->len) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                    is_known ? "all devices of volume group \"%s\" are missing"
                             : "Volume group \"%s\" not found", group);
        return false;
    }
    reader->metadata = quota_metadata_new(
        group, (const char *const *)paths->pdata, paths->len);
    if (!reader->metadata)
        g_error("no memory to read volume group %s", group);
    return true;
}

/* @devices: as LVM knows them now; NULL: LVM is asked if it must be. */
static LvmGroup *
lvm_reader_read(LvmReader *reader, const char *group, const GPtrArray *devices,
                GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&reader->lock);
    g_autoptr(GPtrArray) asked = NULL;
    int ret = -ENOENT;

    if (reader->metadata)
        ret = quota_metadata_refresh(reader->metadata);

    /* New, gone, renamed, or it has got a device, whose own header nobody
     * would look at. */
    if (ret < 0 ||
        (ret > 0 && quota_metadata_group(reader->metadata)->unread)) {
        if (!devices)
            devices = asked = lvm_devices_read(error);
        if (!devices || !lvm_reader_find(reader, group, devices, error))
            return NULL;
        ret = quota_metadata_refresh(reader->metadata);
    }
    if (ret < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(-ret),
                    "cannot read LVM's metadata of volume group %s from its "
                    "devices: %s; see what vgck says", group, g_strerror(-ret));
        return NULL;
    }
    return lvm_group_new(quota_metadata_group(reader->metadata));
}

LvmGroup *
lvm_group_read(const char *group, GError **error)
{
    return lvm_reader_read(lvm_reader_get(group), group, NULL, error);
}

LvmGroup *
lvm_group_lock(const char *group, int *lock_fd, GError **error)
{
    LvmGroup *read;

    *lock_fd = quota_group_lock(group);
    if (*lock_fd < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(-*lock_fd),
                    "cannot lock the group %s: %s", group,
                    g_strerror(-*lock_fd));
        return NULL;
    }
    read = lvm_group_read(group, error);
    if (!read)
        quota_group_unlock(*lock_fd);
    return read;
}

static gint
lvm_devices_compare(gconstpointer left, gconstpointer right)
{
    const LvmDevice *a = *(LvmDevice *const *)left;
    const LvmDevice *b = *(LvmDevice *const *)right;

    return strcmp(a->group, b->group);
}

GPtrArray *
lvm_groups_read(const char *group, GError **error)
{
    g_autoptr(GPtrArray) devices = NULL;
    g_autoptr(GPtrArray) groups =
        g_ptr_array_new_with_free_func((GDestroyNotify)lvm_group_free);
    const char *last = "";
    LvmGroup *one;

    if (group) {
        one = lvm_group_read(group, error);
        if (!one)
            return NULL;
        g_ptr_array_add(groups, one);
        return g_steal_pointer(&groups);
    }

    devices = lvm_devices_read(error);
    if (!devices)
        return NULL;
    g_ptr_array_sort(devices, lvm_devices_compare);
    for (guint i = 0; i < devices->len; i++) {
        const LvmDevice *device = g_ptr_array_index(devices, i);
        g_autoptr(GError) failure = NULL;

        if (g_str_equal(device->group, last))
            continue;
        last = device->group;
        one = lvm_reader_read(lvm_reader_get(last), last, devices, &failure);
        if (one)
            g_ptr_array_add(groups, one);
        else
            log_message(LOG_WARNING, "%s", failure->message);
    }
    return g_steal_pointer(&groups);
}

GPtrArray *
lvm_tenants_read(const char *group, const char *tenant, GError **error)
{
    g_autoptr(GPtrArray) groups = lvm_groups_read(group, error);
    g_autoptr(GPtrArray) tenants =
        g_ptr_array_new_with_free_func((GDestroyNotify)lvm_tenant_free);

    if (!groups)
        return NULL;
    for (guint i = 0; i < groups->len; i++) {
        GPtrArray *all = ((LvmGroup *)g_ptr_array_index(groups, i))->tenants;

        while (all->len) {
            LvmTenant *lvm = g_ptr_array_steal_index(all, 0);

            if (!tenant || g_str_equal(lvm->tenant, tenant))
                g_ptr_array_add(tenants, lvm);
            else
                lvm_tenant_free(lvm);
        }
    }
    return g_steal_pointer(&tenants);
}

LvmTenant *
lvm_tenant_read(const char *group, const char *tenant, GError **error)
{
    g_autoptr(GPtrArray) tenants = lvm_tenants_read(group, tenant, error);

    if (!tenants || tenants->len == 0)
        return NULL;
    return g_ptr_array_steal_index(tenants, 0);
}

/* ---- changes ------------------------------------------------------------- */

bool
lvm_thin_pool_extend(int lock_fd, const char *group, const char *tenant,
                     uint64_t extents, GError **error)
{
    g_autofree char *lv = g_strdup_printf("%s/%s." QUOTA_THIN_POOL_VOLUME,
                                          group, tenant);
    g_autofree char *size = g_strdup_printf("+%" G_GUINT64_FORMAT, extents);
    const char *argv[] = { "lvextend", LVM_NO_MONITORING, "--quiet", "--yes",
                           "-l", size, lv, NULL };

    return lvm_change(argv, lock_fd, error);
}

/* lvm_retag: take away and add tags of @what, which @command changes. */
static bool
lvm_retag(int lock_fd, const char *command, const char *what,
          const char *const *remove, const char *const *add, GError **error)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();

    g_ptr_array_add(argv, (char *)command);
    g_ptr_array_add(argv, (char *)"--quiet");
    g_ptr_array_add(argv, (char *)"--yes");
    for (; *remove; remove++) {
        g_ptr_array_add(argv, (char *)"--deltag");
        g_ptr_array_add(argv, (char *)*remove);
    }
    for (; *add; add++) {
        g_ptr_array_add(argv, (char *)"--addtag");
        g_ptr_array_add(argv, (char *)*add);
    }
    g_ptr_array_add(argv, (char *)what);
    g_ptr_array_add(argv, NULL);
    return lvm_change((const char *const *)argv->pdata, lock_fd, error);
}

bool
lvm_thin_pool_retag(int lock_fd, const char *group, const char *tenant,
                    const char *const *remove, const char *const *add,
                    GError **error)
{
    g_autofree char *lv = g_strdup_printf("%s/%s." QUOTA_THIN_POOL_VOLUME,
                                          group, tenant);

    return lvm_retag(lock_fd, "lvchange", lv, remove, add, error);
}

bool
lvm_group_retag(int lock_fd, const char *group, GPtrArray *remove,
                GPtrArray *add, GError **error)
{
    g_ptr_array_add(remove, NULL);
    g_ptr_array_add(add, NULL);
    return lvm_retag(lock_fd, "vgchange", group,
                     (const char *const *)remove->pdata,
                     (const char *const *)add->pdata, error);
}

bool
lvm_volume_change(int lock_fd, const char *group, const char *from,
                  const char *to, const char *add, const char *remove,
                  GError **error)
{
    /* One child for both commands, that no signal to us ends.  Names have been
     * checked, and stand in arguments, not in the script. */
    static const char script[] =
        "trap '' INT HUP TERM\n"
        "[ -z \"$4\" ] || lvchange --quiet --yes --addtag \"$4\" \"$1/$2\" || exit\n"
        "[ -z \"$3\" ] || lvrename --quiet --yes \"$1\" \"$2\" \"$3\" || exit\n"
        "[ -z \"$5\" ] || lvchange --quiet --yes --deltag \"$5\" \"$1/${3:-$2}\"\n";
    const char *argv[] = {
        "sh", "-c", script, "sh", group, from, to ? to : "", add ? add : "",
        remove ? remove : "", NULL,
    };

    return lvm_change(argv, lock_fd, error);
}
