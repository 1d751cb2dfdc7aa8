#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A write that waits for room at a limit fails although room came in time, waits
longer than it may, or holds up a drain."""

from quota_test import *


def waits(daemon):
    wait_for('a write that waits at the limit',
             lambda: daemon.quota()['limit-waiting'] == 1)


def served(limit_timeout, **state):
    disk = make_file('root', 16 * MIB)
    state = dict(dict(limit='1M', step='1M', grant='1M', free='1G'), **state)
    ledger = Ledger('acme', **state)
    ledger.serve(disk)
    daemon = StorageDaemon('--blockdev', ledger.quota(
        disk, node_name='quota', volume='root', limit_timeout=limit_timeout))
    return ledger, daemon, daemon.export()


def file_node(daemon):
    return [n['node-name'] for n in daemon.qmp('query-named-block-nodes')
            if n['drv'] == 'file'][0]


def reopen(daemon, ledger):
    """Drain the node; from now on nothing waits at a limit."""
    daemon.qmp('blockdev-reopen', options=[
        {'driver': 'quota', 'node-name': 'quota', 'file': file_node(daemon),
         'ledger': ledger.path, 'tenant': 'acme', 'volume': 'root',
         'limit-timeout': 0}])


def test_raised_in_time():
    ledger, daemon, nbd = served(NEVER)
    can_write(nbd, 'write -P 1 0 1M')
    child = start_qemu_io(nbd, 'write -q -P 2 4M 64k')
    waits(daemon)
    event, = daemon.take_events('BLOCK_QUOTA_WAITING')
    eq(event, {'node-name': 'quota', 'tenant': 'acme', 'volume': 'root',
               'reason': 'tenant-limit', 'bytes': 64 * KIB,
               'limit-bytes': MIB, 'used-bytes': MIB}, 'event')
    info = daemon.quota()
    eq((info['limit-state'], info['limit-reason']),
       ('waiting', 'tenant-limit'), 'state')
    # Overwrites and reads do not wait for it.
    can_write(nbd, 'write -P 3 0 64k', 'read -P 1 64k 64k')
    eq(child.poll(), None, 'writer has ended')
    ledger.set(limit='4M')
    eq(said_by(child), '', 'what was said')
    can_write(nbd, 'read -P 2 4M 64k')
    info = daemon.quota()
    eq((info['limit-waits'], info['limit-waiting'],
        info['refused-writes']['total'], info['tenant-refused-writes'],
        ledger.show()['refused']), (1, 0, 0, 0, 0), 'counters')
    eq((info['limit-state'], 'limit-reason' in info), ('admitting', False),
       'state, with room')
    at_least(info['limit-wait-ns'], 1, 'limit-wait-ns')
    eq(len(daemon.take_events('BLOCK_QUOTA_RECOVERED')), 1, 'recovered')
    eq(daemon.take_events('BLOCK_QUOTA_REFUSED'), [], 'refused')


def test_deleted_in_time():
    disk = make_file('disk', 16 * MIB)
    image = quota_on(disk, node_name='quota', limit='1M', limit_timeout=NEVER,
                     discard='unmap')
    daemon = StorageDaemon('--blockdev', image.replace(
        'file.driver=file', 'file.driver=file,file.discard=unmap'))
    nbd = daemon.export()
    can_write(nbd, 'write 0 1M')
    child = start_qemu_io(nbd, 'write -q -P 2 4M 64k')
    waits(daemon)
    can_write(nbd, 'discard 0 64k')
    eq(said_by(child), '', 'what was said')
    can_write(nbd, 'read -P 2 4M 64k')
    eq(daemon.quota()['limit-waits'], 1, 'limit-waits')


def test_no_room_is_made():
    for reason, state in (('tenant-limit', {}),
                          ('group-full', {'limit': '8M', 'free': '0'})):
        ledger, daemon, nbd = served(2, **state)
        can_write(nbd, 'write 0 1M')
        # One that begins earlier and has more patience is still there
        # afterwards.
        patient = StorageDaemon('--blockdev', ledger.quota(
            make_file('data', 16 * MIB), node_name='quota', volume='data',
            limit_timeout=NEVER))
        other = start_qemu_io(patient.export(), 'write 4M 64k')
        waits(patient)
        begin = time.monotonic()
        is_refused(nbd, 'write 4M 64k')
        at_least(time.monotonic() - begin, 2, 'seconds')
        eq(other.poll(), None, 'the patient write has ended')
        stop(patient.process)
        stop(other)
        eq([daemon.take_events(f'BLOCK_QUOTA_{what}')[0]['reason']
            for what in ('WAITING', 'REFUSED')], [reason] * 2, 'events')
        info = daemon.quota()
        eq((info['refused-writes']['total'], info['refused-writes'][reason],
            info['tenant-refused-writes'], ledger.show()['refused'],
            info['limit-waits']), (1, 1, 1, 1, 1), 'counters')
        stop(ledger.server)
        stop(daemon.process)
        shutil.rmtree(path('run'))


def test_volume_limit_waits_too():
    ledger, daemon, nbd = served(NEVER, limit='8M', grant='8M')
    ledger.volume('root', limit='1M')
    can_write(nbd, 'write 0 1M')
    child = start_qemu_io(nbd, 'write -q 4M 64k')
    waits(daemon)
    event, = daemon.take_events('BLOCK_QUOTA_WAITING')
    eq((event['reason'], event['volume-limit-bytes']), ('volume-limit', MIB),
       'event')
    ledger.volume('root', limit='4M')
    eq(said_by(child), '', 'what was said')


def test_writes_to_one_chunk_do_not_wait_in_turn():
    _, daemon, nbd = served(2)
    can_write(nbd, 'write 0 1M')
    seconds = {}
    for count in 1, 8:
        begin = time.monotonic()
        said = qemu_io(nbd, *[f'aio_write {4096 + i * 4}k 4k'
                              for i in range(count)], 'aio_flush')
        seconds[count] = time.monotonic() - begin
        eq(said.count('No space left'), count, f'refusals in: {said}')
    # Eight in turn would take eight times as long.
    at_most(seconds[8], 3 * seconds[1], 'seconds of eight')
    eq(daemon.quota()['refused-writes']['total'], 9, 'refused')


def test_without_the_option_nothing_waits():
    _, daemon, nbd = served(0)
    can_write(nbd, 'write 0 1M')
    is_refused(nbd, 'write 4M 64k')
    eq(daemon.take_events('BLOCK_QUOTA_WAITING'), [], 'events')
    eq(daemon.quota()['limit-waits'], 0, 'limit-waits')


def test_sampler_that_dies_meanwhile():
    disk = make_file('disk', 16 * MIB)
    ledger = Ledger('acme', limit='1M', step='1M', grant='1M', free='1G')
    ledger.serve(disk)
    daemon = StorageDaemon('--blockdev', ledger.quota(
        disk, node_name='quota', limit_timeout=NEVER, wait_timeout=1))
    nbd = daemon.export()
    can_write(nbd, 'write 0 1M')
    child = start_qemu_io(nbd, 'write 4M 64k')
    waits(daemon)
    stop(ledger.server)
    matches(said_by(child), 'No space left', 'the write')
    event, = daemon.take_events('BLOCK_QUOTA_REFUSED')
    eq(event['reason'], 'accounting-lost', 'reason')


def drained_by(drain, program_class=StorageDaemon):
    """A drain ends the wait."""
    disk = make_file('disk', 16 * MIB)
    ledger = Ledger('acme', limit='1M', step='1M', grant='1M', free='1G')
    ledger.serve(disk)
    daemon = program_class(
        '--blockdev', ledger.quota(disk, node_name='quota', volume='root',
                                   limit_timeout=NEVER),
        '--blockdev', 'driver=raw,node-name=fmt,file=quota')
    nbd = daemon.export('fmt')
    can_write(nbd, 'write 0 1M')
    child = start_qemu_io(nbd, 'write 4M 64k')
    waits(daemon)
    drain(daemon, ledger)
    matches(said_by(child), 'No space left', 'the write')
    info = daemon.quota()
    eq((info['limit-waiting'], info['refused-writes']['total']), (0, 1),
       'waiting, refused')
    return daemon, nbd


def test_drain_of_the_node():
    daemon, nbd = drained_by(reopen)
    # The option was changed live.
    is_refused(nbd, 'write 4M 64k')
    eq(daemon.quota()['limit-waits'], 1, 'limit-waits')


def test_drain_of_a_node_above():
    # Of that node and its parents alone, before any other is drained.
    def mirror(daemon, _ledger):
        daemon.qmp('blockdev-add', driver='null-co', node_name='target',
                   size=16 * MIB)
        daemon.qmp('blockdev-mirror', job_id='job', device='fmt',
                   target='target', sync='none')

    drained_by(mirror)


def test_guest_that_is_stopped():
    def stop_and_go_on(machine, _ledger):
        machine.qmp('stop')
        machine.qmp('cont')

    drained_by(stop_and_go_on, Machine)


main()
