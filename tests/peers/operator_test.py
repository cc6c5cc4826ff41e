#!/usr/bin/env python3
"""The handlers that talk to people at the server: chat at a real (pseudo)terminal, print, talk, and sticky's bytes.

Usage: python3 operator_test.py SWITCHBOARD [UNITTEST-OPTION]...
The clients are those of the source texts, or plain sockets where the order of things matters.
"""
import concurrent.futures
import contextlib
import fcntl
import functools
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
import unittest

import seeds_test
from lifeline import following
from seeds_test import (CONCURRENT, PATIENCE_S, STRATEGIES, TCP, UDP, UNIX, UNIXGRAM, Server, dial, new_socket,
                        read_lines, recv_to_end, serving, temporary_folder)

MANY_WORKERS = tuple(strategy for strategy in CONCURRENT if strategy not in ('prefork:2', 'prethread:2'))
TURNS_MAX = 64
WAIT = 'The operator is talking to someone else: %d before you. Your next message will be answered.'
TOO_MANY = 'Too many callers are waiting for the operator. Please call again later.'
PROMPT = re.compile(r'(?m)^(.+)> \Z')


# The operator.

class Operator:
    """Types at the server's keyboard, and reads all that its screen shows, in order."""

    def __init__(self, keyboard, screen):
        self.keyboard, self.screen, self.seen = keyboard, screen, b''

    def fileno(self):
        return self.screen

    def types(self, text):
        os.write(self.keyboard, text.encode())

    def look(self, deadline):
        ready, _, _ = select.select([self.screen], [], [], max(0, deadline - time.monotonic()))
        assert ready, 'the screen shows nothing more than %r' % self.seen.decode(errors='replace')
        try:
            more = os.read(self.screen, 4096)
        except OSError:         # a terminal that nobody has open any more
            more = b''
        self.seen += more
        return more

    def sees(self, text):
        """The next thing on the screen is this, and nothing else."""
        expected, deadline = text.encode(), time.monotonic() + PATIENCE_S
        while len(self.seen) < len(expected) and expected.startswith(self.seen) and self.look(deadline):
            pass
        assert self.seen.startswith(expected), 'the screen shows %r, not %r' % (
            self.seen.decode(errors='replace'), text)
        self.seen = self.seen[len(expected):]

    def sees_prompt(self):
        """Returns what stands before the next prompt, and whose prompt it is."""
        deadline = time.monotonic() + PATIENCE_S
        while not (match := PROMPT.search(self.seen.decode(errors='replace'))):
            assert self.look(deadline), 'no prompt behind %r' % self.seen
        text = self.seen.decode()[:match.start()]
        self.seen = b''
        return text, match[1]

    def sees_no_more(self):
        deadline = time.monotonic() + PATIENCE_S
        while self.look(deadline):
            pass
        assert self.seen == b'', 'the screen shows %r' % self.seen


def open_terminal():
    """A terminal in its usual mode, line by line, but without the echo and with newlines as they are, so that the
    screen shows what the server has written and no more. Returns the operator's end and the server's."""
    master, slave = os.openpty()
    attributes = termios.tcgetattr(slave)
    attributes[1] &= ~termios.OPOST
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    return master, slave


def own_terminal():
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class StaffedServer(Server):
    """A server whose standard input and output are the operator's; `shell` is what starts it, if anything does."""

    def __init__(self, folder, handler, strategy, *addresses, options=(), stdin='terminal', shell=()):
        self.folder = folder
        self.log = open(os.path.join(folder, 'log'), 'a+', encoding='utf-8', errors='replace')
        self.open_ends(stdin)
        addresses = [address.format(folder=folder) for address in addresses]
        command = following(*shell, seeds_test.switchboard, 'serve', *options, '-s', strategy, handler, *addresses)
        self.process = subprocess.Popen(command, stdin=self.theirs[0], stdout=self.theirs[-1], stderr=self.log,
                                        start_new_session=True,
                                        preexec_fn=own_terminal if stdin == 'terminal' else None)
        for fd in self.theirs:
            os.close(fd)
        try:
            lines = read_lines(self.operator, len(addresses))
            self.pid = int(lines[0].rpartition('=')[2])
            self.addresses = [self.check_ready(line.replace('pid=%d' % self.pid, 'pid=%d' % self.process.pid),
                                               handler, strategy) for line in lines]
        except BaseException:
            self.kill()
            raise
        self.address = self.addresses[0]

    def open_ends(self, stdin):
        if stdin == 'terminal':
            master, slave = open_terminal()
            self.ours, self.theirs = [master], [slave]
        else:
            screen, stdout = os.pipe()
            source, keyboard = os.pipe()
            if stdin == 'null':
                os.close(source)
                source = os.open('/dev/null', os.O_RDONLY)
            self.ours, self.theirs = [keyboard, screen], [source, stdout]
        self.operator = Operator(self.ours[0], self.ours[-1])

    def stop(self):
        os.kill(self.pid, signal.SIGTERM)
        self.wait()

    def close_ours(self, fd):
        os.close(fd)
        self.ours.remove(fd)

    def close(self):
        for fd in self.ours:
            os.close(fd)
        self.log.close()


