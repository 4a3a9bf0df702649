"""The programs that are compared, and how they take turns."""

import os
import signal
import statistics
import subprocess
import tempfile
import time


class Failure(Exception):
    """A side that does not work; the text is for the user."""


class Worker:
    """A process that bench/turns.h describes. It is stopped when it is not its turn, so that no
    thread of it that still waits or spins takes anything from the others."""

    def __init__(self, name, command, environment):
        self.name, self.errors = name, tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=environment,
        )
        if self.read() != "ready":
            self.fail()
        self.process.send_signal(signal.SIGSTOP)

    def read(self):
        return self.process.stdout.readline().strip()

    def fail(self):
        self.process.kill()
        self.process.wait()
        self.errors.seek(0)
        text = self.errors.read().decode(errors="replace").strip()
        raise Failure(f"{self.name}: {text or 'ended before its work was done'}")

    def turn(self, repetitions):
        """Milliseconds of each repetition."""
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write(f"{repetitions}\n")
        self.process.stdin.flush()
        times = [float(word) for word in self.read().split()]
        if len(times) != repetitions:
            self.fail()
        self.process.send_signal(signal.SIGSTOP)
        return times

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.errors.close()


class Command:
    """A whole process, from its start to its end."""

    def __init__(self, name, command, environment):
        self.name, self.command, self.environment = name, command, environment
        self.output = ""

    def turn(self, repetitions):
        times = []
        for _ in range(repetitions):
            start = time.perf_counter()
            done = subprocess.run(
                self.command, capture_output=True, text=True, check=False, env=self.environment
            )
            times.append(1e3 * (time.perf_counter() - start))
            if done.returncode != 0:
                raise Failure(f"{self.name}: {done.stderr.strip()[-1000:]}")
            self.output = done.stdout
        return times

    def close(self):
        pass


def environment(threads):
    """For every side alike."""
    return dict(os.environ, OMP_NUM_THREADS=str(threads))


class Pace:
    """How much is measured: `rounds` turns a side of about `seconds` each. A work of which one
    repetition takes long has its own rounds, and no repetition for warming up."""

    def __init__(self, rounds, seconds, long_rounds):
        self.rounds, self.seconds, self.long_rounds = rounds, seconds, long_rounds

    def alternate(self, sides, long_work):
        """Median milliseconds of every side, in their order."""
        times = [[] for _ in sides]
        if long_work:
            for _ in range(self.long_rounds):
                for side, kept in zip(sides, times):
                    kept += side.turn(1)
            return [statistics.median(kept) for kept in times]
        first = [side.turn(1)[0] for side in sides]
        counts = [max(1, min(500, round(1e3 * self.seconds / ms))) for ms in first]
        for _ in range(self.rounds):
            for side, count, kept in zip(sides, counts, times):
                # The first repetition of a turn finds threads asleep and caches cold.
                kept += side.turn(count + 1)[1:] if count > 1 else side.turn(1)
        return [statistics.median(kept) for kept in times]
