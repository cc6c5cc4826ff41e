"""One server under one fault: it is started, called, called again when the fault is over, and stopped; what it owes
meanwhile is checked. run() returns the promises that broke, as sentences; none is right."""
import contextlib
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from typing import NamedTuple

PATIENCE_S = 60         # for what must happen soon, of many servers at once on a busy machine
FAULT_S = 15            # for a call while the fault lasts
DATAGRAM_S = 3          # for the answer to a datagram then: it may be lost
SPIN = 0.05             # of a CPU, while nothing works
RATE = 400              # failing calls a second, of one thread
MAX_CONNECTIONS = 3
STARTED_AGAIN = 4       # descriptors more, of workers that were: they have inherited what leads to their siblings
TICKS = os.sysconf('SC_CLK_TCK')


class Design(NamedTuple):
    strategy: str
    accept: str
    streams_only: bool
    internet_only: bool
    left_out = ()               # calls of which no fault is made up

    def families(self):
        """What it can serve, all at once."""
        return [family for family in ('tcp', 'udp', 'unix', 'unixgram')
                if (family in ('tcp', 'unix') or not self.streams_only)
                and (not family.startswith('unix') or not self.internet_only)]

    def __str__(self):
        return self.strategy + ('' if self.accept == 'shared' else ' -a ' + self.accept)

    def options(self):
        return ['--unsupervised', '-s', self.strategy, '-a', self.accept]

    def environment(self):
        return {}

    def live(self, subject):
        """Without a fault."""
        for _ in range(3):
            failed, why = call_all(subject, PATIENCE_S)
            check(failed == 0, f'{self}: {why}')

    def check(self, subject, fault, steady):
        check_served(subject, fault, steady)


class Fault(NamedTuple):
    call: str
    error: str
    number: int         # of the error
    nth: int
    window_ms: int      # 0: that one only

    def __str__(self):
        return f'{self.call} {self.error} {self.nth}' + (f'+{self.window_ms} ms' if self.window_ms else '')


def read_designs(path):
    pattern = r'\{ "([^"]+)", "(\w+)", \d+, \w+, (\w+), (\w+) \}'
    with open(path, encoding='utf-8') as file:
        return [Design(strategy, accept, streams == 'true', internet == 'true')
                for strategy, accept, streams, internet in re.findall(pattern, file.read())]


class Programs(NamedTuple):
    switchboard: str
    inject: str
    mark: str
    exhaust: str

    def under(self, fault, socket_number):
        """What runs a command under a fault, or None: then it counts; and the environment for that."""
        if fault and fault.call == 'memory':
            what, preload = ['watch'], self.exhaust
        else:
            what, preload = ['record'], self.mark
            if fault:
                what = [fault.call, str(fault.number), str(fault.nth), str(fault.window_ms)]
        return (['setpriv', '--pdeathsig', 'KILL', self.inject, str(socket_number), *what, '--', self.switchboard],
                dict(os.environ, PRELOAD=preload, EXHAUST=str(fault.nth if fault else 0)))


class Broken(Exception):
    """A promise; the rest of the run says nothing more."""


def check(condition, sentence):
    if not condition:
        raise Broken(sentence)


