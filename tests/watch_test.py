#!/usr/bin/env python3
"""Who watches a server: status --json and top, the latter on a terminal of tmux(1). SWITCHBOARD in the environment is the
command."""
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import unittest

from lifeline import PATIENCE_S, children_of, following, until
from serving import SWITCHBOARD, Served

ROW = re.compile(r'^[> ] *(\d+) +(\d+) +(\d+)  (\w+) ', re.MULTILINE)


def command(*words):
    return subprocess.run([SWITCHBOARD, *map(str, words)], capture_output=True, text=True, timeout=PATIENCE_S,
                          check=False)


def status(served):
    done = command('status', '--json', served.pid())
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def state_of(pid):
    with open(f'/proc/{pid}/stat', encoding='ascii') as file:
        return file.read().rpartition(')')[2].split()[0]


class Status(unittest.TestCase):

    def test_what_it_tells(self):
        served = Served(self, '-q', '-s', 'prefork:2', '--name=watched', 'upper', 'tcp://127.0.0.1:0')
        with served.dial() as caller:
            caller.sendall(b'a')
            self.assertEqual(caller.recv(1), b'A')
            told = status(served)
            peers = [worker['peer'] for worker in told['generations'][0]['workers']]
            self.assertIn('%s:%d' % caller.getsockname(), peers)
        self.assertEqual((told['pid'], told['name'], told['ended'], told['busy'], told['workers'], told['waiting']),
                         (served.pid(), 'watched', 0, 1, 2, 0))
        generation = told['generations'][0]
        self.assertEqual((generation['number'], generation['state'], generation['handler'], generation['strategy']),
                         (1, 'serving', 'upper', 'prefork:2'))
        self.assertEqual(sorted(worker['pid'] for worker in generation['workers']), sorted(children_of(generation['pid'])))
        self.assertTrue(os.path.exists(told['control']))
        until(lambda: status(served)['served'] == 1, 'it is counted')

    def test_callers_who_wait_in_the_kernel(self):
        """Of each family; the one who is served is none of them."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'socket')
            served = Served(self, '-q', '-s', 'serial', '--drain-timeout=0', 'sleep', 'tcp://127.0.0.1:0', 'unix:' + path)
            callers = [served.dial()]
            callers[0].sendall(b'60000\n')
            until(lambda: status(served)['busy'] == 1, 'one is served')
            self.assertEqual(status(served)['waiting'], 0)
            callers += [served.dial() for _ in range(3)]
            for _ in range(2):
                callers.append(socket.socket(socket.AF_UNIX))
                callers[-1].connect(path)
            self.assertEqual(status(served)['waiting'], 5)
            for caller in callers:
                caller.close()

    def test_a_server_that_cannot_change(self):
        served = Served(self, '-q', '--unsupervised', 'upper', 'udp://127.0.0.1:0')
        told = status(served)
        self.assertEqual((told['name'], told['control'], told['waiting'], told['generations'][0]['number']),
                         (None, None, None, 0))

    def test_a_caller_whose_name_is_no_text(self):
        with tempfile.TemporaryDirectory() as folder:
            served = Served(self, '-q', 'sleep', f'unix:{folder}/socket')
            with socket.socket(socket.AF_UNIX) as caller:
                caller.bind(os.fsencode(folder) + b'/\xff"\x1b')
                caller.connect(f'{folder}/socket')
                caller.sendall(b'60000\n')
                until(lambda: any(worker['peer'] and worker['peer'].endswith('/\\xff".')
                                  for worker in status(served)['generations'][0]['workers']), 'its name')

    def test_misuse(self):
        for words in (['status'], ['status', 'a', 'b'], ['status', ''], ['top', 'a', 'b'], ['top', '-d', '0'],
                      ['top', '-n', 'many'], ['status', '--jason', '1']):
            self.assertEqual(command(*words).returncode, 2, words)
        for words in (['status', 'nobody-has-this-name'], ['top', 'nobody-has-this-name'], ['status', os.getpid()]):
            done = command(*words)
            self.assertEqual((done.returncode, done.stdout, done.stderr.count('\n')), (1, '', 1), words)


class Lines(unittest.TestCase):

    def test_so_many(self):
        served = Served(self, '-q', '-s', 'prefork:2', 'upper', 'tcp://127.0.0.1:0')
        done = command('top', '-n', '25', '-d', '0.05', served.pid())
        lines = done.stdout.splitlines()
        self.assertEqual((done.returncode, len(lines)), (0, 27), 'two headings')
        self.assertRegex(lines[1], r'^\d\d:\d\d:\d\d +0 +0 +0 +0 of 2 +0 +1  prefork:2$')
        self.assertEqual(lines[0], lines[21])

    def test_until_the_server_has_ended(self):
        served = Served(self, '-q', 'upper', 'tcp://127.0.0.1:0')
        with subprocess.Popen(following(SWITCHBOARD, 'top', '-d', '0.05', str(served.pid())), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as top:
            self.assertIn('requests/s', top.stdout.readline())
            served.stop()
            _, said = top.communicate(timeout=PATIENCE_S)
        self.assertEqual((top.returncode, said), (0, 'switchboard top: the server has ended\n'))

    def test_a_reader_who_leaves(self):
        served = Served(self, '-q', 'upper', 'tcp://127.0.0.1:0')
        with subprocess.Popen(following(SWITCHBOARD, 'top', '-d', '0.05', str(served.pid())), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as top:
            top.stdout.readline()
            top.stdout.close()
            self.assertEqual(top.stderr.read(), '')
        self.assertEqual(top.returncode, -signal.SIGPIPE)


class Screen(unittest.TestCase):
    """80 columns, 24 lines."""

    def tmux(self, *words):
        return subprocess.run(['tmux', '-S', self.socket, '-f', '/dev/null', *words], capture_output=True, text=True,
                              timeout=PATIENCE_S, check=True).stdout

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.socket = os.path.join(folder.name, 'tmux')
        self.errors = os.path.join(folder.name, 'errors')
        self.addCleanup(lambda: subprocess.run(['tmux', '-S', self.socket, 'kill-server'], capture_output=True, check=False))

    def watch(self, *arguments, columns=80, lines=24):
        served = Served(self, '-q', *arguments)
        self.tmux('new-session', '-d', '-x', str(columns), '-y', str(lines),
                  f'env LC_ALL=C.UTF-8 {SWITCHBOARD} top -d 0.1 {served.pid()} 2>{self.errors}; '
                  f'echo ended with $? >>{self.errors}; exec cat')
        self.shows(r'strategy')
        self.addCleanup(self.leave)
        return served

    def leave(self):
        """A terminal that is taken away ends it too, but nobody would wait for that."""
        self.press('q')
        until(lambda: 'ended with' in self.said(), 'it ends')

    def said(self):
        with open(self.errors, encoding='utf-8') as file:
            return file.read()

    def look(self):
        return self.tmux('capture-pane', '-p')

    def shows(self, pattern):
        return until(lambda: re.search(pattern, self.look(), re.MULTILINE), f'{pattern!r} on the screen')

    def press(self, *keys):
        self.tmux('send-keys', *keys)

    def rows(self):
        return ROW.findall(self.look())

    def ends(self, text):
        until(lambda: 'ended with' in self.said(), 'it ends')
        self.assertEqual(self.said(), text)

    def test_what_it_shows(self):
        served = self.watch('-s', 'prefork:2', '--name=shown', 'upper', 'tcp://127.0.0.1:0')
        with served.dial() as caller:
            caller.sendall(b'a')
            caller.recv(1)
            self.shows('%s:%d$' % caller.getsockname())
            screen = self.look()
        self.assertRegex(screen, rf'^upper  strategy prefork:2   pid {served.pid()} \(shown\)   up 0:')
        self.assertIn('busy 1 of 2   waiting in the kernel 0   generation 1\n', screen)
        self.assertEqual(len(self.rows()), 2)
        self.shows('served 1$')
        self.press('q')
        self.ends('ended with 0\n')

    def test_keys_that_change_it(self):
        served = self.watch('-s', 'prefork:2', 'upper', 'tcp://127.0.0.1:0')
        self.press('+')
        self.shows(r'strategy prefork:3 .*\n(.*\n)*generation 2 serves')
        self.press('-')
        self.shows(r'strategy prefork:2 .*\n(.*\n)*generation 3 serves')
        self.press('s')
        self.shows(r'^strategy:')
        self.press('thread', 'Enter')
        self.shows(r'strategy thread .*\n(.*\n)*generation 4 serves')
        self.press('s')
        self.shows(r'^strategy:')
        self.press('nonsense', 'Enter')
        self.shows(r'nothing has changed')       # though that was the fifth one
        self.press('r')
        self.shows(r'generation 6 serves')
        self.press('k')
        self.shows(r'no process of its own')
        served.stop()
        self.ends('switchboard top: the server has ended\nended with 0\n')

    def test_a_worker_is_killed(self):
        self.watch('-s', 'prefork:2', 'upper', 'tcp://127.0.0.1:0')
        pids = [row[2] for row in self.rows()]
        self.press('Down')
        self.shows(rf'^> .* {pids[1]} ')
        self.press('k')
        self.shows(f'process {pids[1]} was killed')
        until(lambda: pids[1] not in (now := [row[2] for row in self.rows()]) and len(now) == 2, 'another worker')

    def test_a_worker_is_stopped(self):
        self.watch('-s', 'prefork:2', 'upper', 'tcp://127.0.0.1:0')
        pids = [int(row[2]) for row in self.rows()]
        self.press('z')
        self.shows(rf'^> .* {pids[0]}  stopped ')
        until(lambda: state_of(pids[0]) == 'T', 'it is stopped')
        self.press('z')
        self.shows(f'process {pids[0]} goes on')
        until(lambda: state_of(pids[0]) != 'T', 'it goes on')
        self.press('z')
        until(lambda: state_of(pids[0]) == 'T', 'it is stopped')
        self.press('q')
        self.ends('ended with 0\n')
        self.assertNotEqual(state_of(pids[0]), 'T', 'whoever leaves lets it go on')

    def test_more_workers_than_lines(self):
        self.watch('-s', 'prethread:40', 'upper', 'tcp://127.0.0.1:0')
        self.shows(r'1 to 18 of 4\d')
        for _ in range(4):
            self.press('NPage')
        self.shows(r'to (4\d) of \1')
        self.assertTrue(all(len(line) <= 80 for line in self.look().splitlines()))

    def test_a_signal_ends_it(self):
        self.watch('upper', 'tcp://127.0.0.1:0')
        self.press('C-c')
        self.ends('ended with 0\n')


if __name__ == '__main__':
    unittest.main()
