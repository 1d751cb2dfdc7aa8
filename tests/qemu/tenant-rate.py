#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A tenant's throughput limit is passed by using two disks, two processes,
drains, reopens or one huge request; or holds when there is none."""

import threading

from quota_test import *


def bench(image, count, size, depth, *args):
    """Start `count` requests of `size` bytes; finish() tells the seconds."""
    child = start(program('qemu-img'), 'bench', '--image-opts', '-c',
                  str(count), '-s', str(size), '-d', str(depth), *args, image,
                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def finish():
        said = child.communicate(timeout=100)[0].decode()
        children.remove(child)
        matches(said, r'completed in [\d.]+ seconds', 'qemu-img bench')
        return float(re.search(r'completed in ([\d.]+) seconds', said)[1])
    return finish


def within(actual, expected, percent, what, slack=None):
    """At most `percent` more, and `slack` less on a machine that is busy."""
    ratio = actual / expected
    print(f'  {what}: {ratio * 100 - 100:+.2f} %')
    at_least(ratio, 1 - (slack or percent) / 100, what)
    at_most(ratio, 1 + percent / 100, what)


def test_two_daemons_on_one_tenant():
    # 20 MB/s for both together, over ten seconds.
    files = [make_file(f'disk{i}', 256 * MIB) for i in range(2)]
    ledger = Ledger('acme', limit='1G', step='64M', grant='64M', free='1G',
                    total_bytes_sec=20000000)
    ledger.serve(*files)
    daemons = [StorageDaemon('--blockdev', ledger.quota(f, node_name='quota'))
               for f in files]
    nbds = [d.export() for d in daemons]
    size, count = 192 * KIB, 1000
    # Both write longer than is measured: neither stops before the other.
    writers = [bench(nbd, count, size, 8, '-w') for nbd in nbds]
    time.sleep(1)

    def charged():
        return sum(d.quota()['charged-bytes'] for d in daemons)
    begin = time.monotonic(), charged()
    time.sleep(10)
    end = time.monotonic(), charged()
    rate = (end[1] - begin[1]) / (end[0] - begin[0])
    within(rate, 20e6, 2, 'two storage daemons, charged over ten seconds')
    shares = [d.quota()['charged-bytes'] for d in daemons]
    at_least(min(shares) / max(shares), 0.8, 'the smaller share')
    seconds = max(w() for w in writers)
    within(2 * count * size / seconds, 20e6, 2,
           'two storage daemons, from the first write to the last')
    eq(sum(d.quota()['refused'] for d in daemons), 0, 'refused')
    at_least(min(d.quota()['rate-waits'] for d in daemons), 100, 'rate-waits')


def test_limit_that_changes_while_requests_wait():
    disk = make_file('disk', 64 * MIB)
    ledger = Ledger('acme', total_bytes_sec=1000)
    daemon = StorageDaemon('--blockdev', ledger.quota(
        disk, node_name='quota', allocation=False))
    finish = bench(daemon.export(), 512, 64 * KIB, 4, '-w')
    time.sleep(0.5)
    # At 1000 bytes a second each of these would wait for more than a minute.
    ledger.set(total_bytes_sec=16 * MIB)
    within(32 * MIB / finish(), 16 * MIB, 3, 'after the change', 50)


def test_requests_a_second():
    disk = make_file('disk', 64 * MIB)
    image = quota_on(disk, write_iops_sec=500)
    within(1500 / bench(image, 1500, 4 * KIB, 16, '-w')(), 500, 3,
           'writes a second', 25)
    # Reads are not limited by it.
    at_most(bench(image, 1500, 4 * KIB, 16)(), 2, 'seconds for the reads')


def test_one_huge_request():
    disk = make_file('disk', 64 * MIB)
    begin = time.monotonic()
    can_write(quota_on(disk, total_bytes_sec=16 * MIB), 'read 0 32M')
    within(32 * MIB / (time.monotonic() - begin), 16 * MIB, 3,
           'one request for two seconds', 25)


def test_zero_writes_and_discards_pay():
    disk = make_file('disk', 64 * MIB)
    image = quota_on(disk, write_bytes_sec=16 * MIB, discard='unmap')
    begin = time.monotonic()
    can_write(image, *['write -z 0 4M', 'write -zu 0 4M', 'discard 0 4M'] * 2,
              'aio_read 0 32M', 'aio_flush')
    within(24 * MIB / (time.monotonic() - begin), 16 * MIB, 3,
           'zero writes and discards', 30)


def test_a_split_over_many_nodes_shares_one_limit():
    files = [make_file(f'disk{i}', 16 * MIB) for i in range(8)]
    ledger = Ledger('acme', total_bytes_sec=16 * MIB)
    writers = [bench(ledger.quota(f, allocation=False), 64, 64 * KIB, 4, '-w')
               for f in files]
    begin = time.monotonic()
    for finish in writers:
        finish()
    within(32 * MIB / (time.monotonic() - begin), 16 * MIB, 10,
           'eight processes', 40)


def test_drains_gain_one_second_and_no_more():
    disk = make_file('disk', 64 * MIB)
    node = {'driver': 'quota', 'node-name': 'quota', 'file': 'file',
            'total-bytes-sec': 8 * MIB}
    daemon = StorageDaemon()
    daemon.qmp('blockdev-add', driver='file', node_name='file', filename=disk)
    daemon.qmp('blockdev-add', **node)
    finish = bench(daemon.export(), 640, 64 * KIB, 16, '-w')
    result = []
    reader = threading.Thread(target=lambda: result.append(finish()))
    reader.start()
    drains = 0
    while reader.is_alive():
        daemon.qmp('blockdev-reopen', options=[node])
        drains += 1
        time.sleep(0.02)
    reader.join()
    print(f'  40 MiB at 8 MiB/s under {drains} drains: {result[0]:.2f} s')
    at_least(drains, 20, 'drains')
    at_least(result[0], 3.9, 'seconds')
    at_most(result[0], 7, 'seconds')


def test_drain_lets_waiting_requests_go_a_second_ahead():
    disk = make_file('disk', 64 * MIB)
    node = {'driver': 'quota', 'node-name': 'quota', 'file': 'file',
            'total-bytes-sec': 4 * MIB}
    daemon = StorageDaemon()
    daemon.qmp('blockdev-add', driver='file', node_name='file', filename=disk)
    daemon.qmp('blockdev-add', **node)
    start(program('qemu-io'), '--image-opts', daemon.export(),
          *['-c', 'aio_write -q 0 512k'] * 6, '-c', 'aio_flush',
          '-c', 'sleep 20000', stdout=subprocess.DEVNULL)
    wait_for('a write', lambda: os.stat(disk).st_blocks)
    begin = time.monotonic()
    daemon.qmp('blockdev-reopen', options=[node])
    at_most(time.monotonic() - begin, 0.4, 'seconds that the drain took')


main()
