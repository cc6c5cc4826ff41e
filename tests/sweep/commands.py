#!/usr/bin/env python3
"""Each allocation that a command makes, failing: client, load, compare, serve with libcrypto, list, new and status, with
a server that is whole.

    commands.py BUILD_DIR [--commands=TEXT] [--jobs=N] [--sample=N] [--seed=N]

What must hold: no crash, no hang; status 0 and the same output, or status 1 and a sentence why; no process and no file
left behind. Exit status 1 when a promise broke, 77 where the kernel does not let us watch.
"""
import argparse
import concurrent.futures
import contextlib
import os
import random
import re
import subprocess
import sys
import tempfile
from typing import NamedTuple

import subject
import sweep

PATIENCE_S = 120


class Command(NamedTuple):
    words: tuple        # {stream}, {datagrams}, {framed}, {guarded}: addresses; {pid}, {folder} (empty), {key} (a file)
    says: str = ''      # on standard input
    steady: bool = True     # its output is the same each time
    keeps: bool = False     # its files are there, all of them, also when it ends with 1 for what it has seen

    def __str__(self):
        return ' '.join(self.words)


COMMANDS = [
    Command(('client', '-m', 'hello', '-m', 'world', '{stream}')),
    Command(('client', '{stream}'), 'one\ntwo\nthree\n'),
    Command(('client', '-m', 'hello', '{datagrams}')),
    Command(('client', '-F', 'u32', '-R', '-m', 'hello', '{framed}')),
    Command(('client', '--auth-key-file={key}', '-m', 'hello', '{guarded}')),
    Command(('serve', '-q', '--once', '--timeout=0.001', '-o', 'key-file={key}', 'auth+upper', 'tcp://127.0.0.1:0'),
            steady=False),
    Command(('load', '-n', '20', '-c', '3', '{stream}'), steady=False),
    Command(('load', '-n', '20', '-c', '3', '-T', '--send=x\\x41\\n', '{stream}'), steady=False),
    Command(('load', '-n', '20', '-c', '3', '--slow=1', '-r', '2000', '--send=ab', '--expect=AB', '{stream}'),
            steady=False),
    Command(('load', '-n', '5', '{datagrams}'), steady=False),
    Command(('compare', '-s', 'serial,pool:2@shared', '-S', 'short', '-c', '2', '-t', '0.02', '--limit=0.02', '-r', '1',
             '--html={folder}/a.html', '--json={folder}/a.json', '--csv={folder}/a.csv'), steady=False, keeps=True),
    Command(('list', 'handlers')),
    Command(('list', 'strategies')),
    Command(('status', '{pid}'), steady=False),
    Command(('new', 'mine'), steady=False),
]


class Outcome(NamedTuple):
    status: int         # wait status
    out: str
    err: str
    left: int           # processes
    allocations: int
    files: frozenset


