#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The Nth command of LVM fails, for N = 1, 2, ..., and a write is refused below
# the limit for good, or the daemon needs a restart.
. "$(dirname "$0")/tenant.sh"

build_writer
mkdir "$TEST_TMP/bin"
for command in lvs lvextend; do
    cat >"$TEST_TMP/bin/$command" <<EOF
#!/bin/sh
echo x >>"$TEST_TMP/calls"
if [ "\$(wc -l <"$TEST_TMP/calls")" = "\$(cat "$TEST_TMP/nth")" ]; then
    echo "injected into $command" >&2
    exit 5
fi
exec "$(command -v $command)" "\$@"
EOF
    chmod +x "$TEST_TMP/bin/$command"
done

fresh_vg labvg
make_tenant labvg acme $((1024 * MIB)) $((16 * MIB))
next=0
nth=1
while :; do
    echo $nth >"$TEST_TMP/nth"
    : >"$TEST_TMP/calls"
    : >"$DAEMON_LOG"
    rm -rf /run/quota-lvm/labvg
    PATH=$TEST_TMP/bin:$PATH start_daemon
    wait_for_daemon
    if [ ! -e /run/quota-lvm/labvg/acme ]; then
        # the first scan failed: it says so, and SIGHUP or a new ledger repeats it
        matches "$(cat "$DAEMON_LOG")" "injected into lvs" "log of N=$nth"
        kill -HUP "$DAEMON"
        wait_for 10 "the ledger after SIGHUP" test -e /run/quota-lvm/labvg/acme
    fi
    said=$(write_blocks labvg acme 65536 $next 400) ||
        fail "N=$nth: refused below the limit: $said: $(tail -n 3 "$DAEMON_LOG")"
    next=$((next + 400))
    wait_for 10 "N=$nth: a ledger that agrees with LVM" quota-lvm check acme
    stop_daemon
    calls=$(wc -l <"$TEST_TMP/calls")
    [ "$nth" -le "$calls" ] || break
    grep -q injected "$DAEMON_LOG" || [ "$nth" -gt 2 ] || fail "N=$nth: nothing in the log"
    nth=$((nth + 1))
    [ $nth -le 12 ] || break
done
echo "commands failed one at a time: $((nth - 1))"
