"""Leaves the zeros at the ends of int8 weights out of the file: ONNX Runtime appends them at load.

Padded channels (`channel_padding`) are zeros in the last rows and columns of weights. A `Pad` of a
constant is computed once, as ONNX Runtime loads the file, before it looks for what to run in int8:
the same kernels from fewer bytes.
"""

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from slimline.targets.onnxruntime.graph import add_constant, constant, maker, set_input

_NODE_BYTES = 128
"""What a node and the constant that it reads may take; fewer zeros than that stay."""


def leave_out(model: ir.Model) -> None:
    """Rewrite the weights of convolutions in place; the model means the same."""
    for conv in model.graph:
        weight = maker(conv, 1) if conv.op_type == "Conv" else None
        levels = constant(weight, 0)
        if weight is not None and levels is not None:
            _leave_out(weight, levels)


def _leave_out(weight: ir.Node, levels: NDArray[Any]) -> None:
    num_rows, num_columns = (_last_used(levels, axis) for axis in range(2))
    kept = levels[:num_rows, :num_columns]
    if levels.nbytes - kept.nbytes <= _NODE_BYTES:
        return
    left_out = [whole - left for whole, left in zip(levels.shape, kept.shape, strict=True)]
    pads = np.array([0] * levels.ndim + left_out)
    tape = ir.tape.Tape()
    tape.op("Pad", [add_constant(weight, kept), add_constant(weight, pads)])
    set_input(weight, 0, tape)


def _last_used(levels: NDArray[Any], axis: int) -> int:
    """Return how many slices there are up to the last that is not all 0, at least one."""
    others = tuple(each for each in range(levels.ndim) if each != axis)
    used = np.flatnonzero(levels.any(axis=others))
    return int(used[-1]) + 1 if len(used) else 1
