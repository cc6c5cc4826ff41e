#!/usr/bin/env python3
"""`switchboard lab` as a program talks to it: who may ask for what, and that it happens to the server."""
import json
import mmap
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import tempfile
import unittest

from laboratory import PATIENCE_S, SWITCHBOARD, Caller, Laboratory, children_of, is_alive, until

FREE, WAITING, HANDLING, SLEEPING, DEAD = 0, 2, 4, 6, 8


def command(*words):
    return subprocess.run([SWITCHBOARD, *map(str, words)], capture_output=True, text=True, timeout=PATIENCE_S,
                          check=False)


class Command(unittest.TestCase):

    def test_misuse(self):
        for words in (['--callers=many'], ['--callers=10001'], ['--page=nowhere:at:all'], ['-s', 'threads'],
                      ['nohandler'],
                      ['--lesson=nolesson'], ['--lab'], ['-s', 'x' * 200]):
            done = command('lab', *words)
            self.assertEqual((done.returncode, done.stdout), (2, ''), (words, done.stderr))
            self.assertNotEqual(done.stderr, '')

    def test_a_port_that_is_taken(self):
        with socket.create_server(('127.0.0.1', 0)) as taken:
            for option in ('--page', '--room'):
                done = command('lab', '%s=127.0.0.1:%d' % (option, taken.getsockname()[1]))
                self.assertEqual((done.returncode, done.stdout), (1, ''))
                self.assertIn('Address already in use', done.stderr)
                self.assertIn(option, done.stderr)
            done = command('lab', 'play', 'tcp://127.0.0.1:%d' % taken.getsockname()[1])
            self.assertEqual((done.returncode, done.stdout), (1, ''))
            self.assertIn('Address already in use', done.stderr)

    def test_lessons_are_listed_and_checked(self):
        done = command('lab', '--lesson=help')
        self.assertEqual((done.returncode, len(done.stdout.splitlines()), done.stderr), (0, 10, ''))
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, 'own.lesson')
            path.write_text('title: Mine\nstep:\ntext: Look\n')
            done = command('lab', '--check', path)
            self.assertEqual((done.returncode, done.stdout), (0, f'{path}: Mine, 1 steps\n'))
            path.write_text('title: Mine\nstep:\ntxt: Look\n')
            done = command('lab', '--check', path)
            self.assertEqual((done.returncode, done.stdout), (1, ''))
            self.assertIn(f'{path}: 3: ', done.stderr)
            self.assertEqual(command('lab', f'--lesson={path}').returncode, 1)
            self.assertEqual(command('lab', '--check', path.with_name('none')).returncode, 1)

    def test_control_c_ends_all(self):
        """Laboratory.end() looks for what is left."""
        lab = Laboratory(self, '--room=127.0.0.1:0', '-s', 'prefork:3')
        browser = lab.browser()
        with browser.events() as events:
            browser.post('/act', what='slow')
            until(lambda: events.state() and events.state()['beside']['slow'] == 1, 'a slow caller')
            lab.end()
            until(lambda: not events.thread.is_alive(), 'the stream has ended')
        self.assertEqual(lab.said_at_end, '')

    def test_the_server_ends_and_the_lab_with_it(self):
        lab = Laboratory(self)
        os.kill(lab.supervisor(), signal.SIGTERM)
        self.assertEqual(lab.process.wait(PATIENCE_S), 1)
        self.assertIn('the server has ended', lab.said())
        lab.expected = 1