@contextlib.contextmanager
def staffed(handler, strategy, *addresses, ends='SIGTERM', **options):
    with temporary_folder() as folder:
        server = StaffedServer(folder, handler, strategy, *addresses, **options)
        try:
            yield server
            server.stop() if ends == 'SIGTERM' else server.wait()
            if server.operator.screen in server.ours:
                server.operator.sees_no_more()
        except BaseException:
            server.kill()
            raise
        finally:
            server.close()


def under(strategies, handler, *addresses, **options):
    """Runs a test, with the server and its operator, under each of the strategies, at each of the addresses."""
    def decorate(test):
        @functools.wraps(test)
        def run(self):
            for strategy in strategies:
                for address in addresses:
                    with self.subTest(strategy=strategy, address=address.partition(':')[0]):
                        with staffed(handler, strategy, address, **options) as server:
                            test(self, server, server.operator)
        return run
    return decorate


@contextlib.contextmanager
def at_once(program, *arguments):
    """Runs a client program beside the test; its result is the future's."""
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        yield executor.submit(program, *arguments)


# The client programs of text 003.

def chat_client(address, lines):
    """Loop: send, recv, `q` from the other side ends it."""
    shown = []
    with new_socket(address) as sk:
        sk.connect(address.name)
        for strvar in lines:
            sk.send(strvar.encode('utf-8'))
            res = sk.recv(1024)
            if res.upper() == b'Q':
                break
            shown.append(res.decode('utf-8'))
    return shown


def chat_client_by_datagram(address, lines):
    shown = []
    with new_socket(address) as sk:
        for msg in lines:
            sk.sendto(msg.encode('utf-8'), address.name)
            msg, _ = sk.recvfrom(1024)
            if msg.upper() == b'Q':
                break
            shown.append(msg.decode('utf-8'))
    return shown


def note_client(address, text):
    with new_socket(address) as sk:
        sk.connect(address.name)
        sk.send(text.encode('utf-8'))


# What a plain socket does.

class Caller:
    """A connection that says and hears whole messages, none of them longer than one receive."""

    def __init__(self, server):
        self.socket = dial(server.address)
        local = self.socket.getsockname()
        self.name = '%s:%d' % local if isinstance(local, tuple) else 'pid %d uid %d' % (os.getpid(), os.getuid())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def says(self, text):
        self.socket.sendall(text.encode())

    def hears(self, text):
        heard = self.socket.recv(1024).decode()
        assert heard == text, 'heard %r, not %r' % (heard, text)

    def ends(self):
        self.socket.shutdown(socket.SHUT_WR)

    def vanishes(self):
        """As a machine that is switched off and on: the connection is reset."""
        if self.socket.family == socket.AF_INET:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.socket.close()


