#!/usr/bin/env python3
"""`switchboard client` against the Python servers of the source texts, in a pipe and on a terminal.

    python3 tests/client_test.py PATH_TO_switchboard
"""

import contextlib
import fcntl
import hmac
import itertools
import os
import pty
import random
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

from lifeline import PATIENCE_S, following

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
        if data in (b"exit", b"exeunt"):
            return
        conn.sendall(f"第{number}条信息:".encode() + data)
        number += 1


def one_answer(conn):
    conn.sendall(conn.recv(1024).upper())


def greet_and_leave(conn):
    conn.sendall("下了一天的雨适合发呆".encode())


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


# Framing, in Python's own terms. The texts' servers do it with text2, text8, ready and i32.

HEADS = {
    "none": lambda size: b"",
    "text2": lambda size: b"%02d" % size,
    "text8": lambda size: b"%08d" % size,
    "ready": lambda size: b"%d" % size,
    "i32": lambda size: struct.pack("i", size),
    "u32": lambda size: struct.pack("!I", size),
    "line": lambda size: b"",
    "netstring": lambda size: b"%d:" % size,
}
TAILS = {"line": b"\n", "netstring": b","}
FRAMES = [frame for frame in HEADS if frame != "none"]
BOTH_SIDES = ("u32", "line", "netstring")


def whole(data):
    return [data]


def bytewise(data):
    return [data[i:i + 1] for i in range(len(data))]


def random_pieces(data):
    cuts = sorted({0, len(data), *random.choices(range(len(data) + 1), k=5)})
    return [data[a:b] for a, b in zip(cuts, cuts[1:])]


def send_framed(conn, frame, message, chop=whole):
    head = HEADS[frame](len(message))
    if frame == "ready":
        conn.sendall(head)
        assert (said := conn.recv(1024)) == b"ready", said
        head = b""
    for piece in chop(head + message + TAILS.get(frame, b"")):
        conn.sendall(piece)


def recv_exactly(conn, size):
    data = b""
    while len(data) < size and (more := conn.recv(size - len(data))):
        data += more
    return data


def recv_until(conn, end):
    data = b""
    while not data.endswith(end) and (more := conn.recv(1)):
        data += more
    return data.removesuffix(end)


def recv_framed(conn, frame):
    """None at the end."""
    if frame == "none":
        return conn.recv(1024) or None
    if frame == "line":
        return recv_until(conn, b"\n") or None
    if frame == "netstring":
        size = int(recv_until(conn, b":") or -1)
    else:
        head = recv_exactly(conn, len(HEADS[frame](1)))
        size = -1 if not head else struct.unpack("i", head)[0] if frame == "i32" else \
            struct.unpack("!I", head)[0] if frame == "u32" else int(head)
    if size < 0:
        return None
    message = recv_exactly(conn, size)
    assert recv_exactly(conn, len(TAILS.get(frame, b""))) == TAILS.get(frame, b"")
    return message


def framed_upper(caller, server, chop=whole):
    def talk(conn):
        if conn.family == socket.AF_INET:
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while (message := recv_framed(conn, caller)) is not None:
            send_framed(conn, server, message.upper(), chop)
    return talk


def says(*pieces):
    """Says them, and hears the caller out, so that the end is no reset."""
    def talk(conn):
        for piece in pieces:
            conn.sendall(piece)
        conn.shutdown(socket.SHUT_WR)
        while conn.recv(1024):
            pass
    return talk


# Text 004's check of who calls.

