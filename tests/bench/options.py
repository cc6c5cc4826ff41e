"""What the benchmarks' command lines have in common."""
import argparse
import json
import os

PROGRAMS = {"switchboard": "tools/switchboard", "bare": "tests/bench/bare", "load": "tests/bench/load"}


def words(allowed):
    def parse(text):
        unknown = [word for word in text.split(",") if word not in allowed]
        if unknown:
            raise argparse.ArgumentTypeError(f"'{unknown[0]}' is none of {', '.join(allowed)}")
        return text.split(",")
    return parse


def at_least(low):
    def parse(text):
        if not text.isdigit() or int(text) < low:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number from {low}")
        return int(text)
    return parse


def add_programs(parser):
    parser.add_argument("build_dir", metavar="BUILD_DIR")
    for program, path in PROGRAMS.items():
        parser.add_argument(f"--{program}", metavar="PATH", help=f"default BUILD_DIR/{path}")


def find_programs(options):
    for program, path in PROGRAMS.items():
        if getattr(options, program) is None:
            setattr(options, program, os.path.join(options.build_dir, path))


BUSY = 0.5


def report_machine():
    """Says so when it is not one to measure on."""
    load = os.getloadavg()[0]
    if load > BUSY:
        print(f"Note: a load of {load:.1f}: others are at work on this machine, and its figures say little",
              end="\n\n", flush=True)


def report_build(build_dir):
    """Says so when the build is not one to measure."""
    try:
        with open(os.path.join(build_dir, "meson-info", "intro-buildoptions.json")) as file:
            built = {option["name"]: option["value"] for option in json.load(file)}
    except OSError:
        return
    if built["optimization"] in ("0", "g", "plain") or built.get("b_sanitize") not in ("none", [], None):
        print(f"Note: built with optimization={built['optimization']} and sanitize={built.get('b_sanitize')}; "
              "measure --buildtype=release", end="\n\n", flush=True)
