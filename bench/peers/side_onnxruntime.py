"""python -m peers.side_onnxruntime MODEL INPUT RESULT SIDE BATCH THREADS"""

import sys

import onnxruntime

from .arrays import read_nchw, write_nchw
from .serve import serve


def main(model, data, result, side, batch, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(threads)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = {"input": read_nchw(data, int(batch), int(side))}
    write_nchw(result, session.run(None, feed)[0])
    serve(lambda: session.run(None, feed))


main(*sys.argv[1:])
