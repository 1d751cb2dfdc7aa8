#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A raised limit is not seen by who waits for it, a lowered one still admits, a
# wrong value changes something.
. "$(dirname "$0")/../daemon/tenant.sh"

tags() {
    lvs --noheadings -o lv_tags labvg/acme._thin | tr -d ' ' | tr , '\n' | sort
}

build_writer
fresh_vg labvg
make_tenant labvg acme $((64 * MIB)) $((32 * MIB))

# without a daemon: it is set, with a note
matches "$(quota-lvm set acme --limit 65MiB 2>&1)" 'quota-lvmd is not running' "note"
matches "$(tags)" "^quota-lvm:limit=$((65 * MIB))\$" "tags"
quota-lvm set acme --limit 64M 2>/dev/null
start_daemon
wait_for_daemon

status=0
said=$(write_blocks labvg acme 65536 0 2000) || status=$?
eq "$status $(field written "$said") $(field reason "$said")" "3 1024 tenant-limit" "at the limit"
eq "$(quota-lvm set acme --limit 128MiB --total-bytes-sec 20M 2>&1)" "" "what set says"
said=$(write_blocks labvg acme 65536 1024 500) || fail "the raised limit is not seen: $said"
eq "$(shows labvg acme limit_bytes)" $((128 * MIB)) "limit_bytes"
eq "$(shows labvg acme total_bytes_sec)" $((20 * MIB)) "total_bytes_sec"
quota-lvm check acme

# nothing changes unless all is right
before=$(tags)
expect_fail "'0' would leave the tenant no space" quota-lvm set acme --limit 0
expect_fail "'-1G' is negative" quota-lvm set acme --limit -1G --total-iops-sec 5
expect_fail "'5X' is not a size" quota-lvm set acme --total-bytes-sec none --limit 5X
expect_fail 'is too large' quota-lvm set acme --limit 9000000T
expect_fail '--total-bytes-sec cannot be set together' quota-lvm set acme --limit 1G --read-bytes-sec 5M
expect_fail '--total-iops-sec-max needs a sustained rate' quota-lvm set acme --total-iops-sec-max 5
expect_fail 'there is no tenant globex; there is acme in group labvg' quota-lvm set globex --limit 1G
eq "$(tags)" "$before" "tags after wrong values"

# a limit below what is used: new space is refused, overwriting goes on
matches "$(quota-lvm set acme --limit 32M --total-bytes-sec none 2>&1)" \
    'warning: tenant acme is over limit now: it uses 95.25 MiB of 32.00 MiB' "warning"
matches "$(tags)" "^quota-lvm:limit=$((32 * MIB))\$" "tags"
eq "$(tags | grep -c bytes_sec || true)" 0 "tags of a rate that was cleared"
eq "$(shows labvg acme over_limit)" true "over_limit"
eq "$(shows labvg acme available_bytes)" 0 "available_bytes"
status=0
said=$(write_blocks labvg acme 65536 1524 10) || status=$?
eq "$status $(field written "$said") $(field reason "$said")" "3 0 tenant-limit" "over limit"
dd if=/dev/zero of="$(volume labvg acme)" bs=1M count=8 oflag=direct status=none
eq "$( (quota-lvm check acme --json || true) | jq -r '.[].findings[].kind')" over-limit "findings"
