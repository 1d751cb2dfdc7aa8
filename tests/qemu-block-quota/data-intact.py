#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Data that goes through the filter is not what was written.

Random requests, with and without the filter, to the same end; a seed as the
argument of --seed repeats a run."""

import random

from quota_test import *

seed = random.randrange(1 << 32)
if sys.argv[1:2] == ['--seed']:
    seed = int(sys.argv[2])
    del sys.argv[1:3]
print(f'  seed {seed}')


def requests(rng, size, count):
    found = []
    for i in range(count):
        length = rng.choice((512, 4096, 12288, 65536, 200704, 1 << 20))
        offset = rng.randrange(0, size - length) // 512 * 512
        kind = rng.choice(('write -P %d', 'write -P %d', 'write -z', 'write -zu',
                           'discard', 'write -f -P %d', 'aio_write -P %d',
                           'read'))
        if '%d' in kind:
            kind = kind % (1 + i % 250)
        found.append(f'{kind} {offset} {length}')
        if kind.startswith('aio'):
            # In flight beside the next one only if they do not overlap.
            found.append('aio_flush' if rng.random() < 0.5 else
                         f'read {(offset + (32 << 20)) % size} 512')
            found.append('aio_flush')
    return found


def same(wanted_options, found_options, commands):
    for image in (wanted_options, found_options):
        said = qemu_io(image, *commands, seconds=100)
        eq('failed' in said or 'rror' in said, False, f'errors in {said}')


def compare(a, b):
    subprocess.run([program('qemu-img'), 'compare', '-q', '--image-opts', a, b],
                   check=True, timeout=hang_limit())


def raw(name):
    return options(driver='file', filename=path(name), discard='unmap')


def test_raw():
    rng = random.Random(seed)
    for name in ('plain', 'quota'):
        make_file(name, 64 * MIB)
    filtered = options(driver='quota', limit='64M', discard='unmap',
                       file={'driver': 'file', 'filename': path('quota'),
                             'discard': 'unmap'})
    same(raw('plain'), filtered, requests(rng, 64 * MIB, 400))
    compare(raw('plain'), raw('quota'))
    compare(raw('plain'), filtered)


def test_raw_with_a_ledger_that_grows():
    rng = random.Random(seed + 1)
    for name in ('plain', 'quota'):
        make_file(name, 64 * MIB)
    ledger = Ledger('acme', limit='80M', step='2M', grant='2M', free='1G')
    ledger.serve(path('quota'))
    filtered = options(driver='quota', ledger=ledger.path, tenant='acme',
                       discard='unmap',
                       file={'driver': 'file', 'filename': path('quota'),
                             'discard': 'unmap'})
    same(raw('plain'), filtered, requests(rng, 64 * MIB, 400))
    compare(raw('plain'), raw('quota'))
    wait_for('the sample', lambda: ledger.show()['unsampled'] == 0)
    eq(ledger.show()['used'], allocated('quota'), 'used')


def test_qcow2():
    rng = random.Random(seed + 2)
    for name in ('plain', 'quota'):
        subprocess.run([program('qemu-img'), 'create', '-q', '-f', 'qcow2',
                        path(name), '64M'], check=True)
    plain = options(driver='qcow2', discard='unmap',
                    file={'driver': 'file', 'filename': path('plain'),
                          'discard': 'unmap'})
    filtered = options(driver='qcow2', discard='unmap',
                       file={'driver': 'quota', 'limit': '100M',
                             'discard': 'unmap',
                             'file': {'driver': 'file', 'discard': 'unmap',
                                      'filename': path('quota')}})
    same(plain, filtered, requests(rng, 64 * MIB, 300))
    compare(plain, filtered)
    subprocess.run([program('qemu-img'), 'check', '-q', path('quota')],
                   check=True)


def test_copied_and_mirrored():
    make_file('source', 32 * MIB)
    make_file('target', 32 * MIB)
    can_write(raw('source'), 'write -P 3 0 5M', 'write -P 4 17M 6M')
    subprocess.run([program('qemu-img'), 'convert', '-n', '-C', '-t', 'none',
                    '-T', 'none', '--image-opts', '--target-image-opts',
                    raw('source'), quota_on(path('target'), limit='11M')],
                   check=True, timeout=hang_limit())
    compare(raw('source'), raw('target'))
    at_most(allocated('target'), 11 * MIB, 'allocated')

    make_file('mirror', 32 * MIB)
    daemon = StorageDaemon('--blockdev', raw('source') + ',node-name=source',
                           '--blockdev', options(
                               driver='quota', limit='11M', node_name='quota',
                               discard='unmap',
                               file={'driver': 'file', 'discard': 'unmap',
                                     'filename': path('mirror')}))
    daemon.qmp('blockdev-mirror', job_id='job', device='source',
               target='quota', sync='full')
    wait_for('the mirror', lambda: [
        j for j in daemon.qmp('query-jobs') if j['status'] == 'ready'])
    daemon.qmp('job-complete', id='job')
    wait_for('the end of the mirror', lambda: not daemon.qmp('query-jobs'))
    daemon.qmp('quit')
    daemon.process.wait(hang_limit())
    compare(raw('source'), raw('mirror'))


def test_iothread_under_growth_and_drains():
    disk = make_file('disk', 64 * MIB)
    ledger = Ledger('acme', limit='64M', step='2M', grant='2M', free='1G',
                    write_iops_sec=400)
    ledger.serve(disk, slow=20)
    node = {'driver': 'quota', 'node-name': 'quota', 'file': 'file',
            'ledger': ledger.path, 'tenant': 'acme'}
    daemon = StorageDaemon('--object', 'iothread,id=thread')
    daemon.qmp('blockdev-add', driver='file', node_name='file', filename=disk)
    daemon.qmp('blockdev-add', **node)
    nbd = daemon.export(iothread='thread', fixed_iothread=False)
    chunks = list(range(0, 64 * 16))
    random.Random(seed + 3).shuffle(chunks)
    writer = start_qemu_io(nbd, *[
        f'aio_write -q -P {1 + i % 250} {i * 64}k 64k' for i in chunks],
        'aio_flush')
    drains = 0
    while writer.poll() is None:
        daemon.qmp('blockdev-reopen', options=[node])
        daemon.quota()
        drains += 1
        time.sleep(0.005)
    eq(writer.communicate()[0].decode(), '', 'what was said')
    at_least(drains, 5, 'drains')
    can_write(nbd, *[f'read -q -P {1 + i % 250} {i * 64}k 64k'
                     for i in chunks])
    eq(daemon.quota()['charged-bytes'], 64 * MIB, 'charged-bytes')
    eq(daemon.quota()['in-flight-bytes'], 0, 'in-flight-bytes')


main()
