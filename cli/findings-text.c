/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * findings-text.c: what `quota-lvm check` found, as text or as JSON.
 */
#include <json-glib/json-glib.h>
#include <string.h>

#include "findings.h"

unsigned
findings_count(const GPtrArray *results)
{
    unsigned count = 0;

    for (guint i = 0; i < results->len; i++)
        count += ((const struct findings *)
                  g_ptr_array_index(results, i))->findings->len;
    return count;
}

/*
 * GROUP  TENANT  RESULT
 * vg0    -       ok
 * vg0    acme    1 finding
 *                over-limit: thick volumes and grant, ...
 *                  do: raise the limit, ...
 */
char *
findings_text(const GPtrArray *results)
{
    g_autoptr(GString) text = g_string_new(NULL);
    int group_width = strlen("GROUP"), tenant_width = strlen("TENANT");

    for (guint i = 0; i < results->len; i++) {
        const struct findings *result = g_ptr_array_index(results, i);

        group_width = MAX(group_width, (int)strlen(result->group));
        if (result->tenant)
            tenant_width = MAX(tenant_width, (int)strlen(result->tenant));
    }
    g_string_append_printf(text, "%-*s  %-*s  RESULT\n", group_width, "GROUP",
                           tenant_width, "TENANT");
    for (guint i = 0; i < results->len; i++) {
        const struct findings *result = g_ptr_array_index(results, i);
        guint count = result->findings->len;

        g_string_append_printf(text, "%-*s  %-*s  ", group_width,
                               result->group, tenant_width,
                               result->tenant ? result->tenant : "-");
        if (count == 0)
            g_string_append(text, "ok\n");
        else
            g_string_append_printf(text, "%u finding%s\n", count,
                                   count == 1 ? "" : "s");
        for (guint j = 0; j < count; j++) {
            const struct finding *finding =
                g_ptr_array_index(result->findings, j);
            int width = group_width + tenant_width + 4;

            g_string_append_printf(text, "%*s%s: %s\n%*sdo: %s\n", width, "",
                                   finding->kind, finding->problem, width + 2,
                                   "", finding->remedy);
        }
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static void
findings_json_string(JsonObject *object, const char *name, const char *value)
{
    if (value)
        json_object_set_string_member(object, name, value);
    else
        json_object_set_null_member(object, name);
}

char *
findings_json(const GPtrArray *results)
{
    g_autoptr(JsonGenerator) generator = json_generator_new();
    g_autofree char *text = NULL;
    JsonArray *array = json_array_new();
    JsonNode *root = json_node_init_array(json_node_alloc(), array);

    json_array_unref(array);
    for (guint i = 0; i < results->len; i++) {
        const struct findings *result = g_ptr_array_index(results, i);
        JsonArray *findings = json_array_new();
        JsonObject *object = json_object_new();

        findings_json_string(object, "group", result->group);
        findings_json_string(object, "tenant", result->tenant);
        json_object_set_boolean_member(object, "ok",
                                       result->findings->len == 0);
        for (guint j = 0; j < result->findings->len; j++) {
            const struct finding *from =
                g_ptr_array_index(result->findings, j);
            JsonObject *finding = json_object_new();

            findings_json_string(finding, "kind", from->kind);
            findings_json_string(finding, "lv", from->lv);
            findings_json_string(finding, "problem", from->problem);
            findings_json_string(finding, "remedy", from->remedy);
            json_array_add_object_element(findings, finding);
        }
        json_object_set_array_member(object, "findings", findings);
        json_array_add_object_element(array, object);
    }
    json_generator_set_pretty(generator, TRUE);
    json_generator_set_root(generator, root);
    text = json_generator_to_data(generator, NULL);
    json_node_unref(root);
    return g_strconcat(text, "\n", NULL);
}
