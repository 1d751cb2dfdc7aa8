# SPDX-License-Identifier: LGPL-2.1-or-later
# Runs the tests: meson's quick suite as an unprivileged user in the directory
# that builds, then what tests/lab.d/tests lists, there, in a lab machine, or on
# the host.  A test passes with status 0 and skips with 77 and a reason as its
# last line; anything else, and running out of time, is a failure.  What a test that
# passed has printed is shown from a line "-- so --" on.
#
# Two workers: one begins with what runs in a machine, the other with what runs in
# the directory that builds; who has no more of that helps the other one.  Each takes
# what took longest the last time first, so that both end at about the same time.
#
# A test of the tier "changed" is left out when what it covers is, byte for byte, what
# it last passed with: here, or where somebody ran "tests/lab record".  It counts as
# nothing then, and is named above the last line.

SUITE_DIR=              # queues and results; shared by the workers
SUITE_WORKERS=()
SUITE_MACHINE=
SUITE_TEST=
SUITE_LONG=             # all tiers
LONG_KEPT=              # of a run with --long: its checkout, then each result
SUITE_SLOWEST=10        # how many of them the table at the end has

# The milliseconds that the piece of work of calibrate takes on a processor of its
# own, where the limits of tests/lab.d/tests were chosen.
CALIBRATION_MS=1100

# test_name PATH[:ARGUMENT]: what it is called.
test_name() {
    local path=${1%%:*} argument=${1#"${1%%:*}"}
    path=${path#tests/}
    printf '%s\n' "${path%.sh}$argument"
}

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
    echo "$3 $1 $2" >>"$SUITE_DIR/seconds"
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
        --timeout-multiplier "$((LAB_SLOW / 100 + 1))" \
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

# suite_run COMMAND...: run it so that the worker can be ended meanwhile; bash puts off
# a signal until what it runs in the foreground has ended.
suite_run() {
    local status=0
    "$@" </dev/null &
    SUITE_TEST=$!
    wait "$SUITE_TEST" || status=$?
    SUITE_TEST=
    return "$status"
}

suite_machine() {
    if [ -n "$SUITE_MACHINE" ] && ! machine_alive "$SUITE_MACHINE"; then
        machine_remove "$SUITE_MACHINE"
        SUITE_MACHINE=
    fi
    if [ -z "$SUITE_MACHINE" ]; then
        SUITE_MACHINE=suite-$BASHPID
        machine_start "$SUITE_MACHINE"
        # Its start is no part of the first test; if it fails, that test says so.
        suite_run machine_exec "$SUITE_MACHINE" --no-stdin true >/dev/null 2>&1 || true
    fi
}

# calibrate PROCESSES: how slow this machine is now, in percent of the one where the
# limits were chosen, for each of so many processes; 100 at least.
calibrate() {
    local began=${EPOCHREALTIME/[.,]/} ms i pids=()
    for ((i = 0; i < $1; i++)); do
        in_root python3 -c 'for _ in range(36000000): pass' &
        pids+=($!)
    done
    wait "${pids[@]}"
    ms=$(((${EPOCHREALTIME/[.,]/} - began) / 1000))
    echo $((ms > CALIBRATION_MS ? ms * 100 / CALIBRATION_MS : 100))
}

# limit_test PID SECONDS: kill the test when it takes longer.  The seconds are those of
# the machine where they were chosen, so a slow or busy one gets more of them; whether
# it has become busy since the run began is seen when the time is up.
limit_test() {
    local pid=$1 limit=$2 slow=$LAB_SLOW now waited=0
    trap 'kill $!; exit 0' TERM
    while :; do
        sleep $((limit * slow / 100 - waited)) &
        wait $!
        waited=$((limit * slow / 100))
        now=$(calibrate 1)
        [ "$now" -gt "$slow" ] || break
        slow=$now
    done
    echo "$waited" >"$SUITE_DIR/late.$pid"
    kill -TERM "$pid"
}

# run_test WHERE PATH [ARGUMENT]: becomes the test; its output goes to standard output.
# timeout ends all that the test has started when it is told to end, and the test
# itself, after ten seconds, even if it does not want to.
run_test() {
    local where=$1 path=$2 ever=30d
    local env=(LAB_WHERE="$where" LAB_SLOW="$LAB_SLOW")
    shift 2
    case $where in
    chroot)
        exec "$LAB_D/in-root" env "${env[@]}" LAB_KEEP=/build/tests LAB_SOURCE="$SOURCE_COPY" \
            timeout -k 10 $ever "/quota-lvm/$path" "$@"
        ;;
    machine)
        exec timeout -k 20 $ever "$LAB_D/in-root" /quota-lvm/tests/lab.d/attach \
            --no-stdin "${env[@]/#/--env=}" \
            "/machines/$SUITE_MACHINE/runner.sock" \
            timeout -k 10 $ever "/quota-lvm/$path" "$@"
        ;;
    host)
        exec env "${env[@]}" timeout -k 10 $ever "$LAB_TOP/$path" "$@"
        ;;
    esac
}

