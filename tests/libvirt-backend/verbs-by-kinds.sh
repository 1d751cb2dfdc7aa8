#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Hazard: a verb of libvirt does with some kind of volume something else than it
# says, or refuses it without a reason.  Each verb is tried with each kind, and the
# table of what came of it is printed: "ok", or a letter for the reason of a refusal.
# One virsh does a verb for all kinds: a virsh for each cell would take ten minutes.
# usage: verbs-by-kinds.sh [all]: without it, one of each group of kinds that
# take the same way
. "$(dirname "$0")/../lab.d/lib.sh"
. "$(dirname "$0")/pools.sh"
requires_machine
requires_command virsh lvs parted python3 cryptsetup scrub quota-lvm
shopt -s extglob

# As many devices as raid6 has legs.
disks=()
for n in 1 2; do
    disk=$(readlink -f "$(scratch_disk $n)")
    parted -s -a optimal "$disk" mklabel gpt mkpart a 1MiB 700MiB \
        mkpart b 700MiB 1400MiB mkpart c 1400MiB 2100MiB
    disks+=("$disk"1 "$disk"2 "$disk"3)
    cleanup_fn wipefs -qa "$disk"
done
udevadm settle
vgcreate -qq -y vg0 "${disks[@]}" >/dev/null
cleanup_fn pvremove -qq -ff -y "${disks[@]}"
cleanup_fn vgremove -qq -ff -y vg0

uuid=6d8e1d0a-5d5a-4c43-9a3c-0c8c5f4b8c11
define_acme() { # [LAYOUT-XML]
    pool_xml acme vg0 "$(limit 2 GiB 64 MiB)" |
        sed "s|<name>acme|<uuid>$uuid</uuid>&|; s|</pool>|${1:-}&|" >"$TEST_TMP/acme.xml"
    virsh -q pool-define --validate "$TEST_TMP/acme.xml" >/dev/null
}

# ---- pools -------------------------------------------------------------------

# pool VERB COMMAND...: a row of the first table.
pool_rows=()
pool() {
    local verb=$1 said
    shift
    said=$("$@" 2>&1) || fail "$verb: $said"
    pool_rows+=("$verb")
}

shows() { # REGEX COMMAND...
    local regex=$1
    shift
    matches "$("$@" 2>&1)" "$regex" "$*"
}

virsh pool-event --event lifecycle --loop >"$TEST_TMP/events" 2>&1 &
cleanup_fn kill $!
cat >"$TEST_TMP/editor" <<'SH'
#!/bin/sh
sed -i 's/>67108864</>33554432</' "$1"
SH
chmod +x "$TEST_TMP/editor"
pool pool-capabilities shows "type='quota-lvm' supported='yes'" virsh pool-capabilities
pool pool-define-as virsh pool-define-as other quota-lvm --source-name vg0
pool pool-undefine virsh pool-undefine other
pool pool-define define_acme
cleanup_fn virsh -q pool-undefine acme
pool pool-build virsh pool-build acme
pool "pool-build --overwrite" virsh pool-build --overwrite acme
pool "pool-build --no-overwrite" expect_fail "has a thin pool of tenant 'acme' already" \
    virsh pool-build --no-overwrite acme
pool pool-start virsh pool-start acme
cleanup_fn virsh -q pool-destroy acme
pool pool-refresh virsh pool-refresh acme
pool pool-info shows 'Capacity: +2.00 GiB' virsh pool-info acme
pool pool-dumpxml shows '<quota:limit unit=.bytes.>2147483648<' virsh pool-dumpxml acme
pool "pool-list --type quota-lvm" shows 'acme +active' virsh pool-list --type quota-lvm
pool pool-name shows acme virsh pool-name $uuid
pool pool-uuid shows $uuid virsh pool-uuid acme
pool pool-autostart virsh pool-autostart acme
pool "pool-autostart --disable" virsh pool-autostart --disable acme
pool pool-edit env EDITOR="$TEST_TMP/editor" virsh pool-edit acme
virsh -q pool-refresh acme
eq "$(tags vg0/acme._thin | grep step)" quota-lvm:step=33554432 "edited step, after a refresh"
pool find-storage-pool-sources shows "<tenant name='acme'/>" \
    virsh find-storage-pool-sources quota-lvm
