#!/usr/bin/env python3
"""A running server is changed: switch, reload, stop, signals, and what is refused. SWITCHBOARD in the environment is the
command, PLUGIN_VERSION_OLD, _NEW, _DYING and _SLOW are builds of one handler that answer differently."""
import os
import re
import resource
import signal
import socket
import subprocess
import tempfile
import unittest

from lifeline import PATIENCE_S, descendants_of, following, until
from serving import SWITCHBOARD, Served
from versions import Load, ask, dial, install, refuses

VERSIONS = {name: os.environ['PLUGIN_VERSION_' + name.upper()] for name in ('old', 'new', 'dying', 'slow')}
# The program's next version, for which what the one before has written down means nothing.
UNREADABLE = f'#!/bin/sh\nSWITCHBOARD_RENEWAL=trial:0 exec {SWITCHBOARD} "$@" < /dev/null\n'
UPPER, TCP = 'upper', 'tcp://127.0.0.1:0'
# Each way to hand requests on, and each to share a listener.
DESIGNS = [('serial', 'shared'), ('thread', 'shared'), ('fork', 'shared'), ('pool:2', 'shared'),
           ('prefork:2', 'reuseport'), ('prefork:3', 'pass'), ('prethread:2', 'mutex'), ('prefork:4+thread', 'reuseport'),
           ('fiber:epoll', 'shared'), ('prefork:2+fiber:uring', 'shared'), ('prefork:2', 'flock'),
           ('prethread:3', 'reuseport'),
           ('fiber:uring', 'shared'), ('prefork:2+prethread:2', 'shared')]


def command(*words, **more):
    return subprocess.run([SWITCHBOARD, *map(str, words)], capture_output=True, text=True, timeout=PATIENCE_S,
                          check=False, **more)


class Changed(Served):
    """A server that is asked for changes by its pid."""

    def __init__(self, test, *arguments, **more):
        super().__init__(test, '-q', *arguments, **more)
        self.test = test

    def ask_for(self, verb, *words, status=0):
        """What the command prints: on stdout, or where it fails, the reason."""
        done = command(verb, self.pid(), *words)
        self.test.assertEqual(done.returncode, status, f'{words}: {done.stdout}{done.stderr}{self.said()}')
        return done.stderr if status else done.stdout

    def addresses(self, count):
        lines = [self.line] + [self.process.stdout.readline() for _ in range(count - 1)]
        return [re.search(r'listening (\S+)', line).group(1) for line in lines]

    def generation(self):
        return self.status()['generation']

    def ends(self, status=0):
        ended, said = self.wait()
        self.test.assertEqual((ended, said), (status, ''))


def sleeps(pid):
    with open(f'/proc/{pid}/stat', encoding='ascii') as file:
        return file.read().rpartition(')')[2].split()[0] == 'S'


