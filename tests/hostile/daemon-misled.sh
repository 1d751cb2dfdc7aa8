#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# daemon-misled.sh [SECONDS [SEED]]: a QEMU that was taken over writes to its tenant's
# ledger what it likes, and quota-lvmd ends, stops serving others, asks LVM for too
# much, fills the log or eats a processor.  Each attack takes SECONDS (4).
. "$(dirname "$0")/../daemon/tenant.sh"

seconds=${1:-4}
seed=${2:-$RANDOM}
echo "seed $seed"
build_writer
hostile=$TEST_TMP/hostile
cc_with_common "$hostile" "$(dirname "$0")/hostile.c"

GIB=$((1024 * MIB))
fresh_vg labvg 2
make_tenant labvg acme $((14 * GIB)) $((32 * MIB))
make_tenant labvg globex $GIB $((16 * MIB))
start_daemon --interval 0.5 --rescan 2
wait_for_daemon
pid=$DAEMON
ACME=/run/quota-lvm/labvg/acme
GLOBEX=/run/quota-lvm/labvg/globex

# hundredths of a second that the daemon has worked, or LVM for it
worked() { # own|lvm
    awk -v who="$1" '{ print who == "own" ? $14 + $15 : $16 + $17 }' "/proc/$pid/stat"
}
# milliseconds, of five hundred answers to globex: five may be late, as they are when a
# command of LVM's has the processors
answered_p99() {
    echo $(($(field p99_us "$("$WRITER" ring $GLOBEX 500)") / 1000 + 1))
}
# The longest that a write of globex waits, in milliseconds: its pool grows for it, twice.
next=0
grown() {
    local said
    said=$(write_blocks labvg globex $MIB $((next * 32)) 32) ||
        fail "$1: another tenant's write is refused"
    next=$((next + 1))
    field longest_ms "$said"
}
# beside an honest neighbour, whose pool grows as fast as it can
write_blocks labvg acme 65536 16 6000 >/dev/null &
quiet=$(answered_p99)
quiet_growth=$(grown quiet)
wait $! || fail "an honest write is refused"
echo "beside an honest neighbour: answers within $quiet ms, growth within $quiet_growth ms"
printf '%-12s %12s %10s %10s %8s %8s %10s\n' \
    attack done 'p99 (ms)' 'grown (ms)' 'load %' lines 'pool (MiB)'

# percent FROM TO BEGAN: of a processor, since then
percent() {
    awk -v from="$1" -v to="$2" -v began="$3" -v now="$EPOCHREALTIME" \
        'BEGIN { printf "%d", (to - from) / (now - began) }'
}

# done_of NAME LINE: how often it was done; of all, the one that was done least
done_of() {
    if [ "$1" = all ]; then
        printf '%s\n' "$2" | tr ' ' '\n' | grep -v '^waits=\|^seed=' |
            sed -n 's/.*=//p' | sort -n | head -n 1
    else
        field "$1" "$2"
    fi
}
# enough NAME: of one that takes long each time, and of all in their turn, fewer
enough() {
    case $1 in
    all | punch) echo $((seconds / 2)) ;;
    *) echo 1000 ;;
    esac
}

attack() { # NAME
    local before lvm lines began said p99 load growth
    # a ledger of its own for each attack, which knows of some writes
    rm $ACME
    wait_for 60 "$1: a ledger" "$WRITER" ring $ACME 1 5 >/dev/null 2>&1
    write_blocks labvg acme 65536 0 16 >/dev/null || fail "$1: acme's write is refused"
    before=$(worked own)
    lvm=$(worked lvm)
    lines=$(wc -l <"$DAEMON_LOG")
    began=$EPOCHREALTIME
    "$hostile" $ACME "$1" "$seconds" "$seed" >"$TEST_TMP/said" 2>&1 &
    p99=$(answered_p99)
    growth=$(grown "$1")
    wait $! || fail "$1: $(cat "$TEST_TMP/said")"
    load=$(percent "$before" "$(worked own)" "$began")
    lvm=$(percent "$lvm" "$(worked lvm)" "$began")
    lines=$(($(wc -l <"$DAEMON_LOG") - lines))
    said=$(done_of "$1" "$(cat "$TEST_TMP/said")")
    printf '%-12s %12s %10s %10s %8s %8s %10s\n' "$1" "$said" "$p99" "$growth" "$load" "$lines" \
        $(($(thin_size labvg acme) / MIB))
    kill -0 "$pid" || fail "$1: quota-lvmd has ended: $(tail -n 3 "$DAEMON_LOG")"
    at_least "$said" "$(enough "$1")" "$1: how often it was done"
    if grep -q waits= "$TEST_TMP/said"; then
        at_least "$(field waits "$(cat "$TEST_TMP/said")")" 2 "$1: waits of an honest writer"
    fi
    at_most "$p99" $((quiet * 2 + 100)) "$1: answers to another tenant (ms)"
    at_most "$growth" $((quiet_growth * 2 + 500)) "$1: growth of another tenant (ms)"
    # a fifth of a processor, a second in advance, and what it does for the other tenant;
    # and what LVM may be asked
    at_most "$load" $((30 + 150 / seconds)) "$1: quota-lvmd's load (%)"
    at_most "$lvm" $((50 + 240 / seconds)) "$1: the load of LVM's commands (%)"
    at_most "$lines" $((20 + seconds * 2)) "$1: lines in the log"
    at_most "$(thin_size labvg acme)" $((9 * GIB)) "$1: a pool in which nothing was written"
    wait_for 60 "$1: acme's ledger to be right again" quota-lvm check acme
    # in the ledger that it has by then: who waits in one that was replaced gets no answer
    wait_for 60 "$1: acme to be sampled again" "$WRITER" ring $ACME 3 5 >/dev/null
}

for name in no-volumes demand in-flight answer stall reason slots policy restless word header newer locks flood hole punch size writes all; do
    attack "$name"
done
quota-lvm check
