/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two programs of different versions on one ledger must count as one, whichever
 * made it; one that must not use it must say why, and what it does not know must
 * stay as it is. */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "program.h"
#include "scratch.h"

#define CHUNK UINT64_C(65536)
#define CHUNKS UINT64_C(20000)

enum { OLDER, NEWER, PROGRAMS };
static const struct program *programs[PROGRAMS];

static const char *ledger_path(void)
{
    static char path[QUOTA_LEDGER_PATH_BYTES];

    g_assert_cmpint(quota_ledger_path("vg0", "acme", path, sizeof(path)), ==,
                    0);
    return path;
}

static struct quota_ledger *open_by(const struct program *program)
{
    struct quota_ledger *ledger;

    g_assert_cmpint(program->open(ledger_path(), true, &ledger), ==, 0);
    return ledger;
}

/* A new ledger of that program, which admits @limit_bytes. */
static struct quota_ledger *make_by(const struct program *program,
                                    uint64_t limit_bytes)
{
    const struct quota_state state = {
        .limits.limit_bytes = limit_bytes,
        .grant_bytes = limit_bytes,
        .chunk_bytes = CHUNK,
    };
    struct quota_ledger *ledger;
    int lock = quota_group_lock("vg0", 60);

    quota_ledger_unlink("vg0", "acme");
    g_assert_cmpint(program->create("vg0", "acme", &ledger), ==, 0);
    program->publish(ledger, &state);
    quota_group_unlock(lock);
    return ledger;
}

static void sample_by(const struct program *program,
                      struct quota_ledger *ledger, uint64_t used)
{
    struct quota_sample sample;

    program->sample_begin(ledger, &sample);
    g_assert_cmpint(program->sample_publish(ledger, &sample, used,
                                            quota_clock_ns(),
                                            QUOTA_REASON_TENANT_LIMIT), ==, 0);
}

static uint64_t used_by(const struct program *program,
                        const struct quota_ledger *ledger)
{
    struct quota_usage usage;

    program->usage(ledger, &usage);
    return usage.used_bytes;
}

static struct quota_writer *attach_by(const struct program *program,
                                      struct quota_ledger *ledger)
{
    struct quota_writer *writer;
    int ret;

    do {
        ret = program->attach(ledger, "disk0", &writer);
    } while (ret == -EBUSY);
    g_assert_cmpint(ret, ==, 0);
    return writer;
}

/* ---- at the same time ---------------------------------------------------- */

/* Take chunks until there are none; @kernel stands for its allocation map. */
static void write_all(const struct program *program, quota_u64 *kernel)
{
    struct quota_ledger *ledger = open_by(program);
    struct quota_writer *writer = attach_by(program, ledger);

    for (;;) {
        struct quota_admission admission = { 0 };
        int ret;

        while ((ret = program->poll(writer, CHUNK, quota_clock_ns(), INT64_MAX,
                                    &admission)) == -EAGAIN) {
            g_usleep(100);
        }
        if (ret < 0) {
            break;
        }
        atomic_fetch_add(kernel, CHUNK);
        program->settle(writer, CHUNK);
    }
    program->detach(writer);
    program->close(ledger);
    _exit(0);
}

/* Both write, and both sample and audit, in turn: together they get what is
 * there, to the byte. */
static void test_at_once(gconstpointer maker)
{
    struct quota_ledger *ledgers[PROGRAMS];
    quota_u64 *kernel = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int running = 0;

    g_assert_true(kernel != MAP_FAILED);
    ledgers[0] = make_by(maker, CHUNKS * CHUNK);
    sample_by(maker, ledgers[0], 0);
    ((const struct program *)maker)->close(ledgers[0]);
    for (int i = 0; i < PROGRAMS; i++) {
        pid_t pid = fork();

        g_assert_cmpint(pid, >=, 0);
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            write_all(programs[i], kernel);
        }
        running++;
    }
    for (int i = 0; i < PROGRAMS; i++) {
        ledgers[i] = open_by(programs[i]);
    }
    for (int i = 0; running; i = !i) {
        struct quota_sample sample;
        uint64_t sampled;
        int status;

        g_assert_cmpint(programs[i]->audit(ledgers[i]), >=, 0);
        programs[i]->sample_begin(ledgers[i], &sample);
        sampled = atomic_load(kernel);
        programs[i]->sample_publish(ledgers[i], &sample, sampled,
                                    quota_clock_ns(),
                                    QUOTA_REASON_TENANT_LIMIT);
        g_assert_cmpuint(sampled, <=, CHUNKS * CHUNK);
        g_assert_cmpuint(used_by(programs[!i], ledgers[!i]), >=, sampled);
        if (waitpid(-1, &status, WNOHANG) > 0) {
            g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
            running--;
        }
    }
    g_assert_cmpuint(atomic_load(kernel), ==, CHUNKS * CHUNK);
    for (int i = 0; i < PROGRAMS; i++) {
        sample_by(programs[i], ledgers[i], CHUNKS * CHUNK);
        g_assert_cmpuint(used_by(programs[!i], ledgers[!i]), ==,
                         CHUNKS * CHUNK);
    }
    for (int i = 0; i < PROGRAMS; i++) {
        programs[i]->close(ledgers[i]);
    }
    munmap(kernel, 4096);
}

