/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_backend_quota_lvm_conf.c: the limits of a quota-lvm pool in XML
 *
 * Parses and formats <quota:limits> and <quota:layout>, the parts of the pool's
 * definition that stand in the backend's own namespace, and refuses names that
 * LVM or the ledger could not carry before anything is stored.  Which element there is
 * and in which unit comes from quota_limit_fields alone.
 */

#include <config.h>

#include "storage_backend_quota_lvm_internal.h"
#include "virerror.h"
#include "virstring.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE


static void
virQuotaPoolDefNamespaceFree(void *nsdata)
{
    g_free(nsdata);
}


/* Sizes may have a unit, as <capacity> does; other limits may not. */
static int
virQuotaPoolDefParseUnit(xmlNodePtr node,
                         const struct quota_limit_field *field,
                         unsigned long long number,
                         uint64_t *value)
{
    g_autofree char *unit = virXMLPropString(node, "unit");
    int rc;

    if (unit &&
        field->unit != QUOTA_UNIT_BYTES &&
        field->unit != QUOTA_UNIT_BYTES_PER_SEC) {
        virReportError(VIR_ERR_XML_ERROR,
                       _("quota limit '%1$s' is not a size: remove its unit '%2$s'"),
                       field->name, unit);
        return -1;
    }

    if ((rc = quota_size_scale(number, unit, value)) == -ERANGE) {
        virReportError(VIR_ERR_OVERFLOW,
                       _("quota limit '%1$s' of %2$llu %3$s is too large"),
                       field->name, number, unit ? unit : "bytes");
        return -1;
    } else if (rc < 0) {
        virReportError(VIR_ERR_XML_ERROR,
                       _("quota limit '%1$s' has the unknown unit '%2$s': use B, KiB, MiB, GiB, TiB, PiB or KB, MB, GB, TB, PB"),
                       field->name, NULLSTR(unit));
        return -1;
    }

    return 0;
}


static int
virQuotaPoolDefParseLimit(xmlNodePtr node,
                          struct quota_limits *limits)
{
    const char *name = (const char *) node->name;
    const struct quota_limit_field *field = quota_limit_field_find(name);
    g_autofree char *content = virXMLNodeContentString(node);
    unsigned long long number;
    uint64_t value;

    if (!field) {
        virReportError(VIR_ERR_XML_ERROR,
                       _("unknown quota limit '%1$s': the limits are limit, step, guarantee, max_volumes, and the throughput elements of <iotune>"),
                       name);
        return -1;
    }

    /* Zero is never stored, so a limit that is set was given before. */
    if (quota_limit_get(limits, field) != 0) {
        virReportError(VIR_ERR_XML_ERROR,
                       _("quota limit '%1$s' is given twice: remove one"),
                       name);
        return -1;
    }

    if (!content)
        return -1;

    g_strstrip(content);

    /* virStrToLong_ullp refuses a sign, and returns -1 on overflow too: tell
     * the two apart by the digits */
    if (virStrToLong_ullp(content, NULL, 10, &number) < 0) {
        if (*content && strspn(content, "0123456789") == strlen(content)) {
            virReportError(VIR_ERR_OVERFLOW,
                           _("quota limit '%1$s' of %2$s is too large"),
                           name, content);
        } else {
            virReportError(VIR_ERR_XML_ERROR,
                           _("quota limit '%1$s' is '%2$s', which is not a whole number above zero"),
                           name, content);
        }
        return -1;
    }

    if (number == 0) {
        virReportError(VIR_ERR_XML_ERROR,
                       _("quota limit '%1$s' must be above zero: to have no such limit, leave the element out"),
                       name);
        return -1;
    }

    if (virQuotaPoolDefParseUnit(node, field, number, &value) < 0)
        return -1;

    quota_limit_set(limits, field, value);
    return 0;
}


/* Names become part of LV names, tags and file names.  The common parser knows
 * no alphabet, and there is no other hook before a definition is stored. */