def wait_for(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, 'not within %d s: %s' % (PATIENCE_S, what)
        time.sleep(0.01)


def tcp_inode(local_port, remote_port):
    """Of the socket between two ports of this machine (proc_pid_net(5))."""
    with open('/proc/net/tcp', encoding='ascii') as table:
        for line in table.readlines()[1:]:
            fields = line.split()
            if [int(fields[i].rpartition(':')[2], 16) for i in (1, 2)] == [local_port, remote_port]:
                return int(fields[9])
    raise AssertionError('no such connection')


def process_of(server, caller):
    """The child of the server that serves this caller."""
    inode = tcp_inode(server.address.name[1], caller.socket.getsockname()[1])
    for pid in filter(str.isdigit, os.listdir('/proc')):
        with contextlib.suppress(OSError):
            if os.getpgid(int(pid)) == server.pid and int(pid) != server.pid:
                for fd in os.listdir('/proc/%s/fd' % pid):
                    with contextlib.suppress(OSError):
                        if os.readlink('/proc/%s/fd/%s' % (pid, fd)) == 'socket:[%d]' % inode:
                            return int(pid)
    raise AssertionError('no child serves %s' % caller.name)


class Chat(unittest.TestCase):
    def check_talks_until_q(self, server, operator, client_program, talk):
        """What the caller says, and what the operator answers; at last `在吗`, which q answers."""
        for end in 'qQ':
            turns = [*talk, ('在吗', end)]
            with at_once(client_program, server.address, [message for message, _ in turns]) as client:
                for message, line in turns:
                    text, _ = operator.sees_prompt()
                    self.assertEqual(text, message + '\n')
                    operator.types(line + '\n')
                self.assertEqual(client.result(), [line for _, line in talk])

    @under(STRATEGIES, 'chat', TCP, UNIX)
    def test_row_9_the_operator_answers_until_q(self, server, operator):
        self.check_talks_until_q(server, operator, chat_client,
                                 [('今天天气咋样啊?', '下了一天的雨'), ('and now', ' still raining ')])

    @under(STRATEGIES, 'chat', UDP, UNIXGRAM)
    def test_row_15_the_operator_answers_datagrams_until_q(self, server, operator):
        self.check_talks_until_q(server, operator, chat_client_by_datagram,
                                 [('今天天气咋样啊?', '下了一天的雨'), ('', '')])

    @under(STRATEGIES, 'chat', TCP)
    def test_q_is_sent_and_the_connection_closed(self, server, operator):
        for end in 'qQ':
            with Caller(server) as caller:
                caller.says('hi')
                operator.sees('hi\n%s> ' % caller.name)
                operator.types(end + '\n')
                caller.hears(end)
                caller.hears('')

    @under(['thread', 'fork'], 'chat', TCP)
    def test_only_q_alone_ends(self, server, operator):
        with Caller(server) as caller:
            for line in ('qq', ' q', 'quit', '问q'):
                caller.says('hi')
                operator.sees('hi\n%s> ' % caller.name)
                operator.types(line + '\n')
                caller.hears(line)
        operator.sees('%s is gone\n' % caller.name)

    @under(['thread'], 'chat', TCP)
    def test_an_empty_line_is_asked_for_again(self, server, operator):
        with Caller(server) as caller:
            caller.says('hi')
            operator.sees('hi\n%s> ' % caller.name)
            operator.types('\n\nwell\n')
            operator.sees('%s> %s> ' % (caller.name, caller.name))
            caller.hears('well')
        operator.sees('%s is gone\n' % caller.name)

    @under(['thread'], 'chat', TCP)
    def test_control_d_hangs_up(self, server, operator):
        for _ in range(2):
            with Caller(server) as caller:
                caller.says('hi')
                operator.sees('hi\n%s> ' % caller.name)
                operator.types('\x04')
                caller.hears('')
                operator.sees('\n')

    @under(['thread'], 'chat', TCP)
    def test_control_characters_do_not_reach_the_terminal(self, server, operator):
        with Caller(server) as caller:
            caller.says('\x1b[2J\x07a\tb\x9b\x7f\x00你\r\nhao\r\n')
            operator.sees('.[2J.a\tb....你.\nhao\n%s> ' % caller.name)
            operator.types('q\n')
            caller.hears('q')

    def check_line_of_three(self, server, operator, all_wait):
        with Caller(server) as a, Caller(server) as b, Caller(server) as c:
            a.says('甲')
            operator.sees('甲\n%s> ' % a.name)
            b.says('乙一')
            b.hears(WAIT % 1)
            c.says('丙一')
            if all_wait:
                c.hears(WAIT % 2)
            b.says('乙二')
            operator.types('给甲\n')
            a.hears('给甲')
            a.says('再见')
            operator.sees('再见\n%s> ' % a.name)
            operator.types('q\n')
            a.hears('q')
            operator.sees('乙一\n乙二\n%s> ' % b.name)
            if not all_wait:
                c.hears(WAIT % 1)
            c.says('丙二')
            operator.types('给乙\n')
            b.hears('给乙')
            b.ends()
            operator.sees('%s is gone\n丙一\n丙二\n%s> ' % (b.name, c.name))
            operator.types('q\n')
            c.hears('q')

    @under(MANY_WORKERS, 'chat', TCP)
    def test_callers_wait_in_line_and_are_told_so(self, server, operator):
        self.check_line_of_three(server, operator, True)

    @under(['prefork:2', 'prethread:2'], 'chat', TCP)
    def test_with_two_workers_the_third_waits_to_be_accepted(self, server, operator):
        self.check_line_of_three(server, operator, False)

    @under(['serial'], 'chat', TCP)
    def test_with_one_worker_all_wait_to_be_accepted(self, server, operator):
        with Caller(server) as a, Caller(server) as b:
            a.says('甲')
            operator.sees('甲\n%s> ' % a.name)
            b.says('乙')
            operator.types('q\n')
            a.hears('q')
            operator.sees('乙\n%s> ' % b.name)
            operator.types('q\n')
            b.hears('q')

    @under(['thread', 'fork', 'prefork:2+thread'], 'chat', TCP)
    def test_a_line_that_is_full_turns_callers_away(self, server, operator):
        with contextlib.ExitStack() as stack:
            callers = [stack.enter_context(Caller(server)) for _ in range(TURNS_MAX)]
            for before, caller in enumerate(callers):
                caller.says('first')
                if before == 0:
                    operator.sees('first\n%s> ' % caller.name)
                else:
                    caller.hears(WAIT % before)
            with Caller(server) as late:
                late.says('too late')
                late.hears(TOO_MANY)
                late.hears('')
            for caller in callers[1:]:
                caller.vanishes()
            operator.types('q\n')
            callers[0].hears('q')
            wait_for(lambda: 'callers wait for the operator already' in server.read_log(), 'the reason in the log')
            with Caller(server) as caller:
                self.reach(operator, caller, 'next')
                operator.types('q\n')
                caller.hears('q')

    def reach(self, operator, caller, text):
        """The operator sees what the caller says, and is asked for an answer: at once, or after a notice where the
        last talk has ended on the screen and not yet in the line."""
        caller.says(text)
        select.select([operator, caller.socket], [], [], PATIENCE_S)
        if select.select([caller.socket], [], [], 0)[0]:
            self.assertRegex(caller.socket.recv(1024).decode(), WAIT.replace('%d', r'\d+'))
            caller.says(text)
            operator.sees(text + '\n')
        operator.sees('%s\n%s> ' % (text, caller.name))

    @under(STRATEGIES, 'chat', TCP)
    def test_what_was_typed_before_a_talk_is_for_nobody(self, server, operator):
        operator.types('to nobody\n')
        with Caller(server) as caller:
            caller.says('hi')
            operator.sees('hi\n%s> ' % caller.name)
            operator.types('hello\n')
            caller.hears('hello')
        operator.sees('%s is gone\n' % caller.name)

    @under(CONCURRENT, 'chat', UDP)
    def test_datagrams_wait_silently_and_each_gets_its_own_answer(self, server, operator):
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(new_socket(server.address)) for _ in range(4)]
            for number, client in enumerate(clients):
                client.sendto(b'from %d' % number, server.address.name)
            for _ in clients:
                text, name = operator.sees_prompt()
                operator.types('to %s %s' % (name, text))
            for number, client in enumerate(clients):
                self.assertEqual(client.recvfrom(1024)[0].decode(),
                                 'to 127.0.0.1:%d from %d' % (client.getsockname()[1], number))

    @under(['serial', 'thread'], 'chat', UDP)
    def test_a_long_datagram_is_one_message_cut_as_the_text_does(self, server, operator):
        with new_socket(server.address) as client:
            for _ in range(2):
                client.sendto(b'x' * 3000, server.address.name)
                text, _ = operator.sees_prompt()
                self.assertEqual(text, 'x' * 1024 + '\n')
                operator.types('once\n')
                self.assertEqual(client.recvfrom(1024)[0], b'once')

    @under(STRATEGIES, 'chat', TCP, UNIX)
    def test_a_caller_that_vanishes_ends_its_talk_and_what_was_typed_for_it_is_dropped(self, server, operator):
        with Caller(server) as gone, Caller(server) as other:
            gone.says('hi')
            operator.sees('hi\n%s> ' % gone.name)
            operator.types('a secret for ')
            gone.vanishes()
            operator.sees('\n%s is gone\n' % gone.name)
            self.reach(operator, other, 'who is there')
            operator.types('me\n')
            other.hears('me')
        operator.sees('%s is gone\n' % other.name)

    @under(['thread', 'fork'], 'chat', TCP)
    def test_a_caller_that_vanishes_in_line_leaves_it(self, server, operator):
        with Caller(server) as a, Caller(server) as b, Caller(server) as c:
            a.says('hi')
            operator.sees('hi\n%s> ' % a.name)
            b.says('hi')
            b.hears(WAIT % 1)
            c.says('c')
            c.hears(WAIT % 2)
            b.vanishes()
            c.says('c again')
            operator.types('q\n')
            a.hears('q')
            operator.sees('c\nc again\n%s> ' % c.name)
            operator.types('q\n')
            c.hears('q')

    @under(['thread', 'prefork:2'], 'chat', TCP)
    def test_a_caller_that_ends_its_side_is_still_answered(self, server, operator):
        with Caller(server) as caller:
            caller.says('hi')
            caller.ends()
            operator.sees('hi\n%s> \n%s has ended its side and may be gone; it can still be answered\n%s> ' %
                          ((caller.name,) * 3))
            time.sleep(0.5)     # long enough to be told twice
            operator.types('here you are\n')
            caller.hears('here you are')
            caller.hears('')
            operator.sees('%s is gone\n' % caller.name)

    @under(['thread', 'prefork:2'], 'chat', TCP)
    def test_a_caller_that_closes_is_gone_after_the_answer(self, server, operator):
        with Caller(server) as caller:
            caller.says('hi')
        operator.sees('hi\n%s> \n%s has ended its side and may be gone; it can still be answered\n%s> ' %
                      ((caller.name,) * 3))
        operator.types('anyone?\n')
        operator.sees('%s is gone\n' % caller.name)

    @under(['fork', 'prefork:2'], 'chat', TCP)
    def test_a_process_that_is_killed_gives_the_terminal_back(self, server, operator):
        self.check_killed(server, operator)

    @under(['prefork:2+thread'], 'chat', TCP, options=['--accept=reuseport'])
    def test_a_process_that_is_killed_gives_the_places_of_all_its_threads_back(self, server, operator):
        self.check_killed(server, operator)

    def check_killed(self, server, operator):
        with contextlib.ExitStack() as stack:
            a = stack.enter_context(Caller(server))
            a.says('hi')
            operator.sees('hi\n%s> ' % a.name)
            b = self.call_another_process(stack, server, a)
            b.says('b again')
            os.kill(process_of(server, a), signal.SIGKILL)
            operator.sees('b\nb again\n%s> ' % b.name)
            operator.types('still here\n')
            b.hears('still here')
            b.ends()
            operator.sees('%s is gone\n' % b.name)
            b.hears('')

    def call_another_process(self, stack, server, a):
        """A caller that waits, in another process than a's; where each process serves many, chance decides which."""
        for before in range(1, TURNS_MAX):
            caller = stack.enter_context(Caller(server))
            caller.says('b')
            caller.hears(WAIT % before)
            if process_of(server, caller) != process_of(server, a):
                return caller
        raise AssertionError('one process serves all')

    @under(['fork', 'prefork:2'], 'chat', TCP)
    def test_a_process_that_is_killed_in_line_leaves_it(self, server, operator):
        with Caller(server) as a, Caller(server) as b, Caller(server) as c:
            a.says('hi')
            operator.sees('hi\n%s> ' % a.name)
            b.says('b')
            b.hears(WAIT % 1)
            pid = process_of(server, b)
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: not os.path.exists('/proc/%d' % pid), 'the killed process is reaped')
            c.says('c')
            c.hears(WAIT % 1)
            operator.types('q\n')
            a.hears('q')
            operator.sees('c\n')
            c.says('c again')
            operator.sees('c again\n%s> ' % c.name)
            operator.types('q\n')
            c.hears('q')

    def test_the_operator_types_ahead_through_a_pipe(self):
        for strategy in STRATEGIES:
            with self.subTest(strategy=strategy):
                with staffed('chat', strategy, TCP, stdin='pipe') as server:
                    server.operator.types('一\n二\nq\n三\nq')
                    server.close_ours(server.operator.keyboard)
                    self.assertEqual(chat_client(server.address, ['a', 'b', 'c']), ['一', '二'])
                    self.assertEqual(chat_client(server.address, ['d', 'e']), ['三'])
                    text, _ = server.operator.sees_prompt()
                    self.assertEqual(re.sub(r'\S+> ', '> ', text), 'a\n> b\n> c\n> d\n> e\n')

    @under(['thread', 'prefork:2'], 'chat', TCP, stdin='pipe')
    def test_the_rest_of_a_line_for_someone_who_is_gone_goes_to_nobody(self, server, operator):
        with Caller(server) as gone:
            gone.says('hi')
            operator.sees('hi\n%s> ' % gone.name)
            operator.types('a sec')
            wait_for(lambda: fcntl.ioctl(operator.keyboard, termios.FIONREAD, bytes(4)) == bytes(4), 'half a line read')
            gone.vanishes()
            operator.sees('\n%s is gone\n' % gone.name)
        with Caller(server) as other:
            self.reach(operator, other, 'hi')
            operator.types('ret\nfor you\n')
            other.hears('for you')
        operator.sees('%s is gone\n' % other.name)

    @under(['thread'], 'chat', TCP, stdin='pipe')
    def test_a_line_that_is_too_long_is_cut(self, server, operator):
        with Caller(server) as caller:
            caller.says('hi')
            operator.sees('hi\n%s> ' % caller.name)
            operator.types('x' * 5000 + '\nq\n')
            operator.sees('a long line: its first 4096 bytes are sent\n')
            heard = b''
            while len(heard) < 4096:
                heard += caller.socket.recv(4096)
            self.assertEqual(heard, b'x' * 4096)
            caller.says('more')
            operator.sees('more\n%s> ' % caller.name)
            caller.hears('q')

    def check_nobody_answers(self, server):
        sentence = 'the operator is gone: standard input has ended; start the server in a terminal'
        for _ in range(2):
            with Caller(server) as caller:
                caller.says('hi')
                server.operator.sees('hi\n%s> ' % caller.name)
                caller.hears('')
        with Caller(server) as one, Caller(server) as two:
            for caller in one, two:
                caller.says('hi')
                caller.ends()
            self.assertIn(b'', [recv_to_end(caller.socket) for caller in (one, two)])
        wait_for(lambda: server.read_log().count(sentence) >= 3, sentence)
        server.close_ours(server.operator.screen)

    def test_without_an_operator_the_caller_is_closed_and_the_log_says_why(self):
        for strategy in STRATEGIES:
            for stdin, shell in ('null', ()), ('ended', ()), ('closed', ('sh', '-c', 'exec "$@" <&-', 'sh')):
                with self.subTest(strategy=strategy, stdin=stdin):
                    with staffed('chat', strategy, TCP, stdin=stdin, shell=shell) as server:
                        if stdin == 'ended':
                            server.close_ours(server.operator.keyboard)
                        self.check_nobody_answers(server)

    def test_a_server_in_the_background_says_so_instead_of_being_stopped(self):
        shell = ('sh', '-c', 'set -m; "$@" & wait', 'sh', *following())
        for strategy in ('serial', 'thread', 'fork', 'prefork:2'):
            with self.subTest(strategy=strategy):
                with staffed('chat', strategy, TCP, shell=shell) as server:
                    server.operator.types('for the shell\n')
                    with Caller(server) as caller:
                        caller.says('hi')
                        server.operator.sees('hi\n%s> ' % caller.name)
                        caller.hears('')
                    self.assertIn('the server runs in the background of its terminal', server.read_log())

    @under(STRATEGIES, 'chat', TCP, options=['--drain-timeout=0.2'], ends='alone')
    def test_control_c_ends_the_server_while_callers_wait(self, server, operator):
        with Caller(server) as a, Caller(server) as b:
            a.says('hi')
            operator.sees('hi\n%s> ' % a.name)
            b.says('hi')
            operator.types('\x03')
            a.hears('')
            server.process.wait(PATIENCE_S)
        server.close_ours(operator.screen)

    @under(['thread', 'prefork:2'], 'chat', TCP, options=['-o', 'frame=u32'])
    def test_messages_are_framed_when_asked(self, server, operator):
        def frame(text):
            return struct.pack('!I', len(text.encode())) + text.encode()
        with Caller(server) as caller:
            for message, line in ('你好', '很好'), ('', 'q'):
                caller.socket.sendall(frame(message))
                operator.sees('%s\n%s> ' % (message, caller.name))
                operator.types(line + '\n')
                self.assertEqual(caller.socket.recv(1024), frame(line))
            caller.hears('')


