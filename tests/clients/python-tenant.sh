#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Hazard: the example for the Python binding does not do what it says, or libvirt's
# Python binding as Debian ships it cannot handle our pools.
. "$(dirname "$0")/../lab.d/lib.sh"
. "$(dirname "$0")/../libvirt-backend/pools.sh"
requires_machine
requires_command python3 virsh jq quota-lvm

tenant=$(dirname "$0")/../../examples/python/tenant.py
disk=$(readlink -f "$(scratch_disk 1)")
cleanup_fn pvremove -qq -ff -y "$disk"
cleanup_fn rm -rf /run/quota-lvm/vg0
cleanup_fn vgremove -qq -ff -y vg0
for pool in acme globex; do
    cleanup_fn virsh -q pool-undefine "$pool"
    cleanup_fn virsh -q pool-destroy "$pool"
done

shown() { quota-lvm show acme --json | jq -r ".${1//,/,.}" | xargs; }

# From a bare disk.
expect_fail "there is no pool 'acme' yet: give --group" "$tenant" set-up acme --limit 1GiB
"$tenant" set-up acme --group vg0 --device "$disk" --limit 1GiB --step 64MiB \
    --guarantee 512MiB --max-volumes 20 --total-bytes-sec 20MiB --read-iops-sec 500
eq "$(virsh -q pool-list --autostart --name | xargs)" acme "pools that start by themselves"
eq "$(shown limit_bytes,step_bytes,total_bytes_sec,read_iops_sec,write_iops_sec)" \
    "$GIB $((64 * MIB)) $((20 * MIB)) 500 null" "limits"
eq "$(shown guarantee_bytes,max_volumes)" "$((512 * MIB)) 20" "guarantee, volumes at most"

eq "$("$tenant" volume acme disk0 4GiB)" /dev/vg0/acme.disk0 "path of a new volume"
"$tenant" volume acme log0 128MiB --thick >/dev/null
eq "$(vol_number acme disk0 Allocation)" 0 "a thin volume's allocation"
eq "$(vol_number acme log0 Allocation)" $((128 * MIB)) "a thick volume's allocation"
eq "$("$tenant" show | sed 's/  */ /g; s/ $//')" "TENANT/VOLUME LIMIT USED AVAILABLE
acme 1.00 GiB 128.00 MiB 896.00 MiB
 disk0 4.00 GiB 0 B
 log0 128.00 MiB 128.00 MiB" "what is shown"

# Again changes nothing; another limit holds at once, and keeps what somebody else
# changed in the meantime.
quota-lvm set acme --write-iops-sec 300
"$tenant" set-up acme
"$tenant" set-up acme --limit 2GiB
eq "$(shown limit_bytes,step_bytes,total_bytes_sec,read_iops_sec,write_iops_sec)" \
    "$((2 * GIB)) $((64 * MIB)) $((20 * MIB)) 500 300" "limits after a change"
eq "$(pool_number acme Capacity)" $((2 * GIB)) "capacity after a change"
eq "$(vols acme)" "disk0 log0" "volumes after a change"

# Refused for libvirt's reason.
expect_fail "tenant.py: .*'limit' must be above zero" "$tenant" set-up acme --limit 0
expect_fail "tenant.py: .*limited to 2.00 GiB" "$tenant" volume acme big 3GiB --thick
expect_fail "tenant.py: .*no storage pool with matching name 'globex'" "$tenant" volume globex disk0 1GiB
expect_fail "'1.5G' is no size" "$tenant" volume acme disk1 1.5G
expect_fail "schema" "$tenant" set-up globex --group vg0 --limit 1GiB --read-iops-sec 5MiB
eq "$(virsh -q pool-list --all --name | xargs)" acme "pools after refusals"

# A second tenant of the same group needs no device.
"$tenant" set-up globex --group vg0 --limit 512MiB
virsh -q pool-destroy globex >/dev/null
matches "$("$tenant" show globex)" '^globex +not started' "a pool that is stopped"
eq "$("$tenant" show globex | wc -l)" 2 "lines about one tenant"
