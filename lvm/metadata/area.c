/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * area.c: where a volume group's metadata stands on its devices, and whether
 * it is still the same.
 *
 * A physical volume begins with a label, which leads to its metadata areas; an
 * area begins with a header, which leads to the text that was committed last.
 * The text is a ring within the area: a new one never overwrites the one that
 * is valid, but the one after it may, so that a text is only as good as its
 * checksum.  The layout is lvm2's lib/format_text/layout.h and label.h.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "text.h"

/* Of reads past the page cache: the largest block size of disks */
#define ALIGN_BYTES 4096
/* Label and header of nearly all devices are in the first two of these */
#define HEAD_BYTES (2 * ALIGN_BYTES)

#define SECTOR_BYTES 512
#define LABEL_SECTORS 4
#define UUID_BYTES 32
#define HEADER_MAGIC " LVM2 x[5A%r0N*>"
#define HEADER_VERSION 1
#define CRC_INITIAL UINT32_C(0xf597a6cf)
#define IS_IGNORED 1u           /* LVM keeps no metadata here for now */

/* One at the beginning of a device, one at its end */
#define AREAS_MAX 2
/* More than LVM reads with any setting (io_memory_size) */
#define TEXT_MAX_BYTES (UINT64_C(256) << 20)
/* How often the metadata may change while it is read */
#define TRIES 10

struct disk_area {
    uint64_t offset;
    uint64_t size;
} __attribute__((packed));

struct disk_label {
    char id[8];                 /* LABELONE */
    uint64_t sector;
    uint32_t crc;               /* from the next field to the end of the sector */
    uint32_t offset;            /* of what follows, from the label's begin */
    char type[8];               /* LVM2 001 */
} __attribute__((packed));

struct disk_pv {
    char uuid[UUID_BYTES];
    uint64_t size;
    struct disk_area areas[];   /* data areas, a null one, metadata areas, null */
} __attribute__((packed));

struct disk_location {
    uint64_t offset;            /* from the begin of the area */
    uint64_t size;
    uint32_t crc;
    uint32_t flags;
} __attribute__((packed));

struct disk_header {
    uint32_t crc;               /* from the next field to the end of the sector */
    char magic[16];
    uint32_t version;
    uint64_t start;             /* of the area on its device */
    uint64_t size;
    struct disk_location committed;
} __attribute__((packed));

/* Compared byte by byte: what is not used is zero. */
struct area {
    uint64_t start;
    uint64_t size;
    struct disk_location text;  /* in the host's byte order */
    uint32_t is_valid;
    uint32_t error;             /* a positive errno */
};

struct device {
    char uuid[UUID_BYTES];      /* zero: it is not a physical volume now */
    uint32_t error;
    uint32_t nareas;
    struct area areas[AREAS_MAX];
};

struct quota_metadata {
    char *name;
    char **paths;
    size_t ndevices;
    struct device *devices;     /* as they were when the group was read */
    struct device *now;         /* as they are being looked at */
    struct quota_metadata_group *group;
};

/* The CRC-32 of IEEE 802.3 over 4 bits at a time, not inverted at the end, from
 * a begin of LVM's own. */
static uint32_t crc_of(const void *data, size_t length)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
        0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    const uint8_t *byte = data;
    uint32_t crc = CRC_INITIAL;

    for (; length; length--, byte++) {
        crc ^= *byte;
        crc = (crc >> 4) ^ table[crc & 15];
        crc = (crc >> 4) ^ table[crc & 15];
    }
    return crc;
}

/* Past the page cache, which knows nothing of what another host wrote, nor of
 * what LVM wrote past it.  A file on a file system that cannot do that is as
 * good as its page cache. */
static int device_open(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_DIRECT);
    struct stat status;

    if (fd < 0 && errno == EINVAL) {
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd >= 0 && (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))) {
            close(fd);
            errno = EINVAL;
            return -EINVAL;
        }
    }
    return fd < 0 ? -errno : fd;
}

