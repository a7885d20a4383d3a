"""Which operators compute in float, where some layers were chosen to.

A graph is one that torch exported, with fake-quant in it or without. Layers are named as in the
network: a layer's weight keeps its name in the graph.
"""

import copy
from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch.fx import Graph, GraphModule, Node

_aten = torch.ops.aten

WEIGHTED = {_aten.conv2d.default, _aten.linear.default}
HARD_SIGMOID = {_aten.hardsigmoid.default, _aten.hardsigmoid_.default}


def layer_name(node: Node) -> str:
    """Return the name of the layer whose weight an operator reads."""
    weight = tensor_inputs(node)[1]
    while weight.op != "get_attr":
        weight = tensor_inputs(weight)[0]
    return str(weight.target).removesuffix(".weight")


def layers(graph: Graph) -> list[str]:
    """Return the names of all layers, in the order in which an image meets them."""
    return [layer_name(node) for node in graph.nodes if node.target in WEIGHTED]


def float_nodes(graph: Graph, float_layers: Collection[str]) -> set[Node]:
    """Return the operators that compute in float, if these layers do.

    An operator without a weight joins its neighbours, so that no value is rounded for it alone: it
    is float if all that it reads is, or if some of it is and no int8 layer reads what comes of it.
    """
    found: set[Node] = set()
    if not float_layers:
        return found
    awaited = _read_by_int8(graph, float_layers)
    for node in graph.nodes:
        if node.target in WEIGHTED:
            is_float = layer_name(node) in float_layers
        else:
            given = [each in found for each in _values(node)]
            is_float = any(given) and (all(given) or node not in awaited)
        if is_float:
            found.add(node)
    return found


def without_fake_quant(network: GraphModule, float_layers: Collection[str]) -> GraphModule:
    """Return a prepared network as if it had been prepared with these layers in float.

    Weights and ranges are shared with the original, which is left alone.
    """
    own = GraphModule(network, copy.deepcopy(network.graph))
    floats = float_nodes(own.graph, float_layers)
    for node in list(own.graph.nodes):
        if node.op == "call_module" and not _is_needed(node, floats):
            node.replace_all_uses_with(node.args[0])
            own.graph.erase_node(node)
    own.recompile()
    return own


def tensor_inputs(node: Node) -> list[Node]:
    """Return the nodes among the arguments that carry tensors, lists of them flattened."""
    found: list[Node] = []
    pending: list[Any] = list(node.args)
    while pending:
        argument = pending.pop(0)
        if isinstance(argument, Node) and not isinstance(argument.meta.get("val"), torch.SymInt):
            found.append(argument)
        elif isinstance(argument, list | tuple):
            pending[:0] = argument
    return found


def _read_by_int8(graph: Graph, float_layers: Collection[str]) -> set[Node]:
    """Return what an int8 layer reads, directly or through operators without a weight."""
    found: set[Node] = set()
    for node in reversed(graph.nodes):
        for user in node.users:
            is_layer = user.target in WEIGHTED
            if (is_layer and layer_name(user) not in float_layers) or (
                not is_layer and user in found
            ):
                found.add(node)
    return found


def _is_needed(fake_quant: Node, floats: Collection[Node]) -> bool:
    """Does an int8 operator make what it rounds, or read it?"""
    source = fake_quant.args[0]
    assert isinstance(source, Node)
    is_made_in_int8 = source.op == "call_function" and source not in floats
    return is_made_in_int8 or any(user not in floats for user in fake_quant.users)


def _values(node: Node) -> Sequence[Node]:
    return [each for each in tensor_inputs(node) if each.op != "get_attr"]
