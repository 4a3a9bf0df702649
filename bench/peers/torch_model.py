"""Networks as PyTorch modules."""

import torch
import torch.nn.functional as F
from torch import nn

from .graph import padding


def make_conv(graph, index):
    op = graph.ops[index]
    weight = torch.from_numpy(graph.tensor(index, "weight"))
    conv = nn.Conv2d(
        weight.shape[1] * op.groups,
        op.channels,
        op.kernel,
        op.stride,
        0 if op.pad == "same" else op.pad,
        groups=op.groups,
        bias=op.bias,
    )
    with torch.no_grad():
        conv.weight.copy_(weight)
        if op.bias:
            conv.bias.copy_(torch.from_numpy(graph.tensor(index, "bias")))
    return conv


def make_batch_norm(graph, index):
    op = graph.ops[index]
    arrays = [
        graph.tensor(index, name) for name in ("weight", "bias", "running_mean", "running_var")
    ]
    norm = nn.BatchNorm2d(arrays[0].size, eps=op.epsilon, momentum=op.momentum)
    with torch.no_grad():
        targets = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
        for target, array in zip(targets, arrays):
            target.copy_(torch.from_numpy(array))
    return norm


MAKE = {
    "conv": make_conv,
    "batch_norm": make_batch_norm,
    "relu": lambda graph, index: nn.ReLU(),
    "relu6": lambda graph, index: nn.ReLU6(),
    "max_pool": lambda graph, index: nn.MaxPool2d(graph.ops[index].kernel, graph.ops[index].stride),
}


class Network(nn.Module):
    """Gives the activations at the named outputs, in that order."""

    def __init__(self, graph, outputs, side):
        super().__init__()
        self.outputs = [graph.find(name) for name in outputs]
        self.parts, self.plan = nn.ModuleList(), []
        shapes = graph.shapes(side)
        needed = graph.needed(outputs)
        for index in needed:
            op, pads = graph.ops[index], None
            if op.kind == "conv" and op.pad == "same":
                before, after = padding(op, shapes[op.sources[0]][1])
                pads = (before, after, before, after)
            part = None
            if op.kind != "add":
                self.parts.append(MAKE[op.kind](graph, index))
                part = len(self.parts) - 1
            if pads and pads[0] == pads[1]:
                self.parts[part].padding = (pads[0], pads[0])
                pads = None
            if op.kind in ("relu", "relu6"):
                self.parts[part].inplace = (
                    len(graph.consumers(op.sources[0], needed)) == 1
                    and op.sources[0] not in self.outputs
                )
            self.plan.append((index, op.sources, part, pads))

    def forward(self, x):
        values = {0: x}
        for index, sources, part, pads in self.plan:
            value = values[sources[0]]
            if part is None:
                value = value + values[sources[1]]
            else:
                value = self.parts[part](F.pad(value, pads) if pads else value)
            values[index] = value
        return [values[index] for index in self.outputs]
