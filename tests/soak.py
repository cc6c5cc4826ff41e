#!/usr/bin/env python3
"""A long run of every strategy: what COUNT connections leave behind.

usage: soak.py SWITCHBOARD LOAD [COUNT [STRATEGY]...]

SWITCHBOARD is the command, LOAD is tests/bench/load; COUNT is 100000 where none is given. For each strategy one server
of `upper` answers COUNT short connections, `fork` a quarter of them. Afterwards its descriptors, threads, children and
memory are what they were after a warm-up, the scoreboard has counted every connection, and SIGTERM ends it with status
0. While it runs no child stays a zombie. None of this is decided by how long it takes. Exit status 0, 1 when something
is left behind, 2 misuse.
"""
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time

from lifeline import PATIENCE_S, children_of, following

STRATEGIES = ('serial', 'thread', 'fork', 'pool', 'prefork:4', 'prethread:4', 'prefork:2+thread', 'prefork:2+pool:4',
              'prefork:2+prethread:2', 'fiber:epoll', 'fiber:uring')
CLIENTS = 16
WARM_UP = 2000
FORK_SHARE = 4      # `fork` gets so many times fewer: each costs a process
GROWTH_BYTES = 26   # with each connection: less than the least that malloc gives
ROUNDS = 3          # a cache (of ended threads' stacks, of malloc) fills up once; a leak grows in each
SAMPLE_S = 0.5
STALE = 1000        # connections, meanwhile: who is dead for so long is a zombie


class Left(Exception):
    """Something is not as it was."""


# --- /proc ------------------------------------------------------------------------------------------------------------

def read(pid, name):
    with open(f'/proc/{pid}/{name}', encoding='utf-8', errors='replace') as file:
        return file.read()


def serving(server):
    """The generation: who watches over it does nothing."""
    return children_of(server.pid)[0]


def state(pid):
    """'S', 'Z', ... and the start time, which tells a pid from its next owner."""
    fields = read(pid, 'stat').rpartition(')')[2].split()
    return fields[0], fields[19]


def memory_kb(pid):
    """What is its own: shared pages would be counted once for each process."""
    rollup = read(pid, 'smaps_rollup')
    return sum(map(int, re.findall(r'^Private_(?:Clean|Dirty): +(\d+) kB$', rollup, re.MULTILINE)))


class Census:
    """Of the server and its children: how many there are of each thing, and kilobytes of memory."""

    def __init__(self, pid):
        self.processes = [pid] + sorted(children_of(pid))
        self.descriptors = [len(os.listdir(f'/proc/{each}/fd')) for each in self.processes]
        self.threads = [len(os.listdir(f'/proc/{each}/task')) for each in self.processes]
        self.memory_kb = [memory_kb(each) for each in self.processes]

    def grown_kb(self, before):
        return max(now - then for now, then in zip(self.memory_kb, before.memory_kb))

    def same(self, before):
        return (self.processes, self.descriptors, self.threads) == \
            (before.processes, before.descriptors, before.threads)


class Zombies(threading.Thread):
    """Looks at the children while the load runs; who stays dead while many connections are served is in `found`."""

    def __init__(self, switchboard, pid):
        super().__init__(daemon=True)
        self.switchboard, self.pid, self.found, self.over = switchboard, pid, [], threading.Event()

    def run(self):
        seen, since = set(), 0
        while not self.over.wait(SAMPLE_S):
            if served(self.switchboard, self.pid)[0] - since < STALE:
                continue
            dead = set(self.look())
            self.found += [pid for pid, _ in seen & dead]
            seen, since = dead, served(self.switchboard, self.pid)[0]

    def look(self):
        for child in children_of(self.pid):
            try:
                letter, started = state(child)
            except (FileNotFoundError, ProcessLookupError):
                continue
            if letter == 'Z':
                yield child, started

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


# --- one strategy -----------------------------------------------------------------------------------------------------

def start(switchboard, strategy):
    server = subprocess.Popen(following(switchboard, 'serve', '-q', '-s', strategy, 'upper', 'tcp://127.0.0.1:0'),
                              stdout=subprocess.PIPE, text=True)
    line = server.stdout.readline()
    match = re.match(r'listening tcp://127\.0\.0\.1:(\d+) ', line)
    if not match:
        server.kill()
        server.wait()
        raise Left(f"it does not start: '{line.strip()}'")
    return server, match.group(1)


