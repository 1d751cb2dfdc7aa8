#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Hazard: a changed limit is not enforced or not shown, an old definition undoes
# a newer limit, or a limit does not travel with its disks.
. "$(dirname "$0")/../lab.d/lib.sh"
. "$(dirname "$0")/pools.sh"
requires_machine
requires_command virsh lvs

shown() { # POOL FIELD [--inactive]
    virsh -q pool-dumpxml "$1" ${3:-} | sed -n "s#.*<quota:$2[^>]*>\([0-9]*\)</.*#\1#p"
}
redefine() { # LIMITS: another definition of the same pool
    pool_xml acme vg0 "$1" | sed "s#<name>acme</name>#&<uuid>$uuid</uuid>#" >"$TEST_TMP/pool.xml"
    virsh -q pool-define "$TEST_TMP/pool.xml" >/dev/null
}

fresh_vg vg0
pool_up acme vg0 "$(limit 1 GiB 256 MiB)"
uuid=$(virsh -q pool-uuid acme)
eq "$(shown acme limit)" "$GIB" "limit in dumpxml"

# By pool-define and pool-refresh, while the pool runs.
rate="<q:total_bytes_sec unit='MiB'>20</q:total_bytes_sec>"
redefine "$(limit 3 GiB 256 MiB)$rate"
eq "$(pool_number acme Capacity)" "$GIB" "capacity before the refresh"
virsh -q pool-refresh acme >/dev/null
eq "$(pool_number acme Capacity)" $((3 * GIB)) "capacity"
eq "$(shown acme limit)" $((3 * GIB)) "limit in dumpxml"
eq "$(shown acme total_bytes_sec)" $((20 * MIB)) "rate in dumpxml"
matches "$(tags vg0/acme._thin)" "^quota-lvm:limit=$((3 * GIB))\$" "tags"
matches "$(tags vg0/acme._thin)" "^quota-lvm:total_bytes_sec=$((20 * MIB))\$" "tags"
eq "$(tags vg0/acme._thin | grep -c quota-lvm:limit=)" 1 "tags of the limit"
eq "$(tags vg0/acme._thin | grep -c quota-lvm:definition=)" 1 "tags of the definition"

# One LVM transaction for a change; none for a refresh without one.
seqno=$(vgs --noheadings -o vg_seqno vg0 | xargs)
virsh -q pool-refresh acme >/dev/null
eq "$(vgs --noheadings -o vg_seqno vg0 | xargs)" "$seqno" "seqno after a refresh without a change"
redefine "$(limit 4 GiB 256 MiB)$rate"
virsh -q pool-refresh acme >/dev/null
eq "$(vgs --noheadings -o vg_seqno vg0 | xargs)" $((seqno + 1)) "seqno after a change"

# Changed elsewhere: the tags are the truth, and no older definition undoes them.
lvchange -qq --deltag "quota-lvm:limit=$((4 * GIB))" --addtag "quota-lvm:limit=$((5 * GIB))" vg0/acme._thin
virsh -q pool-refresh acme >/dev/null
eq "$(pool_number acme Capacity)" $((5 * GIB)) "capacity by the tag"
eq "$(shown acme limit --inactive)" $((5 * GIB)) "limit that pool-edit would show"
systemctl restart libvirtd
eq "$(pool_number acme Capacity)" $((5 * GIB)) "capacity after a restart"
virsh -q pool-destroy acme >/dev/null
virsh -q pool-start acme >/dev/null
eq "$(pool_number acme Capacity)" $((5 * GIB)) "capacity after stop and start"

# A thin pool needs metadata for as much as it may grow to.
metadata() { lvs --noheadings --units m --nosuffix -o lv_metadata_size vg0/acme._thin | xargs; }
eq "$(metadata)" 4.00 "metadata for a few GiB"
redefine "$(limit 40 GiB 256 MiB)$rate"
virsh -q pool-refresh acme >/dev/null
eq "$(metadata)" 40.00 "metadata for 40 GiB"

# Below what is used: taken, shown, nothing new, deleting goes on.
vol_create acme data 512 thick
vol_create acme root 1024 thin
redefine "$(limit 512 MiB 256 MiB)$rate"
virsh -q pool-refresh acme >/dev/null
eq "$(pool_number acme Capacity)" $((512 * MIB)) "capacity below what is used"
eq "$(pool_number acme Available)" 0 "available when over limit"
expect_fail "tenant 'acme' is limited to 512.00 MiB" vol_create acme more 4 thick
virsh -q vol-delete --pool acme data >/dev/null
eq "$(pool_number acme Available)" $((512 * MIB)) "available after deleting"

# A rate that is taken out is gone.
redefine "$(limit 512 MiB 256 MiB)"
virsh -q pool-refresh acme >/dev/null
eq "$(shown acme total_bytes_sec)" "" "rate in dumpxml"
! grep total_bytes_sec <<<"$(tags vg0/acme._thin)" || fail "the rate is still a tag"

# The quota travels with the disks: a host that knows nothing of it.
virsh -q pool-destroy acme >/dev/null
virsh -q pool-undefine acme >/dev/null
rm -rf /run/quota-lvm/vg0
vgexport -qq vg0
vgimport -qq vg0
pool_define acme vg0
virsh -q pool-start acme >/dev/null
eq "$(shown acme limit)" $((512 * MIB)) "limit of a definition without one"
eq "$(shown acme step)" $((256 * MIB)) "step of a definition without one"
eq "$(vols acme)" root "volumes that travelled"
virsh -q vol-delete --pool acme root >/dev/null

# Created for now, over a definition for later: what was created counts.
virsh -q pool-destroy acme >/dev/null
pool_xml acme vg0 "$(limit 2 GiB)" >"$TEST_TMP/now.xml"
sed -i "s#<name>acme</name>#&<uuid>$(virsh -q pool-uuid acme)</uuid>#" "$TEST_TMP/now.xml"
virsh -q pool-create "$TEST_TMP/now.xml" >/dev/null
eq "$(pool_number acme Capacity)" $((2 * GIB)) "capacity of a pool created for now"
virsh -q pool-destroy acme >/dev/null
