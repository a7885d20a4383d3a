"""Puts what the exporter writes into the forms that ONNX Runtime fuses to int8 operators.

- a mean over height and width becomes `GlobalAveragePool`, which has an int8 form;
- the answer's `Gemm`, whose output stays float, gets its bias in int32: with input, weight and bias
  quantized it becomes `QGemm` with float output, where otherwise all three would be dequantized
  anew for each image.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


def make_fusible(model: onnx.ModelProto) -> None:
    """Rewrite a QDQ graph in place; only the bias changes, by its rounding to int32.

    Its step is the product of the steps of input and weight, as in every int8 convolution.
    """
    graph = model.graph
    for node in list(graph.node):
        constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
        if node.op_type == "ReduceMean" and _is_spatial(node, constants):
            _pool(graph, node)
        elif node.op_type == "Gemm":
            _quantize_bias(graph, node, constants)


def _is_spatial(node: NodeProto, constants: Mapping[str, NDArray[Any]]) -> bool:
    axes = constants.get(node.input[1]) if len(node.input) > 1 else None
    return axes is not None and sorted(axes.tolist()) in ([2, 3], [-2, -1])


def _pool(graph: onnx.GraphProto, mean: NodeProto) -> None:
    """Pool, requantize, and flatten bytes, where the mean's range is known; else leave it."""
    users = [node for node in graph.node if mean.output[0] in node.input]
    if len(users) != 1 or users[0].op_type != _QUANTIZE:
        return
    quantize, result = users[0], mean.output[0]
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


def _quantize_bias(
    graph: onnx.GraphProto, gemm: NodeProto, constants: Mapping[str, NDArray[Any]]
) -> None:
    """Give a `Gemm` of quantized input and weight a bias in int32."""
    makers = {name: node for node in graph.node for name in node.output}
    before = [makers.get(name) for name in gemm.input[:2]]
    bias = constants.get(gemm.input[2]) if len(gemm.input) > 2 else None
    if bias is None or any(each is None or each.op_type != _DEQUANTIZE for each in before):
        return
    steps = [constants[each.input[1]] for each in before if each is not None]
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