static int
virQuotaPoolDefCheckNames(xmlXPathContextPtr ctxt)
{
    g_autofree char *group = virXPathString("string(./source/name)", ctxt);
    g_autofree char *tenant = virXPathString("string(./source/tenant/@name)", ctxt);
    const char *why = NULL;

    if (!tenant)
        tenant = virXPathString("string(./name)", ctxt);

    if (quota_name_check_tenant(NULLSTR_EMPTY(tenant), &why) < 0) {
        virReportError(VIR_ERR_XML_ERROR,
                       _("tenant name '%1$s' %2$s: choose another with <tenant name='...'/> in <source>"),
                       NULLSTR(tenant), why);
        return -1;
    }

    if (quota_name_check_group(NULLSTR_EMPTY(group), &why) < 0) {
        virReportError(VIR_ERR_XML_ERROR,
                       _("volume group name '%1$s' %2$s"),
                       NULLSTR(group), why);
        return -1;
    }

    if (quota_name_check_pool(group, tenant, &why) < 0) {
        virReportError(VIR_ERR_XML_ERROR,
                       _("tenant name '%1$s' %2$s: choose another with <tenant name='...'/> in <source>"),
                       tenant, why);
        return -1;
    }

    return 0;
}


static int
virQuotaPoolDefParseLimits(xmlNodePtr limitsNode,
                           struct quota_limits *limits)
{
    const struct quota_limit_field *field = NULL;
    const char *why = NULL;
    xmlNodePtr node;

    for (node = xmlFirstElementChild(limitsNode); node;
         node = xmlNextElementSibling(node)) {
        if (!node->ns ||
            STRNEQ((const char *) node->ns->href, VIR_STORAGE_POOL_QUOTA_LVM_URI)) {
            virReportError(VIR_ERR_XML_ERROR,
                           _("unknown element '%1$s' in 'quota:limits': write it as 'quota:%1$s'"),
                           node->name);
            return -1;
        }

        if (virQuotaPoolDefParseLimit(node, limits) < 0)
            return -1;
    }

    if (quota_limits_check(limits, &field, &why) < 0) {
        virReportError(VIR_ERR_XML_ERROR,
                       _("quota limit '%1$s' of %2$llu %3$s"),
                       field->name,
                       (unsigned long long) quota_limit_get(limits, field),
                       why);
        return -1;
    }

    return 0;
}


static int
virQuotaPoolDefNamespaceParse(xmlXPathContextPtr ctxt,
                              void **data)
{
    g_autofree virQuotaPoolDef *def = NULL;
    g_autofree xmlNodePtr *nodes = NULL;
    int nnodes;
    size_t i;

    if (virQuotaPoolDefCheckNames(ctxt) < 0)
        return -1;

    if ((nnodes = virXPathNodeSet("./quota:*", ctxt, &nodes)) < 0)
        return -1;

    /* Without limits of its own the pool takes what the volume group has
     * tagged for its tenant. */
    if (nnodes == 0)
        return 0;

    def = g_new0(virQuotaPoolDef, 1);

    for (i = 0; i < nnodes; i++) {
        const char *name = (const char *) nodes[i]->name;
        bool *given;

        if (STREQ(name, "limits")) {
            given = &def->hasDefined;
        } else if (STREQ(name, "layout")) {
            given = &def->hasLayout;
        } else {
            virReportError(VIR_ERR_XML_ERROR,
                           _("unknown element 'quota:%1$s' in the pool: limits stand inside 'quota:limits', and there is 'quota:layout'"),
                           name);
            return -1;
        }

        if (*given) {
            virReportError(VIR_ERR_XML_ERROR,
                           _("element 'quota:%1$s' is given twice: put all into one"),
                           name);
            return -1;
        }

        *given = true;

        if (given == &def->hasDefined) {
            if (virQuotaPoolDefParseLimits(nodes[i], &def->defined) < 0)
                return -1;
        } else {
            if (virQuotaLayoutParse(nodes[i], &def->layout) < 0)
                return -1;
        }
    }

    *data = g_steal_pointer(&def);
    return 0;
}