class Security(unittest.TestCase):

    def setUp(self):
        self.lab = Laboratory(self, '--room=127.0.0.1:0', '-c', '0')
        self.browser = self.lab.browser()
        self.room = Caller(self.lab.room_host)

    def test_nothing_without_the_token(self):
        stranger = Caller(self.lab.host)
        for path in ('/', '/lab.js', '/events', '/recording', '/nothing', '/?token=', '/?token=' + '0' * 32):
            status, headers, text = stranger.get(path)
            self.assertEqual((status, headers['Set-Cookie']), (403, None), path)
            self.assertNotIn(self.lab.token, text)
        self.assertEqual(stranger.request('POST', '/change', '{"strategy": "serial"}')[0], 403)
        stranger.cookie = self.browser.cookie[:-1] + ('0' if self.browser.cookie[-1] != '0' else '1')
        self.assertEqual(stranger.get('/')[0], 403)
        self.assertEqual(self.lab.serving()['strategy'], 'thread')

    def test_the_token_becomes_a_cookie(self):
        status, headers, _ = Caller(self.lab.host).get(f'/?token={self.lab.token}')
        self.assertEqual((status, headers['Location']), (303, '/'))
        for word in ('HttpOnly', 'SameSite=Strict', 'Path=/'):
            self.assertIn(word, headers['Set-Cookie'])
        self.assertEqual(self.browser.get('/')[0], 200)

    def test_a_name_that_was_made_to_mean_this_machine(self):
        port = self.lab.host.rpartition(':')[2]
        for host in (f'evil.example:{port}', '127.0.0.1:1', 'evil.example', '', f'127.0.0.1.evil.example:{port}',
                     '127.0.0.1'):
            for caller in (self.browser, self.room):
                self.assertEqual(caller.get('/', Host=host)[0], 403, host)
        self.assertEqual(self.browser.get('/', Host=f'localhost:{port}')[0], 200)

    def test_only_the_page_itself_may_ask(self):
        for origin in (None, 'null', 'http://evil.example', f'https://{self.lab.host}', f'http://{self.lab.host}.evil'):
            status, _, _ = self.browser.request('POST', '/change', '{"strategy": "serial"}', Origin=origin)
            self.assertEqual(status, 403, origin)
        self.assertEqual(self.browser.get('/change?strategy=serial')[0], 404)
        self.assertEqual(self.lab.serving()['strategy'], 'thread')

    def test_every_answer_has_its_policy(self):
        for caller, path in ((self.browser, '/'), (self.browser, '/nothing'), (Caller(self.lab.host), '/'),
                             (self.room, '/')):
            headers = caller.get(path)[1]
            policy = headers['Content-Security-Policy']
            self.assertIn("default-src 'none'", policy)
            self.assertNotIn('unsafe', policy)
            self.assertEqual((headers['X-Content-Type-Options'], headers['Cache-Control']), ('nosniff', 'no-store'))

    def test_pages_have_no_code_in_them(self):
        for caller in (self.browser, self.room):
            page = caller.get('/')[2]
            self.assertNotRegex(page, r'<script(?![^>]* src=)|<style|\son\w+=|\sstyle=|javascript:')

    def test_what_makes_no_sense_is_refused(self):
        for path, body in (('/change', {}), ('/change', {'strategy': 7}), ('/change', {'strategy': 'a' * 200}),
                           ('/change', {'options': 'ms=1'}), ('/load', {'callers': -1}), ('/load', {'callers': 10001}),
                           ('/load', {'kind': 'many'}), ('/load', {'question': 'a\nb'}), ('/act', {'what': 'dance'}),
                           ('/act', {'what': 'kill', 'pid': os.getpid()}), ('/act', {'what': 'stop', 'pid': 1}),
                           ('/act', {'what': 'kill', 'pid': self.lab.supervisor()}), ('/go', {}),
                           ('/vote', {'speed': 'warp'}), ('/vote', {'speed': 'same'}),
                           ('/lesson', {'name': 'none', 'step': 0}),
                           ('/lesson', {'name': 'serial', 'step': 99}), ('/lesson', {'name': 'serial', 'step': -1})):
            status, why = self.browser.post(path, **body)
            self.assertEqual(status, 409, (path, body))
            self.assertTrue(why)
        for body in ('', '[]', '{', '{"strategy": "serial"', '\0'):
            self.assertEqual(self.browser.request('POST', '/change', body)[0], 409, body)
        self.assertEqual(self.browser.request('POST', '/change', 'x' * 5000)[0], 413)
        self.assertEqual(self.browser.request('PUT', '/change', '{}')[0], 405)
        self.assertEqual(self.browser.post('/nothing')[0], 404)
        self.assertEqual(self.browser.get('/recording')[0], 404)

    def test_viewers_are_bounded(self):
        streams = [self.browser.events() for _ in range(16)]
        self.assertEqual([stream.status for stream in streams], [200] * 16)
        self.assertFalse(self.can_look_on())
        for stream in streams:
            stream.leave()
        until(self.can_look_on, 'one has left')

    def can_look_on(self):
        stream = self.browser.events()
        stream.leave()
        return stream.status == 200

    def test_the_room_can_change_nothing(self):
        _, headers, _ = self.room.get('/')
        self.room.keep(headers)
        for path in ('/change', '/load', '/act', '/go', '/cancel', '/ask', '/lesson', '/record'):
            status, _ = self.room.post(path, strategy='serial', callers=1, what='crash', on=True, name='serial', step=0)
            self.assertEqual(status, 404, path)
        for path in ('/lab.js', '/index.html', '/recording', '/chart.js'):
            self.assertEqual(self.room.get(path)[0], 404, path)
        with self.browser.events() as events:
            until(events.state, 'the page is told')
            self.assertEqual(self.room.post('/vote', speed='same')[0], 409, 'nothing is asked')
            self.browser.post('/ask', on=True)
            until(lambda: events.state()['ask']['on'], 'the state after it')
            self.assertIsNone(events.state()['said'], 'what the class says stands on no projector')


