"""What a network could lose, by group: the common language of methods, widths and rounds.

A part is what a method removes: a channel (`slimline.pruning.channel_plan`) or a single weight
(`slimline.pruning.single_weights`). How many parts of a group stay is decided in
`slimline.pruning.widths`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from slimline.pruning import split_widths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from slimline.networks.architecture import SplitWidths
    from slimline.networks.classifier import Classifier
    from slimline.pruning.cost import Cost
    from slimline.pruning.whole_layers import WholeLayer


@dataclass
class Group:
    """Parts that are removed together, and how many of them shall stay."""

    layers: Sequence[str]
    """Names of the layers: one, or those that an addition or a split ties together."""
    importance: Tensor
    """Float64 [layers, parts], not negative: a row per layer."""
    multiple: int = 1
    """What the number of parts that stay is rounded to."""
    width: int = field(init=False)
    """How many parts stay; all, to begin with."""
    floor: int = field(init=False)
    """How many parts stay in any case."""

    def __post_init__(self) -> None:
        """Begin with all parts, and let nearly all of them go if asked to."""
        self.width = self.full_width
        self.floor = min(self.multiple, self.full_width)

    @property
    def full_width(self) -> int:
        """How many parts there are."""
        return self.importance.shape[1]

    def remove(self, count: float) -> None:
        """Let about so many parts go: what stays is the nearest multiple, never below the floor.

        Less than one part removes nothing, whatever the multiple.
        """
        nearest = self.multiple * round((self.full_width - count) / self.multiple)
        self.width = self.full_width if count < 1 else self._allowed(nearest)

    def spare(self, count: float) -> None:
        """Let no more than about so many parts go, whatever is asked for later."""
        self.remove(count)
        self.floor, self.width = self.width, self.full_width

    def step(self, direction: int) -> None:
        """Go to the next wider (1) or narrower (-1) multiple, as far as there is one."""
        below = -(-self.width // self.multiple) - 1
        number = self.width // self.multiple + 1 if direction > 0 else below
        self.width = self._allowed(number * self.multiple)

    def _allowed(self, width: int) -> int:
        return min(self.full_width, max(self.floor, width))


class Plan(Protocol):
    """What could go, found when made; change the widths of `groups`, then `apply`.

    A deep copy is a plan for a copy of the network.
    """

    network: nn.Module
    groups: Sequence[Group]
    """In order of the network."""

    @property
    def whole(self) -> Sequence[WholeLayer]:
        """The layers that must stay as wide as they are, the last one apart, in order."""

    @property
    def split_widths(self) -> SplitWidths:
        """What modules keep of the widths that they split, as they are now."""

    def predict(self) -> Cost:
        """Return what the network would cost with the widths that the groups have now."""

    def apply(self) -> object:
        """Change the network in place; the most important parts stay."""


def carry_out(plan: Plan, model: Classifier) -> Classifier:
    """Apply a plan for a classifier's network; return the classifier, which can be rebuilt."""
    plan.apply()
    written = split_widths.joined(model.architecture.split_widths, plan.split_widths)
    architecture = replace(model.architecture, split_widths=written)
    return replace(model, architecture=architecture)
