"""Where everything is, and how much is to be measured."""

import os
import pathlib
import subprocess
import sys

from . import sides

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/bench"
MKD = BUILD / "programs/mkd/mkd"
WORKER = BUILD / "bench/bench_peers"
ONEDNN = BUILD / "bench/bench_onednn"
SHARED = ROOT.parent / "shared"
SCORE_SCRIPT = ROOT / "bench/peers/onnx_score.py"


class Setting:
    def __init__(self, quick, python):
        self.quick, self.python = quick, python
        # Sides that choose their own number of threads see no more processors than these.
        processors = sorted(os.sched_getaffinity(0))[:2]
        os.sched_setaffinity(0, processors)
        self.threads = len(processors)
        self.environment = sides.environment(self.threads)
        self.pace = sides.Pace(3, 0.25, 1) if quick else sides.Pace(7, 1, 3)
        self.data = ROOT / "build/bench-data"
        self.data.mkdir(parents=True, exist_ok=True)
        self.notes, self.failed = [], False

    def path(self, name):
        return str(self.data / name)

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)

    def fail(self, text):
        print(f"run.sh: {text}", file=sys.stderr)
        self.note(f"FAILED: {text}")
        self.failed = True

    def mkd(self, *arguments):
        done = subprocess.run([MKD, *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise sides.Failure(f"mkd {arguments[0]}: {done.stderr.strip()}")
        return done.stdout

    def worker(self, name, *arguments):
        return sides.Worker(name, [str(a) for a in arguments], self.environment)

    def module(self, name, module, *arguments):
        """A side in Python."""
        return self.worker(name, self.python, "-m", f"peers.{module}", *arguments, self.threads)
