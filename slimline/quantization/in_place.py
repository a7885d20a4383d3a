"""What a `forward` changes in place, as `maps[:, :half] = other`: values of their own.

What is rounded to int8 is a copy of a value, on which a change of another copy would be lost. A
value of which a part was changed becomes one that is joined of parts, for which there are int8
kernels.
"""

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from slimline.errors import NetworkError
from slimline.quantization.operators import (
    DROPOUT,
    RESHAPES,
    SPLITS,
    shape,
    tensor_inputs,
    with_defaults,
)

_aten = torch.ops.aten


def replace(graph: GraphModule) -> None:
    """Let whatever reads a value after it was changed, whole or in part, read the result, in place.

    An activation that alone reads what it changes stays as it is, and saves memory. So does a
    change of a part that cannot be put back into the whole; `refuse_lost` says whether it matters.
    """
    for change in list(graph.graph.nodes):
        if not _is_change(change):
            continue
        changed = change.args[0]
        if _is_view(changed) or len(changed.users) > 1 or len(tensor_inputs(change)) > 1:
            _replace(graph, change)


def refuse_lost(prepared: GraphModule) -> None:
    """Refuse a change in place of a part of a value that is read rounded.

    What is rounded is a copy: the change is made on one, and others read another.

    Raises:
        NetworkError: there is such a change.
    """
    order = {node: place for place, node in enumerate(prepared.graph.nodes)}
    for change in filter(_is_change, prepared.graph.nodes):
        if _is_lost(change, order):
            raise NetworkError(
                f"changes a part of a value in place ({change}), which is lost where values are "
                "rounded; let forward join new parts (torch.cat), or choose (torch.where)"
            )


def _is_change(node: Node) -> bool:
    """Does an operator change its first argument?"""
    schema = getattr(node.target, "_schema", None)
    return schema is not None and schema.name.endswith("_") and schema.is_mutable


def _is_view(node: Node) -> bool:
    """Does an operator hand on what it is given, or a part of it, without a copy?

    Some do where memory lies as they need it, as `reshape` and `contiguous`.
    """
    if node.target is operator.getitem:
        return _is_view(node.all_input_nodes[0])
    if not _may_be_view(node):
        return False
    source = tensor_inputs(node)[0]
    made, given = (_memory(each) for each in (node, source))
    return source.op == "get_attr" or made == given


def _may_be_view(node: Node) -> bool:
    """Does an operator, by its signature, return what it is given? Dropout does, once trained."""
    if node.target is operator.getitem:
        return _may_be_view(node.all_input_nodes[0])
    schema = getattr(node.target, "_schema", None)
    if schema is None or schema.is_mutable or not tensor_inputs(node):
        return False
    return node.target in DROPOUT or any(each.alias_info for each in schema.returns)


def _memory(node: Node) -> int:
    """Return where a value lies, or the first of several, as it was when the network was traced."""
    value: Any = node.meta["val"]
    first: Tensor = value[0] if isinstance(value, list | tuple) else value
    return int(first.untyped_storage()._cdata)


def _replace(graph: GraphModule, change: Node) -> None:
    """Put a new value in the place of one that is changed, and of all its views, from here on."""
    order = {node: place for place, node in enumerate(graph.graph.nodes)}
    views: list[Node] = []
    whole: Any = change.args[0]
    while _is_view(whole):
        views.append(whole)
        whole = whole.args[0]
    with graph.graph.inserting_before(change):
        new = _changed(graph, change)
        for view in views:
            new = None if new is None else _put_back(graph, view, new)
        if new is None:
            return
        fresh = {whole: new}
        for node in list(graph.graph.nodes):
            is_before = order.get(node, order[change]) < order[change]
            if is_before and _is_view(node) and tensor_inputs(node)[0] in fresh:
                fresh[node] = graph.graph.node_copy(node, lambda each: fresh.get(each, each))
    fresh[change] = fresh[change.args[0]]
    for old, now in fresh.items():
        for user in [each for each in old.users if order.get(each, 0) > order[change]]:
            user.replace_input_with(old, now)
    graph.graph.erase_node(change)


