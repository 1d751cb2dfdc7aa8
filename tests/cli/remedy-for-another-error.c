/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * remedy-for-another-error.c: what quota-lvm advises against a ledger that cannot
 * be opened does not help: reading LVM anew where that leaves the ledger as it is,
 * or something else where that would do.
 */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/scratch.h"
#include "survey.h"

static char group[] = "vg0";
static char tenant[] = "acme";
static const LvmTenant lvm = { .group = group, .tenant = tenant };

static char *
ledger_path(void)
{
    char path[QUOTA_LEDGER_PATH_BYTES];

    g_assert_cmpint(quota_ledger_path(group, tenant, path, sizeof(path)), ==, 0);
    return g_strdup(path);
}

/* poke: put @byte at @offset of the ledger. */
static void
poke(const char *path, off_t offset, char byte)
{
    int fd = g_open(path, O_WRONLY | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pwrite(fd, &byte, 1, offset), ==, 1);
    close(fd);
}

static void
remove_file(const char *path)
{
    g_assert_cmpint(g_unlink(path), ==, 0);
}

static void
cut_short(const char *path)
{
    struct quota_header header = scratch_header(path);

    remove_file(path);
    g_assert_true(g_file_set_contents(path, (const char *)&header, sizeof(header),
                                      NULL));
}

static void
take_seals(const char *path)
{
    struct quota_header header = scratch_header(path);

    cut_short(path);
    g_assert_cmpint(truncate(path, header.file_bytes), ==, 0);
}

static void
write_text(const char *path)
{
    remove_file(path);
    g_assert_true(g_file_set_contents(path, "not a ledger", -1, NULL));
}

static void
damage_header(const char *path)
{
    poke(path, offsetof(struct quota_header, group) + 100, 'x');
}

static void
link_to_itself(const char *path)
{
    remove_file(path);
    g_assert_cmpint(symlink(path, path), ==, 0);
}

static void
make_unreadable(const char *path)
{
    g_assert_cmpint(chmod(path, 0), ==, 0);
}

static void
take_all_descriptors(const char *path)
{
    struct rlimit limit;

    (void)path;
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    limit.rlim_cur = 0;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
}

static const struct {
    const char *name;
    void (*harm)(const char *path);
    int error;
} cases[] = {
    { "removed", remove_file, -ENOENT },
    { "cut-short", cut_short, -ENODATA },
    { "not-sealed", take_seals, -EBADFD },
    { "a-text", write_text, -EILSEQ },
    { "damaged", damage_header, -EBADMSG },
    { "a-loop", link_to_itself, -ELOOP },
    { "not-allowed", make_unreadable, -EACCES },
    { "no-descriptor", take_all_descriptors, -EMFILE },
};

static void
test_remedy(gconstpointer opaque)
{
    gsize i = GPOINTER_TO_SIZE(opaque);
    g_autofree char *path = ledger_path();
    struct quota_ledger *ledger = scratch_ledger(tenant);
    struct rlimit limit;
    bool is_cured;
    int error, lock;

    if (cases[i].error == -EACCES && geteuid() == 0) {
        quota_ledger_close(ledger);
        g_test_skip("root may open every file");
        return;
    }
    quota_ledger_close(ledger);
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    lock = quota_group_lock(group, 60);
    cases[i].harm(path);
    ledger = NULL;
    error = survey_ledger_open(&lvm, &ledger);
    g_assert_cmpint(error, ==, cases[i].error);

    /* what pool-refresh and quota-lvmd do */
    is_cured = quota_ledger_create(group, tenant, &ledger) == 0;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    g_test_message("%s: %s", quota_ledger_strerror(error),
                   survey_ledger_remedy(error));
    g_assert_true(is_cured ==
                  g_str_equal(survey_ledger_remedy(error), SURVEY_REREAD));
    if (is_cured)
        quota_ledger_close(ledger);
    (void)g_unlink(path);
    quota_group_unlock(lock);
}

/* As many versions as there are programs: reading anew with the old one does
 * nothing. */
static void
test_version(void)
{
    g_autofree char *path = ledger_path();
    struct quota_ledger *ledger = scratch_ledger(tenant);
    int error;

    quota_ledger_close(ledger);
    poke(path, offsetof(struct quota_header, version_major), 77);
    error = survey_ledger_open(&lvm, &ledger);
    g_assert_cmpint(error, ==, -EPROTONOSUPPORT);
    g_assert_nonnull(strstr(survey_ledger_remedy(error), "of one version"));
    (void)g_unlink(path);
}

/* What it must not read it refuses, by the bits' names; what it must not write
 * to, it reports all the same. */
static void
test_features(void)
{
    g_autofree char *path = ledger_path();
    struct quota_ledger *ledger = scratch_ledger(tenant);
    struct quota_header header = ledger->header;
    int error;

    quota_ledger_close(ledger);
    header.features.write = 1 << 4;
    scratch_forge(path, &header);
    g_assert_cmpint(survey_ledger_open(&lvm, &ledger), ==, 0);
    quota_ledger_close(ledger);
    g_assert_cmpint(quota_ledger_open(path, true, &ledger), ==,
                    -EPROTONOSUPPORT);

    header.features.incompatible = 1 << 7;
    scratch_forge(path, &header);
    error = survey_ledger_open(&lvm, &ledger);
    g_assert_cmpint(error, ==, -EPROTONOSUPPORT);
    g_test_message("the ledger %s: %s", quota_ledger_strerror(error),
                   survey_ledger_remedy(error));
    g_assert_nonnull(strstr(quota_ledger_strerror(error),
                            "(incompatible bits 0x80, write bits 0)"));
    g_assert_nonnull(strstr(survey_ledger_remedy(error), "of one version"));
    (void)g_unlink(path);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = g_strconcat("/remedy/", cases[i].name, NULL);

        g_test_add_data_func(name, GSIZE_TO_POINTER(i), test_remedy);
    }
    g_test_add_func("/remedy/another-version", test_version);
    g_test_add_func("/remedy/unknown-features", test_features);
    return scratch_run();
}
