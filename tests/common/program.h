/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * program.h: common/ as linked into programs of one version.  program.c is
 * compiled once per version; the library's symbols are hidden, so two versions
 * fit into one process.
 */
#ifndef TEST_PROGRAM_H
#define TEST_PROGRAM_H

#include "ledger-layout.h"
#include "quota-writer.h"

struct program {
    const char *name;
    size_t file_bytes;          /* of the ledgers that it creates */
    void (*set_dir)(const char *dir);
    int (*create)(const char *group, const char *tenant,
                  struct quota_ledger **ledger);
    int (*open)(const char *path, bool writable, struct quota_ledger **ledger);
    void (*close)(struct quota_ledger *ledger);
    const char *(*strerror)(int error);
    bool (*is_current)(const struct quota_ledger *ledger);
    void (*publish)(struct quota_ledger *ledger,
                    const struct quota_state *state);
    void (*usage)(const struct quota_ledger *ledger,
                  struct quota_usage *usage);
    int (*attach)(struct quota_ledger *ledger, const char *volume,
                  struct quota_writer **writer);
    void (*detach)(struct quota_writer *writer);
    int (*reserve)(struct quota_writer *writer, uint64_t bytes);
    int (*poll)(struct quota_writer *writer, uint64_t bytes, uint64_t now_ns,
                uint64_t patience_ns, struct quota_admission *admission);
    void (*settle)(struct quota_writer *writer, uint64_t bytes);
    int (*audit)(struct quota_ledger *ledger);
    void (*sample_begin)(struct quota_ledger *ledger,
                         struct quota_sample *sample);
    int (*sample_publish)(struct quota_ledger *ledger,
                          const struct quota_sample *sample,
                          uint64_t used_bytes, uint64_t now_ns,
                          enum quota_reason reason);
    /* Fields that only the newer program has; NULL in the older. */
    quota_u64 *(*in_padding)(struct quota_ledger *ledger);
    quota_u64 *(*behind_end)(struct quota_ledger *ledger);
};

#pragma GCC visibility push(default)
const struct program *older_program(void);
const struct program *newer_program(void);
#pragma GCC visibility pop

#endif
