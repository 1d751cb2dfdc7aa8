/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * metadata-show.c: print what lvm/ reads, as lvs and vgs print it.
 *
 *   metadata-show GROUP DEVICE...         once
 *   metadata-show --watch GROUP DEVICE... again and again, until standard input
 *                                         ends: only what is wrong, and how
 *                                         many changes were seen
 *   metadata-show --charges GROUP FILE    of a text of vgcfgbackup(8): what each LV
 *                                         that is not a part takes, in MiB, whose
 *                                         it is, and what tenants are charged
 *
 * The first line is that of vgs -o vg_name,vg_uuid,seqno,vg_extent_size,vg_size,
 * vg_free,vg_missing_pv_count, the others those of lvs -a -o lv_name,lv_uuid,
 * segtype,lv_size,chunk_size,lv_metadata_size,origin,pool_lv,lv_tags, sorted.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quota-charge.h"
#include "quota-metadata.h"

#define MIB (UINT64_C(1) << 20)
#define TENANTS_MAX 64
#define TEXT_MAX (1024 * 1024)

static int compare(const void *a, const void *b)
{
    return strcmp((*(const struct quota_metadata_lv *const *)a)->name,
                  (*(const struct quota_metadata_lv *const *)b)->name);
}

static void show(const struct quota_metadata_group *group)
{
    const struct quota_metadata_lv **lvs = calloc(group->nlvs + 1, sizeof(*lvs));
    size_t i;

    printf("%s|%s|%" PRIu64 "|%" PRIu64 "|%" PRIu64 "|%" PRIu64 "|%u\n",
           group->name, group->uuid, group->seqno, group->extent_bytes,
           group->size_bytes, group->free_bytes,
           group->missing + group->unread);
    for (i = 0; i < group->nlvs; i++) {
        lvs[i] = &group->lvs[i];
    }
    qsort(lvs, group->nlvs, sizeof(*lvs), compare);
    for (i = 0; i < group->nlvs; i++) {
        const struct quota_metadata_lv *lv = lvs[i];

        /* lvs does not show the LV that only joins a snapshot to its origin */
        if (!lv->is_visible && strncmp(lv->name, "snapshot", 8) == 0 &&
            lv->physical_bytes == 0) {
            continue;
        }
        printf("%s%s%s|%s|%s|%" PRIu64 "|%" PRIu64 "|",
               lv->is_visible ? "" : "[", lv->name, lv->is_visible ? "" : "]",
               lv->uuid, strcmp(lv->segtype, "snapshot") ? lv->segtype : "linear",
               lv->size_bytes, lv->chunk_bytes);
        if (lv->metadata_bytes) {
            printf("%" PRIu64, lv->metadata_bytes);
        }
        printf("|%s|%s|%s\n",
               lv->origin ? lv->origin :
               lv->external_origin ? lv->external_origin : "",
               lv->thin_pool ? lv->thin_pool : "", lv->tags);
    }
    free(lvs);
}

static struct {
    struct quota_owner owner;
    struct quota_state state;
    bool has_bad_tag;
} tenants[TENANTS_MAX];

/* The tenant's place, by name. */
static size_t find_tenant(const struct quota_owner *owner)
{
    size_t i = 0;

    while (i < TENANTS_MAX - 1 && *tenants[i].owner.tenant &&
           strcmp(tenants[i].owner.tenant, owner->tenant) != 0) {
        i++;
    }
    tenants[i].owner = *owner;
    return i;
}

static void show_charge(const struct quota_metadata_lv *lv)
{
    const struct quota_lv charged = {
        .segtype = lv->segtype,
        .tags = lv->tags,
        .size_bytes = lv->size_bytes,
        .physical_bytes = lv->physical_bytes,
        .chunk_bytes = lv->chunk_bytes,
    };
    struct quota_owner owner;
    size_t i;

    quota_owner_find(lv->tags, lv->name, &owner);
    printf("%s|%s|%" PRIu64 "|%" PRIu64 "|%s%s%s", lv->name, lv->segtype,
           lv->size_bytes / MIB, lv->physical_bytes / MIB, owner.tenant,
           owner.is_of_two ? " of two" : "",
           owner.is_of_invalid ? " of an invalid one" : "");
    if (lv->unknown) {
        printf("|unknown: %s", lv->unknown);
    }
    printf("\n");
    if (*owner.tenant) {
        i = find_tenant(&owner);
        tenants[i].has_bad_tag |=
            quota_state_charge(&tenants[i].state, &charged) < 0;
    }
}

