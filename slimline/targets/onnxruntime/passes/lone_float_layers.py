"""Keeps a layer in float that stands alone between bytes, which ONNX Runtime would not.

Where a float convolution or `Gemm` reads dequantized bytes and what it writes is quantized at once,
ONNX Runtime (`WeightBiasQuantization`, on by default) quantizes the weight itself, in 8 bits, and
runs the layer in int8: neither as it is written nor as it was trained. It does not look through a
`LeakyRelu`. One of slope 1 hands on every value as it is, and costs nothing, since ONNX Runtime
fuses it with the layer.
"""

import onnx
from onnx import NodeProto, helper

from slimline.targets.onnxruntime.graph import Values

_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


def keep_float(model: onnx.ModelProto) -> None:
    """Put such a node behind every float layer between bytes, in place."""
    graph = model.graph
    values = Values(graph)
    for node in list(graph.node):
        if node.op_type in {"Conv", "Gemm"} and _is_alone(node, values):
            result = node.output[0]
            node.output[0] = f"{result}_float"
            same = helper.make_node("LeakyRelu", [node.output[0]], [result], alpha=1.0)
            graph.node.insert(list(graph.node).index(node) + 1, same)


def _is_alone(node: NodeProto, values: Values) -> bool:
    """Does a layer with a float weight stand between bytes, its activation counted in?"""
    before = values.maker(node.input[0])
    if before is None or before.op_type != _DEQUANTIZE or values.constant(node.input[1]) is None:
        return False
    activation = values.only_user(node.output[0], "Relu", "Clip")
    users = values.users(activation.output[0] if activation else node.output[0])
    return bool(users) and all(each.op_type == _QUANTIZE for each in users)
