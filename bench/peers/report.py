"""The results as text: a table for people, JSON for programs."""

import json
import pathlib

from . import machine, options
from .setting import ROOT

DOCUMENT = ROOT / "docs/performance.md"
BEGIN, END = "<!-- bench/run.sh writes from here -->", "<!-- to here -->"
INTRODUCTION = """# Performance

`bench/run.sh` times mkd against other programs on one machine, in one run: the same weights and the
same input, results compared before anything is timed (to 1e-3 of the largest number), two threads
for every program. The programs take turns, and each is stopped while it is not its turn. PyTorch's
training and localization are written as the authors' users write them, in `bench/peers/side_torch.py`
(the expert runs in every step and is part of what is differentiated) and `torch_train.py`.

The bars are what the project aims at: peer / mkd has to be at least that.
"""
BUSY = 0.05  # share of the machine that others may use before the figures are called disturbed


def number(ms):
    return f"{ms:.3g}" if ms < 1000 else f"{ms:.0f}"


def table(rows):
    lines = ["| work | peer | mkd ms | peer ms | ratio | bar | |", "|---|---|--:|--:|--:|--:|---|"]
    for row in rows:
        verdict = "" if row.reached else "missed"
        lines.append(
            f"| {row.work} | {row.peer} | {number(row.mkd_ms)} | {number(row.peer_ms)} | "
            f"{row.ratio:.2f} | {row.bar:g} | {verdict} |"
        )
    return lines


def render(setting, rows, growth, load):
    """Lines of Markdown."""
    mode = "bench/run.sh --quick" if setting.quick else "bench/run.sh"
    lines = [
        f"Written by `{mode}` in {load.minutes():.1f} min. Milliseconds are medians of turns "
        "that alternate; ratio = peer / mkd.",
        "",
    ]
    others = load.of_others()
    if others > BUSY:
        lines += [
            f"**Measured under load: other processes used {100 * others:.0f} % of the "
            "machine.**",
            "",
        ]
    lines += machine.describe(setting)
    if rows:
        lines += [""] + table(rows) + [""]
        works = dict.fromkeys(row.work.split("/")[0] for row in rows)
        lines += [f"* {work}: {options.WORKS[work]}" for work in works]
    if setting.notes:
        lines += ["", "Notes", ""] + [f"* {note}" for note in setting.notes]
    return lines + growth


def write_document(lines):
    """Replaces what an earlier run has written, and leaves the rest of the document."""
    text = f"{INTRODUCTION}\n{BEGIN}\n{END}\n"
    if DOCUMENT.exists() and BEGIN in DOCUMENT.read_text(encoding="utf-8"):
        text = DOCUMENT.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    body = "\n".join(lines)
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{body}\n\n{END}{after}", encoding="utf-8")


def write_json(path, rows):
    content = [
        {
            "work": row.work,
            "peer": row.peer,
            "mkd_ms": row.mkd_ms,
            "peer_ms": row.peer_ms,
            "ratio": row.ratio,
        }
        for row in rows
    ]
    pathlib.Path(path).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
