/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log.c: messages on standard error.  A line is one write, so lines of
 * several threads do not mix.
 */
#include <string.h>
#include <unistd.h>

#include "log.h"

static const char *log_program = "";
static bool log_is_verbose;
static bool log_is_journal;

void
log_init(const char *program, bool verbose)
{
    log_program = program;
    log_is_verbose = verbose;
    log_is_journal = g_getenv("JOURNAL_STREAM") != NULL;
}

void
log_message(int priority, const char *format, ...)
{
    g_autofree char *text = NULL;
    g_autofree char *line = NULL;
    va_list args;

    if (priority >= LOG_DEBUG && !log_is_verbose)
        return;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);

    if (log_is_journal)
        line = g_strdup_printf("<%d>%s\n", priority, text);
    else
        line = g_strdup_printf("%s: %s\n", log_program, text);
    if (write(STDERR_FILENO, line, strlen(line)) < 0) {
        /* nowhere left to complain */
    }
}
