"""Lets the first convolution of a network for grey images run in ONNX Runtime's direct int8 kernel.

That kernel wants input channels in multiples of 4; a grey image has one, and copying its pixels
one byte at a time takes longer than all else in the layer. So four output columns are computed at
once: as many neighbouring columns as they start at are read as channels, and the four results of
each filter stand side by side as channels until they are put back as columns. Channels-last, which
is how int8 convolutions run, that is no move of a byte at either end. The answers are the same, bit
for bit; the multiply-accumulates of this one layer become four times as many.
"""

from typing import Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from slimline.targets.onnxruntime.graph import (
    DEQUANTIZE,
    QUANTIZE,
    add_constant,
    chain,
    constant,
    insert_after,
    maker,
    only_user,
    set_constant,
)

_COLUMNS = 4
"""Output columns that are computed at once."""


def widen(model: ir.Model) -> None:
    """Rewrite the first convolution of a QDQ graph in place, if the image is grey.

    Left as they are: convolutions of another form than odd kernel, padding of half of it, and a
    width that divides.
    """
    image = model.graph.inputs[0]
    nodes = chain(image, QUANTIZE, DEQUANTIZE, "Conv")
    if len(nodes) < 3:
        return
    quantize_image, _, conv = nodes
    activation = only_user(conv.outputs[0], "Relu", "Clip") or conv
    quantize_result = only_user(activation.outputs[0], QUANTIZE)
    weight = constant(maker(conv, 1), 0)
    assert image.shape is not None
    size = ir.Shape(image.shape[1:]).numpy()
    if quantize_result is None or weight is None or not _is_plain(conv, weight, size):
        return
    _, height, width = size
    stride = _stride(conv)
    at_once = _COLUMNS * stride
    _widen_filters(conv, weight, stride)
    _move(
        quantize_image,
        ("Reshape", [-1, height, width // at_once, at_once]),
        ("Transpose", [0, 3, 1, 2]),
    )
    _move(
        quantize_result,
        ("Transpose", [0, 2, 3, 1]),
        ("Reshape", [-1, height // stride, width // stride, len(weight)]),
        ("Transpose", [0, 3, 1, 2]),
    )


def widened(weight: NDArray[np.int8], stride: int) -> NDArray[np.int8]:
    """Return the filters that make four columns at once.

    From int8 [filters, 1, kernel, kernel] to [4 * filters, 4 * stride, kernel, 3]: the columns
    before, at and after those that the four outputs start at.
    """
    filters, _, kernel, _ = weight.shape
    at_once = _COLUMNS * stride
    wide = np.zeros((_COLUMNS, filters, at_once, kernel, 3), weight.dtype)
    for output in range(_COLUMNS):
        for column in range(kernel):
            block, channel = divmod(output * stride + column - kernel // 2, at_once)
            wide[output, :, channel, :, block + 1] = weight[:, 0, :, column]
    return wide.reshape(_COLUMNS * filters, at_once, kernel, 3)


def _is_plain(conv: ir.Node, weight: NDArray[np.int8], size: tuple[int, ...]) -> bool:
    channels, height, width = size
    kernel, stride = weight.shape[2], _stride(conv)
    at_once = _COLUMNS * stride
    return (
        channels == 1
        and weight.shape[1:] == (1, kernel, kernel)
        and conv.attributes.get_ints("strides", (1, 1)) == (stride, stride)
        and conv.attributes.get_ints("dilations", (1, 1)) == (1, 1)
        and conv.attributes.get_ints("pads") == (kernel // 2,) * 4
        and kernel % 2 == 1
        and kernel // 2 <= at_once
        and width % at_once == 0
        and height % stride == 0
    )


def _stride(conv: ir.Node) -> int:
    return conv.attributes.get_ints("strides", (1, 1))[0]


def _widen_filters(conv: ir.Node, weight: NDArray[np.int8], stride: int) -> None:
    dequantize = maker(conv, 1)
    assert dequantize is not None
    set_constant(dequantize, 0, widened(weight, stride))
    for node, place in [(dequantize, 1), (dequantize, 2), (conv, 2)]:
        by_filter = constant(node, place)
        if by_filter is not None and by_filter.ndim:
            set_constant(node, place, np.tile(by_filter, _COLUMNS))
    padding = weight.shape[2] // 2
    conv.attributes.clear()
    conv.attributes.add(ir.AttrInt64s("pads", [padding, 1, padding, 1]))
    conv.attributes.add(ir.AttrInt64s("strides", [stride, 1]))


def _move(node: ir.Node, *moves: tuple[Literal["Reshape", "Transpose"], list[int]]) -> None:
    """Let all who read a node's output read it after moves, each to a shape or an order of axes."""
    tape, value = ir.tape.Tape(), node.outputs[0]
    for operator, numbers in moves:
        if operator == "Reshape":
            value = tape.op(operator, [value, add_constant(node, np.array(numbers))])
        else:
            value = tape.op(operator, [value], {"perm": numbers})
    insert_after(node.outputs[0], tape)
