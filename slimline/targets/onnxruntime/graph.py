"""Helpers that the rewrites of an ONNX graph share: what onnx-ir has no function for.

An input is given as a node and a position. Without such a node or position there is no answer, so
that questions can be chained: `constant(maker(conv, 1), 0)` is the content of a quantized weight.
"""

from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


def maker(node: ir.Node | None, position: int) -> ir.Node | None:
    """Return the node that computes an input; nothing for the graph's inputs and constants."""
    value = _input(node, position)
    return value.producer() if value is not None else None


def constant(node: ir.Node | None, position: int) -> NDArray[Any] | None:
    """Return the content of an input, if it is a constant."""
    value = _input(node, position)
    tensor = value.const_value if value is not None else None
    return tensor.numpy() if tensor is not None else None


def scale_and_zero(node: ir.Node | None) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Return both constants of a node that quantizes or dequantizes; nothing for any other."""
    if node is None or node.op_type not in {QUANTIZE, DEQUANTIZE}:
        return None
    scale, zero = constant(node, 1), constant(node, 2)
    return (scale, zero) if scale is not None and zero is not None else None


def only_user(value: ir.Value, *kinds: str) -> ir.Node | None:
    """Return the node that alone reads a value, once; nothing if it is none of the kinds."""
    users = [node for node, _ in value.uses()]
    if len(users) != 1 or (kinds and users[0].op_type not in kinds):
        return None
    return users[0]


def chain(value: ir.Value, *kinds: str) -> list[ir.Node]:
    """Return nodes of these kinds, in this order, each of which alone reads the one before.

    The first reads the value; the chain ends early where another kind or several nodes read.
    """
    nodes: list[ir.Node] = []
    for kind in kinds:
        user = only_user(value, kind)
        if user is None:
            break
        nodes.append(user)
        value = user.outputs[0]
    return nodes


def add_constant(node: ir.Node, content: NDArray[Any]) -> ir.Value:
    """Return a new constant of the graph that a node is in."""
    assert node.graph is not None
    name = f"constant_{len(node.graph.initializers)}"
    value = ir.val(name, const_value=ir.tensor(content))
    node.graph.register_initializer(value)
    return value


def set_constant(node: ir.Node, position: int, content: NDArray[Any]) -> None:
    """Let a node read a new constant; the old one may be another node's as well."""
    node.resize_inputs(max(position + 1, len(node.inputs)))
    node.replace_input_with(position, add_constant(node, content))


def set_input(node: ir.Node, position: int, tape: ir.tape.Tape) -> None:
    """Insert recorded nodes before a node, which then reads the output of the last of them."""
    node.prepend(tape.nodes)
    node.replace_input_with(position, tape.nodes[-1].outputs[0])


def replace(node: ir.Node, tape: ir.tape.Tape) -> None:
    """Replace a node by recorded ones; the output of the last of them replaces its output."""
    assert node.graph is not None
    ir.convenience.replace_nodes_and_values(
        node.graph, node, [node], tape.nodes, node.outputs, tape.nodes[-1].outputs
    )


def remove(node: ir.Node, stand_in: ir.Value) -> None:
    """Remove a node of one output; whatever read that reads another value instead."""
    assert node.graph is not None
    node.outputs[0].replace_all_uses_with(stand_in)
    node.graph.remove(node, safe=True)


def insert_after(value: ir.Value, tape: ir.tape.Tape) -> None:
    """Insert recorded nodes between the node that computes a value and all that read it."""
    assert not value.is_graph_output()
    uses = [use for use in value.uses() if use.node not in tape.nodes]
    producer = value.producer()
    assert producer is not None
    producer.append(tape.nodes)
    for user, position in uses:
        user.replace_input_with(position, tape.nodes[-1].outputs[0])


def _input(node: ir.Node | None, position: int) -> ir.Value | None:
    return node.inputs[position] if node is not None and position < len(node.inputs) else None
