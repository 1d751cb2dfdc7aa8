# SPDX-License-Identifier: LGPL-2.1-or-later
# Lab machines: start one, run commands in it, cut its power.
#
# A machine is a process of this lab and ends with it.  Its root disk forgets
# everything; its two scratch disks (/dev/vdc and /dev/vdd in the machine) are
# sparse files of 8 GiB that live as long as the machine's name does, so that
# machine_start after machine_power_cut finds what had been written.  With
# MACHINE_SHARED=NAME it has a third one, /dev/vde, which is that of all machines
# with the same NAME, and lives as long as the machine NAME.

SCRATCH_BYTES=$((8 << 30))

# Without KVM a second of the kernel's start is ten: no self tests of its
# cryptography, of the security modules only the one that confines something on
# Debian (systemd would compile a BPF program for another), nothing to calibrate or
# to mitigate.
MACHINE_CMDLINE="console=ttyS0 quiet loglevel=4 panic=-1 systemd.unit=lab.target \
systemd.show_status=0 lsm=capability,apparmor mitigations=off nokaslr \
no_timer_check random.trust_cpu=on cryptomgr.notests \
initcall_blacklist=jent_mod_init,crypto_kdf108_init,init_encrypted,init_kprobe_trace"
declare -A MACHINE_PID=()

# Does this host's KVM run the lab's kernel?  A device node proves nothing: there
# are hosts whose KVM runs a boot sector and dies of a stock kernel.
probe_accel() {
    local accel=tcg
    if [ -w /dev/kvm ] && [ -z "${QUOTA_LVM_NO_KVM:-}" ]; then
        if timeout -k 1 8 "$LAB_D/in-root" qemu-system-x86_64 \
            -machine q35,accel=kvm -cpu host -m 512 -nodefaults -no-user-config \
            -display none -no-reboot -serial stdio \
            -kernel /image/vmlinux -initrd /image/initrd \
            -append 'console=ttyS0 lab.probe panic=-1' |
            grep 'lab probe: alive'; then
            accel=kvm
        fi
    fi
    echo "accelerator: $accel"
    echo "$accel" >"$LAB_CACHE/image/accel"
}

# machine_start NAME: start it and return at once; machine_exec waits for it.
machine_start() {
    local name=$1 dir=$LAB_CACHE/machines/$1 accel cpu memory disk shared=()
    accel=$(cat "$LAB_CACHE/image/accel")
    case $accel in
    kvm) accel=kvm cpu=host ;;
    # -cpu max has the kernel load, and TCG emulate, much that nobody asked for.
    *) accel=tcg,thread=multi cpu=Nehalem ;;
    esac
    # 4 GiB, or half of what there is.
    memory=$(awk '/^MemAvailable:/ { m = int($2 / 2048); print (m > 4096 ? 4096 : m) }' /proc/meminfo)

    mkdir -p "$dir"
    for disk in 1 2; do
        [ -e "$dir/scratch$disk.img" ] || truncate -s "$SCRATCH_BYTES" "$dir/scratch$disk.img"
    done
    if [ -n "${MACHINE_SHARED:-}" ]; then
        disk=$LAB_CACHE/machines/$MACHINE_SHARED/shared.img
        [ -e "$disk" ] || truncate -s "$SCRATCH_BYTES" "$disk"
        # One page cache of one host: what a machine writes, the other one reads.
        shared=(-drive "if=none,id=shared,file=/machines/$MACHINE_SHARED/shared.img,format=raw,file.locking=off,cache=unsafe,discard=unmap,detect-zeroes=off"
            -device virtio-blk-pci,drive=shared,serial=shared,share-rw=on)
    fi
    rm -f "$dir/runner.sock"
    "$LAB_D/in-root" setpriv --pdeathsig KILL env TMPDIR="/machines/$name" \
        qemu-system-x86_64 -name "lab-$name" \
        -machine q35,sata=off,smbus=off,vmport=off,hpet=off,usb=off \
        -accel "$accel" -cpu "$cpu" -smp "${LAB_CPUS:-2}" -m "$memory" \
        -nodefaults -no-user-config -no-reboot -display none -nic none \
        -kernel /image/vmlinux -initrd /image/initrd \
        -append "$MACHINE_CMDLINE" \
        -serial "file:/machines/$name/console.log" \
        -drive if=none,id=root,file=/image/base.img,format=raw,snapshot=on,cache=unsafe \
        -device virtio-blk-pci,drive=root \
        -drive if=none,id=stage,file=/image/stage.img,format=raw,readonly=on,cache=unsafe \
        -device virtio-blk-pci,drive=stage \
        -drive if=none,id=scratch1,file="/machines/$name/scratch1.img",format=raw,cache=unsafe,discard=unmap,detect-zeroes=off \
        -device virtio-blk-pci,drive=scratch1,serial=scratch1 \
        -drive if=none,id=scratch2,file="/machines/$name/scratch2.img",format=raw,cache=unsafe,discard=unmap,detect-zeroes=off \
        -device virtio-blk-pci,drive=scratch2,serial=scratch2 \
        "${shared[@]}" \
        -device virtio-rng-pci -device virtio-serial-pci \
        -chardev socket,id=runner,path="/machines/$name/runner.sock",server=on,wait=off \
        -device virtserialport,chardev=runner,name=lab.runner \
        </dev/null >"$dir/qemu.log" 2>&1 9>&- &
    MACHINE_PID[$name]=$!
    echo $! >"$dir/pid"
}

machine_alive() {
    [ -n "${MACHINE_PID[$1]:-}" ] && kill -0 "${MACHINE_PID[$1]}" 2>/dev/null
}

# machine_exec NAME [--tty] [--no-stdin] [--env X=Y] COMMAND...: run a command
# there; its output, input and exit status are the command's own.  255: the
# machine did not answer or went away; then machine_complain knows more.
machine_exec() {
    local name=$1 options=()
    shift
    while :; do
        case ${1:-} in
        --tty | --no-stdin) options+=("$1"); shift ;;
        --env | --boot) options+=("$1" "$2"); shift 2 ;;
        *) break ;;
        esac
    done
    "$LAB_D/in-root" /quota-lvm/tests/lab.d/attach "${options[@]}" \
        "/machines/$name/runner.sock" "$@"
}

machine_complain() {
    local dir=$LAB_CACHE/machines/$1
    say "lab: what the machine said last ($dir):"
    tail -n 15 "$dir/qemu.log" "$dir/console.log" 2>/dev/null | tr -cd '\11\12\40-\176' >&2
}

# Kill the machine in the middle of what it does.  Its scratch disks stay.
machine_power_cut() {
    if [ -n "${MACHINE_PID[$1]:-}" ]; then
        kill -KILL "${MACHINE_PID[$1]}" 2>/dev/null || true
        wait "${MACHINE_PID[$1]}" 2>/dev/null || true
        unset "MACHINE_PID[$1]"
    fi
}

# The machine and all that it wrote are gone.
machine_remove() {
    machine_power_cut "$1"
    rm -rf "$LAB_CACHE/machines/$1"
}

machines_remove() {
    local name
    for name in "${!MACHINE_PID[@]}"; do
        machine_remove "$name"
    done
}

# What labs left behind that were killed hard.
machines_tidy() {
    local dir pid
    for dir in "$LAB_CACHE"/machines/*/; do
        pid=$(cat "$dir/pid" 2>/dev/null) || continue
        kill -0 "$pid" 2>/dev/null || rm -rf "$dir"
    done
}