/* Offset, length and buffer are aligned. */
static int read_blocks(int fd, void *buffer, size_t length, uint64_t offset)
{
    size_t done = 0;

    while (done < length) {
        ssize_t n = pread(fd, (char *)buffer + done, length - done,
                          offset + done);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? -errno : -EIO;
        }
        done += n;
    }
    return 0;
}

static void *blocks_new(size_t length)
{
    void *buffer = NULL;

    return posix_memalign(&buffer, ALIGN_BYTES, length) == 0 ? buffer : NULL;
}

/* ---- headers ----------------------------------------------------------------- */

static void read_header(const char *sector, struct area *area)
{
    struct disk_header header;

    memcpy(&header, sector, sizeof(header));
    if (le32toh(header.crc) != crc_of(sector + sizeof(header.crc),
                                      SECTOR_BYTES - sizeof(header.crc)) ||
        memcmp(header.magic, HEADER_MAGIC, sizeof(header.magic)) != 0 ||
        le32toh(header.version) != HEADER_VERSION ||
        le64toh(header.start) != area->start) {
        area->error = EBADMSG;
        return;
    }
    area->size = le64toh(header.size);
    area->text.offset = le64toh(header.committed.offset);
    area->text.size = le64toh(header.committed.size);
    area->text.crc = le32toh(header.committed.crc);
    area->text.flags = le32toh(header.committed.flags);
    area->is_valid = !(area->text.flags & IS_IGNORED) && area->text.size &&
        area->text.size <= TEXT_MAX_BYTES &&
        area->text.offset >= SECTOR_BYTES &&
        area->text.offset < area->size &&
        area->text.size <= area->size - SECTOR_BYTES;
}

static const char *find_label(const char *head)
{
    for (unsigned i = 0; i < LABEL_SECTORS; i++) {
        const char *sector = head + i * SECTOR_BYTES;
        struct disk_label label;
        size_t checked = offsetof(struct disk_label, offset);

        memcpy(&label, sector, sizeof(label));
        if (memcmp(label.id, "LABELONE", sizeof(label.id)) == 0 &&
            memcmp(label.type, "LVM2 001", sizeof(label.type)) == 0 &&
            le64toh(label.sector) == i &&
            le32toh(label.offset) <= SECTOR_BYTES - sizeof(struct disk_pv) &&
            le32toh(label.crc) == crc_of(sector + checked,
                                         SECTOR_BYTES - checked)) {
            return sector;
        }
    }
    return NULL;
}

/* The metadata areas that the label names; data areas come first. */
static void find_areas(const char *label, struct device *device)
{
    uint32_t offset;
    const char *at, *end = label + SECTOR_BYTES;
    bool is_metadata = false;

    memcpy(&offset, label + offsetof(struct disk_label, offset), sizeof(offset));
    at = label + le32toh(offset);
    memcpy(device->uuid, at, UUID_BYTES);

    for (at += sizeof(struct disk_pv);
         at + sizeof(struct disk_area) <= end && device->nareas < AREAS_MAX;
         at += sizeof(struct disk_area)) {
        struct disk_area area;

        memcpy(&area, at, sizeof(area));
        if (!area.offset && is_metadata) {
            break;
        }
        if (!area.offset) {
            is_metadata = true;
        } else if (is_metadata) {
            device->areas[device->nareas++].start = le64toh(area.offset);
        }
    }
}

static int read_device(const char *path, char *buffer, struct device *device)
{
    const char *label;
    int fd = device_open(path);
    int ret;

    if (fd < 0) {
        return fd;
    }
    ret = read_blocks(fd, buffer, HEAD_BYTES, 0);
    label = ret == 0 ? find_label(buffer) : NULL;
    if (label) {
        find_areas(label, device);
    }
    for (unsigned i = 0; i < device->nareas; i++) {
        struct area *area = &device->areas[i];
        uint64_t block = area->start / ALIGN_BYTES * ALIGN_BYTES;

        if (area->start % SECTOR_BYTES) {
            area->error = EBADMSG;
        } else if (area->start <= HEAD_BYTES - SECTOR_BYTES && i == 0) {
            read_header(buffer + area->start, area);
        } else {
            area->error = -read_blocks(fd, buffer, ALIGN_BYTES, block);
            if (!area->error) {
                read_header(buffer + (area->start - block), area);
            }
        }
    }
    close(fd);
    return ret;
}

