"""Model, expert and recipe files that are damaged or taken for each other."""

import json
import struct

import small
from hostile import Case, changed_safetensors, read_safetensors, write

# Places of a model file: name -> where, of its length, header length and header.
CUTS = {
    "before everything": lambda size, header: 0,
    "in the length of its header": lambda size, header: 7,
    "behind the length of its header": lambda size, header: 8,
    "in its header": lambda size, header: 8 + header // 2,
    "behind its header": lambda size, header: 8 + header,
    "in its data": lambda size, header: (8 + header + size) // 2,
    "before its last byte": lambda size, header: size - 1,
}


BEHIND_HEADER = ["behind its header", "in its data", "before its last byte"]


def opened(name, change, says, verb="score"):
    """`change` makes a bad file of the bytes of a good model."""

    def make(folder, world):
        write(folder / "model", change(world.model.read_bytes()))
        return {
            "score": ["score", "model", world.image],
            "info": ["info", "model"],
            "eval": ["eval", "model", world.data],
            "calibrate": ["calibrate", "model", world.data / "train/good", "-o", "other"],
            "bench": ["bench", "model", world.image],
        }[verb]

    return Case(f"model: {name}, {verb}", make, 3, says)


def cut(place):
    def change(content):
        header = struct.unpack_from("<Q", content)[0]
        return content[: CUTS[place](len(content), header)]

    return change


def metadata(**fields):
    """Metadata changed; None removes a field."""

    def apply(header):
        for key, value in fields.items():
            if value is None:
                del header["__metadata__"][key]
            else:
                header["__metadata__"][key] = value

    return lambda content: changed_safetensors(content, apply)


def field(key, name, value):
    """One field changed of the JSON that a metadata field holds."""

    def apply(header):
        inner = json.loads(header["__metadata__"][key])
        inner[name] = value
        header["__metadata__"][key] = json.dumps(inner)

    return lambda content: changed_safetensors(content, apply)


def operation(kind, source):
    return {"op": kind, "src": source, "name": "a"}


def without(part):
    """Without the first tensor whose name contains `part`."""

    def apply(header):
        for name in header:
            if part in name and name != "__metadata__":
                header["gone"] = header.pop(name)
                return

    return lambda content: changed_safetensors(content, apply)


