#!/usr/bin/env python3
"""Every system call that a server makes, failing in every way that its man page lists, and every allocation, under
every design; and those of a supervisor in what it may be asked for.

    sweep.py BUILD_DIR [--results=FILE] [--designs=TEXT] [--calls=accept4,poll] [--jobs=N]
    sweep.py BUILD_DIR --sample=N [--seed=N]        so many runs, chosen by the seed, which is printed
    sweep.py --table --results=FILE                 the table of what FILE has

For each design of designs.h, call and errno: the first occurrence, the second, the first two while it serves, one in
the middle, and all from the first while it serves on for a second; `memory` is each allocation. What is in FILE already
is not run again: it may be interrupted. Exit status 1 when a promise broke; subject.py has the promises.
"""
import argparse
import concurrent.futures
import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time

import faults
import subject
from supervised import LIVES

WINDOW_MS = 1000
HERE = os.path.dirname(os.path.abspath(__file__))


def occurrences(ready, count):
    """(nth, window) for a call that is made so often until the server is ready, and until its end."""
    singles = {1, 2, ready + 1, ready + 2, (ready + count) // 2 + 1}
    chosen = [(nth, 0) for nth in sorted(singles) if 1 <= nth <= count]
    return chosen + ([(ready + 1, WINDOW_MS)] if ready < count else [])


def each(count):
    return [(nth, 0) for nth in range(1, count + 1)]


def plan(calls, wanted, left_out):
    """The faults for a design whose calls were recorded; of those that are wanted, where that is said."""
    return [subject.Fault(call, error, number, nth, window_ms)
            for call, (ready, count) in sorted(calls.items())
            if call not in faults.LEFT_OUT and call not in left_out and (not wanted or call in wanted)
            for error, number in faults.errors_of(call)
            for nth, window_ms in (occurrences(ready, count) if call != 'memory' else each(count))]


def key_of(design, fault):
    return f'{design}: {fault}'


def read_results(path):
    """key -> {'design', 'call', 'error', 'broken'}"""
    if not path or not os.path.exists(path):
        return {}
    with open(path, encoding='utf-8') as file:
        return {entry['key']: entry for entry in map(json.loads, file)}


class Progress:
    """A line on the terminal, and each promise that broke."""

    def __init__(self, total):
        self.total, self.done, self.broken, self.begin = total, 0, 0, time.monotonic()

    def tell(self, key, broken):
        self.done += 1
        self.broken += bool(broken)
        if broken:
            print(f'{key}: {broken}', flush=True)
        if self.done % 500 == 0 or self.done == self.total:
            rate = self.done / (time.monotonic() - self.begin)
            print(f'{self.done} of {self.total} runs, {self.broken} broken, {rate:.1f} a second', flush=True)


def attempt(programs, design, fault, steady, folder):
    """A promise broken once may be the machine's doing: it counts when it breaks again."""
    broken = subject.run(programs, design, fault, steady, folder)
    return broken and subject.run(programs, design, fault, steady, folder)


def sweep(programs, work, results, jobs):
    """Runs all of it; returns how many broke."""
    progress = Progress(len(work))
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        file = stack.enter_context(open(results, 'a', encoding='utf-8')) if results else None
        pool = stack.enter_context(concurrent.futures.ProcessPoolExecutor(jobs))
        runs = {pool.submit(attempt, programs, design, fault, steady, folder): (design, fault)
                for design, fault, steady in work}
        for run in concurrent.futures.as_completed(runs):
            design, fault = runs[run]
            broken = run.result()
            progress.tell(key_of(design, fault), broken)
            if file:
                print(json.dumps({'key': key_of(design, fault), 'design': str(design), 'call': fault.call,
                                  'error': fault.error, 'broken': broken}), file=file, flush=True)
    return progress.broken


# --- the table --------------------------------------------------------------------------------------------------------

def table(results, designs):
    """call x errno x design: '.' held, 'x' broke, ' ' never called there."""
    names = [str(design) for design in designs]
    letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'[:len(names)]
    cells, runs = {}, {}
    for entry in results.values():
        row = entry['call'], entry['error']
        runs[row] = runs.get(row, 0) + 1
        cells[row, entry['design']] = 'x' if entry['broken'] or cells.get((row, entry['design'])) == 'x' else '.'
    for letter, name in zip(letters, names):
        print(f'    {letter}  {name}')
    print()
    print(f'{"call":18} {"errno":14} {"runs":>5}  {letters}')
    for row in sorted(runs):
        marks = ''.join(cells.get((row, name), ' ') for name in names)
        print(f'{row[0]:18} {row[1]:14} {runs[row]:5}  {marks.rstrip()}')
    broken = sum(bool(entry['broken']) for entry in results.values())
    print(f'\n{len(results)} runs, {broken} broken')


# --- the command line -------------------------------------------------------------------------------------------------

def parse():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('build', nargs='?', metavar='BUILD_DIR')
    parser.add_argument('--server', metavar='BUILD_DIR', help='the server of that build: one with AddressSanitizer')
    parser.add_argument('--results', metavar='FILE')
    parser.add_argument('--designs', default='', metavar='TEXT', help='those whose text has this in it')
    parser.add_argument('--calls', metavar='LIST')
    parser.add_argument('--errors', metavar='LIST')
    parser.add_argument('--jobs', type=int, default=4 * (os.cpu_count() or 1))
    parser.add_argument('--sample', type=int, metavar='N')
    parser.add_argument('--seed', type=int, default=random.randrange(10 ** 6))
    parser.add_argument('--table', action='store_true')
    options = parser.parse_args()
    if not options.build and not options.table:
        parser.error('BUILD_DIR is missing')
    return options


def chosen(options, designs, programs):
    """What is to be run: (design, fault, steady)."""
    work = []
    with tempfile.TemporaryDirectory() as folder:
        for design in designs:
            calls, steady = subject.record(programs, design, folder)
            if not options.server:
                nothing = subject.Fault('memory', 'ENOMEM', 0, 0, 0)
                calls.update(subject.record(programs, design, folder, nothing)[0])
            wanted = options.calls.split(',') if options.calls else []
            work += [(design, fault, steady) for fault in plan(calls, wanted, design.left_out)
                     if not options.errors or fault.error in options.errors.split(',')]
    return work


def programs_of(build, server_build=None):
    """What a sweep runs, of a build folder; the server perhaps of another."""
    return subject.Programs(os.path.abspath(os.path.join(server_build or build, 'tools', 'switchboard')),
                            *(os.path.abspath(os.path.join(build, 'tests', 'sweep', name))
                              for name in ('inject', 'mark.so', 'exhaust.so')))


def is_possible(programs):
    """Whether the kernel lets us watch; who may not has nothing to run."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run([programs.inject, str(theirs.fileno()), 'watch', '--', 'true'],
                              pass_fds=[theirs.fileno()], check=False)
    return done.returncode == 0


def main():
    options = parse()
    servers, lives = [[design for design in designs if options.designs in f'{design},']
                      for designs in (subject.read_designs(os.path.join(HERE, '..', 'designs.h')), LIVES)]
    designs = servers + lives
    results = read_results(options.results)
    if options.table:
        table(results, designs)
        return 0
    programs = programs_of(options.build, options.server)
    if not is_possible(programs):
        return 77
    if options.sample:
        random.seed(options.seed)
        print(f'seed {options.seed}', flush=True)
        designs = random.sample(servers, 3) + random.sample(lives, 1)
    work = [(design, fault, steady) for design, fault, steady in chosen(options, designs, programs)
            if key_of(design, fault) not in results]
    random.shuffle(work)        # what is seen early is of all kinds
    if options.sample:
        work = work[:options.sample]
    return 1 if sweep(programs, work, options.results, options.jobs) else 0


if __name__ == '__main__':
    sys.exit(main())
