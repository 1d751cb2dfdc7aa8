#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Hazard: of two hosts that share a group through lvmlockd, both get an extent, both use
# a tenant, one passes a limit or does not see what the other did, or one that loses its
# power stops the other for good.
#
# Two machines have one disk; sanlock keeps its leases on it.  Nobody can be reset by a
# watchdog here, and a host is given up for dead after 8 * 4 + 10 seconds, not 140.
# usage: two-hosts-same-extents.sh [all]: without it, it ends when both have raced for
# the last extent
. "$(dirname "$0")/../lab.d/lib.sh"

A=two-hosts-a-$$
B=two-hosts-b-$$
MACHINE_SHARED=$A
LAB_CPUS=1
LIMIT=$((512 * 1024 * 1024))
START=$SECONDS

# on HOST SCRIPT [ARGUMENT...]: run it there; what it makes, stays.
on() {
    local host=$1 script=$2
    shift 2
    machine_exec "$host" --no-stdin bash -c "
        . /quota-lvm/tests/lab.d/lib.sh
        . /quota-lvm/tests/libvirt-backend/pools.sh
        cleanup_fn() { :; }
        $script" "${host%-*}" "$@"
}

# both SCRIPT A-ARGUMENT B-ARGUMENT: at the same time.
both() {
    local a
    (trap - ERR; on $A "$1" "$2") & a=$!
    on $B "$1" "$3"
    wait $a || fail "on the first host: $1"
}

step() { echo "$((SECONDS - START)) s: $*"; }

machine_start $A
machine_start $B

LOCKS='
    cat >/etc/lvm/lvmlocal.conf <<CONF
global { use_lvmlockd = 1 }
local { host_id = $1 }
CONF
    mkdir -p /etc/sanlock
    printf "use_watchdog = 0\nwatchdog_fire_timeout = 10\n" >/etc/sanlock/sanlock.conf
    sanlock daemon
    lvmlockd --sanlock-timeout 4
    wait_for 20 lvmlockd lvmlockctl -i'
both "$LOCKS" 1 2
on $A 'vgcreate -qq -y --shared vg0 /dev/vde'
on $B 'vgchange -qq --lock-start vg0'
step "the group is shared"

both 'pool_up $1 vg0 "$(limit 512 MiB 16 MiB)"
    vol_create $1 root 512 thin
    vol_create $1 data 16 thick' acme globex
step "each host has a tenant"

# ---- apart: neither the other's devices and volumes, nor the LV of the locks ---------
both 'matches "$(lvs -a --noheadings -o lv_name vg0)" lvmlock "LVs"
    eq "$(vols $1)" "data root" "volumes of $1"
    eq "$(pool_number $1 Allocation)" $((16 * MIB)) "allocation of $1"
    eq "$(dmsetup ls | sed "s/^vg0-//; s/[.\t].*//" | sort -u | xargs)" "$(echo $1 lvmlock)" "devices"
    quota-lvm check >/dev/null' acme globex
on $B 'eq "$(quota-lvm show acme --json | jq -c "[.thick_bytes, .grant_bytes, .thin_bytes]")" \
    "[$((16 * MIB)),$((16 * MIB)),null]" "what the other host can tell of acme"'

# ---- seen: what the other host did, without a command of LVM -------------------------
on $A 'lvcreate -qq -y -an -Zn -Wn -L 16m -n globex.byhand --addtag quota-lvm:tenant=globex vg0 2>/dev/null
    quota-lvm set globex --limit 256M'
on $B 'mount --bind /bin/false /usr/sbin/lvm
    expect_fail "" lvs
    virsh -q pool-refresh globex >/dev/null
    eq "$(vols globex)" "byhand data root" "volumes after a refresh"
    eq "$(pool_number globex Allocation)" $((32 * MIB)) "allocation after a refresh"
    eq "$(pool_number globex Capacity)" $((256 * MIB)) "capacity after a refresh"
    umount /usr/sbin/lvm
    quota-lvm check >/dev/null
    quota-lvm set globex --limit 512M
    virsh -q vol-delete --pool globex byhand >/dev/null'
step "what one host does, the other sees"