class Print(unittest.TestCase):
    @under(STRATEGIES, 'print', TCP, UNIX, stdin='null')
    def test_row_8_a_note_is_printed_and_nothing_answered(self, server, operator):
        for text in ('今天下了一天的雨', 'one\ntwo\tthree', 'with a newline\n'):
            note_client(server.address, text)
            operator.sees(text.rstrip('\n') + '\n')
        with dial(server.address) as client:
            client.sendall('还在下'.encode())
            self.assertEqual(recv_to_end(client), b'')
        operator.sees('还在下\n')

    def test_row_8_the_server_prints_one_note_and_ends(self):
        for strategy in STRATEGIES:
            with self.subTest(strategy=strategy):
                with staffed('print', strategy, TCP, stdin='null', options=['--once'], ends='alone') as server:
                    note_client(server.address, '今天下了一天的雨')
                    server.operator.sees('今天下了一天的雨\n')

    def check_datagram(self, server, operator):
        with new_socket(server.address) as sk:
            sk.sendto('今天天气咋样啊?'.encode(), server.address.name)
            msg, _ = sk.recvfrom(1024)
            self.assertEqual(msg.decode(), '下了一天的雨')
            name = sk.getsockname()
            name = '127.0.0.1:%d' % name[1] if isinstance(name, tuple) else '@' + name[1:].decode()
            operator.sees('今天天气咋样啊?\n%s\n' % name)

    @under(STRATEGIES, 'print', UDP, UNIXGRAM, stdin='null')
    def test_row_14_a_datagram_is_printed_with_its_sender_and_answered(self, server, operator):
        for _ in range(2):
            self.check_datagram(server, operator)

    def test_row_14_one_datagram_and_the_server_ends(self):
        for strategy in STRATEGIES:
            with self.subTest(strategy=strategy):
                with staffed('print', strategy, UDP, stdin='null', options=['--once'], ends='alone') as server:
                    self.check_datagram(server, server.operator)

    @under(['thread'], 'print', UDP, stdin='null', options=['-o', 'reply=收到'])
    def test_the_reply_can_be_chosen(self, server, operator):
        with new_socket(server.address) as sk:
            sk.sendto(b'', server.address.name)
            self.assertEqual(sk.recvfrom(1024)[0].decode(), '收到')
            operator.sees('\n127.0.0.1:%d\n' % sk.getsockname()[1])

    @under(['thread'], 'print', UNIXGRAM, stdin='null')
    def test_a_sender_without_a_name_is_printed_and_not_answered(self, server, operator):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sk:
            sk.sendto(b'who am I', server.address.name)
            operator.sees('who am I\nunix peer\n')
        self.assertEqual(server.read_log(), '')

    @under(['serial'], 'print', UDP, stdin='null', options=['-o', 'reply='])
    def test_an_empty_reply_is_none(self, server, operator):
        """When the second is printed, the first has had all it gets."""
        with new_socket(server.address) as sk:
            for text in '一', '二':
                sk.sendto(text.encode(), server.address.name)
                operator.sees('%s\n127.0.0.1:%d\n' % (text, sk.getsockname()[1]))
            sk.setblocking(False)
            self.assertRaises(BlockingIOError, sk.recv, 1024)

    @under(['thread'], 'print', UNIXGRAM, stdin='null', options=['-o', 'reply='])
    def test_control_characters_are_made_harmless_in_text_and_name(self, server, operator):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sk:
            sk.bind('\0\x1b[2J')
            sk.sendto('\x1b]0;x\x07\x00\x9b\r\nb\r\n'.encode(), server.address.name)
            operator.sees('.]0;x.....\nb\n@.[2J\n')

    @under(CONCURRENT, 'print', TCP, stdin='null')
    def test_lines_printed_at_once_do_not_mix(self, server, operator):
        notes = [chr(ord('a') + n % 26) * 900 + str(n) for n in range(40)]
        with concurrent.futures.ThreadPoolExecutor(8) as executor:
            list(executor.map(functools.partial(note_client, server.address), notes))
        deadline = time.monotonic() + PATIENCE_S
        while operator.seen.count(b'\n') < len(notes):
            operator.look(deadline)
        self.assertEqual(sorted(operator.seen.decode().splitlines()), sorted(notes))
        operator.seen = b''

    @under(['serial', 'thread', 'fork', 'prefork:2'], 'print', TCP, stdin='null')
    def test_a_standard_output_that_nobody_reads_is_an_error_in_the_log(self, server, operator):
        server.close_ours(operator.screen)
        for _ in range(2):
            with dial(server.address) as client:
                client.sendall(b'lost')
                self.assertEqual(recv_to_end(client), b'')
        self.assertEqual(server.read_log().count('cannot write to standard output: Broken pipe'), 2)


