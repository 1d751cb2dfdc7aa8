/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * arguments.h: what the commands of quota-lvm share: their arguments, and how
 * they end.
 */
#ifndef QLVM_ARGUMENTS_H
#define QLVM_ARGUMENTS_H

#include <stdbool.h>

#include "read.h"

/* The status of a command line that makes no sense. */
#define EXIT_USAGE 2

/* Options that several commands have, for their GOptionEntry tables. */
#define ARGUMENTS_GROUP(place) \
    { "group", 'g', 0, G_OPTION_ARG_STRING, (place), \
      "The tenant's volume group, where several have one of this name", "GROUP" }
#define ARGUMENTS_ONLY_GROUP(place) \
    { "group", 'g', 0, G_OPTION_ARG_STRING, (place), "Only this volume group", \
      "GROUP" }
#define ARGUMENTS_JSON(place) \
    { "json", 0, 0, G_OPTION_ARG_NONE, (place), \
      "Print JSON: base units, null for what is not set or not known", NULL }
#define ARGUMENTS_END { NULL, 0, 0, 0, NULL, NULL, NULL }

/* arguments_refuse: print what is wrong with the command line; EXIT_USAGE. */
int arguments_refuse(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* arguments_refusal: say why it cannot be done; the status to exit with. */
int arguments_refusal(const LvmRefusal *why);

/*
 * arguments_parse: the options of one command; argv[0] becomes the first
 * argument.  false: refused, with @status.
 */
bool arguments_parse(const char *summary, const char *arguments,
                     const GOptionEntry *entries, int *argc, char ***argv,
                     int *status);

/* arguments_check_names: they can be names of a group and of a tenant; NULL is
 * not checked. */
bool arguments_check_names(const char *group, const char *tenant, int *status);

/* arguments_split: "GROUP/NAME" into two, to be freed; NULL: refused, with
 * @status, as not GROUP/@what. */
char *arguments_split(const char *argument, const char *what, char **name,
                      int *status);

/* arguments_find_tenant: the one tenant that is meant, of @group or (NULL) of
 * all groups; NULL with @status: refused. */
LvmTenant *arguments_find_tenant(const char *group, const char *tenant,
                                 int *status);

#endif
