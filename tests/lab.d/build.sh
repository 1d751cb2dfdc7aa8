# SPDX-License-Identifier: LGPL-2.1-or-later
# Builds QEMU and libvirt with our drivers, and quota-lvm itself, in build
# directories that are kept: ninja compiles what changed and no more.

PREFIX=/opt/quota-lvm

QEMU_FLAGS=(
    --prefix=$PREFIX --sysconfdir=/etc --localstatedir=/var
    --target-list=x86_64-softmmu --without-default-features
    --enable-tcg --enable-kvm --enable-modules --enable-tools --enable-werror
    --enable-linux-aio --enable-linux-io-uring --enable-fuse --enable-virtfs
    --enable-attr --enable-cap-ng --enable-seccomp --enable-gnutls
    --enable-vhost-user --enable-vhost-user-blk-server
    --disable-docs --disable-install-blobs --extra-cflags=-g1
    --firmwarepath=/usr/share/seabios:/usr/share/qemu
)

LIBVIRT_FLAGS=(
    --prefix=$PREFIX --sysconfdir=/etc --localstatedir=/var -Drunstatedir=/run
    -Dwerror=true --auto-features=disabled
    -Ddriver_libvirtd=enabled -Ddriver_remote=enabled -Ddriver_qemu=enabled
    -Ddriver_secrets=enabled -Ddriver_test=enabled
    -Dqemu_user=root -Dqemu_group=root -Dinit_script=systemd
    -Dstorage_dir=enabled -Dstorage_fs=enabled -Dstorage_lvm=enabled
    -Dblkid=enabled -Dcapng=enabled -Djson_c=enabled -Dlibnl=enabled
    -Dpciaccess=enabled -Dpolkit=enabled -Dreadline=enabled -Drpath=enabled
    -Dudev=enabled -Dtests=enabled
    -Dapparmor=enabled -Dapparmor_profiles=enabled -Dsecdriver_apparmor=enabled
)

OURS_FLAGS=(
    --prefix=$PREFIX --sysconfdir=/etc --localstatedir=/var -Dwerror=true
)

# The checkout is copied, and everything is built from the copy: a file of it has a
# new time exactly when its content has changed.  With the checkout's own times ninja
# would take what another checkout, or an older commit, has left for up to date.
SOURCE_COPY=/src/quota-lvm

copy_checkout() {
    in_root /quota-lvm/tests/lab.d/mirror /quota-lvm "$SOURCE_COPY"
}

# Is the copy, and all that was made from it, from a checkout like this one?
same_checkout() {
    local status=0
    [ -e "$LAB_CACHE/stamp/complete" ] || return 1
    in_root /quota-lvm/tests/lab.d/mirror --dry-run /quota-lvm "$SOURCE_COPY" >/dev/null ||
        status=$?
    [ "$status" = "$UNCHANGED" ]
}

# From here on /quota-lvm is the copy, too: what is tested is what was built, even if
# somebody goes on working in the checkout.
use_copy() {
    LAB_TOP=$LAB_CACHE$SOURCE_COPY
    LAB_D=$LAB_TOP/tests/lab.d
}

# The names of the files below these folders of the checkout, as a hash.
names_below() {
    (cd "$LAB_TOP" && find "$@" ! -type d | LC_ALL=C sort) | hash_of
}

# set_up NAME KEY SOURCE NAMES CONFIGURE...: the build directory is there, configured
# as KEY says, for source files with these names.
#
# A build directory knows files by name, and ninja cannot go on when one is gone, nor
# see a new one.  Then meson.build is made to look changed, which has ninja configure
# it again; where that is not enough it is made from scratch.
set_up() {
    local name=$1 key=$2 source=$3 names=$4 build=$LAB_CACHE/build/$1
    shift 4
    if [ "$(cat "$build/.lab-configured" 2>/dev/null)" = "$key" ]; then
        if [ "$(cat "$build/.lab-names" 2>/dev/null)" != "$names" ]; then
            touch "$LAB_CACHE$source/meson.build"
        fi
        if in_root ninja -C "/build/$name" build.ninja; then
            echo "$names" >"$build/.lab-names"
            return 0
        fi
        echo "/build/$name cannot be configured again; making it from scratch"
    fi
    rm -rf "$build"
    mkdir -p "$build"
    "$@"
    echo "$names" >"$build/.lab-names"
    echo "$key" >"$build/.lab-configured"
}