pool find-storage-pool-sources-as shows "<tenant name='acme'/>" \
    virsh find-storage-pool-sources-as quota-lvm
pool pool-destroy virsh pool-destroy acme
pool pool-undefine virsh pool-undefine acme
pool pool-create virsh pool-create "$TEST_TMP/acme.xml"
virsh -q pool-destroy acme >/dev/null
pool pool-create-as virsh pool-create-as acme quota-lvm --source-name vg0
virsh -q pool-destroy acme >/dev/null
define_acme
virsh -q pool-start acme >/dev/null
wait_for 20 "the event of a pool's start" grep -q Started "$TEST_TMP/events"
pool_rows+=(pool-event)

# ---- kinds of volume ----------------------------------------------------------

kinds=(linear cow thin base luks)
case ${1:-} in
all) kinds=(linear striped raid1 raid5 raid6 raid10 cow thin snapshot clone base luks luks-thick) ;;
'') ;;
*) fail "usage: $0 [all]" ;;
esac

secret=8f2b1d0a-5d5a-4c43-9a3c-0c8c5f4b8c12
cat >"$TEST_TMP/secret.xml" <<XML
<secret ephemeral='yes' private='no'><uuid>$secret</uuid><usage type='volume'><volume>verbs</volume></usage></secret>
XML
printf letmein >"$TEST_TMP/key"
virsh -q "secret-define $TEST_TMP/secret.xml; secret-set-value $secret --file $TEST_TMP/key --plain" >/dev/null
cleanup_fn virsh -q secret-undefine "$secret"

is_thin() { # KIND
    case $1 in thin | snapshot | clone | base | luks) ;; *) return 1 ;; esac
}

segment_type() { # KIND: LVM's word for it
    case $1 in
    striped | raid*) echo "$1" ;;
    linear | cow | luks-thick) echo linear ;;
    *) echo thin ;;
    esac
}

header=$((4040 * 512)) # of LUKS: no part of the capacity

volume_xml() { # NAME KIND [MIB]: into a file, whose name it prints
    local allocation='' target='' backing=''
    ! is_thin "$2" || allocation='<allocation>0</allocation>'
    case $2 in
    luks*) target="<encryption format='luks'><secret type='passphrase' uuid='$secret'/></encryption>" ;;
    base) backing=/dev/vg0/golden ;;
    snapshot) backing=/dev/vg0/acme.thin ;;
    cow) backing=/dev/vg0/acme.origin allocation="<allocation unit='MiB'>8</allocation>" ;;
    esac
    echo "<volume><name>$1</name><capacity unit='MiB'>${3:-12}</capacity>$allocation<target>$target</target>${backing:+<backingStore><path>$backing</path></backingStore>}</volume>" \
        >"$TEST_TMP/volume-$1.xml"
    echo "$TEST_TMP/volume-$1.xml"
}

for kind in linear striped raid{1,5,6,10}; do
    define_acme "<quota:layout type='$kind'/>"
    mv "$TEST_TMP/acme.xml" "$TEST_TMP/layout-$kind.xml"
done
layout() { # KIND: virsh's commands that have new thick volumes be of it
    is_thin "$1" ||
        echo "pool-define $TEST_TMP/layout-$(segment_type "$1").xml; pool-refresh acme;"
}

# A base image, and what the thick snapshots are of.
lvcreate -qq -y -L 12m -n golden vg0 >/dev/null
head -c 12M /dev/urandom | dd of=/dev/vg0/golden bs=1M iflag=fullblock oflag=direct status=none
lvchange -qq --permission r --addtag quota-lvm:base vg0/golden
virsh -q "$(layout linear) vol-create-as acme origin 12MiB" >/dev/null

# ---- cells -----------------------------------------------------------------------

