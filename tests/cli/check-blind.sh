#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# quota-lvm check does not see a wrong name, tag, limit or ledger, sees it in the
# wrong place, or sees one where there is none.
. "$(dirname "$0")/../daemon/tenant.sh"
. "$(dirname "$0")/check.sh"
requires_command python3

fresh_vg labvg
make_tenant labvg acme $((512 * MIB)) $((64 * MIB))
make_tenant labvg globex $((512 * MIB)) $((64 * MIB))
lvcreate -qq -y -L 32m -n acme.log --addtag quota-lvm:tenant=acme labvg >/dev/null
agrees once
matches "$(quota-lvm check)" '^labvg +acme +ok' "table"
matches "$(quota-lvm check labvg/acme)" 'acme +ok' "one tenant"
expect_fail 'there is no tenant nope' quota-lvm check labvg/nope

# names and tags
finds acme "misnamed" lvrename labvg acme.log labvg/journal
matches "$(quota-lvm check acme || true)" 'misnamed: LV journal is charged' "text"
matches "$(quota-lvm check acme || true)" 'do: complete it with quota-lvm adopt' "remedy"
eq "$( (quota-lvm check acme --json || true) | jq -r '.[].findings[].lv')" journal "LV at fault"
eq "$(quota-lvm check globex | grep -c finding || true)" 0 "findings of another"
agrees lvrename labvg journal labvg/acme.log
finds acme "untagged ledger-differs" lvchange --deltag quota-lvm:tenant=acme labvg/acme.log
agrees lvchange --addtag quota-lvm:tenant=acme labvg/acme.log
finds acme "two-tenants" lvchange --addtag quota-lvm:tenant=globex labvg/acme.log
agrees lvchange --deltag quota-lvm:tenant=globex labvg/acme.log
finds globex "foreign-pool" lvcreate -y -V 64m --thinpool acme._thin -n globex.far \
    --addtag quota-lvm:tenant=globex labvg
finds acme "untagged" bash -c "lvchange --deltag quota-lvm:tenant=globex labvg/globex.far &&
    lvrename labvg globex.far labvg/far"
agrees lvremove -y labvg/far
finds acme "second-pool ledger-differs" lvcreate -y --type thin-pool -L 32m -n acme.pool2 \
    --addtag quota-lvm:tenant=acme labvg
agrees lvremove -y labvg/acme.pool2

# limits
finds acme "bad-tag ledger-differs no-limit" lvchange --addtag quota-lvm:limit=5G \
    --deltag quota-lvm:limit=$((512 * MIB)) labvg/acme._thin
finds acme "no-limit ledger-differs" lvchange --deltag quota-lvm:limit=5G labvg/acme._thin
agrees lvchange --addtag quota-lvm:limit=$((512 * MIB)) labvg/acme._thin
finds acme "over-limit" quota-lvm set acme --limit 80M
agrees quota-lvm set acme --limit 512M
finds acme "over-limit ledger-differs" lvextend -L 500m labvg/acme._thin
agrees bash -c "quota-lvm set acme --limit 600M && quota-lvmd --once"
finds initech "no-pool" bash -c "lvcreate -y -L 8m -n initech.x \
    --addtag quota-lvm:tenant=initech labvg && quota-lvmd --once"
finds - "ledger-orphan" lvremove -y labvg/initech.x
agrees rm /run/quota-lvm/labvg/initech
finds - "ledger-orphan" bash -c "mkdir -p /run/quota-lvm/gonevg &&
    cp /run/quota-lvm/labvg/acme /run/quota-lvm/gonevg"
agrees rm -r /run/quota-lvm/gonevg

# what a command of LVM leaves that was killed
torn() {        # LVM takes no such name from a user
    lvcreate -y -an -Zn -L 8m -n torn labvg
    vgcfgbackup -f "$TEST_TMP/text" labvg
    sed -i 's/^\t*torn {/torn_rimage_0 {/' "$TEST_TMP/text"
    vgcfgrestore --force --yes -f "$TEST_TMP/text" labvg
}
finds - "leftover" torn
agrees lvremove -y labvg/torn_rimage_0
second=$(readlink -f "$(scratch_disk 2)")
wipefs -qa "$second"
cleanup_fn pvremove -qq -ff -y "$second"
vgextend -qq labvg "$second"
moving() {      # nobody looks again for five minutes
    pvmove -i 300 "$(readlink -f "$(scratch_disk 1)")" "$second" &
    wait_for 20 "pvmove to begin" lvs -a labvg/pvmove0
    kill -KILL $!
    wait $! || true
}
# no tenant is charged for what is there twice meanwhile
finds - "pvmove" moving
agrees pvmove --abort
# what had arrived by then has stayed there, if anything had
pvmove -qq "$second" 2>/dev/null || true
vgreduce -qq labvg "$second"

# the ledger
finds acme "ledger-differs" lvextend -L 64m labvg/acme.log
agrees once
finds acme "ledger-bad" bash -c 'head -c 4096 $0 >$0.new && mv $0.new $0' \
    /run/quota-lvm/labvg/acme
agrees once
finds acme "ledger-bad" dd if=/dev/urandom of=/run/quota-lvm/labvg/acme bs=64 count=1 conv=notrunc
agrees once
finds acme "under-count" dd if=/dev/urandom of="$(volume labvg acme)" bs=64k count=16 oflag=direct
agrees once
start_daemon
wait_for_daemon
wait_for 10 "a sample of all that" quota-lvm check
agrees
kill -STOP "$DAEMON"
finds globex "ledger-missing" rm /run/quota-lvm/labvg/globex
finds_all "acme not-sampled,globex ledger-missing" sleep 6
kill -CONT "$DAEMON"
wait_for 10 "quota-lvmd to make all right" quota-lvm check
# who writes a sample of its own again and again: sampled_bytes stands at 832
cat >"$TEST_TMP/poke.py" <<'PYTHON'
import struct, time
with open('/run/quota-lvm/labvg/acme', 'r+b', buffering=0) as file:
    while True:
        file.seek(832)
        file.write(struct.pack('<Q', 300 << 20))
        time.sleep(0)
PYTHON
python3 "$TEST_TMP/poke.py" &
poke=$!
wait_for 30 "over-count to be found" bash -c "quota-lvm check acme | grep 'over-count: .*newer sample'"
kill $poke
wait $poke || true
wait_for 10 "a sample of quota-lvmd's own" quota-lvm check
stop_daemon
agrees

echo "$CHECKS kinds of damage, each found and nothing else"
