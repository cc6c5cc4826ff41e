#!/usr/bin/env python3
"""A service manager's side of serve: sockets from it, and what it is told. SWITCHBOARD in the environment is the command,
SYSTEMD says that it was built with libsystemd."""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from lifeline import PATIENCE_S, following, until
from serving import SWITCHBOARD, Served
from versions import ask, dial

VERSION = os.environ['PLUGIN_VERSION_OLD']
DYING = os.environ['PLUGIN_VERSION_DYING']
TCP = 'tcp://127.0.0.1:0'


def first_call(path):
    """A caller, as soon as somebody listens there."""
    def attempt():
        try:
            return dial('unix:' + path)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
    return until(attempt, 'it listens')


class Manager:
    """A notify socket: what is told to a service manager, packet by packet."""

    def __init__(self, test, folder):
        self.path = os.path.join(folder, 'notify')
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(PATIENCE_S)
        test.addCleanup(self.socket.close)

    def environment(self, **more):
        return ('env', 'NOTIFY_SOCKET=' + self.path, *(f'{name}={value}' for name, value in more.items()))

    def hears(self, field):
        """The packet in which that comes next, as a dictionary; what has been said before it is passed over."""
        while True:
            packet = dict(line.split('=', 1) for line in self.socket.recv(4096).decode().splitlines())
            if field in packet:
                return packet


