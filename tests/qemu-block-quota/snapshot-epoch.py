#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""After a snapshot, a write goes uncounted because its chunk was paid for
before; or the snapshot waits for ever for a write."""

import random

from quota_test import *


def slow_disk(ledger, seconds, *args):
    """A daemon whose disk takes so long for each request."""
    return StorageDaemon(*args, '--blockdev', options(
        driver='quota', node_name='quota', volume='root', ledger=ledger.path,
        tenant=ledger.tenant, cache={'direct': True},
        file={'driver': 'null-co', 'size': 16 * MIB, 'cache': {'direct': True},
              'latency-ns': int(seconds * 1e9)}))


def served(grant):
    """A ledger that nobody samples again, and a daemon with a disk on it."""
    disk = make_file('root', 16 * MIB)
    ledger = Ledger('acme', limit='1G', grant=grant)
    ledger.sample(0)
    daemon = StorageDaemon('--blockdev', ledger.quota(
        disk, node_name='quota', volume='root'))
    return ledger, daemon, daemon.export()


def snapshot(ledger, *verbs):
    """How many seconds it takes, all of it or a part."""
    begin = time.monotonic()
    for verb in verbs or ('begin', 'wait', 'end'):
        ledger.epoch(verb, 'root')
    return time.monotonic() - begin


def test_paid_chunks_are_charged_again():
    ledger, daemon, nbd = served('1G')

    def charged():
        return daemon.quota()['charged-bytes']
    can_write(nbd, 'write 0 1M', 'write 0 1M')
    eq(charged(), MIB, 'charged once')
    snapshot(ledger)
    can_write(nbd, 'write 0 64k', 'write 0 64k')
    eq(charged(), MIB + 64 * KIB, 'charged for one chunk again')
    # Partly paid for.
    can_write(nbd, 'write 0 128k', 'write 0 128k')
    eq(charged(), MIB + 128 * KIB, 'charged for the second chunk')
    # Another volume's snapshot.
    ledger.epoch('begin', 'data')
    ledger.epoch('end', 'data')
    can_write(nbd, 'write 0 128k')
    eq(charged(), MIB + 128 * KIB, "charged after another volume's snapshot")

    # While one is being taken, each write is charged, and none is remembered.
    snapshot(ledger, 'begin', 'wait')
    can_write(nbd, 'write 0 64k', 'write 0 64k', 'write -z 0 128k')
    eq(charged(), MIB + 6 * 64 * KIB, 'charged while it is taken')
    ledger.epoch('end', 'root')
    can_write(nbd, 'write 0 64k', 'write 0 64k')
    eq(charged(), MIB + 7 * 64 * KIB, 'charged afterwards')
    eq(daemon.quota()['in-flight-bytes'], 0, 'in-flight-bytes')


def test_snapshot_waits_for_a_paid_write():
    ledger = Ledger('acme', limit='1G', grant='1G')
    ledger.sample(0)
    daemon = slow_disk(ledger, 2)
    nbd = daemon.export()
    # Nobody counts on anything while the first write is in flight.
    first = start_qemu_io(nbd, 'write -q 0 64k')
    wait_for('the reservation', lambda: daemon.quota()['charged-bytes'])
    at_most(snapshot(ledger), 1, 'seconds that it waited in vain')
    eq(first.wait(10), 0, 'status of qemu-io')
    # It was not remembered: the snapshot came between.
    can_write(nbd, 'write 0 64k')
    eq(daemon.quota()['charged-bytes'], 2 * 64 * KIB, 'charged-bytes')

    paid = start_qemu_io(nbd, 'write -q 0 64k')
    time.sleep(1)
    waited = snapshot(ledger, 'begin', 'wait')
    at_least(waited, 0.2, 'seconds that it waited')
    at_most(waited, 3, 'seconds that it waited')
    eq(paid.wait(10), 0, 'status of qemu-io')
    eq(daemon.quota()['charged-bytes'], 2 * 64 * KIB, 'charged-bytes')
    ledger.epoch('end', 'root')


def test_snapshot_does_not_wait_for_a_killed_writer():
    ledger = Ledger('acme', limit='1G', grant='1G')
    ledger.sample(0)
    daemon = slow_disk(ledger, 2)
    nbd = daemon.export()
    can_write(nbd, 'write 0 64k')
    start_qemu_io(nbd, 'write -q 0 64k')
    time.sleep(0.5)
    ledger.epoch('begin', 'root')
    stop(daemon.process)
    at_most(snapshot(ledger, 'wait'), 1, 'seconds')


def test_growth_that_comes_after_the_snapshot():
    # Whoever grows the pool waits for the snapshot, which must not wait for a
    # write that waits for growth: that write has unpaid chunks and a paid one.
    ledger, daemon, nbd = served('64k')
    can_write(nbd, 'write 0 64k')
    writer = start_qemu_io(nbd, 'write -q -P 5 0 128k')
    time.sleep(0.5)
    at_most(snapshot(ledger), 2, 'seconds')
    eq(writer.poll(), None, 'writer has ended')
    ledger.set(grant='1G')
    ledger.sample(64 * KIB)
    eq(said_by(writer, 10), '', 'what was said')
    # What it counted on had passed: it was charged for both chunks.
    eq(daemon.quota()['charged-bytes'], 3 * 64 * KIB, 'charged-bytes')
    can_write(nbd, 'read -P 5 0 128k')


def test_overwrite_at_the_limit_during_a_snapshot():
    disk = make_file('root', 16 * MIB)
    can_write(quota_on(disk), 'write -P 1 0 1M')
    ledger = Ledger('acme', limit='1M', grant='1M', free='1G')
    ledger.serve(disk)
    daemon = StorageDaemon('--blockdev', ledger.quota(
        disk, node_name='quota', volume='root'))
    nbd = daemon.export()
    ledger.epoch('begin', 'root')
    # It does not fail, and is not let through before the snapshot is there.
    writer = start_qemu_io(nbd, 'write -q -P 2 0 64k')
    time.sleep(1)
    eq(writer.poll(), None, 'writer has ended')
    snapshot(ledger, 'wait', 'end')
    eq(said_by(writer, 10), '', 'what was said')
    can_write(nbd, 'read -P 2 0 64k', 'read -P 1 64k 960k')


def test_many_snapshots_under_writes():
    seed = random.randrange(1 << 32)
    print(f'  seed {seed}')
    rng = random.Random(seed)
    disk = make_file('root', 16 * MIB)
    ledger = Ledger('acme', limit='16M', step='1M', grant='1M', free='1G')
    ledger.serve(disk)
    daemon = StorageDaemon('--object', 'iothread,id=thread', '--blockdev',
                           ledger.quota(disk, node_name='quota',
                                        volume='root'))
    nbd = daemon.export(iothread='thread', fixed_iothread=False)
    chunks = [rng.randrange(256) for _ in range(4000)]
    commands = [f'aio_write -q -P {1 + c % 250} {c * 64}k 64k' for c in chunks]
    with open(path('said'), 'w', encoding='utf-8') as said:
        writer = start_qemu_io(nbd, *commands, 'aio_flush', stdout=said)
    snapshots = 0
    while writer.poll() is None:
        snapshot(ledger)
        snapshots += 1
    with open(path('said'), encoding='utf-8') as said:
        eq(said.read(), '', 'what was said')
    print(f'  {snapshots} snapshots')
    at_least(snapshots, 3, 'snapshots')
    can_write(nbd, *[f'read -q -P {1 + c % 250} {c * 64}k 64k'
                     for c in set(chunks)])
    info = daemon.quota()
    eq(info['in-flight-bytes'], 0, 'in-flight-bytes')
    at_least(info['charged-bytes'], len(set(chunks)) * 64 * KIB,
             'charged-bytes')
    wait_for('the sample', lambda: ledger.show()['unsampled'] == 0)


main()
