"""What calls what in a network: its graph, layers kept whole."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from torch import fx, nn

from slimline import attention_biases
from slimline.errors import NetworkError

if TYPE_CHECKING:
    from collections.abc import Callable

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


class _Tracer(fx.Tracer):
    """Keeps layers whole, also timm's subclasses, of which one has an activation inside.

    timm says itself which of its functions have no graph.
    """

    def __init__(self, whole: frozenset[type[nn.Module] | nn.Module] = frozenset()) -> None:
        super().__init__(autowrap_functions=_functions_of_timm())
        self._whole = whole
        self.culprit: nn.Module | None = None
        """The innermost module that could not be traced."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        is_layer = isinstance(m, nn.Conv2d | nn.Linear | nn.BatchNorm2d)
        is_whole = type(m) in self._whole or m in self._whole
        return is_layer or is_whole or super().is_leaf_module(m, module_qualified_name)

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


def trace(network: nn.Module) -> fx.GraphModule:
    """Return the network as a graph of layers; it shares the weights with the original."""
    return fx.GraphModule(network, graph(network))


def graph(network: nn.Module, *, with_whole_parts: bool = False) -> fx.Graph:
    """Return what calls what in a network, its layers kept whole.

    `with_whole_parts` keeps whole as well what has no graph of its own, and all of its kind.

    Raises:
        NetworkError: what it calls depends on its input.
    """
    whole: frozenset[type[nn.Module] | nn.Module] = frozenset()
    while True:
        tracer = _Tracer(whole)
        try:
            with attention_biases.computed_anew(network):
                return tracer.trace(network)
        except _UNTRACEABLE as error:
            if not with_whole_parts or tracer.culprit is None:
                raise NetworkError(
                    f"{type(tracer.culprit or network).__name__}: its forward decides by what it "
                    f"is given, so that it has no graph: {error}"
                ) from error
            culprit = tracer.culprit
            is_container = type(culprit).__module__.startswith("torch.nn.")
            whole |= {culprit if is_container else type(culprit)}


def _functions_of_timm() -> tuple[Callable[..., Any], ...]:
    """Return the functions that timm declares to have no graph, if timm was imported."""
    layers: Any = sys.modules.get("timm.layers")
    found = () if layers is None else layers.get_notrace_functions()
    return tuple(each for each in found if callable(each))
