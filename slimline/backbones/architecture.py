"""What every family of backbones shares: how an architecture is described, built and split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


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


@dataclass(frozen=True)
class Weights:
    """Pretrained weights that come with a package."""

    load: Callable[[], dict[str, Tensor]]
    """Returns tensors named as the model names them, head included."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    source: str
    licence: str


@dataclass(frozen=True)
class Backbone:
    """One entry of the registry."""

    make: Callable[[Architecture], nn.Module]
    """Builds the network with random weights and its stem and head as the architecture says."""
    stem: str
    """Name of the first convolution."""
    head: str
    """Prefix of the parameters that classify: what is trained while the rest is frozen."""
    imagenet: Weights | None = None


def replace_stem(model: nn.Module, name: str, architecture: Architecture) -> None:
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