declare -A said out segment cell
reasons=()
table=()

# What is said of each kind follows a line with @ and the kind.
run_virsh() { # VERB [KIND...]
    local kind commands=''
    [ $# -gt 1 ] || set -- "$1" "${kinds[@]}"
    for kind in "${@:2}"; do
        commands+="echo --err @$kind; echo '"$'\n'"@$kind"$'\n'"'; $("do_$1" "$kind");"
    done
    virsh -q "$commands" >"$TEST_TMP/out" 2>"$TEST_TMP/said" || true
}

# A snapshot before its origin, which would take it along.
run_virsh_backwards() { # VERB
    local kind backwards=()
    for kind in "${kinds[@]}"; do
        backwards=("$kind" "${backwards[@]}")
    done
    run_virsh "$1" "${backwards[@]}"
}

run_python() { # VERB
    python3 - "${kinds[@]}" >"$TEST_TMP/out" 2>"$TEST_TMP/said" <<<"$("do_$1")"
}

read_answers() {
    local kind=none line
    said=() out=() segment=()
    while IFS= read -r line; do
        case $line in
        "error: @"*) kind=${line#*@} said[$kind]='' ;;
        ?*) said[$kind]+=$line$'\n' ;;
        esac
    done <"$TEST_TMP/said"
    while IFS= read -r line; do
        case $line in
        @*) kind=${line#@} out[$kind]='' ;;
        ?*) out[$kind]+=$line$'\n' ;;
        esac
    done <"$TEST_TMP/out"
}

letter_of() { # REASON
    local i
    for ((i = 0; i < ${#reasons[@]}; i++)); do
        [ "${reasons[i]}" != "$1" ] || break
    done
    reasons[i]=$1
    # shellcheck disable=SC2059  # a, b, c
    printf -v letter "\\$(printf %o $((97 + i)))"
}

# row VERB [KIND-PATTERN REASON]...: a cell is "ok" if nothing went wrong and
# check_VERB, where there is one, is content; or a letter for the reason of a refusal,
# and then that has to be what was said.  A reason in brackets is why there is
# nothing to try.
row() {
    local verb=$1 kind i reason letter
    shift
    "${run:-run_virsh}" "$verb"
    read_answers
    for kind in "${kinds[@]}"; do
        reason=
        for ((i = 1; i < $#; i += 2)); do
            # shellcheck disable=SC2254
            case $kind in ${!i}) i=$((i + 1)); reason=${!i}; break ;; esac
        done
        [ -n "${said[$kind]+set}" ] || fail "$verb ended before $kind: $(cat "$TEST_TMP/said")"
        case $reason in
        '' | \(*)
            [[ ${said[$kind]} != *error:* ]] || fail "$verb of $kind: ${said[$kind]}"
            ! declare -F "check_$verb" >/dev/null || "check_$verb" "$kind"
            ;;
        *) matches "${said[$kind]:-no error}" "^error: .*$reason" "$verb of $kind" ;;
        esac
        letter=ok
        [ -z "$reason" ] || letter_of "$reason"
        cell[$verb,$kind]=$letter
    done
    table_row "$verb"
}

table_row() { # VERB, or nothing for the kinds themselves
    local kind line text
    printf -v line '%-18s' "${1:-}"
    for kind in "${kinds[@]}"; do
        text=$kind
        [ $# = 0 ] || text=${cell[$1,$kind]:?is an empty cell}
        printf -v line '%s  %-*s' "$line" "${#kind}" "$text"
    done
    table+=("$line")
    printf '%4d s %s\n' $SECONDS "$line"
}

device() { echo "/dev/vg0/acme.$1"; }
same() { # FILE DEVICE [CMP-OPTIONS]
    cmp "${@:3}" "$1" "$2" || fail "$2 differs from $1"
}
is_segment() { # VOLUME TYPE: as LVM is asked once for each row
    local name type
    if [ ${#segment[@]} = 0 ]; then
        while read -r name type; do
            segment[${name#acme.}]=$type
        done < <(lvs --noheadings -o lv_name,segtype vg0)
    fi
    matches "${segment[$1]:-none}" "^$2" "segment type of $1"
}

head -c 1M /dev/urandom >"$TEST_TMP/data"
head -c 70001 "$TEST_TMP/data" >"$TEST_TMP/part"
head -c 6M /dev/zero >"$TEST_TMP/holes"
dd if="$TEST_TMP/data" of="$TEST_TMP/holes" bs=64k count=4 seek=20 conv=notrunc status=none
cp --sparse=always "$TEST_TMP/holes" "$TEST_TMP/sparse"

# ---- verbs: the commands for a kind, and whether they did it ------------------------
# The volume that most of them are about has the name of its kind; KIND-b is a second.

do_create-as() {
    case $1 in
    thin) echo "vol-create-as acme thin 12MiB --allocation 0" ;;
    snapshot) echo "vol-create-as acme snapshot 12MiB --backing-vol thin --backing-vol-format raw" ;;
    cow) echo "vol-create-as acme cow 12MiB --allocation 8MiB --backing-vol origin --backing-vol-format raw" ;;
    clone) echo "vol-clone --pool acme thin clone; vol-clone --pool acme thin clone-b" ;;
    base | luks*) ;;
    *) echo "$(layout "$1") vol-create-as acme $1 12MiB" ;;
    esac
}
check_create-as() {
    case $1 in base | luks*) ;; *) is_segment "$1" "$(segment_type "$1")" ;; esac
}
do_create() {
    case $1 in
    base) echo "vol-create acme $(volume_xml base base); vol-create acme $(volume_xml base-b base)" ;;
    luks*) echo "$(layout "$1") vol-create acme $(volume_xml "$1" "$1"); vol-clone --pool acme $1 $1-b" ;;
    clone) ;;
    *) echo "$(layout "$1") vol-create acme $(volume_xml "$1-b" "$1")" ;;
    esac
}
check_create() {
    is_segment "$1-b" "$(segment_type "$1")"
    case $1 in luks*)
        is_segment "$1" "$(segment_type "$1")"
        cryptsetup open --test-passphrase "$(device "$1")" --key-file "$TEST_TMP/key" ||
            fail "$1 does not open with its secret"
        ;;
    esac
}

