#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A request fails, or takes its time, at some point of its way, and something
stays charged, goes uncharged, or hangs.

Whatever happens to the requests: afterwards nothing is in flight, all that was
reserved is settled, and what is said to be used is what the file takes up.
"""

import errno
import itertools

from quota_test import *

# Each where nothing has been written, where something has, and across.
KINDS = ('write -P 1', 'write -f -P 2', 'write -z', 'write -zu', 'write -zf',
         'write -zn', 'discard', 'aio_write -P 3', 'writev -P 4')
PLACES = ('1M 256k', '3M 4k', '0 128k', '100 1000', '960k 128k')


def commands():
    found = ['write -P 9 0 1M']
    for n, (kind, place) in enumerate(itertools.product(KINDS, PLACES)):
        if 'v' in kind and place.startswith('100'):
            continue
        found.append(f'{kind} {place}')
        if kind.startswith('aio'):
            # Beside the next one, which it overlaps with.
            continue
        if n % 5 == 4:
            found.append('flush')
    return found + ['aio_flush', 'flush']


def reads():
    """An NBD server drops the client of a read that fails."""
    return [[f'read {place}'] for place in PLACES]


class Filter:
    """A quota node above blkdebug above a file, exported by a daemon."""

    def __init__(self, is_inline, *rules, limit=64 * MIB, content=b'', **opts):
        self.disk = make_file('disk', 8 * MIB)
        with open(self.disk, 'r+b') as f:
            f.write(content)
        self.ledger = None
        node = {'driver': 'quota', 'node-name': 'quota', 'discard': 'unmap',
                'file': 'blkdebug'}
        if is_inline:
            node['limit'] = limit
        else:
            self.ledger = Ledger('acme', limit=limit, grant=limit, free='1G')
            self.ledger.serve(self.disk)
            node.update(ledger=self.ledger.path, tenant='acme', volume='disk')
        self.daemon = StorageDaemon()
        self.daemon.qmp('blockdev-add', driver='file', node_name='file',
                        filename=self.disk, discard='unmap')
        self.blkdebug = {'driver': 'blkdebug', 'node-name': 'blkdebug',
                         'image': 'file', 'discard': 'unmap',
                         'inject-error': list(rules), **opts}
        self.daemon.qmp('blockdev-add', **self.blkdebug)
        self.daemon.qmp('blockdev-add', **node)
        self.nbd = self.daemon.export() + ',discard=unmap'

    def run(self, *requests):
        said = qemu_io(self.nbd, *requests)
        return said.count('failed')

    def check(self, what):
        info = self.daemon.quota()
        eq(info['in-flight-bytes'], 0, f'{what}: in-flight-bytes')
        if self.ledger:
            wait_for(f'{what}: a sample with all that was reserved', lambda:
                     self.ledger.show()['unsampled'] == 0)
            # Of a sample that began after the last request.
            self.ledger.sample(allocated('disk'))
            eq(self.ledger.show()['unsampled'], 0, f'{what}: unsampled')
        eq(self.daemon.quota()['used-bytes'], allocated('disk'),
           f'{what}: used-bytes')

    def stop(self):
        self.daemon.qmp('quit')
        eq(self.daemon.process.wait(hang_limit()), 0,
           'status of the storage daemon')
        children.remove(self.daemon.process)
        if self.ledger:
            stop(self.ledger.server)
            eq(self.ledger.show()['writers'], 0, 'writers')


def sweep(is_inline):
    faults = 0
    for iotype, number in itertools.product(
            ('read', 'write', 'write-zeroes', 'discard', 'flush'),
            (errno.EIO, errno.ENOSPC)):
        for where in ({}, {'sector': (MIB + 128 * KIB) // 512}):
            if where and iotype == 'flush':
                continue
            # In pieces, so that some of a request may be done.
            f = Filter(is_inline, {'event': 'none', 'iotype': iotype,
                                   'errno': number, **where},
                       **{'max-transfer': 64 * KIB})
            for requests in [commands(), *reads()]:
                faults += f.run(*requests)
            f.check(f'{iotype}, errno {number}, {where}')
            f.stop()
    print(f'  {faults} requests failed')
    at_least(faults, 50, 'requests that failed')


def test_every_kind_of_fault_inline():
    sweep(True)


def test_every_kind_of_fault_with_a_ledger():
    sweep(False)


def test_what_failed_is_not_charged():
    for is_inline, iotype, request in (
            (True, 'write', 'write 1M 64k'), (False, 'write', 'write 1M 64k'),
            (True, 'write', 'aio_write -q 1M 64k'),
            (True, 'write-zeroes', 'write -z 1M 64k'),
            (False, 'write-zeroes', 'write -z 1M 64k'),
            # Written, but it may not have reached the pool.
            (False, 'flush', 'write 1M 64k')):
        f = Filter(is_inline, {'event': 'none', 'iotype': iotype,
                               'errno': errno.EIO, 'once': True})
        charged = []
        for failures in (1, 0, 0):
            eq(f.run(request, 'aio_flush'), failures, f'failures of {request}')
            charged.append(f.daemon.quota()['charged-bytes'] // KIB)
        eq(charged, [64, 128, 128], f'{iotype}: KiB charged by then')
        f.check(f'{request} again')
        f.stop()


def test_faults_while_there_is_no_room():
    """The check for mapped chunks fails, too."""
    for is_inline in (True, False):
        for iotype, number in itertools.product(
                ('read', 'block-status', 'write', 'write-zeroes', 'flush'),
                (errno.EIO, errno.ENOSPC)):
            f = Filter(is_inline, {'event': 'none', 'iotype': iotype,
                                   'errno': number}, limit=512 * KIB,
                       content=b'data' * 128 * KIB)
            f.run('write -P 1 0 64k', 'write -P 2 1M 64k', 'write -zu 0 1M',
                  'write -P 3 0 256k', 'aio_write -P 4 64k 128k',
                  'aio_write -P 5 128k 128k', 'write -z 2M 64k', 'aio_flush')
            f.check(f'at the limit: {iotype}, errno {number}')
            at_most(allocated('disk'), 512 * KIB, 'allocated')
            f.stop()


def test_delays():
    """All in flight at once, and each of them late, while others drain."""
    for is_inline in (True, False):
        for iotype in ('read', 'write', 'write-zeroes', 'discard', 'flush'):
            f = Filter(is_inline, {'event': 'none', 'iotype': iotype,
                                   'errno': 0, 'delay-ns': 20 * 10 ** 6})
            requests = [f'aio_write -q -P {1 + i} {i * 48}k 64k'
                        for i in range(24)]
            requests += [f'aio_write -q {flags} {i * 40}k 64k' for flags, i in
                         zip(('-z', '-zu', '-f -P 9') * 8, range(24))]
            requests += [f'aio_read -q {i * 64}k 64k' for i in range(8)]
            client = start_qemu_io(f.nbd, *requests, 'discard 0 1M',
                                   'aio_flush', 'flush')
            drains = 0
            begin = time.monotonic()
            while client.poll() is None:
                at_most(time.monotonic() - begin, hang_limit(), 'seconds')
                f.daemon.qmp('blockdev-reopen', options=[
                    {'driver': 'file', 'node-name': 'file',
                     'filename': f.disk, 'discard': 'unmap'}])
                drains += 1
                time.sleep(0.02)
            said = said_by(client)
            eq('rror' in said or 'failed' in said, False, f'said: {said}')
            at_least(drains, 1, 'drains')
            f.check(f'late {iotype}')
            f.stop()


def test_cancelled_with_its_client():
    """The client is killed while its writes are late, or wait for a pool."""
    for is_inline in (True, False):
        f = Filter(is_inline, {'event': 'none', 'iotype': 'write',
                               'errno': 0, 'delay-ns': 300 * 10 ** 6})
        client = start_qemu_io(f.nbd, *[
            f'aio_write -q {i * 64}k 64k' for i in range(16)], 'sleep 60000')
        wait_for('the writes', lambda: f.daemon.quota()['in-flight-bytes'])
        stop(client)
        wait_for('the end of the writes', lambda:
                 not f.daemon.quota()['in-flight-bytes'])
        f.check('killed client')
        f.stop()


def test_file_system_is_full():
    """It is the host that refuses: to write, to copy, to preallocate."""
    mount = path('mount')
    os.mkdir(mount)
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=2M', 'none', mount],
                   check=True)
    try:
        make_file('source', 4 * MIB)
        can_write(options(driver='file', filename=path('source')),
                  'write -P 7 0 4M')
        for is_inline in (True, False):
            disk = make_file('mount/disk', 4 * MIB)
            ledger = Ledger('acme', limit='1G', grant='1G')
            ledger.serve(disk)
            image = quota_on(disk, limit='1G') if is_inline else \
                ledger.quota(disk, volume='disk')
            # Every request by itself, and by copy_file_range.
            said = qemu_io(image, *[f'aio_write -q {i * 128}k 128k'
                                    for i in range(32)], 'aio_flush')
            at_least(said.count('No space'), 8, 'writes that failed')
            for args in (['convert', '-n', '-C', '-W', '-m', '4',
                          '-t', 'writeback',
                          '--image-opts', '--target-image-opts',
                          options(driver='file', filename=path('source')),
                          image],
                         ['resize', '--preallocation=falloc', '--image-opts',
                          image, '8M']):
                os.truncate(disk, 0)
                os.truncate(disk, 4 * MIB)
                ledger.sample(0)
                done = subprocess.run(
                    [program('qemu-img'), *args], stderr=subprocess.PIPE,
                    stdout=subprocess.PIPE, check=False, timeout=hang_limit())
                eq(done.returncode, 1, 'status of qemu-img')
                matches(done.stderr.decode(), 'No space', 'qemu-img')
            if not is_inline:
                # Every writer has left: whatever was reserved is settled.
                wait_for('the sample', lambda:
                         ledger.show()['unsampled'] == 0)
                eq(ledger.show()['used'], allocated('mount/disk'), 'used')
                eq(ledger.show()['writers'], 0, 'writers')
                stop(ledger.server)
    finally:
        subprocess.run(['umount', mount], check=True)


main()
