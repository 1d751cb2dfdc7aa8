/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * segment.h: which kinds of segments are known, and what their keys name.
 */
#ifndef QUOTA_METADATA_SEGMENT_H
#define QUOTA_METADATA_SEGMENT_H

#include <stdbool.h>

enum segment_role {
    SEGMENT_UNKNOWN,            /* may name anything */
    SEGMENT_BELOW,              /* names what the LV lies on, and is charged for */
    SEGMENT_BESIDE,             /* names an LV that is charged by itself */
    SEGMENT_WORD,               /* names no LV and no device */
};

/* segment_is_known: @type as LVM writes it, with its flags: "raid5+RESHAPE". */
bool segment_is_known(const char *type);

/* segment_is: @type, without its flags, is @name. */
bool segment_is(const char *type, const char *name);

/* segment_role: of a key, or a section, of a segment of this type. */
enum segment_role segment_role(const char *type, const char *key);

#endif
