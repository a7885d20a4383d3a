"""Lets operators that only move values work on bytes, where ONNX Runtime would rescale them.

`DequantizeLinear -> Concat -> QuantizeLinear` becomes `QLinearConcat`, which looks every byte up in
a table even if all parts have one range. With one range the operator can do without the pair
around it: the same bytes, fewer nodes, a smaller file.
"""

import onnx_ir as ir

from slimline.targets.onnxruntime.graph import maker, only_user, remove, scale_and_zero

_MOVES = {"Concat", "Split", "Slice"}


def move_bytes(model: ir.Model) -> None:
    """Take the quantize and dequantize nodes around moves away, in place, where ranges are equal.

    The graph keeps its meaning exactly. Unused nodes are removed.
    """
    for node in model.graph:
        if node.op_type in _MOVES:
            _try_to_move_bytes(node)
    for node in reversed(model.graph):
        if not any(each.uses() or each.is_graph_output() for each in node.outputs):
            model.graph.remove(node, safe=True)


def _try_to_move_bytes(node: ir.Node) -> None:
    num_data = len(node.inputs) if node.op_type == "Concat" else 1
    before = [each for place in range(num_data) if (each := maker(node, place))]
    after = [each for value in node.outputs if (each := only_user(value))]
    ranges = {_range(each) for each in (*before, *after)}
    is_complete = len(before) == num_data and len(after) == len(node.outputs)
    if not is_complete or len(ranges) != 1 or None in ranges:
        return
    for place, dequantize in enumerate(before):
        node.replace_input_with(place, dequantize.inputs[0])
    for quantize, moved in zip(after, node.outputs, strict=True):
        remove(quantize, moved)


def _range(node: ir.Node) -> tuple[bytes, ...] | None:
    """Return scale and zero point as bytes; nothing for other operators."""
    found = scale_and_zero(node)
    return tuple(each.tobytes() for each in found) if found is not None else None
