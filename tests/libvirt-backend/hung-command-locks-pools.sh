#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A command of LVM hangs in one volume group, and libvirtd answers nobody: its pool's
# mutex is kept, which pool-list needs, or all of its workers wait; or whoever waits is
# not told for what.
. "$(dirname "$0")/../lab.d/lib.sh"
. "$(dirname "$0")/pools.sh"
requires_machine
requires_command virsh quota-lvm

VERBS=25        # more than libvirtd has workers
second=$(readlink -f "$(scratch_disk 2)")
fresh_vg vg0
wipefs -qa "$second"
vgcreate -qq -y vg1 "$second" >/dev/null
cleanup_fn rm -rf /run/quota-lvm/vg1
cleanup_fn pvremove -qq -ff -y "$second"
cleanup_fn vgremove -qq -ff -y vg1
pool_up acme vg0 "$(limit 512 MiB 16 MiB)"
pool_up globex vg1 "$(limit 512 MiB 16 MiB)"

# milliseconds of COMMAND
took() {
    local began=${EPOCHREALTIME/./}
    timeout "$(hang_limit 60)" "$@" >/dev/null
    echo $(((${EPOCHREALTIME/./} - began) / 1000))
}
listed=$(took virsh -q pool-list)
created=$(took virsh -q vol-create-as globex quiet 16MiB)

tool=$(command -v lvcreate)
mv "$tool" "$tool.real"
cleanup_fn mv "$tool.real" "$tool"
cat >"$tool" <<SH
#!/bin/sh
case "\$*" in
*acme.hung*) echo \$\$ >"$TEST_TMP/hung.new" && mv "$TEST_TMP/hung.new" "$TEST_TMP/hung" && kill -STOP \$\$ ;;
esac
exec lvm lvcreate "\$@"
SH
chmod +x "$tool"

virsh -q vol-create-as acme hung 16MiB >"$TEST_TMP/said.0" 2>&1 &
waiting=($!)
wait_for 20 "lvcreate to hang" test -e "$TEST_TMP/hung"
hung=$(cat "$TEST_TMP/hung")
cleanup_fn kill -KILL "$hung"
for ((i = 1; i <= VERBS; i++)); do
    virsh -q vol-create-as acme "more$i" 16MiB --allocation 0 >"$TEST_TMP/said.$i" 2>&1 &
    waiting+=($!)
done
locked="locked for [0-9]+ seconds by .*lvcreate.*$hung"
wait_for 60 "those to be refused for whom there is no place" sh -c \
    "grep -lE '$locked' '$TEST_TMP'/said.*"

longest=0
for ((i = 0; i < 10; i++)); do
    ms=$(took virsh -q pool-list)
    [ "$ms" -le "$longest" ] || longest=$ms
done
ms=$(took virsh -q vol-create-as globex beside 16MiB)
echo "beside a command that hangs: pool-list $longest ms ($listed), vol-create in another group $ms ms ($created)"
# each verb keeps its pool for a second
at_most "$longest" $((listed * 2 + 3000)) "pool-list (ms)"
at_most "$ms" $((created * 2 + 3000)) "vol-create in another group (ms)"
kill -0 "${waiting[0]}" || fail "the verb did not wait: $(cat "$TEST_TMP/said.0")"

for pid in "${waiting[@]}"; do
    wait "$pid" && fail "a verb has succeeded beside a command that hangs"
done
grep -Eq "lvcreate has not finished after [0-9]+ seconds" "$TEST_TMP/said.0" || fail "at its deadline: $(cat "$TEST_TMP/said.0")"
for ((i = 1; i <= VERBS; i++)); do
    grep -Eq "$locked" "$TEST_TMP/said.$i" || fail "who has the lock: $(cat "$TEST_TMP/said.$i")"
done

kill -CONT "$hung"
wait_for 60 "lvcreate to end" sh -c "! kill -0 $hung 2>/dev/null"
virsh -q pool-refresh acme >/dev/null
virsh -q vol-create-as acme after 16MiB >/dev/null
wait_for 20 "all to be well" quota-lvm check
