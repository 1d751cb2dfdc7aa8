/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * set.c: change a tenant's limits: first the tags, in one transaction of LVM,
 * then the ledger.  Killed between the two, the tags hold, and whoever reads
 * LVM next makes the ledger say the same.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "instance.h"
#include "set.h"
#include "survey.h"

char *
set_option_name(const struct quota_limit_field *field)
{
    return g_strdelimit(g_strdup(field->name), "_", '-');
}

static const char *
set_value_hint(const struct quota_limit_field *field)
{
    switch (field->unit) {
    case QUOTA_UNIT_BYTES:
        return "a size such as 10737418240, 10G, 10GiB or 1.5TiB";
    case QUOTA_UNIT_BYTES_PER_SEC:
        return "bytes a second, such as 20971520 or 20M, or none";
    case QUOTA_UNIT_IOPS:
        return "a number of I/Os a second, such as 500, or none";
    case QUOTA_UNIT_SECONDS:
        return "a number of seconds, such as 60, or none";
    case QUOTA_UNIT_COUNT:
        return "a whole number, such as 20, or none";
    }
    return "";
}

bool
set_value_parse(const struct quota_limit_field *field, const char *text,
                uint64_t *value, GError **error)
{
    g_autofree char *option = set_option_name(field);
    bool is_bytes = field->unit == QUOTA_UNIT_BYTES ||
        field->unit == QUOTA_UNIT_BYTES_PER_SEC;
    const char *why = NULL;
    int ret = 0;

    *value = 0;
    if (strcmp(text, "none") == 0) {
        /* 0, as parsed */
    } else if (is_bytes) {
        ret = quota_size_parse(text, value);
        if (ret < 0)
            why = ret == -ERANGE ? "is too large"
                : text[0] == '-' ? "is negative"
                : "is not a size with a unit known here";
    } else {
        g_autoptr(GError) number = NULL;

        if (!g_ascii_string_to_unsigned(text, 10, 0, INT64_MAX, value,
                                        &number))
            why = g_error_matches(number, G_NUMBER_PARSER_ERROR,
                                  G_NUMBER_PARSER_ERROR_OUT_OF_BOUNDS)
                ? "is too large"
                : text[0] == '-' ? "is negative" : "is not a whole number";
    }
    if (!why && *value == 0 && strcmp(field->name, "limit") == 0)
        why = "would leave the tenant no space; to stop it from writing more, "
              "set what it uses now";
    if (why) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    "--%s: '%s' %s: give %s", option, text, why,
                    set_value_hint(field));
        return false;
    }
    return true;
}

bool
set_limits_change(struct quota_limits *limits, const struct set_change *change,
                  GError **error)
{
    const struct quota_limit_field *field = NULL;
    const char *why = NULL;

    for (size_t i = 0; i < quota_limit_fields_count; i++) {
        if (change->is_given[i])
            quota_limit_set(limits, &quota_limit_fields[i],
                            change->values[i]);
    }
    if (quota_limits_check(limits, &field, &why) < 0) {
        g_autofree char *option = set_option_name(field);

        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    "--%s %s; clear a limit with none", option, why);
        return false;
    }
    if (limits->limit_bytes == 0) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    "the tenant has no limit yet: give one with --limit SIZE");
        return false;
    }
    return true;
}

/* set_tag_is_of: the tag stands for @field, whether or not its value can be
 * read. */
static bool
set_tag_is_of(const char *tag, const struct quota_limit_field *field)
{
    size_t length = strlen(field->name);

    return g_str_has_prefix(tag, QUOTA_TAG_PREFIX) &&
        strncmp(tag + strlen(QUOTA_TAG_PREFIX), field->name, length) == 0 &&
        tag[strlen(QUOTA_TAG_PREFIX) + length] == '=';
}

