"""Lets operators that only move values work on bytes, where ONNX Runtime would rescale them.

`DequantizeLinear -> Concat -> QuantizeLinear` becomes `QLinearConcat`, which looks every byte up in
a table even if all parts have one range. With one range the operator can do without the pair
around it: the same bytes, fewer nodes, a smaller file.
"""

from collections.abc import Iterator

import onnx

from slimline.targets.onnxruntime.graph import Values

_MOVES = {"Concat", "Split"}


def move_bytes(model: onnx.ModelProto) -> None:
    """Take the quantize and dequantize nodes around moves away, in place, where ranges are equal.

    The graph keeps its meaning exactly. Unused nodes are removed.
    """
    graph = model.graph
    values = Values(graph)
    for node in graph.node:
        if node.op_type in _MOVES:
            _try_to_move_bytes(graph, values, node)
    _remove_unused(graph)


def _try_to_move_bytes(graph: onnx.GraphProto, values: Values, node: onnx.NodeProto) -> None:
    num_data = len(node.input) if node.op_type == "Concat" else 1
    before = [values.maker(name) for name in node.input[:num_data]]
    after = list(_quantizers(values, node))
    pairs = [*before, *after]
    if any(each is None for each in pairs) or len(after) < len(node.output):
        return
    ranges = {_range(values, each) for each in pairs if each is not None}
    if len(ranges) != 1 or None in ranges:
        return
    node.input[:num_data] = [each.input[0] for each in before if each is not None]
    node.output[:] = [each.output[0] for each in after]
    for each in after:
        graph.node.remove(each)


def _remove_unused(graph: onnx.GraphProto) -> None:
    """Drop dequantize nodes that nobody reads any more."""
    used = {name for node in graph.node for name in node.input}
    used |= {each.name for each in graph.output}
    kept = [node for node in graph.node if used & set(node.output)]
    del graph.node[:]
    graph.node.extend(kept)


def _quantizers(values: Values, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """Yield the node that alone uses an output, for each output that has just one user."""
    for name in node.output:
        user = values.only_user(name)
        if user is not None:
            yield user


def _range(values: Values, node: onnx.NodeProto) -> tuple[bytes, ...] | None:
    """Return scale and zero point as bytes; nothing for other operators."""
    if node.op_type not in {"QuantizeLinear", "DequantizeLinear"}:
        return None
    constants = [(name, values.constant(name)) for name in node.input[1:3]]
    return tuple(name.encode() if each is None else each.tobytes() for name, each in constants)
