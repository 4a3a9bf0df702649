"""python -m peers.side_ncnn winograd|direct MODEL INPUT RESULT SIDE BATCH THREADS

ncnn knows no batches: it runs one image after the other.
"""

import sys

import ncnn
import numpy

from .arrays import read_nchw, write_nchw
from .serve import serve


def main(algorithm, model, data, result, side, batch, threads):
    net = ncnn.Net()
    net.opt.num_threads = int(threads)
    net.opt.use_winograd_convolution = algorithm == "winograd"
    for option in (
        "use_fp16_packed",
        "use_fp16_storage",
        "use_fp16_arithmetic",
        "use_bf16_storage",
    ):
        setattr(net.opt, option, False)
    if net.load_param(model + ".param") != 0 or net.load_model(model + ".bin") != 0:
        sys.exit(f"{model}: ncnn cannot load it")
    images = [ncnn.Mat(image).clone() for image in read_nchw(data, int(batch), int(side))]

    def run():
        outputs = []
        for image in images:
            extractor = net.create_extractor()
            extractor.input("input", image)
            outputs.append(extractor.extract("output")[1])
        return outputs

    write_nchw(result, numpy.stack([numpy.array(output) for output in run()]))
    serve(run)


main(*sys.argv[1:])
