/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * set-values.h: what `quota-lvm set` is given, as limits.
 */
#ifndef QLVM_SET_VALUES_H
#define QLVM_SET_VALUES_H

#include <gio/gio.h>
#include <stdbool.h>

#include "quota-limits.h"

/* struct set_change: new values for some limits; values[i] belongs to
 * quota_limit_fields[i] and is meant when is_given[i]; 0 clears. */
struct set_change {
    uint64_t *values;
    bool *is_given;
    size_t given_count;
};

/* set_option_name: "total_bytes_sec" -> "total-bytes-sec"; g_free it. */
char *set_option_name(const struct quota_limit_field *field);

/* set_value_parse: the text after an option; "none" gives 0.  The error names
 * the option, the value and the way out. */
bool set_value_parse(const struct quota_limit_field *field, const char *text,
                     uint64_t *value, GError **error);

/* set_limits_change: @limits with the change made; lvm/ checks them as a whole. */
void set_limits_change(struct quota_limits *limits,
                       const struct set_change *change);

/* set_overcommit_parse: the text after --overcommit; "none" gives 0. */
bool set_overcommit_parse(const char *text, uint64_t *percent, GError **error);

#endif
