#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# quota-lvm check does not see what the kernel says: a device that is suspended, has
# another size or table, or a thin pool that takes no writes or soon will not.
. "$(dirname "$0")/../daemon/tenant.sh"
. "$(dirname "$0")/check.sh"
requires_command python3

fresh_vg labvg
make_tenant labvg acme $((512 * MIB)) $((64 * MIB))
lvcreate -qq -y -L 64m -n acme.log --addtag quota-lvm:tenant=acme labvg >/dev/null
agrees once

# the kernel
finds acme "suspended" dmsetup suspend labvg-acme.log
agrees dmsetup resume labvg-acme.log
table=$(dmsetup table labvg-acme.log)
finds acme "interrupted" dmsetup load labvg-acme.log --table "$table"
agrees dmsetup clear labvg-acme.log
short="0 65536 ${table#* * }"
[ "$(wc -l <<<"$table")" = 1 ] || short=$(head -n 1 <<<"$table")
finds acme "size-differs" bash -c "dmsetup load labvg-acme.log --table '$short' &&
    dmsetup resume labvg-acme.log"
agrees bash -c "dmsetup load labvg-acme.log <<<'$table' && dmsetup resume labvg-acme.log"
pool=labvg-acme._thin-tpool
id=$(dmsetup status $pool | awk '{print $4}')
finds acme "interrupted" dmsetup message $pool 0 "set_transaction_id $id $((id + 1))"
agrees dmsetup message $pool 0 "set_transaction_id $((id + 1)) $id"
table=$(dmsetup table $pool)
finds acme "pool-read-only" bash -c "dmsetup load $pool \
    --table '$(sed 's/ [0-9]* *\([a-z_ ]*\)$/ 1 read_only/' <<<"$table")' && dmsetup resume $pool"
agrees bash -c "dmsetup load $pool --table '$table' && dmsetup resume $pool"

# every volume has a block of the metadata for itself; there are 1024
lvcreate -qq -y --type thin-pool -c 64k -L 32m --poolmetadatasize 4m -n full._thin \
    --addtag quota-lvm:tenant=full --addtag quota-lvm:limit=$((64 * MIB)) labvg &>/dev/null
agrees once
fill() {
    python3 - labvg-full._thin 850 <<'PYTHON'
import fcntl
import struct
import sys

DM_TARGET_MSG = 0xc138fd0e
name, count = sys.argv[1].encode(), int(sys.argv[2])
with open('/dev/mapper/control', 'r+b', buffering=0) as control:
    for i in range(1, count + 1):
        message = struct.pack('Q', 0) + b'create_thin %d\0' % i
        head = struct.pack('3I4Ii2IQ128s129s7s', 4, 0, 0, 16384, 312, 0, 0, 0, 0, 0, 0,
                           name, b'', b'')
        fcntl.ioctl(control, DM_TARGET_MSG, bytearray((head + message).ljust(16384, b'\0')))
PYTHON
}
finds full "metadata-full" fill
agrees bash -c "lvremove -y labvg/full._thin && rm -f /run/quota-lvm/labvg/full"

echo "$CHECKS kinds of damage, each found and nothing else"
