#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two reports of one node differ, or do not tell refusals apart."""

from quota_test import *

REASONS = ('tenant-limit', 'volume-limit', 'group-full', 'accounting-lost')
IN_WORDS = {'tenant-limit': "the tenant's limit is reached",
            'volume-limit': "the volume's own limit is reached",
            'group-full': 'the volume group is full',
            'accounting-lost': 'usage is unknown'}
WAY_OUT = {'tenant-limit': "limit of tenant 'acme'.*reached; raise it",
           'volume-limit': "volume 'root' has reached its own limit, 1048576 ",
           'group-full': 'volume group has no space.*extend the volume group',
           'accounting-lost': "usage of tenant 'acme' is unknown; check that "
                              'quota-lvmd is running'}


def patience(reason):
    """Short only where no sampler answers."""
    return 1 if reason == 'accounting-lost' else NEVER


def refused_for(reason):
    """A ledger, and a machine with 1 MiB in use that is refused more."""
    disk = make_file('root', 16 * MIB)
    ledger = Ledger('acme', limit='1M' if reason == 'tenant-limit' else '8M',
                    step='1M', grant='1M',
                    free='0' if reason == 'group-full' else '1G')
    if reason == 'volume-limit':
        ledger.volume('root', limit='1M')
    ledger.serve(disk)
    machine = Machine('-blockdev', ledger.quota(
        disk, node_name='quota', volume='root', wait_timeout=patience(reason)))
    nbd = machine.export()
    can_write(nbd, 'write 0 1M')
    if reason == 'accounting-lost':
        wait_for('the sample', lambda: ledger.show()['sampled'] == MIB)
        stop(ledger.server)
    is_refused(nbd, 'write 4M 64k', 'write 4M 64k')
    return ledger, machine


def hmp(machine, command):
    return machine.qmp('human-monitor-command', command_line=command)


def specific(machine, query, **arguments):
    node, = [n for n in machine.qmp(query, **arguments)
             if n['node-name'] == 'quota']
    return node


def is_told_apart(reason):
    ledger, machine = refused_for(reason)
    event, = machine.take_events('BLOCK_QUOTA_REFUSED')
    eq(event['reason'], reason, 'event')
    eq('volume-limit-bytes' in event, reason == 'volume-limit',
       "the volume's limit in the event")
    info = machine.quota()
    eq((info['limit-state'], info['limit-reason']), ('refusing', reason),
       'query')
    counted = {'total': 2, **{r: 2 if r == reason else 0 for r in REASONS}}
    eq(info['refused-writes'], counted, 'refused-writes')
    eq(info['tenant-refused-writes'], 2, 'tenant-refused-writes')
    eq(ledger.show()['refused'], 2, "the ledger's refused writes")
    stats = specific(machine, 'query-blockstats', query_nodes=True)
    eq(stats['driver-specific']['refused-writes'], counted, 'query-blockstats')
    said = hmp(machine, 'info block-quota')
    matches(said, f'refusing: {IN_WORDS[reason]}', 'info block-quota')
    matches(said, f'{reason.replace("-", " ")} 2[,)]', 'info block-quota')
    for other in REASONS:
        if other != reason:
            eq(IN_WORDS[other] in said, False, f'{other} in words')


def test_tenant_limit_is_told_apart():
    is_told_apart('tenant-limit')


def test_volume_limit_is_told_apart():
    is_told_apart('volume-limit')


def test_group_full_is_told_apart():
    is_told_apart('group-full')


def test_accounting_lost_is_told_apart():
    is_told_apart('accounting-lost')


def test_errors_name_the_limit_and_the_way_out():
    for reason in REASONS:
        disk = make_file('root', MIB)
        ledger = Ledger('acme', limit='8M', grant='1M', free='1G')
        ledger.volume('root', limit='1M' if reason == 'volume-limit' else '1G')
        if reason == 'accounting-lost':
            ledger.sample(0)
        else:
            ledger.serve(disk, **({} if reason == 'volume-limit'
                                  else {'reason': reason}))
        said = subprocess.run(
            [program('qemu-img'), 'resize', '--preallocation=falloc',
             '--image-opts', ledger.quota(disk, volume='root',
                                          wait_timeout=patience(reason)),
             '64M'], stderr=subprocess.PIPE, check=False).stderr.decode()
        matches(said, f'refused.*: {reason}: .*{WAY_OUT[reason]}', 'error')
        if ledger.server:
            stop(ledger.server)
        shutil.rmtree(path('run'))


