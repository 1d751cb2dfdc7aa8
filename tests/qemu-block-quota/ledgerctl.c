/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ledgerctl: creates a ledger, changes it, corrupts it, or plays its sampler,
 * without LVM: files take the place of thin volumes, and their allocated space
 * that of the thin pool's used bytes.  Only for tests.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ledger.h"

static const char usage[] =
    "usage: ledgerctl DIR GROUP TENANT COMMAND...\n"
    "  create NAME=VALUE...   make the ledger, publish its state, print its path\n"
    "                         and keep it, until the end of the standard input\n"
    "  set NAME=VALUE...      change what is published\n"
    "  volume VOLUME NAME=VALUE...\n"
    "                         publish the limits of a volume: limit, weight,\n"
    "                         total_bytes_sec, ...\n"
    "  epoch begin|wait|end VOLUME [MS]\n"
    "                         what a snapshot does; wait: at most so long\n"
    "  sample USED [REASON]   publish one sample; USED -: read it from standard\n"
    "                         input once the sample has begun\n"
    "  show                   print state and usage, NAME=VALUE a line; rings:\n"
    "                         rings of the doorbell, charged: writes in flight\n"
    "                         to chunks that are charged already\n"
    "  serve [slow=MS] [reason=NAME] FILE...\n"
    "                         sample the files' allocated bytes, at each ring\n"
    "                         of the doorbell and every 100 ms; grow the grant\n"
    "                         by steps, MS later than asked.  A file is the\n"
    "                         volume of its name\n"
    "  spoil magic|version|features|checksum|boot\n"
    "                         change it\n"
    "  spoil length|seals     put another file, without seals, in its place\n"
    "names: limit, step, thick, grant, chunk, free, total_bytes_sec, ...;\n"
    "values as 64M; reasons: none, tenant-limit, volume-limit, group-full,\n"
    "accounting-lost\n";

static void die(const char *what, int error)
{
    fprintf(stderr, "ledgerctl: %s: %s\n", what, strerror(error));
    exit(1);
}

/* Cut NAME=VALUE in two; the limit of that name, if it is one. */
static const struct quota_limit_field *parse(char *arg, uint64_t *number)
{
    char *value = strchr(arg, '=');

    if (!value) {
        die(arg, EINVAL);
    }
    *value++ = '\0';
    if (quota_size_parse(value, number) < 0) {
        die(value, EINVAL);
    }
    return quota_limit_field_find(arg);
}

static void apply(struct quota_state *state, char **args)
{
    for (; *args; args++) {
        uint64_t number;
        const struct quota_limit_field *field = parse(*args, &number);

        if (field) {
            quota_limit_set(&state->limits, field, number);
        } else if (!strcmp(*args, "thick")) {
            state->thick_bytes = number;
        } else if (!strcmp(*args, "grant")) {
            state->grant_bytes = number;
        } else if (!strcmp(*args, "chunk")) {
            state->chunk_bytes = number;
        } else if (!strcmp(*args, "free")) {
            state->group_free_bytes = number;
        } else {
            die(*args, EINVAL);
        }
    }
}

static void publish_volume(struct quota_ledger *ledger, char **args)
{
    const char *name = *args++;
    struct quota_limits limits = { 0 };
    unsigned weight = 0;
    int ret;

    for (; *args; args++) {
        uint64_t number;
        const struct quota_limit_field *field = parse(*args, &number);

        if (field) {
            quota_limit_set(&limits, field, number);
        } else if (!strcmp(*args, "weight")) {
            weight = number;
        } else {
            die(*args, EINVAL);
        }
    }
    ret = quota_volume_publish(ledger, name, &limits, weight);
    if (ret < 0) {
        die(name, -ret);
    }
    quota_doorbell_ring(ledger);
}

static void epoch(struct quota_ledger *ledger, const char *verb,
                  const char *volume, const char *timeout_ms)
{
    uint64_t timeout_ns = timeout_ms ? atoi(timeout_ms) * UINT64_C(1000000)
                                     : INT64_MAX;
    int ret = -EINVAL;

    if (!strcmp(verb, "begin")) {
        ret = quota_epoch_begin(ledger, volume);
    } else if (!strcmp(verb, "wait")) {
        ret = quota_epoch_wait(ledger, volume, timeout_ns);
    } else if (!strcmp(verb, "end")) {
        ret = quota_epoch_end(ledger, volume);
    }
    if (ret < 0) {
        die(volume, -ret);
    }
}

static enum quota_reason parse_reason(const char *name)
{
    for (int i = 0; i < QUOTA_REASON_MAX; i++) {
        if (!strcmp(name, quota_reason_name(i))) {
            return i;
        }
    }
    die(name, EINVAL);
    return 0;
}

static void sample(struct quota_ledger *ledger, const char *size,
                   enum quota_reason reason)
{
    struct quota_sample s;
    char line[64];
    uint64_t used;

