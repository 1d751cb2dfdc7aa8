# SPDX-License-Identifier: LGPL-2.1-or-later
# For the tests of faults in the middle of a verb, sourced after pools.sh: verbs that
# change LVM, and LVM's commands made to fail, or libvirtd killed, at one of them.
# shellcheck shell=bash

# What libvirtd runs goes through this; what the test runs does not notice.
FAULTS=/run/verb-faults
faults_install() {
    local command
    mkdir -p "$FAULTS"
    cleanup_fn rm -rf "$FAULTS"
    cat >"$FAULTS/command" <<EOF
#!/bin/bash
name=\${0##*/}
if [ -e $FAULTS/fault ] && [ "\$(cat /proc/\$PPID/comm)" = libvirtd ]; then
    echo "\$name \$*" >>$FAULTS/calls
    read -r fault nth <$FAULTS/fault
    n=\$(wc -l <$FAULTS/calls)
    if [ "\$n" = "\$nth" ] || { [ "\$fault" = always ] && [ "\$n" -gt "\$nth" ]; }; then
        case \$fault in
        fail-before | always) ;;
        fail-after) lvm "\$name" "\$@" ;;
        kill-instead) kill -KILL \$PPID ;;
        kill-after) lvm "\$name" "\$@"; kill -KILL \$PPID ;;
        esac
        echo "  injected into \$name" >&2
        exit 5
    fi
fi
exec lvm "\$name" "\$@"
EOF
    chmod +x "$FAULTS/command"
    for command in lvs vgs pvs lvcreate lvremove lvextend lvreduce lvresize lvchange \
        lvconvert vgchange vgcreate pvcreate; do
        command=$(command -v $command)
        mv "$command" "$command.real"
        cleanup_fn mv "$command.real" "$command"
        cp "$FAULTS/command" "$command"
    done
}

# with_fault FAULT NTH COMMANDS: in one virsh, which may fail.
with_fault() {
    : >"$FAULTS/calls"
    echo "$1 $2" >"$FAULTS/fault"
    virsh -q "$3" >"$TEST_TMP/said" 2>&1 || true
    rm "$FAULTS/fault"
}

# state: all that LVM says of the group's LVs but what each new one has of its own.
state() {
    lvs -a --noheadings --units b --nosuffix --sort lv_name \
        -o lv_name,lv_size,segtype,pool_lv,origin,lv_tags,lv_active vg0 | sed 's/ *$//'
}

# The state that each verb begins with.
faults_begin() {
    # nobody but libvirtd puts the ledger right
    systemctl stop quota-lvmd
    fresh_vg vg0
    pool_up acme vg0 "$(limit 512 MiB 64 MiB)"
    virsh -q pool-dumpxml --inactive acme >"$TEST_TMP/acme.xml"
    sed 's|>536870912</quota:limit>|>805306368</quota:limit>|' "$TEST_TMP/acme.xml" >"$TEST_TMP/raised.xml"
    pool_xml globex vg0 "$(limit 128 MiB 64 MiB)" >"$TEST_TMP/globex.xml"
    virsh -q pool-define "$TEST_TMP/globex.xml" >/dev/null
    cleanup_fn virsh -q pool-undefine globex
    vol_create acme root 64 thin
    vol_create acme data 16 thick
    virsh -q vol-create-as acme base 16MiB --allocation 0 >/dev/null
    virsh -q vol-create-as acme kept 16MiB --backing-vol base --backing-vol-format raw >/dev/null
    faults_install
}

