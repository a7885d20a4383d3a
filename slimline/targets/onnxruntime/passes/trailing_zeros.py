"""Leaves the zeros at the ends of int8 weights out of the file: ONNX Runtime appends them at load.

Padded channels (`channel_padding`) are zeros in the last rows and columns of weights. A `Pad` of a
constant is computed once, as ONNX Runtime loads the file, before it looks for what to run in int8:
the same kernels from fewer bytes.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

from slimline.targets.onnxruntime.graph import Values

_NODE_BYTES = 128
"""What a node and the constant that it reads may take; fewer zeros than that stay."""


def leave_out(model: onnx.ModelProto) -> None:
    """Rewrite the weights of convolutions in place; the model means the same."""
    graph = model.graph
    values = Values(graph)
    for conv in [node for node in graph.node if node.op_type == "Conv"]:
        weight = values.maker(conv.input[1])
        levels = values.constant(weight.input[0]) if weight is not None else None
        if weight is not None and levels is not None:
            _leave_out(graph, weight, levels)


def _leave_out(graph: onnx.GraphProto, weight: NodeProto, levels: NDArray[Any]) -> None:
    ends = [_last_used(levels, axis) for axis in range(2)]
    kept = levels[: ends[0], : ends[1]]
    if levels.nbytes - kept.nbytes <= _NODE_BYTES:
        return
    name = weight.output[0]
    trimmed = numpy_helper.from_array(np.ascontiguousarray(kept), f"{name}_trimmed")
    more = [whole - left for whole, left in zip(levels.shape, kept.shape, strict=True)]
    pads = numpy_helper.from_array(np.array([0] * len(more) + more), f"{name}_pads")
    graph.initializer.extend([trimmed, pads])
    pad = helper.make_node("Pad", [trimmed.name, pads.name], [f"{name}_whole"])
    graph.node.insert(list(graph.node).index(weight), pad)
    weight.input[0] = pad.output[0]


def _last_used(levels: NDArray[Any], axis: int) -> int:
    """Return how many slices there are up to the last that is not all 0, at least one."""
    others = tuple(each for each in range(levels.ndim) if each != axis)
    used = np.flatnonzero(levels.any(axis=others))
    return int(used[-1]) + 1 if len(used) else 1
