#!/usr/bin/env python3
"""Sums up CTest's JUnit files: "N passed, N failed, N skipped". A test that could not be run has
failed, and a file that is not there counts as one.

Usage: count-tests.py FILE...
"""

import pathlib
import sys
import xml.etree.ElementTree


def outcome(case):
    if case.get("status") == "run":
        return "passed"
    skipped = case.find("skipped")
    if skipped is not None and "SKIP_" in skipped.get("message", ""):
        return "skipped"
    return "failed"


outcomes = []
for file in map(pathlib.Path, sys.argv[1:]):
    if file.is_file():
        cases = xml.etree.ElementTree.parse(file).iter("testcase")
        outcomes += [outcome(case) for case in cases]
    else:
        outcomes.append("failed")
print(", ".join(f"{outcomes.count(kind)} {kind}" for kind in ("passed", "failed", "skipped")))
