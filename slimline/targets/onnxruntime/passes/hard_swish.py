"""Computes hard-swish and hard-sigmoid in integers, for which ONNX Runtime has no kernel.

- A hard-sigmoid that follows a convolution costs nothing: `x / 6 + 1 / 2` goes into the scale of
  the weight and into the bias, and where quantization saturates is where the function does.
- A hard-swish is `x * clip(x / 6 + 1 / 2, 0, 1)`. Its input is quantized in steps of 3 / k
  (`observers.SwishObserver`), so that -3 and 3 are bytes, k below and above the zero point. The
  *same byte*, with the byte of -3 for a zero point and in steps of a sixth, is `x / 6 + 1 / 2`;
  between the two bytes it is clipped. What is left is a product, and nothing is rounded that was
  not.
- Any other hard-sigmoid is the sum of a sixth of its input, which is the same byte in steps of a
  sixth, and of 1 / 2.

The graph keeps its meaning; it only ever rounds where it was rounded in training.
"""

import numpy as np
import onnx_ir as ir

from slimline.targets.onnxruntime.graph import (
    DEQUANTIZE,
    QUANTIZE,
    add_constant,
    constant,
    maker,
    only_user,
    remove,
    replace,
    scale_and_zero,
    set_constant,
)

_SIXTH = np.float32(1 / 6)
_HALF = np.float32(1 / 2)
_TOLERANCE = 1e-5
"""Relative, of numbers that are equal but for the rounding of float32."""


def to_integers(model: ir.Model) -> None:
    """Rewrite the gates of a QDQ graph in place; those not quantized as they must be are left."""
    for node in model.graph:
        if node.op_type == "HardSwish":
            _multiply_by_own_byte(node)
        elif node.op_type == "HardSigmoid" and _is_of_a_sixth(node):
            _compute_gate(node)


def fold_gates(model: ir.Model) -> None:
    """Let convolutions compute the hard-sigmoids behind them, in place; other gates are left.

    Every byte keeps one meaning, which readers of `int8_export.form: portable` count on.
    """
    for node in model.graph:
        if node.op_type == "HardSigmoid" and _is_of_a_sixth(node):
            before, quantize = maker(node, 0), only_user(node.outputs[0], QUANTIZE)
            if before is not None and before.op_type == "Conv" and _saturates_at_one(quantize):
                _fold_into_conv(node, before)


def _multiply_by_own_byte(swish: ir.Node) -> None:
    """Give a hard-swish whose input has a byte for -3 the form of a product."""
    dequantize = maker(swish, 0)
    quantization = scale_and_zero(dequantize)
    if dequantize is None or quantization is None:
        return
    scale, zero = quantization
    steps = round(3 / float(scale))
    bottom, top = int(zero) - steps, int(zero) + steps
    limits = np.iinfo(zero.dtype)
    if bottom < limits.min or not np.isclose(scale * steps, 3, rtol=_TOLERANCE, atol=0):
        return
    sixth = add_constant(swish, np.asarray(scale * _SIXTH))
    lowest = add_constant(swish, np.array(bottom, zero.dtype))
    tape, byte = ir.tape.Tape(), dequantize.inputs[0]
    if bottom > limits.min or top < limits.max:
        highest = add_constant(swish, np.array(min(top, limits.max), zero.dtype))
        byte = tape.op("Clip", [byte, lowest, highest])
    gate = tape.op(DEQUANTIZE, [byte, sixth, lowest])
    tape.op("Mul", [swish.inputs[0], gate])
    replace(swish, tape)


def _compute_gate(gate: ir.Node) -> None:
    """Take a hard-sigmoid out, if what follows it saturates where it does."""
    before, quantize = maker(gate, 0), only_user(gate.outputs[0], QUANTIZE)
    if before is None or not _saturates_at_one(quantize):
        return
    if before.op_type == "Conv":
        _fold_into_conv(gate, before)
    elif before.op_type == DEQUANTIZE:
        _add_half(gate, before)


def _fold_into_conv(gate: ir.Node, conv: ir.Node) -> None:
    """Let a convolution with a quantized weight compute the hard-sigmoid of its output."""
    weight = maker(conv, 1)
    if weight is None or weight.op_type != DEQUANTIZE:
        return
    if not all(only_user(each.outputs[0]) for each in (weight, conv)):
        return
    levels, scale = constant(weight, 0), constant(weight, 1)
    bias = constant(conv, 2) if len(conv.inputs) > 2 else np.zeros(1, np.float32)
    if levels is None or scale is None or bias is None:
        return
    shifted = np.broadcast_to(bias * _SIXTH + _HALF, len(levels)).astype(np.float32)
    set_constant(weight, 1, np.asarray(scale * _SIXTH))
    set_constant(conv, 2, shifted)
    remove(gate, conv.outputs[0])


def _add_half(gate: ir.Node, dequantize: ir.Node) -> None:
    """Make a hard-sigmoid between two quantized values the sum of its input's sixth and 1 / 2."""
    quantization = scale_and_zero(dequantize)
    if quantization is None:
        return
    scale, zero = quantization
    sixth = add_constant(gate, np.asarray(scale * _SIXTH))
    half = [
        add_constant(gate, each)
        for each in (np.array(1, zero.dtype), np.array(_HALF), np.array(0, zero.dtype))
    ]
    tape = ir.tape.Tape()
    product = tape.op(DEQUANTIZE, [dequantize.inputs[0], sixth, dequantize.inputs[2]])
    tape.op("Add", [product, tape.op(DEQUANTIZE, half)])
    replace(gate, tape)


def _is_of_a_sixth(gate: ir.Node) -> bool:
    """Is it the hard-sigmoid of MobileNetV3? ONNX's own default has another slope."""
    slope, shift = gate.attributes.get_float("alpha", 0.2), gate.attributes.get_float("beta", 0.5)
    return bool(np.isclose(slope, _SIXTH) and shift == _HALF)


def _saturates_at_one(quantize: ir.Node | None) -> bool:
    """Do the bytes reach from 0 to no more than 1?"""
    quantization = scale_and_zero(quantize)
    if quantization is None:
        return False
    scale, zero = quantization
    limits = np.iinfo(zero.dtype)
    top = float(scale) * (limits.max - limits.min)
    return bool(zero == limits.min and top <= 1 + _TOLERANCE)
