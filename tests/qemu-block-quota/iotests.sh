#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs our own iotests, qemu-block-quota/tests/qemu-iotests, with QEMU's own "check", for
# raw and for qcow2: those that name formats run for these alone.  They stand in
# QEMU's tree (scripts/graft).  With arguments, runs these alone.
set -eu

build=${QUOTA_QEMU_BUILD:-/build/qemu}
check=$build/tests/qemu-iotests/check
[ -e "$check" ] || {
    echo "needs QEMU's build directory, $build"
    exit 77
}
source=$(dirname "$(readlink -f "$check")")
ours=$(dirname "$0")/../../qemu-block-quota/tests/qemu-iotests/tests

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

# A QEMU that runs out of its build directory does not look for the firmware
# where the host has it.
cat >qemu-system-x86_64 <<EOF
#!/bin/sh
exec $build/qemu-system-x86_64 -L /usr/share/seabios -L /usr/share/qemu "\$@"
EOF
chmod +x qemu-system-x86_64
export QEMU_PROG="$tmp/qemu-system-x86_64"
export TEST_DIR="$tmp/scratch"
[ ! -e "$build/block-quota.so" ] || export QEMU_MODULE_DIR="$build"

[ $# -gt 0 ] || set -- $(cd "$ours" && ls | grep -v '\.out')
for test in "$@"; do
    cmp -s "$ours/$test" "$source/tests/$test" || {
        echo "$test: not as in QEMU's tree; say tests/lab build"
        exit 1
    }
done

status=0
for format in raw qcow2; do
    echo "# $format"
    "$check" "-$format" "$@" >log 2>&1 || status=1
    sed '1,/^$/d' log
done
exit $status
