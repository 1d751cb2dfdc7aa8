/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * metadata-disk.c: make a file that looks like a physical volume.
 *
 *   metadata-disk FILE UUID <TEXT
 */
#include <stdio.h>

#include "disk.h"

int
main(int argc, char **argv)
{
    char text[AREA_SIZE / 2];
    struct disk *disk;
    size_t length;

    if (argc != 3) {
        g_printerr("usage: metadata-disk FILE UUID <TEXT\n");
        return 2;
    }
    length = fread(text, 1, sizeof(text) - 1, stdin);
    g_assert_cmpuint(length, <, sizeof(text) - 1);
    text[length] = '\0';
    disk = disk_new(argv[1], argv[2], 1);
    area_commit(disk, AREA_START, text, 512, 0);
    disk_free(disk);
    return 0;
}