class Subject:
    """The server, and who watches its system calls."""

    def __init__(self, programs, design, fault, folder):
        self.folder, self.told, self.addresses, self.switchboard = folder, '', {}, programs.switchboard
        families = design.families()
        targets = {'tcp': 'tcp://127.0.0.1:0', 'udp': 'udp://127.0.0.1:0', 'unix': f'unix:{folder}/stream',
                   'unixgram': f'unixgram:{folder}/datagram'}
        ours, theirs = socket.socketpair()
        self.words = ours
        command, environment = programs.under(fault, theirs.fileno())
        self.errors = open(folder + '.err', 'w+b')
        self.process = subprocess.Popen(
            [*command, 'serve', *design.options(), '--drain-timeout=2',
             f'--max-connections={MAX_CONNECTIONS}', 'upper', *(targets[family] for family in families)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors, pass_fds=[theirs.fileno()],
            env=dict(environment, XDG_RUNTIME_DIR=folder, TMPDIR=folder, **design.environment()))
        theirs.close()
        self.pid = None
        self.read_addresses(len(families))

    def read_lines(self, count):
        """So many, or fewer when it has ended or says nothing for long."""
        text = b''
        while text.count(b'\n') < count and select.select([self.process.stdout], [], [], PATIENCE_S)[0]:
            if not (some := os.read(self.process.stdout.fileno(), 65536)):
                break
            text += some
        return text.decode().splitlines()

    def read_addresses(self, count):
        """The ready lines."""
        for line in self.read_lines(count):
            family, address = re.search(r'listening (\w+):(\S+)', line).groups()
            self.pid = int(re.search(r'pid=(\d+)', line).group(1))
            self.addresses[family] = ('127.0.0.1', int(address.rpartition(':')[2])) if address[0] == '/' \
                and address[1] == '/' else address

    def heard(self, word, wait_s=0.0):
        """Whether the watcher has said so, within that time."""
        deadline = time.monotonic() + wait_s
        while word + '\n' not in self.told:
            self.words.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                some = self.words.recv(65536).decode()
            except (TimeoutError, BlockingIOError):
                some = None
            if some == '' or (some is None and time.monotonic() >= deadline):
                return False
            self.told += some or ''
        return True

    def pids(self):
        """Its processes."""
        found, todo = [], [self.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            try:
                for task in os.listdir(f'/proc/{pid}/task'):
                    with open(f'/proc/{pid}/task/{task}/children', encoding='ascii') as file:
                        todo += [int(word) for word in file.read().split()]
            except (FileNotFoundError, ProcessLookupError):
                found.pop()
        return found

    def descriptors(self):
        """How many it has open; -1: it is changing."""
        try:
            return sum(len(os.listdir(f'/proc/{pid}/fd')) for pid in self.pids())
        except (FileNotFoundError, ProcessLookupError):
            return -1

    def cpu_s(self):
        """What it has used, with children that were reaped."""
        ticks = 0
        for number, pid in enumerate(self.pids()):
            try:
                with open(f'/proc/{pid}/stat', encoding='ascii') as file:
                    fields = file.read().rpartition(')')[2].split()
                ticks += sum(int(field) for field in fields[11:15 if number == 0 else 13])
            except (FileNotFoundError, ProcessLookupError):
                pass
        return ticks / TICKS

    def lines(self):
        """What it has said: each as its first line, and but for what it says of rude callers, and of a stop that takes
        its time on a busy machine."""
        self.errors.seek(0)
        lines = self.errors.read().decode(errors='replace').splitlines()
        return [line for line in lines if re.match(r'switchboard( \w+)?: (?!.* has left: |waiting up to |-+$)', line)]

    def end(self):
        """All that it says until its end: its wait status, and the numbers of failed calls and processes left."""
        try:
            self.process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise Broken('it did not end; it waits in ' + self.waits()) from None
        self.words.settimeout(PATIENCE_S)
        while some := self.words.recv(65536):
            self.told += some.decode()
        numbers = re.search(r'^failed (\d+)\nleft (\d+)\nstatus (\d+)', self.told, re.M)
        check(numbers, f'who watches ended with {self.process.returncode}: {self.told!r}')
        failed, left, status = map(int, numbers.groups())
        return status, failed, left

    def waits(self):
        """Where its threads are."""
        found = []
        for pid in self.pids() if self.pid else []:
            for task in os.listdir(f'/proc/{pid}/task'):
                with open(f'/proc/{pid}/task/{task}/wchan', encoding='ascii') as file:
                    found.append(file.read())
        return ' '.join(found)

    def close(self):
        for pid in self.pids() if self.pid and self.process.poll() is None else []:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.kill()
        self.process.communicate()
        self.words.close()
        self.errors.close()
        os.unlink(self.folder + '.err')


# --- callers ----------------------------------------------------------------------------------------------------------

def hear(caller, size):
    """So many bytes, or fewer at the end."""
    heard = b''
    while len(heard) < size and (some := caller.recv(size - len(heard))):
        heard += some
    return heard


def dial(subject, family, wait_s):
    kind = socket.SOCK_STREAM if family in ('tcp', 'unix') else socket.SOCK_DGRAM
    caller = socket.socket(socket.AF_UNIX if family.startswith('unix') else socket.AF_INET, kind)
    try:
        caller.settimeout(wait_s)
        if family == 'unixgram':
            caller.bind('')
        caller.connect(subject.addresses[family])
    except OSError:
        caller.close()
        raise
    return caller


def exchange(caller):
    caller.sendall(b'hello')
    if (heard := hear(caller, 5)) != b'HELLO':
        raise ConnectionError(f'{heard!r} for hello')


def visit(subject, family, wait_s):
    """A talk of two exchanges that ends with a half-close, or a datagram."""
    if family in ('udp', 'unixgram') and wait_s < PATIENCE_S:
        wait_s = DATAGRAM_S
    with dial(subject, family, wait_s) as caller:
        exchange(caller)
        if family in ('tcp', 'unix'):
            exchange(caller)
            caller.shutdown(socket.SHUT_WR)
            if hear(caller, 1) != b'':
                raise ConnectionError('more than was asked for')


def leave_rudely(subject, family, wait_s):
    """A caller that resets its connection in the middle of a talk; what comes of that is its own affair."""
    with dial(subject, family, wait_s) as caller:
        caller.sendall(b'hello')
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))


