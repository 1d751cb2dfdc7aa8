#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Hazard: a pool or a volume does not get through its life by virsh: LVM holds
# something else than libvirt says, or a step leaves something behind.
. "$(dirname "$0")/../lab.d/lib.sh"
. "$(dirname "$0")/pools.sh"
requires_machine
requires_command virsh lvs jq

disk=$(readlink -f "$(scratch_disk 1)")
wipefs -qa "$disk"
cleanup_fn pvremove -qq -ff -y "$disk"
cleanup_fn rm -rf /run/quota-lvm/vg0
cleanup_fn vgremove -qq -ff -y vg0

matches "$(virsh -q pool-capabilities)" "<pool type='quota-lvm' supported='yes'>" \
    "pool-capabilities"

# From a bare disk; the pool's name differs from its tenant's.
source="<device path='$disk'/><tenant name='acme'/>"
pool_define acme-fast vg0 "$(limit 2 GiB 256 MiB)" "$source"
virsh -q pool-build acme-fast >/dev/null
eq "$(vgs --noheadings -o vg_name vg0 | xargs)" vg0 "volume group"
eq "$(lvs --noheadings --units m --nosuffix -o lv_size,chunk_size,lv_when_full vg0/acme._thin | xargs)" \
    "256.00 0.06 error" "first step, chunk, when full"
matches "$(lvs --noheadings -o discards,zero vg0/acme._thin | xargs)" '^passdown zero$' "discards, zero"
eq "$(tags vg0/acme._thin | grep -v definition | xargs)" \
    "quota-lvm:limit=$((2 * GIB)) quota-lvm:step=$((256 * MIB)) quota-lvm:tenant=acme" "tags"

# Built twice is built once, unless one insists.
virsh -q pool-build acme-fast >/dev/null
expect_fail "has a thin pool of tenant 'acme' already" virsh pool-build --no-overwrite acme-fast
virsh -q pool-build --overwrite acme-fast >/dev/null
eq "$(lvs --noheadings vg0 | wc -l)" 1 "LVs after three builds"

virsh -q pool-start acme-fast >/dev/null
cleanup_fn virsh -q pool-destroy acme-fast
is_active vg0/acme._thin || fail "thin pool is not active"
[ "$(stat -Lc %a:%u /run/quota-lvm/vg0/acme)" = 600:0 ] || fail "ledger is open to others"
eq "$(pool_number acme-fast Capacity)" $((2 * GIB)) capacity
eq "$(pool_number acme-fast Allocation)" 0 allocation
eq "$(pool_number acme-fast Available)" $((2 * GIB)) available
matches "$(virsh -q pool-list --type quota-lvm)" acme-fast "pool-list --type"
matches "$(virsh -q find-storage-pool-sources quota-lvm)" "<tenant name='acme'/>" \
    "find-storage-pool-sources"

# Volumes: a thick one is charged whole, a thin one as it is written.
vol_create acme-fast data 510 thick
vol_create acme-fast root 8192 thin
eq "$(vols acme-fast)" "data root" volumes
eq "$(lvs --noheadings -o segtype vg0/acme.data | xargs)" linear "thick volume"
eq "$(lvs --noheadings -o segtype,pool_lv vg0/acme.root | xargs)" "thin acme._thin" "thin volume"
eq "$(tags vg0/acme.data)" quota-lvm:tenant=acme "tags of the thick volume"
eq "$(tags vg0/acme.root)" quota-lvm:tenant=acme "tags of the thin volume"
eq "$(vol_number acme-fast data Capacity)" $((512 * MIB)) "thick capacity, in whole extents"
eq "$(vol_number acme-fast data Allocation)" $((512 * MIB)) "thick allocation"
eq "$(vol_number acme-fast root Capacity)" $((8192 * MIB)) "thin capacity"
eq "$(vol_number acme-fast root Allocation)" 0 "thin allocation"
eq "$(pool_number acme-fast Allocation)" $((512 * MIB)) "allocation with a thick volume"

dd if=/dev/urandom of=/dev/vg0/acme.root bs=1M count=20 oflag=direct status=none
eq "$(vol_number acme-fast root Allocation)" $((20 * MIB)) "thin allocation after writing"
eq "$(pool_number acme-fast Allocation)" $((532 * MIB)) "allocation after writing"
eq "$(pool_number acme-fast Available)" $((1516 * MIB)) "available after writing"
virsh -q pool-refresh acme-fast >/dev/null
eq "$(pool_number acme-fast Allocation)" $((532 * MIB)) "allocation after a refresh"

# The grant grows behind libvirt's back: used is the kernel's word.
lvextend -qq -L 320m vg0/acme._thin >/dev/null
eq "$(pool_number acme-fast Allocation)" $((532 * MIB)) "allocation after growing"
eq "$(pool_number acme-fast Available)" $((1516 * MIB)) "available after growing"

