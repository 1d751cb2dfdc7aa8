#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A byte is wrong after hours of random requests through the filter.

  soak.py [SECONDS [SEED]]      30 seconds and a random seed, if not said

Episode after episode, each with new volumes of one tenant whose thin pool
starts at one step: one volume gets batches of random writes, zero writes,
discards, flushes and reads at once, and is compared with a file that holds
what was written; a fio job verifies another one.  Meanwhile limits and rates
change, the pool grows, nodes are reopened, snapshots begin and end, and the
daemon is killed and started again.  A refused write must have changed nothing.
In the end the ledger must agree with what is allocated, to the byte."""

import random
import threading

from quota_test import *

seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30
seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
del sys.argv[1:]

EPISODE_SECONDS = min(40, seconds / 2)
SIZE = 96 * MIB
CHUNK = 64 * KIB

total = {'requests': 0, 'bytes': 0, 'refused': 0, 'changes': 0, 'kills': 0,
         'compared': 0, 'verified': 0}


class Volume:
    """A volume of the tenant behind a daemon of its own."""

    def __init__(self, ledger, rng, name, image_format):
        self.ledger = ledger
        self.name = name
        self.format = image_format
        self.direct = rng.random() < 0.5
        self.iothread = rng.random() < 0.5
        self.timeout = 30
        make_file(name, SIZE)
        if image_format == 'qcow2':
            subprocess.run([program('qemu-img'), 'create', '-q', '-f', 'qcow2',
                            path(name), str(SIZE)], check=True)
        self.open()

    def quota(self):
        return {'driver': 'quota', 'node-name': 'quota', 'file': 'file',
                'ledger': self.ledger.path, 'tenant': 'acme',
                'volume': self.name, 'discard': 'unmap',
                'wait-timeout': self.timeout}

    def open(self):
        self.daemon = StorageDaemon(*(
            ['--object', 'iothread,id=thread'] if self.iothread else []))
        self.daemon.qmp('blockdev-add', driver='file', node_name='file',
                        filename=path(self.name), discard='unmap',
                        cache={'direct': self.direct})
        self.daemon.qmp('blockdev-add', **self.quota())
        node = 'quota'
        if self.format == 'qcow2':
            node = 'format'
            self.daemon.qmp('blockdev-add', driver='qcow2', node_name=node,
                            file='quota', discard='unmap')
        self.image = self.daemon.export(
            node, **({'iothread': 'thread'} if self.iothread else {}))

    def reopen(self, rng):
        self.timeout = rng.randrange(20, 40)
        self.daemon.qmp('blockdev-reopen', options=[self.quota()])

    def kill(self):
        self.daemon.process.kill()
        self.daemon.process.wait()
        os.unlink(path(f'{self.daemon.name}.nbd'))
        self.open()

    def close(self):
        self.daemon.qmp('quit')
        self.daemon.process.wait(hang_limit())
        stop(self.daemon.process)

    def as_file(self):
        return options(driver=self.format, file={
            'driver': 'file', 'filename': path(self.name)})


class Changes(threading.Thread):
    """What changes while requests are in flight."""

    def __init__(self, ledger, rng, volumes):
        super().__init__(daemon=True)
        self.ledger, self.rng, self.volumes = ledger, rng, volumes
        self.lock = threading.Lock()
        self.is_over = False
        self.error = None
        self.start()

    def run(self):
        try:
            while not self.is_over:
                time.sleep(self.rng.uniform(0.02, 0.3))
                with self.lock:
                    self.change()
                total['changes'] += 1
        except (AssertionError, OSError, ValueError,
                subprocess.SubprocessError) as error:
            self.error = error

    def change(self):
        rng, ledger = self.rng, self.ledger
        volume = rng.choice(self.volumes)
        kind = rng.randrange(5)
        if kind == 0:
            ledger.set(total_bytes_sec=rng.choice((0, 32 * MIB, 200 * MIB)),
                       total_iops_sec=rng.choice((0, 2000, 50000)))
        elif kind == 1:
            # Never below what is used: no write of these may be refused.
            ledger.set(limit=2 * SIZE + rng.randrange(64, 1024) * MIB)
        elif kind == 2:
            volume.reopen(rng)
        elif kind == 3:
            ledger.epoch('begin', volume.name)
            ledger.epoch('wait', volume.name)
            ledger.epoch('end', volume.name)
        else:
            volume.daemon.quota()

    def end(self):
        self.is_over = True
        self.join(hang_limit())
        if self.error:
            raise AssertionError(f'while changing limits: {self.error}')


class Mixer:
    """Random requests, and what the volume must hold after them."""

    def __init__(self, volume, rng):
        self.volume, self.rng = volume, rng
        self.wanted = open(make_file('wanted', SIZE), 'r+b', buffering=0)

    def apply(self, request):
        kind, offset, length, pattern = request
        total['bytes'] += length
        if kind != 'read':
            self.wanted.seek(offset)
            self.wanted.write(bytes([pattern]) * length)

    def random_request(self, lengths, kinds, align):
        rng = self.rng
        kind = rng.choice(kinds)
        length = rng.choice(lengths)
        if kind == 'discard' and self.volume.format == 'qcow2':
            # It leaves parts of clusters as they are.
            length = max(length // CHUNK, 1) * CHUNK
            align = CHUNK
        offset = rng.randrange(0, SIZE - length + 1) // align * align
        pattern = rng.randrange(1, 255) if kind.startswith('write') else 0
        return kind, offset, length, pattern

    @staticmethod
    def command(request, prefix='', quiet=''):
        kind, offset, length, pattern = request
        words = {'write': f'{prefix}write {quiet} -P {pattern}',
                 'write-fua': f'{prefix}write {quiet} -f -P {pattern}',
                 'zero': f'{prefix}write {quiet} -z',
                 'zero-unmap': f'{prefix}write {quiet} -zu',
                 'discard': f'discard {quiet}',
                 'read': f'{prefix}read {quiet}'}
        return f'{words[kind]} {offset} {length}'

    def batch(self):
        """Requests that do not overlap, in flight together."""
        rng = self.rng
        taken, commands, requests = [], [], []
        for _ in range(rng.randrange(5, 200)):
            request = self.random_request(
                (512, 1024, 4096, 12288, 65536, 200704, 1 << 20),
                ('write', 'write', 'write', 'write-fua', 'zero', 'zero-unmap',
                 'discard', 'read'), 512)
            begin, end = request[1], request[1] + request[2]
            if any(begin < e and b < end for b, e in taken):
                continue
            taken.append((begin, end))
            commands.append(self.command(request, 'aio_', '-q'))
            requests.append(request)
            if rng.random() < 0.02:
                commands.append('flush')
        commands.append('aio_flush')
        said = qemu_io(self.volume.image, *commands, seconds=120)
        eq(said, '', 'what a batch said')
        for request in requests:
            self.apply(request)
        total['requests'] += len(requests)

    def refused_batch(self):
        """The volume's limit is what it has: what is refused has no effect."""
        ledger, name = self.volume.ledger, self.volume.name
        # So that there is something to refuse.
        hole = ('discard', self.rng.randrange(SIZE // MIB - 8) * MIB,
                8 * MIB, 0)
        eq(qemu_io(self.volume.image, f'discard -q {hole[1]} {hole[2]}'), '',
           'what a discard said')
        self.apply(hole)
        ledger.volume(name, limit=MIB)
        requests = []
        for _ in range(self.rng.randrange(5, 30)):
            # Of qcow2, not more than one cluster: it writes each by itself.
            request = self.random_request((512, 4096, CHUNK),
                                          ('write', 'write-fua'), 512)
            if self.rng.random() < 0.5:
                request = (request[0], hole[1] + request[1] % (7 * MIB),
                           *request[2:])
            if self.volume.format == 'qcow2' and \
                    request[1] % CHUNK + request[2] > CHUNK:
                continue
            requests.append(request)
        said = qemu_io(self.volume.image, *map(self.command, requests),
                       seconds=300) if requests else ''
        ledger.volume(name, limit=0)
        answers = re.findall(r'wrote (\d+)/(\d+) bytes at offset (\d+)|'
                             r'(write failed: No space left on device)', said)
        eq(len(answers), len(requests), f'answers in: {said}')
        for request, answer in zip(requests, answers):
            if answer[3]:
                total['refused'] += 1
            else:
                eq((int(answer[0]), int(answer[2])), (request[2], request[1]),
                   'what was written')
                self.apply(request)
        total['requests'] += len(requests)

    def compare(self, image):
        done = subprocess.run(
            [program('qemu-img'), 'compare', '--image-opts',
             options(driver='file', filename=path('wanted')), image],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
            timeout=hang_limit(300))
        if done.returncode != 0:
            raise AssertionError('wrong bytes: ' + done.stdout.decode())
        total['compared'] += SIZE


def start_fio(volume, rng, runtime):
    uri = 'nbd+unix:///disk?socket=' + path(f'{volume.daemon.name}.nbd')
    return start(
        'fio', '--name=verify', '--ioengine=nbd', f'--uri={uri}',
        '--rw=randrw', '--rwmixread=20', '--bsrange=4k-128k', f'--size={SIZE}',
        '--iodepth=16', '--verify=crc32c', '--verify_fatal=1',
        '--verify_backlog=256', '--time_based', f'--runtime={runtime:.0f}',
        f'--randseed={rng.randrange(1 << 32)}', '--output-format=json',
        cwd=path('.'), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finish_fio(fio):
    said = fio.communicate(timeout=hang_limit(300))[0].decode()
    children.remove(fio)
    eq(fio.returncode, 0, f'status of fio, which said: {said[-2000:]}')
    job = json.loads(said[said.index('{'):])['jobs'][0]
    eq(job['error'], 0, 'errors of fio')
    total['requests'] += job['read']['total_ios'] + job['write']['total_ios']
    total['verified'] += job['read']['io_bytes']


def episode(number, end):
    rng = random.Random(seed + number)
    for name in os.listdir(path('.')):
        if name != 'run':
            os.unlink(path(name))
    shutil.rmtree(path('run'), ignore_errors=True)
    step = rng.choice((2, 8)) * MIB
    ledger = Ledger('acme', limit='1G', step=step, grant=step, free='2G')
    mixed = Volume(ledger, rng, 'mixed', 'raw' if number % 3 else 'qcow2')
    verified = Volume(ledger, rng, 'verified', 'raw')
    ledger.serve(path('mixed'), path('verified'), slow=rng.choice((0, 5, 20)))
    mixer = Mixer(mixed, rng)
    runtime = max(min(EPISODE_SECONDS, end - time.monotonic() - 3), 3)
    over = time.monotonic() + runtime
    fio = start_fio(verified, rng, runtime)
    changes = Changes(ledger, random.Random(seed - number - 1),
                      [mixed, verified])
    while time.monotonic() < over:
        mixer.batch()
        chance = rng.random()
        if chance < 0.05:
            mixer.refused_batch()
        elif chance < 0.1:
            mixer.compare(mixed.image)
        elif chance < 0.13:
            with changes.lock:
                mixed.kill()
            total['kills'] += 1
    changes.end()
    ledger.set(total_bytes_sec=0, total_iops_sec=0)
    finish_fio(fio)
    mixer.compare(mixed.image)
    mixed.close()
    verified.close()
    mixer.compare(mixed.as_file())
    if mixed.format == 'qcow2':
        subprocess.run([program('qemu-img'), 'check', '-q', path('mixed')],
                       check=True)
    wait_for('the sample', lambda: ledger.show()['unsampled'] == 0)
    eq(ledger.show()['used'], allocated('mixed') + allocated('verified'),
       'used, by the ledger and by the file system')
    stop(ledger.server)
    ledger.server = None


def test_not_one_wrong_byte():
    print(f'  seed {seed}', flush=True)
    end = time.monotonic() + seconds
    number = 0
    while number < 2 or end - time.monotonic() > 8:
        episode(number, end)
        number += 1
        if number > 2:
            print(f'  after {number} episodes: {total}', flush=True)
    print('  {requests} requests of {gib:.1f} GiB, {refused} of them refused, '
          'beside {changes} changes and {kills} kills; {compared:.1f} GiB '
          'compared, {verified:.1f} GiB verified by fio'.format(
              requests=total['requests'], gib=total['bytes'] / GIB,
              refused=total['refused'], changes=total['changes'],
              kills=total['kills'], compared=total['compared'] / GIB,
              verified=total['verified'] / GIB))


if not shutil.which('fio'):
    skip('needs fio')
main()
