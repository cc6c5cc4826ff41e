#!/usr/bin/env python3
"""Real peers against the real `switchboard serve`: the client programs of the source texts, nc, socat, raw sockets.

Usage: python3 seeds_test.py SWITCHBOARD [UNITTEST-OPTION]...
The rows are those of the list of source programs; each runs under every strategy it can sensibly run under.
"""
import contextlib
import functools
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

PATIENCE_S = 10
TICK_S = 0.05
STRATEGIES = ('serial', 'thread', 'fork', 'pool:4', 'prefork:2', 'prethread:2', 'prefork:2+thread')
CONCURRENT = tuple(strategy for strategy in STRATEGIES if strategy != 'serial')
TCP, UDP = 'tcp://127.0.0.1:0', 'udp://127.0.0.1:0'
UNIX, UNIXGRAM = 'unix:{folder}/server', 'unixgram:{folder}/server'
READY = re.compile(r'listening (\S+) handler=(\S+) strategy=(\S+) pid=(\d+)')
switchboard = None


# The server.

def read_some(pipe, deadline):
    ready, _, _ = select.select([pipe], [], [], max(0, deadline - time.monotonic()))
    if not ready:
        raise AssertionError('nothing to read within %d s' % PATIENCE_S)
    return os.read(pipe.fileno(), 4096)


def read_lines(pipe, count):
    """The first `count` lines; none may follow them at once, none may be missing."""
    deadline = time.monotonic() + PATIENCE_S
    data = b''
    while data.count(b'\n') < count:
        more = read_some(pipe, deadline)
        if not more:
            raise AssertionError('the server ended after saying %r' % data)
        data += more
    return data.decode().splitlines()


class Server:
    """`switchboard serve`, in a process group of its own, with its log in a file."""

    def __init__(self, folder, handler, strategy, *addresses, options=()):
        self.folder = folder
        self.log = open(os.path.join(folder, 'log'), 'a+', encoding='utf-8', errors='replace')
        addresses = [address.format(folder=folder) for address in addresses]
        command = [switchboard, 'serve', *options, '-s', strategy, handler, *addresses]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log,
                                        start_new_session=True)
        try:
            self.addresses = [self.check_ready(line, handler, strategy)
                              for line in read_lines(self.process.stdout, len(addresses))]
        except BaseException:
            self.kill()
            raise
        self.address = self.addresses[0]

    def check_ready(self, line, handler, strategy):
        match = READY.fullmatch(line)
        assert match, 'not a ready line: %r' % line
        assert match[2] == handler and match[3] == strategy and int(match[4]) == self.process.pid, line
        return Address(match[1])

    def read_log(self):
        self.log.seek(0)
        return self.log.read()

    def wait(self):
        """The server ends well and leaves nothing: no process of its group, no path of its sockets."""
        status = self.process.wait(PATIENCE_S)
        assert status == 0, 'exit status %d' % status
        deadline = time.monotonic() + PATIENCE_S
        while self.group_exists():
            assert time.monotonic() < deadline, 'a child process is left'
        for address in self.addresses:
            assert not (address.path and os.path.exists(address.path)), '%s is left' % address.path

    def group_exists(self):
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.wait()

    def kill(self):
        """After a failure: whatever is left of the group, and what it had to say."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)
        sys.stderr.write(self.read_log())

    def close(self):
        self.process.stdout.close()
        self.log.close()


@contextlib.contextmanager
def temporary_folder():
    """Like tempfile.TemporaryDirectory, but a short path, because a Unix socket's may have 107 bytes."""
    folder = tempfile.mkdtemp(prefix='sb-', dir='/tmp')
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def serving(handler, strategy, *addresses, options=(), ends='SIGTERM'):
    with temporary_folder() as folder:
        server = Server(folder, handler, strategy, *addresses, options=options)
        try:
            yield server
            server.stop() if ends == 'SIGTERM' else server.wait()
        except BaseException:
            server.kill()
            raise
        finally:
            server.close()


def under(strategies, handler, *addresses, **options):
    """Runs a test against a server of its own under each of the strategies, at each of the addresses."""
    def decorate(test):
        @functools.wraps(test)
        def run(self):
            for strategy in strategies:
                for address in addresses:
                    with self.subTest(strategy=strategy, address=address.partition(':')[0]):
                        with serving(handler, strategy, address, **options) as server:
                            test(self, server)
        return run
    return decorate


# The client programs of the texts. The address is a parameter, input() a list of lines and print() a list of results;
# sizes, calls and their order are the texts' own.

