#!/usr/bin/env python3
"""`switchboard load` against servers whose delays, stalls and mistakes are known.

    python3 tests/load/load_test.py PATH_TO_switchboard
"""

import asyncio
import concurrent.futures
import os
import pty
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lifeline import PATIENCE_S, following  # noqa: E402

switchboard = None


# Servers. Each answers lines; `answer(caller, line, number)` is called for the number-th line of all, from 1.

class Talk(asyncio.Protocol):
    def __init__(self, server):
        self.server, self.rest, self.lines = server, b"", 0

    def connection_made(self, transport):
        self.transport = transport
        self.server.talks.append(self)

    def connection_lost(self, error):
        self.transport = None

    def data_received(self, data):
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.lines += 1
            self.server.number += 1
            self.server.answer(self, line + b"\n", self.server.number)

    def say(self, text):
        self.transport.write(text)

    def hang_up(self):
        self.transport.close()

    def reset(self):
        linger = struct.pack("ii", 1, 0)
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.transport.abort()


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server):
        self.server = server

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.server.number += 1
        self.address = address
        self.server.answer(self, data, self.server.number)

    def say(self, text):
        self.transport.sendto(text, self.address)


class Server:
    """In a thread of its own, at a port of the kernel's choice."""

    def __init__(self, answer, kind="tcp"):
        self.answer, self.kind = answer, kind
        self.number = 0
        self.talks = []

    def open(self):
        return [talk for talk in self.talks if talk.transport]

    async def start(self):
        stream = self.kind == "tcp"
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = "%s://127.0.0.1:%d" % (self.kind, self.socket.getsockname()[1])
        if stream:
            self.listener = await self.loop.create_server(lambda: Talk(self), sock=self.socket, backlog=4096)
        else:
            self.transport, _ = await self.loop.create_datagram_endpoint(lambda: Datagrams(self), sock=self.socket)

    def run(self):
        self.loop.run_until_complete(self.start())
        self.ready.set()
        self.loop.run_forever()
        for talk in self.open():
            talk.transport.abort()
        if self.kind == "tcp":
            self.listener.close()
        else:
            self.transport.close()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        assert self.ready.wait(PATIENCE_S)
        return self

    def __exit__(self, *unused):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(PATIENCE_S)

    def wait_until(self, condition):
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.01)


def upper(caller, line, number):
    caller.say(line.upper())


def silent(caller, line, number):
    pass


# The program.

class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def count(self, name):
        return int(re.search(r"^%s +(\d+)" % name, self.out, re.M)[1])

    def errors(self):
        """Of each kind, those that are not named are 0."""
        kinds = re.search(r"^errors +\d+(?:: (.*))?$", self.out, re.M)[1]
        pairs = [kind.split(" ", 1) for kind in kinds.split(", ")] if kinds else []
        return {name: int(count) for count, name in pairs}

    def times(self, name):
        """In seconds."""
        head = re.search(r"^ms +(.*)$", self.out, re.M)[1]
        row = re.search(r"^%s +(\d.*)$" % name, self.out, re.M)[1]
        return dict(zip(re.split(r"  +", head), (float(ms) / 1000 for ms in row.split())))


def start(*arguments, **more):
    return subprocess.Popen(following(switchboard, "load", *map(str, arguments)), stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=more.pop("stderr", subprocess.PIPE), text=True, **more)


def finish(process):
    out, err = process.communicate(timeout=PATIENCE_S)
    return Result(process.returncode, out, err)


def load(*arguments, **more):
    return finish(start(*arguments, **more))


class LoadCase(unittest.TestCase):
    def expect(self, result, errors, answered):
        self.assertEqual((result.errors(), result.count("answered")), (errors, answered), result.out + result.err)
        self.assertEqual(result.count("requests"), answered + sum(errors.values()))
        self.assertEqual(result.count("errors"), sum(errors.values()))
        self.assertEqual(result.status, 1 if errors else 0)
        self.assertEqual(result.err, "")

    def expect_complaint(self, result, status, *words):
        self.assertEqual((result.status, result.out), (status, ""), result.err)
        self.assertRegex(result.err, r"\Aswitchboard load: [^\n]*\n\Z")
        for word in words:
            self.assertIn(word, result.err)


# Latencies.

