#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Something of a volume group is missing, broken, full or held by somebody else, and a
# pool stops, hangs or says nothing that helps, though it is another tenant's trouble.
. "$(dirname "$0")/../lab.d/lib.sh"
. "$(dirname "$0")/pools.sh"
requires_machine
requires_command virsh quota-lvm thin_check jq

# all is on the first disk but a volume of globex
fresh_vg vg0
pool_up acme vg0 "$(limit 1 GiB 64 MiB)"
pool_up globex vg0 "$(limit 1 GiB 64 MiB)"
vol_create acme root 64 thin
vol_create acme data 16 thick
vol_create globex root 64 thin
vol_create globex near 16 thick
vol_create globex far 16 thick
second=$(readlink -f "$(scratch_disk 2)")
wipefs -qa "$second"
vgextend -qq vg0 "$second"
cleanup_fn pvremove -qq -ff -y "$second"
pvmove -qq -n globex.far "$(readlink -f "$(scratch_disk 1)")" "$second"

are_active() { # POOL...
    local pool
    for pool; do
        eq "$(virsh -q pool-list --name | grep -x "$pool" || true)" "$pool" "active pools"
    done
}
finds() { # KINDS: that quota-lvm check finds, and no others
    eq "$( (quota-lvm check --json || true) | jq -r '.[].findings[].kind' | sort -u | paste -sd,)" \
        "$1" "findings of check"
}
finds ""

# ---- a physical volume is missing: LVM is not to look at the second disk ---------
local_conf=/etc/lvm/lvmlocal.conf
[ ! -e $local_conf ] || mv $local_conf $local_conf.real
cleanup_fn eval "rm -f $local_conf; [ ! -e $local_conf.real ] || mv $local_conf.real $local_conf"
echo "devices { global_filter = [ \"r|^$second\$|\" ] }" >$local_conf
eq "$(vgs --noheadings -o vg_missing_pv_count vg0 2>/dev/null | xargs)" 1 "missing devices"
systemctl restart libvirtd
are_active acme globex
finds device-missing
virsh -q "pool-refresh acme; pool-refresh globex" >/dev/null
eq "$(vols globex)" "far near root" "volumes while a device is missing"
# LVM changes nothing in such a group; it is LVM's own reason that is given
expect_fail "missing" virsh -q vol-create-as acme more 16MiB
finds device-missing
eq "$(pool_number acme Allocation)" $((16 * MIB)) "allocation after a refusal"
# what is whole comes up, after a stop as well
for pool in acme globex; do
    virsh -q pool-destroy $pool >/dev/null
    virsh -q pool-start $pool >/dev/null
done
is_active vg0/acme.root
is_active vg0/globex.near
! is_active vg0/globex.far || fail "a volume is active without its device"
rm $local_conf
virsh -q "pool-refresh globex; pool-destroy globex; pool-start globex" >/dev/null
is_active vg0/globex.far
finds ""

# ---- LVM's devices file lacks the second disk, then all of the group -------------
echo 'devices { use_devicesfile = 1 devicesfile = "lab.devices" }' >$local_conf
cleanup_fn rm -f /etc/lvm/devices/lab.devices
lvm lvmdevices -qq -y --adddev "$(readlink -f "$(scratch_disk 1)")" >/dev/null
systemctl restart libvirtd
are_active acme globex
finds device-missing
eq "$(vols globex)" "far near root" "volumes while a device is not in the devices file"
lvm lvmdevices -qq -y --adddev "$second" >/dev/null
systemctl restart libvirtd
finds ""
virsh -q "pool-destroy acme; pool-destroy globex" >/dev/null
lvm lvmdevices -qq -y --deldev "$second" >/dev/null
lvm lvmdevices -qq -y --deldev "$(readlink -f "$(scratch_disk 1)")" >/dev/null
systemctl restart libvirtd
expect_fail "volume group 'vg0' does not exist" virsh -q pool-start acme
rm $local_conf
virsh -q "pool-start acme; pool-start globex" >/dev/null
are_active acme globex
finds ""

