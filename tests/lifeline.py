"""What a test starts ends with it, also where the test itself is killed.

The signal comes when the thread that has started the process ends (prctl(2), PR_SET_PDEATHSIG): the main thread starts
it. What stands between the test and a server (a shell, strace) does not pass it on, so both are made to follow.
"""
import contextlib
import glob
import shutil
import time

PATIENCE_S = 120        # for what must happen soon, on a machine that may be slow and busy; only what hangs needs it


def following(*command):
    """The command, which the kernel kills when who starts it is gone (util-linux has setpriv)."""
    return [SETPRIV, '--pdeathsig', 'KILL', *command]


def children_of(pid):
    """By all its threads, of which some may end meanwhile."""
    children = []
    for path in glob.glob(f'/proc/{pid}/task/*/children'):
        with contextlib.suppress(OSError), open(path, encoding='ascii') as file:
            children += map(int, file.read().split())
    return children


def descendants_of(pid):
    return [each for child in children_of(pid) for each in [child, *descendants_of(child)]]


SETPRIV = shutil.which('setpriv')
assert SETPRIV, 'setpriv is not installed (Debian: util-linux)'


def until(condition, what):
    """What the condition comes to, once that is true."""
    deadline = time.monotonic() + PATIENCE_S
    while not (result := condition()):
        assert time.monotonic() < deadline, 'not within %d s: %s' % (PATIENCE_S, what)
        time.sleep(0.002)
    return result
