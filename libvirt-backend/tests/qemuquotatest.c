/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qemuquotatest.c: the 'quota' filter of the QEMU driver, where a command line
 * does not show it: host preparation, the monitor, and what is left of it
 * after a restart of the daemon.
 *
 * The kernel and the ledgers are faked below a temporary directory.
 */

#include <config.h>

#include <fcntl.h>
#include <unistd.h>

#include "testutils.h"
#include "testutilsqemu.h"
#include "testutilsqemuquota.h"
#include "testutilsqemuschema.h"
#include "qemumonitortestutils.h"

#include "qemu/qemu_block.h"
#include "qemu/qemu_fd.h"
#include "qemu/qemu_quota.h"
#include "quota-ledger.h"
#include "vircommand.h"
#include "virfile.h"
#include "virfilewrapper.h"

#define VIR_FROM_THIS VIR_FROM_QEMU

static virQEMUDriver driver;
static GHashTable *schema;
static char *scratch;


static virStorageSource *
testSourceNew(bool format)
{
    virStorageSource *src = virStorageSourceNew();

    src->type = VIR_STORAGE_TYPE_VOLUME;
    src->format = format ? VIR_STORAGE_FILE_QCOW2 : VIR_STORAGE_FILE_RAW;
    src->path = g_strdup("/dev/vg0/acme.disk0");
    src->srcpool = g_new0(virStorageSourcePoolDef, 1);
    src->srcpool->pool = g_strdup("pool0");
    src->srcpool->volume = g_strdup("disk0");
    src->srcpool->actualtype = VIR_STORAGE_TYPE_BLOCK;

    src->quota = virStorageSourceQuotaNew("vg0", "acme", "disk0");
    src->quota->allocation = VIR_TRISTATE_BOOL_NO;

    qemuBlockStorageSourceSetStorageNodename(src, g_strdup("libvirt-1-storage"));
    if (format)
        qemuBlockStorageSourceSetFormatNodename(src, g_strdup("libvirt-1-format"));
    qemuQuotaPrepareNodename(src, "libvirt-1");

    return src;
}


/* --- is a volume thin? ---------------------------------------------------- */

struct testAllocationData {
    const char *device; /* MAJOR:MINOR, NULL: not in sysfs */
    const char *slaves[4]; /* UUIDs of device-mapper, "" for a disk */
    virTristateBool expect;
};


static int
testAllocation(const void *opaque)
{
    const struct testAllocationData *data = opaque;
    g_autofree char *slaves = g_strdup_printf("%s/sys/7:9/slaves", scratch);
    g_autofree char *sys = g_strdup_printf("%s/sys", scratch);
    virTristateBool actual;
    size_t i;

    if (virFileDeleteTree(sys) < 0)
        return -1;

    if (data->device && g_mkdir_with_parents(slaves, 0777) < 0)
        return -1;

    for (i = 0; data->slaves[i]; i++) {
        g_autofree char *dm = g_strdup_printf("%s/dm-%zu/dm", slaves, i);
        g_autofree char *uuid = g_strdup_printf("%s/uuid", dm);

        if (STREQ(data->slaves[i], "")) {
            g_autofree char *disk = g_strdup_printf("%s/vd%zu", slaves, i);

            if (g_mkdir_with_parents(disk, 0777) < 0)
                return -1;
            continue;
        }

        if (g_mkdir_with_parents(dm, 0777) < 0 ||
            virFileWriteStr(uuid, data->slaves[i], 0666) < 0)
            return -1;
    }

    virFileWrapperAddPrefix("/sys/dev/block", sys);
    actual = qemuQuotaGetDeviceAllocation(7, 9);
    virFileWrapperClearPrefixes();

    if (actual != data->expect) {
        VIR_TEST_VERBOSE("expected '%s', got '%s'",
                         virTristateBoolTypeToString(data->expect),
                         virTristateBoolTypeToString(actual));
        return -1;
    }

    return 0;
}


/* --- the ledger ------------------------------------------------------------ */

