#!/usr/bin/env python3
"""The strategies beside the servers that others write: bare loops, libuv, libevent, Go, Python's socketserver.

    peers.py BUILD_DIR [--quick] [--modes=talk-50,idle-5000] [--servers=bare-epoll,fiber:epoll] [--rounds=N] ...

A table for each mode, and under it the goals of that mode, each marked when it is missed. What is not installed or does
not start is left out with a word. The exit status is 1 only when something that starts could not be measured.

    short-16 short-256      each request on a connection of its own, so many at once
    talk-1 -50 -500 -5000   so many connections, each asks again when it has its answer (spin: fiber:epoll --spin=50)
    udp-50                  the same with sockets that send datagrams
    same-short-16 same-talk-50      server and load on one CPU: the rate is what both together cost
    active-16               16 talk while 5000 connections are idle
    idle-5000 open-18000    memory (PSS): of connections that have not spoken yet, and that have been answered once
    calls                   system calls for each request

But for same-*, the server has one CPU and the load another. A round starts all servers afresh, all alive; short bursts
of load go to one after the other, and then in the opposite order; the next round begins with another server. A burst
begins when its clients are connected and answered once, and ends before they hang up, so that a talk is exchanges only.
CPU is what the clocks of the server's processes say at these two moments. A ratio is one round's, and the table has the
median and the extremes of the rounds. What is said of rates holds for this machine and this hour; compare ratios.
"""
import argparse
import contextlib
import os
import shutil
import signal
import statistics
import sys
import tempfile
from typing import NamedTuple

from options import add_programs, at_least, find_programs, report_build, report_machine, words
from servers import Failure, Load, Server, perf_calls, perf_works, run_load, strace_calls

ROUNDS, QUICK_ROUNDS = 7, 2
QUICK_SHARE = 5                             # of the requests one in so many
WARM_UP = {"tcp": ("short", 16, 320), "udp": ("udp", 16, 320)}


class Peer(NamedTuple):
    name: str
    command: list
    holds: int = 20000                      # connections that it serves at once
    family: str = "tcp"
    slowness: int = 1                       # gets one request where others get so many


class Mode(NamedTuple):
    name: str
    load: str
    clients: int
    requests: int                           # in a burst, two bursts in a round
    figure: str                             # what the ratios compare
    same_cpu: bool = False
    idle: int = 0                           # connections beside those of the load


class Goal(NamedTuple):
    mode: str
    ours: tuple                             # the best of these
    figure: str
    bound: str
    limit: float
    against: str = None                     # None: the figure itself has the limit


MODES = [
    Mode("short-16", "short", 16, 5000, "cpu"),
    Mode("short-256", "short", 256, 5000, "cpu"),
    Mode("talk-1", "talk", 1, 10000, "rate"),
    Mode("talk-50", "talk", 50, 30000, "cpu"),
    Mode("talk-500", "talk", 500, 30000, "cpu"),
    Mode("talk-5000", "talk", 5000, 50000, "cpu"),
    Mode("udp-50", "udp", 50, 30000, "cpu"),
    Mode("same-short-16", "short", 16, 5000, "rate", same_cpu=True),
    Mode("same-talk-50", "talk", 50, 30000, "rate", same_cpu=True),
    Mode("active-16", "talk", 16, 30000, "p99", idle=5000),
    Mode("idle-5000", "idle", 5000, 5000, "spoken"),
    Mode("open-18000", "idle", 18000, 18000, "total"),
    Mode("calls", None, 0, 0, None),
]
FIBERS = ("fiber:epoll", "fiber:uring")
AT_MOST, AT_LEAST = "at most", "at least"
GOALS = [
    Goal("short-16", ("thread",), "rate", AT_LEAST, 3, "python-threading"),
    Goal("short-16", ("fork",), "rate", AT_LEAST, 8, "python-forking"),
    *[Goal(mode, ("fiber:epoll",), "cpu", AT_MOST, 1.03, "bare-epoll") for mode in ("talk-50", "talk-500")],
    *[Goal(mode, ("fiber:uring",), "cpu", AT_MOST, limit, bare) for mode in ("talk-50", "talk-500")
      for limit, bare in ((1.00, "bare-epoll"), (1.03, "bare-uring"))],
    *[Goal("same-talk-50", FIBERS, "rate", AT_LEAST, limit, peer)
      for peer, limit in (("bare-epoll", 1.05), ("libuv", 1.08), ("libevent", 1.3), ("go", 1.4))],
]
for fiber in FIBERS:
    GOALS += [
        *[Goal("short-16", (fiber,), "cpu", AT_MOST, limit, peer)
          for peer, limit in (("bare-epoll", 1.05), ("libuv", 1), ("libevent", 1))],
        Goal("active-16", (fiber,), "p99", AT_MOST, 1.1, "bare-epoll"),
        Goal("idle-5000", (fiber,), "silent", AT_MOST, 0.6),
        Goal("idle-5000", (fiber,), "spoken", AT_MOST, 4.5),
        Goal("open-18000", (fiber,), "total", AT_MOST, 150),
    ]