    quota_sample_begin(ledger, &s);
    if (!strcmp(size, "-")) {
        puts("begun");
        fflush(stdout);
        if (!fgets(line, sizeof(line), stdin)) {
            die(size, EINVAL);
        }
        line[strcspn(line, "\n")] = '\0';
        size = line;
    }
    if (quota_size_parse(size, &used) < 0) {
        die(size, EINVAL);
    }
    quota_sample_publish(ledger, &s, used, quota_clock_ns(), reason);
}

static unsigned charged_in_flight(const struct quota_ledger *ledger,
                                  unsigned volume)
{
    struct quota_writer_words *writers = ledger->file->volumes[volume].writers;
    unsigned sum = 0;

    for (int n = 0; n < QUOTA_VOLUME_WRITERS; n++) {
        for (int lane = 0; lane < QUOTA_LANES; lane++) {
            sum += quota_load(&writers[n].lanes[lane].charged_in_flight);
        }
    }
    return sum;
}

static void show_volumes(struct quota_ledger *ledger)
{
    struct quota_volume_usage v;
    int ret;

    for (unsigned i = 0; (ret = quota_volume_read(ledger, i, &v)) != -ENOENT;
         i++) {
        if (ret == 0) {
            printf("%s.limit=%" PRIu64 "\n%s.weight=%u\n%s.writers=%u\n"
                   "%s.is_sampled=%d\n%s.sampled=%" PRIu64 "\n"
                   "%s.unsampled=%" PRIu64 "\n%s.used=%" PRIu64 "\n"
                   "%s.charged=%u\n",
                   v.name, v.limit_bytes, v.name, v.weight, v.name, v.writers,
                   v.name, v.is_sampled, v.name, v.sampled_bytes,
                   v.name, v.unsampled_bytes, v.name, v.used_bytes,
                   v.name, charged_in_flight(ledger, i));
        }
    }
}

static void show(struct quota_ledger *ledger)
{
    struct quota_state state;
    struct quota_usage u;

    quota_state_read(ledger, &state);
    quota_usage_read(ledger, &u);
    printf("limit=%" PRIu64 "\nthick=%" PRIu64 "\ngrant=%" PRIu64 "\n"
           "chunk=%" PRIu64 "\nsampled=%" PRIu64 "\nunsampled=%" PRIu64 "\n"
           "used=%" PRIu64 "\navailable=%" PRIu64 "\nrefused=%" PRIu64 "\n"
           "writers=%u\nrings=%u\nreason=%s\n", u.limit_bytes, u.thick_bytes,
           u.grant_bytes, state.chunk_bytes, u.sampled_bytes,
           u.unsampled_bytes, u.used_bytes, u.available_bytes,
           u.refused_writes, quota_writer_count(ledger),
           quota_load(&ledger->file->counters.doorbell),
           quota_reason_name(u.reason));
    show_volumes(ledger);
}

static uint64_t allocated(const char *file)
{
    struct stat st;

    if (stat(file, &st) < 0) {
        die(file, errno);
    }
    return (uint64_t)st.st_blocks * 512;
}

/* The file that takes a volume's place, or NULL. */
static const char *file_of(const char *volume, char **files)
{
    for (; *files; files++) {
        const char *name = strrchr(*files, '/');

        if (!strcmp(name ? name + 1 : *files, volume)) {
            return *files;
        }
    }
    return NULL;
}

static uint32_t sample_files(struct quota_ledger *ledger, char **files,
                             enum quota_reason reason)
{
    struct quota_sample s;
    uint64_t sum = 0;

    quota_sample_begin(ledger, &s);
    for (unsigned i = 0; i < s.volumes; i++) {
        struct quota_volume_usage v;
        const char *file = quota_volume_read(ledger, i, &v) < 0
                           ? NULL : file_of(v.name, files);

        if (file) {
            s.volume[i].used_bytes = allocated(file);
        }
    }
    for (char **file = files; *file; file++) {
        sum += allocated(*file);
    }
    quota_sample_publish(ledger, &s, sum, quota_clock_ns(), reason);
    return s.doorbell;
}

/* One step of the grant, as far as limit and group allow; 0: none. */
static uint64_t next_step(const struct quota_state *state,
                          enum quota_reason *reason)
{
    uint64_t room = quota_state_can_grow(state, reason);
    uint64_t step = state->limits.step_bytes ? state->limits.step_bytes
                                             : QUOTA_STEP_DEFAULT_BYTES;

    return step < room ? step : room;
}