# ---- on one host at a time -----------------------------------------------------------
# Not even what is not active elsewhere: it would be missing there later.
on $A 'lvchange -qq -an vg0/acme.data'
# The definition of the other host has no limits: those in the group hold.
on $B 'pool_define acme vg0
    expect_fail "cannot activate thin pool .acme._thin. of volume group .vg0.: .*LV locked by other host" \
        virsh pool-start acme
    eq "$(dmsetup ls | grep -c acme || true)" 0 "devices of acme"
    lvcreate -qq -y -an -Zn -Wn -L 16m -n nobodys vg0 2>/dev/null
    expect_fail "acme.s thin pool is not active on this host" quota-lvm adopt vg0/nobodys acme
    lvremove -qq -y vg0/nobodys'
on $A 'lvchange -qq -ay vg0/acme.data
    vol_create acme more 16 thick
    dd if=/dev/urandom of=/dev/vg0/acme.root bs=1M count=8 oflag=direct,dsync status=none
    # as a host loses them that cannot reach its leases: libvirt is not told
    lvchange -qq -an vg0/acme.data vg0/acme.more vg0/acme.root vg0/acme._thin'
written=$(on $B 'virsh -q pool-start acme >/dev/null
    eq "$(vols acme)" "data more root" "volumes on the other host"
    eq "$(pool_number acme Capacity)" $((512 * MIB)) "capacity on the other host"
    eq "$(pool_number acme Allocation)" $((40 * MIB)) "allocation on the other host"
    vol_create acme there 16 thick
    dd if=/dev/urandom of=/dev/vg0/acme.root bs=1M count=4 seek=8 oflag=direct,dsync status=none
    wait_for 10 "a sample" quota-lvm check acme
    head -c 12M /dev/vg0/acme.root | md5sum')
on $A 'expect_fail "acme._thin. of the shared volume group .vg0. is not active on this host" \
        virsh vol-create-as acme both 16MiB
    virsh -q pool-destroy acme >/dev/null
    expect_fail "LV locked by other host" virsh pool-start acme'
on $B 'virsh -q pool-destroy acme >/dev/null
    eq "$(dmsetup ls | grep -c acme || true)" 0 "devices of acme"'
on $A 'virsh -q pool-start acme >/dev/null
    eq "$(vols acme)" "data more root there" "volumes after the return"
    eq "$(pool_number acme Allocation)" $((60 * MIB)) "allocation after the return"
    eq "$(head -c 12M /dev/vg0/acme.root | md5sum)" "$1" "data after the return"
    wait_for 10 "a sample" quota-lvm check acme' "$written"
step "a tenant is on one host at a time"

# ---- to the last extent ---------------------------------------------------------------
on $A 'free=$(vgs --noheadings --units m --nosuffix -o vg_free vg0)
    lvcreate -qq -y -an -Zn -Wn -L $((${free%.*} - 384))m -n plug vg0 2>/dev/null'
RACE='
    date +%s >/run/race
    made=0 busy=0
    # past the filter nobody waits: each time as far as the grant goes
    write() {
        local at=0
        while [ ! -e $TEST_TMP/full ]; do
            dd if=/dev/zero of=/dev/vg0/$1.root bs=1M count=4 seek=$at oflag=direct \
                status=none 2>/dev/null && at=$((at + 4))
            sleep 2
        done
    }
    look() {
        while [ ! -e $TEST_TMP/full ]; do
            (quota-lvm check $1 --json || true) | jq -r ".[].findings[].kind" >>$TEST_TMP/found
            sleep 2
        done
    }
    (trap - ERR; write $1) & writer=$!
    (trap - ERR; look $1) & looker=$!
    for ((i = 0; i < 99; i++)); do
        if virsh -q vol-create-as $1 v$i 16MiB >$TEST_TMP/said 2>&1; then
            made=$((made + 1))
        elif grep -q "held by other host" $TEST_TMP/said; then
            busy=$((busy + 1))
        elif grep -Eq "is limited to 512.00 MiB|group .vg0. is full|nsufficient" $TEST_TMP/said; then
            break
        else
            fail "$(cat $TEST_TMP/said)"
        fi
    done
    reason=$(grep -Eo "is limited to|is full|nsufficient" $TEST_TMP/said | head -n 1)
    sleep 5         # the growth that is under way
    touch $TEST_TMP/full
    wait $writer $looker
    eq "$(grep -v under-count $TEST_TMP/found || true)" "" "found while they race"
    echo "$made volumes, until it $reason; $busy times the lock was not to be had"'
both "$RACE" acme globex

at_most "$(on $A 'quota-lvm show acme --json | jq ".thick_bytes + .grant_bytes"')" $LIMIT "acme"
at_most "$(on $B 'quota-lvm show globex --json | jq ".thick_bytes + .grant_bytes"')" $LIMIT "globex"
# One that is there is of nobody else, by the tables of both kernels.
ranges() {
    on "$1" 'disk=$(lsblk -dno MAJ:MIN /dev/vde | xargs)
        dmsetup table | awk -v disk=$disk "\$4 == \"linear\" && \$5 == disk && !/lvmlock/ {
            print \$6, \$6 + \$3, \$1 }"'
}
{ ranges $A; ranges $B; } | sort -n >"$TEST_TMP/ranges"
at_least "$(wc -l <"$TEST_TMP/ranges")" 12 "ranges in use"
eq "$(awk '$1 < end { print $3 } { end = $2 }' "$TEST_TMP/ranges")" "" "devices that overlap"
# What both tenants hold is what is gone from the group, with two pools' metadata, the
# spare, the locks and the plug.
on $A 'virsh -q pool-refresh acme >/dev/null
    m() { echo $(($($1 --noheadings --units b --nosuffix -o "$2" $3) / MIB)); }
    held=$(quota-lvm list --json | jq "[.[] | .thick_bytes + .grant_bytes] | add / 1048576")
    other=$((3 * 4 + 256 + $(m lvs lv_size vg0/plug)))
    eq $((held + other)) $(($(m vgs vg_size vg0) - $(m vgs vg_free vg0))) "MiB in use"
    at_most $(m vgs vg_free vg0) 16 "MiB free in the end"
    vgck vg0'