/* One is killed; the other's audit finds it, and what it had in flight. */
static void test_killed(gconstpointer opaque)
{
    const struct program *killed = opaque;
    const struct program *other = programs[killed == programs[OLDER]];

    for (int i = 0; i < PROGRAMS; i++) {
        struct quota_ledger *ledger = make_by(programs[i], 100 * CHUNK);
        int status;
        pid_t pid;

        sample_by(programs[i], ledger, 0);
        programs[i]->close(ledger);
        pid = fork();
        g_assert_cmpint(pid, >=, 0);
        if (pid == 0) {
            ledger = open_by(killed);
            _exit(killed->reserve(attach_by(killed, ledger), 5 * CHUNK) < 0);
        }
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);

        ledger = open_by(other);
        g_assert_cmpuint(used_by(other, ledger), >=, 5 * CHUNK);
        g_assert_cmpint(other->audit(ledger), ==, 1);
        sample_by(other, ledger, 2 * CHUNK);
        g_assert_cmpuint(used_by(other, ledger), ==, 2 * CHUNK);
        g_assert_cmpint(other->audit(ledger), ==, 0);
        other->close(ledger);
    }
}

/* ---- what only the newer one knows --------------------------------------- */

/* All that the older program does with a ledger. */
static void use_by_older(void)
{
    const struct program *older = programs[OLDER];
    const struct quota_state state = {
        .limits.limit_bytes = 50 * CHUNK,
        .limits.rates[QUOTA_RATE_TOTAL_BYTES] = { 1 << 20, 1 << 24, 2 },
        .grant_bytes = 50 * CHUNK,
        .chunk_bytes = CHUNK,
    };
    struct quota_ledger *ledger = open_by(older), *own = open_by(older);
    struct quota_writer *writer = attach_by(older, own);

    older->publish(ledger, &state);
    sample_by(older, ledger, 3 * CHUNK);
    g_assert_cmpint(older->reserve(writer, 40 * CHUNK), ==, 0);
    older->settle(writer, 40 * CHUNK);
    older->detach(writer);
    older->close(own);
    g_assert_cmpint(older->audit(ledger), ==, 0);
    sample_by(older, ledger, 43 * CHUNK);
    g_assert_cmpuint(used_by(older, ledger), ==, 43 * CHUNK);
    older->close(ledger);
}

static off_t file_size(void)
{
    struct stat st;

    g_assert_cmpint(stat(ledger_path(), &st), ==, 0);
    return st.st_size;
}

static void test_field_kept(void)
{
    const struct program *newer = programs[NEWER];
    struct quota_ledger *ledger = make_by(newer, 100 * CHUNK);

    g_assert_cmpuint(newer->file_bytes, >, programs[OLDER]->file_bytes);
    quota_store(newer->in_padding(ledger), 7);
    quota_store(newer->behind_end(ledger), 9);
    newer->close(ledger);
    use_by_older();
    ledger = open_by(newer);
    g_assert_cmpuint(quota_load(newer->in_padding(ledger)), ==, 7);
    g_assert_cmpuint(quota_load(newer->behind_end(ledger)), ==, 9);
    g_assert_cmpuint(used_by(newer, ledger), ==, 43 * CHUNK);
    g_assert_cmpint(file_size(), ==, newer->file_bytes);
    newer->close(ledger);
}

