/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * report.c: write a tenant's numbers as a table, as lines, or as JSON.
 *
 * report_fields is the one list of what there is; the limits behind it come
 * from quota_limit_fields.  Pure functions.
 */
#include <inttypes.h>
#include <json-glib/json-glib.h>
#include <string.h>

#include "report.h"

enum report_kind {
    REPORT_TEXT,                /* const char * */
    REPORT_NAME,                /* char [] */
    REPORT_BYTES,               /* the others: uint64_t */
    REPORT_COUNT,
    REPORT_FLAG,                /* bool */
    REPORT_RATE                 /* the column of `list` that sums up rates */
};

/* heading: a column of `list`, or NULL; label: a line of `show`, or NULL;
 * name: a key of JSON, or NULL. */
struct report_field {
    const char *name;
    const char *heading;
    const char *label;
    enum report_kind kind;
    size_t offset;
};

#define REPORT_AT(member) offsetof(struct report, member)
#define REPORT_VOLUME_AT(member) offsetof(struct report_volume, member)

static const struct report_field report_fields[] = {
    { "group", "GROUP", "Group", REPORT_TEXT, REPORT_AT(group) },
    { "tenant", "TENANT", "Tenant", REPORT_TEXT, REPORT_AT(tenant) },
    { "limit_bytes", "LIMIT", "Limit", REPORT_BYTES,
      REPORT_AT(limits.limit_bytes) },
    { "used_bytes", "USED", "Used", REPORT_BYTES, REPORT_AT(used_bytes) },
    { "thick_bytes", "THICK", "  thick volumes", REPORT_BYTES,
      REPORT_AT(thick_bytes) },
    { "thin_bytes", "THIN", "  thin volumes", REPORT_BYTES,
      REPORT_AT(thin_bytes) },
    { "grant_bytes", "GRANT", "Grant of the thin pool", REPORT_BYTES,
      REPORT_AT(grant_bytes) },
    { "available_bytes", "AVAILABLE", "Available", REPORT_BYTES,
      REPORT_AT(available_bytes) },
    { "group_free_bytes", NULL, "Free in the group", REPORT_BYTES,
      REPORT_AT(group_free_bytes) },
    { "unsampled_bytes", NULL, "Not yet sampled", REPORT_BYTES,
      REPORT_AT(unsampled_bytes) },
    { "over_limit", NULL, "Over limit", REPORT_FLAG,
      REPORT_AT(is_over_limit) },
    { "refused_writes", NULL, "Refused writes", REPORT_COUNT,
      REPORT_AT(refused_writes) },
    { "writers", NULL, "Attached disks", REPORT_COUNT, REPORT_AT(writers) },
    { NULL, "RATE", NULL, REPORT_RATE, REPORT_AT(limits) },
};

/* A table below the lines of `show`, and an array of JSON. */
static const struct report_field report_volume_fields[] = {
    { "name", "VOLUME", NULL, REPORT_NAME, REPORT_VOLUME_AT(name) },
    { "limit_bytes", "LIMIT", NULL, REPORT_BYTES,
      REPORT_VOLUME_AT(limit_bytes) },
    { "used_bytes", "USED", NULL, REPORT_BYTES, REPORT_VOLUME_AT(used_bytes) },
    { "unsampled_bytes", "UNSAMPLED", NULL, REPORT_BYTES,
      REPORT_VOLUME_AT(unsampled_bytes) },
    { "writers", "ATTACHED", NULL, REPORT_COUNT, REPORT_VOLUME_AT(writers) },
};

/* Rows of a table: struct report or struct report_volume. */
struct report_rows {
    const struct report_field *fields;
    size_t fields_count;
    const void *rows;
    size_t row_bytes;
    size_t count;
};

static const void *
report_row(const struct report_rows *table, size_t row)
{
    return (const char *)table->rows + row * table->row_bytes;
}

static struct report_rows
report_tenants(const struct report *reports, size_t count)
{
    return (struct report_rows) {
        report_fields, G_N_ELEMENTS(report_fields), reports, sizeof(*reports),
        count
    };
}

static struct report_rows
report_volumes(const struct report *report)
{
    return (struct report_rows) {
        report_volume_fields, G_N_ELEMENTS(report_volume_fields),
        report->volumes->data, sizeof(struct report_volume),
        report->volumes->len
    };
}

void
report_clear(struct report *report)
{
    g_clear_pointer(&report->volumes, g_array_unref);
}

static uint64_t
report_number(const void *row, const struct report_field *field)
{
    uint64_t value;

    memcpy(&value, (const char *)row + field->offset, sizeof(value));
    return value;
}

