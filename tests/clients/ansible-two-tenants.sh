#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Hazard: the playbook fails, changes something when run again, or does not bring a
# changed limit into force.
#
# Ansible starts a Python for each step, which takes a quarter of a minute in a machine
# without KVM.  So its modules run here and speak to libvirtd in the machine.
. "$(dirname "$0")/../lab.d/lib.sh"

NAME=ansible-$$
DIR=$LAB_CACHE/machines/$NAME   # /machines/$NAME in the root directory
machine_start "$NAME"
in_machine() { machine_exec "$NAME" --no-stdin "$@"; }

mkdir -p "$DIR/bin"
cat >"$DIR/bin/libvirtd" <<SCRIPT
#!/bin/sh
exec /quota-lvm/tests/lab.d/attach /machines/$NAME/runner.sock \
    socat - UNIX-CONNECT:/run/libvirt/libvirt-sock
SCRIPT
cat >"$DIR/bin/quota-lvm" <<SCRIPT
#!/bin/sh
exec /quota-lvm/tests/lab.d/attach --no-stdin /machines/$NAME/runner.sock quota-lvm "\$@"
SCRIPT
chmod +x "$DIR"/bin/*

# play TENANTS [OPTION...]: run the playbook; says how much it has done.
play() {
    local tenants=$1
    shift
    in_root env PATH="/machines/$NAME/bin:/usr/bin:/bin" ANSIBLE_PIPELINING=1 ANSIBLE_NOCOLOR=1 \
        ansible-playbook -i localhost, -c local -e ansible_python_interpreter=/usr/bin/python3 \
        -e "libvirt_uri=qemu+ext:///system?command=/machines/$NAME/bin/libvirtd" \
        -e "{\"devices\": [\"/dev/vdc\"], \"tenants\": $tenants}" \
        /quota-lvm/examples/ansible/two-tenants.yml "$@" >"$TEST_TMP/said" 2>&1 ||
        fail "$(cat "$TEST_TMP/said")"
    sed -n 's/.*ok=\([0-9]*\) *changed=\([0-9]*\) .*/\1 steps, \2 changed/p' "$TEST_TMP/said"
}

# limits TENANT, in bytes, volumes, and I/Os a second.
limits() {
    in_machine quota-lvm show "$1" --json | in_root jq -c '[.limit_bytes, .step_bytes,
        .guarantee_bytes, .max_volumes,
        .total_bytes_sec, .total_bytes_sec_max_length, .read_iops_sec, .write_iops_sec]'
}

tenants='[
  {"name": "acme", "limits": {"limit": "1 GB", "step": "64 MB", "total_bytes_sec": "20 MB",
                              "total_bytes_sec_max": "40 MB", "total_bytes_sec_max_length": 10},
   "volumes": [{"name": "root", "capacity": "4 GB", "allocation": 0},
               {"name": "log", "capacity": "64 MB"}]},
  {"name": "globex", "limits": {"limit": "512 MB", "step": "64 MB", "read_iops_sec": 2000,
                                "max_volumes": 5}}]'

eq "$(play "$tenants")" "7 steps, 5 changed" "the first run"
eq "$(in_machine virsh -q pool-list --autostart --name | xargs)" "acme globex" "pools"
matches "$(in_machine virsh -q vol-list --details acme)" 'log .*64.00 MiB +64.00 MiB' "a thick volume"
matches "$(in_machine virsh -q vol-list --details acme)" 'root .*4.00 GiB +0.00 B' "a thin volume"
eq "$(limits acme)" "[1073741824,67108864,null,null,20971520,10,null,null]" "limits of acme"
eq "$(limits globex)" "[536870912,67108864,null,5,null,null,2000,null]" "limits of globex"

eq "$(play "$tenants")" "6 steps, 0 changed" "the second run"

# One limit is another, one is gone, one is new.
tenants=${tenants/1 GB\"/2 GB\", \"guarantee\": \"512 MB\"}
tenants=${tenants/\"max_volumes\": 5/\"max_volumes\": 7}
tenants=${tenants/\"read_iops_sec\": 2000/\"write_iops_sec\": 500}
eq "$(play "$tenants" --tags limits)" "3 steps, 1 changed" "a run with other limits"
eq "$(limits acme)" "[2147483648,67108864,536870912,null,20971520,10,null,null]" "limits of acme"
eq "$(limits globex)" "[536870912,67108864,null,7,null,null,null,500]" "limits of globex"
matches "$(in_machine virsh -q pool-info --bytes acme)" 'Capacity: +2147483648' "capacity in libvirt"