def asks_for_a_key(key, digest, talk=upper):
    def check(conn):
        challenge = os.urandom(32)
        conn.sendall(challenge)
        expected = hmac.new(key, challenge, digest).digest()
        if hmac.compare_digest(conn.recv(len(expected)), expected):
            talk(conn)
    return check


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
            while self.stopped not in select.select([self.socket, self.stopped], [], [], PATIENCE_S)[0]:
                self.serve_one()
        except OSError as error:
            self.errors.append(error)

    def serve_one(self):
        if self.stream:
            with self.socket.accept()[0] as conn:
                conn.settimeout(PATIENCE_S)
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
        self.thread.join(PATIENCE_S)
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
        until = time.monotonic() + PATIENCE_S
        while (at := self.shown().find(text, self.seen)) < 0:
            ready, _, _ = select.select([self.master], [], [], max(0, until - time.monotonic()))
            if not ready:
                raise AssertionError("%r is not shown in %r" % (text, self.shown()[self.seen:]))
            self.raw += os.read(self.master, 65536)
        self.seen = at + len(text)

    def type(self, text):
        os.write(self.master, text.encode())

    def wait(self):
        status = self.process.wait(PATIENCE_S)
        while select.select([self.master], [], [], 0)[0]:
            self.raw += os.read(self.master, 65536)
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_S)
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
        with subprocess.Popen(following(switchboard, "serve", "--quiet", name, address),
                              stdout=subprocess.PIPE) as server:
            try:
                yield server.stdout.readline().decode().split()[1]
            finally:
                server.terminate()
        self.assertEqual(server.returncode, 0)

    def path(self):
        return os.path.join(self.directory, "socket")

    def run_client(self, text, *arguments, **environment):
        data = text if isinstance(text, bytes) else text.encode()
        return subprocess.run([switchboard, "client", *arguments], input=data, capture_output=True, timeout=PATIENCE_S,
                              env=dict(os.environ, **environment))

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
            self.check(self.run_client("hello\nexeunt\n", "-g", server.address), GREETING + "\n第1条信息:hello\n",
                       1, sentence)

    def test_a_piece_of_a_line_that_never_went_out_is_missed(self):
        with self.server(lambda conn: None) as server, tempfile.TemporaryFile() as file:
            for text in b"hello", b"a" * 9_000_000:
                file.write(text)
                file.seek(0)            # it can be read before the server has left
                result = subprocess.run([switchboard, "client", server.address], stdin=file, capture_output=True,
                                        timeout=PATIENCE_S)
                self.assertEqual(result.returncode, 1, result.stderr)
                self.assertRegex(result.stderr, b"closed the connection|Connection reset by peer")

    def test_exit_needs_no_reply(self):
        with self.server(count) as server:
            self.check(self.run_client("hello\nexit\n", "-g", server.address), GREETING + "\n第1条信息:hello\n")

    def test_a_line_behind_exit_is_left_without_a_reply(self):
        with self.server(count) as server:
            sentence = "switchboard client: %s closed the connection: line 2 got no reply\n" % server.address
            self.check(self.run_client("exit\nmore\n", "-g", server.address), GREETING + "\n", 1, sentence)

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
                                    timeout=PATIENCE_S)
        self.assertEqual((result.stdout, result.stderr), (line.upper() + b"\n", b""))

    def test_a_conversation_sees_each_reply_before_the_next_line(self):
        with self.server(upper) as server:
            with subprocess.Popen([switchboard, "client", server.address], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, bufsize=0) as client:
                for word in (b"one\n", b"two\n"):
                    client.stdin.write(word)
                    self.assertTrue(select.select([client.stdout], [], [], PATIENCE_S)[0])
                    self.assertEqual(self.read_line(client.stdout), word.upper())
                client.stdin.close()
                self.assertEqual(client.wait(PATIENCE_S), 0)

    def read_line(self, stream):
        line = b""
        while not line.endswith(b"\n"):
            self.assertTrue(select.select([stream], [], [], PATIENCE_S)[0], line)
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
                self.assertEqual(client.wait(PATIENCE_S), 1)
                self.assertEqual(client.stderr.read().decode(), "switchboard client: %s was silent for 0.1 s: "
                                 "line 1 got no reply; --timeout=SECONDS waits longer\n" % server.address)

    def test_full_output_is_an_error(self):
        with self.server(upper) as server, open("/dev/full", "wb") as full:
            result = subprocess.run([switchboard, "client", server.address], input=b"a\n", stdout=full,
                                    stderr=subprocess.PIPE, timeout=PATIENCE_S)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"cannot write to standard output", result.stderr)

    def test_a_closed_standard_input_is_an_empty_one(self):
        with self.server(upper) as server:
            result = subprocess.run(["sh", "-c", 'exec "$0" client "$1" <&-', switchboard, server.address],
                                    capture_output=True, timeout=PATIENCE_S)
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
                          ["--connect-timeout=never"], ["--connect-timeout=0"],
                          ["--frame=morse"], ["--frame=ready/none"], ["--frame=u32/"], ["--frame="],
                          ["--frame-once"], ["--frame-once", "--frame=u32/none"], ["-n", "--frame=line"],
                          ["--recv-size=0"], ["--recv-size=65537"], ["--recv-size=1k"],
                          ["--recv-size=19", "--frame=ready"],
                          ["--frame=line", "--message=two\nlines"], ["--frame=text2/none", "-m", "x" * 100],
                          ["--auth-digest=md5"], ["--auth-key-file=a", "--auth-key-env=B"],
                          ["--greeting", "udp://127.0.0.1:9"], ["--frame=u32", "udp://127.0.0.1:9"],
                          ["--auth-key-env=PATH", "unixgram:nobody"],
                          ["--auth-key-env=PATH", "--auth-digest=none", "127.0.0.1:9"],
                          ["--auth-key-env=PATH", "--auth-digest=shake128", "127.0.0.1:9"]):
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
            say.wait(PATIENCE_S)
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
        with self.server(lambda conn: leave.wait(PATIENCE_S)) as server, Terminal(server.address) as terminal:
            terminal.expect(PROMPT)
            leave.set()
            terminal.expect("connection closed by %s\n" % server.address)
            self.assertEqual(terminal.wait(), 0)

    def test_a_peer_that_closes_instead_of_answering_is_status_1(self):
        with self.server(count) as server, Terminal("--greeting", server.address) as terminal:
            terminal.expect(PROMPT)
            terminal.type("exeunt\r")
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
            with Terminal("--timeout=5", server.address) as terminal:
                terminal.expect(PROMPT)
                terminal.type("a\r")
                terminal.expect("was silent for 5 s: line 1 got no reply")
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


