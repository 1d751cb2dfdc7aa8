#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# libvirtd is killed while its lvcreate runs, somebody else measures the group
# before that command has changed it, and the same extents are handed out twice.
. "$(dirname "$0")/../lab.d/lib.sh"
. "$(dirname "$0")/pools.sh"
requires_machine
requires_command virsh quota-lvm lvm jq

# an lvcreate that takes its time before it begins
lvcreate=$(command -v lvcreate)
mv "$lvcreate" "$lvcreate.real"
cleanup_fn mv "$lvcreate.real" "$lvcreate"
slow_lvcreate() {
    cat >"$lvcreate" <<EOF
#!/bin/sh
echo \$\$ >>"$TEST_TMP/begun"
sleep 5
exec lvm lvcreate "\$@"
EOF
    chmod +x "$lvcreate"
}

fresh_vg vg0
cp -d "$lvcreate.real" "$lvcreate"
pool_up acme vg0 "$(limit 512 MiB 64 MiB)"
rm "$lvcreate"
slow_lvcreate

virsh -q vol-create-as acme root 256MiB >"$TEST_TMP/said" 2>&1 &
wait_for 20 "lvcreate to begin" test -s "$TEST_TMP/begun"
systemctl kill --kill-whom=main --signal=KILL libvirtd
wait || true
# not before the test has looked
systemctl stop libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket 2>/dev/null || true
cleanup_fn systemctl start libvirtd
first=$(head -n 1 "$TEST_TMP/begun")
kill -0 "$first" || fail "lvcreate was gone with libvirtd"

# The next one to change the group waits for it, and sees what it did.
said=$(quota-lvm set acme --limit 200M 2>&1)
if kill -0 "$first" 2>/dev/null; then
    fail "the group was changed while the lvcreate of the killed libvirtd ran"
fi
matches "$said" "over" "what quota-lvm set said of a limit below what is used"
# nothing is left of the kill, and only the limit is short now
eq "$( (quota-lvm check --json || true) | jq -r '.[].findings[].kind')" over-limit "findings"
quota-lvm set acme --limit 512M
quota-lvm check

# Nobody was given the volume, and it was not zeroed: it is taken back.
systemctl start libvirtd
wait_for 60 "the pool to be read anew" virsh -q pool-refresh acme
eq "$(vols acme)" "" "volumes after libvirtd was killed"
eq "$(pool_number acme Allocation)" 0 "allocation after libvirtd was killed"
quota-lvm check
