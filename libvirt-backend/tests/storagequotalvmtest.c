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
#include "virfile.h"
#include "virstring.h"

#include "storage/storage_backend_quota_lvm.h"
#include "storage/storage_backend_quota_lvm_internal.h"

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

/* What the pool shows comes from there */
static int
testReport(const void *opaque G_GNUC_UNUSED)
{
    struct quota_metadata_group *group = NULL;
    g_autoptr(LvmGroup) view = NULL;
    const LvmTenant *acme;
    const LvmLv *lv;
    struct quota_group others;
    int ret = 0;

    if (quota_metadata_parse(metadata, "vg0", &group) < 0)
        return -1;

    view = lvm_group_new(group);
    quota_metadata_group_free(group);
    acme = lvm_group_find_tenant(view, "acme");
    others = lvm_group_others(view, "acme");

    CHECK(acme->lvs->len == 5);
    CHECK(acme->extent_bytes == 4 * MIB);
    CHECK(acme->thin_pool && STREQ(acme->thin_pool->name, "acme._thin"));
    CHECK(acme->thin_pool && acme->thin_pool->metadata_bytes == 12 * MIB);
    CHECK(STREQ_NULLABLE(acme->definition, "00000000000000aa"));
    CHECK(acme->state.limits.limit_bytes == 10 * GIB);
    CHECK(acme->state.grant_bytes == GIB);
    CHECK(acme->state.chunk_bytes == 65536);
    CHECK(acme->state.thick_bytes == GIB + (1 + 2 + 1) * 4 * MIB);
    CHECK(acme->state.volumes == 4);

    /* globex has 1028 MiB of the 2 GiB that are guaranteed to it */
    CHECK(others.free_bytes == (2557 - 256 - 1 - 3 - 256 - 3 - 256) * 4 * MIB);
    CHECK(others.kept_bytes == 1020 * MIB);
    CHECK(others.limits_bytes == 3 * GIB);
    CHECK(others.overcommit_percent == 150);
    CHECK(acme->state.group_free_bytes == others.free_bytes - 1020 * MIB);

    CHECK((lv = lvm_tenant_find_volume(view, "acme", "root")) &&
          STREQ(lv->segtype, "thin") && lv->lv.size_bytes == 2 * GIB);
    CHECK((lv = lvm_tenant_find_volume(view, "acme", "data")) &&
          STREQ(lv->segtype, "linear") && STREQ(lv->uuid, "u3"));
    CHECK(!lvm_tenant_find_volume(view, "acme", "byhand"));
    CHECK(!lvm_tenant_find_volume(view, "acme", "other"));

    return ret;
}


/* Texts of odd groups, and what quota-lvm and quota-lvmd say of their tenants */
static int
testFixture(const void *opaque)
{
    const char *path = opaque;
    g_autofree char *tenants = NULL;
    g_autofree char *expected = NULL;
    g_autofree char *text = NULL;
    g_auto(virBuffer) found = VIR_BUFFER_INITIALIZER;
    struct quota_metadata_group *group = NULL;
    g_autoptr(LvmGroup) view = NULL;
    size_t i;

    tenants = g_strdup_printf("%.*s.tenants", (int) (strlen(path) - 3), path);
    if (virTestLoadFile(path, &text) < 0 ||
        virTestLoadFile(tenants, &expected) < 0 ||
        quota_metadata_parse(text, "vg0", &group) < 0)
        return -1;

    view = lvm_group_new(group);
    quota_metadata_group_free(group);

    for (i = 0; i < view->tenants->len; i++) {
        const LvmTenant *tenant = g_ptr_array_index(view->tenants, i);
        const struct quota_state *state = &tenant->state;

        virBufferAsprintf(&found, "%s %llu %llu %llu %llu %llu%s\n", tenant->tenant,
                          (unsigned long long) state->thick_bytes,
                          (unsigned long long) state->grant_bytes,
                          (unsigned long long) state->limits.limit_bytes,
                          (unsigned long long) state->group_free_bytes,
                          (unsigned long long) state->volumes,
                          tenant->has_bad_tag ? " bad" : "");
    }

    return virTestCompareToString(expected, virBufferCurrentContent(&found));
}


static int
testFixtures(const char *place)
{
    g_autoptr(DIR) dir = NULL;
    struct dirent *entry;
    int ret = 0;

    if (virDirOpen(&dir, place) < 0)
        return -1;

    while (virDirRead(dir, &entry, place) > 0) {
        g_autofree char *path = g_strdup_printf("%s/%s", place, entry->d_name);

        if (virStringHasSuffix(entry->d_name, ".vg") &&
            virTestRun(entry->d_name, testFixture, path) < 0)
            ret = -1;
    }

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

    virQuotaPoolSetSizes(def, &state, data->used);

    CHECK(def->capacity == data->limit);
    CHECK(def->allocation == data->thick + data->used);
    CHECK(def->available == data->available);
    return ret;
}


/* A pool takes half of what may take long, and leaves something to every other. */
static int
testSlow(const void *opaque G_GNUC_UNUSED)
{
    const struct {
        const char *pool;
        unsigned int most;
    } tenants[] = { { "greedy", 5 }, { "second", 3 }, { "third", 1 }, { "last", 1 } };
    virQuotaSlow slow[10] = { NULL };
    g_autoptr(virStoragePoolDef) def = g_new0(virStoragePoolDef, 1);
    virQuotaSlow more = NULL;
    size_t n = 0;
    size_t i;
    int ret = 0;

    for (i = 0; i < G_N_ELEMENTS(tenants); i++) {
        unsigned int got = 0;

        g_free(def->name);
        def->name = g_strdup(tenants[i].pool);
        while (n < G_N_ELEMENTS(slow) && virQuotaSlowBegin(def, &slow[n]) == 0) {
            got++;
            n++;
        }
        if (got != tenants[i].most) {
            fprintf(stderr, "pool '%s' got %u, should get %u\n",
                    tenants[i].pool, got, tenants[i].most);
            ret = -1;
        }
    }

    if (virQuotaSlowBegin(def, &more) == 0) {
        fprintf(stderr, "more than %zu\n", n);
        ret = -1;
    }
    for (i = 0; i < n; i++)
        virQuotaSlowEnd(&slow[i]);
    if (virQuotaSlowBegin(def, &more) < 0)
        ret = -1;
    virQuotaSlowEnd(&more);
    virQuotaSlowEnd(&more);
    virResetLastError();
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

    if (virTestRun("verbs that take long", testSlow, NULL) < 0)
        ret = -1;

    if (virTestRun("report", testReport, NULL) < 0)
        ret = -1;

    /* tests/lvm of quota-lvm, where these are kept */
    if (getenv("QUOTA_LVM_FIXTURES") &&
        testFixtures(getenv("QUOTA_LVM_FIXTURES")) < 0)
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
