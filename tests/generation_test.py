#!/usr/bin/env python3
"""Generations: a program that replaces its handler while it serves. RELOADING in the environment is the program
(reloading.c), PLUGIN_VERSION_OLD, _NEW and _DYING are builds of one handler that answer differently."""
import os
import signal
import subprocess
import tempfile
import unittest

from lifeline import PATIENCE_S, following, until
from versions import Load, ask, dial, install, refuses

RELOADING = os.environ['RELOADING']
VERSIONS = {'old': os.environ['PLUGIN_VERSION_OLD'], 'new': os.environ['PLUGIN_VERSION_NEW'],
            'dying': os.environ['PLUGIN_VERSION_DYING']}
# All others follow one another in change_test.py.
STRATEGIES = os.environ.get('STRATEGIES', 'serial fork fiber:uring prefork:2+thread').split()


class Reloading:
    """The program, until it has ended."""

    def __init__(self, test, strategy, address='tcp://127.0.0.1:0'):
        folder = tempfile.TemporaryDirectory()
        test.addCleanup(folder.cleanup)
        self.plugin = os.path.join(folder.name, 'version.so')
        self.install('old')
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(following(RELOADING, self.plugin, address, strategy), stdout=subprocess.PIPE,
                                        stderr=self.errors, text=True)
        test.addCleanup(self.end)
        self.address = self.hear('ready', 1)

    def install(self, version):
        install(VERSIONS[version], self.plugin)

    def hear(self, what, number):
        """What the program says next, which has to be that: the rest of the line."""
        line = self.process.stdout.readline()
        assert line.startswith(f'{what} {number} '), f'{line!r} is not {what} {number}; {self.said()}'
        return line.split(' ', 2)[2].strip()

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def dial(self):
        return dial(self.address)

    def said(self):
        return os.pread(self.errors.fileno(), 1 << 20, 0).decode()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode

    def end(self):
        self.process.kill()
        self.process.communicate()
        self.errors.close()


class Generations(unittest.TestCase):

    def test_a_reload_under_each_strategy(self):
        for strategy in STRATEGIES:
            with self.subTest(strategy=strategy):
                program = Reloading(self, strategy)
                with Load([program.address]) as load:
                    for number, version in ((2, 'new'), (3, 'old')):
                        before = load.counts.get(version, 0)
                        program.install(version)
                        program.reload()
                        program.hear('done', number)
                        with program.dial() as caller:
                            self.assertEqual(ask(caller), version)
                        program.hear('ended', number - 1)
                        until(lambda: load.failures or load.counts.get(version, 0) > before, 'callers get the new version')
                self.assertEqual(load.failures, [], program.said())
                self.assertEqual((program.stop(), program.said()), (0, ''))

    def test_a_talk_goes_on_where_it_began(self):
        for strategy in STRATEGIES:
            if strategy == 'serial':
                continue
            with self.subTest(strategy=strategy):
                program = Reloading(self, strategy)
                with program.dial() as caller:
                    self.assertEqual(ask(caller), 'old')
                    program.install('new')
                    program.reload()
                    program.hear('done', 2)
                    self.assertEqual(ask(caller), 'old')
                    with program.dial() as other:
                        self.assertEqual(ask(other), 'new')
                program.hear('ended', 1)
                self.assertEqual((program.stop(), program.said()), (0, ''))

    def test_what_is_refused_changes_nothing(self):
        program = Reloading(self, 'prefork:2')
        with open(program.plugin + '.next', 'w', encoding='ascii') as file:
            file.write('no plugin')
        os.rename(program.plugin + '.next', program.plugin)
        program.reload()
        self.assertIn('not a loadable plugin', program.hear('refused', 2))
        with program.dial() as caller:
            self.assertEqual(ask(caller), 'old')
        self.assertEqual((program.stop(), program.said()), (0, ''))

    def test_who_crashes_within_a_second_is_refused(self):
        for strategy in STRATEGIES:
            with self.subTest(strategy=strategy):
                program = Reloading(self, strategy)
                program.install('dying')
                program.reload()
                self.assertIn('killed by signal 14', program.hear('refused', 2))
                with program.dial() as caller:
                    self.assertEqual(ask(caller), 'old')
                self.assertEqual((program.stop(), program.said()), (0, ''))

    def test_a_unix_socket_stays_the_same_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'socket')
            program = Reloading(self, 'fork', 'unix:' + path)
            file = os.stat(path)
            with Load([program.address]) as load:
                program.install('new')
                program.reload()
                program.hear('done', 2)
                program.hear('ended', 1)
            self.assertEqual(load.failures, [])
            self.assertEqual(os.stat(path).st_ino, file.st_ino)
            self.assertEqual((program.stop(), program.said()), (0, ''))
            self.assertFalse(os.path.exists(path))

    def test_who_dies_ends_the_program(self):
        program = Reloading(self, 'thread')
        with program.dial() as caller:
            caller.sendall(b'crash\n')
            self.assertIn('killed by signal 6', program.hear('died', 1))
        program.process.communicate(timeout=PATIENCE_S)
        self.assertEqual(program.process.returncode, 1)

    def test_nobody_is_left_when_the_supervisor_is_killed(self):
        program = Reloading(self, 'prefork:2')
        program.process.kill()
        program.process.communicate(timeout=PATIENCE_S)
        until(lambda: refuses(program.address), 'nobody listens any more')


if __name__ == '__main__':
    unittest.main()
