#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A guest's QEMU that runs as root, confined by AppArmor as on Debian, gets at another
# tenant's volume or ledger, or at what the host keeps for itself; or it is kept from
# what is its own.
. "$(dirname "$0")/../lab.d/lib.sh"
. "$(dirname "$0")/../libvirt-backend/pools.sh"
requires_machine
requires_command virsh aa-exec python3

# as_guest COMMAND: as the guest's QEMU would do it: with its profile, which lets it run
# cat and dd, too.
as_guest() {
    aa-exec -p "$profile" -- "$@"
}

# What Debian denies QEMU for every block device, and QEMU does without, is left out.
denials() {
    dmesg | grep 'apparmor="DENIED"' |
        grep -E 'profile="(libvirtd|virt-aa-helper|libvirt-)' |
        grep -vE 'name="/sys/devices/virtual/block/[^"]*/queue/zoned"|capname="sys_rawio"' || true
}

fresh_vg vg0
for tenant in acme other; do
    pool_up "$tenant" vg0 "$(limit 256 MiB 64 MiB)"
    vol_create "$tenant" data 128 thin
done
vol_create acme plugged 64 thick
vol_create other thick 16 thick
cleanup_fn virsh -q undefine acme-vm
cleanup_fn virsh -q destroy acme-vm
dmesg -C

cat >"$TEST_TMP/guest.py" <<'PYTHON'
import sys
sys.path.insert(0, sys.argv[1])
from hosts import Guest, run
guest = Guest("acme-vm", [("acme", "data")])
guest.start()
line, = guest.run("blk write /dev/vda offset=0 length=32M bs=64K seed=1")
if line["errors"] != "0":
    sys.exit(f"errors of the guest's own writes: {line['errors']}")
PYTHON
python3 "$TEST_TMP/guest.py" "$(dirname "$0")/../demo"
cat >"$TEST_TMP/plugged.xml" <<'XML'
<disk type='volume' device='disk'>
  <driver name='qemu' type='raw' cache='none'/>
  <source pool='acme' volume='plugged'/>
  <target dev='vdb' bus='virtio'/>
</disk>
XML
virsh -q attach-device acme-vm "$TEST_TMP/plugged.xml" --live

pid=$(cat /run/libvirt/qemu/acme-vm.pid)
profile=libvirt-$(virsh -q domuuid acme-vm | xargs)
eq "$(cat "/proc/$(pidof libvirtd)/attr/current")" "libvirtd (enforce)" "profile of libvirtd"
eq "$(cat "/proc/$pid/attr/current")" "$profile (enforce)" "profile of QEMU"
eq "$(awk '/^Uid:/ { print $2 }' "/proc/$pid/status")" 0 "user of QEMU"
eq "$(denials)" "" "what AppArmor denied to whom did nothing wrong"
for volume in data plugged; do
    as_guest dd "if=/dev/vg0/acme.$volume" of=/dev/null bs=64k count=1 status=none
done

[ -S /run/quota-lvm/.ledgerd ] || fail "no socket of quota-ledgerd"
for path in /dev/vg0/other.data /dev/vg0/other.thick /dev/mapper/control \
    "$(readlink -f "$(scratch_disk 1)")" /run/quota-lvm/vg0/other \
    /run/quota-lvm/.vg0.lock /run/quota-lvm/.ledgerd; do
    expect_fail 'Permission denied' as_guest dd "if=$path" of=/dev/null bs=512 count=1
    expect_fail 'Permission denied' as_guest dd if=/dev/zero "of=$path" bs=512 count=1 conv=notrunc
    echo "denied: $path"
done
