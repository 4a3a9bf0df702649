"""What is compared: each work sets up its sides, checks that they compute the same, and gives a row
for each peer."""

import contextlib
import dataclasses
import pathlib
import shutil

import numpy
from PIL import Image

from . import experts, graph, ncnn_model, onnx_detector, onnx_model
from .arrays import difference
from .setting import MKD, ONEDNN, SCORE_SCRIPT, SHARED, WORKER
from .sides import Command, Failure

TOLERANCE = 1e-3
TILES = SHARED / "data/magnetic-tile/train/good"
PAPER_SIDE, PAPER_BATCH = 128, 64
WHOLE_TRAINING_MS = 90000
LOSS_TOLERANCE = 0.25  # how far losses of trainings with other random numbers may lie apart


@dataclasses.dataclass
class Row:
    work: str
    peer: str
    mkd_ms: float
    peer_ms: float
    bar: float  # least ratio that is aimed at
    limit_ms: float = float("inf")  # and mkd's most milliseconds

    @property
    def ratio(self):
        return self.peer_ms / self.mkd_ms

    @property
    def reached(self):
        return self.ratio >= self.bar and self.mkd_ms <= self.limit_ms


def save_random(setting, name, *shape, low=0.0):
    """Uniform numbers from `low` to 1."""
    random = numpy.random.default_rng(len(name) + sum(shape))
    values = random.random(shape, numpy.float32) * numpy.float32(1 - low) + numpy.float32(low)
    values.tofile(setting.path(name))
    return setting.path(name)


def check(name, found, tolerance=TOLERANCE):
    if not found <= tolerance:
        raise Failure(
            f"{name} differs from mkd's by {found:.2g} of the largest number, more than "
            f"{tolerance:g}"
        )


def compare(setting, work, mkd, peers, bars, long_work=False, verify=None):
    """A row for each of the peers. `mkd` and `peers` are functions that start a side; `verify` is
    called with every peer's before anything is timed. A peer that fails costs its own row only."""
    with contextlib.ExitStack() as stack:
        started = [mkd()]
        stack.callback(started[0].close)
        for peer in peers:
            try:
                side = peer()
                stack.callback(side.close)
                if verify:
                    verify(side)
                started.append(side)
            except Failure as failure:
                setting.fail(str(failure))
        times = setting.pace.alternate(started, long_work)
        return [
            Row(work, side.name, times[0], ms, bars[side.name])
            for side, ms in zip(started[1:], times[1:])
        ]


# ---- Forward passes ------------------------------------------------------------------------------


def forward(setting, work, expert, output, side, low, bars):
    """Of whole networks."""
    batch = int(work.rsplit("-", 1)[1])
    network = graph.load(expert)
    data = save_random(setting, f"{work}.input", batch, side, side, 3, low=low)
    reference = setting.path(f"{work}.mkd")
    onnx, ncnn = setting.path(f"{work}.onnx"), setting.path(work)
    onnx_model.save_network(onnx, network, output, batch, side)
    ncnn_model.save_network(ncnn, network, output, side)

    def result(name):
        return setting.path(f"{work}.{name}")

    def mkd():
        return setting.worker(
            "mkd", WORKER, "forward", expert, output, data, reference, side, batch, setting.threads
        )

    def torch():
        return setting.module(
            "PyTorch", "side_torch", "forward", expert, output, data, result("PyTorch"), side, batch
        )

    def on_onnx(name, module):
        return lambda: setting.module(name, module, onnx, data, result(name), side, batch)

    def on_ncnn(name, algorithm):
        return lambda: setting.module(
            name, "side_ncnn", algorithm, ncnn, data, result(name), side, batch
        )

    peers = [
        on_onnx("ONNX Runtime", "side_onnxruntime"),
        on_onnx("OpenVINO", "side_openvino"),
        torch,
        on_ncnn("ncnn with Winograd", "winograd"),
    ]
    if "ncnn without Winograd" in bars:
        peers.append(on_ncnn("ncnn without Winograd", "direct"))
    return compare(
        setting,
        work,
        mkd,
        peers,
        bars,
        verify=lambda peer: check(f"{work}: {peer.name}", difference(result(peer.name), reference)),
    )


def vgg(setting, work):
    expert = experts.vgg(setting, work.split("-")[0])
    bars = {
        "ONNX Runtime": 2.2,
        "OpenVINO": 2.2,
        "PyTorch": 2.2,
        "ncnn with Winograd": 1.3,
        "ncnn without Winograd": 1.3,
    }
    return forward(setting, work, expert, "pool5", 128, 0, bars)


def lite0(setting, work):
    bars = dict.fromkeys(("ONNX Runtime", "OpenVINO", "PyTorch", "ncnn with Winograd"), 1.2)
    return forward(setting, work, experts.lite0(setting), "block15", 256, -1, bars)


# ---- Single layers -------------------------------------------------------------------------------

LAYERS = {"conv2_2": (128, 64), "conv3_3": (256, 32), "conv4_3": (512, 16), "conv5_3": (512, 8)}


