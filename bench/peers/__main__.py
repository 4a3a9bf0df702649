"""python -m peers [--quick] [--only WORK]... [--json FILE]; see options.py."""

import sys

from . import growth, machine, options, report, works
from .setting import Setting
from .sides import Failure


def main():
    arguments = options.parse()
    setting, load = Setting(arguments.quick, sys.executable), machine.Load()
    rows, growth_lines, failed = [], [], False
    for work in arguments.only or options.WORKS:
        print(f"{work}: {options.WORKS[work]}", flush=True)
        try:
            if work == "growth":
                growth_lines = growth.run(setting)
            else:
                rows += works.run(setting, work)
        except Failure as failure:
            print(f"run.sh: {failure}", file=sys.stderr)
            setting.note(f"{work}: FAILED: {failure}")
            failed = True
    lines = report.render(setting, rows, growth_lines, load)
    print("\n".join(lines))
    if not arguments.only:
        report.write_document(lines)
    if arguments.json:
        report.write_json(arguments.json, rows)
    return 1 if failed else 0


sys.exit(main())
