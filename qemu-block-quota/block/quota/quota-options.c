/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options of the quota driver: parsing and checking.
 *
 * common/policy/limits.c defines names and units of the limits; options have
 * '-' where the table has '_'.
 */

#include "qemu/osdep.h"

#include "qapi/error.h"
#include "qemu/option.h"

#include "quota-options.h"

#define QUOTA_OPT_LEDGER "ledger"
#define QUOTA_OPT_TENANT "tenant"
#define QUOTA_OPT_VOLUME "volume"
#define QUOTA_OPT_ALLOCATION "allocation"
#define QUOTA_OPT_WAIT_TIMEOUT "wait-timeout"
#define QUOTA_OPT_LIMIT_TIMEOUT "limit-timeout"
#define QUOTA_OPT_LIMIT "limit"

#define QUOTA_WAIT_TIMEOUT_DEFAULT 30
#define QUOTA_LIMIT_TIMEOUT_DEFAULT 0
#define QUOTA_TIMEOUT_MAX (24 * 60 * 60)

#define QUOTA_RATE_OPTS(opt, opt_type, what) \
    { \
        .name = opt, \
        .type = opt_type, \
        .help = what " per second", \
    }, { \
        .name = opt "-max", \
        .type = opt_type, \
        .help = what " per second while bursting", \
    }, { \
        .name = opt "-max-length", \
        .type = QEMU_OPT_NUMBER, \
        .help = "seconds that a burst may last, default 1", \
    }

static QemuOptsList quota_opts = {
    .name = "quota",
    .head = QTAILQ_HEAD_INITIALIZER(quota_opts.head),
    .desc = {
        {
            .name = QUOTA_OPT_LEDGER,
            .type = QEMU_OPT_STRING,
            .help = "the tenant's ledger, a path or /dev/fdset/N",
        }, {
            .name = QUOTA_OPT_TENANT,
            .type = QEMU_OPT_STRING,
            .help = "name of the tenant",
        }, {
            .name = QUOTA_OPT_VOLUME,
            .type = QEMU_OPT_STRING,
            .help = "name of the volume in the ledger",
        }, {
            .name = QUOTA_OPT_ALLOCATION,
            .type = QEMU_OPT_BOOL,
            .help = "charge new space",
        }, {
            .name = QUOTA_OPT_WAIT_TIMEOUT,
            .type = QEMU_OPT_NUMBER,
            .help = "seconds to wait for the answer whether there is room, "
                "default 30",
        }, {
            .name = QUOTA_OPT_LIMIT_TIMEOUT,
            .type = QEMU_OPT_NUMBER,
            .help = "seconds to wait for room when there is none, default 0",
        }, {
            .name = QUOTA_OPT_LIMIT,
            .type = QEMU_OPT_SIZE,
            .help = "bytes that the child may allocate",
        },
        QUOTA_RATE_OPTS("total-bytes-sec", QEMU_OPT_SIZE, "bytes"),
        QUOTA_RATE_OPTS("read-bytes-sec", QEMU_OPT_SIZE, "bytes read"),
        QUOTA_RATE_OPTS("write-bytes-sec", QEMU_OPT_SIZE, "bytes written"),
        QUOTA_RATE_OPTS("total-iops-sec", QEMU_OPT_NUMBER, "requests"),
        QUOTA_RATE_OPTS("read-iops-sec", QEMU_OPT_NUMBER, "read requests"),
        QUOTA_RATE_OPTS("write-iops-sec", QEMU_OPT_NUMBER, "write requests"),
        { /* end of list */ }
    },
};

#define QUOTA_RATE_NAMES(opt) opt, opt "-max", opt "-max-length"
#define QUOTA_INLINE_NAMES \
    QUOTA_OPT_LIMIT, \
    QUOTA_RATE_NAMES("total-bytes-sec"), \
    QUOTA_RATE_NAMES("read-bytes-sec"), \
    QUOTA_RATE_NAMES("write-bytes-sec"), \
    QUOTA_RATE_NAMES("total-iops-sec"), \
    QUOTA_RATE_NAMES("read-iops-sec"), \
    QUOTA_RATE_NAMES("write-iops-sec")

const char *const quota_mutable_opts[] = {
    QUOTA_OPT_LEDGER,
    QUOTA_OPT_ALLOCATION,
    QUOTA_OPT_WAIT_TIMEOUT,
    QUOTA_OPT_LIMIT_TIMEOUT,
    QUOTA_INLINE_NAMES,

    NULL
};

/* A node that is opened again from its description must keep its limits. */
const char *const quota_strong_runtime_opts[] = {
    QUOTA_OPT_LEDGER,
    QUOTA_OPT_TENANT,
    QUOTA_OPT_VOLUME,
    QUOTA_OPT_ALLOCATION,
    QUOTA_INLINE_NAMES,

    NULL
};

