/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * change-missed.c: a change of a volume group goes unseen, or what is read is
 * not what was committed last: areas that are damaged, ignored, out of date or
 * being written, texts that go around the end of their area.
 */
#include <errno.h>

#include "../common/memory-dir.h"
#include "disk.h"
#include "quota-metadata.h"

static char *directory;

static struct disk *
lettered_disk(char letter, unsigned areas)
{
    g_autofree char *path = g_strdup_printf("%s/disk-%c", directory, letter);
    char uuid[33] = "";

    memset(uuid, letter, 32);
    return disk_new(path, uuid, areas);
}

static void
disk_remove(struct disk *disk)
{
    g_unlink(disk->path);
    disk_free(disk);
}

static void
disk_flip(const struct disk *disk, off_t at)
{
    int fd = g_open(disk->path, O_RDWR, 0);
    guint8 byte;

    g_assert_cmpint(pread(fd, &byte, 1, at), ==, 1);
    byte ^= 0x10;
    g_assert_cmpint(pwrite(fd, &byte, 1, at), ==, 1);
    close(fd);
}

static char *
dashed(const char *uuid)
{
    return g_strdup_printf("%.6s-%.4s-%.4s-%.4s-%.4s-%.4s-%.6s", uuid, uuid + 6,
                           uuid + 10, uuid + 14, uuid + 18, uuid + 22,
                           uuid + 26);
}

/* A group on @disks with one LV, named after the change that made it. */
static char *
text_new(const char *group, unsigned seqno, struct disk **disks, size_t padding)
{
    GString *text = g_string_new(NULL);

    g_string_printf(text, "%s {\nid = \"%s\"\nseqno = %u\n"
                    "status = [\"RESIZEABLE\", \"READ\", \"WRITE\"]\n"
                    "extent_size = 8192\nphysical_volumes {\n",
                    group, group, seqno);
    for (unsigned i = 0; disks[i]; i++) {
        g_autofree char *uuid = dashed(disks[i]->uuid);

        g_string_append_printf(text, "pv%u { id = \"%s\" pe_count = 10 }\n", i,
                               uuid);
    }
    g_string_append_printf(text, "}\nlogical_volumes {\nlv%u {\nid = \"u%u\"\n"
                           "status = [\"READ\", \"WRITE\", \"VISIBLE\"]\n"
                           "segment1 { start_extent = 0 extent_count = 2\n"
                           "type = \"striped\" stripe_count = 1\n"
                           "stripes = [\"pv0\", 0] }\n} }\n}\n# ", seqno, seqno);
    for (; padding; padding--) {
        g_string_append_c(text, '.');
    }
    g_string_append(text, "\n");
    return g_string_free(text, FALSE);
}

static void
commit(const struct disk *disk, uint64_t start, const char *group,
       unsigned seqno, struct disk **disks, uint64_t offset, uint32_t flags)
{
    g_autofree char *text = text_new(group, seqno, disks, 100);

    area_commit(disk, start, text, offset, flags);
}

static struct quota_metadata *
reader_new(struct disk **disks)
{
    const char *paths[4];
    size_t n = 0;

    for (; disks[n]; n++) {
        paths[n] = disks[n]->path;
    }
    return quota_metadata_new("vg", paths, n);
}

#define assert_read(reader, seq) \
    do { \
        const struct quota_metadata_group *read_ = quota_metadata_group(reader); \
        g_assert_cmpint(quota_metadata_refresh(reader), ==, 1); \
        read_ = quota_metadata_group(reader); \
        g_assert_cmpuint(read_->seqno, ==, (seq)); \
        g_assert_cmpuint(read_->nlvs, ==, 1); \
        g_assert_cmpint(quota_metadata_refresh(reader), ==, 0); \
        g_assert_true(quota_metadata_group(reader) == read_); \
    } while (0)