# run_listed WHERE SECONDS PATH[:ARGUMENT] IDENTITY HAZARD: run and report a line of
# tests/lab.d/tests.
run_listed() {
    local where=$1 limit=$2 identity=$4 hazard=$5
    local path=${3%%:*} arguments=() name log status=0 start took left watcher
    [ "$path" = "$3" ] || arguments=("${3#*:}")
    name=$(test_name "$3")
    log=$LAB_CACHE/log/tests/${name//[\/:]/-}.log
    running "$name" "$hazard"
    if [ ! -x "$LAB_TOP/$path" ]; then
        report "$name" FAIL 0 "$path is not there, or not executable"
        return 0
    fi
    [ "$where" != machine ] || suite_machine
    start=$SECONDS
    run_test "$where" "$path" "${arguments[@]}" >"$log" 2>&1 </dev/null &
    SUITE_TEST=$!
    limit_test "$SUITE_TEST" "$limit" >/dev/null 2>&1 &
    watcher=$!
    wait "$SUITE_TEST" || status=$?
    kill "$watcher" 2>/dev/null || true
    wait "$watcher" 2>/dev/null || true
    if [ -e "$SUITE_DIR/late.$SUITE_TEST" ]; then
        status="took longer than $(cat "$SUITE_DIR/late.$SUITE_TEST") s"
    fi
    SUITE_TEST=
    took=$((SECONDS - start))
    {
        flock 8
        case $status in
        0)
            report "$name" ok "$took" "$hazard"
            passed_note "$name" "$identity"
            long_note ok "$name" "$path"
            sed -n '/^-- .* --$/,$s/^/    /p' "$log"
            ;;
        77)
            report "$name" skip "$took" "$(tail -n 1 "$log")"
            ;;
        *)
            passed_forget "$name" "$identity"
            long_note FAIL "$name" "$path"
            case $status in
            took*) ;;
            *) status="status $status" ;;
            esac
            report "$name" FAIL "$took" "$hazard ($status)"
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
        return 0
    fi
    status=0
    suite_run timeout $((120 * LAB_SLOW / 100)) "$LAB_D/in-root" \
        /quota-lvm/tests/lab.d/attach --no-stdin \
        "/machines/$SUITE_MACHINE/runner.sock" /quota-lvm/tests/lab.d/machine/tidy \
        >"$log.tidy" 2>&1 || status=$?
    left=$(cat "$log.tidy")
    rm -f "$log.tidy"
    if [ "$status" = 0 ]; then
        [ -z "$left" ] || echo "    left behind by $name: $left"
    else
        echo "    could not tidy up after $name (status $status), taking a new machine: $left"
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

# suite_worker QUEUE...: runs what is in these queues, one after another.
suite_worker() {
    local queue line where limit path identity hazard
    trap machines_remove EXIT
    trap '[ -z "$SUITE_TEST" ] || kill "$SUITE_TEST"; exit 143' TERM
    for queue in "$@"; do
        while line=$(next_test "$queue"); do
            IFS=$'\t' read -r _ where limit path identity hazard <<<"$line"
            run_listed "$where" "$limit" "$path" "$identity" "$hazard"
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
    if [ -n "$SUITE_DIR" ]; then
        seconds_keep
        rm -rf "$SUITE_DIR"
    fi
}

# --- what is known of earlier runs --------------------------------------------