char *quota_option_name(const struct quota_limit_field *field)
{
    return g_strdelimit(g_strdup(field->name), "_", '-');
}

/* *@given: the name of one of the limits that were given, or NULL */
static int quota_parse_limits(struct quota_limits *limits, QemuOpts *opts,
                              char **given, Error **errp)
{
    const struct quota_limit_field *field;
    const char *why;
    size_t i;

    for (i = 0; i < quota_limit_fields_count; i++) {
        g_autofree char *name = NULL;
        uint64_t value;

        field = &quota_limit_fields[i];
        name = quota_option_name(field);
        if (!qemu_opt_find(opts, name)) {
            continue;
        }
        value = field->unit == QUOTA_UNIT_BYTES ||
                field->unit == QUOTA_UNIT_BYTES_PER_SEC
                ? qemu_opt_get_size(opts, name, 0)
                : qemu_opt_get_number(opts, name, 0);
        if (value == 0 || value > INT64_MAX) {
            error_setg(errp, "Option '%s' must be between 1 and %" PRId64
                       "; leave it out for no limit", name, INT64_MAX);
            return -EINVAL;
        }
        quota_limit_set(limits, field, value);
        g_free(*given);
        *given = g_steal_pointer(&name);
    }

    if (quota_limits_check(limits, &field, &why) < 0) {
        g_autofree char *name = quota_option_name(field);

        error_setg(errp, "Option '%s' %s", name, why);
        return -EINVAL;
    }
    return 0;
}

static int quota_parse_timeout(uint64_t *timeout_ns, QemuOpts *opts,
                               const char *name, uint64_t def, Error **errp)
{
    uint64_t timeout = qemu_opt_get_number(opts, name, def);

    if (timeout > QUOTA_TIMEOUT_MAX) {
        error_setg(errp, "Option '%s' must be at most %d seconds", name,
                   QUOTA_TIMEOUT_MAX);
        return -EINVAL;
    }
    *timeout_ns = timeout * NANOSECONDS_PER_SECOND;
    return 0;
}

int quota_options_parse(QuotaOptions *dest, QDict *options, Error **errp)
{
    QemuOpts *opts = qemu_opts_create(&quota_opts, NULL, 0, &error_abort);
    g_autofree char *given_limit = NULL;
    const char *why;
    int ret = -EINVAL;

    if (!qemu_opts_absorb_qdict(opts, options, errp)) {
        goto fin;
    }

    dest->ledger = g_strdup(qemu_opt_get(opts, QUOTA_OPT_LEDGER));
    dest->tenant = g_strdup(qemu_opt_get(opts, QUOTA_OPT_TENANT));
    dest->volume = g_strdup(qemu_opt_get(opts, QUOTA_OPT_VOLUME));

    if (quota_parse_limits(&dest->limits, opts, &given_limit, errp) < 0) {
        goto fin;
    }
    if (dest->tenant && quota_name_check_tenant(dest->tenant, &why) < 0) {
        error_setg(errp, "Tenant name '%s' %s", dest->tenant, why);
        goto fin;
    }
    if (dest->ledger && given_limit) {
        error_setg(errp, "Option '%s' cannot be given together with a ledger, "
                   "which has its own limits (change them with "
                   "'quota-lvm set')", given_limit);
        goto fin;
    }
    if (dest->ledger && !dest->tenant) {
        error_setg(errp, "Option 'tenant' is missing: it must name the tenant "
                   "that ledger '%s' belongs to", dest->ledger);
        goto fin;
    }

    dest->allocation = qemu_opt_get_bool(opts, QUOTA_OPT_ALLOCATION,
                                         dest->ledger ||
                                         dest->limits.limit_bytes);
    if (!dest->ledger && dest->allocation != !!dest->limits.limit_bytes) {
        error_setg(errp, dest->allocation
                   ? "Option 'allocation' needs a 'ledger' or a 'limit'"
                   : "Option 'limit' contradicts 'allocation=off'");
        goto fin;
    }

    ret = quota_parse_timeout(&dest->wait_timeout_ns, opts,
                              QUOTA_OPT_WAIT_TIMEOUT,
                              QUOTA_WAIT_TIMEOUT_DEFAULT, errp);
    if (ret < 0) {
        goto fin;
    }
    ret = quota_parse_timeout(&dest->limit_timeout_ns, opts,
                              QUOTA_OPT_LIMIT_TIMEOUT,
                              QUOTA_LIMIT_TIMEOUT_DEFAULT, errp);
fin:
    if (ret < 0) {
        quota_options_clear(dest);
    }
    qemu_opts_del(opts);
    return ret;
}

void quota_options_clear(QuotaOptions *opts)
{
    g_free(opts->ledger);
    g_free(opts->tenant);
    g_free(opts->volume);
    *opts = (QuotaOptions) {};
}
