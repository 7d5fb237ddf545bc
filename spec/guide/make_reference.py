#!/usr/bin/env python3
"""Writes reference.md from what the programs and headers say of themselves:

    spec/guide/make_reference.py [BUILD] > spec/guide/reference.md

BUILD is a build tree (default build/release). tests/e2e/test_guide.py checks that the page is up to date.
"""

import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

PROGRAMS = [
    ("goprobe", "sensor/goprobe", [["--help"], ["token", "--help"]]),
    ("global-query", "global-query/global-query", [["--help"], ["token", "--help"]]),
    ("goquery", "client/goquery/goquery", [["--help"], ["examples"]]),
    ("gpctl", "client/gpctl/gpctl", [["--help"], ["status", "--help"], ["config", "--help"], ["log-level", "--help"]]),
    ("gpdb", "client/gpdb/gpdb", [["--help"], *[[c, "--help"] for c in (
        "check", "export", "import", "index", "merge", "prune", "repair", "stats")]]),
]


def said(build, path, args):
    done = subprocess.run([os.path.join(build, path), *args], capture_output=True, text=True, check=True,
                          env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TZ": "UTC"})
    return done.stdout.rstrip("\n")


def public_headers():
    """gpclient.h and what it includes of ours, in the order in which they are met."""
    todo, found = ["client/gpclient.h"], []
    while todo:
        header = todo.pop(0)
        if header not in found:
            found.append(header)
            with open(os.path.join(TOP, header), encoding="utf-8") as f:
                todo += re.findall(r'^#include "([^"]+)"', f.read(), re.M)
    return found


def declarations(text):
    """Functions and types by name, each with the comment in front of it."""
    body = re.sub(r"^\s*/\*.*?\*/\s*", "", text, count=1, flags=re.S)  # what the header is about comes by itself
    body = re.sub(r"^\s*#(?:.*\\\n)*.*\n", "", body, flags=re.M)
    return re.sub(r"\n{3,}", "\n\n", body).strip("\n")


def about(text):
    comment = re.match(r"\s*/\*(.*?)\*/", text, re.S)
    lines = [re.sub(r"^ ?\* ?", "", line.strip()) for line in comment.group(1).strip().splitlines()]
    return "\n".join(lines).strip()


def main():
    build = sys.argv[1] if len(sys.argv) > 1 else os.path.join(TOP, "build", "release")
    print("# Reference\n\nMade by `make_reference.py` from the programs' own help and the headers of libgpclient; do not edit.\n"
          "More is in the manuals: goprobe(8), goprobe.yaml(5), global-query(8), goquery(1), gpctl(1), gpdb(1), libgpclient(3).")
    for name, path, calls in PROGRAMS:
        print(f"\n## {name}")
        for args in calls:
            print(f"\n`{name} {' '.join(args)}`:\n\n```text\n{said(build, path, args)}\n```")
    print("\n## libgpclient")
    for header in public_headers():
        with open(os.path.join(TOP, header), encoding="utf-8") as f:
            text = f.read()
        print(f"\n### {header}\n\n```text\n{about(text)}\n```\n\n```c\n{declarations(text)}\n```")


main()
