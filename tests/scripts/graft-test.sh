#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# scripts/graft on a small tree that passes for QEMU's, and the real series by git am.
. "$(dirname "$0")/../lab.d/lib.sh"
requires_command python3 git diff cmp

top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$TEST_TMP"
mkdir -p scripts common qemu-block-quota/block tree/block
cp "$top/scripts/graft" scripts
graft=scripts/graft
mails=$top/tests/scripts/patch-mails.py
patches=qemu-block-quota/patches/10.0

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
echo 'int quota;' >qemu-block-quota/block/quota.c
touch qemu-block-quota/block/quota.c~ qemu-block-quota/block/.quota.c.swp
echo 'int cell;' >common/cell.c
$graft qemu tree
cmp qemu-block-quota/block/quota.c tree/block/quota.c
[ "$(ls -A tree/block | grep -c "quota\.c")" = 1 ] || fail "an editor's copy was put into the tree"
cmp common/cell.c tree/subprojects/quota-lvm/common/cell.c
mv common/cell.c common/rate.c
$graft qemu tree
[ ! -e tree/subprojects/quota-lvm/common/cell.c ] || fail "a file that is gone here stays in the tree"

# a change made in the tree becomes a patch, a second one to the same file too
$graft --edit qemu tree block/meson.build block/core.c
sed -i 's/^3$/three/' tree/block/meson.build
$graft --refresh 0001-first.patch qemu tree
sed -i 's/^30$/thirty/' tree/block/meson.build tree/block/core.c
expect_fail 'changed by hand' $graft qemu tree
$graft --refresh 0002-second.patch qemu tree block/meson.build block/core.c
eq "$(ls $patches | paste -sd' ')" "0001-first.patch 0002-second.patch" series
eq "$(grep -c '^[-+][a-z0-9]' $patches/0001-first.patch)" 2 "lines that the first patch changes"
matches "$($graft qemu tree)" ' 0 files changed' "graft after --refresh"
sed -i 's/^three$/THREE/' tree/block/meson.build
$graft --refresh 0001-first.patch qemu tree
matches "$($graft qemu tree)" ' 0 files changed' "graft after --refresh of the first"
eq "$(grep -c thirty $patches/0001-first.patch || true)" 0 "the second patch inside the first"
sed -i 's/^THREE$/drei/; s/^thirty$/dreissig/' tree/block/meson.build
expect_fail 'a patch after 0001-first.patch touches the same lines' \
    $graft --refresh 0001-first.patch qemu tree
sed -i 's/^drei$/THREE/; s/^dreissig$/thirty/' tree/block/meson.build
matches "$($graft qemu tree)" ' 0 files changed' "graft after a --refresh that failed"

# --refresh keeps what somebody has written into a mail
expect_fail 'has no author|gives no reason|needs a subject' "$mails" $patches
cat >mail <<'MAIL'
From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001
From: Jo Doe <jo@example.com>
Date: Mon, 23 Nov 2026 08:39:02 +0000
Subject: [PATCH] block: count to three in words

On old printers the digit 3 can look like an 8, so readers of a printout
could not tell how many there are.
MAIL
sed -i -e 1,4d -e '/^---$/,$!d' $patches/0001-first.patch
cat mail $patches/0001-first.patch >$patches/new && mv $patches/new $patches/0001-first.patch
$graft qemu tree
sed -i 's/^THREE$/tres/' tree/block/meson.build
$graft --refresh 0001-first.patch qemu tree
eq "$(ls $patches | paste -sd' ')" "0001-block-count-to-three-in-words.patch 0002-second.patch" series
mv $patches/0001-block-count-to-three-in-words.patch $patches/0001-first.patch
diff mail <(sed '/^---$/,$d' $patches/0001-first.patch) || fail "the mail is not as it was written"
matches "$($graft qemu tree)" ' 0 files changed' "graft after --refresh of a mail"
mkdir one && cp $patches/0001-first.patch one/0001-block-count-to-three-in-words.patch
"$mails" one
sed '/^@@/{n;d}' $patches/0002-second.patch >one/0002-second.patch
expect_fail 'begins with 2 lines of context' "$mails" one
sed -i 's/^tres$/THREE/' tree/block/meson.build
$graft --refresh 0001-first.patch qemu tree
mv $patches/0001-block-count-to-three-in-words.patch $patches/0001-first.patch

