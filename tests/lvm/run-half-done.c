/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * run-half-done.c: a plan that fails half way leaves an LV or a charge behind, a
 * command that did nothing is taken for one that worked, or a slow one is killed.
 *
 * LVM is played by this program: its "commands" write what LVM would have written to
 * a file that looks like a physical volume.  tests/libvirt-backend does the same with
 * the real one.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "../common/memory-dir.h"
#include "disk.h"
#include "hold.h"
#include "lvm-host.h"
#include "plans.h"
#include "thin-status.h"

#define EXTENT UINT64_C(4194304)

/* What a command leaves behind, and how it ends. */
struct act {
    const char *command;
    const char *lvs;            /* LVs that the group has then; NULL: as before */
    int status;
    const char *words;          /* on standard error */
    unsigned sleep_ms;
};

static struct disk *disk;
static const struct act *acts;  /* of the test: in this order, ends with {} */
static unsigned acted;          /* how many of them were run */
static unsigned seqno;
static GString *warned;

static const char thin_pool[] =
    "acme._thin {\nid = \"p00000-0000-0000-0000-0000-0000-000000\"\n"
    "status = [\"READ\", \"WRITE\", \"VISIBLE\"]\n"
    "tags = [\"quota-lvm:tenant=acme\", \"quota-lvm:limit=1073741824\"]\n"
    "segment1 { start_extent = 0 extent_count = 4 type = \"thin-pool\"\n"
    "metadata = \"acme._thin_tmeta\" pool = \"acme._thin_tdata\"\n"
    "transaction_id = 0 chunk_size = 128 } }\n"
    "acme._thin_tmeta {\nid = \"m00000-0000-0000-0000-0000-0000-000000\"\n"
    "status = [\"READ\", \"WRITE\"]\n"
    "segment1 { start_extent = 0 extent_count = 1 type = \"striped\"\n"
    "stripe_count = 1 stripes = [\"pv0\", 990] } }\n"
    "acme._thin_tdata {\nid = \"d00000-0000-0000-0000-0000-0000-000000\"\n"
    "status = [\"READ\", \"WRITE\"]\n"
    "segment1 { start_extent = 0 extent_count = 4 type = \"striped\"\n"
    "stripe_count = 1 stripes = [\"pv0\", 980] } }\n";

/* @lvs: "NAME:EXTENTS[:TENANT] ..."; acme's, if no other's. */
static void
group_write(const char *lvs)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_auto(GStrv) words = g_strsplit(lvs, " ", -1);

    g_string_printf(text, "vg0 {\nid = \"vg0\"\nseqno = %u\n"
                    "status = [\"RESIZEABLE\", \"READ\", \"WRITE\"]\n"
                    "extent_size = 8192\nphysical_volumes {\npv0 {\n"
                    "id = \"aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa\"\n"
                    "pe_count = 1000 } }\nlogical_volumes {\n%s", ++seqno,
                    thin_pool);
    for (char **word = words; *word; word++) {
        g_auto(GStrv) parts = g_strsplit(*word, ":", 3);

        g_string_append_printf(text, "%s {\nid = \"u%s\"\n"
                               "status = [\"READ\", \"WRITE\", \"VISIBLE\"]\n"
                               "tags = [\"quota-lvm:tenant=%s\"]\n"
                               "segment1 { start_extent = 0 extent_count = %s\n"
                               "type = \"striped\" stripe_count = 1\n"
                               "stripes = [\"pv0\", 0] } }\n", parts[0], parts[0],
                               parts[2] ? parts[2] : "acme", parts[1]);
    }
    g_string_append(text, "} }\n");
    area_commit(disk, AREA_START, text->str, 512, 0);
}

static void
play_pvs(int output)
{
    dprintf(output, "  vg0\t1\t1\t%s\n", disk->path);
    _exit(0);
}

/* As LVM does: it closes all but the first three, so that the lock is only there. */
static void
child_begins(int input, int output, int error)
{
    dup2(input, 0);
    dup2(output, 1);
    dup2(error, 2);
    for (int fd = 3; fd < 256; fd++)
        close(fd);
}

