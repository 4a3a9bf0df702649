"""A model file of the default recipe as what onnx_score.py reads."""

import numpy

from . import graph, onnx_model

POINTS = {"16": "block10", "32": "block15"}


def convert(model, onnx_path, constants_path):
    """The model is converted with all that its score depends on."""
    spec, calibration = graph.metadata(model, "input"), graph.metadata(model, "calibration")
    points = list(POINTS.values())
    onnx_model.save_detector(
        onnx_path, graph.load(model, "expert."), graph.load(model, "cloner."), points, spec["width"]
    )
    constants = {key: spec[key] for key in ("mean", "std", "low", "high")}
    for i, (stride, point) in enumerate(POINTS.items()):
        for kind in ("mean", "deviation"):
            statistics = graph.tensor(model, f"target_{kind}.{point}")
            constants[kind + stride] = statistics.reshape(-1, 1)
            constants[f"square_{kind}{stride}"] = calibration[f"square_{kind}"][i]
    for part in ("cosine", "largest_square", "largest_cosine"):
        for kind in ("mean", "deviation"):
            constants[f"{part}_{kind}"] = calibration[f"{part}_{kind}"]
    numpy.savez(constants_path, **{key: numpy.float32(value) for key, value in constants.items()})
