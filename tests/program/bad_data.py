"""Folders of images, labelled data sets, and the files of the paper's experiments."""

import gzip
import shutil
import struct

import small
from hostile import Case, write


def trained(name, make_data, status, says, *more):
    def make(folder, world):
        (folder / "parts").mkdir()
        make_data(folder / "parts")
        return world.training("parts", "out.mkd", *more)

    return Case(f"training data: {name}", make, status, says)


def pictures(count, content=small.grey_png):
    def make(folder):
        for i in range(count):
            write(folder / f"{i}.png", content() if count == 1 else content(seed=i))

    return make


def same(content, count=8):
    def make(folder):
        for i in range(count):
            write(folder / f"{i}.png", content)

    return make


def training_cases():
    yield trained("none", lambda folder: None, 3, "parts: no image found; looked for jpg")
    yield trained("no image", lambda f: write(f / "a.txt", "a"), 3, "parts: no image found")
    yield trained("one image", pictures(1), 3, "1 image: training needs at least 2 normal images")
    yield trained("two images", pictures(2), 0, "(a guess: one held-out image")
    yield trained("identical images", same(small.grey_png()), 0, "threshold")
    yield trained("black images", same(small.png(24, 16, bytes(24 * 16))), 0, "threshold")
    yield trained("white images", same(small.png(24, 16, b"\xff" * 24 * 16)), 0, "threshold")
    yield trained("single pixels", same(small.png(1, 1, b"\x70")), 0, "threshold")

    def mixed(folder):
        for i, (width, height) in enumerate(
            [(24, 16), (7, 5), (100, 3), (33, 65), (1, 1), (640, 480)]
        ):
            write(folder / f"{i}.png", small.grey_png(width, height, i))

    yield trained("images of all sizes", mixed, 0, "threshold")

    def one_bad(folder):
        pictures(5)(folder)
        write(folder / "bad.png", small.grey_png()[:60])

    yield trained(
        "a damaged image", one_bad, 3, "parts/bad.png: damaged PNG: the file is cut short"
    )

    def one_gone(folder):
        pictures(5)(folder)
        (folder / "gone.png").symlink_to(folder / "nowhere")

    yield trained("a link to nowhere", one_gone, 3, "parts/gone.png: cannot open: No such file")
    yield trained("too few to hold any out", pictures(3), 0, "threshold", "--holdout", "0.001")
    yield trained("tiles larger than the images", pictures(6), 0, "threshold", "--tiles", "100x100")
    yield trained(
        "a size that is no multiple of 32", pictures(6), 0, "threshold", "--size", "44x36"
    )
    says = "at input 45x37, critical point pool1 has 23x19 positions, the expert 22x18"
    yield trained(
        "a size that the cloner rounds otherwise", pictures(6), 2, says, "--size", "45x37"
    )
    yield trained(
        "a size that is too small",
        pictures(6),
        2,
        "--size: '3' is not a size in pixels from 8 to 8192",
        "--size",
        "3",
    )

    says = "parts/0.png: has 24 x 16 pixels, more than the limit of 300"
    yield trained("images larger than allowed", pictures(6), 3, says, "--limit", "pixels=300")

    def missing(folder, world):
        return world.training("nowhere", "out.mkd")

    yield Case(
        "training data: missing", missing, 3, "nowhere: cannot open: No such file or directory"
    )

    def a_file(folder, world):
        return world.training(world.image, "out.mkd")

    yield Case("training data: a file", a_file, 3, "1 image: training needs at least 2")

    def nowhere(folder, world):
        return world.training(world.data, "no/out.mkd")

    yield Case(
        "training: output into no folder",
        nowhere,
        3,
        "no/out.mkd: cannot write to the folder no: No such file or directory",
    )

    def onto(folder, world):
        (folder / "out.mkd").mkdir()
        return world.training(world.data, "out.mkd")

    yield Case("training: output onto a folder", onto, 3, "out.mkd: is a folder; name a file in it")

    def no_checkpoint(folder, world):
        write(folder / "out.mkd.ckpt", "nonsense")
        return world.training(world.data, "out.mkd", "--resume")

    yield Case(
        "training: a damaged checkpoint", no_checkpoint, 3, "out.mkd.ckpt: not a safetensors file"
    )


def calibrated(name, make_data, status, says):
    def make(folder, world):
        (folder / "parts").mkdir()
        make_data(folder / "parts")
        return ["calibrate", world.model, "parts", "-o", "out.mkd"]

    return Case(f"calibration data: {name}", make, status, says)


