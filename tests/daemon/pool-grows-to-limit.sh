#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A write is refused below the limit, or admitted beyond it; the pool grows in
# other steps than it should; the numbers that are shown differ from the kernel's.
. "$(dirname "$0")/tenant.sh"

LIMIT=$((203 * MIB))    # no multiple of the extent: usable to 200 MiB
STEP=$((32 * MIB))
build_writer
fresh_vg labvg
make_tenant labvg acme $LIMIT $STEP
start_daemon
wait_for_daemon

# past five steps at full speed, and not one refusal
said=$(write_blocks labvg acme 65536 0 3000) || fail "refused below the limit: $said"
echo "187.5 MiB in steps of 32 MiB: $said"
eq "$(field reason "$said")" none "reason"
at_most "$(thin_size labvg acme)" $LIMIT "pool"

# on to the limit: exactly what fits, and a clear answer
status=0
said=$(write_blocks labvg acme 65536 3000 1000) || status=$?
echo "at the limit: $said"
eq $status 3 "status at the limit"
eq "$(field written "$said")" 200 "blocks up to the last whole extent"
eq "$(field reason "$said")" tenant-limit "reason"
eq "$(thin_size labvg acme)" $((200 * MIB)) "pool at the limit"
eq "$(thin_used labvg acme)" $((200 * MIB)) "used at the limit"
matches "$(cat "$DAEMON_LOG")" 'limit reached, .* raise it with: quota-lvm set acme' "log"
# whole steps, as many at once as the pace asks for, and a last one of what is left
grown=$(sed -n 's/.*thin pool grew by \([0-9]*\).00 MiB to .*/\1/p' "$DAEMON_LOG")
awk '{ sum += $1; if (sum < 168 && $1 % 32) exit 1 }
    END { if (sum != 168 || $1 % 32 != 8) exit 1 }' <<<"$grown" ||
    fail "the pool grew by (MiB): $grown"

# and nobody else grows it, by a rule of his own
eq "$(lvs --noheadings -o seg_monitor labvg/acme._thin | xargs)" "not monitored" "dmeventd"

# overwriting goes on, and every number agrees
said=$(dd if=/dev/zero of="$(volume labvg acme)" bs=1M count=4 seek=10 oflag=direct 2>&1) ||
    fail "overwrite: $said"
eq "$(shows labvg acme thin_bytes)" "$(thin_used labvg acme)" "thin_bytes"
eq "$(shows labvg acme used_bytes)" $((200 * MIB)) "used_bytes"
eq "$(shows labvg acme available_bytes)" $((3 * MIB)) "available_bytes, less than an extent"
eq "$(shows labvg acme grant_bytes)" $((200 * MIB)) "grant_bytes"
at_least "$(shows labvg acme refused_writes)" 1 "refused_writes"
quota-lvm check acme
grep -E 'grew' "$DAEMON_LOG" | sed 's/.*group labvg: //'
