"""Structured: whole channels go, with everything that depends on them.

Li et al., 2016, arXiv:1608.08710; grouped as in DepGraph, Fang et al., 2023, arXiv:2301.12900.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from slimline.pruning.settings import PruneSettings

if TYPE_CHECKING:
    from torch import Tensor, nn


class StructuredMagnitude(PruneSettings):
    """`prune.method: structured_magnitude`."""

    method: Literal["structured_magnitude"]

    def cut(self, network: nn.Module, example: Tensor, share: float) -> None:
        """Remove the channels of least magnitude from every layer that may shrink."""
        from slimline.pruning import channels

        plan = channels.Plan(network, example)
        for group in plan.groups:
            group.width = _width(group.importance, share, self.channel_multiple)
        plan.apply()


def _width(importance: Tensor, share: float, multiple: int) -> int:
    """Return how many channels stay: all but the least, whose sum is at most `share` of all.

    Of several layers, float [layers, width], the mean. Rounded to the nearest multiple, never 0,
    never more than there are.
    """
    ordered = importance.sort(dim=1).values
    limit = share * ordered.sum(dim=1, keepdim=True)
    removable = (ordered.cumsum(dim=1) <= limit).sum(dim=1).double().mean()
    width = importance.shape[1]
    nearest = multiple * round((width - removable.item()) / multiple)
    return width if removable < 1 else min(width, max(multiple, nearest))
