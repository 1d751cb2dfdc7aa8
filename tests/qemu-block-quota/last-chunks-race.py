#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sixteen processes race for the last chunks of a tenant, and together they get
one too many, or leave one that none of them could get."""

import random
import threading

from quota_test import *

PROCESSES = 16
ROUNDS = 10
WANTED = 8      # chunks that each wants in a round
CHUNK = 64 * KIB
seed = int(sys.argv.pop()) if len(sys.argv) > 1 else random.randrange(1 << 32)


class Watch(threading.Thread):
    """Watches for a moment in which more is allocated than the limit allows."""

    def __init__(self, names):
        super().__init__(daemon=True)
        self.names = names
        self.limit = 0
        self.most = 0
        self.over = None
        self.is_over = False
        self.start()

    def run(self):
        while not self.is_over:
            # In this order: the limit only grows.
            used = sum(map(allocated, self.names))
            limit = self.limit
            self.most = max(self.most, used)
            if used > limit:
                self.over = f'{used} bytes of {limit}'
            time.sleep(0.002)


def race(images, number):
    """All write at once; returns how many chunks each of them got."""
    wishes = ''.join(f'write {(number * WANTED + i) * CHUNK} {CHUNK}\n'
                     for i in range(WANTED)).encode()
    writers = [start(program('qemu-io'), '--image-opts', image,
                     stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                     stderr=subprocess.STDOUT) for image in images]
    for writer in writers:
        # The prompt: it is ready.
        eq(writer.stdout.read(1), b'q', 'what qemu-io said')
    for writer in writers:
        writer.stdin.write(wishes)
        writer.stdin.close()
        writer.stdin = None
    got = []
    for writer in writers:
        said = writer.communicate(timeout=hang_limit())[0].decode()
        children.remove(writer)
        got.append(said.count(f'wrote {CHUNK}/'))
        eq(got[-1] + said.count('No space left on device'), WANTED,
           f'answers in: {said}')
    return got


def test_last_chunks_of_a_tenant():
    print(f'  seed {seed}')
    rng = random.Random(seed)
    names = [f'disk{i}' for i in range(PROCESSES)]
    files = [make_file(n, ROUNDS * WANTED * CHUNK) for n in names]
    # Granted in one step, so that no process waits, or is sampled, before the
    # race for the last chunks.
    ledger = Ledger('acme', limit=MIB, step='1G', grant=0, free='1G')
    ledger.serve(*files)
    daemons = [StorageDaemon('--blockdev', ledger.quota(
        f, volume=n, node_name='quota')) for f, n in zip(files, names)]
    images = [d.export() for d in daemons]
    watch = Watch(names)
    limit = 0
    for number in range(ROUNDS):
        # From one chunk for all to one for each of the wishes but one.
        limit += rng.randrange(1, PROCESSES * WANTED) * CHUNK
        watch.limit = limit
        ledger.set(limit=limit)
        got = race(images, number)
        used = sum(map(allocated, names))
        print(f'  {limit // CHUNK} chunks: got {got}')
        eq(watch.over, None, 'allocated above the limit')
        eq(used, limit, 'allocated, when everybody has been refused')
        wait_for('the sample', lambda: ledger.show()['unsampled'] == 0)
        eq(ledger.show()['used'], limit, 'used')
    watch.is_over = True
    eq(watch.most, limit, 'the most that was ever allocated')
    refused = sum(d.quota()['refused-writes']['total'] for d in daemons)
    at_least(refused, ROUNDS, 'refused')


main()
