"""What stands in a flow of channels where there are no numbers of channels."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from slimline.networks import traceable
from slimline.pruning import followed_operators as operators
from slimline.pruning.function_rules import leaves

if TYPE_CHECKING:
    from collections.abc import Callable


class Opaque:
    """What cannot be followed; `origin` is the node behind which it cannot."""

    def __init__(self, origin: str = "") -> None:
        self.origin = origin


@dataclass
class ConstantContent:
    """What is known of the numbers in a constant; its views share this with it."""

    is_uniform: bool
    """Whether it is one number, or as many of the same as somebody asked for."""
    is_lost: bool = False
    """Whether something was written into it that is no constant."""


class Constant(Opaque):
    """A weight of the network that no layer has, or what is made of such, or of numbers alone.

    `value` is a tensor of its shape, None where that is not known. Maps have one place in a flow,
    and so has what is as large as they are.
    """

    def __init__(self, value: Tensor | None, content: ConstantContent) -> None:
        super().__init__()
        self.value = None if value is None else value.detach().to("meta")
        self.content = content

    @property
    def is_uniform(self) -> bool:
        """Whether it is the same for all channels, as it has one number."""
        return self.content.is_uniform

    def meets(self, channels: Tensor) -> bool:
        """Return whether it may have another number for each of these channels."""
        if self.is_uniform:
            return False
        if self.value is None or self.value.dim() > channels.dim():
            return True
        sizes = [1] * (channels.dim() - self.value.dim()) + list(self.value.shape)
        return any(
            size > 1 and (count > 1 or channels.numel() == 1)
            for size, count in zip(sizes, channels.shape, strict=True)
        )


class OfHeads(Opaque):
    """What attention answers besides, as its weights: whoever reads it needs all heads."""

    def __init__(self, numbers: Tensor) -> None:
        super().__init__()
        self.numbers = numbers


def constant(value: Tensor) -> Constant:
    """Return what a tensor is that no layer has."""
    return Constant(value, ConstantContent(is_uniform=value.numel() == 1))


def filled(target: Any, maps: Tensor, sizes: Any, named: Any, run: Callable[..., Any]) -> Constant:
    """Return what `maps.new_zeros(...)` and its like are, whatever their number.

    Raises:
        RuntimeError: there can be none of that size.
    """
    like = torch.empty(maps.shape, device="meta")
    return Constant(run(target, (like, *sizes), named), ConstantContent(is_uniform=True))


def computed(target: Any, args: Any, kwargs: Any, run: Callable[..., Any]) -> Any:
    """Return what a function makes of constants, as far as their shapes say that.

    `run` is given the function, and arguments with tensors in the place of constants.
    """
    constants = [each for each in leaves((args, kwargs)) if isinstance(each, Constant)]
    if traceable.changes(target) and isinstance(args[0], Constant):
        args[0].content.is_uniform = False
        return None if target is operator.setitem else args[0]
    if target in operators.SHAPING:
        content = constants[0].content
    else:
        keeps = operators.JOINS | operators.ELEMENTWISE | operators.FILLS
        content = ConstantContent(target in keeps and all(each.is_uniform for each in constants))
    if any(each.value is None for each in constants):
        return Constant(None, content)
    try:
        result = run(target, _with_values(args), _with_values(kwargs))
    except (RuntimeError, ValueError, IndexError, TypeError, AttributeError):
        return Constant(None, content)
    return _with_constants(result, content)


def _with_values(given: Any) -> Any:
    if isinstance(given, Constant):
        return given.value
    if isinstance(given, dict):
        return {key: _with_values(each) for key, each in given.items()}
    return type(given)(map(_with_values, given)) if isinstance(given, list | tuple) else given


def _with_constants(result: Any, content: ConstantContent) -> Any:
    if isinstance(result, Tensor):
        return Constant(result, content)
    if type(result) in {list, tuple}:
        return tuple(_with_constants(each, content) for each in result)
    is_named = isinstance(result, tuple) and not isinstance(result, torch.Size)
    return Constant(None, ConstantContent(is_uniform=False)) if is_named else result