class Works(unittest.TestCase):
    """Each thing that can be asked for, seen in the server."""

    def begin(self, *arguments, under=()):
        self.lab = Laboratory(self, *arguments, under=under)
        self.browser = self.lab.browser()
        events = self.browser.events()
        self.enterContext(events) if hasattr(self, 'enterContext') else self.enter(events)
        until(lambda: 'numbers' in events.last and 'frame' in events.last, 'the page is told')
        return self.lab, self.browser, events

    def enter(self, context):
        context.__enter__()
        self.addCleanup(context.__exit__)

    def ask(self, path, **body):
        self.assertEqual(self.browser.post(path, **body), (204, None))

    def change(self, events, **wish):
        """And waits until it has come to its end."""
        marks = len(events.all['mark'])
        self.ask('/change', **wish)
        until(lambda: [mark for mark in events.all['mark'][marks:] if mark['what'] == 'change'], 'it is changed')

    def test_changes(self):
        lab, _, events = self.begin()
        self.assertEqual(lab.serving()['strategy'], 'thread')
        self.change(events, strategy='prefork:2', accept='mutex')
        self.assertEqual(lab.serving()['strategy'], 'prefork:2')
        until(lambda: any(frame['turn'] for frame in events.all['frame']), 'somebody has the turn')
        self.change(events, workers='+1')
        self.assertEqual(lab.serving()['strategy'], 'prefork:3')
        self.assertEqual(events.all['mark'][-1]['from']['strategy'], 'prefork:2')
        self.assertEqual(events.all['mark'][-1]['to']['strategy'], 'prefork:3')
        self.change(events, handler='sleep', options=['ms=7'])
        self.assertEqual(lab.serving()['handler'], 'sleep')
        state = until(lambda: events.state()['server']['handler'] == 'sleep' and events.state(), 'the page knows')
        self.assertEqual(state['server']['options'], ['ms=7'])
        self.assertEqual(state['server']['accept'], 'mutex')
        self.assertEqual([mark for mark in events.all['mark'] if mark['what'] == 'died'], [])

    def test_a_change_that_makes_no_sense_is_refused_in_words(self):
        lab, _, events = self.begin()
        for wish, word in (({'strategy': 'thread+prethread'}, 'workers come first'),
                           ({'handler': 'nohandler'}, 'nohandler'),
                           ({'accept': 'mutexes'}, 'mutexes')):
            self.ask('/change', **wish)
            until(lambda word=word: word in (events.state()['said'] or {'text': ''})['text'], word)
            self.assertFalse(events.state()['said']['ok'])
        self.assertEqual((lab.serving()['strategy'], lab.serving()['number']), ('thread', 1))

    def test_the_load(self):
        lab, _, events = self.begin('-s', 'prethread:40', 'play', 'tcp://127.0.0.1:0', 'udp://127.0.0.1:0')
        self.ask('/load', kind='talk', callers=30, question='sleep 5000', think_ms=0)
        until(lambda: lab.status()['busy'] == 30, 'they are served')
        until(lambda: events.states().count(SLEEPING) == 30, 'the page sees them')
        self.ask('/load', kind='silent', callers=7)
        until(lambda: lab.status()['busy'] == 7, 'the others have left')
        self.ask('/load', callers=0)
        until(lambda: lab.status()['busy'] == 0, 'all have left')
        self.ask('/load', kind='datagrams', callers=5, question='')
        until(lambda: events.last['numbers']['answers'] > 0, 'datagrams are answered')
        self.ask('/load', kind='short', rate=40, callers=5)
        state = until(lambda: events.state()['load']['rate'] == 40 and events.state(), 'an open loop')
        self.assertEqual(state['load'], {'kind': 'short', 'callers': 5, 'rate': 40, 'think_ms': 0, 'question': ''})

    def test_callers_beside_it(self):
        lab, _, events = self.begin('-c', '0', '-s', 'thread')
        self.ask('/act', what='slow')
        self.ask('/act', what='silent')
        until(lambda: lab.status()['busy'] == 2, 'both are there')
        until(lambda: events.state()['beside']['slow'] == 2, 'the page knows')
        self.ask('/act', what='release')
        until(lambda: lab.status()['busy'] == 0, 'they were let go')
        served = lab.status()['served']
        self.ask('/load', callers=1, question='sleep 10', think_ms=60000)
        self.ask('/act', what='burst')
        until(lambda: lab.status()['served'] >= served + 201, 'two hundred more')
        self.ask('/act', what='hold')
        until(lambda: any(worker['state'] == 'handling' for worker in lab.serving()['workers'] if worker['tid'] == 0),
              'it computes')

    def test_a_crash_and_who_comes_after_it(self):
        lab, browser, events = self.begin('-c', '0', '-s', 'thread')
        first = lab.serving()
        self.ask('/act', what='crash')
        until(lambda: (lab.serving() or first)['number'] != first['number'], 'a successor serves')
        until(lambda: any(mark['what'] == 'died' and mark['pid'] == first['pid'] for mark in events.all['mark']),
              'it is told')
        self.assertFalse(is_alive(first['pid']))
        until(lambda: events.state()['beside']['crash'] == 0, 'who has crashed it calls no more')
        self.assertEqual(lab.serving()['number'], first['number'] + 1)
        self.change(events, handler='upper')
        status, why = browser.post('/act', what='crash')
        self.assertEqual(status, 409)
        self.assertIn('play', why)

    def test_a_worker_is_killed(self):
        lab, _, events = self.begin('-c', '0', '-s', 'prefork:2')
        pids = [worker['pid'] for worker in lab.serving()['workers']]
        self.ask('/act', what='kill', pid=pids[0])
        until(lambda: not is_alive(pids[0]), 'it is dead')
        until(lambda: [worker['state'] for worker in lab.serving()['workers'] if worker['pid'] != pids[0]]
              == ['waiting', 'waiting'], 'its successor has come')
        until(lambda: any(DEAD in frame['events'][2::4] for frame in events.all['frame']), 'the page has seen it die')
        self.assertEqual(lab.serving()['number'], 1)

    def test_a_worker_is_stopped_for_two_seconds(self):
        lab, _, events = self.begin('-c', '0', '-s', 'prefork:2')
        pid = lab.serving()['workers'][0]['pid']
        self.ask('/act', what='stop', pid=pid)
        until(lambda: state_of(pid) == 'T', 'it is stopped')
        until(lambda: events.state()['stopped'] == [pid], 'the page knows')
        until(lambda: state_of(pid) != 'T', 'it goes on')
        until(lambda: events.state()['stopped'] == [], 'the page knows that too')

    def test_what_is_stopped_goes_on_when_the_lab_ends(self):
        lab, _, _ = self.begin('-c', '0', '-s', 'prefork:2')
        self.ask('/act', what='stop', pid=lab.serving()['workers'][0]['pid'])
        lab.end()

    def test_numbers_and_what_came_of_a_change(self):
        lab, _, events = self.begin('-s', 'serial', '-c', '10')
        self.ask('/load', kind='short', callers=10, question='sleep 20', think_ms=0)
        until(lambda: events.all['outcome'], 'a first outcome')
        begin = len(events.all['outcome'])
        self.change(events, strategy='thread')
        outcome = until(lambda: [one for one in events.all['outcome'][begin:] if one['mark']['what'] == 'change'],
                        'its outcome')[0]
        self.assertEqual(outcome['mark']['from']['strategy'], 'serial')
        self.assertEqual(outcome['mark']['to']['strategy'], 'thread')
        metrics = {metric['name']: metric for metric in outcome['metrics']}
        self.assertEqual(metrics['answers']['verdict'], 'more')
        self.assertLess(metrics['answers']['before'], 51, 'one at a time, each 20 ms')
        self.assertGreater(metrics['answers']['low'], 0)
        self.assertEqual(metrics['p50']['verdict'], 'less')
        self.assertGreaterEqual(metrics['p50']['after'], 20000)
        self.assertEqual(outcome['failed'], 0)
        numbers = events.last['numbers']
        self.assertGreater(numbers['cpu'], 0)
        until(lambda: events.last['numbers']['memory'], 'memory, which is not measured each time')
        self.assertEqual(lab.said(), '')

    def test_lost_updates(self):
        _, _, events = self.begin('-s', 'thread', '-c', '0')
        self.assertIsNone(events.last['numbers']['lost'])
        status, why = self.browser.post('/load', kind='datagrams')
        self.assertEqual(status, 409)
        self.assertIn('udp://', why)
        self.ask('/load', kind='talk', callers=20, question='add', think_ms=0)
        until(lambda: (events.last['numbers']['lost'] or 0) > 0, 'threads lose some')
        self.change(events, strategy='serial')
        self.ask('/load', kind='short', callers=20)
        # What threads have lost before is in the first samples still.
        until(lambda: events.last['numbers']['lost'] == 0 and events.last['numbers']['answers'] > 0,
              'one loop loses none')

    def test_the_class_votes(self):
        lab, browser, events = self.begin('--room=127.0.0.1:0')
        voters = []
        for _ in range(3):
            voter = Caller(lab.room_host)
            voter.keep(voter.get('/')[1])
            voters.append(voter)
        self.ask('/ask', on=True)
        self.ask('/change', strategy='serial')
        until(lambda: events.state()['ask']['pending'], 'it waits')
        self.assertEqual(lab.serving()['strategy'], 'thread')
        with voters[0].events() as seen:
            until(lambda: (seen.last.get('room') or {}).get('pending'), 'the class is asked')
            for voter, speed in zip(voters, ('faster', 'slower', 'slower')):
                self.assertEqual(voter.post('/vote', speed=speed, errors='none'), (204, None))
            self.assertEqual(voters[0].post('/vote', speed='slower'), (204, None))
            self.assertEqual(browser.post('/vote', speed='same', errors='some'), (204, None))
            until(lambda: seen.last['room']['votes'] == {'faster': 0, 'slower': 3, 'same': 1}, 'all votes count once')
            self.assertEqual(seen.last['room']['mine'], {'speed': 'slower', 'errors': 'none'})
            self.ask('/go')
            outcome = until(lambda: events.all['outcome'], 'what came')[0]
            self.assertEqual(outcome['votes'], {'faster': 0, 'slower': 3, 'same': 1, 'none': 3, 'some': 1})
            until(lambda: seen.last['room']['outcome'], 'the class sees it')
        self.assertEqual(lab.serving()['strategy'], 'serial')
        stranger = Caller(lab.room_host)
        stream = stranger.events()
        stream.leave()
        self.assertEqual(stream.status, 404, 'only a browser with a key of its own')

    def test_a_change_that_waits_can_be_dropped(self):
        lab, _, events = self.begin()
        self.ask('/ask', on=True)
        self.ask('/change', strategy='serial')
        self.ask('/cancel')
        until(lambda: events.state()['ask']['on'] and not events.state()['ask']['pending'], 'it waits no more')
        self.assertEqual((lab.serving()['strategy'], lab.serving()['number']), ('thread', 1))

    def test_a_lesson(self):
        lab, browser, events = self.begin('--lesson=serial')
        until(lambda: lab.serving()['strategy'] == 'serial', 'the stage is set')
        lessons = events.last['hello']['lessons']
        self.assertEqual(len(lessons), 10)
        steps = next(lesson['steps'] for lesson in lessons if lesson['name'] == 'serial')
        asked = next(n for n, step in enumerate(steps) if step['ask'])
        until(lambda: not events.state()['server']['changing'], 'it is settled')
        self.ask('/lesson', name='serial', step=asked)
        until(lambda: events.state()['ask']['question'], 'it asks')
        self.assertEqual(events.state()['lesson'], {'name': 'serial', 'step': asked})
        self.ask('/go')
        until(lambda: events.state()['ask']['question'] is None, 'it is done')
        self.ask('/lesson', name=None)
        until(lambda: events.state()['lesson'] is None, 'it has ended')

    def test_a_teachers_own_lesson(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, 'own.lesson')
            path.write_text('title: Mine <b>\nstep:\ntext: Look\nstrategy: prethread:2\ncallers: 3\nkind: silent\n'
                            'act: slow\n')
            lab, _, events = self.begin(f'--lesson={path}', '-c', '0')
            until(lambda: lab.serving()['strategy'] == 'prethread:2', 'its stage')
            until(lambda: events.state()['beside']['slow'] == 1, 'its act, when the change is made')
            self.assertEqual(events.last['hello']['lessons'][-1]['title']['en'], 'Mine <b>')

    def test_a_copy_of_a_lesson_stands_in_its_place(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, 'serial.lesson')
            path.write_text('title: Mine\nstep:\ntext: Look\nstrategy: fork\n')
            lab, _, events = self.begin(f'--lesson={path}', '-c', '0')
            until(lambda: lab.serving()['strategy'] == 'fork', 'its stage')
            self.assertEqual([lesson['title']['en'] for lesson in events.last['hello']['lessons']
                              if lesson['name'] == 'serial'], ['Mine'])

    def test_votes_stay_with_what_was_asked(self):
        """The load of the same step is no change of its own, and disturbs nothing."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, 'own.lesson')
            path.write_text('title: Mine\nstep:\ntext: Look\nask: What will it do?\nkind: short\ncallers: 3\n'
                            'strategy: serial\n')
            _, browser, events = self.begin(f'--lesson={path}', '-c', '0')
            until(lambda: events.state()['ask']['question'], 'it asks')
            self.ask('/vote', speed='slower')
            self.ask('/go')
            outcome = until(lambda: [one for one in events.all['outcome'] if one['mark']['what'] == 'change'],
                            'the outcome')[0]
            self.assertEqual(outcome['votes']['slower'], 1)
            self.assertFalse(outcome['disturbed'])
            self.assertEqual([one['votes'] for one in events.all['outcome'] if one['mark']['what'] == 'load'], [None])
            self.assertEqual(browser.post('/go')[0], 409)

    def test_idle_workers_are_seen_by_everybody(self):
        lab, browser, events = self.begin('-c', '0')
        self.change(events, strategy='prefork:4')
        pids = {worker['pid'] for worker in lab.serving()['workers']}
        until(lambda: pids <= events.pids(), 'those who were there are told')
        until(lambda: events.states().count(WAITING) >= 4, 'and what they do')
        with browser.events() as newcomer:
            until(lambda: pids <= newcomer.pids(), 'who comes is told too')
            self.ask('/act', what='kill', pid=min(pids))
            successor = until(lambda: {worker['pid'] for worker in lab.serving()['workers']} - pids, 'a successor').pop()
            for viewer in (events, newcomer):
                until(lambda viewer=viewer: successor in viewer.pids(), 'and both of who comes next')

    def test_callers_that_cannot_call_are_said(self):
        _, _, events = self.begin('-c', '1', under=('sh', '-c', 'ulimit -n 512; exec "$0" "$@"'))
        self.ask('/load', callers=2000)
        until(lambda: 'descriptors' in (events.state()['said'] or {'text': ''})['text'], 'why')
        self.assertEqual(events.state()['load']['callers'], 0)

    def test_a_session_is_kept(self):
        lab, browser, events = self.begin()
        self.ask('/record', on=True)
        until(lambda: events.state()['recording'], 'it records')
        self.change(events, strategy='serial')
        self.ask('/record', on=False)
        until(lambda: not events.state()['recording'] and events.state()['recorded'], 'it is whole')
        status, headers, page = browser.get('/recording')
        self.assertEqual(status, 200)
        self.assertIn('attachment', headers['Content-Disposition'])
        self.assertIsNone(re.search(r'<script[^>]* src=|<link rel="stylesheet"', page))
        kept = json.loads(re.search(r'<script type="application/json" id="recording">(.*?)</script>', page,
                                    re.DOTALL)[1])
        self.assertEqual([event for _, event, _ in kept[:3]], ['hello', 'state', 'frame'])
        self.assertTrue(kept[2][2]['full'])
        marks = [data for _, event, data in kept if event == 'mark' and data['what'] == 'change']
        self.assertEqual([mark['to']['strategy'] for mark in marks], ['serial'])
        self.assertEqual([t for t, _, _ in kept], sorted(t for t, _, _ in kept))

    def test_lanes_are_as_many_as_work_at_a_time(self):
        lab, _, events = self.begin('-c', '8', '-s', 'thread')
        served = lab.status()['served']
        until(lambda: lab.status()['served'] > served + 300, 'three hundred requests')
        self.assertLess(len(events.lanes), 100, 'a thread for each request, and yet not a lane for each')

    def test_nothing_is_traced_while_nobody_looks(self):
        lab = Laboratory(self)
        until(lambda: not is_traced(lab.serving()['pid']), 'nobody looks')
        browser = lab.browser()
        with browser.events():
            until(lambda: is_traced(lab.serving()['pid']), 'somebody looks')
        until(lambda: not is_traced(lab.serving()['pid']), 'nobody looks any more')

    def test_a_thousand_lanes(self):
        lab, _, events = self.begin('-s', 'fiber', '-c', '0')
        self.ask('/load', kind='talk', callers=1000, question='sleep 60', think_ms=0)
        until(lambda: len(events.states()) - events.states().count(FREE) > 1000, 'all are seen')
        until(lambda: any(frame['coarse'] > 0 or len(frame['events']) > 0 for frame in events.all['frame'][-5:]),
              'they move')
        self.assertLess(max(len(frame['events']) for frame in events.all['frame']), 4 * 8000, 'frames are bounded')


def state_of(pid):
    return pathlib.Path(f'/proc/{pid}/stat').read_text(encoding='ascii').rpartition(')')[2].split()[0]


def is_traced(pid):
    """By the scoreboard itself: sb_scoreboard.tracing."""
    for path in pathlib.Path(f'/proc/{pid}/fd').iterdir():
        if 'switchboard-scoreboard' in os.readlink(path):
            with open(path, 'rb') as file, mmap.mmap(file.fileno(), 4096, prot=mmap.PROT_READ) as board:
                magic, = struct.unpack_from('I', board, 0)
                assert magic == 0x7362736b
                return struct.unpack_from('I', board, 236)[0] == 1
    return False


class Play(unittest.TestCase):
    """The lab's handler."""

    def test_each_line(self):
        lab = Laboratory(self, '-c', '0')
        host, port = re.match(r'tcp://(.*):(\d+)', lab.addresses[0]).groups()
        with socket.create_connection((host, int(port)), PATIENCE_S) as caller, caller.makefile('rw') as lines:
            for line, answer in (('sleep 1', 'slept 1 ms'), ('spin 5', 'spun 5 us'), ('add', '1'), ('add', '2'),
                                 ('hello', 'HELLO'),
                                 ('sleepy', 'SLEEPY'), ('sleep x', 'slept 0 ms'), ('sleep -3', 'slept 0 ms'), ('', '')):
                lines.write(line + '\n')
                lines.flush()
                self.assertEqual(lines.readline(), answer + '\n')
            lines.write('error\n')
            lines.flush()
            self.assertEqual(lines.readline(), '')
        until(lambda: lab.status()['errors'] == 1, 'it failed')


if __name__ == '__main__':
    unittest.main()