# What 12 MiB take, in MiB, by extents of 4 MiB and with the metadata of raid's legs.
declare -A takes=([linear]=12 [striped]=16 [raid1]=32 [raid5]=36 [raid6]=40 [raid10]=48
    [cow]=8 [luks-thick]=16)
declare -A capacity

do_info() { echo "vol-info --bytes --pool acme $1"; }
check_info() {
    local size
    size=$(blockdev --getsize64 "$(device "$1")")
    case $1 in luks*) size=$((size - header)) ;; esac
    capacity[$1]=$size
    matches "${out[$1]}" "^Capacity: +$size bytes" "info of $1"
    is_thin "$1" ||
        matches "${out[$1]}" "^Allocation: +$((takes[$1] << 20)) bytes" "info of $1"
}
do_dumpxml() { echo "vol-dumpxml --pool acme $1"; }
check_dumpxml() {
    matches "${out[$1]}" "<path>$(device "$1")</path>" "XML of $1"
    case $1 in
    cow) matches "${out[$1]}" "<path>$(device origin)</path>" backingStore ;;
    snapshot) matches "${out[$1]}" "<path>$(device thin)</path>" backingStore ;;
    base) matches "${out[$1]}" "<path>/dev/vg0/golden</path>" backingStore ;;
    *) [[ ${out[$1]} != *backingStore* ]] || fail "backingStore of $1" ;;
    esac
    case $1 in luks*)
        matches "${out[$1]}" "secret type='passphrase' uuid='$secret'" encryption ;;
    esac
}
declare -A key
do_look-up() { # by name, key and path
    echo "vol-key --pool acme $1; vol-name ${key[$1]}; vol-path ${key[$1]}; vol-pool $(device "$1"); vol-path --pool acme $1"
}
check_look-up() {
    # shellcheck disable=SC2086,SC2116  # words
    eq "$(echo ${out[$1]})" "${key[$1]} $1 $(device "$1") acme $(device "$1")" \
        "key, name, path, pool and path of $1"
}
do_list() { [ "$1" != linear ] || echo "vol-list acme --details"; }
check_list() {
    matches "${out[linear]}" "^ $1 +$(device "$1") +block" "list of volumes"
}
declare -A before
do_restart() { echo "vol-dumpxml --pool acme $1"; }
check_restart() {
    eq "${out[$1]}" "${before[$1]}" "XML of $1 after the pool and libvirtd were restarted"
    [ -e "$(device "$1")" ] || fail "$1 has no device"
}
do_upload() { echo "vol-upload --pool acme $1 $TEST_TMP/data"; }
check_upload() { same "$TEST_TMP/data" "$(device "$1")" -n $((1 << 20)); }
do_upload-range() {
    echo "vol-upload --pool acme $1 $TEST_TMP/part --offset 3000001 --length 70001"
}
check_upload-range() {
    same "$TEST_TMP/part" "$(device "$1")" -n 70001 -i 0:3000001
    same "$TEST_TMP/data" "$(device "$1")" -n $((1 << 20))
}
do_upload-sparse() { echo "vol-upload --pool acme $1 $TEST_TMP/sparse --sparse"; }
check_upload-sparse() { same "$TEST_TMP/holes" "$(device "$1")" -n $((6 << 20)); }
do_download() { echo "vol-download --pool acme $1 $TEST_TMP/whole-$1"; }
check_download() {
    same "$TEST_TMP/whole-$1" "$(device "$1")"
    rm "$TEST_TMP/whole-$1"
}
do_download-range() {
    echo "vol-download --pool acme $1 $TEST_TMP/range-$1 --offset 1300001 --length 70001"
}
check_download-range() {
    same "$TEST_TMP/range-$1" "$TEST_TMP/holes" -i 0:1300001 -n 70001
    eq "$(stat -c %s "$TEST_TMP/range-$1")" 70001 "bytes of a range"
}
do_download-sparse() { do_download "$1" | sed 's/$/ --sparse/'; }
check_download-sparse() { check_download "$1"; }

