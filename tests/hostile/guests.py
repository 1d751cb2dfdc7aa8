# SPDX-License-Identifier: LGPL-2.1-or-later
"""guests.py FILE - honest guests beside a QEMU that was taken over: one of its tenant,
acme, one of another, globex.  While FILE is there, globex's guest writes and reads back,
all of it well, and acme's writes as far as it is let.  Afterwards acme's continues,
resumed if it was paused, and what was written is there."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../demo"))
from hosts import Guest, virsh          # noqa: E402

MIB = 1 << 20
PART = 2
PARTS = 48


def blk(guest, verb, part, seed):
    line, = guest.run(f"blk {verb} /dev/vda offset={part * PART}M length={PART}M"
                      f" bs=64K seed={seed}")
    if line["errors"] != "0" or int(line["bytes"]) != PART * MIB:
        sys.exit(f"{guest.name}: {verb} of part {part}: {line}")


class Sibling:
    """acme's guest: writes as far as it is let, and is resumed when it was paused for
    want of a ledger.  It never ends, and no write of it fails."""

    def __init__(self):
        self.guest = Guest("acme-vm", [("acme", "guest")])
        self.guest.start()
        self.writing = None
        self.writes = self.resumed = 0

    def go_on(self, begin=True):
        """False: a write is still under way."""
        if self.writing and self.writing.poll() is not None:
            lines = self.guest.finish(self.writing)
            if len(lines) != 1 or lines[0]["errors"] != "0":
                sys.exit(f"acme-vm: {lines}")
            self.writing = None
            self.writes += 1
        state = self.guest.state()
        if "I/O error" in state:
            virsh("resume", "acme-vm", may_fail=True)
            self.resumed += 1
        elif "running" not in state and "paused" not in state:
            sys.exit(f"acme-vm: {state}")
        if begin and not self.writing:
            self.writing = self.guest.begin(
                "blk write /dev/vda bs=64K length=16M", timeout=7200)
        return not self.writing


def main():
    flag = sys.argv[1]
    sibling = Sibling()
    other = Guest("globex-vm", [("globex", "guest")], processor=1)
    other.start()
    with open(flag + ".started", "w", encoding="ascii"):
        pass
    while not os.path.exists(flag):
        time.sleep(0.1)

    rounds = 0
    seeds = {}
    while os.path.exists(flag):
        part = rounds % PARTS
        seeds[part] = rounds + 1
        blk(other, "write", part, seeds[part])
        blk(other, "verify", part, seeds[part])
        sibling.go_on()
        rounds += 1
        time.sleep(1)           # processors for libvirtd
    for part, seed in seeds.items():
        blk(other, "verify", part, seed)
    if "running" not in other.state():
        sys.exit(f"globex-vm: {other.state()}")

    end = time.monotonic() + 180
    while not sibling.go_on(begin=False):
        if time.monotonic() > end:
            sys.exit(f"acme-vm does not go on: {sibling.guest.state()}")
        time.sleep(1)
    print(f"guests: globex wrote and read back {rounds} times {PART} MiB, acme "
          f"{sibling.writes} times 16 MiB, resumed {sibling.resumed} times")


main()
