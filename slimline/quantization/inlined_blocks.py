"""Blocks of a `forward` that torch exports as graphs of their own, put back where they stand.

`with torch.autocast(...)` and `with torch.no_grad()` make such graphs. Nothing that looks at
operators sees into them, so that what stands there would stay float, and unnamed.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.fx import GraphModule, Node

from slimline.errors import NetworkError

_higher_order = torch.ops.higher_order

_AUTOCAST = _higher_order.wrap_with_autocast
_GRADIENTS = _higher_order.wrap_with_set_grad_enabled

_detach = torch.ops.aten.detach.default


def inline(graph: GraphModule) -> None:
    """Put the operators of all blocks in the place of the blocks, in place.

    What comes of a block without gradients has none afterwards either.

    Raises:
        NetworkError: a block computes in another precision, or a sub-graph can't be put in place,
            as a choice by the values of images.
    """
    while blocks := [node for node in graph.graph.nodes if _subgraphs(graph, node)]:
        for node in blocks:
            _inline(graph, node)
    graph.delete_all_unused_submodules()
    graph.recompile()


def _subgraphs(graph: GraphModule, node: Node) -> list[GraphModule]:
    """Return what graphs of its own a call is handed; none for one that is no such call."""
    named = [
        getattr(graph, str(each.target), None)
        for each in node.all_input_nodes
        if node.op == "call_function" and each.op == "get_attr"
    ]
    return [each for each in named if isinstance(each, GraphModule)]


def _inline(graph: GraphModule, call: Node) -> None:
    (block, *_), given = _subgraphs(graph, call), list(call.args)
    finish: Callable[[Node], Node] = _as_it_is
    if call.target is _AUTOCAST:
        device, precision, is_enabled, _, _, *inputs = given
        if is_enabled and device == "cpu":
            raise NetworkError(
                f"computes a part in {str(precision).removeprefix('torch.')} by itself "
                "(torch.autocast in its forward), where its file computes in float32 and int8: "
                "take that block out; training.step.precision is for training alone"
            )
    elif call.target is _GRADIENTS:
        has_gradients, _, *inputs = given
        finish = _as_it_is if has_gradients else _without_gradient
    else:
        raise NetworkError(
            f"calls {call.target} in its forward, whose layers cannot be followed: let it compute "
            "both ways and choose between the results (torch.where)"
        )
    _put_in_place(graph, call, block, inputs, finish)


def _as_it_is(node: Node) -> Node:
    return node


def _without_gradient(node: Node) -> Node:
    cut = node.graph.call_function(_detach, (node,))
    cut.meta = dict(node.meta)
    return cut


def _put_in_place(
    graph: GraphModule,
    call: Node,
    block: GraphModule,
    inputs: list[Any],
    finish: Callable[[Node], Node],
) -> None:
    """Copy a block's operators before the call of it, and let what read its results read theirs."""
    placeholders = block.graph.find_nodes(op="placeholder")
    known: dict[Node, Any] = dict(zip(placeholders, inputs, strict=True))
    with graph.graph.inserting_before(call):
        for node in block.graph.nodes:
            if node.op == "get_attr":  # a graph of its own again, or a constant
                name = _free_name(graph, str(node.target))
                setattr(graph, name, getattr(block, str(node.target)))
                known[node] = graph.graph.get_attr(name)
                known[node].meta = dict(node.meta)
            elif node.op not in {"placeholder", "output"}:
                known[node] = graph.graph.node_copy(node, known.__getitem__)
        (end,) = block.graph.find_nodes(op="output")
        returned = torch.fx.map_arg(end.args[0], known.__getitem__)
        results = returned if isinstance(returned, tuple | list) else (returned,)
        finished = [finish(each) if isinstance(each, Node) else each for each in results]
    for part in list(call.users):  # it always returns several, of which each is taken
        place: Any = part.args[1]
        part.replace_all_uses_with(finished[place])
        graph.graph.erase_node(part)
    graph.graph.erase_node(call)


def _free_name(graph: GraphModule, name: str) -> str:
    while hasattr(graph, name):
        name = f"{name}_inner"
    return name