def as_oihw(path, channels):
    """mkd's gradient of weights in oneDNN's order."""
    values = numpy.fromfile(path, numpy.float32).reshape(3, 3, -1, channels)
    numpy.ascontiguousarray(values.transpose(3, 2, 0, 1)).tofile(path)


def layer(setting, mode, name, batch):
    channels, side = LAYERS[name]
    random = numpy.random.default_rng(channels + side)
    weights = experts.kernels(random, channels, channels, 3, 3)
    bias = random.random(channels, numpy.float32)
    file, weights_file, bias_file = (
        setting.path(f"layer.{part}") for part in ("safetensors", "weights", "bias")
    )
    graph.save_layer(file, weights, bias)
    weights.tofile(weights_file)
    bias.tofile(bias_file)
    data = save_random(setting, "layer.input", batch, side, side, channels)
    gradient = save_random(setting, "layer.gradient", batch, side, side, channels, low=-1)
    result, reference = setting.path("layer.oneDNN"), setting.path("layer.mkd")

    def mkd():
        inputs = [data] if mode == "forward" else [data, gradient]
        started = setting.worker(
            "mkd", WORKER, mode, file, "layer", *inputs, reference, side, batch, setting.threads
        )
        if mode == "backward-weights":
            as_oihw(reference, channels)
        return started

    def onednn():
        return setting.worker(
            "oneDNN direct",
            ONEDNN,
            mode,
            channels,
            channels,
            side,
            batch,
            data,
            weights_file,
            bias_file,
            gradient,
            result,
        )

    return compare(
        setting,
        name,
        mkd,
        [onednn],
        {"oneDNN direct": 1.0},
        verify=lambda peer: check(f"{name}: {mode}: {peer.name}", difference(result, reference)),
    )


def layers(setting, work):
    """Each layer alone, and the sum of all."""
    words = work.split("-")
    mode = {"data": "backward-data", "weights": "backward-weights"}.get(words[1], "forward")
    rows = [row for name in LAYERS for row in layer(setting, mode, name, int(words[-1]))]
    for row in rows:
        row.work = f"{work}/{row.work}"
    if len(rows) == len(LAYERS):
        rows.append(
            Row(
                work,
                rows[0].peer,
                sum(row.mkd_ms for row in rows),
                sum(row.peer_ms for row in rows),
                1.8 if mode == "forward" else 1.0,
            )
        )
    return rows


# ---- The paper's method --------------------------------------------------------------------------


def start_cloner(setting, work, side):
    """mkd's side, and the files that it has in common with the other one."""
    expert = experts.vgg(setting, "vgg16")
    files = {part: setting.path(f"{work}.{part}") for part in ("cloner", "mkd")}
    files["input"] = save_random(setting, f"{work}.input", PAPER_BATCH, side, side, 3)
    activations = sum(
        channels * (side >> shift) ** 2
        for channels, shift in ((128, 2), (256, 3), (512, 4), (512, 5))
    )
    files["targets"] = save_random(setting, f"{work}.targets", PAPER_BATCH, activations)
    started = setting.worker(
        "mkd",
        WORKER,
        "cloner",
        expert,
        files["cloner"],
        files["input"],
        files["targets"],
        files["mkd"],
        side,
        PAPER_BATCH,
        setting.threads,
    )
    return started, files, expert


def cloner(setting, work):
    side = int(work.split("-")[1])
    started, files, _ = start_cloner(setting, work, side)
    result = setting.path(f"{work}.PyTorch")

    def torch():
        return setting.module(
            "PyTorch",
            "side_torch",
            "cloner",
            files["cloner"],
            files["input"],
            files["targets"],
            result,
            side,
            PAPER_BATCH,
        )

    return compare(
        setting,
        work,
        lambda: started,
        [torch],
        {"PyTorch": 3.0},
        verify=lambda peer: check(work, difference(result, files["mkd"])),
    )


def epoch(setting, work):
    """Of as many images as the recipe leaves to train on, in both programs."""
    started, files, expert = start_cloner(setting, work, PAPER_SIDE)
    started.close()
    trained = PAPER_BATCH if setting.quick else 2 * PAPER_BATCH
    count = trained * 5 // 4  # a fifth is held out
    images = setting.path(f"{work}.images")
    numpy.random.default_rng(0).integers(
        0, 256, (count, PAPER_SIDE, PAPER_SIDE, 3), numpy.uint8
    ).tofile(images)
    setting.note(f"epoch: {trained} images; cloner-128 checks that both compute the same.")

    def mkd():
        return setting.worker(
            "mkd", WORKER, "epoch", expert, images, count, PAPER_SIDE, setting.threads
        )

    def torch():
        held_back = setting.path(f"{work}.trained")
        with open(images, "rb") as source:
            pathlib.Path(held_back).write_bytes(source.read(trained * PAPER_SIDE**2 * 3))
        return setting.module(
            "PyTorch",
            "side_torch",
            "epoch",
            expert,
            files["cloner"],
            held_back,
            trained,
            PAPER_SIDE,
        )

    return compare(setting, work, mkd, [torch], {"PyTorch": 20.0}, long_work=True)


