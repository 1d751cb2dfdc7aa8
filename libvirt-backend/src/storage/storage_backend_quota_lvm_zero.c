/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_backend_quota_lvm_zero.c: no tenant reads another's old bytes
 *
 * The extents of a thick volume may have been anybody's: a volume's, a thin
 * pool's, those of an LV of no tenant.  They are zeroed when they are given
 * rather than when they are freed: who removes an LV by hand, or loses power
 * while deleting, would leave bytes behind.  Thin pools zero their chunks
 * themselves.
 *
 * A note on this host says which volume is not zeroed, and from which byte on.
 * It is on disk before LVM is asked for extents, so that after any crash the
 * next refresh takes back what nobody was given.  (A tag would say the same on
 * every host, and cost each volume a second command of LVM.)
 */

#include <config.h>

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "storage_backend_quota_lvm_internal.h"
#include "storage_source_quota.h"
#include "virerror.h"
#include "virfile.h"
#include "virlog.h"
#include "virstring.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE

VIR_LOG_INIT("storage.storage_backend_quota_lvm_zero");

/* NOTES_DIR/GROUP/LV: "FROM UUID"; no UUID while the LV is being made */
#define NOTES_DIR VIR_STORAGE_SOURCE_QUOTA_NOTES_DIR
#define NOTE_MAX_BYTES 256

/* What is zeroed in one call, so that a killed libvirtd ends soon */
#define ZERO_STEP (64ULL << 20)

/* Whole blocks of any disk */
#define ZERO_BLOCK 4096ULL


/**
 * virQuotaZeroDevice:
 * @path: a thick volume
 * @from: whole blocks
 * @flags: O_EXCL, if nobody may have it open
 *
 * Writes zeroes from @from to the end, by what the device has for that.
 */
int
virQuotaZeroDevice(const char *path,
                   unsigned long long from,
                   int flags)
{
    VIR_AUTOCLOSE fd = open(path, O_WRONLY | O_CLOEXEC | flags);
    unsigned long long size = 0;
    unsigned long long range[2];

    if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size) < 0) {
        virReportSystemError(errno, _("cannot open volume '%1$s'"), path);
        return -1;
    }

    for (range[0] = from; range[0] < size; range[0] += range[1]) {
        range[1] = MIN(size - range[0], ZERO_STEP);
        if (ioctl(fd, BLKZEROOUT, range) < 0) {
            virReportSystemError(errno,
                                 _("cannot overwrite volume '%1$s' with zeroes"),
                                 path);
            return -1;
        }
    }

    /* What went into the cache of the disk */
    if (g_fsync(fd) < 0) {
        virReportSystemError(errno, _("cannot sync volume '%1$s'"), path);
        return -1;
    }

    return 0;
}


static char *
virQuotaZeroNotePath(const char *group,
                     const char *lv)
{
    return g_strdup_printf(NOTES_DIR "/%s/%s", group, lv);
}


static int
virQuotaZeroSyncDir(const char *path)
{
    VIR_AUTOCLOSE fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || g_fsync(fd) < 0) {
        virReportSystemError(errno, _("cannot sync directory '%1$s'"), path);
        return -1;
    }

    return 0;
}


/* Returns whether there is a note of @lv. */
static bool
virQuotaZeroReadNote(const char *group,
                     const char *lv,
                     unsigned long long *from,
                     char **uuid)
{
    g_autofree char *path = virQuotaZeroNotePath(group, lv);
    g_autofree char *note = NULL;
    char *end = NULL;

    if (virFileReadAllQuiet(path, NOTE_MAX_BYTES, &note) < 0 ||
        virStrToLong_ull(note, &end, 10, from) < 0)
        return false;

    *uuid = g_strdup(g_strstrip(end));
    return true;
}


/* Whether a note is about an LV of this @uuid, and @size reaches what is not zeroed */
static bool
virQuotaZeroNoteIsOf(unsigned long long from,
                     const char *noted,
                     const char *uuid,
                     unsigned long long size)
{
    return (!*noted || STREQ(noted, uuid)) && from < size;
}


/* Whether the LV @lv of this @uuid and size holds bytes that may have been
 * anybody's */
bool
virQuotaZeroIsPending(const char *group,
                      const char *lv,
                      const char *uuid,
                      unsigned long long size)
{
    g_autofree char *noted = NULL;
    unsigned long long from;

    return virQuotaZeroReadNote(group, lv, &from, &noted) &&
        virQuotaZeroNoteIsOf(from, noted, uuid, size);
}


/**
 * virQuotaZeroBegin:
 * @tenant: tenant, locked
 * @lv: name of an LV that is to get extents
 * @uuid: its UUID, NULL while it has none
 * @from: the byte from which on it is not zeroed
 */
int
virQuotaZeroBegin(virQuotaTenant *tenant,
                  const char *lv,
                  const char *uuid,
                  unsigned long long from)
{
    g_autofree char *dir = g_strdup_printf(NOTES_DIR "/%s", tenant->group);
    g_autofree char *path = virQuotaZeroNotePath(tenant->group, lv);
    g_autofree char *note = NULL;
    g_autofree char *wasUuid = NULL;
    unsigned long long was;

    /* What was not zeroed before is not zeroed now */
    if (uuid && virQuotaZeroReadNote(tenant->group, lv, &was, &wasUuid) &&
        STREQ(wasUuid, uuid))
        from = MIN(from, was);

    note = g_strdup_printf("%llu %s\n", from, NULLSTR_EMPTY(uuid));

    if (g_mkdir_with_parents(dir, 0700) < 0) {
        virReportSystemError(errno, _("cannot create directory '%1$s'"), dir);
        return -1;
    }

    if (virFileRewriteStr(path, 0600, note) < 0)
        return -1;

    return virQuotaZeroSyncDir(dir);
}


