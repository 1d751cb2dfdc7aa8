/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * replay.c: runs a fuzz target over files, where there is no libFuzzer: each
 * argument is a file, or a directory of files.
 */
#include <dirent.h>

#include "fuzz.h"

static unsigned files;

static void replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t data[65536];
    size_t size;

    if (!file) {
        perror(path);
        exit(1);
    }
    size = fread(data, 1, sizeof(data), file);
    fclose(file);
    /* The last line that is seen when it crashes. */
    printf("# %s\n", path);
    fflush(stdout);
    LLVMFuzzerTestOneInput(data, size);
    files++;
}

static void replay(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    if (!dir) {
        replay_file(path);
        return;
    }
    while ((entry = readdir(dir))) {
        char name[4096];

        if (entry->d_name[0] != '.') {
            snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
            replay_file(name);
        }
    }
    closedir(dir);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        replay(argv[i]);
    }
    printf("ok 1 %u inputs\n1..1\n", files);
    return files > 0 ? 0 : 77;
}