# The seconds that each test took last; two checkouts share them.
seconds_keep() {
    local kept=$LAB_CACHE/stamp/test-seconds
    touch "$kept"
    awk '$3 == "ok" || NF == 2 { s[$2] = $1 }
        END { for (name in s) print s[name], name }' \
        "$kept" "$SUITE_DIR/seconds" | sort -rn >"$kept.new"
    mv "$kept.new" "$kept"
}

# identity PATH[:ARGUMENT] COVERS: a hash of all that the test covers, of itself, and
# of what it is built and run with.  @qemu and @libvirt are these with our driver.  What
# tests/lab record writes is no part of it, or no record would ever hold.
identity() {
    local word path=${1%%:*} built=("$1") paths=()
    # shellcheck disable=SC2086  # a list of patterns
    cd "$LAB_TOP" && set -- $2
    for word in tests/lab.d/lib.sh "$path" "$@"; do
        case $word in
        @qemu)
            built+=("$(source_dir qemu)" "${QEMU_FLAGS[@]}")
            # of lvm/ it has nothing but the list of its files
            paths+=(common lvm/meson.build meson.build meson_options.txt
                qemu-block-quota scripts/graft)
            ;;
        @libvirt)
            built+=("$(source_dir libvirt)" "${LIBVIRT_FLAGS[@]}")
            paths+=(common lvm meson.build meson_options.txt libvirt-backend scripts/graft)
            ;;
        *)
            if [ ! -e "$word" ]; then
                echo "tests/lab.d/tests: $path covers $word, and there is none" >&2
                return 1
            fi
            paths+=("$word")
            ;;
        esac
    done
    { listed_versions
      find "${paths[@]}" -type f ! -path tests/lab.d/passed ! -path '*/__pycache__/*' -print0 |
          LC_ALL=C sort -zu | xargs -0 sha256sum
    } | hash_of "${built[@]}"
}

# long_key: a hash of the whole checkout but for the tests that tests/lab.d/tests lists,
# and of what it is built and run with.
long_key() {
    cd "$LAB_TOP"
    { listed_versions
      find . -type f ! -path ./tests/lab.d/passed ! -path '*/__pycache__/*' \
          ! -path './.git/*' | LC_ALL=C sort |
          grep -vxFf <(listed | cut -f 4 | sed 's|:.*||; s|^|./|' | sort -u) |
          tr '\n' '\0' | xargs -0 sha256sum
    } | hash_of long
}

# long_line ok|FAIL NAME PATH: a line of LONG_KEPT, with the test as it is now.
long_line() {
    echo "$1 $2 $(sha256sum <"$LAB_TOP/$3" | cut -d' ' -f1)"
}

# long_note ok|FAIL NAME PATH: so did the test in this run with --long.
long_note() {
    [ -z "$LONG_KEPT" ] || long_line "$@" >>"$LONG_KEPT"
}

# long_resume PATTERN: a run with --long takes hours.  What has passed in one that was
# interrupted, or in which something failed, is not run again unless it is named, as long
# as the checkout is the same; of the listed tests, only its own counts.
long_resume() {
    local key path name
    LONG_KEPT=$LAB_CACHE/stamp/long-kept
    key=$(long_key)
    if [ "$(head -n 1 "$LONG_KEPT" 2>/dev/null)" != "$key" ]; then
        echo "$key" >"$LONG_KEPT"
    fi
    [ -z "$1" ] || return 0
    while IFS=$'\t' read -r _ _ _ path _ _; do
        name=$(test_name "$path")
        ! grep -qxF "$(long_line ok "$name" "${path%%:*}")" "$LONG_KEPT" ||
            echo "$name" >>"$SUITE_DIR/resumed"
    done < <(listed)
}

# long_end PATTERN: what an earlier part of this run has shown; the next run begins anew
# once nothing fails.
long_end() {
    local failed
    if [ -z "$LONG_KEPT" ] || [ -n "$1" ]; then
        return 0
    fi
    if [ -s "$SUITE_DIR/resumed" ]; then
        echo "passed in an earlier part of this run: $(paste -sd' ' "$SUITE_DIR/resumed")"
        failed=$(sed -n 's/^FAIL \([^ ]*\) .*/\1/p' "$LONG_KEPT" | sort | uniq -c | awk '{ print $2 " (" $1 ")" }' |
            paste -sd' ')
        [ -z "$failed" ] || echo "failed in this run, so often: $failed"
    fi
    [ "$(results FAIL)" != 0 ] || rm -f "$LONG_KEPT"
}

