#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fill a tenant's thin volume at full speed, through a storage daemon with the
quota filter, and tell how long its writes took: a line and a table of the
slowest.  For growth-pauses-writer.sh.

  growth-by-daemon.py LEDGER TENANT VOLUME DEVICE BYTES

Status 1: a write failed."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)),
                                '..', 'qemu-block-quota'))
from quota_test import *  # noqa: E402

ledger, tenant, volume, device, size = sys.argv[1:]
del sys.argv[1:]
REQUEST = MIB
DEPTH = 4
SLOWEST = 10


def test_writes_while_the_pool_grows():
    daemon = StorageDaemon('--blockdev', options(
        driver='quota', node_name='quota', ledger=ledger, tenant=tenant,
        volume=volume, file={'driver': 'host_device', 'filename': device,
                             'cache': {'direct': True}}))
    daemon.export()
    uri = 'nbd+unix:///disk?socket=' + path(f'{daemon.name}.nbd')
    begin = time.monotonic()
    done = subprocess.run(
        ['fio', '--name=fill', '--ioengine=nbd', f'--uri={uri}', '--rw=write',
         f'--bs={REQUEST}', f'--size={size}', f'--iodepth={DEPTH}',
         '--write_lat_log=lat', '--log_offset=1', '--output-format=json'],
        cwd=path('.'), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        check=False)
    seconds = time.monotonic() - begin
    said = done.stdout.decode()
    eq(done.returncode, 0, f'status of fio, which said {said[-1000:]}')
    log = []
    with open(path('lat_clat.1.log'), encoding='ascii') as lines:
        for line in lines:
            at_ms, latency_ns, _, _, offset = line.split(',')[:5]
            log.append((int(latency_ns) / 1e6, int(at_ms), int(offset)))
    log.sort()
    eq(len(log), int(size) // REQUEST, 'writes')
    info = daemon.quota()
    eq(info['refused-writes']['total'], 0, 'refused')
    waits, wait_ms = info['growth-waits'], info['growth-wait-ns'] / 1e6

    def percentile(p):
        return log[min(int(len(log) * p / 100), len(log) - 1)][0]
    print(f'  {len(log)} writes of {REQUEST // KIB} KiB, '
          f'{int(size) / seconds / MIB:.0f} MiB/s, errors 0, waited for '
          f'growth {waits} times, {wait_ms:.0f} ms together')
    print('  ms that a write took: ' + ', '.join(
        f'{percentile(p):.1f} ({p} %)' for p in (50, 90, 99, 99.9)))
    print('  the slowest:       ms      after ms   at MiB')
    for latency, at_ms, offset in reversed(log[-SLOWEST:]):
        print(f'           {latency:12.1f} {at_ms:12} {offset // MIB:8}')


main()
