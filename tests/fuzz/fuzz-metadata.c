/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What stands on the devices of a volume group, some of which a guest may have
 * written, must not crash, or keep, who reads it; and whatever is understood of it
 * must be charged no less than it says.
 *
 * Input: a byte of flags (1: the rest is the text of a group; 2: it is, too, and
 * stands on a device); else changes to a sound device, up to the end, after which
 * the checksums of (4) its label, (8) its headers, (16) its texts are made right
 * again.  A change is a byte for the place, two for the offset there, one for what
 * is written, and that.
 */
#include <endian.h>
#include <libdevmapper.h>
#include <sys/mman.h>

#include "../lvm/crc.h"
#include "fuzz.h"
#include "quota-charge.h"
#include "quota-metadata.h"

#define SECTOR 512
#define LABEL 512
#define AREA_BYTES 16384
#define AREA_1 4096
#define AREA_2 32768
#define DEVICE_BYTES 65536

enum { IS_TEXT = 1, IS_ON_DEVICE = 2, LABEL_CRC = 4, HEADER_CRC = 8,
       TEXT_CRC = 16 };

static const char sound[] =
    "vg0 { id = \"g-1\" seqno = %u extent_size = 8192\n"
    "physical_volumes { pv0 { id = \"aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa\""
    " pe_count = 100 } }\n"
    "logical_volumes { acme.a { id = \"l-1\" status = [\"READ\", \"VISIBLE\"]"
    " tags = [\"quota-lvm:tenant=acme\"] segment1 { start_extent = 0"
    " extent_count = 8 type = \"striped\" stripe_count = 1"
    " stripes = [\"pv0\", 0] } } } }\n";

/* Nobody is beside us here. */
void fuzz_step(void);
void fuzz_step(void)
{
}

static void __attribute__((format(printf, 5, 6)))
silence(int level, const char *file, int line, int dm_errno, const char *format,
        ...)
{
    (void)level, (void)file, (void)line, (void)dm_errno, (void)format;
}

static uint8_t device[DEVICE_BYTES];
static int device_fd = -1;

static void put32(size_t at, uint32_t value)
{
    value = htole32(value);
    memcpy(device + at, &value, sizeof(value));
}

static void put64(size_t at, uint64_t value)
{
    value = htole64(value);
    memcpy(device + at, &value, sizeof(value));
}

static uint64_t get64(size_t at)
{
    uint64_t value;

    memcpy(&value, device + at, sizeof(value));
    return le64toh(value);
}

static void make_checksums(unsigned flags)
{
    static const size_t areas[] = { AREA_1, AREA_2 };

    for (unsigned i = 0; i < 2; i++) {
        uint64_t offset = get64(areas[i] + 40), length = get64(areas[i] + 48);

        if ((flags & TEXT_CRC) && offset < AREA_BYTES &&
            length <= AREA_BYTES - offset) {
            put32(areas[i] + 56, crc(device + areas[i] + offset, length));
        }
        if (flags & HEADER_CRC) {
            put32(areas[i], crc(device + areas[i] + 4, SECTOR - 4));
        }
    }
    if (flags & LABEL_CRC) {
        put32(LABEL + 16, crc(device + LABEL + 20, SECTOR - 20));
    }
}

/* The second area has the newer text: @text, or one of our own. */
static void make_device(const char *text)
{
    memset(device, 0, sizeof(device));
    memcpy(device + LABEL, "LABELONE", 8);
    put64(LABEL + 8, 1);
    put32(LABEL + 20, 32);
    memcpy(device + LABEL + 24, "LVM2 001", 8);
    memset(device + LABEL + 32, 'a', 32);
    put64(LABEL + 64, DEVICE_BYTES);
    put64(LABEL + 72, DEVICE_BYTES - SECTOR);
    put64(LABEL + 104, AREA_1);
    put64(LABEL + 112, AREA_BYTES);
    put64(LABEL + 120, AREA_2);
    put64(LABEL + 128, AREA_BYTES);
    for (unsigned i = 0; i < 2; i++) {
        size_t area = i == 0 ? AREA_1 : AREA_2;
        char *at = (char *)device + area + SECTOR;
        int length = snprintf(at, AREA_BYTES - SECTOR, sound, i + 1);

        if (i == 1 && text) {
            length = snprintf(at, AREA_BYTES - SECTOR, "%s", text);
            length = length < AREA_BYTES - SECTOR ? length
                                                  : AREA_BYTES - SECTOR - 1;
        }
        memcpy(device + area + 4, " LVM2 x[5A%r0N*>", 16);
        put32(area + 20, 1);
        put64(area + 24, area);
        put64(area + 32, AREA_BYTES);
        put64(area + 40, SECTOR);
        put64(area + 48, length + 1);
    }
    make_checksums(LABEL_CRC | HEADER_CRC | TEXT_CRC);
}

