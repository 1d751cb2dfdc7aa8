#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest that writes from several processors at once exceeds a limit, gets a
needless error, or hangs or loses data when it is stopped, reset or loses its disk
while requests wait.

The disk is virtio-blk with an iothread for each queue, or vhost-user-blk, served
by a storage daemon.  Its quota node has a ledger with a limit, a thin pool that
grows, and rates.
"""

import errno

from quota_guest import Guest, has_pattern
from quota_test import *  # noqa: F403

TASKS = 3               # processors, queues, iothreads
STEP = 8 * MIB
RATE = 512 * MIB        # no obstacle
FIRST = 12              # MiB: what each task writes at first,
NEXT = 8                # and then, where there is room
ROOM = 6                # for less than one of them


class Disk:
    """/dev/vda of a guest above a quota node, and all that belongs to it."""

    def __init__(self):
        self.file = make_file('disk0', 256 * MIB)
        self.used = 0   # MiB
        self.at = TASKS * FIRST     # where nobody has written yet, in MiB
        self.ledger = Ledger('acme', limit=64 * MIB, grant=STEP, step=STEP,
                             free=GIB, total_bytes_sec=RATE,
                             total_iops_sec=100000)
        self.ledger.serve(self.file)
        self.node = {'driver': 'quota', 'node-name': 'quota', 'file': 'file',
                     'ledger': self.ledger.path, 'tenant': 'acme',
                     'volume': 'disk0'}
        self.start()
        self.boot()

    def boot(self):
        # The kernel would say on the console, in between, what fails.
        self.guest.said(self.guest.begin(
            'dmesg -n 1; until [ -b /dev/vda ]; do sleep 0.1; done'))

    def add_node(self):
        self.owner.qmp('blockdev-add', driver='file', node_name='file',
                       filename=self.file)
        self.owner.qmp('blockdev-add', **self.node)

    def wait_at_limit(self, seconds):
        self.owner.qmp('blockdev-reopen', options=[
            {**self.node, 'limit-timeout': seconds}])

    def rate(self, rate):
        self.ledger.set(total_bytes_sec=rate)

    def limit(self, mib):
        self.ledger.set(limit=mib * MIB)

    def threads(self):
        return []

    def tasks(self, verb, at, mib, more=''):
        """Tasks that do so many MiB each, side by side from there on.  Where a
        task begins is the seed of what it writes."""
        return self.guest.tasks(
            f'blk {verb} /dev/vda offset={at + i * mib}M length={mib}M '
            f'bs=256K seed={at + i * mib} {more}' for i in range(TASKS))

    def holds(self, at, mib):
        """What tasks wrote, looked at from the host."""
        for begin in range(at, at + TASKS * mib, mib):
            eq(has_pattern(self.file, begin, begin * MIB, mib * MIB),
               mib * MIB, f'what there is from {begin} MiB on')

    def holds_done(self, done):
        """What tasks were told that they had written before an error."""
        for task in done:
            begin = int(task['offset'])
            eq(has_pattern(self.file, begin // MIB, begin, int(task['bytes'])),
               task['bytes'], f'what there is from {begin // MIB} MiB on')

    def settles(self):
        """Nothing is in flight; what is charged is what there is."""
        wait_for('nothing to be in flight',
                 lambda: not self.ledger.show()['unsampled'])
        eq(self.owner.quota()['in-flight-bytes'], 0, 'in flight')
        eq(self.ledger.show()['used'], allocated('disk0'), 'used')

    def exact(self):
        self.settles()
        eq(allocated('disk0'), self.used * MIB, 'allocated')

    def has_written(self):
        return self.owner.quota()['rate-waits'], os.stat(self.file).st_mtime_ns

    def rests(self):
        """A stopped guest neither reads nor writes."""
        before = self.has_written()
        time.sleep(1)
        eq(self.has_written(), before, 'waits and writes of a stopped disk')
        eq(self.owner.quota()['limit-waiting'], 0, 'writes that wait for room')

    def unplug(self, while_it_goes=lambda: None):
        self.guest.qmp('device_del', id='disk')
        while_it_goes()
        # Its parts, which have no name, are told of one by one, before it.
        wait_for('the disk to go', lambda: 'disk' in [
            event.get('device')
            for event in self.guest.take_events('DEVICE_DELETED')])


class VirtioBlk(Disk):
    """An iothread for each queue, each queue for a processor."""

    def start(self):
        self.guest = self.owner = Guest(
            *[word for i in range(TASKS)
              for word in ('-object', f'iothread,id=thread{i}')], cpus=TASKS)
        self.add_node()
        self.plug()

    def threads(self):
        """How long each of the disk's iothreads has run, in ns."""
        times = []
        for thread in self.owner.qmp('query-iothreads'):
            with open(f'/proc/{self.owner.process.pid}/task/'
                      f'{thread["thread-id"]}/schedstat', encoding='ascii') as f:
                times.append(int(f.read().split()[0]))
        return times

    def plug(self):
        self.guest.qmp('device_add', driver='virtio-blk-pci', id='disk',
                       drive='quota', num_queues=TASKS, werror='enospc',
                       iothread_vq_mapping=[{'iothread': f'thread{i}'}
                                            for i in range(TASKS)])

    def forget(self):
        for node in 'quota', 'file':
            self.guest.qmp('blockdev-del', node_name=node)
        eq(self.ledger.show()['writers'], 0, 'writers of the ledger')
        self.add_node()


