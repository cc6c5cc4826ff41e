#!/usr/bin/env python3
"""The handler `shell`: the texts' remote commands, and commands and callers that mean it ill.

Usage: python3 shell_test.py SWITCHBOARD [UNITTEST-OPTION]...
"""
import contextlib
import os
import shlex
import signal
import socket
import struct
import subprocess
import time
import unittest
from unittest import mock

import seeds_test
from seeds_test import (CONCURRENT, PATIENCE_S, STRATEGIES, TCP, TICK_S, UNIX, Server, dial, recv_to_end, serving,
                        temporary_folder, under)

SUCCESS = '操作成功'
NETSTRING = ['-o', 'frame=netstring', '-o', 'timeout=1000']     # only what a test is about may end a command
LIMITED = NETSTRING + ['-o', 'timeout=1']
TOO_LONG = '[killed: it ran longer than 1 s]\n'
RUNNING = 'RSDTtI'      # or asleep, or stopped; no zombie


# What is there of a server's processes. `serve` runs in a session of its own, and so do its commands.

def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, 'not within %d s: %s' % (PATIENCE_S, what)
        time.sleep(TICK_S / 5)


def read_processes(states=RUNNING):
    """pid, process group and session of everybody who is in one of the states (proc(5))."""
    for name in filter(str.isdigit, os.listdir('/proc')):
        with contextlib.suppress(OSError), open('/proc/%s/stat' % name, encoding='utf-8', errors='replace') as file:
            state, _, group, session = file.read().rpartition(')')[2].split()[:4]
            if state in states:
                yield int(name), int(group), int(session)


def server_processes(server, states=RUNNING):
    return [pid for pid, group, _ in read_processes(states) if group == server.process.pid]


def command_processes(server):
    return [pid for pid, group, session in read_processes()
            if session == server.process.pid and group != session]


def is_running(pid):
    return pid in (process for process, _, _ in read_processes())


def wait_until_no_command_is_left(server):
    wait_until(lambda: not command_processes(server), 'every command is gone')


def count_descriptors(server):
    count = 0
    for pid in server_processes(server):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            count += len(os.listdir('/proc/%d/fd' % pid))
    return count


def read_status(server):
    """`switchboard status`: its totals, and the state of each worker."""
    command = [seeds_test.switchboard, 'status', str(server.process.pid)]
    totals, _, *rows = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True,
                                      timeout=PATIENCE_S).stdout.splitlines()
    states = [row.split()[2] for row in rows]
    return dict(item.split('=') for item in totals.split()), [state for state in states if state != 'dead']


def is_idle(server):
    """All workers wait, and so does the parent that has started them."""
    totals, states = read_status(server)
    workers = 2 if totals['strategy'].startswith('pre') else 1
    return states == ['waiting'] * workers and not server_processes(server, 'RD')


@contextlib.contextmanager
def switchboard_with(redirections):
    """The command as a shell starts it, with a secret in the environment."""
    with temporary_folder() as folder:
        with open(os.path.join(folder, 'switchboard'), 'w', encoding='utf-8') as script:
            os.fchmod(script.fileno(), 0o700)
            program = shlex.quote(seeds_test.switchboard)
            script.write('#!/bin/sh\nexport SECRET=secret\nexec %s "$@" %s\n' % (program, redirections))
        with mock.patch.object(seeds_test, 'switchboard', script.name):
            yield


@contextlib.contextmanager
def leaving_no_descriptor(server):
    """Around whole connections."""
    wait_until(lambda: is_idle(server), 'the server is ready')
    before = count_descriptors(server)
    yield
    wait_until(lambda: count_descriptors(server) == before, 'as many descriptors as before')


# Callers.

