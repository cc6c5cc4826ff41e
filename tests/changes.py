#!/usr/bin/env python3
"""A server under load goes through many changes, and nobody is refused, reset, lost or answered wrongly.

    changes.py SWITCHBOARD COUNT

64 callers, short ones, talking ones and datagrams, whose every answer is checked (switchboard-load(1)), while the server
goes COUNT times to another strategy, discipline or number of workers, reads its plugin or its program's file anew, and
refuses every fifth change. The last line tells how long the slowest answers took. Exit status 1 when one was wrong."""
import itertools
import os
import re
import signal
import subprocess
import sys
import tempfile

from lifeline import PATIENCE_S, following
from versions import install

DESIGNS = ['-s thread', '-s prefork:2', '-w +1', '-s fiber', '-s prefork:3 -a reuseport', '-w +2', '-w -1',
           '-s prethread:4 -a reuseport', '-s pool:4 -a shared', '-s prefork:2 -a mutex', '-s prefork:2+thread -a flock',
           '-s prefork:2+fiber:epoll -a shared', '-s fork', '-s prethread:3 -a mutex', '-s fiber:epoll -a shared',
           '-s prefork:2+prethread:2 -a reuseport', '-s prefork:4+fiber -a reuseport', '-s prethread:2 -a shared']
REFUSED = ['-s nonsense', '-s thread+prefork', '-a fair', 'no-such-handler', '-o color=red']


class Server:
    """A copy of the program, so that its file can be replaced."""

    def __init__(self, switchboard, folder):
        self.original, self.program = switchboard, os.path.join(folder, 'switchboard')
        self.put_program()
        handlers = os.path.join(os.path.dirname(switchboard), '..', 'handlers')
        environment = dict(os.environ, SWITCHBOARD_PATH=os.path.abspath(handlers), XDG_RUNTIME_DIR=folder)
        self.errors = open(os.path.join(folder, 'errors'), 'w+', encoding='utf-8')
        self.process = subprocess.Popen(following(self.program, 'serve', '-q', '-s', 'thread', 'upper',
                                                  'tcp://127.0.0.1:0', 'udp://127.0.0.1:0'), env=environment,
                                        stdout=subprocess.PIPE, stderr=self.errors, text=True)
        self.addresses = [self.process.stdout.readline().split()[1] for _ in range(2)]

    def put_program(self):
        install(self.original, self.program)

    def change(self, *words, status=0):
        done = subprocess.run([self.original, *words], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert done.returncode == status, f'{words}: {done.stdout}{done.stderr}'

    def pid(self):
        return str(self.process.pid)

    def end(self):
        self.change('stop', self.pid())
        assert self.process.wait(PATIENCE_S) == 0
        self.process.stdout.close()
        self.errors.close()


def start_load(switchboard, address, *options):
    return subprocess.Popen(following(switchboard, 'load', '-t', '100000', '--timeout=60', *options, address),
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def settle(load):
    """(answers, the slowest in ms) of one that is told to end."""
    load.send_signal(signal.SIGINT)
    told = load.communicate(timeout=PATIENCE_S)[0]
    numbers = {name: re.search(rf'^{name} +(\d+)', told, re.MULTILINE) for name in ('requests', 'errors', 'answered')}
    assert all(numbers.values()) and int(numbers['errors'][1]) == 0, told
    return int(numbers['answered'][1]), float(re.search(r'^latency .* ([\d.]+) +[\d.]+$', told, re.MULTILINE)[1])


def go_through(server, count):
    designs, refused = itertools.cycle(DESIGNS), itertools.cycle(REFUSED)
    for number in range(1, count + 1):
        if number % 5 == 0:
            server.change('switch', server.pid(), *next(refused).split(), status=1)
        elif number % 7 == 0:
            server.put_program()
            server.change('reload', '--no-wait', '--program', server.pid())
        elif number % 11 == 0:
            server.change('reload', '--no-wait', server.pid())
        else:
            server.change('switch', '--no-wait', server.pid(), *next(designs).split())


def main():
    switchboard, count = os.path.abspath(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        server = Server(switchboard, folder)
        tcp, udp = server.addresses
        loads = [start_load(switchboard, tcp, '-c', '22'), start_load(switchboard, tcp, '-c', '21', '-T'),
                 start_load(switchboard, udp, '-c', '21')]
        try:
            go_through(server, count)
            settled = [settle(load) for load in loads]
        finally:
            for load in loads:
                load.kill()
                load.communicate()
        server.end()
    for (answers, slowest), kind in zip(settled, ('short', 'talk', 'datagrams')):
        print(f'{count} changes, {kind}: {answers} answers, none wrong or lost; the slowest took {slowest} ms')


if __name__ == '__main__':
    main()
