#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The driver cannot be found, or is loaded into programs that do not use it."""

from quota_test import *


def has_module(process):
    with open(f'/proc/{process.pid}/maps', encoding='utf-8') as f:
        return 'block-quota.so' in f.read()


def loads_when_asked_for(kind):
    daemon = kind()
    eq(has_module(daemon.process), False, 'loaded at start')
    # The command is there without the module, and does not need it.
    eq(daemon.qmp('query-block-quota'), [], 'query-block-quota')
    eq(has_module(daemon.process), False, 'loaded by the query')
    daemon.qmp('blockdev-add', driver='quota', node_name='quota', limit=MIB,
               file={'driver': 'file', 'filename': make_file('disk', MIB)})
    eq(has_module(daemon.process), True, 'loaded by blockdev-add')
    eq(daemon.quota()['limit-bytes'], MIB, 'limit-bytes')


def test_storage_daemon():
    loads_when_asked_for(StorageDaemon)


def test_system_emulator():
    loads_when_asked_for(Machine)


def test_tools():
    disk = make_file('disk', MIB)
    can_write(quota_on(disk, limit='1M'), 'write 0 1M')
    for command in (['info'], ['map'], ['measure', '-O', 'raw']):
        subprocess.run([program('qemu-img'), *command, '--image-opts',
                        quota_on(disk, limit='1M')], check=True,
                       timeout=hang_limit(),
                       stdout=subprocess.DEVNULL)


def test_options_are_in_the_schema():
    daemon = StorageDaemon()
    schema = json.dumps(daemon.qmp('query-qmp-schema'))
    for word in ('BLOCK_QUOTA_REFUSED', 'BLOCK_QUOTA_RECOVERED',
                 'query-block-quota', 'total-iops-sec-max-length',
                 'accounting-lost'):
        eq(word in schema, True, word)


main()
