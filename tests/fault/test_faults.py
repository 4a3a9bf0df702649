"""Runs every verb with the n-th call of the system failing, or the n-th allocation of the process,
for n = 0, 1, ... until a run passes. Whatever fails, the exit status is as documented, the message
names the cause, output files are complete or as they were, no temporary file stays, and nothing
leaks (which the address sanitizer sees).

Usage: test_faults.py PROGRAM LIBRARY [--all] [SCENARIO | KIND]...
Without --all, calls that come by the hundred are sampled.
"""

import argparse
import errno
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "program"))
import small  # noqa: E402

COMMANDS, REPLIES = 198, 199  # descriptors, as in fault.c
EARLIER = b"what was there before"
FEW = 150

DISK, FILE = {4}, {3}
# What fails: kind of call, error, exit statuses. Errors of a single image give status 1 in verbs
# that go on with the next. A fault that changes nothing of the outcome is always fine.
FAULTS = [
    ("open", errno.EMFILE, FILE),
    ("open", errno.EACCES, FILE),
    ("opendir", errno.EACCES, FILE),
    ("readdir", errno.EIO, FILE),
    ("stat", errno.EACCES, FILE),
    ("access", errno.EACCES, FILE),
    ("read", errno.EIO, FILE),
    ("read-end", 0, FILE),
    ("write", errno.ENOSPC, DISK),
    ("write", errno.EIO, DISK),
    ("write", errno.EDQUOT, DISK),
    ("fsync", errno.EIO, DISK),
    ("close", errno.EIO, DISK),
    ("rename", errno.EACCES, FILE),
    ("rename", errno.ENOSPC, DISK),
    ("linkat", errno.EDQUOT, DISK),
    ("mkdir", errno.ENOSPC, DISK),
    ("mkdir", errno.EACCES, FILE),
    ("mmap", errno.ENOMEM, DISK),
    ("posix_fallocate", errno.ENOSPC, DISK),
    ("random", errno.ENOSYS, set()),
    ("thread", errno.EAGAIN, DISK),
    ("flush", errno.ENOSPC, DISK),
    ("memory", errno.ENOMEM, DISK),
]
# These change nothing, in whichever call they happen, or in all of them.
HARMLESS = [("read-short", 0), ("write-short", 0)]

TIMES = [
    (rb'"ms": [-+.0-9e]+', b'"ms": 0'),
    (rb'"seconds": [-+.0-9e]+', b'"seconds": 0'),
    (rb"time .*", b"time"),
]


class Scenario:
    def __init__(self, name, arguments, outputs=(), partial=False, timed=False, few=FEW):
        self.name, self.arguments, self.outputs = name, arguments, outputs
        self.partial = partial  # status 1 is a way to report an image that failed
        self.timed = timed  # the output is made of times
        self.few = few  # faults of one kind that are tried without --all


TRAIN = ["train", "data", "--recipe", "recipe.json", "--expert", "expert", "--threads", "1"]
SCENARIOS = [
    Scenario("info-model", ["info", "model"]),
    Scenario("info-expert", ["info", "expert", "--format", "json"]),
    Scenario("info-recipe", ["info", "recipe.json"]),
    Scenario("import-zip", ["import", "zip.pth", "-o", "out/expert"], ["expert"]),
    Scenario("import-legacy", ["import", "legacy.pth", "-o", "out/expert"], ["expert"]),
    Scenario("import-safetensors", ["import", "weights", "-o", "out/expert"], ["expert"]),
    Scenario("train", [*TRAIN, "-o", "out/model"], ["model"]),
    Scenario("train-import", [*TRAIN[:4], "--expert", "zip.pth", "-o", "out/model"], ["model"]),
    Scenario(
        "train-disk", [*TRAIN, "-o", "out/model", "--cache-mem", "0", "--resume"], ["model"]
    ),
    Scenario(
        "train-threads", [*TRAIN[:6], "--threads", "3", "-o", "out/model"], ["model"]
    ),
    Scenario(
        "score",
        ["score", "model", "images", "data/test/good/0.png", "--threads", "1", "--format", "jsonl"]
        + ["--maps", "out/deep/maps", "--overlays", "out", "--masks", "out"],
        ["deep/maps/images/0.png.map.tiff", "images/0.png.overlay.png", "images/0.png.mask.png"],
        partial=True,
        few=40,
    ),
    Scenario(
        "score-threads",
        ["score", "model", "images", "--threads", "2", "--localize", "gbp", "--overlays", "out"],
        ["0.png.overlay.png"],
        partial=True,
        few=40,
    ),
    Scenario(
        "eval",
        ["eval", "model", "data", "--threads", "1", "--format", "json", "--overlays", "out"],
        ["test/dent/0.png.overlay.png"],
        partial=True,
        few=40,
    ),
    Scenario(
        "eval-report",
        ["eval", "model", "data", "--threads", "1", "-q", "--report", "out/report.html"],
        ["report.html"],
        partial=True,
        few=30,
    ),
    Scenario(
        "reproduce",
        ["reproduce", "mvtec", "--data", "data", "--recipe", "recipe.json", "--expert", "expert"]
        + ["--threads", "1", "-q", "-o", "out/results"],
        few=30,
    ),
    Scenario(
        "calibrate", ["calibrate", "model", "data", "-o", "out/model", "--threads", "1"], ["model"]
    ),
    Scenario("bench", ["bench", "model", "data/test/good/0.png"], timed=True, few=6),
    Scenario("demo-data", ["demo-data", "out/demo"], few=2),
]


