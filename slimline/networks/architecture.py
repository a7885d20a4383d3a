"""What every family of backbones shares: how an architecture is described, built and split.

A family's file says in a line per network where it comes from; all that is done to it afterwards
(stem, activations, pretrained tensors) is done here, the same for all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor, nn

Activation = Literal["keep", "relu", "relu6"]


@dataclass(frozen=True)
class Architecture:
    """All that decides which layers a model has, before pruning; plain values, kept in JSON."""

    backbone: str
    """A key of the registry."""
    num_classes: int
    channels: int
    """Of the input: 1 for grey, 3 for RGB."""
    stem_stride: int
    """Stride of the first convolution; 2 was made for 224 px, 1 keeps small images large."""
    stem_kernel: int
    """Kernel of the first convolution, odd."""
    activation: Activation = "keep"
    """What stands where the published network has an activation function; keep: its own."""


@dataclass(frozen=True)
class PretrainedWeights:
    """Pretrained weights, and what belongs to them."""

    load: Callable[[], dict[str, Tensor]]
    """Returns tensors named as the published network names them, head included.

    Raises OSError where they would have to be downloaded and cannot be.
    """
    mean: tuple[float, ...]
    """Per channel, of pixels scaled to 0..1: the normalisation that they were trained with."""
    std: tuple[float, ...]
    source: str
    licence: str


@dataclass(frozen=True)
class Backbone:
    """One entry of the registry."""

    publish: Callable[[int], nn.Module]
    """Builds the network as published, for so many classes, with random weights."""
    stem: str
    """Name of the first convolution."""
    head: str
    """Prefix of the parameters that classify: what is trained while the rest is frozen."""
    stages: tuple[str, ...]
    """Names of the parts between stem and head, in order: what is unfrozen from its end."""
    imagenet: PretrainedWeights | None
    """What `pretrained: imagenet` loads; None where nobody publishes weights."""
    rewrite: Callable[[nn.Module], None] | None = None
    """Gives the published network, in place, another form of the same function."""

    def make(
        self, architecture: Architecture, adopt: Callable[[nn.Module], None] | None = None
    ) -> nn.Module:
        """Return the network with its stem, activations and head as the architecture says.

        `adopt` may load tensors into the published form of the network.
        """
        network = self.publish(architecture.num_classes)
        _replace_stem(network, self.stem, architecture)
        if architecture.activation != "keep":
            _replace_activations(network, architecture.activation)
        if adopt is not None:
            adopt(network)
        if self.rewrite is not None:
            self.rewrite(network)
        return network


def _replace_stem(model: nn.Module, name: str, architecture: Architecture) -> None:
    """Exchange the first convolution for one of the architecture's stride, kernel and channels."""
    from torch import nn

    old = model.get_submodule(name)
    assert isinstance(old, nn.Conv2d)
    kernel = architecture.stem_kernel
    stem = nn.Conv2d(
        architecture.channels,
        old.out_channels,
        kernel,
        stride=architecture.stem_stride,
        padding=kernel // 2,
        bias=old.bias is not None,
    )
    model.set_submodule(name, stem)


def _replace_activations(model: nn.Module, name: str) -> None:
    """Exchange every activation; the gates of squeeze-excitation are none and stay.

    ReLU needs its output for the gradient, so that no dropout may change it in place.
    """
    from torch import nn

    wanted = nn.ReLU if name == "relu" else nn.ReLU6
    for path, module in list(model.named_modules()):
        if isinstance(module, nn.Hardswish | nn.SiLU | nn.ReLU | nn.ReLU6):
            model.set_submodule(path, wanted(inplace=True))
        elif isinstance(module, nn.Dropout):
            module.inplace = False
