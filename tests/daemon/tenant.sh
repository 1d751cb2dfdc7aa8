# SPDX-License-Identifier: LGPL-2.1-or-later
# For the tests of daemon/ and cli/ in a lab machine, sourced by each of them: tenants
# made with LVM's own commands, as the storage backend makes them, the daemon, and a
# writer that goes through the ledger as the quota filter does.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../lab.d/lib.sh"
requires_machine
requires_command quota-lvmd quota-lvm lvs dmsetup jq cc

MIB=$((1 << 20))
DAEMON=
DAEMON_LOG=$TEST_TMP/quota-lvmd.log
WRITER=/run/lab-ledger-writer

# The daemon of the machine itself makes way for the test's.
systemctl stop quota-lvmd

# make_tenant GROUP TENANT LIMIT STEP: bytes; the thin volume is TENANT.root.
make_tenant() {
    local first=$4 pool=$1/$2._thin
    [ "$first" -le "$3" ] || first=$3
    lvcreate -qq -y --type thin-pool --zero y -c 64k -L "${first}b" -n "$2._thin" \
        --addtag "quota-lvm:tenant=$2" --addtag "quota-lvm:limit=$3" \
        --addtag "quota-lvm:step=$4" "$1" &>/dev/null
    lvchange -qq -y --errorwhenfull y --monitor n "$pool" >/dev/null
    lvcreate -qq -y --monitor n -V 4g --thinpool "$2._thin" -n "$2.root" \
        --addtag "quota-lvm:tenant=$2" "$1" >/dev/null 2>&1
}

# volume GROUP TENANT: the device of the thin volume.
volume() {
    echo "/dev/$1/$2.root"
}

start_daemon() {
    quota-lvmd -v "$@" >>"$DAEMON_LOG" 2>&1 &
    DAEMON=$!
}

wait_for_daemon() {
    wait_for 20 "quota-lvmd to read LVM" grep -q 'read from LVM' "$DAEMON_LOG"
}

stop_daemon() {
    [ -n "$DAEMON" ] || return 0
    kill "${1:--TERM}" "$DAEMON" 2>/dev/null || true
    wait "$DAEMON" 2>/dev/null || true
    DAEMON=
}
cleanup_fn rm -rf /run/quota-lvm/labvg /run/quota-lvm/lab-vg
cleanup_fn stop_daemon

# Compiled once in a machine, which is made anew when the sources change.
build_writer() {
    [ ! -x "$WRITER" ] || return 0
    cc_with_common "$WRITER.new" \
        "$(dirname "${BASH_SOURCE[0]}")/ledger-writer.c"
    mv "$WRITER.new" "$WRITER"
}

# write_blocks GROUP TENANT BLOCK-BYTES FIRST COUNT [PATIENCE]
write_blocks() {
    "$WRITER" write "/run/quota-lvm/$1/$2" "$(volume "$1" "$2")" "$3" "$4" "$5" "${6:-600}"
}

# field NAME TEXT: the value of NAME=VALUE in the writer's line.
field() {
    printf '%s\n' "$2" | sed -n "s/.*\\b$1=\\([^ ]*\\).*/\\1/p"
}

# thin_used GROUP TENANT / thin_size GROUP TENANT: bytes, by device-mapper.
thin_numbers() {
    dmsetup status "$(dmsetup info -c --noheadings -o name -S \
        "vg_name=$1 && lv_name=$2._thin && uuid=~tpool$")" |
        sed -n 's/.* thin-pool [0-9]* [0-9/]* \([0-9]*\)\/\([0-9]*\) .*/\1 \2/p'
}
thin_used() {
    local used size
    read -r used size <<<"$(thin_numbers "$1" "$2")"
    echo $((used * 65536))
}
thin_size() {
    local used size
    read -r used size <<<"$(thin_numbers "$1" "$2")"
    echo $((size * 65536))
}

# shows GROUP TENANT KEY: a number of quota-lvm show --json.
shows() {
    quota-lvm show "$2" --group "$1" --json | jq -r ".$3"
}
