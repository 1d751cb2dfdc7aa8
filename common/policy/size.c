/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * size.c: sizes with units, read and written.  Never through the locale and
 * never through floating point: a limit is exact.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "quota-limits.h"

/* As virScaleInteger has it: a letter alone, or with "iB", is a power of
 * 1024; with "B" a power of 1000. */
static int unit_factor(const char *unit, size_t len, uint64_t *factor)
{
    static const char prefixes[] = "kmgtpe";
    uint64_t base = 1024;
    const char *prefix;

    *factor = 1;
    if (len == 0 || (len == 1 && strncasecmp(unit, "b", len) == 0) ||
        (len == 5 && strncasecmp(unit, "bytes", len) == 0) ||
        (len == 4 && strncasecmp(unit, "byte", len) == 0)) {
        return 0;
    }
    prefix = strchr(prefixes, *unit | 0x20);
    if (!prefix) {
        return -EINVAL;
    }
    if (len == 2 && (unit[1] | 0x20) == 'b') {
        base = 1000;
    } else if (!(len == 1 ||
                 (len == 3 && strncasecmp(unit + 1, "ib", 2) == 0))) {
        return -EINVAL;
    }
    for (int i = prefix - prefixes; i >= 0; i--) {
        *factor *= base;
    }
    return 0;
}

int quota_size_scale(uint64_t number, const char *unit, uint64_t *bytes)
{
    uint64_t factor;
    int ret = unit_factor(unit ? unit : "", unit ? strlen(unit) : 0, &factor);

    if (ret < 0) {
        return ret;
    }
    if (number > INT64_MAX / factor) {
        return -ERANGE;
    }
    *bytes = number * factor;
    return 0;
}

int quota_size_parse(const char *text, uint64_t *bytes)
{
    uint64_t whole = 0, factor, fraction = 0;
    /* Digits of the fraction past this one are less than a byte of an EiB. */
    const uint64_t most = UINT64_C(1000000000000000000);
    uint64_t scale = 1;
    unsigned __int128 sum;
    const char *p = text + strspn(text, " \t");
    size_t len;
    int ret;

    if (*p < '0' || *p > '9') {
        return -EINVAL;
    }
    for (; *p >= '0' && *p <= '9'; p++) {
        if (whole > (UINT64_MAX - 9) / 10) {
            return -ERANGE;
        }
        whole = whole * 10 + (*p - '0');
    }
    if (*p == '.') {
        if (p[1] < '0' || p[1] > '9') {
            return -EINVAL;
        }
        for (p++; *p >= '0' && *p <= '9'; p++) {
            if (scale < most) {
                scale *= 10;
                fraction = fraction * 10 + (*p - '0');
            }
        }
    }
    p += strspn(p, " \t");
    len = strcspn(p, " \t\n");
    if (p[len + strspn(p + len, " \t\n")] != '\0') {
        return -EINVAL;
    }
    ret = unit_factor(p, len, &factor);
    if (ret < 0) {
        return ret;
    }
    sum = (unsigned __int128)whole * factor +
          (unsigned __int128)fraction * factor / scale;
    if (sum > INT64_MAX) {
        return -ERANGE;
    }
    *bytes = (uint64_t)sum;
    return 0;
}

const char *quota_size_format(uint64_t bytes, char text[QUOTA_SIZE_MAX_BYTES])
{
    static const char *const units[] = {
        "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"
    };
    unsigned __int128 hundredths;
    size_t i = 0;

    if (bytes < 1024) {
        snprintf(text, QUOTA_SIZE_MAX_BYTES, "%" PRIu64 " B", bytes);
        return text;
    }
    while (i + 1 < sizeof(units) / sizeof(units[0]) &&
           bytes >> (10 * (i + 2))) {
        i++;
    }
    /* Rounded down: what is shown as used never passes a limit by rounding
     * alone, and neither does a limit pass itself. */
    hundredths = ((unsigned __int128)bytes * 100) >> (10 * (i + 1));
    snprintf(text, QUOTA_SIZE_MAX_BYTES, "%" PRIu64 ".%02u %s",
             (uint64_t)(hundredths / 100), (unsigned)(hundredths % 100),
             units[i]);
    return text;
}
