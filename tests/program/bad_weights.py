"""Weights that `mkd import` has to refuse."""

import math
import os
import struct

import small
from hostile import Case, changed_safetensors, write

ARCH = ["--arch", "vgg11"]


def imported(name, content, says, status=3, arch=ARCH):
    def make(folder, world):
        write(folder / "file", content() if callable(content) else content)
        return ["import", "file", "-o", "expert", *arch]

    return Case(f"weights: {name}", make, status, says)


def with_tensor(name, shape, numbers):
    tensors = small.weights()
    tensors[name] = (shape, numbers)
    return small.safetensors(tensors)


def without_tensor(name):
    tensors = small.weights()
    del tensors[name]
    return small.safetensors(tensors)


def safetensors_cases():
    good = small.safetensors(small.weights())
    first = "features.0.weight"

    def change(entry=None, **fields):
        def apply(header):
            header[first].update(fields)

        return changed_safetensors(good, entry or apply)

    yield imported("empty", b"", "file: it is empty")
    yield imported("text", "these are no weights\n", "file: it is of an unknown kind")
    yield imported("HTML", "<!DOCTYPE html><html>404</html>", "file: it is an HTML page")
    yield imported(
        "a Git LFS pointer",
        "version https://git-lfs.github.com/spec/v1\n",
        "file: it is a Git LFS pointer",
    )
    yield imported("safetensors: cut in its length", good[:5], "file: it is of an unknown kind")
    yield imported("safetensors: cut in its header", good[:60], "file: it is of an unknown kind")
    yield imported(
        "safetensors: cut in its data", good[:-1], "lies outside the file (is the file cut?)"
    )
    yield imported(
        "safetensors: trailing bytes", good + b"\0", "file: 1 bytes after the last tensor"
    )
    yield imported(
        "safetensors: a huge header",
        struct.pack("<Q", 1 << 62) + good[8:],
        "file: it is of an unknown kind",
    )
    yield imported(
        "safetensors: no JSON",
        small.safetensors_bytes(b"{no json}", b""),
        "file: its header: not valid JSON, line 1",
    )
    yield imported(
        "safetensors: a list",
        small.safetensors_bytes(b"[1, 2]", b""),
        "file: it is of an unknown kind",
    )
    deep = b"[" * 100000
    yield imported(
        "safetensors: deep",
        small.safetensors_bytes(b'{"a":' + deep, b""),
        "values are nested too deep",
    )
    yield imported(
        "safetensors: no tensors",
        small.safetensors({}),
        "'features.0.weight' [any, 3, 3, 3] is missing",
    )
    twice = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    yield imported(
        "safetensors: a name twice", small.safetensors_bytes(twice, bytes(4)), "duplicate key"
    )
    yield imported(
        "safetensors: unknown type",
        change(dtype="F3"),
        "'features.0.weight' has type 'F3'; F64, F32, F16 and BF16 are supported",
    )
    yield imported(
        "safetensors: whole numbers",
        change(dtype="I32"),
        "'features.0.weight' [any, 3, 3, 3] is missing",
    )
    yield imported(
        "safetensors: a type that is a number",
        change(dtype=7),
        "'features.0.weight' lacks its dtype",
    )
    yield imported(
        "safetensors: a shape that overflows",
        change(shape=[1 << 40, 1 << 40]),
        "'features.0.weight' has an impossible shape",
    )
    yield imported(
        "safetensors: a negative side",
        change(shape=[-6, 3, 3, 3]),
        "'features.0.weight' has an impossible shape",
    )
    yield imported(
        "safetensors: a side that is no integer",
        change(shape=[6.5, 3, 3, 3]),
        "'features.0.weight' has an impossible shape",
    )
    yield imported(
        "safetensors: nine sides",
        change(shape=[6, 3, 3, 3] + [1] * 5),
        "'features.0.weight' has 9 dimensions, at most 8 can be",
    )
    yield imported(
        "safetensors: reversed offsets",
        change(data_offsets=[648, 0]),
        "'features.0.weight' lies outside the file",
    )
    yield imported(
        "safetensors: offsets beyond the end",
        change(data_offsets=[1 << 40, (1 << 40) + 648]),
        "'features.0.weight' lies outside the file",
    )
    yield imported(
        "safetensors: negative offsets",
        change(data_offsets=[-648, 0]),
        "'features.0.weight' lies outside the file",
    )
    yield imported(
        "safetensors: three offsets",
        change(data_offsets=[0, 300, 648]),
        "'features.0.weight' lies outside the file",
    )
    yield imported(
        "safetensors: overlapping tensors",
        change(lambda h: h["features.0.bias"].update(data_offsets=[0, 24])),
        "'features.0.weight' overlaps another",
    )
    yield imported(
        "safetensors: a shape of another size",
        change(shape=[6, 3, 3, 2]),
        "'features.0.weight' has 648 bytes, its shape asks for 432",
    )
    yield imported(
        "NaN",
        with_tensor(first, [6, 3, 3, 3], small.floats(161) + small.array.array("f", [math.nan])),
        "'features.0.weight' holds a NaN or infinity",
    )
    yield imported(
        "infinity",
        with_tensor(first, [6, 3, 3, 3], small.floats(161) + small.array.array("f", [math.inf])),
        "'features.0.weight' holds a NaN or infinity",
    )
    yield imported(
        "a missing tensor", without_tensor("features.3.bias"), "'features.3.bias' [8] is missing"
    )
    yield imported(
        "no known tensor",
        small.safetensors({"x": ([1], small.floats(1))}),
        "'features.0.weight' [any, 3, 3, 3] is missing",
    )
    yield imported(
        "a kernel of 5x5",
        with_tensor(first, [6, 3, 5, 5], small.floats(450)),
        "has shape [6, 3, 5, 5], expected is [any, 3, 3, 3]",
    )
    yield imported(
        "channels that do not fit",
        with_tensor("features.3.weight", [8, 5, 3, 3], small.floats(360)),
        "has shape [8, 5, 3, 3], expected is [any, 6, 3, 3]",
    )
    yield imported(
        "a bias of another length",
        with_tensor("features.0.bias", [7], small.floats(7)),
        "has shape [7], expected is [6]",
    )