class Address:
    def __init__(self, text):
        scheme, _, rest = text.partition(':')
        self.scheme, self.path = scheme, None
        self.type = socket.SOCK_STREAM if scheme in ('tcp', 'unix') else socket.SOCK_DGRAM
        if scheme.startswith('unix'):
            self.family = socket.AF_UNIX
            self.path = None if rest.startswith('@') else rest
            self.name = '\0' + rest[1:] if rest.startswith('@') else rest
        else:
            host, _, port = rest[2:].rpartition(':')
            self.family = socket.AF_INET
            self.name = (host, int(port))


def new_socket(address):
    """socket.socket(), with a deadline; a Unix datagram socket also needs a name to be answered at."""
    client = socket.socket(address.family, address.type)
    client.settimeout(PATIENCE_S)
    if address.family == socket.AF_UNIX and address.type == socket.SOCK_DGRAM:
        client.bind('')
    return client


def phone_one_shot(address):
    """Text 000: one call, one sentence."""
    with new_socket(address) as client:
        client.connect_ex(address.name)
        client.send('dream is handsome'.encode('utf-8'))
        feedback = client.recv(1024)
        return feedback.decode('utf-8')


def phone_loop(address, lines):
    """Text 000, and the client of ThreadingTCPServer in text 004: strip, skip empty lines, send, recv."""
    shown = []
    with new_socket(address) as client:
        client.connect_ex(address.name)
        for line in lines:
            msg = line.strip()
            if len(msg) == 0:
                continue
            client.send(msg.encode('utf-8'))
            feedback = client.recv(1024)
            shown.append(feedback.decode('utf-8'))
    return shown


def counting_client(address, lines):
    """Text 001: recv comes first in the loop; `exit` is sent, and then this side closes too."""
    shown = []
    with new_socket(address) as client:
        client.connect(address.name)
        for line in lines:
            data = client.recv(1024)
            shown.append(data.decode())
            client.send(line.encode())
            if line == 'exit':
                break
    return shown


def datagram_client(address, lines):
    """Text 004, upper and time over UDP: an empty line is sent as well, as an empty datagram."""
    shown = []
    with new_socket(address) as client:
        for line in lines:
            msg = line.strip()
            client.sendto(msg.encode('utf-8'), address.name)
            data, _ = client.recvfrom(1024)
            shown.append(data.decode('utf-8'))
    return shown


def recv_exactly(client, size):
    data = b''
    while len(data) < size:
        more = client.recv(1024)
        assert more, 'closed after %r' % data
        data += more
    return data


def recv_to_end(client):
    return b''.join(iter(lambda: client.recv(1024), b''))


def dial(address):
    client = new_socket(address)
    client.connect(address.name)
    return client


