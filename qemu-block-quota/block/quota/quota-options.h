/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options of the quota driver. */
#ifndef BLOCK_QUOTA_OPTIONS_H
#define BLOCK_QUOTA_OPTIONS_H

#include "quota-int.h"

extern const char *const quota_mutable_opts[];
extern const char *const quota_strong_runtime_opts[];

/* "total_bytes_sec_max" -> "total-bytes-sec-max" */
char *quota_option_name(const struct quota_limit_field *field);
int quota_options_parse(QuotaOptions *opts, QDict *options, Error **errp);
void quota_options_clear(QuotaOptions *opts);

#endif
