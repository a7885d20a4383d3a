"""Puts what the exporter writes into the forms that ONNX Runtime fuses to int8 operators.

- a mean over height and width becomes `GlobalAveragePool`, which has an int8 form;
- the answer's `Gemm`, whose output stays float, gets its bias in int32: with input, weight and bias
  quantized it becomes `QGemm` with float output, where otherwise all three would be dequantized
  anew for each image.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

from slimline.measure.values import Values

_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


def make_fusible(model: onnx.ModelProto) -> None:
    """Rewrite a QDQ graph in place; only the bias changes, by its rounding to int32.

    Its step is the product of the steps of input and weight, as in every int8 convolution.
    """
    graph = model.graph
    values = Values(graph)
    for node in list(graph.node):
        if node.op_type == "ReduceMean" and _is_spatial(node, values):
            _pool(graph, node, values)
        elif node.op_type == "Gemm":
            _quantize_bias(graph, node, values)


def _is_spatial(node: NodeProto, values: Values) -> bool:
    axes = values.constant(node.input[1]) if len(node.input) > 1 else None
    return axes is not None and sorted(axes.tolist()) in ([2, 3], [-2, -1])


def _pool(graph: onnx.GraphProto, mean: NodeProto, values: Values) -> None:
    """Pool, requantize, and flatten bytes, where the mean's range is known; else leave it."""
    result = mean.output[0]
    quantize = values.only_user(result, _QUANTIZE)
    if quantize is None:
        return
    keeps = next((each.i for each in mean.attribute if each.name == "keepdims"), 1)
    place = list(graph.node).index(mean)
    graph.node.remove(mean)
    pooled = [helper.make_node("GlobalAveragePool", mean.input[:1], [f"{result}_pooled"])]
    if keeps:
        pooled[0].output[0] = result
    else:
        scale = list(quantize.input[1:])
        names = [f"{result}_{part}" for part in ("pooled", "bytes", "range", "flat")]
        pooled += [
            helper.make_node(_QUANTIZE, [names[0], *scale], [names[1]]),
            helper.make_node(_DEQUANTIZE, [names[1], *scale], [names[2]]),
            helper.make_node("Flatten", [names[2]], [result]),
        ]
    for position, node in enumerate(pooled):
        graph.node.insert(place + position, node)


def _quantize_bias(graph: onnx.GraphProto, gemm: NodeProto, values: Values) -> None:
    """Give a `Gemm` of quantized input and weight a bias in int32."""
    bias = values.constant(gemm.input[2]) if len(gemm.input) > 2 else None
    steps = [_step(values, name) for name in gemm.input[:2]]
    if bias is None or steps[0] is None or steps[1] is None:
        return
    step = np.broadcast_to(steps[0] * steps[1], bias.shape).astype(np.float32)
    name = gemm.input[2]
    rounded: NDArray[Any] = np.round(bias / step).astype(np.int32)
    graph.initializer.append(numpy_helper.from_array(rounded, f"{name}_int32"))
    graph.initializer.append(numpy_helper.from_array(step, f"{name}_step"))
    graph.initializer.append(numpy_helper.from_array(0 * rounded, f"{name}_zero"))
    parts = [f"{name}_int32", f"{name}_step", f"{name}_zero"]
    dequantize = helper.make_node(_DEQUANTIZE, parts, [f"{name}_rounded"], axis=0)
    graph.node.insert(list(graph.node).index(gemm), dequantize)
    gemm.input[2] = f"{name}_rounded"


def _step(values: Values, name: str) -> NDArray[Any] | None:
    """Return the scale of a value that is dequantized; nothing for any other."""
    maker = values.maker(name)
    if maker is None or maker.op_type != _DEQUANTIZE:
        return None
    return values.constant(maker.input[1])
