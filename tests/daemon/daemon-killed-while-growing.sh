#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# quota-lvmd is killed between any two of its steps, and a write is refused below
# the limit, a pool passes its limit, or something has to be repaired.
# usage: daemon-killed-while-growing.sh [SEED]
. "$(dirname "$0")/tenant.sh"

SEED=${1:-$RANDOM}
echo "seed $SEED"
RANDOM=$SEED
LIMIT=$((256 * MIB))
KILLS=0
build_writer
fresh_vg labvg
make_tenant labvg acme $LIMIT $((16 * MIB))
start_daemon
wait_for_daemon

has_got_on() {  # past SIZE, or to its end
    ! kill -0 $writer 2>/dev/null || [ "$(thin_size labvg acme)" -gt "$1" ]
}

(trap - ERR; write_blocks labvg acme 65536 0 100000) >"$TEST_TMP/said" &
writer=$!
while kill -0 $writer 2>/dev/null; do
    sleep "0.$(printf %03d $((RANDOM % 900)))"
    stop_daemon -KILL
    KILLS=$((KILLS + 1))
    start_daemon
    [ "$KILLS" -lt 200 ] || fail "the writer does not get on"
    at_most "$(thin_size labvg acme)" $LIMIT "pool"
    # now and then one may finish, however long LVM takes
    [ $((KILLS % 8)) != 0 ] || wait_for 10 "growth" has_got_on "$(thin_size labvg acme)"
done
status=0
wait $writer || status=$?
said=$(cat "$TEST_TMP/said")
echo "killed $KILLS times: $said"
eq $status 3 "status of the writer"
eq "$(field written "$said")" $((LIMIT / 65536)) "blocks up to the limit"
eq "$(field reason "$said")" tenant-limit "reason"
eq "$(thin_size labvg acme)" $LIMIT "pool"
at_least $KILLS 5 "kills"

# every block says its own number
for block in 0 1 255 256 1000 $((LIMIT / 65536 - 1)); do
    eq "$(dd if="$(volume labvg acme)" bs=65536 skip=$block count=1 iflag=direct status=none |
        od -An -tu8 -N8 | tr -d ' ')" "$block" "block $block"
done
wait_for 10 "a sample of all that" quota-lvm check