static int show_charges(const char *name, const char *path)
{
    struct quota_metadata_group *group;
    char *text = calloc(1, TEXT_MAX);
    FILE *file = fopen(path, "r");
    int ret;

    if (!file || !text || fread(text, 1, TEXT_MAX - 1, file) == 0) {
        perror(path);
        return 1;
    }
    fclose(file);
    ret = quota_metadata_parse(text, name, &group);
    free(text);
    if (ret < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(-ret));
        return 1;
    }
    printf("LV|type|size|takes|tenant\n");
    for (size_t i = 0; i < group->nlvs; i++) {
        if (group->lvs[i].is_visible) {
            show_charge(&group->lvs[i]);
        }
    }
    printf("\ntenant|thick|grant|volumes|limit\n");
    for (size_t i = 0; i < TENANTS_MAX && *tenants[i].owner.tenant; i++) {
        const struct quota_state *state = &tenants[i].state;

        printf("%s|%" PRIu64 "|%" PRIu64 "|%" PRIu64 "|%" PRIu64 "%s\n",
               tenants[i].owner.tenant, state->thick_bytes / MIB,
               state->grant_bytes / MIB, state->volumes,
               state->limits.limit_bytes / MIB,
               tenants[i].has_bad_tag ? "|bad tag" : "");
    }
    printf("\nfree %" PRIu64 " of %" PRIu64 "\n", group->free_bytes / MIB,
           group->size_bytes / MIB);
    quota_metadata_group_free(group);
    return 0;
}

/* Whoever reads while LVM writes must see whole states, in order. */
static int watch(struct quota_metadata *metadata)
{
    struct pollfd end = { .fd = 0, .events = POLLIN };
    uint64_t seqno = 0, changes = 0, reads = 0;

    while (poll(&end, 1, 0) == 0) {
        int ret = quota_metadata_refresh(metadata);
        const struct quota_metadata_group *group =
            quota_metadata_group(metadata);
        uint64_t taken = 0;

        reads++;
        if (ret < 0) {
            printf("reading %" PRIu64 ": %s\n", reads, strerror(-ret));
            return 1;
        }
        if (ret == 0) {
            continue;
        }
        changes++;
        if (group->seqno < seqno) {
            printf("back from %" PRIu64 " to %" PRIu64 "\n", seqno,
                   group->seqno);
            return 1;
        }
        seqno = group->seqno;
        for (size_t i = 0; i < group->nlvs; i++) {
            if (group->lvs[i].is_visible) {
                taken += group->lvs[i].physical_bytes;
            }
        }
        if (taken + group->free_bytes > group->size_bytes) {
            printf("%" PRIu64 ": more is taken and free than there is\n", seqno);
            return 1;
        }
    }
    printf("%" PRIu64 " %" PRIu64 "\n", changes, reads);
    return 0;
}

int main(int argc, char **argv)
{
    bool is_watch = argc > 1 && strcmp(argv[1], "--watch") == 0;
    struct quota_metadata *metadata;
    int ret;

    if (argc == 4 && strcmp(argv[1], "--charges") == 0) {
        return show_charges(argv[2], argv[3]);
    }
    argv += is_watch;
    argc -= is_watch;
    if (argc < 3) {
        fprintf(stderr, "usage: metadata-show [--watch] GROUP DEVICE...\n"
                "       metadata-show --charges GROUP FILE\n");
        return 2;
    }
    metadata = quota_metadata_new(argv[1], (const char *const *)argv + 2,
                                  argc - 2);
    if (!metadata) {
        return 1;
    }
    if (is_watch) {
        ret = watch(metadata);
    } else {
        ret = quota_metadata_refresh(metadata);
        if (ret < 0) {
            fprintf(stderr, "%s: %s\n", argv[1], strerror(-ret));
        } else {
            show(quota_metadata_group(metadata));
        }
        ret = ret < 0;
    }
    quota_metadata_free(metadata);
    return ret;
}
