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
    --disable-docs --disable-install-blobs
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
)

OURS_FLAGS=(
    --prefix=$PREFIX --sysconfdir=/etc --localstatedir=/var -Dwerror=true
)

# configured NAME KEY: is the build directory there, and configured so?
configured() {
    [ "$(cat "$LAB_CACHE/build/$1/.lab-configured" 2>/dev/null)" = "$2" ]
}

# compile NAME [TARGET...]: run ninja, then install if anything is newer than
# what was installed last (somebody may have run ninja by hand).
compile() {
    local name=$1 build=$LAB_CACHE/build/$1 done=$LAB_CACHE/installed/.$1
    shift
    in_root ninja -C "/build/$name" "$@"
    if [ -e "$done" ] && [ ! "$build/.ninja_log" -nt "$done" ]; then
        return "$UNCHANGED"
    fi
    rm -rf "$LAB_CACHE/installed/.$name.new" "$done"
    in_root env DESTDIR="/installed/.$name.new" \
        meson install -C "/build/$name" --no-rebuild --strip --quiet
    rm -rf "${LAB_CACHE:?}/installed/$name"
    mv "$LAB_CACHE/installed/.$name.new" "$LAB_CACHE/installed/$name"
    touch -r "$build/.ninja_log" "$done"
}

graft() {
    in_root /quota-lvm/scripts/graft "$1" "$(source_dir "$1")"
}

build_qemu() {
    local source key
    source=$(source_dir qemu)
    key=$(hash_of "$source" "${QEMU_FLAGS[@]}" <<<"$LAB_BUILD_KEY")
    graft qemu
    if ! configured qemu "$key"; then
        rm -rf "$LAB_CACHE/build/qemu"
        mkdir -p "$LAB_CACHE/build/qemu"
        # shellcheck disable=SC2016
        in_root sh -c 'cd /build/qemu && exec "$@"' - "$source/configure" "${QEMU_FLAGS[@]}"
        echo "$key" >"$LAB_CACHE/build/qemu/.lab-configured"
    fi
    # What gets installed, and not the hundreds of test programs.
    in_root ninja -C /build/qemu build.ninja
    # shellcheck disable=SC2046  # a list
    compile qemu $(in_root jq -r '.[] | select(.installed) | .filename[]' \
        /build/qemu/meson-info/intro-targets.json | sed 's#^/build/qemu/##')
}

build_libvirt() {
    local source key
    source=$(source_dir libvirt)
    key=$(hash_of "$source" "${LIBVIRT_FLAGS[@]}" <<<"$LAB_BUILD_KEY")
    graft libvirt
    if ! configured libvirt "$key"; then
        rm -rf "$LAB_CACHE/build/libvirt"
        in_root meson setup /build/libvirt "$source" "${LIBVIRT_FLAGS[@]}"
        echo "$key" >"$LAB_CACHE/build/libvirt/.lab-configured"
    fi
    compile libvirt
}

build_ours() {
    local key
    key=$(hash_of "${OURS_FLAGS[@]}" <<<"$LAB_BUILD_KEY")
    if ! configured quota-lvm "$key"; then
        rm -rf "$LAB_CACHE/build/quota-lvm"
        in_root meson setup /build/quota-lvm /quota-lvm "${OURS_FLAGS[@]}"
        echo "$key" >"$LAB_CACHE/build/quota-lvm/.lab-configured"
    fi
    compile quota-lvm
}
