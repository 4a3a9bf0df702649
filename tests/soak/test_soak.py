"""Scores the same images again and again through one session of one process: every result has to be
that of the first pass, and memory must have settled after half of the passes.

Usage: test_soak.py PROGRAM                       a few passes over small made-up images
       test_soak.py PROGRAM MODEL MINUTES DATA... folders of images; MNIST's and CIFAR-10's files
"""

import gzip
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "program"))
import small  # noqa: E402

IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}
PASSES, COPIES, LARGE = 30, 40, 24  # of the small test
GROWTH = 2 << 20  # bytes, a huge page, that the second half of the passes may take more


def unpack_idx(path, folder):
    """The images of an IDX file as PGM."""
    content = gzip.decompress(path.read_bytes())
    count, height, width = struct.unpack(">3I", content[4:16])
    for i in range(count):
        pixels = content[16 + i * height * width :][: height * width]
        (folder / f"{path.parent.name}-{i}.pgm").write_bytes(small.pgm(width, height, pixels))


def unpack_cifar(path, folder):
    """The images of a binary CIFAR-10 file as PPM."""
    content = gzip.decompress(path.read_bytes())
    for i in range(len(content) // 3073):
        planes = content[i * 3073 + 1 :][:3072]
        pixels = bytes(planes[c * 1024 + p] for p in range(1024) for c in range(3))
        (folder / f"{path.parent.name}-{i}.ppm").write_bytes(b"P6 32 32 255\n" + pixels)


def images_of(folder, unpacked):
    """Paths of all images below a folder, those included that lie in files of many (of those only
    the ones for testing)."""
    for path in sorted(folder.rglob("*")):
        if path.match("t10k-images*.gz"):
            unpack_idx(path, unpacked)
        elif path.match("test_batch*.gz"):
            unpack_cifar(path, unpacked)
        elif path.suffix.lower() in IMAGES and path.is_file():
            yield os.fspath(path)


def memory_of(process):
    """Address space and resident memory."""
    pages = pathlib.Path(f"/proc/{process.pid}/statm").read_text().split()
    return [int(number) * os.sysconf("SC_PAGESIZE") for number in pages[:2]]


class Scorer:
    """mkd score, which is told the names of images and answers line by line."""

    def __init__(self, program, model):
        command = [program, "score", model, "-", "--threads", "1", "--format", "jsonl", "-q"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def run(self, paths):
        """Results without times, in the order of the paths."""
        names = b"".join(os.fsencode(path) + b"\n" for path in paths)
        writer = threading.Thread(target=self.write, args=(names,))
        writer.start()
        results = []
        for _ in paths:
            line = self.process.stdout.readline()
            if not line:
                raise SystemExit(f"mkd score has ended after {len(results)} images of a pass")
            result = json.loads(line)
            del result["ms"]
            results.append(result)
        writer.join()
        return results

    def write(self, names):
        self.process.stdin.write(names)
        self.process.stdin.flush()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def soak(program, model, paths, go_on):
    """Whether all went well; passes until go_on(number of passes) is false."""
    scorer, order = Scorer(program, model), random.Random(0)
    first = {result["path"]: result for result in scorer.run(paths)}
    changed, memory = 0, [memory_of(scorer.process)]  # after each pass
    while go_on(len(memory)):
        order.shuffle(paths)
        changed += sum(result != first[result["path"]] for result in scorer.run(paths))
        memory.append(memory_of(scorer.process))
    scorer.close()
    failed = sum(result["error"] is not None for result in first.values())
    print(
        f"{len(memory)} passes over {len(paths)} images, {failed} of them unreadable: {changed} "
        "results changed"
    )
    half, settled = (len(memory) + 1) // 2, True
    for name, sizes in zip(["address space", "resident"], zip(*memory)):
        print(f"{name}, MiB after each pass: " + " ".join(f"{m / 2**20:.1f}" for m in sizes))
        settled &= max(sizes) <= max(sizes[:half]) + GROWTH
    return changed == 0 and settled and failed < len(paths)


def small_test(program, folder):
    (folder / "weights").write_bytes(small.safetensors(small.weights()))
    (folder / "recipe.json").write_text(json.dumps(small.RECIPE))
    small.make_category(folder / "data")
    for i in range(COPIES):
        image = small.grey_png(24 + i, 60 - i, seed=i)
        (folder / f"data/{i}.png").write_bytes(image if i % 9 else image[:60])
    for i in range(LARGE):  # as large as what does not come from the heap, and larger
        width, height = 500 + 37 * i, 1300 - 29 * i
        image = small.png(width, height, bytes(width * height))
        (folder / f"data/large{i}.png").write_bytes(image)
    train = ["train", "data", "--recipe", "recipe.json", "--expert", "weights", "-o", "model", "-q"]
    subprocess.run([program, *train], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    paths = list(images_of(folder / "data", folder))
    return soak(program, folder / "model", paths, lambda passes: passes < PASSES)


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="mkd-soak-") as temporary:
        folder = pathlib.Path(temporary)
        if len(sys.argv) == 2:
            return 0 if small_test(program, folder) else 1
        end = time.monotonic() + 60 * float(sys.argv[3])
        paths = [path for data in sys.argv[4:] for path in images_of(pathlib.Path(data), folder)]
        paths += images_of(folder, folder)
        return 0 if soak(program, sys.argv[2], paths, lambda _: time.monotonic() < end) else 1


if __name__ == "__main__":
    sys.exit(main())
