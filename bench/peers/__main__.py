"""python -m peers [--quick] [--only WORK]... [--json FILE]; see options.py."""

import signal
import sys

from . import growth, machine, options, report, works
from .setting import Setting
from .sides import Failure


def main():
    arguments = options.parse()
    # Sides are stopped processes most of the time, which would outlive this one.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    setting, load = Setting(arguments.quick, sys.executable), machine.Load()
    rows, growth_lines = [], []
    for work in arguments.only or options.WORKS:
        print(f"{work}: {options.WORKS[work]}", flush=True)
        try:
            if work == "growth":
                growth_lines = growth.run(setting)
            else:
                rows += works.run(setting, work)
        except Failure as failure:
            setting.fail(f"{work}: {failure}")
    lines = report.render(setting, rows, growth_lines, load)
    print("\n".join(lines))
    if not arguments.only:
        report.write_document(lines)
    if arguments.json:
        report.write_json(arguments.json, rows)
    return 1 if setting.failed else 0


sys.exit(main())