# installed_targets NAME: what ninja has to make for what gets installed: not the
# hundreds of programs that are tests of QEMU and libvirt.
installed_targets() {
    in_root jq -r '.[] | select(.installed) | .filename[]' \
        "/build/$1/meson-info/intro-targets.json" | sed "s#^/build/$1/##"
}

# compile NAME SOURCE [TARGET...]: run ninja for the targets, or for what gets installed;
# then install if there is anything that was not there when it was installed last: in
# the build directory (somebody may have run ninja by hand), or in the sources, which
# hold files that are installed as they are.
compile() {
    local name=$1 source=$2 build=$LAB_CACHE/build/$1 done=$LAB_CACHE/installed/.$1
    shift 2
    touch "$build/.lab-began"
    # shellcheck disable=SC2046  # a list
    [ $# -gt 0 ] || set -- $(installed_targets "$name")
    in_root ninja -C "/build/$name" "$@"
    if [ -e "$done" ] && [ ! "$build/.ninja_log" -nt "$done" ] &&
        [ -z "$(newer_sources "$source" "$build/.lab-installed")" ]; then
        return "$UNCHANGED"
    fi
    rm -rf "$LAB_CACHE/installed/.$name.new" "$done"
    in_root env DESTDIR="/installed/.$name.new" \
        meson install -C "/build/$name" --no-rebuild --strip --quiet
    rm -rf "${LAB_CACHE:?}/installed/$name"
    mv "$LAB_CACHE/installed/.$name.new" "$LAB_CACHE/installed/$name"
    mv "$build/.lab-began" "$build/.lab-installed"
    touch -r "$build/.ninja_log" "$done"
}

# newer_sources SOURCE STAMP: one that is newer than the stamp, if there is any.
newer_sources() {
    if [ ! -e "$2" ]; then
        echo "$1"
    else
        find "$LAB_CACHE$1/" \( -name '.*' -o -name __pycache__ \) -prune \
            -o -type f -newer "$2" -print -quit
    fi
}

# graft NAME VERSION: put our driver into the source.
graft() {
    local status=0
    in_root /quota-lvm/scripts/graft "$1" "$(source_dir "$1")" || status=$?
    [ "$status" = 3 ] || return "$status"
    # Nothing but a pristine source helps.
    rm -f "$LAB_CACHE/stamp/$1-source"
    fetch_source "$1" "$2"
    source_key "$1" "$2" >"$LAB_CACHE/stamp/$1-source"
    in_root /quota-lvm/scripts/graft "$1" "$(source_dir "$1")"
}

# All that a build depends on besides its sources: flags, packages, and the versions
# of the compilers and libraries that the root directory has.
build_key() {
    hash_of "$@" "$LAB_BUILD_KEY" <<<"$(toolchain)"
}

configure_qemu() {
    # shellcheck disable=SC2016
    in_root sh -c 'cd /build/qemu && exec "$@"' - "$1/configure" "${QEMU_FLAGS[@]}"
}

build_qemu() {
    local source
    graft qemu "$QEMU_VERSION"
    source=$(source_dir qemu)
    set_up qemu "$(build_key "$source" "${QEMU_FLAGS[@]}")" "$source" \
        "$(names_below common lvm qemu-block-quota)" configure_qemu "$source"
    compile qemu "$source"
}

build_libvirt() {
    local source
    graft libvirt "$LIBVIRT_VERSION"
    source=$(source_dir libvirt)
    set_up libvirt "$(build_key "$source" "${LIBVIRT_FLAGS[@]}")" "$source" \
        "$(names_below common lvm libvirt-backend)" \
        in_root meson setup /build/libvirt "$source" "${LIBVIRT_FLAGS[@]}"
    compile libvirt "$source"
}

build_ours() {
    set_up quota-lvm "$(build_key "$SOURCE_COPY" "${OURS_FLAGS[@]}")" "$SOURCE_COPY" \
        "$(names_below .)" \
        in_root meson setup /build/quota-lvm "$SOURCE_COPY" "${OURS_FLAGS[@]}"
    # The tests, too.
    compile quota-lvm "$SOURCE_COPY" all
}
