/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_backend_quota_lvm_layout.c: how a thick volume lies on its devices
 *
 * Volume XML knows no stripes and no mirrors, so they stand in the pool's
 * definition, in <quota:layout>, and hold for the thick volumes that are made
 * from then on.  They are no tags, as the limits are: nothing but the making
 * of a volume uses them, and how an existing one lies LVM's metadata tells.
 * What a volume takes of its group is computed here before LVM gives it.
 */

#include <config.h>

#include "storage_backend_quota_lvm_internal.h"
#include "viralloc.h"
#include "virerror.h"
#include "virstring.h"
#include "virutil.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE

VIR_ENUM_IMPL(virStorageBackendQuotaLVMLayout,
              VIR_STORAGE_BACKEND_QUOTA_LVM_LAYOUT_LAST,
              "linear", "striped", "raid1", "raid5", "raid6", "raid10",
);

/* What each of them may have; lvmraid(7) */
static const struct {
    unsigned int minStripes;        /* 0: has none */
    unsigned int parity;            /* legs beside the stripes */
    bool mirrored;
    bool raid;                      /* each leg has metadata of its own */
} layouts[] = {
    [VIR_STORAGE_BACKEND_QUOTA_LVM_LAYOUT_LINEAR] = { 0, 0, false, false },
    [VIR_STORAGE_BACKEND_QUOTA_LVM_LAYOUT_STRIPED] = { 2, 0, false, false },
    [VIR_STORAGE_BACKEND_QUOTA_LVM_LAYOUT_RAID1] = { 0, 0, true, true },
    [VIR_STORAGE_BACKEND_QUOTA_LVM_LAYOUT_RAID5] = { 2, 1, false, true },
    [VIR_STORAGE_BACKEND_QUOTA_LVM_LAYOUT_RAID6] = { 3, 2, false, true },
    [VIR_STORAGE_BACKEND_QUOTA_LVM_LAYOUT_RAID10] = { 2, 0, true, true },
};
G_STATIC_ASSERT(G_N_ELEMENTS(layouts) == VIR_STORAGE_BACKEND_QUOTA_LVM_LAYOUT_LAST);

/* LVM's own bounds: MAX_STRIPES, and DEFAULT_RAID_MAX_IMAGES */
#define LAYOUT_MAX_LEGS 128
#define LAYOUT_MAX_RAID_LEGS 64
#define LAYOUT_MIN_STRIPE_SIZE 4096

/* raid/raid_region_size of lvm.conf(5): what a bit of a leg's metadata is for.
 * A larger region makes less metadata, never more. */
#define LAYOUT_REGION_SIZE (2ULL << 20)


static unsigned int
virStorageBackendQuotaLVMLayoutStripes(const virStorageBackendQuotaLVMLayout *layout)
{
    return MAX(MAX(layout->stripes, layouts[layout->type].minStripes), 1);
}


static unsigned int
virStorageBackendQuotaLVMLayoutLegs(const virStorageBackendQuotaLVMLayout *layout)
{
    unsigned int stripes = virStorageBackendQuotaLVMLayoutStripes(layout);

    if (layouts[layout->type].mirrored)
        return stripes * (MAX(layout->mirrors, 1) + 1);

    return stripes + layouts[layout->type].parity;
}


/**
 * virStorageBackendQuotaLVMLayoutGetSizes:
 * @layout: layout of a thick volume
 * @extent: bytes of an extent of the group
 * @capacity: bytes that the volume is to hold at least
 * @logical: bytes that it will hold: whole extents on each leg
 * @physical: bytes that it takes out of the group
 *
 * Returns 0, or -1 without an error if there are no such numbers.
 */
int
virStorageBackendQuotaLVMLayoutGetSizes(const virStorageBackendQuotaLVMLayout *layout,
                                        unsigned long long extent,
                                        unsigned long long capacity,
                                        unsigned long long *logical,
                                        unsigned long long *physical)
{
    unsigned long long stripes = virStorageBackendQuotaLVMLayoutStripes(layout);
    unsigned long long legs = virStorageBackendQuotaLVMLayoutLegs(layout);
    unsigned long long leg;
    unsigned long long metadata = 0;

    /* Leaves room for every sum and product below */
    if (capacity > (1ULL << 62) / legs - extent * stripes)
        return -1;

    leg = VIR_ROUND_UP(VIR_DIV_UP(capacity, stripes), extent);

    /* Two superblocks and a bit for each region, as raid_rmeta_extents() of
     * LVM has it. */
    if (layouts[layout->type].raid)
        metadata = VIR_ROUND_UP(2 * 4096 + VIR_DIV_UP(leg / LAYOUT_REGION_SIZE, 8),
                                extent);

    *logical = leg * stripes;
    *physical = (leg + metadata) * legs;
    return 0;
}


