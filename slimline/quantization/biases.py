"""Makes room for every bias: ONNX Runtime adds biases as int32, in steps of input times weight.

Where a channel's weights are all but 0, as in a dead channel or one that pruning emptied, its
scale is tiny and its bias too many steps for 32 bits: the file as it is written is right, but ONNX
Runtime's integer kernel adds another number. Such weights get larger steps, of which they are 0.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, numpy_helper

from slimline.measure.values import Values

_LAYERS = {"Conv", "Gemm"}

_MOST_STEPS = 2.0**30
"""Half of what 32 bits hold: the rest is for the sum of the products."""


def make_room(model: onnx.ModelProto) -> None:
    """Widen the steps of weights in place where a bias asks for it; other layers stay as they are.

    Weights are int8 per channel, axis 0, or per tensor.
    """
    values = Values(model.graph)
    for layer in model.graph.node:
        if layer.op_type in _LAYERS and len(layer.input) > 2:
            _make_room(model.graph, layer, values)


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