def make_inputs(folder, program):
    """What the verbs read."""
    tensors = small.weights()
    (folder / "weights").write_bytes(small.safetensors(tensors))
    (folder / "zip.pth").write_bytes(small.zipped(*small.state_dict(tensors)))
    (folder / "legacy.pth").write_bytes(small.legacy(*small.state_dict(tensors)))
    (folder / "recipe.json").write_text(json.dumps(small.RECIPE))
    small.make_category(folder / "data")
    images = folder / "images"
    images.mkdir()
    (images / "0.png").write_bytes(small.grey_png())
    fixtures = small.fixture_images()
    # Not webp-lossless: libwebp before 1.4 crashes without memory for the Huffman tables of one.
    wanted = ["jpeg-progressive", "tiff-", "webp-lossy"]
    for kind in wanted:
        name = next(name for name, (_, good) in fixtures.items() if good and name.startswith(kind))
        (images / f"{name}.png").write_bytes(fixtures[name][0])  # the content decides
    run = lambda *arguments: subprocess.run([program, *arguments], cwd=folder, check=True,
                                            stdout=subprocess.DEVNULL)
    run("import", "weights", "-o", "expert")
    run(*TRAIN, "-o", "model", "-q")


def normalised(output):
    for pattern, text in TIMES:
        output = re.sub(pattern, text, output)
    return output


def content(path):
    """The bytes of a file, without times; None for a folder."""
    if not path.is_file():
        return None
    return normalised(path.read_bytes()) if path.suffix == ".json" else path.read_bytes()


def snapshot(folder):
    return {os.fspath(path.relative_to(folder)): content(path) for path in folder.rglob("*")}


def is_partial_report(name, content):
    """Whether it is a whole page, whatever images it is about."""
    return name.endswith(".html") and content.startswith(b"<!") and content.endswith(b"</html>\n")


class Server:
    """The program, waiting to be run with faults."""

    def __init__(self, program, library, folder, scenario):
        self.folder, self.scenario = folder, scenario
        self.output = open(folder.parent / "stdout", "ab+", buffering=0)
        self.errors = open(folder.parent / "stderr", "ab+", buffering=0)
        read_commands, self.commands = os.pipe()
        read_replies, write_replies = os.pipe()
        self.replies = open(read_replies, "rb")

        def in_child():
            os.dup2(read_commands, COMMANDS)
            os.dup2(write_replies, REPLIES)

        environment = {
            **os.environ,
            "LD_PRELOAD": str(library),
            "TMPDIR": str(folder / "tmp"),
            "LC_ALL": "C",
            # The sanitizer wants to be first; its functions are called by those of the library.
            "LSAN_OPTIONS": f"suppressions={HERE / 'leaks.txt'}:print_suppressions=0",
            "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=1:fast_unwind_on_malloc=0",
        }
        self.process = subprocess.Popen(
            [program, *scenario.arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=self.errors,
            env=environment,
            close_fds=False,
            preexec_fn=in_child,
        )
        os.close(read_commands)
        os.close(write_replies)

    def prepare(self):
        for name in ["out", "tmp"]:
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).mkdir()
        for name in self.scenario.outputs:
            path = self.folder / "out" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(EARLIER)

    def run(self, kind, number, error):
        """Exit status (below 0: a signal), whether the fault was met, output, messages."""
        self.prepare()
        for file in self.output, self.errors:
            file.truncate(0)
        os.write(self.commands, f"{kind} {number} {error}\n".encode())
        reply = self.replies.readline().split()
        if not reply:
            raise RuntimeError("the server has died: " + self.text(self.errors).decode())
        status = os.waitstatus_to_exitcode(int(reply[0]))
        self.calls = dict(pair.decode().split("=") for pair in reply[2:])
        return status, int(reply[1]) > 0, self.text(self.output), self.text(self.errors)

    def text(self, file):
        return os.pread(file.fileno(), 1 << 22, 0)

    def close(self):
        os.close(self.commands)
        self.replies.close()
        self.process.wait()
        self.output.close()
        self.errors.close()


