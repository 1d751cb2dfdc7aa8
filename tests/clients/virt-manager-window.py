#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""virt-manager-window.py debian | patched: works in virt-manager's window on the storage
of this host.  As Debian has it: looks at the pool acme and deletes its volume "old".
With our patches: makes a thin and a thick volume there, and the pool globex."""

import sys

from window import (choose, click, find, is_sensitive, read, screenshot, select,
                    select_row, set_value, wait, wait_for, wait_gone, write)


def storage_page():
    frame = wait_for("frame", ".*Connection Details")
    select(wait_for("page tab", "Storage", frame))
    wait_for("table cell", "acme\n.*", frame)
    return frame


def delete_volume(frame, name):
    select_row(wait_for("table", "vol-list", frame), name)
    button = wait_for("button", "vol-delete", frame)
    wait("delete to be offered", is_sensitive, button)
    click(button)
    click(wait_for("button", "Yes"))
    wait_gone("table cell", name)


def make_volume(frame, name, gib, is_thin):
    click(wait_for("button", "vol-new", frame))
    window = wait_for("frame|dialog", "Add a Storage Volume")
    write(wait_for("text", "Name:", window), name)
    set_value(wait_for("spin button", "Capacity:", window), gib)
    if is_thin:
        click(wait_for("check box", "Allocate entire.*", window))
    screenshot(f"volume-{name}")
    click(wait_for("button", "Finish", window))
    wait_for("table cell", name, frame)


def make_pool(frame, name, gib):
    click(wait_for("button", "pool-add", frame))
    window = wait_for("frame|dialog", "Add a New Storage Pool")
    write(wait_for("text", "Name:", window), name)
    choose(wait_for("combo box", "Type:", window), "quota-lvm: .*")
    set_value(wait_for("spin button", "Limit .GiB.:", window), gib)
    # The groups that there are.
    source = wait_for("text", "pool-source-name-text", window)
    wait("the volume group to be offered", lambda: read(source) == "vg0")
    screenshot("pool")
    click(wait_for("button", "Finish", window))
    wait_for("table cell", f"{name}\n.*", frame)


def main():
    frame = storage_page()
    if sys.argv[1] == "debian":
        for cell in ("acme\nquota-lvm pool", "old", "data", "64.00 MiB"):
            wait_for("table cell", cell, frame)
        screenshot("debian")
        if is_sensitive(find("button", "vol-new", frame)):
            sys.exit("Debian's virt-manager makes volumes: is the patch needed still?")
        delete_volume(frame, "old")
    else:
        wait_for("table cell", "acme\nTenant's Part of an LVM Volume Group", frame)
        make_volume(frame, "thick", 0.1, is_thin=False)
        make_volume(frame, "thin", 1, is_thin=True)
        make_pool(frame, "globex", 1)
        screenshot("patched")


main()
