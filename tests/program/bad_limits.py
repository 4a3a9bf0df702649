"""Files beyond a limit, which is checked before memory is taken: those of the defaults are sparse, of
one byte more."""

import pathlib

import small
from hostile import Case, write


def sparse(path, size):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.truncate(size)


def beyond(name, path, limit, status, arguments):
    """`arguments` are made of the case's world."""

    def make(folder, world):
        sparse(folder / path, limit + 1)
        return arguments(world)

    says = f"{path}: has {limit + 1} bytes, more than the limit of {limit}"
    return Case(f"limit: bytes of {name}", make, status, says)


def training(world, recipe, expert):
    return ["train", world.data, "-o", "out", "--recipe", recipe, "--expert", expert]


def reproducing(data_set, world):
    return ["reproduce", data_set, "--data", "data", "--expert", world.expert, "-q"]


def default_cases():
    yield beyond("an image", "a.png", 1 << 32, 1, lambda w: ["score", w.model, "a.png"])
    importing = ["import", "weights", "-o", "expert", "--arch", "vgg11"]
    yield beyond("weights", "weights", 1 << 32, 3, lambda w: importing)
    yield beyond("an expert", "expert", 1 << 32, 3, lambda w: training(w, w.recipe, "expert"))
    yield beyond("a model", "model", 1 << 32, 3, lambda w: ["score", "model", w.image])
    yield beyond("any file, info", "model", 1 << 32, 3, lambda w: ["info", "model"])
    yield beyond(
        "a checkpoint", "out.ckpt", 1 << 34, 3, lambda w: w.training(w.data, "out", "--resume")
    )
    yield beyond("a recipe", "r.json", 1 << 20, 3, lambda w: training(w, "r.json", w.expert))

    def idx(folder, world):
        for part in [
            "train-images-idx3",
            "train-labels-idx1",
            "t10k-images-idx3",
            "t10k-labels-idx1",
        ]:
            sparse(folder / f"data/{part}-ubyte", (1 << 32) + 1)
        return reproducing("mnist", world)

    says = "more than the limit of 4294967296"
    yield Case(
        "limit: bytes of IDX", idx, 3, f"train-images-idx3-ubyte: has 4294967297 bytes, {says}"
    )

    def cifar(folder, world):
        sparse(folder / "data/data_batch_1.bin", (1 << 32) + 1)
        sparse(folder / "data/test_batch.bin", 3073)
        return reproducing("cifar-10", world)

    yield Case("limit: bytes of CIFAR-10", cifar, 3, f"batch_1.bin: has 4294967297 bytes, {says}")

    def labels(folder, world):
        sparse(folder / "data/labels.csv", (1 << 20) + 1)
        write(folder / "data/1.png", small.grey_png())
        return reproducing("medical", world)

    says = "labels.csv: has 1048577 bytes, more than the limit of 1048576"
    yield Case("limit: bytes of labels", labels, 3, says)


def set_cases():
    """Limits that the user sets, for each verb and what it reads."""
    few_bytes, few_pixels = ["--limit", "bytes=10"], ["--limit", "pixels=9"]
    few_files = ["--limit", "files=1"]
    bytes_say, pixels_say = "bytes, more than the limit of 10", "more than the limit of 9"
    files_say = "files than the limit of 1"

    def case(name, status, says, arguments):
        return Case(f"--limit: {name}", lambda folder, world: arguments(world), status, says)

    yield case("model, score", 3, bytes_say, lambda w: ["score", w.model, w.image, *few_bytes])
    yield case("image, score", 1, pixels_say, lambda w: ["score", w.model, w.image, *few_pixels])
    yield case("folder, score", 1, files_say, lambda w: ["score", w.model, w.data, *few_files])
    yield case("model, eval", 3, bytes_say, lambda w: ["eval", w.model, w.data, *few_bytes])
    yield case("folder, eval", 3, files_say, lambda w: ["eval", w.model, w.data, *few_files])
    calibrate = ["calibrate", "-o", "out"]
    yield case(
        "model, calibrate", 3, bytes_say, lambda w: [*calibrate, w.model, w.data, *few_bytes]
    )
    yield case(
        "images, calibrate", 3, pixels_say, lambda w: [*calibrate, w.model, w.data, *few_pixels]
    )
    yield case("folder, train", 3, files_say, lambda w: w.training(w.data, "out", *few_files))
    yield case("images, train", 3, pixels_say, lambda w: w.training(w.data, "out", *few_pixels))
    yield case("expert, train", 3, bytes_say, lambda w: w.training(w.data, "out", *few_bytes))
    small_idx = [(name, 7 * 5 * 12) for name in ["train", "t10k"]]

    def mnist(folder, world):
        for name, values in small_idx:
            header = bytes([0, 0, 8, 3, 0, 0, 0, 12, 0, 0, 0, 7, 0, 0, 0, 5])
            write(folder / f"data/{name}-images-idx3-ubyte", header + bytes(values))
            write(folder / f"data/{name}-labels-idx1-ubyte", bytes([0, 0, 8, 1, 0, 0, 0, 12] + [8] * 12))
        return [*reproducing("mnist", world), *few_pixels]

    yield Case("--limit: images of IDX", mnist, 3, "have 5 x 7 pixels, more than the limit of 9")

    def names(folder, world):
        long = {"n" * 256: ([1], small.floats(1))}
        write(folder / "weights", small.safetensors(long))
        return ["import", "weights", "-o", "expert", "--arch", "vgg11"]

    yield Case("limit: a tensor's name", names, 3, "its name has more than 255 bytes")
    importing = ["import", "-o", "out"]
    yield case("weights, import", 3, bytes_say, lambda w: [*importing, w.expert, *few_bytes])
    yield case("model, info", 3, bytes_say, lambda w: ["info", w.model, *few_bytes])
    yield case("model, bench", 3, bytes_say, lambda w: ["bench", w.model, w.image, *few_bytes])
    yield case("image, bench", 3, pixels_say, lambda w: ["bench", w.model, w.image, *few_pixels])
    reproduce = ["reproduce", "mvtec", "-q"]
    yield case(
        "folder, reproduce",
        3,
        files_say,
        lambda w: [*reproduce, "--data", w.data, "--expert", w.expert, *few_files],
    )


def count_cases():
    def tensors(folder, world):
        many = {f"t{i}": ([1], small.floats(1)) for i in range(16385)}
        write(folder / "weights", small.safetensors(many))
        return ["import", "weights", "-o", "expert", "--arch", "vgg11"]

    yield Case("limit: tensors", tensors, 3, "weights: more than 16384 tensors")

    def folders(folder, world):
        write(folder / pathlib.Path(*["d"] * 70) / "a.png", small.grey_png())
        return ["score", world.model, "d"]

    yield Case("limit: depth of folders", folders, 1, "folders are nested")


def cases():
    yield from default_cases()
    yield from set_cases()
    yield from count_cases()
