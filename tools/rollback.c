/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rollback.c: give a volume back the content that a snapshot of it has kept.
 *
 * libvirt has no verb for it.  Both must be in use by nobody: then there is no
 * writer either, whose paid chunks would have to be voided, and LVM does not put
 * the merge off until the volume is activated the next time.
 */
#include <json-glib/json-glib.h>
#include <string.h>

#include "lvm.h"
#include "rollback.h"

/* What libvirt's backend puts on a copy that is no snapshot. */
#define TAG_CLONE QUOTA_TAG_PREFIX "clone"

/* How long udev may look at a device. */
#define BUSY_TRIES 5
#define BUSY_WAIT_US (300 * 1000)

void
rollback_plan_free(RollbackPlan *plan)
{
    if (!plan)
        return;
    g_free(plan->snapshot);
    g_free(plan->origin);
    g_free(plan);
}

static const char *
field(JsonObject *row, const char *key)
{
    return json_object_get_string_member_with_default(row, key, "");
}

static JsonObject *
find_lv(JsonArray *rows, const char *name)
{
    for (guint i = 0; i < json_array_get_length(rows); i++) {
        JsonObject *row = json_array_get_object_element(rows, i);

        if (g_str_equal(field(row, "lv_name"), name))
            return row;
    }
    return NULL;
}

/* lvs(8): the sixth of lv_attr is 'o' for an LV that somebody has open. */
static bool
is_open(JsonObject *row)
{
    const char *attr = field(row, "lv_attr");

    return strlen(attr) >= 6 && attr[5] == 'o';
}

static bool
has_tag(JsonObject *row, const char *tag)
{
    g_auto(GStrv) tags = g_strsplit(field(row, "lv_tags"), ",", -1);

    return g_strv_contains((const char *const *)tags, tag);
}

static JsonArray *
rows_of(JsonParser *parser, const char *json, GError **error)
{
    JsonNode *node;
    JsonArray *reports = NULL;

    if (!json_parser_load_from_data(parser, json, -1, error))
        return NULL;
    node = json_parser_get_root(parser);
    if (node && JSON_NODE_HOLDS_OBJECT(node) &&
        json_object_has_member(json_node_get_object(node), "report"))
        reports = json_object_get_array_member(json_node_get_object(node),
                                               "report");
    if (reports && json_array_get_length(reports) > 0 &&
        json_object_has_member(json_array_get_object_element(reports, 0), "lv"))
        return json_object_get_array_member(
            json_array_get_object_element(reports, 0), "lv");
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                "cannot read what lvs printed: no list of LVs in it");
    return NULL;
}

RollbackPlan *
rollback_plan_parse(const char *json, const char *tenant, const char *snapshot,
                    GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonArray *rows = rows_of(parser, json, error);
    char name[QUOTA_LV_MAX_BYTES + 1];
    JsonObject *row = NULL, *origin;
    RollbackPlan *plan;
    bool is_thin;

    if (!rows)
        return NULL;
    if (quota_name_format_lv(tenant, snapshot, name) == 0)
        row = find_lv(rows, name);
    if (!row) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                    "tenant %s has no volume '%s'", tenant, snapshot);
        return NULL;
    }
    is_thin = g_str_equal(field(row, "segtype"), "thin");
    origin = find_lv(rows, field(row, "origin"));
    if (!*field(row, "origin") || has_tag(row, TAG_CLONE) || !origin ||
        (is_thin && !g_str_equal(field(row, "pool_lv"),
                                 field(origin, "pool_lv")))) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    "volume '%s' of tenant %s is no snapshot of another volume "
                    "of the tenant: nothing to roll back", snapshot, tenant);
        return NULL;
    }
    if (is_open(origin) || is_open(row)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_BUSY,
                    "%s is in use: stop the guest, or whatever has it open, "
                    "first", field(is_open(row) ? row : origin, "lv_name"));
        return NULL;
    }

    plan = g_new0(RollbackPlan, 1);
    plan->snapshot = g_strdup(name);
    plan->origin = g_strdup(field(row, "origin"));
    plan->is_thick = !is_thin;
    return plan;
}

bool
rollback_apply(const char *group, const char *tenant, const char *snapshot,
               GError **error)
{
    g_autofree char *select =
        g_strdup_printf("lv_tags={\"" QUOTA_TAG_TENANT "%s\"}", tenant);
    const char *report[] = {
        "lvs", "--reportformat", "json", "-o", ROLLBACK_FIELDS, "-S", select,
        group, NULL,
    };
    g_autoptr(RollbackPlan) plan = NULL;
    g_autofree char *output = NULL;
    g_autofree char *lv = NULL;
    g_autoptr(GError) failure = NULL;
    bool ok = false;
    int lock_fd = quota_group_lock(group);

    if (lock_fd < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(-lock_fd),
                    "cannot lock the group %s: %s", group,
                    g_strerror(-lock_fd));
        return false;
    }
    /* udev looks at a device whenever somebody who could write closes it. */
    for (unsigned tries = 0; ; tries++) {
        g_clear_pointer(&output, g_free);
        output = lvm_report(report, &failure);
        if (output)
            plan = rollback_plan_parse(output, tenant, snapshot, &failure);
        if (!g_error_matches(failure, G_IO_ERROR, G_IO_ERROR_BUSY) ||
            tries == BUSY_TRIES)
            break;
        g_clear_error(&failure);
        g_usleep(BUSY_WAIT_US);
    }
    if (plan) {
        /* What a thick snapshot has kept is copied back; the volume can be used
         * meanwhile, and nobody waits for the lock. */
        const char *merge[] = {
            "lvconvert", "--quiet", "--yes", "--merge",
            plan->is_thick ? "--background" : "--quiet",
            lv = g_strdup_printf("%s/%s", group, plan->snapshot), NULL,
        };

        ok = lvm_change(merge, lock_fd, &failure);
    }
    quota_group_unlock(lock_fd);
    if (failure)
        g_propagate_error(error, g_steal_pointer(&failure));
    return ok;
}