/**
 * virStorageBackendQuotaLVMLayoutOfLV:
 * @lv: a thick LV
 * @layout: filled in
 */
void
virStorageBackendQuotaLVMLayoutOfLV(const virStorageBackendQuotaLVMLV *lv,
                                    virStorageBackendQuotaLVMLayout *layout)
{
    int type;

    memset(layout, 0, sizeof(*layout));

    /* Parity may be rotated in many ways: raid5_ls, raid6_zr, ... */
    if (STRPREFIX(lv->segtype, "raid5"))
        type = VIR_STORAGE_BACKEND_QUOTA_LVM_LAYOUT_RAID5;
    else if (STRPREFIX(lv->segtype, "raid6"))
        type = VIR_STORAGE_BACKEND_QUOTA_LVM_LAYOUT_RAID6;
    else if (STRPREFIX(lv->segtype, "raid10"))
        type = VIR_STORAGE_BACKEND_QUOTA_LVM_LAYOUT_RAID10;
    else
        type = virStorageBackendQuotaLVMLayoutTypeFromString(lv->segtype);

    if (type <= 0)
        return;

    layout->type = type;
    if (layouts[type].minStripes > 0)
        layout->stripes = lv->dataStripes;
    if (layouts[type].mirrored && lv->dataCopies > 1)
        layout->mirrors = lv->dataCopies - 1;
}


/* What lvcreate is told beside name and size */
void
virStorageBackendQuotaLVMLayoutAddArgs(const virStorageBackendQuotaLVMLayout *layout,
                                       virCommand *cmd)
{
    virCommandAddArgList(cmd, "--type",
                         virStorageBackendQuotaLVMLayoutTypeToString(layout->type),
                         NULL);

    if (layouts[layout->type].minStripes > 0) {
        virCommandAddArg(cmd, "--stripes");
        virCommandAddArgFormat(cmd, "%u",
                               virStorageBackendQuotaLVMLayoutStripes(layout));
        if (layout->stripeSize > 0) {
            virCommandAddArg(cmd, "--stripesize");
            virCommandAddArgFormat(cmd, "%llub", layout->stripeSize);
        }
    }

    if (layouts[layout->type].mirrored) {
        virCommandAddArg(cmd, "--mirrors");
        virCommandAddArgFormat(cmd, "%u", MAX(layout->mirrors, 1));
    }
}


static int
virStorageBackendQuotaLVMLayoutCheck(const virStorageBackendQuotaLVMLayout *layout)
{
    const char *type = virStorageBackendQuotaLVMLayoutTypeToString(layout->type);
    unsigned int min = layouts[layout->type].minStripes;
    unsigned int max = layouts[layout->type].raid ? LAYOUT_MAX_RAID_LEGS
                                                  : LAYOUT_MAX_LEGS;

    if (min == 0 && (layout->stripes > 0 || layout->stripeSize > 0)) {
        virReportError(VIR_ERR_XML_ERROR,
                       _("quota layout '%1$s' has no stripes: remove 'stripes' and 'stripe_size'"),
                       type);
        return -1;
    }

    if (layout->mirrors > 0 && !layouts[layout->type].mirrored) {
        virReportError(VIR_ERR_XML_ERROR,
                       _("quota layout '%1$s' has no mirrors: remove 'mirrors', or use raid1 or raid10"),
                       type);
        return -1;
    }

    if (layout->stripes > 0 && layout->stripes < min) {
        virReportError(VIR_ERR_XML_ERROR,
                       _("quota layout '%1$s' needs at least %2$u stripes, not %3$u"),
                       type, min, layout->stripes);
        return -1;
    }

    if (layout->stripes > max || layout->mirrors > max ||
        virStorageBackendQuotaLVMLayoutLegs(layout) > max) {
        virReportError(VIR_ERR_XML_ERROR,
                       _("quota layout '%1$s' may have at most %2$u legs: lower 'stripes' or 'mirrors'"),
                       type, max);
        return -1;
    }

    if (layout->stripeSize > 0 &&
        (layout->stripeSize < LAYOUT_MIN_STRIPE_SIZE ||
         !VIR_IS_POW2(layout->stripeSize))) {
        virReportError(VIR_ERR_XML_ERROR,
                       _("quota layout has a 'stripe_size' of %1$llu bytes, which must be a power of two and at least %2$u"),
                       layout->stripeSize, LAYOUT_MIN_STRIPE_SIZE);
        return -1;
    }

    return 0;
}


