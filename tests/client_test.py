#!/usr/bin/env python3
"""`switchboard client` against the Python servers of the source texts, in a pipe and on a terminal.

    python3 tests/client_test.py PATH_TO_switchboard
"""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unittest

DEADLINE_S = 20
GREETING = "连接成功!"
PROMPT = ">>: "
switchboard = None


# The servers of the texts. Each talks to one caller, or answers datagrams until it is stopped.

def upper(conn):
    while data := conn.recv(1024):
        conn.sendall(data.upper())


def count(conn):
    conn.sendall(GREETING.encode())
    number = 1
    while data := conn.recv(1024):
        if data == b"exit":
            return
        conn.sendall(f"第{number}条信息:".encode() + data)
        number += 1


def one_answer(conn):
    conn.sendall(conn.recv(1024).upper())


def greet_and_leave(conn):
    conn.sendall("下了一天的雨".encode())
    conn.sendall("适合发呆".encode())


def reset(conn):
    conn.recv(1024)
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def silent(conn):
    while conn.recv(1024):
        pass


def answer_at_the_end(conn):
    data = b""
    while piece := conn.recv(1024):
        data += piece
    conn.sendall(data.upper())


def upper_datagram(data):
    return data.upper()


def no_datagram(_data):
    return None


class Server:
    """A server in a thread: with Server(talk) as server: ... server.address. Calls come one after the other."""

    def __init__(self, talk, family=socket.AF_INET, kind=socket.SOCK_STREAM, path=None):
        self.talk, self.errors = talk, []
        self.stream = kind == socket.SOCK_STREAM
        self.socket = socket.socket(family, kind)
        self.socket.bind(path or ("127.0.0.1", 0))
        self.path = path
        if self.stream:
            self.socket.listen()
        self.stopped, self.stop = socket.socketpair()
        self.thread = threading.Thread(target=self.serve, daemon=True)

    @property
    def address(self):
        scheme = {True: ("tcp://", "unix:"), False: ("udp://", "unixgram:")}[self.stream][self.path is not None]
        if self.path is None:
            return "%s127.0.0.1:%d" % (scheme, self.socket.getsockname()[1])
        return scheme + self.path.replace("\0", "@")

    def serve(self):
        try:
            while self.stopped not in select.select([self.socket, self.stopped], [], [], DEADLINE_S)[0]:
                self.serve_one()
        except OSError as error:
            self.errors.append(error)

    def serve_one(self):
        if self.stream:
            with self.socket.accept()[0] as conn:
                conn.settimeout(DEADLINE_S)
                self.talk(conn)
            return
        data, sender = self.socket.recvfrom(65536)
        reply = self.talk(data)
        if reply is not None:
            self.socket.sendto(reply, sender)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.close()
        self.thread.join(DEADLINE_S)
        for sock in (self.socket, self.stopped):
            sock.close()
        assert not self.thread.is_alive(), "the server still waits"


def unused_port(kind):
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Terminal:
    """The client on a pseudo-terminal: type to it, and expect what it shows."""

    def __init__(self, *arguments):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.modes = termios.tcgetattr(slave)
        environment = dict(os.environ, LC_ALL="C.UTF-8", TERM="vt100", INPUTRC="/dev/null")
        self.process = subprocess.Popen([switchboard, "client", *arguments], stdin=slave, stdout=slave, stderr=slave,
                                        env=environment, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.slave = slave
        self.raw = b""
        self.seen = 0

    def shown(self):
        text = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]|[\x0e\x0f\x07]", "", self.raw.decode(errors="ignore"))
        return text.replace("\r", "")

    def expect(self, text):
        """Waits until text is shown behind what was expected before."""
        until = time.monotonic() + DEADLINE_S
        while (at := self.shown().find(text, self.seen)) < 0:
            ready, _, _ = select.select([self.master], [], [], max(0, until - time.monotonic()))
            if not ready:
                raise AssertionError("%r is not shown in %r" % (text, self.shown()[self.seen:]))
            self.raw += os.read(self.master, 65536)
        self.seen = at + len(text)

    def type(self, text):
        os.write(self.master, text.encode())

    def wait(self):
        status = self.process.wait(DEADLINE_S)
        while select.select([self.master], [], [], 0)[0]:
            self.raw += os.read(self.master, 65536)
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE_S)
        os.close(self.master)
        os.close(self.slave)


class ClientTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    @contextlib.contextmanager
    def server(self, *arguments, **keywords):
        with Server(*arguments, **keywords) as server:
            yield server
        self.assertEqual(server.errors, [])

    @contextlib.contextmanager
    def handler(self, name, address):
        """The address of a server of our own with one of the handlers in the box."""
        with subprocess.Popen([switchboard, "serve", "--quiet", name, address], stdout=subprocess.PIPE) as server:
            try:
                yield server.stdout.readline().decode().split()[1]
            finally:
                server.terminate()
        self.assertEqual(server.returncode, 0)

    def path(self):
        return os.path.join(self.directory, "socket")

    def run_client(self, text, *arguments):
        data = text if isinstance(text, bytes) else text.encode()
        return subprocess.run([switchboard, "client", *arguments], input=data, capture_output=True, timeout=DEADLINE_S)

    def check(self, result, output, status=0, sentence=""):
        self.assertEqual((result.stdout.decode(), result.stderr.decode(), result.returncode),
                         (output, sentence, status))


class InAPipe(ClientTest):
    def test_replies_come_out_line_by_line(self):
        with self.server(upper) as server:
            self.check(self.run_client("hello\nworld\n", server.address), "HELLO\nWORLD\n")

    def test_an_address_without_a_scheme_is_tcp(self):
        with self.server(upper) as server:
            self.check(self.run_client("hello", server.address.removeprefix("tcp://")), "HELLO\n")

    def test_no_input_is_no_error(self):
        with self.server(upper) as server:
            self.check(self.run_client("", server.address), "")

    def test_the_next_caller_is_served(self):
        with self.server(upper) as server:
            for word in ("one", "two", "three"):
                self.check(self.run_client(word + "\n", server.address), word.upper() + "\n")

    def test_lines_are_sent_as_they_are(self):
        with self.server(upper) as server:
            self.check(self.run_client(" 你好 \t\nb\r\n", server.address), " 你好 \t\nB\r\n")

    def test_an_empty_line_is_not_sent_on_a_stream(self):
        with self.server(count) as server:
            self.check(self.run_client("\n\na\n\nb\n\n", "--greeting", server.address),
                       GREETING + "\n第1条信息:a\n第2条信息:b\n")

    def test_a_greeting_comes_before_the_first_line_is_sent(self):
        for _ in range(20):
            with self.server(count) as server:
                self.check(self.run_client("hello\nworld\n", "--greeting", server.address),
                           GREETING + "\n第1条信息:hello\n第2条信息:world\n")

    def test_a_line_that_ends_the_talk_has_no_reply(self):
        with self.server(count) as server:
            sentence = "switchboard client: %s closed the connection: line 2 got no reply\n" % server.address
            self.check(self.run_client("hello\nexit\n", "-g", server.address), GREETING + "\n第1条信息:hello\n",
                       1, sentence)

    def test_what_the_server_says_alone_is_printed(self):
        with self.server(greet_and_leave) as server:
            self.check(self.run_client("", server.address), "下了一天的雨适合发呆\n")

    def test_an_answer_after_the_end_of_input_is_waited_for(self):
        with self.server(answer_at_the_end) as server:
            self.check(self.run_client("hello\n", server.address), "HELLO\n")

    def test_a_long_line_is_answered_whole(self):
        line = b"abcdefg " * 100_000
        with self.server(upper) as server, tempfile.TemporaryFile() as file:
            file.write(line + b"\n")
            file.seek(0)
            result = subprocess.run([switchboard, "client", server.address], stdin=file, capture_output=True,
                                    timeout=DEADLINE_S)
        self.assertEqual((result.stdout, result.stderr), (line.upper() + b"\n", b""))

    def test_a_conversation_sees_each_reply_before_the_next_line(self):
        with self.server(upper) as server:
            with subprocess.Popen([switchboard, "client", server.address], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, bufsize=0) as client:
                for word in (b"one\n", b"two\n"):
                    client.stdin.write(word)
                    self.assertTrue(select.select([client.stdout], [], [], DEADLINE_S)[0])
                    self.assertEqual(self.read_line(client.stdout), word.upper())
                client.stdin.close()
                self.assertEqual(client.wait(DEADLINE_S), 0)

    def read_line(self, stream):
        line = b""
        while not line.endswith(b"\n"):
            self.assertTrue(select.select([stream], [], [], DEADLINE_S)[0], line)
            line += os.read(stream.fileno(), 1) or self.fail("the output ended after %r" % line)
        return line

    def test_a_peer_that_closes_early_leaves_a_line_unanswered(self):
        with self.server(one_answer) as server:
            result = self.run_client("a\nb\nc\n", server.address)
        self.assertEqual((result.stdout, result.returncode), (b"A\n", 1))
        self.assertRegex(result.stderr.decode(), "^switchboard client: .*: line 2 got no reply\n$")

    def test_a_peer_that_closes_after_the_last_answer_is_well(self):
        with self.server(one_answer) as server:
            self.check(self.run_client("a\n", server.address), "A\n")

    def test_a_reset_is_one_sentence(self):
        with self.server(reset) as server:
            self.check(self.run_client("a\n", server.address), "", 1, "switchboard client: the talk with %s broke off: "
                       "Connection reset by peer: line 1 got no reply\n" % server.address)

    def test_a_refused_connection_is_one_sentence(self):
        address = "tcp://127.0.0.1:%d" % unused_port(socket.SOCK_STREAM)
        self.check(self.run_client("a\n", address), "", 1, "switchboard client: cannot connect to %s: Connection "
                   "refused: no server listens there; start one with 'switchboard serve upper %s'\n"
                   % (address, address))

    def test_a_missing_socket_is_one_sentence(self):
        result = self.run_client("a\n", "unix:" + self.path())
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr.decode(), "^switchboard client: cannot connect to unix:.*no such socket")

    def test_a_socket_of_the_other_kind_is_named(self):
        with self.server(upper_datagram, socket.AF_UNIX, socket.SOCK_DGRAM, path=self.path()):
            result = self.run_client("a\n", "unix:" + self.path())
        self.assertEqual(result.returncode, 1)
        self.assertIn("of the other kind", result.stderr.decode())

    def test_a_silent_stream_runs_into_the_timeout_asked_for(self):
        with self.server(silent) as server:
            with subprocess.Popen([switchboard, "client", "--timeout=0.1", server.address], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) as client:
                client.stdin.write(b"a\n")
                client.stdin.flush()
                self.assertEqual(client.wait(DEADLINE_S), 1)
                self.assertEqual(client.stderr.read().decode(), "switchboard client: %s was silent for 0.1 s: "
                                 "line 1 got no reply; --timeout=SECONDS waits longer\n" % server.address)

    def test_full_output_is_an_error(self):
        with self.server(upper) as server, open("/dev/full", "wb") as full:
            result = subprocess.run([switchboard, "client", server.address], input=b"a\n", stdout=full,
                                    stderr=subprocess.PIPE, timeout=DEADLINE_S)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"cannot write to standard output", result.stderr)

    def test_a_closed_standard_input_is_an_empty_one(self):
        with self.server(upper) as server:
            result = subprocess.run(["sh", "-c", 'exec "$0" client "$1" <&-', switchboard, server.address],
                                    capture_output=True, timeout=DEADLINE_S)
        self.assertEqual((result.stdout, result.returncode), (b"", 0))

    def test_a_newline_ends_each_message_where_the_server_reads_lines(self):
        with self.handler("bytes", "tcp://127.0.0.1:0") as address:
            for option in ("-n", "--newline"):
                self.check(self.run_client("3\n10\n1", option, address), "...\n..........\n.\n")

    def test_without_a_newline_a_server_that_reads_lines_waits_for_it(self):
        with self.handler("bytes", "tcp://127.0.0.1:0") as address:
            self.check(self.run_client("3\n10\n", "--timeout=0.1", address), "", 1, "switchboard client: %s was silent "
                       "for 0.1 s: line 1 got no reply; --timeout=SECONDS waits longer\n" % address)

    def test_an_empty_line_is_sent_as_its_newline(self):
        with self.server(upper) as server:
            self.check(self.run_client("\na\n", "-n", server.address), "\nA\n")

    def test_misuse_is_status_2(self):
        for arguments in (["--timeout=soon"], ["--timeout=0"], ["--timeout=nan"], ["--nonsense"], ["a:1", "b:2"],
                          ["tcp://127.0.0.1:70000"], ["tcp://127.0.0.1"], ["unix:" + "x" * 200],
                          ["--greeting", "udp://127.0.0.1:9"]):
            with self.subTest(arguments):
                result = self.run_client("", *arguments)
                self.assertEqual((result.returncode, result.stdout), (2, b""))
                self.assertTrue(result.stderr.startswith(b"switchboard client: "), result.stderr)


