/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* crc.h: the checksum of LVM's labels, area headers and texts. */
#ifndef METADATA_TEST_CRC_H
#define METADATA_TEST_CRC_H

#include <stddef.h>
#include <stdint.h>

/* The bits one by one: another algorithm than the one that is tested. */
static uint32_t
crc(const void *data, size_t length)
{
    const uint8_t *byte = data;
    uint32_t value = 0xf597a6cf;

    while (length--) {
        value ^= *byte++;
        for (int bit = 0; bit < 8; bit++) {
            value = value & 1 ? value >> 1 ^ 0xedb88320 : value >> 1;
        }
    }
    return value;
}

#endif
