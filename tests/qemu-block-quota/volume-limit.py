#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A volume takes more than its own limit, or its limit holds for others."""

from quota_test import *


def daemon_on(ledger, name, **opts):
    return StorageDaemon('--blockdev', ledger.quota(
        path(name), node_name='quota', volume=name, **opts))


def test_refused_at_the_volumes_own_limit():
    files = [make_file(name, 16 * MIB) for name in ('root', 'data')]
    ledger = Ledger('acme', limit='8M', grant='8M', free='1G')
    ledger.volume('root', limit='1M')
    ledger.serve(*files)
    root, data = (daemon_on(ledger, name) for name in ('root', 'data'))
    root_nbd, data_nbd = root.export(), data.export()

    can_write(root_nbd, 'write -P 1 0 1M')
    is_refused(root_nbd, 'write -P 2 4M 64k', 'write 8M 1M')
    event, = root.take_events('BLOCK_QUOTA_REFUSED')
    eq((event['reason'], event['volume']), ('volume-limit', 'root'), 'event')
    eq(allocated('root'), MIB, 'allocated')
    # Overwrites continue; the others do not notice.
    can_write(root_nbd, 'write -P 3 0 512k', 'read -P 3 0 512k')
    can_write(data_nbd, 'write -P 4 0 6M')
    eq(data.quota()['refused-writes']['total'], 0,
       'refused to the other volume')
    # A sample of files that still grow counts their bytes twice: the next.
    wait_for("the tenant's reason to be none",
             lambda: root.quota()['sample-reason'] == 'none')

    # Of the tenant's own limit, 1 MiB is left.
    ledger.volume('root', limit='8M')
    can_write(root_nbd, 'write -P 2 4M 64k', 'read -P 2 4M 64k')
    eq(len(root.take_events('BLOCK_QUOTA_RECOVERED')), 1, 'recovered')
    is_refused(root_nbd, 'write 8M 2M')
    event, = root.take_events('BLOCK_QUOTA_REFUSED')
    eq(event['reason'], 'tenant-limit', 'reason')


def test_last_chunks_of_a_volume_under_four_writers():
    # 16 chunks for four processes that want 16 each.
    disk = make_file('root', 8 * MIB)
    ledger = Ledger('acme', limit='1G', grant='1G')
    ledger.volume('root', limit='1M')
    ledger.serve(disk)
    image = ledger.quota(disk, volume='root') + ',file.locking=off'
    writers = [start_qemu_io(image, *[
        f'aio_write -q {(i * 16 + n) * 64}k 64k' for n in range(16)],
        'aio_flush') for i in range(4)]
    said = ''.join(map(said_by, writers))
    eq(said.count('No space left'), 64 - 16, f'refusals in: {said}')
    eq(allocated('root'), MIB, 'allocated')


def test_limit_below_what_a_volume_has():
    disk = make_file('root', 8 * MIB)
    ledger = Ledger('acme', limit='1G', grant='1G')
    ledger.serve(disk)
    can_write(ledger.quota(disk, volume='root'), 'write -P 1 0 2M')
    ledger.volume('root', limit='1M')
    image = ledger.quota(disk, volume='root')
    is_refused(image, 'write 4M 64k')
    can_write(image, 'write -P 2 1M 64k', 'read -P 2 1M 64k')
    # A limit that is taken away.
    ledger.volume('root')
    can_write(image, 'write 4M 64k')


def test_volumes_own_rate():
    for name in ('root', 'data'):
        make_file(name, 64 * MIB)
    # The tenant's own rate throttles no request.
    ledger = Ledger('acme', total_bytes_sec='1T')
    ledger.volume('root', write_bytes_sec=4 * MIB)
    root, data = (daemon_on(ledger, name, allocation=False)
                  for name in ('root', 'data'))
    root_nbd, data_nbd = root.export(), data.export()
    begin = time.monotonic()
    child = start(program('qemu-img'), 'bench', '--image-opts', '-w', '-c',
                  '128', '-s', '64k', '-d', '8', root_nbd,
                  stdout=subprocess.DEVNULL)
    wait_for('a write that is held up', lambda: root.quota()['rate-waits'])
    # The other volume is not.
    can_write(data_nbd, *['write -q 0 8M'] * 4)
    eq(data.quota()['rate-waits'], 0, 'waits of the other volume')
    child.communicate(timeout=hang_limit())
    rate = 8 * MIB / (time.monotonic() - begin)
    at_most(rate, 4 * MIB * 1.03, 'bytes a second')
    # Reads are not limited by it.
    waits = root.quota()['rate-waits']
    can_write(root_nbd, 'read -q 0 32M')
    eq(root.quota()['rate-waits'], waits, 'waits, after the read')


main()
