#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# scripts/graft on a small tree that passes for QEMU's.
. "$(dirname "$0")/../lab.d/lib.sh"
requires_command python3 patch diff

top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$TEST_TMP"
mkdir -p scripts common qemu-block-quota tree/block
cp "$top/scripts/graft" scripts
graft=scripts/graft
patches=qemu-block-quota/patches/10.0-10.0

echo 10.0.13 >tree/VERSION
seq 1 40 >tree/block/meson.build
seq 1 40 >tree/block/core.c
cp -r tree pristine
same_as_pristine() {
    diff -r -x .quota-lvm tree pristine
}

# nothing to put in yet
$graft qemu tree
same_as_pristine

# driver files come and go
echo 'int quota;' >qemu-block-quota/quota.c
echo 'int cell;' >common/cell.c
cat >qemu-block-quota/files <<'FILES'
qemu-block-quota/quota*.[ch]  block/   # the driver
common/*.[ch]                 block/quota-common/
FILES
$graft qemu tree
cmp common/cell.c tree/block/quota-common/cell.c
mv common/cell.c common/rate.c
$graft qemu tree
[ ! -e tree/block/quota-common/cell.c ] || fail "a file that is gone here stays in the tree"

# a change made in the tree becomes a patch, a second one to the same file too
$graft --edit qemu tree block/meson.build block/core.c
sed -i 's/^3$/three/' tree/block/meson.build
$graft --refresh 0001-first.patch qemu tree
sed -i 's/^30$/thirty/' tree/block/meson.build tree/block/core.c
expect_fail 'changed by hand' $graft qemu tree
$graft --refresh 0002-second.patch qemu tree block/meson.build block/core.c
eq "$(cat $patches/series | paste -sd' ')" "0001-first.patch 0002-second.patch" series
eq "$(grep -c '^[-+][a-z0-9]' $patches/0001-first.patch)" 2 "lines that the first patch changes"
matches "$($graft qemu tree)" ' 0 files changed' "graft after --refresh"
sed -i 's/^three$/THREE/' tree/block/meson.build
$graft --refresh 0001-first.patch qemu tree
matches "$($graft qemu tree)" ' 0 files changed' "graft after --refresh of the first"
eq "$(grep -c thirty $patches/0001-first.patch || true)" 0 "the second patch inside the first"

# only what changes is written
touch -d '2001-01-01' tree/block/*
sed -i 's/THREE/Three/' $patches/0001-first.patch
$graft qemu tree
eq "$(find tree/block -type f -newermt 2002-01-01 -name '*.*' | grep -v quota-common)" \
    tree/block/meson.build "files written for a changed patch"

# a patch that does not apply changes nothing
cp -r tree before
sed -i 's/^ 5$/ five/' $patches/0001-first.patch
expect_fail '0001-first.patch does not apply.*' $graft qemu tree
diff -r -x lock tree before
sed -i 's/^ five$/ 5/' $patches/0001-first.patch

# an upstream file is not ours to overwrite, nor is anything outside of the tree
echo 'qemu-block-quota/quota.c block/core.c' >qemu-block-quota/files
expect_fail 'block/core.c is both|exists already' $graft qemu tree
echo 'qemu-block-quota/quota.c ../outside.c' >qemu-block-quota/files
expect_fail 'leads out of the tree' $graft qemu tree

# out again
$graft --revert qemu tree
same_as_pristine
[ ! -e tree/.quota-lvm ]

# versions and trees that are not ours
echo 10.1.0 >tree/VERSION
expect_fail 'no patches for qemu 10.1.0, only for 10.0-10.0' $graft qemu tree
rm tree/VERSION
expect_fail 'not a qemu source tree' $graft qemu tree
