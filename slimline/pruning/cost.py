"""What a network costs: parameters, multiply-accumulates, zeros; in whole and by layer.

The figures of a finished model are read off its .onnx file, in `slimline.measure`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from slimline.networks.evaluation import evaluating
from slimline.pruning import fixed_work

_LEAST = 0.001
"""Of all multiply-accumulates."""


@dataclass(frozen=True)
class LayerCost:
    """A convolution or linear layer: its widths, and raw counts."""

    name: str
    inputs: int
    channels: int
    """Of its output."""
    params: int
    macs: int
    """Multiply-accumulates for one image."""
    weights: int
    """Entries of its weight."""
    zeros: int
    """How many of these are exactly 0."""


@dataclass(frozen=True)
class FixedCost:
    """Work with a weight that is no layer's, as `F.conv2d(x, self.kernel)`: it stays as it is."""

    name: str
    """Of the weight, or of the module that has it."""
    macs: int
    """Multiply-accumulates for one image."""
    after: int
    """How many layers an image meets before it."""


@dataclass(frozen=True)
class Cost:
    """What a network costs for one image."""

    params: int
    layers: Sequence[LayerCost]
    """In the order in which an image meets them."""
    fixed: Sequence[FixedCost] = ()
    """In that order as well."""

    @property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions, linear layers, and all else that has weights."""
        return sum(layer.macs for layer in self.layers) + sum(work.macs for work in self.fixed)

    @property
    def names(self) -> Sequence[str]:
        """Names of the layers and of what is fixed, in order, each once."""
        found = [layer.name for layer in self.layers]
        for each in reversed(self.fixed):
            found.insert(each.after, each.name)
        return list(dict.fromkeys(found))

    @property
    def trifles(self) -> frozenset[str]:
        """Names of fixed work that is too little to be told of."""
        return frozenset(each.name for each in self.fixed if each.macs < _LEAST * self.macs)

    @property
    def macs_m(self) -> float:
        """The same, millions."""
        return self.macs / 1e6

    @property
    def weights(self) -> int:
        """Entries of the weights of convolutions and linear layers."""
        return sum(layer.weights for layer in self.layers)

    @property
    def zeros(self) -> int:
        """How many of these are exactly 0."""
        return sum(layer.zeros for layer in self.layers)

    @property
    def sparsity(self) -> float:
        """Percent of the weights that are exactly 0."""
        return 100 * self.zeros / self.weights

    @property
    def nonzero_params(self) -> int:
        """Parameters that are not zeros among the weights: what pruning leaves."""
        return self.params - self.zeros


@torch.no_grad()
def count(network: nn.Module, example: Tensor) -> Cost:
    """Return the cost of a network for one image of the size of `example`."""
    found: list[LayerCost] = []
    fixed: list[FixedCost] = []

    def note(name: str, layer: nn.Conv2d | nn.Linear, output: Tensor) -> None:
        own = LayerCost(
            name,
            inputs=layer.weight.shape[1] * getattr(layer, "groups", 1),
            channels=len(layer.weight),
            params=sum(each.numel() for each in layer.parameters()),
            macs=output.numel() * layer.weight[0].numel(),
            weights=layer.weight.numel(),
            zeros=int((layer.weight == 0).sum()),
        )
        found.append(own)

    def note_fixed(name: str, macs: int) -> None:
        fixed.append(FixedCost(name, macs, after=len(found)))

    hooks = [
        layer.register_forward_hook(lambda module, _, output, name=name: note(name, module, output))
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    try:
        network.cpu()
        with evaluating(network), fixed_work.noting(network, note_fixed):
            network(example[:1])
    finally:
        for hook in hooks:
            hook.remove()
    return Cost(sum(weight.numel() for weight in network.parameters()), found, fixed)
