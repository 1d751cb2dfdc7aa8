# SPDX-License-Identifier: LGPL-2.1-or-later
# Steps of the lab: what is done already, how long it took last time, what it
# is doing now, and where to look when it fails.  Several may run at once.
#
# A step is done when its stamp holds the key that it is asked for.  The key is
# made from everything that the step depends on, and the stamp is removed before
# the step and written after it, so an interrupt at any moment only means that
# the step is done again.

STEPS_TOTAL=0
STEPS_AT=0
STEP_RUNNING=()         # their names, in the order in which they began
STEPS_DONE=()           # "SECONDS TITLE" of each that found something to do
STEP_FAILED=
declare -A STEP_PID=() STEP_TITLE=() STEP_LABEL=() STEP_KEY=() STEP_LAST=() STEP_BEGAN=() \
    STEP_TOLD=()
UNCHANGED=100           # what a step function returns that found nothing to do

say() {
    printf '%s\n' "$*" >&2
}

die() {
    say "lab: $*"
    exit 1
}

# A hash of the arguments and of standard input.
hash_of() {
    { printf '%s\n' "$@"; cat; } | sha256sum | cut -c1-16
}

duration() {
    local s=$1
    if [ "$s" -ge 60 ]; then
        printf '%d min %02d s' $((s / 60)) $((s % 60))
    else
        printf '%d s' "$s"
    fi
}

# At most one lab at a time changes a cache.  The lock goes with the process
# and with what it started: after a hard kill, the next lab waits for the rest.
lock_cache() {
    exec 9>>"$LAB_CACHE/lock"
    if ! flock -n 9; then
        say "lab: another lab is at work in $LAB_CACHE (process $(cat "$LAB_CACHE/lock.pid" 2>/dev/null || echo '?')); waiting for it"
        flock 9
    fi
    echo $$ >"$LAB_CACHE/lock.pid"
}

unlock_cache() {
    exec 9>&-
}

# use_cache share|alone: until this lab ends.  Who runs tests or machines shares what
# was built with others that found everything as they wanted it; who has to change it
# waits until all of them are through.
use_cache() {
    local how=-s
    [ "$1" = share ] || how=-x
    exec 7>>"$LAB_CACHE/in-use"
    if ! flock -n "$how" 7; then
        say "lab: tests or machines run in $LAB_CACHE with what was built from other files;"
        say "waiting for their end (QUOTA_LVM_CACHE=DIRECTORY names another cache)"
        flock "$how" 7
    fi
}

# The last line that is worth showing of a running step's log.
step_progress() {
    tail -c 4096 "$1" 2>/dev/null | tr '\r' '\n' | grep -v '^[[:space:]]*$' | tail -n 1 |
        sed -E 's/^(\[[0-9]+\/[0-9]+\]) .*/\1/' | tr -cd '[:print:]'
}

# Ends all steps that are running.
step_stop() {
    local name
    [ "${#STEP_PID[@]}" -gt 0 ] || return 0
    for name in "${!STEP_PID[@]}"; do
        kill -TERM -- "-${STEP_PID[$name]}" 2>/dev/null || true
    done
    for name in "${!STEP_PID[@]}"; do
        wait "${STEP_PID[$name]}" 2>/dev/null || true
    done
    STEP_PID=()
    STEP_RUNNING=()
    if [ -z "$STEP_FAILED" ]; then
        say
        say "lab: stopped; the same command goes on from here"
    fi
}

# step NAME TITLE KEY FUNCTION [ARG...]
#
# Runs FUNCTION unless the step's stamp already says KEY.  A KEY of "always" is
# for steps that know best themselves, as ninja does.
step() {
    step_start "$@"
    step_wait "$1"
}

# step_start NAME TITLE KEY FUNCTION [ARG...]: begin it, and return at once.
step_start() {
    local name=$1 title=$2 key=$3 last=''
    shift 3
    STEPS_AT=$((STEPS_AT + 1))
    local label="[$STEPS_AT/$STEPS_TOTAL] $title"
    local stamp=$LAB_CACHE/stamp/$name log=$LAB_CACHE/log/$name.log

    if [ "$key" != always ] && [ "$(cat "$stamp" 2>/dev/null)" = "$key" ]; then
        [ -n "$LAB_QUIET" ] || step_result "$label" "up to date"
        return 0
    fi
    if [ -s "$stamp.seconds" ]; then
        last=" (last time $(duration "$(cat "$stamp.seconds")"))"
    fi
    # Where lines stay, this one says what is going on; a terminal shows it below.
    # In quiet, only what turns out to be work says something.
    if [ ! -t 2 ] && { [ -z "$LAB_QUIET" ] || [ "$key" != always ]; }; then
        say "$label ...$last"
    fi

    rm -f "$stamp"
    : >"$log"
    set -m
    (
        set +m
        trap - EXIT INT TERM
        set -e
        "$@"
    ) </dev/null >>"$log" 2>&1 &
    STEP_PID[$name]=$!
    set +m
    STEP_RUNNING+=("$name")
    STEP_TITLE[$name]=$title
    STEP_LABEL[$name]=$label
    STEP_KEY[$name]=$key
    STEP_LAST[$name]=$last
    STEP_BEGAN[$name]=$SECONDS
    STEP_TOLD[$name]=0
    [ ! -t 2 ] || step_show
}

