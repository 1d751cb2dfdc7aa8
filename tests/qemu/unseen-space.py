#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A fast zero write waits for space."""

from quota_test import *


def thin_ledger(**state):
    ledger = Ledger('acme', **{'limit': '1G', 'grant': '1G', **state})
    ledger.sample(0)
    return ledger


def test_fast_zero_write_waits_for_nobody():
    # There is no room, and nobody who makes some.
    disk = make_file('disk', 64 * MIB)
    ledger = thin_ledger(grant='64k')
    daemon = StorageDaemon('--blockdev', ledger.quota(
        disk, node_name='quota', wait_timeout=3))
    nbd = daemon.export()
    can_write(nbd, 'write -zn 0 64k')
    begin = time.monotonic()
    for kind in ('write -zn', 'write -zun'):
        said = qemu_io(nbd, f'{kind} 1M 64k', args=('-d', 'unmap'))
        matches(said, 'not supported', f'{kind}')
    at_most(time.monotonic() - begin, 2, 'seconds')
    eq(daemon.quota()['refused'], 0, 'refused')
    eq(daemon.take_events('BLOCK_QUOTA_REFUSED'), [], 'events')
    is_refused(nbd, 'write -z 1M 64k')
    ledger.set(grant='1G')
    can_write(nbd, 'write -zn 1M 64k')
    eq(daemon.quota()['in-flight-bytes'], 0, 'in-flight-bytes')


main()
