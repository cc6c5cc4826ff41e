#!/usr/bin/env python3
"""README.md, word by word: its programs are compiled and run, its commands typed, its tables tried.

Usage: python3 readme_test.py SOURCE_DIR BUILD_DIR [UNITTEST-OPTION]...
A block that no rule below knows fails, so that the README cannot grow untested:

  sh       the two scripts, or building and installing, which is done into a temporary folder
  console  a session: `$ ` commands with what they print; a line `...` stands for any lines. A `switchboard serve` goes
           on in the background until the next one or the end of its section. Ports are replaced by free ones, 4711 by
           the server's pid.
  c        a handler (SB_HANDLER), built by the session that follows; or a program, in a pair with
  python   the same program in Python: both must treat the same callers in the same way
"""
import contextlib
import json
import os
import re
import select
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

from lifeline import PATIENCE_S, following

BUILD_PATIENCE_S = 10 * PATIENCE_S
KNOWN_PORTS = re.compile(r'\b(8081|9000|9999)\b')
KNOWN_PID = '4711'
ERROR_TEXT = 'Exception occurred during processing of request from'
source_dir = build_dir = None


# Reading the README.

class Block:
    def __init__(self, language, line, section):
        self.language, self.line, self.section, self.lines = language, line, section, []

    @property
    def text(self):
        return ''.join(line + '\n' for line in self.lines)

    def __str__(self):
        return 'README.md:%d (%s)' % (self.line, self.language)


class Readme:
    """Its blocks, its tables as rows of cells under their header, and all the rest as prose."""

    def __init__(self, path):
        self.blocks, self.tables, self.prose = [], [], []
        with open(path, encoding='utf-8') as file:
            self.read([line.rstrip('\n') for line in file])

    def read(self, lines):
        block, section, table = None, '', None
        for number, line in enumerate(lines, 1):
            if block is None and line.startswith('```'):
                block = Block(line[3:], number, section)
                self.blocks.append(block)
            elif line.startswith('```'):
                block = None
            elif block is not None:
                block.lines.append(line)
            elif line.startswith('|'):
                table = self.read_row(table, line)
            else:
                section = line if line.startswith('#') else section
                table = None
            if block is None and not line.startswith('```'):
                self.prose.append(line)
        assert block is None, '%s is not closed' % block

    def read_row(self, table, line):
        cells = [cell.strip() for cell in line.strip('|').split('|')]
        if table is None:
            table = (cells, [])
            self.tables.append(table)
        elif not re.fullmatch(r'[|:-]+', line):
            table[1].append(cells)
        return table

    def sections(self):
        """The blocks of each section that has some, in order."""
        sections = {}
        for block in self.blocks:
            sections.setdefault(block.section, []).append(block)
        return sections

    def spans(self):
        return re.findall(r'`([^`]+)`', '\n'.join(self.prose))

    def first_spans(self, header):
        """The code in the first column of the tables whose first header that is."""
        return [re.fullmatch('`([^`]+)`', row[0])[1]
                for names, rows in self.tables if names[0] == header for row in rows]


# Running things.

def environment(folder):
    """`switchboard` and the library are those of the build tree; the program's own folder is `folder`/bin."""
    pkg_config_path = os.path.join(build_dir, 'meson-uninstalled')
    return dict(os.environ, PATH=os.path.join(folder, 'bin') + ':' + os.environ['PATH'], LC_ALL='C.UTF-8',
                PKG_CONFIG_PATH=pkg_config_path, PYTHONDONTWRITEBYTECODE='1')


@contextlib.contextmanager
def temporary_folder():
    folder = tempfile.mkdtemp(prefix='sb-readme-')
    try:
        os.mkdir(os.path.join(folder, 'bin'))
        os.symlink(os.path.join(build_dir, 'tools', 'switchboard'), os.path.join(folder, 'bin', 'switchboard'))
        yield folder
    finally:
        shutil.rmtree(folder)


def run(command, folder, cwd=None, patience_s=PATIENCE_S):
    """Runs it to its end; what it printed on both outputs."""
    done = subprocess.run(command, shell=isinstance(command, str), cwd=cwd or folder, env=environment(folder),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=patience_s)
    return done.returncode, done.stdout.decode()


