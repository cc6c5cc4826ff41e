#!/usr/bin/env python3
"""The handler `auth`: who has the key talks, everybody else is turned away, counted and logged.

Usage: python3 auth_test.py SWITCHBOARD [UNITTEST-OPTION]...
"""
import contextlib
import hmac
import os
import select
import socket
import subprocess
import unittest

import seeds_test
from seeds_test import PATIENCE_S, STRATEGIES, TCP, UNIX, dial, recv_exactly, serving, temporary_folder
from shell_test import hang_up_rudely, leaving_no_descriptor, read_status, recv_close, wait_until

KEY = b'ni hao ma'      # the texts'
NONCE_SIZE = 32
# What waits for a deadline of its own: one of each kind.
WAITING = tuple(strategy for strategy in STRATEGIES
                if strategy in ('serial', 'thread', 'fork', 'prefork:2', 'fiber:epoll', 'fiber:uring'))


def answer(client, key=KEY, digest='sha256'):
    return hmac.new(key, recv_exactly(client, NONCE_SIZE), digest).digest()


@contextlib.contextmanager
def key_file(content=KEY, mode=0o600):
    with temporary_folder() as folder:
        path = os.path.join(folder, 'key')
        with open(path, 'wb') as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
        yield path


@contextlib.contextmanager
def environment(name, value):
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


def under_each(*addresses, handler='auth+upper', strategies=STRATEGIES, options=(), key=KEY):
    """As seeds_test.under(), with a key file."""
    def decorate(test):
        def run(self):
            for strategy in strategies:
                for address in addresses or (TCP,):
                    with self.subTest(strategy=strategy, address=address.partition(':')[0]), key_file(key) as path:
                        arguments = ['-o', 'key-file=' + path, *options]
                        with serving(handler, strategy, address, options=arguments) as server:
                            test(self, server)
        return run
    return decorate


