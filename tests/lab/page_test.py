#!/usr/bin/env python3
"""The lab's pages in Chromium: what each button does is looked for in the server, not on the page."""
import contextlib
import ctypes
import json
import os
import pathlib
import re
import socket
import stat
import sys
import tempfile
import unittest

from laboratory import Laboratory, children_of, is_alive, until

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from browser import CHROMEDRIVER, ENTER, ESCAPE, SPACE, TAB, Browser  # noqa: E402

PIDFD_GETFD = 438
FRAMES_LEAST = 3        # a second, of a browser without a GPU beside a server, its callers and other tests


def state_of(pid):
    return pathlib.Path(f'/proc/{pid}/stat').read_text(encoding='ascii').rpartition(')')[2].split()[0]


def cut_connections(pid):
    """Ends those that a process has accepted, from outside, as a network does."""
    pidfd, libc = os.pidfd_open(pid), ctypes.CDLL(None, use_errno=True)
    count = 0
    for entry in pathlib.Path(f'/proc/{pid}/fd').iterdir():
        with contextlib.suppress(OSError):
            if not stat.S_ISSOCK(entry.stat().st_mode):
                continue
            fd = libc.syscall(PIDFD_GETFD, pidfd, int(entry.name), 0)
            if fd < 0:
                raise OSError(ctypes.get_errno(), 'pidfd_getfd')
            with socket.socket(fileno=fd) as taken:
                taken.getpeername()
                taken.shutdown(socket.SHUT_RDWR)
                count += 1
    os.close(pidfd)
    return count


