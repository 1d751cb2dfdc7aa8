#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Hazard: a copy of an encrypted volume, or an encrypted copy, does not open with its
# own secret or holds something else; one that cannot be made leaves something; or
# nobody gets at the pool while a key is made.
. "$(dirname "$0")/../lab.d/lib.sh"
. "$(dirname "$0")/pools.sh"
requires_machine
requires_command virsh cryptsetup lvs quota-lvm qemu-img

fresh_vg vg0
pool_up acme vg0 "$(limit 1 GiB 64 MiB)"

declare -A secrets=([one]=8f2b1d0a-5d5a-4c43-9a3c-0c8c5f4b8c13
    [two]=8f2b1d0a-5d5a-4c43-9a3c-0c8c5f4b8c14 [none]=8f2b1d0a-5d5a-4c43-9a3c-0c8c5f4b8c15)
for name in one two none; do
    echo "<secret ephemeral='yes' private='no'><uuid>${secrets[$name]}</uuid><usage type='volume'><volume>$name</volume></usage></secret>" >"$TEST_TMP/secret.xml"
    printf %s "key-$name" >"$TEST_TMP/key-$name"
    virsh -q secret-define "$TEST_TMP/secret.xml" >/dev/null
    cleanup_fn virsh -q secret-undefine "${secrets[$name]}"
    [ $name = none ] ||
        virsh -q secret-set-value "${secrets[$name]}" --file "$TEST_TMP/key-$name" --plain >/dev/null
done

# volume NAME SECRET|plain thin|thick: a file with its XML
volume() {
    local allocation='' encryption=''
    [ "$3" = thick ] || allocation='<allocation>0</allocation>'
    [ "$2" = plain ] ||
        encryption="<encryption format='luks'><secret type='passphrase' uuid='${secrets[$2]}'/></encryption>"
    echo "<volume><name>$1</name><capacity unit='MiB'>12</capacity>$allocation<target>$encryption</target></volume>" \
        >"$TEST_TMP/volume.xml"
    echo "$TEST_TMP/volume.xml"
}
make() { # NAME SECRET|plain thin|thick
    virsh -q vol-create acme "$(volume "$@")" >/dev/null
}
copy() { # FROM NAME SECRET|plain thin|thick
    local from=$1
    shift
    virsh -q vol-create-from acme "$(volume "$@")" "$from" --inputpool acme >/dev/null
}
holds_data() { # NAME SECRET|plain
    local device=/dev/vg0/acme.$1
    if [ "$2" != plain ]; then
        ! cmp -s -n $((1 << 20)) "$TEST_TMP/data" "$device" || fail "$1 is not encrypted"
        matches "$(virsh vol-dumpxml --pool acme "$1")" "uuid='${secrets[$2]}'" "secret of $1"
        cryptsetup open --readonly --key-file "$TEST_TMP/key-$2" "$device" opened ||
            fail "$1 does not open with its secret"
        device=/dev/mapper/opened
    fi
    cmp -n $((12 << 20)) "$TEST_TMP/data" "$device" || fail "$1 holds something else"
    [ "$2" = plain ] || cryptsetup close opened
    at_least "$(vol_number acme "$1" Capacity)" $((12 << 20)) "capacity of $1"
}

head -c 12M /dev/urandom >"$TEST_TMP/data"
make plain plain thick
virsh -q vol-upload --pool acme plain "$TEST_TMP/data" >/dev/null

copy plain one-thin one thin
holds_data one-thin one
copy plain one-thick one thick
holds_data one-thick one
copy one-thin one-again one thick   # with its header
holds_data one-again one
copy one-thick two two thin         # another secret
holds_data two two
copy two plain-again plain thin
holds_data plain-again plain

# What somebody has uploaded over the header is copied like anything else.
copy one-thick spoilt one thick
virsh -q vol-upload --pool acme spoilt "$TEST_TMP/data" >/dev/null
copy spoilt spoilt-again one thick
cmp -n $((12 << 20)) "$TEST_TMP/data" /dev/vg0/acme.spoilt-again
eq "$(vol_number acme spoilt-again Capacity)" "$(vol_number acme spoilt Capacity)" \
    "capacity of a copy without a header"
virsh -q "vol-delete --pool acme spoilt; vol-delete --pool acme spoilt-again" >/dev/null
quota-lvm check acme >/dev/null

# A secret without a value: found when the header is to be written.
before=$(lvs --noheadings -o lv_name,lv_tags vg0)
used=$(pool_number acme Allocation)
for kind in thin thick; do
    expect_fail "none|[Ss]ecret" make never none $kind
    expect_fail "none|[Ss]ecret" copy plain never none $kind
    expect_fail "none|[Ss]ecret" copy one-thin never none $kind
done
eq "$(lvs --noheadings -o lv_name,lv_tags vg0)" "$before" "LVs after what could not be made"
eq "$(pool_number acme Allocation)" "$used" "bytes charged after what could not be made"
matches " $(vols acme) " "^ one-again one-thick one-thin plain plain-again two $" "volumes"

# A key takes as long as it takes: here, until somebody says so.
tool=$(command -v qemu-img)
cp "$tool" "$TEST_TMP/qemu-img.real"
cat >"$TEST_TMP/qemu-img" <<SH
#!/bin/sh
[ "\$1" != create ] || { touch $TEST_TMP/begun; while [ -e $TEST_TMP/begun ]; do sleep 0.1; done; }
exec $TEST_TMP/qemu-img.real "\$@"
SH
chmod +x "$TEST_TMP/qemu-img"
mount --bind "$TEST_TMP/qemu-img" "$tool"
cleanup_fn umount "$tool"
make slow one thick &
wait_for 60 "qemu-img to begin" test -e "$TEST_TMP/begun"
matches "$(timeout "$(hang_limit 20)" virsh -q vol-list acme)" "slow" "volumes while a key is made"
expect_fail "in use|being allocated|building|still being" virsh vol-delete --pool acme slow
rm "$TEST_TMP/begun"
wait $!
cryptsetup open --test-passphrase /dev/vg0/acme.slow --key-file "$TEST_TMP/key-one" ||
    fail "the slow one does not open with its secret"
quota-lvm check acme >/dev/null
