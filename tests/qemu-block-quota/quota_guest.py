# SPDX-License-Identifier: LGPL-2.1-or-later
"""A small Linux guest (tests/lab.d/guest) with several processors, for tests of
what reaches the filter through a guest's own queues.  It is emulated here and now,
without a lab machine: its memory is shared, for a storage daemon that serves it
by vhost-user, and its only process takes commands from its console."""

import re
import subprocess

import quota_test as q

GUEST = '/opt/quota-lvm/share/quota-lvm/guest'
MEMORY = '160M'
BLOCK = 4096
MASK = (1 << 64) - 1


class Guest(q.StorageDaemon):
    """QEMU with that guest.  The command goes on while the test goes on: begin()
    and finish(), or run() for both; there can be one at a time."""

    def __init__(self, *args, cpus):
        self.cpus = cpus
        self.console = q.path('console')
        super().__init__(*args)

    def command(self, chardev):
        try:
            with open(f'{GUEST}/cmdline', encoding='ascii') as f:
                cmdline = f.read().strip()
        except FileNotFoundError:
            q.skip(f'needs the guest of the lab, in {GUEST}')
        return [q.program('qemu-system-x86_64'), '-nodefaults', '-display',
                'none', '-L', '/usr/share/seabios', '-L', '/usr/share/qemu',
                '-machine', 'pc,memory-backend=memory',
                '-accel', 'tcg,thread=multi', '-smp', str(self.cpus),
                '-m', MEMORY, '-object',
                f'memory-backend-memfd,id=memory,size={MEMORY},share=on',
                '-kernel', f'{GUEST}/vmlinux', '-initrd', f'{GUEST}/initrd',
                '-append', cmdline, '-chardev', 'socket,id=console,server=on,'
                f'wait=off,path={self.console}', '-serial', 'chardev:console',
                '-chardev', chardev, '-mon', 'chardev=qmp,mode=control']

    def begin(self, command, seconds=q.HANG):
        return q.start(f'{GUEST}/talk', '-t', f'{q.hang_limit(seconds):.0f}',
                       self.console, command, text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def said(self, talk):
        text = talk.communicate()[0]
        if talk.returncode >= 124:
            raise AssertionError(f'the guest: {text.strip()}')
        return text

    def finish(self, talk):
        """What blk printed at its ends, a dict for each line of key=value."""
        return [{k: v if k == 'op' else float(v) for k, v in
                 re.findall(r'(\w+)=(\S+)', line)}
                for line in self.said(talk).splitlines()
                if line.startswith('op=')]

    def run(self, command, seconds=q.HANG):
        return self.finish(self.begin(command, seconds))

    def tasks(self, lines):
        """A command of several tasks at once, each on a processor of its own
        and so on a queue of its own."""
        return ' '.join(f'taskset -c {i % self.cpus} {line} & tasks="$tasks $!";'
                        for i, line in enumerate(lines)) + \
            ' wait $tasks'

    def is_running(self):
        return self.qmp('query-status')['running']

    def reset(self):
        self.qmp('system_reset')
        q.wait_for('the reset', lambda: self.take_events('RESET'))


def noise_of(seed):
    """blk.c's make_noise()."""
    x = (seed * 0x9e3779b97f4a7c15 + 1) & MASK
    words = []
    for _ in range(BLOCK // 8):
        x ^= x << 13 & MASK
        x ^= x >> 7
        x ^= x << 17 & MASK
        words.append(x)
    return words


def has_pattern(filename, seed, offset, length):
    """How many bytes from there on are what "blk write" with that seed wrote."""
    noise = noise_of(seed)
    middle = b''.join(w.to_bytes(8, 'little') for w in noise[1:-1])
    with open(filename, 'rb') as f:
        f.seek(offset)
        for at in range(offset, offset + length, BLOCK):
            if f.read(BLOCK) != (
                    (noise[0] ^ at).to_bytes(8, 'little') + middle +
                    (noise[-1] ^ at ^ MASK).to_bytes(8, 'little')):
                return at - offset
    return length
