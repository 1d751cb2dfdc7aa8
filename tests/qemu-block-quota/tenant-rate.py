#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A tenant exceeds its throughput limit by using two disks, two processes, drains,
reopens or one huge request; or is throttled without a limit.

On a busy machine no limit can be exceeded, as long as the clock is read before the
first byte and after the last one.  A rate can fall short of its cap: by what the
machine takes from a Sleeper that sleeps meanwhile, and no more.  On simulated
clocks, tests/common/rate-window and the iotest quota-rates-virtual-clock check both
to the byte."""

import threading

from quota_test import *


def bench(image, count, size, depth, *args):
    """Start `count` requests of `size` bytes; finish() tells the seconds."""
    child = start(program('qemu-img'), 'bench', '--image-opts', '-c',
                  str(count), '-s', str(size), '-d', str(depth), *args, image,
                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def finish():
        said = child.communicate(timeout=hang_limit())[0].decode()
        children.remove(child)
        matches(said, r'completed in [\d.]+ seconds', 'qemu-img bench')
        return float(re.search(r'completed in ([\d.]+) seconds', said)[1])
    return finish


def within(actual, expected, percent, what, sleeper, slack=None):
    """At most `percent` more; and `slack` less, if the machine does nothing
    else."""
    ratio = actual / expected
    print(f'  {what}: {ratio * 100 - 100:+.2f} %, a sleeper gets '
          f'{sleeper.gets * 100:.0f} %')
    at_least(ratio, (1 - (slack or percent) / 100) * sleeper.gets, what)
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
    with Sleeper() as sleeper:
        begin, before = time.monotonic(), charged()
        time.sleep(10)
        after, end = charged(), time.monotonic()
    within((after - before) / (end - begin), 20e6, 2,
           'two storage daemons, charged over ten seconds', sleeper)
    shares = [d.quota()['charged-bytes'] for d in daemons]
    # Of what both ask for: on a busy machine one of the clients asks later.
    at_least(min(shares) / max(shares), 0.7 * sleeper.gets,
             'the smaller share')
    with Sleeper() as sleeper:
        seconds = max(w() for w in writers)
    within(2 * count * size / seconds, 20e6, 2,
           'two storage daemons, from the first write to the last', sleeper)
    eq(sum(d.quota()['refused-writes']['total'] for d in daemons), 0, 'refused')
    at_least(min(d.quota()['rate-waits'] for d in daemons), 100, 'rate-waits')


def test_limit_that_changes_while_requests_wait():
    disk = make_file('disk', 64 * MIB)
    ledger = Ledger('acme', total_bytes_sec=1000)
    daemon = StorageDaemon('--blockdev', ledger.quota(
        disk, node_name='quota', allocation=False))
    finish = bench(daemon.export(), 512, 64 * KIB, 4, '-w')
    time.sleep(0.5)
    # At 1000 bytes a second each of these would wait for more than a minute.
    with Sleeper() as sleeper:
        begin = time.monotonic()
        ledger.set(total_bytes_sec=16 * MIB)
        finish()
        seconds = time.monotonic() - begin
    within(32 * MIB / seconds, 16 * MIB, 3, 'after the change', sleeper, 50)


def test_requests_a_second():
    disk = make_file('disk', 64 * MIB)
    daemon = StorageDaemon('--blockdev', quota_on(
        disk, node_name='quota', write_iops_sec=500))
    nbd = daemon.export()
    with Sleeper() as sleeper:
        seconds = bench(nbd, 1500, 4 * KIB, 16, '-w')()
    within(1500 / seconds, 500, 3, 'writes a second', sleeper, 25)
    # Reads are not limited by it.
    waits = daemon.quota()['rate-waits']
    at_least(waits, 100, 'rate-waits')
    bench(nbd, 1500, 4 * KIB, 16)()
    eq(daemon.quota()['rate-waits'], waits, 'rate-waits, after the reads')


def test_one_huge_request():
    disk = make_file('disk', 64 * MIB)
    with Sleeper() as sleeper:
        begin = time.monotonic()
        can_write(quota_on(disk, total_bytes_sec=16 * MIB), 'read 0 32M')
        seconds = time.monotonic() - begin
    within(32 * MIB / seconds, 16 * MIB, 3, 'one request for two seconds',
           sleeper, 25)


def test_zero_writes_and_discards_count():
    disk = make_file('disk', 64 * MIB)
    image = quota_on(disk, write_bytes_sec=16 * MIB, discard='unmap')
    with Sleeper() as sleeper:
        begin = time.monotonic()
        can_write(image, *['write -z 0 4M', 'write -zu 0 4M',
                           'discard 0 4M'] * 2, 'aio_read 0 32M', 'aio_flush')
        seconds = time.monotonic() - begin
    within(24 * MIB / seconds, 16 * MIB, 3, 'zero writes and discards',
           sleeper, 30)


def test_a_split_over_many_nodes_shares_one_limit():
    files = [make_file(f'disk{i}', 16 * MIB) for i in range(8)]
    ledger = Ledger('acme', total_bytes_sec=16 * MIB)
    with Sleeper() as sleeper:
        begin = time.monotonic()
        writers = [bench(ledger.quota(f, allocation=False), 64, 64 * KIB, 4,
                         '-w') for f in files]
        for finish in writers:
            finish()
        seconds = time.monotonic() - begin
    within(32 * MIB / seconds, 16 * MIB, 10, 'eight processes', sleeper, 40)


def test_drains_gain_one_second_and_no_more():
    disk = make_file('disk', 64 * MIB)
    node = {'driver': 'quota', 'node-name': 'quota', 'file': 'file',
            'total-bytes-sec': 8 * MIB}
    daemon = StorageDaemon()
    daemon.qmp('blockdev-add', driver='file', node_name='file', filename=disk)
    daemon.qmp('blockdev-add', **node)
    nbd = daemon.export()
    drains = 0
    # Again, should the machine be too busy for so many drains.
    while drains < 20:
        finish = bench(nbd, 640, 64 * KIB, 16, '-w')
        result = []
        reader = threading.Thread(target=lambda: result.append(finish()))
        with Sleeper() as sleeper:
            reader.start()
            while reader.is_alive():
                daemon.qmp('blockdev-reopen', options=[node])
                drains += 1
                time.sleep(0.02)
            reader.join()
        print(f'  40 MiB at 8 MiB/s, by {drains} drains: {result[0]:.2f} s')
        at_least(result[0], 3.9, 'seconds')
        at_most(result[0], 7 / sleeper.gets, 'seconds')
        # The rate catches up with the drains before the next round.
        time.sleep(0 if drains >= 20 else 1)


def test_drain_lets_waiting_requests_go_a_second_ahead():
    disk = make_file('disk', 64 * MIB)
    node = {'driver': 'quota', 'node-name': 'quota', 'file': 'file',
            'total-bytes-sec': 4 * MIB}
    daemon = StorageDaemon()
    daemon.qmp('blockdev-add', driver='file', node_name='file', filename=disk)
    daemon.qmp('blockdev-add', **node)

    def drain():
        begin = time.monotonic()
        daemon.qmp('blockdev-reopen', options=[node])
        return time.monotonic() - begin
    nothing = max(drain() for _ in range(10))
    start_qemu_io(daemon.export(), *['aio_write -q 0 512k'] * 6, 'aio_flush',
                  'sleep 20000')
    wait_for('a write', lambda: os.stat(disk).st_blocks)
    # To be admitted, they would need more than 0.7 s.
    at_most(drain(), 0.4 + 2 * nothing, 'seconds that the drain took')


def at_most_admitted(what, rate, written, seconds, free, gets):
    """No more than the rate and the tolerance of its cell (common/rate/rate.c);
    and a quarter of that, or of what can be had without a cap."""
    allowed = rate * (seconds + 0.1)
    print(f'  {what}: {written / MIB:.1f} MiB in {seconds:.2f} s, '
          f'{written / allowed * 100 - 100:+.1f} % of what is allowed; '
          f'{free / MIB:.1f} MiB/s without a cap; '
          f'a sleeper gets {gets * 100:.0f} %')
    at_most(written, allowed * 1.01, what)
    at_least(written / seconds, min(rate, free) / 4 * gets, what)


def paced(write, ledger, rate, count):
    """Bytes and seconds of so many rounds of write() under that rate; bytes a
    second without one, first; and what part of its time a sleeper got."""
    begin = time.monotonic()
    free = sum(write() for _ in range(5)) / (time.monotonic() - begin)
    ledger.set(total_bytes_sec=rate)
    with Sleeper() as sleeper:
        begin, written = time.monotonic(), 0
        while count > 0 or time.monotonic() - begin < 3:
            written += write()
            count -= 1
        seconds = time.monotonic() - begin
    return written, seconds, free, sleeper.gets


def test_detaching_and_attaching_gains_nothing():
    disk = make_file('disk', 64 * MIB)
    rate = 8 * MIB
    ledger = Ledger('acme')
    daemon = StorageDaemon()
    daemon.qmp('nbd-server-start', addr={
        'type': 'unix', 'data': {'path': path('nbd')}})
    daemon.qmp('blockdev-add', driver='file', node_name='file', filename=disk)
    nodes = 0

    def write():
        nonlocal nodes
        nodes += 1
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
        return 512 * KIB
    at_most_admitted('nodes one after the other', rate,
                     *paced(write, ledger, rate, 8))


def test_one_process_after_the_other_gains_nothing():
    disk = make_file('disk', 64 * MIB)
    rate = 8 * MIB
    ledger = Ledger('acme')

    def write():
        can_write(ledger.quota(disk, allocation=False), 'write -q 0 1M')
        return MIB
    at_most_admitted('short processes', rate, *paced(write, ledger, rate, 8))


def test_two_disks_of_one_process_share_one_limit():
    files = [make_file(f'disk{i}', 32 * MIB) for i in range(2)]
    rate = 16 * MIB
    ledger = Ledger('acme')
    daemon = StorageDaemon(*[word for i, f in enumerate(files) for word in (
        '--blockdev', ledger.quota(f, node_name=f'quota{i}', volume=f'disk{i}',
                                   allocation=False))])
    daemon.qmp('nbd-server-start', addr={
        'type': 'unix', 'data': {'path': path('nbd')}})
    for i in range(2):
        daemon.qmp('block-export-add', type='nbd', id=f'export{i}',
                   node_name=f'quota{i}', name=f'disk{i}', writable=True)

    def write():
        writers = [bench(options(driver='nbd', export=f'disk{i}', server={
            'type': 'unix', 'path': path('nbd')}), 256, 64 * KIB, 8, '-w')
            for i in range(2)]
        for finish in writers:
            finish()
        return 32 * MIB
    at_most_admitted('two disks', rate, *paced(write, ledger, rate, 1))


def test_one_request_larger_than_the_burst():
    disk = make_file('disk', 64 * MIB)
    rate, burst = 8 * MIB, 16 * MIB
    # An NBD server does not read holes, so they do not count.
    can_write(quota_on(disk), 'write -q 0 32M')
    daemon = StorageDaemon('--blockdev', quota_on(
        disk, node_name='quota', total_bytes_sec=rate,
        total_bytes_sec_max=burst))
    nbd = daemon.export()
    for idle, least in ((0, 4), (2.2, 2)):
        with Sleeper() as sleeper:
            # A burst is saved up after a first request, while idle.
            first = begin = time.monotonic()
            can_write(nbd, 'read 0 512')
            admitted = time.monotonic()
            time.sleep(idle)
            if idle:
                begin = time.monotonic()
            can_write(nbd, 'read 0 32M')
            end = time.monotonic()
        # This includes the time of a client that does not wait.
        client = admitted - first
        print(f'  32 MiB at 8 MiB/s, bursts of 16 MiB, after {idle} s: '
              f'{end - begin:.2f} s, a sleeper gets {sleeper.gets * 100:.0f} %')
        at_least(end - begin, least * 0.97, 'seconds')
        at_most(end - admitted - idle,
                least * 1.4 / sleeper.gets + 2 * client, 'seconds')


def test_stopping_the_client_gains_nothing():
    """Its requests are cut off, and still count."""
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
        before = daemon.quota()['charged-bytes']
        client = start_qemu_io(nbd, *[
            f'aio_write -q {(clients * 8 + i) * 64}k 64k'
            for i in range(8)], 'sleep 60000', stdout=subprocess.DEVNULL)
        wait_for('a write',
                 lambda: daemon.quota()['charged-bytes'] > before)
        time.sleep(0.05)
        stop(client)
        clients += 1
    written = allocated('disk')
    at_most(written, rate * (time.monotonic() - begin + 0.1) * 1.01,
            f'bytes that {clients} clients wrote')
    at_least(written, MIB, f'bytes that {clients} clients wrote')


main()
