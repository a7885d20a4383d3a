"""What a network costs: parameters, multiply-accumulates, zeros; in whole and by layer.

The figures of a finished model are read off its .onnx file, in `slimline.measure`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Cost:
    """Raw counts of a network."""

    params: int
    macs: int
    """Multiply-accumulates of convolutions and linear layers, for one image."""
    weights: int
    """Entries of the weight tensors of convolutions and linear layers."""
    zeros: int
    """How many of these are exactly 0."""

    @property
    def macs_m(self) -> float:
        """Multiply-accumulates of one image, millions."""
        return self.macs / 1e6

    @property
    def sparsity(self) -> float:
        """Percent of the weights that are exactly 0."""
        return 100 * self.zeros / self.weights

    @property
    def nonzero_params(self) -> int:
        """Parameters that are not zeros among the weights: what pruning leaves."""
        return self.params - self.zeros


@dataclass(frozen=True)
class LayerCost:
    """Raw counts of a convolution or linear layer."""

    name: str
    channels: int
    """Of its output."""
    params: int
    macs: int
    """Multiply-accumulates for one image."""
    weights: int
    """Entries of its weight."""
    zeros: int
    """How many of these are exactly 0."""


def count(network: nn.Module, example: Tensor) -> Cost:
    """Return the cost of a network for one image of the size of `example`."""
    layers = by_layer(network, example)
    return Cost(
        params=sum(weight.numel() for weight in network.parameters()),
        macs=sum(layer.macs for layer in layers),
        weights=sum(layer.weights for layer in layers),
        zeros=sum(layer.zeros for layer in layers),
    )


@torch.no_grad()
def by_layer(network: nn.Module, example: Tensor) -> list[LayerCost]:
    """Return the cost of every layer with a weight, in the order in which an image meets them."""
    found: list[LayerCost] = []

    def note(name: str, layer: nn.Conv2d | nn.Linear, output: Tensor) -> None:
        own = LayerCost(
            name,
            channels=len(layer.weight),
            params=sum(each.numel() for each in layer.parameters()),
            macs=output[0].numel() * layer.weight[0].numel(),
            weights=layer.weight.numel(),
            zeros=int((layer.weight == 0).sum()),
        )
        found.append(own)

    hooks = [
        layer.register_forward_hook(lambda module, _, output, name=name: note(name, module, output))
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    is_training = network.training
    network.cpu().eval()(example[:1])
    network.train(is_training)
    for hook in hooks:
        hook.remove()
    return found
