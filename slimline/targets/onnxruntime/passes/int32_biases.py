"""Writes every bias as ONNX Runtime adds it: int32, in steps of input times weight.

- Where a channel's weights are all but 0, as in a dead channel or one that pruning emptied, its
  scale is tiny and its bias too many steps for 32 bits. Such weights get larger steps, of which
  they are 0.
- A bias in float is quantized by some releases of ONNX Runtime (1.21, and from 1.23 on); the others
  run its layer in float, weights dequantized for every image. In int32 all of them run it in int8.

Apart from ties, this is all in which int8 differs from fake-quant, so training rounds likewise
(`slimline.quantization.bias_rounding`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from slimline.targets.onnxruntime.graph import (
    DEQUANTIZE,
    add_constant,
    constant,
    maker,
    scale_and_zero,
    set_constant,
    set_input,
)

_LAYERS = {"Conv", "Gemm"}

_MOST_STEPS = 2.0**30
"""Half of what 32 bits hold: the rest is for the sum of the products."""

_TOO_MANY_STEPS = 2.0**31
"""For 32 bits."""


def make_room(model: ir.Model) -> None:
    """Widen the steps of weights in place where a bias asks for it; other layers stay as they are.

    Weights are int8 per channel, axis 0, or per tensor.
    """
    for layer in _quantized_layers(model):
        smallest = np.abs(layer.bias) / (layer.image_scale * _MOST_STEPS)
        scale = layer.weight_scale
        wider = np.maximum(scale, smallest if scale.ndim else smallest.max()).astype(np.float32)
        levels = constant(layer.weight, 0)
        if levels is None or np.array_equal(wider, scale):
            continue
        ratio = (scale / wider).reshape(-1, *[1] * (levels.ndim - 1))
        set_constant(layer.weight, 0, np.round(levels * ratio).astype(levels.dtype))
        set_constant(layer.weight, 1, wider)


def quantize(model: ir.Model, *, spelled_out: bool = False) -> None:
    """Put biases of layers with quantized input and weight in int32, in place.

    Only the bias changes, by its rounding; `make_room` comes first. Its steps are left to ONNX
    Runtime to multiply when it loads the file, which thus needs no scale per channel for them. The
    zero points could be left out, but ONNX Runtime's converter to .ort fails on an input that is
    not there: they are a bias less itself, once for all layers of one width. Spelled out, both are
    constants, for readers that compute nothing when they load.
    """
    zeros: dict[tuple[int, ...], ir.Value] = {}
    for layer in _quantized_layers(model):
        steps = np.asarray(layer.image_scale * layer.weight_scale, np.float32)
        levels = np.round(layer.bias / steps)
        assert np.abs(levels).max() < _TOO_MANY_STEPS, "make_room comes first"
        integers = add_constant(layer.node, levels.astype(np.int32))
        tape = ir.tape.Tape()
        axis = {"axis": 0} if steps.ndim else {}
        if spelled_out:
            zero = np.zeros(steps.shape, np.int32)
            constants = [add_constant(layer.node, each) for each in (steps, zero)]
            tape.op(DEQUANTIZE, [integers, *constants], axis)
            set_input(layer.node, 2, tape)
            continue
        if steps.shape not in zeros:
            zeros[steps.shape] = (
                tape.op("Sub", [integers, integers])
                if steps.shape == levels.shape
                else add_constant(layer.node, np.zeros(steps.shape, np.int32))
            )
        product = tape.op("Mul", [layer.image.inputs[1], layer.weight.inputs[1]])
        tape.op(DEQUANTIZE, [integers, product, zeros[steps.shape]], axis)
        set_input(layer.node, 2, tape)


@dataclass(frozen=True)
class _Layer:
    """A layer with a float bias, whose input and weight are dequantized in fixed steps."""

    node: ir.Node
    image: ir.Node
    """Dequantizes the layer's input."""
    weight: ir.Node
    image_scale: NDArray[np.float32]
    weight_scale: NDArray[np.float32]
    bias: NDArray[np.float32]


def _quantized_layers(model: ir.Model) -> Iterator[_Layer]:
    for node in model.graph:
        image, weight, bias = maker(node, 0), maker(node, 1), constant(node, 2)
        if node.op_type not in _LAYERS or image is None or weight is None or bias is None:
            continue
        steps, weight_steps = scale_and_zero(image), scale_and_zero(weight)
        if steps is not None and weight_steps is not None:
            yield _Layer(node, image, weight, steps[0], weight_steps[0], bias)
