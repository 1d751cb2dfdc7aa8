#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A storage daemon, or a guest, that writes at full speed through a thin pool of one
# step gets an error, is paused or held up for seconds, before the pool has grown to
# its limit.
#
# usage: growth-pauses-writer.sh [--guest] [LIMIT-MIB STEP-MIB]...
# Prints the slowest writes of each, by the guest's own clock if there is one; the
# faster a disk is, the larger a step does it take for none of them to wait
# (docs/known-limits.md).
. "$(dirname "$0")/tenant.sh"
writer=growth-by-daemon.py
if [ "${1:-}" = --guest ]; then
    writer=growth-by-guest.py
    shift
fi
requires_command fio python3 qemu-storage-daemon qemu-system-x86_64

[ $# -gt 0 ] || set -- 256 64
while [ $# -gt 0 ]; do
    limit=$(($1 * MIB))
    step=$(($2 * MIB))
    shift 2
    fresh_vg labvg
    make_tenant labvg acme $limit $step
    : >"$DAEMON_LOG"
    start_daemon
    wait_for_daemon
    eq "$(thin_size labvg acme)" $step 'the pool, at first'
    echo "limit $((limit / MIB)) MiB, step $((step / MIB)) MiB"
    "$(dirname "$0")/$writer" /run/quota-lvm/labvg/acme acme root \
        "$(volume labvg acme)" $limit
    eq "$(thin_size labvg acme)" $limit 'the pool, at last'
    eq "$(thin_used labvg acme)" $limit 'used, to the limit'
    grew=$(grep -c 'thin pool grew by' "$DAEMON_LOG")
    at_most "$grew" $((limit / step - 1)) 'times that the pool grew'
    echo "  grew $grew times"
    stop_daemon
    vgremove -qq -ff -y labvg >/dev/null
    rm -rf /run/quota-lvm/labvg
done
