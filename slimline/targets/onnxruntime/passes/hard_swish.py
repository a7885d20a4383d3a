"""Computes hard-swish and hard-sigmoid in integers, for which ONNX Runtime has no kernel.

- A hard-sigmoid that follows a convolution costs nothing: `x / 6 + 1 / 2` goes into the scale of
  the weight and into the bias, and where quantization saturates is where the function does.
- A hard-swish is `x * clip(x / 6 + 1 / 2, 0, 1)`. Its input is quantized in steps of 3 / k
  (`ranges.SwishObserver`), so that -3 and 3 are bytes, k below and above the zero point. The *same
  byte*, with the byte of -3 for a zero point and in steps of a sixth, is `x / 6 + 1 / 2`; between
  the two bytes it is clipped. What is left is a product, and nothing is rounded that was not.
- Any other hard-sigmoid is the sum of a sixth of its input, which is the same byte in steps of a
  sixth, and of 1 / 2.

The graph keeps its meaning; it only ever rounds where it was rounded in training.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

from slimline.targets.onnxruntime.graph import Values

_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
_SIXTH = np.float32(1 / 6)
_HALF = np.float32(1 / 2)
_TOLERANCE = 1e-5
"""Relative, of numbers that are equal but for the rounding of float32."""


def to_integers(model: onnx.ModelProto) -> None:
    """Rewrite the gates of a QDQ graph in place; those not quantized as they must be are left."""
    graph = model.graph
    values = Values(graph)
    for node in list(graph.node):
        if node.op_type == "HardSwish":
            _multiply_by_own_byte(graph, node, values)
        elif node.op_type == "HardSigmoid" and _is_of_a_sixth(node):
            _compute_gate(graph, node, values)


def _multiply_by_own_byte(graph: onnx.GraphProto, swish: NodeProto, values: Values) -> None:
    """Give a hard-swish whose input has a byte for -3 the form of a product."""
    before = _dequantizer(swish, values)
    if before is None:
        return
    scale, zero = (values.constant(name) for name in before.input[1:3])
    assert scale is not None
    assert zero is not None
    steps = round(3 / float(scale))
    bottom, top = int(zero) - steps, int(zero) + steps
    limits = np.iinfo(zero.dtype)
    if bottom < limits.min or not np.isclose(scale * steps, 3, rtol=_TOLERANCE, atol=0):
        return
    name = swish.output[0]
    sixth = _constant(graph, f"{name}_sixth", np.asarray(scale * _SIXTH))
    lowest = _constant(graph, f"{name}_bottom", np.array(bottom, zero.dtype))
    byte, parts = before.input[0], []
    if bottom > limits.min or top < limits.max:
        highest = _constant(graph, f"{name}_top", np.array(min(top, limits.max), zero.dtype))
        parts.append(helper.make_node("Clip", [byte, lowest, highest], [f"{name}_byte"]))
        byte = f"{name}_byte"
    parts.append(helper.make_node(_DEQUANTIZE, [byte, sixth, lowest], [f"{name}_gate"]))
    parts.append(helper.make_node("Mul", [swish.input[0], f"{name}_gate"], [name]))
    _replace(graph, swish, parts)


def _compute_gate(graph: onnx.GraphProto, gate: NodeProto, values: Values) -> None:
    """Take a hard-sigmoid out, if what follows it saturates where it does."""
    quantize, maker = values.only_user(gate.output[0], _QUANTIZE), values.maker(gate.input[0])
    if quantize is None or maker is None or not _saturates_at_one(quantize, values):
        return
    if maker.op_type == "Conv":
        _fold_into_conv(graph, gate, maker, values)
    elif _dequantizer(gate, values) is not None:
        _add_half(graph, gate, values)


def _fold_into_conv(
    graph: onnx.GraphProto, gate: NodeProto, conv: NodeProto, values: Values
) -> None:
    """Let a convolution with a quantized weight compute the hard-sigmoid of its output."""
    weight = values.maker(conv.input[1])
    if weight is None or weight.op_type != _DEQUANTIZE:
        return
    if not all(values.only_user(each.output[0]) for each in (weight, conv)):
        return
    channels, scale = (values.constant(name) for name in weight.input[:2])
    bias = values.constant(conv.input[2]) if len(conv.input) > 2 else np.zeros(1, np.float32)
    if channels is None or scale is None or bias is None:
        return
    name = gate.output[0]
    moved = np.broadcast_to(bias * _SIXTH + _HALF, len(channels)).astype(np.float32)
    weight.input[1] = _constant(graph, f"{name}_scale", np.asarray(scale * _SIXTH))
    conv.input[2:] = [_constant(graph, f"{name}_bias", moved)]
    conv.output[0] = name
    graph.node.remove(gate)


def _add_half(graph: onnx.GraphProto, gate: NodeProto, values: Values) -> None:
    """Make a hard-sigmoid between two quantized values the sum of its input's sixth and 1 / 2."""
    before = _dequantizer(gate, values)
    assert before is not None
    scale, zero = (values.constant(name) for name in before.input[1:3])
    assert scale is not None
    assert zero is not None
    name = gate.output[0]
    sixth = _constant(graph, f"{name}_scale", np.asarray(scale * _SIXTH))
    half = [
        _constant(graph, f"{name}_one", np.array(1, zero.dtype)),
        _constant(graph, f"{name}_half", np.array(_HALF)),
        _constant(graph, f"{name}_zero", np.array(0, zero.dtype)),
    ]
    names = [f"{name}_sixth", f"{name}_shift"]
    parts = [
        helper.make_node(_DEQUANTIZE, [before.input[0], sixth, before.input[2]], names[:1]),
        helper.make_node(_DEQUANTIZE, half, names[1:]),
        helper.make_node("Add", names, [name]),
    ]
    _replace(graph, gate, parts)


def _is_of_a_sixth(gate: NodeProto) -> bool:
    """Is it the hard-sigmoid of MobileNetV3? ONNX's own default has another slope."""
    given = {each.name: each.f for each in gate.attribute}
    return bool(np.isclose(given.get("alpha", 0.2), _SIXTH) and given.get("beta", 0.5) == _HALF)


def _saturates_at_one(quantize: NodeProto, values: Values) -> bool:
    """Do the bytes reach from 0 to no more than 1?"""
    scale, zero = (values.constant(name) for name in quantize.input[1:3])
    if scale is None or zero is None:
        return False
    limits = np.iinfo(zero.dtype)
    top = float(scale) * (limits.max - limits.min)
    return bool(zero == limits.min and top <= 1 + _TOLERANCE)


def _dequantizer(node: NodeProto, values: Values) -> NodeProto | None:
    """Return the node that dequantizes, in fixed steps, what this one reads."""
    maker = values.maker(node.input[0])
    if maker is None or maker.op_type != _DEQUANTIZE or len(maker.input) < 3:
        return None
    is_fixed = all(values.constant(name) is not None for name in maker.input[1:3])
    return maker if is_fixed else None


def _constant(graph: onnx.GraphProto, name: str, value: NDArray[np.generic]) -> str:
    graph.initializer.append(numpy_helper.from_array(value, name))
    return name


def _replace(graph: onnx.GraphProto, node: NodeProto, parts: list[NodeProto]) -> None:
    place = list(graph.node).index(node)
    graph.node.remove(node)
    for position, part in enumerate(parts):
        graph.node.insert(place + position, part)
