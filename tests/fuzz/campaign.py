#!/usr/bin/env python3
"""Runs the fuzzers until each has had so many executions, and tells how long that took and what was covered.

    campaign.py BUILD_DIR FOLDER [--runs=N] [--seconds=N] [TARGET...]
    campaign.py --table FOLDER

FOLDER keeps what the fuzzers have found and, in campaign.jsonl, how far each has come: it may be interrupted and goes
on there. --seconds ends it early. BUILD_DIR was configured with -Dfuzz=true. Exit status 1 when a promise broke; its
input is in FOLDER/TARGET.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TARGETS = ['address', 'command', 'conversation', 'frame', 'option', 'strategy']
CHUNK_S = 60
LENGTH_MAX = {'frame': 256, 'conversation': 256}
# Requests of other threads are alive between two executions: what they have is no leak, at the end it would be.
OPTIONS = {'conversation': ['-detect_leaks=0']}


def read_log(folder):
    """What was run so far, an entry for each chunk."""
    try:
        with open(os.path.join(folder, 'campaign.jsonl'), encoding='utf-8') as file:
            return [json.loads(line) for line in file]
    except FileNotFoundError:
        return []


def total(log, target, key):
    return sum(entry[key] for entry in log if entry['target'] == target)


def fuzz(build, folder, target, *options):
    """Runs a fuzzer in its own folder; returns its output and how long that took, or None when a promise broke."""
    own, corpus = os.path.join(folder, target), os.path.join(HERE, 'corpus', target)
    os.makedirs(os.path.join(own, 'found'), exist_ok=True)
    command = [os.path.join(build, 'tests', 'fuzz', f'fuzz-{target}'), f'-max_len={LENGTH_MAX.get(target, 128)}',
               *OPTIONS.get(target, []), *options, 'found', corpus]
    begin = time.monotonic()
    done = subprocess.run(command, cwd=own, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, encoding='utf-8', errors='replace', check=False)
    if done.returncode != 0:
        print(f'{target}: {" ".join(command)}\n{done.stdout[-6000:]}', flush=True)
        return None
    return done.stdout, time.monotonic() - begin


def coverage(output):
    """(covered, all) edges of the functions of src/ and tools/ that were reached."""
    covered = every = 0
    for line in output.splitlines():
        match = re.match(r'COVERED_FUNC: hits: \d+ edges: (\d+)/(\d+) \S+ .*/(?:src|tools)/', line)
        if match:
            covered, every = covered + int(match[1]), every + int(match[2])
    return covered, every


def run_chunk(options, log, target):
    left = options.runs - total(log, target, 'runs')
    done = fuzz(options.build, options.folder, target, f'-runs={left}', f'-max_total_time={CHUNK_S}',
                '-print_coverage=1', '-timeout=60')
    if not done:
        return False
    output, seconds = done
    runs = int(re.findall(r'^#(\d+)\s+DONE', output, re.MULTILINE)[-1])
    covered, every = coverage(output)
    entry = {'target': target, 'runs': runs, 'seconds': round(seconds, 1), 'covered': covered, 'edges': every}
    with open(os.path.join(options.folder, 'campaign.jsonl'), 'a', encoding='utf-8') as file:
        print(json.dumps(entry), file=file)
    log.append(entry)
    print(f'{target}: {total(log, target, "runs")} of {options.runs} runs, {runs / seconds:.0f} a second, '
          f'{covered} of {every} edges', flush=True)
    return True


def campaign(options):
    """Each target in turn, so that an early end has something of all."""
    os.makedirs(options.folder, exist_ok=True)
    log, end, held = read_log(options.folder), time.monotonic() + options.seconds, True
    unfinished = list(options.targets)
    while unfinished and time.monotonic() < end:
        target = unfinished.pop(0)
        if total(log, target, 'runs') >= options.runs:
            continue
        if run_chunk(options, log, target):
            unfinished.append(target)
        else:
            held = False
    return held


def table(folder):
    log = read_log(folder)
    print(f'{"target":14} {"runs":>12} {"hours":>7} {"a second":>9} {"edges covered":>16}')
    for target in sorted({entry['target'] for entry in log}):
        runs, seconds = total(log, target, 'runs'), total(log, target, 'seconds')
        best = max((entry for entry in log if entry['target'] == target), key=lambda entry: entry['covered'])
        edges = f'{best["covered"]} of {best["edges"]}'
        print(f'{target:14} {runs:12} {seconds / 3600:7.2f} {runs / seconds:9.0f} {edges:>16}')


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('build', metavar='BUILD_DIR', nargs='?')
    parser.add_argument('folder', metavar='FOLDER')
    parser.add_argument('targets', metavar='TARGET', nargs='*', default=TARGETS)
    parser.add_argument('--runs', type=int, default=10 ** 8)
    parser.add_argument('--seconds', type=float, default=float('inf'))
    parser.add_argument('--table', action='store_true')
    options = parser.parse_intermixed_args()
    if options.table:
        table(options.folder)
        return 0
    options.build = os.path.abspath(options.build)
    return 0 if campaign(options) else 1


if __name__ == '__main__':
    sys.exit(main())
