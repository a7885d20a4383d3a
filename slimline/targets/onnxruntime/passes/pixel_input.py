"""Lets a file take raw pixels: what normalises them becomes part of how they are quantized.

A quantized network rounds its normalised image to bytes: 256 pixel values of each channel become
bytes by a table that is known when the file is written. Where that table gives every pixel back as
it came, as for a grey image whose range of activations is that of its pixels, pixels are the bytes,
and the scale of the first layer is all that is left of normalising. Else the offset of each channel
is subtracted and its scale is that of the quantization; where float32 would round one of the 256
otherwise than before, division by 255, mean and std are spelled out as `Preprocessing` does them,
and so they are where a reader takes quantize and dequantize nodes as pairs of one scale. So no byte
behind it changes.
"""

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from slimline.data.preprocessing import Preprocessing
from slimline.data.raw_pixels import RawPixels
from slimline.targets.onnxruntime.graph import (
    QUANTIZE,
    add_constant,
    only_user,
    scale_and_zero,
)

_WHITE = 255
_BY_CHANNEL = 1
"""Axis of channels, behind a transposition if there is one."""


def take_pixels(model: ir.Model, frame: RawPixels, *, paired: bool = False) -> None:
    """Rewrite a graph that takes what `Preprocessing` gives to take what `RawPixels` gives.

    `paired` leaves every `QuantizeLinear` in steps of its `DequantizeLinear`, as other readers ask.
    """
    (image,) = model.graph.inputs
    uses = list(image.uses())
    quantize = only_user(image, QUANTIZE)
    assert image.shape is not None
    image.shape = ir.Shape([image.shape[0], *frame.shape])
    image.type = ir.TensorType(ir.DataType.UINT8)
    tape, before = ir.tape.Tape(), model.graph[0]
    pixels = _channels_first(tape, before, image, frame)
    levels = None if quantize is None or paired else _levels(quantize, frame)
    if quantize is not None and levels is not None and _are_pixels(levels):
        quantize.outputs[0].replace_all_uses_with(pixels)
    elif quantize is not None and _fold(tape, quantize, pixels, frame, levels):
        quantize.outputs[0].replace_all_uses_with(tape.nodes[-1].outputs[0])
    else:
        quantize = None
        _normalise(tape, before, pixels, frame)
        for user, position in uses:
            user.replace_input_with(position, tape.nodes[-1].outputs[0])
    before.prepend(tape.nodes)
    if quantize is not None:
        model.graph.remove(quantize, safe=True)


def _channels_first(
    tape: ir.tape.Tape, before: ir.Node, image: ir.Value, frame: RawPixels
) -> ir.Value:
    """Return the pixels with channels first; of one channel they lie in memory as they are."""
    if not frame.channels_last:
        return image
    if frame.channels == 1:
        shape = add_constant(before, np.array([-1, 1, frame.height, frame.width]))
        return tape.op("Reshape", [image, shape])
    return tape.op("Transpose", [image], {"perm": [0, 3, 1, 2]})


def _levels(quantize: ir.Node, frame: RawPixels) -> NDArray[np.int64] | None:
    """Return the byte of each pixel value, int64 [channels, 256], None where steps vary."""
    steps = scale_and_zero(quantize)
    if steps is None or steps[0].ndim:
        return None
    scale, zero = steps
    values = np.arange(_WHITE + 1, dtype=np.uint8).reshape(1, -1, 1, 1)
    images = Preprocessing.normalise(frame, values.repeat(frame.channels, axis=3))
    return _rounded(images[0, :, :, 0] / scale, zero)


def _rounded(steps: NDArray[np.float32], zero: NDArray[Any]) -> NDArray[np.int64]:
    """Return bytes as `QuantizeLinear` makes them: half to even, then as much as fits."""
    limits = np.iinfo(zero.dtype)
    rounded = np.rint(steps).astype(np.int64) + int(zero)
    return rounded.clip(limits.min, limits.max)


def _are_pixels(levels: NDArray[np.int64]) -> bool:
    return bool((levels == np.arange(_WHITE + 1)).all())


def _fold(
    tape: ir.tape.Tape,
    quantize: ir.Node,
    pixels: ir.Value,
    frame: RawPixels,
    levels: NDArray[np.int64] | None,
) -> bool:
    """Subtract and quantize channel by channel, if that gives these bytes; tell whether."""
    steps = scale_and_zero(quantize)
    if steps is None or levels is None:
        return False
    scale, zero = steps
    mean, std = (_WHITE * np.array(each, np.float64) for each in (frame.mean, frame.std))
    offsets, scales = mean.astype(np.float32), (std * scale).astype(np.float32)
    values = np.arange(_WHITE + 1, dtype=np.float32)
    found = _rounded((values - offsets[:, np.newaxis]) / scales[:, np.newaxis], zero)
    if not np.array_equal(found, levels):
        return False
    zeros = np.full(frame.channels, zero)
    shifted = _subtract(tape, quantize, _cast(tape, pixels), offsets)
    constants = [add_constant(quantize, each) for each in (scales, zeros)]
    tape.op(QUANTIZE, [shifted, *constants], {"axis": _BY_CHANNEL})
    return True


def _normalise(tape: ir.tape.Tape, before: ir.Node, pixels: ir.Value, frame: Preprocessing) -> None:
    """Spell out what `Preprocessing.normalise` does, operation by operation."""
    mean, std = (np.array(each, np.float32) for each in (frame.mean, frame.std))
    scaled = tape.op(
        "Div", [_cast(tape, pixels), add_constant(before, np.array(_WHITE, np.float32))]
    )
    shifted = _subtract(tape, before, scaled, mean)
    tape.op("Div", [shifted, add_constant(before, std.reshape(1, -1, 1, 1))])


def _cast(tape: ir.tape.Tape, pixels: ir.Value) -> ir.Value:
    return tape.op("Cast", [pixels], {"to": int(ir.DataType.FLOAT)})


def _subtract(
    tape: ir.tape.Tape, before: ir.Node, values: ir.Value, by_channel: NDArray[np.float32]
) -> ir.Value:
    return tape.op("Sub", [values, add_constant(before, by_channel.reshape(1, -1, 1, 1))])
