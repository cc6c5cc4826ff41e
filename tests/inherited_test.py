#!/usr/bin/env python3
"""Listeners that come from outside: fd://N. SWITCHBOARD in the environment is the command."""
import os
import socket
import subprocess
import tempfile
import unittest

from lifeline import PATIENCE_S, following
from serving import Served

STRATEGIES = os.environ.get('STRATEGIES', 'serial thread fork pool:2 prefork:2 prethread:2 fiber:epoll fiber:uring '
                            'prefork:2+fiber').split()
STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM


class Inherited(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def bound(self, family, kind):
        """A socket of ours, and its address as the server will tell it."""
        ours = socket.socket(family, kind)
        self.addCleanup(ours.close)
        path = tempfile.mktemp(dir=self.folder)
        ours.bind(path if family == socket.AF_UNIX else ('127.0.0.1', 0))
        if kind == STREAM:
            ours.listen()
        scheme = {(socket.AF_INET, STREAM): 'tcp://', (socket.AF_INET, DATAGRAM): 'udp://',
                  (socket.AF_UNIX, STREAM): 'unix:', (socket.AF_UNIX, DATAGRAM): 'unixgram:'}[family, kind]
        return ours, scheme + (path if family == socket.AF_UNIX else '%s:%d' % ours.getsockname())

    def serve(self, ours, *arguments):
        os.set_inheritable(ours.fileno(), True)
        return Served(self, '-q', *arguments, 'upper', f'fd://{ours.fileno()}', pass_fds=[ours.fileno()])

    def ask(self, ours):
        with socket.socket(ours.family, ours.type) as caller:
            caller.settimeout(PATIENCE_S)
            if ours.family == socket.AF_UNIX and ours.type == DATAGRAM:
                caller.bind('')
            caller.connect(ours.getsockname())
            caller.sendall(b'hello')
            self.assertEqual(caller.recv(16), b'HELLO')

    def test_each_family_under_each_strategy(self):
        for strategy in STRATEGIES:
            for family in (socket.AF_INET, socket.AF_UNIX):
                for kind in (STREAM, DATAGRAM):
                    with self.subTest(strategy=strategy, family=family, kind=kind):
                        ours, address = self.bound(family, kind)
                        served = self.serve(ours, '-s', strategy)
                        self.assertEqual(served.address, address, served.said())
                        self.ask(ours)
                        served.stop()
                        self.assertEqual(served.wait(), (0, ''))

    def test_outlives_its_server(self):
        """A second server takes over, and no caller is refused meanwhile; a Unix path stays the same file."""
        for family in (socket.AF_INET, socket.AF_UNIX):
            with self.subTest(family=family):
                ours, address = self.bound(family, STREAM)
                first = self.serve(ours, '-s', 'prefork:2')
                second = self.serve(ours, '-s', 'thread')
                self.ask(ours)
                first.stop()
                self.assertEqual(first.wait()[0], 0)
                if family == socket.AF_UNIX:
                    self.assertTrue(os.path.exists(address.partition(':')[2]))
                self.ask(ours)
                second.stop()
                self.assertEqual(second.wait()[0], 0)
                with socket.socket(ours.family, STREAM) as caller:      # nobody serves, and nobody is refused
                    caller.connect(ours.getsockname())

    def refused(self, status, *addresses, pass_fds=(), arguments=()):
        done = subprocess.run(following(os.environ['SWITCHBOARD'], 'serve', *arguments, 'upper', *addresses),
                              pass_fds=pass_fds, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=PATIENCE_S, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr.count('\n')), (status, '', 1), done.stderr)
        return done.stderr

    def test_what_is_no_listener_is_refused(self):
        self.assertIn('number', self.refused(2, 'fd://x'))
        self.assertIn('number', self.refused(2, 'fd://-1'))
        self.assertIn('number', self.refused(2, 'fd://99999999999'))
        self.assertIn('not open', self.refused(1, 'fd://99'))
        self.assertIn('no socket', self.refused(2, 'fd://0'))
        ends = socket.socketpair()
        closed, packets = socket.socket(), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        datagrams, connected = socket.socket(type=DATAGRAM), socket.socket(type=DATAGRAM)
        connected.connect(('127.0.0.1', 9))
        for bad, word in ((ends[0], 'not listen'), (closed, 'not listen'), (packets, 'another kind'),
                          (datagrams, 'bound'), (connected, 'not connected')):
            with self.subTest(word=word):
                self.assertIn(word, self.refused(2, f'fd://{bad.fileno()}', pass_fds=[bad.fileno()]))
        for each in (*ends, closed, packets, datagrams, connected):
            each.close()

    def test_one_is_one(self):
        ours, _ = self.bound(socket.AF_INET, STREAM)
        address = f'fd://{ours.fileno()}'
        self.assertIn('twice', self.refused(2, address, address, pass_fds=[ours.fileno()]))
        self.assertIn('bound already', self.refused(2, address, pass_fds=[ours.fileno()],
                                                    arguments=('-s', 'prefork:2', '-a', 'reuseport')))


if __name__ == '__main__':
    unittest.main(verbosity=2)
