"""python -m peers.side_openvino MODEL INPUT RESULT SIDE BATCH THREADS"""

import sys

import openvino

from .arrays import read_nchw, write_nchw
from .serve import serve


def main(model, data, result, side, batch, threads):
    settings = {
        "INFERENCE_NUM_THREADS": int(threads),
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    request.set_input_tensor(openvino.Tensor(read_nchw(data, int(batch), int(side))))
    request.infer()
    write_nchw(result, request.get_output_tensor().data)
    serve(request.infer)


main(*sys.argv[1:])