/* In an older ledger it is 0; what is stored behind the end goes nowhere. */
static void test_field_absent(void)
{
    const struct program *newer = programs[NEWER], *older = programs[OLDER];
    struct quota_ledger *ledger, *again;

    older->close(make_by(older, 100 * CHUNK));
    ledger = open_by(newer);
    g_assert_cmpuint(quota_load(newer->in_padding(ledger)), ==, 0);
    g_assert_cmpuint(quota_load(newer->behind_end(ledger)), ==, 0);
    quota_store(newer->behind_end(ledger), 9);
    use_by_older();
    again = open_by(newer);
    g_assert_cmpuint(quota_load(newer->behind_end(again)), ==, 0);
    g_assert_cmpuint(used_by(newer, again), ==, 43 * CHUNK);
    g_assert_cmpint(file_size(), ==, older->file_bytes);
    newer->close(again);
    newer->close(ledger);
}

/* What a publisher does that holds the group's lock. */
static int create_by(const struct program *program,
                     struct quota_ledger **ledger)
{
    int lock = quota_group_lock("vg0", 60);
    int ret = program->create("vg0", "acme", ledger);

    quota_group_unlock(lock);
    return ret;
}

/* Neither makes anew what the other has made. */
static void test_kept(gconstpointer maker)
{
    struct quota_ledger *ledger = make_by(maker, 100 * CHUNK), *same;

    for (int i = 0; i < PROGRAMS; i++) {
        g_assert_cmpint(create_by(programs[i], &same), ==, 0);
        g_assert_true(((const struct program *)maker)->is_current(ledger));
        programs[i]->close(same);
    }
    ((const struct program *)maker)->close(ledger);
}

/* A ledger under the name, of a file that was made with that name. */
static int made_as(const char *name, struct quota_header *header)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    header->checksum = scratch_checksum(header);
    g_assert_cmpint(ftruncate(fd, header->file_bytes), ==, 0);
    g_assert_cmpint(pwrite(fd, header, sizeof(*header), 0), ==, sizeof(*header));
    g_assert_cmpint(fcntl(fd, F_ADD_SEALS, SCRATCH_SEALS), ==, 0);
    g_assert_cmpint(quota_ledger_name("vg0", "acme", fd), ==, 0);
    return fd;
}

/* As a program made it that has these features and this major version. */
static int made_by_newer(struct quota_header *header)
{
    g_autofree char *name = g_strdup_printf(
        "quota-lvm:vg0/acme %u:%" G_GINT64_MODIFIER "x:%" G_GINT64_MODIFIER "x",
        header->version_major, header->features.incompatible,
        header->features.write);

    return made_as(name, header);
}

static void lock_as_writer(int fd, short type)
{
    struct flock lock = {
        .l_type = type,
        .l_whence = SEEK_SET,
        .l_start = QUOTA_LOCK_BASE,
        .l_len = 1,
    };

    g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &lock), ==, 0);
}

static const struct quota_features bits[] = {
    { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 0 },
};

/* By its major version, or by a bit, of either kind. */
static struct quota_header newer_header(size_t n)
{
    struct quota_header header;

    programs[NEWER]->close(make_by(programs[NEWER], 100 * CHUNK));
    header = scratch_header(ledger_path());
    header.features = bits[n];
    header.version_major += !bits[n].incompatible && !bits[n].write;
    return header;
}

/* The older replaces a newer one when it has no writers, and not before. */
static void test_newer_in_use(void)
{
    const struct program *older = programs[OLDER];

    for (size_t n = 0; n < G_N_ELEMENTS(bits); n++) {
        struct quota_header header = newer_header(n);
        int fd = made_by_newer(&header);
        struct quota_ledger *made;

        lock_as_writer(fd, F_WRLCK);
        g_assert_cmpint(create_by(older, &made), ==, -EPROTONOSUPPORT);
        g_assert_null(made);
        g_assert_cmpint(scratch_header(ledger_path()).checksum, ==,
                        header.checksum);

        lock_as_writer(fd, F_UNLCK);
        g_assert_cmpint(create_by(older, &made), ==, 0);
        programs[NEWER]->close(open_by(programs[NEWER]));
        older->close(made);
        close(fd);
    }
}

/* A tenant that writes into its ledger's header that it is newer does not keep it from
 * being replaced, whatever locks it has. */
