#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A threshold that is crossed is not told, told twice, or told of usage that
there never was."""

from quota_test import *


def served(**state):
    disk = make_file('disk', 64 * MIB)
    ledger = Ledger('acme', **dict(dict(limit='10M', grant='10M'), **state))
    ledger.serve(disk)
    image = ledger.quota(disk, node_name='quota', volume='root',
                         discard='unmap')
    daemon = StorageDaemon('--blockdev', image.replace(
        'file.driver=file', 'file.driver=file,file.discard=unmap'))
    return ledger, daemon, daemon.export()


def watch(daemon, *thresholds):
    daemon.qmp('block-quota-threshold-set', node_name='quota',
               thresholds=list(thresholds))


def told(daemon):
    return [(e.get('percent', e.get('bytes')), e['reached'])
            for e in daemon.take_events('BLOCK_QUOTA_THRESHOLD')]


def is_told(daemon, *events):
    """These, in time, and no others: what is written while the sampler samples
    is told of after the next sample."""
    found = []
    wait_for(f'thresholds {events}, have {found}',
             lambda: len(found.extend(told(daemon)) or found) >= len(events))
    eq(found, list(events), 'thresholds')


def is_sampled(ledger, used):
    wait_for('the sample', lambda: ledger.show()['sampled'] == used and
             not ledger.show()['unsampled'])


def test_each_once_in_the_order_of_usage():
    _, daemon, nbd = served()
    watch(daemon, {'percent': 95}, {'percent': 50}, {'bytes': 8 * MIB},
          {'percent': 100})
    eq(told(daemon), [], 'nothing used')
    can_write(nbd, 'write 0 4M')
    eq(told(daemon), [], 'below')
    can_write(nbd, 'write 4M 1M')
    events = []
    wait_for('an event', lambda: events.extend(
        daemon.take_events('BLOCK_QUOTA_THRESHOLD')) or events)
    event, = events
    eq(event, {'node-name': 'quota', 'tenant': 'acme', 'volume': 'root',
               'percent': 50, 'reached': True, 'threshold-bytes': 5 * MIB,
               'limit-bytes': 10 * MIB, 'used-bytes': event['used-bytes']},
       'event')
    at_least(event['used-bytes'], 5 * MIB, 'used-bytes')
    can_write(nbd, *[f'write {i * 64}k 64k' for i in range(80, 160)])
    is_told(daemon, (8 * MIB, True), (95, True), (100, True))
    eq([t['reached'] for t in daemon.quota()['thresholds']], [True] * 4,
       'query-block-quota')
    # Overwriting is nothing new.
    can_write(nbd, 'write 0 10M')
    eq(told(daemon), [], 'again')


def test_hysteresis_and_arming_again():
    ledger, daemon, nbd = served()
    watch(daemon, {'percent': 50, 'hysteresis': 20})
    can_write(nbd, 'write 0 5M')
    is_told(daemon, (50, True))
    is_sampled(ledger, 5 * MIB)
    # Between 3 and 5 MiB nothing is new, whatever happens there.
    for _ in range(2):
        can_write(nbd, 'discard 3M 2M')
        is_sampled(ledger, 3 * MIB)
        time.sleep(1.2)
        can_write(nbd, 'write 3M 2M')
        is_sampled(ledger, 5 * MIB)
    eq(told(daemon), [], 'within the hysteresis')
    can_write(nbd, 'discard 2M 3M')
    is_told(daemon, (50, False))
    can_write(nbd, 'write 2M 2M')
    is_sampled(ledger, 4 * MIB)
    eq(told(daemon), [], 'armed again, not reached')
    can_write(nbd, 'write 4M 1M')
    is_told(daemon, (50, True))


def test_what_others_do_is_noticed():
    ledger, daemon, _ = served()
    watch(daemon, {'percent': 50}, {'bytes': 9 * MIB})
    other = make_file('other', 64 * MIB)
    ledger.serve(path('disk'), other)
    can_write(quota_on(other), 'write 0 9M')
    is_told(daemon, (50, True), (9 * MIB, True))
    os.truncate(other, 0)
    is_told(daemon, (50, False), (9 * MIB, False))


def test_written_while_a_sample_is_taken():
    # It counts twice until the next one, and is not told of: 8 MiB, not 4.
    ledger, daemon, nbd = served()
    stop(ledger.server)
    watch(daemon, {'percent': 50})
    ledger.sample_around(lambda: can_write(nbd, 'write 0 4M'), 4 * MIB)
    eq(ledger.show()['used'], 8 * MIB, 'used')
    can_write(nbd, 'write 4M 512k')
    time.sleep(1.2)
    eq(told(daemon), [], 'at 4.5 MiB')
    ledger.sample(4 * MIB + 512 * KIB)
    can_write(nbd, 'write 4608k 512k')
    eq(told(daemon), [(50, True)], 'at 5 MiB')


def test_reached_before_it_was_set():
    ledger, daemon, nbd = served()
    can_write(nbd, 'write 0 6M')
    # What a sample met in flight counts twice until the next one.
    wait_for('the sample', lambda: ledger.show()['unsampled'] == 0)
    watch(daemon, {'percent': 50}, {'percent': 70})
    eq(told(daemon), [(50, True)], 'at once')
    time.sleep(1.5)
    eq(told(daemon), [], 'and once')


def test_percent_moves_with_the_limit():
    ledger, daemon, nbd = served()
    watch(daemon, {'percent': 50}, {'bytes': 5 * MIB})
    can_write(nbd, 'write 0 6M')
    is_told(daemon, (50, True), (5 * MIB, True))
    ledger.set(limit='20M')
    is_told(daemon, (50, False))
    ledger.set(limit='10M')
    is_told(daemon, (50, True))


def test_inline_limit_tells_what_is_used():
    # 4 KiB in each of many chunks: what is reserved is 16 times as much.
    disk = make_file('disk', 64 * MIB)
    daemon = StorageDaemon('--blockdev', quota_on(
        disk, node_name='quota', limit='10M'))
    nbd = daemon.export()
    watch(daemon, {'bytes': MIB})
    can_write(nbd, *[f'write -q {i * 64}k 4k' for i in range(200)])
    eq(told(daemon), [], f'at {allocated("disk")} bytes')
    can_write(nbd, *[f'write -q {i * 64}k 4k' for i in range(200, 260)])
    event, = daemon.take_events('BLOCK_QUOTA_THRESHOLD')
    at_least(event['used-bytes'], MIB, 'used-bytes')
    at_most(event['used-bytes'], MIB + 128 * KIB, 'used-bytes')


def test_told_from_two_threads():
    # The node is in an iothread, the timer and the commands are not.
    disk = make_file('disk', 64 * MIB)
    daemon = StorageDaemon('--object', 'iothread,id=t0', '--blockdev',
                           quota_on(disk, node_name='quota', limit='40M',
                                    discard='unmap').replace(
                               'file.driver=file',
                               'file.driver=file,file.discard=unmap'))
    nbd = daemon.export(iothread='t0')
    marks = [{'bytes': i * MIB, 'hysteresis': 0} for i in range(1, 17)]
    watch(daemon, *marks)
    daemon.qmp('block-quota-latency-histogram-set', node_name='quota',
               boundaries=[1])
    child = start_qemu_io(nbd, *[
        c for i in range(60) for c in
        (f'aio_write -q {i % 3 * 16}M 16M', 'aio_flush',
         f'discard -q {i % 3 * 16}M 12M')], stdout=subprocess.DEVNULL)
    while child.poll() is None:
        daemon.quota()
        daemon.qmp('query-blockstats', query_nodes=True)
        watch(daemon, *marks)
    last = {}
    daemon.take_events('BLOCK_QUOTA_THRESHOLD')
    watch(daemon, {'bytes': 4 * MIB}, {'bytes': 12 * MIB, 'hysteresis': 0})
    begin = time.monotonic()
    for i in range(8):
        can_write(nbd, 'write -q 0 16M', 'discard -q 0 16M')
        time.sleep(0.3)
    while not last:
        at_most(time.monotonic() - begin, hang_limit(), 'seconds without')
        can_write(nbd, 'write -q 0 16M', 'discard -q 0 16M')
        for mark, is_reached in told(daemon):
            eq(is_reached, not last.get(mark, False), f'{mark}: told in turn')
            last[mark] = is_reached
    eq(daemon.quota()['in-flight-bytes'], 0, 'in-flight-bytes')


def test_taken_away():
    _, daemon, nbd = served()
    watch(daemon, {'percent': 10})
    watch(daemon)
    can_write(nbd, 'write 0 6M')
    time.sleep(1.2)
    eq(told(daemon), [], 'after they were taken away')
    eq('thresholds' in daemon.quota(), False, 'thresholds')
    # A node with thresholds goes, and its timer with it.
    watch(daemon, {'percent': 50})
    daemon.qmp('block-export-del', id='export', mode='hard')
    daemon.take_events('BLOCK_EXPORT_DELETED')
    wait_for('the node to be free', lambda: 'error' not in daemon.ask(
        'blockdev-del', node_name='quota'))
    time.sleep(1.2)
    eq(daemon.qmp('query-block-quota'), [], 'nodes')


def test_bad_thresholds_change_nothing():
    _, daemon, nbd = served()
    watch(daemon, {'percent': 50})
    for bad, why in (
            ([{}], "either 'percent' or 'bytes'"),
            ([{'percent': 1, 'bytes': 1}], "either 'percent' or 'bytes'"),
            ([{'percent': 0}], 'between 1 and 100'),
            ([{'percent': 101}], 'between 1 and 100'),
            ([{'bytes': 0}], 'between 1 and'),
            ([{'bytes': 2 ** 63}], 'between 1 and'),
            ([{'percent': 5, 'hysteresis': 5}], 'hysteresis'),
            ([{'percent': 5}, {'bytes': 5, 'hysteresis': 6}], 'hysteresis'),
            ([{'percent': i + 1} for i in range(17)], 'At most 16')):
        reply = daemon.ask('block-quota-threshold-set', node_name='quota',
                           thresholds=bad)
        matches(reply['error']['desc'], why, f'error for {bad}')
    can_write(nbd, 'write 0 6M')
    is_told(daemon, (50, True))
    daemon.qmp('blockdev-add', driver='quota', node_name='none', file={
        'driver': 'null-co', 'size': MIB})
    reply = daemon.ask('block-quota-threshold-set', node_name='none',
                       thresholds=[{'percent': 50}])
    matches(reply['error']['desc'], 'neither a ledger nor a limit', 'error')


main()
