/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storagequotalvmtest.c: definitions that the quota-lvm backend must refuse,
 * reports of LVM that it must understand
 *
 * Needs no LVM: a definition is refused while it is parsed, and a report is
 * a text.
 */

#include <config.h>

#include "testutils.h"

#include "storage/storage_backend_quota_lvm.h"
#include "storage/storage_backend_quota_lvm_internal.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE

#define GIB (1ULL << 30)
#define MIB (1ULL << 20)


struct testBadPool {
    const char *name;
    const char *group;
    const char *limits;
    const char *message;
};

static int
testBadPool(const void *opaque)
{
    const struct testBadPool *data = opaque;
    g_autoptr(virStoragePoolDef) def = NULL;
    g_autofree char *xml = NULL;

    xml = g_strdup_printf("<pool type='quota-lvm' xmlns:quota='%s'>"
                          "<name>%s</name><source>%s</source>%s</pool>",
                          VIR_STORAGE_POOL_QUOTA_LVM_URI,
                          data->name, data->group, data->limits);

    if ((def = virStoragePoolDefParse(xml, NULL, 0))) {
        VIR_TEST_DEBUG("definition should have been refused: %s", xml);
        return -1;
    }

    if (!strstr(virGetLastErrorMessage(), data->message)) {
        VIR_TEST_DEBUG("'%s' is not in the error '%s'",
                       data->message, virGetLastErrorMessage());
        return -1;
    }

    virResetLastError();
    return 0;
}


#define LV(name, uuid, tags, type, extents, more) \
    name " { id = \"" uuid "\" status = [\"READ\", \"WRITE\", \"VISIBLE\"]" \
    " tags = [" tags "] segment_count = 1" \
    " segment1 { start_extent = 0 extent_count = " extents \
    " type = \"" type "\" " more " } }\n"

#define STRIPES "stripe_count = 1 stripes = [\"pv0\", 0]"

#define PART(name, uuid, tags, extents) \
    name " { id = \"" uuid "\" status = [\"READ\", \"WRITE\"]" \
    " tags = [" tags "] segment_count = 1" \
    " segment1 { start_extent = 0 extent_count = " extents \
    " type = \"striped\" " STRIPES " } }\n"

/* Extents of 4 MiB; five of seven LVs are one tenant's */
static const char *metadata =
    "vg0 { id = \"g\" seqno = 7 status = [\"RESIZEABLE\"] extent_size = 8192\n"
    "tags = [\"quota-lvm:overcommit=150\"]\n"
    "physical_volumes { pv0 { id = \"p\" status = [\"ALLOCATABLE\"] flags = []"
    " pe_count = 2557 } }\n"
    "logical_volumes {\n"
    LV("acme._thin", "u1", "\"quota-lvm:definition=00000000000000aa\","
       "\"quota-lvm:limit=10737418240\",\"quota-lvm:tenant=acme\"",
       "thin-pool", "256",
       "metadata = \"acme._thin_tmeta\" pool = \"acme._thin_tdata\" chunk_size = 128")
    LV("acme.root", "u2", "\"quota-lvm:tenant=acme\"", "thin", "512",
       "thin_pool = \"acme._thin\"")
    LV("acme.data", "u3", "\"quota-lvm:tenant=acme\"", "striped", "256", STRIPES)
    LV("byhand", "u4", "\"quota-lvm:tenant=acme\"", "striped", "1", STRIPES)
    LV("acme.mirror", "u8", "\"quota-lvm:tenant=acme\"", "raid1", "2",
       "device_count = 2 raids = [\"acme.mirror_rmeta_0\", \"acme.mirror_rimage_0\"]")
    LV("globex._thin", "u11", "\"quota-lvm:tenant=globex\","
       "\"quota-lvm:limit=3221225472\",\"quota-lvm:guarantee=2147483648\"",
       "thin-pool", "1", "chunk_size = 128")
    LV("acme.other", "u5", "\"quota-lvm:tenant=globex\"", "striped", "256", STRIPES)
    PART("acme._thin_tmeta", "u6", "", "3")
    PART("acme._thin_tdata", "u7", "", "256")
    PART("acme.mirror_rimage_0", "u9", "", "2")
    PART("acme.mirror_rmeta_0", "u10", "\"quota-lvm:tenant=acme\"", "1")
    "} }\n";

