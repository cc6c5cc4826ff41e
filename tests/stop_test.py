#!/usr/bin/env python3
"""A stop, and who was there before it: the real command, under every strategy.

SWITCHBOARD in the environment is the command."""
import itertools
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import unittest

from lifeline import PATIENCE_S, descendants_of
from serving import Served

STRATEGIES = os.environ.get("STRATEGIES", "serial thread fork pool:2 prefork:1 prefork:2 prethread:2 fiber:epoll "
                            "fiber:uring prefork:2+fiber prefork:2+thread prethread:2+fiber:epoll").split()
DISCIPLINES = [("prefork:2", "mutex"), ("prefork:2", "pass"), ("prefork:2", "reuseport"), ("prethread:2", "flock"),
               ("prethread:2", "pass"), ("prethread:2", "reuseport"), ("prefork:2+fiber", "pass"),
               ("prefork:2+fiber:epoll", "reuseport")]


def answer(caller):
    heard = b""
    while True:
        more = caller.recv(1000)
        if not more:
            return heard
        heard += more


class WhoWasConnectedIsServed(unittest.TestCase):
    """The server is stopped by SIGSTOP while its callers connect and ask, and SIGTERM comes; then it goes on."""

    def check(self, address, *arguments):
        served = Served(self, "-q", "--drain-timeout=%d" % PATIENCE_S, *arguments, "sleep", address)
        pids = [served.process.pid, *descendants_of(served.process.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        callers = [served.dial() for _ in range(5)]
        for caller in callers:
            self.addCleanup(caller.close)
            caller.sendall(b"1\n")
            caller.shutdown(socket.SHUT_WR)
        os.kill(served.process.pid, signal.SIGTERM)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        for n, caller in enumerate(callers):
            self.assertTrue(answer(caller), f"caller {n} of {arguments} at {address}")
        self.assertEqual(served.wait(), (0, ""))

    def test_strategies(self):
        for strategy in STRATEGIES:
            with self.subTest(strategy=strategy):
                self.check("tcp://127.0.0.1:0", "-s", strategy)

    def test_unix_sockets(self):
        for strategy in STRATEGIES:
            with self.subTest(strategy=strategy), tempfile.TemporaryDirectory() as folder:
                self.check("unix:" + folder + "/s", "-s", strategy)

    def test_disciplines(self):
        for strategy, discipline in DISCIPLINES:
            with self.subTest(strategy=strategy, discipline=discipline):
                self.check("tcp://127.0.0.1:0", "-s", strategy, "-a", discipline)

    def test_with_a_place_for_one_only(self):
        for strategy in ("thread", "fork", "fiber:epoll", "fiber:uring", "pool:1"):
            with self.subTest(strategy=strategy):
                self.check("tcp://127.0.0.1:0", "-s", strategy, "--max-connections=1")


class ButNotForEver(unittest.TestCase):
    def test_the_drain_ends_it(self):
        """Five callers who say nothing; whoever is served when the drain ends is cut off, the others are let go."""
        for strategy in STRATEGIES:
            with self.subTest(strategy=strategy):
                served = Served(self, "-q", "--drain-timeout=0.2", "-s", strategy, "upper", "tcp://127.0.0.1:0")
                callers = [served.dial() for _ in range(5)]
                os.kill(served.process.pid, signal.SIGTERM)
                status, _ = served.wait()
                self.assertEqual(status, 0)
                for caller in callers:
                    caller.close()


class ItReachesEveryLoopOfRetries(unittest.TestCase):
    """Calls that fail for ever, as if a signal came each time or nothing were there: the drain ends that, too."""

    def check(self, strategy, call, error):
        with tempfile.NamedTemporaryFile("r", encoding="utf-8") as trace:
            served = Served(self, "-q", "--unsupervised", "--drain-timeout=0.2", "-s", strategy, "upper",
                            "tcp://127.0.0.1:0", under=("strace", "-f", "-qq", "-o", trace.name, "-e", "trace=" + call,
                                                        "-e", f"inject={call}:error={error}:when=3+"))
            caller = served.dial()
            self.addCleanup(caller.close)
            while not self.fails(trace):
                caller.sendall(b"a")
                while not self.fails(trace) and not select.select([caller], [], [], 0.05)[0]:
                    pass
                if not self.fails(trace):
                    caller.recv(100)
            os.kill(served.pid(), signal.SIGTERM)
            served.wait()

    @staticmethod
    def fails(trace):
        trace.seek(0)
        return "INJECTED" in trace.read(100000)

    def test_it_ends(self):
        if not shutil.which("strace"):
            self.skipTest("strace is not installed")
        for strategy in STRATEGIES:
            if "fiber" in strategy and "epoll" not in strategy:
                continue    # io_uring makes no such call
            for call, error in itertools.product(("recvfrom", "sendto"), ("EINTR", "EAGAIN")):
                with self.subTest(strategy=strategy, call=call, error=error):
                    self.check(strategy, call, error)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
