#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A volume with many large requests starves another with a small one at a
time, under the cap that they share.

tests/common/rate-starved has the proof, on a clock of its own.  Here the cap is so
low that a writer which has one request at a time asks for its share even if it has
to wait for a processor each time; and what a busy machine takes from a Sleeper that
sleeps meanwhile, it may take from the share."""

from quota_test import *

CAP = MIB
SECONDS = 8
LARGE = 256 * KIB


def writer(ledger, name, size, depth):
    """Write a new volume through a daemon of its own; returns its name."""
    daemon = StorageDaemon('--blockdev', ledger.quota(
        make_file(name, GIB), node_name='quota', volume=name,
        allocation=False))
    start(program('qemu-img'), 'bench', '--image-opts', '-w', '-c',
          str(GIB // size), '-s', str(size), '-d', str(depth), daemon.export(),
          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return name


def shares(small, large):
    """Bytes a second of each volume, and what part of that a busy machine leaves
    to the small one."""
    wait_for('both to write', lambda: allocated(small) and allocated(large))
    time.sleep(1)
    # Nothing is written twice, so what is allocated has been written.
    with Sleeper() as sleeper:
        begin = time.monotonic()
        before = [allocated(v) for v in (small, large)]
        time.sleep(SECONDS)
        after = [allocated(v) for v in (small, large)]
        seconds = time.monotonic() - begin
    rates = [(b - a) / seconds for a, b in zip(before, after)]
    print('  ' + ', '.join(f'{r / KIB:.0f} KiB/s' for r in rates) +
          f'; a sleeper gets {sleeper.gets * 100:.0f} %')
    # Whole requests are counted: a large one more or less.
    at_most(sum(rates), CAP * 1.02 + LARGE / seconds, 'together')
    at_least(sum(rates), CAP * 0.95 * sleeper.gets - LARGE / seconds,
             'together')
    return rates, sleeper.gets


def test_small_and_shallow_beside_large_and_deep():
    ledger = Ledger('acme', total_bytes_sec=CAP)
    (small, _), gets = shares(writer(ledger, 'small', 16 * KIB, 1),
                              writer(ledger, 'large', LARGE, 32))
    # With 6/7 of its half, R. Jain's index of fairness is 0.98.
    at_least(small, CAP / 2 * 6 / 7 * gets, 'the small one')
    at_most(small, CAP / 2 * 8 / 7, 'the small one')


def test_shares_by_weight():
    ledger = Ledger('acme', total_bytes_sec=CAP)
    ledger.volume('heavy', weight=300)
    (heavy, _), gets = shares(writer(ledger, 'heavy', 16 * KIB, 4),
                              writer(ledger, 'light', LARGE, 32))
    # Likewise, by weight.
    at_least(heavy, CAP * 3 / 4 * 12 / 13 * gets, 'the heavy one')
    at_most(heavy, CAP * 3 / 4 * 16 / 15, 'the heavy one')


def test_what_one_does_not_want_the_other_gets():
    ledger = Ledger('acme', total_bytes_sec=CAP)
    ledger.volume('slow', total_bytes_sec=CAP // 8)
    (slow, _), gets = shares(writer(ledger, 'slow', 16 * KIB, 1),
                             writer(ledger, 'large', LARGE, 32))
    at_least(slow, CAP / 8 * 0.9 * gets, 'the slow one')
    at_most(slow, CAP / 8 * 1.03 + 16 * KIB / SECONDS, 'the slow one')


main()