def evaluated(name, change, status, says):
    def make(folder, world):
        shutil.copytree(world.data, folder / "data")
        change(folder / "data")
        return ["eval", world.model, "data", "-q"]

    return Case(f"labelled data: {name}", make, status, says)


def mask_of(width=24, height=16):
    return small.png(width, height, b"\xff" * (width * height))


def calibration_cases():
    yield calibrated("one image", pictures(1), 3, "calibration needs at least 2 normal images")
    yield calibrated("two images", pictures(2), 0, "threshold")


def evaluation_cases():
    mask = "ground_truth/dent/0_mask.png"
    yield evaluated("as it should be", lambda data: None, 0, "AUROC")
    yield evaluated(
        "no test",
        lambda data: shutil.rmtree(data / "test"),
        3,
        "data: has no folder test; expected the layout of MVTec AD",
    )
    yield evaluated(
        "no normal images",
        lambda data: shutil.rmtree(data / "test/good"),
        3,
        "0 normal and 2 anomalous images; metrics need both",
    )
    yield evaluated(
        "no anomalous images",
        lambda data: shutil.rmtree(data / "test/dent"),
        3,
        "0_mask.png: is a mask of no image",
    )
    yield evaluated("no masks", lambda data: shutil.rmtree(data / "ground_truth"), 0, "AUROC")
    yield evaluated(
        "a missing mask",
        lambda data: (data / mask).unlink(),
        3,
        "data/test/dent/0.png: has no mask in ground_truth/dent",
    )
    yield evaluated(
        "a mask of another size", lambda data: write(data / mask, mask_of(25, 16)), 0, "AUROC"
    )
    yield evaluated(
        "a mask that is cut",
        lambda data: write(data / mask, mask_of()[:50]),
        1,
        f"{mask}: damaged PNG",
    )
    yield evaluated(
        "a mask of nothing",
        lambda data: write(data / mask, small.png(24, 16, bytes(24 * 16))),
        3,
        "0_mask.png: image",
    )
    yield evaluated(
        "a damaged image",
        lambda data: write(data / "test/dent/0.png", "no"),
        1,
        "data/test/dent/0.png: is a text file",
    )

    def damaged_kind(data):
        write(data / "test/hole/0.png", "no")
        write(data / "ground_truth/hole/0_mask.png", mask_of())

    yield evaluated("a kind of damaged images", damaged_kind, 1, "hole/0.png: is a text file")
    yield evaluated(
        "a mask of another shape",
        lambda data: write(data / mask, mask_of(16, 24)),
        3,
        f"{mask}: image 1 of the evaluation (dent): has 24x16 pixels, but its mask is of another "
        "shape: 16x24",
    )
    yield evaluated(
        "a mask without image",
        lambda data: (data / "test/dent/0.png").unlink(),
        3,
        f"{mask}: is a mask of no image",
    )


def idx(kind, count, sizes, content):
    header = struct.pack(">4B", 0, 0, 8, kind) + struct.pack(f">{kind}I", count, *sizes)
    return header + content


def mnist(name, says, **files):
    """A tiny MNIST with some of its four files replaced; bytes, or None for a file that is missing."""
    good = {}
    for part, count in [("train", 20), ("t10k", 20)]:
        pixels = small.noise(count * 28 * 28, count)
        good[f"{part}_images"] = idx(3, count, [28, 28], pixels)
        good[f"{part}_labels"] = idx(1, count, [], bytes(i % 10 for i in range(count)))

    def make(folder, world):
        for key, content in {**good, **files}.items():
            part, what = key.split("_")
            kind = 3 if what == "images" else 1
            if content is not None:
                write(folder / f"mnist/{part}-{what}-idx{kind}-ubyte", content)
        return [
            "reproduce",
            "mnist",
            "--data",
            "mnist",
            "--expert",
            world.expert,
            "--class",
            "8",
            "-q",
        ]

    return Case(f"MNIST: {name}", make, 3, says)


