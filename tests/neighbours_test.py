#!/usr/bin/env python3
"""Bad neighbours: handlers that do harm to their process, and workers that are killed. What a strategy can contain
costs nobody else a call; what it cannot ends the server, and does not hang it: handler(7) has the table. SWITCHBOARD in
the environment is the command, PLUGIN_NEIGHBOUR the handler."""
import os
import socket
import sys
import threading
import time
import unittest

from lifeline import PATIENCE_S, children_of, until
from serving import Served

IN_ONE_PROCESS = ['serial', 'thread', 'pool:2', 'prethread:2', 'fiber:epoll', 'fiber:uring']
IN_PROCESSES = ['fork', 'prefork:2', 'prefork:2+thread', 'prefork:2+pool:2', 'prefork:2+fiber']
CONTAINED = ['close', 'fork', 'block', 'thread']                        # by every strategy
if 'FAULTS_CAN_BE_PRELOADED' in os.environ:     # a sanitizer that has lost its user cannot look for leaks
    CONTAINED.append('move')
FATAL = ['exit', 'segv', 'stack']                                       # to the process


class Neighbours(unittest.TestCase):

    def serve(self, strategy):
        return Served(self, '-q', '-s', strategy, '--drain-timeout=2', os.environ['PLUGIN_NEIGHBOUR'],
                      'tcp://127.0.0.1:0')

    @staticmethod
    def say(served, word):
        """The answer; '' when there is none."""
        try:
            with served.dial() as caller:
                caller.sendall(word.encode())
                caller.shutdown(socket.SHUT_WR)
                return caller.makefile().read()
        except OSError:
            return ''

    @staticmethod
    def stop_twice(served):
        try:
            while served.process.poll() is None:
                served.stop()
                time.sleep(0.01)
        except ProcessLookupError:
            pass

    def check_contained(self, strategy, word):
        served = self.serve(strategy)
        for _ in range(3):
            self.say(served, word)
        until(lambda: self.say(served, 'good') == 'OK\n', 'an answer after ' + word)
        for _ in range(3):
            until(lambda: self.say(served, 'good') == 'OK\n', 'an answer')
        served.stop()
        self.assertEqual(served.wait()[0], 0)

    def test_what_every_strategy_contains(self):
        for strategy in IN_ONE_PROCESS + IN_PROCESSES:
            for word in CONTAINED:
                with self.subTest(strategy=strategy, word=word):
                    self.check_contained(strategy, word)

    def test_what_processes_contain(self):
        for strategy in IN_PROCESSES:
            for word in FATAL:
                with self.subTest(strategy=strategy, word=word):
                    self.check_contained(strategy, word)

    def test_what_ends_a_server_of_one_process(self):
        for strategy in IN_ONE_PROCESS:
            for word in FATAL:
                with self.subTest(strategy=strategy, word=word):
                    served = self.serve(strategy)
                    self.say(served, word)
                    self.assertNotEqual(served.wait()[0], 0)

    def test_all_descriptors_closed(self):
        """Contained where the process ends with its caller, or its loop sees it. A thread that sleeps at what is closed
        now sleeps on; two signals end that."""
        for strategy in ('fork', 'prefork:2'):
            with self.subTest(strategy=strategy):
                self.check_contained(strategy, 'close-all')
        for strategy in IN_ONE_PROCESS:
            with self.subTest(strategy=strategy):
                served = self.serve(strategy)
                self.say(served, 'close-all')
                self.stop_twice(served)
                self.assertNotEqual(served.wait()[0], 0)


class KilledWorkers(unittest.TestCase):
    """Each costs the callers that it holds, and nobody else."""

    KILLS = int(os.environ.get('KILLS', '9'))       # for each discipline
    CALLERS = 4
    AGE_S = 1.1     # of who is killed: a worker that dies younger is started again later and later

    def call(self, served, stop, lost, wrong):
        while not stop.is_set():
            pid = None
            try:
                with served.dial() as caller:
                    for _ in range(3):
                        caller.sendall(b'who')
                        answer = caller.recv(32)
                        if not answer:
                            raise ConnectionResetError
                        pid = int(answer)
            except (ConnectionResetError, BrokenPipeError):
                lost.append(pid)
            except OSError as error:
                wrong.append(error)

    def grown_up(self, served, born):
        """A worker that has been seen for long enough; born: pid -> since when."""
        def find():
            for pid in children_of(served.serving()):
                if time.monotonic() - born.setdefault(pid, time.monotonic()) > self.AGE_S:
                    return pid
            return None
        return until(find, 'a worker that lives on')

    def check(self, discipline):
        served = Served(self, '-q', '-s', 'prefork:3', '-a', discipline, os.environ['PLUGIN_NEIGHBOUR'],
                        'tcp://127.0.0.1:0')
        stop, lost, wrong, killed, born = threading.Event(), [], [], [], {}
        callers = [threading.Thread(target=self.call, args=(served, stop, lost, wrong)) for _ in range(self.CALLERS)]
        for caller in callers:
            caller.start()
        try:
            while len(killed) < self.KILLS:
                pid = self.grown_up(served, born)
                os.kill(pid, 9)
                killed.append(pid)
                del born[pid]
        except OSError as error:
            wrong.append(error)
        finally:
            stop.set()
            for caller in callers:
                caller.join(PATIENCE_S)
        served.stop()
        self.assertEqual(served.wait()[0], 0)
        self.assertEqual(wrong, [])
        self.assertLessEqual(len(lost), len(killed), 'more were lost than there were workers to hold them')
        self.assertLessEqual({pid for pid in lost if pid}, set(killed), 'somebody was lost whose worker lives')

    def test_disciplines(self):
        for discipline in ('shared', 'mutex', 'flock', 'pass', 'reuseport'):
            with self.subTest(discipline=discipline):
                self.check(discipline)


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1], verbosity=2)
