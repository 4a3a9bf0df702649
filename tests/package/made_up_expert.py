"""An EfficientNet-Lite0 with random weights, for tests where the real one is not at hand."""

import array
import json
import math
import random
import struct

STEM = 32
# repeats, kernel, expansion, channels of each stage
STAGES = [
    (1, 3, 1, 16),
    (2, 3, 6, 24),
    (2, 5, 6, 40),
    (3, 3, 6, 80),
    (3, 5, 6, 112),
    (4, 5, 6, 192),
    (1, 3, 6, 320),
]


def tensors():
    """Names, shapes and how to fill them: a standard deviation, or the one value."""

    def convolution(prefix, name, norm, outputs, inputs, kernel):
        deviation = math.sqrt(2 / (inputs * kernel * kernel))
        yield f"{prefix}_{name}.weight", [outputs, inputs, kernel, kernel], deviation, None
        for part, value in [("weight", 1), ("bias", 0), ("running_mean", 0), ("running_var", 1)]:
            yield f"{prefix}_{norm}.{part}", [outputs], None, value

    yield from convolution("", "conv_stem", "bn0", STEM, 3, 3)
    inputs, block = STEM, 0
    for repeats, kernel, expansion, outputs in STAGES:
        for _ in range(repeats):
            prefix, wide = f"_blocks.{block}.", inputs * expansion
            if expansion != 1:
                yield from convolution(prefix, "expand_conv", "bn0", wide, inputs, 1)
            yield from convolution(prefix, "depthwise_conv", "bn1", wide, 1, kernel)
            yield from convolution(prefix, "project_conv", "bn2", outputs, wide, 1)
            inputs, block = outputs, block + 1


def write(path):
    """Writes the weights as a safetensors file that `mkd import` reads."""
    generator = random.Random(1)
    header, content = {}, bytearray()
    for name, shape, deviation, value in tensors():
        count = math.prod(shape)
        if deviation is None:
            values = [value] * count
        else:
            values = (generator.uniform(-1.7, 1.7) * deviation for _ in range(count))
        start = len(content)
        content += array.array("f", values).tobytes()
        offsets = [start, len(content)]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": offsets}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content)
