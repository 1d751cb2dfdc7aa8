#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# no-circles over all folders of sources: the lab has the hosts' build directories too.
exec "$(dirname "$0")/no-circles.py" --qemu "${QUOTA_QEMU_BUILD:-/build/qemu}" \
    --libvirt "${LIBVIRT_BUILD:-/build/libvirt}" "${1:-/build/quota-lvm}"
