"""A table of hostile inputs: what a case is, and the good files that all cases start from."""

import copy
import dataclasses
import json
import pathlib
import struct
import typing

import small


@dataclasses.dataclass
class Case:
    """`make` writes files into an empty folder, which is then the current one, and returns the
    command line; `says` is a part of what goes to standard error, or of standard output if the
    status is 0."""

    name: str
    make: typing.Callable
    status: int
    says: str
    stdin: bytes = b""


class World:
    """Small good files, made by the program."""

    def __init__(self, folder, run):
        self.folder, self.run = folder, run
        weights = folder / "weights"
        weights.write_bytes(small.safetensors(small.weights()))
        self.expert = folder / "expert.safetensors"
        run("import", weights, "-o", self.expert, "--arch", "vgg11")
        self.recipe = folder / "recipe.json"
        self.recipe.write_text(json.dumps(small.RECIPE))
        self.data = folder / "data"
        small.make_category(self.data)
        self.image = self.data / "test/good/0.png"
        self.model = folder / "model.mkd"
        run(*self.training(self.data, self.model))

    def training(self, data, model, *more):
        return [
            "train",
            data,
            "-o",
            model,
            "--recipe",
            self.recipe,
            "--expert",
            self.expert,
            "-q",
            *more,
        ]


def write(path, content):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read_safetensors(content):
    """Header, as a dictionary, and data."""
    length = struct.unpack_from("<Q", content)[0]
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def changed_safetensors(content, change):
    """The file with its header changed: `change` gets a copy and may return another one."""
    header, data = read_safetensors(content)
    header = copy.deepcopy(header)
    return small.safetensors_bytes(change(header) or header, data)
