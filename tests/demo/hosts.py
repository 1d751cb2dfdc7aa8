# SPDX-License-Identifier: LGPL-2.1-or-later
"""The real commands that the demo drives: virsh, lvs, dmsetup, quota-lvm, QMP,
and guests that are spoken to over their console."""

import json
import os
import re
import subprocess

GUEST = "/opt/quota-lvm/share/quota-lvm/guest"
CONSOLES = "/run/quota-lvm-demo"


def run(*command, stdin=None, may_fail=False):
    done = subprocess.run(command, input=stdin, text=True,
                          capture_output=True, check=False)
    if done.returncode != 0 and not may_fail:
        raise SystemExit(f"demo: {' '.join(command)}: "
                         f"{done.stderr.strip() or done.stdout.strip()}")
    return done.stdout if done.returncode == 0 else done.stderr


def virsh(*arguments, stdin=None, may_fail=False):
    return run("virsh", "-q", *arguments, stdin=stdin, may_fail=may_fail)


def pool_info(pool):
    """Capacity, allocation and available of a pool, in bytes."""
    text = virsh("pool-info", "--bytes", pool)
    return {name.lower(): int(value) for name, value in
            re.findall(r"^(Capacity|Allocation|Available):\s+(\d+)", text,
                       re.M)}


def thin_pool(group, tenant):
    """Grant and used bytes of a tenant's thin pool, as device-mapper says.

    $ dmsetup status vg0-acme._thin-tpool
    0 1048576 thin-pool 1 141/4161600 2048/8192 - rw discard_passdown ...
    """
    name = f"{group}-{tenant}._thin-tpool"
    status = run("dmsetup", "status", name).split()
    chunk = int(run("dmsetup", "table", name).split()[5]) * 512
    used, total = status[5].split("/")
    return {"grant": int(total) * chunk, "used": int(used) * chunk}


def ledger(tenant):
    return json.loads(run("quota-lvm", "show", tenant, "--json"))


def qmp(domain, command, **arguments):
    request = {"execute": command}
    if arguments:
        request["arguments"] = arguments
    answer = json.loads(virsh("qemu-monitor-command", domain,
                              json.dumps(request)))
    return answer["return"]


def quota_nodes(domain):
    """query-block-quota by volume."""
    return {node["volume"]: node for node in qmp(domain, "query-block-quota")}


class Guest:
    """A small Linux guest whose only process takes commands from its console
    (tests/lab.d/guest).  It stays on one of the host's processors, so that two
    guests share disks and not processors."""

    def __init__(self, name, disks, processor=0):
        self.name = name
        self.processor = processor % os.cpu_count()
        self.path = f"{CONSOLES}/{name}.sock"
        os.makedirs(CONSOLES, exist_ok=True)
        virsh("define", "/dev/stdin", stdin=self.domain_xml(disks))

    def domain_xml(self, disks):
        disk_xml = "".join(f"""
    <disk type='volume' device='disk'>
      <driver name='qemu' type='raw' cache='none' io='native'
              error_policy='enospace'/>
      <source pool='{pool}' volume='{volume}'/>
      <target dev='vd{chr(ord('a') + i)}' bus='virtio'/>
    </disk>""" for i, (pool, volume) in enumerate(disks))
        with open(f"{GUEST}/cmdline", encoding="ascii") as file:
            cmdline = file.read().strip()
        return f"""
<domain type='qemu'>
  <name>{self.name}</name>
  <memory unit='MiB'>256</memory>
  <vcpu cpuset='{self.processor}'>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{GUEST}/vmlinux</kernel>
    <initrd>{GUEST}/initrd</initrd>
    <cmdline>{cmdline}</cmdline>
  </os>
  <features><acpi/></features>
  <devices>
    <emulator>/opt/quota-lvm/bin/qemu-system-x86_64</emulator>{disk_xml}
    <controller type='usb' model='none'/>
    <serial type='unix'>
      <source mode='bind' path='{self.path}'/>
    </serial>
    <memballoon model='none'/>
  </devices>
</domain>"""

    def start(self):
        virsh("start", self.name)

    def begin(self, command, timeout=600):
        """Start a command in the guest; finish() waits for it."""
        return subprocess.Popen([f"{GUEST}/talk", "-t", str(timeout),
                                 self.path, command], text=True,
                                stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)

    def finish(self, process):
        """What blk printed at its end, a dict for each line of key=value."""
        text = process.communicate()[0]
        if process.returncode >= 124:
            raise SystemExit(f"demo: guest {self.name}: {text.strip()}")
        return [dict(re.findall(r"(\w+)=(\S+)", line))
                for line in text.splitlines() if line.startswith("op=")]

    def run(self, command, timeout=600):
        return self.finish(self.begin(command, timeout))

    def state(self):
        """virsh domstate with its reason, e.g. "paused (I/O error)"."""
        return virsh("domstate", "--reason", self.name).strip()