# Found by path, by key, by name; the key is the LV's UUID.
eq "$(virsh -q vol-path --pool acme-fast root)" /dev/vg0/acme.root path
eq "$(virsh -q vol-pool /dev/vg0/acme.root)" acme-fast "pool of the path"
key=$(lvs --noheadings -o lv_uuid vg0/acme.root | xargs)
eq "$(virsh -q vol-key --pool acme-fast root)" "$key" key
eq "$(virsh -q vol-name "$key")" root "name of the key"
matches "$(virsh -q vol-dumpxml --pool acme-fast root)" '<path>/dev/vg0/acme.root</path>' "vol-dumpxml"

# Data goes in and out.
head -c 1000000 /dev/urandom >"$TEST_TMP/in"
virsh -q vol-upload --pool acme-fast data "$TEST_TMP/in" >/dev/null
virsh -q vol-download --pool acme-fast data "$TEST_TMP/out" --length 1000000 >/dev/null
cmp "$TEST_TMP/in" "$TEST_TMP/out"

virsh -q vol-clone --pool acme-fast data copy >/dev/null
head -c 1000000 /dev/vg0/acme.copy | cmp - "$TEST_TMP/in"
virsh -q vol-delete --pool acme-fast copy >/dev/null
vol_create acme-fast waste 4 thick
echo secret >/dev/vg0/acme.waste
virsh -q vol-wipe --pool acme-fast waste >/dev/null
! head -c 6 /dev/vg0/acme.waste | grep secret >/dev/null || fail "a wiped volume still has its data"
expect_fail "a pattern would take all the space" virsh vol-wipe --pool acme-fast root --algorithm random
virsh -q vol-delete --pool acme-fast waste >/dev/null

# Growing, and shrinking a thin one.
virsh -q vol-resize --pool acme-fast data 600MiB >/dev/null
eq "$(vol_number acme-fast data Capacity)" $((600 * MIB)) "thick after growing"
eq "$(pool_number acme-fast Allocation)" $((620 * MIB)) "allocation after growing"
virsh -q vol-resize --pool acme-fast data --delta 40MiB --allocate >/dev/null
eq "$(vol_number acme-fast data Allocation)" $((640 * MIB)) "thick after growing by a difference"
virsh -q vol-resize --pool acme-fast root 9GiB >/dev/null
eq "$(vol_number acme-fast root Capacity)" $((9 * GIB)) "thin after growing"
eq "$(pool_number acme-fast Allocation)" $((660 * MIB)) "allocation after growing a thin volume"
expect_fail "is thin" virsh vol-resize --pool acme-fast root 10GiB --allocate
expect_fail "shrink" virsh vol-resize --pool acme-fast root 8GiB
virsh -q vol-resize --pool acme-fast root 8GiB --shrink >/dev/null
eq "$(lvs --noheadings --units b --nosuffix -o lv_size vg0/acme.root | xargs)" $((8 * GIB)) "thin after shrinking"

# A volume in use stays.
exec 9</dev/vg0/acme.data
expect_fail "is in use" virsh vol-delete --pool acme-fast data
exec 9<&-
virsh -q vol-delete --pool acme-fast data >/dev/null
[ ! -e /dev/vg0/acme.data ] || fail "the deleted volume is still there"
eq "$(pool_number acme-fast Allocation)" $((20 * MIB)) "allocation after deleting"
eq "$(vols acme-fast)" root "volumes after deleting"

# Another volume under the same name is another LV.
vol_create acme-fast data 64 thin
eq "$(lvs --noheadings -o segtype vg0/acme.data | xargs)" thin "thin under a thick one's name"

# A restart of the daemon forgets nothing.
systemctl restart libvirtd
eq "$(virsh -q pool-list --name | xargs)" acme-fast "active pools after a restart"
eq "$(vols acme-fast)" "data root" "volumes after a restart"
eq "$(pool_number acme-fast Capacity)" $((2 * GIB)) "capacity after a restart"

# Stop deactivates, autostart brings back, delete wants an empty pool.
virsh -q pool-autostart acme-fast >/dev/null
virsh -q pool-destroy acme-fast >/dev/null
! is_active vg0/acme.root || fail "a volume of a stopped pool is active"
! is_active vg0/acme._thin || fail "the thin pool of a stopped pool is active"
rm -rf /run/libvirt/storage/autostarted
systemctl restart libvirtd
wait_for 20 "the pool to be started" sh -c 'virsh -q pool-list --name | grep -q acme-fast'
eq "$(vols acme-fast)" "data root" "volumes after autostart"
expect_fail "still has 2 volumes in volume group 'vg0'|is still active" virsh pool-delete acme-fast
virsh -q pool-destroy acme-fast >/dev/null
expect_fail "still has 2 volumes in volume group 'vg0', among them" virsh pool-delete acme-fast
virsh -q pool-start acme-fast >/dev/null
virsh -q vol-delete --pool acme-fast data >/dev/null
virsh -q vol-delete --pool acme-fast root >/dev/null
virsh -q pool-destroy acme-fast >/dev/null
virsh -q pool-delete acme-fast >/dev/null
eq "$(lvs --noheadings -o lv_name vg0 | xargs)" "" "LVs after deleting the pool"
[ ! -e /run/quota-lvm/vg0/acme ] || fail "the ledger outlived its tenant"
expect_fail "run pool-build for pool 'acme-fast'" virsh pool-start acme-fast