do_clone() { echo "$(layout "$1") vol-clone --pool acme $1 $1-c"; }
check_clone() {
    same "$(device "$1")" "$(device "$1-c")" -n $((12 << 20))
    is_segment "$1-c" "$(segment_type "$1")"
}
do_clone-reflink() { echo "vol-clone --pool acme $1 $1-r --reflink"; }
check_clone-reflink() {
    same "$(device "$1")" "$(device "$1-r")"
    is_segment "$1-r" thin
}
do_create-from() { # a copy of the data: thick of thin, and thin of thick
    local other=linear
    is_thin "$1" || other=thin
    case $1 in luks) other=luks-thick ;; luks-thick) other=luks ;; esac
    echo "$(layout "$other") vol-create-from acme $(volume_xml "$1-f" "$other" 1) $1 --inputpool acme"
}
check_create-from() {
    same "$(device "$1")" "$(device "$1-f")" -n $((12 << 20))
    if is_thin "$1"; then
        is_segment "$1-f" linear
    else
        is_segment "$1-f" thin
    fi
}
origin_of() { # KIND: what it takes a snapshot of; LVM resizes no volume that has a thick one
    if is_thin "$1" || [ "$1" = cow ]; then
        echo "$1"
    else
        echo "$1-c"
    fi
}
do_snapshot() {
    local allocation='--allocation 4MiB'
    ! is_thin "$1" || allocation=
    echo "vol-create-as acme $1-s ${capacity[$1]} $allocation --backing-vol $(origin_of "$1") --backing-vol-format raw"
}
check_snapshot() { same "$(device "$(origin_of "$1")")" "$(device "$1-s")"; }