both 'systemctl reload quota-lvmd
    wait_for 20 "check to find nothing" quota-lvm check
    ! journalctl -q -u quota-lvmd --since "@$(cat /run/race)" | grep "tenant $1 .*grew" ||
        fail "$1 grew where it is not"' globex acme
# Both pools are full; nobody is to grow them while the next is tried.
both 'systemctl stop quota-lvmd' - -
step "nobody got an extent that another has"
case ${1:-} in
all) ;;
'') exit 0 ;;
*) fail "usage: $0 [all]" ;;
esac

# ---- decided by what the other host takes a moment later --------------------------------
# A guarantee can be missed by that, and nothing else; both hosts say so.
on $A 'lvremove -qq -y vg0/plug
    pool_up initech vg0 "$(limit 256 MiB 16 MiB)"
    free=$(vgs --noheadings --units m --nosuffix -o vg_free vg0)
    lvcreate -qq -y -an -Zn -Wn -L $((${free%.*} - 96))m -n plug vg0 2>/dev/null
    held=$(quota-lvm show acme --json | jq ".thick_bytes + .grant_bytes")
    quota-lvm set acme --limit 1G --guarantee $((held + 64 * MIB))'
on $B 'quota-lvm set globex --limit 1G
    rm /usr/sbin/lvcreate
    cat >/usr/sbin/lvcreate <<\SCRIPT
#!/bin/sh
touch /run/decided
until [ -e /run/go ]; do sleep 0.1; done
exec /usr/sbin/lvm lvcreate "$@"
SCRIPT
    chmod +x /usr/sbin/lvcreate'
DECIDE='rm -f /run/go /run/decided
    (virsh vol-create-as globex $1 32MiB || true; echo done) </dev/null >/run/late 2>&1 &
    wait_for 20 "globex to decide" test -e /run/decided'
LATE='touch /run/go
    wait_for 60 "globex" grep -q "^done" /run/late
    cat /run/late'
on $B "$DECIDE" late
on $A 'vol_create initech early 32 thick'
matches "$(on $B "$LATE")" "Vol late created" "globex, a moment later"
both 'found() { [ "$( (quota-lvm check --json || true) | jq -r ".[].findings[].kind")" = "$1" ]; }
    wait_for 20 "guarantee-short, and nothing else" found guarantee-short' - -

