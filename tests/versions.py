"""Callers of the handler `version` (plugins/version.c), each of whose answers begins with the version."""
import os
import shutil
import socket
import threading

from lifeline import PATIENCE_S


def dial(address):
    """A caller of tcp://HOST:PORT, udp://HOST:PORT, unix:PATH or unixgram:PATH."""
    scheme, _, rest = address.partition(':')
    kind = socket.SOCK_DGRAM if scheme in ('udp', 'unixgram') else socket.SOCK_STREAM
    is_unix = scheme.startswith('unix')
    caller = socket.socket(socket.AF_UNIX if is_unix else socket.AF_INET, kind)
    caller.settimeout(PATIENCE_S)
    if is_unix and kind == socket.SOCK_DGRAM:
        caller.bind('')
    host, _, port = rest.strip('/').rpartition(':')
    try:
        caller.connect(rest if is_unix else (host, int(port)))
    except OSError:
        caller.close()
        raise
    return caller


def ask(caller, line=b'hello\n'):
    """The version that has answered."""
    caller.sendall(line)
    answer = caller.recv(256)
    while not answer.endswith(b'\n'):
        piece = caller.recv(256)
        assert piece, f'{answer!r} and then the end'
        answer += piece
    version, rest = answer.split(b' ', 1)
    assert rest == line, answer
    return version.decode()


def refuses(address):
    try:
        dial(address).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:    # it came while the listener was being closed
        return False
    return False


def install(file, path):
    """As an installer does: what is at the path is another file, and is there at once."""
    shutil.copy(file, path + '.next')
    os.rename(path + '.next', path)


class Load:
    """Callers until the end of the block, who look at each answer. Each address has short ones, who say two lines, and
    talkers, who say many before they call again."""

    def __init__(self, addresses, callers=6, lines=30):
        self.ending, self.failures, self.counts = False, [], {}
        self.lines, self.lock = lines, threading.Lock()
        self.threads = [threading.Thread(target=self.call, args=(address, talks))
                        for address in addresses for talks in (False, True) for _ in range(callers)]

    def count(self, version):
        with self.lock:
            self.counts[version] = self.counts.get(version, 0) + 1

    def call(self, address, talks):
        try:
            while not self.ending:
                with dial(address) as caller:
                    self.count(first := ask(caller))
                    for number in range(self.lines if talks else 1):
                        version = ask(caller, b'line %d\n' % number)
                        assert version == first or caller.type == socket.SOCK_DGRAM, f'{first}, then {version}'
                        self.count(version)
                        if self.ending:
                            break
        except (OSError, AssertionError, ValueError) as failure:
            self.failures.append(f'{address}: {failure!r}')

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending = True
        for thread in self.threads:
            thread.join()
