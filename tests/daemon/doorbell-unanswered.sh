#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A writer that asks for a sample waits for the next interval, or for another
# tenant's growth.
. "$(dirname "$0")/tenant.sh"

build_writer
fresh_vg labvg
make_tenant labvg acme $((1024 * MIB)) $((64 * MIB))
make_tenant labvg globex $((1024 * MIB)) $((32 * MIB))
# an interval that no answer can be mistaken for, nor what a busy machine needs for one
start_daemon --interval 1000
wait_for_daemon

said=$("$WRITER" ring /run/quota-lvm/labvg/acme 300 100)
echo "alone: $said"
at_most "$(field longest_us "$said")" 100000000 "longest answer, far below the interval"

write_blocks labvg globex 65536 0 6000 >"$TEST_TMP/globex" &
other=$!
said=$("$WRITER" ring /run/quota-lvm/labvg/acme 300 100)
echo "while another tenant grows: $said"
wait $other
echo "that tenant: $(cat "$TEST_TMP/globex")"
at_most "$(field longest_us "$said")" 100000000 "longest answer beside growth"
at_least "$(grep -c 'tenant globex .* grew' "$DAEMON_LOG")" 2 "growth meanwhile"
