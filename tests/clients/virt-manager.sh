#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Hazard: virt-manager's window does not show a tenant's volumes, does not delete them,
# or makes other ones than it was told to.  With SCREENSHOTS=DIR, keeps pictures.
. "$(dirname "$0")/../lab.d/lib.sh"
. "$(dirname "$0")/../libvirt-backend/pools.sh"
. "$(dirname "$0")/patched.sh"
requires_machine
requires_command virsh virt-manager Xvfb dbus-run-session python3

export DISPLAY=:9 XDG_RUNTIME_DIR=$TEST_TMP GSETTINGS_BACKEND=memory
Xvfb "$DISPLAY" -screen 0 1000x750x24 >/dev/null 2>&1 &
cleanup_fn kill $!
# It makes a pool of its own, as it does everywhere.
cleanup_fn virsh -q pool-undefine default
cleanup_fn virsh -q pool-destroy default

# window WHAT: in a session of its own, which ends with it.
window() {
    # shellcheck disable=SC2016  # for the shell in there
    dbus-run-session -- sh -c '
        virt-manager --no-fork --connect qemu:///system --show-host-summary &
        status=0
        "$1/virt-manager-window.py" "$2" || status=$?
        kill $!
        exit $status' - "$(dirname "$0")" "$1" >"$TEST_TMP/said" 2>&1 ||
        fail "$(cat "$TEST_TMP/said")"
}

fresh_vg vg0
pool_up acme vg0 "$(limit 2 GiB 64 MiB)"
vol_create acme data 64 thick
vol_create acme old 128 thin

window debian
eq "$(vols acme)" data "volumes after one was deleted"

patch_virt_manager
cleanup_fn virsh -q pool-undefine globex
cleanup_fn virsh -q pool-destroy globex
window patched
eq "$(vols acme)" "data thick thin" "volumes after two were made"
eq "$(vol_number acme thick Capacity)" "$(vol_number acme thick Allocation)" "the thick one"
eq "$(vol_number acme thin Capacity)" "$GIB" "the thin one's capacity"
eq "$(vol_number acme thin Allocation)" 0 "the thin one's allocation"
eq "$(pool_number globex Capacity)" "$GIB" "limit of the pool that was made"
