/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * testutilsqemuquota.h: what tests of the QEMU driver need in order to know of
 * the 'quota' filter.
 */

#pragma once

#include "domain_conf.h"
#include "virhash.h"

int
testQemuQuotaExtendSchema(GHashTable *schema);

int
testQemuQuotaPrepareHost(virDomainObj *vm);
