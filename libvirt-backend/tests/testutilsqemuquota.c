/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * testutilsqemuquota.c: what tests of the QEMU driver need in order to know of
 * the 'quota' filter.
 *
 * libvirt's recorded replies come from QEMUs that have no such filter, so the
 * part of the schema that it adds is added here; and there is neither a ledger
 * nor a kernel to ask for the kind of a volume.
 */

#include <config.h>

#include <fcntl.h>
#include <unistd.h>

#include "testutils.h"
#include "testutilsqemuquota.h"

#include "qemu/qemu_domain.h"
#include "qemu/qemu_fd.h"
#include "virfile.h"
#include "virjson.h"

/* The members of BlockdevOptionsQuota; limits that are given without a ledger
 * are left out, libvirt never uses them. */
static const char *quotaOptions =
    "{ 'name': 'quota-options',"
    "  'meta-type': 'object',"
    "  'members': ["
    "    { 'name': 'file', 'type': '%s' },"
    "    { 'name': 'ledger', 'default': null, 'type': 'str' },"
    "    { 'name': 'tenant', 'default': null, 'type': 'str' },"
    "    { 'name': 'volume', 'default': null, 'type': 'str' },"
    "    { 'name': 'allocation', 'default': null, 'type': 'bool' },"
    "    { 'name': 'wait-timeout', 'default': null, 'type': 'int' } ] }";


static virJSONValue *
testQemuQuotaFindMember(virJSONValue *entry,
                        const char *arrayname,
                        const char *key,
                        const char *name)
{
    virJSONValue *array = virJSONValueObjectGetArray(entry, arrayname);
    size_t i;

    for (i = 0; array && i < virJSONValueArraySize(array); i++) {
        virJSONValue *member = virJSONValueArrayGet(array, i);

        if (STREQ_NULLABLE(virJSONValueObjectGetString(member, key), name))
            return member;
    }

    return NULL;
}


static virJSONValue *
testQemuQuotaFindType(GHashTable *schema,
                      virJSONValue *member,
                      const char *key)
{
    const char *type = member ? virJSONValueObjectGetString(member, key) : NULL;

    return type ? g_hash_table_lookup(schema, type) : NULL;
}


static int
testQemuQuotaAppend(virJSONValue *entry,
                    const char *arrayname,
                    const char *json)
{
    virJSONValue *array = virJSONValueObjectGetArray(entry, arrayname);
    g_autoptr(virJSONValue) element = virJSONValueFromString(json);

    if (!array || !element)
        return -1;

    return virJSONValueArrayAppend(array, &element);
}


/**
 * testQemuQuotaExtendSchema:
 * @schema: QMP schema of a QEMU without the filter
 *
 * Make @schema look as if it came from a QEMU that has the filter.
 */
int
testQemuQuotaExtendSchema(GHashTable *schema)
{
    virJSONValue *command = g_hash_table_lookup(schema, "blockdev-add");
    virJSONValue *blockdev = testQemuQuotaFindType(schema, command, "arg-type");
    virJSONValue *drivers = NULL;
    virJSONValue *raw = NULL;
    virJSONValue *file = NULL;
    g_autofree char *options = NULL;
    g_autoptr(virJSONValue) entry = NULL;

    if (g_hash_table_contains(schema, "quota-options"))
        return 0;

    if (blockdev) {
        drivers = testQemuQuotaFindType(schema,
                                        testQemuQuotaFindMember(blockdev, "members", "name", "driver"),
                                        "type");
        raw = testQemuQuotaFindType(schema,
                                    testQemuQuotaFindMember(blockdev, "variants", "case", "raw"),
                                    "type");
    }

    if (raw)
        file = testQemuQuotaFindMember(raw, "members", "name", "file");

    if (!drivers || !file) {
        VIR_TEST_VERBOSE("unexpected form of 'blockdev-add' in the QMP schema");
        return -1;
    }

    options = g_strdup_printf(quotaOptions, virJSONValueObjectGetString(file, "type"));
    g_strdelimit(options, "'", '"');

    if (!(entry = virJSONValueFromString(options)))
        return -1;

    if (testQemuQuotaAppend(drivers, "members", "{\"name\":\"quota\"}") < 0 ||
        testQemuQuotaAppend(drivers, "values", "\"quota\"") < 0 ||
        testQemuQuotaAppend(blockdev, "variants",
                            "{\"case\":\"quota\",\"type\":\"quota-options\"}") < 0)
        return -1;

    g_hash_table_insert(schema, g_strdup("quota-options"), g_steal_pointer(&entry));

    return 0;
}


/**
 * testQemuQuotaPrepareHost:
 * @vm: domain object
 *
 * Stand in for qemuQuotaPrepareHostStorageSource: stable descriptors instead
 * of those of a ledger, and a volume is thick if its name says so.
 */
int
testQemuQuotaPrepareHost(virDomainObj *vm)
{
    int fd = 811;
    size_t i;

    for (i = 0; i < vm->def->ndisks; i++) {
        virStorageSource *n;

        for (n = vm->def->disks[i]->src; virStorageSourceIsBacking(n); n = n->backingStore) {
            qemuDomainStorageSourcePrivate *srcpriv;
            VIR_AUTOCLOSE fakefd = -1;
            int passfd = fd;

            if (!n->quota)
                continue;

            n->quota->allocation = virTristateBoolFromBool(!STRPREFIX(n->quota->volume, "thick"));

            if (fcntl(passfd, F_GETFD) != -1) {
                VIR_TEST_VERBOSE("fd '%d' is already in use", passfd);
                return -1;
            }

            if ((fakefd = open("/dev/zero", O_RDWR)) < 0 ||
                dup2(fakefd, passfd) < 0) {
                VIR_TEST_VERBOSE("failed to fake fd '%d'", passfd);
                return -1;
            }

            srcpriv = qemuDomainStorageSourcePrivateFetch(n);
            srcpriv->quotaFDPass = qemuFDPassNew(n->quota->nodename, vm->privateData);
            qemuFDPassAddFD(srcpriv->quotaFDPass, &passfd, NULL);
            fd++;
        }
    }

    return 0;
}
