/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * text.h: what area.c needs of text.c.
 */
#ifndef QUOTA_METADATA_TEXT_H
#define QUOTA_METADATA_TEXT_H

#include "quota-metadata.h"

/* Whether the device with this UUID is among those that were read. */
typedef bool text_device_check(const char *uuid, void *opaque);

/* text_parse: quota_metadata_parse, but what devices are read is for @is_read to
 * say; NULL: all of them. */
int text_parse(const char *text, const char *name, text_device_check *is_read,
               void *opaque, struct quota_metadata_group **result);

#endif
