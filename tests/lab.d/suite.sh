# SPDX-License-Identifier: LGPL-2.1-or-later
# Runs the tests: meson's quick suite as an unprivileged user in the directory
# that builds, then what tests/lab.d/tests lists, there, in a lab machine, or on
# the host.  A test passes with status 0 and skips with 77 and a reason as its
# last line; anything else, and running out of time, is a failure.  What a test that
# passed has printed is shown from a line "-- so --" on.
#
# Two workers: one begins with what runs in a machine, the other with what runs in
# the directory that builds; who has no more of that helps the other one.  What
# measures time runs after them, alone.

SUITE_DIR=              # queues and results; shared by the workers
SUITE_WORKERS=()
SUITE_MACHINE=
SUITE_TEST=

# report NAME RESULT SECONDS TEXT
report() {
    local colour='' plain=''
    if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
        plain=$'\e[0m'
        case $2 in
        ok) colour=$'\e[32m' ;;
        FAIL) colour=$'\e[1;31m' ;;
        skip) colour=$'\e[33m' ;;
        esac
    fi
    [ ! -t 1 ] || printf '\r\033[K'
    printf '%s%-4s%s %5s s  %-34s %s\n' "$colour" "$2" "$plain" "$3" "$1" "$4"
    echo "$2" >>"$SUITE_DIR/results"
}

# results ok|FAIL|skip: how many there were.
results() {
    grep -cx -- "$1" "$SUITE_DIR/results" || true
}

running() {
    [ ! -t 1 ] || printf '\r\033[K...          %-34s %s' "$1" "$2"
}

# quick_suite PATTERN: each of meson's tests counts as one of ours.
quick_suite() {
    local build=$LAB_CACHE/build/quota-lvm names name result seconds
    [ -e "$build/build.ninja" ] || return 0
    mapfile -t names < <(in_root jq -r --arg pattern "$1" '.[]
        | select(.suite | any(test("(^|:)quick$")))
        | .name | select(contains($pattern))' /build/quota-lvm/meson-info/intro-tests.json)
    [ "${#names[@]}" -gt 0 ] || return 0
    mkdir -p "$build/meson-logs"
    # Nobody in here, nobody on the host: the number is what counts.
    chown -R 65534:65534 "$build/meson-logs"
    rm -f "$build/meson-logs/testlog.json"
    running quick "${#names[@]} tests of meson's quick suite"
    in_root setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/tmp \
        meson test -C /build/quota-lvm --no-rebuild --suite quick --print-errorlogs \
        "${names[@]}" >"$LAB_CACHE/log/tests/quick.log" 2>&1 </dev/null || true
    if [ ! -s "$build/meson-logs/testlog.json" ]; then
        report quick FAIL 0 "meson test did not run; $LAB_CACHE/log/tests/quick.log"
        tail -n 20 "$LAB_CACHE/log/tests/quick.log"
        return 0
    fi
    while IFS=$'\t' read -r name result seconds; do
        case $result in
        OK | EXPECTEDFAIL) report "$name" ok "$seconds" "" ;;
        SKIP) report "$name" skip "$seconds" "see $LAB_CACHE/log/tests/quick.log" ;;
        *) report "$name" FAIL "$seconds" "$result" ;;
        esac
        if [ "$result" != OK ] && [ "$result" != SKIP ] && [ "$result" != EXPECTEDFAIL ]; then
            in_root jq -r --arg name "$name" 'select(.name | endswith($name))
                | (.stdout // ""), (.stderr // "")' /build/quota-lvm/meson-logs/testlog.json |
                tail -n 30 | sed 's/^/    /'
        fi
    done < <(in_root jq -r '[(.name | sub("^.* / "; "")), .result, (.duration | round)]
        | @tsv' /build/quota-lvm/meson-logs/testlog.json)
}

suite_machine() {
    if [ -n "$SUITE_MACHINE" ] && ! machine_alive "$SUITE_MACHINE"; then
        machine_remove "$SUITE_MACHINE"
        SUITE_MACHINE=
    fi
    if [ -z "$SUITE_MACHINE" ]; then
        SUITE_MACHINE=suite-$BASHPID
        machine_start "$SUITE_MACHINE"
    fi
}

# run_test WHERE SECONDS PATH: becomes the test; its output goes to standard output.
run_test() {
    local where=$1 limit=$2 path=$3
    case $where in
    chroot)
        exec "$LAB_D/in-root" env LAB_WHERE=chroot timeout -k 10 "$limit" "/quota-lvm/$path"
        ;;
    machine)
        exec timeout -k 10 $((limit + 200)) "$LAB_D/in-root" /quota-lvm/tests/lab.d/attach \
            --no-stdin --env LAB_WHERE=machine "/machines/$SUITE_MACHINE/runner.sock" \
            timeout -k 10 "$limit" "/quota-lvm/$path"
        ;;
    host)
        LAB_WHERE=host exec timeout -k 10 "$limit" "$LAB_TOP/$path"
        ;;
    *)
        echo "tests/lab.d/tests: where is \"$where\"? (chroot, machine, host)"
        return 1
        ;;
    esac
}

