#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A command of LVM hangs in one group, and quota-lvmd finds no tenants of another, or
# does not grow them; or nobody is told which command it is.
. "$(dirname "$0")/tenant.sh"

build_writer
fresh_vg labvg
second=$(readlink -f "$(scratch_disk 2)")
wipefs -qa "$second"
vgcreate -qq -y lab-vg "$second" >/dev/null
cleanup_fn pvremove -qq -ff -y "$second"
cleanup_fn vgremove -qq -ff -y lab-vg
make_tenant labvg acme $((512 * MIB)) $((32 * MIB))
make_tenant lab-vg globex $((512 * MIB)) $((32 * MIB))

# lvextend in the first group stops before it does anything
mkdir "$TEST_TMP/bin"
cat >"$TEST_TMP/bin/lvextend" <<EOF
#!/bin/sh
case "\$*" in
*labvg/*)
    [ -e "$TEST_TMP/hung" ] || {
    echo \$\$ >"$TEST_TMP/hung.new" && mv "$TEST_TMP/hung.new" "$TEST_TMP/hung"
    kill -STOP \$\$
    } ;;
esac
exec $(command -v lvextend) "\$@"
EOF
chmod +x "$TEST_TMP/bin/lvextend"
PATH=$TEST_TMP/bin:$PATH start_daemon --interval 0.5 --rescan 5
wait_for_daemon
said=$(write_blocks lab-vg globex 65536 0 1000) || fail "no growth at first: $said"

write_blocks labvg acme 65536 0 1000 600 >"$TEST_TMP/acme" &
writer=$!
wait_for 20 "lvextend to hang" test -e "$TEST_TMP/hung"
hung=$(cat "$TEST_TMP/hung")
cleanup_fn kill -KILL "$hung"

said=$(write_blocks lab-vg globex 65536 1000 3000) || fail "no growth beside it: $said"
echo "another group meanwhile: $said"
make_tenant lab-vg initech $((128 * MIB)) $((32 * MIB))
# Half of the time after which whoever waits for the first group gives up.
SECONDS=0
until [ -e /run/quota-lvm/lab-vg/initech ]; do
    at_most $SECONDS 30 "seconds until a new tenant of another group is found"
    sleep 0.2
done
said=$(write_blocks lab-vg initech 65536 0 1000) || fail "a new tenant does not grow: $said"
wait_for 60 "the log to say it" grep -Eq \
    "group labvg: cannot be read since .* process $hung for lvextend" "$DAEMON_LOG"
expect_fail "locked for [0-9]+ seconds by .*lvextend.*$hung" quota-lvm set acme --limit 600M

kill -CONT "$hung"
wait $writer || fail "after it went on: $(cat "$TEST_TMP/acme")"
wait_for 30 "all to be well" quota-lvm check