# With no more room LVM refuses, and nothing is left of it.
on $A 'quota-lvm set acme --guarantee none'
held=$(on $B 'pool_number globex Allocation')
on $B "$DECIDE" none
on $A 'vol_create initech last 32 thick'
matches "$(on $B "$LATE")" "nsufficient free space" "globex, a moment too late"
both '! vols $1 | grep -w none || fail "half a volume"
    virsh -q pool-refresh $1 >/dev/null
    systemctl start quota-lvmd
    wait_for 20 "check to find nothing" quota-lvm check' acme globex
eq "$(on $B 'pool_number globex Allocation')" "$held" "allocation of globex after a refusal"
step "what was decided too late is refused"

# ---- one has the lock of the group for long, and loses its power with it --------------
on $A 'lvremove -qq -y vg0/plug
    # every command of LVM gives up soon, not after 25 s
    sed -i "s/use_lvmlockd = 1/& lvmlockd_lock_retries = 0/" /etc/lvm/lvmlocal.conf
    rm /usr/sbin/lvextend
    cat >/usr/sbin/lvextend <<\SCRIPT
#!/bin/sh
/usr/sbin/lvm lvextend "$@"
status=$?
echo $status >>/run/extended
exit $status
SCRIPT
    chmod +x /usr/sbin/lvextend'
written=$(on $B 'dd if=/dev/urandom of=/dev/vg0/globex.root bs=1M count=4 oflag=direct,dsync status=none
    pool_number globex Allocation
    head -c 4M /dev/vg0/globex.root | md5sum
    (sleep 999 | lvremove vg0/globex.data) >/dev/null 2>&1 &
    wait_for 20 "the lock" sh -c "lvmlockctl -i | grep -q \"^LK VG ex\""')
# a guest of the other host needs its thin pool to grow
on $A 'rm -f /run/extended
    for ((at = 0; at < 512; at += 8)); do writes+=(-c "write -q ${at}M 8M"); done
    qemu-io -t none "${writes[@]}" -c "read 0 512" --image-opts \
        driver=quota,ledger=/run/quota-lvm/vg0/acme,tenant=acme,volume=root,file.driver=host_device,file.filename=/dev/vg0/acme.root \
        </dev/null >/run/write 2>&1 &
    tries() { [ "$(cat /run/extended 2>/dev/null | wc -l)" -ge 5 ]; }
    wait_for 120 "growth to fail again and again" tries
    eq "$(sort -u /run/extended)" 5 "how growth ended"
    eq "$(cat /run/write)" "" "what the guest was told"'
step "growth waits for the lock"
machine_power_cut $B
cut=$SECONDS
machine_start $B
# What needs no lock goes on at once.
on $A 'virsh -q pool-refresh acme >/dev/null
    virsh -q vol-list acme >/dev/null
    dd if=/dev/urandom of=/dev/vg0/acme.root bs=1M count=1 oflag=direct,dsync status=none
    eq "$(cat /run/write)" "" "what the guest was told"
    pool_define globex vg0'
step "the other host goes on"
on $A 'lock_free() { virsh -q vol-delete --pool initech last; }
    wait_for 180 "the lock of the group" lock_free'
step "LVM changes the group again, $((SECONDS - cut)) s after the cut"
on $A 'wait_for 60 "the write that needs growth" grep -q "^read 512/512 bytes at offset 0" /run/write
    eq "$(grep -c failed /run/write || true)" 0 "writes that failed"
    sed -i "s/ lvmlockd_lock_retries = 0//" /etc/lvm/lvmlocal.conf'
on $A 'start() { virsh -q pool-start globex; }
    wait_for 120 "the tenant of the dead host" start'
step "the other host has its tenant, $((SECONDS - cut)) s after the cut"
eq "$(on $A 'pool_number globex Allocation
    head -c 4M /dev/vg0/globex.root | md5sum')" "$written" "what the dead host had written"

# It comes back as one that has nothing.
on $B "$LOCKS" 2
on $B 'vgchange -qq --lock-start vg0
    pool_define globex vg0
    expect_fail "LV locked by other host" virsh pool-start globex'
on $A 'virsh -q pool-destroy globex >/dev/null'
on $B 'virsh -q pool-start globex >/dev/null
    vol_create globex back 16 thick'
both 'systemctl reload quota-lvmd
    wait_for 20 "check to find nothing" quota-lvm check' - -
step "the dead host is back"