@unittest.skipUnless(os.environ.get('SYSTEMD') == '1', 'built without libsystemd')
class Told(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.manager = Manager(self, folder.name)

    def serve(self, *arguments, **environment):
        return Served(self, '-q', *arguments, TCP, under=self.manager.environment(**environment))

    def test_ready_reloading_and_stopping(self):
        served = self.serve('-s', 'prefork:2', VERSION)
        told = self.manager.hears('READY')
        self.assertEqual(told['READY'], '1')
        self.assertRegex(told['STATUS'], r'^version under prefork:2: 0 requests, \d+ workers, 0 busy$')
        os.kill(served.pid(), signal.SIGHUP)
        told = self.manager.hears('RELOADING')
        self.assertEqual(told['RELOADING'], '1')
        self.assertGreater(int(told['MONOTONIC_USEC']), 0)
        self.assertEqual(self.manager.hears('READY')['READY'], '1')
        self.assertEqual(served.status()['generation'], 2)
        served.stop()
        self.assertEqual(self.manager.hears('STOPPING')['STOPPING'], '1')
        self.assertEqual(served.wait(), (0, ''))

    def test_a_change_that_is_refused_is_over_too(self):
        served = self.serve(VERSION)
        self.manager.hears('READY')
        subprocess.run([SWITCHBOARD, 'switch', str(served.pid()), '-s', 'nonsense'], stderr=subprocess.DEVNULL,
                       check=False)
        self.manager.hears('RELOADING')
        self.assertIn('version under thread', self.manager.hears('READY')['STATUS'])

    def test_its_state_changes(self):
        served = self.serve(VERSION)
        self.manager.hears('READY')
        with served.dial() as caller:
            self.assertEqual(ask(caller), 'old')
            self.assertRegex(self.manager.hears('STATUS')['STATUS'], r'\d busy$')
        until(lambda: ': 1 requests, ' in self.manager.hears('STATUS')['STATUS'], 'it is counted')

    def test_a_watchdog_hears_of_a_generation_that_answers(self):
        served = self.serve(VERSION, WATCHDOG_USEC=200000)
        for _ in range(3):
            self.assertEqual(self.manager.hears('WATCHDOG')['WATCHDOG'], '1')
        os.kill(served.serving(), signal.SIGSTOP)
        self.manager.socket.settimeout(1)       # some times as long as it would take
        with self.assertRaises(TimeoutError):
            for _ in range(20):                 # what was on its way
                self.manager.hears('WATCHDOG')
        self.manager.socket.settimeout(PATIENCE_S)
        os.kill(served.serving(), signal.SIGCONT)
        self.manager.hears('WATCHDOG')


class Sockets(unittest.TestCase):

    def setUp(self):
        if not shutil.which('systemd-socket-activate') or os.environ.get('SYSTEMD') != '1':
            self.skipTest('systemd-socket-activate is not installed, or libsystemd not built in')
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def activate(self, sockets, *words):
        """systemd-socket-activate starts the server with the first call."""
        process = subprocess.Popen(following('systemd-socket-activate', *sockets, SWITCHBOARD, 'serve', *words),
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def test_by_name_and_through_changes(self):
        paths = [os.path.join(self.folder, name) for name in ('one', 'two')]
        process = self.activate(['-l', paths[0], '-l', paths[1], '--fdname=web:talk'], '-s', 'prefork:2', VERSION,
                                'systemd:talk')
        with first_call(paths[1]) as caller:
            self.assertEqual(ask(caller), 'old')
        line = process.stdout.readline()
        self.assertIn(f'listening unix:{paths[1]} ', line)
        pid = re.search(r'pid=(\d+)', line).group(1)
        for words in (['switch', pid, '-s', 'thread'], ['reload', '--program', pid], ['reload', pid]):
            done = subprocess.run([SWITCHBOARD, *words], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            with dial('unix:' + paths[1]) as caller:
                self.assertEqual(ask(caller), 'old')
        subprocess.run([SWITCHBOARD, 'stop', pid], stdout=subprocess.DEVNULL, check=True, timeout=PATIENCE_S)
        process.wait(PATIENCE_S)
        self.assertEqual(process.returncode, 0)
        self.assertTrue(os.path.exists(paths[1]), 'the file is the service manager\'s')

    def test_all_of_them_without_a_name(self):
        paths = [os.path.join(self.folder, name) for name in ('one', 'two')]
        process = self.activate(['-l', paths[0], '-l', paths[1]], VERSION, 'systemd:')
        for path in paths:
            with first_call(path) as caller:
                self.assertEqual(ask(caller), 'old')
        self.assertEqual([process.stdout.readline().split()[1] for _ in paths], ['unix:' + path for path in paths])

    def test_a_name_that_nobody_has(self):
        done = subprocess.run([SWITCHBOARD, 'serve', 'upper', 'systemd:web'], capture_output=True, text=True,
                              timeout=PATIENCE_S, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr.count('\n')), (1, '', 1))
        self.assertIn('no socket of the name web', done.stderr)


class Inetd(unittest.TestCase):
    """One connection, accepted by somebody else, is descriptors 0 and 1."""

    STRATEGIES = os.environ.get('STRATEGIES', 'serial thread fork pool:2 prefork:2 prethread:2 fiber:epoll fiber:uring '
                                'prefork:2+thread').split()

    def accepted(self, family):
        """A caller, and the connection that was accepted for it."""
        if family == socket.AF_UNIX:
            ours, theirs = socket.socketpair()
        else:
            with socket.create_server(('127.0.0.1', 0)) as listener:
                ours = socket.create_connection(listener.getsockname())
                theirs = listener.accept()[0]
        self.addCleanup(ours.close)
        ours.settimeout(PATIENCE_S)
        return ours, theirs

    def start(self, theirs, *arguments):
        process = subprocess.Popen(following(SWITCHBOARD, 'serve', '-q', '--inetd', *arguments), stdin=theirs,
                                   stdout=theirs, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        theirs.close()
        return process

    def test_under_each_strategy(self):
        for strategy in self.STRATEGIES:
            for family in (socket.AF_INET, socket.AF_UNIX):
                with self.subTest(strategy=strategy, family=family):
                    caller, theirs = self.accepted(family)
                    process = self.start(theirs, '-s', strategy, VERSION)
                    self.assertEqual(ask(caller), 'old')
                    self.assertEqual(ask(caller, b'again\n'), 'old')
                    caller.shutdown(socket.SHUT_WR)
                    self.assertEqual(caller.recv(16), b'')
                    self.assertEqual((process.communicate(timeout=PATIENCE_S)[1], process.returncode), ('', 0))

    def test_what_a_handler_prints_is_not_for_the_caller(self):
        caller, theirs = self.accepted(socket.AF_INET)
        process = self.start(theirs, 'print')
        caller.sendall(b'a note')
        caller.shutdown(socket.SHUT_WR)
        self.assertEqual(caller.recv(16), b'')
        self.assertEqual((process.communicate(timeout=PATIENCE_S)[1], process.returncode), ('', 0))

    def test_a_stop(self):
        caller, theirs = self.accepted(socket.AF_INET)
        process = self.start(theirs, '--drain-timeout=0.1', VERSION)
        self.assertEqual(ask(caller), 'old')
        process.terminate()
        self.assertEqual(caller.recv(16), b'')
        process.communicate(timeout=PATIENCE_S)
        self.assertEqual(process.returncode, 0)

    def test_what_is_no_connection(self):
        listener, datagrams = socket.create_server(('127.0.0.1', 0)), socket.socket(type=socket.SOCK_DGRAM)
        self.addCleanup(listener.close)
        self.addCleanup(datagrams.close)
        for stdin in (subprocess.DEVNULL, listener, datagrams):
            done = subprocess.run([SWITCHBOARD, 'serve', '--inetd', 'upper'], stdin=stdin, capture_output=True, text=True,
                                  timeout=PATIENCE_S, check=False)
            self.assertEqual((done.returncode, done.stdout, done.stderr.count('\n')), (1, '', 1), done.stderr)
            self.assertIn('it is no connection', done.stderr)
        for words in (['upper', TCP], ['--once', 'upper'], ['--name=x', 'upper']):
            done = subprocess.run([SWITCHBOARD, 'serve', '--inetd', *words], stdin=subprocess.DEVNULL,
                                  capture_output=True, timeout=PATIENCE_S, check=False)
            self.assertEqual(done.returncode, 2, words)

    def test_by_systemd(self):
        if not shutil.which('systemd-socket-activate'):
            self.skipTest('systemd-socket-activate is not installed')
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'socket')
            process = subprocess.Popen(following('systemd-socket-activate', '-l', path, '--accept', '--inetd',
                                                 SWITCHBOARD, 'serve', '-q', '--inetd', VERSION),
                                       stderr=subprocess.DEVNULL)
            self.addCleanup(process.communicate)
            self.addCleanup(process.kill)
            for _ in range(3):
                with first_call(path) as caller:
                    self.assertEqual(ask(caller), 'old')


class Units(unittest.TestCase):

    def test_they_are_what_systemd_wants(self):
        if not shutil.which('systemd-analyze'):
            self.skipTest('systemd-analyze is not installed')
        units = os.path.join(os.path.dirname(SWITCHBOARD), 'units')
        with tempfile.TemporaryDirectory() as folder:
            for name in os.listdir(units):
                if name.startswith('switchboard'):
                    with open(os.path.join(units, name), encoding='ascii') as file:
                        text = re.sub(r'^ExecStart=\S+', 'ExecStart=' + SWITCHBOARD, file.read(), flags=re.MULTILINE)
                    with open(os.path.join(folder, name), 'w', encoding='ascii') as file:
                        file.write(text)
            names = sorted(os.listdir(folder))
            self.assertEqual(len(names), 5)
            done = subprocess.run(['systemd-analyze', 'verify', '--man=no', *names], cwd=folder, capture_output=True,
                                  text=True, timeout=PATIENCE_S, check=False)
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ''))


if __name__ == '__main__':
    unittest.main()
