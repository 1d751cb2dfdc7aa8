/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What QMP commands need from the driver, which may be a module.  Without the
 * module the commands exist, and nodes cannot.
 */
#ifndef BLOCK_QUOTA_MODULE_H
#define BLOCK_QUOTA_MODULE_H

#include "qapi/qapi-types-block-quota.h"

/* What requests of a quota node wait for. */
typedef enum QuotaWait {
    QUOTA_WAIT_GROWTH,          /* for the answer whether there is room */
    QUOTA_WAIT_LIMIT,           /* for room, see limit-timeout */
    QUOTA_WAIT_RATE,            /* for a throughput limit */
    QUOTA_WAIT__MAX
} QuotaWait;

/* An optional argument. */
typedef struct QuotaBoundaries {
    bool has;
    uint64List *list;
} QuotaBoundaries;

typedef struct QuotaOps {
    void (*set_thresholds)(BlockDriverState *bs, BlockQuotaThresholdList *list,
                           Error **errp);
    void (*set_histograms)(BlockDriverState *bs, bool has_all, uint64List *all,
                           const QuotaBoundaries boundaries[QUOTA_WAIT__MAX],
                           Error **errp);
} QuotaOps;

/* Set when the driver is loaded. */
extern const QuotaOps *quota_ops;

#endif