class Case(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.plugin = os.path.join(folder.name, 'version.so')
        self.install('old')
        os.environ['VERSION_WAITS'] = os.path.join(self.folder, 'waits')

    def hold_up(self):
        """The version `slow` does not begin until this file is gone."""
        path = os.path.join(self.folder, 'waits')
        with open(path, 'x', encoding='ascii'):
            pass
        return path

    def install(self, version):
        install(VERSIONS[version], self.plugin)

    def serve(self, *arguments, **more):
        return Changed(self, *arguments, **more)

    def version(self, served):
        with served.dial() as caller:
            return ask(caller)

    def answers(self, served, version):
        self.assertEqual(self.version(served), version)


class Changes(Case):

    def test_every_design_follows_every_other(self):
        """Over all families, under load; where a discipline suits connections only, without datagrams."""
        path = os.path.join(self.folder, 'socket')
        for families in (['tcp', 'unix'], ['udp', 'unixgram']):
            addresses = {'tcp': TCP, 'udp': 'udp://127.0.0.1:0', 'unix': 'unix:' + path, 'unixgram': 'unixgram:' + path}
            served = self.serve('-s', 'thread', self.plugin, *(addresses[name] for name in families))
            with Load(served.addresses(len(families)), callers=4) as load:
                version = 'old'
                for strategy, discipline in DESIGNS:
                    if discipline == 'reuseport' or (discipline == 'pass' and 'udp' in families):
                        discipline = 'shared'       # Unix sockets cannot be shared so
                    version = 'new' if version == 'old' else 'old'
                    self.install(version)
                    said = served.ask_for('switch', '-s', strategy, '-a', discipline)
                    self.assertIn(f'strategy={strategy} accept={discipline}', said)
                    until(lambda: load.failures or load.counts.get(version), 'it answers')
                    self.assertEqual(load.failures, [], served.said())
            self.assertEqual(load.failures, [], served.said())
            self.assertEqual(served.generation(), 1 + len(DESIGNS))
            served.ask_for('stop')
            served.ends()
            self.assertFalse(os.path.exists(path))

    def test_reuseport_and_back(self):
        """The sockets of each worker stay, with more workers, with fewer, and under another discipline."""
        for address in (TCP, 'udp://127.0.0.1:0'):
            served = self.serve('-s', 'prefork:3', '-a', 'reuseport', self.plugin, address)
            with Load([served.address]) as load:
                for strategy, discipline in (('prefork:5', 'reuseport'), ('prefork:2', 'reuseport'), ('thread', 'shared'),
                                             ('prethread:4', 'reuseport'), ('prefork:2', 'mutex'), ('fiber', 'shared'),
                                             ('prefork:2+fiber', 'reuseport')):
                    served.ask_for('switch', '-s', strategy, '-a', discipline)
            self.assertEqual(load.failures, [], served.said())
            served.ask_for('stop')
            served.ends()

    def test_what_can_be_asked_for(self):
        served = self.serve('-s', 'prefork:2', '-o', 'reply=Hi', 'print', TCP)
        self.assertIn('strategy=prefork:3', served.ask_for('switch', '-w', '+1'))
        self.assertIn('strategy=prefork:1', served.ask_for('switch', '-w', '-2'))
        self.assertIn('strategy=pool:4', served.ask_for('switch', '-s', 'pool', '-w', '4'))
        self.assertIn('strategy=prefork+pool:4', served.ask_for('switch', '-s', 'prefork+pool:4'))
        self.assertIn('strategy=prefork:6+pool:4', served.ask_for('switch', '-w', '+2'))
        said = served.ask_for('switch', self.plugin)
        self.assertRegex(said, r'handler=version strategy=prefork:6\+pool:4 accept=shared \(ready after [0-9.]+ s, '
                               r'changed after [0-9.]+ s, 0 requests carried over\)\ngeneration \d+ has ended, ')
        self.answers(served, 'old')
        self.install('new')
        served.ask_for('reload')
        self.answers(served, 'new')
        served.ask_for('stop')
        served.ends()

    def test_options_stay_and_change(self):
        served = self.serve('-o', 'reply=One', 'print', 'udp://127.0.0.1:0')
        for words, reply in ((('-s', 'fork'), b'One'), (('-o', 'reply=Two'), b'Two'), (('-s', 'thread'), b'Two')):
            served.ask_for('switch', *words)
            with dial(served.address) as caller:
                caller.sendall(b'note')
                self.assertEqual(caller.recv(16), reply, words)

    def test_the_counters_of_all_generations_count(self):
        served = self.serve(self.plugin, TCP)
        for number in range(1, 4):
            self.answers(served, 'old')
            until(lambda: served.status()['served'] == number, 'it is counted')
            served.ask_for('reload')
        self.assertEqual((served.status()['served'], served.generation(), served.status()['ended']), (3, 4, 3))

    def test_old_ones_are_seen_until_their_callers_leave(self):
        served = self.serve(self.plugin, TCP)
        asking = []
        with served.dial() as first, served.dial() as second:
            self.assertEqual((ask(first), ask(second)), ('old', 'old'))
            asking.append(subprocess.Popen([SWITCHBOARD, 'reload', str(served.pid())], stdout=subprocess.PIPE, text=True))
            self.assertIn('generation 2 serves', line := asking[0].stdout.readline())
            self.assertIn('2 requests carried over', line)
            shown = command('status', served.pid()).stdout
            self.assertRegex(shown, r'generation 1, pid \d+, retiring for [0-9.]+ s: handler=version strategy=thread\n')
            self.assertEqual(shown.count('reading'), 2)
            self.assertEqual(ask(first), 'old')
        self.assertIn('generation 1 has ended', asking[0].communicate(timeout=PATIENCE_S)[0])

    def test_retire_timeout(self):
        served = self.serve('--retire-timeout=0.1', self.plugin, TCP)
        with served.dial() as caller:
            self.assertEqual(ask(caller), 'old')
            self.assertIn('generation 1 has ended', served.ask_for('reload'))
            self.assertEqual(caller.recv(16), b'')
        self.answers(served, 'old')

    def test_a_stop_ends_old_ones_too(self):
        served = self.serve('--drain-timeout=0.1', self.plugin, TCP)
        with served.dial() as caller:
            self.assertEqual(ask(caller), 'old')
            asking = subprocess.Popen([SWITCHBOARD, 'reload', str(served.pid())], stdout=subprocess.PIPE)
            asking.stdout.readline()
            served.ask_for('stop')
            self.assertEqual(served.wait()[0], 0)
            asking.communicate(timeout=PATIENCE_S)
            self.assertEqual(caller.recv(16), b'')

    def test_two_at_once_are_made_one_after_the_other(self):
        served = self.serve('-s', 'prefork:1', self.plugin, TCP)
        asking = [subprocess.Popen([SWITCHBOARD, 'switch', str(served.pid()), '-w', '+1'], stdout=subprocess.PIPE)
                  for _ in range(3)]
        for process in asking:
            process.communicate(timeout=PATIENCE_S)
            self.assertEqual(process.returncode, 0)
        self.assertIn('strategy=prefork:4', served.ask_for('reload'))
        self.assertEqual(served.generation(), 5)


class Alone(Case):
    """The kernel wakes one of those who wait at a socket, and that may be the one that is about to retire."""

    def check_ring(self, served):
        """An accept that an io_uring has been told to go on with needs its process to run."""
        former = descendants_of(served.pid())
        for pid in former:
            os.kill(pid, signal.SIGSTOP)
        changing = subprocess.Popen([SWITCHBOARD, 'reload', str(served.pid())], stdout=subprocess.DEVNULL)
        self.addCleanup(changing.wait)
        until(lambda: 'retiring' in command('status', served.pid()).stdout, 'the next one serves')
        with dial(served.address) as caller:
            for pid in former:
                os.kill(pid, signal.SIGCONT)
            self.assertEqual(ask(caller), 'old')
        self.assertEqual(changing.wait(PATIENCE_S), 0)
        served.ask_for('stop')
        served.ends()

    def test_an_accept_that_is_called_off(self):
        for address in (TCP, f'unix:{self.folder}/socket'):
            self.check_ring(self.serve('-s', 'fiber:uring', self.plugin, address))

    def at(self, listener, strategy):
        """The pid of a generation, and the threads that wait at the socket: its workers, if it has any."""
        served = self.serve('-s', strategy, self.plugin, f'fd://{listener.fileno()}', pass_fds=[listener.fileno()])
        pid = served.serving()
        threads = [int(name) for each in [pid, *descendants_of(pid)] for name in os.listdir(f'/proc/{each}/task')]
        until(lambda: all(map(sleeps, threads)), 'it waits')
        return pid, threads[1:] or threads

    def check_gate(self, strategy):
        """Who has no CPU has been woken, and does not know it yet, when it is told to retire."""
        with socket.create_server(('127.0.0.1', 0)) as listener:
            first, threads = self.at(listener, strategy)
            self.at(listener, strategy)
            for thread in threads:
                os.sched_setaffinity(thread, [self.cpu])
                os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
            with socket.create_connection(listener.getsockname(), PATIENCE_S) as caller:
                os.kill(first, signal.SIGUSR1)
                self.assertEqual(ask(caller), 'old')

    def test_a_gate_that_was_told(self):
        self.cpu = min(os.sched_getaffinity(0))
        hog = subprocess.Popen(following('taskset', '-c', str(self.cpu), 'sh', '-c', 'while :; do :; done'))
        self.addCleanup(hog.wait)
        self.addCleanup(hog.kill)
        for strategy in ('serial', 'prefork:1', 'prefork:2+thread', 'prethread:2', 'fiber:epoll'):
            for _ in range(4):
                with self.subTest(strategy=strategy):
                    self.check_gate(strategy)


class Ends(Case):
    """What comes together with a change, or instead of it."""

    def test_stops_of_two_kinds_drain_too(self):
        served = self.serve(f'--drain-timeout={PATIENCE_S}', self.plugin, TCP)
        with served.dial() as caller:
            self.assertEqual(ask(caller), 'old')
            os.kill(served.pid(), signal.SIGTERM)
            until(lambda: refuses(served.address), 'it has stopped')
            os.kill(served.pid(), signal.SIGINT)
            self.assertEqual(ask(caller), 'old')
        served.ends()

    def test_a_stop_is_not_lost_in_a_renewal(self):
        served = self.serve(f'--drain-timeout={PATIENCE_S}', self.plugin, TCP)
        with served.dial() as caller:
            self.assertEqual(ask(caller), 'old')
            os.kill(served.pid(), signal.SIGTERM)
            until(lambda: refuses(served.address), 'it has stopped')
            for words in (['--program'], []):
                self.assertNotEqual(command('reload', *words, served.pid()).returncode, 0)
            self.assertEqual(ask(caller), 'old')
        served.ends()

    def test_who_serves_dies_while_the_next_one_starts(self):
        for restart in ([], ['--restart']):
            served = self.serve(*restart, self.plugin, TCP)
            self.install('slow')
            waits = self.hold_up()
            with subprocess.Popen([SWITCHBOARD, 'reload', str(served.pid())], stdout=subprocess.PIPE) as asking:
                until(lambda: ' starting ' in command('status', served.pid()).stdout, 'it starts')
                os.kill(served.serving(), signal.SIGKILL)
                until(lambda: 'generation 1 ' in served.said(), 'its death is said')
                os.unlink(waits)
                self.assertIn(b'generation 2 serves', asking.communicate(timeout=PATIENCE_S)[0])
                self.assertEqual(asking.returncode, 0)
            self.answers(served, 'slow')
            self.assertIn('generation 1 ', served.said())
            self.install('old')
            served.ask_for('stop')
            self.assertEqual(served.wait()[0], 0)

    def test_a_stop_while_the_next_one_starts(self):
        served = self.serve('--drain-timeout=0.1', self.plugin, TCP)
        self.install('slow')
        self.hold_up()
        with subprocess.Popen([SWITCHBOARD, 'reload', str(served.pid())], stderr=subprocess.PIPE) as asking:
            until(lambda: ' starting ' in command('status', served.pid()).stdout, 'it starts')
            served.stop()
            self.assertEqual(served.wait()[0], 0)
            self.assertIn(b'told to stop', asking.communicate(timeout=PATIENCE_S)[1])

    def test_the_file_of_another_server_is_left_alone(self):
        path = os.path.join(self.folder, 'socket')
        served = self.serve(self.plugin, 'unix:' + path)
        os.unlink(path)
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(path)
            served.ask_for('reload')
            served.ask_for('stop')
            served.ends()
            self.assertTrue(os.path.exists(path))

    def test_what_has_no_room_for_its_sockets_is_refused(self):
        served = self.serve('-s', 'prefork:2', '-a', 'reuseport', self.plugin, TCP)
        open_ones = len(os.listdir(f'/proc/{served.pid()}/fd'))
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        before = resource.prlimit(served.pid(), resource.RLIMIT_NOFILE, (open_ones + 8, hard))
        self.assertIn('Too many open files', served.ask_for('switch', '-s', 'prefork:40', status=1))
        self.answers(served, 'old')
        resource.prlimit(served.pid(), resource.RLIMIT_NOFILE, before)
        served.ask_for('switch', '-s', 'prefork:40')
        self.answers(served, 'old')

    def test_a_start_without_descriptors(self):
        """Each limit ends in a server, or in a sentence and status 1."""
        for limit in range(4, 30):
            served = self.serve('-s', 'serial', self.plugin, TCP, under=('prlimit', f'--nofile={limit}:{limit}'))
            if served.line:
                served.stop()
                self.assertEqual(served.wait()[0], 0, limit)
            else:
                status, said = served.wait()
                self.assertNotEqual((status, said), (0, ''), limit)


class Refused(Case):

    def test_what_makes_no_sense_changes_nothing(self):
        broken = os.path.join(self.folder, 'broken.so')
        with open(broken, 'w', encoding='ascii') as file:
            file.write('no plugin')
        served = self.serve('-s', 'prefork:2', self.plugin, TCP)
        pid = re.search(r'^ +\d+ +(\d+)', command('status', served.pid()).stdout, re.MULTILINE).group(1)
        for words, why in ((['-s', 'nonsense'], "there is no strategy 'nonsense'"),
                           (['-s', 'thread+prefork'], 'makes no sense'),
                           (['-s', 'prefork:0'], 'prefork:0'),
                           (['-s', 'thread', '-w', '+1'], 'has no number of workers'),
                           (['-w', '-2'], 'from 1 to'), (['-w', 'many'], 'must be a number'),
                           (['-a', 'fair'], 'must be shared'),
                           (['-a', 'reuseport', '-s', 'thread'], ''),
                           (['missing'], "there is no handler 'missing'"),
                           ([broken], 'not a loadable plugin'),
                           (['-o', 'greeting=Hi'], 'greeting'),
                           ([os.environ['PLUGIN_OLDABI']], 'ABI'),
                           ([os.environ['PLUGIN_NOHANDLE']], 'handle')):
            with self.subTest(words=words):
                if why:
                    self.assertIn(why, served.ask_for('switch', *words, status=1))
                self.answers(served, 'old')
        self.assertIn(pid, command('status', served.pid()).stdout)

    def test_who_dies_young(self):
        served = self.serve('-s', 'prefork:2', self.plugin, TCP)
        self.install('dying')
        self.assertIn('killed by signal 14', served.ask_for('reload', status=1))
        self.assertEqual(served.generation(), 1)
        self.answers(served, 'old')
        self.install('new')
        served.ask_for('reload')
        self.answers(served, 'new')

    def try_next(self, served):
        """Asks for more workers; returns that command, once the next generation waits for a trust that it will not get:
        who would give it is stopped, and so is who is to have it. Its pids are the second value."""
        while True:
            former = descendants_of(served.pid())
            changing = subprocess.Popen([SWITCHBOARD, 'switch', '-w', '8', str(served.pid())], stderr=subprocess.PIPE,
                                        stdout=subprocess.DEVNULL, text=True)
            self.addCleanup(changing.communicate)
            self.addCleanup(changing.kill)
            until(lambda: ', ready for' in command('status', served.pid()).stdout, 'the next one is ready')
            os.kill(served.pid(), signal.SIGSTOP)
            pids = set(descendants_of(served.pid())) - set(former)
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            if ', ready for' in command('status', served.pid()).stdout:
                return changing, pids
            for pid in [served.pid(), *pids]:       # that took longer than its trial
                os.kill(pid, signal.SIGCONT)
            changing.communicate(timeout=PATIENCE_S)
            served.ask_for('switch', '-w', '2')

    def test_new_sockets_of_who_dies_young_have_had_no_callers(self):
        for address in (TCP, 'udp://127.0.0.1:0'):
            served = self.serve('-s', 'prefork:2', '-a', 'reuseport', self.plugin, address)
            changing, pids = self.try_next(served)
            for _ in range(40):
                with dial(served.address) as caller:
                    self.assertEqual(ask(caller), 'old')
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            os.kill(served.pid(), signal.SIGCONT)
            self.assertIn('killed by signal 9', changing.communicate(timeout=PATIENCE_S)[1])
            served.ask_for('switch', '-w', '4')
            served.ask_for('stop')
            served.ends()

    def test_misuse(self):
        for words in (['switch'], ['switch', 'x'], ['switch', '1', '-s'], ['switch', '1', 'a', 'b'], ['reload'],
                      ['reload', '1', '2'], ['stop'], ['stop', '--now'], ['serve', '--name=', 'upper'],
                      ['serve', '--name=12', 'upper'], ['serve', '--name=' + 64 * 'x', 'upper']):
            self.assertEqual(command(*words).returncode, 2, words)
        for words in (['switch', 'nobody-has-this-name', '-w', '+1'], ['reload', os.getpid()], ['stop', 2 ** 31 - 1]):
            done = command(*words)
            self.assertEqual((done.returncode, done.stdout, done.stderr.count('\n')), (1, '', 1), words)


class Names(Case):

    def test_by_name(self):
        name = f'change-test-{os.getpid()}'
        served = self.serve('--name=' + name, self.plugin, TCP)
        self.assertEqual(command('reload', name).returncode, 0)
        self.assertIn('generation=2', command('status', name).stdout)
        second = command('serve', '--name=' + name, UPPER, TCP)
        self.assertEqual(second.returncode, 1)
        self.assertIn(f'the server with pid {served.pid()} has that name', second.stderr)
        self.assertEqual(command('stop', name).stdout, 'the server has ended\n')
        served.ends()
        self.assertEqual(command('status', name).returncode, 1)


class Control(Case):

    def path(self, served):
        """The control socket's."""
        return next(path for path in map(lambda file: os.path.join(self.folder, file), os.listdir(self.folder))
                    if path.endswith('.control') and f'-{served.pid()}-' in path)

    def serve(self, *arguments, **more):
        os.environ['XDG_RUNTIME_DIR'] = self.folder
        try:
            return super().serve(*arguments, **more)
        finally:
            del os.environ['XDG_RUNTIME_DIR']

    def dial(self, served):
        caller = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        caller.settimeout(PATIENCE_S)
        caller.connect(self.path(served))
        return caller

    def test_it_is_private_and_goes_with_the_server(self):
        served = self.serve(self.plugin, TCP)
        path = self.path(served)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        served.ask_for('stop')
        served.ends()
        self.assertFalse(os.path.exists(path))

    def test_another_user_is_turned_away(self):
        if os.geteuid() != 0:
            self.skipTest('only root can become another user')
        served = self.serve(self.plugin, TCP)
        os.chmod(self.folder, 0o755)
        os.chmod(self.path(served), 0o666)
        said = subprocess.run(['setpriv', '--reuid=65534', '--clear-groups', 'python3', '-c', f'''
import socket
caller = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
caller.connect({self.path(served)!r})
print(caller.recv(256))'''], capture_output=True, text=True, timeout=PATIENCE_S, check=False).stdout
        self.assertIn('refused', said)
        self.assertIn('another user', said)

    def test_nonsense(self):
        served = self.serve(self.plugin, TCP)
        for packet in (b'x', b'\0', b'reload', b'reload\0more\0', b'switch\0strategy\0', b'switch\0=\0',
                       b'switch\0color=red\0', b'stop\0now\0', 300 * b'a\0', 60000 * b'x', os.urandom(5000)):
            with self.dial(served) as caller:
                caller.sendall(packet)
                self.assertTrue(caller.recv(4096).startswith(b'refused\0'), packet[:30])
                self.assertEqual(caller.recv(4096), b'')
        self.answers(served, 'old')
        self.assertEqual(served.generation(), 1)

    def test_crowds_of_silent_callers(self):
        served = self.serve(self.plugin, TCP)
        crowd = [self.dial(served) for _ in range(16)]      # as many as it lets in
        served.ask_for('reload')
        for caller in crowd:
            caller.close()
        self.assertEqual(served.generation(), 2)

    def test_who_has_left_is_not_obeyed_any_more(self):
        served = self.serve(self.plugin, TCP)
        self.install('slow')
        waits = self.hold_up()
        asking = subprocess.Popen([SWITCHBOARD, 'reload', str(served.pid())], stdout=subprocess.DEVNULL)
        until(lambda: ' starting ' in command('status', served.pid()).stdout, 'it starts')
        for _ in range(5):
            with self.dial(served) as caller:
                caller.sendall(b'reload\0')
        os.unlink(waits)
        asking.wait(PATIENCE_S)
        served.ask_for('reload')
        self.assertEqual(served.generation(), 3)


class Program(Case):
    """The program's own file is replaced, by another build that is as good."""

    def setUp(self):
        super().setUp()
        self.program = os.path.join(self.folder, 'switchboard')
        install(SWITCHBOARD, self.program)

    def runs_what_is_there(self, served):
        return os.path.samefile(f'/proc/{served.pid()}/exe', self.program)

    def test_anew_by_command_and_by_signal(self):
        served = self.serve('-s', 'prefork:2', '-a', 'reuseport', self.plugin, TCP, program=self.program)
        served.ask_for('switch', '-s', 'prefork:3', '-o', 'frame=none', status=1)   # the handler has no such option
        served.ask_for('switch', '-s', 'prefork:3')
        with Load([served.address]) as load, served.dial() as talker:
            self.assertEqual(ask(talker), 'old')
            install(SWITCHBOARD, self.program)
            self.install('new')
            self.assertFalse(self.runs_what_is_there(served))
            renewing = subprocess.Popen([SWITCHBOARD, 'reload', '--program', str(served.pid())], stdout=subprocess.PIPE,
                                        text=True)
            self.assertIn('generation 4 serves: handler=version strategy=prefork:3 accept=reuseport',
                          renewing.stdout.readline())
            self.assertTrue(self.runs_what_is_there(served))
            self.answers(served, 'new')
            self.assertEqual(ask(talker), 'old')        # of generation 3, which the program before had started
            install(SWITCHBOARD, self.program)
            os.kill(served.pid(), signal.SIGUSR2)
            until(lambda: served.generation() == 5, 'it is renewed')
            self.assertTrue(self.runs_what_is_there(served))
            self.assertEqual(ask(talker), 'old')
        renewing.communicate(timeout=PATIENCE_S)
        self.assertEqual((renewing.returncode, load.failures), (0, []), served.said())
        served.ask_for('stop')
        self.assertEqual(served.wait()[0], 0)
        self.assertEqual([name for name in os.listdir(tempfile.gettempdir()) if f'-{served.pid()}-' in name], [])

    def test_what_does_not_run_changes_nothing(self):
        served = self.serve(self.plugin, TCP, program=self.program)
        with Load([served.address]) as load:
            for content, mode, why in (('#!/bin/sh\nexit 3\n', 0o755, 'exit status 3'), ('nonsense', 0o755, ''),
                                       ('#!/bin/sh\nexit 0\n', 0o755, 'would not take over: exit status 0'),
                                       ('#!/bin/sh\necho "it: I am too old" >&2\nexit 1\n', 0o755, ': I am too old'),
                                       (UNREADABLE, 0o755, 'it is another version'),
                                       ('#!/bin/sh\nkill -SEGV $$\n', 0o755, 'killed by signal 11'),
                                       ('#!/bin/sh\n', 0o644, 'cannot be executed'), (None, 0, 'no such file')):
                os.unlink(self.program)
                if content:
                    with open(self.program, 'w', opener=lambda path, flags, mode=mode: os.open(path, flags, mode),
                              encoding='ascii') as file:
                        file.write(content)
                self.assertIn(why, served.ask_for('reload', '--program', status=1))
        self.assertEqual((load.failures, served.generation()), ([], 1))
        install(SWITCHBOARD, self.program)
        served.ask_for('reload', '--program')
        self.assertTrue(self.runs_what_is_there(served))
        served.ask_for('stop')
        self.assertEqual(served.wait()[0], 0)


class Signals(Case):

    def signal(self, served, signo):
        os.kill(served.pid(), signo)

    def test_hup_ttin_ttou(self):
        served = self.serve('-s', 'prefork:2', self.plugin, TCP)
        self.install('new')
        self.signal(served, signal.SIGHUP)
        until(lambda: served.generation() == 2, 'it has reloaded')
        until(lambda: self.version(served) == 'new', 'the one before accepts no more')
        for signo, workers, generation in ((signal.SIGTTIN, 3, 3), (signal.SIGTTOU, 2, 4)):
            until(lambda: served.generation() == generation - 1, 'the last change')
            self.signal(served, signo)
            until(lambda: served.generation() == generation, 'it has changed')
            self.assertIn(f'strategy=prefork:{workers} ', command('status', served.pid()).stdout)
        self.signal(served, signal.SIGQUIT)
        served.ends()

    def test_the_status_of_a_generation_is_the_servers(self):
        for signo in (signal.SIGABRT, signal.SIGKILL, signal.SIGSEGV):
            served = self.serve(self.plugin, TCP)
            pid = int(re.search(r'^ +\d+ +(\d+)', command('status', served.pid()).stdout, re.MULTILINE).group(1))
            os.kill(pid, signo)
            status, said = served.wait()
            self.assertEqual(status, -signo)
            self.assertIn(f'generation 1 (pid {pid}) was killed by signal {int(signo)} ', said)

    def test_restart(self):
        served = self.serve('--restart', self.plugin, TCP)
        for number, pause in ((1, '0.1'), (2, '0.2'), (3, '0.4')):
            with served.dial() as caller:
                caller.sendall(b'crash\n')
                caller.recv(1)
            until(lambda: f'generation {number} ' in served.said(), 'it is said')
            self.assertRegex(served.said(), rf'generation {number} \(pid \d+\) was killed by signal 6 \(Aborted\); the '
                                            rf'next one starts in {pause} s\n')
            self.answers(served, 'old')         # who calls meanwhile waits
        served.ask_for('stop')
        self.assertEqual(served.wait()[0], 0)

    def test_nobody_survives_the_supervisor(self):
        served = self.serve('-s', 'prefork:2', self.plugin, TCP)
        os.kill(served.pid(), signal.SIGKILL)
        served.wait()
        until(lambda: refuses(served.address), 'nobody listens any more')


if __name__ == '__main__':
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    unittest.main()
