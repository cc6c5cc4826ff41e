#!/usr/bin/env python3
"""Writes the lab's pages and lessons as C: the files that are served, the page as one file around a recording, and lessons.

    assemble.py OUTPUT.c FILE...
"""
import pathlib
import re
import sys

TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
LESSONS = ("serial", "crash", "fork", "herd", "accept", "little", "fiber", "reuseport", "overload", "updates")
MARK = '<script type="application/json" id="recording">'
STYLE = re.compile(r'<link rel="stylesheet" href="/?([\w.-]+)">')
SCRIPT = re.compile(r'<script src="/?([\w.-]+)"( defer)?></script>')


def c_bytes(name, data, static="static "):
    return f"{static}const char {name}[] = {{{','.join(map(str, data + bytes(1)))}}};\n"


def c_name(file):
    return "file_" + re.sub(r"\W", "_", file)


def c_files(name, files):
    rows = "".join(f'    {{ "/{file}", "{TYPES[pathlib.Path(file).suffix]}", {c_name(file)}, sizeof {c_name(file)} - 1 }},\n'
                   for file in files)
    return f"const struct web_file {name}[] = {{\n{rows}    {{ NULL, NULL, NULL, 0 }},\n}};\n"


def references(page, files):
    """What a page loads."""
    return [name for name in STYLE.findall(page) + [name for name, _ in SCRIPT.findall(page)] if name in files]


def inlined(page, files):
    """The page as one file, and where its recording goes: scripts behind the body, as they run when it is there."""
    for name, text in files.items():
        if name.endswith((".js", ".css")) and re.search(r"</(script|style)|<!--", text, re.IGNORECASE):
            sys.exit(f"assemble.py: {name} would end the element that it is put into")
    scripts = [match[1] for match in SCRIPT.finditer(page)]
    page = SCRIPT.sub("", page)
    page = STYLE.sub(lambda match: f"<style>\n{files[match[1]]}</style>", page)
    head, tail = page.split("</body>")
    behind = "".join(f"<script>\n{files[name]}</script>\n" for name in scripts if name in files)
    return head + MARK, "</script>\n" + behind + "</body>" + tail


def main():
    output, *paths = map(pathlib.Path, sys.argv[1:])
    lessons = {path.stem: path.read_bytes() for path in paths if path.suffix == ".lesson"}
    files = {"chart.js" if path.name.startswith("chart.min") else path.name: path.read_text(encoding="utf-8")
             for path in paths if path.suffix != ".lesson"}
    head, tail = (part.encode() for part in inlined(files["index.html"], files))
    page, room = ([f"{name}.html"] + references(files[f"{name}.html"], files) for name in ("index", "room"))
    parts = ['#include "lesson.h"\n#include "record.h"\n#include "site.h"\n\n']
    parts += [c_bytes(c_name(file), text.encode()) for file, text in files.items()]
    parts += [c_files("page_files", page), c_files("room_files", room)]
    for name, data in (("recording_head", head), ("recording_tail", tail)):
        parts += [c_bytes(name, data, ""), f"const size_t {name}_size = sizeof {name} - 1;\n"]
    names = [name for name in LESSONS if name in lessons]
    parts += [c_bytes(f"lesson_{name}", lessons[name]) for name in names]
    rows = "".join(f'    {{ "{name}", lesson_{name}, sizeof lesson_{name} - 1 }},\n' for name in names)
    parts.append(f"const struct lesson_source lesson_sources[] = {{\n{rows}}};\n"
                 f"const unsigned n_lesson_sources = {len(names)};\n")
    output.write_text("".join(parts))


main()
