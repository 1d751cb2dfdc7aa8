# SPDX-License-Identifier: LGPL-2.1-or-later
# The disks of the lab machine: the root directory as a disk image (made once per
# package list), and the stage: everything that was built from this checkout.
# Both are only ever read; a machine's writes go to a file that nobody keeps.

# The kernel as the machine starts it.  Unpacked, it is entered directly (PVH)
# and need not unpack itself, which is what takes longest without KVM.
make_kernel() {
    in_root sh -e -c '
        kernel=$(ls /boot/vmlinuz-* | tail -n 1)
        version=${kernel#/boot/vmlinuz-}
        byte() { od -An -tu"$2" -j"$1" -N"$2" "$kernel" | tr -d " "; }
        # The setup header says where the payload is: see the x86 boot protocol.
        start=$((($(byte 497 1) + 1) * 512 + $(byte 584 4)))
        length=$(byte 588 4)
        cd /image
        tail -c +$((start + 1)) "$kernel" | head -c $((length - 4)) | zstd -dq >vmlinux.new
        [ "$(head -c 4 vmlinux.new | tail -c 3)" = ELF ]

        rm -rf /tmp/initrd
        mkdir -p /tmp/initrd/bin
        cp /bin/busybox /tmp/initrd/bin
        cp /quota-lvm/tests/lab.d/machine/init /tmp/initrd
        xz -dc /lib/modules/"$version"/kernel/drivers/block/virtio_blk.ko.xz \
            >/tmp/initrd/virtio_blk.ko
        cd /tmp/initrd
        find . | cpio -o -H newc --quiet >/image/initrd.new
        cd /image
        mv vmlinux.new vmlinux
        mv initrd.new initrd'
}

make_base() {
    make_kernel
    make_base_image
}

# A small kernel for the guests of tests: started by an emulated QEMU in an emulated
# machine, Debian's takes minutes.  Made from Debian's source of the lab machine's
# own kernel; what is not in guest/kernel.config is off.
make_guest_kernel() {
    in_root sh -e -c '
        rm -rf /build/guest-kernel
        mkdir -p /build/guest-kernel
        cd /build/guest-kernel
        tar -xf /usr/src/linux-source-*.tar.xz --strip-components=1
        export KBUILD_BUILD_TIMESTAMP=@0 KBUILD_BUILD_USER=lab KBUILD_BUILD_HOST=lab
        config=/quota-lvm/tests/lab.d/guest/kernel.config
        make -s KCONFIG_ALLCONFIG=$config allnoconfig
        if grep -vxF -f .config $config | grep "^CONFIG_"; then
            echo "tests/lab.d/guest/kernel.config: not in the configuration that came of it"
            exit 1
        fi
        make -j"$(nproc)" vmlinux
        strip -o /image/guest-vmlinux.new vmlinux
        mv /image/guest-vmlinux.new /image/guest-vmlinux
        rm -rf /build/guest-kernel'
}

# mke2fs copies a directory into a file system without mounting it.  A plain bind
# mount of the root shows it without what in-root mounted over it.
make_base_image() {
    in_root sh -e -c '
        mount --bind / /mnt
        rm -f /image/base.img.new
        size=$(($(du -smx /mnt | cut -f1) * 5 / 4 + 2048))
        mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=1,root_owner=0:0 \
            -m 0 -L lab -d /mnt /image/base.img.new "${size}M"
        mv /image/base.img.new /image/base.img'
}

# What was installed (build.sh), the checkout, and the machine's own files, as one
# directory: /stage in the machine.
stage_key() {
    { stat -c '%n %Y' "$LAB_CACHE"/installed/.[a-z]* "$LAB_CACHE/image/guest-vmlinux"
      cd "$LAB_TOP" && find . -path ./.git -prune -o -type f -printf '%p %s %T@\n' | sort
    } | hash_of
}

make_stage() {
    make_stage_directory
    make_stage_image
}

make_stage_directory() {
    local part unit overlay=$LAB_CACHE/stage.new/overlay
    local new=$LAB_CACHE/stage.new old=$LAB_CACHE/stage.old
    rm -rf "$new" "$old"
    mkdir -p "$new/opt/quota-lvm" "$new/quota-lvm" "$new/machine" "$overlay"

    for part in "$LAB_CACHE"/installed/*/; do
        [ -d "$part/opt" ] && cp -al "$part/opt/." "$new/opt/"
        for dir in etc var; do
            if [ -d "$part/$dir" ]; then
                mkdir -p "$overlay/$dir"
                cp -a "$part/$dir/." "$overlay/$dir/"
            fi
        done
    done
    (cd "$LAB_TOP" && find . -path ./.git -prune -o -type f -size -1024k -print0 |
        tar -cf - --null -T -) | tar -xf - -C "$new/quota-lvm"

    cp -r "$LAB_D/machine/overlay/." "$overlay/"
    cat "$LAB_D/machine/qemu.conf" >>"$overlay/etc/libvirt/qemu.conf"
    mkdir -p "$overlay/etc/systemd/system/sockets.target.wants"
    for unit in "$new"/opt/quota-lvm/lib/systemd/system/*; do
        [ -e "$unit" ] || continue
        ln -sf "/opt/quota-lvm/lib/systemd/system/${unit##*/}" "$overlay/etc/systemd/system/"
    done
    # polkitd does not look in the prefix of what was built.
    mkdir -p "$overlay/etc/polkit-1/actions"
    for unit in "$new"/opt/quota-lvm/share/polkit-1/actions/*; do
        [ -e "$unit" ] || continue
        ln -sf "/opt/quota-lvm/share/polkit-1/actions/${unit##*/}" "$overlay/etc/polkit-1/actions/"
    done
    ln -sf ../libvirtd.socket "$overlay/etc/systemd/system/sockets.target.wants/"
    sed '/^#/d; /^$/d' "$LAB_D/machine/masked" | while read -r unit; do
        ln -sf /dev/null "$overlay/etc/systemd/system/$unit"
    done
    # Debian's profiles are for programs that this machine does not have; libvirt's
    # come with what was built.
    mkdir -p "$overlay/etc/apparmor.d/disable"
    for unit in "$LAB_ROOT"/etc/apparmor.d/*; do
        [ ! -f "$unit" ] || ln -sf "/etc/apparmor.d/${unit##*/}" "$overlay/etc/apparmor.d/disable/"
    done
    # Ten processes that would find nothing to generate units from.
    mkdir -p "$overlay/etc/systemd/system-generators"
    for unit in "$LAB_ROOT"/usr/lib/systemd/system-generators/*; do
        ln -sf /dev/null "$overlay/etc/systemd/system-generators/${unit##*/}"
    done

    if [ -d "$LAB_CACHE/stage" ]; then
        mv "$LAB_CACHE/stage" "$old"
    fi
    mv "$new" "$LAB_CACHE/stage"
    rm -rf "$old"
}