void
set_tags_change(char *const *tags, const struct quota_limits *limits,
                GPtrArray *remove, GPtrArray *add)
{
    for (size_t i = 0; i < quota_limit_fields_count; i++) {
        const struct quota_limit_field *field = &quota_limit_fields[i];
        char wanted[QUOTA_TAG_MAX_BYTES] = "";
        bool is_there = false;

        (void)quota_tag_format_limit(limits, field, wanted);
        for (char *const *tag = tags; *tag; tag++) {
            if (!set_tag_is_of(*tag, field))
                continue;
            if (strcmp(*tag, wanted) == 0)
                is_there = true;
            else
                g_ptr_array_add(remove, g_strdup(*tag));
        }
        if (*wanted && !is_there)
            g_ptr_array_add(add, g_strdup(wanted));
    }
}

/* set_check_promises: the group can keep what @limits promise. */
static bool
set_check_promises(const LvmGroup *group, const LvmTenant *lvm,
                   const struct quota_limits *limits, GError **error)
{
    struct quota_group others = quota_group_without(&group->promised,
                                                    &lvm->state);
    char text[QUOTA_SIZE_MAX_BYTES], other[QUOTA_SIZE_MAX_BYTES];
    uint64_t most;

    switch (quota_group_check(&others, &lvm->state, limits, &most)) {
    case -ENOSPC:
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NO_SPACE,
                    "--guarantee: the group %s cannot keep that much: %s are "
                    "free and not kept for others, so tenant %s can have up to "
                    "%s: lower another guarantee, or extend the group with "
                    "vgextend", group->name,
                    quota_size_format(quota_group_free(&others), text),
                    lvm->tenant, quota_size_format(most, other));
        return false;
    case -EDQUOT:
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NO_SPACE,
                    "--limit: the group %s allows limits of %" G_GUINT64_FORMAT
                    "%% of its size together, of which %s are left for tenant "
                    "%s: lower another limit, or change that with quota-lvm "
                    "set --group %s --overcommit PERCENT", group->name,
                    others.overcommit_percent, quota_size_format(most, text),
                    lvm->tenant, group->name);
        return false;
    }
    return true;
}

/* set_publish: make the new limits count at once, and wake who waits. */
static void
set_publish(const LvmTenant *lvm)
{
    struct quota_ledger *ledger = NULL;
    char path[PATH_MAX];
    int ret = quota_ledger_path(lvm->group, lvm->tenant, path, sizeof(path));

    if (ret == 0)
        ret = quota_ledger_open(path, true, &ledger);
    if (ret == 0) {
        quota_state_publish(ledger, &lvm->state);
        quota_doorbell_ring(ledger);
        quota_ledger_close(ledger);
    } else if (ret != -ENOENT) {
        g_printerr("quota-lvm: note: the ledger %s %s; quota-lvmd makes it "
                   "anew\n", path, quota_ledger_strerror(ret));
    }
    if (!instance_is_running())
        g_printerr("quota-lvm: note: quota-lvmd is not running: the limits "
                   "are set, but no thin pool grows until it is started\n");
}

static void
set_warn_over_limit(const LvmTenant *lvm)
{
    char used[QUOTA_SIZE_MAX_BYTES], limit[QUOTA_SIZE_MAX_BYTES];
    uint64_t bytes;

    if (survey_thin_bytes(lvm, &bytes) < 0)
        return;
    bytes += lvm->state.thick_bytes;
    if (bytes > lvm->state.limits.limit_bytes)
        g_printerr("quota-lvm: warning: tenant %s is over limit now: it uses "
                   "%s of %s; overwriting and deleting go on, new space is "
                   "refused\n", lvm->tenant, quota_size_format(bytes, used),
                   quota_size_format(lvm->state.limits.limit_bytes, limit));
}

