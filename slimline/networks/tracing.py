"""What calls what in a network: its graph, layers kept whole."""

from __future__ import annotations

import copy
import inspect
import operator
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx, nn

from slimline import attention_biases
from slimline.errors import NetworkError
from slimline.networks import einops_notation, traceable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_UNTRACEABLE = (
    fx.proxy.TraceError,
    TypeError,
    ValueError,
    RuntimeError,
    AssertionError,
    AttributeError,
    IndexError,
    KeyError,
)
"""What a `forward` that looks at values or shapes may fail with when it is given none."""


WRITTEN, DECIDES = "written", "decides"
"""Marks in `fx.Node.meta`: the value that a node has for an example is now a number of the code's,
as one that it gives to `math.sqrt`; or it is what the code took one of two ways by."""

_Parts = frozenset[type[nn.Module] | nn.Module | str]
"""Modules of a kind, single ones, or those of a name."""


class _Tracer(fx.Tracer):
    """Keeps layers whole, also timm's subclasses, of which one has an activation inside.

    timm says itself which of its functions have no graph.
    """

    def __init__(self, whole: _Parts = frozenset()) -> None:
        super().__init__(autowrap_functions=_functions_of_timm())
        self._whole = whole
        self.culprit: nn.Module | None = None
        """The innermost module that could not be traced."""

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        is_layer = isinstance(m, nn.Conv2d | nn.Linear | nn.BatchNorm2d)
        is_whole = not self._whole.isdisjoint({type(m), m, module_qualified_name})
        return is_layer or is_whole or super().is_leaf_module(m, module_qualified_name)

    def create_args_for_root(
        self, root_fn: Any, is_module: bool, concrete_args: Any = None
    ) -> tuple[Any, list[Any]]:
        """Let `forward` get images alone: what else it takes, as `mask=None`, has its default."""
        call, args = super().create_args_for_root(root_fn, is_module, concrete_args)
        for place, named in enumerate(inspect.signature(root_fn).parameters.values()):
            if place > 1 and named.default is not named.empty:
                self.graph.erase_node(args[place].node)
                args[place] = named.default
        return call, args

    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        try:
            return super().call_module(m, forward, args, kwargs)
        except _UNTRACEABLE:
            self.culprit = self.culprit or m
            raise


class _Proxy(fx.Proxy):
    """A node to a part of which something can be assigned, as code does that fills a table."""

    def __setitem__(self, places: Any, value: Any) -> None:
        self.tracer.create_proxy("call_function", operator.setitem, (self, places, value), {})


class _Value(_Proxy):
    """A node whose value for the example is known, wherever Python asks for a number."""

    def __int__(self) -> int:
        return int(self._known())

    def __index__(self) -> int:
        return operator.index(self._known())

    def __float__(self) -> float:
        return float(self._known())

    def __len__(self) -> int:
        return len(self._known_value())

    def __getattr__(self, k: str) -> Any:
        if k in {"device", "dtype"}:  # what makes a tensor of numbers takes no node for these
            return getattr(self._known_value(), k)
        return _ValueAttribute(self, k)

    def _known_value(self) -> Any:
        tracer: Any = self.tracer
        return tracer.values[self.node]

    def _known(self) -> Any:
        tracer: Any = self.tracer
        self.node.meta[WRITTEN] = True
        return tracer.known(self.node)


class _ValueAttribute(_Value, fx.proxy.Attribute):
    """An attribute of such a node, as its shape."""


