"""The order of the rewrites that make an exported QDQ graph one that ONNX Runtime fuses.

Each changes an onnx-ir model in place, with the help of `slimline.targets.onnxruntime.graph`, and
leaves what it does not know. Names of new values say nothing, since `to_onnx.clean` shortens all.
The passes keep the contract of our files (`slimline.targets.onnxruntime.to_onnx`): names of input
and output, any batch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

import onnx
import onnx_ir as ir

from slimline.targets.onnxruntime.passes import (
    channel_padding,
    concat_split,
    default_attributes,
    float_softmax,
    global_pooling,
    grey_stem,
    hard_swish,
    int32_biases,
    lone_float_layers,
    opset_version,
    shared_ranges,
    trailing_zeros,
)

Rewrite = Callable[[ir.Model], None]
"""Changes a model in place."""


@dataclass(frozen=True)
class Pass:
    """One rewrite."""

    rewrite: Rewrite
    needs: str
    """What must have been done before, or must still be as the exporter wrote it."""
    keeps: str
    """How far the answers stay what they were."""


_MAKE_ROOM = Pass(
    int32_biases.make_room,
    needs="biases in float, with all that is folded into them",
    keeps="weights that are not all but 0",
)
_POOL = Pass(
    global_pooling.pool_means,
    needs="means with axes as an input",
    keeps="bit for bit",
)
_KEEP_FLOAT = [
    Pass(
        lone_float_layers.keep_float,
        needs="all other layers quantized",
        keeps="bit for bit",
    ),
    Pass(
        float_softmax.keep_float,
        needs="a dequantize and a quantize node around each softmax",
        keeps="bit for bit",
    ),
]

Form: TypeAlias = Literal["fastest", "portable"]
"""Spelled as ONNX Runtime is fastest, or as all readers of QDQ understand it."""


def ordered(*, form: Form, pad_channels: bool, opset: int, ir_version: int) -> list[Pass]:
    """Return the passes that these options ask for, first to last."""
    versions = [
        Pass(
            partial(opset_version.set_versions, opset=opset, ir_version=ir_version),
            needs="all operators that will be there, in the exporter's opset",
            keeps="bit for bit",
        ),
        Pass(
            default_attributes.leave_out,
            needs="the final opset, whose defaults these are",
            keeps="bit for bit",
        ),
    ]
    return [*(_portable() if form == "portable" else _fastest(pad_channels)), *versions]


def _portable() -> list[Pass]:
    """Return passes that leave every operator between its quantize and dequantize nodes."""
    return [
        Pass(
            hard_swish.fold_gates,
            needs="HardSigmoid as the exporter writes it; biases in float",
            keeps="what is rounded, and where",
        ),
        _MAKE_ROOM,
        _POOL,
        *_KEEP_FLOAT,
        Pass(
            partial(int32_biases.quantize, spelled_out=True),
            needs="room for every bias; no later pass may change a scale",
            keeps="all but the rounding of biases, which training has done already",
        ),
    ]


def _fastest(pad_channels: bool) -> list[Pass]:
    """Return passes after which ONNX Runtime has a fast int8 kernel for each operator."""
    padding = [
        Pass(
            channel_padding.pad,
            needs="biases in float, and gates that are products of bytes already",
            keeps="bit for bit; more multiply-accumulates",
        )
    ]
    return [
        Pass(
            hard_swish.to_integers,
            needs="HardSwish and HardSigmoid as the exporter writes them; biases in float",
            keeps="what is rounded, and where",
        ),
        _MAKE_ROOM,
        Pass(
            shared_ranges.clip_bytes,
            needs="gates that are products of bytes already, of which none is a Clip any more",
            keeps="bit for bit",
        ),
        _POOL,
        Pass(
            concat_split.move_bytes,
            needs="a quantize and a dequantize node around each move",
            keeps="bit for bit",
        ),
        *(padding if pad_channels else []),
        Pass(
            grey_stem.widen,
            needs="the first convolution between its quantize and dequantize nodes; a float bias",
            keeps="bit for bit; more multiply-accumulates",
        ),
        *_KEEP_FLOAT,
        Pass(
            int32_biases.quantize,
            needs="room for every bias; no later pass may change a scale",
            keeps="all but the rounding of biases, which training has done already",
        ),
        Pass(
            trailing_zeros.leave_out,
            needs="weights as wide as they will be",
            keeps="bit for bit",
        ),
    ]


def apply(model: onnx.ModelProto, *rewrites: Rewrite) -> onnx.ModelProto:
    """Return what the rewrites, in this order, make of a model, which stays as it is.

    Types and shapes of values inside the graph are left out, since rewrites change them; whoever
    reads the model infers them.
    """
    rewritten = ir.from_proto(model)
    for rewrite in rewrites:
        rewrite(rewritten)
    result = ir.to_proto(rewritten)
    del result.graph.value_info[:]
    return result
