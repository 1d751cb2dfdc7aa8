/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tree.h: what text.c needs of tree.c.
 */
#ifndef QUOTA_METADATA_TREE_H
#define QUOTA_METADATA_TREE_H

#include <libdevmapper.h>

/* tree_read: to be destroyed; NULL: it makes no sense, or there is no memory. */
struct dm_config_tree *tree_read(const char *text);

#endif