# Tuples in tuples.
DEEP = b"\x80\x02" + b"(" * 100000 + b"t" * 100000 + b"."
# A list that contains itself.
CYCLIC = b"\x80\x02]q\0h\0a."
# What os.system would do, if pickles were obeyed.
COMMAND = b"cos\nsystem\n(S'touch obeyed'\ntR."


def pth_cases():
    state, storages = small.state_dict(small.weights())
    legacy, zipped = small.legacy(state, storages), small.zipped(state, storages)
    head = legacy[: legacy.index(b"}(")]

    def archive(pickled, others=None):
        entries = [("archive/data.pkl", pickled), ("archive/version", b"3\n")]
        others = storages if others is None else others
        return small.zip_file(entries + [(f"archive/data/{k}", v) for k, v in others.items()])

    def one(value, content=bytes(16)):
        return archive(small.pickle_of({"features.0.weight": value}), {"0": content})

    four = small.Storage("0", 4)
    yield imported(
        "pth: a command", archive(COMMAND), "file: it asks for os.system, which is not run"
    )
    yield imported(
        "pth: a command, legacy",
        small.pickle.dumps(0x1950A86A20F9469CFC6C, 2) + small.pickle.dumps(1001, 2) + COMMAND,
        "file: it asks for os.system, which is not run",
    )
    yield imported("pth: a bare command", COMMAND, "file: it is of an unknown kind")
    yield imported(
        "pth: eval",
        archive(small.pickle_of(small.Call(small.Global("builtins", "eval"), "1"))),
        "file: it asks for builtins.eval, which is not run",
    )
    yield imported("pth: a cycle", archive(CYCLIC), "file: it holds no dictionary of tensors")
    yield imported("pth: deep", archive(DEEP), "file: it holds no dictionary of tensors")
    yield imported(
        "pth: a pickle without an end",
        archive(b"\x80\x02}("),
        "file: the pickle is damaged: it ends early",
    )
    yield imported(
        "pth: an empty pickle", archive(b""), "file: the pickle is damaged: it ends early"
    )
    yield imported(
        "pth: protocol 200", archive(b"\x80\xc8}."), "protocol 200; 2 to 5 are supported"
    )
    yield imported(
        "pth: an unknown operation", archive(b"\x80\x02\xff."), "operation 0xff at byte 2"
    )
    yield imported("pth: an empty stack", archive(b"\x80\x02t."), "a mark is missing")
    yield imported(
        "pth: a text of 4 GB", archive(b"\x80\x02X\xff\xff\xff\xffabc."), "it ends early"
    )
    yield imported(
        "pth: a number, no weights",
        archive(small.pickle_of(7)),
        "file: it holds no dictionary of tensors",
    )
    yield imported(
        "pth: a storage that is not there",
        archive(small.pickle_of(state), {}),
        "more bytes than the file; is it cut?",
    )
    yield imported(
        "pth: a storage that is too short",
        archive(small.pickle_of(state), {k: v[:-4] for k, v in storages.items()}),
        "storage '0' has another size than its tensors say",
    )
    yield imported(
        "pth: strides beyond the storage",
        one(small.tensor(four, [2, 2], [100, 1])),
        "'features.0.weight' reaches beyond its storage of 4 numbers",
    )
    yield imported(
        "pth: negative strides", one(small.tensor(four, [2, 2], [-2, 1])), "negative size or stride"
    )
    yield imported(
        "pth: an offset beyond the storage",
        one(small.tensor(four, [4], None, 1)),
        "reaches beyond its storage of 4 numbers",
    )
    yield imported(
        "pth: a shape that overflows",
        one(small.tensor(four, [1 << 40, 1 << 40])),
        "'features.0.weight' is too large",
    )
    yield imported("pth: a thousand sides", one(small.tensor(four, [1] * 1000)), "1000 dimensions")
    yield imported(
        "pth: quantised numbers",
        one(small.tensor(small.Storage("0", 4, "QInt8Storage"), [4])),
        "torch.QInt8Storage",
    )
    yield imported(
        "pth: an archive without pickle",
        small.zip_file([("archive/version", b"3\n")]),
        "has no 'data.pkl'",
    )
    yield imported("pth: an empty archive", small.zip_file([]), "file: it is of an unknown kind")
    yield imported("pth: an archive cut short", zipped[:-30], "Not a zip archive (is it cut?)")
    yield imported(
        "pth: damaged content",
        zipped.replace(storages["0"][:8], b"\0" * 8, 1),
        "entry 'archive/data/0' of the archive is damaged",
    )
    bomb = small.zip_file([("archive/data.pkl", bytes(200 << 20))], compressed=True)
    yield imported(
        "pth: a compressed bomb", bomb, "is compressed; torch.save stores its entries as they are"
    )
    yield imported("pth: legacy, cut short", legacy[:-1], "file: the file is cut")
    yield imported("pth: legacy, head alone", head, "it ends early")
    yield imported(
        "pth: legacy, keys that are not there",
        small.legacy(state, storages, ["7"]),
        "its list of storages does not match its tensors",
    )
    yield imported(
        "pth: legacy, a key that is there twice",
        small.legacy(state, storages, ["0", "0", "2", "3"]),
        "storage '0' is listed twice",
    )
    yield imported(
        "pth: legacy, a count that overflows",
        legacy.replace(struct.pack("<q", 162), struct.pack("<q", 1 << 61), 1),
        "storage '0' has another size",
    )


