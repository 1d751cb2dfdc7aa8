#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A guest that writes at full speed through a thin pool of one step gets an error, or
# is paused, before the pool has grown to its limit.
#
# usage: growth-pauses-guest.sh [LIMIT-MIB STEP-MIB]...
# Prints the slowest write of each, as the guest saw it.  growth-pauses-writer.sh does
# it without a guest, and so faster.
. "$(dirname "$0")/tenant.sh"
requires_command python3 qemu-system-x86_64

[ $# -gt 0 ] || set -- 512 64
while [ $# -gt 0 ]; do
    limit=$(($1 * MIB))
    step=$(($2 * MIB))
    shift 2
    fresh_vg labvg
    make_tenant labvg acme $limit $step
    : >"$DAEMON_LOG"
    start_daemon
    wait_for_daemon
    echo "limit $((limit / MIB)) MiB, step $((step / MIB)) MiB"
    python3 "$(dirname "$0")/growth-guest.py" /run/quota-lvm/labvg/acme acme root \
        "$(volume labvg acme)" $limit
    eq "$(thin_size labvg acme)" $limit 'the pool, at last'
    eq "$(thin_used labvg acme)" $limit 'used, to the limit'
    echo "  grew $(grep -c 'thin pool grew by' "$DAEMON_LOG") times"
    stop_daemon
    vgremove -qq -ff -y labvg >/dev/null
    rm -rf /run/quota-lvm/labvg
done
