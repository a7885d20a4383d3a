"""Which operators compute in float: those without int8 kernels, chosen layers, what joins them.

A graph is one that torch exported, with fake-quant in it or without. Layers are named as in the
network: a layer's weight keeps its name in the graph.
"""

import copy
from collections.abc import Collection, Sequence

import torch
from torch.fx import Graph, GraphModule, Node

from slimline.quantization.operators import (
    BINARY,
    CONCATENATION,
    FUSED_ACTIVATIONS,
    LINEAR,
    MOVES,
    RESHAPES,
    SPLITS,
    WEIGHTED,
    can_be_int8,
    constants,
    tensor_inputs,
)

_JOINS = {*BINARY, CONCATENATION}


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
    is float if all that it reads is, or if some of it is and no int8 layer reads what comes of it;
    a sum, a product or a concatenation also if float operators alone read it. What a linear layer
    makes of a sequence counts as float, since its kernel hands that on without rounding.
    """
    found: set[Node] = set()
    fixed = constants(graph)
    moving = [node for node in graph.nodes if not _is_aside(node) and node not in fixed]
    if not float_layers and all(map(_is_free, moving)):
        return found
    awaited = _read_by_int8(graph, float_layers)
    sequences: set[Node] = set()
    for node in moving:
        inputs = [each for each in tensor_inputs(node) if each not in fixed]
        given = [each in found or each in sequences for each in inputs]
        if node.target in WEIGHTED:
            is_float = layer_name(node) in float_layers
        elif _hands_sequence_on(node, inputs, sequences):
            sequences.add(node)
            continue
        else:
            joins = any(given) and (all(given) or node not in awaited)
            is_float = joins or not _is_free(node)
        if is_float:
            found.add(node)
    for node in reversed(graph.nodes):
        if node.target in _JOINS and node not in found:
            moves, readers = _moved(node)
            if readers and found.issuperset(readers):
                found |= {node, *moves}
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


def hands_bytes_on(node: Node, floats: Collection[Node]) -> bool:
    """Return whether an int8 operator reads what a node makes, be it moved before."""
    _, readers = _moved(node)
    return any(each not in floats and each.op != "output" for each in readers)


def _read_by_int8(graph: Graph, float_layers: Collection[str]) -> set[Node]:
    """Return what an int8 layer reads, directly or through int8 operators without a weight."""
    found: set[Node] = set()
    for node in reversed(graph.nodes):
        for user in node.users:
            is_layer = user.target in WEIGHTED
            if (is_layer and layer_name(user) not in float_layers) or (
                not is_layer and user in found and (can_be_int8(user) or _is_fake_quant(user))
            ):
                found.add(node)
    return found


def _hands_sequence_on(node: Node, inputs: Sequence[Node], sequences: Collection[Node]) -> bool:
    """Does a node reshape the rows of a linear layer to a sequence, or move one?"""
    if node.target not in MOVES | SPLITS and not _is_fake_quant(node):
        return False
    if inputs[0] in sequences:
        return True
    sizes = node.args[1] if node.target in RESHAPES and len(node.args) > 1 else ()
    is_sequence = isinstance(sizes, list | tuple) and len(sizes) > 2
    return is_sequence and _without_activation(inputs[0]).target is LINEAR


def _without_activation(node: Node) -> Node:
    return tensor_inputs(node)[0] if node.target in FUSED_ACTIVATIONS else node


def _is_free(node: Node) -> bool:
    """Does an operator not ask for float?"""
    return can_be_int8(node) or _is_fake_quant(node)


def _is_aside(node: Node) -> bool:
    """Is it none that computes with images: sizes, checks, the ends of the graph?"""
    is_size = isinstance(node.meta.get("val"), torch.SymInt) or not tensor_inputs(node)
    return is_size or not node.users or node.op in {"placeholder", "output"}


def _is_fake_quant(node: Node) -> bool:
    return node.op == "call_module" and bool(node.users)


def _is_needed(fake_quant: Node, floats: Collection[Node]) -> bool:
    """Does an int8 operator make what it rounds, or read it?"""
    source = fake_quant.args[0]
    assert isinstance(source, Node)
    is_made_in_int8 = source.op == "call_function" and source not in floats
    return is_made_in_int8 or any(user not in floats for user in fake_quant.users)


def _moved(node: Node) -> tuple[list[Node], list[Node]]:
    """Return the operators that move a value, and what reads it, moved or not."""
    moves: list[Node] = []
    ends: list[Node] = []
    for user in _readers(node):
        if user.target in MOVES | SPLITS:
            more = _moved(user)
            moves += [user, *more[0]]
            ends += more[1]
        else:
            ends.append(user)
    return moves, ends


def _readers(node: Node) -> list[Node]:
    """Return what reads a value, fake-quant looked through."""
    found = []
    for user in node.users:
        if not isinstance(user.meta.get("val"), torch.SymInt):
            found += _readers(user) if _is_fake_quant(user) else [user]
    return found
