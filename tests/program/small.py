"""Small files of every kind that the program reads, made with Python's standard library alone: a
training with them takes milliseconds. Images in formats that the library does not have are taken
from the fixtures of the unit tests."""

import array
import json
import pathlib
import pickle
import random
import struct
import zlib

FIXTURES = pathlib.Path(__file__).resolve().parents[1] / "fixtures"

# What makes the default recipe one for the small expert.
RECIPE = {
    "name": "small",
    "input_width": 24,
    "input_height": 16,
    "critical_points": ["pool1", "relu2_1"],
    "cloner": "conv 3x3/2 6 bn relu; keep a; conv 1x1 expert bias; point pool1; "
    "from a; conv 3x3 10 bn relu6; conv 1x1 expert bias; point relu2_1",
    "batch": 4,
    "epochs": "3",
    "copies": 1,
    "contrast_below": 0,
    "learning_rate": 0.01,
}

# ---- Weights -------------------------------------------------------------------------------------


def floats(count, seed=1):
    generator = random.Random(seed)
    return array.array("f", (generator.uniform(-0.4, 0.4) for _ in range(count)))


def weights():
    """The first two convolutions of a VGG-11 that is narrower than the real one: name -> (shape,
    numbers)."""
    shapes = {
        "features.0.weight": [6, 3, 3, 3],
        "features.0.bias": [6],
        "features.3.weight": [8, 6, 3, 3],
        "features.3.bias": [8],
    }
    made = {}
    for seed, (name, shape) in enumerate(shapes.items()):
        count = 1
        for size in shape:
            count *= size
        made[name] = (shape, floats(count, seed))
    return made


def safetensors_bytes(header, content):
    text = json.dumps(header).encode() if isinstance(header, dict) else header
    return struct.pack("<Q", len(text)) + text + content


def safetensors(tensors, metadata=None):
    header, content = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for name, (shape, numbers) in tensors.items():
        data = numbers.tobytes()
        offsets = [len(content), len(content) + len(data)]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": offsets}
        content += data
    return safetensors_bytes(header, content)


class Global:
    """Pickled as the global `module.name`, whatever that is."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Call:
    """Pickled as a call of a Global."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments


class Storage:
    def __init__(self, key, count, kind="FloatStorage"):
        self.key, self.count, self.kind = key, count, kind


class Writer:
    """Pickles (protocol 2) of plain values and of the classes above."""

    def __init__(self, legacy):
        self.out, self.legacy = bytearray(b"\x80\x02"), legacy

    def put(self, value):
        if isinstance(value, Global):
            self.out += b"c" + f"{value.module}\n{value.name}\n".encode()
        elif isinstance(value, Call):
            self.put(value.function)
            self.put(tuple(value.arguments))
            self.out += b"R"
        elif isinstance(value, Storage):
            identifier = ("storage", Global("torch", value.kind), value.key, "cpu", value.count)
            self.put(identifier + (None,) if self.legacy else identifier)
            self.out += b"Q"
        elif isinstance(value, tuple):
            self.out += b"("
            for item in value:
                self.put(item)
            self.out += b"t"
        elif isinstance(value, dict):
            self.out += b"}("
            for key, item in value.items():
                self.put(key)
                self.put(item)
            self.out += b"u"
        else:  # a plain value, without its protocol and stop
            self.out += pickle.dumps(value, 2)[2:-1]

    def bytes(self, value):
        self.put(value)
        return bytes(self.out) + b"."


def pickle_of(value, legacy=False):
    return Writer(legacy).bytes(value)


def tensor(storage, shape, strides=None, offset=0):
    if strides is None:
        strides, step = [], 1
        for size in reversed(shape):
            strides.insert(0, step)
            step *= size
    rebuild = Global("torch._utils", "_rebuild_tensor_v2")
    return Call(rebuild, storage, offset, tuple(shape), tuple(strides), False, {})


def state_dict(tensors):
    """The value that torch.save would pickle, and the content of its storages."""
    state, storages = {}, {}
    for i, (name, (shape, numbers)) in enumerate(tensors.items()):
        state[name] = tensor(Storage(str(i), len(numbers)), shape)
        storages[str(i)] = numbers.tobytes()
    return state, storages


