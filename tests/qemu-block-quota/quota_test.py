# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of the quota filter share: QEMU's programs, storage daemons
with QMP, and ledgers without LVM (ledgerctl.c).

A test is a script that defines functions test_*() and calls main(): each gets
a scratch directory of its own.  Exit status: 0 passed, 1 failed, 77 skipped.
QUOTA_QEMU_BUILD names QEMU's build directory where it is not /build/qemu.
"""

import atexit
import glob
import inspect
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.realpath(__file__))
COMMON = os.path.join(os.path.dirname(os.path.dirname(HERE)), 'common')
BUILD = os.environ.get('QUOTA_QEMU_BUILD', '/build/qemu')
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
# Seconds after which something hangs, on a machine that does nothing else; and
# a timeout that is never to pass.
HANG = 60
NEVER = 24 * 60 * 60

children = []
scratch = None
if os.path.exists(f'{BUILD}/block-quota.so'):
    # Programs in subfolders of the build directory do not find it themselves.
    os.environ['QEMU_MODULE_DIR'] = BUILD


def skip(why):
    print(why)
    sys.exit(77)


def program(name):
    """A program of QEMU's, out of its build directory or installed."""
    for path in (f'{BUILD}/{name}', f'{BUILD}/storage-daemon/{name}',
                 f'/opt/quota-lvm/bin/{name}', shutil.which(name)):
        if path and os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    skip(f'needs {name}, built in {BUILD}')


def start(*command, **kwargs):
    """Start a process that does not outlive the test."""
    child = subprocess.Popen(command, **kwargs)
    children.append(child)
    return child


def stop(child):
    if child.poll() is None:
        child.kill()
        child.wait()
    if child in children:
        children.remove(child)


def path(name):
    return os.path.join(scratch, name)


def make_file(name, size):
    with open(path(name), 'wb') as f:
        f.truncate(size)
    return path(name)


def allocated(name):
    return os.stat(path(name)).st_blocks * 512


def eq(actual, expected, what):
    if actual != expected:
        raise AssertionError(f'{what}: is {actual!r}, should be {expected!r}')


def at_most(actual, limit, what):
    if actual > limit:
        raise AssertionError(f'{what}: is {actual}, should be at most {limit}')


def at_least(actual, limit, what):
    if actual < limit:
        raise AssertionError(f'{what}: is {actual}, should be at least {limit}')


def matches(text, pattern, what):
    if not re.search(pattern, text):
        raise AssertionError(f'{what}: no match for /{pattern}/ in: {text}')


def slowness():
    """How many times longer than alone a process takes just now."""
    begin, end = time.monotonic(), time.process_time() + 0.05
    while time.process_time() < end:
        pass
    return max(1, (time.monotonic() - begin) / 0.05)


def hang_limit(seconds=HANG):
    """Longer when the machine is busy now, or was slow when tests/lab looked.
    It tells what hangs from what does not, and nothing else: no test asserts that
    something takes so long at most."""
    now = time.monotonic()
    if now > hang_limit.until:
        hang_limit.slowness = max(slowness(),
                                  int(os.environ.get('LAB_SLOW', 100)) / 100)
        hang_limit.until = now + 10
    return seconds * hang_limit.slowness


hang_limit.until = 0


def wait_for(what, condition, seconds=HANG):
    begin = time.monotonic()
    while not condition():
        waited = time.monotonic() - begin
        if waited > seconds and waited > hang_limit(seconds):
            raise AssertionError(f'waited in vain for: {what}')
        time.sleep(0.01)


class Sleeper(threading.Thread):
    """Sleeps for short times, as the filter does, to tell what share of them a
    busy machine takes from whoever sleeps: with Sleeper() as sleeper: ...;
    sleeper.gets is 1 on an idle one.  A rate that is reached by sleeping may
    fall short of its cap by that, and by no more."""

    SLEEP = 0.02

    def __enter__(self):
        self.is_over = False
        self.late = 0
        self.begin = time.monotonic()
        self.start()
        return self

    def run(self):
        while not self.is_over:
            begin = time.monotonic()
            time.sleep(self.SLEEP)
            # Late by a millisecond is what an idle machine is, too.
            self.late += max(0, time.monotonic() - begin - self.SLEEP - 0.001)

    def __exit__(self, *_):
        self.is_over = True
        self.join()
        self.gets = 1 - self.late / (time.monotonic() - self.begin)


