#!/usr/bin/env python3
"""The programs of the source texts (texts.py) against the real `switchboard serve` and `switchboard client`.

Usage: python3 seeds_test.py SWITCHBOARD [UNITTEST-OPTION]...
The rows are those of the list of source programs; each runs under every strategy it can sensibly run under. Where two
programs talk, both directions are tested: their client with our server, our client with their server.
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

from texts import Address

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.dirname(HERE))
import client_test  # noqa: E402, the terminal
from lifeline import PATIENCE_S, following  # noqa: E402

TICK_S = 0.05
ALL_STRATEGIES = ('serial', 'thread', 'fork', 'pool:4', 'prefork:2', 'prethread:2', 'prefork:2+thread', 'fiber:epoll',
                  'fiber:uring', 'prefork:2+fiber', 'prethread:2+fiber')
# With a sanitizer, where all is slower, one of each kind.
STRATEGIES = tuple(os.environ.get('STRATEGIES', '').split()) or ALL_STRATEGIES
CONCURRENT = tuple(strategy for strategy in STRATEGIES if strategy != 'serial')
TCP, UDP = 'tcp://127.0.0.1:0', 'udp://127.0.0.1:0'
UNIX, UNIXGRAM = 'unix:{folder}/server', 'unixgram:{folder}/server'
READY = re.compile(r'listening (\S+) handler=(\S+) strategy=(\S+) pid=(\d+)')
switchboard = None


# Programs over pipes.

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


class Dialogue:
    """Over a program's standard input and output: say lines, and expect what it prints, in its order."""

    def __init__(self, process):
        self.process, self.printed, self.seen = process, b'', 0

    def say(self, line):
        self.process.stdin.write(line.encode() + b'\n')
        self.process.stdin.flush()

    def read_more(self, deadline):
        more = read_some(self.process.stdout, deadline)
        self.printed += more
        return bool(more)

    def expect(self, text):
        """Waits until text is printed behind what was expected before; returns what was between."""
        text, deadline, begin = text.encode(), time.monotonic() + PATIENCE_S, self.seen
        while (end := self.printed.find(text, begin)) < 0:
            assert self.read_more(deadline), '%r instead of %r' % (self.printed[begin:], text)
        self.seen = end + len(text)
        return self.printed[begin:end].decode()

    def forget(self):
        """What was printed so far."""
        self.printed, self.seen = self.printed[self.seen:], 0

    def finish(self):
        """Says no more. Returns the exit status and all that was printed."""
        deadline = time.monotonic() + PATIENCE_S
        self.process.stdin.close()
        while self.read_more(deadline):
            pass
        return self.process.wait(PATIENCE_S), self.printed.decode()


@contextlib.contextmanager
def running(*command, env=()):
    """A program; what it complains of stands among what it prints."""
    process = subprocess.Popen(following(*command), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, env=dict(os.environ, **dict(env)))
    try:
        yield Dialogue(process)
    finally:
        process.kill()
        process.wait(PATIENCE_S)
        process.stdin.close()
        process.stdout.close()


# Our server.

class Server:
    """`switchboard serve`, in a process group of its own, with its log in a file. What it prints is read with its
    `dialogue`; if stdin is a pipe, that is the operator's terminal too."""

    def __init__(self, folder, handler, strategy, *addresses, options=(), stdin=subprocess.DEVNULL, env=(),
                 through=()):
        self.folder = folder
        self.log = open(os.path.join(folder, 'log'), 'a+', encoding='utf-8', errors='replace')
        addresses = [address.format(folder=folder) for address in addresses]
        command = following(*through, switchboard, 'serve', *options, '-s', strategy, handler, *addresses)
        self.process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=self.log,
                                        env=dict(os.environ, **dict(env)), start_new_session=True)
        self.dialogue = Dialogue(self.process)
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
        # The server writes at the same offset, so that must not be moved.
        return os.pread(self.log.fileno(), 1 << 20, 0).decode(errors='replace')

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
        for pipe in (self.process.stdin, self.process.stdout, self.log):
            if pipe:
                pipe.close()


@contextlib.contextmanager
def temporary_folder():
    """Like tempfile.TemporaryDirectory, but a short path, because a Unix socket's may have 107 bytes."""
    folder = tempfile.mkdtemp(prefix='sb-', dir='/tmp')
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def serving(handler, strategy, *addresses, ends='SIGTERM', **options):
    with temporary_folder() as folder:
        server = Server(folder, handler, strategy, *addresses, **options)
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


# Their programs and our client.

def text_command(program, address, *arguments):
    """Unbuffered and in UTF-8, wherever the test runs."""
    return [sys.executable, '-I', '-S', '-u', '-X', 'utf8', os.path.join(HERE, 'texts.py'), program, address,
            *arguments]


def run_text(program, address, lines=(), *arguments):
    """What the program prints, prompts and all, when these lines are typed."""
    result = subprocess.run(text_command(program, address.text, *arguments), timeout=PATIENCE_S, capture_output=True,
                            input=''.join(line + '\n' for line in lines).encode())
    assert result.returncode == 0 and not result.stderr, result
    return result.stdout.decode()


