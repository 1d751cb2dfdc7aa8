/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * disk.h: files that look to a reader like physical volumes.  That LVM lays them
 * out so, tests/lvm/metadata-other-than-lvs.sh shows.
 */
#ifndef METADATA_TEST_DISK_H
#define METADATA_TEST_DISK_H

#include <endian.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "crc.h"

#define MIB (1024 * 1024)
#define AREA_START 4096
#define AREA_SIZE (64 * 1024)
#define LAST_AREA_START (2 * MIB - AREA_SIZE)

#define IGNORED 1

struct disk {
    char *path;
    char uuid[33];              /* as a label has it: without dashes */
};

static void
disk_write(const struct disk *disk, const void *data, size_t length, off_t at)
{
    int fd = g_open(disk->path, O_WRONLY, 0);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pwrite(fd, data, length, at), ==, (gssize)length);
    close(fd);
}

static void
put32(guint8 *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof(value));
}

static void
put64(guint8 *at, uint64_t value)
{
    value = htole64(value);
    memcpy(at, &value, sizeof(value));
}

/* A physical volume with one or two areas, in no group yet; @uuid is without
 * dashes. */
static struct disk *
disk_new(const char *path, const char *uuid, unsigned areas)
{
    struct disk *disk = g_new0(struct disk, 1);
    guint8 label[512] = "LABELONE";
    int fd;

    g_assert_cmpuint(strlen(uuid), ==, 32);
    disk->path = g_strdup(path);
    g_strlcpy(disk->uuid, uuid, sizeof(disk->uuid));
    fd = g_open(disk->path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    g_assert_cmpint(ftruncate(fd, 2 * MIB), ==, 0);
    close(fd);

    put64(label + 8, 1);
    put32(label + 20, 32);
    memcpy(label + 24, "LVM2 001", 8);
    memcpy(label + 32, disk->uuid, 32);
    put64(label + 64, 2 * MIB);
    put64(label + 72, MIB);                     /* data area, and its end */
    put64(label + 104, AREA_START);
    put64(label + 112, AREA_SIZE);
    if (areas > 1) {
        put64(label + 120, LAST_AREA_START);
        put64(label + 128, AREA_SIZE);
    }
    put32(label + 16, crc(label + 20, 492));
    disk_write(disk, label, sizeof(label), 512);
    return disk;
}

static void
disk_free(struct disk *disk)
{
    g_free(disk->path);
    g_free(disk);
}

/* What is written at @offset of the area, around its end. */
static void
area_commit(const struct disk *disk, uint64_t start, const char *text,
            uint64_t offset, uint32_t flags)
{
    size_t length = strlen(text) + 1;           /* LVM writes the NUL, too */
    size_t first = MIN(length, AREA_SIZE - offset);
    guint8 header[512] = { 0 };

    disk_write(disk, text, first, start + offset);
    if (first < length) {
        disk_write(disk, text + first, length - first, start + 512);
    }
    memcpy(header + 4, " LVM2 x[5A%r0N*>", 16);
    put32(header + 20, 1);
    put64(header + 24, start);
    put64(header + 32, AREA_SIZE);
    put64(header + 40, offset);
    put64(header + 48, length);
    put32(header + 56, crc(text, length));
    put32(header + 60, flags);
    put32(header, crc(header + 4, 508));
    disk_write(disk, header, sizeof(header), start);
}

#endif
