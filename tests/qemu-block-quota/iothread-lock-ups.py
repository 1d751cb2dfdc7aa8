#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The filter locks up, or ends QEMU, where several threads use it at once.

What did that to the throttle filter is done to both, and printed side by side:
QEMU's issue 3144 (a lock that is held over a yield), 3194 (a timer that is
armed while another thread restarts the queue) and 1215 (a drain that ends in
the wrong thread).  Only the quota filter has to pass.

--two-locks also builds throttle as it was before issue 3144 was fixed, to show
that its lock-up is found; any further argument chooses scenarios."""

import shlex

from quota_test import *

STORM = f'{BUILD}/tests/unit/iothread-storm'
OBJECTS = ('block_throttle-groups.c.o', 'block_throttle.c.o',
           'block_block-backend.c.o')
RATE = 20000
ROUNDS = 2

with_two_locks = '--two-locks' in sys.argv
if with_two_locks:
    sys.argv.remove('--two-locks')
results = {}


def ninja(*args):
    return subprocess.run(['ninja', '-C', BUILD, *args], check=True,
                          stdout=subprocess.PIPE).stdout.decode()


def storm_of_two_locks():
    """iothread-storm with throttle as it was; build directory untouched."""
    source = re.search(
        r'-c (\S+)/block/throttle.c',
        ninja('-t', 'commands', 'libblock.a.p/' + OBJECTS[1]))[1]
    source = os.path.normpath(os.path.join(BUILD, source))
    for name in ('block', 'include/block'):
        os.makedirs(path(name))
    for name in ('block/throttle-groups.c', 'include/block/throttle-groups.h'):
        shutil.copy(f'{source}/{name}', path(name))
    subprocess.run(['patch', '-s', '-p1', '-d', path('.'), '-i',
                    f'{HERE}/throttle-two-locks.patch'], check=True)

    link = shlex.split(ninja('-t', 'commands',
                             'tests/unit/iothread-storm').splitlines()[-1])
    link[link.index('-o') + 1] = path('storm')
    for name in OBJECTS:
        compile_it = shlex.split(ninja(
            '-t', 'commands', 'libblock.a.p/' + name).splitlines()[-1])
        compile_it[1:1] = ['-iquote', path('include')]
        compile_it[compile_it.index('-o') + 1] = path(name)
        if 'throttle-groups' in name:
            compile_it[-1] = path('block/throttle-groups.c')
        subprocess.run(compile_it, cwd=BUILD, check=True)
        link[link.index('libblock.a.p/' + name)] = path(name)
    subprocess.run(link, cwd=BUILD, check=True)
    return path('storm')


def run(*command):
    """What comes of it: passes, hangs, or how it ended."""
    child = start(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        said = child.communicate(timeout=hang_limit())[0].decode().strip()
    except subprocess.TimeoutExpired:
        stop(child)
        return 'hangs'
    children.remove(child)
    if child.returncode == 0:
        return 'passes'
    print('  ' + said.splitlines()[-1] if said else '')
    if child.returncode < 0:
        return signal.Signals(-child.returncode).name
    return f'fails with status {child.returncode}'


def node(driver, **opts):
    return options(driver=driver, file={'driver': 'null-co', 'size': 64 * MIB},
                   **opts)


def throttled():
    return '-o', f'throttle-group,id=group,x-iops-total={RATE}'


def compare(issue, storm_args, throttle, quota):
    row = results[issue] = {}
    if with_two_locks:
        row['two locks'] = run(storm_of_two_locks(), *storm_args, *throttled(),
                               *throttle)
    # Chance has a part in it.
    for _ in range(ROUNDS):
        row['throttle'] = run(STORM, *storm_args, *throttled(), *throttle)
        if row['throttle'] != 'passes':
            break
    for _ in range(ROUNDS):
        row['quota'] = run(STORM, *storm_args, *quota)
        eq(row['quota'], 'passes', 'quota')


def test_3144_threads_of_one_node():
    compare('3144, four threads on one node',
            ['-t', '4', '-q', '8', '-n', str(RATE)],
            [node('throttle', throttle_group='group')],
            [node('quota', total_iops_sec=RATE)])


def test_3144_threads_of_one_node_under_drains():
    compare('3144, the same, and drained',
            ['-t', '4', '-q', '8', '-n', str(RATE), '-d', '5'],
            [node('throttle', throttle_group='group')],
            [node('quota', total_iops_sec=RATE)])


def test_3194_a_group_of_four_threads():
    ledger = Ledger('acme', total_iops_sec=RATE)
    compare('3194, four nodes of a group, a thread each',
            ['-t', '4', '-q', '8', '-n', str(RATE)],
            [node('throttle', throttle_group='group')] * 4,
            [node('quota', ledger=ledger.path, tenant='acme', volume=f'v{i}',
                  allocation=False) for i in range(4)])


def test_3194_a_group_of_four_threads_under_drains():
    ledger = Ledger('acme', total_iops_sec=RATE)
    compare('3194, the same, and drained',
            ['-t', '4', '-q', '8', '-n', str(RATE), '-d', '5'],
            [node('throttle', throttle_group='group')] * 4,
            [node('quota', ledger=ledger.path, tenant='acme', volume=f'v{i}',
                  allocation=False) for i in range(4)])


def test_new_space_in_four_threads():
    # Throttle has no counterpart: all threads ask for space, and are charged,
    # while the pool grows, snapshots are taken, and the node is drained.
    row = results['no issue: new space in four threads'] = {}
    disk = make_file('disk', 192 * MIB)
    ledger = Ledger('acme', limit='256M', step='4M', grant='4M', free='1G')
    ledger.serve(disk, slow=2)
    storm = start(STORM, '-t', '4', '-q', '4', '-n', '3000', '-s', '65536',
                  '-d', '3', ledger.quota(disk, volume='disk'),
                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    end = time.monotonic() + hang_limit()
    while storm.poll() is None and time.monotonic() < end:
        for verb in ('begin', 'wait', 'end'):
            ledger.epoch(verb, 'disk')
        time.sleep(0.02)
    row['quota'] = {None: 'hangs', 0: 'passes'}.get(storm.poll(), 'fails')
    stop(storm)
    print('  ' + storm.stdout.read().decode().strip())
    eq(row['quota'], 'passes', 'quota')
    wait_for('the sample', lambda: ledger.show()['unsampled'] == 0)
    eq(ledger.show()['used'], allocated('disk'), 'used')


def stream(driver, unlimited, limited, *args):
    """Stream below two filters that are used in a thread; what comes of it."""
    for name in ('base', 'top'):
        if os.path.exists(path(name)):
            os.unlink(path(name))
    qemu_img = program('qemu-img')
    subprocess.run([qemu_img, 'create', '-q', '-f', 'qcow2', path('base'),
                    '64M'], check=True)
    can_write(options(driver='qcow2',
                      file={'driver': 'file', 'filename': path('base')}),
              'write -P 7 0 64M')
    subprocess.run([qemu_img, 'create', '-q', '-f', 'qcow2', '-F', 'qcow2',
                    '-b', path('base'), path('top')], check=True)
    daemon = StorageDaemon(
        '--object', 'iothread,id=thread', *args,
        '--blockdev', options(driver='qcow2', node_name='below',
                              file={'driver': 'file',
                                    'filename': path('top')}),
        '--blockdev', options(driver=driver, node_name='inner', file='below',
                              **unlimited),
        '--blockdev', options(driver=driver, node_name='outer', file='inner',
                              **limited))
    # As a virtio-blk device has it: its thread is not to be changed.
    nbd = daemon.export('outer', iothread='thread', fixed_iothread=True)
    user = start(qemu_img, 'bench', '--image-opts', '-c', '1000000', '-d', '8',
                 nbd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        daemon.qmp('block-stream', job_id='stream', device='below')
        wait_for('the job', lambda: not daemon.qmp('query-jobs'))
        eq(user.poll(), None, 'the user of the filter')
        result = 'passes'
    except (TimeoutError, ValueError, AssertionError) as error:
        print(f'  {driver}: {error}')
        result = 'hangs'
    stop(daemon.process)
    stop(user)
    return result


def test_1215_stream_below_two_filters():
    row = results['1215, a stream below two filters'] = {}
    row['throttle'] = stream(
        'throttle', {'throttle_group': 'unlimited'},
        {'throttle_group': 'limited'}, '--object',
        'throttle-group,id=unlimited', '--object',
        'throttle-group,id=limited,x-iops-total=10000,x-bps-total=104857600')
    for _ in range(ROUNDS):
        row['quota'] = stream('quota', {}, {'total_iops_sec': 10000,
                                            'total_bytes_sec': 104857600})
        eq(row['quota'], 'passes', 'quota')


def table():
    columns = (['two locks'] if with_two_locks else []) + ['throttle', 'quota']
    print(f'{"QEMU issue":44}' + ''.join(f'{c:12}' for c in columns))
    for issue, row in results.items():
        print(f'{issue:44}' + ''.join(f'{row.get(c, "-"):12}'
                                      for c in columns))


if not os.path.exists(f'{BUILD}/build.ninja'):
    skip(f"needs QEMU's build directory, {BUILD}")
ninja('-j2', 'tests/unit/iothread-storm')
atexit.register(table)
main()
