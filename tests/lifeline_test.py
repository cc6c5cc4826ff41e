#!/usr/bin/env python3
"""What a test has started ends with it, also when the test itself is killed.

    python3 tests/lifeline_test.py PATH_TO_switchboard PATH_TO_test-command PATH_TO_stress
"""
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

from lifeline import PATIENCE_S, descendants_of, following, until

HERE = os.path.dirname(os.path.abspath(__file__))
# Holds a server with two workers, and tells its folder.
HOLDER = """
import sys, time
sys.path[:0] = sys.argv[1:2]
import seeds_test
seeds_test.switchboard = sys.argv[2]
with seeds_test.serving('upper', 'prefork:2', seeds_test.TCP) as server:
    print(server.folder, flush=True)
    time.sleep(1000)
"""
# Never ends, though a test in C waits for it to.
SILENT_SERVER = '#!/bin/sh\nexec sleep 1000\n'


def read(path):
    with contextlib.suppress(OSError), open(path, encoding='utf-8', errors='replace') as file:
        return file.read()
    return ''


def identity(pid):
    """Its start time tells a process from the next with this pid; a zombie is none any more."""
    fields = read('/proc/%d/stat' % pid).rpartition(')')[2].split()
    return (pid, fields[19]) if fields and fields[0] not in 'ZX' else None


def name(pid):
    return read('/proc/%d/comm' % pid).strip()


class Killed(unittest.TestCase):
    @contextlib.contextmanager
    def started(self, *command, **options):
        test = subprocess.Popen(following(*command), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                start_new_session=True, **options)
        try:
            yield test
        finally:
            test.kill()
            test.wait(PATIENCE_S)

    def check_gone_with(self, victim, processes):
        alive = {identity(pid) for pid in processes} - {None}
        self.assertTrue(alive)
        os.kill(victim, signal.SIGKILL)
        until(lambda: all(identity(pid) != (pid, begin) for pid, begin in alive), 'they are gone: %s' % sorted(alive))

    def test_a_server_ends_with_a_test_in_python(self):
        command = [sys.executable, '-c', HOLDER, os.path.join(HERE, 'peers'), switchboard]
        with self.started(*command, stdout=subprocess.PIPE, text=True) as test:
            folder = test.stdout.readline().strip()
            self.addCleanup(shutil.rmtree, folder)
            self.addCleanup(test.stdout.close)
            servers = until(lambda: len(found := descendants_of(test.pid)) == 4 and found, 'a server with two workers')
            self.check_gone_with(test.pid, servers)

    def test_a_server_ends_with_a_test_in_c(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'switchboard')
            with open(path, 'w', encoding='ascii') as script:
                os.fchmod(script.fileno(), 0o700)
                script.write(SILENT_SERVER)
            with self.started(test_command, '--jobs=1', '--filter=command/misuse*', stdout=subprocess.DEVNULL,
                              env=dict(os.environ, SWITCHBOARD=path, TMPDIR=folder)) as test:
                found = until(lambda: 'sleep' in map(name, found := descendants_of(test.pid)) and found, 'a server')
                self.check_gone_with(test.pid, found)

    def test_the_workers_of_a_server_inside_a_test_end_with_it(self):
        """Whichever of the two that look after each other is killed."""
        for guard_is_killed in True, False:
            with self.started(stress, 'processes', stdout=subprocess.DEVNULL) as test:
                found = until(lambda: len(found := descendants_of(test.pid)) >= 4 and found, 'workers')
                self.check_gone_with(test.pid if guard_is_killed else found[0], found)


if __name__ == '__main__':
    switchboard, test_command, stress = (os.path.abspath(sys.argv.pop(1)) for _ in range(3))
    unittest.main()
