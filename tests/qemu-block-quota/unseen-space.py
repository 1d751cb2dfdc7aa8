#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A write takes space that no tenant was charged for: below an offset, past a
flush that is ignored, during a fast zero write that waits for nothing."""

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
        # Chunks that are not known to be charged are charged again, never less.
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


def test_fast_zero_write_does_not_wait():
    # There is no room, and no sampler that makes some.
    disk = make_file('disk', 64 * MIB)
    ledger = thin_ledger(grant='64k')
    daemon = StorageDaemon('--blockdev', ledger.quota(
        disk, node_name='quota', wait_timeout=1, discard='unmap').replace(
            'file.driver=file', 'file.driver=file,file.discard=unmap'))
    nbd = daemon.export()
    can_write(nbd, 'write -zn 0 64k')
    matches(qemu_io(nbd, 'write -zn 1M 64k'), 'not supported', 'error')
    # Without new space it can be had, and space can be given back.
    can_write(nbd, 'write -zun 0 2M', args=('-d', 'unmap'))
    eq(daemon.quota()['growth-waits'], 0, 'waits')
    eq(daemon.quota()['refused-writes']['total'], 0, 'refused')
    eq(daemon.take_events('BLOCK_QUOTA_REFUSED'), [], 'events')
    is_refused(nbd, 'write -z 1M 64k')
    eq(daemon.quota()['growth-waits'], 1, 'waits of one that is not fast')
    ledger.set(grant='1G')
    can_write(nbd, 'write -zn 1M 64k')
    eq(daemon.quota()['in-flight-bytes'], 0, 'in-flight-bytes')


main()
