/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * report.h: a tenant's numbers and how they are written.
 *
 * One table drives the columns of `list`, the lines of `show` and the keys of
 * JSON; text is scaled for people, JSON has base units and null.
 */
#ifndef QLVM_REPORT_H
#define QLVM_REPORT_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "quota-limits.h"

/* REPORT_UNKNOWN: the number cannot be had now, e.g. of a pool that is not
 * active. */
#define REPORT_UNKNOWN UINT64_MAX

/* struct report_volume: a volume that is attached or has limits of its own. */
struct report_volume {
    char name[QUOTA_LV_MAX_BYTES + 1];
    uint64_t limit_bytes;
    uint64_t used_bytes;        /* mapped, by device-mapper */
    uint64_t unsampled_bytes;
    uint64_t writers;
};

/* struct report: one tenant in one group. */
struct report {
    const char *group;
    const char *tenant;
    struct quota_limits limits;
    uint64_t used_bytes;        /* thick + thin, as virsh pool-info shows */
    uint64_t thick_bytes;
    uint64_t thin_bytes;        /* of the thin pool, by device-mapper */
    uint64_t grant_bytes;
    uint64_t available_bytes;
    uint64_t group_free_bytes;
    uint64_t unsampled_bytes;   /* reserved since the last sample: counted at
                                   admission, until the kernel confirms it */
    uint64_t refused_writes;    /* writes refused since the ledger was made */
    uint64_t writers;           /* attached filters */
    bool is_over_limit;
    GArray *volumes;            /* struct report_volume; NULL: not known */
};

void report_clear(struct report *report);

/* Each returns text that ends with a newline; the caller frees it. */
char *report_list_text(const struct report *reports, size_t count);
char *report_show_text(const struct report *report);
char *report_list_json(const struct report *reports, size_t count);
char *report_show_json(const struct report *report);

#endif