def _changed(graph: GraphModule, change: Node) -> Node | None:
    """Return what an operator makes of the value that it changes; None if only in place."""
    schema: Any = change.target._schema  # type: ignore[union-attr]
    name, overload = schema.name.removeprefix("aten::").removesuffix("_"), schema.overload_name
    arguments: tuple[Any, ...] = change.args
    part = arguments[0]
    if name == "copy":
        return _as_large(graph, arguments[1], part)
    if name == "fill" and overload == "Tensor":
        return _as_large(graph, arguments[1], part)
    if name == "fill":
        return _call(graph, _aten.full_like.default, (part, arguments[1]), like=part)
    if name == "zero":
        return _call(graph, _aten.zeros_like.default, (part,), like=part)
    packet = getattr(_aten, name, None)
    target = getattr(packet, overload or "default", None)
    made = None if target is None else _call(graph, target, arguments, like=change)
    if made is not None:
        made.kwargs = change.kwargs
    return made


def _as_large(graph: GraphModule, value: Node, part: Node) -> Node:
    """Return a copy of a value as it is written into a part: of its type and size."""
    dtype = part.meta["val"].dtype
    if value.meta["val"].dtype != dtype:
        value = _call(graph, _aten.to.dtype, (value, dtype), like=value)
        value.meta = {"val": value.meta["val"].to(dtype)}
    if shape(value) != shape(part):
        value = _call(graph, _aten.expand_as.default, (value, part), like=part)
    return _call(graph, _aten.clone.default, (value,), like=part)


def _put_back(graph: GraphModule, view: Node, part: Node) -> Node | None:
    """Return the whole of which a view has become a new value; None if that cannot be said."""
    inverse = _INVERSES.get(view.target)
    return None if inverse is None else inverse(graph, view, part)


def _of_slice(graph: GraphModule, view: Node, part: Node) -> Node | None:
    whole: Any = view.args[0]
    dim, start, end, step = with_defaults(view.args[1:], (0, None, None, 1))
    return _join(graph, whole, part, dim, start, end, step)


def _of_narrow(graph: GraphModule, view: Node, part: Node) -> Node | None:
    given: tuple[Any, ...] = view.args
    whole, dim, start, length = given
    if not isinstance(start, int) or not isinstance(length, int):
        return None
    start = start + shape(whole)[dim] if start < 0 else start
    return _join(graph, whole, part, dim, start, start + length, 1)


def _of_select(graph: GraphModule, view: Node, part: Node) -> Node | None:
    given: tuple[Any, ...] = view.args
    whole, dim, place = given
    size = shape(whole)[dim]
    if not isinstance(place, int) or not isinstance(size, int):
        return None
    place %= size
    row = graph.graph.call_function(_aten.unsqueeze.default, (part, dim))
    row.meta = {"val": part.meta["val"].unsqueeze(dim)}
    return _join(graph, whole, row, dim, place, place + 1, 1)


def _join(
    graph: GraphModule, whole: Node, part: Node, dim: int, start: Any, end: Any, step: Any
) -> Node | None:
    """Return a value with a part in the place of its own from `start` to `end` along `dim`."""
    size = shape(whole)[dim]
    if not isinstance(size, int):  # of images: all of them
        is_all = start in {0, None} and step == 1 and _is_end(end, size)
        return part if is_all else None
    if not all(each is None or isinstance(each, int) for each in (start, end, step)):
        return None
    taken = range(size)[slice(start, end, step)]
    if len(taken) == size:
        return part
    if step != 1:
        places = (whole, part, dim, start, end, step)
        return _call(graph, _aten.slice_scatter.default, places, like=whole)
    parts = [part]
    if taken.start > 0:
        parts.insert(0, _slice(graph, whole, dim, 0, taken.start))
    if taken.stop < size:
        parts.append(_slice(graph, whole, dim, taken.stop, size))
    return _call(graph, _aten.cat.default, (parts, dim), like=whole)


