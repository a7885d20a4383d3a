"""Writes every bias as ONNX Runtime adds it: int32, in steps of input times weight.

- Where a channel's weights are all but 0, as in a dead channel or one that pruning emptied, its
  scale is tiny and its bias too many steps for 32 bits. Such weights get larger steps, of which
  they are 0.
- A bias in float is quantized by some releases of ONNX Runtime (1.21, and from 1.23 on); the others
  run its layer in float, weights dequantized for every image. In int32 all of them run it in int8.

Apart from ties, this is all in which int8 differs from fake-quant, so training rounds likewise
(`slimline.quantization.bias_rounding`).
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

from slimline.targets.onnxruntime.graph import Values

_LAYERS = {"Conv", "Gemm"}

_MOST_STEPS = 2.0**30
"""Half of what 32 bits hold: the rest is for the sum of the products."""

_TOO_MANY_STEPS = 2.0**31
"""For 32 bits."""


def make_room(model: onnx.ModelProto) -> None:
    """Widen the steps of weights in place where a bias asks for it; other layers stay as they are.

    Weights are int8 per channel, axis 0, or per tensor.
    """
    values = Values(model.graph)
    for layer in model.graph.node:
        if layer.op_type in _LAYERS and len(layer.input) > 2:
            _make_room(model.graph, layer, values)


def quantize(model: onnx.ModelProto) -> None:
    """Put biases of layers with quantized input and weight in int32, in place.

    Only the bias changes, by its rounding; `make_room` comes first. Its steps are left to ONNX
    Runtime to multiply when it loads the file, which thus needs no scale per channel for them.
    """
    graph = model.graph
    values = Values(graph)
    for layer in list(graph.node):
        if layer.op_type in _LAYERS and len(layer.input) > 2:
            _quantize(graph, layer, values)


def _quantize(graph: onnx.GraphProto, layer: NodeProto, values: Values) -> None:
    bias = values.constant(layer.input[2])
    pairs = [values.maker(name) for name in layer.input[:2]]
    scales = [
        each.input[1] for each in pairs if each is not None and each.op_type == "DequantizeLinear"
    ]
    factors = [values.constant(name) for name in scales]
    if bias is None or len(factors) < 2 or factors[0] is None or factors[1] is None:
        return
    steps = np.asarray(factors[0] * factors[1], np.float32)
    integers, product, result = (
        f"{layer.output[0]}_bias_{part}" for part in ("int32", "steps", "rounded")
    )
    levels = np.round(bias / steps)
    assert np.abs(levels).max() < _TOO_MANY_STEPS, "make_room comes first"
    graph.initializer.append(numpy_helper.from_array(levels.astype(np.int32), integers))
    dequantize = helper.make_node("DequantizeLinear", [integers, product], [result])
    if steps.ndim:
        dequantize.attribute.append(helper.make_attribute("axis", 0))
    place = list(graph.node).index(layer)
    graph.node.insert(place, helper.make_node("Mul", scales, [product]))
    graph.node.insert(place + 1, dequantize)
    layer.input[2] = result


def _make_room(graph: onnx.GraphProto, layer: NodeProto, values: Values) -> None:
    image, weight = (values.maker(name) for name in layer.input[:2])
    if image is None or weight is None:
        return
    bias, step = values.constant(layer.input[2]), values.constant(image.input[1])
    levels, scale = (values.constant(name) for name in weight.input[:2])
    if any(each is None for each in (bias, step, levels, scale)):
        return
    assert bias is not None
    assert step is not None
    assert levels is not None
    assert scale is not None
    smallest = np.abs(bias) / (step * _MOST_STEPS)
    wider = np.maximum(scale, smallest if scale.ndim else smallest.max()).astype(np.float32)
    if np.array_equal(wider, scale):
        return
    ratio = (scale / wider).reshape(-1, *[1] * (levels.ndim - 1))
    _give(graph, weight, 0, np.round(levels * ratio).astype(levels.dtype))
    _give(graph, weight, 1, wider)


def _give(graph: onnx.GraphProto, node: NodeProto, place: int, value: NDArray[Any]) -> None:
    """Let a node read another constant; the old one may be another node's as well."""
    constant = numpy_helper.from_array(value, f"{node.output[0]}_roomy{place}")
    graph.initializer.append(constant)
    node.input[place] = constant.name
