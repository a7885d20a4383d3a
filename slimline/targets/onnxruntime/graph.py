"""Who makes and who uses each value of an ONNX graph: what every rewrite of it begins with."""

from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import NodeProto, numpy_helper


class Values:
    """The values of a graph by name, as they were when this was made; a rewrite is not followed."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._makers = {name: node for node in graph.node for name in node.output}
        self._constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
        self._users: dict[str, list[NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self._users.setdefault(name, []).append(node)

    def maker(self, name: str) -> NodeProto | None:
        """Return the node that computes a value; nothing for inputs and constants."""
        return self._makers.get(name)

    def constant(self, name: str) -> NDArray[Any] | None:
        """Return what a constant holds; nothing for a value that is computed or given."""
        return self._constants.get(name)

    def users(self, name: str) -> list[NodeProto]:
        """Return the nodes that read a value; one that reads it twice comes twice."""
        return self._users.get(name, [])

    def only_user(self, name: str, *kinds: str) -> NodeProto | None:
        """Return the node that alone reads a value, once; nothing if it is none of the kinds."""
        users = self.users(name)
        if len(users) != 1 or (kinds and users[0].op_type not in kinds):
            return None
        return users[0]
