/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * set.h: `quota-lvm set`: change a tenant's limits, live.
 */
#ifndef QLVM_SET_H
#define QLVM_SET_H

#include <gio/gio.h>

#include "lvm.h"

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

/* set_limits_change: @limits with the change made, checked as a whole. */
bool set_limits_change(struct quota_limits *limits,
                       const struct set_change *change, GError **error);

/* set_tags_change: the tags to take from a thin pool that has @tags, and to
 * put there, so that it says @limits; all other tags are left alone. */
void set_tags_change(char *const *tags, const struct quota_limits *limits,
                     GPtrArray *remove, GPtrArray *add);

/* set_apply: do it, under the group's lock: all or nothing.  Notes and
 * warnings are printed to standard error. */
bool set_apply(const char *group, const char *tenant,
               const struct set_change *change, GError **error);

/* set_overcommit: how many percent of @group's size its tenants' limits may
 * promise together; 0: any.  Limits stay as they are. */
bool set_overcommit_parse(const char *text, uint64_t *percent, GError **error);
bool set_overcommit(const char *group, uint64_t percent, GError **error);

#endif
