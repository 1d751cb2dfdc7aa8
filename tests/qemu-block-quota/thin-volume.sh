#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The filter on a real thin volume: what it charges is what device-mapper says,
# at the moment when a write returns, through the page cache too; at the limit
# existing data can be written, zeroed and discarded, and nothing new.  The
# ledger is made by hand, and nobody samples it but this script.

. "$(dirname "$0")/../lab.d/lib.sh"
requires_machine
requires_root
requires_command cc lvcreate dmsetup quota-ledgerd
export PATH=/opt/quota-lvm/bin:$PATH
requires_command qemu-io

cc_with_common "$TEST_TMP/ledgerctl" "$(dirname "$0")/ledgerctl.c"

fresh_vg qvg
chunk=$((192 * 1024))
lvcreate -qq -y --type thin-pool -L 96M -c 192k -n acme._thin qvg >/dev/null
lvchange -qq -y --errorwhenfull y qvg/acme._thin >/dev/null
lvcreate -qq -y -V 768M --thinpool qvg/acme._thin -n acme.root >/dev/null
disk=/dev/qvg/acme.root

ledger() {
    "$TEST_TMP/ledgerctl" "$TEST_TMP" qvg acme "$@"
}

# Bytes used, by device-mapper.
used() {
    local blocks
    blocks=$(dmsetup status qvg-acme._thin-tpool | awk '{ split($6, a, "/"); print a[1] }')
    echo $((blocks * chunk))
}

# io COMMAND...: one after the other, on a filter that remembers nothing yet;
# what qemu-io said.
# shellcheck disable=SC2086  # flags are words
io() {
    local args=() c
    for c in "$@"; do
        args+=(-c "$c")
    done
    qemu-io ${io_flags:-} --image-opts "${args[@]}" \
        "driver=quota,ledger=$TEST_TMP/qvg/acme,tenant=acme,volume=root,wait-timeout=1,discard=unmap,file.driver=host_device,file.discard=unmap,file.filename=$disk" 2>&1 || true
}

unsampled() {
    ledger show | sed -n 's/^unsampled=//p'
}

# Not so much that writers reserve ahead: what they have in advance of the next
# sample is counted below.
quota-ledgerd --directory "$TEST_TMP" &
cleanup_fn kill $!
wait_for 10 "quota-ledgerd" test -S "$TEST_TMP/.ledgerd"
ledger create limit=256M grant=256M chunk=192k </dev/null >/dev/null
ledger sample 0

# One chunk each, and one write over the edge of two.
matches "$(io 'write 0 4k' 'write 1M 64k' 'write 2M 4k' 'write 300k 100k')" 'wrote 102400' write
eq "$(used)" $((5 * chunk)) 'used after five chunks'
eq "$(unsampled)" $((5 * chunk)) 'charged for five chunks'

# Through the page cache, a write that has returned must have been counted by
# the kernel: the charge for it may be gone with the next sample.
mkfifo "$TEST_TMP/commands"
qemu-io -t writeback --image-opts \
    "driver=quota,ledger=$TEST_TMP/qvg/acme,tenant=acme,file.driver=host_device,file.filename=$disk" \
    <"$TEST_TMP/commands" >"$TEST_TMP/said" 2>&1 &
exec 8>"$TEST_TMP/commands"
before=$(used)
echo "write -P 5 48M 12M" >&8
wait_for 60 'the write' grep -q 'wrote 12582912' "$TEST_TMP/said"
after=$(used)
exec 8>&-
wait $!
eq "$after" $((before + 12 * 1024 * 1024)) 'used when the write had returned'

# A limit below what is used.  The last word of the sampler: no room.
ledger set limit=1M
ledger sample "$(used)" tenant-limit
size=$(used)
matches "$(io 'write -P 6 48M 1M' 'read -P 6 48M 1M' 'read -P 5 49M 11M')" 'read 11534336' overwrite
for flags in '' '-t none'; do
    io_flags=$flags
    said=$(io 'write 200M 4k' 'write -z 300M 1M' 'write -P 7 50M 20M')
    eq "$(grep -c 'No space left on device' <<<"$said")" 3 "refusals in: $said"
    matches "$(io 'write -P 6 48M 1M' 'write -P 5 52M 64k')" 'wrote 65536' "overwrite $flags"
done
io_flags=
eq "$(used)" "$size" 'used after refusals and overwrites'

# Zeroes that may unmap need nothing.
matches "$(io 'write -zu 40M 12M' 'read -P 0 40M 12M' 'read -P 5 52M 8M')" 'read 8388608' 'zero in place'
at_most "$(used)" "$size" 'used after zeroing'

# What is discarded can be had again.
io 'discard 52M 8M' >/dev/null
ledger set limit=1G
ledger sample "$(used)"
matches "$(io 'write -P 8 500M 4M' 'read -P 8 500M 4M')" 'read 4194304' 'write after discard'
at_most "$(used)" "$size" 'used after discard'
