"""Raw fp32 files in NHWC order, by which the sides of a comparison exchange numbers."""

import numpy


def read_nchw(path, batch, side):
    """Images of `side` x `side`, as the other programs want them; the size tells the channels."""
    values = numpy.fromfile(path, numpy.float32).reshape(batch, side, side, -1)
    return numpy.ascontiguousarray(values.transpose(0, 3, 1, 2))


def write_nchw(path, values):
    numpy.ascontiguousarray(values.transpose(0, 2, 3, 1), numpy.float32).tofile(path)


def difference(path, reference):
    """Largest difference, relative to the largest number of the reference."""
    values, expected = (numpy.fromfile(name, numpy.float32) for name in (path, reference))
    if values.size != expected.size or not numpy.isfinite(values).all():
        return float("inf")
    return float(abs(values - expected).max() / abs(expected).max())
