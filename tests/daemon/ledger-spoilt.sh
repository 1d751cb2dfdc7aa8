#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A tenant's QEMU that was taken over spoils its ledger, or somebody removes it,
# and quota-lvmd ends, stops sampling other tenants, or never recovers.
. "$(dirname "$0")/tenant.sh"

requires_command python3
build_writer
fresh_vg labvg
make_tenant labvg acme $((256 * MIB)) $((32 * MIB))
make_tenant labvg globex $((256 * MIB)) $((32 * MIB))
start_daemon --interval 0.2 --rescan 2
wait_for_daemon
ACME=/run/quota-lvm/labvg/acme

healthy() {
    kill -0 "$DAEMON" || fail "$1: quota-lvmd has ended: $(tail -n 3 "$DAEMON_LOG")"
    "$WRITER" ring /run/quota-lvm/labvg/globex 20 >/dev/null || fail "$1: globex is not sampled"
    wait_for 15 "$1: acme's ledger to be right again" quota-lvm check acme
    "$WRITER" ring $ACME 5 >/dev/null || fail "$1: acme is not sampled"
    quota-lvm check >/dev/null
}
healthy "at first"

for size in 0 4096 64M; do
    expect_fail "Operation not permitted" truncate -s $size $ACME
done
healthy "after changes of its size"
fallocate --punch-hole --offset 0 --length 4096 $ACME
healthy "a hole in place of its header"
fallocate --punch-hole --offset 4096 --length 1M $ACME
healthy "a hole in place of its volumes"
rm $ACME
healthy "removed"
echo "not a ledger" >$ACME.new && mv $ACME.new $ACME
healthy "replaced by a text"
rm -rf /run/quota-lvm/labvg
wait_for 10 "the other tenant's ledger" test -e /run/quota-lvm/labvg/globex
healthy "removed with the whole group"
# Noise behind the header, to the end: what the words of reading.c say is noticed by
# itself, forged limits at the next rescan.
SEED=${1:-$RANDOM}
echo "seed $SEED"
SIZE=$(stat -Lc %s $ACME)
scribble() {
    python3 -c "import random, sys
random.seed($1)
sys.stdout.buffer.write(random.randbytes($SIZE - 512))" |
        dd of=$ACME bs=512 seek=1 conv=notrunc status=none
}
scribble "$SEED"
healthy "noise behind the header"
for seed in 1 2 3 4 5; do
    # just then it may be replaced, and its link lead to what is no file
    scribble $((SEED + seed)) || true
    "$WRITER" ring $ACME 3 5 >/dev/null 2>&1 || true
done
healthy "noise while it is rung"
at_most "$(thin_size labvg acme)" $((256 * MIB)) "acme's pool after all that"

# the tenant goes: so does its ledger, and nobody else's
lvremove -qq -y labvg/acme.root labvg/acme._thin >/dev/null
wait_for 10 "the ledger of a tenant that is gone" test ! -e $ACME
"$WRITER" ring /run/quota-lvm/labvg/globex 20 >/dev/null
quota-lvm check
