#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Hazard: a guest that virt-install or virt-clone has made uses its volumes past the
# filter, or uses other volumes than those it was given.
. "$(dirname "$0")/../lab.d/lib.sh"
. "$(dirname "$0")/../libvirt-backend/pools.sh"
. "$(dirname "$0")/patched.sh"
requires_machine
requires_command virsh virt-install virt-clone jq

# install NAME DISK...: a guest with these disks, and it runs.
install() {
    local name=$1 disks=() disk
    shift
    for disk in "$@"; do
        disks+=(--disk "$disk,bus=virtio")
    done
    cleanup_fn virsh -q undefine "$name"
    cleanup_fn virsh -q destroy "$name"
    virt-install --quiet --connect qemu:///system --virt-type qemu --name "$name" \
        --memory 64 --osinfo generic --import --graphics none --network none \
        --controller usb,model=none --memballoon none --noautoconsole \
        "${disks[@]}" >"$TEST_TMP/said" 2>&1 || fail "$(cat "$TEST_TMP/said")"
}

# filtered GUEST: tenant and volume of each of its filters.
filtered() {
    virsh -q qemu-monitor-command "$1" '{"execute":"query-block-quota"}' |
        jq -r '.return[] | "\(.tenant)/\(.volume)"' | sort | xargs
}

# sources GUEST: what its disks stand on.
sources() { virsh -q domblklist "$1" --details | awk '{print $1, $4}' | sort | xargs; }

fresh_vg vg0
# Who comes first is not whose volume it is: they share a directory.
pool_up a-first vg0 "$(limit 512 MiB 64 MiB)"
# (A copy is written at full speed past the filter: it needs a step that is large enough.)
pool_up acme vg0 "$(limit 1 GiB 256 MiB)"
vol_create acme disk0 64 thin
vol_create acme disk1 64 thick

# As Debian has it: a volume that is named as such.
install plain source.pool=acme,source.volume=disk0 source.pool=acme,source.volume=disk1
eq "$(filtered plain)" "acme/disk0 acme/disk1" "filters"
virsh -q destroy plain
virsh -q undefine plain

# With our patches, in every way that there is.
patch_virt_manager
install web vol=acme/disk0 path=/dev/vg0/acme.disk1 \
    pool=acme,size=0.0625 pool=acme,size=0.0625,sparse=no path=/dev/vg0/acme.log,size=0.0625
eq "$(vols acme)" "disk0 disk1 log web web-1" "volumes"
eq "$(filtered web)" "acme/disk0 acme/disk1 acme/log acme/web acme/web-1" "filters"
eq "$(sources web)" "volume disk0 volume disk1 volume log volume web volume web-1" "disks"
eq "$(vol_number acme web Allocation)" 0 "allocation of a sparse volume"
eq "$(vol_number acme web-1 Allocation)" $((64 * MIB)) "allocation of one that is not"
virsh -q destroy web

# Copies get volumes of their own in the same pool, by names that are free.
virt-clone --quiet --connect qemu:///system --original web --name web-2 --auto-clone \
    >"$TEST_TMP/said" 2>&1 || fail "$(cat "$TEST_TMP/said")"
cleanup_fn virsh -q undefine web-2
cleanup_fn virsh -q destroy web-2
eq "$(vols acme)" "disk0 disk0-clone disk1 disk1-clone log log-clone web web-1 web-1-clone web-2" "volumes"
eq "$(vols a-first)" "" "volumes of another tenant"
virsh -q start web-2
eq "$(filtered web-2)" "acme/disk0-clone acme/disk1-clone acme/log-clone acme/web-1-clone acme/web-2" "filters"
virsh -q destroy web-2