static int
testLedgerMissing(const void *opaque G_GNUC_UNUSED)
{
    g_autoptr(virStorageSource) src = testSourceNew(false);
    int rc;

    virFileWrapperAddPrefix(QUOTA_LEDGER_DIR, scratch);
    rc = qemuQuotaPrepareHostStorageSource(src, NULL);
    virFileWrapperClearPrefixes();

    if (rc == 0) {
        VIR_TEST_VERBOSE("a missing ledger was accepted");
        return -1;
    }

    /* names the pool and the file, and says what to do */
    if (!strstr(virGetLastErrorMessage(), "'pool0'") ||
        !strstr(virGetLastErrorMessage(), QUOTA_LEDGER_DIR "/vg0/acme") ||
        !strstr(virGetLastErrorMessage(), "quota-lvmd")) {
        VIR_TEST_VERBOSE("unhelpful error: %s", virGetLastErrorMessage());
        return -1;
    }

    virResetLastError();
    return 0;
}


/* Two filters of one tenant share the ledger, but not the file description. */
static int
testLedgerOpenedForEach(const void *opaque G_GNUC_UNUSED)
{
    g_autoptr(virStorageSource) raw = testSourceNew(false);
    g_autoptr(virStorageSource) qcow2 = testSourceNew(true);
    virStorageSource *src[] = { raw, qcow2 };
    struct quota_ledger *ledger;
    g_autoptr(virCommand) cmd = virCommandNew("/bin/true");
    int fd[2];
    size_t i;

    quota_ledger_set_dir(scratch);
    if (quota_ledger_create("vg0", "acme", &ledger) < 0)
        return -1;
    quota_ledger_close(ledger);

    virFileWrapperAddPrefix(QUOTA_LEDGER_DIR, scratch);
    for (i = 0; i < 2; i++) {
        if (qemuQuotaPrepareHostStorageSource(src[i], NULL) < 0)
            return -1;
    }
    virFileWrapperClearPrefixes();

    for (i = 0; i < 2; i++) {
        qemuDomainStorageSourcePrivate *srcpriv = QEMU_DOMAIN_STORAGE_SOURCE_PRIVATE(src[i]);
        g_auto(GStrv) args = NULL;
        const char *arg;

        qemuFDPassTransferCommand(srcpriv->quotaFDPass, cmd);

        if (virCommandGetArgList(cmd, &args) < 0 ||
            g_strv_length(args) != 2 * (i + 1) ||
            !(arg = strstr(args[2 * i + 1], "fd=")) ||
            virStrToLong_i(arg + 3, (char **) &arg, 10, &fd[i]) < 0 ||
            STRNEQ(arg, ",opaque=libvirt-1-quota")) {
            VIR_TEST_VERBOSE("filter %zu: no descriptor passed", i);
            return -1;
        }

        if ((fcntl(fd[i], F_GETFL) & O_ACCMODE) != O_RDWR) {
            VIR_TEST_VERBOSE("filter %zu: ledger cannot be written", i);
            return -1;
        }

        /* there is no such device: the writes must be charged */
        if (src[i]->quota->allocation != VIR_TRISTATE_BOOL_YES) {
            VIR_TEST_VERBOSE("filter %zu: unknown volume is taken for thick", i);
            return -1;
        }
    }

    if (lseek(fd[0], 5, SEEK_SET) != 5 || lseek(fd[1], 0, SEEK_CUR) != 0) {
        VIR_TEST_VERBOSE("two filters share one open file description");
        return -1;
    }

    return 0;
}


/* --- the monitor ------------------------------------------------------------ */

struct testMonitorData {
    bool format;
    bool fail; /* QEMU refuses the filter */
};


static int G_GNUC_PRINTF(4, 5)
testMonitorExpect(qemuMonitorTest *test,
                  size_t *id,
                  const char *reply,
                  const char *fmt,
                  ...)
{
    g_autofree char *command = NULL;
    g_autofree char *cmd = NULL;
    va_list ap;

    va_start(ap, fmt);
    command = g_strdup_vprintf(fmt, ap);
    va_end(ap);

    cmd = g_strdup_printf("{%s,\"id\":\"libvirt-%zu\"}", command, ++*id);

    return qemuMonitorTestAddItemVerbatim(test, cmd, NULL,
                                          reply ? reply : "{\"return\":{}}");
}