GOALS += [Goal("udp-50", (ours,), "cpu", AT_MOST, limit, peer) for ours in (*FIBERS, "serial")
          for limit, peer in ((1.05, "bare-udp"), (0.5, "python-udp"))]
GOALS += [Goal("calls", ("fiber:uring",), "talk", AT_MOST, 0.45)]

# name: what it says, format
FIGURES = {
    "rate": ("rate /s", "{:.0f}"),
    "cpu": ("CPU us", "{:.2f}"),
    "p50": ("p50 us", "{:.0f}"),
    "p99": ("p99 us", "{:.0f}"),
    "silent": ("silent KB", "{:.2f}"),
    "spoken": ("spoken KB", "{:.2f}"),
    "total": ("total MB", "{:.1f}"),
    "short": ("short", "{:.2f}"),
    "talk": ("talk", "{:.2f}"),
    "udp": ("udp", "{:.2f}"),
}
BURST_FIGURES, MEMORY_FIGURES, CALL_FIGURES = ("rate", "cpu", "p50", "p99"), ("silent", "spoken", "total"), \
    ("short", "talk", "udp")


def all_peers(options):
    def ours(strategy, *arguments, name=None, **more):
        family = more.get("family", "tcp")
        return Peer(name or strategy, [options.switchboard, "serve", "-q", "--max-connections=20000",
                                       "--max-children=20000", "-s", strategy, *arguments, "upper",
                                       f"{family}://127.0.0.1:0"], **more)

    def bare(design, **more):
        return Peer(f"bare-{design}", [options.bare, design], **more)

    def foreign(name):
        return Peer(name, [os.path.join(options.build_dir, "tests/bench", f"echo-{name}")])

    def python(kind, **more):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "echo_python.py")
        return Peer(f"python-{kind}", [sys.executable, script, kind], **more)

    return [
        bare("epoll"), bare("uring"), bare("udp", family="udp"),
        ours("fiber:epoll"), ours("fiber:uring"), ours("prefork:2+fiber"),
        ours("fiber:epoll", "--spin=50", name="spin", holds=50),
        ours("thread", holds=5000), ours("fork", holds=500), ours("pool:8", holds=8), ours("serial", holds=1),
        *[ours(strategy, family="udp") for strategy in (*FIBERS, "serial")],
        foreign("libuv"), foreign("libevent"), foreign("go"),
        python("tcp", holds=1), python("threading", holds=500), python("forking", holds=50, slowness=10),
        python("udp", family="udp"),
    ]


PEER_NAMES = ["bare-epoll", "bare-uring", "bare-udp", *FIBERS, "prefork:2+fiber", "spin", "thread", "fork", "pool:8",
              "serial", "libuv", "libevent", "go", "python-tcp", "python-threading", "python-forking", "python-udp"]


def reference(mode):
    return "bare-udp" if mode.load == "udp" else "bare-epoll"


