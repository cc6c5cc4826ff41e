#!/usr/bin/env python3
"""What callers notice of a change: the longest time in which nobody was answered, and p99, while a server is replaced by
itself, beside nginx, gunicorn and Apache.

    changes.py SWITCHBOARD [ROUNDS] [RATE]

Callers come at a fixed rate, each with a connection of its own, for a second without a change and then while one happens
(switchboard reload; nginx -s reload, return 200; gunicorn SIGHUP; apache2ctl graceful). Servers that are not installed are
left out. At the end: what a supervisor costs, in memory and time to start."""
import contextlib
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

WORKERS, CALLERS = 2, 16
CALM_S, CHANGE_S = 1.5, 1.5
HTTP = b'GET / HTTP/1.0\r\n\r\n'


def free_port():
    with socket.socket() as some:
        some.bind(('127.0.0.1', 0))
        return some.getsockname()[1]


def wait_for(port):
    deadline = time.monotonic() + 20
    while True:
        with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port), 1):
            return
        assert time.monotonic() < deadline, f'nobody listens on {port}'
        time.sleep(0.01)


class Server:
    name, question, good = '', HTTP, b' 200 '

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        self.process = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        cwd=folder)
        wait_for(self.port)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, 'w', encoding='ascii') as file:
            file.write(text)
        return path

    def end(self):
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        self.process.kill()
        self.process.wait()


class Switchboard(Server):
    name, question, good = f'switchboard prefork:{WORKERS}', b'hello\n', b'HELLO\n'

    def command(self):
        return [switchboard, 'serve', '-q', '-s', f'prefork:{WORKERS}', 'upper', f'tcp://127.0.0.1:{self.port}']

    def change(self):
        subprocess.run([switchboard, 'reload', str(self.process.pid)], stdout=subprocess.DEVNULL, check=True)


class Threads(Switchboard):
    name = 'switchboard thread'

    def command(self):
        return [switchboard, 'serve', '-q', 'upper', f'tcp://127.0.0.1:{self.port}']


class Nginx(Server):
    name, program = f'nginx, {WORKERS} workers', 'nginx'

    def command(self):
        self.file = self.write('nginx.conf', f'''
worker_processes {WORKERS}; daemon off; pid {self.folder}/nginx.pid; error_log {self.folder}/nginx.err;
events {{ worker_connections 1000; }}
http {{ access_log off; server {{ listen 127.0.0.1:{self.port} backlog=4096; location / {{ return 200 "ok"; }} }} }}
''')
        return ['nginx', '-e', self.folder + '/nginx.err', '-c', self.file]

    def change(self):
        subprocess.run(['nginx', '-e', self.folder + '/nginx.err', '-c', self.file, '-s', 'reload'], check=True,
                       stderr=subprocess.DEVNULL)


class Gunicorn(Server):
    name, program = f'gunicorn, {WORKERS} sync workers', 'gunicorn'

    def command(self):
        self.write('app.py', '''
def app(environment, start):
    start("200 OK", [("Content-Length", "2")])
    return [b"ok"]
''')
        return ['gunicorn', '-w', str(WORKERS), '-b', f'127.0.0.1:{self.port}', '--backlog', '4096', 'app:app']

    def change(self):
        self.process.send_signal(signal.SIGHUP)


class Apache(Server):
    name, program = 'Apache, event', 'apache2'

    def command(self):
        self.write('index.html', 'ok')
        self.file = self.write('apache.conf', f'''
ServerRoot {self.folder}
ServerName localhost
Listen 127.0.0.1:{self.port}
ListenBacklog 4096
PidFile {self.folder}/apache.pid
ErrorLog {self.folder}/apache.err
DocumentRoot {self.folder}
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
StartServers {WORKERS}
User nobody
Group nogroup
''')
        os.chmod(self.folder, 0o755)
        return ['apache2', '-f', self.file, '-D', 'FOREGROUND']

    def change(self):
        self.process.send_signal(signal.SIGUSR1)        # what `apache2ctl graceful` sends


