"""The default recipe in PyTorch, written as a user would write it: from a folder of at least 200
normal images (fewer need warped copies, which are left out here) to a cloner with the calibration
of its score.

python -m peers.torch_train EXPERT IMAGES EPOCHS THREADS OUTPUT
"""

import pathlib
import sys

import numpy
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from . import graph
from .torch_model import Network

SIDE, BATCH, LEARNING_RATE, HELD_OUT, CONTRAST_BELOW = 256, 16, 1e-3, 0.2, 128
POINTS, CHANNELS = ["block10", "block15"], [112, 320]


def block(sources, channels, kernel, stride):
    return [
        nn.Conv2d(sources, channels, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    ]


class Cloner(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(
            *block(3, 32, 7, 4),
            *block(32, 48, 3, 2),
            *block(48, 48, 3, 1),
            *block(48, 64, 3, 2),
            *block(64, 64, 3, 1),
            *block(64, 64, 3, 1),
        )
        self.second = nn.Sequential(
            *block(64, 96, 3, 2), *block(96, 96, 3, 1), *block(96, 96, 3, 1)
        )
        self.heads = nn.ModuleList([nn.Conv2d(64, CHANNELS[0], 1), nn.Conv2d(96, CHANNELS[1], 1)])

    def forward(self, x):
        middle = self.first(x)
        return [self.heads[0](middle), self.heads[1](self.second(middle))]


def read_images(folder):
    """Grey levels, uint8 [images][3][side][side]."""
    images = []
    for path in sorted(pathlib.Path(folder).iterdir()):
        image = Image.open(path).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        images.append(torch.from_numpy(numpy.array(image)).permute(2, 0, 1))
    return torch.stack(images)


class Input:
    """From grey levels to what the networks see; low contrast is stretched."""

    def __init__(self, images):
        low, high = numpy.percentile(images.numpy(), [1, 99])
        self.low, self.high = (low, high) if high - low < CONTRAST_BELOW else (0, 255)

    def __call__(self, images):
        levels = ((images.float() - self.low) * (255 / (self.high - self.low))).clamp(0, 255)
        return (levels - 127) / 128


def compute_targets(expert, images, prepare):
    targets = [[], []]
    with torch.inference_mode():
        for batch in images.split(BATCH):
            for kept, activation in zip(targets, expert(prepare(batch))):
                kept.append(activation.half())
    return [torch.cat(kept) for kept in targets]


def terms(targets, clones):
    val = sum(F.mse_loss(c, t) for t, c in zip(targets, clones))
    direction = sum(
        (1 - F.cosine_similarity(t.flatten(1), c.flatten(1))).mean()
        for t, c in zip(targets, clones)
    )
    return val, direction


def train(cloner, images, prepare, load_targets, epochs):
    """Returns the mean loss of the last epoch."""
    steps = epochs * -(-len(images) // BATCH)
    optimizer = torch.optim.Adam(cloner.parameters(), lr=LEARNING_RATE)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1
    )
    weight = None
    cloner.train()
    for _ in range(epochs):
        total = 0
        for items in torch.randperm(len(images)).split(BATCH):
            val, direction = terms(load_targets(items), cloner(prepare(images[items])))
            if weight is None:
                weight = (val / direction).item()
            loss = val + weight * direction
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            total += loss.item() * len(items)
    return total / len(images)


def calibrate(cloner, images, prepare, load_targets):
    """Means and deviations of the score's parts on held-out images, and their scores."""
    squares, cosines = [[], []], []
    cloner.eval()
    with torch.inference_mode():
        for items in torch.arange(len(images)).split(BATCH):
            clones, targets = cloner(prepare(images[items])), load_targets(items)
            for kept, t, c in zip(squares, targets, clones):
                kept.append(((t - c) ** 2).mean(1))
            cosines.append(1 - F.cosine_similarity(targets[1], clones[1], dim=1))
    planes = [torch.cat(kept) for kept in squares] + [torch.cat(cosines)]
    levels = [(plane.mean(), plane.std(correction=0)) for plane in planes]
    z = [(plane - mean) / deviation for plane, (mean, deviation) in zip(planes, levels)]
    largest = [
        (z[0] + F.interpolate(z[1][:, None], scale_factor=2)[:, 0]).amax((1, 2)),
        z[2].amax((1, 2)),
    ]
    parts = [(part.mean(), part.std(correction=0)) for part in largest]
    scores = sum((part - mean) / deviation for part, (mean, deviation) in zip(largest, parts))
    return {"levels": levels, "parts": parts, "scores": scores.sort().values}


def main(expert, folder, epochs, threads, output):
    torch.set_num_threads(int(threads))
    torch.manual_seed(0)
    images = read_images(folder)
    images = images[torch.randperm(len(images))]
    held_out, images = images.split(
        [round(HELD_OUT * len(images)), len(images) - round(HELD_OUT * len(images))]
    )
    prepare = Input(images)
    expert = Network(graph.load(expert), POINTS, SIDE).eval()
    targets = compute_targets(expert, images, prepare)
    means = [t.float().mean((0, 2, 3), keepdim=True) for t in targets]
    deviations = [t.float().std((0, 2, 3), correction=0, keepdim=True) for t in targets]

    def loader(kept):
        return lambda items: [
            (t[items].float() - m) / d for t, m, d in zip(kept, means, deviations)
        ]

    cloner = Cloner()
    loss = train(cloner, images, prepare, loader(targets), int(epochs))
    calibration = calibrate(
        cloner, held_out, prepare, loader(compute_targets(expert, held_out, prepare))
    )
    torch.save(
        {
            "cloner": cloner.state_dict(),
            "means": means,
            "deviations": deviations,
            "calibration": calibration,
        },
        output,
    )
    print(f"loss {loss:.5g}")


main(*sys.argv[1:])
