"""Keeps a layer in float that stands alone between bytes, which ONNX Runtime would not.

Where a float convolution or `Gemm` reads dequantized bytes and what it writes is quantized at once,
ONNX Runtime (`WeightBiasQuantization`, on by default) quantizes the weight itself, in 8 bits, and
runs the layer in int8: neither as it is written nor as it was trained. It does not look through a
`LeakyRelu`. One of slope 1 hands on every value as it is, and costs nothing, since ONNX Runtime
fuses it with the layer.
"""

import onnx_ir as ir

from slimline.targets.onnxruntime.graph import (
    DEQUANTIZE,
    QUANTIZE,
    constant,
    insert_after,
    maker,
    only_user,
)


def keep_float(model: ir.Model) -> None:
    """Put such a node behind every float layer between bytes, in place."""
    for node in model.graph:
        if node.op_type in {"Conv", "ConvTranspose", "Gemm"} and _is_alone(node):
            tape = ir.tape.Tape()
            tape.op("LeakyRelu", node.outputs, {"alpha": 1.0})
            insert_after(node.outputs[0], tape)


def _is_alone(node: ir.Node) -> bool:
    """Does a layer with a float weight stand between bytes, its activation counted in?"""
    before = maker(node, 0)
    if before is None or before.op_type != DEQUANTIZE or constant(node, 1) is None:
        return False
    last = only_user(node.outputs[0], "Relu", "Clip") or node
    users = last.outputs[0].consumers()
    return bool(users) and all(each.op_type == QUANTIZE for each in users)
