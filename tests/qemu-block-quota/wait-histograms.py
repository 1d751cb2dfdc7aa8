#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A histogram counts a wait twice, in the wrong place, or not at all."""

from quota_test import *

MS = 10 ** 6
KINDS = ('growth', 'limit', 'rate')


def set_histograms(daemon, **boundaries):
    daemon.qmp('block-quota-latency-histogram-set', node_name='quota',
               **boundaries)


def bins(daemon, kind):
    info = daemon.quota()
    histogram = info.get(f'{kind}-wait-histogram')
    return histogram and histogram['bins']


def is_whole(daemon, kind, waits):
    """All waits are in the histogram, none in two places."""
    eq(daemon.quota()[f'{kind}-waits'], waits, f'{kind}-waits')
    eq(sum(bins(daemon, kind)), waits, f'sum of the {kind} histogram')


def test_each_kind_in_its_own():
    disk = make_file('disk', 16 * MIB)
    ledger = Ledger('acme', limit='2M', step='1M', grant='1M', free='1G')
    ledger.serve(disk, slow=200)
    daemon = StorageDaemon('--blockdev', ledger.quota(
        disk, node_name='quota', limit_timeout=1))
    nbd = daemon.export()
    eq([bins(daemon, k) for k in KINDS], [None] * 3, 'before they are asked')
    set_histograms(daemon, boundaries=[100 * MS, 10 ** 12],
                   boundaries_limit=[500 * MS])

    can_write(nbd, 'write 0 1M', 'write 1M 1M')
    is_whole(daemon, 'growth', 1)
    # The pool took 200 ms to grow.
    eq(bins(daemon, 'growth'), [0, 1, 0], 'growth')
    is_refused(nbd, 'write 4M 64k')
    # Not before a second has passed.
    eq(bins(daemon, 'limit'), [0, 1], 'limit')
    is_whole(daemon, 'limit', 1)
    eq(bins(daemon, 'rate'), [0, 0, 0], 'rate')

    ledger.set(limit='8M', total_iops_sec=10)
    # All at once: what comes when it may does not wait.
    can_write(nbd, *['aio_read -q 0 4k'] * 8, 'aio_flush')
    waits = daemon.quota()['rate-waits']
    at_least(waits, 6, 'rate-waits')
    is_whole(daemon, 'rate', waits)
    eq(bins(daemon, 'rate')[2], 0, 'rate, 1000 seconds and more')
    eq(bins(daemon, 'limit'), [0, 1], 'limit, in the end')


def test_set_again_begins_anew():
    disk = make_file('disk', MIB)
    daemon = StorageDaemon('--blockdev', quota_on(
        disk, node_name='quota', total_iops_sec=50))
    nbd = daemon.export()
    # NBD does not read holes.
    can_write(nbd, 'write 0 64k')
    set_histograms(daemon, boundaries_rate=[1, 10 ** 12])
    eq([bins(daemon, k) for k in KINDS], [None, None, [0, 0, 0]], 'one of them')
    can_write(nbd, *['aio_read -q 0 4k'] * 10, 'aio_flush')
    at_least(bins(daemon, 'rate')[1], 5, 'rate')
    set_histograms(daemon, boundaries_growth=[5])
    at_least(bins(daemon, 'rate')[1], 5, 'rate, when another is set')
    set_histograms(daemon, boundaries_rate=[7])
    eq(daemon.quota()['rate-wait-histogram'],
       {'boundaries': [7], 'bins': [0, 0]}, 'rate, when it is set again')
    set_histograms(daemon, boundaries=[8], boundaries_rate=[9])
    eq([daemon.quota()[f'{k}-wait-histogram']['boundaries'] for k in KINDS],
       [[8], [8], [9]], 'boundaries')
    set_histograms(daemon)
    eq([bins(daemon, k) for k in KINDS], [None] * 3, 'when all are removed')
    can_write(nbd, 'read 0 4k')


def test_write_that_asks_twice_is_one():
    # First for a chunk, then for what the file takes up.
    daemon = StorageDaemon('--blockdev', quota_on(
        make_file('disk', 8 * MIB), node_name='quota', limit='1M'))
    nbd = daemon.export()
    set_histograms(daemon, boundaries=[1])
    can_write(nbd, 'write 0 1M')
    is_refused(nbd, 'write 4M 4k')
    is_whole(daemon, 'growth', 1)


def test_bad_boundaries_change_nothing():
    daemon = StorageDaemon('--blockdev', quota_on(
        make_file('disk', MIB), node_name='quota'))
    set_histograms(daemon, boundaries=[3])
    for bad in ([], [0], [5, 5], [5, 4]):
        for name in ('boundaries', *(f'boundaries-{k}' for k in KINDS)):
            arguments = {'boundaries-growth': [1], 'boundaries-rate': [2],
                         name: bad}
            reply = daemon.ask('block-quota-latency-histogram-set',
                               node_name='quota', **arguments)
            matches(reply['error']['desc'], f"'{name}'", f'error for {bad}')
    eq([daemon.quota()[f'{k}-wait-histogram'] for k in KINDS],
       [{'boundaries': [3], 'bins': [0, 0]}] * 3, 'histograms')


main()
