/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lvm.c: run LVM's commands and read their JSON reports.
 *
 * No shell is involved and no state is kept.  A command that changes LVM
 * inherits the lock of the group, so that the lock outlives a caller who is
 * killed while the command runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lvm.h"

/* A report takes milliseconds; one that takes this long waits for a lock or a
 * dead disk, and may be killed because it changes nothing. */
#define LVM_REPORT_TIMEOUT_SEC 60

#define LVM_FIELDS "vg_name,vg_uuid,vg_extent_size,vg_free," \
                   "lv_name,lv_uuid,segtype,lv_size,chunk_size,lv_tags"

void
lvm_tenant_free(LvmTenant *tenant)
{
    if (!tenant)
        return;
    g_free(tenant->group);
    g_free(tenant->tenant);
    g_free(tenant->thin_dm_uuid);
    g_strfreev(tenant->thin_tags);
    g_free(tenant);
}

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
    g_set_error(error, G_IO_ERROR,
                strstr(words, "nsufficient") ? G_IO_ERROR_NO_SPACE
                                             : G_IO_ERROR_FAILED,
                "%s failed: %s", command,
                *words ? words : "it gave no reason");
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
static bool
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
    return lvm_check(process, argv[0], messages, error);
}

/* LVM says "Insufficient free space: 1600 extents needed, but only 723
 * available" or "Insufficient suitable allocatable extents for logical volume
 * acme._thin: 3 more required"; its exit status is 5 for every failure. */
bool
lvm_error_is_short(const GError *error)
{
    return g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NO_SPACE);
}

/* ---- reports ------------------------------------------------------------- */

static const char *
lvm_row_string(JsonObject *row, const char *key, GError **error)
{
    JsonNode *node = json_object_get_member(row, key);

    if (!node || !JSON_NODE_HOLDS_VALUE(node) ||
        json_node_get_value_type(node) != G_TYPE_STRING) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                    "lvs gave no field '%s'", key);
        return NULL;
    }
    return json_node_get_string(node);
}

static bool
lvm_row_number(JsonObject *row, const char *key, uint64_t *value,
               GError **error)
{
    const char *text = lvm_row_string(row, key, error);

    if (!text)
        return false;
    if (!*text) {               /* not for this kind of LV */
        *value = 0;
        return true;
    }
    if (!g_ascii_string_to_unsigned(text, 10, 0, INT64_MAX, value, NULL)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                    "lvs gave '%s' for the field '%s'", text, key);
        return false;
    }
    return true;
}

/* lvm_tags_tenant: the tenant whom a list of tags names; NULL: none. */
static char *
lvm_tags_tenant(const char *tags)
{
    g_auto(GStrv) list = g_strsplit(tags, ",", -1);

    for (char **tag = list; *tag; tag++) {
        const char *tenant = quota_tag_parse_tenant(*tag);

        if (tenant && quota_name_check_tenant(tenant, NULL) == 0)
            return g_strdup(tenant);
    }
    return NULL;
}

/*
 * lvm_thin_dm_uuid: device-mapper's name for a thin pool is <group>-<pool>
 * until it holds its first volume, and <group>-<pool>-tpool from then on, but
 * its UUID is the same in both lives:
 *   vg0-acme._thin       LVM-928G...wVy9eZ...QRIGIXjMEwAJ7GD-tpool
 */
static char *
lvm_thin_dm_uuid(const char *group_uuid, const char *lv_uuid)
{
    g_autoptr(GString) uuid = g_string_new("LVM-");

    for (const char *c = group_uuid; *c; c++) {
        if (*c != '-')
            g_string_append_c(uuid, *c);
    }
    for (const char *c = lv_uuid; *c; c++) {
        if (*c != '-')
            g_string_append_c(uuid, *c);
    }
    g_string_append(uuid, "-tpool");
    return g_string_free(g_steal_pointer(&uuid), FALSE);
}

static LvmTenant *
lvm_tenants_find(GPtrArray *tenants, const char *group, const char *tenant)
{
    LvmTenant *found = NULL;

    for (guint i = 0; i < tenants->len; i++) {
        found = g_ptr_array_index(tenants, i);
        if (g_str_equal(found->group, group) &&
            g_str_equal(found->tenant, tenant))
            return found;
    }
    found = g_new0(LvmTenant, 1);
    found->group = g_strdup(group);
    found->tenant = g_strdup(tenant);
    g_ptr_array_add(tenants, found);
    return found;
}

