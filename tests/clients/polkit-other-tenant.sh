#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Hazard: a user who was given one tenant's pool comes to see, read or change another
# tenant's, or anything else that libvirt manages; or cannot use the pool.
. "$(dirname "$0")/../lab.d/lib.sh"
. "$(dirname "$0")/../libvirt-backend/pools.sh"
requires_machine
requires_command virsh runuser python3
requires_file /usr/lib/polkit-1/polkitd

top=$(dirname "$0")/../..
conf=/etc/libvirt/libvirtd.conf
rules=/etc/polkit-1/rules.d/50-quota-lvm-tenants.rules

useradd -m alice
cleanup_fn userdel -r alice
useradd -m bob
cleanup_fn userdel -r bob
useradd -m carol
cleanup_fn userdel -r carol

# as USER VIRSH-ARGUMENTS...
as() {
    local user=$1
    shift
    runuser -u "$user" -- virsh -q -c qemu:///system "$@"
}

fresh_vg vg0
for tenant in acme globex; do
    pool_up "$tenant" vg0 "$(limit 1 GiB 64 MiB)"
    vol_create "$tenant" data 64 thick
    echo "data of $tenant" | dd of="/dev/vg0/$tenant.data" conv=fsync status=none
done
key=$(virsh -q vol-key --pool globex data)
uuid=$(virsh -q pool-uuid globex)

cp "$conf" "$TEST_TMP/conf"
cleanup_fn systemctl restart libvirtd
cleanup_fn cp "$TEST_TMP/conf" "$conf"
cleanup_fn rm -f "$rules"
echo 'access_drivers = [ "polkit" ]' >>"$conf"
install -D -m 644 "$top/examples/polkit/${rules##*/}" "$rules"
systemctl restart libvirtd

# Each sees one pool.  Who is in no table gets in as before, which is not at all.
eq "$(as alice pool-list --all --name | xargs)" acme "pools that alice sees"
eq "$(as bob pool-list --all --name | xargs)" globex "pools that bob sees"
runuser -u alice -- "$(dirname "$0")/tenant-reach.py" acme globex "$uuid" "$key"
eq "$(virsh -q pool-list --all --name | xargs)" "acme globex" "pools"
eq "$(pool_number acme Capacity)" "$GIB" "limit"
eq "$(vols acme)" data "volumes of acme"
eq "$(vols globex)" data "volumes of globex"
eq "$(head -c 14 /dev/vg0/globex.data)" "data of globex" "the other's data"

# As virsh says it.
expect_fail "access denied" as alice pool-info globex
expect_fail "no storage vol with matching path" as alice vol-info /dev/vg0/globex.data
expect_fail "authentication (unavailable|failed)|access denied" as carol pool-list