@contextlib.contextmanager
def text_serving(program, address=TCP, *arguments):
    with temporary_folder() as folder:
        with running(*text_command(program, address.format(folder=folder), *arguments)) as server:
            server.expect('listening ')
            server.address = Address(server.expect('\n'))
            server.forget()
            yield server


def run_client(address, lines=(), *options, env=()):
    return subprocess.run([switchboard, 'client', *options, address.text], timeout=PATIENCE_S, capture_output=True,
                          input=''.join(line + '\n' for line in lines).encode(), env=dict(os.environ, **dict(env)))


def new_socket(address):
    """socket.socket(), with a deadline; a Unix datagram socket also needs a name to be answered at."""
    client = socket.socket(address.family, address.type)
    client.settimeout(PATIENCE_S)
    if address.family == socket.AF_UNIX and address.type == socket.SOCK_DGRAM:
        client.bind('')
    return client


def dial(address):
    client = new_socket(address)
    client.connect(address.name)
    return client


def recv_exactly(client, size):
    data = b''
    while len(data) < size:
        more = client.recv(1024)
        assert more, 'closed after %r' % data
        data += more
    return data


def recv_to_end(client):
    return b''.join(iter(lambda: client.recv(1024), b''))


def prompted(prompt, *answers):
    """What stands on a terminal when each line that was typed has got its answer, and the next is asked for."""
    return prompt + ''.join(answer + prompt for answer in answers)


COUNT_PROMPT = '请输入发送或请求的数据(exit退出):'
RAIN, DAZE = '下了一天的雨', '适合发呆'
KEY, WRONG_KEY = {'SWITCHBOARD_KEY': 'ni hao ma'}, {'SWITCHBOARD_KEY': 'ni hao'}
PIPE = subprocess.PIPE
ESTABLISHED, TIME_WAIT = '01', '06'
RESULT = '命令的执行结果是 '
MD5_KEY = ['-o', 'auth.digest=md5', '-o', 'key-env=SWITCHBOARD_KEY']
CLIENT_KEY = ['--auth-key-env=SWITCHBOARD_KEY', '--auth-digest=md5']
SOCKET_FUNCTIONS = """
    bind listen accept connect connect_ex recv send sendall recvfrom sendto getpeername getsockname getsockopt
    setsockopt close setblocking settimeout gettimeout fileno makefile"""

# Two commands. The first answer is longer than what the texts' client receives at once, and shorter than twice that.
COMMANDS = ['seq 300', 'echo 你好', 'quit']
ANSWERS = [''.join('%d\n' % number for number in range(1, 301)), '你好\n']