class WithMessages(ClientTest):
    def run_message(self, *arguments):
        """With an input that never ends: it is not to be read."""
        with subprocess.Popen([switchboard, "client", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as client:
            client.wait(PATIENCE_S)
            return subprocess.CompletedProcess(client.args, client.returncode, client.stdout.read(),
                                               client.stderr.read())

    def test_a_message_is_sent_and_its_reply_printed(self):
        with self.server(upper) as server:
            for option in ("-mhello", "--message=hello"):
                self.check(self.run_message(option, server.address), "HELLO\n")

    def test_messages_are_sent_one_after_the_other(self):
        with self.server(count) as server:
            self.check(self.run_message("-g", "-m", "你好", "-m", "b", "-m", "c", server.address),
                       GREETING + "\n第1条信息:你好\n第2条信息:b\n第3条信息:c\n")

    def test_a_message_is_sent_as_it_is(self):
        got = []
        with self.server(lambda conn: got.append(conn.recv(1024)) or conn.sendall(b"ok")) as server:
            self.check(self.run_message("-m", " two\nlines \n", server.address), "ok\n")
        self.assertEqual(got, [b" two\nlines \n"])

    def test_a_message_is_a_datagram(self):
        with self.server(lambda data: data.upper() or b"empty", kind=socket.SOCK_DGRAM) as server:
            self.check(self.run_message("-m", "a\nb", "-m", "", server.address), "A\nB\nempty\n")

    def test_an_empty_message_lets_the_server_speak(self):
        with self.server(greet_and_leave) as server:
            self.check(self.run_message("-m", "", server.address), "下了一天的雨适合发呆\n")

    def test_a_message_without_a_reply_is_named(self):
        with self.server(one_answer) as server:
            result = self.run_message("-m", "a", "-m", "b", server.address)
        self.assertEqual((result.returncode, result.stdout), (1, b"A\n"))
        self.assertRegex(result.stderr.decode(), "^switchboard client: .*: message 2 got no reply\n$")

    def test_a_framed_reply_is_enough_where_the_server_never_hangs_up(self):
        left = threading.Event()

        def talk(conn):
            framed_upper("none", "i32")(conn)
            left.wait(PATIENCE_S)
        with self.server(talk) as server:
            self.check(self.run_message("-F", "i32", "-m", "a", "-m", "b", server.address), "A\nB\n")
            left.set()

    def test_an_empty_message_lets_a_server_speak_that_frames(self):
        with self.server(says(b"02hi04more")) as server:
            self.check(self.run_message("-F", "text2", "-m", "", server.address), "hi\nmore\n")

    def test_a_bare_message_behind_the_framed_reply_is_waited_for(self):
        with self.server(lambda conn: (conn.recv(1), conn.sendall(b"02hi"), conn.recv(1), conn.sendall(b"bye"))
                         ) as server:
            self.check(self.run_message("-F", "text2", "--frame-once", "-m", "a", server.address), "hi\nbye\n")

    def test_messages_are_framed(self):
        with self.server(framed_upper("u32", "u32")) as server:
            self.check(self.run_message("-F", "u32", "-m", "a\nb", "-m", "", "-m", "c", server.address), "A\nB\n\nC\n")


class Framed(ClientTest):
    LINES = "hello\n下了一天的雨\n" + "x" * 90 + "\n"

    def test_every_framing_in_both_directions(self):
        callers = [frame for frame in HEADS if frame != "ready"]
        for caller, server_frame, chop in itertools.product(callers, HEADS, (whole, bytewise, random_pieces)):
            if server_frame == "none" and chop != whole:
                continue    # where a bare reply ends nobody knows
            with self.subTest(caller=caller, server=server_frame, chop=chop.__name__):
                with self.server(framed_upper(caller, server_frame, chop)) as server:
                    self.check(self.run_client(self.LINES, "--frame=%s/%s" % (caller, server_frame), server.address),
                               self.LINES.upper())

    def test_one_name_frames_what_the_texts_frame(self):
        for frame in FRAMES:
            with self.subTest(frame):
                caller = frame if frame in BOTH_SIDES else "none"
                with self.server(framed_upper(caller, frame)) as server:
                    self.check(self.run_client(self.LINES, "-F", frame, server.address), self.LINES.upper())

    def test_a_byte_at_a_time(self):
        for frame in FRAMES:
            if frame != "ready":    # its length ends where a receive does
                with self.subTest(frame), self.server(framed_upper("none", frame)) as server:
                    self.check(self.run_client(self.LINES, "--recv-size=1", "-F", "none/" + frame, server.address),
                               self.LINES.upper())

    def test_over_a_unix_socket(self):
        with self.server(framed_upper("none", "ready"), socket.AF_UNIX, path=self.path()) as server:
            self.check(self.run_client(self.LINES, "--frame=ready", server.address), self.LINES.upper())

    def test_empty_lines_are_messages_where_they_are_framed(self):
        with self.server(framed_upper("netstring", "netstring")) as server:
            self.check(self.run_client("\na\n\n", "-F", "netstring", server.address), "\nA\n\n")

    def test_an_empty_reply_is_an_empty_line(self):
        for frame in FRAMES:
            with self.subTest(frame):
                with self.server(lambda conn, frame=frame: send_framed(conn, frame, conn.recv(1024)[:0])) as server:
                    self.check(self.run_client("a\n", "-F", "none/" + frame, server.address), "\n")

    def test_a_newline_in_a_reply_is_the_only_one(self):
        with self.server(lambda conn: send_framed(conn, "i32", conn.recv(1024) + b"\n")) as server:
            self.check(self.run_client("a\n", "--frame=i32", server.address), "a\n")

    def test_long_replies_do_not_flow_into_each_other(self):
        def talk(conn):
            while data := conn.recv(1024):
                send_framed(conn, "i32", data * 1_000_000)
        with self.server(talk) as server:
            self.check(self.run_client("a\nb\nc\n", "-F", "i32", server.address),
                       "".join(letter * 1_000_000 + "\n" for letter in "abc"))

    def test_the_next_line_waits_for_the_whole_reply_and_so_does_the_end(self):
        early = []

        def talk(conn):
            for _ in range(2):
                conn.recv(1024)
                for piece in (b"", b"0", b"2a", b"b"):
                    conn.sendall(piece)
                    if piece != b"b":
                        early.extend(select.select([conn], [], [], 0.1)[0])
            self.assertEqual(conn.recv(1), b"")
        with self.server(talk) as server:
            self.check(self.run_client("1\n2\n", "-F", "text2", server.address), "ab\nab\n")
        self.assertEqual(early, [])

    def test_a_greeting_is_a_message_too(self):
        for options in (["--greeting"], ["--greeting", "--recv-size=1"]):
            with self.server(lambda conn: (send_framed(conn, "text8", b"hi"), framed_upper("none", "text8")(conn))
                             ) as server:
                self.check(self.run_client("a\nb\n", "-F", "text8", *options, server.address), "hi\nA\nB\n")

    def test_the_texts_handshake(self):
        def talk(conn):
            while command := conn.recv(1024):
                answer = "操作成功".encode() * len(command) * 500
                conn.send(str(len(answer)).encode("utf-8"))
                if conn.recv(1024) == b"ready":
                    conn.send(answer)
        with self.server(talk) as server:
            self.check(self.run_client("ls\nls -l\n", "--frame=ready", server.address),
                       "操作成功" * 1000 + "\n" + "操作成功" * 2500 + "\n")

    def test_a_server_that_only_speaks_gets_each_ready(self):
        def talk(conn):
            for message in ("下了一天的雨", "适合发呆"):
                send_framed(conn, "ready", message.encode())
        with self.server(talk) as server:
            for options in ([], ["--greeting"], ["-m", ""], ["--timeout=10"]):
                self.check(self.run_client("", "--frame=ready", *options, server.address), "下了一天的雨\n适合发呆\n")

    def test_a_server_that_says_nothing_more_is_left_at_the_timeout(self):
        with self.server(lambda conn: (send_framed(conn, "ready", b"hi"), conn.recv(1))) as server:
            self.check(self.run_client("", "--frame=ready", "--timeout=5", server.address), "hi\n")

    def test_ready_cannot_be_said_after_the_end_of_the_input(self):
        def talk(conn):
            framed_upper("none", "ready")(conn)
            conn.sendall(b"2")
            conn.recv(1)
        with self.server(talk) as server:
            self.check(self.run_client("a", "--frame=ready", server.address), "A\n", 1, "switchboard client: %s waits "
                       "for `ready`, but the input is over and nothing can be sent any more\n" % server.address)

    def test_only_the_first_message_is_framed(self):
        for frame in ("text2", "text8", "i32"):
            with self.subTest(frame):
                first = "下了一天的雨".encode()
                pieces = HEADS[frame](18), first, "适合发呆".encode()
                with self.server(says(*pieces)) as server:
                    self.check(self.run_client("", "--frame=" + frame, "--frame-once", server.address),
                               "下了一天的雨\n适合发呆\n")
                with self.server(says(b"".join(pieces))) as server:
                    self.check(self.run_client("", "--frame=" + frame, "--frame-once", server.address),
                               "下了一天的雨\n适合发呆\n")

    def test_a_bare_second_message_is_hinted_at(self):
        with self.server(says(b"02hi there")) as server:
            self.check(self.run_client("", "--frame=text2", server.address), "hi\n", 1, "switchboard client: %s does "
                       "not keep to the framing text2: it sent a length that is no number: byte 0x20 behind ''; if it "
                       "frames only its first message, use --frame-once\n" % server.address)

    def check_refused(self, server_frame, data, why, *options):
        with self.subTest(frame=server_frame, data=data), self.server(says(data)) as server:
            self.check(self.run_client("", "--frame=none/" + server_frame, *options, server.address), "", 1,
                       "switchboard client: %s does not keep to the framing %s: it sent %s; does it frame what it says "
                       "(-o frame)?\n" % (server.address, server_frame, why))

    def test_lengths_that_are_none(self):
        self.check_refused("i32", struct.pack("i", -1), "a negative length, -1")
        self.check_refused("i32", struct.pack("i", 2 ** 31 - 1),
                           "a message of 2147483647 bytes, more than the 134217728 that are allowed")
        self.check_refused("u32", struct.pack("!I", 2 ** 32 - 1),
                           "a message of 4294967295 bytes, more than the 134217728 that are allowed")
        self.check_refused("text2", b"9x", "a length that is no number: '9x'")
        self.check_refused("text8", b"99x", "a length that is no number: '99x'")
        self.check_refused("text8", b"-1", "a length that is no number: '-'")
        self.check_refused("ready", b"99x", "a length that is no number: '99x'")
        self.check_refused("netstring", b"99x", "a length that is no number: '99x'")
        self.check_refused("netstring", b"2:hi!", "no comma behind a message")
        self.check_refused("netstring", b"05:hello,", "a length that begins with 0")
        self.check_refused("netstring", b"9" * 21, "a length of more than 20 digits")
        self.check_refused("netstring", b"99999999999999999999:",
                           "a message of more than 18446744073709551615 bytes")

    def test_a_frame_cut_off_in_the_middle(self):
        for frame in FRAMES:
            data = HEADS[frame](5) + b"hello" + TAILS.get(frame, b"")
            for size in range(1, len(data)):
                if frame == "ready" and size > 1:
                    continue
                with self.subTest(frame=frame, size=size), self.server(says(data[:size])) as server:
                    result = self.run_client("", "--greeting", "--frame=none/" + frame, server.address)
                    self.assertEqual((result.returncode, result.stderr.decode()), (
                        1, "switchboard client: %s closed the connection in the middle of a message, after %d bytes of "
                        "its %s frame\n" % (server.address, size, frame)))
                    text = data[:size].removeprefix(HEADS[frame](5)) if size > len(HEADS[frame](5)) else b""
                    text = text.rstrip(b",")
                    self.assertEqual(result.stdout, text + b"\n" if text else b"")

    def test_half_a_reply_runs_into_the_timeout(self):
        for data, text, what in ((b"05he", "he\n", "half a reply"), (b"", "", "no reply")):
            with self.server(lambda conn, data=data: (conn.recv(1), conn.sendall(data), conn.recv(1))) as server:
                self.check(self.run_client("a\n", "-F", "text2", "--timeout=5", server.address), text, 1,
                           "switchboard client: %s was silent for 5 s: line 1 got %s; --timeout=SECONDS waits "
                           "longer\n" % (server.address, what))

    def test_what_is_announced_is_not_allocated(self):
        for options in ([], ["--show-recv"]):
            with self.server(says(struct.pack("!I", 2 ** 30) + b"hello")) as server:
                client = subprocess.Popen([switchboard, "client", "-F", "u32", *options, server.address],
                                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                          stderr=subprocess.DEVNULL)
                _, status, usage = os.wait4(client.pid, 0)
                client.returncode = os.waitstatus_to_exitcode(status)
            self.assertEqual(client.returncode, 1)
            self.assertLess(usage.ru_maxrss, 256 * 1024)    # KiB

    def test_a_line_too_long_for_its_frame_is_one_sentence(self):
        with self.server(framed_upper("text2", "text2")) as server:
            self.check(self.run_client("a\n" + "x" * 100 + "\n", "-F", "text2/text2", server.address), "A\n", 1,
                       "switchboard client: line 2 has 100 bytes, too many for the framing text2\n")

    def test_on_a_terminal(self):
        with self.server(framed_upper("none", "ready")) as server, \
                Terminal("-F", "ready", server.address) as terminal:
            for word in ("hello", "world"):
                terminal.expect(PROMPT)
                terminal.type(word + "\r")
                terminal.expect(word + "\n" + word.upper() + "\n")
            terminal.expect(PROMPT)
            terminal.type("\x04")
            self.assertEqual(terminal.wait(), 0)


class ShownReceives(ClientTest):
    def test_two_messages_arrive_in_one(self):
        with self.server(says("下了一天的雨适合发呆".encode())) as server:
            for option in ("-R", "--show-recv"):
                begin = time.monotonic()
                self.check(self.run_client("", option, server.address),
                           "recv 1: 30 bytes: 下了一天的雨适合发呆\nrecv 2: 0 bytes: the end\n")
                self.assertGreaterEqual(time.monotonic() - begin, 0.2)

    def test_a_small_receive_cuts_a_reply(self):
        with self.server(says("下了一天的雨适合发呆".encode())) as server:
            self.check(self.run_client("", "-R", "--recv-size=13", server.address),
                       "recv 1: 13 bytes: 下了一天\\xe7\nrecv 2: 13 bytes: \\x9a\\x84雨适合\\xe5\\x8f\n"
                       "recv 3: 4 bytes: \\x91呆\nrecv 4: 0 bytes: the end\n")

    def test_messages_follow_the_receives_they_came_in(self):
        data = b"".join(HEADS["text2"](len(text)) + text for text in ("下了一天的雨".encode(), b"", b"q"))
        with self.server(says(data)) as server:
            self.check(self.run_client("", "-R", "-F", "text2", server.address),
                       "recv 1: 25 bytes: 18下了一天的雨0001q\nmessage 1: 18 bytes: 下了一天的雨\n"
                       "message 2: 0 bytes\nmessage 3: 1 byte: q\nrecv 2: 0 bytes: the end\n")
            self.check(self.run_client("", "-R", "-F", "text2", "--recv-size=20", server.address),
                       "recv 1: 20 bytes: 18下了一天的雨\nmessage 1: 18 bytes: 下了一天的雨\n"
                       "recv 2: 5 bytes: 0001q\nmessage 2: 0 bytes\nmessage 3: 1 byte: q\nrecv 3: 0 bytes: the end\n")
            self.check(self.run_client("", "-R", "-F", "text2", "--recv-size=11", server.address),
                       "recv 1: 11 bytes: 18下了一\nrecv 2: 11 bytes: 天的雨00\nmessage 1: 18 bytes: 下了一天的雨\n"
                       "message 2: 0 bytes\nrecv 3: 3 bytes: 01q\nmessage 3: 1 byte: q\nrecv 4: 0 bytes: the end\n")

    def test_a_bare_message_behind_a_framed_one(self):
        with self.server(says(struct.pack("i", 18) + "下了一天的雨适合发呆".encode())) as server:
            self.check(self.run_client("", "-R", "-F", "i32", "--frame-once", server.address),
                       "recv 1: 34 bytes: \\x12\\x00\\x00\\x00下了一天的雨适合发呆\nmessage 1: 18 bytes: 下了一天的雨\n"
                       "bare 2: 12 bytes: 适合发呆\nrecv 2: 0 bytes: the end\n")

    def test_what_is_no_text_is_made_visible(self):
        with self.server(says(b"a\tb\r\n\\ \x00\x1b[31m\x7f \xff\xc2\x80 \xc0\x80 \xed\xa0\x80 \xf4\x90\x80\x80 \xe4"
                              b" \xc2\xa0 \xf0\x9f\x98\x80")) as server:
            self.check(self.run_client("", "-R", server.address),
                       "recv 1: 40 bytes: a\\tb\\r\\n\\\\ \\x00\\x1b[31m\\x7f \\xff\\xc2\\x80 \\xc0\\x80 "
                       "\\xed\\xa0\\x80 \\xf4\\x90\\x80\\x80 \\xe4 \u00a0 \U0001f600\nrecv 2: 0 bytes: the end\n")

    def test_replies_of_a_talk(self):
        with self.server(upper) as server:
            self.check(self.run_client("a\nb\n", "-R", server.address),
                       "recv 1: 1 byte: A\nrecv 2: 1 byte: B\nrecv 3: 0 bytes: the end\n")

    def test_datagrams(self):
        with self.server(upper_datagram, kind=socket.SOCK_DGRAM) as server:
            self.check(self.run_client("a\n\n", "-R", server.address), "recv 1: 1 byte: A\nrecv 2: 0 bytes\n")

    def test_a_small_receive_loses_the_rest_of_a_datagram(self):
        with self.server(upper_datagram, kind=socket.SOCK_DGRAM) as server:
            self.check(self.run_client("hello\n", "-R", "--recv-size=3", server.address), "recv 1: 3 bytes: HEL\n", 1,
                       "switchboard client: a reply of 5 bytes from %s was cut off behind 3\n" % server.address)


class WordsThatEndATalk(ClientTest):
    def listening(self, got, *replies):
        """Keeps what it hears in got; answers with replies, then no more."""
        def talk(conn):
            left = list(replies)
            while data := conn.recv(1024):
                got.append(data)
                if left:
                    conn.sendall(left.pop(0))
        return self.server(talk)

    def test_quit_is_not_sent(self):
        got = []
        with self.listening(got, b"x") as server:
            self.check(self.run_client("a\nquit\nb\n", "--quit", server.address), "x\n")
            self.check(self.run_client("quit\nb\n", "--quit", server.address), "")
        self.assertEqual(got, [b"a"])

    def test_quit_leaves_a_server_that_never_hangs_up(self):
        for options in ([], ["--frame=i32"]):
            left = threading.Event()

            def talk(conn, frame="i32" if options else "none"):
                send_framed(conn, frame, conn.recv(1024))
                self.assertEqual(conn.recv(1024), b"")
                left.wait(PATIENCE_S)
            with self.server(talk) as server:
                self.check(self.run_client("a\nquit\nb\n", "--quit", *options, server.address), "a\n")
                left.set()

    def test_quit_on_a_datagram_socket(self):
        with self.server(upper_datagram, kind=socket.SOCK_DGRAM) as server:
            self.check(self.run_client("a\nquit\nb\n", "--quit", server.address), "A\n")

    def test_exit_is_sent_and_not_waited_for(self):
        got = []
        with self.listening(got, b"x") as server:
            self.check(self.run_client("a\nexit\nb\n", "--quit", server.address), "x\n")
        self.assertEqual(got, [b"a", b"exit"])

    def test_exit_leaves_no_reset_behind(self):
        """Though its reply is not read: the server sees an orderly end, also when it answers late."""
        got = []

        def talk(conn):
            got.append(conn.recv(1024))
            time.sleep(0.05)
            conn.sendall(b"BYE")
            time.sleep(0.05)
            conn.sendall(b"BYE")
            got.append(conn.recv(1024))
        with self.server(talk) as server:
            self.check(self.run_client("exit\n", "--quit", server.address), "")
        self.assertEqual(got, [b"exit", b""])

    def test_exit_waits_for_no_server_that_stays(self):
        left = threading.Event()

        def talk(conn):
            conn.recv(1024)
            left.wait(PATIENCE_S)
        with self.server(talk) as server:
            self.check(self.run_client("exit\n", "--quit", server.address), "")
            left.set()

    def test_exit_is_framed_too(self):
        got = []

        def talk(conn):
            got.append(recv_framed(conn, "u32"))
            send_framed(conn, "u32", b"x")
            got.extend([recv_framed(conn, "u32"), recv_framed(conn, "u32")])
        with self.server(talk) as server:
            self.check(self.run_client("a\nexit\nb\n", "--quit", "-F", "u32", server.address), "x\n")
        self.assertEqual(got, [b"a", b"exit", None])

    def test_a_reply_of_q_ends_it(self):
        for word in ("q", "Q"):
            got = []
            with self.listening(got, b"quiet", word.encode(), b"more") as server:
                self.check(self.run_client("a\nb\nc\n", "--quit", server.address), "quiet\n%s\n" % word)
            self.assertEqual(got, [b"a", b"b"])

    def test_a_framed_reply_of_q_ends_it(self):
        for word, output in (("q", "Q\n"), ("quiet", "QUIET\nC\n")):
            with self.server(framed_upper("none", "i32", bytewise)) as server:
                self.check(self.run_client(word + "\nc\n", "--quit", "-F", "i32", server.address), output)

    def test_a_q_datagram_ends_it(self):
        with self.server(upper_datagram, kind=socket.SOCK_DGRAM) as server:
            self.check(self.run_client("a\nq\nb\n", "--quit", server.address), "A\nQ\n")

    def test_in_a_pipe_they_are_data(self):
        with self.server(upper) as server:
            self.check(self.run_client("quit\nexit\nq\nend\n", server.address), "QUIT\nEXIT\nQ\nEND\n")
            self.check(self.run_client("", "-m", "quit", "-m", "end", server.address), "QUIT\nEND\n")

    def test_quit_on_a_terminal(self):
        got = []
        with self.listening(got) as server, Terminal(server.address) as terminal:
            terminal.expect(PROMPT)
            terminal.type(" quit \r")
            self.assertEqual(terminal.wait(), 0)
        self.assertEqual(got, [])

    def test_exit_on_a_terminal(self):
        got = []
        with self.listening(got) as server, Terminal(server.address) as terminal:
            terminal.expect(PROMPT)
            terminal.type("exit\r")
            self.assertEqual(terminal.wait(), 0)
        self.assertEqual(got, [b"exit"])

    def test_q_on_a_terminal(self):
        with self.listening([], b"hello", b"Q") as server, Terminal(server.address) as terminal:
            terminal.expect(PROMPT)
            terminal.type("a\r")
            terminal.expect("hello\n" + PROMPT)
            terminal.type("b\r")
            terminal.expect("Q\n")
            self.assertEqual(terminal.wait(), 0)


class OutOfReach(ClientTest):
    @contextlib.contextmanager
    def full(self, family, address):
        """A listener whose queue has no room: nobody accepts."""
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(socket.socket(family))
            listener.bind(address)
            listener.listen(0)
            for _ in range(4):
                caller = stack.enter_context(socket.socket(family))
                caller.setblocking(False)
                caller.connect_ex(listener.getsockname())
            yield listener

    def check_out_of_reach(self, address):
        begin = time.monotonic()
        self.check(self.run_client("a\n", "--connect-timeout=0.2", address), "", 1, "switchboard client: cannot "
                   "connect to %s: no answer within 0.2 s, it is out of reach or its queue is full; "
                   "--connect-timeout=SECONDS waits longer\n" % address)
        self.assertGreaterEqual(time.monotonic() - begin, 0.2)

    def test_a_full_queue_over_tcp(self):
        with self.full(socket.AF_INET, ("127.0.0.1", 0)) as listener:
            self.check_out_of_reach("tcp://127.0.0.1:%d" % listener.getsockname()[1])

    def test_a_full_queue_of_a_unix_socket(self):
        with self.full(socket.AF_UNIX, self.path()):
            self.check_out_of_reach("unix:" + self.path())

    def test_the_limit_is_for_the_way_there_only(self):
        answer = threading.Event()
        with self.server(lambda conn: (conn.recv(1), answer.wait(PATIENCE_S), conn.sendall(b"late"))) as server:
            with subprocess.Popen([switchboard, "client", "--connect-timeout=0.05", "-ma", server.address],
                                  stdout=subprocess.PIPE) as client:
                self.assertEqual(select.select([client.stdout], [], [], 0.2)[0], [])
                answer.set()
                self.assertEqual(client.stdout.read(), b"late\n")


@unittest.skipUnless("FAULTS_CAN_BE_PRELOADED" in os.environ, "a sanitizer wants to be loaded first")
class ANameWithSeveralAddresses(ClientTest):
    """both.test is ::1 and 127.0.0.1."""

    def call(self, address, text, *options):
        return self.run_client(text, *options, address, LD_PRELOAD=os.environ["PLUGIN_NAMES"],
                               NAMES="both.test=::1,127.0.0.1")

    def test_is_called_at_each_of_them(self):
        for scheme in ("tcp", "udp"):
            for host in ("[::1]", "127.0.0.1"):
                with self.subTest(scheme + host), self.handler("upper", "%s://%s:0" % (scheme, host)) as address:
                    port = address.rpartition(":")[2]
                    self.check(self.call("%s://both.test:%s" % (scheme, port), "hello\nworld\n"), "HELLO\nWORLD\n")

    def test_where_nobody_is_at_any_of_them(self):
        for scheme, kind, name, sentence in (
                ("tcp", socket.SOCK_STREAM, "both.test", "cannot connect to {}: Connection refused: no server listens "
                 "there; start one with 'switchboard serve upper {}'"),
                ("udp", socket.SOCK_DGRAM, "127.0.0.1", "{} refused a datagram: no server receives there; start one "
                 "with 'switchboard serve upper {}'")):
            with self.subTest(scheme):
                port = unused_port(kind)
                said = sentence.replace("{}", "%s://%s:%d" % (scheme, name, port))
                self.check(self.call("%s://both.test:%d" % (scheme, port), "a\n"), "", 1,
                           "switchboard client: %s\n" % said)

    def test_one_version_of_ip_alone(self):
        with self.handler("upper", "tcp://127.0.0.1:0") as address:
            port = address.rpartition(":")[2]
            self.check(self.call("tcp4://both.test:" + port, "a\n"), "A\n")
            self.assertIn("cannot connect to tcp://[::1]:%s: Connection refused" % port,
                          self.call("tcp6://both.test:" + port, "a\n").stderr.decode())

    def test_a_first_address_that_does_not_answer(self):
        while not self.answers_beside_a_deaf_one():
            pass

    def answers_beside_a_deaf_one(self):
        """False: its port is somebody else's for IPv6."""
        with self.handler("upper", "tcp://127.0.0.1:0") as address, contextlib.ExitStack() as stack:
            port = int(address.rpartition(":")[2])
            deaf = stack.enter_context(socket.socket(socket.AF_INET6))
            try:
                deaf.bind(("::1", port))
            except OSError:
                return False
            deaf.listen(0)
            for _ in range(4):
                caller = stack.enter_context(socket.socket(socket.AF_INET6))
                caller.setblocking(False)
                caller.connect_ex(deaf.getsockname())
            self.check(self.call("tcp://both.test:%d" % port, "a\n"), "A\n")
            return True

    def test_a_second_refusal_is_one(self):
        """What was answered once is not said elsewhere."""
        def answer_once(data):
            server.stop.close()
            return data.upper()
        with self.server(answer_once, kind=socket.SOCK_DGRAM) as server:
            port = server.address.rpartition(":")[2]
            with subprocess.Popen([switchboard, "client", "udp://both.test:" + port], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  env=dict(os.environ, LD_PRELOAD=os.environ["PLUGIN_NAMES"],
                                           NAMES="both.test=127.0.0.1,::1")) as client:
                client.stdin.write(b"a\n")
                client.stdin.flush()
                self.assertEqual(client.stdout.readline(), b"A\n")
                server.thread.join(PATIENCE_S)
                server.socket.close()
                client.stdin.write(b"b\n")
                client.stdin.close()
                self.assertIn(b"udp://127.0.0.1:%s refused a datagram" % port.encode(), client.stderr.read())


class Authenticated(ClientTest):
    KEY = b"ni hao ma"
    HINT = "; the key or the digest may be wrong\n"

    def key_file(self, content=KEY + b"\n"):
        path = os.path.join(self.directory, content[:8].hex())
        with open(path, "wb") as file:
            file.write(content)
        return "--auth-key-file=" + path

    def test_sha256_with_a_key_file(self):
        with self.server(asks_for_a_key(self.KEY, "sha256")) as server:
            self.check(self.run_client("hello\nworld\n", self.key_file(), server.address), "HELLO\nWORLD\n")
            self.check(self.run_client("hello\n", self.key_file(self.KEY), server.address), "HELLO\n")

    def test_a_key_from_the_environment(self):
        with self.server(asks_for_a_key(self.KEY, "sha256")) as server:
            self.check(self.run_client("hello\n", "--auth-key-env=THE_KEY", server.address, THE_KEY="ni hao ma"),
                       "HELLO\n")

    def test_other_digests(self):
        for digest in ("md5", "sha1", "sha512", "SHA384", "sha3-256", "blake2b512"):
            name = {"sha3-256": "sha3_256", "blake2b512": "blake2b"}.get(digest, digest.lower())
            with self.subTest(digest), self.server(asks_for_a_key(self.KEY, name)) as server:
                self.check(self.run_client("hello\n", self.key_file(), "--auth-digest=" + digest, server.address),
                           "HELLO\n")

    def test_only_one_newline_is_not_part_of_the_key(self):
        for content, key in ((b"k\n\n", b"k\n"), (b"\x00\n", b"\x00"), (b"k\r\n", b"k\r"), (b"x" * 4096, b"x" * 4096)):
            with self.subTest(content), self.server(asks_for_a_key(key, "sha256")) as server:
                self.check(self.run_client("a\n", self.key_file(content), server.address), "A\n")

    def test_what_follows_the_challenge_at_once_is_a_greeting(self):
        def talk(conn):
            conn.sendall(b"x" * 32 + b"hello")
            conn.recv(32)
            upper(conn)
        with self.server(talk) as server:
            self.check(self.run_client("a\n", self.key_file(), "--greeting", server.address), "hello\nA\n")

    def test_a_challenge_in_pieces(self):
        def talk(conn):
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in bytes(range(32)):
                conn.sendall(bytes([byte]))
            expected = hmac.new(self.KEY, bytes(range(32)), "sha256").digest()
            self.assertEqual(conn.recv(1024), expected)
        with self.server(talk) as server:
            self.check(self.run_client("", self.key_file(), server.address), "")

    def test_over_a_unix_socket_and_framed(self):
        with self.server(asks_for_a_key(self.KEY, "sha256", framed_upper("u32", "u32")), socket.AF_UNIX,
                         path=self.path()) as server:
            self.check(self.run_client("hello\n", self.key_file(), "--frame=u32", server.address), "HELLO\n")

    def test_a_wrong_key_or_digest_is_suspected(self):
        for options in ([self.key_file(b"wrong")], [self.key_file(), "--auth-digest=md5"],
                        [self.key_file(), "--auth-digest=sha512"]):
            with self.subTest(options), self.server(asks_for_a_key(self.KEY, "sha256")) as server:
                result = self.run_client("hello\n", *options, server.address)
                self.assertEqual((result.returncode, result.stdout), (1, b""))
                self.assertRegex(result.stderr.decode(), "^switchboard client: [^\n]*%s$" % self.HINT)

    def test_a_server_that_has_answered_once_is_not_suspicious(self):
        with self.server(asks_for_a_key(self.KEY, "sha256", one_answer)) as server:
            result = self.run_client("a\nb\n", self.key_file(), server.address)
        self.assertEqual((result.returncode, result.stdout), (1, b"A\n"))
        self.assertRegex(result.stderr.decode(), "line 2 got no reply\n$")

    def test_nothing_to_say_is_no_suspicion(self):
        with self.server(asks_for_a_key(self.KEY, "sha256")) as server:
            self.check(self.run_client("", self.key_file(), server.address), "")

    def test_a_wrong_key_on_a_terminal(self):
        with self.server(asks_for_a_key(self.KEY, "sha256")) as server, \
                Terminal(self.key_file(b"wrong"), server.address) as terminal:
            terminal.expect("connection closed by %s%s" % (server.address, self.HINT))
            self.assertEqual(terminal.wait(), 1)

    def test_a_short_challenge(self):
        with self.server(lambda conn: conn.sendall(b"x" * 31)) as server:
            self.check(self.run_client("a\n", self.key_file(), server.address), "", 1, "switchboard client: %s closed "
                       "the connection after 31 of the 32 bytes of its challenge\n" % server.address)

    def test_a_server_that_does_not_ask(self):
        with self.server(silent) as server:
            self.check(self.run_client("a\n", self.key_file(), "--timeout=0.1", server.address), "", 1, "switchboard "
                       "client: %s sent 0 of the 32 bytes of its challenge within 0.1 s: perhaps it asks for no key; "
                       "--timeout=SECONDS waits longer\n" % server.address)

    def test_a_key_that_cannot_be_had_is_told_before_connecting(self):
        address = "tcp://127.0.0.1:%d" % unused_port(socket.SOCK_STREAM)
        missing = os.path.join(self.directory, "missing")
        empty, long = os.path.join(self.directory, "empty"), os.path.join(self.directory, "long")
        for path, content in ((empty, b"\n"), (long, b"x" * 4097)):
            with open(path, "wb") as file:
                file.write(content)
        for option, why in (
                ("--auth-key-file=" + missing, "cannot read the key from %s: No such file or directory" % missing),
                ("--auth-key-file=" + self.directory, "cannot read the key from %s: Is a directory" % self.directory),
                ("--auth-key-file=" + empty, "the key in %s is empty" % empty),
                ("--auth-key-file=" + long, "the key in %s is too long: a key has at most 4096 bytes" % long),
                ("--auth-key-env=NO_KEY", "the environment has no variable NO_KEY that could hold the key"),
                ("--auth-key-env=EMPTY", "the key in EMPTY is empty"),
                ("--auth-key-env=LONG", "the key in LONG is too long: a key has at most 4096 bytes")):
            with self.subTest(option):
                self.check(self.run_client("a\n", option, address, EMPTY="", LONG="x" * 5000), "", 1,
                           "switchboard client: %s\n" % why)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: client_test.py PATH_TO_switchboard [TEST]...")
    switchboard = os.path.abspath(sys.argv.pop(1))
    unittest.main()
