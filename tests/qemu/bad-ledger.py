#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A ledger that is none, or is somebody else's, is written to all the same."""

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
            'quota-lvmd')


def test_truncated():
    spoilt('length', 'is truncated', 'make it anew')


def test_empty():
    disk = make_file('disk', MIB)
    refused(quota_on(disk, ledger=make_file('empty', 0), tenant='acme'),
            'is truncated', 'make it anew')


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


def test_damaged():
    spoilt('checksum', 'is damaged', 'make it anew')


def test_from_before_the_boot():
    spoilt('boot', 'from before the last boot', 'make it anew')


def test_of_another_tenant():
    disk = make_file('disk', MIB)
    ledger = Ledger('globex', limit='1G', grant='1G')
    refused(quota_on(disk, ledger=ledger.path, tenant='acme'),
            "belongs to tenant 'globex', not to 'acme'",
            "volume's own tenant")
    eq(ledger.show()['slots'], 0, 'slots left behind')


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


def test_read_only_descriptor():
    disk = make_file('disk', MIB)
    ledger = Ledger('acme', limit='1G', grant='1G')
    daemon = Machine()
    fd = os.open(ledger.path, os.O_RDONLY)
    number = daemon.qmp('add-fd', fd=fd)['fdset-id']
    reply = daemon.ask('blockdev-add', driver='quota', node_name='quota',
                       file={'driver': 'file', 'filename': disk},
                       ledger=f'/dev/fdset/{number}', tenant='acme')
    matches(reply['error']['desc'], 'cannot be opened for writing', 'error')


def test_cache_that_is_thrown_away():
    # Space is taken when the page cache is written back: the charge for it
    # cannot be settled before that, and cache=unsafe never says when.
    disk = make_file('disk', MIB)
    ledger = Ledger('acme', limit='1G', grant='1G')
    said = qemu_io(ledger.quota(disk), 'write 0 4k', args=('-t', 'unsafe'))
    matches(said, 'cache.no-flush=on', 'error')
    eq(os.stat(disk).st_blocks, 0, 'blocks written')


def test_all_slots_taken():
    disk = make_file('disk', MIB)
    ledger = Ledger('acme', limit='1G', grant='1G')
    daemon = Machine()
    number = daemon.qmp('add-fd', fd=os.open(ledger.path, os.O_RDWR))
    daemon.qmp('blockdev-add', driver='file', node_name='file', filename=disk,
               read_only=True)
    for i in range(256):
        daemon.qmp('blockdev-add', driver='quota', node_name=f'n{i}',
                   file='file', ledger=f'/dev/fdset/{number["fdset-id"]}',
                   tenant='acme', read_only=True)
    reply = daemon.ask('blockdev-add', driver='quota', node_name='more',
                       file='file', tenant='acme', read_only=True,
                       ledger=f'/dev/fdset/{number["fdset-id"]}')
    matches(reply['error']['desc'], "no slot left.*'acme'.*256", 'error')
    daemon.qmp('blockdev-del', node_name='n7')
    daemon.qmp('blockdev-add', driver='quota', node_name='more',
               file='file', tenant='acme', read_only=True,
               ledger=f'/dev/fdset/{number["fdset-id"]}')


main()
