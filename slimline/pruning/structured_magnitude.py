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
        """Remove the channels of least magnitude from every group that may shrink."""
        from slimline.pruning import channels

        groups = channels.find_groups(network, example)
        for group in groups:
            group.keep(_kept(group.importance(), share, self.channel_multiple))
        channels.remove(groups)


def _kept(importance: Tensor, share: float, multiple: int) -> Tensor:
    """Return which channels stay: all but the least, whose sum is at most `share` of all.

    The number that stays is rounded up to the multiple, and is never 0.
    """
    import torch

    ordered, order = importance.double().sort(stable=True)
    removable = int((ordered.cumsum(0) <= share * ordered.sum()).sum())
    width = -(-max(1, len(order) - removable) // multiple) * multiple
    kept = torch.ones(len(order), dtype=torch.bool)
    kept[order[: max(0, len(order) - width)]] = False
    return kept
