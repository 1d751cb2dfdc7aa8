#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A write takes space that nobody was charged for: below an offset, past a
flush that goes nowhere, while a fast zero write waits for nobody."""

from quota_test import *


def thin_ledger(**state):
    ledger = Ledger('acme', **{'limit': '1G', 'grant': '1G', **state})
    ledger.sample(0)
    return ledger


def test_chunks_that_begin_elsewhere():
    # 32 KiB into the volume: each chunk of the node lies in two of the pool's.
    disk = make_file('disk', 64 * MIB)
    ledger = thin_ledger()
    for child, chunks in (
            ({'driver': 'file', 'filename': disk}, 8),
            ({'driver': 'raw', 'file': {'driver': 'file',
                                        'filename': disk}}, 8),
            ({'driver': 'raw', 'offset': 32 * KIB,
              'file': {'driver': 'file', 'filename': disk}}, 16)):
        daemon = StorageDaemon('--blockdev', options(
            driver='quota', node_name='quota', ledger=ledger.path,
            tenant='acme', file=child))
        can_write(daemon.export(), *[f'write {i}M 64k' for i in range(8)])
        at_least(daemon.quota()['charged-bytes'], chunks * 64 * KIB,
                 f'charged-bytes with {child}')
        # What is not known to be paid for is paid for again, and never less.
        at_most(daemon.quota()['charged-bytes'], 16 * 64 * KIB,
                f'charged-bytes with {child}')
        stop(daemon.process)


def test_child_reopened_without_flushes():
    disk = make_file('disk', 64 * MIB)
    ledger = thin_ledger()
    child = {'driver': 'file', 'node-name': 'file', 'filename': disk}
    daemon = StorageDaemon()
    daemon.qmp('blockdev-add', **child)
    daemon.qmp('blockdev-add', driver='quota', node_name='quota', file='file',
               ledger=ledger.path, tenant='acme')
    nbd = daemon.export()
    can_write(nbd, 'write 0 64k')
    daemon.qmp('blockdev-reopen', options=[
        {**child, 'cache': {'no-flush': True}}])
    # It would be settled before the host has allocated it.
    is_refused(nbd, 'write 1M 64k')
    event, = daemon.take_events('BLOCK_QUOTA_REFUSED')
    eq(event['reason'], 'accounting-lost', 'reason')
    can_write(nbd, 'write 0 64k')
    daemon.qmp('blockdev-reopen', options=[child])
    can_write(nbd, 'write 1M 64k')
    eq(daemon.quota()['in-flight-bytes'], 0, 'in-flight-bytes')


def test_fast_zero_write_waits_for_nobody():
    # There is no room, and nobody who makes some.
    disk = make_file('disk', 64 * MIB)
    ledger = thin_ledger(grant='64k')
    daemon = StorageDaemon('--blockdev', ledger.quota(
        disk, node_name='quota', wait_timeout=3, discard='unmap').replace(
            'file.driver=file', 'file.driver=file,file.discard=unmap'))
    nbd = daemon.export()
    can_write(nbd, 'write -zn 0 64k')
    begin = time.monotonic()
    matches(qemu_io(nbd, 'write -zn 1M 64k'), 'not supported', 'error')
    # Without new space it can be had, and space can be given back.
    can_write(nbd, 'write -zun 0 2M', args=('-d', 'unmap'))
    at_most(time.monotonic() - begin, 2, 'seconds')
    eq(daemon.quota()['refused'], 0, 'refused')
    eq(daemon.take_events('BLOCK_QUOTA_REFUSED'), [], 'events')
    is_refused(nbd, 'write -z 1M 64k')
    ledger.set(grant='1G')
    can_write(nbd, 'write -zn 1M 64k')
    eq(daemon.quota()['in-flight-bytes'], 0, 'in-flight-bytes')


main()