def textures(setting, count, side):
    """A folder of made-up images, for models whose results do not matter."""
    folder = setting.data / f"textures-{side}"
    folder.mkdir(exist_ok=True)
    random = numpy.random.default_rng(0)
    for i in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (side // 8, side // 8, 3), numpy.uint8))
        coarse.resize((side, side), Image.Resampling.BICUBIC).save(folder / f"{i:03}.png")
    return folder


def localize(setting, work):
    side, model = PAPER_SIDE, setting.path("paper.mkd")
    folder = textures(setting, 16, side)
    setting.mkd(
        "train",
        folder,
        "-o",
        model,
        "--recipe",
        "paper",
        "--expert",
        experts.vgg(setting, "vgg16"),
        "--epochs",
        "2",
        "-q",
    )
    image, result, reference = (
        setting.path(f"{work}.{part}") for part in ("image", "PyTorch", "mkd")
    )
    numpy.asarray(Image.open(folder / "000.png")).tofile(image)

    def mkd():
        return setting.worker(
            "mkd", WORKER, "localize", model, image, reference, side, setting.threads
        )

    def torch():
        return setting.module("PyTorch", "side_torch", "localize", model, image, result, side)

    return compare(
        setting,
        work,
        mkd,
        [torch],
        {"PyTorch": 3.0},
        verify=lambda peer: check(work, difference(result, reference)),
    )


# ---- Whole processes -----------------------------------------------------------------------------


def score(setting, work):
    folder, model = textures(setting, 32, 256), setting.path("default.mkd")
    setting.mkd(
        "train",
        folder,
        "-o",
        model,
        "--expert",
        experts.lite0(setting),
        "--epochs",
        "2",
        "--set",
        "copies=0",
        "-q",
    )
    onnx, constants = setting.path("default.onnx"), setting.path("default.npz")
    onnx_detector.convert(model, onnx, constants)
    image = str(folder / "000.png")

    def mkd():
        return Command("mkd", [MKD, "score", model, image, "--format", "csv"], setting.environment)

    def script():
        return Command(
            "ONNX Runtime",
            [setting.python, SCORE_SCRIPT, onnx, constants, image],
            setting.environment,
        )

    def verify(peer):
        own = mkd()
        own.turn(1)
        peer.turn(1)
        header, values = (line.split(",") for line in own.output.splitlines()[:2])
        expected, found = float(values[header.index("score")]), float(peer.output)
        check(work, abs(found - expected) / max(1, abs(expected)))

    return compare(setting, work, mkd, [script], {"ONNX Runtime": 10.0}, verify=verify)


def tiles(setting):
    """The folder of images to train on, and the epochs."""
    if not setting.quick:
        return TILES, 30
    folder = setting.data / "tiles"
    folder.mkdir(exist_ok=True)
    for path in sorted(TILES.iterdir())[:200]:
        shutil.copy(path, folder)
    setting.note("train: with --quick, 200 images and 3 epochs, on both sides.")
    return folder, 3


def last_loss(output):
    return next(float(line.split()[1]) for line in output.splitlines() if line.startswith("loss"))


def train(setting, work):
    if not TILES.exists():
        setting.note("train: left out, ../shared/data/magnetic-tile is not there.")
        return []
    folder, epochs = tiles(setting)
    expert = experts.lite0(setting)

    sides = []

    def mkd():
        sides.append(
            Command(
                "mkd",
                [
                    MKD,
                    "train",
                    folder,
                    "-o",
                    setting.path("tiles.mkd"),
                    "--expert",
                    expert,
                    "--epochs",
                    str(epochs),
                    "-q",
                ],
                setting.environment,
            )
        )
        return sides[0]

    def torch():
        sides.append(
            Command(
                "PyTorch",
                [
                    setting.python,
                    "-m",
                    "peers.torch_train",
                    expert,
                    folder,
                    str(epochs),
                    str(setting.threads),
                    setting.path("tiles.pt"),
                ],
                setting.environment,
            )
        )
        return sides[1]

    rows = compare(setting, work, mkd, [torch], {"PyTorch": 4.0}, long_work=True)
    if not rows:
        return rows
    if not setting.quick:
        rows[0].limit_ms = WHOLE_TRAINING_MS
    losses = [last_loss(side.output) for side in sides]
    check(f"{work}: PyTorch's last loss", abs(losses[1] - losses[0]) / losses[0], LOSS_TOLERANCE)
    setting.note(f"train: last training loss {losses[0]:.4g} (mkd) and {losses[1]:.4g} (PyTorch).")
    return rows


RUN = {
    "vgg16": vgg,
    "vgg19": vgg,
    "lite0": lite0,
    "layers": layers,
    "cloner": cloner,
    "epoch": epoch,
    "localize": localize,
    "score": score,
    "train": train,
}


def run(setting, work):
    return RUN[work.split("-")[0]](setting, work)
