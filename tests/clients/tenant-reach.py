#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""tenant-reach.py OWN OTHER UUID KEY: as a user who was given the pool OWN, tries to
reach the pool OTHER, of that UUID, its volume "data", of that KEY, and the rest of
libvirt.  Says what it came to, and ends with 1 if that was anything.

On the wire a pool or a volume is its names and no more, and only libvirt's own library
looks it up first.  So what has to be denied is also asked of objects that were never
looked up, as a client would that somebody wrote for the purpose."""

import ctypes
import sys
import uuid

import libvirt

OWN, OTHER, UUID, KEY = sys.argv[1:]
DENIED = libvirt.VIR_ERR_ACCESS_DENIED
NO_VOLUME = libvirt.VIR_ERR_NO_STORAGE_VOL
POOL_XML = "<pool type='dir'><name>mine</name><target><path>/root</path></target></pool>"
VOLUME_XML = "<volume><name>{}</name><capacity>4194304</capacity></volume>"
DOMAIN_XML = f"""<domain type='qemu'><name>mine</name><memory>65536</memory>
    <os><type arch='x86_64'>hvm</type></os><devices><disk type='block'>
    <source dev='/dev/vg0/{OTHER}.data'/><target dev='vda'/></disk></devices></domain>"""

reached = []
forged = []             # names that a capsule points to
library = ctypes.CDLL("libvirt.so.0")
library.virGetStoragePool.restype = library.virGetStorageVol.restype = ctypes.c_void_p
python = ctypes.pythonapi
python.PyCapsule_New.restype = ctypes.py_object
python.PyCapsule_GetPointer.restype = ctypes.c_void_p


def forge(conn, kind, *names):
    pointer = ctypes.c_void_p(python.PyCapsule_GetPointer(
        ctypes.py_object(conn._o), b"virConnectPtr"))
    get = {"virStoragePool": library.virGetStoragePool,
           "virStorageVol": library.virGetStorageVol}[kind]
    made = ctypes.c_void_p(get(pointer, *names, None, None))
    name = ctypes.c_char_p((kind + "Ptr").encode())
    forged.append(name)
    return getattr(libvirt, kind)(conn, _obj=python.PyCapsule_New(made, name, None))


def must_fail(code, what, call, *arguments):
    try:
        reached.append(f"{what}: not refused: {call(*arguments)}")
    except libvirt.libvirtError as error:
        if error.get_error_code() != code:
            reached.append(f"{what}: {error}")


def must_be(what, is_, should):
    if is_ != should:
        reached.append(f"{what}: {is_}, should be {should}")


def download(conn, volume):
    stream = conn.newStream()
    volume.download(stream, 0, 32)
    data = stream.recv(32)
    stream.finish()
    return data


def upload(conn, volume, data):
    stream = conn.newStream()
    volume.upload(stream, 0, len(data))
    stream.send(data)
    stream.finish()


def use_own(conn):
    """All that a tenant needs, and what would change its limits."""
    must_be("pools", [pool.name() for pool in conn.listAllStoragePools()], [OWN])
    pool = conn.storagePoolLookupByName(OWN)
    must_be("volumes", [volume.name() for volume in pool.listAllVolumes()], ["data"])
    pool.info()
    pool.refresh()
    volume = pool.createXML(VOLUME_XML.format("disk0"))
    volume.resize(8 << 20)
    upload(conn, volume, b"%-32s" % b"of the tenant")
    must_be("what was written", download(conn, volume), b"%-32s" % b"of the tenant")
    copy = pool.createXMLFrom(VOLUME_XML.format("copy"), volume)
    must_be("what was copied", download(conn, copy), b"%-32s" % b"of the tenant")
    copy.wipe()
    copy.delete()
    must_be("pool of a path", conn.storageVolLookupByPath(volume.path())
            .storagePoolLookupByVolume().name(), OWN)
    volume.delete()

    xml = pool.XMLDesc()
    for what, call, *arguments in (
            ("redefine own", conn.storagePoolDefineXML, xml.replace("GiB", "TiB")),
            ("stop own", pool.destroy), ("build own", pool.build),
            ("delete own", pool.delete), ("undefine own", pool.undefine),
            ("autostart own", pool.setAutostart, 1)):
        must_fail(DENIED, what, call, *arguments)
    return pool


def try_other(conn, own):
    must_fail(DENIED, "pool by name", conn.storagePoolLookupByName, OTHER)
    must_fail(DENIED, "pool by UUID", conn.storagePoolLookupByUUIDString, UUID)
    # Another's volume is as one that does not exist.
    for path in (f"/dev/vg0/{OTHER}.data", f"/dev/vg0/{OTHER}.none"):
        must_fail(NO_VOLUME, path, conn.storageVolLookupByPath, path)
    for key in (KEY, "none"):
        must_fail(NO_VOLUME, "volume by key", conn.storageVolLookupByKey, key)

    pool = forge(conn, "virStoragePool", OTHER.encode(), uuid.UUID(UUID).bytes)
    xml = VOLUME_XML.format("mine")
    for call, *arguments in (
            (pool.info,), (pool.XMLDesc,), (pool.refresh,), (pool.destroy,),
            (pool.undefine,), (pool.create,), (pool.build,), (pool.delete,),
            (pool.isActive,), (pool.isPersistent,), (pool.autostart,),
            (pool.setAutostart, 1), (pool.numOfVolumes,), (pool.listVolumes,),
            (pool.listAllVolumes,), (pool.storageVolLookupByName, "data"),
            (pool.createXML, xml)):
        must_fail(DENIED, f"forged pool: {call.__name__}", call, *arguments)

    volume = forge(conn, "virStorageVol", OTHER.encode(), b"data", KEY.encode())
    for call, *arguments in (
            (volume.info,), (volume.XMLDesc,), (volume.path,), (volume.delete,),
            (volume.wipe,), (volume.resize, 8 << 20),
            (volume.storagePoolLookupByVolume,), (download, conn, volume),
            (upload, conn, volume, b"mine"), (pool.createXMLFrom, xml, volume),
            (own.createXMLFrom, xml, volume)):
        must_fail(DENIED, f"forged volume: {call.__name__}", call, *arguments)
    must_be("volumes", [volume.name() for volume in own.listAllVolumes()], ["data"])


def try_the_rest(conn):
    for call, *arguments in (
            (conn.storagePoolDefineXML, POOL_XML), (conn.storagePoolCreateXML, POOL_XML),
            (conn.findStoragePoolSources, "quota-lvm", None),
            (conn.listAllDomains,), (conn.defineXML, DOMAIN_XML),
            (conn.createXML, DOMAIN_XML)):
        must_fail(DENIED, call.__name__, call, *arguments)


def main():
    libvirt.registerErrorHandler(lambda ctx, error: None, None)
    conn = libvirt.open("qemu:///system")
    own = use_own(conn)
    try_other(conn, own)
    try_the_rest(conn)
    conn = libvirt.openReadOnly("qemu:///system")
    must_be("pools, read-only", [pool.name() for pool in conn.listAllStoragePools()],
            [OWN])
    must_fail(DENIED, "pool by name, read-only", conn.storagePoolLookupByName, OTHER)
    if reached:
        sys.exit("\n".join(reached))


main()
