"""Networks as ONNX models."""

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

from .graph import padding

OPSET = 17
IR_VERSION = 8  # the newest that every runtime in use reads


class Builder:
    def __init__(self):
        self.nodes, self.weights = [], []

    def constant(self, name, array):
        self.weights.append(numpy_helper.from_array(numpy.ascontiguousarray(array), name))
        return name

    def node(self, kind, inputs, output, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))

    def add(self, graph, outputs, side, prefix):
        """Appends what the outputs need; their names in the model are "<prefix><name>"."""
        shapes, blobs = graph.shapes(side), {0: "input"}
        for index in graph.needed(outputs):
            op = graph.ops[index]
            inputs = [blobs[source] for source in op.sources]
            blobs[index] = output = prefix + graph.label(index)
            if op.kind == "conv":
                before, after = padding(op, shapes[op.sources[0]][1])
                inputs.append(self.constant(output + ".weight", graph.tensor(index, "weight")))
                if op.bias:
                    inputs.append(self.constant(output + ".bias", graph.tensor(index, "bias")))
                self.node(
                    "Conv",
                    inputs,
                    output,
                    group=op.groups,
                    pads=[before] * 2 + [after] * 2,
                    kernel_shape=[op.kernel] * 2,
                    strides=[op.stride] * 2,
                )
            elif op.kind == "relu":
                self.node("Relu", inputs, output)
            elif op.kind == "relu6":
                bounds = [
                    self.constant(output + f".{name}", numpy.float32(value))
                    for name, value in (("low", 0), ("high", 6))
                ]
                self.node("Clip", inputs + bounds, output)
            elif op.kind == "max_pool":
                self.node(
                    "MaxPool", inputs, output, kernel_shape=[op.kernel] * 2, strides=[op.stride] * 2
                )
            elif op.kind == "add":
                self.node("Add", inputs, output)
            else:
                raise ValueError(f"no ONNX for {op.kind}")
        return [prefix + name for name in outputs]

    def save(self, path, batch, side, outputs):
        def value(name, shape):
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

        model = helper.make_graph(
            self.nodes,
            "mkd",
            [value("input", [batch, 3, side, side])],
            [value(name, None) for name in outputs],
            self.weights,
        )
        onnx.save(
            helper.make_model(
                model, ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)]
            ),
            path,
        )


def save_network(path, graph, output, batch, side):
    builder = Builder()
    builder.save(path, batch, side, builder.add(graph, [output], side, ""))


def save_detector(path, expert, cloner, points, side):
    """One model with the outputs of both networks: "expert.<point>" and "cloner.<point>"."""
    builder = Builder()
    outputs = builder.add(expert, points, side, "expert.")
    outputs += builder.add(cloner, points, side, "cloner.")
    builder.save(path, 1, side, outputs)
