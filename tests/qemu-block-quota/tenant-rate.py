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
    start_qemu_io(daemon.export(), *['aio_write -q 0 512k'] * 6, 'aio_flush',
                  'sleep 20000')
    wait_for('a write', lambda: os.stat(disk).st_blocks)
    begin = time.monotonic()
    daemon.qmp('blockdev-reopen', options=[node])
    at_most(time.monotonic() - begin, 0.4, 'seconds that the drain took')


def at_most_paid(written, seconds, rate, what):
    """No more than the rate and the tolerance of its cell (common/rate/rate.c)."""
    allowed = rate * (seconds + 0.1)
    print(f'  {what}: {written / MIB:.1f} MiB in {seconds:.2f} s, '
          f'{written / allowed * 100 - 100:+.1f} % of what is allowed')
    at_most(written, allowed * 1.01, what)
    at_least(written, allowed / 4, what)


def test_detaching_and_attaching_gains_nothing():
    disk = make_file('disk', 64 * MIB)
    rate = 8 * MIB
    ledger = Ledger('acme', total_bytes_sec=rate)
    daemon = StorageDaemon()
    daemon.qmp('nbd-server-start', addr={
        'type': 'unix', 'data': {'path': path('nbd')}})
    daemon.qmp('blockdev-add', driver='file', node_name='file', filename=disk)
    begin, written, nodes = time.monotonic(), 0, 0
    while time.monotonic() - begin < 3:
        daemon.qmp('blockdev-add', driver='quota', node_name='quota',
                   file='file', ledger=ledger.path, tenant='acme',
                   volume=f'volume{nodes}', allocation=False)
        daemon.qmp('block-export-add', type='nbd', id='export',
                   node_name='quota', name='disk', writable=True)
        can_write(options(driver='nbd', export='disk', server={
            'type': 'unix', 'path': path('nbd')}), 'write -q 0 512k')
        daemon.qmp('block-export-del', id='export', mode='hard')
        wait_for('the end of the export', lambda: not daemon.qmp(
            'query-block-exports'))
        daemon.qmp('blockdev-del', node_name='quota')
        written += 512 * KIB
        nodes += 1
    at_least(nodes, 5, 'nodes')
    at_most_paid(written, time.monotonic() - begin, rate,
                 f'{nodes} nodes one after the other')


def test_one_process_after_the_other_gains_nothing():
    disk = make_file('disk', 64 * MIB)
    rate = 8 * MIB
    ledger = Ledger('acme', total_bytes_sec=rate)
    begin, written = time.monotonic(), 0
    while time.monotonic() - begin < 3:
        can_write(ledger.quota(disk, allocation=False), 'write -q 0 1M')
        written += MIB
    at_most_paid(written, time.monotonic() - begin, rate, 'short processes')


def test_two_disks_of_one_process_share_one_limit():
    files = [make_file(f'disk{i}', 32 * MIB) for i in range(2)]
    rate = 16 * MIB
    ledger = Ledger('acme', total_bytes_sec=rate)
    daemon = StorageDaemon(*[word for i, f in enumerate(files) for word in (
        '--blockdev', ledger.quota(f, node_name=f'quota{i}', volume=f'disk{i}',
                                   allocation=False))])
    daemon.qmp('nbd-server-start', addr={
        'type': 'unix', 'data': {'path': path('nbd')}})
    for i in range(2):
        daemon.qmp('block-export-add', type='nbd', id=f'export{i}',
                   node_name=f'quota{i}', name=f'disk{i}', writable=True)
    begin = time.monotonic()
    writers = [bench(options(driver='nbd', export=f'disk{i}', server={
        'type': 'unix', 'path': path('nbd')}), 256, 64 * KIB, 8, '-w')
        for i in range(2)]
    for finish in writers:
        finish()
    at_most_paid(32 * MIB, time.monotonic() - begin, rate, 'two disks')


def test_one_request_larger_than_the_burst():
    disk = make_file('disk', 64 * MIB)
    rate, burst = 8 * MIB, 16 * MIB
    # An NBD server does not read holes, and so does not pay for them.
    can_write(quota_on(disk), 'write -q 0 32M')
    daemon = StorageDaemon('--blockdev', quota_on(
        disk, node_name='quota', total_bytes_sec=rate,
        total_bytes_sec_max=burst))
    nbd = daemon.export()
    for idle, least in ((0, 4), (2.2, 2)):
        # A burst is saved up by who has paid before, and then did not.
        can_write(nbd, 'read 0 512')
        time.sleep(idle)
        begin = time.monotonic()
        can_write(nbd, 'read 0 32M')
        seconds = time.monotonic() - begin
        print(f'  32 MiB at 8 MiB/s, bursts of 16 MiB, after {idle} s: '
              f'{seconds:.2f} s')
        at_least(seconds, least * 0.97, 'seconds')
        at_most(seconds, least * 1.4, 'seconds')


def test_stopping_the_client_gains_nothing():
    """Its requests are cut off, and have been paid for all the same."""
    disk = make_file('disk', 64 * MIB)
    rate = 8 * MIB
    ledger = Ledger('acme', total_bytes_sec=rate, limit='1G', grant='1G')
    ledger.serve(disk)
    daemon = StorageDaemon('--blockdev', ledger.quota(disk,
                                                      node_name='quota'))
    nbd = daemon.export()
    begin = time.monotonic()
    clients = 0
    while time.monotonic() - begin < 3:
        client = start_qemu_io(nbd, *[
            f'aio_write -q {(clients * 8 + i) * 64 % 65536}k 64k'
            for i in range(8)], 'sleep 60000', stdout=subprocess.DEVNULL)
        time.sleep(0.1)
        stop(client)
        clients += 1
    written = allocated('disk')
    at_most(written, rate * (time.monotonic() - begin + 0.1) * 1.01,
            f'bytes that {clients} clients wrote')
    at_least(written, MIB, f'bytes that {clients} clients wrote')


main()
