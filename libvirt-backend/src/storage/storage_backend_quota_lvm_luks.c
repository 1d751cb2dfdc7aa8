/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_backend_quota_lvm_luks.c: volumes that are encrypted with LUKS
 *
 * A tag of its LV tells which secret opens it and where its payload begins.  So nothing has
 * to open every LV to know, and a guest that encrypts by itself is not taken
 * for this.  Copies and snapshots keep both header and tag.
 */

#include <config.h>

#include <fcntl.h>
#include <unistd.h>

#include "datatypes.h"
#include "driver.h"
#include "storage_backend_quota_lvm_internal.h"
#include "virendian.h"
#include "virerror.h"
#include "virfile.h"
#include "virsecret.h"
#include "virstring.h"
#include "viruuid.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE

/* <uuid of the secret>/<sectors before the payload> */
#define QUOTA_TAG_LUKS QUOTA_TAG_PREFIX "luks="

/* The header as qemu-img makes it, rounded up */
#define LUKS_HEADER_SIZE (2ULL << 20)

/* LUKS1 on-disk format: a magic, the version, ... the offset of the payload in
 * sectors, all big-endian */
#define LUKS_MAGIC "LUKS\xba\xbe"
#define LUKS_VERSION_OFFSET 6
#define LUKS_PAYLOAD_OFFSET 104
#define LUKS_READ_SIZE 512


static int
virQuotaLuksParseTag(const char *tag,
                     unsigned char *uuid,
                     int *payload)
{
    g_autofree char *text = NULL;
    const char *value = STRSKIP(tag, QUOTA_TAG_LUKS);
    char *slash;

    if (!value)
        return -1;

    text = g_strdup(value);
    if (!(slash = strchr(text, '/')))
        return -1;

    *slash = '\0';
    if (virUUIDParse(text, uuid) < 0 ||
        virStrToLong_i(slash + 1, NULL, 10, payload) < 0 || *payload <= 0)
        return -1;

    return 0;
}


/**
 * virQuotaLuksFindTag:
 * @lv: any LV
 *
 * Returns its tag that tells of encryption, to be freed, or NULL.
 */
char *
virQuotaLuksFindTag(const LvmLv *lv)
{
    g_auto(GStrv) tags = g_strsplit(lv->tags, ",", 0);
    unsigned char uuid[VIR_UUID_BUFLEN];
    int payload;
    size_t i;

    for (i = 0; tags[i]; i++) {
        if (virQuotaLuksParseTag(tags[i], uuid, &payload) == 0)
            return g_strdup(tags[i]);
    }

    return NULL;
}


/* The tag of a volume that is encrypted as @vol says, to be freed */
char *
virQuotaLuksFormatTag(virStorageVolDef *vol,
                      int payload)
{
    char uuid[VIR_UUID_STRING_BUFLEN];

    virUUIDFormat(vol->target.encryption->secrets[0]->seclookupdef.u.uuid, uuid);
    return g_strdup_printf("%s%s/%d", QUOTA_TAG_LUKS, uuid, payload);
}


/* Bytes of @lv that are not part of its capacity */
unsigned long long
virQuotaLuksGetHeader(const LvmLv *lv)
{
    g_autofree char *tag = virQuotaLuksFindTag(lv);
    unsigned char uuid[VIR_UUID_BUFLEN];
    int payload;

    if (!tag || virQuotaLuksParseTag(tag, uuid, &payload) < 0)
        return 0;

    return payload * 512ULL;
}


/* Brings the encryption of @vol to what the tag of @lv says */
void
virQuotaLuksUpdate(virStorageVolDef *vol,
                   const LvmLv *lv)
{
    g_autofree char *tag = virQuotaLuksFindTag(lv);
    virStorageEncryption *enc;
    virStorageEncryptionSecret *secret;

    if (!tag)
        return;

    secret = g_new0(virStorageEncryptionSecret, 1);
    secret->type = VIR_STORAGE_ENCRYPTION_SECRET_TYPE_PASSPHRASE;
    secret->seclookupdef.type = VIR_SECRET_LOOKUP_TYPE_UUID;

    enc = g_new0(virStorageEncryption, 1);
    enc->format = VIR_STORAGE_ENCRYPTION_FORMAT_LUKS;
    enc->nsecrets = 1;
    enc->secrets = g_new0(virStorageEncryptionSecret *, 1);
    enc->secrets[0] = secret;
    ignore_value(virQuotaLuksParseTag(tag, secret->seclookupdef.u.uuid,
                                      &enc->payload_offset));

    virStorageEncryptionFree(vol->target.encryption);
    vol->target.encryption = enc;
    vol->target.capacity -= MIN(vol->target.capacity,
                                enc->payload_offset * 512ULL);

    /* storage_util.c looks at the permissions of encrypted volumes */
    if (!vol->target.perms) {
        vol->target.perms = g_new0(virStoragePerms, 1);
        vol->target.perms->mode = (mode_t) -1;
        vol->target.perms->uid = (uid_t) -1;
        vol->target.perms->gid = (gid_t) -1;
    }
}


