#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A write that needs space fails, or hangs, while its thin pool grows."""

from quota_test import *


def test_writes_wait_while_the_pool_grows():
    disk = make_file('disk', 16 * MIB)
    ledger = Ledger('acme', limit='16M', step='1M', grant='1M', free='1G')
    ledger.serve(disk, slow=50)
    daemon = StorageDaemon('--blockdev', ledger.quota(disk, node_name='quota'))
    nbd = daemon.export()
    begin = time.monotonic()
    can_write(nbd, *[f'aio_write -q -P {1 + i % 7} {i * 64}k 64k'
                     for i in range(256)], 'aio_flush')
    seconds = time.monotonic() - begin
    at_least(seconds, 15 * 0.05, 'seconds')
    can_write(nbd, *[f'read -q -P {1 + i % 7} {i * 64}k 64k'
                     for i in range(256)])
    info = daemon.quota()
    at_least(info['growth-waits'], 15, 'growth-waits')
    eq(info['charged-bytes'], 16 * MIB, 'charged-bytes')
    eq(info['in-flight-bytes'], 0, 'in-flight-bytes')
    eq(info['refused'], 0, 'refused')
    eq(daemon.take_events('BLOCK_QUOTA_REFUSED'), [], 'events')
    eq(allocated('disk'), 16 * MIB, 'allocated')
    wait_for('the sample', lambda: ledger.show()['used'] == 16 * MIB)


def test_one_request_larger_than_a_step():
    disk = make_file('disk', 16 * MIB)
    ledger = Ledger('acme', limit='16M', step='1M', grant='1M', free='1G')
    ledger.serve(disk)
    can_write(ledger.quota(disk), 'write -P 1 0 16M', 'read -P 1 0 16M')


def test_group_full_is_told_apart():
    disk = make_file('disk', 16 * MIB)
    ledger = Ledger('acme', limit='16M', step='1M', grant='1M', free='1M')
    ledger.serve(disk)
    daemon = StorageDaemon('--blockdev', ledger.quota(disk, node_name='quota'))
    nbd = daemon.export()
    can_write(nbd, 'write 2M 2M')
    is_refused(nbd, 'write 8M 64k')
    event, = daemon.take_events('BLOCK_QUOTA_REFUSED')
    eq(event['reason'], 'group-full', 'reason')
    eq((event['limit-bytes'], event['used-bytes']), (16 * MIB, 2 * MIB),
       'limit and used')


def test_nobody_answers():
    disk = make_file('disk', 16 * MIB)
    ledger = Ledger('acme', limit='16M', grant='1M')
    ledger.sample(0)
    daemon = StorageDaemon('--blockdev', ledger.quota(
        disk, node_name='quota', wait_timeout=1, volume='root'))
    nbd = daemon.export()
    can_write(nbd, 'write -P 1 0 1M')
    begin = time.monotonic()
    is_refused(nbd, 'write 4M 4k')
    seconds = time.monotonic() - begin
    at_least(seconds, 1, 'seconds')
    at_most(seconds, 3, 'seconds')
    # What exists can be used nevertheless.
    can_write(nbd, 'write -P 2 0 512k', 'read -P 1 512k 512k')
    event, = daemon.take_events('BLOCK_QUOTA_REFUSED')
    eq(event['reason'], 'accounting-lost', 'reason')
    eq(event['volume'], 'root', 'volume')
    # The sampler comes back: nothing to be done by hand.
    ledger.set(grant='16M')
    ledger.sample(1 * MIB)
    can_write(nbd, 'write 4M 4k')
    eq(len(daemon.take_events('BLOCK_QUOTA_RECOVERED')), 1, 'recovered')


def test_sampler_that_dies_while_a_write_waits():
    disk = make_file('disk', 16 * MIB)
    ledger = Ledger('acme', limit='16M', step='4M', grant='1M', free='1G')
    ledger.serve(disk)
    stop(ledger.server)
    writer = start_qemu_io(ledger.quota(disk), 'write -q -P 1 0 4M')
    time.sleep(0.5)
    eq(writer.poll(), None, 'writer has ended')
    ledger.serve(disk)
    eq(said_by(writer, 10), '', 'what was said')


def test_chunk_size_that_becomes_known_late():
    disk = make_file('disk', 16 * MIB)
    ledger = Ledger('acme', chunk=0)
    daemon = StorageDaemon('--blockdev', ledger.quota(disk, node_name='quota'))
    nbd = daemon.export()
    ledger.set(limit='1G', grant='1G', chunk='192k')
    ledger.sample(0)
    can_write(nbd, 'write 188k 8k', 'write 384k 4k', 'write 0 4k')
    eq(daemon.quota()['charged-bytes'], 3 * 192 * KIB, 'charged-bytes')
    ledger.set(chunk='100k')
    is_refused(nbd, 'write 8M 4k')
    eq(daemon.quota()['refused'], 1, 'refused')


main()