# only what changes is written
touch -d '2001-01-01' tree/block/*
sed -i 's/THREE/Three/' $patches/0001-first.patch
$graft qemu tree
eq "$(find tree/block -type f -newermt 2002-01-01 -name '*.*' )" \
    tree/block/meson.build "files written for a changed patch"

# a patch that does not apply changes nothing
cp -r tree before
sed -i 's/^ 5$/ five/' $patches/0001-first.patch
expect_fail '0001-first.patch does not apply.*' $graft qemu tree
diff -r -x .quota-lvm tree before
sed -i 's/^ five$/ 5/' $patches/0001-first.patch

# an upstream file is not ours to overwrite, nor is anything outside of the tree
mv qemu-block-quota/block/quota.c qemu-block-quota/block/core.c
expect_fail 'block/core.c is both|exists already' $graft qemu tree
mv qemu-block-quota/block/core.c qemu-block-quota/block/quota.c
cp $patches/0001-first.patch first.patch
sed -i 's#b/block/meson.build#b/../outside.build#' $patches/0001-first.patch
expect_fail 'leads out of the tree' $graft qemu tree
mv first.patch $patches/0001-first.patch

# in a git checkout, and with any configuration of git's, it does the same
cp -r pristine checkout
rm -rf checkout/.quota-lvm
mkdir home
printf '* text eol=crlf\n' >home/attributes
cat >home/.gitconfig <<'CONFIG'
[core]
    autocrlf = true
    attributesFile = ~/attributes
    hooksPath = /nonexistent
[commit]
    gpgsign = true
[diff]
    noprefix = true
[am]
    keepcr = true
CONFIG
git init -q checkout
HOME=$PWD/home GIT_DIR=/nonexistent $graft qemu checkout
diff -r -x .quota-lvm -x .git tree checkout
(cd checkout && git --git-dir=.git --work-tree=. status --porcelain >/dev/null)
rm -rf checkout

# the next run repairs what graft leaves when it is killed before any step that matters
cp -r qemu-block-quota from
sed -i 's/Three/III/' $patches/0001-first.patch
sed -i 's/^+thirty$/+XXX/' $patches/0002-second.patch
mv qemu-block-quota/block/quota.c qemu-block-quota/block/quota-new.c
mv qemu-block-quota to
cat >killed-at.py <<'PYTHON'
"""killed-at.py N ARGUMENT...: graft, which is killed before its Nth step."""
import os, runpy, signal, subprocess, sys

left = int(sys.argv.pop(1))
sys.argv[0] = 'scripts/graft'

def killed(step):
    def run(*args, **kwargs):
        global left
        if step != git or not {'init', 'am', 'update-ref'}.isdisjoint(args[0]):
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
        return step(*args, **kwargs)
    return run

git = subprocess.run

for module, name in ((os, 'replace'), (os, 'unlink'), (subprocess, 'run')):
    setattr(module, name, killed(getattr(module, name)))
runpy.run_path('scripts/graft', run_name='__main__')
PYTHON
use() {
    rm -rf qemu-block-quota
    cp -r "$1" qemu-block-quota
}
cp -r tree whole
use to
cp -r tree after
$graft qemu after
for ((n = 1; ; n++)); do
    rm -rf tree
    cp -r whole tree
    use to
    status=0
    { python3 killed-at.py $n qemu tree; } >/dev/null 2>&1 || status=$?
    [ "$status" != 0 ] || break
    eq "$status" 137 "status of graft, killed before step $n"
    # a git that was killed as well may leave its locks
    touch tree/.quota-lvm/git/index.lock tree/.quota-lvm/git/HEAD.lock
    mkdir -p tree/.quota-lvm/git/rebase-apply
    if [ $((n % 2)) = 1 ]; then
        $graft qemu tree >/dev/null
        diff -r -x .quota-lvm tree after
    else
        use from
        $graft qemu tree >/dev/null
        diff -r -x .quota-lvm tree whole
    fi
done
at_least "$n" 8 "steps of graft"
use from
rm -rf tree after to
mv whole tree

# out again
$graft --revert qemu tree
same_as_pristine
[ ! -e tree/.quota-lvm ]

# a tree of an older graft, which kept no repository, is taken over without a write
$graft qemu tree
rm -rf tree/.quota-lvm
mkdir -p tree/.quota-lvm/orig/block tree/.quota-lvm/applied
cp pristine/block/*.* tree/.quota-lvm/orig/block
python3 - tree/.quota-lvm/state.json <<'PYTHON'
import hashlib, json, sys
copied = ['block/quota.c', 'subprojects/quota-lvm/common/rate.c']
known = {path: [hashlib.sha256(open('tree/' + path, 'rb').read()).hexdigest()]
         for path in copied + ['block/meson.build', 'block/core.c']}
json.dump({'host': 'qemu', 'version': '10.0.13', 'copied': copied,
           'edited': ['block/core.c'], 'known': known}, open(sys.argv[1], 'w'))
PYTHON
cp -r tree old
touch -d '2001-01-01' tree/block/*
matches "$($graft qemu tree)" ' 0 files changed' "graft in an old graft's tree"
eq "$(find tree/block -type f -newermt 2002-01-01)" "" "files written in an old graft's tree"
eq "$(ls tree/.quota-lvm | paste -sd' ')" "git lock" "what is left of the old memory"
$graft --revert qemu tree
same_as_pristine
sed -i 's/^int/long/' old/block/quota.c
expect_fail 'changed by hand' $graft qemu old
$graft --force qemu old >/dev/null
$graft --revert qemu old
mv old tree2 && rm -rf tree && mv tree2 tree
same_as_pristine

# lost TREE: graft says by its status that only a new source helps.
lost() {
    local status=0
    $graft qemu "$1" >said 2>&1 || status=$?
    eq "$status" 3 "status without what upstream's files held"
    matches "$(cat said)" "remove .*/$1 and unpack the source again"
}

