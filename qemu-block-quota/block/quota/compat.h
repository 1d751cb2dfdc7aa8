/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What differs between the versions of QEMU that the quota filter is built
 * with.  Probes ask for features, never for version numbers.
 */
#ifndef BLOCK_QUOTA_COMPAT_H
#define BLOCK_QUOTA_COMPAT_H

/* QObject's headers were below qapi/qmp until 9.2. */
#if __has_include("qobject/qdict.h")
#include "qobject/qdict.h"
#else
#include "qapi/qmp/qdict.h"
#endif

#endif
