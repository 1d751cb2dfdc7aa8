#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Hazard: the schema takes a definition with a slip in it, which then goes without
# its limit; or it refuses what the documentation shows or what libvirt itself says.
. "$(dirname "$0")/../lab.d/lib.sh"
. "$(dirname "$0")/../libvirt-backend/pools.sh"
requires_machine
requires_command virsh virt-xml-validate xmllint

top=$(dirname "$0")/../..
good=$TEST_TMP/good.xml bad=$TEST_TMP/bad.xml

valid() { # FILE: as everybody says who can say it
    virt-xml-validate "$1" >"$TEST_TMP/said" 2>&1 || fail "$1: $(cat "$TEST_TMP/said")"
}

# The definition that docs/operating.md shows, and all limits that there are.
sed -n '/```xml/,/```/p' "$top/docs/operating.md" | sed '/```/d' >"$good"
matches "$(cat "$good")" '<quota:limit unit=' "definition in docs/operating.md"
valid "$good"
{
    echo "<pool type='quota-lvm' xmlns:q='http://libvirt.org/schemas/storagepool/quota-lvm/1.0'>"
    echo "<name>all</name><source><name>vg0</name></source><q:limits>"
    for stem in {total,read,write}_{bytes,iops}_sec; do
        for name in "$stem" "${stem}_max" "${stem}_max_length"; do
            echo "<q:$name>1</q:$name>"
        done
    done
    echo "<q:step>4194304</q:step><q:guarantee unit='MiB'>32</q:guarantee>"
    echo "<q:max_volumes>9</q:max_volumes><q:limit unit='MiB'>64</q:limit></q:limits></pool>"
} >"$TEST_TMP/all.xml"
valid "$TEST_TMP/all.xml"
eq "$(xmllint --xpath 'count(//*[local-name()="limits"]/*)' "$TEST_TMP/all.xml")" \
    "$(quota-lvm set --help | grep -v overcommit | grep -c '^ *--[a-z_-]*=')" \
    "limits of a tenant that quota-lvm knows"

# What libvirt says of a pool and its volumes, running and not.
fresh_vg vg0
pool_up acme vg0 "$(limit 1 GiB 64 MiB)<q:total_bytes_sec unit='MiB'>20</q:total_bytes_sec>"
vol_create acme data 64 thick
vol_create acme root 256 thin
virsh -q pool-dumpxml acme >"$TEST_TMP/running.xml"
virsh -q pool-dumpxml --inactive acme >"$TEST_TMP/inactive.xml"
virsh -q vol-dumpxml --pool acme data >"$TEST_TMP/data.xml"
virsh -q vol-dumpxml --pool acme root >"$TEST_TMP/root.xml"
virsh -q pool-capabilities >"$TEST_TMP/capabilities.xml"
virsh -q find-storage-pool-sources quota-lvm >"$TEST_TMP/sources.xml"
for said in running inactive data root capabilities; do
    valid "$TEST_TMP/$said.xml"
done
virsh -q pool-define --validate "$TEST_TMP/inactive.xml" >/dev/null
sed 's/>data</>more</; /<key>/d; /<path>/d' "$TEST_TMP/data.xml" >"$TEST_TMP/more.xml"
virsh -q vol-create --validate acme "$TEST_TMP/more.xml" >/dev/null
eq "$(vols acme)" "data more root" "volumes"
virsh -q vol-delete --pool acme more >/dev/null

# refused SED-SCRIPT: that definition with a slip in it.
refused() {
    sed "s/acme/slip/; s/vg0/vg1/; $1" "$good" >"$bad"
    ! cmp -s "$good" "$bad" || fail "no change: $1"
    expect_fail 'fails to validate' virt-xml-validate "$bad"
    expect_fail 'XML document failed to validate against schema: .*storagepool.rng' \
        virsh pool-define --validate "$bad"
}
refused 's/quota:limit /quota:limmit /; s/quota:limit>/quota:limmit>/'
refused 's/quota:limits/quota:limit/'
refused 's/quota-lvm\/1.0/quota-lvm\/2.0/'
refused 's/<quota:limit .*/&\n&/'
refused "s/'GiB'>100</'GiB'>lots</"
refused "s/'GiB'>100</'GiB'>-100</"
refused "s/'GiB'>100</'GiB'>1.5</"
refused "s/unit='GiB'/units='GiB'/"
refused 's/total_bytes_sec/total_byte_sec/g'
refused "s/<name>vg1<.name>/&<tenant name='Acme'\/>/"
refused "s/<name>vg1<.name>/&<tenant>acme<\/tenant>/"
refused "s/<name>vg1<.name>/&<format type='lvm2'\/>/"
refused "s/type='quota-lvm'/type='logical'/"
eq "$(virsh -q pool-list --all --name | xargs)" acme "pools that bad definitions left"

# Without the schema, limits in a namespace that nobody knows are not seen; then
# there is none, and so no pool is built.
sed "s/acme/slip/; s/vg0/vg1/; /<device/d; s/quota-lvm\/1.0/quota-lvm\/2.0/" "$good" >"$bad"
virsh -q pool-define "$bad" >/dev/null
cleanup_fn virsh -q pool-undefine slip
expect_fail "knows no limit of tenant 'slip'|volume group 'vg1' does not exist" virsh pool-build slip
