"""What stands in a flow of channels where there are no numbers of channels."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from torch import Tensor

from slimline.pruning.function_rules import leaves

if TYPE_CHECKING:
    from collections.abc import Callable


class Opaque:
    """What cannot be followed; `origin` is the node behind which it cannot."""

    def __init__(self, origin: str = "") -> None:
        self.origin = origin


class Constant(Opaque):
    """A weight of the network that no layer has, or what is made of such, or of numbers alone.

    `value` is a tensor of its shape, on the device "meta", None where that is not known. Maps have
    one place in a flow, and so has what is as large as they are.
    """

    def __init__(self, value: Tensor | None, *, is_scalar: bool) -> None:
        super().__init__()
        self.value = None if value is None else value.detach().to("meta")
        self.is_scalar = is_scalar
        """Whether it is one number, or as many of the same as somebody asked for."""

    def meets(self, channels: Tensor) -> bool:
        """Return whether it may have another number for each of these channels."""
        if self.is_scalar:
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


def computed(target: Any, args: Any, kwargs: Any, run: Callable[..., Any]) -> Any:
    """Return what a function makes of constants, as far as their shapes say that.

    `run` is given the function, and arguments with tensors in the place of constants.
    """
    if target is operator.setitem and isinstance(args[0], Constant):
        args[0].is_scalar = False
        return None
    constants = [each for each in leaves((args, kwargs)) if isinstance(each, Constant)]
    is_scalar = all(each.is_scalar for each in constants)
    if any(each.value is None for each in constants):
        return Constant(None, is_scalar=is_scalar)
    try:
        result = run(target, _with_values(args), _with_values(kwargs))
    except (RuntimeError, ValueError, IndexError, TypeError):
        return Constant(None, is_scalar=is_scalar)
    return _with_constants(result, is_scalar)


def _with_values(given: Any) -> Any:
    if isinstance(given, Constant):
        return given.value
    if isinstance(given, dict):
        return {key: _with_values(each) for key, each in given.items()}
    return type(given)(map(_with_values, given)) if isinstance(given, list | tuple) else given


def _with_constants(result: Any, is_scalar: bool) -> Any:
    if isinstance(result, Tensor):
        return Constant(result, is_scalar=is_scalar)
    if type(result) in {list, tuple}:
        return tuple(_with_constants(each, is_scalar) for each in result)
    return result
