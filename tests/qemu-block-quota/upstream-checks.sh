#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# QEMU's own checks of what the driver touches: the QAPI schema and its tests,
# that every module loads, that the driver is in module_block.h, the unit tests
# of the block layer, and our own beside them, qemu-block-quota/tests/unit.
set -eu

build=${QUOTA_QEMU_BUILD:-/build/qemu}
[ -e "$build/build.ninja" ] || {
    echo "needs QEMU's build directory, $build"
    exit 77
}
cd "$build"

echo "the module is known by the name of its driver"
grep -A2 'format_name = "quota"\|library_name = "quota"' block/module_block.h

# Only the test programs that are run below.
ninja -j2 tests/qtest/modules-test block-quota.so qemu-system-x86_64 \
    tests/unit/test-throttle tests/unit/test-bdrv-drain \
    tests/unit/test-bdrv-graph-mod tests/unit/test-block-iothread \
    tests/unit/test-block-quota \
    tests/unit/test-qobject-input-visitor tests/unit/test-qobject-output-visitor \
    tests/unit/test-qmp-cmds >/dev/null

echo "qapi-schema"
meson test --no-rebuild --suite qapi-schema --suite qapi-frontend \
    --print-errorlogs 2>/dev/null ||
    meson test --no-rebuild --suite qapi-schema --print-errorlogs

echo "every module loads"
QTEST_QEMU_BINARY=./qemu-system-x86_64 ./tests/qtest/modules-test

echo "unit tests"
for test in test-throttle test-bdrv-drain test-bdrv-graph-mod \
    test-block-iothread test-block-quota test-qobject-input-visitor \
    test-qobject-output-visitor test-qmp-cmds; do
    echo "# $test"
    timeout 120 "./tests/unit/$test" >/tmp/upstream-check.log 2>&1 || {
        cat /tmp/upstream-check.log
        exit 1
    }
done
