#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# quota-lvmd is killed while its lvextend waits, the next one measures the group
# before that command has changed it, and the same extents are handed out twice.
. "$(dirname "$0")/tenant.sh"

STEP=$((32 * MIB))
LIMIT=$((STEP * 2))     # one step more, and no other
fresh_vg labvg
make_tenant labvg acme $LIMIT $STEP

# an lvextend that does not begin before it is told to
real=$(command -v lvextend)
mkdir "$TEST_TMP/slow"
touch "$TEST_TMP/hold"
cat >"$TEST_TMP/slow/lvextend" <<EOF
#!/bin/sh
echo \$\$ >>"$TEST_TMP/begun"
while [ -e "$TEST_TMP/hold" ]; do sleep 0.1; done
exec "$real" "\$@"
EOF
chmod +x "$TEST_TMP/slow/lvextend"

dd if=/dev/zero of="$(volume labvg acme)" bs=1M count=20 oflag=direct status=none
PATH=$TEST_TMP/slow:$PATH start_daemon
wait_for 20 "the growth to begin" test -s "$TEST_TMP/begun"
stop_daemon -KILL
first=$(head -n 1 "$TEST_TMP/begun")
kill -0 "$first" || fail "lvextend was gone with the daemon"

: >"$DAEMON_LOG"
start_daemon
sleep 3
! grep 'read from LVM' "$DAEMON_LOG" ||
    fail "the second daemon read LVM while the first one's lvextend waited"
rm "$TEST_TMP/hold"
wait_for_daemon
if kill -0 "$first" 2>/dev/null; then
    fail "the second daemon read LVM while the first one's lvextend ran"
fi
eq "$(thin_size labvg acme)" $LIMIT "pool"
sleep 2
eq "$(thin_size labvg acme)" $LIMIT "pool, after another look"
eq "$(cat "$TEST_TMP/begun" | wc -l)" 1 "lvextends of the slow kind"
quota-lvm check