def options(**opts):
    """key=value,... of a node; '_' stands for '-', a dict for its children."""
    words = []
    for key, value in opts.items():
        key = key.replace('_', '-')
        if isinstance(value, dict):
            words += [f'{key}.{w}' for w in options(**value).split(',')]
        elif isinstance(value, bool):
            words.append(f'{key}={"on" if value else "off"}')
        else:
            words.append(f'{key}={value}')
    return ','.join(words)


def quota_on(filename, **opts):
    return options(driver='quota',
                   file={'driver': 'file', 'filename': filename}, **opts)


def qemu_io_command(image, *commands, args=()):
    return [program('qemu-io'), *args, '--image-opts', image,
            *[word for c in commands for word in ('-c', c)]]


def start_qemu_io(image, *commands, stdout=subprocess.PIPE):
    """qemu-io that runs on; output and errors together."""
    return start(*qemu_io_command(image, *commands), stdout=stdout,
                 stderr=subprocess.STDOUT)


def said_by(child):
    """What it says until its end."""
    return child.communicate(timeout=hang_limit())[0].decode()


def qemu_io(image, *commands, args=(), seconds=HANG):
    """What qemu-io said: output and errors together."""
    done = subprocess.run(qemu_io_command(image, *commands, args=args),
                          stdout=subprocess.PIPE, check=False,
                          stderr=subprocess.STDOUT,
                          timeout=hang_limit(seconds))
    if done.returncode < 0:
        raise AssertionError(f'qemu-io died of signal {-done.returncode}: '
                             + done.stdout.decode())
    return done.stdout.decode()


def can_write(image, *commands, **kwargs):
    said = qemu_io(image, *commands, **kwargs)
    if re.search('failed|error|can\'t', said):
        raise AssertionError(f'{commands}: {said}')
    return said


def is_refused(image, *commands, **kwargs):
    said = qemu_io(image, *commands, **kwargs)
    eq(said.count('No space left on device'), len(commands),
       f'refusals of {commands} in: {said}')
    return said