def sanitizer():
    """The sanitizers of the build tree, as -fsanitize wants them, or `none`."""
    with open(os.path.join(build_dir, 'meson-info', 'intro-buildoptions.json'), encoding='utf-8') as file:
        values = [option['value'] for option in json.load(file) if option['name'] == 'b_sanitize']
    value = values[0] if values else 'none'
    return ','.join(value) or 'none' if isinstance(value, list) else value


def compile_program(source, program, *flags):
    folder = os.path.dirname(program)
    if sanitizer() != 'none':
        flags += ('-fsanitize=' + sanitizer(),)
    status, text = run(['cc', '-std=gnu11', '-Wall', '-Wextra', '-Werror', *flags, '-o', program, source,
                        '-I', os.path.join(source_dir, 'include'), '-L', os.path.join(build_dir, 'src'),
                        '-lswitchboard', '-Wl,-rpath,' + os.path.join(build_dir, 'src')], folder)
    assert status == 0, text


def free_port():
    """A port that nobody has, neither for TCP nor for UDP."""
    for _ in range(100):
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
            stream.bind(('127.0.0.1', 0))
            with contextlib.suppress(OSError):
                datagram.bind(stream.getsockname())
                return stream.getsockname()[1]
    raise AssertionError('no free port')


class Process:
    """Something that serves, in a process group of its own; ended and looked after by `with`."""

    def __init__(self, command, folder, cwd=None):
        self.log = open(os.path.join(folder, 'log'), 'w+b')
        self.process = subprocess.Popen(following(*command), cwd=cwd or folder, env=environment(folder),
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log,
                                        start_new_session=True)
        self.pid = self.process.pid

    def read_lines(self, count):
        data, deadline = b'', time.monotonic() + PATIENCE_S
        while data.count(b'\n') < count:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            more = os.read(self.process.stdout.fileno(), 4096) if ready else b''
            assert more, 'it said only %r, and %s' % (data, self.read_log())
            data += more
        return data.decode().splitlines()

    def read_log(self):
        # The process writes at the same offset, so that must not be moved.
        return os.pread(self.log.fileno(), 1 << 20, 0).decode(errors='replace')

    def wait(self):
        return self.process.wait(PATIENCE_S)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)
        self.process.stdout.close()
        self.log.close()


# Sessions.

def normalize(line, is_status=False):
    line = re.sub(r'pid=\d+', 'pid=PID', re.sub(r'127\.0\.0\.1:\d+', '127.0.0.1:PORT', line))
    line = re.sub(r'\d+\.\d{3} s\b', 'TIME', line)
    return ' '.join(re.sub(r'\d+', '0', line).split()) if is_status else line


def matches(expected, shown, is_status=False):
    """Lines against lines; the workers of a status are in no order."""
    expected, shown = ([normalize(line, is_status) for line in lines] for lines in (expected, shown))
    if is_status:
        return expected[:2] == shown[:2] and sorted(expected[2:]) == sorted(shown[2:])
    pattern = ''.join('(?:.*\n)*' if line == '...' else re.escape(line + '\n') for line in expected)
    return re.fullmatch(pattern, ''.join(line + '\n' for line in shown)) is not None


