# SPDX-License-Identifier: LGPL-2.1-or-later
# Steps of the lab: what is done already, how long it took last time, what it
# is doing now, and where to look when it fails.
#
# A step is done when its stamp holds the key that it is asked for.  The key is
# made from everything that the step depends on, and the stamp is removed before
# the step and written after it, so an interrupt at any moment only means that
# the step is done again.

STEPS_TOTAL=0
STEPS_AT=0
STEP_PID=
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

# The last line that is worth showing of a running step's log.
step_progress() {
    tail -c 4096 "$1" 2>/dev/null | tr '\r' '\n' | grep -v '^[[:space:]]*$' | tail -n 1 |
        sed -E 's/^(\[[0-9]+\/[0-9]+\]) .*/\1/' | tr -cd '[:print:]'
}

step_stop() {
    if [ -n "$STEP_PID" ]; then
        kill -TERM -- "-$STEP_PID" 2>/dev/null || true
        wait "$STEP_PID" 2>/dev/null || true
        STEP_PID=
        say
        say "lab: stopped; the same command goes on from here"
    fi
}

# step NAME TITLE KEY FUNCTION [ARG...]
#
# Runs FUNCTION unless the step's stamp already says KEY.  A KEY of "always" is
# for steps that know best themselves, as ninja does.
step() {
    local name=$1 title=$2 key=$3
    shift 3
    STEPS_AT=$((STEPS_AT + 1))
    local label="[$STEPS_AT/$STEPS_TOTAL] $title"
    local stamp=$LAB_CACHE/stamp/$name log=$LAB_CACHE/log/$name.log
    local times=$LAB_CACHE/stamp/$name.seconds

    if [ "$key" != always ] && [ "$(cat "$stamp" 2>/dev/null)" = "$key" ]; then
        [ -n "$LAB_QUIET" ] || say "$label: up to date"
        return 0
    fi

    local last='' start=$SECONDS shown=-1 now status=0
    if [ -s "$times" ]; then
        last=" (last time $(duration "$(cat "$times")"))"
    fi
    if [ -n "$LAB_QUIET" ] && [ "$key" = always ]; then
        :           # says something only when it turns out to be work
    elif [ -t 2 ]; then
        printf '%s ...%s' "$label" "$last" >&2
    else
        say "$label ...$last"
    fi

    rm -f "$stamp"
    set -m
    (
        set +m
        trap - EXIT INT TERM
        set -e
        "$@"
    ) </dev/null >"$log" 2>&1 &
    STEP_PID=$!
    set +m
    while kill -0 "$STEP_PID" 2>/dev/null; do
        sleep 0.2
        now=$((SECONDS - start))
        if [ "$now" -lt 3 ] || [ "$now" = "$shown" ]; then
            :
        elif [ -t 2 ]; then
            shown=$now
            printf '\r\033[K%s ...%s %.*s  %s' "$label" "$last" \
                $((${COLUMNS:-80} - ${#label} - ${#last} - 20 > 8 ? ${COLUMNS:-80} - ${#label} - ${#last} - 20 : 8)) \
                "$(step_progress "$log")" "$(duration "$now")" >&2
        elif [ $((now % 30)) = 0 ]; then
            shown=$now
            say "      $(duration "$now"): $(step_progress "$log" | cut -c1-100)"
        fi
    done
    wait "$STEP_PID" || status=$?
    STEP_PID=
    now=$((SECONDS - start))

    case $status in
    0)
        echo "$now" >"$times"
        ;;
    "$UNCHANGED")
        if [ -z "$LAB_QUIET" ]; then
            step_result "$label" "up to date"
        elif [ "$key" != always ] && [ -t 2 ]; then
            printf '\r\033[K' >&2
        fi
        ;;
    *)
        step_result "$label" "FAILED after $(duration "$now")"
        say
        tail -n "${LAB_TAIL:-40}" "$log" >&2
        say
        die "step \"$title\" failed; the whole log is $log"
        ;;
    esac
    if [ "$key" != always ]; then
        echo "$key" >"$stamp.new"
        mv "$stamp.new" "$stamp"
    fi
    if [ "$status" = 0 ]; then
        step_result "$label" "$(duration "$now")"
    fi
}

step_result() {
    if [ -t 2 ]; then
        printf '\r\033[K%s: %s\n' "$1" "$2" >&2
    else
        say "$1: $2"
    fi
}