class OverOtherFamilies(ClientTest):
    def test_upper_over_udp(self):
        with self.server(upper_datagram, kind=socket.SOCK_DGRAM) as server:
            self.check(self.run_client("hello\nworld\n", server.address), "HELLO\nWORLD\n")

    def test_an_empty_line_is_an_empty_datagram(self):
        with self.server(lambda data: data or b"empty", kind=socket.SOCK_DGRAM) as server:
            self.check(self.run_client("\na\n", server.address), "empty\na\n")

    def test_an_empty_reply_is_an_empty_line(self):
        with self.server(lambda data: b"", kind=socket.SOCK_DGRAM) as server:
            self.check(self.run_client("a\nb\n", server.address), "\n\n")

    def test_a_long_datagram_is_answered_whole(self):
        with self.server(upper_datagram, kind=socket.SOCK_DGRAM) as server:
            self.check(self.run_client("a" * 60_000, server.address), "A" * 60_000 + "\n")

    def test_a_line_too_long_for_a_datagram_is_one_sentence(self):
        with self.server(upper_datagram, kind=socket.SOCK_DGRAM) as server:
            self.check(self.run_client("a" * 70_000, server.address), "", 1, "switchboard client: line 1 has 70000 "
                       "bytes, too many for one datagram to %s\n" % server.address)

    def test_a_newline_goes_into_the_datagram(self):
        with self.handler("bytes", "udp://127.0.0.1:0") as address:
            self.check(self.run_client("3\n1\n", "-n", address), "...\n.\n")
        with self.server(lambda data: repr(data).encode(), kind=socket.SOCK_DGRAM) as server:
            self.check(self.run_client("a\n\nb", "-n", server.address), "b'a\\n'\nb'\\n'\nb'b\\n'\n")

    def test_a_lost_datagram_runs_into_the_timeout(self):
        with self.server(no_datagram, kind=socket.SOCK_DGRAM) as server:
            self.check(self.run_client("a\nb\n", "--timeout=0.1", server.address), "", 1, "switchboard client: %s was "
                       "silent for 0.1 s: line 1 got no reply; --timeout=SECONDS waits longer\n" % server.address)

    def test_a_refused_datagram_is_one_sentence(self):
        address = "udp://127.0.0.1:%d" % unused_port(socket.SOCK_DGRAM)
        self.check(self.run_client("a\n", address), "", 1, "switchboard client: %s refused a datagram: no server "
                   "receives there; start one with 'switchboard serve upper %s'\n" % (address, address))

    def test_unix_stream(self):
        with self.server(upper, socket.AF_UNIX, path=self.path()) as server:
            self.check(self.run_client("hello\nworld\n", server.address), "HELLO\nWORLD\n")

    def test_abstract_unix_stream(self):
        path = "\0switchboard-client-test-%d" % os.getpid()
        with self.server(count, socket.AF_UNIX, path=path) as server:
            self.check(self.run_client("a", "-g", server.address), GREETING + "\n第1条信息:a\n")

    def test_unix_datagrams_are_answered_to_a_name_of_the_clients_own(self):
        with self.server(upper_datagram, socket.AF_UNIX, socket.SOCK_DGRAM, path=self.path()) as server:
            self.check(self.run_client("hello\nworld\n", server.address), "HELLO\nWORLD\n")


