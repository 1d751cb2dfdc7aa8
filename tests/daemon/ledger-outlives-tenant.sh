#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A group is removed by hand, quota-lvmd restarted, and the group made again under the
# same names: nobody samples its tenants, since their old ledgers still lie in /run.
. "$(dirname "$0")/tenant.sh"

build_writer
fresh_vg labvg
make_tenant labvg acme $((512 * MIB)) $((64 * MIB))
start_daemon --rescan 0
wait_for_daemon
ledger=/run/quota-lvm/labvg/acme
[ -e "$ledger" ] || fail "there is no ledger to be left behind"

# It must not see the end of the group.
stop_daemon -KILL
vgremove -qq -ff -y labvg >/dev/null
[ -e "$ledger" ] || fail "the ledger went with the group: this tests nothing"
: >"$DAEMON_LOG"
start_daemon --rescan 0
wait_for_daemon
[ ! -e "$ledger" ] || fail "a ledger without a tenant is kept"

fresh_vg labvg
make_tenant labvg acme $((512 * MIB)) $((64 * MIB))
"$WRITER" make labvg acme
said=$(write_blocks labvg acme 65536 0 2000 10) || fail "a write below the limit is refused: $said"
eq "$(field written "$said")" 2000 "written"

# One that a writer still has open stays: its guest would never be sampled again.
"$WRITER" hold "$ledger" root >"$TEST_TMP/held" 2>&1 &
holder=$!
wait_for 10 "the writer to attach" grep -q held "$TEST_TMP/held"
stop_daemon -KILL
vgremove -qq -ff -y labvg >/dev/null
start_daemon --rescan 0
sleep 2
[ -e "$ledger" ] || fail "a ledger with a writer was removed"
kill "$holder"
