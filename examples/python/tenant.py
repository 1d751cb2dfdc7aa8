#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sets up tenants through libvirt: a pool of type quota-lvm for each, volumes in it,
and who uses what.

  tenant.py set-up acme --group vg0 --limit 100GiB --total-bytes-sec 200MiB
  tenant.py volume acme disk0 50GiB             # thin: charged as it is written
  tenant.py volume acme log0 10GiB --thick      # charged whole, at once
  tenant.py show

What is there already is kept: set-up with other limits changes them, live, and
leaves alone what it is not told.  Needs python3-libvirt, and no file of quota-lvm.
"""

import argparse
import re
import sys
import xml.etree.ElementTree as ET

import libvirt

NAMESPACE = "http://libvirt.org/schemas/storagepool/quota-lvm/1.0"
RATES = [f"{kind}_{unit}_sec" for unit in ("bytes", "iops")
         for kind in ("total", "read", "write")]
LIMITS = ["limit", "step", "guarantee", "max_volumes"] + RATES
ET.register_namespace("quota", NAMESPACE)


def size(text):
    """A number and its unit, as libvirt writes them: 100GiB, 100 GiB, 4096."""
    match = re.fullmatch(r"(\d+)\s*([A-Za-z]*)", text)
    if not match:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no size: give a whole number and a unit, like 100GiB")
    return match.groups()


def set_size(parent, tag, number, unit):
    element = parent.find(tag)
    if element is None:
        element = ET.SubElement(parent, tag)
    element.attrib.clear()
    if unit:
        element.set("unit", unit)
    element.text = number


def find_pool(conn, name):
    try:
        return conn.storagePoolLookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_POOL:
            raise
        return None


def definition(pool, args):
    """The pool's definition as it is, or a new one, with the limits of args."""
    if pool:
        # Of a pool that runs, these are the limits that hold now: somebody may
        # have changed them since it was defined.
        root = ET.fromstring(pool.XMLDesc(0))
    else:
        root = ET.Element("pool", type="quota-lvm")
        ET.SubElement(root, "name").text = args.tenant
        source = ET.SubElement(root, "source")
        for path in args.device:
            ET.SubElement(source, "device", path=path)
        ET.SubElement(source, "name").text = args.group
    limits = root.find(f"{{{NAMESPACE}}}limits")
    if limits is None:
        limits = ET.SubElement(root, f"{{{NAMESPACE}}}limits")
    for name in LIMITS:
        if getattr(args, name):
            set_size(limits, f"{{{NAMESPACE}}}{name}", *getattr(args, name))
    return ET.tostring(root, encoding="unicode")


def set_up(conn, args):
    pool = find_pool(conn, args.tenant)
    if not pool and not (args.group and args.limit):
        sys.exit(f"tenant.py: there is no pool '{args.tenant}' yet: give --group "
                 "and --limit, and --device if the volume group is to be made")
    pool = conn.storagePoolDefineXML(definition(pool, args),
                                     libvirt.VIR_STORAGE_POOL_DEFINE_VALIDATE)
    if pool.isActive():
        pool.refresh()          # what takes the new limits into use
    else:
        # Building a pool that has been built finds everything in its place.
        pool.create(libvirt.VIR_STORAGE_POOL_CREATE_WITH_BUILD)
    pool.setAutostart(True)


def volume(conn, args):
    root = ET.Element("volume")
    ET.SubElement(root, "name").text = args.volume
    set_size(root, "capacity", *args.size)
    if not args.thick:
        set_size(root, "allocation", "0", "")
    pool = conn.storagePoolLookupByName(args.tenant)
    print(pool.createXML(ET.tostring(root, encoding="unicode")).path())


def human(count):
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            break
        count /= 1024
    else:
        unit = "TiB"
    return f"{count:.0f} B" if unit == "B" else f"{count:.2f} {unit}"


def show(conn, args):
    line = "{:<24} {:>12} {:>12} {:>12}".format
    print(line("TENANT/VOLUME", "LIMIT", "USED", "AVAILABLE"))
    for pool in sorted(conn.listAllStoragePools(), key=lambda pool: pool.name()):
        if ET.fromstring(pool.XMLDesc(0)).get("type") != "quota-lvm" or \
                args.tenant and pool.name() not in args.tenant:
            continue
        if not pool.isActive():
            print(f"{pool.name():<24} {'not started':>12}")
            continue
        print(line(pool.name(), *map(human, pool.info()[1:])))
        for vol in sorted(pool.listAllVolumes(), key=lambda vol: vol.name()):
            _, capacity, allocation = vol.info()
            print(line("  " + vol.name(), human(capacity), human(allocation), ""))


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-c", "--connect", default="qemu:///system", metavar="URI")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("set-up", help="a tenant, or its limits")
    command.set_defaults(run=set_up)
    command.add_argument("tenant")
    command.add_argument("--group", help="the volume group that tenants share")
    command.add_argument("--device", action="append", default=[], metavar="PATH",
                         help="make the volume group of this device")
    for name in LIMITS:
        command.add_argument("--" + name.replace("_", "-"), type=size, metavar="SIZE")

    command = commands.add_parser("volume", help="make a volume")
    command.set_defaults(run=volume)
    command.add_argument("tenant")
    command.add_argument("volume")
    command.add_argument("size", type=size)
    command.add_argument("--thick", action="store_true")

    command = commands.add_parser("show", help="who uses what")
    command.set_defaults(run=show)
    command.add_argument("tenant", nargs="*")
    return parser.parse_args()


def main():
    args = parse_arguments()
    # The binding would print what it raises as well.
    libvirt.registerErrorHandler(lambda ctx, error: None, None)
    try:
        args.run(libvirt.open(args.connect), args)
    except libvirt.libvirtError as error:
        sys.exit(f"tenant.py: {error}")


if __name__ == "__main__":
    main()
