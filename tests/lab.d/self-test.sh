#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The lab machine has what every other test takes for granted.
. "$(dirname "$0")/lib.sh"
requires_machine

fresh_vg labvg 2
lvcreate -qq -y --type thin-pool -L 256m -n pool labvg
lvcreate -qq -y --type thin -V 512m --thinpool pool -n thin labvg
dd if=/dev/urandom of="$TEST_TMP/data" bs=1M count=8 status=none
dd if="$TEST_TMP/data" of=/dev/labvg/thin bs=1M oflag=direct status=none
cmp -n 8388608 "$TEST_TMP/data" /dev/labvg/thin
matches "$(dmsetup status labvg-pool-tpool)" 'thin-pool' "dmsetup status"

matches "$(virsh version --daemon)" 'Running against daemon: [0-9]' "virsh version"
eq "$(cat "/proc/$(pidof libvirtd)/attr/current")" "libvirtd (enforce)" "AppArmor's profile of libvirtd"
matches "$(virsh domcapabilities --virttype qemu)" '<path>/opt/quota-lvm/bin/qemu-system-x86_64' \
    "the emulator that libvirt found"
qemu-io -f raw -c 'write -P 7 1M 64k' -c 'read -P 7 1M 64k' /dev/labvg/thin
expect_fail 'Failed to find logical volume' lvs labvg/none
