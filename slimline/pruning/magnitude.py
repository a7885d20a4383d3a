"""Unstructured: single weights become exactly zero (Han et al., 2015, arXiv:1506.02626).

Zeros alone make neither the file smaller nor the model faster; only the deflated file shrinks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from slimline.pruning.settings import PruneSettings

if TYPE_CHECKING:
    from torch import Tensor, nn


class Magnitude(PruneSettings):
    """`prune.method: magnitude`."""

    method: Literal["magnitude"]

    def cut(self, network: nn.Module, example: Tensor, share: float) -> None:  # noqa: ARG002
        """Zero the smallest weights of every convolution and linear layer."""
        import torch
        from torch import nn

        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                with torch.no_grad():
                    module.weight.mul_(_kept(module.weight, share))


def _kept(weight: Tensor, share: float) -> Tensor:
    """Return which weights stay: all but the smallest ones, whose sum is at most `share` of all."""
    import torch

    magnitude = weight.abs().double().flatten()
    ordered, order = magnitude.sort(stable=True)
    kept = torch.ones(weight.numel(), dtype=torch.bool)
    kept[order] = ordered.cumsum(0) > share * magnitude.sum()
    return kept.view_as(weight)