class Auth(unittest.TestCase):
    def check_talk(self, server, key=KEY, digest='sha256'):
        """The client of text 004: conn_auth(), then the upper-case talk."""
        with dial(server.address) as client:
            client.sendall(answer(client, key, digest))
            for message in ('hello', '你好 dream'):
                client.send(message.encode('utf-8'))
                self.assertEqual(client.recv(1024).decode('utf-8'), message.upper())

    def check_refused(self, server, why, errors):
        wait_until(lambda: int(read_status(server)[0]['errors']) == errors, '%d errors are counted' % errors)
        wait_until(lambda: server.read_log().count('handler auth+upper, setup: not authenticated: ' + why) == errors,
                   '%d times in the log: %s' % (errors, why))

    @under_each(TCP, UNIX, options=['-o', 'digest=md5'])
    def test_row_23_the_texts_client_is_let_through(self, server):
        for _ in range(2):
            self.check_talk(server, digest='md5')

    @under_each(TCP, UNIX)
    def test_row_23_with_a_better_digest(self, server):
        for _ in range(2):
            self.check_talk(server)

    @under_each()
    def test_no_challenge_comes_twice(self, server):
        challenges = set()
        for _ in range(8):
            with dial(server.address) as client:
                challenges.add(recv_exactly(client, NONCE_SIZE))
        self.assertEqual(len(challenges), 8)

    @under_each()
    def test_a_wrong_answer_closes_is_logged_and_counted(self, server):
        with leaving_no_descriptor(server):
            for errors, key in enumerate((b'ni hao', b'', KEY + b'\n'), 1):
                with dial(server.address) as client:
                    client.sendall(answer(client, key))
                    self.assertEqual(recv_close(client), b'')
                self.check_refused(server, "the caller's HMAC is wrong, by its key or digest", errors)
        self.check_talk(server)

    @under_each(options=['-v'])
    def test_the_answer_is_not_in_the_log(self, server):
        self.check_talk(server)
        wait_until(lambda: 'Received from' in server.read_log() and 'hello' in server.read_log(), 'hello is logged')
        self.assertRegex(server.read_log(), r'Received from \S+: 32 secret bytes\n')
        received = [line for line in server.read_log().splitlines() if '[*] Received' in line]
        self.assertIn('secret', received[0])
        self.assertTrue(received[1].endswith(': hello'), received)

    @under_each()
    def test_every_bit_of_the_answer_counts(self, server):
        for bit in (0, 7, 128, 255):
            with dial(server.address) as client:
                wrong = int.from_bytes(answer(client), 'little') ^ 1 << bit
                client.sendall(wrong.to_bytes(32, 'little'))
                self.assertEqual(recv_close(client), b'')

    @under_each()
    def test_the_answer_to_another_challenge_is_wrong(self, server):
        with dial(server.address) as client:
            old = answer(client)
            client.sendall(old)
            client.sendall(b'hello')
            self.assertEqual(client.recv(1024), b'HELLO')
        with dial(server.address) as client:
            recv_exactly(client, NONCE_SIZE)
            client.sendall(old)
            self.assertEqual(recv_close(client), b'')

    @under_each()
    def test_a_short_answer_is_refused_when_the_caller_ends(self, server):
        with dial(server.address) as client:
            client.sendall(answer(client)[:31])
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(recv_close(client), b'')
        self.check_refused(server, 'the caller ended after 31 of 32 bytes of the HMAC', 1)
        self.check_talk(server)

    @under_each(strategies=WAITING, options=['-o', 'timeout=1'])
    def test_silence_and_an_answer_of_a_shorter_digest_are_refused_at_the_deadline(self, server):
        errors = 0
        for count, digest in (0, None), (16, 'md5'):
            late = '%d of 32 bytes of the HMAC came within 1 s' % count
            while late not in server.read_log():        # who is slow to answer is taken for silent, and calls again
                with dial(server.address) as client:
                    nonce = recv_exactly(client, NONCE_SIZE)
                    if digest:
                        client.sendall(hmac.new(KEY, nonce, digest).digest())
                    self.assertEqual(recv_close(client), b'')
                errors += 1
                self.check_refused(server, '', errors)

    @under_each(strategies=WAITING, options=['-o', 'timeout=1'])
    def test_a_byte_now_and_then_does_not_stretch_the_deadline(self, server):
        with dial(server.address) as client:
            sent = self.drip(client, answer(client), pause_s=0.2)
            self.assertLess(sent, 32)
        self.check_refused(server, '', 1)

    def drip(self, client, data, pause_s):
        """Returns how many bytes were taken before the server closed."""
        for sent, byte in enumerate(data):
            with contextlib.suppress(ConnectionError):
                client.sendall(bytes([byte]))
            if select.select([client], [], [], pause_s)[0]:
                self.assertEqual(recv_close(client), b'')
                return sent
        return len(data)

    @under_each(TCP, UNIX)
    def test_one_byte_at_a_time_is_an_answer_too(self, server):
        with dial(server.address) as client:
            if server.address.family == socket.AF_INET:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in answer(client) + b'hello':
                client.sendall(bytes([byte]))
            self.assertEqual(recv_exactly(client, 5), b'HELLO')

    @under_each(TCP, UNIX)
    def test_what_follows_the_answer_at_once_belongs_to_the_talk(self, server):
        with dial(server.address) as client:
            client.sendall(answer(client) + b'hello')
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(recv_close(client), b'HELLO')

    @under_each(strategies=WAITING, options=['-o', 'timeout=1'])
    def test_its_deadline_does_not_bound_the_talk(self, server):
        def talks():
            with dial(server.address) as client:
                client.sendall(answer(client))
                if select.select([client], [], [], 1.5)[0]:
                    return False
                client.sendall(b'hello')
                self.assertEqual(client.recv(1024), b'HELLO')
                return True
        wait_until(talks, 'the answer comes within the deadline')

    @under_each(strategies=WAITING, options=['-o', 'timeout=1000', '--idle-timeout=0.5'])
    def test_the_idle_timeout_holds_again_in_the_talk(self, server):
        with dial(server.address) as client:
            client.sendall(answer(client))
            self.assertEqual(recv_close(client), b'')
        self.assertIn('handler auth+upper, handle: ', server.read_log())

    @under_each()
    def test_callers_that_vanish_leave_nothing(self, server):
        with leaving_no_descriptor(server):
            for sends in (0, 5, 32):
                client = dial(server.address)
                client.sendall(answer(client)[:sends])
                hang_up_rudely(client)
        self.check_talk(server)

    @under_each(options=['--drain-timeout=0.2'])
    def test_a_silent_caller_does_not_outlive_the_server(self, server):
        client = dial(server.address)
        self.addCleanup(client.close)
        recv_exactly(client, NONCE_SIZE)

    @under_each(options=['-v'])
    def test_the_log_has_no_key(self, server):
        self.check_talk(server)
        self.assertRegex(server.read_log(), r'127\.0\.0\.1:\d+: authenticated\n')
        self.assertNotIn(KEY.decode(), server.read_log())

    @under_each(handler='auth+shell', options=['-o', 'auth.timeout=5', '-o', 'frame=netstring'])
    def test_it_goes_in_front_of_a_shell(self, server):
        with dial(server.address) as client:
            client.sendall(answer(client))
            client.sendall(b'7:echo hi,')
            self.assertEqual(recv_exactly(client, 5), b'3:hi\n,')
        with dial(server.address) as client:
            recv_exactly(client, NONCE_SIZE)
            client.sendall(bytes(32) + b'7:echo hi,')
            self.assertEqual(recv_close(client), b'')


