/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_backend_quota_lvm_layout.c: how a thick volume lies on its devices
 *
 * Volume XML knows no stripes and no mirrors, so they stand in the pool's
 * definition, in <quota:layout>, and hold for the thick volumes that are made
 * from then on.  Unlike limits they are not tags: only the making of a
 * volume uses them, and LVM's metadata tells how an existing one lies.
 */

#include <config.h>

#include "storage_backend_quota_lvm_internal.h"
#include "virerror.h"
#include "virstring.h"
#include "virutil.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE


static int
virQuotaLayoutCheck(const LvmLayout *layout)
{
    const LvmLayoutKind *kind = &lvm_layout_kinds[layout->type];
    const char *type = kind->name;
    unsigned int min = kind->min_stripes;
    unsigned int max = kind->max_legs;

    if (min == 0 && (layout->stripes > 0 || layout->stripe_bytes > 0)) {
        virReportError(VIR_ERR_XML_ERROR,
                       _("quota layout '%1$s' has no stripes: remove 'stripes' and 'stripe_size'"),
                       type);
        return -1;
    }

    if (layout->mirrors > 0 && !kind->is_mirrored) {
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
        lvm_layout_legs(layout) > max) {
        virReportError(VIR_ERR_XML_ERROR,
                       _("quota layout '%1$s' may have at most %2$u legs: lower 'stripes' or 'mirrors'"),
                       type, max);
        return -1;
    }

    if (layout->stripe_bytes > 0 &&
        (layout->stripe_bytes < LVM_LAYOUT_MIN_STRIPE_BYTES ||
         !VIR_IS_POW2(layout->stripe_bytes))) {
        virReportError(VIR_ERR_XML_ERROR,
                       _("quota layout has a 'stripe_size' of %1$llu bytes, which must be a power of two and at least %2$u"),
                       (unsigned long long) layout->stripe_bytes, LVM_LAYOUT_MIN_STRIPE_BYTES);
        return -1;
    }

    return 0;
}


static int
virQuotaLayoutParseChild(xmlNodePtr node,
                         LvmLayout *layout)
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
        given = layout->stripe_bytes > 0;
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
        layout->stripe_bytes = number;
    return 0;
}


/**
 * virQuotaLayoutParse:
 * @node: <quota:layout>
 * @layout: filled in
 */
int
virQuotaLayoutParse(xmlNodePtr node,
                    LvmLayout *layout)
{
    g_autofree char *text = virXMLPropString(node, "type");
    xmlNodePtr child;
    size_t type = 0;

    memset(layout, 0, sizeof(*layout));

    while (type < LVM_LAYOUT_LAST &&
           STRNEQ_NULLABLE(lvm_layout_kinds[type].name, text))
        type++;

    if (type == LVM_LAYOUT_LAST) {
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

        if (virQuotaLayoutParseChild(child, layout) < 0)
            return -1;
    }

    return virQuotaLayoutCheck(layout);
}


void
virQuotaLayoutFormat(virBuffer *buf,
                     const LvmLayout *layout)
{
    g_auto(virBuffer) attrs = VIR_BUFFER_INITIALIZER;
    g_auto(virBuffer) children = VIR_BUFFER_INIT_CHILD(buf);

    virBufferAsprintf(&attrs, " type='%s'",
                      lvm_layout_kinds[layout->type].name);

    if (layout->stripes > 0)
        virBufferAsprintf(&children, "<quota:stripes>%u</quota:stripes>\n",
                          layout->stripes);
    if (layout->stripe_bytes > 0)
        virBufferAsprintf(&children, "<quota:stripe_size unit='bytes'>%llu</quota:stripe_size>\n",
                          (unsigned long long) layout->stripe_bytes);
    if (layout->mirrors > 0)
        virBufferAsprintf(&children, "<quota:mirrors>%u</quota:mirrors>\n",
                          layout->mirrors);

    virXMLFormatElement(buf, "quota:layout", &attrs, &children);
}