class VhostUserBlk(Disk):
    """The storage daemon, in a thread of its own, uses the guest's memory."""

    def start(self):
        self.socket = path('vhost')
        self.owner = StorageDaemon('--object', 'iothread,id=thread0')
        self.add_node()
        self.owner.qmp('block-export-add', type='vhost-user-blk', id='export',
                       node_name='quota', writable=True, num_queues=TASKS,
                       iothread='thread0', addr={'type': 'unix',
                                                 'path': self.socket})
        self.guest = Guest(cpus=TASKS)
        self.plug()

    def plug(self):
        self.guest.qmp('chardev-add', id='vhost', backend={
            'type': 'socket', 'data': {'server': False, 'addr': {
                'type': 'unix', 'data': {'path': self.socket}}}})
        self.guest.qmp('device_add', driver='vhost-user-blk-pci', id='disk',
                       chardev='vhost', num_queues=TASKS)

    def forget(self):
        self.guest.qmp('chardev-remove', id='vhost')


def errors(done):
    return [task.get('errno', 0) for task in done]


def grows(disk):
    """All queues at once, from a thin pool of one step on."""
    before = disk.threads()
    talk = disk.guest.begin(disk.tasks('write', 0, FIRST))
    while talk.poll() is None:
        # No byte is uncounted meanwhile.
        taken = allocated('disk0')
        at_least(disk.ledger.show()['used'], taken, 'used')
    eq(errors(disk.guest.finish(talk)), [0] * TASKS, 'errors')
    for i, (was, now) in enumerate(zip(before, disk.threads())):
        at_least(now, was + 1, f'how long thread {i} has run')
    at_least(disk.owner.quota()['growth-waits'], 1, 'waits for growth')
    disk.used = TASKS * FIRST
    disk.exact()
    disk.holds(0, FIRST)


def rate_of(disk, seconds):
    done = disk.guest.run(disk.tasks('write', 0, FIRST,
                                     f'seconds={seconds} bs=64K'))
    eq(errors(done), [0] * TASKS, 'errors')
    return sum(task['bytes'] for task in done) / (
        max(task['ended'] for task in done) -
        min(task['began'] for task in done))


def keeps_cap(disk):
    """Over all queues together, and uses it, as far as the machine can."""
    free = rate_of(disk, 2)
    disk.rate(2 * MIB)
    rate = rate_of(disk, 5)
    disk.rate(RATE)
    print(f'  under a cap of 2 MiB/s: {rate / MIB:.2f}, '
          f'without: {free / MIB:.2f}')
    at_most(rate, 2.05 * MIB, 'bytes a second')
    at_least(rate, min(MIB, free / 8), 'bytes a second')
    disk.exact()


def start_waiting_for_rate(disk):
    """A request of each task, for a second and more."""
    disk.rate(256 * KIB)
    waits = disk.owner.quota()['rate-waits']
    talk = disk.guest.begin(disk.tasks('write', 0, FIRST))
    wait_for('a request to wait',
             lambda: disk.owner.quota()['rate-waits'] > waits)
    return talk


def stops(disk):
    talk = start_waiting_for_rate(disk)
    disk.guest.qmp('stop')
    disk.rests()
    disk.guest.qmp('cont')
    disk.rate(RATE)
    eq(errors(disk.guest.finish(talk)), [0] * TASKS, 'errors')
    disk.exact()
    disk.holds(0, FIRST)


def is_reset(disk):
    talk = start_waiting_for_rate(disk)
    disk.guest.reset()
    disk.guest.qmp('stop')
    disk.rests()
    stop(talk)
    disk.guest.qmp('cont')
    disk.rate(RATE)
    disk.boot()
    eq(errors(disk.guest.run(disk.tasks('verify', 0, FIRST))), [0] * TASKS,
       'errors of the guest that has restarted')
    disk.exact()


def is_unplugged(disk):
    talk = start_waiting_for_rate(disk)
    disk.unplug()
    disk.rests()
    disk.rate(RATE)
    # To those who still have it open, the disk has no size any longer.
    done = disk.guest.finish(talk)
    eq(set(errors(done)) - {errno.EIO, errno.ENOSPC}, set(), 'errors')
    disk.holds_done(done)
    disk.exact()
    disk.forget()
    disk.plug()
    disk.boot()
    disk.holds(0, FIRST)


