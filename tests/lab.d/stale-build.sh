#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Two checkouts share a cache, a branch is switched, a file is gone: what is built is
# what stands there now, whatever stood there before, and whatever the files' times.
#
# A small project takes our place, and folders of this test that of the cache; the
# functions are those that build quota-lvm in the lab.
. "$(dirname "$0")/lib.sh"
requires_command meson ninja cc
[ "$LAB_WHERE" = chroot ] || skip "needs the directory that builds"

LAB_D=$(cd "$(dirname "$0")" && pwd)
LAB_CACHE=$TEST_TMP/cache
LAB_ROOT=/
LAB_BUILD_KEY=none
cp "$LAB_D/mirror" "$TEST_TMP"
for part in steps root build; do
    . "$LAB_D/$part.sh"
done
OURS_FLAGS=(--prefix=/opt/quota-lvm -Dwerror=true)
# We are in the directory that builds, with mounts that nobody else sees.
in_root() { "$@"; }
for dir in src build installed; do
    mkdir -p "$LAB_CACHE/$dir"
    mount --bind "$LAB_CACHE/$dir" "/$dir"
    cleanup_fn umount "/$dir"
done
INSTALLED=$LAB_CACHE/installed/quota-lvm/opt/quota-lvm

# project DIRECTORY TEXT: a program that prints TEXT, of three sources, a header, a
# folder whose files are not listed, a file that is installed as it is, and a test.
project() {
    local dir=$1 text=$2
    mkdir -p "$dir"/{listed,data,tests/lab.d}
    cp "$TEST_TMP/mirror" "$dir/tests/lab.d"
    cat >"$dir/meson.build" <<'MESON'
project('fake', 'c')
every = run_command('sh', '-c', 'ls listed/*.c', check: true).stdout().strip().split('\n')
executable('say', 'say.c', 'part.c', every, install: true)
install_data('data/text', install_dir: get_option('datadir'))
subdir('tests')
MESON
    echo "test('tried', executable('tried', 'tried.c'))" >"$dir/tests/meson.build"
    echo 'int main(void) { return 0; }' >"$dir/tests/tried.c"
    echo "#define TEXT \"$text\"" >"$dir/text.h"
    echo 'extern const char *part; const char *part = "part";' >"$dir/part.c"
    echo 'extern int one; int one = 1;' >"$dir/listed/one.c"
    cat >"$dir/say.c" <<'C'
#include <stdio.h>
#include "text.h"
extern const char *part;
extern int one;
int main(void)
{
    printf("%s %s %d\n", TEXT, part, one);
    return 0;
}
C
    echo "$text" >"$dir/data/text"
}

# built DIRECTORY: what the lab makes of this checkout; "same" if there was nothing to do.
built() {
    local status=0
    LAB_TOP=$1
    mount --bind "$1" /quota-lvm
    (set -e; copy_checkout) >"$TEST_TMP/log" 2>&1 || status=$?
    umount /quota-lvm
    [ "$status" = 0 ] || [ "$status" = "$UNCHANGED" ] || fail "$(cat "$TEST_TMP/log")"
    status=0
    # As a step runs it: the first command that fails ends it.
    (set -e; use_copy; build_ours) >"$TEST_TMP/log" 2>&1 &
    wait $! || status=$?
    case $status in
    0) "$INSTALLED/bin/say" ;;
    "$UNCHANGED") echo same ;;
    *) echo "failed" ;;
    esac
}

# builds DIRECTORY EXPECTED [WHAT]
builds() {
    local said
    said=$(built "$1")
    [ "$said" = "$2" ] || cat "$TEST_TMP/log" >&2
    eq "$said" "$2" "${3:-what is built}"
    if [ "$2" != same ] && [ "$2" != failed ]; then
        eq "$(cat "$INSTALLED/share/text")" "${2%% *}" "what is installed as it is"
    fi
}

long_ago() {
    find "$1" -exec touch -h -d 2001-02-03 {} +
}

a=$TEST_TMP/a b=$TEST_TMP/b
project "$a" first
builds "$a" "first part 1"
builds "$a" same

echo "a checkout whose files are older than what was built from another one"
project "$b" second
long_ago "$b"
builds "$b" "second part 1"
long_ago "$a"
builds "$a" "first part 1"
builds "$a" same

echo "times alone build nothing"
find "$a" -exec touch {} +
builds "$a" same

echo "an older source, and an older header"
sed -i 's/"part"/"piece"/' "$a/part.c"
long_ago "$a"
builds "$a" "first piece 1"
echo '#define TEXT "third"' >"$a/text.h"
echo third >"$a/data/text"
long_ago "$a"
builds "$a" "third piece 1"

echo "what is installed as it is, and no object with it"
project "$b" third
sed -i 's/"part"/"piece"/' "$b/part.c"
builds "$b" same "the same files in another checkout"
sed -i 's/third/fourth/' "$b/data/text"
long_ago "$b"
built "$b" >/dev/null
eq "$(cat "$INSTALLED/share/text")" fourth "what is installed as it is"

echo "one more test, and then a checkout without it"
echo "test('more', executable('more', 'more.c'))" >>"$b/tests/meson.build"
cp "$b/tests/tried.c" "$b/tests/more.c"
built "$b" >/dev/null
requires_file /build/quota-lvm/tests/more
long_ago "$a"
builds "$a" "third piece 1"
! meson test -C /build/quota-lvm --list 2>/dev/null | grep more ||
    fail "a test that is gone is still listed"

echo "a source that nobody lists: new, and gone again"
sed -i 's/int one = 1/int one = 2/' "$a/listed/one.c"
echo 'extern int other; int other = 3;' >"$a/listed/other.c"
long_ago "$a"
builds "$a" "third piece 2"
[ -e /build/quota-lvm/say.p/listed_other.c.o ] || fail "a new source is not compiled"
rm "$a/listed/other.c"
sed -i 's/int one = 2/int one = 4/' "$a/listed/one.c"
long_ago "$a"
builds "$a" "third piece 4"

echo "a folder in place of a file, a file in place of a folder, a link"
mkdir "$a/x" && echo x >"$a/x/x" && echo y >"$a/y" && ln -s y "$a/z"
built "$a" >/dev/null
rm -r "$a/x" && echo x >"$a/x" && rm "$a/y" "$a/z" && mkdir "$a/y" && echo z >"$a/z"
built "$a" >/dev/null
diff -r "$a" "$LAB_CACHE/src/quota-lvm"

echo "a commit that cannot be configured, or compiled, and the next one"
sed -i '1s/^/nonsense(/' "$a/meson.build"
builds "$a" failed
sed -i '1s/^nonsense(//' "$a/meson.build"
long_ago "$a"
builds "$a" "third piece 4"
echo 'nonsense' >>"$a/say.c"
builds "$a" failed
sed -i '$d' "$a/say.c"
long_ago "$a"
builds "$a" "third piece 4"

echo "a build directory that is good for nothing"
echo nonsense >/build/quota-lvm/build.ninja
echo '#define TEXT "last"' >"$a/text.h"
echo last >"$a/data/text"
sed -i 's/fake/other/' "$a/meson.build"
long_ago "$a"
builds "$a" "last piece 4"

echo "other versions of what compiles"
toolchain() { echo "gcc 99"; }
builds "$a" "last piece 4"
[ -n "$(grep -l 'gcc' "$TEST_TMP/log")" ] || fail "nothing was compiled again"
builds "$a" same