class Latencies(LoadCase):
    def test_percentiles_are_those_of_the_server_and_no_less(self):
        """90 % of the answers come after 20 ms, 9 % after 60, 1 % after 200."""
        served = []

        def answer(caller, line, number):
            def say():
                served.append(time.monotonic() - begin)
                caller.say(line.upper())

            begin = time.monotonic()
            place = number * 37 % 100
            caller.server.loop.call_later(0.02 if place < 90 else 0.06 if place < 99 else 0.2, say)

        with Server(answer) as server:
            result = load("-T", "-c", 20, "-n", 1000, server.address)
        self.expect(result, {}, 1000)
        latency = result.times("latency")
        served.sort()
        self.assertEqual(list(latency.values())[:5], sorted(list(latency.values())[:5]))
        for name, rank, least in ("50 %", 500, 0.02), ("90 %", 900, 0.02), ("99 %", 990, 0.06), ("99.9 %", 999, 0.2), \
                                 ("max", 1000, 0.2):
            self.assertGreaterEqual(latency[name] + 1e-6, max(served[rank - 1], least), name)
        self.assertGreaterEqual(latency["mean"] + 1e-6, sum(served) / 1000)
        self.assertNotIn("service", result.out)

    def stall(self, *arguments):
        """A server that stops once, for a second, at its 100th request."""
        def answer(caller, line, number):
            if number == 100:
                time.sleep(1)
            upper(caller, line, number)

        with Server(answer) as server:
            result = load("-T", *arguments, server.address)
        self.assertEqual(result.errors(), {})
        return result

    def test_an_open_loop_shows_a_stall_to_all_who_were_due(self):
        """800 requests, 2.5 ms apart: the first 8 of those due in the stall waited 0.98 s, the first 80 for 0.8 s."""
        result = self.stall("-r", 400, "-n", 800, "-c", 4)
        self.assertEqual(result.count("requests"), 800)
        latency, service = result.times("latency"), result.times("service")
        self.assertGreaterEqual(latency["max"], 1)
        self.assertGreaterEqual(latency["99 %"], 0.98)
        self.assertGreaterEqual(latency["90 %"], 0.8)
        self.assertGreaterEqual(service["max"], 1)
        self.assertLess(service["99 %"], latency["99 %"])       # four were under way
        self.assertNotIn("blind", result.out)

    def test_a_closed_loop_is_blind_to_it_and_says_so(self):
        result = self.stall("-n", 1000, "-c", 4)
        latency = result.times("latency")
        self.assertGreaterEqual(latency["max"], 1)
        self.assertLess(latency["99 %"], latency["max"])
        self.assertRegex(result.out, "closed loop is blind to stalls.*\n?.*--rate")

    def test_requests_that_found_no_client_are_told(self):
        with Server(silent) as server:
            result = load("-r", 100, "-t", 0.2, "-c", 2, "--timeout=0.3", server.address)
        begun = result.count("requests")
        self.expect(result, {"unanswered": begun}, 0)
        self.assertIn("%d more requests were due" % (20 - begun), result.out)

    def test_a_generator_that_was_held_up_tells_so(self):
        def answer(caller, line, number):
            if number == 100:
                process = started.result(PATIENCE_S)
                with open("/proc/%d/task/%d/children" % (process.pid, process.pid)) as children:
                    generator = int(children.read())
                os.kill(generator, signal.SIGSTOP)
                time.sleep(0.05)
                os.kill(generator, signal.SIGCONT)
            upper(caller, line, number)

        started = concurrent.futures.Future()
        with Server(answer) as server:
            started.set_result(start("-T", "-r", 1000, "-n", 800, "-c", 50, server.address))
            result = finish(started.result())
        self.expect(result, {}, 800)
        late = int(re.search(r"^(\d+) requests were sent over 1 ms late", result.out, re.M)[1])
        self.assertGreaterEqual(late, 20)
        self.assertGreaterEqual(result.times("latency")["max"], 0.04)


# Answers that go wrong.