def _is_end(end: Any, size: torch.SymInt) -> bool:
    """Does a slice go on to the last image?"""
    if isinstance(end, Node):  # as `x[: x.size(0)]`
        return str(end.meta["val"]) == str(size)
    return end is None or (isinstance(end, int) and end >= 2**63 - 1)


def _slice(graph: GraphModule, whole: Node, dim: int, start: int, end: int) -> Node:
    arguments = (whole, dim, start, end)
    made = graph.graph.call_function(_aten.slice.Tensor, arguments)
    made.meta = {"val": _aten.slice.Tensor(whole.meta["val"], *arguments[1:])}
    return made


def _of_transpose(graph: GraphModule, view: Node, part: Node) -> Node:
    given: tuple[Any, ...] = view.args
    whole, *dims = given
    return _call(graph, _aten.transpose.int, (part, *dims), like=whole)


def _of_permute(graph: GraphModule, view: Node, part: Node) -> Node:
    given: tuple[Any, ...] = view.args
    whole, dims = given
    rank = len(dims)
    back = sorted(range(rank), key=lambda place: dims[place] % rank)
    return _call(graph, _aten.permute.default, (part, back), like=whole)


def _of_shape(graph: GraphModule, view: Node, part: Node) -> Node | None:
    whole: Any = view.args[0]
    sizes = [-1 if isinstance(each, torch.SymInt) else each for each in shape(whole)]
    if sizes.count(-1) > 1:
        return None
    return _call(graph, _aten.reshape.default, (part, sizes), like=whole)


_INVERSES: dict[Any, Callable[[GraphModule, Node, Node], Node | None]] = {
    _aten.slice.Tensor: _of_slice,
    _aten.narrow.default: _of_narrow,
    _aten.select.int: _of_select,
    _aten.permute.default: _of_permute,
    **dict.fromkeys(
        [_aten.transpose.int, _aten.swapaxes.default, _aten.swapdims.default], _of_transpose
    ),
    **dict.fromkeys(
        [
            *RESHAPES,
            *DROPOUT,
            _aten.view_as.default,
            _aten.reshape_as.default,
            _aten.unflatten.int,
            _aten.squeeze.default,
            _aten.squeeze.dim,
            _aten.squeeze.dims,
            _aten.unsqueeze.default,
            _aten.contiguous.default,
            _aten.alias.default,
            _aten.detach.default,
        ],
        _of_shape,
    ),
}
"""How what a view shows is put back into the value that it is a view of."""


def _call(graph: GraphModule, target: Any, arguments: tuple[Any, ...], *, like: Any) -> Node:
    """Return a new operator, where the graph inserts now, whose value is like another's."""
    made: Node = graph.graph.call_function(target, arguments)
    made.meta = {"val": like.meta["val"] if isinstance(like, Node) else like}
    return made


def _is_lost(change: Node, order: Mapping[Node, int]) -> bool:
    """Does anything read, after a change, a copy of what was changed that was made before it?"""
    is_of_copy, part = False, tensor_inputs(change)[0]
    while part.op == "call_module" or _may_be_view(part):
        is_of_copy = is_of_copy or part.op == "call_module"
        whole = tensor_inputs(part)[0]
        others = (
            [] if whole.target in SPLITS else [user for user in whole.users if user is not part]
        )
        read = [each for user in others for each in _readers(user, is_of_copy=is_of_copy)]
        if any(order[each] > order[change] for each in read):
            return True
        part = whole
    return False


def _readers(node: Node, *, is_of_copy: bool) -> Iterator[Node]:
    """Yield what computes with a copy of a value, through views of it."""
    is_copy = node.op == "call_module"
    if is_copy or _may_be_view(node):
        for user in node.users:
            yield from _readers(user, is_of_copy=is_of_copy or is_copy)
    elif is_of_copy:
        yield node
