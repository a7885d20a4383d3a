"""Structured: whole channels go, with everything that depends on them; the smallest first.

Li et al., 2016, arXiv:1608.08710; grouped as in DepGraph, Fang et al., 2023, arXiv:2301.12900.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from slimline.pruning.settings import PruneSettings

if TYPE_CHECKING:
    from torch import Tensor, nn

    from slimline.data.split_files import Split
    from slimline.networks.classifier import Classifier
    from slimline.pruning.channel_plan import Scores
    from slimline.pruning.groups import Plan


class StructuredMagnitude(PruneSettings):
    """`prune.method: structured_magnitude`."""

    removes_macs = True

    method: Literal["structured_magnitude"]

    def survey(self, model: Classifier, calibration: Split) -> Plan:  # noqa: ARG002
        """Rank channels by the L2 norm of the weights that make and read them."""
        from slimline.pruning.channel_plan import ChannelPlan

        scores = magnitudes(model.network)
        return ChannelPlan(model.network, model.example, scores, multiple=self.channel_multiple)


def magnitudes(network: nn.Module) -> Scores:
    """Return the L2 norms of rows and columns of every layer that has weights."""
    from slimline.pruning.channel_flow import PrunableLayer

    return {
        name: _norms(layer.weight.detach().double())
        for name, layer in network.named_modules()
        if isinstance(layer, PrunableLayer) and layer.weight is not None
    }


def _norms(weight: Tensor) -> tuple[Tensor, Tensor]:
    if weight.dim() == 1:
        return weight.abs(), weight.abs()
    rows, columns = weight.flatten(1), weight.transpose(0, 1).flatten(1)
    return rows.norm(dim=1), columns.norm(dim=1)