# VERB | what does it | what undoes it; with a + the verbs that the suite tries, one of
# each way through the code: all of them take a quarter of an hour
VERBS=(
    "+thick|vol-create-as acme new 16MiB|vol-delete --pool acme new"
    "thin|vol-create-as acme new 16MiB --allocation 0|vol-delete --pool acme new"
    "+snapshot|vol-create-as acme new 64MiB --allocation 0 --backing-vol root --backing-vol-format raw|vol-delete --pool acme new"
    "thick snapshot|vol-create-as acme new 16MiB --allocation 8MiB --backing-vol data --backing-vol-format raw|vol-delete --pool acme new"
    "clone|vol-clone --pool acme root new|vol-delete --pool acme new"
    "copy|vol-clone --pool acme data new|vol-delete --pool acme new"
    "+grow thick|vol-resize --pool acme data 24MiB|vol-resize --pool acme data 16MiB --shrink"
    "shrink thick|vol-resize --pool acme data 8MiB --shrink|vol-resize --pool acme data 16MiB"
    "grow thin|vol-resize --pool acme root 72MiB|vol-resize --pool acme root 64MiB --shrink"
    "delete thick|vol-delete --pool acme data|vol-create-as acme data 16MiB"
    "delete thin|vol-delete --pool acme root|vol-create-as acme root 64MiB --allocation 0"
    "+delete two|vol-delete --pool acme base --delete-snapshots|vol-create-as acme base 16MiB --allocation 0; vol-create-as acme kept 16MiB --backing-vol base --backing-vol-format raw"
    "+limits|pool-define $TEST_TMP/raised.xml; pool-refresh acme|pool-define $TEST_TMP/acme.xml; pool-refresh acme"
    "build|pool-build globex|pool-delete globex"
)

# Of two commands: killed in between, it leaves a snapshot of its origin's size.
LARGER_SNAPSHOT="+larger snapshot|vol-create-as acme new 72MiB --allocation 0 --backing-vol root --backing-vol-format raw|vol-delete --pool acme new"

# with_faults_in VERB DOES UNDOES AFTERWARDS FAULT...: each fault at each command of
# LVM that the verb runs.
with_faults_in() {
    local verb=$1 does=$2 undoes=$3 afterwards=$4 before after now calls names nth fault again
    shift 4
    before=$(state)
    with_fault none 0 "$does"
    after=$(state)
    calls=$(wc -l <"$FAULTS/calls")
    names=$(sed 's/ .*//' "$FAULTS/calls" | paste -sd' ')
    [ "$after" != "$before" ] || fail "$verb: does nothing: $(cat "$TEST_TMP/said")"
    at_least "$calls" 1 "$verb: commands of LVM"
    virsh -q "$undoes" >"$TEST_TMP/said" 2>&1 || fail "undo $verb: $(cat "$TEST_TMP/said")"
    for fault; do
        for ((nth = 1; nth <= calls; nth++)); do
            [ "$fault" != always ] || [ "$nth" -lt "$calls" ] || continue
            with_fault "$fault" "$nth" "$does"
            "$afterwards" "$verb, $fault $nth"
            now=$(state)
            [ "$now" = "$before" ] || [ "$now" = "$after" ] ||
                fail "$verb, $fault $nth: neither before nor after: $(diff - <(echo "$now") <<<"$before")"
            quota-lvm check >"$TEST_TMP/check" ||
                fail "$verb, $fault $nth: $(cat "$TEST_TMP/check" "$TEST_TMP/said")"
            again=$does
            [ "$now" = "$before" ] || again="pool-refresh acme"
            virsh -q "$again; $undoes" >"$TEST_TMP/said" 2>&1 ||
                fail "$verb, again and undone after $fault $nth: $(cat "$TEST_TMP/said")"
            FAULTS_DONE=$((FAULTS_DONE + 1))
        done
    done
    eq "$(state)" "$before" "state after $verb was undone"
    echo "$verb: $names"
}

# with_each_fault WHICH AFTERWARDS FAULT...: in each verb, or (WHICH is not "all") in
# those of the suite.  AFTERWARDS is run when the fault has passed, with its name as
# argument; then LVM has either what it had before or what the verb makes, the ledger
# agrees, and the verb can be repeated and undone.
with_each_fault() {
    local which=$1 entry verb does undoes
    shift
    FAULTS_DONE=0
    for entry in "${VERBS[@]}"; do
        IFS='|' read -r verb does undoes <<<"$entry"
        if [ "$which" = all ] || [[ $verb == +* ]]; then
            with_faults_in "${verb#+}" "$does" "$undoes" "$@"
        fi
    done
    echo "$FAULTS_DONE faults, each left what was there or what was asked for"
}