def load(tool, count, port):
    done = subprocess.run(following(tool, 'short', str(CLIENTS), str(count), port), capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise Left('load: ' + (done.stderr or done.stdout).strip())
    return float(re.search(r'seconds=([\d.]+)', done.stdout).group(1))


def served(switchboard, pid):
    done = subprocess.run([switchboard, 'status', str(pid)], capture_output=True, text=True, check=True)
    match = re.search(r' served=(\d+) errors=(\d+) ', done.stdout)
    return int(match.group(1)), int(match.group(2))


def await_that(promise, excuse):
    """The last connections may still be ending when their callers have gone."""
    deadline = time.monotonic() + PATIENCE_S
    while not promise():
        if time.monotonic() > deadline:
            raise Left(excuse())
        os.sched_yield()


def await_served(switchboard, pid, count):
    await_that(lambda: served(switchboard, pid) == (count, 0),
               lambda: 'the scoreboard shows %d served, %d errors' % served(switchboard, pid))


def take_census(pid):
    """Once more where a child has ended meanwhile."""
    taken = []

    def take():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            taken.append(Census(pid))
        return taken
    await_that(take, lambda: 'its children come and go')
    return taken[0]


def settled(pid):
    """A census that does not change any more: the same twice, without a child or thread of a single request."""
    censuses = [take_census(pid)]

    def same_again():
        censuses.append(take_census(pid))
        return censuses[-1].same(censuses[-2])
    await_that(same_again, lambda: 'its children and threads never come to rest')
    return censuses[-1]


def census_like(before, pid):
    await_that(lambda: settled(pid).same(before), lambda: describe(before, take_census(pid)))
    return settled(pid)


def describe(before, after):
    words = []
    for name in ('processes', 'descriptors', 'threads'):
        if getattr(before, name) != getattr(after, name):
            words.append(f'{name} were {getattr(before, name)} and are {getattr(after, name)}')
    return '; '.join(words)


def end(server):
    server.send_signal(signal.SIGTERM)
    if server.wait(PATIENCE_S) != 0:
        raise Left(f'SIGTERM ended it with status {server.returncode}')


def load_watched(switchboard, tool, count, server, port):
    with Zombies(switchboard, serving(server)) as zombies:
        seconds = load(tool, count, port)
    if zombies.found:
        raise Left(f'children stayed zombies: {sorted(set(zombies.found))}')
    return seconds


def soak(switchboard, tool, strategy, count):
    """Returns the seconds of a round, how many there were, the kilobytes that the last one added, and the census."""
    server, port = start(switchboard, strategy)
    share = FORK_SHARE if strategy == 'fork' else 1
    count, warm_up = count // share, WARM_UP // share
    allowed_kb = min(max(count * GROWTH_BYTES // 1024, 128), 512)
    try:
        load(tool, warm_up, port)
        await_served(switchboard, server.pid, warm_up)
        after = settled(serving(server))
        for number in range(1, ROUNDS + 1):
            before = after
            seconds = load_watched(switchboard, tool, count, server, port)
            await_served(switchboard, server.pid, warm_up + number * count)
            after = census_like(before, serving(server))
            grown_kb = after.grown_kb(before)
            if grown_kb < allowed_kb:
                break
        else:
            raise Left(f'memory grows in each of {ROUNDS} rounds, at last from {before.memory_kb} to '
                       f'{after.memory_kb} kB')
        end(server)
        return seconds, number, grown_kb, after
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def main():
    if len(sys.argv) < 3 or (len(sys.argv) > 3 and not sys.argv[3].isdigit()):
        print(__doc__.split('\n')[2], file=sys.stderr)
        return 2
    switchboard, tool = sys.argv[1:3]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 100000
    status = 0
    print(f'{"strategy":22} {"seconds":>8} {"rounds":>6} {"processes":>9} {"descriptors":>11} {"threads":>7} '
          f'{"memory kB":>9} {"grown kB":>8}  result')
    for strategy in sys.argv[4:] or STRATEGIES:
        try:
            seconds, rounds, grown_kb, census = soak(switchboard, tool, strategy, count)
            print(f'{strategy:22} {seconds:8.1f} {rounds:6} {len(census.processes):9} {sum(census.descriptors):11} '
                  f'{sum(census.threads):7} {sum(census.memory_kb):9} {grown_kb:8}  as before', flush=True)
        except (Left, subprocess.SubprocessError, OSError) as why:
            print(f'{strategy:22} {why}', flush=True)
            status = 1
    return status


if __name__ == '__main__':
    sys.exit(main())