static pid_t
play(const char *const *argv, int input, int output, int error)
{
    const struct act *act = &acts[acted];
    pid_t pid;

    if (g_str_equal(argv[0], "pvs")) {
        pid = fork();
        if (pid == 0)
            play_pvs(output);
        return pid;
    }
    g_assert_nonnull(act->command);
    g_assert_cmpstr(g_str_equal(argv[0], "sh") ? argv[4] : argv[0], ==,
                    act->command);
    acted++;
    if (act->lvs)
        group_write(act->lvs);
    pid = fork();
    if (pid == 0) {
        child_begins(input, output, error);
        g_usleep(act->sleep_ms * 1000);
        if (act->words)
            dprintf(2, "  %s\n", act->words);
        _exit(act->status);
    }
    return pid;
}

static void
take_warning(const char *message)
{
    g_string_append_printf(warned, "%s\n", message);
}

static LvmHold *
hold_new(void)
{
    g_auto(LvmRefusal) why = { 0 };
    LvmHold *hold = lvm_hold_new("vg0", "acme", "test", &why);

    g_assert_nonnull(hold);
    hold->makes_ledger = true;
    g_assert_true(lvm_hold_read(hold, &why));
    return hold;
}

static LvmPlan *
create_plan(const LvmHold *hold)
{
    static const LvmLayout linear = { 0 };
    g_auto(LvmRefusal) why = { 0 };
    LvmPlan *plan = lvm_plan_volume_create(hold->view, "acme", "data", 8 * EXTENT,
                                           &linear, &why);

    if (!plan)
        g_error("refused: %s %s", lvm_why_name(why.why), why.text);
    return plan;
}

static void
play_begins(const struct act *script, const char *lvs)
{
    acts = script;
    acted = 0;
    g_string_truncate(warned, 0);
    group_write(lvs);
}

static LvmHold *
hold_play(const LvmHost *host, const struct act *script, const char *lvs)
{
    lvm_host_set(host);
    play_begins(script, lvs);
    return hold_new();
}

/* The ledger says what LVM does: nothing more is charged, and nothing less. */
static void
play_ends(LvmHold *hold, unsigned commands, uint64_t thick_extents)
{
    struct quota_state state;

    g_assert_cmpuint(acted, ==, commands);
    g_assert_cmpuint(lvm_hold_tenant(hold)->state.thick_bytes, ==,
                     thick_extents * EXTENT);
    quota_state_read(hold->ledger, &state);
    g_assert_cmpuint(state.thick_bytes, ==, thick_extents * EXTENT);
}

/* Charged when LVM is asked: seen by the command itself. */
static uint64_t charged_meanwhile;

static pid_t
play_and_look(const char *const *argv, int input, int output, int error)
{
    g_auto(LvmRefusal) why = { 0 };
    char path[QUOTA_LEDGER_PATH_BYTES];
    struct quota_ledger *ledger;
    struct quota_state state;

    if (g_str_equal(argv[0], "lvcreate")) {
        g_assert_cmpint(quota_ledger_path("vg0", "acme", path, sizeof(path)), ==, 0);
        g_assert_cmpint(quota_ledger_open(path, false, &ledger), ==, 0);
        quota_state_read(ledger, &state);
        charged_meanwhile = state.thick_bytes;
        quota_ledger_close(ledger);
    }
    return play(argv, input, output, error);
}

static void
test_done(void)
{
    static const LvmHost host = { .start = play_and_look, .warn = take_warning };
    static const struct act script[] = { { .command = "lvcreate", .lvs = "acme.data:8" }, { 0 } };
    g_autoptr(LvmHold) hold = NULL;
    g_autoptr(LvmPlan) plan = NULL;
    g_auto(LvmRefusal) why = { 0 };

    hold = hold_play(&host, script, "");
    plan = create_plan(hold);
    g_assert_true(lvm_hold_run(hold, plan, &why));
    play_ends(hold, 1, 8);
    g_assert_cmpuint(charged_meanwhile, ==, 8 * EXTENT);
}

static const LvmHost host = { .start = play, .warn = take_warning };

static void
assert_fails(const struct act *script, const char *before, unsigned commands,
             uint64_t thick_extents, LvmWhy reason, int error)
{
    g_autoptr(LvmHold) hold = NULL;
    g_autoptr(LvmPlan) plan = NULL;
    g_auto(LvmRefusal) why = { 0 };

    hold = hold_play(&host, script, before);
    plan = create_plan(hold);
    g_assert_false(lvm_hold_run(hold, plan, &why));
    g_assert_cmpstr(lvm_why_name(why.why), ==, lvm_why_name(reason));
    g_assert_cmpint(why.error, ==, error);
    play_ends(hold, commands, thick_extents);
}

