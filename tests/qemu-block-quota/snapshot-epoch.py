#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""After a snapshot, a write goes uncounted because its chunk was charged
before; or the snapshot waits for ever for a write."""

import random

from quota_test import *


class HeldDisk:
    """A ledger that nobody samples, and a daemon with a disk on it.  The disk
    belongs to another daemon, which can be stopped to hold its requests."""

    def __init__(self):
        self.ledger = Ledger('acme', limit='1G', grant='1G')
        self.ledger.sample(0)
        self.disk = StorageDaemon('--blockdev', options(
            driver='null-co', node_name='quota', size=16 * MIB))
        file = self.disk.export() + ',cache.direct=on'
        self.daemon = StorageDaemon('--blockdev', options(
            driver='quota', node_name='quota', volume='root',
            ledger=self.ledger.path, tenant='acme', cache={'direct': True}) +
            ''.join(f',file.{word}' for word in file.split(',')))
        self.nbd = self.daemon.export()

    def hold(self):
        self.disk.process.send_signal(signal.SIGSTOP)

    def release(self):
        self.disk.process.send_signal(signal.SIGCONT)

    def start_charged_write(self):
        """In flight, and held, when this returns."""
        self.hold()
        writer = start_qemu_io(self.nbd, 'write -q 0 64k')
        wait_for('a write to charged chunks',
                 lambda: self.ledger.show()['root.charged'])
        return writer


def served(grant):
    """A ledger that nobody samples again, and a daemon with a disk on it."""
    disk = make_file('root', 16 * MIB)
    ledger = Ledger('acme', limit='1G', grant=grant)
    ledger.sample(0)
    daemon = StorageDaemon('--blockdev', ledger.quota(
        disk, node_name='quota', volume='root', wait_timeout=NEVER))
    return ledger, daemon, daemon.export()


def snapshot(ledger, *verbs):
    """All of it or a part; it must not wait for ever."""
    for verb in verbs or ('begin', 'wait', 'end'):
        ledger.epoch(verb, 'root')


def test_charged_chunks_are_charged_again():
    ledger, daemon, nbd = served('1G')

    def charged():
        return daemon.quota()['charged-bytes']
    can_write(nbd, 'write 0 1M', 'write 0 1M')
    eq(charged(), MIB, 'charged once')
    snapshot(ledger)
    can_write(nbd, 'write 0 64k', 'write 0 64k')
    eq(charged(), MIB + 64 * KIB, 'charged for one chunk again')
    # Partly charged.
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


def test_snapshot_waits_for_a_charged_write():
    held = HeldDisk()
    ledger, daemon = held.ledger, held.daemon
    # No write relies on a charge while the first one is in flight.
    held.hold()
    first = start_qemu_io(held.nbd, 'write -q 0 64k')
    wait_for('the reservation', lambda: daemon.quota()['charged-bytes'])
    snapshot(ledger)
    held.release()
    eq(said_by(first), '', 'what was said')
    # It was not remembered: the snapshot came between.
    can_write(held.nbd, 'write 0 64k')
    eq(daemon.quota()['charged-bytes'], 2 * 64 * KIB, 'charged-bytes')

    charged = held.start_charged_write()
    snapshot(ledger, 'begin')
    ledger.must_wait('root')
    held.release()
    snapshot(ledger, 'wait')
    eq(said_by(charged), '', 'what was said')
    eq(daemon.quota()['charged-bytes'], 2 * 64 * KIB, 'charged-bytes')
    ledger.epoch('end', 'root')


def test_snapshot_does_not_wait_for_a_killed_writer():
    held = HeldDisk()
    can_write(held.nbd, 'write 0 64k')
    held.start_charged_write()
    snapshot(held.ledger, 'begin')
    held.ledger.must_wait('root')
    stop(held.daemon.process)
    snapshot(held.ledger, 'wait')


def test_growth_that_comes_after_the_snapshot():
    # Growth of the pool waits for the snapshot, which must not wait for a
    # write that waits for growth: that write has uncharged chunks and a charged
    # one.
    ledger, daemon, nbd = served('64k')
    can_write(nbd, 'write 0 64k')
    rings = ledger.show()['rings']
    writer = start_qemu_io(nbd, 'write -q -P 5 0 128k')
    wait_for('a write that waits for growth',
             lambda: ledger.show()['rings'] > rings)
    snapshot(ledger)
    eq(writer.poll(), None, 'writer has ended')
    ledger.set(grant='1G')
    ledger.sample(64 * KIB)
    eq(said_by(writer), '', 'what was said')
    # The charge it relied on was void: it was charged for both chunks.
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
    rings = ledger.show()['rings']
    writer = start_qemu_io(nbd, 'write -q -P 2 0 64k')
    wait_for('a write that was refused',
             lambda: ledger.show()['rings'] > rings)
    time.sleep(1)
    eq(writer.poll(), None, 'writer has ended')
    snapshot(ledger, 'wait', 'end')
    eq(said_by(writer), '', 'what was said')
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
    snapshots = 0
    # Again, should three snapshots have taken longer than all writes.
    while snapshots < 3:
        with open(path('said'), 'w', encoding='utf-8') as said:
            writer = start_qemu_io(nbd, *commands, 'aio_flush', stdout=said)
        while writer.poll() is None:
            snapshot(ledger)
            snapshots += 1
        with open(path('said'), encoding='utf-8') as said:
            eq(said.read(), '', 'what was said')
    print(f'  {snapshots} snapshots')
    can_write(nbd, *[f'read -q -P {1 + c % 250} {c * 64}k 64k'
                     for c in set(chunks)])
    info = daemon.quota()
    eq(info['in-flight-bytes'], 0, 'in-flight-bytes')
    at_least(info['charged-bytes'], len(set(chunks)) * 64 * KIB,
             'charged-bytes')
    wait_for('the sample', lambda: ledger.show()['unsampled'] == 0)


main()
