"""A server under measurement, and the load that meets it: what the benchmarks start, read and end."""
import contextlib
import os
import re
import select
import signal
import subprocess
import tempfile
import time

DEADLINE_S = 60
QUIET_S, QUIET_TRIES = 0.005, 40
TICKS_S = 1 / os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    pass


def pin(cpu):
    """For preexec_fn: what is started runs on this CPU only."""
    return lambda: os.sched_setaffinity(0, {cpu})


def read_line(file):
    ready, _, _ = select.select([file], [], [], DEADLINE_S)
    return file.readline().decode().strip() if ready else ""


def cpu_clock_s(pid):
    """User and system time of all threads of a process, also of those that have ended: its CPU clock, see
    clock_getcpuclockid(3)."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:     # it has ended
        return 0


def reaped_s(pid):
    """User and system time of the children that the process has waited for."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return 0
    return (int(fields[13]) + int(fields[14])) * TICKS_S


def children(pid):
    found = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/children") as file:
                found += map(int, file.read().split())
    return found


def pss_kb(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup") as file:
        return int(re.search(r"^Pss: +(\d+) kB", file.read(), re.MULTILINE)[1])
    return 0


class Server:
    """A server process, from its ready line to its end."""

    def __init__(self, command, cpu, stderr=None):
        self.command = command
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, preexec_fn=pin(cpu))
        self.pid = self.process.pid
        try:
            self.port, self.pid = self.read_ready_line()
        except BaseException:
            self.kill()
            raise

    def read_ready_line(self):
        line = read_line(self.process.stdout)
        match = re.match(r"listening (?:tcp|udp)://127\.0\.0\.1:(\d+) .*pid=(\d+)", line)
        if not match:
            raise Failure(f"{' '.join(self.command)}: no ready line, but {line!r}")
        return int(match[1]), int(match[2])

    def processes(self):
        pids = [self.pid]
        for pid in pids:
            pids += children(pid)
        return pids

    def wait_until_quiet(self):
        """Until it does nothing more, and so its clocks, which lag behind while a thread runs, are exact."""
        last = None
        for _ in range(QUIET_TRIES):
            now = sum(map(cpu_clock_s, self.processes()))
            if now == last:
                return
            last = now
            time.sleep(QUIET_S)

    def cpu_s(self):
        """CPU seconds of the whole tree until now. Exact, but for 10 ms or so where it has children that ended."""
        self.wait_until_quiet()
        return sum(cpu_clock_s(pid) + reaped_s(pid) for pid in self.processes())

    def pss_kb(self):
        self.wait_until_quiet()
        return sum(map(pss_kb, self.processes()))

    def stop(self):
        """Ends it; returns the CPU seconds of the whole tree."""
        os.kill(self.pid, signal.SIGTERM)
        signal.signal(signal.SIGALRM, lambda *_: self.process.send_signal(signal.SIGKILL))
        signal.alarm(DEADLINE_S)
        _, status, usage = os.wait4(self.process.pid, 0)
        signal.alarm(0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.process.stdout.close()
        if self.process.returncode != 0:
            raise Failure(f"{' '.join(self.command)}: ended with status {self.process.returncode}")
        return usage.ru_utime + usage.ru_stime

    def kill(self):
        if self.process.returncode is None:
            for pid in {self.pid, self.process.pid}:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()
            self.process.stdout.close()


def run_load(program, cpu, mode, clients, requests, port):
    done = subprocess.run([program, mode, str(clients), str(requests), str(port)], stdout=subprocess.PIPE,
                          preexec_fn=pin(cpu))
    if done.returncode != 0:
        raise Failure(f"load {mode}: {done.stdout.decode().strip() or 'no result'}")


class Load:
    """A load that has connected and waits for the word; its connections stay until the `with` ends."""

    def __init__(self, program, cpu, mode, clients, requests, port):
        self.what = f"{clients} {mode}"
        self.process = subprocess.Popen([program, "-w", mode, str(clients), str(requests), str(port)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        preexec_fn=pin(cpu))

    def __enter__(self):
        try:
            if read_line(self.process.stdout) != "ready":
                raise Failure(self.explain())
        except BaseException:
            self.__exit__()
            raise
        return self

    def run(self):
        """The figures that it printed, by name."""
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        line = read_line(self.process.stdout)
        figures = {name: float(value) for name, value in re.findall(r"(\w+)=([\d.]+)", line)}
        if figures.get("errors") != 0:
            raise Failure(self.explain() + line)
        return figures

    def explain(self):
        self.process.kill()
        return f"{self.what}: {self.process.stderr.read().decode().strip() or 'not answered'} "

    def __exit__(self, *_):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


def strace_calls(command, cpu, drive):
    """System calls by name of a server's whole life, while drive(port) puts load on it."""
    with tempfile.NamedTemporaryFile("r") as summary:
        observed(["strace", "-f", "-c", "-o", summary.name] + command, cpu, drive)
        row = r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$"
        found = re.findall(row, summary.read(), re.MULTILINE)
    return {name: int(count) for count, name in found if name != "total"}


PERF = ["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter"]


def perf_works():
    try:
        done = subprocess.run(PERF + ["true"], stderr=subprocess.PIPE, check=False)
    except OSError:
        return False
    return done.returncode == 0 and done.stderr.strip()[:1].isdigit()


def perf_calls(command, cpu, drive):
    """How many system calls a server's whole life takes; unlike strace it does not slow them down."""
    with tempfile.NamedTemporaryFile("r") as summary:
        observed(PERF + ["-o", summary.name, "--"] + command, cpu, drive)
        return int(re.search(r"^(\d+),.*raw_syscalls:sys_enter", summary.read(), re.MULTILINE)[1])


def observed(command, cpu, drive):
    server = Server(command, cpu)
    try:
        drive(server.port)
        server.stop()
    finally:
        server.kill()
