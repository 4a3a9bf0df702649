"""Expert files for both sides: real weights where there are some, else random ones."""

import functools

import numpy
from safetensors import safe_open
from safetensors.numpy import save_file

from .setting import BUILD, SHARED

WIDTHS = [64, 128, 256, 512, 512]
CONVS = {"vgg16": [2, 2, 3, 3, 3], "vgg19": [2, 2, 4, 4, 4]}
REAL_VGG19 = SHARED / "weights/vgg19-imagenet-features.safetensors"
REAL_LITE0 = BUILD / "expert/efficientnet-lite0.safetensors"
# Of EfficientNet-Lite0: repeats, kernel, expansion, channels.
STAGES = [
    (1, 3, 1, 16),
    (2, 3, 6, 24),
    (2, 5, 6, 40),
    (3, 3, 6, 80),
    (3, 5, 6, 112),
    (4, 5, 6, 192),
    (1, 3, 6, 320),
]


def kernels(random, *shape):
    """Random weights that keep the size of what passes through them and ReLU."""
    return random.normal(0, (2 / numpy.prod(shape[1:])) ** 0.5, shape).astype(numpy.float32)


def random_vgg(random, arch):
    tensors, at, sources = {}, 0, 3
    for width, count in zip(WIDTHS, CONVS[arch]):
        for _ in range(count):
            tensors[f"features.{at}.weight"] = kernels(random, width, sources, 3, 3)
            tensors[f"features.{at}.bias"] = numpy.zeros(width, numpy.float32)
            at, sources = at + 2, width
        at += 1
    return tensors


def real_vgg(arch):
    """VGG-16 is VGG-19 without the last convolutions of its deeper blocks."""
    tensors, at, source_at = {}, 0, 0
    with safe_open(REAL_VGG19, framework="np") as file:
        for count, real_count in zip(CONVS[arch], CONVS["vgg19"]):
            for i in range(count):
                for part in ("weight", "bias"):
                    tensors[f"features.{at + 2 * i}.{part}"] = file.get_tensor(
                        f"features.{source_at + 2 * i}.{part}"
                    ).astype(numpy.float32)
            at, source_at = at + 2 * count + 1, source_at + 2 * real_count + 1
    return tensors


def random_lite0(random):
    tensors = {}

    def conv(name, norm, *shape):
        tensors[name + ".weight"] = kernels(random, *shape)
        for part, value in (("weight", 1), ("bias", 0), ("running_mean", 0), ("running_var", 1)):
            tensors[f"{norm}.{part}"] = numpy.full(shape[0], value, numpy.float32)

    conv("_conv_stem", "_bn0", 32, 3, 3, 3)
    block, sources = 0, 32
    for repeats, kernel, expansion, channels in STAGES:
        for _ in range(repeats):
            prefix, wide = f"_blocks.{block}.", sources * expansion
            if expansion > 1:
                conv(prefix + "_expand_conv", prefix + "_bn0", wide, sources, 1, 1)
            conv(prefix + "_depthwise_conv", prefix + "_bn1", wide, 1, kernel, kernel)
            conv(prefix + "_project_conv", prefix + "_bn2", channels, wide, 1, 1)
            block, sources = block + 1, channels
    return tensors


def import_weights(setting, name, tensors):
    weights, expert = setting.path(f"{name}-weights.safetensors"), setting.path(f"{name}.expert")
    save_file(tensors, weights)
    setting.mkd("import", weights, "-o", expert, "--arch", name)
    return expert


@functools.cache
def vgg(setting, arch):
    if REAL_VGG19.exists():
        if arch == "vgg16":
            setting.note("VGG-16 has the weights of VGG-19's convolutions.")
        return import_weights(setting, arch, real_vgg(arch))
    setting.note("VGG has random weights: ../shared/weights is not there.")
    return import_weights(setting, arch, random_vgg(numpy.random.default_rng(0), arch))


@functools.cache
def lite0(setting):
    if REAL_LITE0.exists():
        return str(REAL_LITE0)
    setting.note("EfficientNet-Lite0 has random weights: build/expert is not there.")
    return import_weights(setting, "efficientnet-lite0", random_lite0(numpy.random.default_rng(0)))