static void
virQuotaPoolDefFormatLimits(virBuffer *buf,
                            const struct quota_limits *limits)
{
    size_t i;

    virBufferAddLit(buf, "<quota:limits>\n");
    virBufferAdjustIndent(buf, 2);

    for (i = 0; i < quota_limit_fields_count; i++) {
        const struct quota_limit_field *field = &quota_limit_fields[i];
        unsigned long long value = quota_limit_get(limits, field);

        if (value == 0)
            continue;

        virBufferAsprintf(buf, "<quota:%s", field->name);
        if (field->unit == QUOTA_UNIT_BYTES)
            virBufferAddLit(buf, " unit='bytes'");
        virBufferAsprintf(buf, ">%llu</quota:%s>\n", value, field->name);
    }

    virBufferAdjustIndent(buf, -2);
    virBufferAddLit(buf, "</quota:limits>\n");
}


static int
virQuotaPoolDefNamespaceFormat(virBuffer *buf,
                               void *nsdata)
{
    virQuotaPoolDef *def = nsdata;

    if (def->hasCurrent)
        virQuotaPoolDefFormatLimits(buf, &def->current.limits);
    else if (def->hasDefined)
        virQuotaPoolDefFormatLimits(buf, &def->defined);

    if (def->hasLayout)
        virQuotaLayoutFormat(buf, &def->layout);

    return 0;
}


/**
 * virQuotaPoolDefGetLimits:
 * @def: pool definition
 *
 * Returns the limits that stand in the definition itself, or NULL if it
 * leaves them to the tags.
 */
const struct quota_limits *
virQuotaPoolDefGetLimits(virStoragePoolDef *def)
{
    virQuotaPoolDef *nsdef = def->namespaceData;

    return nsdef && nsdef->hasDefined ? &nsdef->defined : NULL;
}


/**
 * virQuotaPoolDefSetCurrent:
 * @def: pool definition
 * @state: what LVM says of the tenant
 *
 * From now on the definition shows what is enforced, wherever that was
 * changed, so that whoever edits it starts from the truth.
 */
void
virQuotaPoolDefSetCurrent(virStoragePoolDef *def,
                          const struct quota_state *state)
{
    virQuotaPoolDef *nsdef = def->namespaceData;

    if (!nsdef)
        nsdef = def->namespaceData = g_new0(virQuotaPoolDef, 1);

    nsdef->current = *state;
    nsdef->hasCurrent = true;
}


/* What was set last, NULL if nothing was */
const struct quota_state *
virQuotaPoolDefGetCurrent(virStoragePoolDef *def)
{
    virQuotaPoolDef *nsdef = def->namespaceData;

    return nsdef && nsdef->hasCurrent ? &nsdef->current : NULL;
}


/**
 * virQuotaPoolDefGetLayout:
 * @def: pool definition
 *
 * Returns how thick volumes that are made now are to lie, never NULL.
 */
const LvmLayout *
virQuotaPoolDefGetLayout(virStoragePoolDef *def)
{
    static const LvmLayout linear;
    virQuotaPoolDef *nsdef = def->namespaceData;

    return nsdef && nsdef->hasLayout ? &nsdef->layout : &linear;
}


/* Makes the layout of another definition @def's own */
void
virQuotaPoolDefCopyLayout(virStoragePoolDef *def,
                          virStoragePoolDef *from)
{
    virQuotaPoolDef *nsdef = def->namespaceData;
    virQuotaPoolDef *nsfrom = from->namespaceData;

    if (!nsdef)
        nsdef = def->namespaceData = g_new0(virQuotaPoolDef, 1);

    nsdef->hasLayout = nsfrom && nsfrom->hasLayout;
    nsdef->layout = *virQuotaPoolDefGetLayout(from);
}


virXMLNamespace virQuotaPoolXMLNamespace = {
    .parse = virQuotaPoolDefNamespaceParse,
    .free = virQuotaPoolDefNamespaceFree,
    .format = virQuotaPoolDefNamespaceFormat,
    .prefix = "quota",
    .uri = VIR_STORAGE_POOL_QUOTA_LVM_URI,
};