static void
test_change(void)
{
    struct disk *disks[] = { lettered_disk('a', 1), lettered_disk('b', 2), NULL };
    struct quota_metadata *reader = reader_new(disks);
    const struct quota_metadata_group *group;

    g_assert_cmpint(quota_metadata_refresh(reader), ==, -ENOENT);
    g_assert_null(quota_metadata_group(reader));

    commit(disks[0], AREA_START, "vg", 1, disks, 512, 0);
    commit(disks[1], AREA_START, "vg", 1, disks, 512, 0);
    commit(disks[1], LAST_AREA_START, "vg", 1, disks, 512, 0);
    assert_read(reader, 1);
    group = quota_metadata_group(reader);
    g_assert_cmpuint(group->size_bytes, ==, 20 * 4 * MIB);
    g_assert_cmpuint(group->free_bytes, ==, 18 * 4 * MIB);
    g_assert_cmpuint(group->unread + group->missing, ==, 0);
    g_assert_cmpstr(group->lvs[0].name, ==, "lv1");

    /* in whichever area it is committed first, or alone */
    commit(disks[1], LAST_AREA_START, "vg", 2, disks, 1536, 0);
    assert_read(reader, 2);
    commit(disks[0], AREA_START, "vg", 3, disks, 1536, 0);
    assert_read(reader, 3);
    commit(disks[1], AREA_START, "vg", 3, disks, 1536, 0);
    commit(disks[1], LAST_AREA_START, "vg", 3, disks, 2560, 0);
    assert_read(reader, 3);

    /* one of the same length at the same place, as no LVM would do it */
    commit(disks[0], AREA_START, "vg", 4, disks, 1536, 0);
    assert_read(reader, 4);

    quota_metadata_free(reader);
    disk_remove(disks[0]);
    disk_remove(disks[1]);
}

static void
test_around_the_end(void)
{
    struct disk *disks[] = { lettered_disk('a', 1), NULL };
    struct quota_metadata *reader = reader_new(disks);
    g_autofree char *text = text_new("vg", 7, disks, 8000);
    unsigned n = 0;

    /* every way that a text can lie across the end, and blocks of reads */
    for (uint64_t offset = AREA_SIZE - strlen(text) - 512; offset < AREA_SIZE;
         offset += 512) {
        area_commit(disks[0], AREA_START, text, offset, 0);
        assert_read(reader, 7);
        n++;
    }
    g_assert_cmpuint(n, >, 16);
    quota_metadata_free(reader);
    disk_remove(disks[0]);
}

static void
test_ignored(void)
{
    struct disk *disks[] = { lettered_disk('a', 1), lettered_disk('b', 1), NULL };
    struct quota_metadata *reader = reader_new(disks);

    /* LVM left a newer number in it before it began to ignore it: a group
     * that was split or restored */
    commit(disks[0], AREA_START, "vg", 9, disks, 512, IGNORED);
    commit(disks[1], AREA_START, "vg", 5, disks, 512, 0);
    assert_read(reader, 5);
    commit(disks[0], AREA_START, "vg", 6, disks, 512, 0);
    assert_read(reader, 6);

    quota_metadata_free(reader);
    disk_remove(disks[0]);
    disk_remove(disks[1]);
}

static void
test_other_group(void)
{
    struct disk *disks[] = { lettered_disk('a', 1), lettered_disk('b', 1), NULL };
    struct disk *first[] = { disks[0], NULL };
    struct quota_metadata *reader = reader_new(disks);
    struct quota_metadata *reader_of_one = reader_new(first);

    commit(disks[0], AREA_START, "vg", 1, disks, 512, 0);
    commit(disks[1], AREA_START, "vg", 1, disks, 512, 0);
    assert_read(reader, 1);

    /* a device that nobody reads */
    assert_read(reader_of_one, 1);
    g_assert_cmpuint(quota_metadata_group(reader_of_one)->unread, ==, 1);

    /* taken out of the group, and into another one */
    commit(disks[0], AREA_START, "vg", 2, first, 1536, 0);
    commit(disks[1], AREA_START, "other", 8, disks, 512, 0);
    assert_read(reader, 2);
    g_assert_cmpuint(quota_metadata_group(reader)->size_bytes, ==, 10 * 4 * MIB);

    /* renamed: what was read stays until there is something else */
    commit(disks[0], AREA_START, "renamed", 3, first, 512, 0);
    g_assert_cmpint(quota_metadata_refresh(reader), ==, -ENOENT);
    g_assert_cmpuint(quota_metadata_group(reader)->seqno, ==, 2);

    quota_metadata_free(reader);
    quota_metadata_free(reader_of_one);
    disk_remove(disks[0]);
    disk_remove(disks[1]);
}