class Errors(LoadCase):
    def test_each_corrupted_reply_counts_and_no_other(self):
        def answer(caller, line, number):
            text = bytearray(line.upper())
            if number % 1000 == 0:
                text[number // 1000 * 9] ^= 1
            caller.say(text)

        for mode in [], ["-T"]:
            with Server(answer) as server:
                self.expect(load(*mode, "-n", 5000, server.address), {"wrong": 5}, 4995)

    def test_more_than_the_answer_is_wrong(self):
        with Server(lambda caller, line, number: caller.say(line.upper() + b"." * (number % 10 == 0))) as server:
            self.expect(load("-n", 100, server.address), {"wrong": 10}, 90)

    def test_replies_that_are_cut_off(self):
        def answer(caller, line, number):
            caller.say(line.upper() if number % 10 else line.upper()[:-1])
            if number % 20 == 0:
                caller.reset()
            elif number % 10 == 0:
                caller.hang_up()

        for mode in [], ["-T"]:
            with Server(answer) as server:
                self.expect(load(*mode, "-n", 200, server.address), {"cut off": 20}, 180)

    def test_refused_connections(self):
        def answer(caller, line, number):
            if number == 30:
                server.listener.close()
                server.socket.close()
            upper(caller, line, number)

        with Server(answer) as server:
            result = load("-c", 1, "-n", 50, server.address)
        self.expect(result, {"refused": 20}, 30)
        self.assertIn("without an answer after an error", result.out)

    def test_requests_that_are_never_answered(self):
        def answer(caller, line, number):
            if number % 10:
                upper(caller, line, number)

        for mode in [], ["-T"]:
            with Server(answer) as server:
                self.expect_unanswered(load(*mode, "-n", 100, "--timeout=0.5", server.address))

    def expect_unanswered(self, result):
        """Each tenth of a hundred, and who is slow: that an answer comes in time depends on the machine."""
        unanswered = result.errors()["unanswered"]
        self.expect(result, {"unanswered": unanswered}, 100 - unanswered)
        self.assertGreaterEqual(unanswered, 10)

    def test_datagrams_that_are_lost(self):
        def answer(caller, line, number):
            if number % 10:
                upper(caller, line, number)

        with Server(answer, "udp") as server:
            self.expect_unanswered(load("-n", 100, "--timeout=0.5", server.address))

    def test_nobody_listens(self):
        with Server(upper) as server:
            address = server.address
        for mode in [], ["-n", 3]:
            self.expect_complaint(load(*mode, address), 1, address, "Connection refused", "switchboard serve upper")
        self.expect_complaint(load("-n", 3, "unix:@switchboard-nobody"), 1, "unix:@switchboard-nobody")


# What is asked.

class Questions(LoadCase):
    def test_each_request_has_a_connection_unless_clients_talk(self):
        for mode, connections in ([], 300), (["-T"], 7):
            with Server(upper) as server:
                self.expect(load(*mode, "-c", 7, "-n", 300, server.address), {}, 300)
                self.assertEqual(len(server.talks), connections)

    def test_a_text_of_ones_own_with_any_bytes(self):
        with Server(lambda caller, line, number: caller.say(b"\0\xff" if line == b"\x00\\\t\r\n" else b"?")) as server:
            self.expect(load("-n", 20, r"--send=\0\\\t\r\n", r"--expect=\x00\xfF", server.address), {}, 20)
            self.expect(load("-n", 20, r"--send=0\n", r"--expect=\x00\xfF", server.address), {"wrong": 20}, 0)

    def test_the_first_answer_is_the_measure_of_the_others(self):
        with Server(lambda caller, line, number: caller.say(b"well\n" if number <= 11 else b"Well\n")) as server:
            # It ends its side when it has asked, and asyncio then ends the other.
            result = load("-n", 20, r"--send=how are you?\n", server.address)
        self.expect(result, {"wrong": 10}, 10)
        self.assertIn("expected: answer 1: 5 bytes: well\\n\n", result.out)

    def test_no_first_answer(self):
        with Server(lambda caller, line, number: caller.hang_up()) as server:
            self.expect_complaint(load(r"--send=a\n", server.address), 1, "nothing came", "--expect")
            address = server.address
        self.expect_complaint(load("--send=a", address), 1, "Connection refused")
        with Server(silent, "udp") as server:
            self.expect_complaint(load("--send=a", "--timeout=0.1", server.address), 1, "timed out")

    def test_large_replies(self):
        reply = bytes(i * 7 % 251 for i in range(1000003))

        def answer(caller, line, number):
            caller.say(reply if number < 20 else reply[:-1] + b"?")

        with Server(answer) as server:
            result = load("-n", 20, r"--send=all\n", server.address)
        self.expect(result, {"wrong": 2}, 18)
        self.assertIn("expected: answer 1: 1000003 bytes\n", result.out)

    def test_slow_clients_drip_and_never_end_a_line(self):
        with Server(upper) as server:
            result = load("-c", 8, "--slow=3", "-T", "-r", 100, "-n", 50, server.address)
            server.wait_until(lambda: not server.open())
            slow = [talk for talk in server.talks if talk.lines == 0 and talk.rest]
        self.expect(result, {}, 50)
        self.assertEqual(len(server.talks), 8)
        self.assertEqual(slow, server.talks[:3])
        self.assertIn("3 of them slow", result.out)


# The program.

class Program(LoadCase):
    def test_misuse_is_status_two_and_one_sentence(self):
        for arguments, word in (
            (["-c", "0"], "--clients"), (["-c", "1000001"], "--clients"), (["-c", "4x"], "--clients"),
            (["-c", "-1"], "--clients"), (["-n", "0"], "--requests"), (["-t", "0"], "--seconds"),
            (["-t", "inf"], "--seconds"), (["-r", "0"], "--rate"), (["-r", "many"], "--rate"),
            (["--timeout=-1"], "--timeout"),
            (["--slow=16"], "--slow"), (["--slow=3", "-c", "3"], "--slow"), (["--expect=a"], "--send"),
            (["--send="], "from 1 to 65507"), (["--send=" + "a" * 65508], "from 1 to 65507"),
            ([r"--send=\q"], "backslash"),
            ([r"--send=\x4"], "backslash"), (["--send=a", "--expect="], "--expect"), (["nonsense"], "nonsense"),
            (["udp://127.0.0.1:99999"], "port"), (["127.0.0.1:1", "127.0.0.1:2"], "one ADDRESS too many"),
        ):
            with self.subTest(arguments):
                self.expect_complaint(load(*arguments), 2, word)

    def test_it_describes_itself(self):
        result = load("--help")
        self.assertEqual((result.status, result.err), (0, ""))
        self.assertTrue(result.out.startswith("Usage: switchboard load "))

    def test_control_c_ends_it_with_what_is_known(self):
        for answer, status in (upper, 0), (silent, 1):
            with Server(answer) as server:
                process = start("-t", 3600, "-T", server.address)
                server.wait_until(lambda: server.number >= 16)
                process.send_signal(signal.SIGINT)
                result = finish(process)
                server.wait_until(lambda: not server.open())
            self.assertEqual((result.status, result.errors()), (status, {}), result.out + result.err)
            self.assertEqual(result.count("requests"), result.count("answered"))
            self.assertEqual(result.count("answered") > 0, status == 0)

    def test_nothing_stays_behind_when_it_is_killed(self):
        with Server(upper) as server:
            process = start("-t", 3600, "-T", server.address)
            server.wait_until(lambda: server.number >= 16)
            process.kill()
            process.communicate(timeout=PATIENCE_S)
            server.wait_until(lambda: not server.open())

    def test_it_shows_its_progress_on_a_terminal(self):
        control, terminal = pty.openpty()
        with Server(upper) as server:
            process = start("-t", 3600, "-T", server.address, stderr=terminal)
            os.close(terminal)
            shown = b""
            while not re.search(rb"\r\d+ s: \d+ answered, 0 errors\x1b\[K", shown):
                self.assertTrue(select.select([control], [], [], PATIENCE_S)[0])
                shown += os.read(control, 1000)
            process.send_signal(signal.SIGINT)
            result = finish(process)
        shown += os.read(control, 1000)
        os.close(control)
        self.assertTrue(shown.endswith(b"\r\x1b[K"))
        self.assertEqual(result.status, 0)

    @unittest.skipUnless("FAULTS_CAN_BE_PRELOADED" in os.environ, "a sanitizer wants to be loaded first")
    def test_a_name_is_settled_to_the_address_where_a_server_is(self):
        names = dict(os.environ, LD_PRELOAD=os.environ["PLUGIN_NAMES"], NAMES="both.test=::1,127.0.0.1")
        for kind in "tcp", "udp":
            for more in (), ("--send=question\\n",):
                with self.subTest(kind=kind, more=more), Server(upper, kind) as server:
                    port = server.address.rpartition(":")[2]
                    result = load("-n", 50, *more, "%s://both.test:%s" % (kind, port), env=names)
                    self.expect(result, {}, 50)
                    self.assertIn(server.address, result.out)

    @unittest.skipUnless("FAULTS_CAN_BE_PRELOADED" in os.environ, "a sanitizer wants to be loaded first")
    def test_a_name_without_a_server_at_any_address_is_refused(self):
        names = dict(os.environ, LD_PRELOAD=os.environ["PLUGIN_NAMES"], NAMES="both.test=::1,127.0.0.1")
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            address = "tcp://both.test:%d" % unused.getsockname()[1]
            result = load("-n", 3, address, env=names)
        self.expect_complaint(result, 1, "nobody answers at %s: Connection refused" % address)

    def test_too_few_descriptors(self):
        with Server(upper) as server:
            result = load("-c", 100, server.address,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60)))
        self.expect_complaint(result, 1, "100 clients", "60", "ulimit -Hn")

    def test_thousands_of_clients(self):
        clients = 5000
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < clients + 100:
            self.skipTest("the hard limit of descriptors is %d" % hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        try:
            with Server(upper) as server:
                result = load("-T", "-c", clients, "-n", 2 * clients, "--timeout=%d" % PATIENCE_S, server.address)
                self.expect(result, {}, 2 * clients)
                self.assertEqual(len(server.talks), clients)
                server.wait_until(lambda: not server.open())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


if __name__ == "__main__":
    switchboard = os.path.abspath(sys.argv.pop(1))
    unittest.main()
