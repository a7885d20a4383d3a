"""Lets an activation whose bytes share a range with other values be computed on the bytes.

ONNX Runtime makes one int8 kernel of a layer, a ReLU and the rounding behind it only if the range
begins at 0, so that rounding alone cuts off what the ReLU would. Where a concatenation gives its
parts one range, and some of them are negative, it does not, and the layer runs in float. A byte is
clipped as well as a number, since rounding keeps the order: the layer is rounded first, and its
bytes are clipped at the byte of 0, and for ReLU6 at that of 6.
"""

import numpy as np
import onnx_ir as ir

from slimline.targets.onnxruntime.graph import (
    DEQUANTIZE,
    QUANTIZE,
    add_constant,
    constant,
    insert_after,
    maker,
    only_user,
    remove,
    scale_and_zero,
)


def clip_bytes(model: ir.Model) -> None:
    """Rewrite a QDQ graph in place; its bytes stay what they are."""
    for node in model.graph:
        if node.op_type in {"Relu", "Clip"}:
            _try_to_clip(node)


def _try_to_clip(activation: ir.Node) -> None:
    """Clip behind the rounding, where a layer with a quantized weight is before it."""
    layer, quantize = maker(activation, 0), only_user(activation.outputs[0], QUANTIZE)
    quantization, weight = scale_and_zero(quantize), maker(layer, 1)
    if layer is None or quantize is None or quantization is None or weight is None:
        return
    if layer.op_type not in {"Conv", "Gemm"} or weight.op_type != DEQUANTIZE:
        return
    scale, zero = quantization
    limits = np.iinfo(zero.dtype)
    ends = [float(each) for each in _ends(activation)]
    low, high = (
        int(np.clip(np.round(end / float(scale)) + int(zero), limits.min, limits.max))
        for end in ends
    )
    if (low, high) == (limits.min, limits.max) or only_user(layer.outputs[0]) is not activation:
        return
    bounds = [add_constant(quantize, np.array(each, zero.dtype)) for each in (low, high)]
    remove(activation, layer.outputs[0])
    tape = ir.tape.Tape()
    tape.op("Clip", [quantize.outputs[0], *bounds])
    insert_after(quantize.outputs[0], tape)


def _ends(activation: ir.Node) -> tuple[float, float]:
    """Return the smallest and the largest value that an activation hands on."""
    if activation.op_type == "Relu":
        return 0.0, np.inf
    low, high = constant(activation, 1), constant(activation, 2)
    return (-np.inf if low is None else float(low)), (np.inf if high is None else float(high))