static void
test_failed(void)
{
    static const struct act script[] = {
        { .command = "lvcreate", .status = 5, .words = "Insufficient free space: 8 extents needed" }, { 0 }
    };

    assert_fails(script, "acme.old:3", 1, 3, LVM_WHY_COMMAND, -ENOSPC);
}

/* The command has failed, and the LV is there all the same. */
static void
test_failed_after_all(void)
{
    static const struct act script[] = {
        { .command = "lvcreate", .lvs = "acme.old:3 acme.data:8", .status = 5, .words = "Failed to wipe" },
        { .command = "lvremove", .lvs = "acme.old:3" },
        { 0 }
    };

    assert_fails(script, "acme.old:3", 2, 3, LVM_WHY_COMMAND, -EIO);
    g_assert_cmpstr(warned->str, ==, "");
}

/* One of that name was there before, and is not ours to remove. */
static void
test_others_stays(void)
{
    static const struct act script[] = {
        { .command = "lvcreate", .status = 5, .words = "Failed to wipe" }, { 0 }
    };
    g_autoptr(LvmHold) hold = NULL;
    g_autoptr(LvmPlan) plan = NULL;
    g_auto(LvmRefusal) why = { 0 };

    hold = hold_play(&host, script, "acme.data:8");
    plan = lvm_plan_new(hold->view, "acme");
    lvm_plan_add(plan, g_strsplit("lvcreate x", " ", -1), 0);
    lvm_plan_makes(plan, "acme.data");
    g_assert_false(lvm_hold_run(hold, plan, &why));
    play_ends(hold, 1, 8);
}

/* One of that name that somebody makes while the command fails is not ours either. */
static void
test_made_meanwhile(void)
{
    static const struct act others[] = {
        { .command = "lvcreate", .lvs = "acme.data:8:globex", .status = 5 }, { 0 }
    };
    static const struct act taken[] = {
        { .command = "lvcreate", .lvs = "acme.data:8", .status = 5,
          .words = "Logical Volume \"acme.data\" already exists in volume group" },
        { 0 }
    };

    assert_fails(others, "", 1, 0, LVM_WHY_COMMAND, -EIO);
    assert_fails(taken, "", 1, 8, LVM_WHY_COMMAND, -EEXIST);
}

/* Nor can it be removed: it stays, and is charged. */
static void
test_stays(void)
{
    static const struct act script[] = {
        { .command = "lvcreate", .lvs = "acme.data:8", .status = 5, .words = "Failed to wipe" },
        { .command = "lvremove", .status = 5, .words = "Permission denied" },
        { 0 }
    };

    assert_fails(script, "", 2, 8, LVM_WHY_COMMAND, -EIO);
    g_assert_nonnull(strstr(warned->str, "acme.data, which was not finished, stays"));
}

/* It says that it worked, and there is nothing, or another size. */
static void
test_did_nothing(void)
{
    static const struct act nothing[] = { { .command = "lvcreate" }, { 0 } };
    static const struct act other[] = {
        { .command = "lvcreate", .lvs = "acme.data:9" }, { .command = "lvremove", .lvs = "" }, { 0 }
    };

    assert_fails(nothing, "", 1, 0, LVM_WHY_UNEXPECTED, 0);
    assert_fails(other, "", 2, 0, LVM_WHY_UNEXPECTED, 0);
}

static void
test_killed(void)
{
    static const struct act script[] = { { .command = "lvcreate", .status = 200 }, { 0 } };

    assert_fails(script, "", 1, 0, LVM_WHY_COMMAND, -EIO);
}

/* One that lasts too long goes on, with the lock, and stays charged. */
static void
test_slow(void)
{
    static const LvmHost impatient = {
        .start = play, .warn = take_warning, .patience_sec = 1
    };
    static const struct act script[] = {
        { .command = "lvcreate", .sleep_ms = 2500 }, { 0 }
    };
    g_autoptr(LvmHold) hold = NULL;
    g_autoptr(LvmPlan) plan = NULL;
    g_auto(LvmRefusal) why = { 0 };
    struct quota_lock_holder holder;
    struct quota_state state;

    lvm_host_set(&impatient);
    play_begins(script, "");
    hold = hold_new();
    plan = create_plan(hold);
    g_assert_false(lvm_hold_run(hold, plan, &why));
    g_assert_cmpstr(lvm_why_name(why.why), ==, "slow");
    quota_state_read(hold->ledger, &state);
    g_assert_cmpuint(state.thick_bytes, ==, 8 * EXTENT);
    g_clear_pointer(&hold, lvm_hold_free);

    /* still there when one that was killed would have been waited for */
    g_usleep(300 * 1000);
    g_assert_cmpint(quota_group_lock_holder("vg0", &holder), ==, 0);
    g_assert_cmpstr(holder.verb, ==, "lvcreate");
    g_assert_cmpint(kill(holder.pid, 0), ==, 0);
    g_assert_cmpint(quota_group_lock("vg0", 0), ==, -ETIMEDOUT);
}