def run(programs, command, places, nth, temporary):
    """The command with its nth allocation failing; 0: none."""
    ours, theirs = subject.socket.socketpair()
    with ours, theirs, tempfile.TemporaryDirectory(dir=temporary) as folder:
        fault = subject.Fault('memory', 'ENOMEM', 0, nth, 0)
        line, environment = programs.under(fault, theirs.fileno())
        words = [word.format(folder=folder, **places) for word in command.words]
        process = subprocess.Popen([*line, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, cwd=folder, pass_fds=[theirs.fileno()], env=environment,
                                   encoding='utf-8', errors='replace')
        theirs.close()
        try:
            out, err = process.communicate(command.says, timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return None
        told = b''
        while some := ours.recv(65536):
            told += some
        numbers = re.search(r'^failed \d+\nleft (\d+)\nstatus (\d+)', told.decode(), re.M)
        count = re.search(r'^call memory (\d+)', told.decode(), re.M)
        return Outcome(int(numbers[2]), out, err, int(numbers[1]), int(count[1]) if count else 0,
                       frozenset(os.listdir(folder)))


def broken(command, whole, seen):
    """The promise that broke; ''. whole: what comes of it without a fault."""
    if seen is None:
        return 'it did not end'
    if not os.WIFEXITED(seen.status):
        return f'it was killed by signal {os.WTERMSIG(seen.status)}: {seen.err[-300:]}'
    status = os.WEXITSTATUS(seen.status)
    if status not in (0, 1):
        return f'it ended with status {status}: {seen.err[-300:]}'
    if status == 1 and not re.search(r'^switchboard[ \w]*: \S', seen.err, re.M):
        return f'it failed without a sentence: {seen.err[-300:]!r}'
    if status == 0 and command.steady and seen.out != whole.out and not seen.err:
        return f'it says something else, and not why: {seen.out[-300:]!r}'
    if seen.left:
        return f'{seen.left} processes were left behind'
    if status == 1 and seen.files and not (command.keeps and seen.files == whole.files):
        return f'files were left behind: {seen.files}'
    return ''


def attempt(programs, command, places, whole, nth, temporary):
    return broken(command, whole, run(programs, command, places, nth, temporary))


@contextlib.contextmanager
def serving(programs, *arguments):
    """A server without faults: its pid and address."""
    with subprocess.Popen(['setpriv', '--pdeathsig', 'KILL', programs.switchboard, 'serve', '-q', *arguments],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            found = re.search(r'listening (\S+) .*pid=(\d+)', process.stdout.readline())
            yield found[2], found[1]
        finally:
            process.terminate()


def parse():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('build', metavar='BUILD_DIR')
    parser.add_argument('--commands', default='', metavar='TEXT', help='those that have this in their text')
    parser.add_argument('--jobs', type=int, default=2 * (os.cpu_count() or 1))
    parser.add_argument('--sample', type=int, metavar='N')
    parser.add_argument('--seed', type=int, default=random.randrange(10 ** 6))
    return parser.parse_args()


def sweep_all(options, programs, places, temporary):
    work = []
    for command in COMMANDS:
        if options.commands not in str(command):
            continue
        whole = run(programs, command, places, 0, temporary)
        assert whole and whole.status in (0, 1 << 8), (command, whole)      # serve --once: nobody has called
        print(f'{whole.allocations:6} allocations: {command}', flush=True)
        work += [(command, whole, nth) for nth in range(1, whole.allocations + 1)]
    if options.sample:
        random.seed(options.seed)
        print(f'seed {options.seed}', flush=True)
        work = random.sample(work, min(options.sample, len(work)))
    progress = sweep.Progress(len(work))
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        runs = {pool.submit(attempt, programs, command, places, whole, nth, temporary): (command, nth)
                for command, whole, nth in work}
        for done in concurrent.futures.as_completed(runs):
            command, nth = runs[done]
            progress.tell(f'{command}: allocation {nth}', done.result())
    return progress.broken


def main():
    options = parse()
    programs = sweep.programs_of(options.build)
    if not sweep.is_possible(programs):
        return 77
    with contextlib.ExitStack() as stack:
        temporary = stack.enter_context(tempfile.TemporaryDirectory())
        key = os.path.join(temporary, 'key')
        with open(key, 'w', encoding='ascii') as file:
            file.write('secret')
        pid, stream = stack.enter_context(serving(programs, '-s', 'fiber', 'upper', 'tcp://127.0.0.1:0'))
        _, datagrams = stack.enter_context(serving(programs, 'upper', 'udp://127.0.0.1:0'))
        _, framed = stack.enter_context(serving(programs, '-o', 'frame=u32', 'upper', 'tcp://127.0.0.1:0'))
        _, guarded = stack.enter_context(serving(programs, '-o', f'key-file={key}', 'auth+upper', 'tcp://127.0.0.1:0'))
        places = {'stream': stream, 'datagrams': datagrams, 'framed': framed, 'guarded': guarded, 'pid': pid,
                  'key': key}
        return 1 if sweep_all(options, programs, places, temporary) else 0


if __name__ == '__main__':
    sys.exit(main())
