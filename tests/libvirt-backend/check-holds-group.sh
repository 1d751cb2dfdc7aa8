#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# thin_check of one tenant's large thin pool, when its storage pool is started or stopped,
# keeps another tenant of the group from growing, or libvirtd from answering.
. "$(dirname "$0")/../lab.d/lib.sh"
. "$(dirname "$0")/pools.sh"
requires_machine
requires_command virsh quota-lvm thin_check

SLOW=20
fresh_vg vg0
pool_up acme vg0 "$(limit 512 MiB 16 MiB)"
pool_up globex vg0 "$(limit 512 MiB 16 MiB)"
vol_create acme root 64 thin
vol_create globex root 400 thin
lvextend -qq --poolmetadatasize 16m vg0/acme._thin >/dev/null
virsh -q pool-refresh acme
head -c 64M /dev/zero | tr '\0' x >"$TEST_TMP/data"

# a check that takes its time, for one of the two
checker=$(command -v thin_check)
real=$(readlink -f "$checker")
mv "$checker" "$checker.saved"
cleanup_fn mv -f "$checker.saved" "$checker"
[ "$real" != "$checker" ] || real=$checker.saved
cat >"$checker" <<EOF
#!/bin/bash
case "\$*" in
*acme*) echo "\$*" >>"$TEST_TMP/checked" && sleep $SLOW ;;
esac
exec -a thin_check "$real" "\$@"
EOF
chmod +x "$checker"

SECONDS=0
virsh -q pool-destroy acme
at_most $SECONDS $((SLOW - 1)) "seconds to stop a pool"

# started COMMAND...: the pool is started meanwhile; COMMAND takes no part of the check
started() {
    rm -f "$TEST_TMP/checked"
    virsh -q pool-start acme >"$TEST_TMP/said" 2>&1 &
    starting=$!
    wait_for 20 "the check" test -e "$TEST_TMP/checked"
    SECONDS=0
    "$@"
    echo "beside a check of $SLOW s: $SECONDS s for $*"
    at_most $SECONDS $((quiet + SLOW / 2)) "seconds of $*, beside a check"
}
part=0
grows() {
    virsh -q vol-upload --pool globex --offset $((part * 64 << 20)) root "$TEST_TMP/data" >/dev/null
    virsh -q pool-list >/dev/null
    part=$((part + 1))
}
SECONDS=0
grows
quiet=$SECONDS
started grows
wait $starting || fail "not started: $(cat "$TEST_TMP/said")"
is_active vg0/acme._thin || fail "the thin pool is not active"
eq "$(wc -l <"$TEST_TMP/checked")" 1 "checks of one start"
wait_for 20 "all to be well" quota-lvm check

# killed meanwhile: what it had activated does not stand in the way
virsh -q pool-destroy acme
started systemctl kill --kill-whom=main --signal=KILL libvirtd
wait $starting || true
pkill -f thin_check || true
wait_for 30 "libvirtd to be back" virsh -q pool-list
virsh -q pool-start acme
is_active vg0/acme._thin || fail "the thin pool is not active after a killed start"

# one that is damaged is refused, by LVM's own words
virsh -q pool-destroy acme
sed -i 's/^exec .*/exit 1/' "$checker"
expect_fail "cannot activate thin pool 'acme._thin'" virsh pool-start acme
rm "$checker"
cp -a "$checker.saved" "$checker"
virsh -q pool-start acme
wait_for 20 "all to be well" quota-lvm check