class Sticky(unittest.TestCase):
    FIRST, SECOND = '下了一天的雨'.encode(), '适合发呆'.encode()
    FRAMES = {
        'none': lambda message: message,
        'text2': lambda message: b'%02d' % len(message) + message,
        'text8': lambda message: b'%08d' % len(message) + message,
        'i32': lambda message: struct.pack('i', len(message)) + message,
        'u32': lambda message: struct.pack('!I', len(message)) + message,
        'line': lambda message: message + b'\n',
        'netstring': lambda message: b'%d:%s,' % (len(message), message),
    }

    def test_rows_10_to_13_the_bytes_are_the_texts(self):
        for strategy in STRATEGIES:
            for name, frame in self.FRAMES.items() if strategy == 'thread' else ():
                for every in (False, True):
                    with self.subTest(strategy=strategy, frame=name, every=every):
                        options = ['-o', 'frame=' + name, *(['-o', 'all=yes'] if every else [])]
                        with serving('sticky', strategy, TCP, options=options) as server:
                            with dial(server.address) as client:
                                self.assertEqual(recv_to_end(client),
                                                 frame(self.FIRST) + (frame(self.SECOND) if every else self.SECOND))

    def test_row_11_is_18_and_row_12_is_00000018(self):
        self.assertEqual(self.FRAMES['text2'](self.FIRST)[:2], b'18')
        self.assertEqual(self.FRAMES['text8'](self.FIRST)[:8], b'00000018')

    @seeds_test.under(STRATEGIES, 'sticky', TCP, UNIX, options=['-o', 'frame=i32'])
    def test_row_13_under_every_strategy(self, server):
        with dial(server.address) as client:
            size, = struct.unpack('i', client.recv(4))
            self.assertEqual(client.recv(size, socket.MSG_WAITALL), self.FIRST)
            self.assertEqual(recv_to_end(client), self.SECOND)

    @seeds_test.under(['thread'], 'sticky', TCP, options=['-o', 'frame=ready', '-o', 'all=yes'])
    def test_each_message_waits_for_ready(self, server):
        with dial(server.address) as client:
            for message in (self.FIRST, self.SECOND):
                self.assertEqual(client.recv(1024), b'%d' % len(message))
                client.sendall(b'ready')
                self.assertEqual(client.recv(len(message), socket.MSG_WAITALL), message)
            self.assertEqual(client.recv(1024), b'')

    def test_sticky_is_not_for_datagrams(self):
        result = subprocess.run([seeds_test.switchboard, 'serve', 'sticky', UDP], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE_S)
        self.assertEqual((result.returncode, result.stdout), (2, b''))
        self.assertIn(b'it needs a connection', result.stderr)


