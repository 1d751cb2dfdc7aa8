/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log.h: messages on standard error, with the journal's "<N>" priorities when
 * the journal reads them.  Owns only the verbosity, set once at start.
 */
#ifndef QLVM_LOG_H
#define QLVM_LOG_H

#include <glib.h>
#include <stdbool.h>
#include <syslog.h>

/* log_init: @program goes before each line unless the journal adds it. */
void log_init(const char *program, bool verbose);

/* log_message: one line; @priority is LOG_ERR ... LOG_DEBUG of syslog(3).
 * LOG_DEBUG lines are dropped unless verbose. */
void log_message(int priority, const char *format, ...) G_GNUC_PRINTF(2, 3);

#endif
