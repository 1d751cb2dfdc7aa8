#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A disk of a tenant's guest comes to use its volume past the filter: at its start,
# after a restart of libvirtd, or when plugged in while the guest runs.
. "$(dirname "$0")/../lab.d/lib.sh"
requires_machine
requires_command virsh jq qemu-img

GUEST=disk-filter

# qmp COMMAND: what QEMU returns.
qmp() {
    virsh -q qemu-monitor-command "$GUEST" "{\"execute\":\"$1\"}" | jq -c .return
}

# look: keep what QEMU says of its filters and of its block graph.
look() {
    qmp query-block-quota >"$TEST_TMP/quota"
    qmp x-debug-query-block-graph >"$TEST_TMP/graph"
}

# below NODE: the nodes that NODE uses; above NODE: what uses it, by type and name.
below() { graph "$1" parent child .name; }
above() { graph "$1" child parent '.type + ":" + .name'; }
graph() {
    jq -r --arg name "$1" --arg from "$2" --arg to "$3" "
        (.nodes | map({key: (.id | tostring), value: ($4)}) | from_entries) as \$names
        | (.nodes[] | select(.name == \$name and .type == \"block-driver\") | .id) as \$id
        | .edges[] | select(.[\$from] == \$id) | \$names[.[\$to] | tostring]" \
        "$TEST_TMP/graph"
}

# quota_node VOLUME KEY: one value of query-block-quota.
quota_node() {
    jq -r --arg volume "$1" --arg key "$2" \
        '.[] | select(.volume == $volume) | .[$key]' "$TEST_TMP/quota"
}

# check_disk VOLUME ALLOCATION TOP: the storage of VOLUME is used by its filter and
# by nothing else; TOP is what the guest's device stands on.
check_disk() {
    local quota storage
    quota=$(quota_node "$1" node-name)
    matches "$quota" '^libvirt-[0-9]+-quota$' "filter of $1"
    storage=${quota/quota/storage}
    eq "$(quota_node "$1" tenant)" acme "tenant of $1"
    eq "$(quota_node "$1" allocation)" "$2" "allocation of $1"
    eq "$(below "$quota")" "$storage" "what the filter of $1 filters"
    eq "$(above "$storage")" "block-driver:$quota" "what uses the storage of $1"
    case $3 in
    quota) matches "$(above "$quota")" '^block-backend:' "what uses the filter of $1" ;;
    *) eq "$(above "$quota")" "block-driver:${quota/quota/$3}" "what uses the filter of $1" ;;
    esac
}

check_guest() {
    look
    check_disk thin true quota
    check_disk thick false quota
    check_disk cow true format
}

ledgers_open() {
    local pid
    pid=$(cat "/run/libvirt/qemu/$GUEST.pid")
    find "/proc/$pid/fd" -lname '/memfd:quota-lvm:vg0/acme *' | wc -l
}

filters_are() { [ "$(qmp query-block-quota | jq length)" = "$1" ]; }
ledgers_are() { [ "$(ledgers_open)" = "$1" ]; }

disk_xml() { # VOLUME FORMAT TARGET BUS
    cat <<XML
    <disk type='volume' device='disk'>
      <driver name='qemu' type='$2' cache='none' error_policy='enospace'/>
      <source pool='acme' volume='$1'/>
      <target dev='$3' bus='$4'/>
    </disk>
XML
}

fresh_vg vg0
virsh -q pool-define /dev/stdin <<'XML'
<pool type='quota-lvm' xmlns:quota='http://libvirt.org/schemas/storagepool/quota-lvm/1.0'>
  <name>acme</name>
  <source><name>vg0</name></source>
  <quota:limits>
    <quota:limit unit='GiB'>2</quota:limit>
    <quota:step unit='MiB'>256</quota:step>
  </quota:limits>