class Talk(unittest.TestCase):
    ANSWER = b'Are you want to talk to me'
    LINE = r'(?m)^switchboard: AT (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.\d{6} %s Said %s$'

    def check(self, server, client, name, question, logged):
        before = int(time.time() - seeds_test.TICK_S)
        if client.type == socket.SOCK_DGRAM:
            client.sendto(question, server.address.name)
        else:
            client.sendall(question)
        self.assertEqual(client.recv(1000), self.ANSWER)
        match = re.search(self.LINE % (re.escape(name), re.escape(logged)), server.read_log())
        self.assertTrue(match, server.read_log())
        said = time.mktime(time.strptime(match[1], '%Y-%m-%d %H:%M:%S'))
        self.assertTrue(before <= said <= time.time(), match[1])

    @seeds_test.under(STRATEGIES, 'talk', TCP)
    def test_row_6_a_question_is_logged_and_answered_once(self, server):
        for question in ('Hey~~~', '你好吗', 'with a newline\n'):
            with dial(server.address) as client:
                self.check(server, client, '%s:%d' % client.getsockname(), question.encode(), question.rstrip())
                self.assertEqual(client.recv(1000), b'')

    @seeds_test.under(STRATEGIES, 'talk', UDP)
    def test_a_datagram_is_a_question_too(self, server):
        with new_socket(server.address) as client:
            client.bind(('127.0.0.1', 0))
            self.check(server, client, '127.0.0.1:%d' % client.getsockname()[1], '你好吗'.encode(), '你好吗')

    @seeds_test.under(['thread'], 'talk', TCP)
    def test_a_question_cannot_forge_a_line_of_the_log(self, server):
        with dial(server.address) as client:
            self.check(server, client, '%s:%d' % client.getsockname(), 'a\nswitchboard: AT\x1b\t\x00\x9b'.encode(),
                       'a.switchboard: AT.....')

    @seeds_test.under(['thread'], 'talk', UNIX)
    def test_nor_can_a_name(self, server):
        with new_socket(server.address) as client:
            client.bind('\0\n\x1b[2J')
            client.connect(server.address.name)
            self.check(server, client, '@..[2J', b'hi', 'hi')

    @seeds_test.under(['thread'], 'talk', TCP)
    def test_1000_bytes_are_heard(self, server):
        with dial(server.address) as client:
            self.check(server, client, '%s:%d' % client.getsockname(), b'x' * 1000, 'x' * 1000)

    @seeds_test.under(['thread'], 'talk', TCP)
    def test_a_caller_that_says_nothing_gets_no_answer(self, server):
        with dial(server.address) as client:
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(recv_to_end(client), b'')
        self.assertEqual(server.read_log(), '')

    @seeds_test.under(['thread'], 'talk', TCP, options=['-o', 'frame=netstring'])
    def test_question_and_answer_can_be_framed(self, server):
        with dial(server.address) as client:
            client.sendall(b'6:Hey~~~,')
            self.assertEqual(recv_to_end(client), b'26:%s,' % self.ANSWER)


def main():
    if len(sys.argv) < 2:
        sys.exit('operator_test.py: name the switchboard program to test: '
                 'operator_test.py SWITCHBOARD [UNITTEST-OPTION]...')
    seeds_test.switchboard = os.path.abspath(sys.argv.pop(1))
    unittest.main()


if __name__ == '__main__':
    main()