class SourceTexts(unittest.TestCase):
    def check_phone(self, address):
        self.assertEqual(phone_loop(address, ['hello', '', '   ', '  你好 dream  ', 'Straße 123']),
                         ['HELLO', '你好 DREAM', 'STRAßE 123'])
        self.assertEqual(phone_loop(address, ['nihao', 'hi', 'how are you']), ['NIHAO', 'HI', 'HOW ARE YOU'])

    def check_counting(self, address):
        for _ in range(2):
            self.assertEqual(counting_client(address, ['你好', 'a b', '退出', 'exit']),
                             ['连接成功!', '第1条信息:你好', '第2条信息:a b', '第3条信息:退出'])

    def check_upper_datagrams(self, address):
        self.assertEqual(datagram_client(address, ['nihao', '', '  在吗 hi ', 'how are you']),
                         ['NIHAO', '', '在吗 HI', 'HOW ARE YOU'])

    def check_time(self, address):
        """The answer lies between two readings of the clock; time(2) in C may lag behind Python's by a tick."""
        for line in ('', '%Y', '%H:%M:%S', '%Y年%m月%d日'):
            before = int(time.time() - TICK_S)
            shown, = datagram_client(address, [line])
            after = int(time.time())
            possible = [time.strftime(line or '%Y-%m-%d-%X', time.localtime(second))
                        for second in range(before, after + 1)]
            self.assertIn(shown, possible)

    def test_row_1_one_call_is_answered_and_the_server_ends(self):
        for strategy in STRATEGIES:
            with self.subTest(strategy=strategy):
                with serving('upper', strategy, TCP, options=['--once'], ends='alone') as server:
                    self.assertEqual(phone_one_shot(server.address), 'DREAM IS HANDSOME')

    @under(STRATEGIES, 'upper', TCP)
    def test_row_2_callers_talk_as_long_as_they_like_one_after_the_other(self, server):
        self.check_phone(server.address)

    @under(STRATEGIES, 'count', TCP)
    def test_row_4_messages_are_counted_from_one_in_each_connection(self, server):
        self.check_counting(server.address)

    @under(STRATEGIES, 'count', TCP)
    def test_row_4_exit_makes_the_server_hang_up(self, server):
        with dial(server.address) as client:
            self.assertEqual(recv_exactly(client, len('连接成功!'.encode())), '连接成功!'.encode())
            client.sendall(b'exit')
            self.assertEqual(client.recv(1024), b'')

    @under(STRATEGIES, 'ack', TCP)
    def test_row_5_each_message_is_acknowledged_with_a_random_number(self, server):
        for _ in range(2):
            shown = counting_client(server.address, ['你好', 'a', 'b', 'exit'])
            self.assertEqual(shown[0], 'Hello World!')
            for reply in shown[1:]:
                self.assertRegex(reply, r'\A[1-9][0-9]*: ACK!\Z')
                self.assertLessEqual(int(reply.partition(':')[0]), 1000)

    @under(STRATEGIES, 'upper', UDP)
    def test_row_16_every_datagram_is_answered_in_capitals(self, server):
        self.check_upper_datagrams(server.address)

    @under(STRATEGIES, 'time', UDP)
    def test_row_17_the_time_comes_in_the_format_asked_for(self, server):
        self.check_time(server.address)

    @under(CONCURRENT, 'upper', TCP)
    def test_row_21_two_callers_talk_in_turns(self, server):
        with dial(server.address) as one, dial(server.address) as two:
            for client, message in ((one, b'one'), (two, b'two'), (one, b'more'), (two, b'last')):
                client.send(message)
                self.assertEqual(client.recv(1024), message.upper())

    @under(STRATEGIES, 'upper', TCP, options=['-v'])
    def test_row_21_the_log_names_the_callers_address(self, server):
        with dial(server.address) as client:
            caller = '%s:%d' % client.getsockname()
            client.send('你好'.encode())
            self.assertEqual(client.recv(1024), '你好'.encode())
            self.assertIn(caller, server.read_log())

    @under(STRATEGIES, 'upper', TCP)
    def test_row_21_a_client_that_vanishes_costs_nobody_else_anything(self, server):
        for mannered in (True, False):
            for hears_first in (True, False):
                client = dial(server.address)
                client.send(b'hello')
                if hears_first:
                    self.assertEqual(client.recv(1024), b'HELLO')
                    client.send(b'and then')
                if not mannered:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
                client.close()
        self.check_phone(server.address)

    @under(STRATEGIES, 'upper', UDP)
    def test_row_22_each_of_several_senders_gets_its_own_answer(self, server):
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(new_socket(server.address)) for _ in range(8)]
            for number, client in enumerate(clients):
                client.sendto(b'caller %d' % number, server.address.name)
            for number, client in enumerate(clients):
                self.assertEqual(client.recvfrom(1024)[0], b'CALLER %d' % number)

    @under(STRATEGIES, 'upper', UNIX, 'unix:@sb-{folder}')
    def test_row_24_upper_over_a_unix_stream(self, server):
        self.check_phone(server.address)

    @under(STRATEGIES, 'upper', UNIXGRAM, 'unixgram:@sb-{folder}')
    def test_row_24_upper_over_unix_datagrams(self, server):
        self.check_upper_datagrams(server.address)

    @under(STRATEGIES, 'count', UNIX)
    def test_row_24_counting_over_a_unix_stream(self, server):
        self.check_counting(server.address)

    @under(STRATEGIES, 'time', UNIXGRAM)
    def test_row_24_the_time_over_unix_datagrams(self, server):
        self.check_time(server.address)

    def test_one_server_answers_at_four_kinds_of_address(self):
        for strategy in STRATEGIES:
            with self.subTest(strategy=strategy):
                with serving('upper', strategy, TCP, UDP, UNIX, 'unixgram:{folder}/datagrams') as server:
                    tcp, udp, unix, unixgram = server.addresses
                    self.check_phone(tcp)
                    self.check_upper_datagrams(udp)
                    self.check_phone(unix)
                    self.check_upper_datagrams(unixgram)


# Raw peers.