</pool>
XML
cleanup_fn virsh -q pool-undefine acme
virsh -q pool-build acme
virsh -q pool-start acme
cleanup_fn virsh -q pool-destroy acme
virsh -q vol-create-as acme thin 512M --allocation 0
virsh -q vol-create-as acme thick 64M
virsh -q vol-create-as acme cow 512M --allocation 0
virsh -q vol-create-as acme base 512M --allocation 0
virsh -q vol-create-as acme plugged 512M --allocation 0
qemu-img create -q -f qcow2 "$(virsh -q vol-path cow --pool acme)" 256M
qemu-img create -q -f qcow2 -F raw -b "$(virsh -q vol-path base --pool acme)" \
    "$TEST_TMP/overlay.qcow2"

cat >"$TEST_TMP/guest.xml" <<XML
<domain type='qemu'>
  <name>$GUEST</name>
  <memory unit='MiB'>64</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
$(disk_xml thin raw vda virtio)
$(disk_xml thick raw vdb virtio)
$(disk_xml cow qcow2 vdc virtio)
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='$TEST_TMP/overlay.qcow2'/>
      <backingStore type='volume'>
        <format type='raw'/>
        <source pool='acme' volume='base'/>
        <backingStore/>
      </backingStore>
      <target dev='vdd' bus='virtio'/>
    </disk>
    <disk type='volume' device='cdrom'>
      <target dev='hda' bus='ide'/>
      <readonly/>
    </disk>
    <controller type='usb' model='none'/>
    <controller type='scsi' model='virtio-scsi'/>
    <memballoon model='none'/>
  </devices>
</domain>
XML
virsh -q define "$TEST_TMP/guest.xml"
cleanup_fn virsh -q undefine "$GUEST"

# Without the ledger no start, and it says what to do.  quota-lvmd would bring it
# back by itself.
systemctl stop quota-lvmd
cleanup_fn systemctl start quota-lvmd
rm /run/quota-lvm/vg0/acme
expect_fail "storage pool 'acme' has no ledger '/run/quota-lvm/vg0/acme': start or refresh the pool, or start quota-lvmd" \
    virsh start --paused "$GUEST"
virsh -q pool-refresh acme
systemctl start quota-lvmd

virsh -q start --paused "$GUEST"
cleanup_fn virsh -q destroy "$GUEST"

check_guest
filters_are 4 || fail "not 4 filters"
at_least "$(ledgers_open)" 4 "descriptors of the ledger that QEMU holds"
matches "$(virsh domblkinfo "$GUEST" vda)" 'Capacity: +536870912' "domblkinfo"
matches "$(virsh domstats --block "$GUEST")" 'block\.0\.capacity=536870912' "domstats"

systemctl restart libvirtd
check_guest
matches "$(virsh domblkinfo "$GUEST" vdb)" 'Capacity: +67108864' \
    "domblkinfo after a restart of libvirtd"

# Reopened for writing, which QEMU refuses if libvirt forgot what it had said.
virsh -q blockcommit "$GUEST" vdd --active --pivot --wait
look
check_disk base true quota

# Plugged in and out, nothing stays behind.
before=$(ledgers_open)
disk_xml plugged raw sda scsi >"$TEST_TMP/plugged.xml"
virsh -q attach-device "$GUEST" "$TEST_TMP/plugged.xml" --live
look
check_disk plugged true quota
virsh -q detach-device "$GUEST" "$TEST_TMP/plugged.xml" --live
wait_for 20 "the filter to go with its disk" filters_are 4
wait_for 20 "the ledger to go with its filter" ledgers_are "$before"

cdrom_xml() { # SOURCE
    echo "<disk type='volume' device='cdrom'><driver name='qemu' type='raw'/>$1
        <target dev='hda' bus='ide'/><readonly/></disk>" >"$TEST_TMP/cdrom.xml"
}
cdrom_xml "<source pool='acme' volume='plugged'/>"
virsh -q update-device "$GUEST" "$TEST_TMP/cdrom.xml" --live
look
check_disk plugged true quota
cdrom_xml ""
virsh -q update-device "$GUEST" "$TEST_TMP/cdrom.xml" --live
wait_for 20 "the filter to go with its medium" filters_are 4
wait_for 20 "the ledger to go with its medium" ledgers_are "$before"
