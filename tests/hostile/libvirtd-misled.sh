#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# libvirtd-misled.sh [SECONDS [SEED]]: a QEMU that was taken over writes to its tenant's
# ledger what it likes, while libvirtd uploads, clones, wipes and takes snapshots by it,
# and libvirtd ends, does not answer, or does another tenant's verbs wrongly; or honest
# guests, of the same tenant and of another, end or lose data; or a limit, the log or
# memory has no bound.  What is slow is held against the same verbs beside an honest QEMU.
. "$(dirname "$0")/../lab.d/lib.sh"
. "$(dirname "$0")/../libvirt-backend/pools.sh"
requires_machine
requires_command virsh quota-lvm python3

seconds=${1:-60}
seed=${2:-$RANDOM}
echo "seed $seed"
cc_with_common "$TEST_TMP/hostile" "$(dirname "$0")/hostile.c"
fresh_vg vg0
pool_up acme vg0 "$(limit 512 MiB 16 MiB)"
pool_up globex vg0 "$(limit 512 MiB 16 MiB)"
vol_create acme root 64 thin
vol_create globex root 64 thin
for tenant in acme globex; do
    vol_create $tenant guest 128 thin
    cleanup_fn virsh -q undefine $tenant-vm
    cleanup_fn virsh -q destroy $tenant-vm
done
libvirtd=$(pidof libvirtd)
daemon=$(systemctl show -P MainPID quota-lvmd)
head -c 4M /dev/urandom >"$TEST_TMP/data"
head -c 16M /dev/zero | tr '\0' s >"$TEST_TMP/secret"

# the milliseconds of each of five
lists() {
    local i began
    for ((i = 0; i < 5; i++)); do
        began=${EPOCHREALTIME/./}
        virsh -q pool-list >/dev/null
        echo $(((${EPOCHREALTIME/./} - began) / 1000))
    done
}
# percentile N FILE: of the numbers in there
percentile() {
    sort -n "$2" | awk -v n="$1" '{ a[NR] = $1 } END { print a[int((NR - 1) * n / 100) + 1] }'
}

# attacked FILE: the attacker's verbs, while FILE is there.  Whatever comes of them: it
# is its own volume.
attacked() {
    local began status
    while [ -e "$1" ]; do
        for verb in "vol-upload --pool acme root $TEST_TMP/data" \
            "vol-clone --pool acme root copy" "vol-wipe --pool acme copy" \
            "vol-delete --pool acme copy" \
            "vol-create-as acme snap 64MiB --backing-vol root --allocation 0" \
            "vol-delete --pool acme snap" "vol-delete --pool acme root" \
            "vol-create-as acme thick 16MiB" "vol-upload --pool acme thick $TEST_TMP/secret" \
            "vol-delete --pool acme thick"; do
            began=$SECONDS
            status=0
            # shellcheck disable=SC2086
            virsh -q $verb >>"$TEST_TMP/attacked" 2>&1 || status=$?
            echo "$((SECONDS - began)) $verb $status" >>"$1.verbs"
        done
    done
}

# phase NAME COMMAND...: another tenant's verbs, all well, while COMMAND runs
phase() {
    local name=$1 pid attacker
    shift
    "$@" >"$TEST_TMP/said" 2>&1 &
    pid=$!
    touch "$TEST_TMP/$name"
    # in use, as by a guest
    exec 8</dev/vg0/acme.root
    attacked "$TEST_TMP/$name" &
    attacker=$!
    rounds=0
    while kill -0 $pid 2>/dev/null; do
        lists >>"$TEST_TMP/$name.lists"
        vol_create globex more 16 thick
        # nothing of what another had written where it lies
        cmp -n $((16 << 20)) /dev/zero /dev/vg0/globex.more
        virsh -q vol-upload --pool globex more "$TEST_TMP/data" >/dev/null
        cmp -n $((4 << 20)) "$TEST_TMP/data" /dev/vg0/globex.more
        virsh -q vol-delete --pool globex more >/dev/null
        rounds=$((rounds + 1))
    done
    wait $pid || fail "$(cat "$TEST_TMP/said")"
    rm "$TEST_TMP/$name"
    wait $attacker
    exec 8<&-
    cat "$TEST_TMP/said"
    slowest=$(sort -n "$TEST_TMP/$name.verbs" | tail -n 1)
    longest=$(percentile 100 "$TEST_TMP/$name.lists")
    usual=$(percentile 90 "$TEST_TMP/$name.lists")
    echo "$name: another tenant's verbs: $rounds times, the attacker's: $(wc -l <"$TEST_TMP/$name.verbs")," \
        "the slowest (s): $slowest; pool-list (ms): $longest at most," \
        "nine of ten within $usual"
}

