"""Weights that a `forward` computes from others, as standardised or sliced ones: computed once."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
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

_Use = tuple[Node, Node]
"""A layer, and a value that it reads as weight or bias."""


@dataclass(frozen=True)
class _Computed:
    """A value as a layer reads it, and a number for how it is computed: the same for the same."""

    value: Tensor
    formula: int


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
    computed = _computed(graph, fixed)
    names = _names(graph, computed, fixed)
    added: dict[str, Node] = {}
    for (node, source), each in computed.items():
        name = names[node, source]
        if name not in added:
            with graph.graph.inserting_before(node):
                added[name] = attributes.add(graph, name, each.value)
            added[name].meta = dict(source.meta)
        node.replace_input_with(source, added[name])
    graph.graph.eliminate_dead_code()  # a BatchNorm that standardised weights is none to fold


def _names(
    graph: GraphModule, computed: Mapping[_Use, _Computed], fixed: Collection[Node]
) -> Mapping[_Use, str]:
    found: dict[_Use, str] = {}
    named: dict[str, int] = {}
    for use, each in computed.items():
        name = _attribute_of(graph, use[1], each.value)
        alike = {other for other in computed if computed[other].formula == each.formula}
        has_shape = attributes.get(graph, name).shape == each.value.shape
        if not (has_shape and alike.issuperset(_uses(graph, name, fixed))):
            names = (f"{name}{COMPUTED}{place or ''}" for place in count())
            name = next(n for n in names if named.setdefault(n, each.formula) == each.formula)
        found[use] = name
    return found


@torch.no_grad()
def _computed(graph: GraphModule, fixed: Collection[Node]) -> dict[_Use, _Computed]:
    """Return what layers read that is no attribute."""
    sources = {
        node: [each for each in tensor_inputs(node)[1:] if each.op != "get_attr" and each in fixed]
        for node in graph.graph.nodes
        if node.target in WEIGHTED
    }
    needed = _origins((each for read in sources.values() for each in read), fixed)
    values: dict[Node, Any] = {}
    copies: dict[str, Tensor] = {}  # code may change what it computes with
    formulas, numbers = dict[Node, int](), dict[str, int]()
    found: dict[_Use, _Computed] = {}
    for node in graph.graph.nodes:
        if node in needed:
            values[node] = _value(graph, node, values, copies)
            given = map_arg((node.args, node.kwargs), lambda each: f"#{formulas[each]}")
            formulas[node] = numbers.setdefault(f"{node.target} of {given}", len(numbers))
            for each in _changed(node) if _is_change(node) else ():
                later = f"{formulas[each]} after {formulas[node]}"
                formulas[each] = numbers.setdefault(later, len(numbers))
        for source in sources.get(node, ()):
            found[node, source] = _Computed(values[source].clone(), formulas[source])
    return found


def _value(
    graph: GraphModule, node: Node, values: Mapping[Node, Any], copies: dict[str, Tensor]
) -> Any:
    if node.op == "get_attr":
        name = str(node.target)
        return copies.setdefault(name, attributes.get(graph, name).clone())
    arguments, options = map_arg((node.args, node.kwargs), values.__getitem__)
    return node.target(*arguments, **options)  # type: ignore[operator]


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


def _attribute_of(graph: GraphModule, node: Node, value: Tensor) -> str:
    """Return what a value is computed of: the first parameter of its shape, else the first.

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
    found = [each for each in names if each in parameters]
    fitting = [each for each in found if parameters[each].shape == value.shape]
    return next(iter([*fitting, *found, *names]))
