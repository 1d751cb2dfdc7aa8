#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Hazard: what a guest writes after a snapshot was taken under it goes uncounted, a
# snapshot is lost with its origin, or a rollback gives back something else.
. "$(dirname "$0")/../lab.d/lib.sh"
. "$(dirname "$0")/pools.sh"
requires_machine
requires_command cc virsh lvs quota-lvm
export PATH=/opt/quota-lvm/bin:$PATH
requires_command qemu-io

cc_with_common "$TEST_TMP/ledgerctl" "$(dirname "$0")/../qemu-block-quota/ledgerctl.c"
unsampled() {
    "$TEST_TMP/ledgerctl" /run/quota-lvm vg0 acme show | sed -n 's/^unsampled=//p'
}
is_sampled() {
    [ "$(unsampled)" = 0 ]
}

fresh_vg vg0
pool_up acme vg0 "$(limit 256 MiB 64 MiB)"
vol_create acme root 64 thin
vol_create acme data 16 thick
disk=/dev/vg0/acme.root

snapshot() { # NAME ORIGIN MIB [ALLOCATION]
    virsh -q vol-create-as acme "$1" "$3MiB" ${4:+--allocation "$4"} --backing-vol "$2" \
        --backing-vol-format raw >/dev/null
}

# A writer like a guest's disk, which remembers the chunks it was charged for.
mkfifo "$TEST_TMP/commands"
qemu-io -t none --image-opts \
    "driver=quota,ledger=/run/quota-lvm/vg0/acme,tenant=acme,volume=root,file.driver=host_device,file.filename=$disk" \
    <"$TEST_TMP/commands" >"$TEST_TMP/said" 2>&1 &
writer=$!
cleanup_fn kill $writer
exec 8>"$TEST_TMP/commands"
writes=0
wrote() {
    [ "$(grep -c 'wrote 8388608' "$TEST_TMP/said")" = $writes ]
}
write() { # PATTERN
    writes=$((writes + 1))
    echo "write -P $1 0 8M" >&8
    wait_for 60 "write $writes, not: $(cat "$TEST_TMP/said")" wrote
}
write 1
wait_for 20 "a sample" is_sampled
systemctl stop quota-lvmd
cleanup_fn systemctl start quota-lvmd
write 2
at_most "$(unsampled)" $((1 << 20)) "charged for chunks that are charged already"
snapshot kept root 64
write 3
at_least "$(unsampled)" $((8 << 20)) "charged for chunks that the snapshot has kept"
write 4
at_most "$(unsampled)" $((9 << 20)) "charged for them again"
systemctl start quota-lvmd
wait_for 20 "a sample" is_sampled
eq "$(pool_number acme Allocation)" $((32 << 20)) "allocation: both, and the thick volume"
quota-lvm check acme

# In use, there is no rollback.
expect_fail "acme.root is in use: stop the guest" quota-lvm rollback acme kept
exec 8>&-
wait $writer
head -c 8M /dev/zero | tr '\0' '\2' >"$TEST_TMP/second"
cmp -n $((8 << 20)) "$TEST_TMP/second" /dev/vg0/acme.kept
key=$(virsh -q vol-key --pool acme root)
quota-lvm rollback acme kept
cmp -n $((8 << 20)) "$TEST_TMP/second" "$disk"
virsh -q pool-refresh acme >/dev/null
eq "$(vols acme)" "data root" "volumes after a rollback"
eq "$(virsh -q vol-key --pool acme root)" "$key" "key after a rollback"
wait_for 20 "a sample" is_sampled
eq "$(pool_number acme Allocation)" $((24 << 20)) "allocation after a rollback"

# Thick: what is overwritten is copied back.
head -c 16M /dev/urandom >"$TEST_TMP/data"
dd if="$TEST_TMP/data" of=/dev/vg0/acme.data bs=1M oflag=direct status=none
snapshot before data 16 8MiB
dd if=/dev/zero of=/dev/vg0/acme.data bs=1M count=2 oflag=direct status=none
cmp "$TEST_TMP/data" /dev/vg0/acme.before
quota-lvm rollback acme before
merged() {
    [ ! -e /dev/vg0/acme.before ]
}
wait_for 60 "the merge" merged
cmp "$TEST_TMP/data" /dev/vg0/acme.data
virsh -q pool-refresh acme >/dev/null

# Nothing said of its size: its origin's, and room for all of that to change.
for origin in root data; do
    echo "<volume><name>same</name><backingStore><path>/dev/vg0/acme.$origin</path></backingStore></volume>" \
        >"$TEST_TMP/same.xml"
    virsh -q vol-create acme "$TEST_TMP/same.xml" >/dev/null
    eq "$(vol_number acme same Capacity)" "$(vol_number acme $origin Capacity)" \
        "capacity of a snapshot of $origin"
    virsh -q vol-delete --pool acme same >/dev/null
done
expect_fail "volume capacity required|missing capacity" virsh vol-create acme /dev/stdin \
    <<<"<volume><name>same</name></volume>"

# What is none.
virsh -q vol-clone --pool acme root copy >/dev/null
expect_fail "'copy' of tenant acme is not a snapshot" quota-lvm rollback acme copy
expect_fail "'data' of tenant acme is not a snapshot" quota-lvm rollback acme data
expect_fail "has no volume 'nothing'" quota-lvm rollback acme nothing

# The origin goes, its snapshots stay; or go with it, but no clone does.
snapshot one root 64
snapshot two one 64
virsh -q vol-delete --pool acme one >/dev/null
eq "$(vols acme)" "copy data root two" "volumes without the snapshot between"
cmp -n $((8 << 20)) "$TEST_TMP/second" /dev/vg0/acme.two
snapshot three root 64
virsh -q vol-delete --pool acme root --delete-snapshots >/dev/null
eq "$(vols acme)" "copy data two" "volumes without the origin and its snapshot"
cmp -n $((8 << 20)) "$TEST_TMP/second" /dev/vg0/acme.copy
virsh -q pool-refresh acme >/dev/null
eq "$(vols acme)" "copy data two" "the same, as LVM says"