# A guest for tests inside the machine: a kernel, and busybox as its only process.
# Programs of the machine and of the guest are small and change with the checkout.
make_stage_image() {
    in_root sh -e -c '
        cd /quota-lvm/tests/lab.d
        cflags="-O2 -Wall -Wextra -Werror -s"
        gcc $cflags -o /stage/machine/runner machine/runner.c

        guest=/opt/quota-lvm/share/quota-lvm/guest
        mkdir -p $guest /tmp/guest/bin
        gcc $cflags -o $guest/talk guest/talk.c
        gcc $cflags -static -o /tmp/guest/bin/blk guest/blk.c
        cp /image/guest-vmlinux $guest/vmlinux
        cp guest/init /tmp/guest
        cp guest/cmdline $guest
        /bin/busybox --list | while read -r applet; do
            ln -s busybox "/tmp/guest/bin/$applet"
        done
        cp --remove-destination /bin/busybox /tmp/guest/bin
        (cd /tmp/guest && mkdir -p proc sys dev && find . | cpio -o -H newc --quiet) >$guest/initrd

        rm -f /image/stage.img.new
        size=$(($(du -sm --apparent-size /stage | cut -f1) * 5 / 4 + 64))
        mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=1,root_owner=0:0 \
            -m 0 -L stage -d /stage /image/stage.img.new "${size}M"
        mv /image/stage.img.new /image/stage.img'
}
