#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The unit's sandbox keeps LVM from working, or a restart takes the ledgers from
# the guests that have them mapped.
. "$(dirname "$0")/tenant.sh"
systemctl cat quota-lvmd >/dev/null 2>&1 || skip "needs quota-lvmd.service"

# what the service said since this test began; others made it complain
rm -rf /run/quota-lvm/*
cursor=$(journalctl -q -n 1 --show-cursor | sed -n 's/^-- cursor: //p')
said() {
    journalctl -q --after-cursor "$cursor" -u quota-lvmd --no-pager -o cat
}
service_pid() {
    systemctl show -P MainPID quota-lvmd
}

build_writer
fresh_vg labvg
make_tenant labvg acme $((256 * MIB)) $((32 * MIB))
systemctl restart quota-lvmd || fail "does not start: $(said | tail -n 5)"
eq "$(systemctl show -P StatusText quota-lvmd)" "1 tenant" "status"
eq "$(stat -Lc '%a %U' /run/quota-lvm/labvg/acme)" "600 root" "mode of the ledger"

done=$(write_blocks labvg acme 65536 0 700) || fail "no growth: $done; $(said | tail -n 5)"
echo "under the unit: $done"
inode=$(stat -Lc %i /run/quota-lvm/labvg/acme)
pid=$(service_pid)
kill -KILL "$pid"
wait_for 20 "the restart" bash -c "pid=\$(systemctl show -P MainPID quota-lvmd); [ \$pid != 0 ] && [ \$pid != $pid ]"
done=$(write_blocks labvg acme 65536 700 700) || fail "not after a restart: $done; $(said | tail -n 5)"
echo "after kill -9: $done"
eq "$(stat -Lc %i /run/quota-lvm/labvg/acme)" "$inode" "the ledger's inode after kill -9"
systemctl restart quota-lvmd
eq "$(stat -Lc %i /run/quota-lvm/labvg/acme)" "$inode" "the ledger's inode after a restart"
systemctl reload quota-lvmd
quota-lvm check acme
# systemd's own "Failed with result 'signal'" is our kill
complaints=$(said | grep -iE 'denied|not permitted|read-only|failed' |
    grep -v "Failed with result 'signal'" || true)
eq "$complaints" "" "complaints in the journal"