static const char *
report_string(const void *row, const struct report_field *field)
{
    const char *value;

    if (field->kind == REPORT_NAME)
        return (const char *)row + field->offset;
    memcpy(&value, (const char *)row + field->offset, sizeof(value));
    return value;
}

static bool
report_flag(const void *row, const struct report_field *field)
{
    bool value;

    memcpy(&value, (const char *)row + field->offset, sizeof(value));
    return value;
}

/* report_limit_text: a limit for people, NULL when it is not set. */
static char *
report_limit_text(const struct quota_limits *limits,
                  const struct quota_limit_field *field)
{
    uint64_t value = quota_limit_get(limits, field);
    char size[QUOTA_SIZE_MAX_BYTES];

    if (value == 0)
        return NULL;
    switch (field->unit) {
    case QUOTA_UNIT_BYTES:
        return g_strdup(quota_size_format(value, size));
    case QUOTA_UNIT_BYTES_PER_SEC:
        return g_strdup_printf("%s/s", quota_size_format(value, size));
    case QUOTA_UNIT_IOPS:
        return g_strdup_printf("%" PRIu64 " IOPS", value);
    case QUOTA_UNIT_SECONDS:
        return g_strdup_printf("%" PRIu64 " s", value);
    case QUOTA_UNIT_COUNT:
        return g_strdup_printf("%" PRIu64, value);
    }
    return NULL;
}

/* report_rate_text: "20.00 MiB/s", "read 10.00 MiB/s, 500 IOPS", "-": the
 * sustained rates in few words; `show` tells the bursts. */
static char *
report_rate_text(const struct quota_limits *limits)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (size_t i = 0; i < quota_limit_fields_count; i++) {
        const struct quota_limit_field *field = &quota_limit_fields[i];
        g_autofree char *value = NULL;

        if (!g_str_has_suffix(field->name, "_sec"))
            continue;
        value = report_limit_text(limits, field);
        if (!value)
            continue;
        if (text->len)
            g_string_append(text, ", ");
        if (g_str_has_prefix(field->name, "read_"))
            g_string_append(text, "read ");
        else if (g_str_has_prefix(field->name, "write_"))
            g_string_append(text, "write ");
        g_string_append(text, value);
    }
    if (text->len == 0)
        g_string_append_c(text, '-');
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static char *
report_cell_text(const void *row, const struct report_field *field)
{
    char size[QUOTA_SIZE_MAX_BYTES];
    uint64_t value;

    switch (field->kind) {
    case REPORT_TEXT:
    case REPORT_NAME:
        return g_strdup(report_string(row, field));
    case REPORT_FLAG:
        return g_strdup(report_flag(row, field) ? "yes" : "no");
    case REPORT_RATE:
        return report_rate_text((const void *)((const char *)row +
                                               field->offset));
    case REPORT_BYTES:
    case REPORT_COUNT:
        value = report_number(row, field);
        if (value == REPORT_UNKNOWN)
            return g_strdup("-");
        if (field->kind == REPORT_BYTES)
            return g_strdup(quota_size_format(value, size));
        return g_strdup_printf("%" PRIu64, value);
    }
    return NULL;
}

static void
report_append_padded(GString *line, const char *text, int width, bool right)
{
    if (line->len)
        g_string_append(line, "  ");
    g_string_append_printf(line, right ? "%*s" : "%-*s", width, text);
}

static void
report_append_line(GString *text, GString *line)
{
    while (line->len && line->str[line->len - 1] == ' ')
        g_string_truncate(line, line->len - 1);
    g_string_append_printf(text, "%s\n", line->str);
}

static void
report_append_table(GString *text, const struct report_rows *table)
{
    g_autofree int *widths = g_new0(int, table->fields_count);

    for (size_t f = 0; f < table->fields_count; f++) {
        const struct report_field *field = &table->fields[f];

        widths[f] = field->heading ? (int)strlen(field->heading) : 0;
        for (size_t i = 0; i < table->count && field->heading; i++) {
            g_autofree char *cell = report_cell_text(report_row(table, i),
                                                     field);

            widths[f] = MAX(widths[f], (int)strlen(cell));
        }
    }
    for (size_t i = 0; i <= table->count; i++) {
        g_autoptr(GString) line = g_string_new(NULL);

        for (size_t f = 0; f < table->fields_count; f++) {
            const struct report_field *field = &table->fields[f];
            g_autofree char *cell = NULL;

            if (!field->heading)
                continue;
            cell = i == 0 ? g_strdup(field->heading)
                          : report_cell_text(report_row(table, i - 1), field);
            report_append_padded(line, cell, widths[f],
                                 field->kind == REPORT_BYTES ||
                                 field->kind == REPORT_COUNT);
        }
        report_append_line(text, line);
    }
}