# passed_on NAME IDENTITY: when it passed with that; nothing if it did not, or failed
# since.  What happened here counts before what tests/lab.d/passed says.
passed_on() {
    local file
    file=$(passed_file "$1")
    [ -e "$file" ] || file=/dev/null
    cat "$file" "$LAB_D/passed" | awk -v name="$1" -v id="$2" '
        $1 == id && (NF == 2 || $3 == name) { if ($2 != "failed") print $2; exit }'
}

# record: into tests/lab.d/passed what each test of the tier "changed" last passed with,
# if that is what stands there now.  With it, a fresh machine runs only what somebody
# has changed since.
record() {
    local tier where limit path covers hazard name id on kept=0 new
    new=$(mktemp)
    sed '/^#/!d' "$LAB_CHECKOUT/tests/lab.d/passed" >"$new"
    while IFS=$'\t' read -r tier where limit path covers hazard; do
        [ "$tier" = changed ] || continue
        name=$(test_name "$path")
        id=$(identity "$path" "$covers") || die "see above"
        on=$(passed_on "$name" "$id")
        if [ -n "$on" ]; then
            echo "$id $on $name" >>"$new"
            kept=$((kept + 1))
        else
            say "$name has not passed with what stands here; run: tests/lab test $name"
        fi
    done < <(listed)
    cat "$new" >"$LAB_CHECKOUT/tests/lab.d/passed"
    rm -f "$new"
    say "tests/lab.d/passed: $kept tests"
}

# passed_note NAME IDENTITY [DATE]; passed_forget NAME IDENTITY: it passed with that,
# it failed.
passed_note() {
    local file
    [ "$2" != - ] || return 0
    file=$(passed_file "$1")
    # The last twenty are kept: branches come and go.
    { echo "$2 ${3:-$(date +%F)}"
      sed "/^$2 /d" "$file" 2>/dev/null | head -n 19 || true
    } >"$file.new"
    mv "$file.new" "$file"
}

passed_forget() {
    passed_note "$1" "$2" failed
}

passed_file() {
    mkdir -p "$LAB_CACHE/stamp/passed"
    printf '%s\n' "$LAB_CACHE/stamp/passed/${1//[\/:]/-}"
}

# --- the run ------------------------------------------------------------------

