"""Servers whose supervisor meets the faults: its own system calls and allocations fail, not its generations', while it
is asked for something. Who calls must not notice, for callers talk to generations only."""
import os
import signal
import subprocess
from collections.abc import Callable
from typing import NamedTuple

from subject import PATIENCE_S, Broken, call_until_served, check, until_true, visit


class Life(NamedTuple):
    """What is asked of it once it serves."""
    name: str
    ask: Callable
    program: str = 'program'        # whose calls fail: this one's, or its 'renewal''s (inject.c)
    left_out: tuple = ('rt_sigaction', 'rt_sigprocmask')    # they fail by a program's own mistake only

    def __str__(self):
        return 'supervised ' + self.name

    def families(self):
        return ['tcp', 'udp', 'unix', 'unixgram']

    def options(self):
        return ['-s', 'thread', '--restart']

    def environment(self):
        return {'ONLY': self.program}

    def live(self, subject):
        why = self.ask(subject)
        check(not why, f'{self}: {why}')
        call(subject, f'{self}')

    def check(self, subject, fault, steady):
        check_changed(self, subject, fault, steady)


# --- what is asked ----------------------------------------------------------------------------------------------------

def command(subject, *words):
    """Why it was refused, in one sentence; ''."""
    done = subprocess.run([subject.switchboard, words[0], str(subject.pid), *words[1:]], stdin=subprocess.DEVNULL,
                          env=dict(os.environ, XDG_RUNTIME_DIR=subject.folder, TMPDIR=subject.folder),
                          capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    said = done.stderr
    check(done.returncode in (0, 1), f'{words}: status {done.returncode}: {said}')
    check(said.count('\n') == done.returncode, f'{words}: status {done.returncode}, and {said!r}')
    return said.strip()


def switch(subject):
    return command(subject, 'switch', '-s', 'prefork:2')


def reload(subject):
    return command(subject, 'reload')


def renew(subject):
    return command(subject, 'reload', '--program')


def be_refused(subject):
    """Where Unix sockets are served, too."""
    why = command(subject, 'switch', '-s', 'prefork:2', '-a', 'reuseport')
    check(why, 'what cannot be was not refused')
    return '' if 'reuseport' in why else why


def generations(subject):
    with open(f'/proc/{subject.pid}/task/{subject.pid}/children', encoding='ascii') as file:
        return file.read().split()


def lose_generation(subject):
    lost = until_true(lambda: generations(subject))
    for pid in lost:
        os.kill(int(pid), signal.SIGKILL)
    until_true(lambda: set(generations(subject)) - set(lost))
    call_until_served(subject)
    return ''


LIVES = [Life('switch', switch), Life('reload', reload), Life('refusal', be_refused), Life('restart', lose_generation),
         Life('renewal', renew), Life('renewed', renew, 'renewal')]


# --- promises ---------------------------------------------------------------------------------------------------------

def call(subject, when):
    for family in subject.addresses:
        check(subject.process.poll() is None, f'it has ended: {when}')
        try:
            visit(subject, family, PATIENCE_S)
        except OSError as error:
            raise Broken(f'{when}: {family}: {error}') from None


def check_changed(life, subject, fault, steady):
    """While its supervisor's calls fail it serves; what is asked for is done or refused; and then all is as before."""
    call(subject, 'before anything was asked')
    begin = subject.cpu_s()
    life.ask(subject)
    if fault.window_ms and subject.heard('hit'):
        subject.heard('over', PATIENCE_S)
    used = subject.cpu_s() - begin
    call(subject, 'after the fault')
    why = life.ask(subject)
    check(not why, f'refused after the fault: {why}')
    call(subject, 'after the change')
    until_true(lambda: 0 <= subject.descriptors() <= steady)
    seen = subject.descriptors()
    check(seen <= steady, f'{seen} descriptors are open, without a fault {steady}')
    check(subject.process.poll() is None, 'it ended')
    said = len(subject.lines())
    os.kill(subject.pid, signal.SIGTERM)
    status, _, left = subject.end()
    lines = subject.lines()
    check(status == 0 or (os.waitstatus_to_exitcode(status) == 1 and len(lines) > said),
          f'it ended with {status:#x}: ' + ' / '.join(lines))
    check(left == 0, f'{left} processes were left behind')
    check(used < 2, f'it used {used:.2f} s of CPU time for a change')
    check(len(lines) <= 12, f'{len(lines)} lines: ' + ' / '.join(lines[:6]))
