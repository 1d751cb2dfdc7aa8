#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A tenant reads what another wrote: in a new volume, thick or thin, in what a volume
# has grown by, in one that was being made when libvirtd was killed, or by the rights that
# a volume's XML asks for.
. "$(dirname "$0")/../lab.d/lib.sh"
. "$(dirname "$0")/pools.sh"
requires_machine
requires_command virsh dmsetup python3

# A small group, so that extents come back: 400 MiB of a disk, not from its first
# byte, or LVM would see it twice.
disk=$(readlink -f "$(scratch_disk 1)")
dmsetup create small --table "0 $((400 * 2048)) linear $disk 2048"
cleanup_fn dmsetup remove --force small
wipefs -qa /dev/mapper/small
vgcreate -qq -y vg0 /dev/mapper/small >/dev/null
cleanup_fn rm -rf /run/quota-lvm/vg0
cleanup_fn vgremove -qq -ff -y vg0

# secrets_in DEVICE [FROM-MIB]: how often it has what acme wrote
secrets_in() {
    local found
    found=$(dd if="$1" bs=1M skip="${2:-0}" iflag=direct status=none | grep -aoc ACME-SECRET || true)
    echo "$found"
}
fill() { # DEVICE MIB
    python3 -c 'import sys
while True: sys.stdout.buffer.write(b"ACME-SECRET\n" * 87382)' 2>/dev/null |
        dd of="$1" bs=1M count="$2" iflag=fullblock oflag=direct status=none || true
}

fill_group() { # all that is free
    lvcreate -qq -y -Zn -Wn -l 100%FREE -n control vg0 >/dev/null 2>&1
    fill /dev/vg0/control 400
    sync
    lvremove -qq -y vg0/control
}

pool_up acme vg0 "$(limit 300 MiB 16 MiB)"
pool_up globex vg0 "$(limit 300 MiB 16 MiB)"
vol_create acme thick 160 thick
vol_create acme thin 160 thin
fill /dev/vg0/acme.thick 160
fill /dev/vg0/acme.thin 12
sync
at_least "$(secrets_in /dev/vg0/acme.thick)" 1000 "what acme wrote"
virsh -q vol-delete --pool acme thick >/dev/null

# it is there: raw LVM shows it, so this test can fail
lvcreate -qq -y -Zn -Wn -l 100%FREE -n control vg0 >/dev/null 2>&1
at_least "$(secrets_in /dev/vg0/control)" 1000 "old bytes in the group"
lvremove -qq -y vg0/control

# A device that is everybody's would be read before it is zeroed, and past the filter.
virsh -q vol-create globex /dev/stdin <<XML >/dev/null
<volume><name>open</name><capacity unit='MiB'>16</capacity><target><permissions>
<mode>0666</mode><owner>65534</owner><group>65534</group></permissions></target></volume>
XML
eq "$(stat -L -c '%a %u' /dev/vg0/globex.open)" "660 0" "mode and owner of a volume's device"
! virsh vol-dumpxml --pool globex open | grep -q '<permissions>' ||
    fail "the XML claims permissions that were not applied"
virsh -q vol-delete --pool globex open >/dev/null

vol_create globex new 64 thick
eq "$(secrets_in /dev/vg0/globex.new)" 0 "old bytes in a new thick volume"
virsh -q vol-resize --pool globex new 200MiB >/dev/null
eq "$(secrets_in /dev/vg0/globex.new)" 0 "old bytes in what a thick volume grew by"
# the copy is shorter than what it is copied to
printf '%1000001s' GLOBEX >"$TEST_TMP/short"
virsh -q pool-create-as files dir --target "$TEST_TMP" >/dev/null
cleanup_fn virsh -q pool-destroy files
virsh -q vol-delete --pool globex new >/dev/null
fill_group
virsh -q vol-create-from globex /dev/stdin short --inputpool files <<XML >/dev/null
<volume><name>new</name><capacity unit='MiB'>200</capacity></volume>
XML
cmp -n 1000001 "$TEST_TMP/short" /dev/vg0/globex.new
eq "$(secrets_in /dev/vg0/globex.new)" 0 "old bytes behind a copy"
eq "$(ls /var/lib/libvirt/quota-lvm/vg0)" "" "notes of what is not zeroed"
fill /dev/vg0/globex.new 64
virsh -q vol-resize --pool globex new 32MiB --shrink >/dev/null
virsh -q vol-resize --pool globex new 64MiB >/dev/null
eq "$(secrets_in /dev/vg0/globex.new 32)" 0 "its own old bytes, after it shrank and grew"
at_least "$(secrets_in /dev/vg0/globex.new)" 1000 "what it held on to"
virsh -q vol-delete --pool globex new >/dev/null

