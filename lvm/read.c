/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * read.c: read volume groups from their devices.
 *
 * One view of a group is shared by all that read it, and kept until the headers
 * on the group's devices say that it has changed.
 */
#include <errno.h>
#include <string.h>

#include "command.h"
#include "lvm-host.h"
#include "read.h"

static void
lvm_device_free(LvmDevice *device)
{
    g_free(device->path);
    g_free(device->group);
    g_free(device);
}

/* Names of groups have no blanks; the path, which may have, stands last. */
static LvmDevice *
lvm_device_parse(const char *line)
{
    g_auto(GStrv) words = g_strsplit(line + strspn(line, " "), "\t", 4);
    LvmDevice *device;
    uint64_t lvs, pvs;

    if (g_strv_length(words) != 4 ||
        !g_ascii_string_to_unsigned(words[1], 10, 0, UINT32_MAX, &lvs, NULL) ||
        !g_ascii_string_to_unsigned(words[2], 10, 0, UINT32_MAX, &pvs, NULL))
        return NULL;
    device = g_new0(LvmDevice, 1);
    device->group = g_strdup(words[0]);
    device->lvs = lvs;
    device->pvs = pvs;
    device->path = g_strdup(words[3]);
    return device;
}

GPtrArray *
lvm_devices_read(LvmRefusal *why)
{
    /*
     * # pvs --noheadings --separator TAB -o vg_name,lv_count,pv_count,pv_name
     *   vg0	3	1	/dev/vdb
     *   	0	0	/dev/vdc
     *   vg0	3	2	[unknown]
     */
    g_auto(GStrv) argv = lvm_command("pvs", "--reportformat", "basic",
                                     "--noheadings", "--separator", "\t",
                                     "--options",
                                     "vg_name,lv_count,pv_count,pv_name", NULL);
    g_autoptr(GPtrArray) devices =
        g_ptr_array_new_with_free_func((GDestroyNotify)lvm_device_free);
    g_autofree char *output = lvm_command_ask((const char *const *)argv, why);
    g_auto(GStrv) lines = output ? g_strsplit(output, "\n", -1) : NULL;

    if (!output)
        return NULL;
    for (char **line = lines; *line; line++) {
        LvmDevice *device;

        if (!**line)
            continue;
        device = lvm_device_parse(*line);
        if (!device) {
            lvm_refuse(why, LVM_WHY_COMMAND, NULL, NULL, "pvs", NULL);
            why->error = -EBADMSG;
            why->text = g_strdup_printf("unexpected line '%s' in its output", *line);
            return NULL;
        }
        g_ptr_array_add(devices, device);
    }
    return g_steal_pointer(&devices);
}

/* ---- views --------------------------------------------------------------- */

/* LvmReader: a group, and what was read of it last.  Readers stay for as long
 * as the process runs. */
typedef struct {
    GMutex lock;
    struct quota_metadata *metadata;    /* NULL: its devices are not known */
    LvmGroup *view;             /* of metadata; NULL: nothing was read yet */
    char *warned;               /* what the host was warned of last */
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

static void
lvm_reader_forget(LvmReader *reader)
{
    g_clear_pointer(&reader->view, lvm_group_unref);
    g_clear_pointer(&reader->metadata, quota_metadata_free);
}

/* lvm_reader_find: learn the group's devices from @devices. */
static bool
lvm_reader_find(LvmReader *reader, const char *group, const GPtrArray *devices,
                LvmRefusal *why)
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
    lvm_reader_forget(reader);
    if (!paths->len)
        return lvm_refuse(why, is_known ? LVM_WHY_DEVICES_MISSING
                                        : LVM_WHY_NO_GROUP,
                          group, NULL, NULL, NULL);
    reader->metadata = quota_metadata_new(
        group, (const char *const *)paths->pdata, paths->len);
    if (!reader->metadata)
        g_error("no memory to read volume group %s", group);
    return true;
}

/* lvm_view_warnings: what a reader of the log should know of a view, in lines. */
static char *
lvm_view_warnings(const LvmGroup *view)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < view->lvs->len; i++) {
        const LvmLv *lv = g_ptr_array_index(view->lvs, i);

        if (lv->is_hidden)
            continue;
        if (*lv->unknown && lv->tenant)
            g_string_append_printf(text, "tenant %s of group %s is charged the whole "
                                   "group for LV %s, which is of an unknown kind: "
                                   "'%s'\n", lv->tenant, view->name, lv->name,
                                   lv->unknown);
        if (lv->is_of_two || lv->is_of_invalid)
            g_string_append_printf(text, "the tags '%s' of LV %s/%s name two tenants, "
                                   "or an invalid one: see quota-lvm check\n",
                                   lv->tags, view->name, lv->name);
    }
    for (guint i = 0; i < view->tenants->len; i++) {
        const LvmTenant *tenant = g_ptr_array_index(view->tenants, i);

        if (tenant->has_bad_tag)
            g_string_append_printf(text, "a limit among the tags of thin pool %s/%s "
                                   "cannot be read: see quota-lvm check\n",
                                   view->name, tenant->thin_pool->name);
    }
    if (view->missing_devices)
        g_string_append_printf(text, "volume group %s lacks %" G_GUINT64_FORMAT
                               " of its devices\n", view->name,
                               view->missing_devices);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* lvm_reader_warn: once, not at each change of the group. */
