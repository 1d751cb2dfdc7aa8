# SPDX-License-Identifier: LGPL-2.1-or-later
# For the tests of pools, sourced after lab.d/lib.sh: pools and volumes by name.

GIB=$((1 << 30))
MIB=$((1 << 20))

# pool_xml NAME GROUP [LIMITS [SOURCE]]: LIMITS and SOURCE are XML, with q: for
# the quota: prefix.
pool_xml() {
    local limits=${3:-}
    cat <<XML
<pool type='quota-lvm' xmlns:quota='http://libvirt.org/schemas/storagepool/quota-lvm/1.0'>
  <name>$1</name>
  <source>${4:-}<name>$2</name></source>
  ${limits:+<quota:limits>${limits//q:/quota:}</quota:limits>}
</pool>
XML
}

# limit SIZE UNIT [STEP UNIT]
limit() {
    echo "<q:limit unit='$2'>$1</q:limit>${3:+<q:step unit='$4'>$3</q:step>}"
}

# pool_define POOL_XML-ARGUMENTS...: in place of one of that name, if there is.
pool_define() {
    virsh -q pool-undefine "$1" >/dev/null 2>&1 || true
    pool_xml "$@" >"$TEST_TMP/pool.xml"
    virsh -q pool-define "$TEST_TMP/pool.xml" >"$TEST_TMP/said"
    cleanup_fn virsh -q pool-undefine "$1"
}

# pool_up POOL_XML-ARGUMENTS...: defined, built and started.
pool_up() {
    pool_define "$@"
    virsh -q pool-start --build "$1" >/dev/null
    cleanup_fn virsh -q pool-destroy "$1"
}

# vol_create POOL NAME MIB thin|thick
vol_create() {
    local allocation=$3
    [ "$4" = thick ] || allocation=0
    virsh -q vol-create-as "$1" "$2" "${3}MiB" --allocation "${allocation}MiB" >/dev/null
}

pool_number() { # POOL Capacity|Allocation|Available
    virsh -q pool-info --bytes "$1" | sed -n "s/^$2: *//p"
}

vol_number() { # POOL VOLUME Capacity|Allocation
    virsh -q vol-info --bytes --pool "$1" "$2" | sed -n "s/^$3: *//p" | grep -o '[0-9]*'
}

vols() { # POOL: its volumes on one line
    virsh -q vol-list "$1" | awk '{print $1}' | sort | xargs
}

tags() { # LV: tags of ours, one a line
    lvs --noheadings -o lv_tags "$1" | tr -d ' ' | tr ',' '\n' | sort
}

is_active() { # LV
    [ "$(lvs --noheadings -o lv_active "$1" | xargs)" = active ]
}