class Keys(unittest.TestCase):
    def talk(self, key, *options, digest='sha256'):
        with serving('auth+upper', 'thread', TCP, options=options) as server, dial(server.address) as client:
            client.sendall(answer(client, key, digest) + b'hello')
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(recv_close(client), b'HELLO')
            return server.read_log()

    def test_one_newline_at_the_end_of_the_file_is_not_part_of_the_key(self):
        for content, key in ((b'secret', b'secret'), (b'secret\n', b'secret'), (b'secret\n\n', b'secret\n'),
                             (b'\0\xff\n\r ', b'\0\xff\n\r '), (b'k' * 4096, b'k' * 4096),
                             (b'k' * 4096 + b'\n', b'k' * 4096)):
            with self.subTest(content=content[:10]), key_file(content) as path:
                self.assertEqual(self.talk(key, '-o', 'key-file=' + path), '')

    def test_a_key_from_the_environment_is_taken_as_it_is(self):
        for value in ('secret', 'secret\n', '钥匙'):
            with self.subTest(value=value), environment('SB_TEST_KEY', value):
                self.talk(value.encode(), '-o', 'key-env=SB_TEST_KEY')

    def test_any_digest_of_libcrypto_will_do(self):
        for digest in ('md5', 'MD5', 'sha1', 'sha512', 'sha3-256'):
            with self.subTest(digest=digest), key_file() as path:
                self.talk(KEY, '-o', 'key-file=' + path, '-o', 'digest=' + digest, digest=digest)

    def test_a_key_file_that_everybody_reads_is_worth_a_warning(self):
        for mode, warned in ((0o644, True), (0o602, True), (0o640, False), (0o600, False)):
            with self.subTest(mode=mode), key_file(mode=mode) as path:
                log = self.talk(KEY, '-o', 'key-file=' + path)
                self.assertEqual('the key file %s is open to every user of this machine' % path in log, warned)

    def refuse(self, why, *options, handler='auth+upper', address=TCP, status=2):
        command = [seeds_test.switchboard, 'serve', *options, handler, address]
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S, text=True)
        self.assertEqual((result.returncode, result.stdout), (status, ''), result.stderr)
        self.assertEqual(result.stderr.count('\n'), 1, result.stderr)
        self.assertIn(why, result.stderr)

    def test_bad_configurations_are_refused_in_one_sentence(self):
        self.refuse('there is no key: give -o key-file=PATH or -o key-env=NAME')
        self.refuse('the environment variable SB_TEST_NONE is not set', '-o', 'key-env=SB_TEST_NONE', status=1)
        self.refuse('No such file or directory', '-o', 'key-file=/nonexistent/key', status=1)
        self.refuse('Is a directory', '-o', 'key-file=/', status=1)
        with environment('SB_TEST_KEY', ''):
            self.refuse('the key in SB_TEST_KEY is empty', '-o', 'key-env=SB_TEST_KEY', status=1)
        with key_file() as path:
            key = ('-o', 'key-file=' + path)
            self.refuse('key-file and key-env name two keys', *key, '-o', 'key-env=PATH')
            self.refuse("no HMAC with the digest 'nope'", *key, '-o', 'digest=nope')
            self.refuse("no HMAC with the digest ''", *key, '-o', 'digest=')
            self.refuse("no HMAC with the digest 'shake128'", *key, '-o', 'digest=shake128')
            self.refuse('it must be from 1 to 3600', *key, '-o', 'timeout=0')
        for content, why in ((b'', 'is empty'), (b'\n', 'is empty'), (b'k' * 4097, 'is too long'),
                             (b'k' * 9999, 'is too long')):
            with key_file(content) as path:
                self.refuse('the key in %s %s' % (path, why), '-o', 'key-file=' + path, status=1)

    @unittest.skipIf(os.geteuid() == 0, 'root reads every file')
    def test_an_unreadable_file_is_refused(self):
        with key_file(mode=0) as path:
            self.refuse('Permission denied', '-o', 'key-file=' + path, status=1)

    def test_alone_over_datagrams_and_with_an_ambiguous_option_it_is_refused(self):
        with key_file() as path:
            key = ('-o', 'key-file=' + path)
            self.refuse("'auth' has no handle", *key, handler='auth')
            self.refuse('it needs a connection', *key, address='udp://127.0.0.1:0')
            self.refuse('both auth and shell have an option timeout: write auth.timeout or shell.timeout', *key,
                        '-o', 'timeout=5', handler='auth+shell')
            self.refuse("the option timeout=x is wrong", *key, '-o', 'auth.timeout=x', handler='auth+shell')

    def test_a_shell_for_strangers_needs_it_in_front_and_force(self):
        with key_file(os.urandom(32)) as path, open(path, 'rb') as file:
            key, options = file.read().removesuffix(b'\n'), ['-o', 'key-file=' + path]
            why = 'the handler shell is dangerous in the hands of strangers'
            self.refuse(why, *options, handler='auth+shell', address='tcp://0.0.0.0:0')
            self.refuse(why, *options, '--force', handler='shell+auth', address='tcp://0.0.0.0:0')
            with serving('auth+shell', 'thread', 'tcp://0.0.0.0:0', options=[*options, '--force']) as server:
                self.assertIn(why, server.read_log())
                with dial(server.address) as client:
                    client.sendall(answer(client, key) + b'echo hi')
                    self.assertEqual(recv_exactly(client, 3), b'hi\n')


if __name__ == '__main__':
    seeds_test.main()