def call_together(subject, family, wait_s):
    """More at once than it has places: who has been served makes room. Returns how many failed, and why."""
    failed, why, waiting = 0, None, []
    with contextlib.ExitStack() as stack:
        for _ in range(MAX_CONNECTIONS + 2):
            try:
                caller = stack.enter_context(dial(subject, family, wait_s))
                caller.sendall(b'hello')
                waiting.append(caller)
            except OSError as error:
                failed, why = failed + 1, error
        while waiting:
            for caller in select.select(waiting, [], [], wait_s)[0] or waiting[:1]:
                waiting.remove(caller)
                try:
                    if hear(caller, 5) != b'HELLO':
                        raise ConnectionError('cut off')
                except OSError as error:
                    failed, why = failed + 1, error
                caller.close()
    return failed, why


def call_all(subject, wait_s):
    """The load: a crowd, every family once, and rude callers. Returns how many calls failed, and why the last did."""
    failed, why = call_together(subject, 'tcp', wait_s)
    for family in subject.addresses:
        for what in (visit, leave_rudely) if family in ('tcp', 'unix') else (visit,):
            try:
                what(subject, family, wait_s)
            except OSError as error:
                failed, why = failed + 1, f'{family}: {error}'
    return failed, why


def call_until_served(subject):
    """The service is whole again: every family answers. A single call may still meet what the fault has left."""
    for family in subject.addresses:
        deadline, why = time.monotonic() + PATIENCE_S, None
        while True:
            try:
                visit(subject, family, FAULT_S)
                break
            except OSError as error:
                why = error
            if time.monotonic() > deadline or subject.process.poll() is not None:
                raise Broken(f'{family} is not served after the fault: {why}')
            time.sleep(0.02)


# --- promises ---------------------------------------------------------------------------------------------------------

