#!/usr/bin/env python3
"""The house stands in floors (src/README.md): what a file needs is defined in itself or on a lower floor.

floors_test.py SOURCE_ROOT BUILD_ROOT

Needed is what nm finds undefined in each object file of the library, and every header that a file includes. Calls that
go up run through tables of methods, of which nm sees nothing."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT, BUILD = sys.argv[1:3]
SRC = os.path.join(ROOT, 'src')


def read_floors(text):
    """From the table under "The floors": file without its ending -> (height, floor). The last row is the ground."""
    rows = []
    table = text[text.index('\n## The floors'):]
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip('|').split('|')]
        if line.startswith('|') and len(cells) >= 2 and re.search('`', cells[1]):
            rows.append((cells[0], re.findall(r'`([\w/]+)`', cells[1])))
        elif rows and not line.startswith('|'):
            break
    floors = {}
    for height, (name, files) in enumerate(reversed(rows)):
        for file in files:
            assert file not in floors, f'{file} stands on two floors'
            floors[file] = (height, name)
    return floors


def object_files(build):
    """(source without its ending, object file) of the library."""
    folder = os.path.join(build, 'src', 'libswitchboard.so.0.1.0.p')
    for name in sorted(os.listdir(folder)):
        if name.endswith('.c.o'):
            yield name[:-len('.c.o')].replace('_', '/', 1), os.path.join(folder, name)


def source_of(stem, floors):
    """Meson writes fiber/gate_poll.c as fiber_gate_poll.c.o, and gate_poll.c would be gate_poll.c.o."""
    flat = stem.replace('/', '_', 1)
    return flat if flat in floors else stem


def symbols(files, *options):
    """file -> its symbols."""
    found = {file: set() for file in files}
    lines = subprocess.run(['nm', '-A', '--format=posix', *options, *files], check=True, capture_output=True, text=True)
    for line in lines.stdout.splitlines():
        file, symbol = line.split(': ', 1)
        found[file].add(symbol.split()[0])
    return found


def where(file, other, floors):
    level = floors[other][0] == floors[file][0]
    return f'which stands {"on the same floor" if level else "above it"} ({floors[file][1]}; {floors[other][1]})'


def wrong_calls(build, floors):
    """Sentences about symbols that are defined on the same floor or above."""
    files = {path: source_of(stem, floors) for stem, path in object_files(build)}
    defined = symbols(files, '--defined-only', '--extern-only')
    owner = {symbol: files[path] for path in files for symbol in defined[path]}
    for path, needed in symbols(files, '--undefined-only').items():
        file = files[path]
        for symbol in sorted(needed):
            other = owner.get(symbol)
            if other and other != file and floors[other][0] >= floors[file][0]:
                yield f'{file}.c uses {symbol} of {other}.c, {where(file, other, floors)}'


def sources(source_root):
    for folder, _, names in sorted(os.walk(source_root)):
        for name in sorted(names):
            if name.endswith(('.c', '.h')):
                yield os.path.relpath(os.path.join(folder, name), source_root)


def wrong_includes(source_root, floors):
    for path in sources(source_root):
        file = os.path.splitext(path)[0]
        with open(os.path.join(source_root, path), encoding='utf-8') as source:
            included = re.findall(r'^#include "([^"]+)"', source.read(), re.MULTILINE)
        for name in included:
            other = os.path.splitext(os.path.normpath(os.path.join(os.path.dirname(path), name)))[0]
            if other != file and floors[other][0] >= floors[file][0]:
                yield f'{path} includes {other}.h, {where(file, other, floors)}'


with open(os.path.join(SRC, 'README.md'), encoding='utf-8') as readme:
    FLOORS = read_floors(readme.read())


class Floors(unittest.TestCase):
    def test_every_file_stands_on_one_floor(self):
        files = {os.path.splitext(path)[0] for path in sources(SRC)}
        self.assertEqual(sorted(files), sorted(FLOORS))

    def test_what_a_file_needs_stands_below_it(self):
        self.assertEqual([], list(wrong_calls(BUILD, FLOORS)))

    def test_what_a_file_includes_stands_below_it(self):
        self.assertEqual([], list(wrong_includes(SRC, FLOORS)))

    def test_nearly_every_file_is_looked_at(self):
        self.assertGreater(len(list(object_files(BUILD))), 40)


class ThatItCannotBeFooled(unittest.TestCase):
    """A call and an include that go up are found, with a sentence that names both files."""

    def setUp(self):
        self.root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.root)

    def build(self, **files):
        folder = os.path.join(self.root, 'src', 'libswitchboard.so.0.1.0.p')
        os.makedirs(folder)
        for name, text in files.items():
            source = os.path.join(self.root, name + '.c')
            with open(source, 'w', encoding='utf-8') as file:
                file.write(text)
            subprocess.run(['cc', '-c', source, '-o', os.path.join(folder, name + '.c.o')], check=True)
        return self.root

    FLOORS = {'clock': (0, 'ground'), 'books': (1, 'books'), 'verbs/wait': (2, 'verbs'), 'verbs/send': (2, 'verbs')}

    def test_a_call_that_goes_up(self):
        build = self.build(clock='void sb_wait(void);\nvoid sb_now(void) { sb_wait(); }\n',
                           verbs_wait='void sb_now(void);\nvoid sb_wait(void) { sb_now(); }\n')
        self.assertEqual(['clock.c uses sb_wait of verbs/wait.c, which stands above it (ground; verbs)'],
                         list(wrong_calls(build, self.FLOORS)))

    def test_a_call_along_the_floor(self):
        build = self.build(verbs_send='void sb_wait(void);\nvoid sb_send(void) { sb_wait(); }\n',
                           verbs_wait='void sb_wait(void) { }\n')
        self.assertEqual(['verbs/send.c uses sb_wait of verbs/wait.c, which stands on the same floor (verbs; verbs)'],
                         list(wrong_calls(build, self.FLOORS)))

    def test_data_and_what_is_thread_local_counts_too(self):
        build = self.build(clock='extern _Thread_local int sb_loop;\nint sb_now(void) { return sb_loop; }\n',
                           books='_Thread_local int sb_loop = 1;\n')
        self.assertEqual(1, len(list(wrong_calls(build, self.FLOORS))))

    def test_an_include_that_goes_up(self):
        os.makedirs(os.path.join(self.root, 'verbs'))
        for name, text in {'books.h': '#include "verbs/wait.h"\n', 'verbs/wait.h': '#include "../clock.h"\n',
                           'clock.h': ''}.items():
            with open(os.path.join(self.root, name), 'w', encoding='utf-8') as file:
                file.write(text)
        self.assertEqual(['books.h includes verbs/wait.h, which stands above it (books; verbs)'],
                         list(wrong_includes(self.root, self.FLOORS)))


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1], verbosity=2)
