#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What a kind of volume takes of the group, or of the thin pool, is not what is
# charged for it, or libvirt charges something else than quota-lvm.
. "$(dirname "$0")/../lab.d/lib.sh"
. "$(dirname "$0")/pools.sh"
requires_machine
requires_command virsh quota-lvm jq dmsetup

TAG="--addtag quota-lvm:tenant=acme"
fresh_vg vg0 2
pool_up acme vg0 "$(limit 2 GiB 64 MiB)"

vg_free() { vgs --noheadings --units b --nosuffix -o vg_free vg0 | tr -d ' '; }
shows() { quota-lvm show acme --json | jq -r ".$1"; }
chunks_used() {
    dmsetup status vg0-acme._thin-tpool 2>/dev/null ||
        dmsetup status vg0-acme._thin
}
thin_used() { chunks_used | awk '{split($6, n, "/"); print n[1] * 65536}'; }

# charged WHAT BYTES: BYTES have gone from the group since last time, libvirt and
# quota-lvm have charged as many, and nobody has touched the thin pool.
free=$(vg_free)
thick=0
charged() {
    local now
    now=$(vg_free)
    eq $((free - now)) "$2" "$1: what it took of the group"
    thick=$((thick + $2))
    eq "$(shows thick_bytes)" $thick "$1: quota-lvm"
    virsh -q pool-refresh acme >/dev/null
    eq "$(pool_number acme Allocation)" $((thick + $(thin_used))) "$1: libvirt"
    free=$now
}

eq "$(shows used_bytes)" 0 "a pool, its metadata and its spare"
virsh -q vol-create-as acme linear 32MiB >/dev/null
charged "linear" $((32 * MIB))
lvcreate -qq -y --type striped -i 2 -L 64m -n acme.striped $TAG vg0 >/dev/null
charged "striped" $((64 * MIB))
lvcreate -qq -y --type raid1 -m 1 -L 64m -n acme.raid1 $TAG vg0 >/dev/null
charged "raid1" $((136 * MIB))
eq "$(vol_number acme raid1 Allocation)" $((136 * MIB)) "raid1: allocation of the volume"
lvextend -qq -L 96m vg0/acme.raid1 >/dev/null
charged "raid1 grown" $((64 * MIB))
lvconvert -qq -y -m 0 vg0/acme.raid1 >/dev/null
charged "raid1 with one leg less" $((-100 * MIB - 4 * MIB))
lvcreate -qq -y --type raid1 -m 1 --raidintegrity y -L 32m -n acme.integrity $TAG vg0 >/dev/null
charged "raid1 with integrity" $((88 * MIB))
lvcreate -qq -y --type mirror -m 1 -L 32m -n acme.mirror $TAG vg0 >/dev/null
charged "mirror" $((68 * MIB))

# Copy on write: what is copied goes where it was charged for.
lvcreate -qq -y -s -L 16m -n acme.cow $TAG vg0/acme.linear >/dev/null
charged "thick snapshot" $((16 * MIB))
dd if=/dev/urandom of=/dev/vg0/acme.linear bs=1M count=4 oflag=direct status=none
charged "thick snapshot after its origin was written to" 0

# Thin: chunks, by device-mapper.
written() { # WHAT CHUNKS
    eq "$(thin_used)" $(($2 * 65536)) "$1: chunks in the pool"
    eq "$(shows thin_bytes)" $(($2 * 65536)) "$1: quota-lvm"
    charged "$1" 0
}
write_chunks() { # VOLUME FIRST COUNT
    dd if=/dev/urandom of="/dev/vg0/acme.$1" bs=64k seek="$2" count="$3" oflag=direct \
        conv=notrunc status=none
}
vol_create acme root 512 thin
written "thin volume" 0
write_chunks root 0 10
written "thin volume, 10 chunks" 10
lvcreate -qq -y -kn -s -n acme.snap $TAG vg0/acme.root >/dev/null
written "thin snapshot" 10
write_chunks root 0 4
written "4 chunks of its origin written anew" 14
write_chunks root 0 4
written "the same 4 again" 14
write_chunks snap 2 3
written "3 chunks of the snapshot, one of them its origin's too" 15
write_chunks snap 100 1
written "a chunk of the snapshot alone" 16

# An external origin is a thick volume, and read-only.
lvcreate -qq -y -L 8m -n acme.image $TAG vg0 >/dev/null
charged "image" $((8 * MIB))
lvchange -qq -an vg0/acme.image
lvchange -qq -pr vg0/acme.image
lvcreate -qq -y -s --thinpool vg0/acme._thin -n acme.clone $TAG vg0/acme.image >/dev/null
written "clone of an image" 16
write_chunks clone 3 2
written "2 chunks of the clone" 18
