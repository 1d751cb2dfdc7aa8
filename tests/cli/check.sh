# SPDX-License-Identifier: LGPL-2.1-or-later
# For the tests of quota-lvm check, sourced after tenant.sh: damage is done, found,
# and repaired.
# shellcheck shell=bash

# finds_all "TENANT KIND,..." COMMAND...: once the command is done, these and no
# others, by the JSON; TENANT - is the group itself.
finds_all() {
    local expected=$1 status=0
    shift
    "$@" >"$TEST_TMP/did" 2>&1 || fail "$*: $(cat "$TEST_TMP/did")"
    quota-lvm check --json >"$TEST_TMP/found" || status=$?
    eq "$(jq -r '.[] | (.tenant // "-") as $t | .findings[] | $t + " " + .kind' \
        "$TEST_TMP/found" | sort -u | paste -sd,)" "$expected" "found after $*"
    eq $status 1 "status after $*"
    CHECKS=$((CHECKS + 1))
}
# finds TENANT "KIND..." COMMAND...
finds() {
    local tenant=$1 kinds
    kinds=$(tr ' ' '\n' <<<"$2" | sed "s/^/$tenant /" | sort -u | paste -sd,)
    shift 2
    finds_all "$kinds" "$@"
}
# agrees [COMMAND...]: after the repair nothing is found.
agrees() {
    [ $# = 0 ] || "$@" >"$TEST_TMP/did" 2>&1 || fail "$*: $(cat "$TEST_TMP/did")"
    quota-lvm check >"$TEST_TMP/found" || fail "after $*: $(cat "$TEST_TMP/found")"
}
once() { quota-lvmd --once; }
CHECKS=0