static void change(struct fuzz_input *input)
{
    static const struct {
        size_t at, bytes;
    } places[] = {
        { LABEL, 160 }, { AREA_1, 64 }, { AREA_2, 64 },
        { AREA_2 + SECTOR, sizeof(sound) }, { 0, DEVICE_BYTES - 8 },
    };
    unsigned place = fuzz_take(input, 1) % 5;
    size_t at = places[place].at + fuzz_take(input, 2) % places[place].bytes;
    unsigned kind = fuzz_take(input, 1);

    switch (kind % 5) {
    case 0:
        device[at] = fuzz_take(input, 1);
        break;
    case 1:
        device[at] ^= 1 << kind / 5 % 8;
        break;
    case 2:
        put64(at, fuzz_take(input, 8));
        break;
    case 3:
        put64(at, UINT64_MAX - fuzz_take(input, 2) * SECTOR);
        break;
    default:
        put64(at, UINT64_MAX / SECTOR * SECTOR + fuzz_take(input, 2));
        break;
    }
}

static void check_lv(const struct quota_metadata_group *group,
                     const struct quota_metadata_lv *lv)
{
    const struct quota_lv charged = {
        .segtype = lv->segtype,
        .tags = lv->tags,
        .size_bytes = lv->size_bytes,
        .physical_bytes = lv->physical_bytes,
        .chunk_bytes = lv->chunk_bytes,
    };
    struct quota_state state = { .limits.limit_bytes = group->size_bytes };
    struct quota_owner owner;

    FUZZ_CHECK(lv->name && lv->uuid && lv->segtype && lv->tags);
    FUZZ_CHECK(lv->data_copies > 0 && lv->data_stripes > 0);
    FUZZ_CHECK(lv->physical_bytes <= group->size_bytes);
    FUZZ_CHECK(!lv->unknown || lv->physical_bytes == group->size_bytes);
    quota_owner_find(lv->tags, lv->name, &owner);
    FUZZ_CHECK(!*owner.tenant ||
               quota_name_check_tenant(owner.tenant, NULL) == 0);
    quota_state_charge(&state, &charged);
    FUZZ_CHECK(quota_add_saturating(state.thick_bytes, state.grant_bytes) >=
               lv->physical_bytes);
}

static void check_group(const struct quota_metadata_group *group)
{
    FUZZ_CHECK(strcmp(group->name, "vg0") == 0);
    FUZZ_CHECK(group->uuid && group->tags && group->extent_bytes > 0);
    FUZZ_CHECK(group->free_bytes <= group->size_bytes);
    for (size_t i = 0; i < group->nlvs; i++) {
        check_lv(group, &group->lvs[i]);
    }
}

static void parse(const char *text)
{
    struct quota_metadata_group *group;
    int ret = quota_metadata_parse(text, "vg0", &group);

    FUZZ_CHECK((ret == 0) == (group != NULL));
    FUZZ_CHECK(ret == 0 || ret == -EBADMSG || ret == -ENOENT);
    if (group) {
        check_group(group);
        quota_metadata_group_free(group);
    }
}

static void read_device(void)
{
    char path[32];
    const char *paths[] = { path };
    struct quota_metadata *metadata;
    const struct quota_metadata_group *group;
    int ret;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", device_fd);
    FUZZ_CHECK(pwrite(device_fd, device, sizeof(device), 0) ==
               (ssize_t)sizeof(device));
    metadata = quota_metadata_new("vg0", paths, 1);
    FUZZ_CHECK(metadata);
    ret = quota_metadata_refresh(metadata);
    group = quota_metadata_group(metadata);
    FUZZ_CHECK((ret == 1) == (group != NULL));
    FUZZ_CHECK(ret < 0 || ret == 1);
    if (group) {
        check_group(group);
        ret = quota_metadata_refresh(metadata);
        FUZZ_CHECK(ret == 0 || ret == 1);   /* 1: of an area that is damaged */
        FUZZ_CHECK(ret == 1 || quota_metadata_group(metadata) == group);
        check_group(quota_metadata_group(metadata));
    }
    quota_metadata_free(metadata);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = { data, size };
    unsigned flags = fuzz_take(&input, 1);
    char *text = NULL;

    if (device_fd < 0) {
        dm_log_with_errno_init(silence);
        device_fd = memfd_create("device", MFD_CLOEXEC);
        FUZZ_CHECK(device_fd >= 0);
    }
    if (flags & (IS_TEXT | IS_ON_DEVICE)) {
        text = strndup((const char *)input.data, input.size);
        FUZZ_CHECK(text);
    }
    if (flags & IS_TEXT) {
        parse(text);
    } else {
        make_device(text);
        while (!text && input.size > 0) {
            change(&input);
        }
        make_checksums(flags);
        read_device();
    }
    free(text);
    return 0;
}
