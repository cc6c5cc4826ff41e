#!/usr/bin/env python3
"""Signals, standard output and exit statuses of all commands, as their users meet them.

    python3 tests/signals_test.py PATH_TO_switchboard [UNITTEST-OPTION]...

Nothing here is decided by how long it takes: there are deadlines of minutes, and orders of things.
"""
import contextlib
import fcntl
import functools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time
import unittest

from lifeline import PATIENCE_S, children_of, descendants_of, until

# Under nohup(1) it is ignored, and would be in what we start.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

STRATEGIES = ['serial', 'thread', 'pool:2', 'fork', 'prefork:2', 'prethread:2', 'fiber:epoll', 'fiber:uring',
              'prefork:2+thread']
TCP = 'tcp://127.0.0.1:0'
STOPPING = [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM]
ENDING = [signal.SIGHUP, *STOPPING]
switchboard = None


def strategies():
    return os.environ.get('STRATEGIES', '').split() or STRATEGIES


def start_blocked():
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def start_ignoring(signo):
    return functools.partial(signal.signal, signo, signal.SIG_IGN)


def start_plain():
    for signo in ENDING:
        signal.signal(signo, signal.SIG_DFL)


def process_exists(pid):
    try:
        with open('/proc/%d/stat' % pid, encoding='ascii') as file:
            return file.read().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


class Server:
    """`switchboard serve`, in a session of its own."""

    def __init__(self, folder, handler, strategy, address=TCP, options=(), prefix=(), prepare=start_plain):
        self.log = open(os.path.join(folder, 'log'), 'w+b')
        self.process = subprocess.Popen([*prefix, switchboard, 'serve', *options, '-s', strategy, handler, address],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log,
                                        start_new_session=True, preexec_fn=prepare)
        line = self.process.stdout.readline().decode()
        assert line.startswith('listening '), (line, self.read_log())
        self.address = line.split()[1]
        self.workers = descendants_of(self.process.pid)

    def read_log(self):
        return os.pread(self.log.fileno(), 1 << 20, 0).decode(errors='replace')

    def call(self):
        scheme, _, rest = self.address.partition(':')
        if scheme == 'unix':
            caller = socket.socket(socket.AF_UNIX)
            caller.connect(rest)
        else:
            caller = socket.create_connection(('127.0.0.1', int(rest.rpartition(':')[2])))
        caller.settimeout(PATIENCE_S)
        return caller

    def send(self, signo):
        os.kill(self.process.pid, signo)

    def ends(self, status=0):
        ended = self.process.wait(PATIENCE_S)
        assert ended == status, 'exit status %d: %s' % (ended, self.read_log())

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)
        self.process.stdout.close()
        self.log.close()


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def serve(self, *arguments, **more):
        server = Server(self.folder, *arguments, **more)
        self.addCleanup(server.close)
        return server

    def run_command(self, *arguments, **more):
        return subprocess.run([switchboard, *arguments], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                              timeout=PATIENCE_S, cwd=self.folder, check=False, **more)


def for_each(values):
    """A subtest of each; values: a list, or a function that makes it."""
    def decorate(test):
        def run(self):
            for value in values() if callable(values) else values:
                with self.subTest(value):
                    test(self, value)
        return functools.wraps(test)(run)
    return decorate