class Check:
    def __init__(self, server):
        self.server, self.scenario = server, server.scenario
        status, _, output, errors = server.run("memory", 1 << 40, errno.ENOMEM)
        if status != 0:
            raise RuntimeError(f"{self.scenario.name} fails by itself: {errors.decode()}")
        self.output, self.errors = normalised(output), errors
        self.made = snapshot(server.folder / "out")
        self.calls = {kind: int(count) for kind, count in server.calls.items()}

    def wrong_files(self, status):
        """What is wrong with the files after a run, or None."""
        now = snapshot(self.server.folder / "out")
        for name, content in now.items():
            if content is None:  # a folder
                continue
            if name not in self.made:
                return f"left {name}"
            if status == 1 and is_partial_report(name, content):
                continue
            if content not in (self.made[name], EARLIER):
                return f"damaged {name}"
        for name in self.scenario.outputs:
            if name not in now:
                return f"removed {name}"
        if status == 0 and now != self.made:
            return "status 0, but files are missing or as before"
        if os.listdir(self.server.folder / "tmp"):
            return "left something in TMPDIR"
        some = any(content is not None for content in now.values())
        if self.scenario.name == "demo-data" and some and now != self.made:
            return "left files of unfinished demonstration data"
        return None

    def wrong(self, fault, expected, result):
        """What is wrong with a run that met its fault, or None."""
        kind, error = fault
        status, _, output, errors = result
        if b"AddressSanitizer: CHECK failed" in errors:
            return None  # the sanitizer has no memory itself, to start a thread
        files = self.wrong_files(status)
        if status == 0:
            same = self.scenario.timed or normalised(output) == self.output
            return files or (None if same else "status 0 with another output")
        allowed = set(expected) | ({1} if self.scenario.partial and 3 in expected else set())
        if status not in allowed:
            return f"status {status}, not {sorted(allowed)}"
        text = errors + (output if status == 1 else b"")
        cause = os.strerror(error) if error else "shorter"
        if kind in ("stat", "access"):
            cause = ""  # where there seems to be nothing, that is told
        if kind in ("memory", "mmap"):
            cause = "out of memory"
        if kind == "thread":
            cause = "thread"
        if kind == "memory" and b"cannot start thread" in text:
            cause = ""  # the C library does not tell why
        if cause.encode() not in text:
            return f"the message does not tell '{cause}'"
        if not re.search(rb"(?m)^mkd ?\w*[-\w]*: [^\n]+$", errors) and status != 1:
            return "no message"
        return files


def tried(calls, few):
    """The calls to fail, of so many: the first ones, and more and more distant ones."""
    if calls <= few:
        return range(calls)
    half = few // 2
    return [*range(half), *(half + (calls - half) * i // half for i in range(half))]


def try_kind(check, fault, expected, everything):
    """Fails one call after the other; (runs, list of what is wrong)."""
    server, (kind, error) = check.server, fault
    few = check.calls[kind] if everything else check.scenario.few
    numbers = tried(check.calls[kind], few)
    wrong = []
    for number in numbers:
        result = server.run(kind, number, error)
        text = check.wrong(fault, expected, result)
        if not text and not result[1] and "threads" not in check.scenario.name:
            text = "the fault was not met"
        if text:
            message = result[3].decode(errors="replace").strip()
            wrong.append(f"{kind} {number} ({os.strerror(error)}): {text}: {message[-1500:]}")
    return len(numbers), wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("library", type=pathlib.Path)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("only", nargs="*")
    arguments = parser.parse_intermixed_args()
    program, library = arguments.program.resolve(), arguments.library.resolve()
    names = {scenario.name for scenario in SCENARIOS}
    only = set(arguments.only)
    total, failed = 0, 0
    fast = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # fsync costs nothing there
    with tempfile.TemporaryDirectory(prefix="mkd-faults-", dir=fast) as temporary:
        folder = pathlib.Path(temporary) / "work"
        folder.mkdir()
        make_inputs(folder, program)
        for scenario in SCENARIOS:
            if only & names and scenario.name not in only:
                continue
            server = Server(program, library, folder, scenario)
            check = Check(server)
            tally = []
            for kind, error, expected in [*FAULTS, *((*fault, set()) for fault in HARMLESS)]:
                if only - names and kind not in only:
                    continue
                runs, wrong = try_kind(check, (kind, error), expected, arguments.all)
                tally.append(f"{kind} {runs}")
                total += runs
                failed += len(wrong)
                for text in wrong[:5]:
                    print(f"{scenario.name}: {text}")
                if len(wrong) > 5:
                    print(f"{scenario.name}: ... and {len(wrong) - 5} more by {kind}")
            server.close()
            print(f"{scenario.name}: {', '.join(tally)}", flush=True)
    print(f"{total} faults, {failed} not dealt with as documented")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
