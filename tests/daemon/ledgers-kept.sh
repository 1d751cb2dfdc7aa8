#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A restart of quota-ledgerd, or of quota-lvmd, takes the ledgers from the guests that
# have them mapped, or another ledger is made beside the one that they use.
. "$(dirname "$0")/tenant.sh"
systemctl cat quota-ledgerd >/dev/null 2>&1 || skip "needs quota-ledgerd.service"

build_writer
fresh_vg labvg
make_tenant labvg acme $((512 * MIB)) $((32 * MIB))
ACME=/run/quota-lvm/labvg/acme
systemctl restart quota-lvmd
written=0
# is_kept WHAT: the same ledger, by its name, and writes are admitted by it
is_kept() {
    wait_for 20 "$1: the ledger's name" test -e $ACME
    eq "$(stat -Lc %i $ACME)" "$inode" "$1: the ledger's inode"
    said=$(write_blocks labvg acme 65536 $written 100) || fail "$1: $said"
    written=$((written + 100))
    echo "$1: $said"
}

inode=$(stat -Lc %i $ACME)
eq "$(stat -Lc '%a %U %s' $ACME)" "600 root $(stat -Lc %s $ACME)" "the ledger"
matches "$(readlink $ACME)" "^/proc/$(systemctl show -P MainPID quota-ledgerd)/fd/" "its name"
is_kept "at first"
for event in "restart quota-lvmd" "restart quota-ledgerd" \
    "kill -s KILL quota-ledgerd" "kill -s KILL quota-lvmd" \
    "restart quota-ledgerd quota-lvmd" "stop quota-ledgerd"; do
    # shellcheck disable=SC2086
    systemctl $event
    is_kept "systemctl $event"
done

# While quota-lvmd is stopped a guest starts, and has what is granted.
systemctl stop quota-lvmd
is_kept "quota-lvmd stopped"
systemctl restart quota-ledgerd
is_kept "quota-lvmd stopped, quota-ledgerd restarted"
systemctl start quota-lvmd
is_kept "quota-lvmd started"

# systemd before 254 drops the descriptors of a unit that is stopped.
mkdir -p /run/systemd/system/quota-ledgerd.service.d
cleanup_fn systemctl daemon-reload
cleanup_fn rm -r /run/systemd/system/quota-ledgerd.service.d
printf '[Service]\nFileDescriptorStorePreserve=no\n' \
    >/run/systemd/system/quota-ledgerd.service.d/older.conf
systemctl daemon-reload
systemctl stop quota-ledgerd
is_kept "quota-ledgerd stopped, as by an older systemd"

# Both: then it is lost, which nobody takes for "the tenant is gone".
systemctl stop quota-lvmd quota-ledgerd
[ ! -e $ACME ] || fail "a ledger that nobody keeps is there"
systemctl start quota-lvmd
wait_for 20 "a new ledger" test -e $ACME
[ "$(stat -Lc %i $ACME)" != "$inode" ] || fail "the ledger was not lost"
inode=$(stat -Lc %i $ACME)
is_kept "a new ledger"
quota-lvm check

# What has no name any more is not kept.
lvremove -qq -y labvg/acme.root labvg/acme._thin >/dev/null
wait_for 30 "the ledger's end" test ! -L $ACME
systemctl reload quota-lvmd
kept() {
    find "/proc/$(systemctl show -P MainPID quota-ledgerd)/fd" -lname '/memfd:quota-lvm:labvg/*' |
        wc -l
}
wait_for 20 "quota-ledgerd to forget it" test "$(kept)" = 0