class Callers:
    """Open loop: each call has its time, whatever became of those before; its latency is counted from that."""

    def __init__(self, server, rate):
        self.server, self.interval, self.lock = server, 1 / rate, threading.Lock()
        self.number, self.ending, self.answers, self.failed = 0, False, [], 0
        self.begin = time.monotonic()
        self.threads = [threading.Thread(target=self.call) for _ in range(CALLERS)]
        for thread in self.threads:
            thread.start()

    def call(self):
        while not self.ending:
            with self.lock:
                due = self.begin + self.number * self.interval
                self.number += 1
            time.sleep(max(0, due - time.monotonic()))
            good = self.ask()
            with self.lock:
                self.failed += not good
                self.answers.append((time.monotonic(), due))

    def ask(self):
        with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', self.server.port), 20) as caller:
            caller.sendall(self.server.question)
            caller.shutdown(socket.SHUT_WR)
            answer = b''
            while piece := caller.recv(4096):
                answer += piece
            return self.server.good in answer
        return False

    def end(self):
        self.ending = True
        for thread in self.threads:
            thread.join()

    def tell(self, since, until):
        """(longest gap, p99) in ms of what was answered in that time."""
        answers = sorted(answer for answer in self.answers if since <= answer[0] <= until)
        gaps = [later[0] - earlier[0] for earlier, later in zip(answers, answers[1:])]
        latencies = sorted(answered - due for answered, due in answers)
        return 1000 * max(gaps), 1000 * latencies[int(0.99 * (len(latencies) - 1))]


def play(kind, rate):
    with tempfile.TemporaryDirectory() as folder:
        server = kind(folder)
        try:
            callers = Callers(server, rate)
            time.sleep(CALM_S)
            middle = time.monotonic()
            server.change()
            time.sleep(CHANGE_S)
            end = time.monotonic()
            callers.end()
            return (*callers.tell(callers.begin + 0.3, middle), *callers.tell(middle, end), callers.failed)
        finally:
            server.end()


def compare(rounds, rate):
    kinds = [Switchboard, Threads] + [kind for kind in (Nginx, Gunicorn, Apache) if shutil.which(kind.program)]
    print(f'{rate} calls a second; ms, the medians of {rounds} rounds in turn (calm | while it changes); failed of all')
    print(f'{"":28} {"gap":>8} {"p99":>8} | {"gap":>8} {"p99":>8} {"failed":>7}')
    found = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind in kinds:
            found[kind].append(play(kind, rate))
    for kind in kinds:
        gap, p99, change_gap, change_p99, _ = map(statistics.median, zip(*found[kind]))
        failed = sum(row[-1] for row in found[kind])
        print(f'{kind.name:28} {gap:8.1f} {p99:8.1f} | {change_gap:8.1f} {change_p99:8.1f} {failed:7}')


def pss_kb(pid):
    with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as file:
        return int(re.search(r'^Pss: +(\d+)', file.read(), re.MULTILINE)[1])


def start(*options):
    """(ms until the ready line, kB of each process)."""
    begin = time.monotonic()
    with subprocess.Popen([switchboard, 'serve', '-q', *options, 'upper', 'tcp://127.0.0.1:0'], stdout=subprocess.PIPE,
                          text=True) as process:
        process.stdout.readline()
        took = time.monotonic() - begin
        with open(f'/proc/{process.pid}/task/{process.pid}/children', encoding='ascii') as file:
            sizes = [pss_kb(pid) for pid in [process.pid, *map(int, file.read().split())]]
        process.terminate()
    return 1000 * took, sizes


def cost(rounds):
    for name, options in (('alone', ['--unsupervised']), ('supervised', [])):
        runs = [start(*options) for _ in range(rounds)]
        sizes = [statistics.median(column) for column in zip(*(run[1] for run in runs))]
        print(f'{name:12} ready after {statistics.median(run[0] for run in runs):6.1f} ms, '
              f'memory {" + ".join(f"{size:.0f}" for size in sizes)} kB (Pss)')


if __name__ == '__main__':
    switchboard = os.path.abspath(sys.argv[1])
    compare(int(sys.argv[2]) if len(sys.argv) > 2 else 5, int(sys.argv[3]) if len(sys.argv) > 3 else 500)
    cost(11)
