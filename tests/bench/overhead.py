#!/usr/bin/env python3
"""What a strategy costs beside the bare hand-written loop of the same design.

    overhead.py BUILD_DIR [--quick] [--strategies=thread,fork] [--modes=short,talk] [--rounds=N] ...

Two tables: CPU time per request, and system calls per connection and per exchange. A figure above its limit is marked;
the exit status is 1 only when something could not be run.

CPU time is what wait4(2) reports for a server that has ended: user and system time of the process, of its ended threads
and of every child it reaped. Nothing that is read while a server lives has all three to the microsecond: schedstat
forgets threads that ended, /proc/PID/stat has them and the children, but counts in ticks of 10 ms. What starting,
warming up and ending costs is measured on servers that live no longer than that, and subtracted.

A round is a fresh pair of servers, both alive; the load goes to one and the other in short bursts, in the order
A B B A, so that whatever else the machine does meets both alike. Two copies of one program differ by some percent, by
where their memory fell, so many short rounds say more than a few long ones. A round's ratio is one figure; the table
has their median, the middle half and the extremes. `--noise` sets the bare loop beside itself and so shows what a ratio
is worth on this machine.
"""
import argparse
import os
import shutil
import signal
import statistics
import sys

from options import add_programs, at_least, find_programs, report_build, words
from servers import Failure, Server, run_load, strace_calls

STRATEGIES = ["serial", "thread", "fork", "pool", "prefork", "prethread"]
WITH_WORKERS = {"pool", "prefork", "prethread"}
WORKERS = 8
CLIENTS = {"short": 16, "talk": 50}
WARM_UP = ("short", 16, 320)                # mode, clients, requests
BURST = {"short": 1000, "talk": 10000}      # requests
BURSTS = 2                                  # for each server in a round; even, so that each is first as often
ROUNDS, QUICK_ROUNDS = 41, 7
CPU_LIMIT = 1.05                            # times the bare loop's
CONNECTION_LIMIT = 2                        # calls more than the bare loop's
EXCHANGE_LIMIT = 0
CALL_NOISE = 0.05                           # children that end together are reaped in fewer calls


class Bench:
    def __init__(self, options):
        self.options = options
        cpus = sorted(os.sched_getaffinity(0))
        self.server_cpu, self.load_cpu = cpus[0], cpus[-1]

    def command(self, side, strategy):
        if side == "bare" or self.options.noise:
            return [self.options.bare, strategy, str(WORKERS)]
        name = f"{strategy}:{WORKERS}" if strategy in WITH_WORKERS else strategy
        return [self.options.switchboard, "serve", "-q", "-s", name, "upper", "tcp://127.0.0.1:0"]

    def load(self, mode, clients, requests, port):
        run_load(self.options.load, self.load_cpu, mode, clients, requests, port)

    def lives(self, strategy, sides, loads):
        """CPU seconds of each side's server, both alive, for the same loads after the same warm-up."""
        servers = {}
        try:
            for side in sides:
                servers[side] = Server(self.command(side, strategy), self.server_cpu)
                self.load(*WARM_UP, servers[side].port)
            for i, load in enumerate(loads):
                for side in sides if i % 2 == 0 else reversed(sides):
                    self.load(*load, servers[side].port)
            return {side: servers[side].stop() for side in sides}
        finally:
            for server in servers.values():
                server.kill()

    def cpu(self, strategy, mode):
        """Microseconds for each request, bare and ours, and the ratio of each round."""
        requests = self.options.requests or BURST[mode]
        loads = [(mode, CLIENTS[mode], requests)] * BURSTS
        short, full = [], []
        for i in range(self.options.rounds):
            sides = ["bare", "ours"] if i % 2 == 0 else ["ours", "bare"]
            short.append(self.lives(strategy, sides, []))
            full.append(self.lives(strategy, sides, loads))
        us = {}
        for side in ("bare", "ours"):
            fixed = statistics.median(seconds[side] for seconds in short)
            us[side] = [(seconds[side] - fixed) * 1e6 / (BURSTS * requests) for seconds in full]
        ratios = [ours / bare for bare, ours in zip(us["bare"], us["ours"])]
        return statistics.median(us["bare"]), statistics.median(us["ours"]), ratios

    def calls(self, side, strategy, mode, requests):
        """System calls by name of a whole life with one client, as strace counts them."""
        return strace_calls(self.command(side, strategy), self.server_cpu,
                            lambda port: self.load(mode, 1, requests, port))

    def calls_each(self, side, strategy, mode, few, many):
        """Calls by name for each request: two lives of different length, so that starting and ending cancel out."""
        less, more = self.calls(side, strategy, mode, few), self.calls(side, strategy, mode, many)
        each = {name: (more.get(name, 0) - less.get(name, 0)) / (many - few) for name in less | more}
        return {name: count for name, count in each.items() if abs(count) >= 0.005}


