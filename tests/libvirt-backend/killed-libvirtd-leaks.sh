#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# libvirtd is killed at any step of a verb, and when it is back something is left over,
# charged wrongly, or in the way.
# usage: killed-libvirtd-leaks.sh [all]
. "$(dirname "$0")/../lab.d/lib.sh"
. "$(dirname "$0")/pools.sh"
. "$(dirname "$0")/verb-faults.sh"
requires_machine
requires_command virsh quota-lvm

killed() {
    [ "$(systemctl show -P MainPID libvirtd)" != "$pid" ] || fail "$1: libvirtd was not killed"
    systemctl reset-failed libvirtd
    wait_for 60 "libvirtd" virsh -q uri
    pid=$(systemctl show -P MainPID libvirtd)
}

faults_begin
pid=$(systemctl show -P MainPID libvirtd)
with_each_fault "${1:-some}" killed kill-instead kill-after
