#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A volume with many large requests starves another with a small one at a
time, under the cap that they share.

tests/common/rate-starved has the proof, on a clock of its own.  Here a machine that
does not run who writes for some milliseconds takes from its share: so each has
three tries, as sharing that is unfair has none."""

import functools

from quota_test import *

CAP = 8 * MIB
SECONDS = 6
TRIES = 3


def tried_again(test):
    @functools.wraps(test)
    def run():
        for left in reversed(range(TRIES)):
            try:
                return test()
            except AssertionError as error:
                if not left:
                    raise
                print(f'  once more: {error}')
                for child in list(children):
                    stop(child)
                for name in os.listdir(scratch):
                    if os.path.isfile(path(name)):
                        os.unlink(path(name))
    return run


def jain(shares):
    """R. Jain's index of fairness: 1 if all are the same."""
    return sum(shares) ** 2 / (len(shares) * sum(s * s for s in shares))


def writer(ledger, name, size, depth):
    """Write a new volume through a daemon of its own; returns its name."""
    daemon = StorageDaemon('--blockdev', ledger.quota(
        make_file(name, GIB), node_name='quota', volume=name,
        allocation=False))
    start(program('qemu-img'), 'bench', '--image-opts', '-w', '-c',
          str(GIB // size), '-s', str(size), '-d', str(depth), daemon.export(),
          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return name


def shares(volumes):
    time.sleep(1)
    # Nothing is written twice, so what is allocated has been written.
    begin = time.monotonic(), [allocated(v) for v in volumes]
    time.sleep(SECONDS)
    end = time.monotonic(), [allocated(v) for v in volumes]
    seconds = end[0] - begin[0]
    rates = [(b - a) / seconds for a, b in zip(begin[1], end[1])]
    print('  ' + ', '.join(f'{r / MIB:.2f} MiB/s' for r in rates))
    # Whole requests are counted: one of 1 MiB more or less.
    at_most(sum(rates), CAP * 1.02 + MIB / seconds, 'together')
    at_least(sum(rates), CAP * 0.95 - MIB / seconds, 'together')
    return rates


@tried_again
def test_small_and_shallow_beside_large_and_deep():
    ledger = Ledger('acme', total_bytes_sec=CAP)
    rates = shares([writer(ledger, 'small', 16 * KIB, 1),
                    writer(ledger, 'large', MIB, 32)])
    at_least(jain(rates), 0.98, "Jain's index")


@tried_again
def test_shares_by_weight():
    ledger = Ledger('acme', total_bytes_sec=CAP)
    ledger.volume('heavy', weight=300)
    rates = shares([writer(ledger, 'light', MIB, 32),
                    writer(ledger, 'heavy', 16 * KIB, 4)])
    at_least(jain([rates[0], rates[1] / 3]), 0.98, "Jain's index by weight")


@tried_again
def test_what_one_does_not_want_the_other_gets():
    ledger = Ledger('acme', total_bytes_sec=CAP)
    ledger.volume('slow', total_bytes_sec=MIB)
    rates = shares([writer(ledger, 'slow', 16 * KIB, 1),
                    writer(ledger, 'large', MIB, 32)])
    at_least(rates[0], MIB * 0.9, 'the slow one')
    at_most(rates[0], MIB * 1.03, 'the slow one')


main()