def wait_for_connection(port, state):
    """Until a TCP connection at that port of ours is in this state (proc_pid_net(5))."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        with open('/proc/net/tcp', encoding='ascii') as table:
            rows = [line.split() for line in table]
        if any(row[1].endswith(':%04X' % port) and row[3] == state for row in rows):
            return
        assert time.monotonic() < deadline, 'no connection at port %d reaches state %s' % (port, state)
        time.sleep(0.001)


def backlog_of(port):
    """What was given to listen(2), as the kernel tells it."""
    command = ['ss', '--no-header', '--listening', '--tcp', '--numeric', 'sport', '=', ':%d' % port]
    return int(subprocess.run(command, capture_output=True, check=True, timeout=PATIENCE_S).stdout.split()[2])


class SourceTexts(unittest.TestCase):
    maxDiff = None

    def check_text(self, server, printed, program, lines=(), *arguments):
        self.assertEqual(run_text(program, server.address, lines, *arguments), printed)

    def check_client(self, server, printed, lines=(), *options, status=0, complaint='', env=()):
        result = run_client(server.address, lines, *options, env=env)
        self.assertEqual((result.stdout.decode(), result.stderr.decode(), result.returncode),
                         (printed, complaint, status))

    def check_printed(self, dialogue, *lines):
        """These lines come next."""
        for line in lines:
            self.assertEqual(dialogue.expect('\n'), line)

    # 1: the phone, one call.

    @under(STRATEGIES, 'upper', TCP, options=['--once'], ends='alone')
    def test_row_1_one_call_is_answered_and_our_server_ends(self, server):
        self.check_text(server, 'DREAM IS HANDSOME\n', 'phone_client')

    @under(STRATEGIES, 'upper', TCP, options=['--once'], ends='alone')
    def test_row_1_one_call_of_the_other_text(self, server):
        self.check_text(server, "收到服务端发来的消息 b'HELLO'\n", 'upper_once_client')

    def test_row_1_our_client_calls_their_server(self):
        with text_serving('phone_server') as server:
            self.check_client(server, '你好 DREAM\n', ['你好 dream'])
            self.assertEqual(server.finish(), (0, "接到来自127.0.0.1的电话\n%r <class 'bytes'>\n" % '你好 dream'.encode()))
        with text_serving('upper_once_server') as server:
            self.check_client(server, 'HELLO\n', ['hello'])
            self.assertEqual(server.finish(), (0, "客户端发来的消息是 b'hello'\n"))

    # 2: the phone, caller after caller.

    @under(STRATEGIES, 'upper', TCP)
    def test_row_2_callers_talk_as_long_as_they_like_one_after_the_other(self, server):
        self.check_text(server, prompted('>>: ', 'HELLO\n', '', '', '你好 DREAM\n', 'STRAßE 123\n'), 'phone_loop_client',
                        ['hello', '', '   ', '  你好 dream  ', 'Straße 123'])
        answers = ['客户端已发送消息\n收到服务端发来的消息 %s\n' % word for word in ('NIHAO', 'HI', 'HOW ARE YOU')]
        self.check_text(server, prompted('>>:', *answers), 'upper_client', ['nihao', 'hi', 'how are you'])

    def test_row_2_our_client_calls_their_server_again_and_again(self):
        with text_serving('phone_loop_server') as server:
            for _ in range(2):
                self.check_client(server, 'HELLO\n你好 DREAM\nSTRAßE 123\n', ['hello', '', '你好 dream', 'Straße 123'])
                self.check_printed(server, '接到来自127.0.0.1的电话', *("%r <class 'bytes'>" % word.encode()
                                   for word in ('hello', '你好 dream', 'Straße 123')))

    def test_row_2_our_client_leaves_the_server_that_never_hangs_up(self):
        with text_serving('upper_server') as server:
            for _ in range(2):
                self.check_client(server, 'NIHAO\n在吗 HI\n', ['nihao', '在吗 hi', 'quit'], '--quit')
                server.expect('客户发来的是 在吗 hi\n')

    # 3: the caller.

    def test_row_3_our_client_asks_strips_and_asks_again(self):
        with text_serving('phone_loop_server') as server, client_test.Terminal(server.address.text) as terminal:
            terminal.expect('>>: ')
            terminal.type('   \r')
            terminal.expect('>>: ')
            terminal.type('  你好 dream \r')
            terminal.expect('你好 DREAM\n>>: ')
            terminal.type('\x04')
            self.assertEqual(terminal.wait(), 0)
            self.check_printed(server, '接到来自127.0.0.1的电话', "%r <class 'bytes'>" % '你好 dream'.encode())

    def test_row_3_a_refused_connection_is_a_clear_message_and_no_exception(self):
        """What connect_ex is for; though the text's program does not look at what it returns."""
        with socket.socket() as nobody:
            nobody.bind(('127.0.0.1', 0))
            address = Address('tcp://127.0.0.1:%d' % nobody.getsockname()[1])
            complaint = ('switchboard client: cannot connect to %s: Connection refused: no server listens there; '
                         'start one with' % address.text)
            result = run_client(address, ['hello'])
            self.assertEqual((result.stdout, result.returncode), (b'', 1))
            self.assertTrue(result.stderr.decode().startswith(complaint), result.stderr)
            with client_test.Terminal(address.text) as terminal:
                terminal.expect('Connection refused: no server listens there')
                self.assertEqual(terminal.wait(), 1)
            self.assertEqual(run_text('phone_loop_client', address), '>>: ')

    # 4: counting.

    def count_dialogue(self, *lines):
        """What the text's client shows, with `exit` as its last line."""
        said = ['连接成功!'] + ['第%d条信息:%s' % numbered for numbered in enumerate(lines, 1)]
        return ''.join('%s\n%s' % (line, COUNT_PROMPT) for line in said)

    def check_count(self, server):
        for _ in range(2):
            self.check_text(server, self.count_dialogue('你好', 'a b', '退出'), 'count_client',
                            ['你好', 'a b', '退出', 'exit'])

    def check_their_count(self, server):
        for _ in range(2):
            self.check_client(server, '连接成功!\n第1条信息:你好\n第2条信息:a b\n', ['你好', 'a b', 'exit'],
                              '--greeting', '--quit')
            self.check_printed(server, '等待数据连接中……', '你好', 'a b', 'exit')

    @under(STRATEGIES, 'count', TCP)
    def test_row_4_messages_are_counted_from_one_in_each_connection(self, server):
        self.check_count(server)

    @under(STRATEGIES, 'count', TCP)
    def test_row_4_exit_makes_the_server_hang_up(self, server):
        with dial(server.address) as client:
            self.assertEqual(recv_exactly(client, len('连接成功!'.encode())), '连接成功!'.encode())
            client.sendall(b'exit')
            self.assertEqual(client.recv(1024), b'')

    def test_row_4_our_client_is_counted_by_their_server(self):
        with text_serving('count_server') as server:
            self.check_their_count(server)

    # 5: threads that accept for themselves; prethread is among the strategies.

    @under(STRATEGIES, 'ack', TCP, options=['-v', '-o', 'separator=:'])
    def test_row_5_each_message_is_acknowledged_with_a_random_number(self, server):
        shown = run_text('count_client', server.address, ['你好', 'a', 'b', 'exit'])
        self.assertRegex(shown, r'\AHello World!\n%s([1-9][0-9]*:ACK!\n%s){3}\Z' % ((re.escape(COUNT_PROMPT),) * 2))
        self.assertTrue(all(1 <= int(number) <= 1000 for number in re.findall(r'(\d+):ACK', shown)), shown)
        server.stop()
        log = server.read_log()
        caller, = set(re.findall(r'127\.0\.0\.1:\d+', log)) - {'127.0.0.1:%d' % server.address.name[1]}
        for line in ('Accept connection from: %s\n', 'Received from %s: 你好\n'):
            self.assertIn('[*] ' + line % caller, log)

    def test_row_5_our_client_is_acknowledged_by_their_threads(self):
        with text_serving('ack_server') as server:
            for _ in range(6):
                result = run_client(server.address, ['你好', 'a b', 'exit'], '--greeting', '--quit')
                self.assertRegex(result.stdout.decode(), r'\AHello World!\n([1-9][0-9]*:ACK!\n){2}\Z')
                self.assertEqual((result.stderr, result.returncode), (b'', 0))
                server.expect('[*] Accept connection from: 127.0.0.1:')
                port = server.expect('\n')
                self.check_printed(server, *('[*] Received from 127.0.0.1:%s : %s' % (port, text)
                                             for text in ('你好', 'a b')))

    # 6: one question, one answer.

    @under(STRATEGIES, 'talk', TCP)
    def test_row_6_one_question_one_answer(self, server):
        shown = run_text('talk_client', server.address)
        self.assertRegex(shown, r"\AStart the client at .*\nAT .* some reply b'Are you want to talk to me'\n\Z")
        server.stop()
        self.assertRegex(server.read_log(), r'AT \d{4}-.* 127\.0\.0\.1:\d+ Said Hey~~~\n')

    def test_row_6_our_client_asks_their_server(self):
        with text_serving('talk_server') as server:
            self.check_client(server, 'Are you want to talk to me\n', [], '--message=嘿~~~')
            status, printed = server.finish()
            self.assertEqual(status, 0)
            self.assertRegex(printed, r"\AAT .* Said %s\n\Z" % re.escape(repr('嘿~~~'.encode())))

    # 7: send and sendall.

    @under(STRATEGIES, 'bytes', TCP, UNIX)
    def test_row_7_sendall_gets_everything_out_to_a_slow_reader(self, server):
        """16 MiB do not fit into a connection whose reader has not begun: no single send could take them."""
        size = 16 * 1024 * 1024
        with dial(server.address) as client:
            client.sendall(b'%d\n' % size)
            client.shutdown(socket.SHUT_WR)
            received = 0
            for recv_size in 256 * [1] + 256 * [100]:
                received += len(client.recv(recv_size))
            while more := client.recv(65536):
                received += len(more)
            self.assertEqual(received, size)

    def test_row_7_our_client_receives_what_send_in_a_loop_or_sendall_gets_out(self):
        size = 16 * 1024 * 1024
        whole = '\0' * size + '\n'
        with text_serving('send_server', TCP, str(size)) as server:
            self.assertTrue(run_client(server.address).stdout.decode() == whole)
            status, printed = server.finish()
            sent = [int(line) for line in printed.splitlines()]
            self.assertEqual((status, sum(sent)), (0, size))
            self.assertGreater(len(sent), 1, 'one send took all: the lesson needs more bytes')
        with text_serving('sendall_server', TCP, str(size)) as server:
            self.assertTrue(run_client(server.address).stdout.decode() == whole)
            self.assertEqual(server.finish(), (0, 'None\n'))

    # 8: a note.

    @under(STRATEGIES, 'print', TCP)
    def test_row_8_a_note_is_printed(self, server):
        self.check_text(server, '', 'note_client')
        self.check_printed(server.dialogue, '今天下了一天的雨')

    def test_row_8_our_client_leaves_a_note_at_their_server(self):
        with text_serving('note_server') as server:
            self.check_client(server, '', [], '--one-way', '--message=今天下了一天的雨')
            self.assertEqual(server.finish(), (0, '%r\n今天下了一天的雨\n' % '今天下了一天的雨'.encode()))

    # 9: the operator.

    @under(STRATEGIES, 'chat', TCP, stdin=PIPE)
    def test_row_9_the_operator_answers_until_he_says_q(self, server):
        for last in 'qQ':
            with running(*text_command('chat_client', server.address.text)) as client:
                for word, answer in (('在吗', '在的'), ('今天天气咋样啊?', RAIN)):
                    client.say(word)
                    self.assertEqual(server.dialogue.expect(word + '\n'), '')
                    self.assertRegex(server.dialogue.expect('> '), r'\A127\.0\.0\.1:\d+\Z')
                    server.dialogue.say(answer)
                    client.expect(answer + '\n')
                client.say('再见')
                server.dialogue.expect('再见\n')
                server.dialogue.expect('> ')
                server.dialogue.say(last)
                prompt = '客户端想给服务端发送的消息为: '
                self.assertEqual(client.finish(), (0, '%s在的\n%s%s\n%s' % (prompt, prompt, RAIN, prompt)))

    def test_row_9_our_client_talks_to_their_operator_until_he_says_q(self):
        with text_serving('chat_server') as server:
            for last in 'qQ':
                with running(switchboard, 'client', '--quit', server.address.text) as client:
                    for word, answer in (('在吗', '在的'), ('今天天气咋样啊?', RAIN)):
                        client.say(word)
                        self.assertEqual(server.expect('服务端想给客户端发送: '), word + '\n')
                        server.say(answer)
                        self.assertEqual(client.expect('\n'), answer)
                    client.say('再见')
                    self.assertEqual(server.expect('服务端想给客户端发送: '), '再见\n')
                    server.say(last)
                    self.assertEqual(client.finish(), (0, '在的\n%s\n%s\n' % (RAIN, last)))

    # 10 to 13: sticky packets.

    @under(STRATEGIES, 'sticky', TCP)
    def test_row_10_two_messages_stick(self, server):
        self.check_text(server, RAIN + DAZE + '\n\n', 'sticky_client')

    @under(STRATEGIES, 'sticky', TCP, options=['-o', 'frame=text2'])
    def test_row_11_two_digits_unstick_them(self, server):
        self.check_text(server, '%s\n%s\n' % (RAIN, DAZE), 'sticky_text2_client')

    @under(STRATEGIES, 'sticky', TCP, options=['-o', 'frame=text8'])
    def test_row_12_eight_digits_unstick_them(self, server):
        self.check_text(server, '%s\n%s\n' % (RAIN, DAZE), 'sticky_text8_client')

    @under(STRATEGIES, 'sticky', TCP, options=['-o', 'frame=i32'])
    def test_row_13_a_packed_integer_unsticks_them(self, server):
        self.check_text(server, '18\n%s\n%s\n' % (RAIN, DAZE), 'sticky_i32_client')

    def test_row_10_our_client_shows_how_they_stick(self):
        """It must look late, as the text's client does by sleeping: it is stopped until their server has ended."""
        with text_serving('sticky_server') as server:
            server.process.send_signal(signal.SIGSTOP)
            with running(switchboard, 'client', '--show-recv', server.address.text) as client:
                wait_for_connection(server.address.name[1], ESTABLISHED)
                client.process.send_signal(signal.SIGSTOP)
                server.process.send_signal(signal.SIGCONT)
                self.assertEqual(server.finish(), (0, ''))
                client.process.send_signal(signal.SIGCONT)
                self.assertEqual(client.finish(),
                                 (0, 'recv 1: 30 bytes: %s%s\nrecv 2: 0 bytes: the end\n' % (RAIN, DAZE)))

    def check_unstuck(self, program, framing, lines=()):
        with text_serving(program) as server:
            for line in lines:
                server.say(line)
            self.check_client(server, '%s\n%s\n' % (RAIN, DAZE), [], '--frame=' + framing, '--frame-once')
            self.assertEqual(server.finish()[0], 0)

    def test_row_11_our_client_unsticks_them_by_two_digits(self):
        self.check_unstuck('sticky_text2_server', 'text2')

    def test_row_12_our_client_unsticks_them_by_eight_digits(self):
        self.check_unstuck('sticky_text8_server', 'text8')

    def test_row_13_our_client_unsticks_them_by_a_packed_integer(self):
        self.check_unstuck('sticky_i32_server', 'i32', [RAIN])

    # 14 to 17: datagrams.

    @under(STRATEGIES, 'print', UDP, options=['--once'], ends='alone')
    def test_row_14_a_note_by_datagram_is_printed_with_its_sender_and_answered(self, server):
        self.check_text(server, '%s\n%r\n' % (RAIN, server.address.name), 'udp_note_client')
        self.check_printed(server.dialogue, '今天天气咋样啊?')
        self.assertRegex(server.dialogue.expect('\n'), r'\A127\.0\.0\.1:\d+\Z')

    def test_row_14_our_client_sends_their_server_a_note(self):
        with text_serving('udp_note_server', UDP) as server:
            self.check_client(server, RAIN + '\n', [], '--message=今天天气咋样啊?')
            status, printed = server.finish()
            self.assertEqual(status, 0)
            self.assertRegex(printed, r"\A今天天气咋样啊\?\n\('127\.0\.0\.1', \d+\)\n\Z")

    @under(STRATEGIES, 'chat', UDP, stdin=PIPE)
    def test_row_15_the_operator_answers_datagrams_until_he_says_q(self, server):
        for last in 'qQ':
            with running(*text_command('udp_chat_client', server.address.text)) as client:
                for word, answer in (('在吗', '在的'), ('今天天气咋样啊?', RAIN), ('再见', last)):
                    client.say(word)
                    self.assertEqual(server.dialogue.expect(word + '\n'), '')
                    server.dialogue.expect('> ')
                    server.dialogue.say(answer)
                    if answer != last:
                        client.expect(answer + '\n')
                prompt = '客户端给服务端发送的消息: '
                self.assertEqual(client.finish(), (0, '%s在的\n%s%s\n%s' % (prompt, prompt, RAIN, prompt)))

    def test_row_15_our_client_talks_to_their_operator_by_datagram_until_he_says_q(self):
        with text_serving('udp_chat_server', UDP) as server:
            for last in 'qQ':
                with running(switchboard, 'client', '--quit', '--timeout=%d' % PATIENCE_S,
                             server.address.text) as client:
                    for word, answer in (('在吗', '在的'), ('今天天气咋样啊?', RAIN), ('再见', last)):
                        client.say(word)
                        self.assertEqual(server.expect('服务端给客户端发送的消息: '), word + '\n')
                        server.say(answer)
                        self.assertEqual(client.expect('\n'), answer)
                    self.assertEqual(client.finish()[0], 0)

    def check_upper_datagrams(self, server):
        self.check_text(server, prompted('>>:', 'NIHAO\n', '\n', '在吗 HI\n', 'HOW ARE YOU\n'), 'udp_upper_client',
                        ['nihao', '', '  在吗 hi ', 'how are you'])

    def check_their_upper_datagrams(self, server):
        self.check_client(server, 'NIHAO\n\n在吗 HI\n', ['nihao', '', '在吗 hi'])
        self.check_printed(server, 'nihao', '', '在吗 hi')

    @under(STRATEGIES, 'upper', UDP)
    def test_row_16_every_datagram_is_answered_in_capitals(self, server):
        self.check_upper_datagrams(server)

    def test_row_16_our_client_is_answered_by_their_server(self):
        with text_serving('udp_upper_server', UDP) as server:
            self.check_their_upper_datagrams(server)

    def check_time(self, ask):
        """The answers lie between two readings of the clock; time(2) in C may lag behind Python's by a tick."""
        formats = ['', '%Y', '%H:%M:%S', '%Y年%m月%d日']
        before = int(time.time() - TICK_S)
        answers = ask(formats)
        seconds = range(before, int(time.time()) + 1)
        self.assertEqual(len(answers), len(formats), answers)
        for fmt, answer in zip(formats, answers):
            self.assertIn(answer, [time.strftime(fmt or '%Y-%m-%d-%X', time.localtime(second)) for second in seconds])

    def check_our_time(self, server):
        def ask(formats):
            return run_text('time_client', server.address, formats).removesuffix('\n>>:').removeprefix(
                '>>:服务器的标准时间是: ').split('\n>>:服务器的标准时间是: ')
        self.check_time(ask)

    def check_their_time(self, server):
        self.check_time(lambda formats: run_client(server.address, formats).stdout.decode().splitlines())

    @under(STRATEGIES, 'time', UDP)
    def test_row_17_the_time_comes_in_the_format_asked_for(self, server):
        self.check_our_time(server)

    def test_row_17_their_server_tells_our_client_the_time(self):
        with text_serving('time_server', UDP) as server:
            self.check_their_time(server)

    # 18 to 20: remote commands.

    @under(STRATEGIES, 'shell', TCP)
    def test_row_18_the_second_answer_begins_with_the_rest_of_the_first(self, server):
        """That is the lesson: the text's client receives once, at most 1024 bytes."""
        shown = run_text('command_client', server.address, COMMANDS)
        first, second = re.fullmatch('>>:%s(.*)\n>>:%s(.*)\n>>:' % (RESULT, RESULT), shown, re.DOTALL).groups()
        self.assertLessEqual(len(first), 1024)
        self.assertTrue(ANSWERS[0].startswith(first))
        rest = ANSWERS[0].removeprefix(first)
        self.assertIn(second, (rest, rest + ANSWERS[1]))

    @under(STRATEGIES, 'shell', TCP)
    def test_row_18_short_answers_are_stderr_or_stdout_or_a_word_of_success(self, server):
        answers = ['你好\n', '出错\n', '操作成功']
        self.check_text(server, prompted('>>:', *('%s%s\n' % (RESULT, answer) for answer in answers)), 'command_client',
                        ['echo 你好', 'echo 你好; echo 出错 >&2', 'true', 'quit'])

    @under(STRATEGIES, 'shell', TCP, options=['-o', 'frame=ready'])
    def test_row_19_a_length_and_a_handshake_keep_the_answers_apart(self, server):
        self.check_text(server, prompted('>>:', *(RESULT + answer + '\n' for answer in ANSWERS)),
                        'command_ready_client', COMMANDS)

    @under(STRATEGIES, 'shell', TCP, options=['-o', 'frame=i32'])
    def test_row_20_a_packed_length_keeps_the_answers_apart(self, server):
        self.check_text(server, prompted('>>:', *(RESULT + answer + '\n' for answer in ANSWERS)),
                        'command_i32_client', COMMANDS)

    def test_row_18_our_client_shows_that_one_answer_takes_two_receives(self):
        with text_serving('command_server') as server:
            received = [ANSWERS[0][:1024], ANSWERS[0][1024:], ANSWERS[1]]
            shown = ['recv %d: %d bytes: %s\n' % (number, len(text.encode()), text.replace('\n', '\\n'))
                     for number, text in enumerate(received, 1)]
            self.check_client(server, ''.join(shown), COMMANDS, '--quit', '--show-recv', '--recv-size=1024')

    def test_row_18_our_client_commands_their_server(self):
        with text_serving('command_server') as server:
            for _ in range(2):
                self.check_client(server, '你好\n出错\n操作成功\n', ['echo 你好', 'echo 你好; echo 出错 >&2', 'true', 'quit'],
                                  '--quit')
                server.expect('新的客户端连接')
                server.expect("收到客户端的命令 b'true'\n")

    def test_row_18_quit_leaves_their_server_from_a_terminal(self):
        with text_serving('command_server') as server, client_test.Terminal(server.address.text) as terminal:
            for command, answer in (('echo 你好', '你好\n'), ('true', '操作成功\n')):
                terminal.expect('>>: ')
                terminal.type(command + '\r')
                terminal.expect(answer)
            terminal.expect('>>: ')
            terminal.type('quit\r')
            self.assertEqual(terminal.wait(), 0)

    def test_row_19_our_client_shakes_hands_with_their_server(self):
        with text_serving('command_ready_server') as server:
            self.check_client(server, ''.join(ANSWERS), COMMANDS, '--quit', '--frame=ready')

    def test_row_20_our_client_unpacks_the_length_that_their_server_sends(self):
        with text_serving('command_i32_server') as server:
            self.check_client(server, ''.join(ANSWERS), COMMANDS, '--quit', '--frame=i32')

    # 21 and 22: socketserver.

    @under(STRATEGIES, 'upper', TCP)
    def test_row_21_a_caller_of_the_threading_server(self, server):
        answers = ['客户端已经发送消息\n收到服务端发来的消息 %s\n' % word for word in ('NIHAO', '在吗 HI')]
        self.check_text(server, prompted('>>: ', answers[0], '', answers[1]), 'threading_tcp_client',
                        ['nihao', '', ' 在吗 hi '])

    def test_row_21_two_of_our_clients_talk_with_their_threads_in_turns(self):
        command = [switchboard, 'client']
        with text_serving('threading_tcp_server') as server:
            with running(*command, server.address.text) as one, running(*command, server.address.text) as two:
                for client, word in ((one, '在吗 one'), (two, 'two'), (one, 'more'), (two, 'last')):
                    client.say(word)
                    self.assertEqual(client.expect('\n'), word.upper())
                    server.expect("收到客户端的消息是: %r ('127.0.0.1', " % word.encode())
                self.assertEqual(one.finish()[0], 0)
                self.assertEqual(two.finish()[0], 0)

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
        self.check_text(server, prompted('>>: ', 'HELLO\n'), 'phone_loop_client', ['hello'])

    @under(STRATEGIES, 'upper', UDP)
    def test_row_22_a_sender_to_the_threading_server(self, server):
        self.check_text(server, prompted('>>: ', "b'NIHAO'\n", "b''\n", '%r\n' % '在吗 HI'.encode()),
                        'threading_udp_client', ['nihao', '', ' 在吗 hi '])

    @under(STRATEGIES, 'upper', UDP)
    def test_row_22_each_of_several_senders_gets_its_own_answer(self, server):
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(new_socket(server.address)) for _ in range(8)]
            for number, client in enumerate(clients):
                client.sendto(b'caller %d' % number, server.address.name)
            for number, client in enumerate(clients):
                self.assertEqual(client.recvfrom(1024)[0], b'CALLER %d' % number)

    def test_row_22_our_client_is_answered_by_their_threads(self):
        with text_serving('threading_udp_server', UDP) as server:
            self.check_client(server, 'NIHAO\n\n在吗 HI\n', ['nihao', '', '在吗 hi'])
            server.expect("收到客户端的消息是 %r ('127.0.0.1', " % '在吗 hi'.encode())

    # 23: who may talk.

    @under(STRATEGIES, 'auth+upper', TCP, options=MD5_KEY, env=KEY)
    def test_row_23_who_has_the_key_may_talk(self, server):
        self.check_text(server, prompted('>>:', 'HELLO\n', '', '你好 DREAM\n'), 'auth_client',
                        ['hello', '', ' 你好 dream ', 'quit'])

    @under(STRATEGIES, 'auth+upper', TCP, options=MD5_KEY, env=KEY)
    def test_row_23_who_has_another_key_is_closed(self, server):
        with running(*text_command('auth_client', server.address.text, 'ni hao')) as client:
            client.expect('>>:')
            client.say('hello')
            self.assertNotIn('HELLO', client.finish()[1])
        server.stop()
        self.assertRegex(server.read_log(), r'127\.0\.0\.1:\d+(.*\n)*.*not authenticated: ')

    def test_row_23_our_client_has_the_key(self):
        with text_serving('auth_server') as server:
            for _ in range(2):
                self.check_client(server, 'HELLO\n你好 DREAM\n', ['hello', '你好 dream', 'quit'], '--quit', *CLIENT_KEY,
                                  env=KEY)
                server.expect('开始验证连接的合法性\n连接合法,开始通信\n')

    def test_row_23_our_client_has_another_key(self):
        with text_serving('auth_server') as server:
            result = run_client(server.address, ['hello'], *CLIENT_KEY, env=WRONG_KEY)
            self.assertEqual((result.stdout, result.returncode), (b'', 1))
            self.assertRegex(result.stderr.decode(), r'\Aswitchboard client: .*\n\Z')
            server.expect('开始验证连接的合法性\n该连接不合法,关闭\n')

    # 24: Unix sockets.

    @under(STRATEGIES, 'upper', UNIX, 'unix:@sb-{folder}')
    def test_row_24_upper_over_a_unix_stream(self, server):
        self.check_text(server, prompted('>>: ', 'HELLO\n', '你好 DREAM\n'), 'phone_loop_client', ['hello', '你好 dream'])

    @under(STRATEGIES, 'upper', UNIXGRAM, 'unixgram:@sb-{folder}')
    def test_row_24_upper_over_unix_datagrams(self, server):
        self.check_upper_datagrams(server)

    @under(STRATEGIES, 'count', UNIX)
    def test_row_24_counting_over_a_unix_stream(self, server):
        self.check_count(server)

    @under(STRATEGIES, 'time', UNIXGRAM)
    def test_row_24_the_time_over_unix_datagrams(self, server):
        self.check_our_time(server)

    def test_row_24_the_other_services_over_unix_sockets(self):
        for handler, address, options, program, lines, printed in (
                ('ack', UNIX, [], 'count_client', ['exit'], 'Hello World!\n' + re.escape(COUNT_PROMPT)),
                ('print', UNIX, [], 'note_client', [], ''),
                ('print', UNIXGRAM, [], 'udp_note_client', [], RAIN + '\n.*/server\n'),
                ('sticky', UNIX, ['-o', 'frame=i32'], 'sticky_i32_client', [], '18\n%s\n%s\n' % (RAIN, DAZE)),
                ('talk', UNIX, [], 'talk_client', [], '.*\n.*Are you want to talk to me.*\n'),
                ('shell', UNIX, ['-o', 'frame=ready'], 'command_ready_client', ['echo 你好'], '.*你好\n\n>>:'),
                ('auth+upper', UNIX, MD5_KEY, 'auth_client', ['你好 dream'], prompted('>>:', '你好 DREAM\n'))):
            with self.subTest(handler=handler, address=address.partition(':')[0]):
                with serving(handler, 'thread', address, options=options, env=KEY) as server:
                    self.assertRegex(run_text(program, server.address, lines), r'\A%s\Z' % printed)

    def test_row_24_our_client_talks_with_their_servers_over_unix_sockets(self):
        for address in (UNIX, 'unix:@sb-{folder}'):
            with text_serving('upper_server', address) as server:
                self.check_client(server, 'HELLO\n你好 DREAM\n', ['hello', '你好 dream', 'quit'], '--quit')
        with text_serving('count_server', UNIX) as server:
            self.check_their_count(server)
        for address in (UNIXGRAM, 'unixgram:@sb-{folder}'):
            with text_serving('udp_upper_server', address) as server:
                self.check_their_upper_datagrams(server)
        with text_serving('time_server', UNIXGRAM) as server:
            self.check_their_time(server)

    # 25: SO_REUSEADDR and the backlog.

    def test_row_25_our_server_restarts_where_old_connections_are_in_time_wait(self):
        address = TCP
        for strategy in STRATEGIES:
            with self.subTest(strategy=strategy), serving('sticky', strategy, address) as server:
                self.check_text(server, RAIN + DAZE + '\n\n', 'sticky_client')
                wait_for_connection(server.address.name[1], TIME_WAIT)
            address = server.address.text

    def test_row_25_their_server_restarts_there_only_with_the_option(self):
        with text_serving('auth_server') as server, dial(server.address) as stranger:
            stranger.sendall(bytes(16))
            recv_to_end(stranger)
            stranger.close()
            wait_for_connection(server.address.name[1], TIME_WAIT)
        with running(*text_command('phone_server', server.address.text)) as without:
            self.assertIn('Address already in use', without.finish()[1])
        with text_serving('upper_server', server.address.text) as restarted:
            self.assertEqual(restarted.address.name, server.address.name)
            self.check_client(restarted, 'HELLO\n', ['hello', 'quit'], '--quit')

    def test_row_25_the_backlog_can_be_set(self):
        if not shutil.which('ss'):
            self.skipTest('ss is not installed (iproute2)')
        for strategy in STRATEGIES:
            with self.subTest(strategy=strategy), serving('upper', strategy, TCP, options=['--backlog=7']) as server:
                self.assertEqual(backlog_of(server.address.name[1]), 7)
        with text_serving('phone_loop_server') as server:
            self.assertEqual(backlog_of(server.address.name[1]), 5)

    # 26: the functions of a socket.

    def test_row_26_the_manual_says_what_a_handler_has_for_each_function_of_a_socket(self):
        with open(os.path.join(HERE, '..', '..', 'tools', 'switchboard-handler.7'), encoding='utf-8') as page:
            section = page.read().partition(".Sh FROM PYTHON'S SOCKETS")[2].partition('.Sh ')[0]
        self.assertLessEqual(set(SOCKET_FUNCTIONS.split()), set(re.findall(r'^\.It (\w+) Ta', section, re.MULTILINE)))
        functions = set(re.findall(r'\bsb_\w+', section))
        declared = self.declared_functions()
        self.assertGreater(len(functions), 10)
        self.assertLessEqual(functions, declared)

    def declared_functions(self):
        headers = os.path.join(HERE, '..', '..', 'include', 'switchboard')
        text = ''
        for name in os.listdir(headers):
            with open(os.path.join(headers, name), encoding='utf-8') as header:
                text += header.read()
        return set(re.findall(r'\b(sb_\w+)\(', text))

    def test_every_row_has_its_test(self):
        rows = {int(name.split('_')[2]) for name in dir(self) if name.startswith('test_row_')}
        self.assertEqual(rows, set(range(1, 27)))


def main():
    global switchboard
    if len(sys.argv) < 2:
        program = os.path.basename(sys.argv[0])
        sys.exit('%s: name the switchboard program to test: %s SWITCHBOARD [UNITTEST-OPTION]...' % (program, program))
    switchboard = client_test.switchboard = os.path.abspath(sys.argv.pop(1))
    unittest.main()


if __name__ == '__main__':
    main()