def start_filling(disk):
    """More, each of them, than there is room for."""
    disk.limit(disk.used + ROOM)
    disk.at += TASKS * NEXT
    return disk.guest.begin(disk.tasks('write', disk.at - TASKS * NEXT, NEXT))


def is_filled(disk):
    disk.used += ROOM
    disk.exact()
    refused = disk.owner.quota()['refused-writes']
    eq({r for r in refused if refused[r]} - {'total', 'tenant-limit'}, set(),
       'why writes were refused')


def gets_room(disk, talk):
    """Raise the limit; the writes that waited for that are there."""
    disk.used += TASKS * NEXT - ROOM
    disk.limit(disk.used)
    disk.guest.qmp('cont')
    eq(errors(disk.guest.finish(talk)), [0] * TASKS, 'errors')
    disk.exact()
    disk.holds(disk.at - TASKS * NEXT, NEXT)


def pauses_at_limit(disk):
    talk = start_filling(disk)
    wait_for('the pause', lambda: not disk.guest.is_running())
    eq({event['nospace'] for event in
        disk.guest.take_events('BLOCK_IO_ERROR')}, {True}, 'nospace')
    eq(disk.guest.qmp('query-status')['status'], 'io-error', 'status')
    is_filled(disk)
    gets_room(disk, talk)


def fails_at_limit(disk):
    """Virtio has no word for ENOSPC, and the storage daemon no guest to pause."""
    done = disk.guest.finish(start_filling(disk))
    eq(errors(done), [errno.EIO] * TASKS, 'errors')
    eq(sum(task['bytes'] for task in done), ROOM * MIB, 'bytes written')
    disk.holds_done(done)
    is_filled(disk)
    gets_room(disk, disk.guest.begin(
        disk.tasks('write', disk.at - TASKS * NEXT, NEXT)))


def start_waiting_for_room(disk):
    disk.wait_at_limit(NEVER)
    talk = start_filling(disk)
    wait_for('writes to wait for room',
             lambda: disk.owner.quota()['limit-waiting'] == TASKS)
    is_filled(disk)
    return talk


def waits_for_room(disk):
    disk.guest.take_events('STOP')
    talk = start_waiting_for_room(disk)
    gets_room(disk, talk)
    eq(disk.guest.take_events('STOP'), [], 'pauses')


def stops_while_room_is_awaited(disk):
    talk = start_waiting_for_room(disk)
    disk.guest.qmp('stop')
    disk.rests()
    gets_room(disk, talk)


def fails_when_stopped_while_room_is_awaited(disk):
    """No device retries the write when the guest continues."""
    talk = start_waiting_for_room(disk)
    disk.guest.qmp('stop')
    disk.rests()
    disk.guest.qmp('cont')
    done = disk.guest.finish(talk)
    eq(errors(done), [errno.EIO] * TASKS, 'errors')
    disk.holds_done(done)
    disk.exact()


def is_reset_while_room_is_awaited(disk):
    talk = start_waiting_for_room(disk)
    disk.guest.reset()
    disk.guest.qmp('stop')
    disk.rests()
    stop(talk)
    disk.guest.qmp('cont')
    disk.boot()
    eq(errors(disk.guest.run(disk.tasks('verify', 0, FIRST))), [0] * TASKS,
       'errors of the guest that has restarted')
    disk.exact()


def is_unplugged_while_room_is_awaited(disk):
    """The guest lets go of its disk when it has been told how its writes ended."""
    talk = start_waiting_for_room(disk)
    disk.unplug(lambda: disk.limit(disk.used + TASKS * NEXT))
    disk.rests()
    disk.holds_done(disk.guest.finish(talk))
    disk.settles()


def walk(disk, *steps):
    for step in steps:
        begin = time.monotonic()
        try:
            step(disk)
        except AssertionError as error:
            raise AssertionError(f'{step.__name__}: {error}') from error
        print(f'  {step.__name__} ({time.monotonic() - begin:.1f} s)',
              flush=True)


def test_virtio_blk_with_iothreads():
    # Not "stops": under TCG, QEMU 10.0 may lose the interrupt of a request that
    # ends while the guest is being stopped, whatever the node is (a plain file, a
    # throttle node), and the guest waits for ever.
    walk(VirtioBlk(), grows, keeps_cap, is_reset, is_unplugged,
         pauses_at_limit, waits_for_room, stops_while_room_is_awaited,
         is_reset_while_room_is_awaited, is_unplugged_while_room_is_awaited)


def test_vhost_user_blk():
    walk(VhostUserBlk(), grows, keeps_cap, stops, is_reset, is_unplugged,
         fails_at_limit, waits_for_room,
         fails_when_stopped_while_room_is_awaited,
         is_reset_while_room_is_awaited, is_unplugged_while_room_is_awaited)


main()
