#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A command of LVM that quota-lvmd or quota-lvm runs fails, at its first call, its
# second, ...: a write is refused below the limit for good, the daemon needs a restart,
# or a change is left that cannot be completed by asking for it again.
# usage: lvm-command-fails.sh [all]: without it each call fails in one of the two ways
# in turn, not in both
. "$(dirname "$0")/tenant.sh"

# All of LVM that the two run.  They find nothing else in their PATH: what is not in
# this list cannot be executed, and what nobody runs any more never fails below.
COMMANDS=(pvs lvextend lvchange lvrename vgchange lvconvert)
FAULTS=(fail-before fail-after)
BIN=$TEST_TMP/bin
: >"$TEST_TMP/failed"

case ${1:-} in
all | '') WHICH=${1:-turns} ;;
*) fail "usage: $0 [all]" ;;
esac

# is_tried FAULT NTH: is this call to fail in this way?
is_tried() {
    [ "$WHICH" = all ] || [ "$1" = "${FAULTS[$2 % 2]}" ]
}

# The command that is called as the Nth fails: before it has done anything, or after it
# has done all.
mkdir "$BIN"
ln -s "$(command -v sh)" "$BIN/sh"
for command in "${COMMANDS[@]}"; do
    requires_command "$command"
    cat >"$BIN/$command" <<EOF
#!/bin/sh
PATH=$PATH
echo $command >>"$TEST_TMP/calls"
read -r fault nth <"$TEST_TMP/fault"
if [ "\$(wc -l <"$TEST_TMP/calls")" = "\$nth" ]; then
    [ "\$fault" = fail-before ] || $command "\$@"
    echo "$command \$fault" >>"$TEST_TMP/failed"
    echo "  injected into $command" >&2
    exit 5
fi
exec $command "\$@"
EOF
    chmod +x "$BIN/$command"
done
QUOTA_LVM=$(command -v quota-lvm)
QUOTA_LVMD=$(command -v quota-lvmd)

# next_fault FAULT NTH: of what is run from now on.
next_fault() {
    : >"$TEST_TMP/calls"
    echo "$1 $2" >"$TEST_TMP/fault"
}

calls() {
    wc -l <"$TEST_TMP/calls"
}

build_writer
fresh_vg labvg

# ---- quota-lvmd ---------------------------------------------------------------------

# daemon_with FAULT NTH: a tenant's pool has to grow under a writer.
daemon_with() {
    local said what="quota-lvmd, $1 $2"
    make_tenant labvg acme $((256 * MIB)) $((16 * MIB))
    next_fault "$1" "$2"
    : >"$DAEMON_LOG"
    PATH=$BIN "$QUOTA_LVMD" -v >>"$DAEMON_LOG" 2>&1 &
    DAEMON=$!
    wait_for_daemon
    if [ ! -e /run/quota-lvm/labvg/acme ]; then
        # the first scan failed: it says so, and SIGHUP or a new ledger repeats it
        matches "$(cat "$DAEMON_LOG")" "injected into pvs" "log of $what"
        kill -HUP "$DAEMON"
        wait_for 10 "$what: the ledger after SIGHUP" test -e /run/quota-lvm/labvg/acme
    fi
    said=$(write_blocks labvg acme 65536 0 400) ||
        fail "$what: refused below the limit: $said: $(tail -n 3 "$DAEMON_LOG")"
    wait_for 10 "$what: a ledger that agrees with LVM" quota-lvm check acme
    stop_daemon
    [ "$(calls)" -lt "$2" ] ||
        matches "$(cat "$DAEMON_LOG")" "injected into" "log of $what"
    ! grep -E "execute child process|: not found" "$DAEMON_LOG" ||
        fail "$what: it runs what is not in the list of this test"
    lvremove -qq -y labvg/acme.root labvg/acme._thin >/dev/null
    rm -rf /run/quota-lvm/labvg
}

for fault in "${FAULTS[@]}"; do
    for ((nth = 1, most = 2; nth <= most; nth++)); do
        at_most "$nth" 20 "commands of LVM for one growth"
        is_tried "$fault" "$nth" || continue
        daemon_with "$fault" "$nth"
        most=$(calls)
    done
    echo "quota-lvmd, $fault: $((nth - 1)) times, at last with $(paste -sd' ' "$TEST_TMP/calls")"
done

# ---- quota-lvm ----------------------------------------------------------------------

