#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A command of LVM fails in the middle of a verb, at its first call, its second, ...,
# and leaves half a volume, or a tenant that is charged for something else than it has.
# usage: failed-command-leaves-half.sh [all]
. "$(dirname "$0")/../lab.d/lib.sh"
. "$(dirname "$0")/pools.sh"
. "$(dirname "$0")/verb-faults.sh"
requires_machine
requires_command virsh quota-lvm

# failed FAULT: the verb has failed, and said why.
failed() {
    grep -q "injected into" "$TEST_TMP/said" || fail "$1: $(cat "$TEST_TMP/said")"
}

faults_begin
VERBS+=("$LARGER_SNAPSHOT")
with_each_fault "${1:-some}" failed fail-before fail-after always
