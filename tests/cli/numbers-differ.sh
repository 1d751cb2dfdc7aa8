#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# quota-lvm shows other bytes than the kernel counts: for a pool that never had a
# volume, names that device-mapper mangles, an LV of several segments, a pool
# that is not active, tenants of one name in two groups.
. "$(dirname "$0")/../daemon/tenant.sh"

fresh_vg lab-vg 2
# device-mapper calls it lab--vg-my--tenant._thin, without a volume in it
lvcreate -qq -y --type thin-pool -c 128k -L 64m -n my-tenant._thin \
    --addtag quota-lvm:tenant=my-tenant --addtag quota-lvm:limit=$((512 * MIB)) \
    --addtag quota-lvm:step=$((64 * MIB)) lab-vg >/dev/null
eq "$(shows lab-vg my-tenant thin_bytes)" 0 "bytes of an empty pool"
eq "$(shows lab-vg my-tenant grant_bytes)" $((64 * MIB)) "grant of an empty pool"

lvcreate -qq -y -V 1g --thinpool my-tenant._thin -n my-tenant.root \
    --addtag quota-lvm:tenant=my-tenant lab-vg &>/dev/null
dd if=/dev/zero of=/dev/lab-vg/my-tenant.root bs=128k count=9 seek=3 oflag=direct status=none
eq "$(shows lab-vg my-tenant thin_bytes)" $((9 * 131072)) "bytes in chunks of 128 KiB"

# two segments, then three: charged once
lvcreate -qq -y -L 32m -n my-tenant.log --addtag quota-lvm:tenant=my-tenant lab-vg &>/dev/null
lvcreate -qq -y -L 8m -n wedge lab-vg &>/dev/null
lvextend -qq -y -L 64m lab-vg/my-tenant.log >/dev/null
lvcreate -qq -y -L 8m -n wedge2 lab-vg &>/dev/null
lvextend -qq -y -L 96m lab-vg/my-tenant.log >/dev/null
at_least "$(lvs --noheadings --segments -o lv_name lab-vg/my-tenant.log | wc -l)" 2 "segments"
eq "$(shows lab-vg my-tenant thick_bytes)" $((96 * MIB)) "thick bytes"
eq "$(shows lab-vg my-tenant used_bytes)" $((96 * MIB + 9 * 131072)) "used bytes"
eq "$(shows lab-vg my-tenant available_bytes)" $((416 * MIB - 9 * 131072)) "available bytes"
quota-lvmd --once
quota-lvm check

# what cannot be known is null, not 0
lvchange -qq -an lab-vg/my-tenant.root lab-vg/my-tenant._thin
eq "$(shows lab-vg my-tenant thin_bytes)" null "bytes of a pool that is not active"
eq "$(shows lab-vg my-tenant used_bytes)" null "used bytes of it"
matches "$(quota-lvm list)" 'my-tenant +512.00 MiB +- +96.00 MiB +- +64.00 MiB +-' "list"
