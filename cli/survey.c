/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * survey.c: what LVM, the kernel and the ledger each say of a tenant.
 */
#include <errno.h>
#include <limits.h>

#include "survey.h"
#include "thin-status.h"

int
survey_thin_bytes(const LvmTenant *lvm, uint64_t *bytes)
{
    struct thin_status status;
    int ret;

    *bytes = 0;
    if (!lvm->thin_dm_uuid)
        return 0;
    ret = thin_status_read(lvm->thin_dm_uuid, &status);
    if (ret == 0)
        *bytes = status.used_blocks * lvm->state.chunk_bytes;
    return ret;
}

int
survey_ledger_open(const LvmTenant *lvm, struct quota_ledger **ledger)
{
    char path[PATH_MAX];
    int ret = quota_ledger_path(lvm->group, lvm->tenant, path, sizeof(path));

    return ret < 0 ? ret : quota_ledger_open(path, false, ledger);
}

const char *
survey_ledger_remedy(int error)
{
    /* programs that create ledgers do not replace one after these errors */
    switch (error < 0 ? -error : error) {
    case EACCES:
    case EPERM:
        return "only root may open it; if this is root, see what the host's "
               "security policy denies";
    case ENOMEM:
    case EMFILE:
    case ENFILE:
        return "memory or file descriptors are short: try again";
    case ENOTCONN:
        return "start quota-ledgerd.socket";
    case EPROTONOSUPPORT:
        return "quota-lvm, quota-lvmd and libvirtd must be of one version: "
               "restart what was not since the upgrade";
    default:
        return SURVEY_REREAD;
    }
}

/* survey_volumes: the volumes that are attached or have limits of their own. */
static GArray *
survey_volumes(const LvmTenant *lvm, const struct quota_ledger *ledger)
{
    GArray *volumes = g_array_new(FALSE, FALSE, sizeof(struct report_volume));
    struct quota_volume_usage usage;
    int ret;

    for (unsigned i = 0;
         (ret = quota_volume_read(ledger, i, &usage)) != -ENOENT; i++) {
        struct report_volume volume = {
            .limit_bytes = usage.limit_bytes ? usage.limit_bytes
                                             : REPORT_UNKNOWN,
            .unsampled_bytes = ret < 0 ? REPORT_UNKNOWN
                                       : usage.unsampled_bytes,
            .writers = usage.writers,
        };

        if (ret == -EAGAIN || (!usage.writers && !usage.limit_bytes) ||
            quota_name_check_volume(lvm->group, lvm->tenant, usage.name,
                                    NULL) < 0)
            continue;
        g_strlcpy(volume.name, usage.name, sizeof(volume.name));
        if (thin_status_read_volume(lvm->group, lvm->tenant, volume.name,
                                    &volume.used_bytes) < 0)
            volume.used_bytes = REPORT_UNKNOWN;
        g_array_append_val(volumes, volume);
    }
    return volumes;
}

void
survey_tenant(const LvmTenant *lvm, struct report *report)
{
    const struct quota_state *state = &lvm->state;
    struct quota_ledger *ledger = NULL;
    struct quota_usage usage;

    *report = (struct report) {
        .group = lvm->group,
        .tenant = lvm->tenant,
        .limits = state->limits,
        .thick_bytes = state->thick_bytes,
        .grant_bytes = state->grant_bytes,
        .group_free_bytes = state->group_free_bytes,
        .used_bytes = REPORT_UNKNOWN,
        .thin_bytes = REPORT_UNKNOWN,
        .available_bytes = REPORT_UNKNOWN,
        .unsampled_bytes = REPORT_UNKNOWN,
        .refused_writes = REPORT_UNKNOWN,
        .writers = REPORT_UNKNOWN,
    };

    if (survey_thin_bytes(lvm, &report->thin_bytes) == 0) {
        report->used_bytes = report->thick_bytes + report->thin_bytes;
        report->is_over_limit = report->used_bytes > state->limits.limit_bytes;
        report->available_bytes = lvm_available_bytes(state, report->thin_bytes);
    } else {
        report->thin_bytes = REPORT_UNKNOWN;
        report->is_over_limit =
            report->thick_bytes > state->limits.limit_bytes;
    }
    if (report->limits.limit_bytes == 0)
        report->limits.limit_bytes = REPORT_UNKNOWN;

    if (survey_ledger_open(lvm, &ledger) == 0) {
        quota_usage_read(ledger, &usage);
        report->writers = quota_writer_count(ledger);
        report->volumes = survey_volumes(lvm, ledger);
        report->unsampled_bytes = usage.unsampled_bytes;
        report->refused_writes = usage.refused_writes;
        quota_ledger_close(ledger);
    }
}
