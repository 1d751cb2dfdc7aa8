#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Hazard: while a volume is copied, what it grew by is zeroed, or one in use is waited
# for, nobody can get at the pool, or tell how far the copy is; or another tenant does
# not grow; or somebody gets at what is worked on.
. "$(dirname "$0")/../lab.d/lib.sh"
. "$(dirname "$0")/pools.sh"
requires_machine
requires_command virsh lvs quota-lvm python3

SIZE=$((1536 * MIB))
fresh_vg vg0
pool_up acme vg0 "$(limit 4 GiB 64 MiB)"
vol_create acme image $((SIZE / MIB)) thick
dd if=/dev/urandom of=/dev/vg0/acme.image bs=1M count=4 oflag=direct status=none

virsh -q vol-clone --pool acme image copy >/dev/null &
clone=$!
wait_for 60 "the copy to begin" virsh -q vol-info --pool acme copy
expect_fail "in use" virsh vol-delete --pool acme image
expect_fail "still being" virsh vol-delete --pool acme copy
# one virsh for all looks: each says how much is there
looks=
for ((i = 0; i < 200; i++)); do
    looks+="vol-info --bytes --pool acme copy;"
done
virsh -q "$looks" | sed -n 's/^Allocation: *\([0-9]*\).*/\1/p' >"$TEST_TMP/seen"
wait $clone

# those in between; the whole size stands before the first and after the last
uniq "$TEST_TMP/seen" | grep -vx $SIZE >"$TEST_TMP/between" || true
at_least "$(wc -l <"$TEST_TMP/between")" 3 "different looks at a copy under way"
sort -nc "$TEST_TMP/between" || fail "a copy goes back: $(paste -sd' ' "$TEST_TMP/between")"
eq "$(vol_number acme copy Allocation)" $SIZE "allocation when all is copied"
cmp /dev/vg0/acme.image /dev/vg0/acme.copy

guest() { # NAME: paused, with the volume as its disk
    cat >"$TEST_TMP/guest.xml" <<XML
<domain type='qemu'>
  <name>$1</name>
  <memory unit='MiB'>64</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
    <disk type='volume' device='disk'>
      <driver name='qemu' type='raw' cache='none'/>
      <source pool='acme' volume='small'/>
      <target dev='vda' bus='virtio'/>
    </disk>
  </devices>
</domain>
XML
    virsh -q create --paused "$TEST_TMP/guest.xml"
}

# Zeroing takes as long as the device does: here, until it is resumed.
tool=$(command -v lvextend)
mv "$tool" "$tool.real"
cleanup_fn mv "$tool.real" "$tool"
cat >"$tool" <<SH
#!/bin/sh
lvm lvextend "\$@" && dmsetup suspend vg0-acme.small && touch $TEST_TMP/grown
SH
chmod +x "$tool"
vol_create acme small 16 thick
guest running >/dev/null
cleanup_fn virsh -q destroy running
cleanup_fn dmsetup resume vg0-acme.small
virsh -q vol-resize --pool acme small 32MiB >/dev/null &
resize=$!
wait_for 60 "the volume to grow" test -e "$TEST_TMP/grown"
matches "$(timeout "$(hang_limit 20)" virsh -q vol-list acme)" "small" "volumes while one is zeroed"
eq "$(timeout "$(hang_limit 20)" virsh -q vol-info --bytes --pool acme small | sed -n 's/^Capacity: *\([0-9]*\).*/\1/p')" \
    $((32 * MIB)) "capacity while it is zeroed"
for verb in "vol-delete --pool acme" "vol-wipe --pool acme" "vol-clone --pool acme --newname other" \
    "vol-download --pool acme --file $TEST_TMP/old --vol" "vol-resize --pool acme --capacity 48MiB --vol"; do
    # shellcheck disable=SC2086  # words
    expect_fail "still being allocated" timeout "$(hang_limit 20)" virsh $verb small
done
zeroing="'small' of tenant 'acme' is still being overwritten with zeroes"
expect_fail "$zeroing" guest early
expect_fail "$zeroing" timeout "$(hang_limit 60)" virsh blockresize running vda --capacity
expect_fail "asynchronous jobs" timeout "$(hang_limit 20)" virsh pool-destroy acme
kill -0 $resize || fail "the resize did not wait"
dmsetup resume vg0-acme.small
wait $resize
cmp -n $((32 * MIB)) /dev/vg0/acme.small /dev/zero
virsh -q blockresize running vda --capacity
eq "$(virsh -q domblkinfo running vda | sed -n 's/^Capacity: *//p')" $((32 * MIB)) "size that the guest sees"
virsh -q destroy running >/dev/null
guest early >/dev/null
virsh -q destroy early >/dev/null
virsh -q vol-delete --pool acme small >/dev/null
quota-lvm check acme

# Zeroes before it is deleted, which virsh has no flag for
vol_create acme zeroed 16 thick
dmsetup suspend vg0-acme.zeroed
cleanup_fn dmsetup resume vg0-acme.zeroed
python3 -c 'import libvirt
pool = libvirt.open().storagePoolLookupByName("acme")
pool.storageVolLookupByName("zeroed").delete(libvirt.VIR_STORAGE_VOL_DELETE_ZEROED)' &
zeroing=$!
wait_for 30 "it to be zeroed" sh -c \
    'test "$(dmsetup info -c --noheadings -o open vg0-acme.zeroed)" -gt 0'
timeout "$(hang_limit 20)" virsh -q pool-list >/dev/null
expect_fail "still (being allocated|in use)" timeout "$(hang_limit 20)" virsh vol-delete --pool acme zeroed
kill -0 $zeroing || fail "the deletion did not wait"
dmsetup resume vg0-acme.zeroed
wait $zeroing
expect_fail "no storage vol" virsh vol-info --pool acme zeroed

# A volume in use is waited for with nothing locked, however often its tenant asks.
pool_up globex vg0 "$(limit 1 GiB 16 MiB)"
vol_create globex root 1000 thin
vol_create acme held 16 thick
head -c 128M /dev/zero | tr '\0' x >"$TEST_TMP/data"
part=0
beside() { # NAME: milliseconds of eight growths of the other tenant, and of an answer
    local began=${EPOCHREALTIME/./} answered
    virsh -q vol-upload --pool globex --offset $((part * 128 * MIB)) root "$TEST_TMP/data" >/dev/null
    part=$((part + 1))
    grown=$(((${EPOCHREALTIME/./} - began) / 1000))
    longest=0
    for ((i = 0; i < 5; i++)); do
        began=${EPOCHREALTIME/./}
        virsh -q pool-list >/dev/null
        answered=$(((${EPOCHREALTIME/./} - began) / 1000))
        [ "$answered" -le "$longest" ] || longest=$answered
    done
    echo "$1: eight growths $grown ms, the longest of five answers $longest ms"
}
beside "quiet"
quiet=$grown answer=$longest
exec 8</dev/vg0/acme.held
touch "$TEST_TMP/deleting"
while [ -e "$TEST_TMP/deleting" ]; do
    expect_fail "in use" virsh vol-delete --pool acme held
done &
deleting=$!
beside "beside vol-delete of a volume in use"
rm "$TEST_TMP/deleting"
wait $deleting || fail "vol-delete of a volume in use"
at_most "$longest" $((answer * 2 + 1500)) "pool-list beside it (ms)"
at_most "$grown" $((quiet * 2 + 2000)) "growths beside it (ms)"
exec 8<&-
virsh -q vol-delete --pool acme held >/dev/null
wait_for 20 "all to be well" quota-lvm check