def hang_up_rudely(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    client.close()


def send_netstring(client, message):
    client.sendall(b'%d:%s,' % (len(message), message))


def recv_netstring(client):
    digits = b''
    while not digits.endswith(b':'):
        digits += recv_no_more(client, 1)
    data = recv_no_more(client, int(digits[:-1]) + 1)
    assert data.endswith(b','), data[-20:]
    return data[:-1]


def recv_no_more(client, size):
    data = bytearray()
    while len(data) < size:
        more = client.recv(min(size - len(data), 65536))
        assert more, 'closed after %d of %d bytes' % (len(data), size)
        data += more
    return bytes(data)


def ask(client, command):
    send_netstring(client, command.encode())
    return recv_netstring(client).decode()


def ask_once(server, command):
    with dial(server.address) as client:
        return ask(client, command)


def ask_until(client, command, answer):
    """In a second not even a shell may have started, on a machine that is busy: then the command is given again."""
    while (heard := ask(client, command)) == TOO_LONG != answer:
        pass
    assert heard == answer, heard


def recv_close(client):
    """What comes until the server closes; a reset is a close with something unread."""
    data = b''
    with contextlib.suppress(ConnectionResetError):
        while more := client.recv(1024):
            data += more
    return data


def start_command(server, client, rest, send=send_netstring):
    """Has a command running that has written its pid; returns that."""
    path = os.path.join(server.folder, 'pid')
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    send(client, ('echo $$ >%s.new; mv %s.new %s; %s' % (path, path, path, rest)).encode())
    wait_until(lambda: os.path.exists(path), 'the command runs')
    with open(path, encoding='ascii') as file:
        return int(file.read())


# The client programs of text 004. The texts give the command to Popen(shell=True) at the other end.

def remote_naive(client, command):
    client.send(command.encode('utf-8'))
    cmd_res = client.recv(1024)
    return cmd_res.decode('utf-8')


def remote_ready(client, command):
    client.send(command.encode('utf-8'))
    length = client.recv(1024)
    client.send(b'ready')
    length = int(length.decode('utf-8'))
    recv_msg = b''
    recv_size = 0
    while recv_size < length:
        recv_msg += client.recv(1024)
        recv_size = len(recv_msg)
    return recv_msg.decode('utf-8')


def remote_struct(client, command):
    """The text reads to the end of the connection here, which never comes; it means the length."""
    client.send(command.encode('utf-8'))
    length_data = client.recv(4)
    length = struct.unpack('i', length_data)[0]
    recv_msg = b''
    while len(recv_msg) < length:
        recv_msg += client.recv(1024)
    return recv_msg.decode('utf-8')


class SourceTexts(unittest.TestCase):
    def check_commands(self, server, remote):
        for _ in range(2):
            with dial(server.address) as client:
                for command, answer in (('echo hello', 'hello\n'), ('printf 你好', '你好'), ('true', SUCCESS),
                                        ('echo hidden; echo 错误 >&2', '错误\n'), ('exit 3', SUCCESS),
                                        ('echo one; echo two', 'one\ntwo\n')):
                    self.assertEqual(remote(client, command), answer)
                self.assertIn('not found', remote(client, 'no-such-command'))

    @under(STRATEGIES, 'shell', TCP, UNIX)
    def test_row_18_a_command_is_answered_by_what_it_says(self, server):
        self.check_commands(server, remote_naive)

    @under(STRATEGIES, 'shell', TCP)
    def test_row_18_the_rest_of_a_long_answer_sticks_to_the_next(self, server):
        first = ''.join('line %05d\n' % number for number in range(300))
        with dial(server.address) as client:
            client.send(b'i=0; while [ $i -lt 300 ]; do printf "line %05d\\n" $i; i=$((i + 1)); done')
            self.wait_for_bytes(client, len(first))
            self.assertEqual(client.recv(1024).decode(), first[:1024])
            self.assertEqual(remote_naive(client, 'echo second'), first[1024:2048])

    def wait_for_bytes(self, client, count):
        wait_until(lambda: len(client.recv(2 * count, socket.MSG_PEEK)) >= count, '%d bytes are there' % count)

    @under(STRATEGIES, 'shell', TCP, options=['-o', 'frame=ready'])
    def test_row_19_the_length_and_ready_cure_it(self, server):
        self.check_commands(server, remote_ready)
        self.check_long_answer(server, remote_ready)

    @under(STRATEGIES, 'shell', TCP, options=['-o', 'frame=i32'])
    def test_row_20_the_length_as_a_struct_cures_it(self, server):
        self.check_commands(server, remote_struct)
        self.check_long_answer(server, remote_struct)

    def check_long_answer(self, server, remote):
        with dial(server.address) as client:
            self.assertEqual(remote(client, 'seq 2000'), ''.join('%d\n' % number for number in range(1, 2001)))
            self.assertEqual(remote(client, 'echo second'), 'second\n')


class Commands(unittest.TestCase):
    @under(STRATEGIES, 'shell', TCP, options=NETSTRING)
    def test_much_on_both_streams_does_not_deadlock(self, server):
        out, err = "head -c 1000000 /dev/zero | tr '\\0' o", "head -c 1000000 /dev/zero | tr '\\0' e >&2"
        with leaving_no_descriptor(server), dial(server.address) as client:
            for command in ('%s; %s' % (out, err), '%s; %s' % (err, out), '%s & %s; wait' % (out, err)):
                self.assertEqual(ask(client, command), 'e' * 1000000)
            self.assertEqual(ask(client, 'echo still here'), 'still here\n')

    @under(STRATEGIES, 'shell', TCP, options=NETSTRING)
    def test_a_command_that_prints_forever_ends_at_the_output_limit(self, server):
        with leaving_no_descriptor(server), dial(server.address) as client:
            self.assertEqual(ask(client, 'yes'), 'y\n' * 524288 + '[killed: more than 1048576 bytes of output]\n')
            wait_until_no_command_is_left(server)
            self.assertTrue(ask(client, 'yes >&2 & yes').endswith('y\n[killed: more than 1048576 bytes of output]\n'))

    @under(STRATEGIES, 'shell', TCP, options=NETSTRING + ['-o', 'output=3'])
    def test_the_output_limit_is_exact(self, server):
        with dial(server.address) as client:
            self.assertEqual(ask(client, 'printf abc'), 'abc')
            self.assertEqual(ask(client, 'printf abcd'), 'abc\n[killed: more than 3 bytes of output]\n')

    @under(STRATEGIES, 'shell', TCP, options=LIMITED)
    def test_a_command_ends_at_the_time_limit_whatever_it_ignores(self, server):
        with leaving_no_descriptor(server), dial(server.address) as client:
            ask_until(client, "trap '' TERM INT HUP; echo hi; sleep 1000", 'hi\n' + TOO_LONG)
            wait_until_no_command_is_left(server)
            ask_until(client, 'echo next', 'next\n')

    @under(('serial', 'thread'), 'shell', TCP, options=LIMITED + ['-o', 'output=1073741824'])
    def test_the_time_limit_holds_for_a_command_that_never_stops_printing(self, server):
        with dial(server.address) as client:
            send_netstring(client, b'while :; do echo x; done')
            self.assertTrue(recv_netstring(client).endswith(b'x\n' + TOO_LONG.encode()))

    @under(('thread', 'fork'), 'shell', TCP, options=LIMITED)
    def test_nothing_said_before_the_limit_is_no_success(self, server):
        self.assertEqual(ask_once(server, 'sleep 1000'), TOO_LONG)

    @under(STRATEGIES, 'shell', TCP, options=NETSTRING)
    def test_what_runs_in_the_background_dies_with_the_command(self, server):
        with leaving_no_descriptor(server), dial(server.address) as client:
            for _ in range(3):
                self.assertTrue(ask(client, 'sleep 1000 & (sleep 1000 &) & echo $!').strip().isdigit())
                wait_until_no_command_is_left(server)

    @under(STRATEGIES, 'shell', TCP, options=NETSTRING)
    def test_no_zombie_is_left(self, server):
        with dial(server.address) as client:
            for command in ('true', 'kill -KILL $$', 'kill 0'):
                ask(client, command)
                self.assertNotIn(server.process.pid, [session for _, _, session in read_processes(states='Z')])

    @under(STRATEGIES, 'shell', TCP, options=NETSTRING)
    def test_what_left_the_group_does_not_keep_anybody_waiting(self, server):
        path = os.path.join(server.folder, 'escaped')
        with dial(server.address) as client:
            answer = ask(client, "setsid sh -c 'echo $$ >%s.new; mv %s.new %s; exec sleep 1000' & "
                         "until [ -s %s ]; do sleep 0.01; done; cat %s" % (path, path, path, path, path))
            pid = int(answer)
            try:
                self.assertTrue(is_running(pid))
                self.assertEqual(ask(client, 'echo next'), 'next\n')
            finally:
                os.kill(pid, signal.SIGKILL)
            os.unlink(path)

    @under(STRATEGIES, 'shell', TCP, options=LIMITED)
    def test_a_shell_that_has_left_its_group_is_killed_as_well(self, server):
        with dial(server.address) as client:
            self.assertEqual(ask(client, 'exec setsid sleep 1000'), TOO_LONG)
            ask_until(client, 'echo next', 'next\n')

    def test_commands_run_where_the_server_was_started_with_children_ignored(self):
        command = ['sh', '-c', 'trap "" CHLD; exec "$@"', 'sh']
        for strategy in STRATEGIES:
            with self.subTest(strategy=strategy), serving('shell', strategy, TCP, options=NETSTRING,
                                                          through=command) as server:
                self.assertEqual(ask_once(server, 'echo hi'), 'hi\n')

    @under(STRATEGIES, 'shell', TCP, options=NETSTRING)
    def test_standard_input_is_empty(self, server):
        self.assertEqual(ask_once(server, 'cat'), SUCCESS)

    @under(STRATEGIES, 'shell', TCP, options=NETSTRING)
    def test_any_bytes_but_nul_are_a_command(self, server):
        with dial(server.address) as client:
            send_netstring(client, b'printf %s \xff\xfe\xe4')
            self.assertEqual(recv_netstring(client), b'\xff\xfe\xe4')
            self.assertEqual(ask(client, ''), SUCCESS)
            self.assertEqual(ask(client, '# no more than a comment\n'), SUCCESS)
            self.assertIn('not found', ask(client, '-c'))
            send_netstring(client, b'echo a\0; echo b')
            self.assertEqual(recv_close(client), b'')
        self.assertIn('a command line cannot have a NUL byte', server.read_log())

    def test_nothing_is_inherited(self):
        """Neither the environment, nor descriptors (the server itself has one from its shell), nor signals."""
        for strategy in STRATEGIES:
            with self.subTest(strategy=strategy), switchboard_with('9</dev/null'), \
                    serving('shell', strategy, TCP, options=NETSTRING) as server, dial(server.address) as client:
                self.check_inheritance(client)

    def check_inheritance(self, client):
        environment = dict(line.split('=', 1) for line in ask(client, 'env').splitlines())
        for own in ('PWD', 'OLDPWD', 'SHLVL', '_'):     # what a shell adds
            environment.pop(own, None)
        self.assertEqual(environment, {'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
                                       'LANG': 'C.UTF-8', 'HOME': '/'})
        self.assertEqual(ask(client, 'ls /proc/self/fd').split(), ['0', '1', '2', '3'])     # 3 is its own
        blocked, ignored = ask(client, "sed -n 's/^Sig\\(Blk\\|Ign\\).*\t//p' /proc/self/status").split()
        glibc_s_own = 3 << 31       # signals 32 and 33: its posix_spawn() always leaves them ignored
        self.assertEqual((int(blocked, 16), int(ignored, 16) & ~glibc_s_own), (0, 0))
        self.assertEqual(ask(client, 'readlink /proc/self/fd/0'), '/dev/null\n')

    def test_a_server_with_closed_standard_descriptors_runs_commands_too(self):
        with switchboard_with('<&- 2>&-'), serving('shell', 'thread', TCP, options=NETSTRING) as server, \
                dial(server.address) as client:
            self.assertEqual(ask(client, 'cat; echo out; echo err >&2'), 'err\n')
            self.assertEqual(ask(client, 'ls /proc/self/fd').split(), ['0', '1', '2', '3'])

    @under(CONCURRENT, 'shell', TCP, options=NETSTRING)
    def test_a_slow_command_does_not_keep_others_waiting(self, server):
        fifo = os.path.join(server.folder, 'fifo')
        os.mkfifo(fifo)
        with dial(server.address) as slow:
            start_command(server, slow, 'cat ' + fifo)
            for _ in range(3):
                self.assertEqual(ask_once(server, 'echo quick'), 'quick\n')
            with open(fifo, 'w', encoding='ascii') as file:
                file.write('at last\n')
            self.assertEqual(recv_netstring(slow), b'at last\n')

    @under(('thread', 'pool:8', 'prefork:2+thread'), 'shell', TCP, options=NETSTRING)
    def test_many_commands_run_at_once(self, server):
        with leaving_no_descriptor(server), contextlib.ExitStack() as stack:
            clients = [stack.enter_context(dial(server.address)) for _ in range(8)]
            for round_number in range(5):
                for number, client in enumerate(clients):
                    send_netstring(client, b'sleep 1000 & echo %d in %d' % (number, round_number))
                for number, client in enumerate(clients):
                    self.assertEqual(recv_netstring(client), b'%d in %d\n' % (number, round_number))
        wait_until_no_command_is_left(server)

    @under(STRATEGIES, 'shell', TCP, options=['-v'])
    def test_the_log_tells_each_command_in_one_line(self, server):
        with dial(server.address) as client:
            self.assertEqual(remote_naive(client, 'echo one\necho two'), 'one\ntwo\n')
        self.assertRegex(server.read_log(), r'127\.0\.0\.1:\d+: command \d+ ended: 8 bytes of stdout, 0 of stderr\n')


class Callers(unittest.TestCase):
    @under(STRATEGIES, 'shell', TCP, options=NETSTRING)
    def test_a_reset_kills_the_command(self, server):
        with leaving_no_descriptor(server):
            client = dial(server.address)
            pid = start_command(server, client, 'sleep 1000 & sleep 1000')
            hang_up_rudely(client)
            wait_until_no_command_is_left(server)
            self.assertFalse(is_running(pid))
        wait_until(lambda: 'the caller hung up while its command ran' in server.read_log(), 'the log says so')
        self.assertEqual(ask_once(server, 'echo next'), 'next\n')

    @under(STRATEGIES, 'shell', UNIX, options=NETSTRING)
    def test_closing_a_unix_socket_kills_the_command(self, server):
        with leaving_no_descriptor(server):
            with dial(server.address) as client:
                start_command(server, client, 'sleep 1000')
            wait_until_no_command_is_left(server)

    @under(STRATEGIES, 'shell', TCP, options=NETSTRING + ['-o', 'grace=100'])
    def test_closing_a_connection_kills_the_command_after_the_grace(self, server):
        with leaving_no_descriptor(server):
            with dial(server.address) as client:
                start_command(server, client, 'sleep 1000')
            wait_until_no_command_is_left(server)
        self.assertEqual(ask_once(server, 'echo next'), 'next\n')

    @under(STRATEGIES, 'shell', TCP, UNIX, options=NETSTRING + ['-o', 'grace=100000'])
    def test_a_half_close_still_gets_its_answers(self, server):
        fifo = os.path.join(server.folder, 'fifo')
        os.mkfifo(fifo)
        with dial(server.address) as client:
            start_command(server, client, 'cat ' + fifo)
            send_netstring(client, b'echo pipelined')
            client.shutdown(socket.SHUT_WR)
            with open(fifo, 'w', encoding='ascii') as file:
                file.write('done\n')
            self.assertEqual(recv_to_end(client), b'5:done\n,10:pipelined\n,')

    @under(STRATEGIES, 'shell', TCP, UNIX, options=NETSTRING + ['-o', 'grace=100'])
    def test_a_half_close_is_told_when_the_grace_was_too_short(self, server):
        with dial(server.address) as client:
            start_command(server, client, 'sleep 1000', send=lambda client, command: send_netstring(
                client, b'echo begun; ' + command))
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(recv_netstring(client), b'begun\n[killed: its caller ended 100 ms ago; -o grace=MS allows more]\n')
            self.assertEqual(recv_to_end(client), b'')

    @under(STRATEGIES, 'shell', TCP, options=NETSTRING)
    def test_what_is_said_while_a_command_runs_is_the_next_command(self, server):
        with dial(server.address) as client:
            for number in range(20):
                send_netstring(client, b'echo %d' % number)
            for number in range(20):
                self.assertEqual(recv_netstring(client), b'%d\n' % number)

    @under(STRATEGIES, 'shell', TCP, options=NETSTRING)
    def test_one_byte_at_a_time_is_a_command_too(self, server):
        with dial(server.address) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in b'10:echo hello,':
                client.sendall(bytes([byte]))
            self.assertEqual(recv_netstring(client), b'hello\n')

    def test_bad_frames_end_the_talk_and_nothing_else(self):
        for frame, data, why in (
                ('u32', struct.pack('>I', 2 ** 31 - 1), 'a message of 2147483647 bytes'),
                ('u32', struct.pack('>I', 2 ** 32 - 1), 'a message of 4294967295 bytes'),
                ('i32/i32', struct.pack('i', -1), 'a negative length, -1'),
                ('netstring', b'99x', "a length that is no number: '99x'"),
                ('netstring', b'-1:', "a length that is no number: '-'"),
                ('netstring', b'1025:', 'a message of 1025 bytes'),
                ('netstring', b'4:true;', 'no comma behind a message')):
            for strategy in STRATEGIES:
                with self.subTest(frame=frame, data=data, strategy=strategy), \
                        serving('shell', strategy, TCP, options=['-o', 'frame=' + frame]) as server:
                    self.check_bad_frame(server, data, why)

    def check_bad_frame(self, server, data, why):
        with leaving_no_descriptor(server):
            with dial(server.address) as client:
                client.sendall(data)
                self.assertEqual(recv_close(client), b'')
            self.assertIn(why, server.read_log())

    @under(STRATEGIES, 'shell', TCP, UNIX, options=NETSTRING)
    def test_a_frame_cut_off_in_the_middle_runs_nothing(self, server):
        path = os.path.join(server.folder, 'must-not-exist')
        with dial(server.address) as client:
            command = b'touch ' + path.encode()
            client.sendall(b'%d:%s' % (len(command), command))
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(recv_close(client), b'')
        self.assertIn('in the middle of a message', server.read_log())
        self.assertFalse(os.path.exists(path))


class Servers(unittest.TestCase):
    def test_a_stop_ends_what_runs_when_the_drain_is_over(self):
        for strategy in STRATEGIES:
            with self.subTest(strategy=strategy):
                options = NETSTRING + ['--drain-timeout=0.2']
                with serving('shell', strategy, TCP, options=options) as server:
                    client = dial(server.address)
                    self.addCleanup(client.close)
                    start_command(server, client, 'sleep 1000 & sleep 1000')
                wait_until_no_command_is_left(server)

    def test_a_stop_waits_for_a_command_within_the_drain(self):
        for strategy in STRATEGIES:
            with self.subTest(strategy=strategy):
                options = NETSTRING + ['--drain-timeout=1000']
                with serving('shell', strategy, TCP, options=options, ends='alone') as server:
                    fifo = os.path.join(server.folder, 'fifo')
                    os.mkfifo(fifo)
                    with dial(server.address) as client:
                        start_command(server, client, 'cat ' + fifo)
                        server.process.send_signal(signal.SIGTERM)
                        with open(fifo, 'w', encoding='ascii') as file:
                            file.write('done\n')
                        self.assertEqual(recv_netstring(client), b'done\n')

    def test_commands_do_not_outlive_a_server_that_is_killed(self):
        for strategy in STRATEGIES:
            with self.subTest(strategy=strategy), temporary_folder() as folder:
                server = Server(folder, 'shell', strategy, TCP, options=NETSTRING)
                self.addCleanup(server.close)
                try:
                    with dial(server.address) as client:
                        start_command(server, client, "trap '' TERM; sleep 1000 & sleep 1000")
                        server.process.kill()
                        server.process.wait(PATIENCE_S)
                        wait_until_no_command_is_left(server)
                except BaseException:
                    server.kill()
                    raise

    def refuse(self, *arguments):
        command = [seeds_test.switchboard, 'serve', *arguments]
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S, text=True)
        self.assertEqual((result.returncode, result.stdout), (2, ''), result.stderr)
        return result.stderr

    def strangers_addresses(self):
        yield 'tcp://0.0.0.0:0'
        if socket.has_ipv6:
            yield 'tcp://[::]:0'
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
            probe.connect(('192.0.2.1', 9))     # sends nothing; says which address of ours it would come from
            yield 'tcp://%s:0' % probe.getsockname()[0]

    def test_strangers_are_refused_even_by_force(self):
        for address in self.strangers_addresses():
            for force in ([], ['--force']):
                self.assertRegex(self.refuse(*force, 'shell', address),
                                 r'the handler shell is dangerous in the hands of strangers, and \S+ is open to them')
                self.assertIn('is open to them', self.refuse(*force, 'shell', 'tcp://127.0.0.1:0', address))
                self.assertIn('is open to them', self.refuse(*force, 'upper+shell', address))

    def test_datagrams_are_refused(self):
        self.assertIn('it needs a connection; use tcp or unix', self.refuse('shell', 'udp://127.0.0.1:0'))

    def test_bad_options_are_refused(self):
        for option in ('timeout=0', 'timeout=x', 'output=0', 'output=1073741825', 'grace=-1', 'frame=line2', 'nope=1'):
            self.assertIn(option.partition('=')[0], self.refuse('-o', option, 'shell', TCP))

    def test_a_framing_that_no_answer_fits_in_is_refused(self):
        for framing in 'line', 'u32/line':
            self.assertIn('its messages have lines', self.refuse('-o', 'frame=' + framing, 'shell', TCP))
            self.assertIn('its messages have lines', self.refuse('-f', '-o', 'frame=' + framing, 'shell', TCP))


if __name__ == '__main__':
    seeds_test.main()
