"""Weights that a `forward` computes from others, as standardised or sliced ones: computed once."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import count
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

from slimline.errors import NetworkError
from slimline.networks.classifier import COMPUTED
from slimline.quantization import attributes
from slimline.quantization.operators import WEIGHTED, constants, tensor_inputs

_PADDED_BY_NAME = torch.ops.aten.conv2d.padding

_Use = tuple[Node, Node]
"""A layer, and a value that it reads as weight or bias."""


def compute(graph: GraphModule) -> None:
    """Replace weights that are computed from others by parameters of their value, in place.

    Such a parameter has the name of the one that it is computed of, where nothing else is and it
    has that shape; else that name and `COMPUTED`. Names go by what is computed, not by values:
    those of another network of the kind are the same.

    Raises:
        NetworkError: one is computed of the image, or by chance.
    """
    fixed = constants(graph.graph)
    for node in graph.graph.nodes:
        if node.target in WEIGHTED and not fixed.issuperset(tensor_inputs(node)[1:]):
            raise NetworkError(
                f"computes the weights of a layer of the image ({node}), as CondConv does: it "
                "cannot be quantized"
            )
    computed, formulas = _computed(graph, fixed), _formulas(graph, fixed)
    named: dict[str, int] = {}
    for (node, source), value in computed.items():
        name = _attribute_of(graph, source)
        alike = {use for use in computed if formulas[use[1]] == formulas[source]}
        is_free = alike.issuperset(_uses(graph, name, fixed)) and _has_shape(graph, name, value)
        if not is_free:
            names = (f"{name}{COMPUTED}{place or ''}" for place in count())
            name = next(
                n for n in names if named.setdefault(n, formulas[source]) == formulas[source]
            )
        with graph.graph.inserting_before(node):
            fresh = attributes.add(graph, name, value)
        fresh.meta = dict(source.meta)
        node.replace_input_with(source, fresh)
    graph.graph.eliminate_dead_code()  # a BatchNorm that standardised weights is none to fold


@torch.no_grad()
def _computed(graph: GraphModule, fixed: Collection[Node]) -> dict[_Use, Tensor]:
    """Return the values that layers read and that are no attributes, as each reads them."""
    uses = [
        (node, source)
        for node in graph.graph.nodes
        if node.target in {*WEIGHTED, _PADDED_BY_NAME}
        for source in tensor_inputs(node)[1:]
        if source.op != "get_attr" and source in fixed
    ]
    needed = _origins((source for _, source in uses), fixed)
    values: dict[Node, Any] = {}
    copies: dict[str, Tensor] = {}  # code may change what it computes with
    found: dict[_Use, Tensor] = {}
    for node in graph.graph.nodes:
        if node in needed and node.op == "get_attr":
            copies.setdefault(node.target, attributes.get(graph, node.target).clone())
            values[node] = copies[node.target]
        elif node in needed:
            arguments, options = map_arg((node.args, node.kwargs), values.__getitem__)
            values[node] = node.target(*arguments, **options)
        found |= {use: values[use[1]].clone() for use in uses if use[0] is node}
    return found


def _origins(sources: Iterable[Node], fixed: Iterable[Node]) -> set[Node]:
    """Return these nodes, all that they are computed of, and what changes any of that in place."""
    changes = [each for each in fixed if _is_change(each)]
    found: set[Node] = set()
    pending = list(sources)
    while pending:
        node = pending.pop()
        if node not in found:
            found.add(node)
            pending += node.all_input_nodes
        if not pending:
            waiting = (each for each in changes if each not in found)
            pending += [each for each in waiting if not found.isdisjoint(_changed(each))]
    return found


def _is_change(node: Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and schema.is_mutable


def _changed(change: Node) -> Iterator[Node]:
    """Yield what a node changes, and what that is a part of."""
    inputs = tensor_inputs(change)
    while inputs:
        yield inputs[0]
        inputs = tensor_inputs(inputs[0])


def _formulas(graph: GraphModule, fixed: Collection[Node]) -> Mapping[Node, int]:
    """Return a number for what each node computes of weights: the same is computed by the same."""
    numbers: dict[str, int] = {}
    found: dict[Node, int] = {}
    for node in graph.graph.nodes:
        if node in fixed:
            given = map_arg((node.args, node.kwargs), lambda each: f"#{found.get(each, each.name)}")
            formula = f"{node.target} of {given}"
            found[node] = numbers.setdefault(formula, len(numbers))
    return found


def _has_shape(graph: GraphModule, name: str, value: Tensor) -> bool:
    """Return whether a value may have an attribute's name: by its shape a network is rebuilt."""
    return attributes.get(graph, name).shape == value.shape


def _uses(graph: GraphModule, name: str, fixed: Collection[Node]) -> Iterator[_Use]:
    """Yield what computes with images and an attribute, or what is made of it, and with which."""
    pending = [each for each in graph.graph.nodes if each.op == "get_attr" and each.target == name]
    while pending:
        source = pending.pop()
        for user in source.users:
            if user in fixed:
                pending.append(user)
            elif tensor_inputs(user):
                yield user, source


def _attribute_of(graph: GraphModule, node: Node) -> str:
    """Return what a value is computed of: the first parameter, if there is one.

    Raises:
        NetworkError: it is computed of nothing, and yet no table: chance has a part in it.
    """
    names, pending = list[str](), [node]
    while pending:
        source = pending.pop(0)
        pending[:0] = tensor_inputs(source)
        names += [str(source.target)] if source.op == "get_attr" else []
    if not names:
        raise NetworkError(
            f"draws the weights of a layer by chance ({node}), and can't be quantized"
        )
    parameters = dict(graph.named_parameters())
    return next((each for each in names if each in parameters), names[0])