class OnATerminal(ClientTest):
    def test_asks_and_shows_replies(self):
        with self.server(upper) as server, Terminal(server.address) as terminal:
            for word in ("hello", "world"):
                terminal.expect(PROMPT)
                terminal.type(word + "\r")
                terminal.expect(word + "\n" + word.upper() + "\n")
            terminal.expect(PROMPT)
            terminal.type("\x04")
            self.assertEqual(terminal.wait(), 0)

    def test_asks_again_after_an_empty_line(self):
        with self.server(count) as server, Terminal("--greeting", server.address) as terminal:
            terminal.expect(GREETING + "\n")
            for _ in range(2):
                terminal.expect(PROMPT)
                terminal.type("   \r")
            terminal.expect(PROMPT)
            terminal.type("  hello  \r")
            terminal.expect("第1条信息:hello\n" + PROMPT)

    def test_a_greeting_is_shown_above_the_prompt(self):
        with self.server(count) as server, Terminal(server.address) as terminal:
            terminal.expect(GREETING + "\n")
            terminal.expect(PROMPT)
            terminal.type("hello\r")
            terminal.expect("第1条信息:hello\n" + PROMPT)

    def test_what_was_typed_survives_an_interruption(self):
        say = threading.Event()

        def interrupt(conn):
            say.wait(DEADLINE_S)
            conn.sendall(b"news")
            upper(conn)

        with self.server(interrupt) as server, Terminal(server.address) as terminal:
            terminal.expect(PROMPT)
            terminal.type("half")
            terminal.expect("half")
            say.set()
            terminal.expect("news\n")
            terminal.expect(PROMPT + "half")
            terminal.type(" done\r")
            terminal.expect("HALF DONE\n" + PROMPT)

    def test_history_brings_a_line_back(self):
        with self.server(upper) as server, Terminal(server.address) as terminal:
            terminal.expect(PROMPT)
            terminal.type("hello\r")
            terminal.expect("HELLO\n" + PROMPT)
            terminal.type("\x10 again\r")
            terminal.expect("HELLO AGAIN\n" + PROMPT)

    def test_a_newline_is_sent_behind_what_was_typed(self):
        with self.handler("bytes", "unix:" + self.path()) as address, Terminal("-n", address) as terminal:
            terminal.expect(PROMPT)
            terminal.type("  7  \r")
            terminal.expect(".......\n" + PROMPT)

    def test_a_peer_that_closes_at_the_prompt_is_told_at_once(self):
        leave = threading.Event()
        with self.server(lambda conn: leave.wait(DEADLINE_S)) as server, Terminal(server.address) as terminal:
            terminal.expect(PROMPT)
            leave.set()
            terminal.expect("connection closed by %s\n" % server.address)
            self.assertEqual(terminal.wait(), 0)

    def test_a_peer_that_closes_instead_of_answering_is_status_1(self):
        with self.server(count) as server, Terminal("--greeting", server.address) as terminal:
            terminal.expect(PROMPT)
            terminal.type("exit\r")
            terminal.expect("connection closed by %s\n" % server.address)
            self.assertEqual(terminal.wait(), 1)

    def test_a_refused_connection_is_one_sentence_and_no_prompt(self):
        address = "tcp://127.0.0.1:%d" % unused_port(socket.SOCK_STREAM)
        with Terminal(address) as terminal:
            terminal.expect("Connection refused: no server listens there; start one with")
            self.assertEqual(terminal.wait(), 1)
            self.assertNotIn(PROMPT, terminal.shown())

    def test_a_lost_datagram_is_told_and_asked_again(self):
        answers = iter([None, b"here"])
        with self.server(lambda data: next(answers), kind=socket.SOCK_DGRAM) as server:
            with Terminal("--timeout=0.1", server.address) as terminal:
                terminal.expect(PROMPT)
                terminal.type("a\r")
                terminal.expect("was silent for 0.1 s: line 1 got no reply")
                terminal.expect(PROMPT)
                terminal.type("b\r")
                terminal.expect("here\n" + PROMPT)
                terminal.type("\x04")
                self.assertEqual(terminal.wait(), 1)

    def test_an_interrupt_ends_it_and_leaves_the_terminal_as_it_was(self):
        with self.server(upper) as server, Terminal(server.address) as terminal:
            terminal.expect(PROMPT)
            terminal.type("half")
            terminal.expect("half")
            terminal.type("\x03")
            self.assertEqual(terminal.wait(), -signal.SIGINT)
            self.assertEqual(termios.tcgetattr(terminal.slave), terminal.modes)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: client_test.py PATH_TO_switchboard [TEST]...")
    switchboard = os.path.abspath(sys.argv.pop(1))
    unittest.main()
