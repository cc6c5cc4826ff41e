#!/usr/bin/env python3
"""What it costs to be watched: CPU time for a request of a server without a trace, with one that is switched off, and
with one that is on.

    tracing.py BUILD_DIR [--strategies=thread,fiber] [--rounds=N] [--requests=N]

A round is one fresh server of each kind, all alive, on one CPU; the load, 50 callers who talk, goes to each in turn, in
short bursts, there and back again. What starting and ending costs is the same for all, and small beside it.
"""
import argparse
import os
import signal
import statistics
import sys

from options import add_programs, at_least, find_programs, report_build, report_machine
from servers import Failure, Server, run_load

CLIENTS, BURSTS, REQUESTS, ROUNDS = 50, 10, 20000, 9
KINDS = {"without": [], "off": ["--trace=65536"], "on": ["--trace=65536"]}


class Bench:
    def __init__(self, options):
        self.options = options
        cpus = sorted(os.sched_getaffinity(0))
        self.server_cpu, self.load_cpu = cpus[0], cpus[-1]

    def start(self, strategy, kind):
        server = Server([self.options.switchboard, "serve", "--unsupervised", "-q", "-s", strategy, *KINDS[kind],
                         "upper", "tcp://127.0.0.1:0"], self.server_cpu)
        if kind == "off":
            switch_off(server.pid)
        return server

    def round(self, strategy, order):
        """kind -> microseconds for each request"""
        servers = {}
        try:
            for kind in order:
                servers[kind] = self.start(strategy, kind)
            for i in range(BURSTS):
                for kind in order if i % 2 == 0 else reversed(order):
                    run_load(self.options.load, self.load_cpu, "talk", CLIENTS, self.options.requests,
                             servers[kind].port)
            return {kind: servers[kind].stop() * 1e6 / (BURSTS * self.options.requests) for kind in order}
        finally:
            for server in servers.values():
                server.kill()


def switch_off(pid):
    """As sb_trace_switch() does, which programs in C have."""
    import ctypes
    library = ctypes.CDLL(os.environ.get("LIBSWITCHBOARD", "libswitchboard.so.0"))
    if library.sb_trace_switch(pid, False) != 0:
        raise Failure("the trace cannot be switched off")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    add_programs(parser)
    parser.add_argument("--strategies", default="thread,fiber:epoll,prethread", metavar="LIST")
    parser.add_argument("--rounds", type=at_least(2), default=ROUNDS, metavar="N")
    parser.add_argument("--requests", type=at_least(1), default=REQUESTS, metavar="N")
    options = parser.parse_args()
    find_programs(options)
    os.environ.setdefault("LIBSWITCHBOARD", os.path.join(options.build_dir, "src", "libswitchboard.so.0"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("tracing: ended by SIGTERM"))
    report_build(options.build_dir)
    report_machine()
    bench = Bench(options)
    print(f"CPU time for a request of {CLIENTS} who talk, microseconds; {options.rounds} rounds, medians")
    print(f"{'strategy':<12} {'without':>8} {'off':>8} {'on':>8}   {'off':>6} {'on':>6}  beside without")
    for strategy in options.strategies.split(","):
        rounds = [bench.round(strategy, list(KINDS) if i % 2 == 0 else list(KINDS)[::-1])
                  for i in range(options.rounds)]
        us = {kind: statistics.median(each[kind] for each in rounds) for kind in KINDS}
        off, on = (statistics.median(each[kind] / each["without"] for each in rounds) for kind in ("off", "on"))
        print(f"{strategy:<12} {us['without']:8.2f} {us['off']:8.2f} {us['on']:8.2f}   {off:6.3f} {on:6.3f}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except (Failure, OSError) as error:
        sys.exit(f"tracing: {error}")
