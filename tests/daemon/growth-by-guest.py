#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Have a guest fill a tenant's thin volume at full speed, several tasks at once, and
tell how long its writes took: by the guest's own clock, and by the filter's histogram
of those that waited for growth.  For growth-pauses-writer.sh.

  growth-by-guest.py LEDGER TENANT VOLUME DEVICE BYTES

Status 1: a write failed, or the guest was paused."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)),
                                '..', 'qemu-block-quota'))
from quota_guest import Guest  # noqa: E402
from quota_test import *  # noqa: E402,F403

ledger, tenant, volume, device, size = sys.argv[1:]
del sys.argv[1:]
TASKS = 4
BOUNDARIES_MS = [1, 10, 100, 1000, 10000]


def test_guest_writes_while_the_pool_grows():
    guest = Guest('--object', 'iothread,id=thread', '--blockdev', options(
        driver='quota', node_name='quota', ledger=ledger, tenant=tenant,
        volume=volume, file={'driver': 'host_device', 'filename': device},
        **{'cache.direct': True}), '--device',
        'virtio-blk-pci,drive=quota,iothread=thread,werror=enospc', cpus=1)
    guest.run('true', 300)
    guest.qmp('block-quota-latency-histogram-set', node_name='quota',
              boundaries_growth=[ms * 1000000 for ms in BOUNDARIES_MS])
    each = int(size) // TASKS
    done = guest.run(guest.tasks(
        f'blk write /dev/vda offset={i * each} length={each} bs=1M'
        for i in range(TASKS)), 900)
    eq([task['errors'] for task in done], [0] * TASKS, 'errors')
    eq(guest.take_events('STOP'), [], 'pauses')
    info = guest.quota()
    eq(info['refused-writes']['total'], 0, 'refused')
    seconds = max(task['ended'] for task in done) - min(
        task['began'] for task in done)
    print(f'  {int(size) // MIB} writes of 1 MiB by {TASKS} tasks of a guest, '
          f'{int(size) / seconds / MIB:.0f} MiB/s, errors 0, pauses 0')
    print('  the slowest, by the guest\'s clock: '
          f'{max(task["slowest_ms"] for task in done):.0f} ms')
    print(f'  waited for growth: {info["growth-waits"]} writes, '
          f'{info["growth-wait-ns"] / 1e6:.0f} ms together')
    bins = info['growth-wait-histogram']['bins']
    names = [f'< {BOUNDARIES_MS[0]} ms'] + [f'>= {ms} ms' for ms in BOUNDARIES_MS]
    if info['growth-waits']:
        print('  of these: ' + ', '.join(
            f'{count} {name}' for name, count in zip(names, bins) if count))


main()
