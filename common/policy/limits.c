/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * limits.c: the table of all limits, and what makes a set of them sensible.
 */
#include <errno.h>
#include <string.h>

#include "quota-limits.h"

#define RATE_FIELDS(kind, stem, unit_, what) \
    { stem, offsetof(struct quota_limits, rates[kind].per_sec), \
      unit_, true, what " a second" }, \
    { stem "_max", offsetof(struct quota_limits, rates[kind].max_per_sec), \
      unit_, true, what " a second while a burst lasts" }, \
    { stem "_max_length", \
      offsetof(struct quota_limits, rates[kind].max_length_sec), \
      QUOTA_UNIT_SECONDS, true, "seconds that such a burst may last" }

const struct quota_limit_field quota_limit_fields[] = {
    { "limit", offsetof(struct quota_limits, limit_bytes),
      QUOTA_UNIT_BYTES, true, "physical bytes that the tenant may hold" },
    { "step", offsetof(struct quota_limits, step_bytes),
      QUOTA_UNIT_BYTES, true, "bytes by which the tenant's thin pool grows" },
    { "guarantee", offsetof(struct quota_limits, guarantee_bytes),
      QUOTA_UNIT_BYTES, false, "physical bytes kept for the tenant" },
    { "max_volumes", offsetof(struct quota_limits, max_volumes),
      QUOTA_UNIT_COUNT, false, "volumes that the tenant may have" },
    RATE_FIELDS(QUOTA_RATE_TOTAL_BYTES, "total_bytes_sec",
                QUOTA_UNIT_BYTES_PER_SEC, "bytes read and written"),
    RATE_FIELDS(QUOTA_RATE_READ_BYTES, "read_bytes_sec",
                QUOTA_UNIT_BYTES_PER_SEC, "bytes read"),
    RATE_FIELDS(QUOTA_RATE_WRITE_BYTES, "write_bytes_sec",
                QUOTA_UNIT_BYTES_PER_SEC, "bytes written"),
    RATE_FIELDS(QUOTA_RATE_TOTAL_IOPS, "total_iops_sec",
                QUOTA_UNIT_IOPS, "I/Os"),
    RATE_FIELDS(QUOTA_RATE_READ_IOPS, "read_iops_sec",
                QUOTA_UNIT_IOPS, "reads"),
    RATE_FIELDS(QUOTA_RATE_WRITE_IOPS, "write_iops_sec",
                QUOTA_UNIT_IOPS, "writes"),
};

const size_t quota_limit_fields_count =
    sizeof(quota_limit_fields) / sizeof(quota_limit_fields[0]);

const struct quota_limit_field *quota_limit_field_find(const char *name)
{
    for (size_t i = 0; i < quota_limit_fields_count; i++) {
        if (strcmp(quota_limit_fields[i].name, name) == 0) {
            return &quota_limit_fields[i];
        }
    }
    return NULL;
}

uint64_t quota_limit_get(const struct quota_limits *limits,
                         const struct quota_limit_field *field)
{
    uint64_t value;

    memcpy(&value, (const char *)limits + field->offset, sizeof(value));
    return value;
}

void quota_limit_set(struct quota_limits *limits,
                     const struct quota_limit_field *field, uint64_t value)
{
    memcpy((char *)limits + field->offset, &value, sizeof(value));
}

static const struct quota_limit_field *field_of(const struct quota_limits *l,
                                                const uint64_t *word)
{
    size_t offset = (const char *)word - (const char *)l;

    /* GCOVR_EXCL_BR_START: each word has its row; the loop does not end. */
    for (size_t i = 0; i < quota_limit_fields_count; i++) {
        if (quota_limit_fields[i].offset == offset) {
            return &quota_limit_fields[i];
        }
    }
    /* GCOVR_EXCL_BR_STOP */
    return NULL;
}

int quota_limits_check(const struct quota_limits *limits,
                       const struct quota_limit_field **field,
                       const char **why)
{
    const struct quota_rate *rates = limits->rates;

    for (size_t i = 0; i < quota_limit_fields_count; i++) {
        if (quota_limit_get(limits, &quota_limit_fields[i]) > INT64_MAX) {
            *field = &quota_limit_fields[i];
            *why = "is larger than 8 EiB less one byte";
            return -EINVAL;
        }
    }
    /* A definition may leave the limit to what is tagged. */
    if (limits->limit_bytes && limits->guarantee_bytes > limits->limit_bytes) {
        *field = field_of(limits, &limits->guarantee_bytes);
        *why = "is larger than the limit";
        return -EINVAL;
    }
    for (int i = 0; i < QUOTA_RATE_MAX; i++) {
        if (rates[i].max_per_sec && !rates[i].per_sec) {
            *field = field_of(limits, &rates[i].max_per_sec);
            *why = "needs a sustained rate beside it";
            return -EINVAL;
        }
        if (rates[i].max_per_sec && rates[i].max_per_sec < rates[i].per_sec) {
            *field = field_of(limits, &rates[i].max_per_sec);
            *why = "is lower than the sustained rate";
            return -EINVAL;
        }
        if (rates[i].max_length_sec && !rates[i].max_per_sec) {
            *field = field_of(limits, &rates[i].max_length_sec);
            *why = "needs a burst rate (_max) beside it";
            return -EINVAL;
        }
        /* The three of bytes, then the three of I/Os: total, read, write. */
        if (i % 3 == 0 && rates[i].per_sec &&
            (rates[i + 1].per_sec || rates[i + 2].per_sec)) {
            *field = field_of(limits, &rates[i].per_sec);
            *why = "cannot be set together with a read or write rate";
            return -EINVAL;
        }
    }
    return 0;
}

/* FNV-1a, as in ledger.c, over names and values of the limits that are set:
 * a row added to the table later does not change the digest of old sets. */
uint64_t quota_limits_digest(const struct quota_limits *limits)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < quota_limit_fields_count; i++) {
        const struct quota_limit_field *field = &quota_limit_fields[i];
        uint64_t value = quota_limit_get(limits, field);

        if (value == 0) {
            continue;
        }
        for (const char *p = field->name; *p; p++) {
            hash = (hash ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
        }
        for (int bit = 0; bit < 64; bit += 8) {
            hash = (hash ^ ((value >> bit) & 0xff)) * UINT64_C(0x100000001b3);
        }
    }
    return hash;
}