bool
set_apply(const char *group, const char *tenant,
          const struct set_change *change, GError **error)
{
    g_autoptr(GPtrArray) remove = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) add = g_ptr_array_new_with_free_func(g_free);
    int lock_fd;
    g_autoptr(LvmGroup) all = lvm_group_lock(group, &lock_fd, error);
    const LvmTenant *lvm;
    g_autoptr(LvmTenant) after = NULL;
    g_autoptr(GError) failure = NULL;
    struct quota_limits limits;
    bool ok = false;

    if (!all)
        return false;
    lvm = lvm_group_find_tenant(all, tenant);
    if (!lvm) {
        g_set_error(&failure, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                    "tenant %s is gone from group %s", tenant, group);
        goto out;
    }
    if (!lvm->thin_tags) {
        g_set_error(&failure, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                    "tenant %s has no thin pool in group %s to keep its "
                    "limits: build its storage pool with virsh pool-build",
                    tenant, group);
        goto out;
    }
    limits = lvm->state.limits;
    if (!set_limits_change(&limits, change, &failure) ||
        !set_check_promises(all, lvm, &limits, &failure))
        goto out;

    set_tags_change(lvm->thin_tags, &limits, remove, add);
    if (remove->len || add->len) {
        g_ptr_array_add(remove, NULL);
        g_ptr_array_add(add, NULL);
        if (!lvm_thin_pool_retag(lock_fd, group, tenant,
                                 (const char *const *)remove->pdata,
                                 (const char *const *)add->pdata, &failure))
            goto out;
    }
    /* what LVM says now, not what we meant */
    after = lvm_tenant_read(group, tenant, &failure);
    if (!after)
        goto out;
    set_publish(after);
    set_warn_over_limit(after);
    ok = true;
 out:
    quota_group_unlock(lock_fd);
    if (failure)
        g_propagate_error(error, g_steal_pointer(&failure));
    return ok;
}

bool
set_overcommit_parse(const char *text, uint64_t *percent, GError **error)
{
    g_autofree char *number = g_strdup(text);

    *percent = 0;
    if (g_str_equal(text, "none"))
        return true;
    if (g_str_has_suffix(number, "%"))
        number[strlen(number) - 1] = '\0';
    if (!g_ascii_string_to_unsigned(number, 10, 1, 1000000, percent, NULL)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    "--overcommit: '%s' is no whole percentage from 1 to "
                    "1000000: give one such as 150%%, or none", text);
        return false;
    }
    return true;
}

bool
set_overcommit(const char *group, uint64_t percent, GError **error)
{
    g_autoptr(GPtrArray) remove = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) add = g_ptr_array_new_with_free_func(g_free);
    int lock_fd;
    g_autoptr(LvmGroup) before = lvm_group_lock(group, &lock_fd, error);
    g_autoptr(LvmGroup) after = NULL;
    char text[QUOTA_SIZE_MAX_BYTES];
    bool ok;

    if (!before)
        return false;
    if (percent)
        g_ptr_array_add(add, g_strdup_printf(QUOTA_TAG_OVERCOMMIT "%"
                                             G_GUINT64_FORMAT, percent));
    for (char **tag = before->tags; *tag; tag++) {
        if (!g_str_has_prefix(*tag, QUOTA_TAG_OVERCOMMIT))
            continue;
        if (add->len && g_str_equal(*tag, g_ptr_array_index(add, 0)))
            g_ptr_array_set_size(add, 0);
        else
            g_ptr_array_add(remove, g_strdup(*tag));
    }
    ok = remove->len + add->len == 0 ||
        lvm_group_retag(lock_fd, group, remove, add, error);
    if (ok && percent) {
        after = lvm_group_read(group, NULL);
        if (after && after->promised.limits_bytes >
                   after->promised.size_bytes / 100 * percent)
            g_printerr("quota-lvm: warning: the limits in group %s promise %s "
                       "already, more than that: none can be raised until "
                       "others are lowered\n", group,
                       quota_size_format(after->promised.limits_bytes, text));
    }
    quota_group_unlock(lock_fd);
    return ok;
}
