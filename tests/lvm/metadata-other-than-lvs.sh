#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What is read from a group's devices is not what LVM says: for every kind of LV,
# while extents move, with a device missing, two areas a device, areas that are
# ignored; or a reader sees half of a change while LVM makes it.
. "$(dirname "$0")/../lab.d/lib.sh"
requires_machine
requires_command cc
export LVM_SUPPRESS_FD_WARNINGS=1

top=$(cd "$(dirname "$0")/../.." && pwd)
show=$TEST_TMP/metadata-show
cc -O1 -D_GNU_SOURCE -I"$top/lvm/metadata" -I"$top/common/policy" -o "$show" \
    "$top/tests/lvm/metadata-show.c" "$top"/lvm/metadata/*.c "$top"/common/policy/*.c -ldevmapper

disks=("$(readlink -f "$(scratch_disk 1)")" "$(readlink -f "$(scratch_disk 2)")")
lvm_says() { # GROUP
    local bytes=(--noheadings --separator '|' --units b --nosuffix)
    vgs "${bytes[@]}" -o vg_name,vg_uuid,seqno,vg_extent_size,vg_size,vg_free,vg_missing_pv_count "$1" |
        sed 's/^ *//'
    lvs "${bytes[@]}" -a -o lv_name,lv_uuid,segtype,lv_size,chunk_size,lv_metadata_size,origin,pool_lv,lv_tags "$1" |
        sed 's/^ *//; s/|\[\([^]|]*\)\]/|\1/g' | sort -t'|' -k1,1 -u | sort_names
}
# by the name without its brackets, as the reader sorts
sort_names() {
    awk -F'|' '{ n = $1; gsub(/[][]/, "", n); print n "\t" $0 }' | LC_ALL=C sort -t$'\t' -k1,1 | cut -f2-
}
same() { # WHAT
    lvm_says vg >"$TEST_TMP/lvm" 2>/dev/null
    "$show" vg "${disks[@]}" >"$TEST_TMP/read" || fail "$1: cannot be read"
    diff -u "$TEST_TMP/lvm" "$TEST_TMP/read" || fail "$1: LVM says one thing (-), the reader another (+)"
}

wipefs -qa "${disks[@]}"
cleanup_fn pvremove -qq -ff -y "${disks[@]}"
cleanup_fn vgremove -qq -ff -y vg
cleanup_fn vgremove -qq -ff -y vg2
vgcreate -qq --metadatasize 512k --pvmetadatacopies 2 vg "${disks[@]}"
same "an empty group"

lvcreate -qq -y -L 64m -n plain --addtag a --addtag b.c=d/e vg >/dev/null
lvcreate -qq -y --type striped -i 2 -L 64m -n striped vg >/dev/null
lvextend -qq -y -i 1 -L +32m vg/striped >/dev/null
for raid in raid0 raid1; do
    lvcreate -qq -y --type "$raid" -L 32m -n "$raid" vg >/dev/null
done
lvcreate -qq -y --type mirror --mirrorlog core -L 16m -n mirror vg >/dev/null
lvcreate -qq -y --type thin-pool -c 128k -L 64m -n pool vg >/dev/null
lvcreate -qq -y -V 1g --thinpool vg/pool -n thin vg >/dev/null
lvcreate -qq -y -s -n thin.snap vg/thin >/dev/null
lvcreate -qq -y -L 16m -n origin vg >/dev/null
lvcreate -qq -y -s -L 8m -n copies vg/origin >/dev/null
lvcreate -qq -y -an -pr -L 16m -n base vg >/dev/null
lvcreate -qq -y -s --thinpool vg/pool -n clone vg/base >/dev/null
same "all kinds"
at_least "$(grep -c . "$TEST_TMP/read")" 20 "lines compared"

# What an LV takes of the group is what is free of it once the LV is gone.
for lv in striped raid0 raid1 mirror copies; do
    free=$(vgs --noheadings --units b --nosuffix -o vg_free vg)
    lvremove -qq -y "vg/$lv" >/dev/null
    same "without $lv"
    at_least $(($(vgs --noheadings --units b --nosuffix -o vg_free vg) - free)) 1 "extents freed"
done

lvchange -qq --addtag new --deltag a vg/plain
lvrename -qq vg plain renamed >/dev/null
same "tags and a name changed"

# extents on their way to another device
lvcreate -qq -y -L 1g -n moving vg "${disks[0]}" >/dev/null
pvmove -qq -b -n moving "${disks[0]}" "${disks[1]}" >/dev/null 2>&1
same "while extents move"
pvmove -qq --abort >/dev/null 2>&1
same "after that was given up"
lvremove -qq -y vg/moving >/dev/null

# an area that LVM does not write for now may say anything
pvchange -qq --metadataignore y "${disks[0]}" >/dev/null
lvcreate -qq -y -L 4m -n unseen vg >/dev/null
same "one device's areas ignored"
pvchange -qq --metadataignore n "${disks[0]}" >/dev/null
same "none ignored"

# a text that goes around the end of its area: each is 15 KB of 500
for i in $(seq 10 69); do
    lvchange -qq --addtag "t$i" vg/renamed
    [ $((i % 6)) != 0 ] || same "change $i in a ring"
done

# Someone reads without a pause while LVM writes.
mkfifo "$TEST_TMP/end"
"$show" --watch vg "${disks[@]}" <"$TEST_TMP/end" >"$TEST_TMP/watched" &
watcher=$!
exec {end}>"$TEST_TMP/end"
for i in $(seq 15); do
    lvcreate -qq -y -an -Zn -Wn -L 4m -n "w$i" vg >/dev/null 2>&1
    lvchange -qq --addtag "w$i" vg/renamed
    lvremove -qq -y "vg/w$i" >/dev/null
done
echo >&"$end"
wait "$watcher" || fail "a reader saw: $(cat "$TEST_TMP/watched")"
read -r changes reads <"$TEST_TMP/watched"
at_least "$changes" 45 "changes seen"
echo "seen while LVM changed the group 45 times: $changes states in $reads readings"

# a group by another name, and one that lost a device, is asked for anew
vgrename -qq vg vg2 >/dev/null
expect_fail 'No such file' "$show" vg "${disks[@]}"
vgrename -qq vg2 vg >/dev/null
lvremove -qq -y vg/unseen vg/renamed vg/thin vg/thin.snap vg/clone vg/pool vg/base vg/origin >/dev/null
vgreduce -qq vg "${disks[1]}" >/dev/null
same "one device left"