size_of() { blockdev --getsize64 "$(device "$1")"; }
do_resize-delta() { echo "vol-resize --pool acme $1 --delta 24MiB"; }
check_resize-delta() {
    at_least "$(size_of "$1")" $((36 << 20)) "size of $1"
    same "$TEST_TMP/holes" "$(device "$1")" -n $((6 << 20))
}
do_resize-allocate() { echo "vol-resize --pool acme $1 48MiB --allocate"; }
check_resize-allocate() { at_least "$(size_of "$1")" $((48 << 20)) "size of $1"; }
do_resize-smaller() { echo "vol-resize --pool acme $1 24MiB"; }
do_resize-shrink() { echo "vol-resize --pool acme $1 24MiB --shrink"; }
check_resize-shrink() {
    at_most "$(size_of "$1")" $((28 << 20)) "size of $1"
    same "$TEST_TMP/holes" "$(device "$1")" -n $((6 << 20))
}

do_wipe() { echo "vol-wipe --pool acme $1"; }
check_wipe() { cmp -n $((12 << 20)) "$(device "$1")" /dev/zero || fail "$1 is not wiped"; }
do_wipe-trim() { echo "vol-wipe --pool acme $1 --algorithm trim; vol-info --bytes --pool acme $1"; }
check_wipe-trim() { matches "${out[$1]}" "^Allocation: +0 bytes" "$1, trimmed"; }
do_wipe-random() { echo "vol-wipe --pool acme $1 --algorithm random"; }
check_wipe-random() {
    ! cmp -s -n $((6 << 20)) "$TEST_TMP/holes" "$(device "$1")" || fail "$1 is not wiped"
}
# Up to 35 passes each: for all kinds but one a matter of minutes, and of no news.
passes=(nnsa dod bsi gutmann schneier pfitzner7 pfitzner33)
do_wipe-passes() {
    local algorithm
    [ "$1" = linear ] || return 0
    echo "$(layout linear) vol-create-as acme passes 4MiB;"
    for algorithm in "${passes[@]}"; do
        echo "vol-upload --pool acme passes $TEST_TMP/data;"
        echo "vol-wipe --pool acme passes --algorithm $algorithm;"
        echo "vol-download --pool acme passes $TEST_TMP/passes-$algorithm;"
    done
    echo "vol-delete --pool acme passes"
}
check_wipe-passes() {
    local algorithm
    [ "$1" = linear ] || return 0
    for algorithm in "${passes[@]}"; do
        ! cmp -s -n $((1 << 20)) "$TEST_TMP/data" "$TEST_TMP/passes-$algorithm" ||
            fail "$algorithm has not wiped"
    done
}

do_delete-in-use() { echo "vol-delete --pool acme $1"; }
zeroed() { # KIND: one of it, with the same path through the backend
    if is_thin "$1"; then
        echo "$1-r"
    else
        echo "$1-b"
    fi
}
do_delete-zeroed() { # virsh has no option for it
    cat <<'PY'
import sys, libvirt
libvirt.registerErrorHandler(lambda *_: None, None)
pool = libvirt.open('qemu:///system').storagePoolLookupByName('acme')
thin = ('thin', 'snapshot', 'clone', 'base', 'luks')
for kind in sys.argv[1:]:
    print('error: @' + kind, file=sys.stderr)
    try:
        volume = pool.storageVolLookupByName(kind + ('-r' if kind in thin else '-b'))
        volume.delete(libvirt.VIR_STORAGE_VOL_DELETE_ZEROED)
    except libvirt.libvirtError as error:
        print('error:', error, file=sys.stderr)
PY
}
check_delete-zeroed() { [ ! -e "$(device "$(zeroed "$1")")" ] || fail "$(zeroed "$1") is still there"; }
do_delete-snapshots() { echo "vol-delete --pool acme $(origin_of "$1") --delete-snapshots"; }
check_delete-snapshots() {
    local name
    for name in "$(origin_of "$1")" "$1-s"; do
        [ ! -e "$(device "$name")" ] || fail "$name is still there"
        [[ " $(vols acme) " != *" $name "* ]] || fail "$name is still listed"
    done
}
deleted() { # KIND
    if is_thin "$1" || [ "$1" = cow ]; then
        echo "$1-b"
    else
        echo "$1"
    fi
}
do_delete() { echo "vol-delete --pool acme $(deleted "$1")"; }
check_delete() {
    [ ! -e "$(device "$(deleted "$1")")" ] || fail "$(deleted "$1") is still there"
}