@unittest.skipUnless(CHROMEDRIVER, 'there is no chromedriver (chromium-driver)')
class Page(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix='switchboard-')
        cls.addClassCleanup(cls.folder.cleanup)
        browser = pathlib.Path(cls.folder.name, 'browser')
        browser.mkdir()
        cls.browser = Browser(browser)
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        self.browser.speak('en')
        self.browser.resize(1280, 720)
        self.browser.colours('light')

    def tearDown(self):
        self.assertEqual([entry for entry in self.browser.log() if 'favicon' not in entry['message']], [])

    def begin(self, *arguments):
        lab = Laboratory(self, *arguments)
        self.addCleanup(self.browser.open, 'about:blank')
        self.browser.open(lab.url)
        until(lambda: self.run_script('return Boolean(window.lab && window.lab.state)'), 'the page is alive')
        return lab

    def run_script(self, script, *arguments):
        return self.browser.run(script, *arguments)

    def text(self, name):
        return self.run_script('return document.getElementById(arguments[0]).innerText', name)

    def click(self, selector):
        """As a user can: what is hidden or disabled cannot be clicked."""
        self.run_script('''
            const wanted = document.querySelector(arguments[0]);
            if (!wanted || wanted.disabled || wanted.offsetParent === null)
                throw new Error(arguments[0] + " cannot be clicked");
            wanted.click();''', selector)

    def fill(self, name, value):
        self.run_script('''
            const field = document.getElementById(arguments[0]);
            field.value = arguments[1];
            field.dispatchEvent(new Event("input", { bubbles: true }));
            field.dispatchEvent(new Event("change", { bubbles: true }));''', name, str(value))

    def state(self):
        return self.run_script('return window.lab.state')

    def serves(self, lab, **wanted):
        def does():
            serving = lab.serving()
            return (serving and all(serving[key] == value for key, value in wanted.items())
                    and not self.state()['server']['changing'])
        until(does, wanted)

    # --- change

    def test_strategies_compose_by_chips(self):
        lab = self.begin()
        self.click('[data-strategy="prefork"]')
        self.click('[data-strategy="thread"]')
        self.click('#strategy-apply')
        self.serves(lab, strategy='prefork:4+thread')
        self.click('#workers-more')
        self.serves(lab, strategy='prefork:5+thread')
        self.click('#workers-less')
        self.serves(lab, strategy='prefork:4+thread')
        self.assertEqual(self.text('strategy-now'), 'prefork:4+thread')

    def test_discipline_handler_and_options(self):
        lab = self.begin('-s', 'prefork:2')
        self.fill('accept', 'flock')
        self.fill('handler', 'sleep')
        self.run_script('return new Promise(done => setTimeout(done))')
        self.run_script('''
            const field = [...document.querySelectorAll("#options input")]
                .find(one => /^ms/.test(one.closest("label").innerText));
            field.value = "33";
            field.dispatchEvent(new Event("input", { bubbles: true }));
            field.dispatchEvent(new Event("change", { bubbles: true }));''')
        self.click('#strategy-apply')
        self.serves(lab, handler='sleep')
        until(lambda: self.state()['server']['accept'] == 'flock', 'the discipline')
        self.assertIn('ms=33', self.state()['server']['options'])

    def test_nonsense_is_refused_in_the_servers_words(self):
        lab = self.begin()
        self.fill('strategy-text', 'thread+prethread')
        self.click('#strategy-apply')
        until(lambda: 'workers come first' in self.text('said'), 'the refusal')
        self.assertEqual(lab.serving()['strategy'], 'thread')
        self.assertEqual(self.text('strategy-now'), 'thread')

    # --- load

    def test_the_load(self):
        lab = self.begin('-s', 'thread', '-c', '0')
        for name, value in (('load-kind', 'talk'), ('load-callers', 12), ('load-question', 'sleep 4000'),
                            ('load-think', 0)):
            self.fill(name, value)
        self.click('#load-apply')
        until(lambda: lab.status()['busy'] == 12 and self.state()['load']['callers'] == 12, 'twelve are served')
        self.fill('load-kind', 'silent')
        self.fill('load-callers', 3)
        self.click('#load-apply')
        until(lambda: lab.status()['busy'] == 3, 'three are silent')
        self.fill('load-kind', 'short')
        self.fill('load-question', '')
        self.fill('load-rate', 50)
        self.click('#load-apply')
        served = lab.status()['served']
        until(lambda: lab.status()['served'] > served + 20, 'an open loop')
        self.assertEqual(self.state()['load']['rate'], 50)

    def test_callers_beside_it(self):
        lab = self.begin('-s', 'thread', '-c', '0')
        self.click('[data-act="slow"]')
        until(lambda: lab.status()['busy'] == 1, 'a slow one')
        self.click('[data-act="silent"]')
        until(lambda: lab.status()['busy'] == 2, 'a silent one')
        self.click('[data-act="release"]')
        until(lambda: lab.status()['busy'] == 0, 'they were let go')
        served = lab.status()['served']
        self.click('[data-act="burst"]')
        until(lambda: lab.status()['served'] >= served + 200, 'two hundred at once')
        self.click('[data-act="hold"]')
        until(lambda: any(worker['state'] == 'handling' for worker in lab.serving()['workers']), 'one computes')
        number = lab.serving()['number']
        self.click('[data-act="crash"]')
        until(lambda: (lab.serving() or {'number': number})['number'] != number, 'a crash, and a successor')

    def test_a_worker_is_killed_and_another_stopped(self):
        lab = self.begin('-s', 'prefork:2', '-c', '0')
        pids = sorted(worker['pid'] for worker in lab.serving()['workers'])
        until(lambda: self.run_script('return document.querySelectorAll("#worker-choice option").length') >= 2,
              'they are offered')
        self.fill('worker-choice', pids[0])
        self.click('[data-act="kill"]')
        until(lambda: not is_alive(pids[0]), 'it is dead')
        self.fill('worker-choice', pids[1])
        self.click('[data-act="stop"]')
        until(lambda: state_of(pids[1]) == 'T', 'it is stopped')
        until(lambda: state_of(pids[1]) != 'T', 'it goes on')

    # --- what is seen

    def test_workers_are_seen(self):
        lab = self.begin('-s', 'prefork:3', '-c', '9')
        until(lambda: self.run_script('return window.lab.lanes') == 3, 'three lanes')
        colours = self.run_script('''
            const sheet = document.getElementById("exchange");
            const { data } = sheet.getContext("2d").getImageData(0, 0, sheet.width, sheet.height);
            return new Set(new Uint32Array(data.buffer)).size;''')
        self.assertGreater(colours, 10)
        until(lambda: self.text('figures').strip() and self.text('callers').split()[1] == '9', 'figures')
        self.assertEqual(self.run_script('return window.lab.dense'), False)
        self.assertIn('prefork:3', self.text('strategy-now'))
        self.assertEqual(lab.said(), '')

    def test_a_thousand_lanes_move(self):
        lab = self.begin('-s', 'fiber', '-c', '0')
        for name, value in (('load-kind', 'talk'), ('load-callers', 1000), ('load-question', 'sleep 200'),
                            ('load-think', 0)):
            self.fill(name, value)
        self.click('#load-apply')
        until(lambda: lab.status()['busy'] == 1000, 'a thousand are served')
        until(lambda: self.run_script('return window.lab.lanes') >= 1000, 'a thousand lanes')
        self.assertTrue(self.run_script('return window.lab.dense'))
        until(lambda: self.run_script('return window.lab.fps') >= FRAMES_LEAST, 'they move')

    def test_pause_zoom_and_bars_by_the_keyboard(self):
        self.begin('-s', 'prefork:2')
        until(lambda: self.run_script('return window.lab.lanes') == 2, 'two lanes')
        self.browser.press(SPACE)
        until(lambda: self.run_script('return document.querySelector("#pause[aria-pressed=true]") !== null'), 'paused')
        span = self.run_script('return document.getElementById("zoom").value')
        self.browser.press('+')
        until(lambda: self.run_script('return document.getElementById("zoom").value') != span, 'zoomed')
        self.browser.press('e')
        self.assertEqual(self.run_script('return document.activeElement.id'), 'exchange')
        self.browser.press('\ue012')        # the arrow to the left
        until(lambda: 'worker' in self.text('tip'), 'a bar says who')
        self.browser.press(ESCAPE)
        self.browser.press(SPACE)
        self.browser.press('?')
        until(lambda: self.run_script('return document.getElementById("shortcuts").open'), 'the keys are listed')
        self.browser.press(ESCAPE)

    def test_everything_can_be_reached_and_changed_by_the_keyboard(self):
        lab = self.begin()
        controls = self.run_script('''
            return [...document.querySelectorAll("button, input, select, a[href]")]
                .filter(one => !one.disabled && one.offsetParent !== null && !one.closest("dialog")).length;''')
        reached = set()
        for _ in range(2 * controls):
            self.browser.press(TAB)
            reached.add(self.run_script('''
                const all = [...document.querySelectorAll("button, input, select, a[href]")];
                return all.indexOf(document.activeElement);'''))
        self.assertGreaterEqual(len(reached - {-1}), controls - 1)
        self.browser.press('c')
        self.run_script('document.activeElement.select()')
        for letter in 'serial':
            self.browser.press(letter)
        self.browser.press(ENTER)
        self.serves(lab, strategy='serial')

    def test_a_lost_connection_comes_back(self):
        lab = self.begin('-s', 'prefork:2')
        self.assertEqual(self.run_script('return document.getElementById("connection").dataset.state'), 'live')
        self.run_script('''
            window.states = [];
            new MutationObserver(() => window.states.push(document.getElementById("connection").dataset.state))
                .observe(document.getElementById("connection"), { attributes: true });''')
        self.assertGreater(cut_connections(lab.process.pid), 0)
        until(lambda: 'lost' in self.run_script('return window.states'), 'it is lost')
        until(lambda: self.run_script('return window.states.at(-1)') == 'live', 'it comes back')
        until(lambda: self.run_script('return window.lab.lanes') == 2, 'and shows the workers again')
        self.browser.log()          # says that the connection was lost

    # --- what happened, what was guessed, lessons

    def test_what_came_of_a_change(self):
        self.begin('-s', 'serial', '-c', '10')
        for name, value in (('load-think', 0), ('load-question', 'sleep 20')):
            self.fill(name, value)
        self.click('#load-apply')
        until(lambda: self.run_script('return document.querySelectorAll("#outcomes > li").length') >= 1,
              'what the load brought')
        self.fill('strategy-text', 'thread')
        self.click('#strategy-apply')
        until(lambda: 'serial → thread' in self.text('outcomes'), 'what the strategy brought')
        told = self.run_script('''
            return [...document.querySelectorAll("#outcomes > li")]
                .find(one => /serial → thread/.test(one.innerText)).innerText;''')
        self.assertRegex(told, r'answers a second \d+ → \d+.*\(\+\d+ to \+\d+\)')
        self.assertIn('more', told)

    def test_the_class_is_asked_first(self):
        lab = self.begin('--room=127.0.0.1:0', '-c', '5')
        self.click('#ask-on')
        until(lambda: self.state()['ask']['on'], 'it asks')
        self.assertIn(lab.room_host, self.text('room'))
        self.fill('strategy-text', 'serial')
        self.click('#strategy-apply')
        until(lambda: self.state()['ask']['pending'], 'it waits')
        self.assertEqual(lab.serving()['strategy'], 'thread')
        self.click('#vote-slower')
        self.click('#vote-none')
        until(lambda: self.state()['ask']['votes']['slower'] == 1 and self.state()['ask']['errors']['none'] == 1,
              'a vote')
        self.click('#ask-go')
        self.serves(lab, strategy='serial')
        until(lambda: 'thread → serial' in self.text('outcomes'), 'what came, beside the guesses')

    def test_a_phone_votes(self):
        lab = self.begin('--room=127.0.0.1:0', '-c', '5')
        teacher = lab.browser()
        self.browser.resize(390, 844)
        self.browser.open(f'http://{lab.room_host}/')
        until(lambda: self.run_script('return document.getElementById("connection").dataset.state') == 'live',
              'it looks on')
        self.assertEqual(teacher.post('/ask', on=True), (204, None))
        self.assertEqual(teacher.post('/change', strategy='prefork:2'), (204, None))
        until(lambda: self.run_script('return document.getElementById("vote-faster")?.offsetParent') is not None,
              'it is asked')
        self.assertIn('prefork:2', self.run_script('return document.body.innerText'))
        wide = self.run_script('return [document.documentElement.scrollWidth, innerWidth]')
        self.assertLessEqual(wide[0], wide[1])
        with teacher.events() as events:
            self.click('#vote-faster')
            self.click('#vote-some')
            until(lambda: events.state() and events.state()['ask']['votes']['faster'] == 1
                  and events.state()['ask']['errors']['some'] == 1, 'the teacher sees it')
            self.click('#vote-same')
            until(lambda: events.state()['ask']['votes'] == {'faster': 0, 'slower': 0, 'same': 1},
                  'another opinion, one vote')

    def test_a_lesson(self):
        lab = self.begin()
        self.fill('lesson-choice', 'serial')
        self.serves(lab, strategy='serial')
        first = self.text('lesson-text')
        self.assertTrue(first)
        self.click('#lesson-next')
        until(lambda: self.text('lesson-text') != first, 'the next step')
        until(lambda: self.state()['ask']['question'], 'it asks')
        self.click('#ask-go')
        until(lambda: self.state()['ask']['question'] is None, 'it is made')
        until(lambda: self.run_script('return document.getElementById("lesson-explain").offsetParent !== null'),
              'it explains')
        self.browser.press('[')
        until(lambda: self.text('lesson-text') == first, 'back, by a key')

    # --- languages, kept sessions, harmless texts

    def test_both_languages(self):
        lab = self.begin('--room=127.0.0.1:0')
        self.assertEqual(self.run_script('return document.documentElement.lang'), 'en')
        english = self.run_script('return document.body.innerText')
        self.browser.speak('zh-CN')
        self.browser.open(f'http://{lab.host}/')
        until(lambda: self.run_script('return Boolean(window.lab && window.lab.state)'), 'the page is alive')
        self.assertEqual(self.run_script('return document.documentElement.lang'), 'zh')
        chinese = self.run_script('return document.body.innerText')
        for word in ('客户端', '积压', '改变', '数字'):
            self.assertIn(word, chinese)
            self.assertNotIn(word, english)
        for word in ('backlog', 'Change', 'Numbers', 'undefined', 'callers'):
            self.assertNotIn(word, chinese)
        self.fill('lesson-choice', 'serial')
        until(lambda: re.search('[\u4e00-\u9fff]{5}', self.text('lesson-text')), 'a lesson')
        self.browser.open(f'http://{lab.room_host}/')
        self.assertEqual(self.run_script('return document.documentElement.lang'), 'zh')

    def test_a_kept_session_plays_without_a_server(self):
        lab = self.begin('-s', 'prefork:2')
        self.click('#record')
        until(lambda: self.state()['recording'], 'it records')
        self.fill('strategy-text', 'thread')
        self.click('#strategy-apply')
        self.serves(lab, strategy='thread')
        self.click('#record')
        until(lambda: self.state()['recorded'] and not self.state()['recording'], 'it is kept')
        self.assertTrue(self.run_script('return document.getElementById("recording-link").offsetParent !== null'))
        page = pathlib.Path(self.folder.name, 'kept.html')
        page.write_text(lab.browser().get('/recording')[2], encoding='utf-8')
        self.browser.open('about:blank')
        lab.end()
        self.browser.open(page)
        until(lambda: self.run_script('return document.getElementById("connection").dataset.state') == 'recording',
              'it plays')
        until(lambda: self.run_script('return window.lab.lanes') > 0, 'workers are seen')
        self.assertFalse(self.run_script('return document.getElementById("strategy-apply").offsetParent !== null'))
        end = self.run_script('return Number(document.getElementById("position").max)')
        self.fill('position', end)
        until(lambda: self.text('strategy-now') == 'thread', 'the end is seen')
        self.fill('position', self.run_script('return Number(document.getElementById("position").min)'))
        until(lambda: self.text('strategy-now') == 'prefork:2', 'and the beginning again')

    def test_texts_stay_texts(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, 'own.lesson')
            evil = '<img src=x onerror="document.title=1"><b id=injected>bold</b>'
            path.write_text(f'title: {evil}\nsource: {evil}\nstep:\ntext: {evil}\nask: {evil}\ncallers: 1\n',
                            encoding='utf-8')
            self.begin(f'--lesson={path}')
            until(lambda: '<b id=injected>' in self.text('lesson-text'), 'it is shown as it is')
            self.fill('load-question', evil)
            self.click('#load-apply')
            until(lambda: self.state()['load']['question'] == evil, 'it is asked')
            self.fill('strategy-text', evil)
            self.click('#strategy-apply')
            until(lambda: 'injected' in self.text('said'), 'it is refused')
            self.assertTrue(self.run_script('return document.getElementById("injected") === null'))
            self.assertNotEqual(self.run_script('return document.title'), '1')

    def test_the_page_asks_nobody_else(self):
        lab = self.begin()
        asked = self.run_script('return performance.getEntriesByType("resource").map(one => one.name)')
        self.assertTrue(asked)
        self.assertEqual([one for one in asked if not one.startswith(f'http://{lab.host}/')], [])
        self.assertNotIn(lab.token, self.run_script('return location.href'))

    def test_nothing_overflows(self):
        self.begin('-s', 'prefork:2+thread')
        for width, height in ((1280, 720), (390, 844), (800, 600)):
            self.browser.resize(width, height)
            for language in ('en', 'zh-CN'):
                self.browser.two_frames()
                self.assertLessEqual(self.run_script('return document.documentElement.scrollWidth'), width,
                                     (width, language))


if __name__ == '__main__':
    unittest.main()