# without its memory it cannot go on
$graft qemu tree
cp -r tree grafted
rm -rf grafted/.quota-lvm
cp -r grafted tree2
lost grafted
cp -r tree/.quota-lvm grafted
for object in grafted/.quota-lvm/git/objects/??/*; do
    chmod u+w "$object"
    : >"$object"
done
lost grafted

# but the lab unpacks the source again, and for no other error; it keeps a source that
# an older checkout has fetched, while that one fetches its own again
(
    LAB_CACHE=$PWD/cache
    stamp=cache/stamp/qemu-source
    mkdir -p cache/stamp
    # shellcheck source=/dev/null
    . "$top/tests/lab.d/sources.sh"
    # shellcheck source=/dev/null
    . "$top/tests/lab.d/build.sh"
    source_dir() {
        echo tree2
    }
    in_root() {
        eq "$1" /quota-lvm/scripts/graft "what the lab runs"
        shift
        $graft "$@"
    }
    fetch_source() {
        eq "$*" "qemu 10.0.13" "what the lab fetches"
        [ ! -e "$stamp" ] || fail "an interrupt would leave half a source with a stamp"
        rm -rf tree2
        cp -r pristine tree2
    }

    echo 10.0.13 >$stamp
    eq "$(source_key qemu 10.0.13)" "$(cat $stamp)" "key of an older lab's source"
    [ "$(cat $stamp)" != 10.0.13 ] || fail "an older lab would take our source"
    echo 9.9.9 >$stamp
    source_key qemu 10.0.13 >/dev/null
    eq "$(cat $stamp)" 9.9.9 "stamp of another version"

    graft qemu 10.0.13
    diff -r -x .quota-lvm tree tree2
    eq "$(cat $stamp)" "$(source_key qemu 10.0.13)" "stamp of a source that was fetched again"
    echo 'int x;' >>tree2/block/quota.c
    expect_fail 'changed by hand' graft qemu 10.0.13
    eq "$(cat $stamp)" "$(source_key qemu 10.0.13)" "stamp after another error"
)

# versions and trees that are not ours
echo 10.1.0 >tree/VERSION
expect_fail 'no patches for qemu 10.1.0, only for 10.0' $graft qemu tree
rm tree/VERSION
expect_fail 'not a qemu source tree' $graft qemu tree

# real_series TREE PATCHES: git am applies it to upstream's files, and gets what graft got.
real_series() {
    local tree=$1 patches=$2 name
    if ! git --git-dir="$tree/.quota-lvm/git" rev-parse -q --verify upstream >/dev/null 2>&1; then
        echo "not tried with git am: $patches, as no graft was at $tree"
        return 0
    fi
    git init -q real
    git --git-dir="$tree/.quota-lvm/git" archive upstream | tar -x -C real
    (
        cd real
        git config user.name Somebody
        git config user.email somebody@example.com
        git add -A
        git commit -q -m upstream
        git am -q "$patches"/*.patch
        git diff --name-only HEAD~"$(ls "$patches" | wc -l)" HEAD >../touched
    )
    [ -s touched ] || fail "$patches changes nothing"
    while read -r name; do
        cmp "real/$name" "$tree/$name"
    done <touched
    echo "git am of $(ls "$patches" | wc -l) patches: $(wc -l <touched) files as in $tree"
    rm -rf real
}
real_series /src/qemu-10.0.13 "$top/qemu-block-quota/patches/10.0"
real_series /src/libvirt-11.3.0 "$top/libvirt-backend/patches/11.3"
