"""What a network costs: parameters, multiply-accumulates, zeros; between rounds of pruning.

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


@torch.no_grad()
def count(network: nn.Module, example: Tensor) -> Cost:
    """Return the cost of a network for one image of the size of `example`."""
    macs = 0

    def add(module: nn.Module, _: object, output: Tensor) -> None:
        nonlocal macs
        assert isinstance(module.weight, Tensor)
        macs += output[0].numel() * module.weight[0].numel()

    layers = [each for each in network.modules() if isinstance(each, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(add) for layer in layers]
    is_training = network.training
    network.cpu().eval()(example[:1])
    network.train(is_training)
    for hook in hooks:
        hook.remove()
    return Cost(
        params=sum(weight.numel() for weight in network.parameters()),
        macs=macs,
        weights=sum(layer.weight.numel() for layer in layers),
        zeros=sum(int((layer.weight == 0).sum()) for layer in layers),
    )