shmem() { # KiB of memory files, which ledgers are
    awk '/^Shmem:/ { print $2 }' /proc/meminfo
}

lines() {
    journalctl -q -o cat -u quota-lvmd -u libvirtd | wc -l
}

# In an emulated machine guests take a minute to start, and its processors: not in CI.
guests=
if [ -n "${1:-}" ]; then
    python3 "$(dirname "$0")/guests.py" "$TEST_TMP/hostile-phase" >"$TEST_TMP/guests" 2>&1 &
    guests=$!
    wait_for 300 "the guests" test -e "$TEST_TMP/hostile-phase.started"
fi
phase honest sleep 20
quiet=$longest
memory=$(shmem)
logged=$(lines)
touch "$TEST_TMP/hostile-phase"
phase hostile "$TEST_TMP/hostile" /run/quota-lvm/vg0/acme all "$seconds" "$seed"
rm "$TEST_TMP/hostile-phase"
memory=$(($(shmem) - memory)) logged=$(($(lines) - logged))
if [ -n "$guests" ]; then
    wait $guests || fail "$(cat "$TEST_TMP/guests")"
    cat "$TEST_TMP/guests"
fi
# each attack was done, and an honest writer waited beside it
for each in $(grep -o '[a-z-]*=[0-9]*' "$TEST_TMP/said" | grep -v '^seed='); do
    case $each in
    waits=*) at_least "${each#*=}" $((seconds / 10)) "waits of an honest writer" ;;
    *) at_least "${each#*=}" $((seconds / 2)) "times of attack ${each%=*}" ;;
    esac
done
at_least "$(grep -c 'vol-upload .* 0$' "$TEST_TMP/hostile.verbs")" 1 "uploads of the attacked tenant's"
echo "memory of ledgers: $memory KiB more; lines of the log: $logged"
at_most "$memory" 16384 "memory (KiB)"
# three reasons in ten seconds, a ledger replaced, and what each growth says
at_most "$logged" $((200 + 3 * seconds)) "lines in the log"
for tenant in acme globex; do
    at_most "$(lvs --noheadings --nosuffix --units m -o lv_size vg0/$tenant._thin |
        cut -d. -f1 | xargs)" 512 "MiB of $tenant's thin pool"
done
eq "$(pidof libvirtd)" "$libvirtd" "libvirtd"
eq "$(systemctl show -P MainPID quota-lvmd)" "$daemon" "quota-lvmd"
at_least "$rounds" 2 "verbs of another tenant"
at_most "$usual" $((quiet * 2 + 500)) "nine of ten pool-lists (ms)"
# one that waits for a tenant takes ten seconds and more
at_most "$longest" $((quiet * 2 + 8000)) "the longest pool-list (ms)"
at_most "${slowest%% *}" 150 "the attacker's slowest verb (s)"

# and all is well when it has ended
virsh -q pool-refresh acme >/dev/null
for left in copy snap thick; do
    virsh -q vol-delete --pool acme $left >/dev/null 2>&1 || true
done
wait_for 60 "acme's ledger to be right again" quota-lvm check
virsh -q vol-upload --pool acme root "$TEST_TMP/data" >/dev/null
cmp -n $((4 << 20)) "$TEST_TMP/data" /dev/vg0/acme.root
