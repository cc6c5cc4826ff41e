#!/usr/bin/env python3
"""The ready line, and what fails before it or beside it. SWITCHBOARD in the environment is the command."""
import os
import shutil
import signal
import sys
import unittest

from lifeline import until
from serving import Served

STRATEGIES = os.environ.get('STRATEGIES', 'serial thread fork pool:2 prefork:2 prethread:2 fiber:epoll fiber:uring '
                            'prefork:2+fiber prefork:2+thread prefork:2+fork prethread:2+fiber:epoll').split()


def injected(call, error, when):
    return ('strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=' + call, '-e',
            f'inject={call}:error={error}:when={when}')


class Ready(unittest.TestCase):
    def setUp(self):
        if not shutil.which('strace'):
            self.skipTest('strace is not installed')

    def test_nothing_is_ready_that_cannot_take_a_call(self):
        for strategy in STRATEGIES:
            with self.subTest(strategy=strategy):
                served = Served(self, '--unsupervised', '-s', strategy, 'upper', 'tcp://127.0.0.1:0',
                                under=injected('epoll_create1', 'EMFILE', '1+'))
                code, text = served.wait()
                self.assertEqual((served.line, code), ('', 1), text)
                self.assertIn('cannot serve: Too many open files', text)

    def test_the_line_comes_when_a_call_can_be_taken(self):
        for strategy in STRATEGIES:
            with self.subTest(strategy=strategy):
                served = Served(self, '-q', '-s', strategy, 'upper', 'tcp://127.0.0.1:0')
                self.assertEqual(served.line.count('listening'), 1)
                with served.dial() as caller:
                    caller.sendall(b'a')
                    self.assertEqual(caller.recv(1), b'A')
                served.stop()
                self.assertEqual(served.wait(), (0, ''))


@unittest.skipUnless('FAULTS_CAN_BE_PRELOADED' in os.environ, 'not beside a sanitizer')
class AWorkerThatCannotBegin(unittest.TestCase):
    STRATEGIES = ('prefork:2', 'prefork:2+thread', 'prefork:2+fiber:epoll', 'prefork:2+prethread:2', 'prefork:2+fork')

    def start(self, strategy, faults):
        return Served(self, '-s', strategy, 'upper', 'tcp://127.0.0.1:0',
                      under=('env', 'LD_PRELOAD=' + os.environ['PLUGIN_FAULTS'], f'WORKER_FAULTS={faults}'))

    def test_is_tried_again_while_the_others_serve(self):
        for strategy in self.STRATEGIES:
            with self.subTest(strategy=strategy):
                served = self.start(strategy, 1)
                with served.dial() as caller:
                    caller.sendall(b'a')
                    self.assertEqual(caller.recv(1), b'A')
                for text in ('cannot begin to serve: Cannot allocate memory', 'the shortage is over'):
                    until(lambda text=text: text in served.said(), text)
                served.stop()
                code, text = served.wait()
                self.assertEqual((code, text.count('cannot begin')), (0, 1), text)

    def test_ends_the_server_when_none_can(self):
        for strategy in self.STRATEGIES:
            with self.subTest(strategy=strategy):
                served = self.start(strategy, 1000)
                code, text = served.wait()
                self.assertEqual((served.line, code), ('', 1), text)
                self.assertEqual(text, 'switchboard: cannot serve: Cannot allocate memory\n')


class AStopAtAnyMoment(unittest.TestCase):
    def test_while_it_starts(self):
        """Either it has no handler yet, and the signal ends it, or it ends in order."""
        for strategy in ('prefork:2', 'thread', 'fiber', 'prethread:2'):
            for _ in range(25):
                served = Served(self, '-q', '-s', strategy, 'upper', 'tcp://127.0.0.1:0', waits=False)
                served.process.send_signal(signal.SIGTERM)
                self.assertIn(served.wait()[0], (0, -signal.SIGTERM), strategy)


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1], verbosity=2)
