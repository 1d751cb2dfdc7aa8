#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A host that has our libraries as a subproject shows their symbols to everybody,
# does not find an installed one, or builds what it did not ask for.
. "$(dirname "$0")/../lab.d/lib.sh"
requires_command meson ninja cc nm pkg-config

top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$TEST_TMP"

# A small host: a module with the accounting library inside, as QEMU's is made.
mkdir -p host/subprojects/quota-lvm
cp -r "$top"/{common,lvm,meson.build,meson_options.txt} host/subprojects/quota-lvm
cat >host/meson.build <<'MESON'
project('host', 'c', default_options: ['b_staticpic=false', 'werror=true'])
quota_lvm = dependency('quota-lvm', version: '>=0.1.0', fallback: 'quota-lvm')
shared_module('filter', 'filter.c', dependencies: quota_lvm)
MESON
cat >host/filter.c <<'C'
#include "quota-ledger.h"
int host_opens(const char *path);
int host_opens(const char *path)
{
    struct quota_ledger *ledger;

    return quota_ledger_open(path, true, &ledger);
}
C

# exported BUILD: the module's own symbol, and nothing of the library's.
exported() {
    eq "$(nm -D --defined-only "$1/libfilter.so" | awk '{ print $3 }')" host_opens \
        "symbols that the module in $1 shows"
}

meson setup as-subproject host >log 2>&1 || fail "$(cat log)"
ninja -C as-subproject >log 2>&1 || fail "$(cat log)"
exported as-subproject
[ ! -e as-subproject/subprojects/quota-lvm/daemon ] || fail "the host builds quota-lvmd as well"

# Where the library is installed, the host takes that one and builds none.
meson setup ours "$top" --prefix="$TEST_TMP/installed" -Dinstall_libraries=true \
    -Dtools=disabled >log 2>&1 || fail "$(cat log)"
ninja -C ours common/libquota-lvm.a lvm/libquota-lvm-vg.a >log 2>&1 || fail "$(cat log)"
meson install -C ours --no-rebuild --tags devel >log 2>&1 || fail "$(cat log)"
PKG_CONFIG_PATH=$(dirname "$(find installed -name quota-lvm.pc)")
export PKG_CONFIG_PATH=$TEST_TMP/$PKG_CONFIG_PATH
meson setup as-installed host >log 2>&1 || fail "$(cat log)"
ninja -C as-installed >log 2>&1 || fail "$(cat log)"
exported as-installed
[ ! -e as-installed/subprojects ] || fail "the host builds the library although one is installed"

# An older one will not do.
sed -i 's/^Version: .*/Version: 0.0.9/' "$PKG_CONFIG_PATH/quota-lvm.pc"
meson setup as-older host >log 2>&1 || fail "$(cat log)"
[ -e as-older/subprojects ] || fail "the host takes an installed library that is too old"
