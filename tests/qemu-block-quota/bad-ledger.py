#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A ledger that is none, or is somebody else's, is written to all the same."""

import fcntl

from quota_test import *


def refused(image, *patterns):
    """Opening fails, says all of this, and names the way out."""
    disk = path('disk')
    said = qemu_io(image, 'write 0 4k')
    for pattern in patterns:
        matches(said, pattern, 'error')
    eq(os.stat(disk).st_blocks, 0, 'blocks written')


def spoilt(how, *patterns):
    disk = make_file('disk', MIB)
    ledger = Ledger('acme', limit='1G', grant='1G')
    ledger.run('spoil', how)
    refused(ledger.quota(disk), re.escape(ledger.path), *patterns)


def test_missing():
    disk = make_file('disk', MIB)
    refused(quota_on(disk, ledger=path('none'), tenant='acme'),
            re.escape(path('none')), "tenant 'acme'", 'No such file',
            'start quota-lvmd')


def test_truncated():
    spoilt('length', 'is truncated', 'recreates it')


def test_not_sealed():
    spoilt('seals', 'is not sealed', 'recreates it')


def test_empty():
    disk = make_file('disk', MIB)
    refused(quota_on(disk, ledger=make_file('empty', 0), tenant='acme'),
            'is truncated', 'recreates it')


def test_not_a_ledger():
    spoilt('magic', 'is not a quota-lvm ledger', '/run/quota-lvm/GROUP/TENANT')


def test_a_disk_instead_of_a_ledger():
    disk = make_file('disk', MIB)
    other = make_file('other', MIB)
    refused(quota_on(disk, ledger=other, tenant='acme'),
            'is not a quota-lvm ledger')
    eq(os.stat(other).st_blocks, 0, 'blocks written to what is no ledger')


def test_other_version():
    spoilt('version', 'another major version', 'built from the same version')


def test_unknown_feature():
    spoilt('features', 'needs features that this program does not know',
           'incompatible bits 0x8000000000000000',
           'built from the same version')


def test_damaged():
    spoilt('checksum', 'is damaged', 'recreates it')


def test_from_before_the_boot():
    spoilt('boot', 'from before the last boot', 'recreates it')


def test_of_another_tenant():
    disk = make_file('disk', MIB)
    ledger = Ledger('globex', limit='1G', grant='1G')
    refused(quota_on(disk, ledger=ledger.path, tenant='acme'),
            "belongs to tenant 'globex', not to 'acme'",
            "volume's own tenant")
    eq(ledger.show()['writers'], 0, 'writers left behind')


def test_no_tenant_named():
    disk = make_file('disk', MIB)
    ledger = Ledger('acme', limit='1G', grant='1G')
    refused(quota_on(disk, ledger=ledger.path), "'tenant' is missing")


def test_inline_limits_beside_a_ledger():
    disk = make_file('disk', MIB)
    ledger = Ledger('acme', limit='1G', grant='1G')
    refused(ledger.quota(disk, total_bytes_sec='1M'),
            "'total-bytes-sec' cannot be given together with a ledger",
            'quota-lvm set')


def test_no_right_to_open():
    disk = make_file('disk', MIB)
    ledger = Ledger('acme', limit='1G', grant='1G')
    ledger.serve(disk)
    nobody = {}
    os.chmod(ledger.path, 0)
    if os.geteuid() == 0:
        # No mode keeps root out: another user is let in up to the file.
        nobody = {'user': 65534, 'group': 65534, 'extra_groups': []}
        os.chmod(disk, 0o666)
        for folder in (path(''), path('run'), path('run/vg0')):
            os.chmod(folder, 0o755)

    def open_it():
        command = qemu_io_command(ledger.quota(disk), 'write 0 4k')
        return subprocess.run(command, stdout=subprocess.PIPE, check=False,
                              stderr=subprocess.STDOUT, timeout=hang_limit(),
                              **nobody).stdout.decode()

    said = open_it()
    matches(said, 'cannot be opened for writing: Permission denied', 'error')
    matches(said, 'user who may read and write', 'what helps')
    matches(said, 'add-fd', 'what helps')
    eq('quota-lvmd' in said, False, f'what does not help is in: {said}')
    eq(os.stat(disk).st_blocks, 0, 'blocks written')
    os.chmod(ledger.path, 0o600)
    nobody = {}
    matches(open_it(), 'wrote 4096/4096 bytes', 'what it said with the right')


