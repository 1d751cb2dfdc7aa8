# SPDX-License-Identifier: LGPL-2.1-or-later
# For the tests of the lab, sourced by each of them:
#
#   . "$(dirname "$0")/../lab.d/lib.sh"
#
# A test stops at the first command that fails.  It exits with 0 if it passed and
# with 77 if it could not run; skip says why.

set -Eeuo pipefail
trap 'echo "$0:$LINENO: failed: $BASH_COMMAND" >&2' ERR

LAB_WHERE=${LAB_WHERE:-machine}
TEST_TMP=$(mktemp -d)
CLEANUPS=()

# cleanup_fn COMMAND...: run this when the test ends, however it ends; the last
# one registered runs first.
cleanup_fn() {
    CLEANUPS+=("$(printf '%q ' "$@")")
}

run_cleanups() {
    local status=$? i
    trap - ERR
    set +e
    for ((i = ${#CLEANUPS[@]} - 1; i >= 0; i--)); do
        eval "${CLEANUPS[i]}" >/dev/null 2>&1
    done
    rm -rf "$TEST_TMP"
    exit "$status"
}
trap run_cleanups EXIT

skip() {
    echo "$*"
    exit 77
}

fail() {
    echo "$0: $*" >&2
    exit 1
}

# cc_with_common OUTPUT SOURCE...: a C program with the accounting library in it.
cc_with_common() {
    local output=$1 common
    common=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../common" && pwd)
    shift
    cc -O1 -D_GNU_SOURCE -I"$common/ledger" -I"$common/policy" -o "$output" \
        "$@" "$common"/*/*.c
}

# kept_build NAME OPTION...: configures a build directory of the checkout with these
# options of meson's, BUILD, for the sources in TOP.  In the lab it is kept in the
# cache, and the sources are the copy that the lab builds from; elsewhere it is
# temporary, or kept in the folder that LAB_KEEP names.
kept_build() {
    local name=$1 made_of
    shift
    TOP=${LAB_SOURCE:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
    BUILD=${LAB_KEEP:-$TEST_TMP/kept}/$name
    made_of=$(printf '%s\n' "$@" && cd "$TOP" && find . -name .git -prune -o -type f -print | sort)
    if [ "$(cat "$BUILD/.made-of" 2>/dev/null)" != "$made_of" ]; then
        # It knows its sources by name: one of them may be gone.
        rm -rf "$BUILD"
        mkdir -p "$BUILD"
        meson setup "$BUILD" "$TOP" "$@" >"$TEST_TMP/log" 2>&1 || fail "$(cat "$TEST_TMP/log")"
        printf '%s\n' "$made_of" >"$BUILD/.made-of"
    fi
}

requires_command() {
    local name
    for name in "$@"; do
        command -v "$name" >/dev/null || skip "needs $name"
    done
}

requires_file() {
    local path
    for path in "$@"; do
        [ -e "$path" ] || skip "needs $path"
    done
}

requires_root() {
    [ "$(id -u)" = 0 ] || skip "needs root"
}

requires_machine() {
    [ "$LAB_WHERE" = machine ] || skip "needs a lab machine"
}

# eq ACTUAL EXPECTED [WHAT]
eq() {
    [ "$1" = "$2" ] || fail "${3:-value}: is \"$1\", should be \"$2\""
}

# matches TEXT REGEX [WHAT]: no pipe, grep ends at the first match and would have
# the writer of a longer text killed.
matches() {
    grep -Eq -- "$2" <<<"$1" ||
        fail "${3:-text}: no match for /$2/ in: $1"
}

# at_most / at_least ACTUAL LIMIT [WHAT]
at_most() {
    [ "$1" -le "$2" ] || fail "${3:-value}: is $1, should be at most $2"
}

at_least() {
    [ "$1" -ge "$2" ] || fail "${3:-value}: is $1, should be at least $2"
}

# expect_fail REGEX COMMAND...: it has to fail, and to say why.
expect_fail() {
    local regex=$1 said status=0
    shift
    said=$("$@" 2>&1) || status=$?
    [ "$status" != 0 ] || fail "should have failed: $* (said: $said)"
    [ "$status" -lt 126 ] || fail "$*: status $status (said: $said)"
    grep -Eq -- "$regex" <<<"$said" ||
        fail "$*: no match for /$regex/ in: $said"
}

# hang_limit SECONDS: a minute at least, and longer on a machine that is slow, by what
# tests/lab says in percent, or busy, by what a loop has to wait for a processor now.  It
# tells what hangs from what does not, and nothing else.
hang_limit() {
    local real user system LC_ALL=C TIMEFORMAT='%R %U %S'
    read -r real user system < <({ time for ((i = 0; i < 30000; i++)); do :; done; } 2>&1)
    awk -v least="$1" -v slow="${LAB_SLOW:-100}" -v real="$real" -v u="$user" \
        -v s="$system" 'BEGIN {
        busy = u + s > 0 ? real / (u + s) * 100 : 100
        printf "%d\n", (least > 60 ? least : 60) * (busy > slow ? busy : slow) / 100
    }'
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds; see hang_limit.
wait_for() {
    local begin=$SECONDS least=$1 what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $((SECONDS - begin)) -lt "$least" ] ||
            [ $((SECONDS - begin)) -lt "$(hang_limit "$least")" ] ||
            fail "waited in vain for: $what"
        sleep 0.1
    done
}

# scratch_disk N: a disk that a test may do with as it likes, N is 1 or 2.
scratch_disk() {
    requires_machine
    echo "/dev/disk/by-id/virtio-scratch$1"
}

# fresh_vg NAME [DISKS]: a volume group on one or both scratch disks, gone with
# all that is in it, and its ledgers, when the test ends.
fresh_vg() {
    local name=$1 disks=() i
    requires_machine
    for ((i = 1; i <= ${2:-1}; i++)); do
        disks+=("$(readlink -f "$(scratch_disk "$i")")")
    done
    wipefs -qa "${disks[@]}"
    blkdiscard -f "${disks[0]}" 2>/dev/null || true
    vgcreate -qq -y "$name" "${disks[@]}" >/dev/null
    cleanup_fn rm -rf "/run/quota-lvm/$name"
    cleanup_fn pvremove -qq -ff -y "${disks[@]}"
    cleanup_fn vgremove -qq -ff -y "$name"
}

# A host's test drives machines of its own: machine_start, machine_exec,
# machine_power_cut, machine_remove of tests/lab.d/machine.sh.
if [ "$LAB_WHERE" = host ]; then
    : "${LAB_D:?run it with tests/lab test}"
    LAB_QUIET=1
    # shellcheck source=/dev/null
    . "$LAB_D/steps.sh"
    # shellcheck source=/dev/null
    . "$LAB_D/root.sh"
    # shellcheck source=/dev/null
    . "$LAB_D/machine.sh"
    cleanup_fn machines_remove
fi