STREAM_COMMANDS = {
    ('nc', 'tcp'): lambda address, _: ['nc', '-N', *map(str, address.name)],
    ('nc', 'unix'): lambda address, _: ['nc', '-N', '-U', address.name],
    ('socat', 'tcp'): lambda address, _: ['socat', '-t10', '-', 'TCP:%s:%d' % address.name],
    ('socat', 'unix'): lambda address, _: ['socat', '-t10', '-', 'UNIX-CLIENT:' + address.name],
}
DATAGRAM_COMMANDS = {
    ('nc', 'udp'): lambda address, _: ['nc', '-u', '-W', '1', *map(str, address.name)],
    ('nc', 'unixgram'): lambda address, own: ['nc', '-u', '-W', '1', '-s', own, '-U', address.name],
    ('socat', 'udp'): lambda address, _: ['socat', '-t0.1', '-', 'UDP:%s:%d' % address.name],
    ('socat', 'unixgram'): lambda address, own: ['socat', '-t0.1', '-', 'UNIX-SENDTO:%s,bind=%s' % (address.name, own)],
}


def talk_stream(command):
    """The line is followed by the end of input at once, which both programs pass on as a half-close."""
    result = subprocess.run(command, input=b'hello\n', stdout=subprocess.PIPE, timeout=PATIENCE_S)
    return result.returncode, result.stdout


def talk_datagram(command):
    """Here the end of input comes after the answer: a datagram socket has no half-close to announce it with."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as peer:
        try:
            peer.stdin.write(b'hello\n')
            peer.stdin.flush()
            answer = read_some(peer.stdout, time.monotonic() + PATIENCE_S)
            peer.stdin.close()
            return peer.wait(PATIENCE_S), answer
        except BaseException:
            peer.kill()
            raise


class RawPeers(unittest.TestCase):
    def check_program(self, program, commands, talk):
        if not shutil.which(program):
            self.skipTest('%s is not installed' % program)
        for (name, scheme), command in commands.items():
            for strategy in STRATEGIES if name == program else ():
                address = {'tcp': TCP, 'udp': UDP, 'unix': UNIX, 'unixgram': UNIXGRAM}[scheme]
                with self.subTest(strategy=strategy, address=scheme):
                    with serving('upper', strategy, address) as server:
                        own_path = os.path.join(server.folder, 'peer')
                        self.assertEqual(talk(command(server.address, own_path)), (0, b'HELLO\n'))

    def test_netcat_is_answered_over_streams(self):
        self.check_program('nc', STREAM_COMMANDS, talk_stream)

    def test_netcat_is_answered_over_datagrams(self):
        self.check_program('nc', DATAGRAM_COMMANDS, talk_datagram)

    def test_socat_is_answered_over_streams(self):
        self.check_program('socat', STREAM_COMMANDS, talk_stream)

    def test_socat_is_answered_over_datagrams(self):
        self.check_program('socat', DATAGRAM_COMMANDS, talk_datagram)

    @under(STRATEGIES, 'upper', TCP, UNIX)
    def test_a_client_that_shuts_down_its_writing_half_still_gets_its_answer(self, server):
        with dial(server.address) as client:
            client.sendall('你好 half'.encode())
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(recv_to_end(client), '你好 HALF'.encode())

    @under(STRATEGIES, 'upper', TCP, UNIX)
    def test_one_byte_at_a_time_is_a_talk_too(self, server):
        message = '你好 slow'.encode()
        with dial(server.address) as client:
            if server.address.family == socket.AF_INET:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in message:
                client.sendall(bytes([byte]))
            self.assertEqual(recv_exactly(client, len(message)), message.upper())

    @under(CONCURRENT, 'upper', TCP, UNIX)
    def test_a_client_that_says_nothing_does_not_keep_others_waiting(self, server):
        with dial(server.address) as silent:
            for _ in range(3):
                self.assertEqual(phone_loop(server.address, ['hello']), ['HELLO'])
            silent.sendall(b'at last')
            self.assertEqual(silent.recv(1024), b'AT LAST')

    @under(STRATEGIES, 'upper', TCP, UNIX, options=['--drain-timeout=0.2'])
    def test_a_silent_client_does_not_outlive_the_server(self, server):
        """It is cut off when the drain deadline has passed; the server then ends as well as ever."""
        silent = dial(server.address)
        self.addCleanup(silent.close)
        silent.sendall(b'hi')
        self.assertEqual(silent.recv(1024), b'HI')


def main():
    global switchboard
    if len(sys.argv) < 2:
        sys.exit('seeds_test.py: name the switchboard program to test: seeds_test.py SWITCHBOARD [UNITTEST-OPTION]...')
    switchboard = os.path.abspath(sys.argv.pop(1))
    unittest.main()


if __name__ == '__main__':
    main()
