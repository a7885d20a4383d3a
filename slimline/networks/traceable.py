"""What lets a tracer through code that asks an image for what a node of a graph has not.

Such code fills tables as large as its maps, keeps them for the next call, or asks for a device.
"""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch
from torch import Tensor, fx, nn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


@contextlib.contextmanager
def followable() -> Iterator[None]:
    """Let functions that are told sizes take nodes for them, and `torch.autocast` do nothing.

    The latter asks an image for its device.
    """
    functions: dict[str, Any] = {
        name: _noted(getattr(torch, name)) for name in ("zeros", "ones", "full", "empty")
    }
    methods: dict[str, Any] = {
        name: _noted(getattr(Tensor, name), method=name)
        for name in ("expand", "repeat", "reshape", "view")
    }
    nothing: dict[str, Any] = {
        "__init__": lambda *_, **__: None,
        "__enter__": lambda autocast: autocast,
        "__exit__": lambda *_: False,
    }
    with (
        mock.patch.multiple(torch, **functions),
        mock.patch.multiple(Tensor, **methods),
        mock.patch.multiple(torch.autocast, **nothing),
    ):
        yield


def _noted(function: Callable[..., Any], method: str = "") -> Callable[..., Any]:
    """Return a function that becomes a node where it is given one: torch's own asks for numbers."""

    def call(*args: Any, **kwargs: Any) -> Any:
        nodes: list[fx.Proxy] = []
        _gather(nodes, (args, kwargs))
        if not nodes:
            return function(*args, **kwargs)
        op, target = ("call_method", method) if method else ("call_function", function)
        return nodes[0].tracer.create_proxy(op, target, args, kwargs)

    return call


def _gather(nodes: list[fx.Proxy], given: Any) -> None:
    if isinstance(given, fx.Proxy):
        nodes.append(given)
    elif isinstance(given, tuple | list | dict):
        for each in given.values() if isinstance(given, dict) else given:
            _gather(nodes, each)


@contextlib.contextmanager
def kept(network: nn.Module) -> Iterator[None]:
    """Take back what `forward` keeps in modules: it is a node of one graph.

    That is what their attributes are, what stands in dictionaries and lists among these, and the
    values of buffers.
    """
    before = {each: dict(vars(each)) for each in network.modules()}
    within = [each for attributes in before.values() for each in _containers(attributes.values())]
    values = [(each, each.detach().clone()) for each in network.buffers()]
    try:
        yield
    finally:
        for module, attributes in before.items():
            vars(module).clear()
            vars(module).update(attributes)
        for container, content in within:
            container.clear()
            if isinstance(container, dict | set):
                container.update(content)
            else:
                container.extend(content)
        for buffer, value in values:
            if not torch.equal(buffer, value):
                buffer.detach().copy_(value)


def _containers(values: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Yield dictionaries, lists and the like, and those within them, each with a copy."""
    for each in values:
        if isinstance(each, dict | list | set | deque):
            yield each, each.copy()
            yield from _containers(each.values() if isinstance(each, dict) else each)
        elif isinstance(each, tuple):
            yield from _containers(each)


def changes(target: Any) -> bool:
    """Return whether a function or method changes what it is given first in place."""
    name = target if isinstance(target, str) else getattr(target, "__name__", "")
    return name in _IN_PLACE or (name.endswith("_") and not name.endswith("__"))


_IN_PLACE = {"setitem", "iadd", "isub", "imul", "itruediv", "ifloordiv", "ipow", "imod"}


class Made:
    """What a `forward` makes of numbers alone, a tensor, as what a function returns each time.

    So it is with a source of random numbers: each call finds it as it was made.
    """

    def __init__(self, name: str, value: Tensor | torch.Generator) -> None:
        self.__name__ = self.__qualname__ = name
        self._value = value

    def __call__(self) -> Tensor | torch.Generator:
        """Return one that code may change."""
        return copied(self._value)


def copied(value: Tensor | torch.Generator) -> Tensor | torch.Generator:
    """Return a tensor, or a source of random numbers, that may be changed without the other."""
    return value.clone() if isinstance(value, Tensor) else value.clone_state()
