"""Networks as mkd keeps them in safetensors files: a flat list of operations and their weights."""

import json

from safetensors import safe_open
from safetensors.numpy import save_file


class Op:
    """One operation; `sources` are indices of operations, 0 is the input."""

    def __init__(self, description):
        sources = description["src"]
        self.kind = description["op"]
        self.sources = sources if isinstance(sources, list) else [sources]
        self.name = description.get("name")
        self.description = description

    def __getattr__(self, key):
        try:
            return self.description[key]
        except KeyError:
            raise AttributeError(key) from None


class Graph:
    def __init__(self, channels, ops, tensors):
        """ops[0] is operation 1. `tensors` are numpy arrays, "<operation>.weight" and the like."""
        self.channels, self.ops, self.tensors = channels, [None] + ops, tensors

    def label(self, index):
        return self.ops[index].name or f"op{index}"

    def tensor(self, index, suffix):
        """Weights of convolutions are [channels][sources][kernel][kernel]."""
        array = self.tensors[f"{self.label(index)}.{suffix}"]
        return array.transpose(3, 2, 0, 1).copy() if array.ndim == 4 else array

    def find(self, name):
        return next(i for i, op in enumerate(self.ops) if op and op.name == name)

    def needed(self, outputs):
        """Indices of the operations that the named outputs need, in order."""
        needed, stack = set(), [self.find(name) for name in outputs]
        while stack:
            index = stack.pop()
            if index and index not in needed:
                needed.add(index)
                stack += self.ops[index].sources
        return sorted(needed)

    def consumers(self, index, among):
        return [i for i in among if index in self.ops[i].sources]

    def shapes(self, side):
        """(channels, side) of every operation's output for a square input."""
        shapes = [(self.channels, side)]
        for op in self.ops[1:]:
            channels, size = shapes[op.sources[0]]
            if op.kind == "conv":
                top, bottom = padding(op, size)
                channels, size = op.channels, (size + top + bottom - op.kernel) // op.stride + 1
            elif op.kind == "max_pool":
                size = (size - op.kernel) // op.stride + 1
            shapes.append((channels, size))
        return shapes


def padding(op, size):
    """(before, after) along an axis of the convolution's input."""
    if op.pad != "same":
        return op.pad, op.pad
    total = max((-(-size // op.stride) - 1) * op.stride + op.kernel - size, 0)
    return total // 2, total - total // 2


def load(path, prefix=""):
    with safe_open(path, framework="np") as file:
        text = json.loads(file.metadata()[prefix + "graph"])
        tensors = {
            key[len(prefix) :]: file.get_tensor(key)
            for key in file.keys()
            if key.startswith(prefix)
        }
    return Graph(text["input"], [Op(op) for op in text["ops"]], tensors)


def metadata(path, key):
    with safe_open(path, framework="np") as file:
        return json.loads(file.metadata()[key])


def tensor(path, name):
    with safe_open(path, framework="np") as file:
        return file.get_tensor(name)


def save_layer(path, weights, bias):
    """A file with a single 3x3 convolution, called "layer"."""
    channels, sources = weights.shape[:2]
    op = {
        "op": "conv",
        "src": 0,
        "name": "layer",
        "channels": channels,
        "kernel": 3,
        "stride": 1,
        "groups": 1,
        "pad": 1,
        "bias": True,
    }
    text = json.dumps({"input": sources, "ops": [op]})
    kernel = weights.transpose(2, 3, 1, 0).copy()
    save_file({"layer.weight": kernel, "layer.bias": bias}, path, metadata={"graph": text})