def mark(good):
    return "ok" if good else "ABOVE"


def report_cpu(bench):
    print(f"CPU time per request, microseconds; limit {CPU_LIMIT} x bare; {bench.options.rounds} rounds")
    print(f"{'strategy':<10} {'load':<10} {'bare':>8} {'ours':>8} {'ratio':>7}  {'middle half':<14} {'extremes':<14}")
    for strategy in bench.options.strategies:
        for mode in bench.options.modes:
            bare, ours, ratios = bench.cpu(strategy, mode)
            low, ratio, high = statistics.quantiles(ratios, method="inclusive")
            print(f"{strategy:<10} {f'{CLIENTS[mode]} {mode}':<10} {bare:8.2f} {ours:8.2f} {ratio:7.3f}  "
                  f"{f'{low:.3f}..{high:.3f}':<14} {f'{min(ratios):.3f}..{max(ratios):.3f}':<14} "
                  f"{mark(ratio <= CPU_LIMIT)}", flush=True)


def differences(bare, ours):
    more = {name: ours.get(name, 0) - bare.get(name, 0) for name in sorted(bare | ours)}
    return ", ".join(f"{name} {count:+.2f}" for name, count in more.items() if abs(count) >= CALL_NOISE)


def report_calls(bench):
    if shutil.which("strace") is None:
        print("System calls: not counted, because strace is not installed")
        return
    print(f"System calls, one client; limits: {CONNECTION_LIMIT} more than bare for a connection of one exchange, "
          f"{EXCHANGE_LIMIT} more for an exchange")
    print(f"{'strategy':<10} {'each':<16} {'bare':>8} {'ours':>8} {'more':>7}")
    rows = [("connection", "short", 200, 1200, CONNECTION_LIMIT), ("exchange", "talk", 200, 1200, EXCHANGE_LIMIT)]
    for strategy in bench.options.strategies:
        for what, mode, few, many, limit in rows:
            bare, ours = (bench.calls_each(side, strategy, mode, few, many) for side in ("bare", "ours"))
            more = sum(ours.values()) - sum(bare.values())
            print(f"{strategy:<10} {what:<16} {sum(bare.values()):8.2f} {sum(ours.values()):8.2f} {more:+7.2f}  "
                  f"{mark(more <= limit + CALL_NOISE):<6} {differences(bare, ours)}".rstrip(), flush=True)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    add_programs(parser)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds")
    parser.add_argument("--strategies", type=words(STRATEGIES), default=STRATEGIES, metavar="LIST")
    parser.add_argument("--modes", type=words(list(CLIENTS)), default=list(CLIENTS), metavar="LIST")
    parser.add_argument("--tables", type=words(["cpu", "calls"]), default=["cpu", "calls"], metavar="LIST")
    parser.add_argument("--rounds", type=at_least(2), metavar="N", help=f"default {ROUNDS}")
    parser.add_argument("--requests", type=at_least(1), metavar="N", help=f"in each burst, {BURSTS} bursts in a round")
    parser.add_argument("--noise", action="store_true", help="the bare loop beside itself")
    options = parser.parse_args()
    find_programs(options)
    options.rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    return options


def main():
    options = parse_options()
    bench = Bench(options)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("overhead: ended by SIGTERM"))    # by way of every finally
    try:
        report_build(options.build_dir)
        if "cpu" in options.tables:
            report_cpu(bench)
        if "calls" in options.tables:
            print()
            report_calls(bench)
    except (Failure, OSError) as error:
        sys.exit(f"overhead: {error}")


main()