class Blocked(Case):
    """Whoever starts us has blocked all signals."""

    @for_each(strategies)
    def test_a_server_can_be_stopped(self, strategy):
        for signo in STOPPING:
            server = self.serve('upper', strategy, prepare=start_blocked)
            with server.call() as caller:
                caller.sendall(b'a')
                self.assertEqual(caller.recv(10), b'A')
            server.send(signo)
            server.ends()
            server.close()

    @for_each(['client', 'load', 'compare'])
    def test_a_command_can_be_stopped(self, name):
        server = self.serve('sleep', 'thread', options=('--drain-timeout=0',))
        arguments = {'client': [server.address, '--message=60000'], 'load': [server.address, '-t1000'],
                     'compare': ['-t1000']}[name]
        process = subprocess.Popen([switchboard, name, *arguments], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=start_blocked,
                                   start_new_session=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        until(lambda: not self.blocks(process.pid, signal.SIGTERM) or children_of(process.pid), 'it has begun')
        process.terminate()
        self.assertIn(process.wait(PATIENCE_S), (1, -signal.SIGTERM))

    def blocks(self, pid, signo):
        with open('/proc/%d/status' % pid, encoding='ascii') as file:
            status = file.read()
        return int(re.search(r'SigBlk:\s*(\w+)', status)[1], 16) >> (signo - 1) & 1


class Programs(Case):
    """What a handler starts has no signal blocked, and none ignored."""

    GLIBC = 3 << 31     # signals 32 and 33 are its own, and some of its ways leave them ignored

    def expect_default(self, server, ways=('popen', 'system', 'spawn', 'fork'), ignored=0):
        with server.call() as caller, caller.makefile('rw') as talk:
            for way in ways:
                talk.write(way + '\n')
                talk.flush()
                said = dict(talk.readline().split() for _ in range(2))
                self.assertEqual(int(said['SigBlk:'], 16), 0, way)
                self.assertEqual(int(said['SigIgn:'], 16) & ~self.GLIBC, ignored, way)

    @for_each(strategies)
    def test_by_every_way(self, strategy):
        for prepare in start_plain, start_blocked:
            server = self.serve(os.environ['PLUGIN_PROGRAMS'], strategy, prepare=prepare)
            self.expect_default(server)
            server.send(signal.SIGTERM)
            server.ends()
            server.close()

    @for_each(strategies)
    def test_what_nohup_ignores_stays_ignored(self, strategy):
        server = self.serve(os.environ['PLUGIN_PROGRAMS'], strategy, prepare=start_ignoring(signal.SIGHUP))
        server.send(signal.SIGHUP)
        self.expect_default(server, ignored=1 << (signal.SIGHUP - 1))
        server.send(signal.SIGTERM)
        server.ends()

    @for_each(strategies)
    def test_the_shell_handler(self, strategy):
        server = self.serve('shell', strategy, options=('-o', 'frame=u32'))
        with server.call() as caller:
            line = b'grep -E "SigBlk|SigIgn" /proc/self/status'
            caller.sendall(len(line).to_bytes(4, 'big') + line)
            with caller.makefile('rb') as talk:
                said = talk.read(int.from_bytes(talk.read(4), 'big')).decode()
        for field in 'SigBlk', 'SigIgn':
            self.assertEqual(int(re.search(field + r':\s*(\w+)', said)[1], 16) & ~self.GLIBC, 0, said)

    @for_each(['fork', 'prefork:2', 'prefork:2+thread'])
    def test_and_yet_a_child_survives_what_a_terminal_sends_to_all(self, strategy):
        server = self.serve('upper', strategy)
        with server.call() as caller:
            caller.sendall(b'a')
            self.assertEqual(caller.recv(10), b'A')
            generation, = children_of(server.process.pid)
            for child in until(lambda: children_of(generation), 'a child'):
                for signo in [*ENDING, signal.SIGPIPE]:
                    os.kill(child, signo)
            caller.sendall(b'b')
            self.assertEqual(caller.recv(10), b'B')
        server.send(signal.SIGTERM)
        server.ends()


class Ending(Case):
    @for_each(strategies)
    def test_quit_waits_for_nobody_and_leaves_nothing_behind(self, strategy):
        for before in None, signal.SIGTERM:
            path = os.path.join(self.folder, 'socket')
            server = self.serve('sleep', strategy, 'unix:' + path, options=('--drain-timeout=100000',))
            with server.call() as caller, server.call() as silent:
                caller.sendall(b'3600000\n')
                silent.sendall(b'')
                self.is_handled(server)
                if before:
                    server.send(before)
                server.send(signal.SIGQUIT)
                server.ends()
                self.assertFalse(os.path.exists(path))
                log = server.read_log()     # nothing, when they had ended before anybody counted them
                self.assertTrue(not log or 'told to end at once' in log, log)
                with contextlib.suppress(ConnectionResetError):
                    self.assertEqual(caller.recv(1), b'')
            self.assertFalse(any(map(process_exists, server.workers)))
            server.close()

    def is_handled(self, server):
        until(lambda: re.search(r'sleeping', subprocess.run(
            [switchboard, 'status', str(server.process.pid)], capture_output=True, text=True, check=True).stdout),
              'somebody sleeps')

    @for_each(strategies)
    def test_a_closed_terminal_ends_it_as_term_does(self, strategy):
        path = os.path.join(self.folder, 'socket')
        ours, theirs = os.openpty()

        def take_terminal():
            start_plain()
            fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
        server = self.serve('upper', strategy, 'unix:' + path, prepare=take_terminal)
        os.close(theirs)
        with server.call() as caller:
            caller.sendall(b'a')
            self.assertEqual(caller.recv(10), b'A')
        os.close(ours)
        server.ends()
        self.assertFalse(os.path.exists(path))

    def test_once_its_only_request_is_taken_a_signal_cuts_that_off(self):
        path = os.path.join(self.folder, 'socket')
        server = self.serve('sleep', 'thread', 'unix:' + path, options=('--once',))
        with server.call() as caller:
            caller.sendall(b'3600000\n')
            self.is_handled(server)
            server.send(signal.SIGTERM)
            server.ends()
        self.assertFalse(os.path.exists(path))


class First(Case):
    """Process 1 of a container."""

    def setUp(self):
        super().setUp()
        self.prefix = ['unshare', '-rpf', '--mount-proc', '--kill-child']
        try:
            subprocess.run([*self.prefix, 'true'], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            self.skipTest('no namespaces here: %s' % error)

    def first(self, server):
        return children_of(server.process.pid)[0]

    @for_each(strategies)
    def test_one_signal_drains_and_a_second_ends_it_at_once(self, strategy):
        server = self.serve('upper', strategy, options=('--drain-timeout=100000',), prefix=self.prefix)
        with server.call() as caller:
            caller.sendall(b'a')
            self.assertEqual(caller.recv(10), b'A')
            os.kill(self.first(server), signal.SIGTERM)
            if strategy == 'thread':
                until(lambda: 'waiting up to' in server.read_log(), 'it drains')
            with contextlib.suppress(ProcessLookupError, IndexError):
                while server.process.poll() is None:
                    os.kill(self.first(server), signal.SIGTERM)
                    time.sleep(0.01)
            server.ends(128 + signal.SIGTERM)

    @for_each(STOPPING)
    def test_it_stops_in_order(self, signo):
        path = os.path.join(self.folder, 'socket')
        server = self.serve('upper', 'prefork:2', 'unix:' + path, prefix=self.prefix)
        os.kill(self.first(server), signo)
        server.ends()
        self.assertFalse(os.path.exists(path))

    def test_it_reaps_what_others_leave_behind(self):
        server = self.serve('shell', 'thread', options=('-o', 'frame=u32'), prefix=self.prefix)
        with server.call() as caller:
            for _ in range(5):
                line = b'setsid sh -c "exec >&- 2>&-; sleep 0" & exit'
                caller.sendall(len(line).to_bytes(4, 'big') + line)
                self.assertNotEqual(caller.recv(100), b'')
            first = self.first(server)
            until(lambda: len(children_of(first)) == 1, 'the server alone is left: %s' % children_of(first))
        os.kill(first, signal.SIGTERM)
        server.ends()

    @for_each(['client', 'load', 'compare'])
    def test_every_command_can_be_ended(self, name):
        arguments = {'client': ['--message=a', 'unixgram:' + self.silent()], 'load': ['-t1000', self.listening()],
                     'compare': ['-t1000']}[name]
        process = subprocess.Popen([*self.prefix, switchboard, name, *arguments], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.kill)
        first = until(lambda: children_of(process.pid), 'process 1')[0]
        command = until(lambda: children_of(first), 'the command')[0]
        until(lambda: os.readlink('/proc/%d/exe' % command).endswith(name), 'the program')
        with contextlib.suppress(ProcessLookupError):
            while process.poll() is None:
                os.kill(first, signal.SIGTERM)
                time.sleep(0.01)
        self.assertIn(process.wait(PATIENCE_S), (1, 128 + signal.SIGTERM))

    def silent(self):
        path = os.path.join(tempfile.mkdtemp(dir=self.folder), 'silent')
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(listener.close)
        listener.bind(path)
        return path

    def listening(self):
        listener = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(listener.close)
        return 'tcp://127.0.0.1:%d' % listener.getsockname()[1]


class Output(Case):
    """What cannot be written is said, and is no success."""

    COMMANDS = ['--help', '--version', 'list', 'list handlers', 'list strategies', 'list --help', 'new hello',
                'new --help', 'status --help', 'status PID', 'client ADDRESS --message=a', 'client ADDRESS',
                'client --show-recv ADDRESS --message=a', 'client --help', 'load -n1 ADDRESS', 'load --help',
                'compare -r1 -t0.05 -s serial', 'compare --help', 'serve --help', 'serve upper tcp://127.0.0.1:0']

    def setUp(self):
        super().setUp()
        self.server = self.serve('upper', 'thread')

    def fill(self, command):
        shutil.rmtree(os.path.join(self.folder, 'hello'), ignore_errors=True)
        return [word.replace('ADDRESS', self.server.address).replace('PID', str(self.server.process.pid))
                for word in command.split()]

    def expect_failure(self, done, why):
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(done.stderr.count('cannot write to standard output: ' + why), 1, done.stderr)

    @for_each(COMMANDS)
    def test_closed(self, command):
        self.expect_failure(self.run_command(*self.fill(command), preexec_fn=lambda: os.close(1)),
                            'Bad file descriptor')

    @for_each([command for command in COMMANDS if not command.endswith('ADDRESS') or 'load' in command])
    def test_full(self, command):
        with open('/dev/full', 'wb') as full:
            self.expect_failure(self.run_command(*self.fill(command), stdout=full), 'No space left on device')

    def test_misuse_stays_misuse(self):
        for command in 'nonsense', 'list nonsense', 'client --nonsense', 'serve', 'load --clients=no', 'new A':
            done = self.run_command(*command.split(), preexec_fn=lambda: os.close(1))
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertNotIn('standard output', done.stderr)

    def test_a_closed_descriptor_does_not_become_a_socket(self):
        for name in 'client', 'load', 'compare':
            program = switchboard + '-' + name
            done = subprocess.run([program, '--help'], preexec_fn=lambda: os.closerange(0, 2), stderr=subprocess.PIPE,
                                  text=True, check=False)
            self.expect_failure(done, 'Bad file descriptor')

    def test_a_reader_who_leaves_ends_it_as_is_the_custom(self):
        for command in 'list', 'client --show-recv ADDRESS --message=a':
            reader, writer = os.pipe()
            os.close(reader)
            done = self.run_command(*self.fill(command), stdout=writer)
            os.close(writer)
            self.assertEqual((done.returncode, done.stderr), (-signal.SIGPIPE, ''))


if __name__ == '__main__':
    switchboard = os.path.abspath(sys.argv.pop(1))
    unittest.main()
