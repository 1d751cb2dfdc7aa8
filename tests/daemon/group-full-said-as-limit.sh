#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A volume group without room is reported as the tenant's limit, or the other way
# round; the last extents are left unused; or new room is not seen.
. "$(dirname "$0")/tenant.sh"

build_writer
fresh_vg labvg
make_tenant labvg acme $((1024 * MIB)) $((64 * MIB))
make_tenant labvg globex $((32 * MIB)) $((32 * MIB))
# leave 100 MiB of the group; the pools' metadata may take from it
free=$(vgs --noheadings --units b --nosuffix -o vg_free labvg | tr -d ' ')
lvcreate -qq -y -an -Zn -L $((free - 100 * MIB))b -n filler labvg &>/dev/null
start_daemon
wait_for_daemon

status=0
said=$(write_blocks labvg acme 65536 0 4000) || status=$?
echo "group full: $said"
eq $status 3 "status with a full group"
eq "$(field reason "$said")" group-full "reason with a full group"
free=$(vgs --noheadings --units b --nosuffix -o vg_free labvg | tr -d ' ')
at_most "$free" $((8 * MIB)) "left in the group"
matches "$(cat "$DAEMON_LOG")" 'volume group has no room to grow.*vgextend labvg' "log"
written=$(field written "$said")
eq "$((written * 65536))" "$(thin_size labvg acme)" "written before"

status=0
said=$(write_blocks labvg globex 65536 0 4000) || status=$?
eq $status 3 "status at the limit"
eq "$(field reason "$said")" tenant-limit "reason at the limit"
eq "$(field written "$said")" 512 "written to the limit"

# room is made behind the daemon's back: the next write finds it
lvremove -qq -y labvg/filler >/dev/null
said=$(write_blocks labvg acme 65536 "$written" 1000) || fail "room was not seen: $said"
echo "room again: $said"
wait_for 10 "a sample of all that" quota-lvm check