static void test_newer_forged(void)
{
    const struct program *newer = programs[NEWER], *older = programs[OLDER];

    for (size_t n = 0; n < G_N_ELEMENTS(bits); n++) {
        struct quota_header header = newer_header(n);
        struct quota_ledger *ledger = open_by(newer), *made;
        struct quota_writer *writer = attach_by(newer, ledger);

        scratch_forge(ledger_path(), &header);
        g_assert_cmpint(create_by(older, &made), ==, 0);
        g_assert_false(newer->is_current(ledger));
        newer->detach(writer);
        newer->close(ledger);
        older->close(made);
    }
}

/* Nor does one that no program has made so. */
static void test_newer_unlikely(void)
{
    static const char *const names[] = {
        "quota-lvm:vg0/acme", "quota-lvm:vg0/acme 2", "quota-lvm:vg0/acme 0:1:1",
        "quota-lvm:vg0/emca 2:0:0",
    };
    const struct program *older = programs[OLDER];

    for (size_t n = 0; n < G_N_ELEMENTS(names); n++) {
        struct quota_header header = newer_header(2);
        int fd = made_as(names[n], &header);
        struct quota_ledger *made;

        lock_as_writer(fd, F_WRLCK);
        g_assert_cmpint(create_by(older, &made), ==, 0);
        older->close(made);
        close(fd);
    }
}

/* One of an older major version is replaced under its writers: nobody would
 * sample it any more. */
static void test_older_in_use(void)
{
    const struct program *newer = programs[NEWER], *older = programs[OLDER];
    struct quota_ledger *ledger = make_by(older, 100 * CHUNK), *made;
    struct quota_header header = scratch_header(ledger_path());
    struct quota_writer *writer = attach_by(older, ledger);

    header.version_major--;
    scratch_forge(ledger_path(), &header);
    g_assert_cmpint(create_by(newer, &made), ==, 0);
    g_assert_false(older->is_current(ledger));
    newer->close(made);
    older->detach(writer);
    older->close(ledger);
}

/* ---- headers ------------------------------------------------------------- */

#define ALL UINT64_MAX
#define HIGHEST (UINT64_C(1) << 63)

static const struct {
    struct quota_features features;
    /* of reading and of writing, by the older and by the newer; NULL: used */
    const char *refused[PROGRAMS][2];
} features[] = {
    { { 0, 0, 0 }, { { NULL } } },
    { { 0, 0, 1 }, { { NULL } } },
    { { 0, 0, ALL }, { { NULL } } },
    { { 1, 0, 0 }, { { "bits 0x1, write bits 0)", "bits 0x1, write bits 0)" } } },
    { { 0, 1, 0 }, { { NULL, "bits 0, write bits 0x1)" } } },
    { { 1, 1, 1 }, { { "bits 0x1, write bits 0)", "bits 0x1, write bits 0x1)" } } },
    { { HIGHEST, 0, 0 },
      { { "bits 0x8000000000000000, write bits 0)",
          "bits 0x8000000000000000, write bits 0)" },
        { "bits 0x8000000000000000, write bits 0)",
          "bits 0x8000000000000000, write bits 0)" } } },
    { { 1, HIGHEST, 0 },
      { { "bits 0x1, write bits 0)",
          "bits 0x1, write bits 0x8000000000000000)" },
        { NULL, "bits 0, write bits 0x8000000000000000)" } } },
    { { 0, ALL, ALL },
      { { NULL, "bits 0, write bits 0xffffffffffffffff)" },
        { NULL, "bits 0, write bits 0xfffffffffffffffe)" } } },
};

static void test_features(void)
{
    struct quota_ledger *ledger = make_by(programs[NEWER], 100 * CHUNK);
    struct quota_header header = scratch_header(ledger_path());

    sample_by(programs[NEWER], ledger, 3 * CHUNK);
    programs[NEWER]->close(ledger);
    for (size_t n = 0; n < G_N_ELEMENTS(features); n++) {
        header.features = features[n].features;
        scratch_forge(ledger_path(), &header);
        for (int i = 0; i < 2 * PROGRAMS; i++) {
            const struct program *program = programs[i / 2];
            const char *refused = features[n].refused[i / 2][i % 2];
            struct quota_ledger *opened;
            int ret = program->open(ledger_path(), i % 2, &opened);

            if (!refused) {
                g_assert_cmpint(ret, ==, 0);
                g_assert_cmpuint(used_by(program, opened), ==, 3 * CHUNK);
                program->close(opened);
                continue;
            }
            g_assert_cmpint(ret, ==, -EPROTONOSUPPORT);
            g_assert_null(opened);
            g_test_message("%s: the ledger %s", program->name,
                           program->strerror(ret));
            g_assert_true(g_str_has_prefix(program->strerror(ret),
                                           "needs features that this program "
                                           "does not know (incompatible bits"));
            g_assert_true(g_str_has_suffix(program->strerror(ret), refused));
        }
    }
    /* The words are of what was refused last. */
    header.version_major++;
    scratch_forge(ledger_path(), &header);
    g_assert_cmpint(programs[OLDER]->open(ledger_path(), true, &ledger), ==,
                    -EPROTONOSUPPORT);
    g_assert_nonnull(strstr(programs[OLDER]->strerror(-EPROTONOSUPPORT),
                            "another major version"));
}

