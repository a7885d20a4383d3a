"""What a `forward` makes of numbers alone, as tables of places and kernels: computed once.

Left in the graph, an assignment to a part (`table[:, 0] = rows`) would be lost where the table is
rounded before it is read, and a kernel would be no weight that a layer could have.
"""

from collections.abc import Collection, Mapping
from itertools import count
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

from slimline.quantization import attributes
from slimline.quantization.operators import has_fixed_shape, tensor_inputs

_aten = torch.ops.aten

_OF_NUMBERS = {
    _aten.new_zeros.default: _aten.zeros.default,
    _aten.new_ones.default: _aten.ones.default,
    _aten.new_full.default: _aten.full.default,
    _aten.new_empty.default: _aten.empty.memory_format,
}
"""What takes nothing but its type from a tensor, and what does the same without one."""


def compute(graph: GraphModule) -> None:
    """Replace what depends neither on images nor on weights by buffers of its value, in place.

    They are called `table_0`, `table_1`, ... A value that chance has a part in stays as it is.
    """
    for node in graph.graph.nodes:
        if node.target in _OF_NUMBERS and has_fixed_shape(node):
            node.target = _OF_NUMBERS[node.target]
            node.args = node.args[1:]
            node.kwargs = {**node.kwargs, "dtype": node.meta["val"].dtype}
    made = _made(graph)
    values: dict[Node, Any] = {}
    tables: list[Node] = []
    for node in list(graph.graph.nodes):
        if node in made:
            values[node] = _value(graph, node, values)
            continue
        for source in [each for each in node.all_input_nodes if each in made]:
            if isinstance(values[source], Tensor):
                node.replace_input_with(source, _table(graph, node, values[source], tables))
    others = set(graph.graph.nodes) - set(made)
    if any(not others.isdisjoint(each.users) for each in made if each.op != "get_attr"):
        return  # a number is still read of it
    for node in reversed(made):
        if not node.users:
            graph.graph.erase_node(node)


def _made(graph: GraphModule) -> list[Node]:
    """Return what is made of numbers alone, in the order of the graph."""
    state = {name for name, _ in [*graph.named_parameters(), *graph.named_buffers()]}
    others: set[Node] = set()  # what an image or a weight is assigned to later
    while True:
        made: dict[Node, None] = {}
        for node in graph.graph.nodes:
            if node not in others and _is_made(node, made, state):
                made[node] = None
        assigned = {each for node in graph.graph.nodes for each in _assigned(node, made)}
        if not assigned:
            return list(made)
        others |= assigned


def _is_made(node: Node, made: Collection[Node], state: Collection[str]) -> bool:
    if node.op == "get_attr":  # a constant that `forward` has, or an attribute that is no buffer
        return isinstance(node.meta.get("val"), Tensor) and node.target not in state
    tags = getattr(node.target, "tags", ())
    if node.op != "call_function" or torch.Tag.nondeterministic_seeded in tags:
        return False
    inputs = node.all_input_nodes
    return all(each in made for each in inputs) and bool(inputs or has_fixed_shape(node))


def _assigned(node: Node, made: Collection[Node]) -> list[Node]:
    """Return what a node changes in place that is not made of numbers, and what that is part of."""
    schema = getattr(node.target, "_schema", None)
    if node in made or schema is None or not schema.is_mutable:
        return []
    found: list[Node] = []
    pending = tensor_inputs(node)[:1]
    while pending and pending[0] in made:
        found += pending
        pending = tensor_inputs(pending[0])[:1]
    return found


def _value(graph: GraphModule, node: Node, values: Mapping[Node, Any]) -> Any:
    if node.op == "get_attr":
        return attributes.get(graph, str(node.target))
    arguments, options = map_arg((node.args, node.kwargs), values.__getitem__)
    return node.target(*arguments, **options)  # type: ignore[operator]


def _table(graph: GraphModule, reader: Node, value: Tensor, tables: list[Node]) -> Node:
    """Return the node of a buffer of a value as it is now, for this reader and those behind it."""
    found = next((each for each in tables if _is_alike(each.meta["val"], value)), None)
    if found is None:
        name = next(each for each in map("table_{}".format, count()) if not hasattr(graph, each))
        table = value.detach().clone(memory_format=torch.contiguous_format)
        graph.register_buffer(name, table, persistent=False)
        with graph.graph.inserting_before(reader):
            found = graph.graph.get_attr(name)
        found.meta = {"val": table}
        tables.append(found)
    return found


def _is_alike(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)