class Session:
    """A reader at two terminals, in a folder of their own."""

    def __init__(self, folder, handlers):
        self.folder = self.cwd = folder
        self.handlers = handlers        # of this section's C blocks, by name
        self.ports = {}
        self.server = None
        self.stack = contextlib.ExitStack()

    def rewrite(self, command):
        """With its default address written out, free ports, and the server's pid."""
        part = re.search(r'switchboard (serve|client|load)\b[^|]*', command)
        if part and not re.search(r'://|unix|:\d{4}', part[0]):
            command = command[:part.end()].rstrip() + ' 127.0.0.1:8081 ' + command[part.end():]
        command = KNOWN_PORTS.sub(lambda match: str(self.ports.setdefault(match[0], free_port())), command)
        return re.sub(r'\b%s\b' % KNOWN_PID, str(self.server.pid), command) if self.server else command

    def serve(self, command, expected):
        self.end_server()
        self.server = self.stack.enter_context(Process(shlex.split(command), self.folder, self.cwd))
        shown = self.server.read_lines(len(expected))
        assert matches(expected, shown), '%s: %r' % (command, shown)

    def end_server(self):
        if self.server:
            status = self.server.stop()
            assert status == 0, 'the server ended with status %d: %s' % (status, self.server.read_log())
        self.server = None

    def type(self, command, expected):
        is_status = command.startswith('switchboard status')
        deadline = time.monotonic() + PATIENCE_S
        while True:
            status, text = run(command, self.folder, self.cwd, BUILD_PATIENCE_S)
            if not expected or matches(expected, text.splitlines(), is_status):
                break
            # A worker may not yet have come back to waiting.
            assert is_status and time.monotonic() < deadline, '%s: %s' % (command, text)
        assert (status == 0) != bool(re.match(r'switchboard( \w+)?: ', text)), '%s: status %d: %s' % (command, status, text)

    def enter(self, line, expected):
        command = self.rewrite(line)
        words = shlex.split(command)
        if words[0] == 'cd':
            self.cwd = os.path.join(self.cwd, words[1])
        elif words[:2] == ['switchboard', 'serve'] and expected[0].startswith('listening '):
            self.serve(command, expected)
        else:
            if words[:2] == ['meson', 'setup'] and sanitizer() != 'none':
                command += ' -Db_lundef=false -Db_sanitize=' + sanitizer()
            self.type(command, expected)
        if words[:2] == ['switchboard', 'new'] and words[2] in self.handlers:
            with open(os.path.join(self.cwd, words[2], words[2] + '.c'), 'w', encoding='utf-8') as file:
                file.write(self.handlers.pop(words[2]))
        if words[0] == 'kill' or words[:2] == ['switchboard', 'stop']:
            assert self.server.wait() == 0, self.server.read_log()

    def run_block(self, block):
        entries = []
        for line in block.lines:
            if line.startswith('$ '):
                entries.append((line[2:], []))
            else:
                entries[-1][1].append(line)
        for command, expected in entries:
            self.enter(command, expected)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        with self.stack:
            if kind is None:
                self.end_server()


# Callers, who note what they hear.

def wait_until(reached):
    deadline = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < deadline, 'it did not happen in time'
        select.select([], [], [], 0.01)


def call(port, host='127.0.0.1', kind=socket.SOCK_STREAM):
    caller = socket.socket(type=kind)
    caller.settimeout(PATIENCE_S)
    caller.bind((host, 0))
    try:
        caller.connect(('127.0.0.1', port))
    except OSError:
        caller.close()
        raise
    return caller


def ask(caller, data):
    """What is answered, or None where the other side has hung up."""
    try:
        caller.sendall(data)
        answer = b''
        while len(answer) < len(data):
            more = caller.recv(1024)
            if not more:
                return None
            answer += more
        return answer
    except ConnectionError:
        return None


def count_vanished(server):
    """Callers who left: an error of the handler's to Python, and a line of its own here."""
    return len(re.findall(ERROR_TEXT + '|: [0-9.:]+ has left: ', server.read_log()))


def talk_over_tcp(port):
    def is_up():
        with contextlib.suppress(ConnectionRefusedError), call(port):
            return True
    wait_until(is_up)
    heard = []
    with call(port) as first, call(port) as second, call(port, '127.0.0.2') as stranger:
        heard += [ask(second, b'second'), ask(first, b'first'), ask(first, 'Straße'.encode()), ask(stranger, b'hello')]
        first.shutdown(socket.SHUT_WR)
        heard.append(first.recv(1024))
    with call(port) as vanishing:
        heard.append(ask(vanishing, b'bye'))
        vanishing.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    with call(port) as last:
        heard.append(ask(last, b'x' * 5000))
    return heard


def talk_over_udp(port):
    def is_up():
        with contextlib.suppress(OSError), call(port, kind=socket.SOCK_DGRAM) as caller:
            caller.settimeout(0.2)
            caller.send(b'anyone?')
            return caller.recv(1024)
    wait_until(is_up)
    heard = []
    with call(port, kind=socket.SOCK_DGRAM) as first, call(port, '127.0.0.2', socket.SOCK_DGRAM) as second:
        for caller, data in (first, b'first'), (second, b'second'), (first, b''), (second, b'x' * 8000):
            caller.send(data)
            heard.append(caller.recv(9000))
    return heard


# The tests.