#define CHECK(expression) \
    do { \
        if (!(expression)) { \
            VIR_TEST_DEBUG("not true: %s", #expression); \
            ret = -1; \
        } \
    } while (0)

static int
testReport(const void *opaque G_GNUC_UNUSED)
{
    struct quota_metadata_group *group = NULL;
    virStorageBackendQuotaLVMGroup read = { 0 };
    virStorageBackendQuotaLVMReport r = { 0 };
    virStorageBackendQuotaLVMLV *lv;
    int ret = 0;

    if (quota_metadata_parse(metadata, "vg0", &group) < 0)
        return -1;

    read.now = group;
    read.tenants = virStorageBackendQuotaLVMGroupSort(group);
    virStorageBackendQuotaLVMFillReport(&read, "acme", &r);
    g_hash_table_unref(read.tenants);
    quota_metadata_group_free(group);

    CHECK(r.nlvs == 5);
    CHECK(r.extentSize == 4 * MIB);
    CHECK(r.thinPool && STREQ(r.thinPool->name, "acme._thin"));
    CHECK(r.thinPool && r.thinPool->metadataSize == 12 * MIB);
    CHECK(STREQ_NULLABLE(r.definition, "00000000000000aa"));
    CHECK(r.state.limits.limit_bytes == 10 * GIB);
    CHECK(r.state.grant_bytes == GIB);
    CHECK(r.state.chunk_bytes == 65536);
    CHECK(r.state.thick_bytes == GIB + (1 + 2 + 1) * 4 * MIB);
    CHECK(r.state.volumes == 4);

    /* globex has 1028 MiB of the 2 GiB that are guaranteed to it */
    CHECK(r.others.free_bytes == (2557 - 256 - 1 - 3 - 256 - 3 - 256) * 4 * MIB);
    CHECK(r.others.kept_bytes == 1020 * MIB);
    CHECK(r.others.limits_bytes == 3 * GIB);
    CHECK(r.others.overcommit_percent == 150);
    CHECK(r.state.group_free_bytes == r.others.free_bytes - 1020 * MIB);

    CHECK((lv = virStorageBackendQuotaLVMFindVolume(&r, "root")) &&
          STREQ(lv->segtype, "thin") && lv->size == 2 * GIB);
    CHECK((lv = virStorageBackendQuotaLVMFindVolume(&r, "data")) &&
          STREQ(lv->segtype, "linear") && STREQ(lv->uuid, "u3"));
    CHECK(!virStorageBackendQuotaLVMFindVolume(&r, "byhand"));
    CHECK(!virStorageBackendQuotaLVMFindVolume(&r, "other"));

    virStorageBackendQuotaLVMClearReport(&r);
    return ret;
}


struct testSizes {
    unsigned long long limit;
    unsigned long long thick;
    unsigned long long grant;
    unsigned long long used;
    unsigned long long free;
    unsigned long long available;
};

static int
testSizes(const void *opaque)
{
    const struct testSizes *data = opaque;
    g_autoptr(virStoragePoolDef) def = g_new0(virStoragePoolDef, 1);
    struct quota_state state = {
        .limits.limit_bytes = data->limit,
        .thick_bytes = data->thick,
        .grant_bytes = data->grant,
        .group_free_bytes = data->free,
    };
    int ret = 0;

    virStorageBackendQuotaLVMUpdateSizes(def, &state, data->used);

    CHECK(def->capacity == data->limit);
    CHECK(def->allocation == data->thick + data->used);
    CHECK(def->available == data->available);
    return ret;
}


struct testLayout {
    virStorageBackendQuotaLVMLayout layout;
    unsigned long long capacity;
    unsigned long long logical;
    unsigned long long physical;
};

/* What LVM 2.03.31 took for each of them, in extents of 4 MiB */
static int
testLayout(const void *opaque)
{
    const struct testLayout *data = opaque;
    unsigned long long logical = 0;
    unsigned long long physical = 0;
    int ret = 0;

    CHECK(virStorageBackendQuotaLVMLayoutGetSizes(&data->layout, 4 * MIB,
                                                  data->capacity * 4 * MIB,
                                                  &logical, &physical) == 0);
    CHECK(logical == data->logical * 4 * MIB);
    CHECK(physical == data->physical * 4 * MIB);
    return ret;
}


static int
testLayoutEdges(const void *opaque G_GNUC_UNUSED)
{
    virStorageBackendQuotaLVMLayout layout = {
        .type = VIR_STORAGE_BACKEND_QUOTA_LVM_LAYOUT_RAID1,
    };
    virStorageBackendQuotaLVMLV lv = { .dataStripes = 4, .dataCopies = 2 };
    unsigned long long logical;
    unsigned long long physical;
    int ret = 0;

    /* Metadata that does not fit one extent: 64 KiB extents, 1 TiB */
    CHECK(virStorageBackendQuotaLVMLayoutGetSizes(&layout, 64 << 10, 1024 * GIB,
                                                  &logical, &physical) == 0);
    CHECK(logical == 1024 * GIB);
    CHECK(physical == 2 * (1024 * GIB + (128 << 10)));

    CHECK(virStorageBackendQuotaLVMLayoutGetSizes(&layout, 4 * MIB, LLONG_MAX,
                                                  &logical, &physical) < 0);

    lv.segtype = (char *) "raid5_ls";
    virStorageBackendQuotaLVMLayoutOfLV(&lv, &layout);
    CHECK(layout.type == VIR_STORAGE_BACKEND_QUOTA_LVM_LAYOUT_RAID5);
    CHECK(layout.stripes == 4 && layout.mirrors == 0);
    lv.segtype = (char *) "raid10";
    virStorageBackendQuotaLVMLayoutOfLV(&lv, &layout);
    CHECK(layout.type == VIR_STORAGE_BACKEND_QUOTA_LVM_LAYOUT_RAID10);
    CHECK(layout.stripes == 4 && layout.mirrors == 1);
    lv.segtype = (char *) "cache";
    virStorageBackendQuotaLVMLayoutOfLV(&lv, &layout);
    CHECK(layout.type == VIR_STORAGE_BACKEND_QUOTA_LVM_LAYOUT_LINEAR);
    return ret;
}


static int
mymain(void)
{
    int ret = 0;

    if (virStorageBackendQuotaLVMRegister() < 0)
        return EXIT_FAILURE;

#define DO_TEST_BAD(title, name, group, limits, message) \
    do { \
        struct testBadPool data = { name, group, limits, message }; \
        if (virTestRun("refused: " title, testBadPool, &data) < 0) \
            ret = -1; \
    } while (0)

#define DO_TEST_NAME(title, name, message) \
    DO_TEST_BAD(title, name, "<name>vg0</name>", "", message)

#define DO_TEST_LIMITS(title, limits, message) \
    DO_TEST_BAD(title, "acme", "<name>vg0</name>", \
                "<quota:limits>" limits "</quota:limits>", message)

    DO_TEST_NAME("tenant with a capital", "Acme", "'Acme' must begin with a lower-case letter");
    DO_TEST_NAME("tenant with a dot", "ac.me", "'ac.me' may only have");
    DO_TEST_NAME("tenant too long", "a12345678901234567890123456789012", "is longer than 32");
    DO_TEST_NAME("tenant that LVM reserves", "snapshot1", "must not begin with 'snapshot'");
    DO_TEST_BAD("tenant element with a bad name", "acme",
                "<name>vg0</name><tenant name='a/b'/>", "", "'a/b' may only have");
    DO_TEST_BAD("no group", "acme", "", "", "element 'name' is mandatory");
    DO_TEST_BAD("group with a slash", "acme", "<name>vg0/../x</name>", "",
                "volume group name 'vg0/../x'");

    DO_TEST_LIMITS("zero", "<quota:limit>0</quota:limit>",
                   "'limit' must be above zero");
    DO_TEST_LIMITS("negative", "<quota:limit unit='GiB'>-1</quota:limit>",
                   "'limit' is '-1', which is not a whole number above zero");
    DO_TEST_LIMITS("fraction", "<quota:limit unit='GiB'>1.5</quota:limit>",
                   "'limit' is '1.5'");
    DO_TEST_LIMITS("empty", "<quota:limit/>", "'limit' is ''");
    DO_TEST_LIMITS("overflow by the unit", "<quota:limit unit='EiB'>16</quota:limit>",
                   "'limit' of 16 EiB is too large");
    DO_TEST_LIMITS("overflow by the digits",
                   "<quota:limit>99999999999999999999999</quota:limit>",
                   "'limit' of 99999999999999999999999 is too large");
    DO_TEST_LIMITS("unknown unit", "<quota:limit unit='parsecs'>1</quota:limit>",
                   "'limit' has the unknown unit 'parsecs'");
    DO_TEST_LIMITS("unit of what is no size",
                   "<quota:total_iops_sec unit='KiB'>5</quota:total_iops_sec>",
                   "'total_iops_sec' is not a size");
    DO_TEST_LIMITS("unknown limit", "<quota:latency>5</quota:latency>",
                   "unknown quota limit 'latency'");
    DO_TEST_LIMITS("limit in no namespace", "<limit>5</limit>",
                   "write it as 'quota:limit'");
    DO_TEST_LIMITS("twice", "<quota:step>5</quota:step><quota:step>6</quota:step>",
                   "'step' is given twice");
    DO_TEST_LIMITS("burst below the rate",
                   "<quota:read_bytes_sec>10</quota:read_bytes_sec>"
                   "<quota:read_bytes_sec_max>5</quota:read_bytes_sec_max>",
                   "'read_bytes_sec_max' of 5 is lower than the sustained rate");
    DO_TEST_LIMITS("total beside read",
                   "<quota:total_iops_sec>10</quota:total_iops_sec>"
                   "<quota:read_iops_sec>5</quota:read_iops_sec>",
                   "'total_iops_sec' of 10 cannot be set together");
    DO_TEST_BAD("limits twice", "acme", "<name>vg0</name>",
                "<quota:limits/><quota:limits/>", "'quota:limits' is given twice");
    DO_TEST_BAD("limit outside of limits", "acme", "<name>vg0</name>",
                "<quota:limit>5</quota:limit>",
                "unknown element 'quota:limit' in the pool");

#define DO_TEST_LAYOUT(title, layout, message) \
    DO_TEST_BAD(title, "acme", "<name>vg0</name>", layout, message)

    DO_TEST_LAYOUT("layout without a type", "<quota:layout/>", "unknown type");
    DO_TEST_LAYOUT("layout that LVM has not", "<quota:layout type='raid7'/>",
                   "unknown type 'raid7'");
    DO_TEST_LAYOUT("layout twice",
                   "<quota:layout type='raid1'/><quota:layout type='raid1'/>",
                   "'quota:layout' is given twice");
    DO_TEST_LAYOUT("mirrors of stripes",
                   "<quota:layout type='striped'><quota:mirrors>1</quota:mirrors></quota:layout>",
                   "'striped' has no mirrors");
    DO_TEST_LAYOUT("stripes of mirrors",
                   "<quota:layout type='raid1'><quota:stripes>2</quota:stripes></quota:layout>",
                   "'raid1' has no stripes");
    DO_TEST_LAYOUT("too few stripes",
                   "<quota:layout type='raid6'><quota:stripes>2</quota:stripes></quota:layout>",
                   "'raid6' needs at least 3 stripes, not 2");
    DO_TEST_LAYOUT("too many legs",
                   "<quota:layout type='raid5'><quota:stripes>64</quota:stripes></quota:layout>",
                   "may have at most 64 legs");
    DO_TEST_LAYOUT("no stripes",
                   "<quota:layout type='striped'><quota:stripes>0</quota:stripes></quota:layout>",
                   "'stripes' of 'quota:layout' is '0'");
    DO_TEST_LAYOUT("stripe size that is no power of two",
                   "<quota:layout type='striped'><quota:stripe_size unit='KiB'>96</quota:stripe_size></quota:layout>",
                   "must be a power of two");
    DO_TEST_LAYOUT("layout element in no namespace",
                   "<quota:layout type='striped'><stripes>2</stripes></quota:layout>",
                   "write it as 'quota:stripes'");
    DO_TEST_LAYOUT("unknown element of a layout",
                   "<quota:layout type='striped'><quota:legs>2</quota:legs></quota:layout>",
                   "unknown element 'legs'");

#define DO_TEST_LEGS(title, type, stripes, mirrors, capacity, logical, physical) \
    do { \
        struct testLayout data = { \
            { VIR_STORAGE_BACKEND_QUOTA_LVM_LAYOUT_ ## type, stripes, mirrors, 0 }, \
            capacity, logical, physical \
        }; \
        if (virTestRun("layout: " title, testLayout, &data) < 0) \
            ret = -1; \
    } while (0)

    DO_TEST_LEGS("linear", LINEAR, 0, 0, 25, 25, 25);
    DO_TEST_LEGS("striped", STRIPED, 0, 0, 25, 26, 26);
    DO_TEST_LEGS("striped by 3", STRIPED, 3, 0, 25, 27, 27);
    DO_TEST_LEGS("raid1", RAID1, 0, 0, 25, 25, 52);
    DO_TEST_LEGS("raid1, three copies", RAID1, 0, 2, 25, 25, 78);
    DO_TEST_LEGS("raid5", RAID5, 0, 0, 25, 26, 42);
    DO_TEST_LEGS("raid5 of 5", RAID5, 4, 0, 25, 28, 40);
    DO_TEST_LEGS("raid6", RAID6, 0, 0, 25, 27, 50);
    DO_TEST_LEGS("raid6 of 7", RAID6, 5, 0, 25, 25, 42);
    DO_TEST_LEGS("raid10", RAID10, 0, 0, 25, 26, 56);
    DO_TEST_LEGS("raid10 of 6", RAID10, 3, 1, 25, 27, 60);
    if (virTestRun("layout: edges", testLayoutEdges, NULL) < 0)
        ret = -1;

    if (virTestRun("report", testReport, NULL) < 0)
        ret = -1;
#define DO_TEST_SIZES(title, ...) \
    do { \
        struct testSizes data = { __VA_ARGS__ }; \
        if (virTestRun("available: " title, testSizes, &data) < 0) \
            ret = -1; \
    } while (0)

    /* limit, thick, grant, used, free in the group -> available */
    DO_TEST_SIZES("limit is short", 10 * GIB, 2 * GIB, GIB, GIB / 2, 100 * GIB,
                  7 * GIB + GIB / 2);
    DO_TEST_SIZES("group is short", 10 * GIB, 2 * GIB, GIB, GIB / 2, GIB,
                  GIB + GIB / 2);
    DO_TEST_SIZES("group is full, grant is not", 10 * GIB, 0, 4 * GIB, GIB, 0,
                  3 * GIB);
    DO_TEST_SIZES("over limit", GIB, 2 * GIB, GIB, GIB, 100 * GIB, 0);

    return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

VIR_TEST_MAIN(mymain)
