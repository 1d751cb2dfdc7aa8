#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A scratch disk keeps what was written before a power cut, the root disk nothing.
. "$(dirname "$0")/lib.sh"

m=power-cut-$$
machine_start "$m"
machine_exec "$m" --no-stdin sh -e -c '
    vgcreate -qq labvg /dev/vdc
    lvcreate -qq -y -L 64m -n keep labvg
    echo "written before" >/dev/labvg/keep
    sync
    touch /var/forgotten'
machine_power_cut "$m"

machine_start "$m"
said=$(machine_exec "$m" --no-stdin sh -e -c '
    vgchange -qq -ay labvg
    head -n 1 /dev/labvg/keep
    [ ! -e /var/forgotten ]')
eq "$said" "written before" "what the disk kept"
