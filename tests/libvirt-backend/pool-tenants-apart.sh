#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Hazard: what is done to one tenant reaches another, or an LV that belongs to
# neither; or an LV that vanishes takes a pool down.
. "$(dirname "$0")/../lab.d/lib.sh"
. "$(dirname "$0")/pools.sh"
requires_machine
requires_command virsh lvs dmsetup

wrote() { head -c 32 "/dev/vg0/$1" | xargs; } # LV: the word it begins with

fresh_vg vg0
lvcreate -qq -y -n foreign -L 64m vg0 >/dev/null
lvcreate -qq -y -n acme.untagged -L 64m vg0 >/dev/null

pool_up acme vg0 "$(limit 1 GiB 128 MiB)"
pool_up globex vg0 "$(limit 1 GiB 128 MiB)"
# A tenant whose name begins with another's
pool_up acme-2 vg0 "$(limit 1 GiB 128 MiB)"

# The same names in all, and what is written stays apart.
for tenant in acme globex acme-2; do
    vol_create "$tenant" root 256 thin
    vol_create "$tenant" data 64 thick
    printf '%-1048576s' "$tenant" | dd of="/dev/vg0/$tenant.root" bs=1M iflag=fullblock oflag=direct status=none
    printf '%-1048576s' "$tenant" | dd of="/dev/vg0/$tenant.data" bs=1M iflag=fullblock oflag=direct status=none
done
for tenant in acme globex acme-2; do
    eq "$(vols "$tenant")" "data root" "volumes of $tenant"
    eq "$(wrote "$tenant.root")" "$tenant" "what $tenant wrote"
    eq "$(wrote "$tenant.data")" "$tenant" "what $tenant wrote"
    virsh -q pool-refresh "$tenant" >/dev/null
    eq "$(pool_number "$tenant" Allocation)" $((65 * MIB)) "allocation of $tenant"
done

# One tenant's end is nobody else's.
virsh -q vol-delete --pool acme root >/dev/null
virsh -q pool-destroy globex >/dev/null
for lv in foreign acme.untagged acme.data acme._thin acme-2.root acme-2.data; do
    is_active "vg0/$lv" || fail "$lv was deactivated with globex"
done
for lv in globex.root globex.data globex._thin; do
    ! is_active "vg0/$lv" || fail "$lv is still active"
done
eq "$(vols acme-2)" "data root" "volumes of a tenant that did nothing"
virsh -q pool-start globex >/dev/null
eq "$(wrote globex.root)" globex "what globex wrote"

# An LV that carries the tenant's name but not its tag is not the tenant's.
expect_fail "already exists" vol_create acme untagged 4 thick
lvs vg0/acme.untagged >/dev/null
eq "$(vols acme)" data "volumes of acme"
eq "$(pool_number acme Allocation)" $((64 * MIB)) "allocation after a volume that LVM refused"

# A volume in use survives its pool's stop, and so does the ledger.
exec 9</dev/vg0/globex.root
virsh -q pool-destroy globex >/dev/null
is_active vg0/globex.root || fail "a volume in use was deactivated"
! is_active vg0/globex.data || fail "a volume that is not in use is active"
[ -e /run/quota-lvm/vg0/globex ] || fail "the ledger went away under a volume in use"
exec 9<&-
virsh -q pool-start globex >/dev/null

# An LV that vanishes: from device-mapper, from LVM, and while the pool looks.
vol_create acme-2 gone 64 thin
dmsetup remove vg0-acme--2.root
virsh -q pool-refresh acme-2 >/dev/null
eq "$(vols acme-2)" "data gone root" "volumes after one vanished from device-mapper"
eq "$(vol_number acme-2 root Allocation)" 0 "allocation that nobody can tell"
lvremove -qq -y vg0/acme-2.gone
virsh -q vol-info --pool acme-2 gone >/dev/null
virsh -q vol-delete --pool acme-2 gone >/dev/null
eq "$(vols acme-2)" "data root" "volumes after one vanished from LVM"

# The name came back as another LV meanwhile: not the one that was meant.
vol_create acme-2 swap 64 thin
lvremove -qq -y vg0/acme-2.swap
lvcreate -qq -y -n acme-2.swap -L 4m --addtag quota-lvm:tenant=acme-2 vg0 >/dev/null
expect_fail "is gone: run pool-refresh" virsh vol-resize --pool acme-2 swap 128MiB
virsh -q pool-refresh acme-2 >/dev/null
eq "$(vol_number acme-2 swap Capacity)" $((4 * MIB)) "the LV that has the name now"

# Renamed: under the old name it is gone, under the new one it is the same volume; and
# by a name that is no volume's it is charged, but not shown.
key=$(virsh -q vol-key --pool acme-2 swap)
lvrename -qq vg0 acme-2.swap acme-2.moved
expect_fail "is gone: run pool-refresh" virsh vol-resize --pool acme-2 swap 128MiB
virsh -q pool-refresh acme-2 >/dev/null
eq "$(vols acme-2)" "data moved root" "volumes after one was renamed"
eq "$(virsh -q vol-key --pool acme-2 moved)" "$key" "key of a renamed volume"
used=$(pool_number acme-2 Allocation)
lvrename -qq vg0 acme-2.moved elsewhere
virsh -q pool-refresh acme-2 >/dev/null
eq "$(vols acme-2)" "data root" "volumes after one was renamed to no volume's name"
eq "$(pool_number acme-2 Allocation)" "$used" "charged for it all the same"
lvremove -qq -y vg0/elsewhere

eq "$(virsh -q pool-list --name | sort | xargs)" "acme acme-2 globex" "active pools"
