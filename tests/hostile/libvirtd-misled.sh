#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# libvirtd-misled.sh [SECONDS [SEED]]: a QEMU that was taken over writes to its tenant's
# ledger what it likes, while libvirtd uploads, clones, wipes and takes snapshots by it,
# and libvirtd ends, does not answer, or does another tenant's verbs wrongly.
. "$(dirname "$0")/../lab.d/lib.sh"
. "$(dirname "$0")/../libvirt-backend/pools.sh"
requires_machine
requires_command virsh quota-lvm

seconds=${1:-60}
seed=${2:-$RANDOM}
echo "seed $seed"
cc_with_common "$TEST_TMP/hostile" "$(dirname "$0")/hostile.c"
fresh_vg vg0
pool_up acme vg0 "$(limit 512 MiB 16 MiB)"
pool_up globex vg0 "$(limit 512 MiB 16 MiB)"
vol_create acme root 64 thin
vol_create globex root 64 thin
libvirtd=$(pidof libvirtd)
daemon=$(systemctl show -P MainPID quota-lvmd)
head -c 4M /dev/urandom >"$TEST_TMP/data"

# milliseconds, the longest of COUNT
longest_list() { # COUNT
    local i began longest=0 took
    for ((i = 0; i < $1; i++)); do
        began=${EPOCHREALTIME/./}
        virsh -q pool-list >/dev/null
        took=$(((${EPOCHREALTIME/./} - began) / 1000))
        [ "$took" -le "$longest" ] || longest=$took
    done
    echo "$longest"
}
quiet=$(longest_list 20)

"$TEST_TMP/hostile" /run/quota-lvm/vg0/acme all "$seconds" "$seed" >"$TEST_TMP/said" 2>&1 &
hostile=$!
# Whatever comes of it: it is the attacker's own volume.
attacked() {
    while kill -0 $hostile 2>/dev/null; do
        for verb in "vol-upload --pool acme root $TEST_TMP/data" \
            "vol-clone --pool acme root copy" "vol-wipe --pool acme copy" \
            "vol-delete --pool acme copy" \
            "vol-create-as acme snap 64MiB --backing-vol root --allocation 0" \
            "vol-delete --pool acme snap"; do
            # shellcheck disable=SC2086
            virsh -q $verb >>"$TEST_TMP/attacked" 2>&1 || true
            echo "$verb" >>"$TEST_TMP/verbs"
        done
    done
}
attacked &
rounds=0
longest=0
while kill -0 $hostile 2>/dev/null; do
    took=$(longest_list 5)
    [ "$took" -le "$longest" ] || longest=$took
    vol_create globex more 16 thin
    virsh -q vol-upload --pool globex more "$TEST_TMP/data" >/dev/null
    cmp -n $((4 << 20)) "$TEST_TMP/data" /dev/vg0/globex.more
    virsh -q vol-delete --pool globex more >/dev/null
    rounds=$((rounds + 1))
done
wait $hostile || fail "$(cat "$TEST_TMP/said")"
wait
cat "$TEST_TMP/said"
echo "another tenant's verbs: $rounds times; the attacker's: $(wc -l <"$TEST_TMP/verbs");" \
    "pool-list: $longest ms at most, $quiet ms when quiet"
eq "$(pidof libvirtd)" "$libvirtd" "libvirtd"
eq "$(systemctl show -P MainPID quota-lvmd)" "$daemon" "quota-lvmd"
at_least "$rounds" 2 "verbs of another tenant"
at_most "$longest" $((quiet * 4 + 1000)) "pool-list (ms)"

# and all is well when it has ended
virsh -q pool-refresh acme >/dev/null
for left in copy snap; do
    virsh -q vol-delete --pool acme $left >/dev/null 2>&1 || true
done
wait_for 60 "acme's ledger to be right again" quota-lvm check
virsh -q vol-upload --pool acme root "$TEST_TMP/data" >/dev/null
cmp -n $((4 << 20)) "$TEST_TMP/data" /dev/vg0/acme.root
