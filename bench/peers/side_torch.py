"""PyTorch's side, with the method written as its authors' users write it.

python -m peers.side_torch forward GRAPH OUTPUT INPUT RESULT SIDE BATCH THREADS
python -m peers.side_torch cloner CLONER INPUT TARGETS RESULT SIDE BATCH THREADS
python -m peers.side_torch epoch EXPERT CLONER IMAGES COUNT SIDE THREADS
python -m peers.side_torch localize MODEL IMAGE RESULT SIDE THREADS
"""

import sys

import numpy
import torch
import torch.nn.functional as F

from . import graph
from .arrays import read_nchw, write_nchw
from .serve import serve
from .torch_model import Network

POINTS = ["pool2", "pool3", "pool4", "pool5"]
CHECKED_STEPS = 3
BATCH = 64


def forward(path, output, data, result, side, batch):
    network = Network(graph.load(path), [output], side).eval()
    x = torch.from_numpy(read_nchw(data, batch, side))
    with torch.inference_mode():
        write_nchw(result, network(x)[0].numpy())
        serve(lambda: network(x))


def terms(targets, clones):
    """The two terms of the paper's loss, means over the batch."""
    val = sum(F.mse_loss(c, t) for t, c in zip(targets, clones))
    direction = sum(
        (1 - F.cosine_similarity(t.flatten(1), c.flatten(1))).mean()
        for t, c in zip(targets, clones)
    )
    return val, direction


class Trainer:
    def __init__(self, cloner):
        self.cloner = cloner.train()
        self.optimizer = torch.optim.Adam(cloner.parameters(), lr=1e-3)
        self.weight = None

    def step(self, x, targets):
        val, direction = terms(targets, self.cloner(x))
        if self.weight is None:
            self.weight = (val / direction).item()
        loss = val + self.weight * direction
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()


def read_targets(path, cloner, batch, side):
    values, targets, begin = numpy.fromfile(path, numpy.float32), [], 0
    shapes = cloner.shapes(side)
    for name in POINTS:
        channels, size = shapes[cloner.find(name)]
        end = begin + batch * channels * size * size
        activation = values[begin:end].reshape(batch, size, size, channels)
        targets.append(torch.from_numpy(activation.transpose(0, 3, 1, 2).copy()))
        begin = end
    return targets


def cloner_steps(path, data, targets, result, side, batch):
    cloner = graph.load(path)
    trainer = Trainer(Network(cloner, POINTS, side))
    x = torch.from_numpy(read_nchw(data, batch, side))
    targets = read_targets(targets, cloner, batch, side)
    losses = [trainer.step(x, targets) for _ in range(CHECKED_STEPS)]
    numpy.array(losses, numpy.float32).tofile(result)
    serve(lambda: trainer.step(x, targets))


def read_images(path, count, side):
    rgb = numpy.fromfile(path, numpy.uint8).reshape(count, side, side, 3)
    return torch.from_numpy(rgb.transpose(0, 3, 1, 2).astype(numpy.float32) / 255)


def epochs(expert, cloner, images, count, side):
    """The authors' way: the expert runs in every step, and its activations are part of what is
    differentiated."""
    expert = Network(graph.load(expert), POINTS, side).eval()
    trainer = Trainer(Network(graph.load(cloner), POINTS, side))
    x = read_images(images, count, side)
    trainer.step(x[:8], expert(x[:8]))  # to warm up

    def epoch():
        for items in torch.randperm(count).split(BATCH):
            trainer.step(x[items], expert(x[items]))

    serve(epoch)


def smooth(plane, sigma):
    """Gaussian of scipy.ndimage's default radius and border."""
    radius = int(4 * sigma + 0.5)
    weights = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    weights = (weights / weights.sum()).reshape(1, 1, 1, -1)
    for _ in range(2):
        edges = torch.cat([plane[:, :radius].flip(1), plane, plane[:, -radius:].flip(1)], 1)
        plane = F.conv2d(edges[None, None], weights)[0, 0].T
    return plane


def dilate(plane):
    wide = F.max_pool2d(plane[None, None], (1, 3), 1, (0, 1))[0, 0]
    return torch.maximum(wide, F.max_pool2d(plane[None, None], (3, 1), 1, (1, 0))[0, 0])


def opened(plane):
    return dilate(-dilate(-plane))


def localize(model, image, result, side):
    """Gradient of the loss through both networks, Gaussian, opening."""
    expert = Network(graph.load(model, "expert."), POINTS, side).eval()
    cloner = Network(graph.load(model, "cloner."), POINTS, side).eval()
    provenance = graph.metadata(model, "provenance")
    weights = provenance["weight_val"], provenance["weight_dir"]
    image = read_images(image, 1, side)

    def run():
        x = image.clone().requires_grad_()
        loss = sum(w * t for w, t in zip(weights, terms(expert(x), cloner(x))))
        loss.backward()
        return opened(smooth(x.grad[0].abs().sum(0), 4))

    run().numpy().tofile(result)
    serve(run)


MODES = {"forward": forward, "cloner": cloner_steps, "epoch": epochs, "localize": localize}


def main(mode, *arguments):
    *arguments, threads = [int(a) if a.isdigit() else a for a in arguments]
    torch.set_num_threads(threads)
    MODES[mode](*arguments)


main(*sys.argv[1:])