static void
lvm_reader_warn(LvmReader *reader)
{
    g_autofree char *text = lvm_view_warnings(reader->view);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    if (g_strcmp0(text, reader->warned) == 0)
        return;
    for (char **line = lines; *line; line++) {
        if (**line)
            lvm_host_warn("%s", *line);
    }
    g_free(reader->warned);
    reader->warned = g_steal_pointer(&text);
}

/* @devices: as LVM knows them now; NULL: LVM is asked if it must be. */
static LvmGroup *
lvm_reader_read(LvmReader *reader, const char *group, const GPtrArray *devices,
                LvmRefusal *why)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&reader->lock);
    g_autoptr(GPtrArray) asked = NULL;
    int ret = -ENOENT;

    if (reader->metadata)
        ret = quota_metadata_refresh(reader->metadata);
    if (ret != 0)
        g_clear_pointer(&reader->view, lvm_group_unref);

    /* New, gone, renamed, or it has got a device, whose own header nobody would
     * look at: a device that is not there, but not marked as missing either,
     * costs a command each time the group changes. */
    if (ret < 0 ||
        (ret > 0 && quota_metadata_group(reader->metadata)->unread)) {
        if (!devices)
            devices = asked = lvm_devices_read(why);
        if (!devices || !lvm_reader_find(reader, group, devices, why))
            return NULL;
        ret = quota_metadata_refresh(reader->metadata);
    }
    if (ret < 0) {
        lvm_reader_forget(reader);
        lvm_refuse(why, LVM_WHY_METADATA, group, NULL, NULL, NULL);
        why->error = ret;
        return NULL;
    }
    if (!reader->view) {
        reader->view = lvm_group_new(quota_metadata_group(reader->metadata));
        lvm_reader_warn(reader);
    }
    return lvm_group_ref(reader->view);
}

LvmGroup *
lvm_group_read(const char *group, LvmRefusal *why)
{
    return lvm_reader_read(lvm_reader_get(group), group, NULL, why);
}

static gint
lvm_devices_compare(gconstpointer left, gconstpointer right)
{
    const LvmDevice *a = *(LvmDevice *const *)left;
    const LvmDevice *b = *(LvmDevice *const *)right;

    return strcmp(a->group, b->group);
}

GPtrArray *
lvm_groups_read(const char *group, LvmRefusal *why)
{
    g_autoptr(GPtrArray) devices = NULL;
    g_autoptr(GPtrArray) groups =
        g_ptr_array_new_with_free_func((GDestroyNotify)lvm_group_unref);
    const char *last = "";
    LvmGroup *one;

    if (group) {
        one = lvm_group_read(group, why);
        if (!one)
            return NULL;
        g_ptr_array_add(groups, one);
        return g_steal_pointer(&groups);
    }

    devices = lvm_devices_read(why);
    if (!devices)
        return NULL;
    g_ptr_array_sort(devices, lvm_devices_compare);
    for (guint i = 0; i < devices->len; i++) {
        const LvmDevice *device = g_ptr_array_index(devices, i);
        g_auto(LvmRefusal) unread = { 0 };

        if (g_str_equal(device->group, last))
            continue;
        last = device->group;
        one = lvm_reader_read(lvm_reader_get(last), last, devices, &unread);
        if (one) {
            g_ptr_array_add(groups, one);
        } else {
            g_autofree char *words = lvm_refusal_format(&unread);

            lvm_host_warn("%s", words);
        }
    }
    return g_steal_pointer(&groups);
}

GPtrArray *
lvm_tenants_read(const char *group, LvmRefusal *why)
{
    g_autoptr(GPtrArray) groups = lvm_groups_read(group, why);
    g_autoptr(GPtrArray) tenants =
        g_ptr_array_new_with_free_func((GDestroyNotify)lvm_tenant_unref);

    if (!groups)
        return NULL;
    for (guint i = 0; i < groups->len; i++) {
        const LvmGroup *one = g_ptr_array_index(groups, i);

        for (guint j = 0; j < one->tenants->len; j++)
            g_ptr_array_add(tenants, lvm_tenant_ref(
                                g_ptr_array_index(one->tenants, j)));
    }
    return g_steal_pointer(&tenants);
}