static int
testMonitorExpectAdd(qemuMonitorTest *test,
                     size_t *id,
                     const char *reply,
                     virJSONValue *props)
{
    g_autofree char *args = virJSONValueToString(props, false);

    return testMonitorExpect(test, id, reply,
                             "\"execute\":\"blockdev-add\",\"arguments\":%s", args);
}


static int
testMonitorExpectDel(qemuMonitorTest *test,
                     size_t *id,
                     const char *nodename)
{
    return testMonitorExpect(test, id, NULL,
                             "\"execute\":\"blockdev-del\",\"arguments\":{\"node-name\":\"%s\"}",
                             nodename);
}


/* The ledger goes first, then nodes come bottom up; all go in the opposite
 * order, and what came before a failure goes as well. */
static int
testMonitor(const void *opaque)
{
    const struct testMonitorData *data = opaque;
    const char *error = "{\"error\":{\"class\":\"GenericError\",\"desc\":\"no ledger\"}}";
    g_autoptr(virStorageSource) src = testSourceNew(data->format);
    qemuDomainStorageSourcePrivate *srcpriv = qemuDomainStorageSourcePrivateFetch(src);
    g_autoptr(qemuBlockStorageSourceAttachData) attach = NULL;
    g_autoptr(qemuBlockStorageSourceAttachData) detach = NULL;
    g_autoptr(qemuMonitorTest) test = NULL;
    const char *top = data->format ? "libvirt-1-format" : "libvirt-1-quota";
    VIR_AUTOCLOSE fd = open("/dev/null", O_RDWR);
    size_t id = 0;
    int rc;

    if (!(test = qemuMonitorTestNewSchema(driver.xmlopt, schema)))
        return -1;

    if (STRNEQ(qemuBlockStorageSourceGetEffectiveNodename(src), top) ||
        STRNEQ(qemuBlockStorageSourceGetEffectiveStorageNodename(src), "libvirt-1-quota")) {
        VIR_TEST_VERBOSE("effective nodes are '%s' and '%s'",
                         qemuBlockStorageSourceGetEffectiveNodename(src),
                         qemuBlockStorageSourceGetEffectiveStorageNodename(src));
        return -1;
    }

    srcpriv->quotaFDPass = qemuFDPassNew("libvirt-1-quota", NULL);
    qemuFDPassAddFD(srcpriv->quotaFDPass, &fd, NULL);

    if (!(attach = qemuBlockStorageSourceAttachPrepareBlockdev(src, NULL)))
        return -1;

    if (testMonitorExpect(test, &id, "{\"return\":[]}",
                          "\"execute\":\"query-fdsets\"") < 0 ||
        testMonitorExpect(test, &id, "{\"return\":{\"fdset-id\":0,\"fd\":95}}",
                          "\"execute\":\"add-fd\",\"arguments\":{\"opaque\":\"libvirt-1-quota\",\"fdset-id\":0}") < 0 ||
        testMonitorExpectAdd(test, &id, NULL, attach->storageProps) < 0 ||
        testMonitorExpectAdd(test, &id, data->fail ? error : NULL,
                             attach->storageQuotaProps) < 0)
        return -1;

    if (!data->fail) {
        if (data->format &&
            (testMonitorExpectAdd(test, &id, NULL, attach->formatProps) < 0 ||
             testMonitorExpectDel(test, &id, "libvirt-1-format") < 0))
            return -1;

        if (testMonitorExpectDel(test, &id, "libvirt-1-quota") < 0)
            return -1;
    }

    if (testMonitorExpectDel(test, &id, "libvirt-1-storage") < 0 ||
        testMonitorExpect(test, &id, NULL,
                          "\"execute\":\"remove-fd\",\"arguments\":{\"fdset-id\":0}") < 0)
        return -1;

    rc = qemuBlockStorageSourceAttachApply(qemuMonitorTestGetMonitor(test), attach);

    if (data->fail) {
        if (rc == 0) {
            VIR_TEST_VERBOSE("attached without the filter");
            return -1;
        }

        qemuBlockStorageSourceAttachRollback(qemuMonitorTestGetMonitor(test), attach);
        virResetLastError();
        return 0;
    }

    if (rc < 0)
        return -1;

    detach = qemuBlockStorageSourceDetachPrepare(src);
    qemuBlockStorageSourceAttachRollback(qemuMonitorTestGetMonitor(test), detach);

    return 0;
}


