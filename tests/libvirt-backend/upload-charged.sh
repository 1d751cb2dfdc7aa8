#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Hazard: what libvirtd itself writes to a thin volume passes the limit, fails below
# it, is said to be there and is not, or ends libvirtd.
. "$(dirname "$0")/../lab.d/lib.sh"
. "$(dirname "$0")/pools.sh"
requires_machine
requires_command virsh lvs dmsetup

fresh_vg vg0
pool_up acme vg0 "$(limit 64 MiB 16 MiB)"
vol_create acme root 128 thin
libvirtd=$(pidof libvirtd)
disk=/dev/vg0/acme.root
used() {
    dmsetup status --noflush vg0-acme._thin-tpool | awk '{ split($6, a, "/"); print a[1] * 65536 }'
}

# A size in the ledger, which the tenant's QEMU may write: no buffer has it.
cc_with_common "$TEST_TMP/ledgerctl" "$(dirname "$0")/../qemu-block-quota/ledgerctl.c"
head -c 3M /dev/urandom >"$TEST_TMP/data"
for chunk in 65537 0 1PiB 4096; do
    "$TEST_TMP/ledgerctl" /run/quota-lvm vg0 acme set "chunk=$chunk" >/dev/null
    virsh -q vol-upload --pool acme root "$TEST_TMP/data" --offset $((64 << 20)) >/dev/null
    cmp -n $((3 << 20)) -i 0:$((64 << 20)) "$TEST_TMP/data" $disk
    eq "$(pidof libvirtd)" "$libvirtd" "libvirtd, after a ledger with chunks of $chunk"
done
virsh -q vol-wipe --pool acme root >/dev/null
virsh -q pool-refresh acme >/dev/null

# Through three growths of the pool.
head -c 48M /dev/urandom >"$TEST_TMP/data"
virsh -q vol-upload --pool acme root "$TEST_TMP/data" >/dev/null
cmp -n $((48 << 20)) "$TEST_TMP/data" $disk
eq "$(used)" $((48 << 20)) "used after an upload"
at_least "$(lvs --noheadings --units b --nosuffix -o lv_size vg0/acme._thin | xargs)" \
    $((48 << 20)) grant
eq "$(pool_number acme Allocation)" $((48 << 20)) "allocation after an upload"

# Past the limit: an error that says so, as much as fits, and libvirtd lives on.
head -c 32M /dev/urandom >"$TEST_TMP/more"
expect_fail "tenant 'acme' has reached its limit of 64.00 MiB in volume group 'vg0', volume 'root' needs" \
    virsh vol-upload --pool acme root "$TEST_TMP/more" --offset $((64 << 20))
at_most "$(used)" $((64 << 20)) "used at the limit"
at_least "$(used)" $((60 << 20)) "used at the limit"
cmp -n $((12 << 20)) -i 0:$((64 << 20)) "$TEST_TMP/more" $disk
eq "$(pidof libvirtd)" "$libvirtd" "libvirtd, after an upload that failed"

# What holds data can be written at the limit.
head -c 8M /dev/urandom >"$TEST_TMP/again"
virsh -q vol-upload --pool acme root "$TEST_TMP/again" --offset 4097 >/dev/null
cmp -n $((8 << 20)) -i 0:4097 "$TEST_TMP/again" $disk
cmp -n 4097 "$TEST_TMP/data" $disk

# Zeroes give space back, and what is cut out of a file may be any range.
truncate -s 40M "$TEST_TMP/zeroes"
virsh -q vol-upload --pool acme root "$TEST_TMP/zeroes" --offset $((64 << 20)) >/dev/null
eq "$(used)" $((48 << 20)) "used after zeroes"
virsh -q vol-upload --pool acme root "$TEST_TMP/zeroes" --sparse >/dev/null
eq "$(used)" $((8 << 20)) "used after a hole"

# Longer than the volume, or than the range: told, and libvirtd lives on.
expect_fail "volume 'root' of tenant 'acme' ends after 134217728 bytes" \
    virsh vol-upload --pool acme root "$TEST_TMP/more" --offset $((120 << 20))
expect_fail "cannot write to stream" \
    virsh vol-upload --pool acme root "$TEST_TMP/more" --length 1000001
expect_fail "past the end of volume" \
    virsh vol-upload --pool acme root "$TEST_TMP/more" --offset $((129 << 20))
eq "$(pidof libvirtd)" "$libvirtd" "libvirtd, after uploads that were too long"

# Copies are held to the same limit, and leave nothing behind.
virsh -q vol-wipe --pool acme root >/dev/null
eq "$(used)" 0 "used after a wipe"
virsh -q vol-upload --pool acme root "$TEST_TMP/data" >/dev/null
cat >"$TEST_TMP/dir.xml" <<XML
<pool type='dir'><name>files</name><target><path>$TEST_TMP</path></target></pool>
XML
virsh -q pool-create "$TEST_TMP/dir.xml" >/dev/null
cleanup_fn virsh -q pool-destroy files
echo "<volume><name>copy</name><capacity>1</capacity><allocation>0</allocation></volume>" >"$TEST_TMP/copy.xml"
expect_fail "tenant 'acme' has reached its limit of 64.00 MiB" \
    virsh vol-create-from acme "$TEST_TMP/copy.xml" more --inputpool files
eq "$(vols acme)" root "volumes after a copy that failed"
eq "$(used)" $((48 << 20)) "used after a copy that failed"
virsh -q vol-create-from acme "$TEST_TMP/copy.xml" again --inputpool files >/dev/null
cmp -n $((8 << 20)) "$TEST_TMP/again" /dev/vg0/acme.copy
eq "$(used)" $((56 << 20)) "used after a copy"
