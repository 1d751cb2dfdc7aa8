#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Hazard: bad input is taken, or is refused with an error that does not help, or
# changes something all the same.
. "$(dirname "$0")/../lab.d/lib.sh"
. "$(dirname "$0")/pools.sh"
requires_machine
requires_command virsh lvs parted mkfs.ext4

disk=$(readlink -f "$(scratch_disk 1)")
other=$(readlink -f "$(scratch_disk 2)")
wipefs -qa "$disk" "$other"
cleanup_fn wipefs -qaf "$disk" "$other"
cleanup_fn rm -rf /run/quota-lvm/vg0 /run/quota-lvm/vg1
cleanup_fn vgremove -qq -ff -y vg0 vg1

# refused REGEX POOL_XML-ARGUMENTS...: a definition that is not taken.
refused() {
    local regex=$1
    shift
    pool_xml "$@" >"$TEST_TMP/bad.xml"
    expect_fail "$regex" virsh pool-define "$TEST_TMP/bad.xml"
}

# Names and limits.  (What else is no limit stands in storagequotalvmtest.c.)
gib=$(limit 1 GiB)
refused "tenant name 'Acme' must begin with a lower-case letter" Acme vg0 "$gib"
refused "tenant name 'ac.me' may only have" ac.me vg0 "$gib"
refused "tenant name '.*' is longer than 32 characters" a12345678901234567890123456789012 vg0 "$gib"
refused "volume group name 'a b' may only have" acme "a b" "$gib"
refused "'limit' must be above zero" acme vg0 "$(limit 0 GiB)"
refused "'limit' is '-3', which is not a whole number above zero" acme vg0 "$(limit -3 GiB)"
refused "'limit' of 9999999 TiB is too large" acme vg0 "$(limit 9999999 TiB)"
refused "unknown unit 'furlong'" acme vg0 "$(limit 1 furlong)"
refused "'step' is given twice" acme vg0 "$gib<q:step>1</q:step><q:step>2</q:step>"
refused "unknown quota limit 'colour'" acme vg0 "$gib<q:colour>1</q:colour>"
eq "$(virsh -q pool-list --all --name | xargs)" "" "pools that bad definitions left"

# No group, and no way to make one.
pool_define acme vg0 "$(limit 1 GiB)"
expect_fail "volume group 'vg0' does not exist and pool 'acme' names no device" virsh pool-build acme
expect_fail "volume group 'vg0' does not exist: make it with vgcreate" virsh pool-start acme

# A device with a file system, a partition table, another group.
content() { head -c 64M "$disk" | sha256sum; }
pool_define acme vg0 "$(limit 1 GiB)" "<device path='$disk'/>"
mkfs.ext4 -qF "$disk"
sum=$(content)
expect_fail "device '$disk'.*forced overwrite is necessary" virsh pool-build acme
eq "$(content)" "$sum" "what the file system holds"
wipefs -qa "$disk"
parted -s "$disk" mklabel gpt mkpart data 1MiB 100MiB
udevadm settle
sum=$(content)
expect_fail "device '$disk'.*forced overwrite is necessary" virsh pool-build acme
eq "$(content)" "$sum" "what the partition table holds"
parted -s "$disk" rm 1
wipefs -qaf "$disk"
udevadm settle
vgcreate -qq -y vg1 "$disk" >/dev/null
expect_fail "'$disk' belongs to volume group 'vg1', not to 'vg0'" virsh pool-build acme
lvcreate -qq -y -an -Zn -n keep -L 64m vg1 >/dev/null
expect_fail "in use by volume group 'vg1' \(1 volumes, 1 devices\), which is not overwritten even on request" \
    virsh pool-build --overwrite acme
eq "$(lvs --noheadings -o lv_name vg1 | xargs)" keep "what the other group holds"

# On request an empty group and a file system give way.
lvremove -qq -y vg1/keep
virsh -q pool-build --overwrite acme >/dev/null
eq "$(vgs --noheadings -o vg_name | xargs)" vg0 "groups after overwriting"
virsh -q pool-start acme >/dev/null
cleanup_fn virsh -q pool-destroy acme
mkfs.ext4 -qF "$other"
pool_define two vg1 "$(limit 1 GiB)" "<device path='$other'/>"
expect_fail "device '$other'.*forced overwrite is necessary" virsh pool-build two
virsh -q pool-build --overwrite two >/dev/null
eq "$(vgs --noheadings -o vg_name | xargs)" "vg0 vg1" "groups after overwriting a file system"
virsh -q pool-delete two >/dev/null

# Two pools for one tenant; one device in two groups.
refused "tenant 'acme' of volume group 'vg0' belongs to pool 'acme' already" \
    again vg0 "$(limit 1 GiB)" "<tenant name='acme'/>"
refused "conflict with pool: 'acme'" other vg5 "$(limit 1 GiB)" "<device path='$disk'/>"

# No limit: not in the definition, and nothing is tagged.
pool_define bare vg0
expect_fail "knows no limit of tenant 'bare': add <quota:limits>" virsh pool-build bare
expect_fail "run pool-build for pool 'bare'" virsh pool-start bare
pool_define tiny vg0 "$(limit 1 MiB)"
expect_fail "'limit' of 1.00 MiB is less than an extent" virsh pool-build tiny

# Volumes.
expect_fail "volume name '_thin' must begin with a letter or a digit" vol_create acme _thin 4 thick
expect_fail "volume name 'a b' may only have" vol_create acme "a b" 4 thick
expect_fail "volume name 'x_tmeta' has a word in it that LVM keeps" vol_create acme x_tmeta 4 thin
expect_fail "is too long" vol_create acme "$(printf 'v%.0s' {1..123})" 4 thin
expect_fail "tenant 'acme' is limited to 1.00 GiB in volume group 'vg0': 0 B are used by thick volumes and 1.00 GiB granted to its thin pool, volume 'big' needs 4.00 MiB" \
    vol_create acme big 4 thick
pool_up globex vg0 "$(limit 20 GiB 64 MiB)"
expect_fail "volume group 'vg0' is full: it has .* free, volume 'big' of tenant 'globex' needs 15.00 GiB" \
    vol_create globex big 15360 thick
vol_create globex grows 64 thick
expect_fail "volume group 'vg0' is full" virsh vol-resize --pool globex grows 15GiB
eq "$(vol_number globex grows Capacity)" $((64 * MIB)) "volume that could not grow"
pool_up small vg0 "$(limit 256 MiB 64 MiB)"
vol_create small fits 128 thick
expect_fail "tenant 'small' is limited to 256.00 MiB .* 128.00 MiB are used by thick volumes and 64.00 MiB granted to its thin pool, volume 'fits' needs 128.00 MiB" \
    virsh vol-resize --pool small fits 256MiB
expect_fail "fits" vol_create small fits 4 thin
eq "$(vols small)" fits "volumes after refusals"
eq "$(pool_number small Allocation)" $((128 * MIB)) "allocation after refusals"
virsh -q pool-refresh small >/dev/null
eq "$(pool_number small Allocation)" $((128 * MIB)) "allocation after a refresh"

# Promising more than the limit is what thin volumes are for.
vol_create small dream 10240 thin
virsh -q vol-delete --pool small dream >/dev/null
virsh -q vol-delete --pool small fits >/dev/null
virsh -q vol-delete --pool globex grows >/dev/null