class TestReadme(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.readme = Readme(os.path.join(source_dir, 'README.md'))

    def test_every_block_is_known(self):
        for section, blocks in self.readme.sections().items():
            languages = [block.language for block in blocks]
            for block in blocks:
                with self.subTest(str(block)):
                    self.assertIn(block.language, ('sh', 'console', 'c', 'python'))
                    if block.language == 'console':
                        self.assertTrue(block.text.startswith('$ '), 'a session begins with a command')
                    if block.language == 'c' and 'SB_HANDLER(.name' in block.text:
                        self.assertIn('$ switchboard new %s\n' % self.handler_name(block),
                                      ''.join(other.text for other in blocks), 'no session builds it')
                    elif block.language in ('c', 'python'):
                        self.assertEqual(sorted(languages), ['c', 'python'], 'a pair has a section of its own')

    @staticmethod
    def handler_name(block):
        return re.search(r'SB_HANDLER\(\.name = "(\w+)"', block.text)[1]

    def test_sessions(self):
        for section, blocks in self.readme.sections().items():
            handlers = {self.handler_name(block): block.text for block in blocks if 'SB_HANDLER(.name' in block.text}
            blocks = [block for block in blocks if block.language == 'console']
            if not blocks:
                continue
            with self.subTest(section), temporary_folder() as folder, Session(folder, handlers) as session:
                for block in blocks:
                    session.run_block(block)
                self.assertFalse(handlers)

    def test_handlers_compile_without_a_warning(self):
        for block in self.readme.blocks:
            if block.language == 'c' and 'SB_HANDLER(.name' in block.text:
                with self.subTest(str(block)), temporary_folder() as folder:
                    self.save(folder, 'handler.c', block.text)
                    compile_program(os.path.join(folder, 'handler.c'), os.path.join(folder, 'handler.so'), '-shared',
                                    '-fPIC')

    @staticmethod
    def save(folder, name, text):
        with open(os.path.join(folder, name), 'w', encoding='utf-8') as file:
            file.write(text)

    def hear(self, folder, block):
        """What the callers of a program hear."""
        port = free_port()
        text = KNOWN_PORTS.sub(str(port), block.text)
        if block.language == 'c':
            self.save(folder, 'program.c', text)
            compile_program(os.path.join(folder, 'program.c'), os.path.join(folder, 'program'))
            command = ['./program']
        else:
            self.save(folder, 'program.py', text)
            command = [sys.executable, 'program.py']
        with Process(command, folder) as server:
            if 'UDP' in text or '_udp_' in text:
                heard = talk_over_udp(port)
            else:
                heard = talk_over_tcp(port)
                wait_until(lambda: count_vanished(server) > 0)
            self.assertEqual(server.stop(), -signal.SIGTERM, server.read_log())
            return heard, count_vanished(server)

    def test_pairs_behave_alike(self):
        for section, blocks in self.readme.sections().items():
            pair = [block for block in blocks if block.language == 'python' or
                    block.language == 'c' and 'int main(' in block.text]
            if not pair:
                continue
            with self.subTest(section), temporary_folder() as folder:
                first, second = (self.hear(folder, block) for block in pair)
                self.assertEqual(first, second)
                self.assertIn(b'FIRST', first[0])

    def test_the_two_commands_are_there(self):
        known = 0
        for block in self.readme.blocks:
            if block.language == 'sh' and block.lines[0].startswith('tools/'):
                for line in block.lines:
                    self.assertTrue(os.access(os.path.join(source_dir, line), os.X_OK), line)
                known += 1
        self.assertEqual(known, 1)

    def test_building_and_installing(self):
        if sanitizer() != 'none':
            self.skipTest('the plain build tries it')
        blocks = [block for block in self.readme.blocks if block.language == 'sh' and 'meson' in block.lines[0]]
        self.assertEqual(len(blocks), len([block for block in self.readme.blocks if block.language == 'sh']) - 1)
        with temporary_folder() as folder:
            prefix = os.path.join(folder, 'usr')
            for line in blocks[0].lines:
                line = line.replace('meson setup build', 'meson setup build %s --prefix=%s'
                                    % (shlex.quote(source_dir), prefix)).replace('sudo ', '')
                status, text = run(line, folder, patience_s=BUILD_PATIENCE_S)
                self.assertEqual(status, 0, text)
            self.assertIn('upper ', run(prefix + '/bin/switchboard list handlers', folder)[1])
            for page in 'man1/switchboard.1', 'man1/switchboard-serve.1', 'man1/switchboard-client.1', \
                    'man1/switchboard-load.1', 'man1/switchboard-compare.1', \
                        'man7/switchboard-handler.7', 'man7/switchboard-upper.7', 'man7/switchboard-shell.7':
                self.assertTrue(os.path.exists(prefix + '/share/man/' + page), page)

    def check_starts(self, *arguments):
        """A handler that says something else, or nothing: that it listens and ends well is what can be tried here."""
        with self.subTest(arguments), temporary_folder() as folder:
            self.save(folder, 'key', 'secret')
            words = [re.sub(r':\d{4}$', ':0', word) for word in arguments]
            if not any('://' in word for word in words):
                words.append('127.0.0.1:0')
            with Process(['switchboard', 'serve', *words], folder) as server:
                self.assertTrue(server.read_lines(1)[0].startswith('listening '))
                self.assertEqual(server.stop(), 0, server.read_log())

    def check_serves(self, *arguments):
        with self.subTest(arguments), temporary_folder() as folder, \
                Process(['switchboard', 'serve', *arguments, '127.0.0.1:0'], folder) as server:
            port = re.match(r'listening tcp://127\.0\.0\.1:(\d+) ', server.read_lines(1)[0])[1]
            with call(int(port)) as caller:
                question, answer = (b'3\n', b'...') if arguments[0] == 'bytes' else (b'hello\n', b'HELLO\n')
                caller.sendall(question)
                self.assertEqual(caller.recv(1024), answer)
            self.assertEqual(server.stop(), 0, server.read_log())

    def test_every_command_line_serves(self):
        commands = [span for span in self.readme.spans() if re.match('switchboard serve .', span)]
        self.assertGreaterEqual(len(commands), 9)
        for command in commands:
            words = command.split()[2:]
            self.check_serves(*words) if words[0] in ('upper', 'bytes') else self.check_starts(*words)

    def test_every_strategy_and_discipline_of_the_tables_serves(self):
        for strategy in self.readme.first_spans('strategy'):
            self.check_serves('upper', '-s', strategy)
        for discipline in self.readme.first_spans('discipline'):
            self.check_serves('upper', '-s', 'prefork:3', '-a', discipline)
            self.check_serves('upper', '-s', 'prethread:3', '-a', discipline)

    def help(self):
        with temporary_folder() as folder:
            every = 'for name in serve client load compare lab; do switchboard $name --help; done'
            return ' '.join(run(every, folder)[1].split())

    def test_options_and_their_defaults(self):
        text = self.help()
        for span in self.readme.spans():
            if re.match('--[a-z]', span):
                self.assertRegex(text, re.escape(span.split()[0]) + r'\b')
        for names, rows in self.readme.tables:
            for option, default, *_ in rows if names[0] == 'option' else ():
                shown = re.search(re.escape(option.strip('`')) + r'=[A-Z]+ [^()]*\(default:? (\w+)\)', text)[1]
                self.assertTrue(default.startswith('no limit ' if shown == 'never' else shown + ' '), (option, shown))

    def test_names_and_links(self):
        words = set()
        for name in os.listdir(os.path.join(source_dir, 'include', 'switchboard')):
            if name.endswith('.h'):
                with open(os.path.join(source_dir, 'include', 'switchboard', name), encoding='utf-8') as file:
                    words.update(re.findall(r'\w+', file.read()))
        for span in self.readme.spans():
            for name in re.findall(r'\b(?:sb|SB)_\w+', span):
                self.assertTrue(name in words, '%s is in no header' % name)
        for target in re.findall(r'\]\(([^)#]+)\)', '\n'.join(self.readme.prose)):
            self.assertTrue(os.path.exists(os.path.join(source_dir, target)), target)

    def test_the_chinese_one_has_the_same_sections_blocks_and_tables(self):
        chinese = Readme(os.path.join(source_dir, 'README.zh.md'))
        self.assertEqual([(block.language, block.text) for block in chinese.blocks],
                         [(block.language, block.text) for block in self.readme.blocks])
        self.assertEqual([self.levels(chinese), [self.table_spans(table) for table in chinese.tables]],
                         [self.levels(self.readme), [self.table_spans(table) for table in self.readme.tables]])
        self.assertLessEqual({span for span in chinese.spans() if span.isascii()}, set(self.readme.spans()))

    @staticmethod
    def levels(readme):
        return [line.split()[0] for line in readme.prose if line.startswith('#')]

    @staticmethod
    def table_spans(table):
        """The code in each row: what stays as it is in any language."""
        return [sorted(re.findall('`([^`]+)`', ' '.join(row))) for row in table[1]]


if __name__ == '__main__':
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    source_dir, build_dir = (os.path.realpath(path) for path in sys.argv[1:3])
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