/* ---- the text ---------------------------------------------------------------- */

/* Copies a part of the area.  @from is within it. */
static int read_part(int fd, char *to, uint64_t from, uint64_t length)
{
    uint64_t begin = from / ALIGN_BYTES * ALIGN_BYTES;
    uint64_t end = (from + length + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
    char *buffer = blocks_new(end - begin);
    int ret;

    if (!buffer) {
        return -ENOMEM;
    }
    ret = read_blocks(fd, buffer, end - begin, begin);
    if (ret == 0) {
        memcpy(to, buffer + (from - begin), length);
    }
    free(buffer);
    return ret;
}

/* -EAGAIN: it is not what the header led to, any more */
static int read_text(const char *path, const struct area *area, char **text)
{
    const struct disk_location *at = &area->text;
    uint64_t first = area->size - at->offset;
    int fd = device_open(path);
    int ret;

    if (fd < 0) {
        return fd;
    }
    *text = malloc(at->size + 1);
    if (!*text) {
        close(fd);
        return -ENOMEM;
    }
    if (first > at->size) {
        first = at->size;
    }
    ret = read_part(fd, *text, area->start + at->offset, first);
    if (ret == 0 && first < at->size) {     /* around, but not over the header */
        ret = read_part(fd, *text + first, area->start + SECTOR_BYTES,
                        at->size - first);
    }
    close(fd);
    if (ret == 0 && crc_of(*text, at->size) != at->crc) {
        ret = -EAGAIN;
    }
    if (ret < 0) {
        free(*text);
        *text = NULL;
        return ret;
    }
    (*text)[at->size] = '\0';
    return 0;
}

/* uuid: with the six dashes that labels do without */
static bool is_read(const char *uuid, void *opaque)
{
    struct quota_metadata *metadata = opaque;
    char bare[UUID_BYTES];
    size_t n = 0;

    for (; *uuid && n < UUID_BYTES; uuid++) {
        if (*uuid != '-') {
            bare[n++] = *uuid;
        }
    }
    if (n < UUID_BYTES) {
        return false;
    }
    for (size_t i = 0; i < metadata->ndevices; i++) {
        if (memcmp(metadata->now[i].uuid, bare, UUID_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether an area before this one leads to the same text. */
static bool is_repeated(const struct quota_metadata *metadata, size_t device,
                        unsigned area)
{
    const struct disk_location *text = &metadata->now[device].areas[area].text;

    for (size_t i = 0; i <= device; i++) {
        unsigned n = i < device ? metadata->now[i].nareas : area;

        for (unsigned j = 0; j < n; j++) {
            const struct area *other = &metadata->now[i].areas[j];

            if (other->is_valid && !other->error &&
                other->text.crc == text->crc && other->text.size == text->size) {
                return true;
            }
        }
    }
    return false;
}

/*
 * Reads what the headers lead to.  While a change is being committed, or after
 * a device was away for some time, they lead to more than one text: the one of
 * the highest sequence number counts, as it does for LVM.  -EAGAIN: one of them
 * was not there any more, which may be because there is a newer one.
 */
static int read_group(struct quota_metadata *metadata,
                      struct quota_metadata_group **newest)
{
    bool is_torn = false;
    int error = -ENOENT;

    *newest = NULL;
    for (size_t i = 0; i < metadata->ndevices; i++) {
        for (unsigned j = 0; j < metadata->now[i].nareas; j++) {
            struct area *area = &metadata->now[i].areas[j];
            struct quota_metadata_group *group = NULL;
            char *text = NULL;
            int ret;

            if (!area->is_valid || area->error ||
                is_repeated(metadata, i, j)) {
                continue;
            }
            ret = read_text(metadata->paths[i], area, &text);
            if (ret == 0) {
                ret = text_parse(text, metadata->name, is_read, metadata,
                                 &group);
            }
            free(text);
            if (ret < 0) {
                /* another area may have it; what is not, or not yet, this
                 * group's says nothing */
                if (ret != -ENOENT) {
                    area->error = -ret;
                    error = ret;
                }
                is_torn |= ret == -EAGAIN;
                continue;
            }
            if (*newest && (*newest)->seqno >= group->seqno) {
                quota_metadata_group_free(group);
            } else {
                quota_metadata_group_free(*newest);
                *newest = group;
            }
        }
    }
    return is_torn ? -EAGAIN : *newest ? 0 : error;
}

int quota_metadata_refresh(struct quota_metadata *metadata)
{
    size_t length = metadata->ndevices * sizeof(*metadata->now);
    char *buffer = blocks_new(HEAD_BYTES);
    int ret = -EAGAIN;

    if (!buffer) {
        return -ENOMEM;
    }
    for (unsigned attempt = 0; attempt < TRIES && ret == -EAGAIN; attempt++) {
        struct quota_metadata_group *group = NULL;
        int error = -ENOENT;

        memset(metadata->now, 0, length);
        for (size_t i = 0; i < metadata->ndevices; i++) {
            struct device *device = &metadata->now[i];

            device->error = -read_device(metadata->paths[i], buffer, device);
            if (device->error) {
                error = -(int)device->error;
            }
        }
        if (metadata->group &&
            memcmp(metadata->now, metadata->devices, length) == 0) {
            ret = 0;
            break;
        }
        ret = read_group(metadata, &group);
        if (ret == -EAGAIN && group && attempt < TRIES - 1) {
            quota_metadata_group_free(group);
            continue;
        }
        if (group) {            /* one area is damaged, another is not */
            struct device *devices = metadata->devices;

            quota_metadata_group_free(metadata->group);
            metadata->group = group;
            metadata->devices = metadata->now;
            metadata->now = devices;
            ret = 1;
        } else if (ret == -ENOENT) {
            ret = error;
        }
    }
    free(buffer);
    return ret;
}

/* ---- life -------------------------------------------------------------------- */

struct quota_metadata *quota_metadata_new(const char *group,
                                          const char *const *devices,
                                          size_t ndevices)
{
    struct quota_metadata *metadata = calloc(1, sizeof(*metadata));

    if (!metadata) {
        return NULL;
    }
    metadata->name = strdup(group);
    metadata->paths = calloc(ndevices + 1, sizeof(*metadata->paths));
    metadata->devices = calloc(ndevices + 1, sizeof(*metadata->devices));
    metadata->now = calloc(ndevices + 1, sizeof(*metadata->now));
    if (!metadata->name || !metadata->paths || !metadata->devices ||
        !metadata->now) {
        quota_metadata_free(metadata);
        return NULL;
    }
    for (size_t i = 0; i < ndevices; i++) {
        metadata->paths[i] = strdup(devices[i]);
        if (!metadata->paths[i]) {
            quota_metadata_free(metadata);
            return NULL;
        }
        metadata->ndevices++;
    }
    return metadata;
}

void quota_metadata_free(struct quota_metadata *metadata)
{
    if (!metadata) {
        return;
    }
    quota_metadata_group_free(metadata->group);
    for (size_t i = 0; i < metadata->ndevices; i++) {
        free(metadata->paths[i]);
    }
    free(metadata->paths);
    free(metadata->devices);
    free(metadata->now);
    free(metadata->name);
    free(metadata);
}

const struct quota_metadata_group *
quota_metadata_group(const struct quota_metadata *metadata)
{
    return metadata->group;
}