class _DecidingTracer(_Tracer):
    """Follows the way that a network in evaluation mode takes with an example.

    The shapes that it decides by, as in `if x.shape[1] == 4`, are computed on the side.
    """

    def __init__(self, example: Tensor, whole: _Parts) -> None:
        super().__init__(whole)
        self._example: Tensor | None = example
        self._is_computing = False
        self.values: dict[fx.Node, Any] = {}

    def proxy(self, node: fx.Node) -> fx.Proxy:
        self.values[node] = self._value(node)
        return _Value(node, self)

    def to_bool(self, obj: fx.Proxy) -> bool:
        obj.node.meta[DECIDES] = True
        return bool(self.known(obj.node))

    def known(self, node: fx.Node) -> Any:
        """Return a value that follows from shapes alone."""
        value = self.values[node]
        if isinstance(value, Tensor):
            raise fx.proxy.TraceError("it looks at the values of an image")
        return value

    def iter(self, obj: Any) -> Iterator[Any]:
        return iter([obj[place] for place in range(len(self.values[obj.node]))])

    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        if self._is_computing:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        if self._is_computing:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def _value(self, node: fx.Node) -> Any:
        if node.op == "placeholder":
            value, self._example = self._example, None
            return node.args[0] if value is None and node.args else value
        if node.op == "output":
            return None
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), self._given)
        self._is_computing = True
        try:
            interpreter = fx.Interpreter(self.root, graph=self.graph)
            value = getattr(interpreter, node.op)(node.target, args, kwargs)
            # What code does to it in place is for the graph to do.
            is_made = node.op == "get_attr" and isinstance(value, Tensor | torch.Generator)
            return traceable.copied(value) if is_made else value
        finally:
            self._is_computing = False

    def _given(self, node: fx.Node) -> Any:
        """Return a value that another node reads; a weight that is passed on has no proxy."""
        if node not in self.values:
            self.values[node] = self._value(node)
        return self.values[node]


def trace(network: nn.Module) -> fx.GraphModule:
    """Return the network as a graph of layers; it shares the weights with the original."""
    return fx.GraphModule(network, graph(network))


def graph(
    network: nn.Module, *, with_whole_parts: bool = False, whole: frozenset[str] = frozenset()
) -> fx.Graph:
    """Return what calls what in a network, its layers kept whole, and the modules in `whole`.

    `with_whole_parts` keeps whole as well what has no graph of its own, and all of its kind.

    Raises:
        NetworkError: what it calls depends on its input.
    """
    return _graph(network, _Tracer, whole, with_whole_parts=with_whole_parts)


def graph_decided_by(
    example: Tensor, network: nn.Module, *, whole: frozenset[str] = frozenset()
) -> fx.Graph:
    """Return the same of a network that decides by shapes: the way that such images take.

    It is that of the network in evaluation mode, and numbers that it computes of shapes are those
    of the example. Parts without a graph are kept whole.

    Raises:
        NetworkError: it decides by values of images.
    """
    with attention_biases.computed_anew(network):
        computing = copy.deepcopy(network).cpu().eval()
    with torch.no_grad():
        make = partial(_DecidingTracer, example.cpu().clone())
        return _graph(computing, make, whole, with_whole_parts=True)


def _graph(
    network: nn.Module,
    make: Callable[[_Parts], _Tracer],
    whole: _Parts,
    *,
    with_whole_parts: bool,
) -> fx.Graph:
    while True:
        tracer = make(whole)
        try:
            with (
                attention_biases.computed_anew(network),
                traceable.followable(),
                einops_notation.followable(),
                traceable.kept(network),
            ):
                return _with_tensors(tracer, network)
        except _UNTRACEABLE as error:
            culprit = tracer.culprit
            is_container = type(culprit).__module__.startswith("torch.nn.")
            part = culprit if is_container or culprit is None else type(culprit)
            if not with_whole_parts or part is None or part in whole:
                raise NetworkError(
                    f"{type(culprit or network).__name__}: its forward decides by what it "
                    f"is given, so that it has no graph: {error}"
                ) from error
            whole |= {part}


def _with_tensors(tracer: _Tracer, network: nn.Module) -> fx.Graph:
    """Return the graph of a network; what `forward` makes of numbers alone is a function's there.

    The tracer gives the network an attribute for each, which another copy of it does not have.
    """
    before = set(vars(network))
    found = tracer.trace(network)
    made: dict[str, fx.Node] = {}
    for node in list(found.nodes):
        if node.op == "get_attr" and node.target in vars(network).keys() - before:
            first = made.setdefault(str(node.target), node)
            if node is not first:
                node.replace_all_uses_with(first)
                found.erase_node(node)
    for name, node in made.items():
        node.op, node.target = "call_function", traceable.Made(name, getattr(network, name))
    return found


def _functions_of_timm() -> tuple[Callable[..., Any], ...]:
    """Return the functions that timm declares to have no graph, if timm was imported."""
    layers: Any = sys.modules.get("timm.layers")
    found = () if layers is None else layers.get_notrace_functions()
    return tuple(each for each in found if callable(each))
