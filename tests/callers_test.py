#!/usr/bin/env python3
"""Callers as they come: who leaves without a word, and who calls one address of many. SWITCHBOARD in the environment is
the command."""
import os
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
import unittest

from lifeline import PATIENCE_S, until
from serving import Served

STRATEGIES = os.environ.get('STRATEGIES', 'serial thread fork pool:2 prefork:2 prethread:2 fiber:epoll fiber:uring '
                            'prefork:2+fiber prefork:2+thread prefork:2+fork prethread:2+fiber:epoll').split()


def hang_up(caller):
    """Closes with a reset."""
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    caller.close()


class ACallerWhoLeaves(unittest.TestCase):
    """Is no error of the handler's."""

    def check(self, *arguments, said):
        served = Served(self, *arguments, 'upper', 'tcp://127.0.0.1:0')
        for _ in range(5):
            caller = served.dial()
            caller.sendall(b'a')
            hang_up(caller)
        with served.dial() as honest:
            honest.sendall(b'a')
            self.assertEqual(honest.recv(10), b'A')
        deadline = time.monotonic() + PATIENCE_S
        while (status := served.status())['served'] < 6 and time.monotonic() < deadline:
            time.sleep(0.01)
        served.stop()
        code, text = served.wait()
        self.assertEqual((code, status['served'], status['errors'], status['left']), (0, 6, 0, 5), text)
        lines = [line for line in text.splitlines() if 'open request' not in line]
        self.assertEqual(len(lines), said, text)
        for line in lines:
            self.assertRegex(line, r'^switchboard: (127\.0\.0\.1:\d+|0\.0\.0\.0:0) has left: '
                                   r'(Connection reset by peer|Broken pipe)$')

    def test_says_nothing_when_quiet(self):
        for strategy in STRATEGIES:
            with self.subTest(strategy=strategy):
                self.check('-q', '-s', strategy, said=0)

    def test_is_one_short_line_otherwise(self):
        for strategy in STRATEGIES:
            with self.subTest(strategy=strategy):
                self.check('-s', strategy, said=5)


class AnAddressThatIsAFile(unittest.TestCase):
    """Who may write to it may call."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, 'socket')

    def is_served_with(self, scheme, options, mode, group):
        served = Served(self, '-q', *options, 'upper', f'{scheme}:{self.path}')
        status = os.stat(self.path)
        self.assertEqual((oct(stat.S_IMODE(status.st_mode)), status.st_gid), (oct(mode), group), (scheme, options))
        served.stop()
        self.assertEqual(served.wait()[0], 0)
        self.assertFalse(os.path.exists(self.path))

    def test_mode_and_group(self):
        own, other = os.getgid(), 12345 if os.getuid() == 0 else os.getgid()
        for scheme in ('unix', 'unixgram'):
            self.is_served_with(scheme, ['--socket-mode=604'], 0o604, own)
            self.is_served_with(scheme, ['--socket-mode=0777'], 0o777, own)
            self.is_served_with(scheme, [f'--socket-group={other}'], 0o660, other)
            self.is_served_with(scheme, [f'--socket-group={other}', '--socket-mode=666'], 0o666, other)

    def under_strace(self, injected):
        if subprocess.run(['strace', '-o', os.devnull, 'true'], capture_output=True, check=False).returncode != 0:
            self.skipTest('strace may not trace')
        return Served(self, '-q', '--unsupervised', '--socket-mode=666', 'upper', f'unixgram:{self.path}', waits=False,
                      under=('env', 'ASAN_OPTIONS=' + os.environ.get('ASAN_OPTIONS', '') + ':detect_leaks=0',
                             'strace', '-f', '-o', os.devnull, '-e', 'trace=chmod', '-e', f'inject=chmod:{injected}'))

    def test_nobody_comes_in_before(self):
        """A datagram could come as soon as the file is there. Here the server is long about letting them in."""
        self.under_strace('delay_enter=600000000')
        until(lambda: os.path.exists(self.path), 'the file is there')
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0)

    def test_what_cannot_be_set_is_said(self):
        served = self.under_strace('error=EPERM')
        code, text = served.wait()
        self.assertEqual(code, 1, text)
        self.assertRegex(text, r'^switchboard: cannot bind unixgram:\S+: Operation not permitted[^\n]*\n$')
        self.assertFalse(os.path.exists(self.path))

    def test_misuse(self):
        for option, status in (('--socket-mode=888', 2), ('--socket-mode=1777', 2), ('--socket-mode=', 2),
                               ('--socket-mode=rw', 2), ('--socket-group=no such group', 1)):
            served = Served(self, option, 'upper', f'unix:{self.path}', waits=False)
            code, text = served.wait()
            self.assertEqual((code, len(text.splitlines())), (status, 1), (option, text))


class AnAddressOfMany(unittest.TestCase):
    """A datagram at a wildcard is answered from where it was sent to: a connected socket takes no other answer."""

    def check(self, address, targets, *arguments):
        served = Served(self, '-q', *arguments, os.environ['PLUGIN_WHO'], address)
        for target in targets * 2:
            family = socket.AF_INET6 if ':' in target else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as caller:
                caller.settimeout(PATIENCE_S)
                caller.connect((target, served.place()[1]))
                caller.send(b'x')
                host = f'[{target}]' if ':' in target else target
                self.assertIn(f'{host}:{served.place()[1]}', caller.recv(200).decode(), arguments)

    def test_strategies(self):
        for strategy in STRATEGIES:
            with self.subTest(strategy=strategy):
                self.check('udp://0.0.0.0:0', ['127.0.0.1', '127.0.0.2'], '-s', strategy)
                self.check('udp://[::]:0', ['127.0.0.2', '::1'], '-s', strategy)

    def test_reuseport(self):
        for strategy in ('prefork:2', 'prethread:2', 'prefork:2+fiber'):
            with self.subTest(strategy=strategy):
                self.check('udp://[::]:0', ['::1', '127.0.0.1', '127.0.0.2'], '-s', strategy, '-a', 'reuseport')


class LoopsThatShareAPlace(unittest.TestCase):
    """Serve every caller, whichever of them is woken for it, and whoever had the place last."""

    def check(self, strategy):
        served = Served(self, '-q', '-s', strategy, '--max-connections=1', 'upper', 'tcp://127.0.0.1:0',
                        'udp://127.0.0.1:0')
        port = int(served.process.stdout.readline().split()[1].rpartition(':')[2])
        for number in range(60):
            if number % 3 == 0:
                with served.dial() as caller:
                    caller.sendall(b'a')
                    self.assertEqual(caller.recv(10), b'A')
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
                caller.settimeout(PATIENCE_S)
                caller.connect(('127.0.0.1', port))
                caller.send(b'a')
                self.assertEqual(caller.recv(10), b'A')

    def test_strategies(self):
        for strategy in ('prethread:2', 'prethread:2+fiber:epoll', 'prethread:4+fiber:epoll', 'prethread:2+fiber:uring',
                         'prefork:2+fiber:epoll'):
            with self.subTest(strategy=strategy):
                self.check(strategy)


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1], verbosity=2)
