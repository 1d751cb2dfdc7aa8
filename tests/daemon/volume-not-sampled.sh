#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A volume's own limit is held against bytes that nobody has read from the
# kernel: it gets more, or less, than its limit; or volumes that are gone keep
# their places in the ledger.
. "$(dirname "$0")/tenant.sh"

build_writer
cc_with_common "$TEST_TMP/ledgerctl" "$(dirname "$0")/../qemu-block-quota/ledgerctl.c"

ledger() {
    "$TEST_TMP/ledgerctl" /run/quota-lvm lab-vg my-tenant "$@"
}

# mapped VOLUME: bytes, by device-mapper.
mapped() {
    dmsetup status --noflush "lab--vg-my--tenant.${1//-/--}" | awk '{ print $4 * 512 }'
}

# volume_shows VOLUME KEY
volume_shows() {
    shows lab-vg my-tenant "volumes[] | select(.name == \"$1\") | .$2"
}

slot_is_free() {
    ! grep -q "^$1\\." <<<"$(ledger show)"
}

fresh_vg lab-vg
make_tenant lab-vg my-tenant $((256 * MIB)) $((128 * MIB))
lvcreate -qq -y -V 1g --thinpool my-tenant._thin -n my-tenant.data-2 \
    --addtag quota-lvm:tenant=my-tenant lab-vg >/dev/null 2>&1
start_daemon
wait_for_daemon

# Half of the limit is there before anybody counts.
dd if=/dev/zero of=/dev/lab-vg/my-tenant.root bs=64k count=64 oflag=direct status=none
ledger volume root limit=8M
status=0
said=$(write_blocks lab-vg my-tenant 65536 32 200) || status=$?
eq "$status $(field written "$said") $(field reason "$said")" "3 96 volume-limit" "at the limit"
eq "$(mapped root)" $((8 * MIB)) "mapped at the limit"
eq "$(volume_shows root used_bytes)" $((8 * MIB)) "shown as used"
eq "$(volume_shows root limit_bytes)" $((8 * MIB)) "shown as the limit"

# Another volume goes on, and what is freed can be had again.
"$WRITER" write /run/quota-lvm/lab-vg/my-tenant /dev/lab-vg/my-tenant.data-2 65536 0 320 30
eq "$(mapped data-2)" $((20 * MIB)) "mapped of the other"
blkdiscard -o 0 -l $MIB "$(volume lab-vg my-tenant)"
write_blocks lab-vg my-tenant 65536 1000 16
status=0
said=$(write_blocks lab-vg my-tenant 65536 2000 1) || status=$?
eq "$status $(field reason "$said")" "3 volume-limit" "at the limit again"

# Nobody writes any more: the places are free, that of a removed volume too.
ledger volume root
wait_for 10 "root's place" slot_is_free root
"$WRITER" write /run/quota-lvm/lab-vg/my-tenant /dev/lab-vg/my-tenant.data-2 65536 400 1 30
lvremove -qq -y lab-vg/my-tenant.data-2
wait_for 10 "the place of a removed volume" slot_is_free data-2
quota-lvm check