# state: what LVM says of the group, in whatever order the tags are.
state() {
    local name tags rest
    lvs -a --noheadings --separator '|' --units b --nosuffix --sort lv_name \
        -o lv_name,lv_tags,lv_size,segtype,pool_lv,origin labvg | tr -d ' ' |
        while IFS='|' read -r name tags rest; do
            echo "$name $(tr , '\n' <<<"$tags" | sort | paste -sd,) $rest"
        done
    vgs --noheadings -o vg_tags labvg | tr -d ' '
}

# run_with FAULT NTH VERB: how it ended is in STATUS, what it said in the file said.
run_with() {
    next_fault "$1" "$2"
    STATUS=0
    # shellcheck disable=SC2086  # words
    PATH=$BIN "$QUOTA_LVM" $3 >"$TEST_TMP/said" 2>&1 || STATUS=$?
}

# faults_in FIRST VERB UNDO: each fault at each of its commands, from the FIRST on.  It
# says so; no byte is uncharged; and the same again, unless all is done, completes it.
faults_in() {
    local first=$1 verb=$2 undo=$3 before after now count names fault nth what kinds
    before=$(state)
    run_with none 0 "$verb"
    eq "$STATUS" 0 "status of $verb, which said $(cat "$TEST_TMP/said")"
    count=$(calls)
    names=$(paste -sd' ' "$TEST_TMP/calls")
    after=$(state)
    [ "$after" != "$before" ] || fail "$verb: changes nothing"
    $undo >"$TEST_TMP/said" 2>&1 || fail "undo $verb: $(cat "$TEST_TMP/said")"
    eq "$(state)" "$before" "state after $undo"
    for fault in "${FAULTS[@]}"; do
        for ((nth = first; nth <= count; nth++)); do
            is_tried "$fault" "$nth" || continue
            what="$verb, $fault $nth"
            run_with "$fault" "$nth" "$verb"
            eq "$STATUS" 1 "status of $what"
            matches "$(cat "$TEST_TMP/said")" "injected into" "what was said of $what"
            quota-lvmd --once
            kinds=$( (quota-lvm check --json || true) | jq -r '.[].findings[].kind' |
                sort -u | paste -sd' ')
            matches "$kinds" '^(misnamed)?$' "findings after $what"
            now=$(state)
            if [ "$now" != "$after" ]; then
                # shellcheck disable=SC2086  # words
                quota-lvm $verb >"$TEST_TMP/said" 2>&1 ||
                    fail "again after $what: $(cat "$TEST_TMP/said")"
                now=$(state)
            fi
            eq "$now" "$after" "state after $what, and again"
            quota-lvm check >"$TEST_TMP/said" || fail "$what: $(cat "$TEST_TMP/said")"
            $undo >"$TEST_TMP/said" 2>&1 || fail "undo $what: $(cat "$TEST_TMP/said")"
        done
    done
    eq "$(state)" "$before" "state after all of $verb was undone"
    echo "quota-lvm $verb: $names"
}

snapshot() {
    lvcreate -qq -y --monitor n -s -n acme.before --addtag quota-lvm:tenant=acme \
        labvg/acme.root
}

make_tenant labvg acme $((1024 * MIB)) $((16 * MIB))
snapshot >/dev/null 2>&1
lvcreate -qq -y -L 16m -n kept labvg >/dev/null
lvcreate -qq -y -L 16m -n acme.log --addtag quota-lvm:tenant=acme labvg >/dev/null
quota-lvmd --once
quota-lvm check >/dev/null
# all begin with the same pvs: one tries that
faults_in 1 "set acme --limit 900M" "quota-lvm set acme --limit 1G"
faults_in 2 "set --group labvg --overcommit 150" "quota-lvm set --group labvg --overcommit none"
faults_in 2 "adopt labvg/kept acme extra" "quota-lvm release labvg/acme extra kept"
faults_in 2 "release labvg/acme log spare" "quota-lvm adopt labvg/spare acme log"
faults_in 2 "rollback acme before" snapshot

# ---- what was tried -----------------------------------------------------------------

for command in "${COMMANDS[@]}"; do
    for fault in "${FAULTS[@]}"; do
        [ "$WHICH" = all ] || fault='.*'
        grep -qx "$command $fault" "$TEST_TMP/failed" ||
            fail "$command was never made to fail ($fault): does anybody still run it?"
    done
done
echo "$(wc -l <"$TEST_TMP/failed") commands failed, of ${#COMMANDS[@]} kinds, before or after they did something"