static int
virStorageBackendQuotaLVMLayoutParseChild(xmlNodePtr node,
                                          virStorageBackendQuotaLVMLayout *layout)
{
    const char *name = (const char *) node->name;
    g_autofree char *content = virXMLNodeContentString(node);
    g_autofree char *unit = virXMLPropString(node, "unit");
    unsigned long long number;
    unsigned long long limit = INT_MAX;
    bool given;

    if (STREQ(name, "stripes")) {
        given = layout->stripes > 0;
    } else if (STREQ(name, "mirrors")) {
        given = layout->mirrors > 0;
    } else if (STREQ(name, "stripe_size")) {
        given = layout->stripeSize > 0;
        limit = LLONG_MAX;
    } else {
        virReportError(VIR_ERR_XML_ERROR,
                       _("unknown element '%1$s' in 'quota:layout': there are stripes, stripe_size and mirrors"),
                       name);
        return -1;
    }

    if (given) {
        virReportError(VIR_ERR_XML_ERROR,
                       _("element '%1$s' of 'quota:layout' is given twice: remove one"),
                       name);
        return -1;
    }

    if (unit && STRNEQ(name, "stripe_size")) {
        virReportError(VIR_ERR_XML_ERROR,
                       _("element '%1$s' of 'quota:layout' is not a size: remove its unit '%2$s'"),
                       name, unit);
        return -1;
    }

    if (!content ||
        virStrToLong_ullp(g_strstrip(content), NULL, 10, &number) < 0 ||
        number == 0 || number > limit) {
        virReportError(VIR_ERR_XML_ERROR,
                       _("element '%1$s' of 'quota:layout' is '%2$s', which is not a whole number above zero"),
                       name, NULLSTR(content));
        return -1;
    }

    if (virScaleInteger(&number, unit, 1, limit) < 0)
        return -1;

    if (STREQ(name, "stripes"))
        layout->stripes = number;
    else if (STREQ(name, "mirrors"))
        layout->mirrors = number;
    else
        layout->stripeSize = number;
    return 0;
}


/**
 * virStorageBackendQuotaLVMLayoutParse:
 * @node: <quota:layout>
 * @layout: filled in
 */
int
virStorageBackendQuotaLVMLayoutParse(xmlNodePtr node,
                                     virStorageBackendQuotaLVMLayout *layout)
{
    g_autofree char *text = virXMLPropString(node, "type");
    xmlNodePtr child;
    int type;

    memset(layout, 0, sizeof(*layout));

    if (!text ||
        (type = virStorageBackendQuotaLVMLayoutTypeFromString(text)) < 0) {
        virReportError(VIR_ERR_XML_ERROR,
                       _("quota layout has the unknown type '%1$s': use linear, striped, raid1, raid5, raid6 or raid10"),
                       NULLSTR(text));
        return -1;
    }

    layout->type = type;

    for (child = xmlFirstElementChild(node); child;
         child = xmlNextElementSibling(child)) {
        if (!child->ns ||
            STRNEQ((const char *) child->ns->href, VIR_STORAGE_POOL_QUOTA_LVM_URI)) {
            virReportError(VIR_ERR_XML_ERROR,
                           _("unknown element '%1$s' in 'quota:layout': write it as 'quota:%1$s'"),
                           child->name);
            return -1;
        }

        if (virStorageBackendQuotaLVMLayoutParseChild(child, layout) < 0)
            return -1;
    }

    return virStorageBackendQuotaLVMLayoutCheck(layout);
}


void
virStorageBackendQuotaLVMLayoutFormat(virBuffer *buf,
                                      const virStorageBackendQuotaLVMLayout *layout)
{
    g_auto(virBuffer) attrs = VIR_BUFFER_INITIALIZER;
    g_auto(virBuffer) children = VIR_BUFFER_INIT_CHILD(buf);

    virBufferAsprintf(&attrs, " type='%s'",
                      virStorageBackendQuotaLVMLayoutTypeToString(layout->type));

    if (layout->stripes > 0)
        virBufferAsprintf(&children, "<quota:stripes>%u</quota:stripes>\n",
                          layout->stripes);
    if (layout->stripeSize > 0)
        virBufferAsprintf(&children, "<quota:stripe_size unit='bytes'>%llu</quota:stripe_size>\n",
                          layout->stripeSize);
    if (layout->mirrors > 0)
        virBufferAsprintf(&children, "<quota:mirrors>%u</quota:mirrors>\n",
                          layout->mirrors);

    virXMLFormatElement(buf, "quota:layout", &attrs, &children);
}
