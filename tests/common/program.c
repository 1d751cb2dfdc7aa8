/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * program.c: see program.h.  PROGRAM is the name of the function that is defined.
 */
#include "program.h"

#include "ledger.h"

#ifdef QUOTA_LEDGER_TEST_TAIL
static quota_u64 *in_padding(struct quota_ledger *ledger)
{
    return (quota_u64 *)ledger->file->pad;
}

static quota_u64 *behind_end(struct quota_ledger *ledger)
{
    return ledger->file->tail;
}
#endif

const struct program *PROGRAM(void)
{
    static const struct program program = {
#ifdef QUOTA_LEDGER_TEST_TAIL
        .name = "newer",
        .in_padding = in_padding,
        .behind_end = behind_end,
#else
        .name = "older",
#endif
        .file_bytes = sizeof(struct quota_ledger_file),
        .set_dir = quota_ledger_set_dir,
        .create = quota_ledger_create,
        .open = quota_ledger_open,
        .close = quota_ledger_close,
        .strerror = quota_ledger_strerror,
        .is_current = quota_ledger_is_current,
        .publish = quota_state_publish,
        .usage = quota_usage_read,
        .attach = quota_writer_attach,
        .detach = quota_writer_detach,
        .reserve = quota_bytes_reserve,
        .poll = quota_admission_poll,
        .settle = quota_bytes_settle,
        .audit = quota_writer_audit,
        .sample_begin = quota_sample_begin,
        .sample_publish = quota_sample_publish,
    };

    return &program;
}