def with_numbers(part, pattern):
    """The first tensor whose name contains `part` filled with four bytes again and again."""

    def change(content):
        header, data = read_safetensors(content)
        for name, entry in header.items():
            if part in name and name != "__metadata__":
                begin, end = entry["data_offsets"]
                data = data[:begin] + pattern * ((end - begin) // 4) + data[end:]
                return small.safetensors_bytes(header, data)
        raise KeyError(part)

    return change


NAN, INFINITY = struct.pack("<f", float("nan")), struct.pack("<f", float("inf"))


def cases():
    for place in CUTS:
        says = "is the file cut?" if place in BEHIND_HEADER else "is not a model of mkd"
        yield opened(f"cut {place}", cut(place), says)
    for verb in ["info", "eval", "calibrate", "bench"]:
        yield opened("cut in its data", cut("in its data"), "is the file cut?", verb)
    yield opened("trailing bytes", lambda c: c + b"x", "model: 1 bytes after the last tensor")
    yield opened("a text", lambda c: b"model", "model: is not a model of mkd")
    pointer = b"version https://git-lfs.github.com/spec/v1\n"
    yield opened("a Git LFS pointer", lambda c: pointer, "model: is a Git LFS pointer")
    yield opened("HTML", lambda c: b"\n<!doctype html>", "model: is an HTML page")
    yield opened("zeros", lambda c: bytes(len(c)), "model: is not a model of mkd")
    yield opened(
        "a header that is a list",
        lambda c: small.safetensors_bytes(b"[]", b""),
        "model: is not a model of mkd",
    )
    yield opened(
        "a newer version",
        metadata(mkd_model="1000"),
        "is a model of format version 1000; this mkd reads version 2",
    )
    yield opened("no version", metadata(mkd_model=None), "model: is not a model of mkd")
    yield opened(
        "a version that is no number", metadata(mkd_model="new"), "is a model of format version new"
    )
    yield opened("no recipe", metadata(recipe=None), "metadata 'recipe' is missing")
    yield opened(
        "a recipe that is none",
        metadata(recipe="[]"),
        "metadata 'recipe': not a recipe: no JSON object",
    )
    yield opened(
        "a recipe cut short",
        metadata(recipe='{"name":'),
        "metadata 'recipe': not a recipe: not valid JSON",
    )
    for part in ["cloner", "expert", "target_deviation"]:
        yield opened(f"without a tensor of {part}", without(part), "is missing")
        yield opened(f"NaN in {part}", with_numbers(part, NAN), "holds a NaN or infinity")
    yield opened(
        "a deviation of nothing",
        with_numbers("target_deviation", bytes(4)),
        "'target_deviation.pool1' is not positive",
    )
    for key in ["input", "calibration", "expert.graph", "cloner.graph"]:
        yield opened(f"no {key}", metadata(**{key: None}), f"'{key}'")
        yield opened(f"{key} of another kind", metadata(**{key: "7"}), "not valid JSON, line 1")
    for key, name, value, says in [
        ("input", "width", 0, "'width' is 0, not in 1 .. 8192"),
        ("input", "width", 10**9, "not in 1 .. 8192"),
        ("calibration", "false_alarm", 2, "'false_alarm' is 2, not in"),
        ("calibration", "localize", "by hand", "'localize' is no known method"),
        ("calibration", "scores", [], "'scores' is missing, empty or too long"),
        ("calibration", "scores", [2, 1], "'scores' are not in ascending order"),
        ("calibration", "scores", ["high"], "number 1 of 'scores' is not one"),
        ("recipe", "batch", 0, "batch = '0' cannot be"),
        ("recipe", "bach", 4, "a recipe has no key 'bach'"),
        ("expert.graph", "input", 0, "input channels is 0, it has to be 1 to 65536"),
        ("expert.graph", "ops", [], "'pool1' is missing in 'expert.graph'"),
        ("cloner.graph", "ops", [operation("magic", 0)], '"op" is "magic", which is not known'),
        ("cloner.graph", "ops", [operation("relu", 1)], "reads operation 1, there are 1 before it"),
        ("cloner.graph", "ops", [operation("relu", -1)], '"src" has to name one operation'),
        ("cloner.graph", "ops", [operation("relu", 0)] * 100000, "two operations are named 'a'"),
    ]:
        title = str(value) if len(str(value)) < 60 else "too long"
        yield opened(f"{key}: {name} {title}", field(key, name, value), says)
    yield opened("infinity in cloner", with_numbers("cloner", INFINITY), "holds a NaN or infinity")

    def expert(folder, world):
        return ["score", world.expert, world.image]

    yield Case("model: an expert", expert, 3, "expert.safetensors: is not a model of mkd")

    def recipe(folder, world):
        return ["score", world.recipe, world.image]

    yield Case("model: a recipe", recipe, 3, "recipe.json: is not a model of mkd")

    def picture(folder, world):
        return ["score", world.image, world.image]

    yield Case("model: an image", picture, 3, "0.png: is not a model of mkd")

    def directory(folder, world):
        return ["score", world.data, world.image]

    yield Case("model: a folder", directory, 3, "data: is a folder, not a file")

    def missing(folder, world):
        return ["score", "nothing.mkd", world.image]

    yield Case("model: missing", missing, 3, "nothing.mkd: cannot open: No such file or directory")

    def other(folder, world):
        write(folder / "notes.json", json.dumps({"a": 1}))
        return ["info", "notes.json"]

    yield Case("model: some JSON, info", other, 3, "notes.json: a recipe has no key 'a'")

    def model_as_expert(folder, world):
        return ["train", world.data, "-o", "out", "--recipe", world.recipe, "--expert", world.model]

    yield Case(
        "expert: a model", model_as_expert, 3, "model.mkd: is a safetensors file, but no expert"
    )

    def cut_expert(folder, world):
        write(folder / "expert", world.expert.read_bytes()[:-1])
        return ["train", world.data, "-o", "out", "--recipe", world.recipe, "--expert", "expert"]

    yield Case("expert: cut short", cut_expert, 3, "is the file cut?")