static bool
lvm_tenants_add_row(GPtrArray *tenants, GHashTable *seen, JsonObject *row,
                    GError **error)
{
    struct quota_lv lv = { 0 };
    const char *group, *group_uuid, *lv_uuid;
    uint64_t extent_bytes, free_bytes;
    g_autofree char *name = NULL;
    LvmTenant *tenant;

    if (!(group = lvm_row_string(row, "vg_name", error)) ||
        !(group_uuid = lvm_row_string(row, "vg_uuid", error)) ||
        !(lv_uuid = lvm_row_string(row, "lv_uuid", error)) ||
        !(lv.name = lvm_row_string(row, "lv_name", error)) ||
        !(lv.segtype = lvm_row_string(row, "segtype", error)) ||
        !(lv.tags = lvm_row_string(row, "lv_tags", error)) ||
        !lvm_row_number(row, "lv_size", &lv.size_bytes, error) ||
        !lvm_row_number(row, "chunk_size", &lv.chunk_bytes, error) ||
        !lvm_row_number(row, "vg_extent_size", &extent_bytes, error) ||
        !lvm_row_number(row, "vg_free", &free_bytes, error))
        return false;

    if (!(name = lvm_tags_tenant(lv.tags)))
        return true;

    /* segtype and chunk_size are fields of a segment: an LV of two segments
     * is two rows, each with the whole lv_size. */
    if (!g_hash_table_add(seen, g_strdup(lv_uuid)))
        return true;

    tenant = lvm_tenants_find(tenants, group, name);
    tenant->extent_bytes = extent_bytes;
    tenant->state.group_free_bytes = free_bytes;
    if (quota_state_charge(&tenant->state, &lv) < 0)
        tenant->has_bad_tag = true;

    if (g_str_equal(lv.segtype, "thin-pool") && !tenant->thin_dm_uuid) {
        tenant->thin_dm_uuid = lvm_thin_dm_uuid(group_uuid, lv_uuid);
        tenant->thin_tags = g_strsplit(lv.tags, ",", -1);
    }
    return true;
}

static gint
lvm_tenants_compare(gconstpointer left, gconstpointer right)
{
    const LvmTenant *a = *(LvmTenant *const *)left;
    const LvmTenant *b = *(LvmTenant *const *)right;
    int order = strcmp(a->group, b->group);

    return order ? order : strcmp(a->tenant, b->tenant);
}

/*
 * {"report": [{"lv": [
 *    {"vg_name":"vg0", ..., "lv_name":"acme._thin", "segtype":"thin-pool",
 *     "lv_size":"67108864", "chunk_size":"65536",
 *     "lv_tags":"quota-lvm:limit=1073741824,quota-lvm:tenant=acme"}, ...
 *  ]}], "log": []}
 */
GPtrArray *
lvm_tenants_parse(const char *json, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GPtrArray) tenants =
        g_ptr_array_new_with_free_func((GDestroyNotify)lvm_tenant_free);
    g_autoptr(GHashTable) seen =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    JsonNode *root, *node;
    JsonArray *reports;

    if (!json_parser_load_from_data(parser, json, -1, error)) {
        g_prefix_error(error, "cannot read what lvs printed: ");
        return NULL;
    }
    root = json_parser_get_root(parser);
    node = root && JSON_NODE_HOLDS_OBJECT(root)
        ? json_object_get_member(json_node_get_object(root), "report") : NULL;
    if (!node || !JSON_NODE_HOLDS_ARRAY(node))
        goto malformed;

    reports = json_node_get_array(node);
    for (guint i = 0; i < json_array_get_length(reports); i++) {
        JsonNode *report = json_array_get_element(reports, i);
        JsonArray *rows;

        node = JSON_NODE_HOLDS_OBJECT(report)
            ? json_object_get_member(json_node_get_object(report), "lv") : NULL;
        if (!node || !JSON_NODE_HOLDS_ARRAY(node))
            goto malformed;

        rows = json_node_get_array(node);
        for (guint j = 0; j < json_array_get_length(rows); j++) {
            JsonNode *row = json_array_get_element(rows, j);

            if (!JSON_NODE_HOLDS_OBJECT(row))
                goto malformed;
            if (!lvm_tenants_add_row(tenants, seen, json_node_get_object(row),
                                     error))
                return NULL;
        }
    }
    g_ptr_array_sort(tenants, lvm_tenants_compare);
    return g_steal_pointer(&tenants);

 malformed:
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                "cannot read what lvs printed: no list of LVs in it");
    return NULL;
}

GPtrArray *
lvm_tenants_read(const char *group, const char *tenant, GError **error)
{
    g_autofree char *select = NULL;
    g_autofree char *output = NULL;
    const char *argv[] = {
        "lvs", "--reportformat", "json", "--units", "b", "--nosuffix",
        "-o", LVM_FIELDS, "-S", NULL, group, NULL,
    };

    if (tenant)
        select = g_strdup_printf("lv_tags={\"" QUOTA_TAG_TENANT "%s\"}",
                                 tenant);
    else
        select = g_strdup("lv_tags!=\"\"");     /* a list takes no regex */
    argv[9] = select;

    output = lvm_report(argv, error);
    if (!output)
        return NULL;
    return lvm_tenants_parse(output, error);
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
    const char *argv[] = { "lvextend", "--quiet", "--yes", "-l", size, lv,
                           NULL };

    return lvm_change(argv, lock_fd, error);
}

bool
lvm_thin_pool_retag(int lock_fd, const char *group, const char *tenant,
                    const char *const *remove, const char *const *add,
                    GError **error)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autofree char *lv = g_strdup_printf("%s/%s." QUOTA_THIN_POOL_VOLUME,
                                          group, tenant);

    g_ptr_array_add(argv, (char *)"lvchange");
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
    g_ptr_array_add(argv, lv);
    g_ptr_array_add(argv, NULL);
    return lvm_change((const char *const *)argv->pdata, lock_fd, error);
}