static void
test_locked(void)
{
    static const LvmHost impatient = {
        .start = play, .warn = take_warning, .patience_sec = 1
    };
    int lock = quota_group_lock("vg0", 60);
    g_autofree char *words = NULL;
    g_auto(LvmRefusal) why = { 0 };

    g_assert_cmpint(lock, >=, 0);
    quota_group_lock_note(lock, getpid(), "vol-create");
    lvm_host_set(&impatient);
    g_assert_null(lvm_hold_new("vg0", "acme", "test", &why));
    g_assert_cmpint(why.error, ==, -ETIMEDOUT);
    words = lvm_refusal_format(&why);
    g_assert_nonnull(strstr(words, "vol-create (process"));
    quota_group_unlock(lock);
}

/* Steps that may fail, one that runs in any case, and two in one child. */
static void
test_steps(void)
{
    static const struct act script[] = {
        { .command = "lvextend", .status = 5, .words = "no room" },
        { .command = "lvchange" },
        { .command = "lvcreate", .status = 5, .words = "broken" },
        { .command = "lvchange" },
        { 0 }
    };
    g_autoptr(LvmHold) hold = NULL;
    g_autoptr(LvmPlan) plan = NULL;
    g_auto(LvmRefusal) why = { 0 };

    hold = hold_play(&host, script, "");
    plan = lvm_plan_new(hold->view, "acme");
    lvm_plan_add(plan, g_strsplit("lvextend a", " ", -1), LVM_STEP_OPTIONAL);
    lvm_plan_add(plan, g_strsplit("lvchange b", " ", -1), 0);
    lvm_plan_add(plan, g_strsplit("lvrename c", " ", -1), LVM_STEP_JOINED);
    lvm_plan_add(plan, g_strsplit("lvcreate d", " ", -1), 0);
    lvm_plan_add(plan, g_strsplit("lvremove e", " ", -1), 0);
    lvm_plan_add(plan, g_strsplit("lvchange f", " ", -1), LVM_STEP_ALWAYS);
    g_assert_false(lvm_hold_run(hold, plan, &why));
    g_assert_cmpstr(why.text, ==, "broken");
    g_assert_cmpuint(acted, ==, 4);
    g_assert_nonnull(strstr(warned->str, "no room"));
}

int
main(int argc, char **argv)
{
    g_autofree char *directory = NULL;
    g_autofree char *path = NULL, *lock = NULL, *group = NULL;
    char uuid[33] = "";
    int status;

    g_test_init(&argc, &argv, NULL);
    thin_status_init();
    directory = memory_dir_new();
    path = g_build_filename(directory, "disk", NULL);
    memset(uuid, 'a', 32);
    disk = disk_new(path, uuid, 1);
    warned = g_string_new(NULL);
    quota_ledger_set_dir(directory);

    g_test_add_func("/run/done", test_done);
    g_test_add_func("/run/failed", test_failed);
    g_test_add_func("/run/failed-after-all", test_failed_after_all);
    g_test_add_func("/run/others-stays", test_others_stays);
    g_test_add_func("/run/made-meanwhile", test_made_meanwhile);
    g_test_add_func("/run/stays", test_stays);
    g_test_add_func("/run/did-nothing", test_did_nothing);
    g_test_add_func("/run/killed", test_killed);
    g_test_add_func("/run/locked", test_locked);
    g_test_add_func("/run/steps", test_steps);
    g_test_add_func("/run/slow", test_slow);
    status = g_test_run();
    g_unlink(disk->path);
    disk_free(disk);
    quota_ledger_unlink("vg0", "acme");
    lock = g_build_filename(directory, ".vg0.lock", NULL);
    group = g_build_filename(directory, "vg0", NULL);
    g_unlink(lock);
    g_rmdir(group);
    g_rmdir(directory);
    return status;
}
