#!/usr/bin/env python3
"""Makes the README's pictures of the lab, or looks at every lesson.

    tests/lab/pictures.py BUILD                 writes tools/lab/pictures/lab.png and room.png
    tests/lab/pictures.py BUILD FOLDER [NAME...]    writes the first and last step of these lessons, or of all, on a
                                                projector and on a phone
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
os.environ['SWITCHBOARD'] = str(pathlib.Path(sys.argv[1]).resolve() / 'tools' / 'switchboard')
sys.path += [str(ROOT / 'tests'), str(ROOT / 'tests' / 'lab')]
from browser import Browser  # noqa: E402
from laboratory import Laboratory, until  # noqa: E402

PROJECTOR, PHONE = (1280, 720), (390, 844)


class Stage:
    """Stands in for a test: what it must clean up."""

    def __init__(self):
        self.cleanups = []

    def addCleanup(self, function, *arguments):  # noqa: N802: unittest's name
        self.cleanups.append((function, arguments))

    def assertEqual(self, left, right, why=''):  # noqa: N802
        assert left == right, (left, right, why)

    def end(self):
        while self.cleanups:
            function, arguments = self.cleanups.pop()
            function(*arguments)


def look(browser, address, size, path, seconds=0.0):
    browser.resize(*size)
    browser.open(address)
    time.sleep(seconds)
    path.write_bytes(browser.picture())
    print(path)


def make_pictures(browser, folder):
    """The page while prefork takes over from thread, with its lanes of ten seconds; and a phone that is asked."""
    stage = Stage()
    try:
        lab = Laboratory(stage, '-s', 'thread', '-c', '10', '--room=127.0.0.1:0')
        teacher = lab.browser()
        browser.resize(*PROJECTOR)
        browser.open(lab.url)
        with teacher.events() as events:
            time.sleep(5.5)
            teacher.post('/change', strategy='prefork:4')
            until(lambda: events.all['mark'], 'the change')
            time.sleep(3.5)
            (folder / 'lab.png').write_bytes(browser.picture())
            teacher.post('/ask', on=True)
            teacher.post('/change', strategy='fiber')
            browser.resize(*PHONE)
            browser.open(f'http://{lab.room_host}/')
            time.sleep(1)
            (folder / 'room.png').write_bytes(browser.picture())
    finally:
        stage.end()


def look_at_lessons(browser, folder):
    done = subprocess.run([os.environ['SWITCHBOARD'], 'lab', '--lesson=help'], check=True, capture_output=True,
                          text=True)
    for name in sys.argv[3:] or [line.split()[0] for line in done.stdout.splitlines()]:
        stage = Stage()
        try:
            lab = Laboratory(stage, f'--lesson={name}', '--room=127.0.0.1:0')
            teacher = lab.browser()
            with teacher.events() as events:
                until(lambda: 'hello' in events.last, 'the lesson')
                steps = next(lesson['steps'] for lesson in events.last['hello']['lessons'] if lesson['name'] == name)
                until(lambda: events.state() and not events.state()['server']['changing'], 'the stage')
                look(browser, lab.url, PROJECTOR, folder / f'{name}-first.png', 6)
                play(teacher, events, name, len(steps))
                look(browser, lab.url, PROJECTOR, folder / f'{name}-last.png', 9)
                browser.speak('zh-CN')
                look(browser, lab.url, PROJECTOR, folder / f'{name}-last-zh.png', 3)
                browser.speak('en')
                look(browser, lab.url, PHONE, folder / f'{name}-phone.png', 2)
                look(browser, f'http://{lab.room_host}/', PHONE, folder / f'{name}-room.png', 1)
                (folder / f'{name}.json').write_text(json.dumps(events.all['outcome'], indent=1), encoding='utf-8')
                print(lab.said())
        finally:
            stage.end()


def play(teacher, events, name, count):
    """Each step to its end, as a teacher in a hurry."""
    for step in range(1, count):
        assert teacher.post('/lesson', name=name, step=step) == (204, None), (name, step)
        until(lambda step=step: events.state()['lesson']['step'] == step, 'the step')
        if events.state()['ask']['question']:
            time.sleep(0.5)
            status, why = teacher.post('/go')
            print(name, step, status, why or '')
        until(lambda: not events.state()['server']['changing'], 'the change')
        time.sleep(2)


def main():
    with tempfile.TemporaryDirectory(prefix='switchboard-') as folder:
        (pathlib.Path(folder) / 'browser').mkdir()
        browser = Browser(pathlib.Path(folder) / 'browser')
        try:
            browser.speak('en')
            browser.colours('light')
            if len(sys.argv) > 2:
                target = pathlib.Path(sys.argv[2])
                target.mkdir(exist_ok=True)
                look_at_lessons(browser, target)
            else:
                target = ROOT / 'tools' / 'lab' / 'pictures'
                target.mkdir(exist_ok=True)
                make_pictures(browser, target)
        finally:
            browser.close()


main()