def legacy(state, storages, keys=None):
    """A file of torch.save in the format before PyTorch 1.6."""
    info = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    out = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps(info, 2)
    out += pickle_of(state, legacy=True)
    out += pickle.dumps(sorted(storages) if keys is None else keys, 2)
    for key in sorted(storages):
        out += struct.pack("<q", len(storages[key]) // 4) + storages[key]
    return out


def zip_file(entries, compressed=False):
    """A zip archive whose entries are stored as they are: bytes of (name, content) pairs."""
    out, directory = b"", b""
    for name, content in entries:
        data = zlib.compress(content)[2:-4] if compressed else content
        method = 8 if compressed else 0
        fields = struct.pack(
            "<HHHHHIIIHH", 20, 0, method, 0, 33, zlib.crc32(content), len(data), len(content),
            len(name), 0,
        )
        directory += b"PK\1\2\x14\0" + fields + struct.pack("<HHHII", 0, 0, 0, 0, len(out))
        directory += name.encode()
        out += b"PK\3\4" + fields + name.encode() + data
    end = struct.pack("<HHHHIIH", 0, 0, len(entries), len(entries), len(directory), len(out), 0)
    return out + directory + b"PK\5\6" + end


def zipped(state, storages, compressed=False):
    """A file of torch.save in the format of today."""
    entries = [("archive/data.pkl", pickle_of(state)), ("archive/version", b"3\n")]
    entries += [(f"archive/data/{key}", content) for key, content in storages.items()]
    return zip_file(entries, compressed)


# ---- Images --------------------------------------------------------------------------------------


def fixture_images():
    """The image files of tests/fixtures/make_images.py: name -> (bytes, whether it is a good one)."""
    data = (FIXTURES / "images.bin").read_bytes()
    at, images = 0, {}
    while at < len(data):
        length = struct.unpack_from("<H", data, at)[0]
        name = data[at + 2 : at + 2 + length].decode()
        at += 2 + length
        kind = data[at]
        size = struct.unpack_from("<I", data, at + 6)[0]
        images[name] = (data[at + 10 : at + 10 + size], kind != 255)
        at += 10 + size
        at += 4 + struct.unpack_from("<I", data, at)[0]
    return images


def png_chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(
        ">I", zlib.crc32(kind + content)
    )


def png(width, height, rows, colour=0, bits=8):
    """`rows`: the packed bytes of all rows, without filter bytes."""
    size = len(rows) // height if height else 0
    raw = b"".join(b"\0" + rows[y * size : (y + 1) * size] for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    body = png_chunk(b"IHDR", head) + png_chunk(b"IDAT", zlib.compress(raw, 1))
    return b"\x89PNG\r\n\x1a\n" + body + png_chunk(b"IEND", b"")


def pgm(width, height, pixels):
    return b"P5\n%d %d\n255\n" % (width, height) + pixels


def noise(count, seed):
    return bytes(random.Random(seed).choices(range(90, 140), k=count))


def grey_png(width=24, height=16, seed=0):
    return png(width, height, noise(width * height, seed))


def make_category(folder, count=6):
    """A data set in MVTec AD layout: train/good, test/good, test/dent with masks."""
    for part in ["train/good", "test/good", "test/dent", "ground_truth/dent"]:
        (folder / part).mkdir(parents=True)
    for i in range(count):
        (folder / "train/good" / f"{i}.png").write_bytes(grey_png(seed=i))
    for i in range(2):
        (folder / "test/good" / f"{i}.png").write_bytes(grey_png(seed=100 + i))
        dented = bytearray(noise(24 * 16, 200 + i))
        mask = bytearray(24 * 16)
        for at in [3 * 24 + 5, 3 * 24 + 6, 4 * 24 + 5, 4 * 24 + 6]:
            dented[at], mask[at] = 250, 255
        (folder / "test/dent" / f"{i}.png").write_bytes(png(24, 16, bytes(dented)))
        (folder / "ground_truth/dent" / f"{i}_mask.png").write_bytes(png(24, 16, bytes(mask)))