# ---- LVM's own lock is held by somebody else --------------------------------------
touch "$TEST_TMP/hold"
flock /run/lock/lvm/V_vg0 sh -c "touch '$TEST_TMP/held'
    while [ -e '$TEST_TMP/hold' ]; do sleep 0.1; done" &
holder=$!
wait_for 10 "LVM's lock" test -e "$TEST_TMP/held"
# A look does not wait for it.
timeout "$(hang_limit 60)" virsh -q "pool-refresh acme; vol-list acme; pool-info acme" >/dev/null ||
    fail "a look waited for LVM's lock"
virsh -q vol-create-as acme more 16MiB >/dev/null &
creator=$!
sleep 2
kill -0 $creator || fail "a volume was made while LVM was locked"
rm "$TEST_TMP/hold"
wait $holder
wait $creator
virsh -q vol-delete --pool acme more >/dev/null

# ---- no more room for metadata ------------------------------------------------------
filler=0
fill() { # TAGS: so many more of 900 bytes, if there is room for all of them
    local tags=() i
    for ((i = 0; i < $1; i++)); do
        tags+=(--addtag "$(printf 'filler%04d%0900d' $((filler + i)) 0)")
    done
    vgchange -qq "${tags[@]}" vg0 >/dev/null 2>&1 || return
    filler=$((filler + $1))
}
for step in 100 20 4 1; do
    while fill $step; do :; done
done
at_least $filler 100 "tags in the group's metadata"
expect_fail "metadata" bash -c 'for i in $(seq 10); do virsh -q vol-create-as acme small$i 4MiB --allocation 0 || exit; done'
are_active acme globex
virsh -q pool-refresh acme >/dev/null
finds ""
# shellcheck disable=SC2046  # words
vgchange -qq $(vgs --noheadings -o vg_tags vg0 | tr -d ' ' | tr , '\n' |
    sed -n '1,200s/^filler/--deltag &/p') vg0 >/dev/null
virsh -q vol-create-as acme more 4MiB >/dev/null
for volume in $(vols acme); do
    [[ $volume != small* && $volume != more ]] || virsh -q vol-delete --pool acme "$volume" >/dev/null
done
finds ""

# ---- a thin pool that needs repair -----------------------------------------------------
virsh -q pool-destroy acme >/dev/null
read -r device start _ <<<"$(lvs -a --noheadings -o seg_pe_ranges 'vg0/acme._thin_tmeta' | tr ':-' '  ')"
at=$((start * 4 * MIB + $(pvs --noheadings --nosuffix --units b -o pe_start "$device")))
dd if="$device" of="$TEST_TMP/superblock" bs=4096 count=1 skip=$((at / 4096)) iflag=direct status=none
dd if=/dev/urandom of="$device" bs=4096 count=1 seek=$((at / 4096)) oflag=direct status=none
expect_fail "[Cc]heck of pool vg0/acme._thin failed" virsh -q pool-start acme
are_active globex
virsh -q "pool-refresh globex" >/dev/null
vol_create globex more 64 thin
virsh -q vol-delete --pool globex more >/dev/null
dd if="$TEST_TMP/superblock" of="$device" bs=4096 count=1 seek=$((at / 4096)) oflag=direct status=none
virsh -q pool-start acme >/dev/null
is_active vg0/acme.root
finds ""

# ---- exported ------------------------------------------------------------------------------
virsh -q "pool-destroy acme; pool-destroy globex" >/dev/null
vgchange -qq -an vg0 >/dev/null
vgexport -qq vg0
expect_fail "volume group 'vg0' is exported: run vgimport first" virsh -q pool-start acme
vgimport -qq vg0
virsh -q "pool-start acme; pool-start globex" >/dev/null
are_active acme globex
finds ""
