/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * newer.h: put before each file of common/ by the compiler (-include), to build
 * the program of a later version: it knows a bit of each kind, makes ledgers
 * with the compatible one, and has a field behind the end of ours.
 */
#ifndef TEST_NEWER_H
#define TEST_NEWER_H

#define QUOTA_LEDGER_MINOR 1
#define QUOTA_FEATURES_KNOWN { .incompatible = 1, .write = 1, .compatible = 1 }
#define QUOTA_FEATURES_MADE { .incompatible = 0, .write = 0, .compatible = 1 }
#define QUOTA_LEDGER_TEST_TAIL

#endif