def mnist_cases():
    pixels = small.noise(20 * 28 * 28, 1)
    labels = bytes(i % 10 for i in range(20))
    images = "train-images-idx3-ubyte"
    yield mnist(
        "no images",
        "has no file train-images-idx3-ubyte or train-images-idx3-ubyte.gz",
        train_images=None,
    )
    yield mnist(
        "no test",
        "has no file t10k-images-idx3-ubyte or t10k-images-idx3-ubyte.gz",
        t10k_images=None,
    )
    yield mnist("empty", f"{images}: is no IDX file of bytes in 3 dimensions", train_images=b"")
    yield mnist("a cut header", f"{images}: is no IDX file", train_images=b"\0\0\x08\x03\0\0")
    yield mnist(
        "another magic number",
        f"{images}: is no IDX file",
        train_images=b"\0\0\x0d\x03" + idx(3, 20, [28, 28], pixels)[4:],
    )
    yield mnist(
        "labels for images", f"{images}: is no IDX file", train_images=idx(1, 20, [], labels)
    )
    yield mnist(
        "cut",
        f"{images}: has 15679 bytes after its header, which does not fit it",
        train_images=idx(3, 20, [28, 28], pixels[:-1]),
    )
    yield mnist(
        "trailing bytes",
        f"{images}: has 15681 bytes after its header",
        train_images=idx(3, 20, [28, 28], pixels + b"x"),
    )
    yield mnist(
        "a count that overflows",
        f"{images}: has 15680 bytes after its header",
        train_images=idx(3, (1 << 32) - 1, [(1 << 32) - 1] * 2, pixels),
    )
    yield mnist(
        "images of no size",
        "28x0 pixels; expected 1 to 4096 a side",
        train_images=idx(3, 20, [0, 28], b""),
    )
    yield mnist(
        "fewer labels than images",
        "train-labels-idx1-ubyte has 19 labels",
        train_labels=idx(1, 19, [], labels[:-1]),
    )
    yield mnist(
        "a label of 10",
        "train-labels-idx1-ubyte: image 0 has the label 10; expected 0 .. 9",
        train_labels=idx(1, 20, [], b"\x0a" + labels[1:]),
    )
    yield mnist(
        "no image of the class",
        "has 0 normal images to train 8 on; at least 2 are needed",
        train_labels=idx(1, 20, [], bytes(20)),
    )
    yield mnist(
        "gzip, cut",
        f"{images}: damaged gzip file: it is cut off",
        train_images=gzip.compress(idx(3, 20, [28, 28], pixels))[:-20],
    )
    yield mnist(
        "gzip, damaged",
        f"{images}: damaged gzip file: incorrect data check",
        train_images=gzip.compress(idx(3, 20, [28, 28], pixels))[:-8] + bytes(8),
    )
    bomb = gzip.compress(idx(3, 20, [28, 28], bytes(64 << 20)), 9)
    yield mnist("gzip, a bomb", f"{images}: has 67108864 bytes after its header", train_images=bomb)


def reproduced(name, data_set, make_data, says, *more):
    def make(folder, world):
        (folder / "data").mkdir()
        make_data(folder / "data")
        return ["reproduce", data_set, "--data", "data", "--expert", world.expert, "-q", *more]

    return Case(f"{data_set}: {name}", make, 3, says)


def other_cases():
    record = bytes([3]) + small.noise(3072, 1)

    def cifar(train, test):
        def make(folder):
            write(folder / "data_batch_1.bin", train)
            write(folder / "test_batch.bin", test)

        return make

    yield reproduced(
        "nothing",
        "cifar-10",
        lambda folder: None,
        "data: has no file data_batch*.bin or train*.bin",
    )
    yield reproduced(
        "a part of a record",
        "cifar-10",
        cifar(record * 3 + b"x", record),
        "data_batch_1.bin: has 9220 bytes; expected a multiple of 3073",
    )
    yield reproduced(
        "an empty file", "cifar-10", cifar(b"", record), "data_batch_1.bin: has 0 bytes"
    )
    yield reproduced(
        "a label of 10",
        "cifar-10",
        cifar(b"\x0a" + record[1:], record),
        "data_batch_1.bin: image 0 has the label 10; expected 0 .. 9",
    )
    yield reproduced(
        "nothing", "mvtec", lambda folder: None, "data: holds no category in MVTec AD layout"
    )
    yield reproduced(
        "nothing", "medical", lambda folder: None, "data: is no known medical data set"
    )

    def head_ct(table):
        def make(folder):
            write(folder / "labels.csv", table)
            for i in range(4):
                write(folder / f"head_ct/{i:03}.png", small.grey_png(seed=i))

        return make

    yield reproduced(
        "labels without lines",
        "medical",
        head_ct("id, hemorrhage\n"),
        "head_ct/000.png: has no line in",
    )
    yield reproduced(
        "labels that are words",
        "medical",
        head_ct("id, hemorrhage\n0, yes\n"),
        'labels.csv: line 2 is "0, yes"',
    )
    yield reproduced(
        "an image without a label",
        "medical",
        head_ct("id,hemorrhage\n0,0\n7,1\n"),
        "001.png: has no line in",
    )


def cases():
    yield from training_cases()
    yield from calibration_cases()
    yield from evaluation_cases()
    yield from mnist_cases()
    yield from other_cases()
