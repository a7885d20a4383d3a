"""Single weights as what a plan removes: they become exactly zero, and stay so in all training.

Zeros alone make neither the file smaller nor the model faster; only the deflated file shrinks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from slimline.networks.architecture import SplitWidths
from slimline.pruning import cost
from slimline.pruning.cost import Cost
from slimline.pruning.groups import Group
from slimline.pruning.whole_layers import WholeLayer


class WeightPlan:
    """A plan whose parts are the weights of convolutions and linear layers, a group per layer."""

    groups: Sequence[Group]
    """In order of the network."""

    def __init__(
        self,
        network: nn.Module,
        example: Tensor,
        importance: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Look at the weights; `example` is an input, float32 [batch, channels, height, width].

        `importance` is float64 of the shape of each layer's weight, by the layer's name; without
        it, it is the absolute value.
        """
        self.network, self._whole = network, cost.count(network, example)
        known = importance or {}
        self.groups = [
            Group(
                [name], known.get(name, self._weight(name).detach().abs()).double().reshape(1, -1)
            )
            for name in dict.fromkeys(layer.name for layer in self._whole.layers)
        ]

    @property
    def whole(self) -> Sequence[WholeLayer]:
        """None: single weights go in every layer."""
        return ()

    @property
    def split_widths(self) -> SplitWidths:
        """Nothing: all widths stay."""
        return {}

    def predict(self) -> Cost:
        """Return what the network would cost; zeros take away no multiply-accumulate."""
        zeros = {each.layers[0]: each.full_width - each.width for each in self.groups}
        layers = [replace(layer, zeros=zeros[layer.name]) for layer in self._whole.layers]
        return replace(self._whole, layers=layers)

    @torch.no_grad()
    def apply(self) -> None:
        """Make the least weights of each group zero, in place; of equal ones, the first."""
        for group in self.groups:
            weight = self._weight(group.layers[0])
            stays = torch.ones(group.full_width, dtype=torch.bool)
            order = group.importance[0].argsort(stable=True)
            stays[order[: group.full_width - group.width]] = False
            weight.mul_(stays.view(weight.shape))

    def _weight(self, name: str) -> Tensor:
        weight = self.network.get_submodule(name).weight
        assert isinstance(weight, Tensor)
        return weight
