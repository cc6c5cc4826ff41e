"""`switchboard lab` for a test, and a program that talks to its pages as a browser would."""
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lifeline import PATIENCE_S, children_of, descendants_of, following, until  # noqa: E402

SWITCHBOARD = os.environ['SWITCHBOARD']


class Laboratory:
    """Until the test ends; then nothing of it may be left. under: a command that becomes it."""

    def __init__(self, test, *arguments, under=()):
        self.test = test
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(following(*under, SWITCHBOARD, 'lab', *arguments), stdout=subprocess.PIPE,
                                        stderr=self.errors, text=True)
        self.all, self.expected, self.said_at_end = [], 0, ''
        test.addCleanup(self.end)
        self.lines = []
        while not self.lines or 'Control-C' not in self.lines[-1]:
            line = self.process.stdout.readline()
            assert line, self.said()
            self.lines.append(line)
        text = ''.join(self.lines)
        self.url = re.search(r'http://\S+/\?token=\w+', text)[0]
        self.host = re.match(r'http://([^/]+)/', self.url)[1]
        self.token = self.url.rpartition('=')[2]
        room = re.search(r'votes at http://(\S+)/', text)
        self.room_host = room[1] if room else None
        self.addresses = re.findall(r'listens at (\S+)', text)

    def said(self):
        return os.pread(self.errors.fileno(), 1 << 20, 0).decode(errors='replace')

    def supervisor(self):
        """The pid of the server, by what the process is and not by what the page says."""
        for pid in children_of(self.process.pid):
            with open(f'/proc/{pid}/cmdline', 'rb') as file:
                if b'serve' in file.read().split(b'\0'):
                    return pid
        raise AssertionError('there is no server')

    def status(self):
        done = subprocess.run([SWITCHBOARD, 'status', '--json', str(self.supervisor())], capture_output=True, text=True,
                              timeout=PATIENCE_S, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def serving(self):
        """The generation that serves, as `status` has it; None at a moment without."""
        told = self.status()
        return told['generations'][0] if told else None

    def browser(self):
        return Caller(self.host).enter(self.token)

    def end(self):
        if self.process.poll() is None:
            self.all = descendants_of(self.process.pid)
            self.process.send_signal(signal.SIGINT)
        status = self.process.wait(PATIENCE_S)
        self.process.stdout.close()
        until(lambda: not [pid for pid in self.all if is_alive(pid)], 'all that it started has ended')
        if not self.errors.closed:
            self.said_at_end = self.said()
            self.errors.close()
        self.test.assertEqual(status, self.expected, self.said_at_end)


def is_alive(pid):
    try:
        with open(f'/proc/{pid}/stat', encoding='ascii') as file:
            return file.read().rpartition(')')[2].split()[0] not in 'ZX'
    except OSError:
        return False


class Caller:
    """Of one site, with the cookie that it has given."""

    def __init__(self, host):
        self.host, self.cookie = host, None

    def request(self, method, path, body=None, **headers):
        """(status, headers, text)"""
        connection = http.client.HTTPConnection(self.host, timeout=PATIENCE_S)
        sent = {'Host': self.host}
        if self.cookie:
            sent['Cookie'] = self.cookie
        if method == 'POST':
            sent['Origin'] = f'http://{self.host}'
        sent.update({name.replace('_', '-'): value for name, value in headers.items()})
        try:
            connection.request(method, path, body, {name: value for name, value in sent.items() if value is not None})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.request('GET', path, **headers)

    def post(self, path, **body):
        """(status, why); why None where it has gone well."""
        status, _, text = self.request('POST', path, json.dumps(body))
        return status, json.loads(text)['why'] if status == 409 else None

    def enter(self, token):
        status, headers, _ = self.get(f'/?token={token}')
        assert status == 303, status
        self.keep(headers)
        return self

    def keep(self, headers):
        self.cookie = headers['Set-Cookie'].split(';')[0]

    def events(self):
        return Events(self)


class Events:
    """The stream of a page, read by a thread: the last of each kind, and all marks and outcomes. A context."""

    def __init__(self, caller):
        self.connection = http.client.HTTPConnection(caller.host, timeout=PATIENCE_S)
        self.connection.request('GET', '/events', headers={'Host': caller.host, 'Cookie': caller.cookie or ''})
        self.socket = self.connection.sock
        self.answer = self.connection.getresponse()
        self.status = self.answer.status
        self.last, self.all, self.lanes, self.names = {}, {'mark': [], 'outcome': [], 'frame': []}, {}, {}
        self.thread = threading.Thread(target=self.read)
        self.ended = False

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended = True
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.leave()

    def leave(self):
        self.answer.close()
        self.connection.close()

    def read(self):
        name = None
        while not self.ended:
            try:
                line = self.answer.readline().decode()
            except (OSError, ValueError, http.client.HTTPException):    # it is over, or was ended
                line = ''
            if not line:
                break
            if line.startswith('event: '):
                name = line[7:].strip()
            elif line.startswith('data: '):
                self.take(name, json.loads(line[6:]))

    def take(self, name, data):
        if name == 'frame':
            self.take_frame(data)
        if name in self.all:
            self.all[name].append(data)
        self.last[name] = data

    def take_frame(self, frame):
        """lanes: lane -> its state now; names: lane -> the pid that has it."""
        if frame['full']:
            self.lanes, self.names = {}, {}
        self.names.update({lane: pid for lane, _, pid, _, _ in frame['lanes']})
        events = frame['events']
        for i in range(0, len(events), 4):
            self.lanes[events[i]] = events[i + 2]

    def states(self):
        """Of all lanes, while others come: a copy."""
        return list(self.lanes.values())

    def pids(self):
        return set(list(self.names.values()))

    def state(self):
        return self.last.get('state')
