/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * quota-metadata.h: a volume group's metadata, as LVM keeps it on the group's
 * devices, read without running a command of LVM.
 *
 * Every change of a volume group is a new text of its metadata, and a new
 * header that says where the text is: 512 bytes that tell whether anything has
 * changed.  Which devices a group has is for LVM to say, since it knows filters
 * and the devices file; whoever uses this asks it once, with pvs(8).
 *
 * Nothing here writes, takes a lock of LVM or runs a command.  A decision that
 * has to hold until it is carried out needs the group's lock (quota-ledger.h).
 */
#ifndef QUOTA_METADATA_H
#define QUOTA_METADATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A logical volume.  Strings belong to the group. */
struct quota_metadata_lv {
    const char *name;
    const char *uuid;           /* with dashes, as lvs(8) prints it */
    const char *segtype;        /* as lvs(8) names it; of the first segment */
    const char *tags;           /* "a,b"; "" if there are none */
    const char *origin;         /* of a snapshot, thin or not; NULL: none */
    const char *external_origin;    /* of a thin volume; NULL: none */
    const char *thin_pool;      /* of a thin volume; NULL: it is none */
    uint64_t origin_bytes;      /* of a snapshot that is not thin: its own size,
                                   as its users see it */
    uint64_t size_bytes;        /* of all segments; of a snapshot that is not
                                   thin: the space for its copies */
    uint64_t physical_bytes;    /* taken from the group for it, with all that
                                   lies below it: legs, their metadata, logs; a
                                   thin pool's data, but not its metadata */
    const char *unknown;        /* a segment type, or a key, that is not known:
                                   the LV may take anything, and physical_bytes
                                   is all that the group has.  NULL: none */
    uint64_t metadata_bytes;    /* of a thin pool's metadata; 0: no such */
    uint64_t chunk_bytes;       /* of a thin pool or a snapshot; 0: no such */
    uint64_t transaction;       /* of a thin pool, or that made a thin volume */
    unsigned data_stripes;      /* side by side, parity not counted; 1: linear */
    unsigned data_copies;       /* of each stripe; 1: no mirror */
    bool is_visible;            /* not a part of another one */
    bool is_writable;
};

/* A volume group at one moment. */
struct quota_metadata_group {
    const char *name;
    const char *uuid;           /* with dashes */
    const char *tags;
    uint64_t seqno;             /* of the metadata; each change adds one */
    uint64_t extent_bytes;
    uint64_t size_bytes;        /* of all extents of all devices */
    uint64_t free_bytes;
    unsigned missing;           /* devices that LVM has marked as missing */
    unsigned unread;            /* others that are not among those read */
    bool is_exported;
    bool is_shared;             /* between hosts, through lvmlockd(8) */
    struct quota_metadata_lv *lvs;  /* as they stand in the text */
    size_t nlvs;
};

/* A group and what was read of it last.  Not for two threads at once. */
struct quota_metadata;

/*
 * quota_metadata_new: get ready to read the volume group @group from @devices,
 * the paths of its physical volumes, as pvs(8) names them; both are copied.
 * Nothing is read yet.  NULL: no memory.
 */
struct quota_metadata *quota_metadata_new(const char *group,
                                          const char *const *devices,
                                          size_t ndevices);

void quota_metadata_free(struct quota_metadata *metadata);

/*
 * quota_metadata_refresh: read the headers, and the metadata if they have
 * changed since it was read last.
 *
 * A change cannot be missed: LVM commits one by rewriting the header of each
 * metadata area in use, on every device of the group that it can reach, those
 * that it adds or removes included; and the header of every area of all
 * @devices is read here, past the page cache (libdevmapper's own readers do
 * the same, see lvm2's lib/format_text/layout.h).
 *
 * Returns 1 if there is something new, 0 if nothing has changed, or
 * -ENOENT     no device has metadata of this group: it was removed or renamed,
 *             or has other devices by now; ask LVM for them again
 * -EAGAIN     changed again and again while it was read
 * -EBADMSG    the metadata makes no sense
 * -ENOMEM, or what opening or reading the devices gave, if all of them failed.
 * After an error the group is what it was before.
 */
int quota_metadata_refresh(struct quota_metadata *metadata);

/* quota_metadata_group: what was read last; NULL: nothing yet.  It is gone with
 * the next quota_metadata_refresh that returns 1. */
const struct quota_metadata_group *
quota_metadata_group(const struct quota_metadata *metadata);

/*
 * quota_metadata_parse: understand @text, the metadata of @group as LVM writes
 * it to its devices and into the files of vgcfgbackup(8).  Returns 0,
 * -EBADMSG, -ENOENT (it is another group's) or -ENOMEM; the result is to be
 * freed.  All devices count as read.
 */
int quota_metadata_parse(const char *text, const char *group,
                         struct quota_metadata_group **result);

void quota_metadata_group_free(struct quota_metadata_group *group);

#ifdef __cplusplus
}
#endif

#endif
