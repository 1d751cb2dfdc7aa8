#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Growth by quota-lvmd, two libvirtd that make thick volumes, and quota-lvm that adopts
# LVs race for a tenant's last extents, and together get one too many, or leave one,
# while LVM's own commands, which know of no lock of ours, change the group.
. "$(dirname "$0")/../lab.d/lib.sh"
. "$(dirname "$0")/pools.sh"
requires_machine
requires_command virsh quota-lvm jq

LIMIT=$((256 * MIB))
UNIT=16             # MiB, of every one who asks
fresh_vg vg0
pool_up acme vg0 "$(limit 256 MiB $UNIT MiB)"
vol_create acme root 1024 thin
for i in 1 2 3 4; do
    lvcreate -qq -y -Zn -Wn -L ${UNIT}m -n old$i vg0 >/dev/null 2>&1
done

# One libvirtd knows nothing of what the other one has in memory.
mkdir -p "$TEST_TMP"/second/{run,etc,lib}
unshare --mount sh -c '
    mount --bind "$1/run" /run/libvirt && mount --bind "$1/etc" /etc/libvirt &&
        mount --bind "$1/lib" /var/lib/libvirt && exec libvirtd --pid-file "$1/pid"' - "$TEST_TMP/second" \
    >"$TEST_TMP/second/log" 2>&1 &
cleanup_fn kill $!
second="qemu+unix:///system?socket=$TEST_TMP/second/run/libvirt-sock"
wait_for 60 "a second libvirtd" virsh -q -c "$second" uri
virsh -q pool-dumpxml --inactive acme >"$TEST_TMP/acme.xml"
virsh -q -c "$second" "pool-define $TEST_TMP/acme.xml; pool-start acme" >/dev/null

shows() { quota-lvm show acme --json | jq -r ".$1"; }
held() { quota-lvm show acme --json | jq '.thick_bytes + .grant_bytes'; }

# by_virsh NAME [OPTION...]: until the limit refuses one
by_virsh() {
    local n=0
    while virsh -q "${@:2}" vol-create-as acme "$1$n" ${UNIT}MiB >"$TEST_TMP/$1" 2>&1; do
        n=$((n + 1))
    done
    grep -q "is limited to 256.00 MiB" "$TEST_TMP/$1" || return
    echo $n >"$TEST_TMP/$1.got"
}
by_adopting() {
    local i n=0
    for i in 1 2 3 4; do
        if quota-lvm adopt vg0/old$i acme >"$TEST_TMP/adopt" 2>&1; then
            n=$((n + 1))
        else
            grep -q "limit has .* left beside" "$TEST_TMP/adopt" || return
        fi
    done
    echo $n >"$TEST_TMP/adopt.got"
}
# past the filter nobody waits: again and again, while the others run
by_growth() {
    while [ ! -e "$TEST_TMP/done" ]; do
        dd if=/dev/zero of=/dev/vg0/acme.root bs=1M count=300 oflag=direct status=none 2>/dev/null ||
            true
        sleep 0.2
    done
}
# nobody's LVs
by_lvm() {
    local changes=0
    while [ ! -e "$TEST_TMP/done" ]; do
        lvcreate -qq -y -Zn -Wn -L 4m -n other vg0 && lvrename -qq vg0/other vg0/another &&
            lvchange -qq --addtag other vg0/another && lvremove -qq -y vg0/another || return
        changes=$((changes + 4))
    done >/dev/null 2>&1
    echo $changes >"$TEST_TMP/lvm.got"
}

(trap - ERR; by_virsh a) & a=$!
(trap - ERR; by_virsh b -c "$second") & b=$!
(trap - ERR; by_adopting) & c=$!
(trap - ERR; by_growth) & d=$!
(trap - ERR; by_lvm) & e=$!
# check has the group's lock while it looks: no state that others see is over the limit
looks=0
while kill -0 $a 2>/dev/null || kill -0 $b 2>/dev/null || kill -0 $c 2>/dev/null; do
    (quota-lvm check --json || true) | jq -r '.[].findings[].kind' >"$TEST_TMP/found"
    grep -v 'under-count' "$TEST_TMP/found" && fail "found while they race"
    at_most "$(held)" $LIMIT "thick volumes and grant"
    looks=$((looks + 1))
done
wait $a || fail "virsh: $(cat "$TEST_TMP/a")"
wait $b || fail "virsh: $(cat "$TEST_TMP/b")"
wait $c || fail "adopt: $(cat "$TEST_TMP/adopt")"
is_full() { [ "$(held)" = $LIMIT ]; }
wait_for 60 "growth to take what is left" is_full
touch "$TEST_TMP/done"
wait $d || true
wait $e || fail "LVM's own commands failed"
eq "$(held)" $LIMIT "thick volumes and grant in the end"
got="two libvirtd $(cat "$TEST_TMP/a.got") and $(cat "$TEST_TMP/b.got"), adopt $(cat "$TEST_TMP/adopt.got")"
eq "$(shows thick_bytes)" \
    $((($(cat "$TEST_TMP"/a.got) + $(cat "$TEST_TMP"/b.got) + $(cat "$TEST_TMP"/adopt.got)) * UNIT * MIB)) \
    "what those who succeeded have"
sleep 2
quota-lvm check
echo "$got, growth $(($(shows grant_bytes) / MIB / UNIT)) of 16 units; looked $looks times, $(cat "$TEST_TMP/lvm.got") changes by LVM"
