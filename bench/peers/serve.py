"""A Python side of a comparison; bench/turns.h says how it works."""

import sys
import time


def serve(run):
    """`run` does the work once."""
    print("ready", flush=True)
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter()
            run()
            times.append(1e3 * (time.perf_counter() - start))
        print(*(f"{ms:.4f}" for ms in times), flush=True)
