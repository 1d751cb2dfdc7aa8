/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * refusal.h: why something cannot be done, as a structure.
 *
 * lvm/ decides and each face puts it into words of its own: libvirt translates
 * them, the command line names its own options as the way out.
 */
#ifndef LVM_REFUSAL_H
#define LVM_REFUSAL_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

/* LvmWhy: the members of LvmRefusal that count are named beside each. */
typedef enum {
    LVM_WHY_NONE,

    /* the group, and asking LVM */
    LVM_WHY_LOCK,               /* error, text: the holder, if known */
    LVM_WHY_NO_GROUP,
    LVM_WHY_DEVICES_MISSING,    /* all of them */
    LVM_WHY_METADATA,           /* error: -EBADMSG, -EAGAIN, ... */
    LVM_WHY_EXPORTED,
    LVM_WHY_COMMAND,            /* name: the command; text: LVM's words; error:
                                   -ENOSPC, -EBUSY, -EPERM, -EIO */
    LVM_WHY_SLOW,               /* name: the command, which still runs or, if it
                                   changes nothing, was ended; asked: seconds */
    LVM_WHY_UNEXPECTED,         /* name: the LV that is not as it should be */
    LVM_WHY_LEDGER,             /* error */
    LVM_WHY_EPOCH,              /* name: the volume; error; asked: seconds */

    /* the tenant */
    LVM_WHY_NO_TENANT,
    LVM_WHY_NO_THIN_POOL,
    LVM_WHY_HAS_THIN_POOL,
    LVM_WHY_HAS_VOLUMES,        /* asked: how many; other: one of them */
    LVM_WHY_NO_LIMIT,
    LVM_WHY_BAD_LIMITS,         /* name: the limit; text: what is wrong */
    LVM_WHY_BAD_TAG,            /* of a limit: it cannot be read */
    LVM_WHY_SMALL_LIMIT,        /* limit, room: an extent */
    LVM_WHY_TENANT_LIMIT,       /* asked, limit, thick, grant */
    LVM_WHY_GROUP_FULL,         /* asked, room */
    LVM_WHY_GROUP_KEPT,         /* asked, room: free; kept: for others */
    LVM_WHY_GUARANTEE,          /* asked, room, most */
    LVM_WHY_OVERCOMMIT,         /* asked, most, percent */
    LVM_WHY_MAX_VOLUMES,        /* limit, asked: how many there are */
    LVM_WHY_ELSEWHERE,          /* other: the thin pool */

    /* the volume; name: its LV, or what it is called */
    LVM_WHY_BAD_NAME,           /* text: what is wrong */
    LVM_WHY_NAME_OF_TENANT,     /* other: the tenant whose volume it would be */
    LVM_WHY_EXISTS,
    LVM_WHY_TAKEN,              /* by an LV that is not the tenant's */
    LVM_WHY_NO_LV,
    LVM_WHY_NO_VOLUME,
    LVM_WHY_TOO_LARGE,          /* asked */
    LVM_WHY_NOT_SMALLER,        /* asked, room: what it has: no shrink flag */
    LVM_WHY_ORIGIN_LARGER,      /* asked; room: of the origin, other */
    LVM_WHY_ORIGIN_FIXED,       /* asked; room: of the origin, other */
    LVM_WHY_NO_COW_SPACE,       /* other: the origin */
    LVM_WHY_IN_USE,
    LVM_WHY_BASE_IN_USE,
    LVM_WHY_BASE_WRITABLE,      /* other: the volume that would be made */
    LVM_WHY_HAS_SNAPSHOT,       /* other: the thick snapshot, which would be lost */
    LVM_WHY_SIZE_KEPT,          /* other: by the thick snapshot */
    LVM_WHY_SIZE_OF_ORIGIN,     /* other: its origin */
    LVM_WHY_IS_SNAPSHOT,        /* a thick one, and so has none */
    LVM_WHY_IS_BASE,            /* other: what was made of it */
    LVM_WHY_NOT_SNAPSHOT,
    LVM_WHY_IS_PART,
    LVM_WHY_IS_UNKNOWN,         /* text: the word */
    LVM_WHY_IS_POOL,            /* text: the kind */
    LVM_WHY_IS_THIN,            /* and so cannot leave its pool */
    LVM_WHY_OTHER_POOL,         /* other: the pool; text: its tenant, or NULL */
    LVM_WHY_OF_TENANT,          /* other: the tenant */

    LVM_WHY_LAST
} LvmWhy;

/* LvmRefusal: { 0 } before it is used; lvm_refusal_clear after.  Sizes are in
 * bytes. */
typedef struct {
    LvmWhy why;
    int error;                  /* negative errno; 0: none */
    uint64_t asked, limit, thick, grant, room, kept, most, percent;
    char *group;
    char *tenant;
    char *name;
    char *other;
    char *text;
} LvmRefusal;

void lvm_refusal_clear(LvmRefusal *refusal);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LvmRefusal, lvm_refusal_clear)

/*
 * lvm_refuse: fill @why, which must be empty or is cleared, with reason, group,
 * tenant, name and other (NULL: none); false, so that a check can end with it.
 * The other members are for the caller to add.
 */
bool lvm_refuse(LvmRefusal *why, LvmWhy reason, const char *group,
                const char *tenant, const char *name, const char *other);

/* lvm_refusal_about: what was asked is about @name, where the check that refused it
 * did not know.  Returns NULL, as what a plan would have been. */
void *lvm_refusal_about(LvmRefusal *why, const char *name);

/* lvm_why_name: "tenant-limit", for golden files and logs. */
const char *lvm_why_name(LvmWhy why);

/*
 * lvm_refusal_format: in words that every face may use, without a way out that
 * only one of them has.  To be freed.
 */
char *lvm_refusal_format(const LvmRefusal *refusal);

#pragma GCC visibility pop

#endif