# run_listed WHERE SECONDS PATH HAZARD: run and report a line of tests/lab.d/tests.
run_listed() {
    local where=${1%-alone} limit=$2 path=$3 hazard=$4 name log status=0 start left
    name=${path#tests/}
    name=${name%.sh}
    log=$LAB_CACHE/log/tests/${name//\//-}.log
    running "$name" "$hazard"
    if [ ! -x "$LAB_TOP/$path" ]; then
        report "$name" FAIL 0 "$path is not there, or not executable"
        return 0
    fi
    [ "$where" != machine ] || suite_machine
    start=$SECONDS
    run_test "$where" "$limit" "$path" >"$log" 2>&1 </dev/null &
    SUITE_TEST=$!
    wait "$SUITE_TEST" || status=$?
    SUITE_TEST=
    {
        flock 8
        case $status in
        0)
            report "$name" ok $((SECONDS - start)) "$hazard"
            sed -n '/^-- .* --$/,$s/^/    /p' "$log"
            ;;
        77)
            report "$name" skip $((SECONDS - start)) "$(tail -n 1 "$log")"
            ;;
        *)
            case $status in
            124 | 137) status="took longer than $limit s" ;;
            *) status="status $status" ;;
            esac
            report "$name" FAIL $((SECONDS - start)) "$hazard ($status)"
            tail -n "${LAB_TAIL:-40}" "$log" | sed 's/^/    /'
            echo "    the whole output: $log"
            ;;
        esac
    } 8>"$SUITE_DIR/output.lock"

    if [ "$where" != machine ]; then
        return 0
    fi
    if ! machine_alive "$SUITE_MACHINE"; then
        machine_complain "$SUITE_MACHINE"
        machine_remove "$SUITE_MACHINE"
        SUITE_MACHINE=
    elif left=$(timeout 120 "$LAB_D/in-root" /quota-lvm/tests/lab.d/attach --no-stdin \
        "/machines/$SUITE_MACHINE/runner.sock" /quota-lvm/tests/lab.d/machine/tidy 2>&1); then
        [ -z "$left" ] || echo "    left behind by $name: $left"
    else
        echo "    could not tidy up after $name (status $?), taking a new machine: $left"
        machine_remove "$SUITE_MACHINE"
        SUITE_MACHINE=
    fi
}

# next_test QUEUE: takes a line off it.
next_test() {
    local line
    {
        flock 9
        IFS= read -r line <"$SUITE_DIR/$1" || return 1
        sed -i 1d "$SUITE_DIR/$1"
    } 9>"$SUITE_DIR/queues.lock"
    printf '%s\n' "$line"
}

# suite_worker QUEUE...: runs what is in machine, chroot or alone, one after another.
suite_worker() {
    local queue line where limit path hazard
    trap machines_remove EXIT
    trap '[ -z "$SUITE_TEST" ] || kill "$SUITE_TEST"; exit 143' TERM
    for queue in "$@"; do
        while line=$(next_test "$queue"); do
            read -r where limit path hazard <<<"$line"
            run_listed "$where" "$limit" "$path" "$hazard"
        done
    done
}

# suite_start QUEUE...: a worker with a process group of its own.
suite_start() {
    set -m
    (
        set +m
        suite_worker "$@"
    ) &
    SUITE_WORKERS+=($!)
    set +m
}

suite_wait() {
    local pid
    for pid in "${SUITE_WORKERS[@]}"; do
        wait "$pid" || report "worker" FAIL 0 "a worker of the suite ended with status $?"
    done
    SUITE_WORKERS=()
}

suite_stop() {
    local pid
    for pid in "${SUITE_WORKERS[@]}"; do
        kill -TERM -- "-$pid" 2>/dev/null || true
    done
    for pid in "${SUITE_WORKERS[@]}"; do
        wait "$pid" 2>/dev/null || true
    done
    SUITE_WORKERS=()
    [ -z "$SUITE_DIR" ] || rm -rf "$SUITE_DIR"
}

# run_suite PATTERN
run_suite() {
    local pattern=$1
    mkdir -p "$LAB_CACHE/log/tests"
    rm -f "$LAB_CACHE"/log/tests/*.log
    SUITE_DIR=$(mktemp -d)
    : >"$SUITE_DIR/results"
    : >"$SUITE_DIR/machine"
    : >"$SUITE_DIR/chroot"
    : >"$SUITE_DIR/alone"
    sed 's/#.*//; /^ *$/d' "$LAB_D/tests" | awk -v p="$pattern" -v dir="$SUITE_DIR" '
        index($3, p) {
            queue = $1 ~ /-alone$/ ? "alone" : $1 == "chroot" ? "chroot" : "machine"
            print > (dir "/" queue)
        }'
    echo
    quick_suite "$pattern"

    suite_start machine chroot
    suite_start chroot machine
    suite_wait
    suite_start alone
    suite_wait

    echo
    if [ ! -s "$SUITE_DIR/results" ]; then
        echo "no test matches \"$pattern\""
    fi
    if [ "$(results skip)" -gt 0 ]; then
        echo "$(results ok) passed, $(results FAIL) failed, $(results skip) skipped"
    else
        echo "$(results ok) passed, $(results FAIL) failed"
    fi
    [ "$(results FAIL)" = 0 ] && [ "$(results ok)" -gt 0 ]
}
