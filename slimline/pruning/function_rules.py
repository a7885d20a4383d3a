"""How the numbers of channels go through functions that would not move them, but compute.

A reduction leaves places out, padding adds some, a softmax over paths makes them one and the same.
What such a function does to channels themselves cannot be followed: IndexError says so.
"""

from __future__ import annotations

from functools import partial
from math import inf, prod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from slimline.pruning import followed_operators as operators

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from slimline.pruning.channel_numbers import ChannelNumbers
    from slimline.pruning.split_widths import SplitWidth

Paths = dict[str, list[int]]
"""How many maps of the same channels a sum or a softmax goes over, by the name of its node."""


class FunctionRules:
    """The rules, for the functions of a network; `paths` are those of the same network wider."""

    def __init__(
        self,
        numbers: ChannelNumbers,
        splits: Mapping[str, SplitWidth],
        paths: Mapping[str, Sequence[int]] | None,
    ) -> None:
        self._numbers = numbers
        self._known_splits, self._known_paths = splits, paths
        self.splits: dict[str, SplitWidth] = {}
        """Splits that were met whose widths an attribute decides, by the name of their node."""
        self.paths: Paths = {}

    def of(self, function: Any, node: str) -> Callable[..., Any] | None:
        """Return what stands for a function at a node; None where it may run on numbers as is."""
        rules = (
            (operators.REDUCTIONS, partial(self._reduce, node)),
            (operators.SOFTMAXES, partial(self._softmax, node)),
            (operators.SPLITS, partial(self._split, node)),
            (operators.GLUS, self._glu),
            (operators.PADS, _pad),
            (operators.EXPANDS, _expand),
        )
        return next((rule for functions, rule in rules if function in functions), None)

    def _reduce(
        self, node: str, values: Tensor, dim: Any = None, keepdim: bool = False, **_: Any
    ) -> Tensor:
        """Leave out places and paths; raise IndexError where channels are mixed."""
        dims = (dim,) if isinstance(dim, int) else tuple(dim or range(values.dim()))
        self._join_paths(node, values, dims)
        for each in dims:
            values = values.narrow(each, 0, 1)
        return values if keepdim else values.squeeze(dims)

    def _glu(self, values: Tensor, dim: int = -1) -> Tensor:
        self._numbers.tie(values.flatten().tolist())
        return self._numbers.join(values.chunk(2, dim))

    def _softmax(self, node: str, values: Tensor, dim: int, **_: Any) -> Tensor:
        """Return the numbers, all of which stay where each is weighed against all others."""
        is_over_paths = self._known_paths is not None and node in self._known_paths
        if 1 < values.numel() == values.shape[dim] and not is_over_paths:
            return self._numbers.pin(values)
        self._join_paths(node, values, (dim,))
        return values

    def _join_paths(self, node: str, values: Tensor, dims: Sequence[int]) -> None:
        """Declare maps the same that stand beside one another in dimensions, channel by channel.

        As many of them must stand there however narrow the network is, else they are channels.
        """
        sizes = [values.shape[each] for each in dims]
        if self._known_paths is None and values.numel() > 1 and prod(sizes) == values.numel():
            raise IndexError(f"dimensions {dims} hold all channels")
        if self._known_paths is not None and self._known_paths.get(node, sizes) != sizes:
            raise IndexError(f"dimensions {dims} hold channels")
        if prod(sizes) > 1:
            self.paths[node] = sizes
            places = [each % values.dim() for each in dims]
            kept = [each for each in range(values.dim()) if each not in places]
            self._numbers.join(list(values.permute(*places, *kept).reshape(prod(sizes), -1)))

    def _split(
        self, node: str, values: Tensor, sizes: Any = None, dim: int = 0, **named: Any
    ) -> Any:
        """Return parts of these sizes, or of those that an attribute may be given for them."""
        if sizes is None:
            (sizes,) = named.values()
        found = self._known_splits.get(node)
        if found is not None and self._known_paths is None:
            parts = torch.split(values, sizes, dim)
            found = found.of(tuple(part.shape[dim] for part in parts))
        elif found is not None:
            found = found.fitted(values.shape[dim])
        if found is None:
            return torch.split(values, sizes, dim)
        self.splits[node] = found
        self._numbers.block(values.flatten().tolist(), found.unit, len(found.parts))
        return torch.split(values, list(found.parts), dim)


def mixes_channels(target: Any, channels: Tensor) -> bool:
    """Return whether a function or module goes over dimensions of which channels stand in one."""
    is_pool = target in operators.POOLS or isinstance(target, operators.POOL_MODULES)
    is_resize = target in operators.RESIZES or isinstance(target, operators.RESIZE_MODULES)
    places = channels.shape[-2:] if is_pool else channels.shape[2:] if is_resize else ()
    return prod(places) > 1


def _pad(values: Tensor, pad: Sequence[Any], mode: str = "constant", value: Any = None) -> Tensor:
    """Return the numbers; raise IndexError where a channel of zeros becomes another.

    -inf is what a largest value is never taken from.
    """
    if mode == "constant" and value not in (None, 0, -inf):
        raise IndexError(f"places are padded with {value}")
    for place in range(len(pad) // 2):
        is_of_channels = values.shape[-1 - place] > 1
        if is_of_channels and any(size != 0 for size in pad[2 * place : 2 * place + 2]):
            raise IndexError(f"channels are padded by {tuple(pad)}")
    return values


def _expand(values: Tensor, *sizes: Any) -> Tensor:
    """Return the numbers as they are; raise IndexError where dimensions are added."""
    to = sizes[0].dim() if isinstance(sizes[0], Tensor) else len(list(leaves(sizes)))
    if to != values.dim():
        raise IndexError(f"{values.dim()} dimensions become {to}")
    return values


def leaves(given: Any) -> Iterable[Any]:
    """Yield all that stands in arguments, however nested."""
    if isinstance(given, dict):
        given = list(given.values())
    if isinstance(given, tuple | list):
        for each in given:
            yield from leaves(each)
    else:
        yield given