# step_wait NAME...: until these steps are done.  Steps that end meanwhile are told
# of, too, and the first one that fails ends the lab.
step_wait() {
    local name wanted shown=$SECONDS
    while :; do
        for name in "${STEP_RUNNING[@]}"; do
            kill -0 "${STEP_PID[$name]}" 2>/dev/null || step_finish "$name"
        done
        wanted=
        for name in "$@"; do
            wanted+=${STEP_PID[$name]:-}
        done
        [ -n "$wanted" ] || return 0
        if [ "$SECONDS" != "$shown" ]; then
            shown=$SECONDS
            step_show
        fi
        sleep 0.2
    done
}

# What each running step does now: on a terminal in one line, which is written over
# each second; else in a line each, every half minute.
step_show() {
    local name now room line='' said title
    room=$(((${COLUMNS:-80} - 1) / ${#STEP_RUNNING[@]}))
    for name in "${STEP_RUNNING[@]}"; do
        now=$((SECONDS - ${STEP_BEGAN[$name]}))
        said=$(step_progress "$LAB_CACHE/log/$name.log" | cut -c1-100) || true
        if [ -t 2 ]; then
            [ -z "$LAB_QUIET" ] || [ "$now" -ge 3 ] || continue
            title="${STEP_LABEL[$name]} ...${STEP_LAST[$name]}"
            if [ "${#STEP_RUNNING[@]}" -gt 1 ]; then
                title=${STEP_TITLE[$name]}
                said=${said:0:20}
            fi
            now=$(duration "$now")
            title=${title:0:$((room > ${#now} + 16 ? room - ${#now} - 6 : 10))}
            said=${said:0:$((room > ${#title} + ${#now} + 6 ? room - ${#title} - ${#now} - 6 : 0))}
            line+="$title $said  $now   "
        elif [ $((now / 30)) -gt "${STEP_TOLD[$name]}" ]; then
            STEP_TOLD[$name]=$((now / 30))
            if [ "${#STEP_RUNNING[@]}" -gt 1 ]; then
                said="${STEP_TITLE[$name]}, $said"
            fi
            say "      $(duration "$now"): $said"
        fi
    done
    [ ! -t 2 ] || printf '\r\033[K%s' "$line" >&2
}

# A step has ended: how?
step_finish() {
    local name=$1 running=() other status=0 now
    local label=${STEP_LABEL[$name]} key=${STEP_KEY[$name]}
    local stamp=$LAB_CACHE/stamp/$name log=$LAB_CACHE/log/$name.log
    now=$((SECONDS - ${STEP_BEGAN[$name]}))
    wait "${STEP_PID[$name]}" || status=$?
    unset "STEP_PID[$name]"
    for other in "${STEP_RUNNING[@]}"; do
        [ "$other" = "$name" ] || running+=("$other")
    done
    STEP_RUNNING=("${running[@]}")

    case $status in
    0 | "$UNCHANGED") ;;
    *)
        step_result "$label" "FAILED after $(duration "$now")"
        say
        tail -n "${LAB_TAIL:-40}" "$log" >&2
        say
        STEP_FAILED=$name
        die "step \"${STEP_TITLE[$name]}\" failed; the whole log is $log"
        ;;
    esac
    if [ "$key" != always ]; then
        echo "$key" >"$stamp.new"
        mv "$stamp.new" "$stamp"
    fi
    if [ "$status" = 0 ]; then
        echo "$now" >"$stamp.seconds"
        STEPS_DONE+=("$now ${STEP_TITLE[$name]}")
        step_result "$label" "$(duration "$now")"
    elif [ -z "$LAB_QUIET" ]; then
        step_result "$label" "up to date"
    elif [ -t 2 ]; then
        printf '\r\033[K' >&2
    fi
}

step_result() {
    if [ -t 2 ]; then
        printf '\r\033[K%s: %s\n' "$1" "$2" >&2
    else
        say "$1: $2"
    fi
}