/* --- a restarted daemon ------------------------------------------------------ */

static virStorageSource *
testRestart(virStorageSource *src)
{
    g_auto(virBuffer) buf = VIR_BUFFER_INITIALIZER;
    g_auto(virBuffer) nodenames = VIR_BUFFER_INITIALIZER;
    g_auto(virBuffer) fdsets = VIR_BUFFER_INITIALIZER;
    g_auto(virBuffer) xml = VIR_BUFFER_INITIALIZER;
    g_autoptr(virStorageSource) copy = virStorageSourceCopy(src, false);
    g_autoptr(xmlDoc) doc = NULL;
    g_autoptr(xmlXPathContext) ctxt = NULL;
    g_autofree char *content = NULL;

    qemuQuotaPrivateDataFormat(src, &buf, &nodenames, &fdsets);

    virBufferAddLit(&xml, "<privateData>\n");
    virBufferAddBuffer(&xml, &buf);
    virXMLFormatElement(&xml, "nodenames", NULL, &nodenames);
    virXMLFormatElement(&xml, "fdsets", NULL, &fdsets);
    virBufferAddLit(&xml, "</privateData>\n");
    content = virBufferContentAndReset(&xml);

    g_clear_pointer(&copy->quota, virStorageSourceQuotaFree);

    if (!(doc = virXMLParseStringCtxt(content, "(status)", &ctxt)) ||
        qemuQuotaPrivateDataParse(ctxt, copy) < 0)
        return NULL;

    return g_steal_pointer(&copy);
}


/* QEMU refuses to reopen a node with other options than it was opened with. */
static int
testRestartReopen(const void *opaque G_GNUC_UNUSED)
{
    g_autoptr(virStorageSource) src = testSourceNew(false);
    g_autoptr(virStorageSource) restarted = NULL;
    qemuDomainStorageSourcePrivate *srcpriv = qemuDomainStorageSourcePrivateFetch(src);
    g_autoptr(virJSONValue) before = NULL;
    g_autoptr(virJSONValue) after = NULL;
    g_autofree char *beforestr = NULL;
    g_autofree char *afterstr = NULL;

    srcpriv->quotaFDPass = qemuFDPassNewPassed(3);

    if (!(restarted = testRestart(src)) ||
        !(before = qemuQuotaGetBlockdevProps(src)) ||
        !(after = qemuQuotaGetBlockdevProps(restarted)) ||
        !(beforestr = virJSONValueToString(before, false)) ||
        !(afterstr = virJSONValueToString(after, false)))
        return -1;

    if (STRNEQ_NULLABLE(virJSONValueObjectGetString(before, "ledger"), "/dev/fdset/3")) {
        VIR_TEST_VERBOSE("ledger of a passed descriptor: %s", beforestr);
        return -1;
    }

    if (STRNEQ_NULLABLE(qemuQuotaGetNodename(restarted), "libvirt-1-quota")) {
        VIR_TEST_VERBOSE("the node name was lost");
        return -1;
    }

    return virTestCompareToString(beforestr, afterstr);
}


/* domxml-to-native prepares no host: its command line is for people. */
static int
testWithoutDescriptor(const void *opaque G_GNUC_UNUSED)
{
    g_autoptr(virStorageSource) src = testSourceNew(false);
    g_autoptr(virJSONValue) props = NULL;
    g_autofree char *actual = NULL;

    src->quota->allocation = VIR_TRISTATE_BOOL_ABSENT;

    if (!(props = qemuQuotaGetBlockdevProps(src)) ||
        !(actual = virJSONValueToString(props, false)))
        return -1;

    return virTestCompareToString("{\"driver\":\"quota\",\"file\":\"libvirt-1-storage\","
                                  "\"ledger\":\"" QUOTA_LEDGER_DIR "/vg0/acme\","
                                  "\"tenant\":\"acme\",\"volume\":\"disk0\"}",
                                  actual);
}


