"""Lets operators that only move values work on bytes, where ONNX Runtime would rescale them.

`DequantizeLinear -> Concat -> QuantizeLinear` becomes `QLinearConcat`, which looks every byte up in
a table even if all parts have one range. With one range the operator can do without the pair
around it: the same bytes, fewer nodes, a smaller file.
"""

from collections.abc import Iterator

import onnx
from onnx import numpy_helper

_MOVES = {"Concat", "Split"}


def move_bytes(model: onnx.ModelProto) -> None:
    """Take the quantize and dequantize nodes around moves away, in place, where ranges are equal.

    The graph keeps its meaning exactly. Unused nodes are removed.
    """
    graph = _Graph(model.graph)
    for node in model.graph.node:
        if node.op_type in _MOVES:
            graph.try_to_move_bytes(node)
    graph.remove_unused()


class _Graph:
    """Who makes and who uses each value."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._makers = {name: node for node in graph.node for name in node.output}
        self._constants = {
            each.name: numpy_helper.to_array(each).tobytes() for each in graph.initializer
        }
        self._users: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self._users.setdefault(name, []).append(node)

    def try_to_move_bytes(self, node: onnx.NodeProto) -> None:
        num_data = len(node.input) if node.op_type == "Concat" else 1
        before = [self._makers.get(name) for name in node.input[:num_data]]
        after = list(self._quantizers(node))
        pairs = [*before, *after]
        if any(each is None for each in pairs) or len(after) < len(node.output):
            return
        ranges = {self._range(each) for each in pairs if each is not None}
        if len(ranges) != 1 or None in ranges:
            return
        node.input[:num_data] = [each.input[0] for each in before if each is not None]
        node.output[:] = [each.output[0] for each in after]
        for each in after:
            self._graph.node.remove(each)

    def remove_unused(self) -> None:
        """Drop dequantize nodes that nobody reads any more."""
        used = {name for node in self._graph.node for name in node.input}
        used |= {each.name for each in self._graph.output}
        kept = [node for node in self._graph.node if used & set(node.output)]
        del self._graph.node[:]
        self._graph.node.extend(kept)

    def _quantizers(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """Yield the node that alone uses an output, for each output that has just one user."""
        for name in node.output:
            users = self._users.get(name, [])
            if len(users) == 1:
                yield users[0]

    def _range(self, node: onnx.NodeProto) -> tuple[bytes, ...] | None:
        """Return scale and zero point as bytes; nothing for other operators."""
        if node.op_type not in {"QuantizeLinear", "DequantizeLinear"}:
            return None
        return tuple(self._constants.get(name, name.encode()) for name in node.input[1:3])
