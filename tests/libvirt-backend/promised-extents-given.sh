#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Extents that are guaranteed to one tenant go to another, limits promise more than
# their group allows, or a tenant has more volumes than it may.
. "$(dirname "$0")/../lab.d/lib.sh"
. "$(dirname "$0")/pools.sh"
requires_machine
requires_command virsh quota-lvm jq

vg_free() { echo $(($(vgs --noheadings --units b --nosuffix -o vg_free vg0) / MIB)); } # MiB
shows() { quota-lvm show "$1" --json | jq -r ".$2"; }
free_for() { echo $(($(shows "$1" group_free_bytes) / MIB)); } # MiB

fresh_vg vg0
pool_up acme vg0 "$(limit 2 GiB 32 MiB)<q:guarantee unit='MiB'>512</q:guarantee>"
pool_up globex vg0 "$(limit 8 GiB 32 MiB)<q:max_volumes>3</q:max_volumes>"
eq "$(shows acme guarantee_bytes)" $((512 * MIB)) "guarantee"
matches "$(virsh pool-dumpxml acme)" "<quota:guarantee unit='bytes'>536870912<" "dumpxml"

# all but 128 MiB that globex may have
kept=$((512 - 32))
lvcreate -qq -y -an -Zn -L $(($(vg_free) - kept - 128))m -n plug vg0 >/dev/null
eq "$(free_for globex)" 128 "free for globex"
eq "$(free_for acme)" $((128 + kept)) "free for acme"

# who makes LVs by hand can break a promise; check says so
lvcreate -qq -y -an -Zn -L 160m -n greedy vg0 >/dev/null
eq "$( (quota-lvm check --json || true) | jq -r '.[].findings[].kind')" guarantee-short "findings"
lvremove -qq -y vg0/greedy
quota-lvm check

expect_fail "has 608.00 MiB free, of which 480.00 MiB are guaranteed to other tenants, volume 'big' of tenant 'globex' needs 160.00 MiB" \
    virsh vol-create-as globex big 160MiB
virsh -q vol-create-as globex some 64MiB >/dev/null
expect_fail 'guaranteed to other tenants' virsh vol-resize --pool globex some 256MiB
vol_create globex root 1024 thin
# the largest number of volumes, of any kind
vol_create globex third 4 thin
expect_fail "limited to 3 volumes in volume group 'vg0' and has 3: delete a volume or raise max_volumes before creating 'fourth'" \
    virsh vol-create-as globex fourth 4MiB --allocation 0
quota-lvm set globex --max-volumes 4
vol_create globex fourth 4 thin
quota-lvm set globex --max-volumes none
vol_create globex fifth 4 thin

# past the filter nobody waits: again after each growth, up to the last
take_all() {
    dd if=/dev/zero of=/dev/vg0/globex.root bs=1M count=300 oflag=direct status=none \
        2>"$TEST_TMP/said" && fail "globex wrote all of it"
    [ "$(free_for globex)" = 0 ]
}
wait_for 60 "globex to take all that it may" take_all
at_least "$(vg_free)" $kept "free after globex took all it could get"
sleep 2
eq "$(vg_free)" "$kept" "free after another look of quota-lvmd"
expect_fail "guarantee.*cannot keep|cannot keep that much" quota-lvm set globex --guarantee 200M
pool_define initech vg0 "$(limit 64 MiB 32 MiB)"
expect_fail 'is full: it has .* free and not guaranteed to others' virsh pool-build initech
# acme still gets what it was promised, and no more than what is free
virsh -q vol-create-as acme mine 440MiB >/dev/null
eq "$(shows acme available_bytes)" "$(($(vg_free) * MIB + 32 * MIB))" "available to acme"
quota-lvm check

# a guarantee that grows, by each way there is
lvremove -qq -y vg0/plug
quota-lvm set acme --guarantee 1G
pool_xml acme vg0 "$(limit 2 GiB 32 MiB)<q:guarantee unit='GiB'>3</q:guarantee>" >"$TEST_TMP/pool.xml"
expect_fail "quota limit 'guarantee' of .* is larger than the limit" virsh pool-define "$TEST_TMP/pool.xml"
expect_fail "guarantee is larger than the limit" quota-lvm set acme --guarantee 3G
redefine() { # LIMITS
    pool_xml acme vg0 "$1" |
        sed "s#<name>acme</name>#&<uuid>$(virsh -q pool-uuid acme)</uuid>#" >"$TEST_TMP/pool.xml"
    virsh -q pool-define "$TEST_TMP/pool.xml" >/dev/null
}
volumes=$(vols acme)
redefine "$(limit 20 GiB 32 MiB)<q:guarantee unit='GiB'>15</q:guarantee>"
expect_fail "cannot keep the guarantee of 15.00 GiB for tenant 'acme'" virsh pool-refresh acme
eq "$(shows acme guarantee_bytes)" $((1 << 30)) "guarantee after it was refused"
eq "$(shows acme limit_bytes)" $((2 << 30)) "limit after it was refused"
# the pool goes on as it was
eq "$(vols acme)" "$volumes" "volumes after it was refused"
redefine "$(limit 2 GiB 32 MiB)<q:guarantee unit='GiB'>1</q:guarantee>"
virsh -q pool-refresh acme >/dev/null

# overcommit: limits are 2 and 8 GiB of not quite 8
expect_fail 'not a whole percentage' quota-lvm set --group vg0 --overcommit half
expect_fail 'cannot be combined' quota-lvm set --group vg0 --overcommit 150% --limit 5G
quota-lvm set --group vg0 --overcommit 150%
eq "$(vgs --noheadings -o vg_tags vg0 | xargs)" quota-lvm:overcommit=150 "tag of the group"
expect_fail "allows limits of 150% of its size together, of which 3.9.* GiB are left for tenant acme" \
    quota-lvm set acme --limit 5G
quota-lvm set acme --limit 3G
pool_define initech vg0 "$(limit 4 GiB 32 MiB)"
expect_fail "allows limits of 150% of its size together: tenant 'initech' can have a limit of up to 10[0-9.]+ MiB" \
    virsh pool-build initech
