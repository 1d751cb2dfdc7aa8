#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""At the limit: data or an event is lost, an event is sent twice, or one byte too
many is written; below a lowered limit the volume is unusable."""

from quota_test import *


def test_raised_limit_completes_the_same_write():
    disk = make_file('disk', 16 * MIB)
    ledger = Ledger('acme', limit='4M', step='1M', grant='1M', free='1G')
    ledger.serve(disk)
    daemon = StorageDaemon('--blockdev', ledger.quota(
        disk, node_name='quota', volume='root'))
    nbd = daemon.export()
    can_write(nbd, 'write -P 1 0 4M')
    is_refused(nbd, 'write -P 2 4M 64k', 'write -P 2 4M 64k', 'write 8M 1M')

    event, = daemon.take_events('BLOCK_QUOTA_REFUSED')
    eq(event, {'node-name': 'quota', 'tenant': 'acme', 'volume': 'root',
               'reason': 'tenant-limit', 'bytes': 64 * KIB,
               'limit-bytes': 4 * MIB, 'used-bytes': 4 * MIB}, 'event')
    info = daemon.quota()
    eq((info['limit-state'], info['limit-reason']),
       ('refusing', 'tenant-limit'), 'state')
    eq(info['refused-writes']['total'], 3, 'refused')
    eq(info['sample-reason'], 'tenant-limit', 'sample-reason')
    eq(info['used-bytes'], 4 * MIB, 'used-bytes')
    eq(info['available-bytes'], 0, 'available-bytes')
    eq(daemon.take_events('BLOCK_QUOTA_RECOVERED'), [], 'recovered')
    # An overwrite is not a recovery.
    can_write(nbd, 'write -P 1 1M 64k')
    eq(daemon.take_events('BLOCK_QUOTA_RECOVERED'), [], 'recovered')

    ledger.set(limit='8M')
    can_write(nbd, 'write -P 2 4M 64k', 'read -P 1 0 4M', 'read -P 2 4M 64k',
              'read -P 0 8M 1M')
    event, = daemon.take_events('BLOCK_QUOTA_RECOVERED')
    eq(event['limit-bytes'], 8 * MIB, 'limit-bytes')
    eq(daemon.quota()['limit-state'], 'admitting', 'limit-state')

    # The next refusal sends its event again.
    is_refused(nbd, 'write 8M 8M')
    eq(len(daemon.take_events('BLOCK_QUOTA_REFUSED')), 1, 'refused again')


def test_statistics_say_the_same():
    disk = make_file('disk', 16 * MIB)
    ledger = Ledger('acme', limit='4M', thick='1M', grant='2M', free='1G')
    ledger.serve(disk)
    daemon = StorageDaemon('--blockdev', ledger.quota(disk, node_name='quota'))
    can_write(daemon.export(), 'write 0 1M')
    wait_for('the sample', lambda: ledger.show()['sampled'] == MIB)
    stop(ledger.server)
    begin = time.monotonic_ns()
    ledger.sample(MIB)
    info = daemon.quota()
    at_most(info['sample-age-ns'], time.monotonic_ns() - begin,
            'sample-age-ns')
    shown = ledger.show()
    for name in ('limit', 'thick', 'grant', 'sampled', 'unsampled', 'used',
                 'available'):
        eq(info[f'{name}-bytes'], shown[name], name)
    eq(info['used-bytes'], 2 * MIB, 'used-bytes')
    eq(info['volume'], 'quota', 'volume')
    node, = [n for n in daemon.qmp('query-blockstats', query_nodes=True)
             if n['node-name'] == 'quota']
    eq(node['driver-specific']['charged-bytes'], MIB, 'query-blockstats')


def test_limit_lowered_below_what_is_used():
    disk = make_file('disk', 16 * MIB)
    ledger = Ledger('acme', limit='8M', step='1M', grant='8M', free='1G')
    ledger.serve(disk)
    can_write(ledger.quota(disk), 'write -P 1 0 4M', 'write -P 0 4M 64k')
    ledger.set(limit='2M')
    wait_for('the sample', lambda: ledger.show()['available'] == 0)

    # A node without charged chunks.
    daemon = StorageDaemon('--blockdev', ledger.quota(
        disk, node_name='quota', discard='unmap').replace(
            'file.driver=file', 'file.driver=file,file.discard=unmap'))
    nbd = daemon.export()
    is_refused(nbd, 'write 8M 64k', 'write -z 8M 64k')
    can_write(nbd, 'read -P 1 0 4M', 'write -P 2 0 4k', 'write -P 3 1M 1M',
              'read -P 2 0 4k', 'read -P 3 1M 1M', 'read -P 1 4k 1020k')
    eq(daemon.quota()['used-bytes'], 4 * MIB + 64 * KIB, 'used-bytes')
    can_write(nbd, 'discard 0 4M')
    wait_for('the sample', lambda: ledger.show()['used'] == 64 * KIB)
    can_write(nbd, 'write 8M 64k')
    eq(len(daemon.take_events('BLOCK_QUOTA_RECOVERED')), 1, 'recovered')


def test_last_chunks_under_sixteen_writers():
    # 64 chunks for 16 processes that want 16 each.
    files = [make_file(f'disk{i}', MIB) for i in range(16)]
    ledger = Ledger('acme', limit='4M', step='1M', grant='1M', free='1G')
    ledger.serve(*files)
    commands = [f'aio_write -q -P 9 {i * 64}k 64k' for i in range(16)]
    writers = [start_qemu_io(ledger.quota(f), *commands, 'aio_flush')
               for f in files]
    said = ''.join(map(said_by, writers))
    eq(said.count('No space left'), 256 - 64, 'refusals')
    eq(sum(allocated(f) for f in files), 4 * MIB, 'allocated')
    wait_for('the sample', lambda: ledger.show()['used'] == 4 * MIB)
    eq(ledger.show()['writers'], 0, 'writers')


def test_killed_writer_leaks_nothing():
    disk = make_file('disk', 64 * MIB)
    ledger = Ledger('acme', limit='8M', grant='8M', free='1G')
    ledger.serve(disk)
    for _ in range(5):
        writer = start_qemu_io(ledger.quota(disk), *[
            f'aio_write -q {i * 256}k 64k' for i in range(200)],
            'aio_flush', 'sleep 60000', stdout=subprocess.DEVNULL)
        time.sleep(0.08)
        stop(writer)
    wait_for('the audit', lambda: ledger.show()['writers'] == 0)
    wait_for('the sample', lambda: ledger.show()['unsampled'] == 0)
    eq(ledger.show()['used'], allocated('disk'), 'used')
    at_most(allocated('disk'), 8 * MIB, 'allocated')


def test_reopen_keeps_the_ledger():
    disk = make_file('disk', 16 * MIB)
    ledger = Ledger('acme', limit='8M', grant='8M')
    other = Ledger('globex', limit='8M', grant='8M')
    ledger.sample(0)
    node = {'driver': 'quota', 'node-name': 'quota', 'file': 'file',
            'ledger': ledger.path, 'tenant': 'acme'}
    daemon = StorageDaemon()
    daemon.qmp('blockdev-add', driver='file', node_name='file', filename=disk)
    daemon.qmp('blockdev-add', **node)
    can_write(daemon.export(), 'write 0 1M')
    reply = daemon.ask('blockdev-reopen', options=[
        dict(node, ledger=other.path, tenant='globex')])
    matches(reply['error']['desc'], "'tenant' and 'volume' of quota node 'quota'"
            ' cannot be changed', 'error')
    reply = daemon.ask('blockdev-reopen', options=[
        dict(node, ledger=other.path)])
    matches(reply['error']['desc'], "belongs to tenant 'globex', not to 'acme'",
            'error')
    reply = daemon.ask('blockdev-reopen', options=[
        dict(node, ledger=path('none'))])
    matches(reply['error']['desc'], 'No such file', 'error')
    daemon.qmp('blockdev-reopen', options=[dict(node, **{'wait-timeout': 1})])
    info = daemon.quota()
    eq((info['charged-bytes'], info['tenant']), (MIB, 'acme'), 'state')
    eq(ledger.show()['writers'], 1, 'writers')


def test_reopen_maps_the_newer_ledger():
    # One that was replaced gets no samples any more: its writers fail closed.
    disk = make_file('disk', 16 * MIB)
    ledger = Ledger('acme', limit='8M', grant='8M')
    ledger.sample(0)
    node = {'driver': 'quota', 'node-name': 'quota', 'file': 'file',
            'ledger': ledger.path, 'tenant': 'acme', 'volume': 'disk'}
    daemon = StorageDaemon()
    daemon.qmp('blockdev-add', driver='file', node_name='file', filename=disk)
    daemon.qmp('blockdev-add', **node)
    nbd = daemon.export()
    can_write(nbd, 'write 0 1M')
    os.unlink(ledger.path)
    newer = Ledger('acme', limit='4M', grant='4M')
    newer.sample(allocated('disk'))
    # A wrong option changes nothing, nor does what cannot be opened.
    reply = daemon.ask('blockdev-reopen', options=[
        dict(node, **{'wait-timeout': -1})])
    eq('error' in reply, True, 'what a wrong option is')
    eq(newer.show()['writers'], 0, 'writers')
    os.rename(newer.path, path('aside'))
    daemon.qmp('blockdev-reopen', options=[node])
    can_write(nbd, 'write 1M 1M')
    os.rename(path('aside'), newer.path)
    eq(newer.show()['writers'], 0, 'writers')

    for _ in range(2):
        daemon.qmp('blockdev-reopen', options=[node])
        eq(newer.show()['writers'], 1, 'writers')
    # What was charged in the old one is charged again, until the next sample.
    can_write(nbd, 'write 0 1M')
    eq(newer.show()['unsampled'], MIB, 'unsampled')
    newer.sample(allocated('disk'))
    can_write(nbd, 'write 2M 2M')
    is_refused(nbd, 'write 4M 64k')


def test_reopen_changes_inline_limits():
    disk = make_file('disk', 16 * MIB)
    node = {'driver': 'quota', 'node-name': 'quota', 'file': 'file'}
    daemon = StorageDaemon()
    daemon.qmp('blockdev-add', driver='file', node_name='file', filename=disk)
    daemon.qmp('blockdev-add', **node)
    nbd = daemon.export()
    can_write(nbd, 'write 0 1M')
    daemon.qmp('blockdev-reopen', options=[dict(node, limit=2 * MIB)])
    can_write(nbd, 'write 4M 1M')
    is_refused(nbd, 'write 8M 64k')
    eq(daemon.quota()['used-bytes'], 2 * MIB, 'used-bytes')
    daemon.qmp('blockdev-reopen', options=[dict(node, limit=3 * MIB)])
    can_write(nbd, 'write 8M 64k')
    daemon.qmp('blockdev-reopen', options=[dict(node)])
    can_write(nbd, 'write 12M 4M')


main()
