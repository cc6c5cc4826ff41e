#!/usr/bin/env python3
"""Puts the page of `switchboard compare --html` together and writes it as C, cut in two where its data goes.

    assemble.py OUTPUT.c report.html FILE...

Each {{NAME}} of the page is replaced by the FILE of that name. Without chart.min.js among them the page is empty.
"""
import pathlib
import re
import sys

MARK = re.compile(r"\{\{([\w.]+)\}\}")


def assemble(page, parts):
    """The page before and after its data."""
    for name, text in parts.items():
        if re.search(r"</(script|style)|<!--", text, re.IGNORECASE):
            sys.exit(f"assemble.py: {name} would end the element that it is put into")
    return [MARK.sub(lambda mark: parts[mark[1]], half) for half in page.split("{{data}}")]


def c_array(name, text):
    data = text.encode()
    numbers = ",".join(map(str, data + b"\0"))
    return f"const char {name}[] = {{{numbers}}};\nconst size_t {name}_size = {len(data)};\n"


def main():
    output, page, *files = map(pathlib.Path, sys.argv[1:])
    parts = {file.name: file.read_text(encoding="utf-8") for file in files}
    head = tail = ""
    if "chart.min.js" in parts:
        head, tail = assemble(page.read_text(encoding="utf-8"), parts)
    output.write_text("#include <stddef.h>\n\n" + c_array("page_head", head) + c_array("page_tail", tail))


main()