char *
report_list_text(const struct report *reports, size_t count)
{
    g_autoptr(GString) text = g_string_new(NULL);
    struct report_rows table = report_tenants(reports, count);

    report_append_table(text, &table);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static void
report_append_pair(GString *text, const char *label, const char *value)
{
    g_autofree char *key = g_strdup_printf("%s:", label);

    g_string_append_printf(text, "%-30s %s\n", key, value);
}

char *
report_show_text(const struct report *report)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (size_t f = 0; f < G_N_ELEMENTS(report_fields); f++) {
        const struct report_field *field = &report_fields[f];
        g_autofree char *cell = NULL;

        if (!field->label)
            continue;
        cell = report_cell_text(report, field);
        report_append_pair(text, field->label, cell);
    }
    for (size_t i = 0; i < quota_limit_fields_count; i++) {
        const struct quota_limit_field *field = &quota_limit_fields[i];
        g_autofree char *value = report_limit_text(&report->limits, field);

        if (value && strcmp(field->name, "limit") != 0)
            report_append_pair(text, field->name, value);
    }
    if (report->volumes && report->volumes->len) {
        struct report_rows table = report_volumes(report);

        g_string_append_c(text, '\n');
        report_append_table(text, &table);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static JsonNode *
report_json_number(uint64_t value, uint64_t null)
{
    if (value == null)
        return json_node_new(JSON_NODE_NULL);
    return json_node_init_int(json_node_alloc(),
                              value > INT64_MAX ? INT64_MAX : (gint64)value);
}

/* report_json_row: what the fields of a row are called and say. */
static JsonObject *
report_json_row(const struct report_rows *table, size_t row)
{
    const void *from = report_row(table, row);
    JsonObject *object = json_object_new();
    JsonNode *node;

    for (size_t f = 0; f < table->fields_count; f++) {
        const struct report_field *field = &table->fields[f];

        if (!field->name)
            continue;
        switch (field->kind) {
        case REPORT_TEXT:
        case REPORT_NAME:
            json_object_set_string_member(object, field->name,
                                          report_string(from, field));
            break;
        case REPORT_FLAG:
            json_object_set_boolean_member(object, field->name,
                                           report_flag(from, field));
            break;
        case REPORT_BYTES:
        case REPORT_COUNT:
            node = report_json_number(report_number(from, field),
                                      REPORT_UNKNOWN);
            json_object_set_member(object, field->name, node);
            break;
        case REPORT_RATE:
            break;
        }
    }
    return object;
}

static JsonNode *
report_json_volumes(const struct report *report)
{
    struct report_rows table;
    JsonArray *array;

    if (!report->volumes)
        return json_node_new(JSON_NODE_NULL);
    table = report_volumes(report);
    array = json_array_new();
    for (size_t i = 0; i < table.count; i++)
        json_array_add_object_element(array, report_json_row(&table, i));
    return json_node_init_array(json_node_alloc(), array);
}

static JsonNode *
report_json(const struct report *report)
{
    struct report_rows table = report_tenants(report, 1);
    JsonObject *object = report_json_row(&table, 0);
    JsonNode *node;

    /* a limit that is not set is null, never 0 */
    for (size_t i = 0; i < quota_limit_fields_count; i++) {
        const struct quota_limit_field *field = &quota_limit_fields[i];
        g_autofree char *name = NULL;

        if (strcmp(field->name, "limit") == 0)
            continue;           /* is in the table above */
        name = g_strconcat(field->name, field->unit == QUOTA_UNIT_BYTES
                           ? "_bytes" : "", NULL);
        node = report_json_number(quota_limit_get(&report->limits, field), 0);
        json_object_set_member(object, name, node);
    }
    json_object_set_member(object, "volumes", report_json_volumes(report));
    return json_node_init_object(json_node_alloc(), object);
}

static char *
report_json_text(JsonNode *root)
{
    g_autoptr(JsonGenerator) generator = json_generator_new();
    g_autofree char *text = NULL;

    json_generator_set_pretty(generator, TRUE);
    json_generator_set_root(generator, root);
    text = json_generator_to_data(generator, NULL);
    json_node_unref(root);
    return g_strconcat(text, "\n", NULL);
}

char *
report_show_json(const struct report *report)
{
    return report_json_text(report_json(report));
}

char *
report_list_json(const struct report *reports, size_t count)
{
    JsonArray *array = json_array_new();

    for (size_t i = 0; i < count; i++)
        json_array_add_element(array, report_json(&reports[i]));
    return report_json_text(json_node_init_array(json_node_alloc(), array));
}