# ---- the table -------------------------------------------------------------------

table_row
row create-as clone '(it is vol-clone that makes it)' \
    '@(base|luks*)' '(vol-create-as has no option for it: vol-create)'
row create clone '(it is vol-clone that makes it)'
quota-lvm check acme
row info
row dumpxml
for kind in "${kinds[@]}"; do
    before[$kind]=${out[$kind]}
done
while read -r name id; do
    key[${name#acme.}]=$id
done < <(lvs --noheadings -o lv_name,lv_uuid vg0)
row look-up
row list
virsh -q pool-destroy acme >/dev/null
eq "$(lvs --noheadings -o lv_name -S 'lv_active=active' vg0 | xargs)" golden \
    "active LVs while the pool is stopped"
virsh -q pool-start acme >/dev/null
systemctl restart libvirtd
row restart
row upload
row upload-range
row upload-sparse
row download
row download-range
row download-sparse

row clone
row clone-reflink '!(thin|snapshot|clone|base|luks)' \
    'is neither thin nor a base image, so it has no instant copy'
row create-from
row snapshot cow 'is itself a thick snapshot, and LVM makes no snapshots of those'

cow_size='is a thick snapshot: its capacity is that of'
expect_fail "has a thick snapshot, 'acme.cow.*delete the snapshot first" \
    virsh vol-resize --pool acme origin 36MiB
row resize-delta cow "$cow_size"
row resize-allocate '@(thin|snapshot|clone|base|luks)' 'is thin and takes space as it is written' \
    cow "$cow_size"
row resize-smaller cow "$cow_size" '*' 'unless shrink flag explicitly specified'
row resize-shrink cow "$cow_size"

store='is a thick snapshot, whose store would be full'
pattern='a pattern would take all the space'
row wipe-random cow "$store" '@(thin|snapshot|clone|base|luks)' "$pattern"
row wipe-passes '!(linear)' "(as wipe-random: ${passes[*]} differ in passes)"
row wipe-trim cow "$store" '!(thin|snapshot|clone|base|luks)' "'trim' algorithm not supported"
row wipe cow "$store" base 'is a clone of a base image, and zeroes would take its whole size'

opened=()
for kind in "${kinds[@]}"; do
    exec {open}<"$(device "$kind")"
    opened+=("$open")
done
row delete-in-use '*' 'is in use: stop what has .* open first'
for open in "${opened[@]}"; do
    exec {open}<&-
done
run=run_python row delete-zeroed cow 'is, or has, a thick snapshot'
expect_fail "has the thick snapshot 'linear-s', which would be lost" \
    virsh vol-delete --pool acme linear-c
row delete
run=run_virsh_backwards row delete-snapshots
quota-lvm check acme

# What is left goes behind libvirt's back.
lvremove -qq -y --select 'lv_name=~^acme && segtype!=thin-pool' vg0
virsh -q pool-refresh acme >/dev/null
eq "$(vols acme)" "" "volumes that are left"
pool "pool-delete of an active pool" expect_fail "is still active" virsh pool-delete acme
pool pool-destroy virsh pool-destroy acme
pool pool-delete virsh pool-delete acme
eq "$(lvs --noheadings -o lv_name vg0 | xargs)" golden "LVs that are left"

echo "-- table --"
printf '%s\n' "${table[@]}" ""
for ((i = 0; i < ${#reasons[@]}; i++)); do
    letter_of "${reasons[i]}"
    printf '%s: %s\n' "$letter" "${reasons[i]}"
done
printf '\nverbs of pools, all ok:'
printf ' %s;' "${pool_rows[@]}"
printf '\n'