def until_true(look):
    deadline = time.monotonic() + PATIENCE_S
    while not (seen := look()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return seen


def expected_status(fault):
    """Of a start that failed: a plugin that is not found is misuse of the command."""
    return (1, 2) if fault.call in ('access', 'readlink') else (1,)


def check_start_failed(subject, fault):
    """One sentence, status 1, before any ready line."""
    status, _, left = subject.end()
    lines = subject.lines()
    check(not subject.addresses, 'it ended after some ready lines: ' + ' / '.join(lines))
    check(os.WIFEXITED(status) and os.WEXITSTATUS(status) in expected_status(fault),
          f'it ended at the start with status {status:#x}: ' + ' / '.join(lines))
    check(len(lines) == 1 or (fault.call, fault.error) == ('write', 'EPIPE'),
          f'{len(lines)} lines for a start that failed: ' + ' / '.join(lines))
    check(left == 0, f'{left} processes were left behind')


def watch_window(subject):
    """While the fault lasts nothing spins."""
    begin_s, begin = time.monotonic(), subject.cpu_s()
    subject.heard('over', PATIENCE_S)
    lasted = time.monotonic() - begin_s
    used = subject.cpu_s() - begin
    check(used <= SPIN * max(lasted, 1) + 3 / TICKS, f'it used {used:.2f} s of CPU time in {lasted:.1f} s of the fault')


def call_under_fault(subject, fault, loads):
    """So many loads; returns how many calls failed."""
    failed = 0
    for _ in range(loads):
        some, _ = call_all(subject, FAULT_S)
        failed += some
        if fault.window_ms and subject.heard('hit'):
            watch_window(subject)
            break
    return failed


def check_served(subject, fault, steady):
    if fault.window_ms and subject.heard('hit'):
        subject.heard('over', PATIENCE_S)
    failed = call_under_fault(subject, fault, 3)
    if not fault.window_ms:
        check(failed <= 1, f'{failed} calls failed by one fault')
    call_until_served(subject)
    is_over = subject.heard('over')     # or it comes only now
    again, why = call_all(subject, PATIENCE_S)
    check(again <= (0 if is_over else 1), f'not served after the fault: {why}')
    steady += STARTED_AGAIN
    until_true(lambda: 0 <= subject.descriptors() <= steady)
    seen = subject.descriptors()
    check(seen <= steady, f'{seen} descriptors are open, without a fault {steady}')
    check(subject.process.poll() is None, 'it ended')
    said = subject.lines()
    os.kill(subject.pid, signal.SIGTERM)
    status, n, left = subject.end()
    lines = subject.lines()
    check(os.WIFEXITED(status), f'it was killed by signal {os.WTERMSIG(status)}: ' + ' / '.join(lines))
    code = os.WEXITSTATUS(status)
    check(code == 0 or (code == 1 and len(lines) > len(said)), f'it ended with status {code}: ' + ' / '.join(lines))
    check(left == 0, f'{left} processes were left behind')
    limit = 3 + (failed + 2 * n if not fault.window_ms else failed + 3)
    check(len(lines) <= limit, f'{len(lines)} lines: ' + ' / '.join(lines[:6]))
    check(not fault.window_ms or n <= RATE * len(subject.addresses) * 3, f'{n} calls failed in the fault')


def run(programs, design, fault, steady, temporary):
    """The promise that broke under this fault, as text; ''. steady: how many descriptors there are without."""
    folder = tempfile.mkdtemp(dir=temporary)
    subject = Subject(programs, design, fault, folder)
    try:
        if len(subject.addresses) < len(design.families()):
            check_start_failed(subject, fault)
        else:
            design.check(subject, fault, steady)
        left = os.listdir(folder)
        check(not left or fault.call in ('unlink', 'newfstatat'), 'files were left behind: ' + ' '.join(left))
        check(not left or fault.error == 'ENOENT' or 'cannot remove' in ' '.join(subject.lines()),
              'files were left behind, and nothing is said of it: ' + ' '.join(left))
        return ''
    except Broken as broken:
        return str(broken)
    finally:
        subject.close()
        shutil.rmtree(folder, ignore_errors=True)


def settled(subject):
    """How many descriptors it has open once that no longer changes: late workers begin late."""
    seen, since = -1, time.monotonic()
    while time.monotonic() - since < 0.3:
        if (now := subject.descriptors()) != seen:
            seen, since = now, time.monotonic()
        time.sleep(0.01)
    return seen


def record(programs, design, temporary, fault=None):
    """Its system calls in a life without a fault: call -> (until it was ready, until its end); and how many
    descriptors it has then. With a fault that never comes, of memory: its allocations."""
    folder = tempfile.mkdtemp(dir=temporary)
    subject = Subject(programs, design, fault, folder)
    try:
        subject.words.sendall(b'ready\n')
        subject.heard('counted', PATIENCE_S)
        design.live(subject)
        steady = settled(subject)
        os.kill(subject.pid, signal.SIGTERM)
        check(subject.end()[0] == 0, f'{design}: it ended with ' + ' / '.join(subject.lines()))
        return {call: (int(ready), int(count))
                for call, count, ready in re.findall(r'^call (\w+) (\d+) (\d+)$', subject.told, re.M)}, steady
    finally:
        subject.close()
        shutil.rmtree(folder, ignore_errors=True)