def test_every_report_has_the_same_bytes():
    disk = make_file('root', 16 * MIB)
    ledger = Ledger('acme', limit='8M', thick='1M', grant='4M', free='1G',
                    total_bytes_sec='1G', total_iops_sec=5000,
                    total_iops_sec_max=9000)
    ledger.volume('root', limit='3M')
    ledger.serve(disk)
    machine = Machine('-blockdev', ledger.quota(disk, node_name='quota',
                                                volume='root'))
    can_write(machine.export(), 'write 0 1M')
    wait_for('the sample', lambda: ledger.show()['sampled'] == MIB)
    shown = ledger.show()
    query = machine.quota()
    stats = specific(machine, 'query-blockstats',
                     query_nodes=True)['driver-specific']
    node = specific(machine, 'query-named-block-nodes', flat=True)
    image = node['image']['format-specific']
    eq(image['type'], 'quota', 'type of the image information')
    for name in ('limit', 'thick', 'grant', 'sampled', 'used', 'available',
                 'chunk'):
        for report in (query, stats, image['data']):
            eq(report[f'{name}-bytes'], shown[name], name)
    for report in (query, stats, image['data']):
        eq((report['volume-limit-bytes'], report['volume-used-bytes']),
           (3 * MIB, MIB), "the volume's own")
    eq(image['data']['rates'],
       {'total-bytes-sec': GIB, 'total-iops-sec': 5000,
        'total-iops-sec-max': 9000}, 'rates')
    said = hmp(machine, 'info block-quota quota')
    for what, size in (('Limit', 8), ('Used', 2), ('Available', 6),
                       ('Grant', 4), ("Volume's limit", 3)):
        matches(said, f'{what}: +{size} MiB .{size * MIB} bytes', 'HMP')
    matches(hmp(machine, 'info block-quota other'), 'No such node', 'HMP')


def test_qemu_img_info():
    disk = make_file('disk', 16 * MIB)
    can_write(quota_on(disk), 'write 0 1M')
    image = quota_on(disk, limit='4M', write_iops_sec=100, tenant='acme')
    said = subprocess.run([program('qemu-img'), 'info', '--output=json',
                           '--image-opts', image], check=True,
                          stdout=subprocess.PIPE).stdout
    data = json.loads(said)['format-specific']['data']
    eq((data['tenant'], data['limit-bytes'], data['used-bytes'],
        data['available-bytes']), ('acme', 4 * MIB, MIB, 3 * MIB), 'bytes')
    eq(data['rates'], {'write-iops-sec': 100}, 'rates')
    eq(data['sample-reason'], 'none', 'sample-reason, with room')
    eq('ledger' in data, False, 'a ledger')
    said = subprocess.run([program('qemu-img'), 'info', '--image-opts', image],
                          check=True, stdout=subprocess.PIPE).stdout.decode()
    matches(said, 'limit bytes: 4194304', 'qemu-img info')
    can_write(image, 'write 0 4M')
    said = subprocess.run([program('qemu-img'), 'info', '--image-opts', image],
                          check=True, stdout=subprocess.PIPE).stdout.decode()
    matches(said, 'sample reason: tenant-limit', 'qemu-img info')


def test_no_nodes():
    machine = Machine()
    eq(machine.qmp('query-block-quota'), [], 'query-block-quota')
    matches(hmp(machine, 'info block-quota'), 'No nodes', 'HMP')
    machine.qmp('blockdev-add', driver='null-co', node_name='null')
    for command, arguments in (
            ('block-quota-threshold-set', {'thresholds': []}),
            ('block-quota-latency-histogram-set', {})):
        reply = machine.ask(command, node_name='none', **arguments)
        matches(reply['error']['desc'], "Node 'none' not found", command)
        reply = machine.ask(command, node_name='null', **arguments)
        matches(reply['error']['desc'], "'null' is not a quota node", command)


def test_trace_events():
    disk = make_file('disk', 8 * MIB)
    said = qemu_io(quota_on(disk, limit='1M'), 'write 0 1M', 'write 4M 64k',
                   'discard 0 1M', args=('--trace', 'quota_*'))
    matches(said, 'quota_refused bs .* reason tenant-limit', 'trace')
    matches(said, 'quota_sampled', 'trace')


main()