# thin: a write of 512 bytes takes a chunk, and the pool grows into old extents
fill_group
vol_create globex thin 128 thin
for ((i = 0; i < 200; i++)); do
    printf x | dd of=/dev/vg0/globex.thin bs=512 seek=$((i * 128 + 5)) conv=sync,notrunc status=none
done
sync
eq "$(secrets_in /dev/vg0/globex.thin)" 0 "old bytes in a thin volume"

# Killed while zeroes are written: the volume is not there afterwards, and what had
# grown has its old size.
vol_create globex keeps 16 thick
fill_group
kill_while() { # COMMAND...
    "$@" >/dev/null 2>&1 &
    wait_for 20 "zeroes to begin" grep -r - /var/lib/libvirt/quota-lvm/vg0
    systemctl kill --kill-whom=main --signal=KILL libvirtd
    wait $! || true
    wait_for 30 "libvirtd to be back" virsh -q pool-refresh globex
}
# slow_down MS: each write takes the disk so much more, so that there is time
slow_down() {
    dmsetup suspend small
    dmsetup load small --table "0 $((400 * 2048)) delay $disk 2048 0 $disk 2048 $1"
    dmsetup resume small
}
slow_down 300
kill_while virsh -q vol-create-as globex killed 64MiB
eq "$(vols globex)" "keeps thin" "volumes after libvirtd was killed"
kill_while virsh -q vol-resize --pool globex keeps 64MiB
eq "$(vol_number globex keeps Capacity)" $((16 * MIB)) "size after libvirtd was killed"
eq "$(ls /var/lib/libvirt/quota-lvm/vg0)" "" "notes after libvirtd was killed"
eq "$(secrets_in /dev/vg0/globex.keeps)" 0 "old bytes after libvirtd was killed"

# A snapshot would keep them.  The time is for a machine that is busy.
slow_down 2000
virsh -q vol-create-as globex slow 32MiB >/dev/null &
wait_for 20 "zeroes to begin" grep -r - /var/lib/libvirt/quota-lvm/vg0
expect_fail "cannot begin with '/dev/vg0/globex.slow' while that is overwritten" \
    virsh vol-create globex /dev/stdin <<XML
<volume><name>early</name><capacity unit='MiB'>32</capacity><allocation unit='MiB'>32</allocation>
<backingStore><path>/dev/vg0/globex.slow</path></backingStore></volume>
XML
wait $!
dmsetup suspend small
dmsetup load small --table "0 $((400 * 2048)) linear $disk 2048"
dmsetup resume small
virsh -q vol-create globex /dev/stdin <<XML >/dev/null
<volume><name>late</name><capacity unit='MiB'>32</capacity><allocation unit='MiB'>16</allocation>
<backingStore><path>/dev/vg0/globex.slow</path></backingStore></volume>
XML
virsh -q vol-delete --pool globex late >/dev/null
# and so would who downloads what a refresh could not take back
lvs --noheadings -o uuid vg0/globex.slow | sed 's/^ */4096 /' >/var/lib/libvirt/quota-lvm/vg0/globex.slow
expect_fail "volume 'slow' is not overwritten with zeroes yet" \
    virsh vol-download --pool globex slow "$TEST_TMP/download"
rm /var/lib/libvirt/quota-lvm/vg0/globex.slow
virsh -q vol-delete --pool globex slow >/dev/null
quota-lvm check