class Bench:
    def __init__(self, options):
        self.options = options
        cpus = sorted(os.sched_getaffinity(0))
        self.server_cpu, self.load_cpu = cpus[0], cpus[-1]
        self.failed = False
        self.perf = perf_works()
        self.peers = [peer for peer in all_peers(options) if peer.name in options.servers and self.starts(peer)]

    def starts(self, peer):
        """Whether it does; if not, says why."""
        program = peer.command[0]
        if not os.path.exists(program):
            print(f"Left out: {peer.name}, because {os.path.basename(program)} has not been built", flush=True)
            return False
        with tempfile.TemporaryFile("w+") as stderr:
            try:
                server = Server(peer.command, self.server_cpu, stderr)
            except Failure as failure:
                stderr.seek(0)
                said = stderr.read().strip().split("\n")[-1]
                print(f"Left out: {peer.name}: {said or failure}", flush=True)
                return False
            server.kill()
            return True

    def able(self, mode):
        family = "udp" if mode.load == "udp" else "tcp"
        held = 0 if mode.load == "short" else mode.clients + mode.idle
        return [peer for peer in self.peers if peer.family == family and peer.holds >= held]

    def requests(self, peer, mode):
        share = peer.slowness * (QUICK_SHARE if self.options.quick else 1)
        return max(mode.requests // share, mode.clients)

    @contextlib.contextmanager
    def trial(self, peer, mode, figures):
        """What fails inside is told, and then there are no figures for this round."""
        try:
            yield
        except Failure as failure:
            self.failed = True
            figures[peer.name] = None
            print(f"FAILED: {peer.name} in {mode.name}: {failure}", flush=True)

    def start(self, peer, running):
        server = Server(peer.command, self.server_cpu)
        running.callback(self.end, peer, server)
        run_load(self.options.load, self.load_cpu, *WARM_UP[peer.family], server.port)
        return server

    def end(self, peer, server):
        try:
            server.stop()
        except Failure as failure:
            self.failed = True
            print(f"FAILED: {peer.name}: {failure}", flush=True)
        finally:
            server.kill()

    def load(self, mode, clients, requests, port, same_cpu=False):
        return Load(self.options.load, self.server_cpu if same_cpu else self.load_cpu, mode, clients, requests, port)

    # Bursts.

    def burst(self, peer, mode, server):
        with self.load(mode.load, mode.clients, self.requests(peer, mode), server.port, mode.same_cpu) as load:
            before_s = server.cpu_s()
            told = load.run()
            cpu_s = server.cpu_s() - before_s
        return {"rate": told["requests"] / max(told["seconds"], 0.001), "cpu": cpu_s * 1e6 / told["requests"],
                "p50": told["p50_us"], "p99": told["p99_us"]}

    def add_idle(self, mode, server, running):
        load = running.enter_context(self.load("idle", mode.idle, mode.idle, server.port))
        load.run()

    def burst_round(self, mode, peers):
        """Figures of each, means of its bursts; None where it failed."""
        servers, bursts = {}, {peer.name: [] for peer in peers}
        with contextlib.ExitStack() as running:
            for peer in peers:
                with self.trial(peer, mode, bursts):
                    servers[peer.name] = self.start(peer, running)
                    if mode.idle:
                        self.add_idle(mode, servers[peer.name], running)
            for order in (peers, peers[::-1]):
                for peer in order:
                    if bursts[peer.name] is not None:
                        with self.trial(peer, mode, bursts):
                            bursts[peer.name].append(self.burst(peer, mode, servers[peer.name]))
        return {name: some and {figure: statistics.mean(one[figure] for one in some) for figure in BURST_FIGURES}
                for name, some in bursts.items()}

    # Memory.

    def memory(self, peer, mode):
        with contextlib.ExitStack() as running:
            server = self.start(peer, running)
            own_kb = server.pss_kb()
            with self.load("idle", mode.clients, mode.requests, server.port) as load:
                # It is served after those that came before it.
                run_load(self.options.load, self.load_cpu, "short", 1, 1, server.port)
                silent_kb = server.pss_kb()
                load.run()
                total_kb = server.pss_kb()
            return {"silent": (silent_kb - own_kb) / mode.clients, "spoken": (total_kb - own_kb) / mode.clients,
                    "total": total_kb / 1024}

    def memory_round(self, mode, peers):
        figures = {}
        for peer in peers:
            with self.trial(peer, mode, figures):
                figures[peer.name] = self.memory(peer, mode)
        return figures

    # Calls.

    def calls(self, peer, mode, requests):
        def drive(port):
            run_load(self.options.load, self.load_cpu, mode.load, mode.clients, requests, port)
        if self.perf:
            return perf_calls(peer.command, self.server_cpu, drive)
        return sum(strace_calls(peer.command, self.server_cpu, drive).values())

    def calls_each(self, peer, mode):
        """Two lives of different length, so that starting, connecting and ending cancel out."""
        many = self.requests(peer, mode)
        few = many // 5
        return (self.calls(peer, mode, many) - self.calls(peer, mode, few)) / (many - few)

    def calls_round(self, peers):
        figures = {peer.name: {} for peer in peers}
        for mode in MODES:
            if mode.name in ("short-16", "talk-50", "udp-50"):
                for peer in self.able(mode):
                    with self.trial(peer, mode, {}):
                        figures[peer.name][mode.load] = self.calls_each(peer, mode)
        return figures

    # Rounds.

    def rounds(self, mode):
        """For each round the figures of each server."""
        if mode.name == "calls":
            return [self.calls_round(self.peers)] if self.perf or shutil.which("strace") else []
        one_round = self.memory_round if mode.load == "idle" else self.burst_round
        peers, rounds = self.able(mode), []
        for i in range(self.options.rounds if peers else 0):
            shift = i * len(peers) // self.options.rounds
            rounds.append(one_round(mode, peers[shift:] + peers[:shift]))
        return rounds


def values(rounds, name, figure):
    return [figures[name][figure] for figures in rounds if (figures.get(name) or {}).get(figure) is not None]


def ratios(rounds, name, against, figure):
    """Of the rounds that have both."""
    both = [(figures[name][figure], figures[against][figure]) for figures in rounds
            if figures.get(name) and figures.get(against)]
    return [ours / theirs for ours, theirs in both if theirs > 0]


def spread(numbers, form):
    if not numbers:
        return "-"
    median = form.format(statistics.median(numbers))
    return median if len(numbers) == 1 else f"{median} ({form.format(min(numbers))}..{form.format(max(numbers))})"


DESCRIPTIONS = {
    "short": "each request on a connection of its own, {0.clients} at once",
    "talk": "{0.clients} connections that talk",
    "udp": "{0.clients} sockets that send datagrams",
    "idle": "{0.clients} idle connections: KB of PSS for each before it has spoken and after one exchange; "
            "MB of the whole server then",
    None: "system calls for each request: short-16, talk-50, udp-50",
}


def describe(mode):
    text = DESCRIPTIONS[mode.load].format(mode)
    if mode.idle:
        text += f", {mode.idle} idle ones beside them"
    if mode.same_cpu:
        text += "; server and load on one CPU"
    return f"{mode.name}: {text}"


def print_table(mode, names, rounds):
    figures = CALL_FIGURES if mode.load is None else MEMORY_FIGURES if mode.load == "idle" else BURST_FIGURES
    compared = mode.figure if mode.load not in (None, "idle") else None
    heads = ["server"] + [FIGURES[figure][0] for figure in figures]
    if compared:
        heads.append(f"{FIGURES[compared][0].split()[0]} / {reference(mode)}")
    rows = [heads]
    for name in names:
        row = [name] + [spread(values(rounds, name, figure), FIGURES[figure][1]) for figure in figures]
        if compared:
            row.append(spread(ratios(rounds, name, reference(mode), compared), "{:.3f}"))
        rows.append(row)
    widths = [max(len(row[i]) for row in rows) for i in range(len(heads))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def measured(goal, rounds):
    """The best of ours, and its figures."""
    found = []
    for name in goal.ours:
        numbers = ratios(rounds, name, goal.against, goal.figure) if goal.against else values(rounds, name, goal.figure)
        if numbers:
            found.append((statistics.median(numbers), name, numbers))
    if not found:
        return " or ".join(goal.ours), []
    _, name, numbers = min(found) if goal.bound == AT_MOST else max(found)
    return name, numbers


def judge(goal, rounds):
    """Prints whether it is reached; returns the verdict."""
    name, numbers = measured(goal, rounds)
    if numbers:
        median = statistics.median(numbers)
        verdict = "ok" if (median <= goal.limit if goal.bound == AT_MOST else median >= goal.limit) else "MISSED"
    else:
        verdict = "not measured"
    what, form = FIGURES[goal.figure]
    against = f" x {goal.against}" if goal.against else ""
    print(f"  {verdict:<12} {name}: {what.split()[0] if against else what} "
          f"{spread(numbers, '{:.3f}' if against else form)}{against}, {goal.bound} {goal.limit:g}")
    return verdict


def report(bench, mode):
    """Measures a mode; returns the verdicts on its goals."""
    rounds = bench.rounds(mode)
    names = list(dict.fromkeys(peer.name for peer in bench.peers if any(peer.name in figures for figures in rounds)))
    print(f"{describe(mode)}; {len(rounds)} rounds" if len(rounds) > 1 else describe(mode))
    if rounds:
        print_table(mode, names, rounds)
    else:
        print("Not measured: " + ("neither perf nor strace is usable" if mode.name == "calls" else "no server for it"))
    verdicts = [judge(goal, rounds) for goal in GOALS if goal.mode == mode.name]
    print(flush=True)
    return verdicts


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    add_programs(parser)
    modes = [mode.name for mode in MODES]
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds of fewer requests: a look")
    parser.add_argument("--modes", type=words(modes), default=modes, metavar="LIST", help=", ".join(modes))
    parser.add_argument("--servers", type=words(PEER_NAMES), default=PEER_NAMES, metavar="LIST",
                        help=", ".join(PEER_NAMES))
    parser.add_argument("--rounds", type=at_least(1), metavar="N", help=f"default {ROUNDS}")
    options = parser.parse_args()
    find_programs(options)
    options.rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    return options


def main():
    options = parse_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("peers: ended by SIGTERM"))       # by way of every finally
    report_build(options.build_dir)
    report_machine()
    try:
        bench = Bench(options)
        verdicts = [verdict for mode in MODES if mode.name in options.modes for verdict in report(bench, mode)]
    except OSError as error:
        sys.exit(f"peers: {error}")
    print(f"Goals: {verdicts.count('ok')} reached, {verdicts.count('MISSED')} missed, "
          f"{verdicts.count('not measured')} not measured")
    sys.exit(1 if bench.failed else 0)


main()