static void serve(struct quota_ledger *ledger, char **args)
{
    enum quota_reason forced = QUOTA_REASON_MAX;
    unsigned slow_ms = 0;

    for (; *args && strchr(*args, '='); args++) {
        if (!strncmp(*args, "slow=", 5)) {
            slow_ms = atoi(*args + 5);
        } else if (!strncmp(*args, "reason=", 7)) {
            forced = parse_reason(*args + 7);
        } else {
            die(*args, EINVAL);
        }
    }
    while (true) {
        enum quota_reason reason = QUOTA_REASON_NONE;
        uint64_t demand = quota_doorbell_demand(ledger);
        struct quota_usage u;
        struct quota_state state;
        uint32_t doorbell;

        quota_writer_audit(ledger);
        sample_files(ledger, args, QUOTA_REASON_NONE);
        quota_usage_read(ledger, &u);
        quota_state_read(ledger, &state);
        if (u.sampled_bytes + u.unsampled_bytes + demand > u.grant_bytes) {
            uint64_t step = next_step(&state, &reason);

            if (step && forced == QUOTA_REASON_MAX) {
                struct timespec wait = {
                    .tv_sec = slow_ms / 1000,
                    .tv_nsec = slow_ms % 1000 * 1000000L,
                };

                nanosleep(&wait, NULL);
                state.grant_bytes += step;
                state.group_free_bytes -= step;
                quota_state_publish(ledger, &state);
                reason = QUOTA_REASON_NONE;
            }
        } else if (u.used_bytes + demand > u.limit_bytes) {
            reason = QUOTA_REASON_TENANT_LIMIT;
        }
        if (reason != QUOTA_REASON_NONE && forced != QUOTA_REASON_MAX) {
            reason = forced;
        }
        doorbell = sample_files(ledger, args, reason);
        quota_doorbell_wait(ledger, doorbell, 100 * 1000000);
    }
}

/* FNV-1a, as ledger.c has it: a header with a field that is wrong, not one
 * that is damaged. */
static uint64_t checksum(const struct quota_header *header)
{
    const unsigned char *p = (const unsigned char *)header;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < offsetof(struct quota_header, checksum); i++) {
        hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* A file of the file system, with the header of the ledger at @path. */
static void replace(const char *path, const struct quota_header *header,
                    size_t length)
{
    int fd;

    if (unlink(path) < 0 ||
        (fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600)) < 0 ||
        write(fd, header, sizeof(*header)) != sizeof(*header) ||
        ftruncate(fd, length) < 0) {
        die(path, errno);
    }
    close(fd);
}

static void spoil(const char *path, const char *what)
{
    struct quota_header header;
    int fd = open(path, O_RDWR);

    if (fd < 0 || pread(fd, &header, sizeof(header), 0) != sizeof(header)) {
        die(path, errno);
    }
    if (!strcmp(what, "length") || !strcmp(what, "seals")) {
        replace(path, &header, strcmp(what, "seals")
                ? sizeof(header) + 100 : sizeof(struct quota_ledger_file));
        close(fd);
        return;
    }
    if (!strcmp(what, "magic")) {
        header.magic[0]++;
    } else if (!strcmp(what, "version")) {
        header.version_major++;
    } else if (!strcmp(what, "features")) {
        header.features.incompatible |= UINT64_C(1) << 63;
    } else if (!strcmp(what, "boot")) {
        header.boot_id[0]++;
    } else if (!strcmp(what, "checksum")) {
        header.checksum++;
    } else {
        die(what, EINVAL);
    }
    if (strcmp(what, "checksum") != 0) {
        header.checksum = checksum(&header);
    }
    if (pwrite(fd, &header, sizeof(header), 0) != sizeof(header)) {
        die(path, errno);
    }
    close(fd);
}

int main(int argc, char **argv)
{
    struct quota_state state = { .chunk_bytes = 65536 };
    struct quota_ledger *ledger;
    const char *command;
    char path[4096];
    int ret;

    if (argc < 5) {
        fputs(usage, stderr);
        return 2;
    }
    command = argv[4];
    quota_ledger_set_dir(argv[1]);
    ret = quota_ledger_path(argv[2], argv[3], path, sizeof(path));
    if (ret < 0) {
        die(argv[3], -ret);
    }
    if (!strcmp(command, "spoil") && argc == 6) {
        spoil(path, argv[5]);
        return 0;
    }
    ret = !strcmp(command, "create")
          ? quota_ledger_create(argv[2], argv[3], &ledger)
          : quota_ledger_open(path, true, &ledger);
    if (ret < 0) {
        fprintf(stderr, "ledgerctl: ledger %s %s\n", path,
                quota_ledger_strerror(ret));
        return 1;
    }
    if (!strcmp(command, "create")) {
        apply(&state, argv + 5);
        quota_state_publish(ledger, &state);
        printf("%s\n", path);
        fflush(stdout);
        while (getchar() != EOF) {
            continue;
        }
    } else if (!strcmp(command, "set")) {
        quota_state_read(ledger, &state);
        apply(&state, argv + 5);
        quota_state_publish(ledger, &state);
        /* A new limit is a reason to check again. */
        quota_doorbell_ring(ledger);
    } else if (!strcmp(command, "volume") && argc >= 6) {
        publish_volume(ledger, argv + 5);
    } else if (!strcmp(command, "epoch") && (argc == 7 || argc == 8)) {
        epoch(ledger, argv[5], argv[6], argv[7]);
    } else if (!strcmp(command, "sample") && argc >= 6) {
        sample(ledger, argv[5], argc > 6 ? parse_reason(argv[6])
                                         : QUOTA_REASON_NONE);
    } else if (!strcmp(command, "show")) {
        show(ledger);
    } else if (!strcmp(command, "serve")) {
        serve(ledger, argv + 5);
    } else {
        fputs(usage, stderr);
        return 2;
    }
    quota_ledger_close(ledger);
    return 0;
}