/* A ledger of so many bytes under the name, with that header. */
static void put_length(const struct quota_header *header, uint32_t length)
{
    static struct quota_ledger_file file;
    static int fd = -1;

    if (fd >= 0) {
        close(fd);
    }
    file.header = *header;
    file.header.checksum = scratch_checksum(header);
    fd = scratch_other("acme", &file, MIN(length, sizeof(file)), length,
                       SCRATCH_SEALS);
}

/* What is at least as long as any ledger of this major version is used, whatever
 * its minor version; nothing shorter. */
static void test_lengths(void)
{
    static const uint16_t minors[] = { 0, 1, 2, UINT16_MAX };
    const uint32_t least = QUOTA_LEDGER_LEAST_BYTES;
    const uint32_t lengths[] = {
        0, least - 1, least, least + 1, least + 2048,
        programs[NEWER]->file_bytes - 1, programs[NEWER]->file_bytes,
        programs[NEWER]->file_bytes + 1, 2 * least,
    };
    struct quota_header header;

    programs[OLDER]->close(make_by(programs[OLDER], 100 * CHUNK));
    header = scratch_header(ledger_path());
    for (size_t n = 0; n < G_N_ELEMENTS(lengths) * G_N_ELEMENTS(minors); n++) {
        header.file_bytes = lengths[n / G_N_ELEMENTS(minors)];
        header.version_minor = minors[n % G_N_ELEMENTS(minors)];
        for (int i = 0; i < PROGRAMS; i++) {
            struct quota_ledger *ledger;

            if (header.file_bytes < least) {
                put_length(&header, 3 * least);
                g_assert_cmpint(programs[i]->open(ledger_path(), true, &ledger),
                                ==, -EBADMSG);
                continue;
            }
            put_length(&header, header.file_bytes - 1);
            g_assert_cmpint(programs[i]->open(ledger_path(), true, &ledger), ==,
                            -ENODATA);
            put_length(&header, header.file_bytes);
            ledger = open_by(programs[i]);
            if (programs[i]->behind_end) {
                g_assert_cmpuint(quota_load(programs[i]->behind_end(ledger)),
                                 ==, 0);
            }
            programs[i]->close(ledger);
            use_by_older();
        }
    }
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    programs[OLDER] = older_program();
    programs[NEWER] = newer_program();
    for (int i = 0; i < PROGRAMS; i++) {
        static const struct {
            const char *name;
            GTestDataFunc test;
        } tests[] = {
            { "at-once-made-by", test_at_once },
            { "killed", test_killed },
            { "kept-made-by", test_kept },
        };

        for (size_t n = 0; n < G_N_ELEMENTS(tests); n++) {
            g_autofree char *name = g_strdup_printf("/versions/%s-%s",
                                                    tests[n].name,
                                                    programs[i]->name);

            g_test_add_data_func(name, programs[i], tests[n].test);
        }
    }
    g_test_add_func("/versions/field-kept", test_field_kept);
    g_test_add_func("/versions/field-absent", test_field_absent);
    g_test_add_func("/versions/newer-in-use", test_newer_in_use);
    g_test_add_func("/versions/newer-forged", test_newer_forged);
    g_test_add_func("/versions/newer-unlikely", test_newer_unlikely);
    g_test_add_func("/versions/older-in-use", test_older_in_use);
    g_test_add_func("/versions/features", test_features);
    g_test_add_func("/versions/lengths", test_lengths);
    scratch_begin();
    programs[NEWER]->set_dir(scratch_dir);
    ret = g_test_run();
    scratch_end();
    return ret;
}