def other_cases():
    good = small.safetensors(small.weights())
    yield imported(
        "an unknown architecture",
        good,
        "'resnet18' is no known architecture",
        2,
        ["--arch", "resnet18"],
    )
    yield imported(
        "another architecture",
        good,
        "'_conv_stem.weight' [32, 3, 3, 3] is missing",
        3,
        ["--arch", "efficientnet-lite0"],
    )

    def missing(folder, world):
        return ["import", "nothing.pth", "-o", "expert", *ARCH]

    yield Case(
        "weights: missing", missing, 3, "nothing.pth: cannot open: No such file or directory"
    )

    def directory(folder, world):
        (folder / "weights").mkdir()
        return ["import", "weights", "-o", "expert", *ARCH]

    yield Case("weights: a folder", directory, 3, "weights: is a folder, not a file")

    def nowhere(folder, world):
        write(folder / "file", good)
        return ["import", "file", "-o", "no/where", *ARCH]

    yield Case(
        "weights: into a folder that is not there",
        nowhere,
        3,
        "no/where: cannot write to the folder no: No such file or directory",
    )

    def onto_folder(folder, world):
        write(folder / "file", good)
        (folder / "there").mkdir()
        return ["import", "file", "-o", "there", *ARCH]

    yield Case("weights: onto a folder", onto_folder, 3, "there: is a folder; name a file in it")

    def unreadable(folder, world):
        write(folder / "file", good).chmod(0)
        return ["import", "file", "-o", "expert", *ARCH]

    if os.geteuid() != 0:
        yield Case("weights: unreadable", unreadable, 3, "file: cannot open: Permission denied")


def cases():
    yield from safetensors_cases()
    yield from pth_cases()
    yield from other_cases()
