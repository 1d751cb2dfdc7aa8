# SPDX-License-Identifier: LGPL-2.1-or-later
# Runs the tests: meson's quick suite as an unprivileged user in the directory
# that builds, then what tests/lab.d/tests lists, there, in a lab machine, or on
# the host.  A test passes with status 0 and skips with 77 and a reason as its
# last line; anything else, and running out of time, is a failure.

PASSED=0
FAILED=0
SKIPPED=0
SUITE_MACHINE=

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
    case $2 in
    ok) PASSED=$((PASSED + 1)) ;;
    FAIL) FAILED=$((FAILED + 1)) ;;
    skip) SKIPPED=$((SKIPPED + 1)) ;;
    esac
}

running() {
    [ ! -t 1 ] || printf '...          %-34s %s' "$1" "$2"
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
        SUITE_MACHINE=suite-$$
        machine_start "$SUITE_MACHINE"
    fi
}

# run_test WHERE SECONDS PATH: its output goes to standard output.
run_test() {
    local where=$1 limit=$2 path=$3
    case $where in
    chroot)
        in_root env LAB_WHERE=chroot timeout -k 10 "$limit" "/quota-lvm/$path"
        ;;
    machine)
        timeout -k 10 $((limit + 200)) "$LAB_D/in-root" /quota-lvm/tests/lab.d/attach \
            --no-stdin --env LAB_WHERE=machine "/machines/$SUITE_MACHINE/runner.sock" \
            timeout -k 10 "$limit" "/quota-lvm/$path"
        ;;
    host)
        LAB_WHERE=host timeout -k 10 "$limit" "$LAB_TOP/$path"
        ;;
    *)
        echo "tests/lab.d/tests: where is \"$where\"? (chroot, machine, host)"
        return 1
        ;;
    esac
}

# run_suite PATTERN
run_suite() {
    local pattern=$1 where limit path hazard name log status start left
    mkdir -p "$LAB_CACHE/log/tests"
    rm -f "$LAB_CACHE"/log/tests/*.log
    echo

    # The machine boots while the others run.
    if sed 's/#.*//' "$LAB_D/tests" | awk -v p="$pattern" \
        '$1 == "machine" && index($3, p) { found = 1 } END { exit !found }'; then
        suite_machine
    fi
    quick_suite "$pattern"

    while read -r where limit path hazard <&3; do
        case $where in '' | '#'*) continue ;; esac
        case $path in *"$pattern"*) ;; *) continue ;; esac
        name=${path#tests/}
        name=${name%.sh}
        log=$LAB_CACHE/log/tests/${name//\//-}.log
        running "$name" "$hazard"
        if [ ! -x "$LAB_TOP/$path" ]; then
            report "$name" FAIL 0 "$path is not there, or not executable"
            continue
        fi
        [ "$where" != machine ] || suite_machine
        start=$SECONDS
        status=0
        run_test "$where" "$limit" "$path" >"$log" 2>&1 </dev/null || status=$?
        case $status in
        0)
            report "$name" ok $((SECONDS - start)) "$hazard"
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
        if [ "$where" = machine ]; then
            if ! machine_alive "$SUITE_MACHINE"; then
                machine_complain "$SUITE_MACHINE"
                machine_remove "$SUITE_MACHINE"
                SUITE_MACHINE=
            elif left=$(timeout 120 "$LAB_D/in-root" /quota-lvm/tests/lab.d/attach --no-stdin \
                "/machines/$SUITE_MACHINE/runner.sock" /quota-lvm/tests/lab.d/machine/tidy 2>&1); then
                [ -z "$left" ] || echo "    left behind: $left"
            else
                echo "    could not tidy up (status $?), taking a new machine: $left"
                machine_remove "$SUITE_MACHINE"
                SUITE_MACHINE=
            fi
        fi
    done 3<"$LAB_D/tests"

    echo
    if [ $((PASSED + FAILED + SKIPPED)) = 0 ]; then
        echo "no test matches \"$pattern\""
    fi
    if [ "$SKIPPED" -gt 0 ]; then
        echo "$PASSED passed, $FAILED failed, $SKIPPED skipped"
    else
        echo "$PASSED passed, $FAILED failed"
    fi
    [ "$FAILED" = 0 ] && [ "$PASSED" -gt 0 ]
}
