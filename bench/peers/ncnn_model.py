"""Networks in ncnn's files, with activations fused into convolutions as ncnnoptimize does it."""

import struct

from .graph import padding

MAGIC = 7767517
ACTIVATION = {"relu": "9=1", "relu6": "9=3 -23310=2,0.0,6.0"}


class Writer:
    def __init__(self, weights):
        self.lines, self.blobs, self.weights = ["Input input 0 1 input"], 1, weights

    def layer(self, kind, name, inputs, outputs, parameters=""):
        self.lines.append(
            f"{kind} {name} {len(inputs)} {len(outputs)} "
            f"{' '.join(inputs + outputs)} {parameters}".rstrip()
        )
        self.blobs += len(outputs)

    def text(self):
        return "\n".join([str(MAGIC), f"{len(self.lines)} {self.blobs}"] + self.lines) + "\n"


def convolution(graph, index, size, activation, weights):
    """Parameters of the layer; its weights go to the file."""
    op = graph.ops[index]
    before, after = padding(op, size)
    kernel = graph.tensor(index, "weight").astype("<f4")
    weights.write(struct.pack("<I", 0) + kernel.tobytes())
    if op.bias:
        weights.write(graph.tensor(index, "bias").astype("<f4").tobytes())
    parameters = (
        f"0={op.channels} 1={op.kernel} 3={op.stride} 4={before} 14={before} "
        f"15={after} 16={after} 5={int(op.bias)} 6={kernel.size}"
    )
    if op.groups > 1:
        parameters += f" 7={op.groups}"
    return f"{parameters} {ACTIVATION[activation]}" if activation else parameters


def save_network(path, graph, output, side):
    """Writes path.param and path.bin; the output's blob is called "output"."""
    needed, shapes = graph.needed([output]), graph.shapes(side)
    last = graph.find(output)
    with open(path + ".bin", "wb") as weights:
        writer = Writer(weights)
        spare = {}  # blobs that have not been read yet, a copy for each reader

        def publish(index, blob):
            readers = len(graph.consumers(index, needed))
            spare[index] = [blob]
            if readers > 1:
                spare[index] = [f"{blob}_{k}" for k in range(readers)]
                writer.layer("Split", f"split_{blob}", [blob], spare[index])

        publish(0, "input")
        fused = {}  # activation to the convolution it is part of
        for index in needed:
            op = graph.ops[index]
            if index in fused:
                continue
            inputs = [spare[source].pop() for source in op.sources]
            produced, parameters = index, ""
            if op.kind == "conv":
                kind = "ConvolutionDepthWise" if op.groups > 1 else "Convolution"
                readers = graph.consumers(index, needed)
                follower = graph.ops[readers[0]].kind if len(readers) == 1 else None
                if follower in ACTIVATION:
                    produced = readers[0]
                    fused[produced] = index
                else:
                    follower = None
                parameters = convolution(graph, index, shapes[op.sources[0]][1], follower, weights)
            elif op.kind == "max_pool":
                kind, parameters = "Pooling", f"0=0 1={op.kernel} 2={op.stride} 5=1"
            elif op.kind == "add":
                kind, parameters = "BinaryOp", "0=0"
            elif op.kind == "relu":
                kind = "ReLU"
            elif op.kind == "relu6":
                kind, parameters = "Clip", "0=0.0 1=6.0"
            else:
                raise ValueError(f"no ncnn layer for {op.kind}")
            blob = "output" if produced == last else graph.label(produced)
            writer.layer(kind, f"layer_{graph.label(index)}", inputs, [blob], parameters)
            publish(produced, blob)
    with open(path + ".param", "w", encoding="ascii") as file:
        file.write(writer.text())