class Ledger:
    """The ledger of a tenant in a directory of the test's own."""

    binary = None

    def __init__(self, tenant, **state):
        if not Ledger.binary:
            Ledger.binary = os.path.join(tempfile.mkdtemp(), 'ledgerctl')
            atexit.register(shutil.rmtree, os.path.dirname(Ledger.binary))
            subprocess.run(['cc', '-O1', '-I', f'{COMMON}/ledger',
                            '-I', f'{COMMON}/policy', '-o', Ledger.binary,
                            os.path.join(HERE, 'ledgerctl.c'),
                            *glob.glob(f'{COMMON}/*/*.c')], check=True)
        self.tenant = tenant
        self.server = None
        # It keeps the ledger, as quota-ledgerd does on a host.
        self.keeper = subprocess.Popen(
            self.command('create', *self.words(state)), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.path = self.keeper.stdout.readline().strip()

    @staticmethod
    def words(state):
        return [f'{key}={value}' for key, value in state.items()]

    def command(self, *args):
        return [Ledger.binary, path('run'), 'vg0', self.tenant, *args]

    def run(self, *args):
        return subprocess.run(self.command(*args), check=True,
                              timeout=hang_limit(),
                              stdout=subprocess.PIPE).stdout.decode()

    def set(self, **state):
        self.run('set', *self.words(state))

    def volume(self, name, **limits):
        self.run('volume', name, *self.words(limits))

    def epoch(self, verb, volume):
        """begin, wait or end: what a snapshot of the volume does."""
        self.run('epoch', verb, volume)

    def must_wait(self, volume):
        """The snapshot would have to wait for a write."""
        done = subprocess.run(self.command('epoch', 'wait', volume, '200'),
                              check=False, timeout=hang_limit(),
                              stderr=subprocess.PIPE)
        matches(done.stderr.decode(), 'timed out', 'what the snapshot met')

    def sample(self, used, reason='none'):
        self.run('sample', str(used), reason)

    def sample_around(self, what, used):
        """A sample that has begun before what is done, and says so much then."""
        sampler = subprocess.Popen(self.command('sample', '-'), text=True,
                                   stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)
        eq(sampler.stdout.readline(), 'begun\n', 'the sample')
        what()
        sampler.communicate(f'{used}\n', timeout=hang_limit())
        eq(sampler.returncode, 0, 'status of the sample')

    def show(self):
        pairs = (line.split('=') for line in self.run('show').split())
        return {k: int(v) if v.isdigit() else v for k, v in pairs}

    def serve(self, *files, **how):
        """Play quota-lvmd; the files are the tenant's thin volumes, each of
        the volume of its name."""
        if self.server:
            stop(self.server)
        self.server = start(*self.command('serve', *self.words(how), *files))
        wait_for('a sample', lambda: self.show()['grant'] == 0 or
                 self.show()['sampled'] or not any(
                     os.stat(f).st_blocks for f in files))
        time.sleep(0.05)

    def quota(self, filename, **opts):
        return quota_on(filename, ledger=self.path, tenant=self.tenant, **opts)


class StorageDaemon:
    """A qemu-storage-daemon with QMP."""

    def __init__(self, *args):
        self.name = f'qemu{len(children)}'
        socket_path = path(self.name + '.qmp')
        self.process = start(*self.command(
            f'socket,id=qmp,path={socket_path},server=on,wait=off'), *args)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(hang_limit())

        def connected():
            if self.process.poll() is not None:
                raise AssertionError('QEMU did not start')
            try:
                self.socket.connect(socket_path)
                return True
            except OSError:
                return False
        wait_for('QMP', connected)
        self.stream = self.socket.makefile('r')
        self.events = []
        json.loads(self.stream.readline())
        self.qmp('qmp_capabilities')

    def command(self, chardev):
        return [program('qemu-storage-daemon'), '--chardev', chardev,
                '--monitor', 'chardev=qmp']

    def qmp(self, execute, fd=None, **arguments):
        reply = self.ask(execute, fd, **arguments)
        if 'error' in reply:
            raise AssertionError(f'{execute}: {reply["error"]["desc"]}')
        return reply['return']

    def ask(self, execute, fd=None, **arguments):
        arguments = {k.replace('_', '-'): v for k, v in arguments.items()}
        request = json.dumps({'execute': execute, 'arguments': arguments})
        if fd is None:
            self.socket.sendall(request.encode())
        else:
            socket.send_fds(self.socket, [request.encode()], [fd])
        while True:
            reply = json.loads(self.stream.readline())
            if 'event' not in reply:
                return reply
            self.events.append(reply)

    def take_events(self, name):
        """Those that have come since the last call."""
        self.qmp('query-version')
        found = [e.get('data', {}) for e in self.events if e['event'] == name]
        self.events = [e for e in self.events if e['event'] != name]
        return found

    def quota(self, node='quota'):
        for info in self.qmp('query-block-quota'):
            if info['node-name'] == node:
                return info
        raise AssertionError(f'query-block-quota does not know {node}')

    def export(self, node='quota', **how):
        """Export a node by NBD; returns what a client opens it with."""
        nbd = path(f'{self.name}.nbd')
        self.qmp('nbd-server-start', addr={'type': 'unix',
                                           'data': {'path': nbd}})
        self.qmp('block-export-add', type='nbd', id='export',
                 node_name=node, name='disk', writable=True, **how)
        return options(driver='nbd', export='disk',
                       server={'type': 'unix', 'path': nbd})


class Machine(StorageDaemon):
    """A qemu-system without a machine: it has what else speaks QMP."""

    def command(self, chardev):
        return [program('qemu-system-x86_64'), '-machine', 'none',
                '-nodefaults', '-display', 'none', '-chardev', chardev,
                '-mon', 'chardev=qmp,mode=control']


def main():
    global scratch
    tests = [(n, f) for n, f in inspect.getmembers(sys.modules['__main__'])
             if n.startswith('test_')]
    tests.sort(key=lambda t: t[1].__code__.co_firstlineno)
    failed = 0
    for name, function in tests:
        if sys.argv[1:] and not any(a in name for a in sys.argv[1:]):
            continue
        scratch = tempfile.mkdtemp(prefix='quota-')
        begin = time.monotonic()
        try:
            function()
            result = 'ok'
        except (AssertionError, OSError, subprocess.SubprocessError,
                ValueError) as error:
            result = f'FAIL {error}'
            failed += 1
        finally:
            for child in list(children):
                stop(child)
            shutil.rmtree(scratch, ignore_errors=True)
        print(f'{name[5:].replace("_", "-")} '
              f'({time.monotonic() - begin:.1f} s): {result}', flush=True)
    sys.exit(1 if failed else 0)


signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
atexit.register(lambda: [stop(c) for c in list(children)])