/* A VM that was started before its pool became one of ours has no filter. */
static int
testRestartWithoutFilter(const void *opaque G_GNUC_UNUSED)
{
    g_autoptr(virStorageSource) src = testSourceNew(false);
    g_autoptr(virStorageSource) restarted = NULL;

    g_clear_pointer(&src->quota, virStorageSourceQuotaFree);

    if (!(restarted = testRestart(src)))
        return -1;

    if (restarted->quota ||
        STRNEQ(qemuBlockStorageSourceGetEffectiveNodename(restarted), "libvirt-1-storage")) {
        VIR_TEST_VERBOSE("a filter came from nowhere");
        return -1;
    }

    return 0;
}


static int
mymain(void)
{
    int ret = 0;
    const struct testAllocationData allocation[] = {
        { NULL, { NULL }, VIR_TRISTATE_BOOL_ABSENT },
        { "7:9", { NULL }, VIR_TRISTATE_BOOL_ABSENT },
        { "7:9", { "" }, VIR_TRISTATE_BOOL_NO },
        { "7:9", { "CRYPT-LUKS2-0b1f\n" }, VIR_TRISTATE_BOOL_NO },
        { "7:9", { "LVM-Fb1T9xQe\n", "" }, VIR_TRISTATE_BOOL_NO },
        { "7:9", { "LVM-Fb1T9xQe-tpool\n" }, VIR_TRISTATE_BOOL_YES },
        { "7:9", { "LVM-Fb1T9xQe-tpool" }, VIR_TRISTATE_BOOL_YES },
        /* with an external origin */
        { "7:9", { "LVM-aaaaaaaa\n", "LVM-Fb1T9xQe-tpool\n" }, VIR_TRISTATE_BOOL_YES },
        { "7:9", { "LVM-tpool-Fb1T\n" }, VIR_TRISTATE_BOOL_NO },
    };
    const struct testMonitorData monitor[] = {
        { .format = false, .fail = false },
        { .format = true, .fail = false },
        { .format = false, .fail = true },
        { .format = true, .fail = true },
    };
    size_t i;

    if (!(scratch = g_dir_make_tmp("qemuquotatest-XXXXXX", NULL)))
        return EXIT_FAILURE;

    if (qemuTestDriverInit(&driver) < 0)
        return EXIT_FAILURE;

    virEventRegisterDefaultImpl();

    if (!(schema = testQEMUSchemaLoadLatest("x86_64")) ||
        testQemuQuotaExtendSchema(schema) < 0)
        return EXIT_FAILURE;

    for (i = 0; i < G_N_ELEMENTS(allocation); i++) {
        g_autofree char *name = g_strdup_printf("allocation %zu", i);

        virTestRunLog(&ret, name, testAllocation, &allocation[i]);
    }

    virTestRunLog(&ret, "ledger missing", testLedgerMissing, NULL);
    virTestRunLog(&ret, "ledger opened for each filter", testLedgerOpenedForEach, NULL);

    for (i = 0; i < G_N_ELEMENTS(monitor); i++) {
        g_autofree char *name = g_strdup_printf("monitor%s%s",
                                                monitor[i].format ? " qcow2" : " raw",
                                                monitor[i].fail ? " refused" : "");

        virTestRunLog(&ret, name, testMonitor, &monitor[i]);
    }

    virTestRunLog(&ret, "restart, reopen", testRestartReopen, NULL);
    virTestRunLog(&ret, "no descriptor", testWithoutDescriptor, NULL);
    virTestRunLog(&ret, "restart, no filter", testRestartWithoutFilter, NULL);

    virFileDeleteTree(scratch);
    g_clear_pointer(&scratch, g_free);
    g_clear_pointer(&schema, g_hash_table_unref);
    qemuTestDriverFree(&driver);

    return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

VIR_TEST_MAIN(mymain)
