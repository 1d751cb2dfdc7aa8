#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# libvirt's own tests of the QEMU driver, our goldens among them: the filter stands
# in the wrong place, a volume is used without it, or what a restarted daemon
# knows differs from what QEMU was told.
. "$(dirname "$0")/../lab.d/lib.sh"

BUILD=${LIBVIRT_BUILD:-/build/libvirt}
TESTS=(qemuquotatest qemuxmlconftest qemuxmlactivetest qemublocktest
    qemuhotplugtest qemumonitorjsontest qemucapabilitiestest qemucaps2xmltest
    domaincapstest qemudomainsnapshotxml2xmltest qemumigrationcookiexmltest
    qemusecuritytest check-symfile check-symsorting)

requires_command meson ninja
requires_file "$BUILD/build.ninja"

# It builds what these tests need first.
if ! meson test -C "$BUILD" --print-errorlogs "${TESTS[@]}" \
    >"$TEST_TMP/log" 2>&1; then
    tail -n 60 "$TEST_TMP/log"
    fail "a test of libvirt failed"
fi
matches "$(cat "$TEST_TMP/log")" "^Ok: +${#TESTS[@]}( |$)" "tests that passed"

# That ours ran at all: a case that is not listed passes in silence.
VIR_TEST_DEBUG=1 "$BUILD/tests/qemuxmlconftest" >"$TEST_TMP/log" 2>&1
eq "$(grep -c 'QEMU XML def -> ARGV disk-source-pool-quota-lvm' "$TEST_TMP/log")" 4 \
    "command lines of volumes under a quota"
VIR_TEST_DEBUG=1 "$BUILD/tests/qemuxmlactivetest" >"$TEST_TMP/log" 2>&1
matches "$(cat "$TEST_TMP/log")" 'status XML-2-XML quota-lvm +\.\.\. OK' \
    "status XML of volumes under a quota"
