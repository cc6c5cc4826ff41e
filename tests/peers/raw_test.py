#!/usr/bin/env python3
"""Peers that are no Python program of a text: nc, socat and bare sockets against the real `switchboard serve`.

Usage: python3 raw_test.py SWITCHBOARD [UNITTEST-OPTION]...
"""
import os
import shutil
import socket
import subprocess
import time
import unittest

import seeds_test
from seeds_test import (CONCURRENT, PATIENCE_S, STRATEGIES, TCP, UDP, UNIX, UNIXGRAM, dial, read_some, recv_exactly,
                        recv_to_end, serving, under)

STREAM_COMMANDS = {
    ('nc', 'tcp'): lambda address, _: ['nc', '-N', *map(str, address.name)],
    ('nc', 'unix'): lambda address, _: ['nc', '-N', '-U', address.name],
    ('socat', 'tcp'): lambda address, _: ['socat', '-t%d' % PATIENCE_S, '-', 'TCP:%s:%d' % address.name],
    ('socat', 'unix'): lambda address, _: ['socat', '-t%d' % PATIENCE_S, '-', 'UNIX-CLIENT:' + address.name],
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


def ask(address, message):
    with dial(address) as client:
        client.send(message)
        return client.recv(1024)


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

    def test_one_server_answers_at_four_kinds_of_address(self):
        for strategy in STRATEGIES:
            with self.subTest(strategy=strategy):
                with serving('upper', strategy, TCP, UDP, UNIX, 'unixgram:{folder}/datagrams') as server:
                    for address in server.addresses:
                        self.assertEqual(ask(address, '你好 dream'.encode()), '你好 DREAM'.encode())

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
                self.assertEqual(ask(server.address, b'hello'), b'HELLO')
            silent.sendall(b'at last')
            self.assertEqual(silent.recv(1024), b'AT LAST')

    @under(STRATEGIES, 'upper', TCP, UNIX, options=['--drain-timeout=0.2'])
    def test_a_silent_client_does_not_outlive_the_server(self, server):
        """It is cut off when the drain deadline has passed; the server then ends as well as ever."""
        silent = dial(server.address)
        self.addCleanup(silent.close)
        silent.sendall(b'hi')
        self.assertEqual(silent.recv(1024), b'HI')


if __name__ == '__main__':
    seeds_test.main()
