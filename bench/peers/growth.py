"""What training costs by the number of images and by where their cache is, how long the program
takes to start, and how large it is. MNIST, the paper's recipe at 32x32."""

import gzip
import os
import pathlib
import re
import statistics
import subprocess
import threading
import time

import numpy

from . import experts
from .setting import BUILD, MKD, SHARED
from .sides import Failure

MNIST = SHARED / "data/mnist"
QUICK, FULL = [100, 1000], [100, 1000, 10000, 60000]
EPOCHS = 3
STARTS = 21


def read_mnist():
    """uint8 [images][28][28]."""
    path = next(MNIST.glob("train-images*"))
    with gzip.open(path, "rb") as file:
        return numpy.frombuffer(file.read(), numpy.uint8, offset=16).reshape(-1, 28, 28)


def write_images(folder, images):
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        (folder / f"{i:05}.pgm").write_bytes(b"P5 28 28 255\n" + image.tobytes())


class Peak(threading.Thread):
    """Watches a process: the most memory that it has, and the part that is its own rather than
    pages of files, which the system can take back."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.path, self.own, self.all = pathlib.Path(f"/proc/{pid}/status"), 0, 0

    def run(self):
        while True:
            try:
                status = self.path.read_text(encoding="utf-8")
            except OSError:
                return
            found = dict(re.findall(r"^(RssAnon|VmRSS):\s+(\d+) kB", status, re.MULTILINE))
            if not found:
                return
            self.own = max(self.own, int(found["RssAnon"]))
            self.all = max(self.all, int(found["VmRSS"]))
            time.sleep(0.02)


def train(setting, expert, folder, cache):
    """Seconds, own MiB and all MiB."""
    command = [
        MKD,
        "train",
        folder,
        "-o",
        setting.path("growth.mkd"),
        "--recipe",
        "paper",
        "--size",
        "32",
        "--expert",
        expert,
        "--epochs",
        str(EPOCHS),
        "--cache-mem",
        cache,
        "--threads",
        str(setting.threads),
        "-q",
    ]
    start = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=setting.environment
    ) as process:
        peak = Peak(process.pid)
        peak.start()
        _, errors = process.communicate()
    if process.returncode != 0:
        raise Failure(f"growth: {errors.decode(errors='replace').strip()}")
    peak.join()
    return time.perf_counter() - start, peak.own / 1024, peak.all / 1024


def training_table(setting):
    images, expert = read_mnist(), experts.vgg(setting, "vgg16")
    lines = [
        f"Training on MNIST, paper's recipe at 32x32, {EPOCHS} epochs, whole process:",
        "",
        "| images | cache | s | ms an image | MiB | of it own |",
        "|--:|---|--:|--:|--:|--:|",
    ]
    for count in QUICK if setting.quick else FULL:
        folder = setting.data / f"mnist-{count}"
        if not folder.exists():
            write_images(folder, images[:count])
        for cache, size in (("memory", "16G"), ("file", "1M")):
            seconds, own, all_pages = train(setting, expert, folder, size)
            lines.append(
                f"| {count} | {cache} | {seconds:.2f} | {1e3 * seconds / count:.2f} | "
                f"{all_pages:.0f} | {own:.0f} |"
            )
    return lines


def start_up(*arguments):
    """Median milliseconds."""
    times = []
    for _ in range(STARTS):
        start = time.perf_counter()
        subprocess.run([MKD, *arguments], capture_output=True, check=True)
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def linked(path):
    """Files of the shared libraries that the program loads."""
    output = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
    return [os.path.realpath(name) for name in re.findall(r"=> (/\S+)", output)]


def sizes(setting):
    prefix = setting.data / "install"
    subprocess.run(
        ["cmake", "--install", BUILD, "--prefix", prefix, "--strip"],
        check=True,
        capture_output=True,
    )
    library = next(path for path in prefix.rglob("libmkd.so*") if not path.is_symlink())
    system = [path for path in linked(library) if "libmkd" not in path]
    codecs = [path for path in system if not re.search(r"/(libc|libm|ld-)[.-]", path)]

    def kib(paths):
        return f"{sum(os.path.getsize(path) for path in paths) / 1024:.0f} KiB"

    return [
        f"* installed program: {kib([prefix / 'bin/mkd'])}; library: {kib([library])}; with "
        f"all {len(codecs)} libraries that it loads, the C library apart: "
        f"{kib([library] + codecs)}"
    ]


def run(setting):
    """Lines of Markdown."""
    lines = ["", "## Growth", ""]
    if MNIST.exists():
        lines += training_table(setting) + [""]
    else:
        setting.note("growth: training left out, ../shared/data/mnist is not there.")
    lines.append(f"* start-up: `mkd --version` {start_up('--version'):.1f} ms")
    return lines + sizes(setting)
