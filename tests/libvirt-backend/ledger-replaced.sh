#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A ledger was replaced, and a guest that maps the old one gets no space until somebody
# shuts it down; or it takes space, or goes past a limit, that nobody counts.
. "$(dirname "$0")/../lab.d/lib.sh"
. "$(dirname "$0")/pools.sh"
requires_machine
requires_command virsh quota-lvm python3

fresh_vg vg0
# The cap keeps a fast guest from having much granted ahead.
pool_up acme vg0 "$(limit 2 GiB 16 MiB)<q:total_bytes_sec unit='MiB'>32</q:total_bytes_sec>"
vol_create acme data 4096 thin
cleanup_fn virsh -q undefine acme-vm
cleanup_fn virsh -q destroy acme-vm

cat >"$TEST_TMP/guest.py" <<'PYTHON'
import os
import sys
import time

sys.path.insert(0, sys.argv[1])
from hosts import Guest, ledger, qmp, quota_nodes, run, virsh

MIB = 1 << 20
LEDGER = "/run/quota-lvm/vg0/acme"


def expect(what, is_so, seen):
    if not is_so:
        sys.exit(f"{what}: {seen}")
    print(f"{what}: {seen}", flush=True)


def write(length):
    """Begin to write so many MiB where the last write ended."""
    global filled
    begin, filled = filled, filled + length
    return guest.begin(f"blk write /dev/vda offset={begin}M length={length}M"
                       f" bs=64K seed=1")


def pool():
    """Bytes that the kernel says are used."""
    usage = ledger("acme")
    return usage["used_bytes"] - usage["unsampled_bytes"]


def granted():
    """Bytes that the thin pool has, when it does not grow any more."""
    grant, since = 0, time.monotonic()
    while time.monotonic() - since < 3:
        now = ledger("acme")["grant_bytes"]
        if now != grant:
            grant, since = now, time.monotonic()
        time.sleep(0.2)
    return grant


def write_past_grant():
    """Begin to write more than the replaced ledger can have granted."""
    grant = granted()
    os.unlink(LEDGER)
    virsh("pool-refresh", "acme")
    return grant, write((grant - pool()) // MIB + 32)


def fdsets():
    return len(qmp("acme-vm", "query-fdsets"))


def wait_for(what, holds):
    end = time.monotonic() + 180
    while not holds():
        if time.monotonic() > end:
            sys.exit(f"waited in vain for {what}")
        time.sleep(0.5)


guest = Guest("acme-vm", [("acme", "data")])
guest.start()
filled = 0
guest.finish(write(16))
inode, sets = os.stat(LEDGER).st_ino, fdsets()

grant, writing = write_past_grant()
expect("another ledger", os.stat(LEDGER).st_ino != inode, os.stat(LEDGER).st_ino)
wait_for("the guest to be paused", lambda: "I/O error" in guest.state())
expect("without samples the guest", "paused" in guest.state(), guest.state())
expect(f"bytes that it got, of {grant} that the old one had granted",
       0 < pool() <= grant, pool())

virsh("resume", "acme-vm")
line, = guest.finish(writing)
expect("after virsh resume, errors in the guest", line["errors"] == "0", line["errors"])
expect("writers in the new ledger", ledger("acme")["writers"] == 1,
       ledger("acme")["writers"])
expect("descriptors of ledgers in QEMU", fdsets() == sets, fdsets())
virsh("suspend", "acme-vm")
virsh("resume", "acme-vm")
expect("an ordinary resume", "running" in guest.state(), guest.state())

# libvirtd that was restarted knows how to, as well
grant, writing = write_past_grant()
run("systemctl", "restart", "libvirtd")
wait_for("the guest to be paused again", lambda: "I/O error" in guest.state())
virsh("resume", "acme-vm")
line, = guest.finish(writing)
expect("after a restart of libvirtd, errors", line["errors"] == "0", line["errors"])

# and the limit is the limit
limit = (pool() // MIB + 64) * MIB
run("quota-lvm", "set", "acme", "--limit", f"{limit // MIB}M")
writing = write(128)
wait_for("the guest to reach its limit", lambda: "I/O error" in guest.state())
wait_for("a sample", lambda: ledger("acme")["unsampled_bytes"] == 0)
expect(f"bytes at the limit of {limit}",
       limit - 16 * MIB < ledger("acme")["used_bytes"] <= limit,
       ledger("acme")["used_bytes"])
node = quota_nodes("acme-vm")["data"]
expect("reason", node["limit-reason"] == "tenant-limit", node["limit-reason"])
run("quota-lvm", "set", "acme", "--limit", "3G")
virsh("resume", "acme-vm")
line, = guest.finish(writing)
expect("after the limit was raised, errors", line["errors"] == "0", line["errors"])
PYTHON
python3 "$TEST_TMP/guest.py" "$(dirname "$0")/../demo"
quota-lvm check
