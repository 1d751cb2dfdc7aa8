/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * adopt.h: `quota-lvm adopt` and `release`: an LV that is there becomes a
 * tenant's volume, or nobody's, with all its data.
 */
#ifndef QLVM_ADOPT_H
#define QLVM_ADOPT_H

#include <gio/gio.h>
#include <stdbool.h>

/*
 * adopt_apply: charge LV @lv of @group to @tenant, tag it, and name it as its
 * volume @volume (NULL: as it is called).  Refused when it does not fit the
 * tenant's limits.  Again after a power cut, it completes what was begun.
 */
bool adopt_apply(const char *group, const char *lv, const char *tenant,
                 const char *volume, GError **error);

/* adopt_release: the reverse; @name is what it is called then (NULL: as the
 * volume was). */
bool adopt_release(const char *group, const char *tenant, const char *volume,
                   const char *name, GError **error);

#endif
