#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A guest deletes at its limit and writes at once, and gets ENOSPC because the
# thin pool hands out what was freed only after its next commit.
. "$(dirname "$0")/tenant.sh"

build_writer
fresh_vg labvg
make_tenant labvg acme $((64 * MIB)) $((64 * MIB))
start_daemon
wait_for_daemon
status=0
said=$(write_blocks labvg acme 65536 0 2000) || status=$?
eq "$status $(field written "$said")" "3 1024" "at the limit"

for ((i = 0; i < 20; i++)); do
    blkdiscard -o $((i * MIB)) -l $MIB "$(volume labvg acme)"
    said=$(write_blocks labvg acme 65536 $((1024 + i * 16)) 16) ||
        fail "discard $i: what was freed is refused: $said"
done
eq "$(thin_used labvg acme)" $((64 * MIB)) "used"
status=0
said=$(write_blocks labvg acme 65536 10000 10) || status=$?
eq "$status $(field written "$said") $(field reason "$said")" "3 0 tenant-limit" "at the limit again"
quota-lvm check
