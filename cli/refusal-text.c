/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * refusal-text.c: what quota-lvm says of each reason that set, adopt, release and
 * rollback can be refused for; lvm/ has words for the others.
 */
#include <inttypes.h>
#include <quota-limits.h>

#include "refusal-text.h"

static char *
refusal_text_limits(const LvmRefusal *why)
{
    char one[QUOTA_SIZE_MAX_BYTES], other[QUOTA_SIZE_MAX_BYTES];
    g_autofree char *option = NULL;

    switch (why->why) {
    case LVM_WHY_NO_LIMIT:
        return g_strdup("the tenant has no limit yet: give one with --limit SIZE");
    case LVM_WHY_BAD_LIMITS:
        option = g_strdelimit(g_strdup(why->name), "_", '-');
        return g_strdup_printf("--%s %s; clear a limit with none", option,
                               why->text);
    case LVM_WHY_GUARANTEE:
        return g_strdup_printf("--guarantee: the group %s cannot keep that much: "
                               "%s are free and not kept for others, so tenant %s "
                               "can have up to %s: lower another guarantee, or "
                               "extend the group with vgextend", why->group,
                               quota_size_format(why->room, one), why->tenant,
                               quota_size_format(why->most, other));
    case LVM_WHY_OVERCOMMIT:
        return g_strdup_printf("--limit: the group %s allows limits of %" PRIu64
                               "%% of its size together, of which %s are left for "
                               "tenant %s: lower another limit, or change that "
                               "with quota-lvm set --group %s --overcommit PERCENT",
                               why->group, why->percent,
                               quota_size_format(why->most, one), why->tenant,
                               why->group);
    case LVM_WHY_MAX_VOLUMES:
        return g_strdup_printf("tenant %s is limited to %" PRIu64 " volumes and "
                               "has %" PRIu64 ": delete one, or raise that with "
                               "quota-lvm set --max-volumes", why->tenant,
                               why->limit, why->asked);
    case LVM_WHY_TENANT_LIMIT:
        return g_strdup_printf("LV %s takes %s, and tenant %s's limit has %s left "
                               "beside its thick volumes and the grant of its thin "
                               "pool: raise the limit with quota-lvm set --limit",
                               why->name, quota_size_format(why->asked, one),
                               why->tenant, quota_size_format(why->room, other));
    case LVM_WHY_ELSEWHERE:
        return g_strdup_printf("group %s is shared, and tenant %s's thin pool is "
                               "not active on this host: adopt where it is, or "
                               "start its storage pool here first", why->group,
                               why->tenant);
    default:
        return NULL;
    }
}

static char *
refusal_text_adopt(const LvmRefusal *why)
{
    switch (why->why) {
    case LVM_WHY_NO_LV:
        return g_strdup_printf("there is no LV %s in group %s", why->name,
                               why->group);
    case LVM_WHY_NO_TENANT:
        return g_strdup_printf("there is no tenant %s in group %s: build its "
                               "storage pool with virsh pool-build first",
                               why->tenant, why->group);
    case LVM_WHY_IS_PART:
        return g_strdup_printf("LV %s is a part of another LV", why->name);
    case LVM_WHY_IS_UNKNOWN:
        return g_strdup_printf("LV %s is of an unknown kind ('%s')", why->name,
                               why->text);
    case LVM_WHY_OF_TENANT:
        if (g_str_equal(why->other, why->tenant))
            return g_strdup_printf("LV %s is tenant %s's already", why->name,
                                   why->tenant);
        return g_strdup_printf("LV %s is tenant %s's: release it from there first",
                               why->name, why->other);
    case LVM_WHY_OTHER_POOL:
        return g_strdup_printf("LV %s is thin, in the pool %s%s%s, and no thin "
                               "volume can move to another pool: make a volume "
                               "with virsh vol-create-as and copy its data",
                               why->name, why->other,
                               why->text ? " of tenant " : "",
                               why->text ? why->text : "");
    default:
        return NULL;
    }
}

static char *
refusal_text_names(const LvmRefusal *why)
{
    switch (why->why) {
    case LVM_WHY_BAD_NAME:
        return g_strdup_printf("invalid name '%s': it %s; give another as the last "
                               "argument", why->name, why->text);
    case LVM_WHY_TAKEN:
        return g_strdup_printf("there is an LV %s in group %s already: give "
                               "another name as the last argument", why->name,
                               why->group);
    case LVM_WHY_EXISTS:
        return g_strdup_printf("tenant %s has a volume %s already: give another "
                               "name as the last argument", why->tenant, why->name);
    case LVM_WHY_NAME_OF_TENANT:
        return g_strdup_printf("the name '%s' would make it a volume of tenant %s: give "
                               "another name as the last argument", why->name,
                               why->other);
    case LVM_WHY_NO_VOLUME:
        return g_strdup_printf("tenant %s has no volume '%s' in group %s",
                               why->tenant, why->name, why->group);
    default:
        return NULL;
    }
}

static char *
refusal_text_volumes(const LvmRefusal *why)
{
    switch (why->why) {
    case LVM_WHY_NO_THIN_POOL:
        return g_strdup_printf("tenant %s has no thin pool in group %s to keep its "
                               "limits: build its storage pool with virsh "
                               "pool-build", why->tenant, why->group);
    case LVM_WHY_IS_POOL:
        return g_strdup_printf("LV %s is a pool (%s): a tenant has its own thin "
                               "pool, which virsh pool-build makes and virsh "
                               "pool-delete removes", why->name, why->text);
    case LVM_WHY_IS_THIN:
        return g_strdup_printf("volume %s is thin, in tenant %s's pool, which it "
                               "would go on to fill: make an LV of its size and "
                               "copy its data", why->name, why->tenant);
    case LVM_WHY_IS_SNAPSHOT:
        return g_strdup_printf("volume %s is a thick snapshot of LV %s, which tenant "
                               "%s could not delete or roll back without it: make an "
                               "LV of its size and copy its data", why->name,
                               why->other, why->tenant);
    case LVM_WHY_HAS_SNAPSHOT:
        return g_strdup_printf("volume %s has the thick snapshot %s, which tenant %s "
                               "would keep: delete the snapshot first", why->name,
                               why->other, why->tenant);
    case LVM_WHY_NOT_SNAPSHOT:
        return g_strdup_printf("volume '%s' of tenant %s is not a snapshot of "
                               "another volume of the tenant: nothing to roll back",
                               why->name, why->tenant);
    case LVM_WHY_IN_USE:
        return g_strdup_printf("%s is in use: stop the guest, or whatever has it "
                               "open, first", why->name);
    default:
        return NULL;
    }
}

char *
refusal_text(const LvmRefusal *why)
{
    char *(*const texts[])(const LvmRefusal *) = {
        refusal_text_limits, refusal_text_adopt, refusal_text_names,
        refusal_text_volumes,
    };
    char *text = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(texts) && !text; i++)
        text = texts[i](why);
    return text ? text : lvm_refusal_format(why);
}
