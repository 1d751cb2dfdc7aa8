#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# An LV that is adopted or released loses its data, is not charged or goes on being,
# or is left half way by a kill.
. "$(dirname "$0")/../daemon/tenant.sh"

fresh_vg labvg
make_tenant labvg acme $((256 * MIB)) $((64 * MIB))
make_tenant labvg globex $((256 * MIB)) $((64 * MIB))
quota-lvmd --once
lvcreate -qq -y -L 32m -n data labvg >/dev/null
echo "the data" | dd of=/dev/labvg/data bs=4k conv=sync,fsync status=none
data() { head -c 8 "/dev/labvg/$1"; }
thick() { echo $(($(shows labvg "$1" thick_bytes) / MIB)); }

quota-lvm adopt labvg/data acme disk0
eq "$(data acme.disk0)" "the data" "data after it was adopted"
eq "$(thick acme)" 32 "thick MiB"
quota-lvm check
quota-lvm release labvg/acme disk0 kept
eq "$(data kept)" "the data" "data after it was released"
eq "$(thick acme)" 0 "thick MiB after it was released"
quota-lvm check
quota-lvm adopt labvg/kept acme
expect_fail "is tenant acme's: release it" quota-lvm adopt labvg/acme.kept globex
expect_fail "is tenant acme's already" quota-lvm adopt labvg/acme.kept acme
lvcreate -qq -y -L 4m -n kept labvg >/dev/null
expect_fail "tenant acme has a volume kept already" quota-lvm adopt labvg/kept acme
expect_fail "there is an LV kept in group labvg already" quota-lvm release labvg/acme kept
expect_fail "would make it a volume of tenant globex" quota-lvm release labvg/acme kept globex.x

# what cannot be: each says why and what to do
expect_fail 'there is no LV nope' quota-lvm adopt labvg/nope acme
expect_fail 'no tenant initech .*pool-build' quota-lvm adopt labvg/kept initech
expect_fail "is thin, in the pool globex._thin of tenant globex, and no thin volume can move" \
    bash -c "lvchange --deltag quota-lvm:tenant=globex labvg/globex.root && quota-lvm adopt labvg/globex.root acme"
quota-lvm adopt labvg/globex.root globex
expect_fail 'is thin, in tenant globex.s pool, which it would go on to fill' quota-lvm release labvg/globex root
expect_fail 'is a pool' bash -c "lvcreate -qqy --type thin-pool -L 8m -n loose labvg && quota-lvm adopt labvg/loose acme"
lvremove -qq -y labvg/loose
lvcreate -qq -y -L 200m -n big labvg >/dev/null
expect_fail "takes 200.00 MiB, and tenant acme's limit has 160.00 MiB left .*--limit" quota-lvm adopt labvg/big acme
quota-lvm set acme --max-volumes 2
expect_fail 'limited to 2 volumes and has 2' quota-lvm adopt labvg/kept acme extra
quota-lvm set acme --max-volumes none
exec 9<>/dev/labvg/kept
expect_fail 'is in use' quota-lvm adopt labvg/kept acme extra
exec 9>&-
quota-lvm check

# Killed after any time, and once for sure between tag and name: nothing is left, or
# all is done.
real=$(command -v lvrename)
mkdir "$TEST_TMP/slow"
cat >"$TEST_TMP/slow/lvrename" <<EOF
#!/bin/sh
touch "$TEST_TMP/renaming"
while [ -e "$TEST_TMP/hold" ]; do sleep 0.1; done
sleep 0.5
exec "$real" "\$@"
EOF
chmod +x "$TEST_TMP/slow/lvrename"
for after in 0.1 0.3 0.5 0.7 0.9 1.1 1.4 2 renaming; do
    rm -f "$TEST_TMP/renaming"
    [ $after != renaming ] || touch "$TEST_TMP/hold"
    PATH=$TEST_TMP/slow:$PATH quota-lvm adopt labvg/kept acme extra &>/dev/null &
    if [ $after = renaming ]; then
        wait_for 20 "lvrename to begin" test -e "$TEST_TMP/renaming"
    else
        sleep $after
    fi
    kill -KILL $! 2>/dev/null || true
    status=0
    wait $! 2>/dev/null || status=$?
    rm -f "$TEST_TMP/hold"
    [ $after != renaming ] || eq $status 137 "status of a quota-lvm that was killed"
    quota-lvmd --once           # which waits for the lock
    quota-lvm check
    if [ -e /dev/labvg/acme.extra ]; then
        quota-lvm release labvg/acme extra kept
        echo "killed after $after: adopted"
    elif [ $after = renaming ]; then
        fail "the rename ended with quota-lvm"
    fi
done
# the power goes between the two: charged, said, and completed
lvchange --quiet --addtag quota-lvm:tenant=acme labvg/kept
quota-lvmd --once
expect_fail 'misnamed.*kept' bash -c "quota-lvm check | tr -d '\n'; exit \${PIPESTATUS[0]}"
quota-lvm adopt labvg/kept acme extra
quota-lvm check
lvrename -qq labvg acme.extra labvg/kept
quota-lvm release labvg/acme extra kept
quota-lvm check
