#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Limits given inline, on a plain file: one byte too many, or one too few."""

from quota_test import *


def test_refused_at_the_limit_exactly():
    disk = make_file('disk', 8 * MIB)
    image = quota_on(disk, limit='1M')
    can_write(image, 'write -P 1 0 512k')
    can_write(image, 'write -P 2 4M 512k')
    is_refused(image, 'write 2M 4k', 'write -z 2M 4k', 'write 3M 1M')
    eq(allocated('disk'), MIB, 'allocated')
    can_write(quota_on(disk), 'read -P 1 0 512k', 'read -P 2 4M 512k',
              'read -P 0 2M 2M')


def test_last_block_can_be_had():
    disk = make_file('disk', 8 * MIB)
    image = quota_on(disk, limit='64k')
    can_write(image, *[f'write {i}M 4k' for i in range(8)],
              *[f'write {i * 512 + 256}k 4k' for i in range(8)])
    is_refused(image, 'write 4032k 4k')
    eq(allocated('disk'), 64 * KIB, 'allocated')


def test_chunk_that_is_half_written_is_half_charged():
    disk = make_file('disk', 64 * MIB)
    # 4k in each of 256 chunks, and then the rest of them.
    commands = [f'write {i * 64}k 4k' for i in range(256)]
    commands += [f'write {i * 64 + 4}k 60k' for i in range(256)]
    said = qemu_io(quota_on(disk, limit='2M'), *commands)
    at_least(said.count('No space'), 200, 'refusals')
    at_most(allocated('disk'), 2 * MIB, 'allocated')


def test_overwriting_goes_on_at_the_limit():
    disk = make_file('disk', 8 * MIB)
    can_write(quota_on(disk), 'write -P 1 0 1M')
    # A node without charged chunks, at the usage and below it.
    for limit in ('1M', '512k'):
        image = quota_on(disk, limit=limit)
        can_write(image, 'write -P 3 0 4k', 'write -P 4 100k 300k',
                  'read -P 3 0 4k', 'read -P 1 4k 96k')
        is_refused(image, 'write 1M 4k')
    eq(allocated('disk'), MIB, 'allocated')


def test_discarded_space_can_be_used_again():
    disk = make_file('disk', 8 * MIB)
    image = quota_on(disk, limit='1M', discard='unmap')
    image = image.replace('file.driver=file', 'file.driver=file,'
                          'file.discard=unmap')
    can_write(image, 'write 0 1M', 'discard 0 256k', 'write 4M 256k')
    is_refused(image, 'write 0 4k', 'write 5M 4k')
    # Part of a chunk: what is punched out must be charged again.
    can_write(image, 'discard 4M 4k', 'write 6M 4k')
    is_refused(image, 'write 4M 4k')
    eq(allocated('disk'), MIB, 'allocated')


def test_zeroes_need_no_space_where_they_may_unmap():
    disk = make_file('disk', 8 * MIB)
    image = quota_on(disk, limit='1M', discard='unmap').replace(
        'file.driver=file', 'file.driver=file,file.discard=unmap')
    can_write(image, 'write -P 1 0 1M')
    is_refused(image, 'write -z 2M 1M')
    can_write(image, 'write -zu 512k 6M', 'read -P 1 0 512k',
              'read -P 0 512k 6M')
    eq(allocated('disk'), 512 * KIB, 'allocated')


def test_many_writes_to_one_new_chunk_are_charged_once():
    disk = make_file('disk', 1 * MIB)
    commands = [f'aio_write -q -P 5 {i * 4}k 4k' for i in range(256)]
    said = qemu_io(quota_on(disk, limit='1M'), *commands, 'aio_flush',
                   'read -P 5 0 1M')
    eq('failed' in said or 'No space' in said, False, f'refusal in {said}')
    eq(allocated('disk'), MIB, 'allocated')


def test_scattered_writes_in_flight_do_not_refuse_each_other():
    # 32 x 4 KiB that could take up 32 x 64 KiB, and do not.
    disk = make_file('disk', 64 * MIB)
    commands = [f'aio_write -q {i}M 4k' for i in range(64)]
    said = qemu_io(quota_on(disk, limit='256k'), *commands, 'aio_flush')
    eq(said, '', 'what was said')
    eq(allocated('disk'), 256 * KIB, 'allocated')


def test_preallocation_is_charged():
    disk = make_file('disk', 0)
    image = quota_on(disk, limit='1M')
    said = subprocess.run(
        [program('qemu-img'), 'resize', '--preallocation=falloc',
         '--image-opts', image, '2M'], stderr=subprocess.PIPE, check=False)
    matches(said.stderr.decode(), 'refused.*tenant-limit', 'qemu-img resize')
    eq(allocated('disk'), 0, 'allocated')
    subprocess.run([program('qemu-img'), 'resize', '-q',
                    '--preallocation=falloc', '--image-opts', image, '1M'],
                   check=True)
    eq(allocated('disk'), MIB, 'allocated')


def test_qcow2_grows_through_the_filter():
    subprocess.run([program('qemu-img'), 'create', '-q', '-f', 'qcow2',
                    path('disk'), '64M'], check=True)
    image = options(driver='qcow2', file={
        'driver': 'quota', 'limit': '4M',
        'file': {'driver': 'file', 'filename': path('disk')}})
    can_write(image, 'write -P 7 0 1M', 'write -P 8 32M 1M', 'read -P 7 0 1M')
    is_refused(image, 'write 16M 8M')
    can_write(image, 'read -P 7 0 1M', 'read -P 8 32M 1M', 'read -P 0 2M 1M')
    at_most(allocated('disk'), 4 * MIB, 'allocated')
    subprocess.run([program('qemu-img'), 'check', '-q', path('disk')],
                   check=True)


def test_bad_options_are_refused_with_a_reason():
    disk = make_file('disk', MIB)
    for opts, why in (
            ({'limit': '0'}, "Option 'limit' must be between 1"),
            ({'limit': '-4096'}, "'-4096' is out of range.*'limit'"),
            ({'limit': '16E'}, "Option 'limit' must be between|out of range"),
            ({'limit': '1Q'}, "'limit' expects|'limit'"),
            ({'limit': '1M', 'allocation': 'off'},
             "'limit' contradicts 'allocation=off'"),
            ({'allocation': 'on'}, "'allocation' needs a 'ledger' or"),
            ({'total_bytes_sec_max': '1M'}, "'total-bytes-sec-max' needs"),
            ({'total_bytes_sec': '2M', 'read_bytes_sec': '1M'},
             'total-bytes-sec.*together'),
            ({'limit': '1M', 'wait_timeout': 10 ** 6},
             "'wait-timeout' must be at most"),
            ({'tenant': 'Acme'}, "Tenant name 'Acme' "),
            ({'lmit': '1M'}, "does not support the option 'lmit'")):
        said = qemu_io(quota_on(disk, **opts), 'write 0 4k')
        matches(said, why, f'error for {opts}')
        eq(allocated('disk'), 0, 'allocated')


def test_limit_on_what_cannot_tell_its_size_is_refused():
    nbd = options(driver='nbd', server={'type': 'unix', 'path': path('nbd')})
    server = start(program('qemu-nbd'), '-f', 'raw', '-k', path('nbd'),
                   make_file('disk', MIB))
    wait_for('qemu-nbd', lambda: os.path.exists(path('nbd')))
    said = qemu_io('driver=quota,limit=1M,' + ','.join(
        'file.' + w for w in nbd.split(',')), 'write 0 4k')
    stop(server)
    matches(said, 'needs a child that knows how much space', 'error')


main()
