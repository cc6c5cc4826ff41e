#!/usr/bin/env python3
"""`switchboard compare` as its users run it: what each scenario says is true of its own numbers; bad input; Control-C.

    python3 tests/compare/compare_test.py PATH_TO_switchboard [UNITTEST-OPTION]...

Runs are short: each goes on until it has seen enough, and what they are held to are counts and orders, never times.
Deadlines are for what hangs. What a test has started ends with it, also when it is killed.
"""
import csv
import functools
import json
import os
import pty
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lifeline import descendants_of, following  # noqa: E402

PATIENCE_S = 600        # for a whole comparison; only what hangs takes so long
SHORT = ['-r', '1', '-t', '0.01', '--limit', '300']
USUAL = 'serial,thread,fork,pool:2,prefork:2,fiber'
SCHEMA = os.path.join(os.path.dirname(__file__), '..', '..', 'tools', 'compare', 'compare.schema.json')
SANITIZED = 'FAULTS_CAN_BE_PRELOADED' not in os.environ
switchboard = None


def start_compare(*arguments, before=None, **more):
    return subprocess.Popen(following(switchboard, 'compare', *arguments), text=True, preexec_fn=before, **more)


def compare(*arguments, typed=None, **more):
    pipes = {'stdin': subprocess.DEVNULL if typed is None else subprocess.PIPE, 'stdout': subprocess.PIPE,
             'stderr': subprocess.PIPE, **more}
    with start_compare(*arguments, **pipes) as process:
        try:
            out, err = process.communicate(typed, timeout=PATIENCE_S)
        finally:
            process.kill()
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


