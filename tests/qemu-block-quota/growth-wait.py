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
    eq(info['refused-writes']['total'], 0, 'refused')
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


def test_no_sampler_answers():
    disk = make_file('disk', 16 * MIB)
    ledger = Ledger('acme', limit='16M', grant='1M')
    ledger.sample(0)
    daemon, patient = (StorageDaemon('--blockdev', ledger.quota(
        name, node_name='quota', wait_timeout=timeout, volume=volume))
        for name, timeout, volume in ((disk, 1, 'root'),
                                      (make_file('data', 16 * MIB), NEVER,
                                       'data')))
    nbd = daemon.export()
    can_write(nbd, 'write -P 1 0 1M')
    # One that begins earlier and has more patience is still there afterwards.
    rings = ledger.show()['rings']
    other = start_qemu_io(patient.export(), 'write 4M 4k')
    wait_for('a patient write', lambda: ledger.show()['rings'] > rings)
    begin = time.monotonic()
    is_refused(nbd, 'write 4M 4k')
    at_least(time.monotonic() - begin, 1, 'seconds')
    eq(other.poll(), None, 'the patient write has ended')
    eq(daemon.quota()['growth-waits'], 1, 'growth-waits')
    # What exists can be used nevertheless.
    can_write(nbd, 'write -P 2 0 512k', 'read -P 1 512k 512k')
    event, = daemon.take_events('BLOCK_QUOTA_REFUSED')
    eq(event['reason'], 'accounting-lost', 'reason')
    eq(event['volume'], 'root', 'volume')
    # The sampler comes back: nothing to be done by hand.
    ledger.set(grant='16M')
    ledger.sample(1 * MIB)
    can_write(nbd, 'write 4M 4k')
    matches(said_by(other), 'wrote 4096', 'the patient write')
    eq(len(daemon.take_events('BLOCK_QUOTA_RECOVERED')), 1, 'recovered')


def test_sampler_that_dies_while_a_write_waits():
    disk = make_file('disk', 16 * MIB)
    ledger = Ledger('acme', limit='16M', step='4M', grant='1M', free='1G')
    ledger.serve(disk)
    stop(ledger.server)
    rings = ledger.show()['rings']
    writer = start_qemu_io(ledger.quota(disk, wait_timeout=NEVER),
                           'write -q -P 1 0 4M')
    wait_for('a write that waits', lambda: ledger.show()['rings'] > rings)
    time.sleep(0.5)
    eq(writer.poll(), None, 'writer has ended')
    ledger.serve(disk)
    eq(said_by(writer), '', 'what was said')


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
    eq(daemon.quota()['refused-writes']['total'], 1, 'refused')


main()
