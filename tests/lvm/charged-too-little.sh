#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# charged-too-little.sh METADATA-SHOW - an LV of a kind that is rare, or that nobody
# knows yet, or with tags that make no sense, is charged less than it takes, or to
# nobody, or its tenant takes others along.
#
# Each *.vg that has one is compared with its *.charges.  QUOTA_UPDATE_GOLDENS=1
# writes them anew: read the difference.
here=$(cd "$(dirname "$0")" && pwd)
shown=$(mktemp) || exit 1
trap 'rm -f "$shown"' EXIT
failed=0

for golden in "$here"/*.charges; do
    "$1" --charges vg0 "${golden%.charges}.vg" >"$shown" || failed=1
    if [ -n "${QUOTA_UPDATE_GOLDENS:-}" ]; then
        cat "$shown" >"$golden"
    else
        diff -u "$golden" "$shown" || failed=1
    fi
done
exit "$failed"