/* What was unfinished is finished, or gone */
void
virQuotaZeroForget(const char *group,
                   const char *lv)
{
    g_autofree char *path = virQuotaZeroNotePath(group, lv);

    if (unlink(path) < 0 && errno != ENOENT)
        VIR_WARN("cannot remove '%s': %s", path, g_strerror(errno));
}


/**
 * virQuotaZeroTakeBack:
 * @tenant: tenant, locked
 * @lv: an LV that was to get extents from @from on, and got none
 *
 * Forgets the note, unless it is about something older.
 */
void
virQuotaZeroTakeBack(virQuotaTenant *tenant,
                     const char *lv,
                     unsigned long long from)
{
    g_autofree char *uuid = NULL;
    unsigned long long noted;

    if (virQuotaZeroReadNote(tenant->group, lv, &noted, &uuid) && noted >= from)
        virQuotaZeroForget(tenant->group, lv);
}


/**
 * virQuotaZeroMade:
 * @tenant: tenant, locked
 * @lv: an LV that was just made
 *
 * From now on its note is about it, and no other of its name.
 */
int
virQuotaZeroMade(virQuotaTenant *tenant,
                 const LvmLv *lv)
{
    g_autofree char *uuid = NULL;
    unsigned long long from;

    if (!virQuotaZeroReadNote(tenant->group, lv->name, &from, &uuid))
        return 0;

    return virQuotaZeroBegin(tenant, lv->name, lv->uuid, from);
}


/**
 * virQuotaZeroVol:
 * @def: pool definition
 * @vol: volume
 * @content: what the caller writes to it from its beginning on, bytes
 *
 * Zeroes what is not zeroed yet of a volume and is not overwritten anyway.  The
 * note stays until virQuotaZeroEnd.  The group should not be locked: this takes its
 * time.
 */
int
virQuotaZeroVol(virStoragePoolDef *def,
                virStorageVolDef *vol,
                unsigned long long content)
{
    char name[QUOTA_LV_MAX_BYTES + 1];
    g_autofree char *uuid = NULL;
    unsigned long long from;

    if (quota_name_format_lv(def->source.tenant, vol->name, name) < 0 ||
        !virQuotaZeroReadNote(def->source.name, name, &from, &uuid))
        return 0;

    return virQuotaZeroDevice(vol->target.path,
                              MAX(from, content - content % ZERO_BLOCK),
                              0);
}


void
virQuotaZeroEnd(virStoragePoolDef *def,
                virStorageVolDef *vol)
{
    char name[QUOTA_LV_MAX_BYTES + 1];

    if (quota_name_format_lv(def->source.tenant, vol->name, name) == 0)
        virQuotaZeroForget(def->source.name, name);
}


/* Removes what was being made, takes from @lv what it was being grown by */
static int
virQuotaZeroCut(virQuotaTenant *tenant,
                const LvmLv *lv,
                unsigned long long from,
                LvmRefusal *why)
{
    g_autoptr(LvmPlan) plan = NULL;

    VIR_WARN("LV %s/%s was not finished: what is beyond byte %llu is taken back",
             tenant->group, lv->name, from);

    plan = lvm_plan_volume_cut(virQuotaTenantView(tenant), tenant->name, lv, from);
    return virQuotaTenantRun(tenant, plan, why);
}


/* Returns whether LVM is worth being asked again. */
static bool
virQuotaZeroSettleNote(virQuotaTenant *tenant,
                       const char *name)
{
    const char *volume = quota_name_parse_lv(tenant->name, name);
    const LvmLv *lv;
    g_autofree char *uuid = NULL;
    g_auto(LvmRefusal) why = { 0 };
    unsigned long long from;

    if (!volume ||
        !virQuotaZeroReadNote(tenant->group, name, &from, &uuid))
        return true;

    lv = virQuotaTenantFindVolume(tenant, volume);
    if (lv && virQuotaZeroNoteIsOf(from, uuid, lv->uuid, lv->lv.size_bytes) &&
        virQuotaZeroCut(tenant, lv, from, &why) < 0) {
        VIR_WARN("LV %s/%s stays, with what its extents held before: %s",
                 tenant->group, name, virGetLastErrorMessage());
        virResetLastError();
        return why.why != LVM_WHY_SLOW;
    }

    virQuotaZeroForget(tenant->group, name);
    return true;
}


/**
 * virQuotaZeroSettle:
 * @tenant: tenant, read; read anew if anything was taken back
 *
 * Takes back what a creation or a resize that never ended has left.  Nothing of
 * this libvirtd is under way: pools with jobs are not refreshed.
 */
int
virQuotaZeroSettle(virQuotaTenant *tenant)
{
    g_autofree char *path = g_strdup_printf(NOTES_DIR "/%s", tenant->group);
    g_autoptr(DIR) dir = NULL;
    struct dirent *entry;

    if (virDirOpenQuiet(&dir, path) < 0)
        return 0;

    while (virDirRead(dir, &entry, NULL) > 0 &&
           virQuotaZeroSettleNote(tenant, entry->d_name));

    return 0;
}