def add_descriptor(fd):
    """What QEMU answers to a node whose ledger is this descriptor, or none."""
    daemon = Machine()
    number = 7 if fd is None else daemon.qmp('add-fd', fd=fd)['fdset-id']
    reply = daemon.ask('blockdev-add', driver='quota', node_name='quota',
                       file={'driver': 'file',
                             'filename': make_file('disk', MIB)},
                       ledger=f'/dev/fdset/{number}', tenant='acme')
    said = reply['error']['desc']
    eq('quota-lvmd' in said, False, f'what does not help is in: {said}')
    return said


def test_read_only_descriptor():
    ledger = Ledger('acme', limit='1G', grant='1G')
    said = add_descriptor(os.open(ledger.path, os.O_RDONLY))
    matches(said, 'cannot be opened for writing', 'error')
    matches(said, 'open for reading and writing', 'what helps')


def test_no_descriptor():
    said = add_descriptor(None)
    matches(said, 'cannot be opened for writing: No such file', 'error')
    matches(said, 'add-fd', 'what helps')


def copy_of_ledger(name, *seals):
    ledger = Ledger('acme', limit='1G', grant='1G')
    fd = os.memfd_create(name, os.MFD_ALLOW_SEALING)
    with open(ledger.path, 'rb') as f:
        os.write(fd, f.read())
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW |
                fcntl.F_SEAL_SEAL | sum(seals))
    return fd


def test_made_for_another_tenant():
    said = add_descriptor(copy_of_ledger('quota-lvm:vg0/globex'))
    matches(said, "is another tenant's; give the ledger of the volume's tenant",
            'error')


def test_no_right_to_map():
    # Sealed, as a security policy would have it: open(2) and mmap(2) differ.
    said = add_descriptor(copy_of_ledger('quota-lvm:vg0/acme', fcntl.F_SEAL_WRITE))
    matches(said, 'not mapped for writing: Operation not permitted', 'error')
    matches(said, 'security policy', 'what helps')


def test_cache_that_is_thrown_away():
    # Space is taken when the page cache is written back: the charge for it
    # cannot be settled before that, and cache=unsafe never says when.
    disk = make_file('disk', MIB)
    ledger = Ledger('acme', limit='1G', grant='1G')
    said = qemu_io(ledger.quota(disk), 'write 0 4k', args=('-t', 'unsafe'))
    matches(said, 'cache.no-flush=on', 'error')
    eq(os.stat(disk).st_blocks, 0, 'blocks written')


def read_only_nodes(daemon, ledger, disk):
    """add(name, ...): what QEMU answers to one more node on the ledger."""
    number = daemon.qmp('add-fd', fd=os.open(ledger.path, os.O_RDWR))
    daemon.qmp('blockdev-add', driver='file', node_name='file', filename=disk,
               read_only=True)

    def add(name, **opts):
        return daemon.ask('blockdev-add', driver='quota', node_name=name,
                          file='file', tenant='acme', read_only=True,
                          ledger=f'/dev/fdset/{number["fdset-id"]}', **opts)
    return add


def test_all_writers_of_a_volume_taken():
    disk = make_file('disk', MIB)
    ledger = Ledger('acme', limit='1G', grant='1G')
    daemon = Machine()
    add = read_only_nodes(daemon, ledger, disk)
    for i in range(4):
        eq(add(f'n{i}', volume='root'), {'return': {}}, 'one of four')
    matches(add('more', volume='root')['error']['desc'],
            "'root' of tenant 'acme' has all its 4 writers", 'error')
    eq(ledger.show()['root.writers'], 4, 'writers')
    eq(add('other', volume='data'), {'return': {}}, 'another volume')
    daemon.qmp('blockdev-del', node_name='n2')
    eq(add('more', volume='root'), {'return': {}}, 'in place of another')


def test_all_volumes_taken():
    disk = make_file('disk', MIB)
    ledger = Ledger('acme', limit='1G', grant='1G')
    daemon = Machine()
    add = read_only_nodes(daemon, ledger, disk)
    for i in range(256):
        eq(add(f'n{i}'), {'return': {}}, 'one of 256')
    matches(add('more')['error']['desc'],
            "Tenant 'acme' has all its 256 volumes.*'more'", 'error')
    daemon.qmp('blockdev-del', node_name='n7')
    # The sampler tidies up.
    ledger.serve(disk)
    eq(add('more'), {'return': {}}, 'in place of another')


main()
