"""Numbers that code takes from how many channels there are, and what it does with them.

A shape may be such a number: `x.view(batch, channels, -1)` holds at any width. Where code computes
with one, as in `x / math.sqrt(x.shape[1])`, a narrower network would answer something else, so the
layers that make these channels stay whole. What it only decides by them, as in
`assert x.shape[1] % 4 == 0`, has to come out the same at each width.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx

from slimline.networks import tracing
from slimline.pruning import followed_operators as operators
from slimline.pruning.function_rules import leaves
from slimline.pruning.opaque import Constant, Opaque

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slimline.pruning.channel_numbers import ChannelNumbers


_FILLING = operators.SHAPING | operators.FILLS
_KEEPS_FILLED = _FILLING | operators.JOINS | operators.ELEMENTWISE


class ChannelSizes:
    """Follows these numbers through a graph; `wide` has the decisions of the wider network."""

    def __init__(self, numbers: ChannelNumbers, wide: Mapping[str, bool] | None) -> None:
        self._numbers, self._wide = numbers, wide
        self._counted: dict[fx.Node, Tensor] = {}
        self._filled: dict[fx.Node, Tensor] = {}
        self._deciding: dict[str, tuple[Tensor, bool]] = {}

    def decide_size(self, constant: fx.Node) -> bool:
        """Return whether a number of channels decides how large a constant is."""
        return constant in self._counted or constant in self._filled

    def note(self, node: fx.Node, result: Any, given: Mapping[fx.Node, Any]) -> None:
        """Note whose channels a node counts, or pin them where it computes with their number.

        Raises:
            ValueError: the wider network decided otherwise.
        """
        if self._wide is not None:
            wide = self._wide.get(node.name)
            if wide is not None and wide != _decision(node, result, given):
                raise ValueError(f"{node.name} decides by the number of channels")
            return
        counted = self._counted_by(node, result, given)
        filled = [self._filled[each] for each in node.all_input_nodes if each in self._filled]
        if filled and not _is_map(result):
            if counted is None and _is_filled(node, result, of=_KEEPS_FILLED):
                self._filled[node] = torch.cat(filled)
                return
            counted = torch.cat(filled if counted is None else [*filled, counted])
        if counted is None:
            return
        if _is_map(result):
            if isinstance(result, Opaque) or node.target not in operators.SHAPING:
                self._numbers.pin(counted)
        elif _is_filled(node, result, of=_FILLING):
            self._filled[node] = counted
        else:
            self._counted[node] = counted
            if tracing.WRITTEN in node.meta:
                self._numbers.pin(counted)
            if node.target is torch._assert or tracing.DECIDES in node.meta:
                self._deciding[node.name] = (counted, _decision(node, result, given))

    def decisions(self) -> dict[str, bool]:
        """Return what is decided by channels that may go, by the names of nodes.

        Widths that are compared with one another stay as they are, if they do not go together.
        """
        for name, (channels, _) in self._deciding.items():
            if not self._numbers.are_tied(channels):
                self._numbers.reader = name
                self._numbers.pin(channels)
        return {
            name: decision
            for name, (channels, decision) in self._deciding.items()
            if not self._numbers.are_pinned(channels)
        }

    def _counted_by(
        self, node: fx.Node, result: Any, given: Mapping[fx.Node, Any]
    ) -> Tensor | None:
        """Return the numbers of the channels whose count a node reads, or is the first to take."""
        is_size = node.target == "size" or (node.target is getattr and node.args[1] == "shape")
        if (is_size or node.target in operators.LIKES) and isinstance(
            given[node.all_input_nodes[0]], Tensor
        ):
            counted = [given[node.all_input_nodes[0]].flatten()]
        else:
            counted = [
                self._counted[each] for each in node.all_input_nodes if each in self._counted
            ]
        is_part = node.target is operator.getitem
        if not counted or ((is_size or is_part) and _is_of_places(result)):
            return None
        return torch.cat(counted)


def _decision(node: fx.Node, result: Any, given: Mapping[fx.Node, Any]) -> bool:
    """Return which way is taken by what a node makes, or by what it asserts."""
    return bool(given[node.all_input_nodes[0]] if node.target is torch._assert else result)


def _is_map(result: Any) -> bool:
    """Return whether a node makes maps, or what cannot be followed, and no number."""
    return any(
        isinstance(each, Tensor | Opaque) and not isinstance(each, Constant)
        for each in leaves(result)
    )


def _is_filled(node: fx.Node, result: Any, *, of: operators.Operators) -> bool:
    """Return whether a number of copies is all that a node takes from sizes, if it is `of` such."""
    return isinstance(result, Constant) and result.is_uniform and node.target in of


def _is_of_places(sizes: Any) -> bool:
    """Return whether sizes are those of a batch or of places, all of which are 1 in a flow."""
    return all(isinstance(size, int) and size == 1 for size in leaves(sizes))