@functools.lru_cache(maxsize=None)
def measured(scenario, strategies=USUAL, *options):
    """The JSON of a short run."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'result.json')
        done = compare('-S', scenario, '-s', strategies, *SHORT, '--json', path, *options)
        assert done.returncode == 0, done.stderr + done.stdout
        with open(path, encoding='utf-8') as file:
            return json.load(file)


def contestants(scenario, *options):
    result = measured(scenario, *options)
    assert result['complete']
    return {one['name']: one for one in result['scenarios'][0]['contestants']}


def value(contestant, metric):
    return contestant['rounds'][0][metric]


def is_alive(pid):
    try:
        with open('/proc/%d/stat' % pid, encoding='ascii') as file:
            return file.read().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


def unless_sanitized(test):
    """What it runs, others run too, and it takes long."""
    return unittest.skipIf(SANITIZED, 'it takes long')(test)


class Scenarios(unittest.TestCase):
    """What each lesson says."""

    def check_all_answered(self, found):
        for name, one in found.items():
            self.assertIsNone(one['skipped'], name)
            self.assertGreater(value(one, 'answers'), 0, name)
            self.assertEqual(value(one, 'errors'), 0, name)

    def test_short(self):
        found = contestants('short')
        self.assertEqual(list(found), USUAL.split(','))
        self.check_all_answered(found)
        self.assertIn('That is what 1 round says: it takes 6', measured('short')['scenarios'][0]['verdict'][-1])

    @unless_sanitized
    def test_talk_a_crew_serves_as_many_as_it_has_workers(self):
        found = contestants('talk', USUAL, '-c', '10')
        for name, served in [('serial', 1), ('pool:2', 2), ('prefork:2', 2)]:
            self.assertEqual(value(found[name], 'unanswered'), 10 - served, name)
        for name in ['thread', 'fork', 'fiber']:
            self.assertEqual(value(found[name], 'unanswered'), 0, name)

    @unless_sanitized
    def test_udp(self):
        self.check_all_answered(contestants('udp'))

    @unless_sanitized
    def test_slow_callers_hold_up_a_crew_and_nobody_else(self):
        found = contestants('slow', USUAL, '-w', '2')
        for name in ['serial', 'pool:2', 'prefork:2']:
            self.assertEqual(value(found[name], 'answers'), 0, name)
            self.assertEqual(value(found[name], 'unanswered'), 16, name)
        for name in ['thread', 'fork', 'fiber']:
            self.assertGreater(value(found[name], 'answers'), 0, name)
            self.assertEqual(value(found[name], 'unanswered'), 0, name)

    @unless_sanitized
    def test_wait_each_sleeper_needs_a_worker(self):
        found = contestants('wait', 'serial,pool:2,thread')
        for name, one in found.items():
            self.assertGreaterEqual(value(one, 'answers') + value(one, 'errors'), 10, name)
            self.assertEqual(value(one, 'wrong'), 0, name)
            self.assertGreaterEqual(value(one, 'p50_us'), 50000, name)
        self.assertEqual([value(found[name], 'threads') for name in ['serial', 'pool:2']], [1, 3])
        self.assertGreater(value(found['thread'], 'threads'), 3)

    @unless_sanitized
    def test_serial_serves_one_at_a_time_and_thread_many(self):
        found = contestants('wait', 'serial,pool:2,thread')
        for name, most in [('serial', 1), ('pool:2', 2), ('thread', 100)]:
            with self.subTest(name):
                self.assertLessEqual(self.most_at_a_time(found[name]['timeline']), most)
        self.assertGreater(self.most_at_a_time(found['thread']['timeline']), 2)
        self.assertEqual(len(found['serial']['timeline']['lanes']), 1)
        self.assertEqual(len(found['pool:2']['timeline']['lanes']), 2)

    @staticmethod
    def most_at_a_time(timeline):
        """Handlers that ran at the same time; ends come before beginnings."""
        edges = []
        for request in timeline['requests']:
            if request['began_ms'] is not None and request['ended_ms'] is not None:
                edges += [(request['began_ms'], 1), (request['ended_ms'], -1)]
        most = now = 0
        for _, step in sorted(edges):
            now += step
            most = max(most, now)
        return most

    @unless_sanitized
    def test_spin(self):
        found = contestants('spin')
        self.assertIn('blocks its thread', found.pop('fiber')['skipped'])
        self.check_all_answered(found)
        for name, one in found.items():
            self.assertGreaterEqual(value(one, 'cpu_us'), 900, name)

    @unless_sanitized
    def test_idle_how_many_fit(self):
        found = contestants('idle', USUAL, '-c', '20')
        for name, fit in [('serial', 1), ('pool:2', 2), ('prefork:2', 2), ('thread', 20), ('fork', 20), ('fiber', 20)]:
            self.assertEqual(value(found[name], 'answers'), fit, name)
            handled = [one for one in found[name]['timeline']['requests'] if one['began_ms'] is not None]
            self.assertEqual(len(handled), fit, name)
            self.assertEqual({one['ended_ms'] for one in handled}, {None}, name)
        self.assertEqual(value(found['fork'], 'processes'), 21)
        self.assertEqual(value(found['thread'], 'threads'), 21)
        for name in ['thread', 'fork', 'fiber']:
            self.assertIn('connection_kb', found[name]['rounds'][0])

    @unless_sanitized
    def test_burst_everybody_is_answered_in_the_end(self):
        found = contestants('burst', 'serial,fork,fiber', '-c', '100')
        for name, one in found.items():
            self.assertEqual(value(one, 'answers'), 100, name)

    def test_crash_a_thread_takes_all_with_it_a_process_only_itself(self):
        found = contestants('crash', USUAL, '-c', '4')
        for name in ['serial', 'thread', 'pool:2', 'fiber']:
            self.assertTrue(found[name]['died'], name)
            self.assertEqual(value(found[name], 'poisoned'), 1, name)
            self.assertGreater(value(found[name], 'refused'), 0, name)
        for name in ['fork', 'prefork:2']:
            self.assertFalse(found[name]['died'], name)
            self.assertEqual(value(found[name], 'poisoned'), 5, name)
            self.assertIn('lost_each', found[name]['rounds'][0])
        self.assertEqual(value(found['fork'], 'errors'), 0)

    def test_shared_threads_count_to_n_and_forks_to_one(self):
        found = contestants('shared')
        for name in ['serial', 'thread', 'pool:2', 'fiber']:
            self.assertEqual(value(found[name], 'largest'), 400, name)
        self.assertEqual(value(found['fork'], 'largest'), 1)
        self.assertLess(value(found['prefork:2'], 'largest'), 400)
        self.assertGreaterEqual(value(found['prefork:2'], 'largest'), 200)
        self.check_all_answered(found)

    @unless_sanitized
    def test_big(self):
        self.check_all_answered(contestants('big', 'serial,thread,fiber'))

    @unless_sanitized
    def test_herd(self):
        disciplines = ['', '@mutex', '@flock', '@pass', '@reuseport']
        result = measured('herd', ','.join('prefork:2' + one for one in disciplines))
        found = {one['name']: one for one in result['scenarios'][0]['contestants']}
        self.assertEqual(list(found), ['prefork:2' + one for one in disciplines])
        self.check_all_answered(found)
        self.assertTrue(all(value(one, 'voluntary') > 0 for one in found.values()))

    def test_idle_with_more_workers_than_are_shown(self):
        found = contestants('idle', 'pool:300', '-c', '300')
        workers = found['pool:300']['workers']
        self.assertEqual(len(workers), 256)
        self.assertTrue(all(one['served'] == 1 and one['pid'] > 0 for one in workers))

    @unless_sanitized
    def test_unp(self):
        found = contestants('unp', USUAL, '-c', '2')
        for name, one in found.items():
            self.assertEqual(value(one, 'answers'), 1000, name)
            self.assertEqual(sum(worker['served'] for worker in one['workers']), 1000, name)
        self.assertEqual(value(found['serial'], 'control_cpu_s'), 0)
        self.assertIn('control_cpu_s', found['fork']['rounds'][0])
        self.assertEqual(len(found['prefork:2']['workers']), 2)
        self.assertEqual(len(found['pool:2']['workers']), 2)
        verdict = '\n'.join(measured('unp', USUAL, '-c', '2')['scenarios'][0]['verdict'])
        self.assertRegex(verdict, r'prefork:2: each of 2 workers served \d+ to \d+ connections\.')
        self.assertNotIn('fork: each', verdict.replace('prefork', ''))

    def test_every_scenario_has_its_test(self):
        done = compare('-S', 'nothing')
        names = re.search('choose from (.*) or all', done.stderr)[1].replace(',', '').split()
        self.assertEqual(len(names), 13)
        for name in names:
            self.assertTrue(any(test.startswith('test_' + name) for test in dir(self)), name)


class Enough(unittest.TestCase):
    """A run goes on until what it is about has happened often enough, and where it has not, nothing is concluded."""

    def check_round(self, scenario, contestant):
        for figures in contestant['rounds']:
            seen = {'ended': figures['answers'] + figures['errors'], 'answered': figures['answers'],
                    'killed': figures.get('poisoned')}[scenario['needs']['of']]
            if contestant['few']:
                self.assertLess(seen, scenario['needs']['least'])
                self.assertFalse({'throughput', 'cpu_us', 'max_us', scenario['primary']} & set(figures))
                self.assertIn(contestant['name'] + ' saw too little in 1 of its 1 round: %d of the %d' %
                              (seen, scenario['needs']['least']), ' '.join(scenario['verdict']))
            elif not contestant['died']:
                self.assertGreaterEqual(seen, scenario['needs']['least'])
                self.assertNotIn('saw too little', ' '.join(scenario['verdict']))

    def test_every_scenario_knows_what_it_needs(self):
        scenarios = measured('all', 'fork', '--limit', '0.01')['scenarios']
        self.assertEqual(len(scenarios), 13)
        self.assertEqual({one['needs']['of'] for one in scenarios}, {'ended', 'answered', 'killed'})
        for scenario in scenarios:
            with self.subTest(scenario['name']):
                self.assertGreater(scenario['needs']['least'], 0)
                self.check_round(scenario, scenario['contestants'][0])
        for name in ['crash', 'shared', 'unp']:     # no machine is as fast as that
            scenario = next(one for one in scenarios if one['name'] == name)
            self.assertEqual(scenario['contestants'][0]['few'], 1, name)
            self.assertNotIn('judgement', scenario['contestants'][0]['summary'].get(scenario['primary'], {}))

    def test_nobody_is_judged_by_a_crash_that_did_not_come(self):
        done = compare('-S', 'crash', '-s', 'fork', '-r', '2', '-t', '0.01', '--limit', '0.01')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn('baseline', done.stdout)
        self.assertNotIn('nobody else', done.stdout)
        self.assertRegex(done.stdout, r'fork saw too little in 2 of its 2 rounds:')

    def test_a_run_with_few_callers_goes_on(self):
        one = contestants('crash', 'fork', '-c', '1')['fork']
        self.assertEqual((value(one, 'poisoned'), one['few']), (5, 0))
        self.assertGreater(value(one, 'answers'), 125)


class Figures(unittest.TestCase):
    def test_rounds_are_judged(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'a.json')
            done = compare('-s', 'serial,fork', '-r', '6', '-t', '0.01', '--limit', '300', '--json', path)
            self.assertEqual(done.returncode, 0, done.stderr)
            with open(path, encoding='utf-8') as file:
                match = json.load(file)['scenarios'][0]
        serial, fork = match['contestants']
        self.assertEqual(match['baseline'], 'serial')
        self.assertNotIn('That is what', ' '.join(match['verdict']))
        self.assertEqual(serial['summary']['throughput']['judgement'], 'baseline')
        self.assertIn(fork['summary']['cpu_us']['judgement'], ['more', 'less', 'too close to call', 'equal'])
        for one in (serial, fork):
            values = sorted(each['throughput'] for each in one['rounds'])
            summary = one['summary']['throughput']
            self.assertEqual(len(values), 6)
            self.assertAlmostEqual(summary['median'], (values[2] + values[3]) / 2, delta=1e-6 * values[5])
            self.assertAlmostEqual(summary['low'], values[1] + (values[2] - values[1]) * 0.25, delta=1e-6 * values[5])
            self.assertEqual(one['latency']['count'], sum(each['answers'] for each in one['rounds']))
            self.assertEqual(sum(count for _, count in one['latency']['distribution']), one['latency']['count'])
        for name in ['median', 'ratio']:
            self.assertIn(name, fork['summary']['cpu_us'])

    def test_the_json_keeps_its_schema(self):
        try:
            import jsonschema
        except ImportError:
            self.skipTest('jsonschema is not installed')
        with open(SCHEMA, encoding='utf-8') as file:
            schema = json.load(file)
        for result in [measured('short'), measured('crash', USUAL, '-c', '4'),
                       measured('all', 'fork', '--limit', '0.01')]:
            jsonschema.validate(result, schema)

    def test_the_csv_has_the_same_figures(self):
        with tempfile.TemporaryDirectory() as folder:
            paths = [os.path.join(folder, name) for name in ('a.json', 'a.csv')]
            done = compare('-S', 'short,spin', '-s', 'serial,fiber', '-r', '2', '-t', '0.01', '--limit', '300',
                           '--json', paths[0], '--csv', paths[1])
            self.assertEqual(done.returncode, 0, done.stderr)
            with open(paths[0], encoding='utf-8') as file:
                result = json.load(file)
            with open(paths[1], encoding='utf-8', newline='') as file:
                rows = list(csv.DictReader(file))
        self.assertEqual([(row['scenario'], row['strategy'], row['round']) for row in rows],
                         [('short', 'serial', '1'), ('short', 'serial', '2'), ('short', 'fiber', '1'),
                          ('short', 'fiber', '2'), ('spin', 'serial', '1'), ('spin', 'serial', '2'),
                          ('spin', 'fiber', '0')])
        self.assertIn('blocks its thread', rows[-1]['skipped'])
        rounds = result['scenarios'][0]['contestants'][1]['rounds']
        for row, figures in zip(rows[2:], rounds):
            for metric, figure in figures.items():
                self.assertAlmostEqual(float(row[metric]), figure, delta=1e-5 + 1e-6 * abs(figure), msg=metric)

    def test_the_machine_and_the_command_are_recorded(self):
        result = measured('short')
        self.assertEqual(result['command'][:2], ['switchboard', 'compare'])
        self.assertIn('short', result['command'])
        machine = result['machine']
        self.assertEqual(machine['cpus'], len(os.sched_getaffinity(0)))
        self.assertEqual(machine['descriptors'], resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        self.assertTrue(machine['kernel'].startswith('Linux %s' % os.uname().release))
        if machine['cpus'] > 1:
            self.assertNotIn(str(machine['load_cpu']), re.split('[-,]', machine['server_cpus'])[-1])
        self.assertEqual(machine['counts_calls'], 'syscalls' in
                         result['scenarios'][0]['contestants'][0]['rounds'][0])


class BadInput(unittest.TestCase):
    def refused(self, status, sentence, *arguments, **more):
        done = compare(*arguments, **more)
        self.assertEqual(done.returncode, status, done.stderr + done.stdout)
        self.assertRegex(done.stderr, sentence)
        self.assertEqual(done.stdout, '')

    def test_misuse(self):
        self.refused(2, "there is no scenario 'shrot': choose from short", '-S', 'shrot')
        self.refused(2, "'thraed'", '-s', 'serial,thraed')
        self.refused(2, 'makes no sense', '-s', 'thread+prefork:2')
        self.refused(2, "no accept discipline 'mutexx'", '-s', 'prefork:2@mutexx')
        self.refused(2, "'serial' is named twice", '-s', 'serial,serial')
        self.refused(2, 'is no strategy', '-s', 'serial,,thread')
        self.refused(2, '--rounds=0', '-r', '0')
        self.refused(2, '--seconds=x', '-t', 'x')
        self.refused(2, '--clients=-1', '--clients=-1')
        self.refused(2, 'say --send', '--expect=x')
        self.refused(2, 'backslash', r'--send=\q')
        self.refused(2, 'one handler at a time', 'upper', 'count')
        self.refused(2, 'brings a handler of its own, visits', '-S', 'shared', 'upper')
        self.refused(2, 'a file of its own', '--json=x', '--csv=x')

    def test_a_file_that_cannot_be_written_is_said_before_the_run(self):
        for option in ['--html', '--json', '--csv']:
            with self.subTest(option):
                self.refused(1, "cannot write '/nonexistent/file'|without Chart.js", option, '/nonexistent/file')

    def test_files_are_left_alone_when_nothing_ran(self):
        with tempfile.TemporaryDirectory() as folder:
            old, new = os.path.join(folder, 'old'), os.path.join(folder, 'new')
            with open(old, 'w', encoding='ascii') as file:
                file.write('precious')
            done = compare('--json', old, '--csv', new, 'nosuchhandler', '-s', 'serial')
            self.assertEqual(done.returncode, 2)
            with open(old, encoding='ascii') as file:
                self.assertEqual(file.read(), 'precious')
            self.assertFalse(os.path.exists(new))

    def test_no_such_handler(self):
        done = compare('nosuchhandler', '-s', 'serial,thread')
        self.assertEqual(done.returncode, 2)
        self.assertIn('cannot load the handler nosuchhandler', done.stdout)
        self.assertIn('nothing could be compared', done.stderr)

    def test_no_such_file_or_a_bad_option_of_the_handler(self):
        for status, arguments in ((1, ['./nosuchfile.so']), (1, ['-s', './nosuchfile.so']), (2, ['-o', 'nosuch=1']),
                                  (2, ['-s', 'fiber', '--send=1\\n', 'spin'])):
            with self.subTest(arguments):
                done = compare('-r1', '-t0.1', *arguments)
                self.assertEqual(done.returncode, status, done.stderr + done.stdout)

    def test_an_unfit_handler_is_skipped_with_the_reason(self):
        done = compare('-S', 'short', '-s', 'serial,fiber', *SHORT, '--send=1\\n', 'spin')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r'fiber +skipped: the handler spin does not suit fiber')

    def test_a_handler_that_answers_wrongly(self):
        done = compare('-s', 'serial,thread', *SHORT, '--send=a\\n', '--expect=B\\n', 'upper')
        self.assertEqual(done.returncode, 1)
        self.assertIn('Wrong answers came from serial and thread', done.stdout)
        self.assertIn('The first one, under serial:\nasked 1: 2 bytes: a\\n\nheard 1: 2 bytes: A\\n\n', done.stdout)
        self.assertIn('wrong answers', done.stderr)
        done = compare('-s', 'serial,thread', *SHORT, 'visits')     # "1", then "2"
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r'differently\s+each\s+time')

    def test_a_server_that_dies_wins_nothing(self):
        done = compare('-s', 'serial,fork', *SHORT, '--send=abort\\n', '--expect=x\\n', 'crash')
        self.assertEqual(done.returncode, 1)
        self.assertIn('The server died under serial:', done.stdout)
        self.assertNotIn('answered most', done.stdout)
        self.assertIn('servers that died', done.stderr)

    def test_a_handler_may_be_forced(self):
        done = compare('-S', 'spin', '-s', 'fiber', *SHORT, '--force')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn('skipped', done.stdout)

    def test_a_handler_that_says_nothing(self):
        done = compare('-s', 'serial', *SHORT, 'print')
        self.assertEqual(done.returncode, 1)
        self.assertIn('nothing to measure', done.stdout)

    def test_an_answer_that_is_expected(self):
        done = compare('-s', 'serial', *SHORT, '--send=abc\\n', '--expect=ABC\\n')
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_options_of_the_handler(self):
        done = compare('-s', 'serial', *SHORT, '-o', 'ms=1', '--send=x\\n', '--expect=slept 1 ms\\n',
                       'sleep')
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)

    def test_standard_output_that_is_full(self):
        with open('/dev/full', 'w', encoding='ascii') as full:
            done = compare('-s', 'serial', *SHORT, stdout=full)
        self.assertEqual(done.returncode, 1)
        self.assertIn('cannot write to standard output: No space left on device', done.stderr)

    def test_a_name_that_is_no_utf_8(self):
        with tempfile.TemporaryDirectory() as folder:
            odd = os.path.join(os.fsencode(folder), b'\xff')
            os.mkdir(odd)
            shutil.copy(os.path.join(os.path.dirname(switchboard), '..', 'handlers', 'upper.so'),
                        os.path.join(odd, b'upper.so'))
            path = os.path.join(folder, 'a.json')
            done = compare('-s', 'serial', *SHORT, '--json', path, os.path.join(odd, b'upper.so'))
            self.assertEqual(done.returncode, 0, done.stderr)
            with open(path, encoding='utf-8') as file:
                self.assertTrue(json.load(file)['scenarios'][0]['handler'].endswith('?/upper.so'))

    def test_more_clients_than_descriptors(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (500, 500))
        self.refused(1, '1000 clients of scenario short need 1100 descriptors, but a process may have 500 here; raise '
                     'that as root with .ulimit -Hn 1100', '-c', '1000', before=limit)


class Ends(unittest.TestCase):
    """However it ends, nothing is left."""

    def start(self, folder, *arguments):
        process = start_compare('-s', 'prefork:2,thread', '-t', '0.2', '-r', '100', *arguments,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ, TMPDIR=folder))
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        return process

    def wait_for_family(self, process):
        """Until a server with its workers and the load run."""
        deadline = time.monotonic() + PATIENCE_S
        while len(family := descendants_of(process.pid)) < 4:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        return family

    def wait_until_gone(self, family):
        deadline = time.monotonic() + PATIENCE_S
        while any(map(is_alive, family)):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def test_control_c_shows_what_is_known_so_far(self):
        for signo in [signal.SIGINT, signal.SIGTERM]:
            with self.subTest(signo), tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as results:
                path = os.path.join(results, 'a.json')
                process = self.start(folder, '--json', path)
                family = self.wait_for_family(process)
                self.wait_until_gone(family)    # the first run has ended
                family = self.wait_for_family(process)
                process.send_signal(signo)
                out, err = process.communicate(timeout=PATIENCE_S)
                self.assertEqual(process.returncode, 1)
                self.assertIn('interrupted', err)
                self.assertIn('Short connections', out)
                with open(path, encoding='utf-8') as file:
                    self.assertFalse(json.load(file)['complete'])
                self.wait_until_gone(family)
                self.assertEqual(os.listdir(folder), [])

    def test_killed(self):
        with tempfile.TemporaryDirectory() as folder:
            process = self.start(folder)
            family = self.wait_for_family(process)
            process.kill()
            self.wait_until_gone(family)
            self.assertEqual(os.listdir(folder), [])


class Reader(unittest.TestCase):
    """Who reads the tables may leave (head(1)): that ends the printing, and the measuring where no file is wanted."""

    def leave(self, *arguments):
        """After the first line."""
        with start_compare(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                process.stdout.readline()
                process.stdout.close()
                process.stdout = None
                _, err = process.communicate(timeout=PATIENCE_S)
            finally:
                process.kill()
        return process.returncode, err

    def test_a_file_is_still_whole(self):
        with tempfile.TemporaryDirectory() as folder:
            paths = [os.path.join(folder, name) for name in ('a.json', 'a.csv')]
            status, err = self.leave('-S', 'short,shared,crash', '-s', 'serial,fork', *SHORT, '--json', paths[0],
                                     '--csv', paths[1])
            self.assertEqual((status, err), (0, ''))
            with open(paths[0], encoding='utf-8') as file:
                result = json.load(file)
            with open(paths[1], encoding='utf-8', newline='') as file:
                rows = list(csv.DictReader(file))
        self.assertTrue(result['complete'])
        self.assertEqual([one['name'] for one in result['scenarios']], ['short', 'shared', 'crash'])
        self.assertEqual(len(rows), 6)

    def test_when_all_was_measured_nothing_is_amiss(self):
        self.assertEqual(self.leave('-s', 'serial', *SHORT), (0, ''))

    def test_without_a_file_it_ends_and_says_so(self):
        status, err = self.leave('-S', 'shared,herd', '-s', 'prefork:2', *SHORT, '-t', '300')
        self.assertEqual(status, 1)
        self.assertEqual(err, 'switchboard compare: ended before all was measured, for nobody reads on, and no file '
                              'was asked for\n')


class Terminal(unittest.TestCase):
    def run_on_terminal(self, *arguments, typed=b''):
        master, slave = pty.openpty()
        with start_compare(*arguments, stdin=slave, stdout=slave, stderr=slave,
                           env=dict(os.environ, TERM='xterm')) as process:
            os.close(slave)
            os.write(master, typed)
            shown, deadline = b'', time.monotonic() + PATIENCE_S
            while True:
                ready, _, _ = select.select([master], [], [], max(0, deadline - time.monotonic()))
                self.assertTrue(ready, 'silent')
                try:
                    shown += os.read(master, 65536)
                except OSError:     # its end
                    break
        os.close(master)
        self.assertEqual(process.returncode, 0, shown)
        return shown.decode()

    def test_progress_and_colours_only_on_a_terminal(self):
        arguments = ['-s', 'serial,thread', '-r', '2', '-t', '0.01', '--limit', '300']
        shown = self.run_on_terminal(*arguments)
        self.assertRegex(shown, r'short +round 1 of 2 +serial')
        self.assertIn('\x1b[', shown)
        done = compare(*arguments)
        self.assertEqual(done.stderr, '')
        self.assertNotIn('\x1b', done.stdout)

    def test_a_prediction_stands_beside_the_measurement(self):
        shown = self.run_on_terminal('-S', 'shared', '-s', 'fork,prefork:2,serial', *SHORT, '--predict',
                                     typed=b'serial fork prefork:2\n')
        self.assertRegex(shown, r'1\D+serial +serial')
        self.assertRegex(shown, r'2\D+fork +prefork:2')

    def test_a_prediction_is_asked_from_a_pipe_too(self):
        done = compare('-S', 'shared', '-s', 'fork,serial', *SHORT, '-p', typed='2 1\n')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r'1\D+serial +serial')

    def test_each_scenario_is_guessed(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'a.json')
            done = compare('-S', 'shared,burst', '-c', '4', '-s', 'fork,serial', *SHORT, '-p', '--json', path,
                           typed='2 1\nfork\n')
            self.assertEqual(done.returncode, 0, done.stderr)
            with open(path, encoding='utf-8') as file:
                result = json.load(file)
        guesses = [one['prediction'] for one in result['scenarios']]
        self.assertEqual([one['scenario'] for one in guesses], ['shared', 'burst'])
        self.assertEqual([one['guess'] for one in guesses], [['serial', 'fork'], ['fork']])
        self.assertEqual(result['prediction'], guesses[0])
        self.assertEqual(done.stdout.count('your guess'), 2)


class Helped(unittest.TestCase):
    def test_help_names_every_scenario(self):
        done = compare('--help')
        self.assertEqual(done.returncode, 0)
        for name in 'short talk udp slow wait spin idle burst crash shared big herd unp all'.split():
            self.assertIn(name, done.stdout)


if __name__ == '__main__':
    switchboard = os.path.abspath(sys.argv.pop(1))
    unittest.main()