/* What a new volume needs beside its capacity.  One that is to get a copy of
 * another's header knows how large that is. */
unsigned long long
virQuotaLuksGetNewHeader(virStorageVolDef *vol)
{
    if (!vol->target.encryption)
        return 0;

    return vol->target.encryption->payload_offset > 0 ?
        vol->target.encryption->payload_offset * 512ULL : LUKS_HEADER_SIZE;
}


/**
 * virQuotaLuksCheck:
 * @vol: volume that may be encrypted
 * @header: set to what it needs beside its capacity
 *
 * Refuses what cannot be made, before anything is; and turns the usage of a
 * secret into its UUID, which is what the tag can hold.
 */
int
virQuotaLuksCheck(virStorageVolDef *vol,
                  unsigned long long *header)
{
    virStorageEncryption *enc = vol->target.encryption;
    virSecretLookupTypeDef *lookup;
    g_autoptr(virConnect) conn = NULL;
    virSecretPtr secret;

    *header = virQuotaLuksGetNewHeader(vol);
    if (!enc)
        return 0;

    if (enc->format != VIR_STORAGE_ENCRYPTION_FORMAT_LUKS) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED,
                       _("volume '%1$s': encrypted volumes of this pool have the format 'luks', not '%2$s'"),
                       vol->name,
                       virStorageEncryptionFormatTypeToString(enc->format));
        return -1;
    }

    if (enc->nsecrets != 1) {
        virReportError(VIR_ERR_XML_ERROR,
                       _("volume '%1$s': encryption needs one <secret type='passphrase' uuid='...'/>, not %2$zu"),
                       vol->name, enc->nsecrets);
        return -1;
    }

    lookup = &enc->secrets[0]->seclookupdef;
    if (lookup->type == VIR_SECRET_LOOKUP_TYPE_UUID)
        return 0;

    if (!(conn = virGetConnectSecret()) ||
        !(secret = virSecretLookupByUsage(conn, VIR_SECRET_USAGE_TYPE_VOLUME,
                                          lookup->u.usage)))
        return -1;

    virSecretLookupDefClear(lookup);
    lookup->type = VIR_SECRET_LOOKUP_TYPE_UUID;
    virSecretGetUUID(secret, lookup->u.uuid);
    virObjectUnref(secret);
    return 0;
}


/* Whether both are encrypted with the same secret: a copy needs no other
 * header than that of its source */
bool
virQuotaLuksIsSame(virStorageVolDef *a,
                   virStorageVolDef *b)
{
    virStorageEncryption *x = a->target.encryption;
    virStorageEncryption *y = b->target.encryption;

    if (!x || !y)
        return !x && !y;

    return x->format == y->format && x->nsecrets == 1 && y->nsecrets == 1 &&
        x->secrets[0]->seclookupdef.type == VIR_SECRET_LOOKUP_TYPE_UUID &&
        y->secrets[0]->seclookupdef.type == VIR_SECRET_LOOKUP_TYPE_UUID &&
        memcmp(x->secrets[0]->seclookupdef.u.uuid,
               y->secrets[0]->seclookupdef.u.uuid, VIR_UUID_BUFLEN) == 0;
}


int
virQuotaLuksReadPayload(const char *path,
                        int *payload)
{
    VIR_AUTOCLOSE fd = open(path, O_RDONLY | O_CLOEXEC);
    unsigned char header[LUKS_READ_SIZE];

    if (fd < 0 || saferead(fd, header, sizeof(header)) != sizeof(header)) {
        virReportSystemError(errno, _("cannot read the header of volume '%1$s'"),
                             path);
        return -1;
    }

    if (memcmp(header, LUKS_MAGIC, strlen(LUKS_MAGIC)) != 0 ||
        virReadBufInt16BE(header + LUKS_VERSION_OFFSET) != 1) {
        virReportError(VIR_ERR_INTERNAL_ERROR,
                       _("qemu-img left no LUKS header in volume '%1$s'"), path);
        return -1;
    }

    *payload = virReadBufInt32BE(header + LUKS_PAYLOAD_OFFSET);
    return 0;
}
