"""Unstructured: single weights become exactly zero; first those that the loss depends on least.

To first order, as in `slimline.pruning.methods.taylor`, of each weight for itself (Molchanov et
al., 2019, arXiv:1906.10771): a small weight that the loss depends on outlives a large one that it
does not. Zeros alone make neither the file smaller nor the model faster; only the deflated file
shrinks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from slimline.pruning.settings import PruneSettings

if TYPE_CHECKING:
    from torch import Tensor

    from slimline.data.split_files import Split
    from slimline.networks.classifier import Classifier
    from slimline.pruning.groups import Plan


class UnstructuredTaylor(PruneSettings):
    """`prune.method: unstructured_taylor`."""

    removes_macs = False

    method: Literal["unstructured_taylor"]

    def survey(self, model: Classifier, calibration: Split) -> Plan:
        """Rank the weights of every convolution and linear layer by what the loss would change."""
        from slimline.pruning.single_weights import WeightPlan

        return WeightPlan(model.network, model.example, loss_changes(model, calibration))


def loss_changes(model: Classifier, calibration: Split) -> dict[str, Tensor]:
    """Return, per layer, the root of the mean squared change of the loss without each weight.

    Float64, of the shape of the layer's weight; 0 is for weights that are 0 already, so that a
    threshold of 0 removes no other.
    """
    import torch
    from torch import nn

    from slimline.pruning.methods import taylor

    layers = {
        name: layer
        for name, layer in model.network.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    }

    def changes(layer: nn.Module) -> list[Tensor]:
        return [taylor.product(layer.get_parameter("weight"))]

    found = taylor.root_mean_squares(model, calibration, layers, changes)
    tiny = torch.finfo(torch.float64).tiny
    return {
        name: torch.where(
            layers[name].get_parameter("weight").detach() == 0, 0.0, own.clamp_min(tiny)
        )
        for name, (own,) in found.items()
    }