/* Of two areas one is damaged, bit by bit: the other one counts. */
static void
test_damaged(void)
{
    struct disk *disks[] = { lettered_disk('a', 1), lettered_disk('b', 1), NULL };
    g_autofree char *text = text_new("vg", 4, disks, 0);

    commit(disks[1], AREA_START, "vg", 3, disks, 512, 0);
    area_commit(disks[0], AREA_START, text, 512, 0);

    for (unsigned at = 512; at < AREA_START + 512 + strlen(text); at++) {
        struct quota_metadata *reader = reader_new(disks);
        bool is_checked = at < 1024 || at >= AREA_START;

        if (!is_checked) {
            at = AREA_START;    /* what lies between is nobody's */
        }
        disk_flip(disks[0], at);
        g_assert_cmpint(quota_metadata_refresh(reader), ==, 1);
        g_assert_cmpuint(quota_metadata_group(reader)->seqno, ==, 3);
        disk_flip(disks[0], at);
        /* and as it was again: a change like any other */
        g_assert_cmpint(quota_metadata_refresh(reader), ==, 1);
        g_assert_cmpuint(quota_metadata_group(reader)->seqno, ==, 4);
        quota_metadata_free(reader);
    }
    disk_remove(disks[0]);
    disk_remove(disks[1]);
}

static void
test_unreadable(void)
{
    struct disk *disks[3] = { lettered_disk('a', 1), lettered_disk('b', 1), NULL };
    struct quota_metadata *reader = reader_new(disks);

    commit(disks[0], AREA_START, "vg", 1, disks, 512, 0);
    commit(disks[1], AREA_START, "vg", 1, disks, 512, 0);
    assert_read(reader, 1);

    /* gone, and there again: both are changes */
    g_unlink(disks[1]->path);
    assert_read(reader, 1);
    g_assert_cmpuint(quota_metadata_group(reader)->unread, ==, 1);
    g_unlink(disks[0]->path);
    g_assert_cmpint(quota_metadata_refresh(reader), ==, -ENOENT);

    /* shorter than its label says */
    disk_remove(disks[0]);
    disks[0] = lettered_disk('a', 2);
    commit(disks[0], AREA_START, "vg", 2, disks, 512, 0);
    g_assert_cmpint(truncate(disks[0]->path, LAST_AREA_START), ==, 0);
    assert_read(reader, 2);
    g_assert_cmpint(truncate(disks[0]->path, AREA_START), ==, 0);
    quota_metadata_free(reader);
    disks[2] = disks[1];
    disks[1] = NULL;
    reader = reader_new(disks);
    g_assert_cmpint(quota_metadata_refresh(reader), ==, -EIO);

    quota_metadata_free(reader);
    disk_remove(disks[0]);
    disk_remove(disks[2]);
}

int
main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    directory = memory_dir_new();
    g_test_add_func("/change-missed/change", test_change);
    g_test_add_func("/change-missed/around-the-end", test_around_the_end);
    g_test_add_func("/change-missed/ignored", test_ignored);
    g_test_add_func("/change-missed/other-group", test_other_group);
    g_test_add_func("/change-missed/damaged", test_damaged);
    g_test_add_func("/change-missed/unreadable", test_unreadable);
    status = g_test_run();
    g_rmdir(directory);
    g_free(directory);
    return status;
}
