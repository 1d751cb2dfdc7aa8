/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * set-values.c: what `quota-lvm set` is given, as limits.
 * Pure functions.
 */
#include <errno.h>
#include <string.h>

#include "set-values.h"

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

void
set_limits_change(struct quota_limits *limits, const struct set_change *change)
{
    for (size_t i = 0; i < quota_limit_fields_count; i++) {
        if (change->is_given[i])
            quota_limit_set(limits, &quota_limit_fields[i], change->values[i]);
    }
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
                    "--overcommit: '%s' is not a whole percentage from 1 to "
                    "1000000: give one such as 150%%, or none", text);
        return false;
    }
    return true;
}
