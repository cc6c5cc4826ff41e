#!/usr/bin/env python3
"""Callers as they come: who leaves without a word, and who calls one address of many. SWITCHBOARD in the environment is
the command."""
import os
import socket
import struct
import sys
import time
import unittest

from lifeline import PATIENCE_S
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