# listed: the lines of tests/lab.d/tests, with tabs: tier, where, seconds, path, what
# it covers or "-", hazard.
listed() {
    awk -v OFS='\t' '
        function flush() {
            if (path != "") print tier, where, seconds, path, covers, hazard
            path = ""
        }
        /^ *(#|$)/ { next }
        $1 == "covers" {
            sub(/^ *covers +/, "")
            covers = $0
            next
        }
        {
            flush()
            tier = $1; where = $2; seconds = $3; path = $4; covers = "-"
            hazard = $0
            for (i = 0; i < 4; i++) sub(/^ *[^ ]+ +/, "", hazard)
        }
        END { flush() }' "$LAB_D/tests"
}

# What tests have built for themselves (kept_build of lib.sh) goes when something else
# compiles it, or other headers are there.
kept_tidy() {
    local kept=$LAB_CACHE/build/tests key
    key=$(build_key)
    if [ "$(cat "$kept/.lab-configured" 2>/dev/null)" != "$key" ]; then
        rm -rf "$kept"
        mkdir -p "$kept"
        echo "$key" >"$kept/.lab-configured"
    fi
}

# queue_tests PATTERN: what is to run into SUITE_DIR/machine, chroot and alone, what is not
# into unchanged and left-out.
queue_tests() {
    local tier where limit path covers hazard name id on seconds queue
    while IFS=$'\t' read -r tier where limit path covers hazard; do
        name=$(test_name "$path")
        queue=machine
        [ "$where" != chroot ] || queue=chroot
        if [ "$tier" = alone ]; then
            tier=long
            queue=alone
        fi
        case $tier:$where:$limit in
        [a-z]*:chroot:[0-9]* | [a-z]*:machine:[0-9]* | [a-z]*:host:[0-9]*) ;;
        *) die "tests/lab.d/tests: cannot read the line of $path" ;;
        esac
        [[ $name == *"$1"* ]] || continue
        ! grep -qxF -- "$name" "$SUITE_DIR/resumed" || continue
        id=-
        if [ "$covers" != - ]; then
            id=$(identity "$path" "$covers") || die "see above"
        fi
        # Whoever names a test wants it run.
        case $tier:$SUITE_LONG$1 in
        ci:*) ;;
        long: | changed:)
            if [ "$tier" = long ]; then
                echo "$name" >>"$SUITE_DIR/left-out"
                continue
            fi
            on=$(passed_on "$name" "$id")
            if [ -n "$on" ]; then
                echo "$name ($on)" >>"$SUITE_DIR/unchanged"
                continue
            fi
            ;;
        long:* | changed:*) ;;
        *) die "tests/lab.d/tests: $path: which tier is \"$tier\"? (ci, changed, long, alone)" ;;
        esac
        # Not known yet: about a fourth of what it may take.
        seconds=$(awk -v name="$name" '$2 == name { print $1; exit }' \
            "$LAB_CACHE/stamp/test-seconds" 2>/dev/null) || true
        printf '%s\t%s\t%s\t%s\t%s\t%s\n' "${seconds:-$((limit / 4))}" "$where" "$limit" \
            "$path" "$id" "$hazard" >>"$SUITE_DIR/$queue"
    done < <(listed)
    for queue in machine chroot alone; do
        sort -srn -o "$SUITE_DIR/$queue" "$SUITE_DIR/$queue"
    done
}

# suite_table BUILD TESTS: the slowest tests and all steps that did something, longest
# first, and the seconds that they took together.
suite_table() {
    echo "the slowest tests"
    sort -srn "$SUITE_DIR/seconds" |
        awk -v n="$SUITE_SLOWEST" 'NR <= n { printf "     %5s s  %s\n", $1, $2 }'
    if [ "${#STEPS_DONE[@]}" -gt 0 ]; then
        echo "what was built before"
        printf '%s\n' "${STEPS_DONE[@]}" | sort -srn |
            while read -r seconds title; do
                printf '     %5s s  %s\n' "$seconds" "$title"
            done
    fi
    echo "building $(duration "$1"), tests $(duration "$2"), the whole $(duration $(($1 + $2)))"
}

# run_suite PATTERN
run_suite() {
    local pattern=$1 began=$SECONDS queue
    mkdir -p "$LAB_CACHE/log/tests"
    kept_tidy
    # those of another run that is under way stay
    find "$LAB_CACHE/log/tests" -name '*.log' -mmin +300 -delete
    SUITE_DIR=$(mktemp -d)
    for queue in results seconds machine chroot alone unchanged left-out resumed; do
        : >"$SUITE_DIR/$queue"
    done
    [ -z "$SUITE_LONG" ] || long_resume "$pattern"
    queue_tests "$pattern"
    LAB_SLOW=$(calibrate 2)
    export LAB_SLOW
    echo
    echo "this machine is slow by the factor of $((LAB_SLOW / 100)).$(printf %02d $((LAB_SLOW % 100))) now: so much longer may each test take"
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
    suite_table "$began" $((SECONDS - began))
    if [ -s "$SUITE_DIR/unchanged" ]; then
        echo "not run, unchanged since they passed: $(sed 's/$/,/' "$SUITE_DIR/unchanged" | paste -sd' ' | sed 's/,$//')"
    fi
    long_end "$pattern"
    if [ -s "$SUITE_DIR/left-out" ]; then
        echo "not run, only with --long: $(paste -sd' ' "$SUITE_DIR/left-out")"
    fi
    echo
    if [ "$(results skip)" -gt 0 ]; then
        echo "$(results ok) passed, $(results FAIL) failed, $(results skip) skipped"
    else
        echo "$(results ok) passed, $(results FAIL) failed"
    fi
    [ "$(results FAIL)" = 0 ] && [ "$(results ok)" -gt 0 ]
}
